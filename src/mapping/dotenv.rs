//! `.env` files: `NAME=VALUE` lines.

use std::collections::HashMap;
use std::path::Path;

use crate::secret::Secret;

use super::secret::{self, Fault};

/// The variables of a file; none if there is no file.
pub(super) fn read(path: &Path) -> Result<HashMap<String, Secret>, Fault> {
    let Some(bytes) = secret::read_private(path)? else { return Ok(HashMap::new()) };
    let text = String::from_utf8(bytes)
        .map_err(|_| Fault::new(format!("`{}` is not UTF-8 text", path.display()), "save the file as UTF-8"))?;
    parse(&text).map_err(|(line, reason)| {
        Fault::new(
            format!("`{}`, line {line}: {reason}", path.display()),
            "write `NAME=value`, with single quotes around a value that holds spaces, `#` or quotes: `NAME='a b'`",
        )
    })
}

/// The names of a file's variables; none if there is no file.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn names(path: &Path) -> Result<Vec<String>, String> {
    read(path).map(|variables| variables.into_keys().collect()).map_err(|fault| fault.message)
}

/// The line that gives a variable this value.
pub(crate) fn line(name: &str, value: &str) -> String {
    let is_bare = !value.is_empty()
        && value.chars().all(|c| !c.is_whitespace() && !c.is_control() && !matches!(c, '\'' | '"' | '#' | '\\'));
    if is_bare {
        format!("{name}={value}\n")
    } else if !value.contains(['\'', '\n', '\r']) {
        format!("{name}='{value}'\n")
    } else {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        format!("{name}=\"{value}\"\n")
    }
}

/// The variables, or the line and what is wrong with it. Later lines win.
fn parse(text: &str) -> Result<HashMap<String, Secret>, (usize, &'static str)> {
    let mut variables = HashMap::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let (name, value) = line.split_once('=').ok_or((index + 1, "no `=`"))?;
        let name = name.trim_end();
        if !secret::is_name(name) {
            return Err((index + 1, "the name before `=` has characters other than letters, digits and `_`"));
        }
        variables.insert(name.to_owned(), value_of(value.trim()).map_err(|reason| (index + 1, reason))?.into());
    }
    Ok(variables)
}

fn value_of(written: &str) -> Result<String, &'static str> {
    let mut value = String::new();
    let rest = if let Some(quoted) = written.strip_prefix('\'') {
        let (literal, rest) = quoted.split_once('\'').ok_or("a quote is not closed")?;
        value.push_str(literal);
        rest
    } else if let Some(quoted) = written.strip_prefix('"') {
        let mut chars = quoted.chars();
        loop {
            match chars.next().ok_or("a quote is not closed")? {
                '"' => break chars.as_str(),
                '\\' => match chars.next().ok_or("a quote is not closed")? {
                    'n' => value.push('\n'),
                    char @ ('"' | '\\' | '$') => value.push(char),
                    // A Windows path or a password with a backslash stays as it is.
                    other => value.extend(['\\', other]),
                },
                char => value.push(char),
            }
        }
    } else {
        // As shells have it: a comment needs a space before it, so that a password may hold `#`.
        let end = written.find(" #").or_else(|| written.find("\t#")).unwrap_or(written.len());
        value.push_str(written[..end].trim_end());
        ""
    };
    let rest = rest.trim_start();
    if rest.is_empty() || rest.starts_with('#') { Ok(value) } else { Err("something follows the closing quote") }
}

#[cfg(test)]
mod tests {

    use super::*;

    fn value(text: &str) -> String {
        parse(text).unwrap()["A"].expose_secret().to_owned()
    }

    #[test]
    fn lines_are_read_as_people_write_them() {
        for (text, expected) in [
            ("A=b", "b"),
            ("\u{feff}# comment\r\n\r\nexport A = b c \r\n", "b c"),
            ("A=b#c", "b#c"),
            ("A=b # comment", "b"),
            ("A='b # \\n \"c' # comment", "b # \\n \"c"),
            ("A=\"b\\n\\\"c\\\\ \\d\"", "b\n\"c\\ \\d"),
            ("A=", ""),
            ("A=b=c==", "b=c=="),
            ("A=1\nA=2", "2"),
            ("A=${B}", "${B}"),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn a_line_that_is_written_is_read_back() {
        for value in ["a", "a#b", "a b", "p@ss;w'ö\"rd {1}", "'", "\\n", "a'\\d", " x ", "$x", "${B}", "a\\", "'\\"] {
            assert_eq!(self::value(&line("A", value)), value, "{}", line("A", value));
        }
    }

    #[test]
    fn what_is_not_understood_is_an_error_with_its_line() {
        for (text, line, reason) in [
            ("A=1\nnonsense", 2, "no `=`"),
            ("A='b", 1, "a quote is not closed"),
            ("A=\"b\\", 1, "a quote is not closed"),
            ("A='b' c", 1, "something follows the closing quote"),
            ("A-B=c", 1, "the name before `=` has characters other than letters, digits and `_`"),
        ] {
            assert_eq!(parse(text).unwrap_err(), (line, reason));
        }
    }
}
