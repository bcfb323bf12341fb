//! Templates: text made of columns.

use std::collections::HashMap;
use std::sync::Arc;

use minijinja::value::Object;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value};

/// How many results are remembered. Year levels and the like have a few dozen distinct inputs.
const REMEMBERED_MAX: usize = 4096;
/// The longest result, in bytes.
const OUTPUT_MAX: usize = 64 * 1024;
/// The deepest nesting of a template.
const RECURSION_MAX: usize = 64;
const NAME: &str = "template";

/// A compiled template.
///
/// A value that is a whole number as computers write it (`12`, `-3`, but not `007` or `+1`) is a number in the
/// template, every other is text; a blank is `""`. Only the columns of the row can be read.
///
/// Templates have no loops, so each rendering ends soon.
#[derive(Clone, Debug)]
pub struct Template {
    /// Boxed, since it is large and most rules have none.
    environment: Box<Environment<'static>>,
    variables: Arc<[String]>,
    /// Results by input, since rendering costs microseconds and most inputs come again.
    remembered: HashMap<Box<[u8]>, Box<str>>,
    /// The input of the current row, built in place.
    input: Vec<u8>,
    hits: usize,
    is_remembering: bool,
}

/// The columns of one row, as the engine reads them.
#[derive(Debug)]
struct Row {
    /// Sorted.
    variables: Arc<[String]>,
    values: Vec<Value>,
}

impl Object for Row {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let index = self.variables.binary_search_by(|name| name.as_str().cmp(key)).ok()?;
        self.values.get(index).cloned()
    }
}

/// Why a template does not compile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the template does not compile: {message}")]
pub struct TemplateError {
    /// The line of the template, counted from 1.
    pub line: usize,
    /// What the compiler says.
    pub message: String,
}

/// Why a template failed on a row. Names the kind of failure and never a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateFailure {
    /// An operation does not fit its values: a number was expected and a text or a blank came.
    #[error("an operation does not fit its values (a blank or a text where a number is needed?)")]
    Operation,
    /// Something is used that does not exist.
    #[error("it uses something that is not there")]
    Undefined,
    /// The result is too long.
    #[error("its result is longer than 64 KiB")]
    TooLong,
    /// Anything else, in the engine's words for the kind of failure.
    #[error("it failed")]
    Other,
}

impl Template {
    /// Compiles a template.
    ///
    /// # Errors
    /// With the line when it is no valid template, or one that loops.
    pub fn compile(source: &str) -> Result<Self, TemplateError> {
        if let Some(line) = line_of_loop(source) {
            return Err(TemplateError { line, message: "a template cannot loop (`for`)".into() });
        }
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_recursion_limit(RECURSION_MAX);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        // Columns may bear these names, and nothing here needs the functions.
        let globals: Vec<String> = environment.globals().map(|(name, _)| name.to_owned()).collect();
        for name in &globals {
            environment.remove_global(name);
        }
        let compiled = environment.add_template_owned(NAME, source.to_owned()).and_then(|()| {
            let template = environment.get_template(NAME)?;
            let mut variables: Vec<String> = template.undeclared_variables(false).into_iter().collect();
            // The engine forgets what a slice is taken of: `Leaves` in `Leaves[:4]`.
            if let Some(indexed) = without_slices(source)
                && let Ok(template) = environment.template_from_named_str(NAME, &indexed)
            {
                variables.extend(template.undeclared_variables(false));
            }
            variables.sort_unstable();
            variables.dedup();
            let variables: Arc<[String]> = variables.into();
            try_out(&template, &variables).map(|()| variables)
        });
        match compiled {
            Ok(variables) => Ok(Self {
                environment: Box::new(environment),
                variables,
                remembered: HashMap::new(),
                input: Vec::new(),
                hits: 0,
                is_remembering: true,
            }),
            Err(error) => Err(TemplateError {
                line: error.line().unwrap_or(1),
                message: error.detail().map_or_else(|| error.kind().to_string(), str::to_owned),
            }),
        }
    }

    /// The columns that the template names, as written, in alphabetical order.
    pub fn variables(&self) -> &[String] {
        &self.variables
    }

    /// The template as it is written.
    pub fn source(&self) -> String {
        self.environment.get_template(NAME).map(|template| template.source().to_owned()).unwrap_or_default()
    }

    /// Appends the result for one row to `out`. `values` are those of [`variables`](Self::variables), in that order.
    ///
    /// # Errors
    /// When the template does not fit the values. `out` is then as before.
    pub fn render(&mut self, values: &[&str], out: &mut String) -> Result<(), TemplateFailure> {
        debug_assert_eq!(values.len(), self.variables.len());
        if self.is_remembering {
            self.input.clear();
            for value in values {
                self.input.extend_from_slice(value.as_bytes());
            }
            // Texts then lengths: read from its end, this has one meaning only.
            for value in values {
                self.input.extend_from_slice(&value.len().to_le_bytes());
            }
            if let Some(result) = self.remembered.get(self.input.as_slice()) {
                self.hits += 1;
                out.push_str(result);
                return Ok(());
            }
        }
        let result = self.render_anew(values)?;
        out.push_str(&result);
        if self.is_remembering {
            self.remember(result);
        }
        Ok(())
    }

    fn render_anew(&self, values: &[&str]) -> Result<String, TemplateFailure> {
        let row = Row { variables: Arc::clone(&self.variables), values: values.iter().copied().map(value).collect() };
        let rendered =
            self.environment.get_template(NAME).and_then(|template| template.render(Value::from_object(row)));
        match rendered {
            Ok(result) if result.len() > OUTPUT_MAX => Err(TemplateFailure::TooLong),
            Ok(result) => Ok(result),
            Err(error) => Err(match error.kind() {
                ErrorKind::InvalidOperation | ErrorKind::CannotUnpack => TemplateFailure::Operation,
                ErrorKind::UndefinedError | ErrorKind::UnknownMethod => TemplateFailure::Undefined,
                _ => TemplateFailure::Other,
            }),
        }
    }

    fn remember(&mut self, result: String) {
        if self.remembered.len() == REMEMBERED_MAX {
            // Every row its own input (a name, an address): remembering only costs.
            self.is_remembering = self.hits > REMEMBERED_MAX / 8;
            self.hits = 0;
            self.remembered = HashMap::new();
            return;
        }
        self.remembered.insert(self.input.as_slice().into(), result.into());
    }
}

/// Filters and tests are only looked up when they are used: a trial finds unknown ones now rather than at the first row.
fn try_out(template: &minijinja::Template<'_, '_>, variables: &Arc<[String]>) -> Result<(), minijinja::Error> {
    for trial in ["1", "", "a"] {
        let row = Row { variables: Arc::clone(variables), values: vec![value(trial); variables.len()] };
        if let Err(error) = template.render(Value::from_object(row))
            && matches!(error.kind(), ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction)
        {
            return Err(error);
        }
    }
    Ok(())
}

/// A whole number in its one canonical spelling is a number, all else is text.
fn value(text: &str) -> Value {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_canonical = match digits.as_bytes() {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    match text.parse::<i64>() {
        Ok(number) if is_canonical => Value::from(number),
        _ => Value::from(text),
    }
}

/// The line of the first `{% for`, counted from 1. The engine could count steps instead, but a mapping has no use for
/// loops at all, and without them nothing can run long.
fn line_of_loop(source: &str) -> Option<usize> {
    source.match_indices("{%").find_map(|(at, tag)| {
        let statement = source[at + tag.len()..].trim_start_matches(['-', '+']).trim_start();
        let is_loop = statement
            .strip_prefix("for")
            .is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_'));
        is_loop.then(|| source[..at].matches('\n').count() + 1)
    })
}

/// The template with each slice as an index that holds the same names, `x[1:4]` as `x[1~4]`; `None` if it has no slice.
/// Only good for looking at names.
fn without_slices(source: &str) -> Option<String> {
    let mut out = String::with_capacity(source.len());
    let mut brackets = Vec::new();
    let mut quote = None;
    let mut has_slice = false;
    let mut rest = source.chars().peekable();
    while let Some(c) = rest.next() {
        out.push(c);
        match (quote, c) {
            (Some(_), '\\') => out.extend(rest.next()),
            (Some(open), _) => quote = Some(open).filter(|open| *open != c),
            (None, '{') => brackets.push(c),
            // Outside of `{{ }}` an apostrophe or a bracket is text.
            (None, _) if brackets.is_empty() => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[') => brackets.push(c),
            (None, '}' | ')' | ']') => {
                brackets.pop();
            }
            (None, ':') if brackets.last() == Some(&'[') => {
                has_slice = true;
                out.pop();
                // Either side may be blank.
                let is_first = out.trim_end().ends_with(['[', '~']);
                out.push_str(if is_first { "0~" } else { "~" });
                while rest.next_if(|next| next.is_whitespace()).is_some() {}
                if matches!(rest.peek(), Some(']' | ':')) {
                    out.push('0');
                }
            }
            (None, _) => {}
        }
    }
    has_slice.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str, columns: &[(&str, &str)]) -> Result<String, TemplateFailure> {
        let mut template = Template::compile(source).unwrap();
        let values: Vec<&str> = template
            .variables()
            .iter()
            .map(|name| columns.iter().find(|(column, _)| column == name).unwrap().1)
            .collect();
        let mut out = String::new();
        template.render(&values, &mut out)?;
        let mut again = String::from("again ");
        template.render(&values, &mut again)?;
        assert_eq!(again, format!("again {out}"));
        Ok(out)
    }

    #[test]
    fn whole_numbers_are_numbers_and_the_rest_is_text() {
        assert_eq!(render("{{ Year + 12 - Level }}", &[("Year", "2026"), ("Level", "7")]).unwrap(), "2031");
        assert_eq!(render("{{ A ~ '-' ~ B }}", &[("A", "007"), ("B", "+1")]).unwrap(), "007-+1");
        assert_eq!(render("{{ A }}", &[("A", "99999999999999999999")]).unwrap(), "99999999999999999999");
        assert_eq!(render("{{ A + 1 }}", &[("A", "-3")]).unwrap(), "-2");
        assert_eq!(render("{{ A }}|{{ A is string }}", &[("A", "-0")]).unwrap(), "-0|True");
        assert_eq!(render("{{ A is number }}{{ B is string }}", &[("A", "0"), ("B", "")]).unwrap(), "TrueTrue");
    }

    /// Regression: the engine does not name what a slice is taken of, so that it failed on every row.
    #[test]
    fn a_part_of_a_text_can_be_taken() {
        let day = [("Leaves", "2026-12-10"), ("From", "1")];
        for (source, expected) in [
            ("{{ Leaves[:4] }}", "2026"),
            ("(it's {{ Leaves[ 5 : 7 ] }}", "(it's 12"),
            ("{{ Leaves[8:] }}", "10"),
            ("{{ Leaves[::2] }}", "22-21"),
            ("{{ (Leaves ~ ':]')[-2:] }}", ":]"),
            ("{% if From == 2 %}{{ Leaves[From:4] }}{% else %}-{% endif %}", "-"),
            ("{{ 'a:b[:1]' }}{{ Leaves['a:b'|length:4 if From else 2] }}", "a:b[:1]6"),
            ("{{ {'x': Leaves[:2]}['x'] }}", "20"),
        ] {
            let found = Template::compile(source).unwrap();
            assert!(found.variables().contains(&"Leaves".to_owned()), "{source}: {:?}", found.variables());
            assert_eq!(render(source, &day).as_deref(), Ok(expected), "{source}");
        }
        assert_eq!(Template::compile("{{ A[B:C:D] }}").unwrap().variables(), ["A", "B", "C", "D"]);
        assert_eq!(without_slices("{{ A['x:y'] }} 10:30"), None);
    }

    #[test]
    fn conditions_and_filters_work_and_nothing_is_escaped() {
        let source = "{% if Level in [7, 8] %}M{% else %}S{% endif %}{{ Name | upper }}";
        assert_eq!(render(source, &[("Level", "8"), ("Name", "o'neil & <co>")]).unwrap(), "MO'NEIL & <CO>");
    }

    #[test]
    fn failures_name_their_kind_and_no_value() {
        let failure = render("{{ Year + 12 }}", &[("Year", "canary")]).unwrap_err();
        assert_eq!(failure, TemplateFailure::Operation);
        assert_eq!(render("{{ Year + 12 }}", &[("Year", "")]).unwrap_err(), TemplateFailure::Operation);
        assert_eq!(render("{{ A.b.c }}", &[("A", "x")]).unwrap_err(), TemplateFailure::Undefined);
        assert_eq!(render("{{ 'x' * N }}", &[("N", "70000")]).unwrap_err(), TemplateFailure::TooLong);
    }

    #[test]
    fn a_failure_leaves_the_buffer_alone() {
        let mut template = Template::compile("abc{{ A + 1 }}").unwrap();
        let mut out = String::from("kept");
        template.render(&["x"], &mut out).unwrap_err();
        assert_eq!(out, "kept");
    }

    #[test]
    fn inputs_that_join_to_the_same_text_are_told_apart() {
        let mut template = Template::compile("{{ a }}/{{ b }}").unwrap();
        let mut out = String::new();
        for values in [["1", "23"], ["12", "3"], ["", "123"], ["123", ""], ["1", "23"]] {
            out.clear();
            template.render(&values, &mut out).unwrap();
            assert_eq!(out, format!("{}/{}", values[0], values[1]));
        }
    }

    #[test]
    fn many_inputs_stay_right_and_memory_bounded() {
        let mut template = Template::compile("{{ a }}!").unwrap();
        let mut out = String::new();
        for number in 0..10_000 {
            out.clear();
            let value = number.to_string();
            template.render(&[&value], &mut out).unwrap();
            assert_eq!(out, format!("{value}!"));
        }
        assert!(template.remembered.len() <= REMEMBERED_MAX && !template.is_remembering);
    }

    #[test]
    fn a_loop_does_not_compile() {
        for source in ["{% for x in y %}{% endfor %}", "a\n{%-   for x in y %}{% endfor %}"] {
            let error = Template::compile(source).unwrap_err();
            assert_eq!(
                (error.line, error.message.as_str()),
                (source.matches('\n').count() + 1, "a template cannot loop (`for`)")
            );
        }
        assert!(Template::compile("{% if format %}x{% endif %}").is_ok());
    }

    #[test]
    fn an_error_of_syntax_has_its_line() {
        assert_eq!(Template::compile("a\n{{ b + }}").unwrap_err().line, 2);
        assert!(Template::compile("{{ b | nofilter }}").is_err(), "unknown filters must not wait for the first row");
    }

    #[test]
    fn functions_of_the_engine_are_columns_like_any_other() {
        assert_eq!(Template::compile("{{ range }}{{ dict }}").unwrap().variables(), ["dict", "range"]);
    }
}
