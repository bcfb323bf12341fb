//! Advice on the SQL, at the word that it is about.

use std::collections::HashSet;
use std::ops::Range;

use super::Checker;
use super::rule::CheckedRule;
use super::section::Field;
use crate::infiniti::contract::Rows;
use crate::mapping::Input;
use crate::mapping::code::Code;
use crate::mapping::diagnostic::Finding;
use crate::mapping::keys;
use crate::mapping::secret;
use crate::mapping::yaml::{Content, Node, Style};
use crate::source::select::{self, Column};

/// So many columns a hint names.
const NAMED_MAX: usize = 12;

impl Checker<'_> {
    /// What is wrong with any SQL that asks for it.
    pub(super) fn advise_on_words(&mut self, field: &Field<'_>, query: &str) {
        let Some(engine) = self.engine else { return };
        let words = select::words(engine, query);
        if let Some(at) = words.semester_flag {
            let message = "`CurrentSemesterOnlyFlag` is always 0 for a login that is no Synergetic user: the query gives no students, and no error";
            let hint = "join the semesters instead: `JOIN FileSemesters f ON f.FileYear = s.FileYear AND f.FileSemester = s.FileSemester`, with `f.SystemCurrentFlag = 1`";
            self.advise(Code::CurrentSemesterFlag, field, query, &at, message, hint);
        }
        if let Some(at) = words.reference
            && let Some(inner) = query.get(at.start + 2..at.end - 1)
            && secret::looks_like_reference(inner)
        {
            let message = "references are not replaced in SQL: the database gets this as it is";
            let hint = "write the value itself; references are for `source`, `target` and `state`";
            self.advise(Code::ReferenceNotReplaced, field, query, &at, message, hint);
        }
    }

    /// What a query of patrons looks to have wrong. `rules` are those of its headers, if they are right themselves.
    pub(super) fn advise_on_select(&mut self, field: &Field<'_>, query: &str, rules: Option<&[CheckedRule]>) {
        let Some(engine) = self.engine else { return };
        let select = select::read(engine, query);
        // Of the others what belongs to no account is left out.
        if let Some(at) = select.unfiltered.filter(|_| self.feed.account.is_none()) {
            let message = "the query has no filter: who has left, and who is yet to come, is sent, too";
            let hint = "add `WHERE` with what makes somebody current; if the view leaves the others out, say so by `WHERE 1 = 1`";
            self.advise(Code::QueryWithoutFilter, field, query, &at, message, hint);
        }
        if let Some(at) = select.star {
            let message = "`*` reads every column, whatever there is: a change of the SIS's tables can break the query";
            let used: Vec<&str> = rules.unwrap_or_default().iter().flat_map(read_by).collect();
            let hint = format!("name the columns that the mapping reads: {}", listed(&used));
            self.advise(Code::QueryAllColumns, field, query, &at, message, hint);
        }
        if let Some(at) = select.unordered {
            let word = query.get(at.clone()).unwrap_or_default().to_uppercase();
            let message = format!(
                "`{word}` without `ORDER BY` takes other rows each night, and who is not among them seems to have left"
            );
            let hint = format!(
                "delete `{word}`, or add `ORDER BY`; nothing else needs an order, since sispush sorts by itself"
            );
            self.advise(Code::QueryWithoutOrder, field, query, &at, message, hint);
        }
        if let Some(columns) = &select.columns {
            self.advise_on_columns(field, query, columns, rules.unwrap_or_default());
        }
    }

    fn advise_on_columns(&mut self, field: &Field<'_>, query: &str, columns: &[Column], rules: &[CheckedRule]) {
        let mut known = HashSet::with_capacity(columns.len());
        let twice = columns.iter().fold(None, |twice, column| {
            let is_new = known.insert(column.name.to_lowercase());
            twice.or((!is_new).then_some(column))
        });
        if let Some(column) = twice {
            let message = format!("the query gives two columns named `{}`: a run would stop at that", column.name);
            let hint = format!("delete one, or give it another name: `AS {}2`", column.name);
            self.advise(Code::QueryColumnTwice, field, query, &column.place, message, hint);
        }
        for rule in rules {
            for name in read_by(rule) {
                if known.contains(&name.to_lowercase()) {
                    continue;
                }
                let names = || columns.iter().map(|column| column.name.as_str());
                let hint = match keys::nearest(name, names()) {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => format!("the query gives {}", listed(&names().collect::<Vec<_>>())),
                };
                let message = format!("the query gives no column `{name}`");
                self.report(Finding::warning(Code::QueryColumnMissing, &rule.place, message).hint(hint));
            }
        }
    }

    /// Two queries of the same text whose rows clash, each with each.
    pub(super) fn advise_on_twins(&mut self, queries: &[(&Field<'_>, String, Vec<CheckedRule>)]) {
        // One query may well give a patron's numbers and addresses.
        if self.feed.rows == Rows::Several {
            return;
        }
        let key = self.feed.key();
        let of_key = |rules: &[CheckedRule]| {
            let rule = rules.iter().find(|checked| checked.rule.header == key)?;
            match &rule.rule.input {
                Input::Column(column) => Some(column.to_lowercase()),
                Input::Value(_) | Input::Template(_) => None,
            }
        };
        for (index, (field, query, rules)) in queries.iter().enumerate() {
            let is_twin = |(_, other, others): &(&Field<'_>, String, Vec<CheckedRule>)| {
                other.trim() == query.trim() && of_key(rules).is_some_and(|name| of_key(others) == Some(name))
            };
            if queries[..index].iter().any(is_twin) {
                let message = format!(
                    "this is the same query as before: every {} comes twice, and all rows of a clash are rejected",
                    self.feed.rule(key).name
                );
                self.report(
                    Finding::warning(Code::QueryTwice, &field.key_span, message)
                        .hint("filter each by what it is for, such as students and staff"),
                );
            }
        }
    }

    /// Reports at the word itself. In a file of its own the word cannot be pointed at, so its line is named.
    fn advise(
        &mut self,
        code: Code,
        field: &Field<'_>,
        query: &str,
        at: &Range<usize>,
        message: impl Into<String>,
        hint: impl Into<crate::error::Hint>,
    ) {
        let mut message = message.into();
        let place = if field.key.name == "query_file" {
            let line = query[..at.start].matches('\n').count() + 1;
            let file = field.node.text().unwrap_or_default();
            message = format!("`{file}`, line {line}: {message}");
            field.node.span.clone()
        } else {
            self.place_within(field.node, at)
        };
        self.report(Finding::warning(code, &place, message).hint(hint));
    }

    /// Where a part of a scalar's text stands in the file. Indentation, folding and doubled quotes make the two differ, so
    /// the characters that are no white space are counted; where that does not lead to the same text, the place is all of it.
    fn place_within(&self, node: &Node, part: &Range<usize>) -> Range<usize> {
        self.found_within(node, part).unwrap_or_else(|| node.span.clone())
    }

    fn found_within(&self, node: &Node, part: &Range<usize>) -> Option<Range<usize>> {
        let Content::Scalar { text, style } = &node.content else { return None };
        let written = self.text.get(node.span.clone())?;
        let (skipped, wanted) = (text.get(..part.start)?, text.get(part.clone())?);
        let count = |text: &str| text.chars().filter(|char| !char.is_whitespace()).count();
        // The quote that opens it.
        let opening = usize::from(matches!(style, Style::SingleQuoted | Style::DoubleQuoted));
        let mut rest = written.char_indices().skip(opening).filter(|(_, char)| !char.is_whitespace());
        for char in skipped.chars().filter(|char| !char.is_whitespace()) {
            let (_, found) = rest.next()?;
            if found == '\'' && char == '\'' && *style == Style::SingleQuoted {
                rest.next()?;
            }
        }
        let (start, _) = rest.next()?;
        let (last, char) = match count(wanted) {
            0 | 1 => written[start..].char_indices().next().map(|(_, char)| (start, char))?,
            count => rest.nth(count - 2)?,
        };
        let end = last + char.len_utf8();
        let is_same = written[start..end].split_whitespace().eq(wanted.split_whitespace());
        is_same.then(|| node.span.start + start..node.span.start + end)
    }
}

/// The columns that a rule reads.
fn read_by(checked: &CheckedRule) -> impl Iterator<Item = &str> {
    let (column, variables) = match &checked.rule.input {
        Input::Column(column) => (Some(column.as_str()), [].as_slice()),
        Input::Template(template) => (None, template.variables()),
        Input::Value(_) => (None, [].as_slice()),
    };
    column.into_iter().chain(variables.iter().map(String::as_str))
}

/// `` `a`, `b` ``, each once and not too many of them.
pub(super) fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let mut once: Vec<&str> = Vec::new();
    for name in names.iter().map(AsRef::as_ref) {
        if once.len() > NAMED_MAX {
            break;
        }
        if !once.iter().any(|before| before.eq_ignore_ascii_case(name)) {
            once.push(name);
        }
    }
    let mut listed: Vec<String> = once.iter().take(NAMED_MAX).map(|name| format!("`{name}`")).collect();
    if once.len() > NAMED_MAX {
        listed.push("…".to_owned());
    }
    listed.join(", ")
}
