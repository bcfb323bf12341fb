//! Values of keys: texts, numbers, durations, limits.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Checker;
use super::section::{Field, Section};
use crate::mapping::Limit;
use crate::mapping::diagnostic::Finding;
use crate::mapping::keys::{self, Kind};
use crate::mapping::secret;
use crate::mapping::yaml::{Content, Node, Style};

/// The longest duration that makes sense for a run that comes every day.
const DURATION_MAX: Duration = Duration::from_hours(24);

impl Checker<'_> {
    /// A text as written. Control characters, which a path in double quotes gets by accident, are an error.
    pub(super) fn text<'n>(&mut self, field: &Field<'n>) -> Option<&'n str> {
        let text = self.raw_text(field.node, &field.path)?;
        if text.contains(|char: char| char.is_control() && char != '\n')
            && matches!(field.node.content, Content::Scalar { style: Style::DoubleQuoted, .. })
        {
            let message = format!("`{}` holds a control character: `\\` in double quotes starts an escape", field.path);
            let hint = "use single quotes, in which a backslash is a backslash: `'C:\\data\\file'`";
            self.report(Finding::error(&field.node.span, message).hint(hint));
            return None;
        }
        Some(text)
    }

    /// A text in which anything may stand: SQL, templates, values.
    pub(super) fn raw_text<'n>(&mut self, node: &'n Node, name: &str) -> Option<&'n str> {
        match &node.content {
            Content::Scalar { text, style } => {
                if *style == Style::Plain && text.starts_with(['“', '”', '‘', '’', '„']) {
                    let message = "curly quotes, as Word makes them, are no quotes in YAML";
                    self.report(Finding::error(&node.span, message).hint("type straight quotes instead: `'` or `\"`"));
                    return None;
                }
                Some(text)
            }
            Content::Null => {
                self.report(
                    Finding::error(&node.span, format!("`{name}` has no value")).hint("for a blank write `\"\"`"),
                );
                None
            }
            Content::Sequence(_) | Content::Mapping(_) => {
                let message = format!("`{name}` must be a text, not {}", node.what());
                let hint = "put a text that begins with `{` or `[` in quotes: `\"{{ Year }}\"`";
                self.report(Finding::error(&node.span, message).hint(hint));
                None
            }
        }
    }

    /// The text of a key, or its default, with the place to complain at.
    fn text_or_default<'n>(&mut self, section: &Section<'n>, name: &str) -> Option<(&'n str, Range<usize>)> {
        match section.get(name) {
            Some(field) => Some((self.text(field)?, field.node.span.clone())),
            None => Some((section.shape.key(name)?.default?, 0..0)),
        }
    }

    /// A text that may hold references to secrets, which are noted. Blank is allowed.
    pub(super) fn secret<'n>(&mut self, field: &Field<'n>) -> Option<&'n str> {
        let text = self.text(field)?;
        self.warn_cut_by_comment(field);
        self.note_references(text, &field.node.span)?;
        Some(text)
    }

    /// A ` #` ends a plain value, also where it was meant: in a password, or before a temporary table's name.
    pub(super) fn warn_cut_by_comment(&mut self, field: &Field<'_>) {
        let rest = self.text.get(field.node.span.end..).unwrap_or_default();
        let rest = rest.lines().next().unwrap_or_default().trim_start();
        let is_plain = matches!(field.node.content, Content::Scalar { style: Style::Plain, .. });
        if is_plain
            && rest.strip_prefix('#').is_some_and(|comment| comment.starts_with(|next: char| !next.is_whitespace()))
        {
            self.report(
                Finding::warning(
                    &field.node.span,
                    format!("`{}` ends before the ` #`, which starts a comment", field.path),
                )
                .hint("if the `#` belongs to the value, put the whole in single quotes"),
            );
        }
    }

    fn note_references(&mut self, text: &str, span: &Range<usize>) -> Option<()> {
        match secret::pieces(text) {
            Ok(_) => {
                self.references.extend(secret::references(text).map(|reference| (reference, span.clone())));
                Some(())
            }
            Err(fault) => {
                let finding = Finding { hint: fault.hint, ..Finding::error(span, fault.message) };
                self.report(finding);
                None
            }
        }
    }

    pub(super) fn switch(&mut self, section: &Section<'_>, name: &str) -> Option<bool> {
        let (text, span) = self.text_or_default(section, name)?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" => Some(true),
            "false" | "no" => Some(false),
            _ => {
                let message = format!("`{}` must be `true` or `false`", section.shape.path_of(name));
                self.report(Finding::error(&span, message));
                None
            }
        }
    }

    pub(super) fn count(&mut self, section: &Section<'_>, name: &str) -> Option<u64> {
        let (text, span) = self.text_or_default(section, name)?;
        let kind = section.shape.key(name)?.kind;
        let Kind::Count(least, most) = kind else { return None };
        match text.parse::<u64>() {
            Ok(count) if (least..=most).contains(&count) => Some(count),
            _ => {
                let message = format!("`{}` must be {}", section.shape.path_of(name), kind.words());
                self.report(Finding::error(&span, message).hint("write digits only, without points, commas or spaces"));
                None
            }
        }
    }

    pub(super) fn duration(&mut self, section: &Section<'_>, name: &str) -> Option<Duration> {
        let (text, span) = self.text_or_default(section, name)?;
        let path = section.shape.path_of(name);
        match duration(text) {
            Some(duration) if duration.is_zero() || duration > DURATION_MAX => {
                self.report(Finding::error(&span, format!("`{path}` must be more than nothing and at most 24 hours")));
                None
            }
            Some(duration) => Some(duration),
            None => {
                let finding = Finding::error(&span, format!("`{path}` must be a duration"));
                let is_number = !text.is_empty() && text.chars().all(|char| char.is_ascii_digit());
                self.report(finding.hint(if is_number {
                    format!("name the unit: `{text}s` is seconds, `{text}m` minutes")
                } else {
                    "write it like `90s`, `5m`, `2h` or `1h30m`".to_owned()
                }));
                None
            }
        }
    }

    pub(super) fn limit(&mut self, field: &Field<'_>) -> Option<Limit> {
        let text = self.text(field)?;
        let limit = match text.strip_suffix('%') {
            Some(number) => {
                number.trim().parse().ok().filter(|number| (0.0..=100.0).contains(number)).map(Limit::Percent)
            }
            None => text.parse().ok().map(Limit::Count),
        };
        if limit.is_none() {
            let message = format!("`{}` must be a count or per cent from 0 to 100", field.path);
            self.report(Finding::error(&field.node.span, message).hint("write it like `20` or `5%`"));
        }
        limit
    }

    /// One of a key's words, without regard to case.
    pub(super) fn one_of(&mut self, section: &Section<'_>, name: &str) -> Option<&'static str> {
        let (text, span) = self.text_or_default(section, name)?;
        let Kind::OneOf(words) = section.shape.key(name)?.kind else { return None };
        let found = words.iter().copied().find(|word| word.eq_ignore_ascii_case(text));
        if found.is_none() {
            let listed: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
            let finding = Finding::error(&span, format!("`{text}` is no value of `{}`", section.shape.path_of(name)));
            self.report(finding.hint(match keys::nearest(text, words.iter().copied()) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("write {}", listed.join(" or ")),
            }));
        }
        found
    }

    /// A file that must exist, unless its path is not known before its references are replaced.
    pub(super) fn file(&mut self, field: &Field<'_>) -> Option<PathBuf> {
        let text = self.secret(field)?;
        if secret::references(text).next().is_some() {
            return Some(text.into());
        }
        let path = self.folder.join(Path::new(text));
        if path.is_file() {
            // The text as written stays until references are replaced, so that `$${` means the same everywhere.
            return Some(text.into());
        }
        self.report(missing_file(&field.node.span, &field.path, &path));
        None
    }
}

pub(super) fn missing_file(span: &Range<usize>, name: &str, path: &Path) -> Finding {
    let what = if path.is_dir() { "is a folder" } else { "does not exist" };
    Finding::error(span, format!("the file of `{name}`, `{}`, {what}", path.display()))
        .hint("a path is relative to the mapping's folder")
}

/// `90s`, `5m`, `2h`, `1h30m`: each unit at most once, the larger first.
fn duration(text: &str) -> Option<Duration> {
    let mut seconds = 0_u64;
    let mut rest = text;
    for (unit, factor) in [('h', 3600), ('m', 60), ('s', 1)] {
        if let Some((number, after)) = rest.split_once(unit) {
            if number.is_empty() || !number.chars().all(|char| char.is_ascii_digit()) {
                return None;
            }
            seconds = seconds.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
            rest = after;
        }
    }
    (rest.is_empty() && !text.is_empty()).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("2h", 7200), ("1h30m", 5400), ("1h2m3s", 3723), ("0s", 0)] {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "5",
            "m",
            "5 m",
            "5d",
            "30m1h",
            "1h30",
            "-5m",
            "1.5h",
            "5m5m",
            "99999999999999999999h",
            "9999999999999999999h",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
