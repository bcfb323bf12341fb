//! Values of keys: texts, numbers, durations, limits.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::civil::Date;

use super::Checker;
use super::section::{Field, Section};
use crate::mapping::code::Code;
use crate::mapping::diagnostic::Finding;
use crate::mapping::keys::{self, Kind};
use crate::mapping::secret;
use crate::mapping::yaml::{Content, Node, Style};
use crate::mapping::{Limit, Part};

impl Checker<'_> {
    /// A text as written. Control characters, which a path in double quotes gets by accident, are an error.
    pub(super) fn text<'n>(&mut self, field: &Field<'n>) -> Option<&'n str> {
        let text = self.raw_text(field.node, &field.path)?;
        if text.contains(|char: char| char.is_control() && char != '\n')
            && matches!(field.node.content, Content::Scalar { style: Style::DoubleQuoted, .. })
        {
            let message = format!("`{}` holds a control character: `\\` in double quotes starts an escape", field.path);
            let hint = "use single quotes, in which a backslash is a backslash: `'C:\\data\\file'`";
            self.report(Finding::error(Code::ControlCharacter, &field.node.span, message).hint(hint));
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
                    self.report(
                        Finding::error(Code::CurlyQuotes, &node.span, message)
                            .hint("type straight quotes instead: `'` or `\"`"),
                    );
                    return None;
                }
                Some(text)
            }
            Content::Null => {
                self.report(
                    Finding::error(Code::NoValue, &node.span, format!("`{name}` has no value"))
                        .hint("for a blank write `\"\"`"),
                );
                None
            }
            Content::Sequence(_) | Content::Mapping(_) => {
                let message = format!("`{name}` must be a text, not {}", node.what());
                let hint = "put a text that begins with `{` or `[` in quotes: `\"{{ Year }}\"`";
                self.report(Finding::error(Code::NotAText, &node.span, message).hint(hint));
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
        self.note_references(text, field)?;
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
                    Code::CutByComment,
                    &field.node.span,
                    format!("`{}` ends before the ` #`, which starts a comment", field.path),
                )
                .hint("if the `#` belongs to the value, put the whole in single quotes"),
            );
        }
    }

    fn note_references(&mut self, text: &str, field: &Field<'_>) -> Option<()> {
        let span = &field.node.span;
        match secret::pieces(text) {
            Ok(_) => {
                let part = Part::of(&field.path);
                self.references.extend(secret::references(text).map(|reference| (reference, part, span.clone())));
                Some(())
            }
            Err(fault) => {
                let finding = Finding { hint: fault.hint, ..Finding::error(Code::Reference, span, fault.message) };
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
                let message = format!("`{}` must be `true` or `false`", section.path_of(name));
                self.report(Finding::error(Code::NotASwitch, &span, message));
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
                let message = format!("`{}` must be {}", section.path_of(name), kind.words());
                self.report(
                    Finding::error(Code::Count, &span, message)
                        .hint("write digits only, without points, commas or spaces"),
                );
                None
            }
        }
    }

    pub(super) fn duration(&mut self, section: &Section<'_>, name: &str) -> Option<Duration> {
        let (text, span) = self.text_or_default(section, name)?;
        let kind = section.shape.key(name)?.kind;
        let Kind::Duration(least, most) = kind else { return None };
        let duration = duration(text);
        if let Some(duration) = duration
            && (least..=most).contains(&duration)
        {
            return Some(duration);
        }
        // Hours and days, or seconds and minutes: what fits the key.
        let is_long = most > Duration::from_hours(24);
        let hint = match (duration, is_long) {
            (None, false) if is_digits(text) => format!("name the unit: `{text}s` is seconds, `{text}m` minutes"),
            (None, true) if is_digits(text) => format!("name the unit: `{text}d` is days, `{text}h` hours"),
            (_, false) => "write it like `90s`, `5m`, `2h` or `1h30m`".to_owned(),
            (_, true) => "write it like `36h`, `7d` or `1d12h`".to_owned(),
        };
        let message = format!("`{}` must be {}", section.path_of(name), kind.words());
        self.report(Finding::error(Code::Duration, &span, message).hint(hint));
        None
    }

    /// A size in bytes.
    pub(super) fn size(&mut self, section: &Section<'_>, name: &str) -> Option<u64> {
        let (text, span) = self.text_or_default(section, name)?;
        let kind = section.shape.key(name)?.kind;
        let Kind::Size(least, most) = kind else { return None };
        let size = size(text);
        if let Some(size) = size
            && (least..=most).contains(&size)
        {
            return Some(size);
        }
        let hint = if is_digits(text) {
            format!("name the unit: `{text}MiB`, or `{text}MB`")
        } else {
            "write it like `95MiB` or `30MB`".to_owned()
        };
        let message = format!("`{}` must be {}", section.path_of(name), kind.words());
        self.report(Finding::error(Code::Size, &span, message).hint(hint));
        None
    }

    /// A day, year first. Other orders are not guessed: half of them are wrong for half of the readers.
    pub(super) fn date(&mut self, field: &Field<'_>) -> Option<Date> {
        let text = self.text(field)?;
        let date = text.parse::<Date>().ok().filter(|_| is_like_date(text));
        if date.is_none() {
            let finding = if is_like_date(text) {
                Finding::error(Code::Date, &field.node.span, format!("`{}`: the calendar has no `{text}`", field.path))
                    .hint("write year, month and day: `2026-12-10`")
            } else {
                Finding::error(
                    Code::Date,
                    &field.node.span,
                    format!("`{}` must be a day, written year first", field.path),
                )
                .hint("write it like `2026-12-10`")
            };
            self.report(finding);
        }
        date
    }

    pub(super) fn limit(&mut self, section: &Section<'_>, name: &str) -> Option<Limit> {
        let (text, span) = self.text_or_default(section, name)?;
        let limit = match text.strip_suffix('%') {
            Some(number) => {
                number.trim().parse().ok().filter(|number| (0.0..=100.0).contains(number)).map(Limit::Percent)
            }
            None => text.parse().ok().map(Limit::Count),
        };
        if limit.is_none() {
            let message = format!("`{}` must be a count or per cent from 0 to 100", section.path_of(name));
            self.report(Finding::error(Code::Limit, &span, message).hint("write it like `20` or `5%`"));
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
            let finding = Finding::error(
                Code::UnknownWord,
                &span,
                format!("`{text}` is no value of `{}`", section.path_of(name)),
            );
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
        let path = self.files.folder(field.node.span.start).join(Path::new(text));
        if path.is_file() {
            // The text as written stays until references are replaced, so that `$${` means the same everywhere.
            return Some(text.into());
        }
        self.report(missing_file(&field.node.span, &field.path, &path));
        None
    }
}

pub(in crate::mapping) fn missing_file(span: &Range<usize>, name: &str, path: &Path) -> Finding {
    let what = match std::fs::metadata(path) {
        Ok(file) if file.is_dir() => "is a folder",
        Ok(_) => "is no file",
        Err(_) => "does not exist",
    };
    Finding::error(Code::MissingFile, span, format!("the file of `{name}`, `{}`, {what}", path.display()))
        .hint("a path is relative to the folder of the file in which it stands")
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|char| char.is_ascii_digit())
}

/// Four digits, two and two: what reads dates would take more forms.
fn is_like_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().all(|part| is_digits(part)) && parts.iter().map(|part| part.len()).eq([4, 2, 2])
}

/// `95MiB`, `30 MB`, in any case: in bytes.
fn size(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|char: char| !char.is_ascii_digit())?);
    let bytes = match unit.trim_start().to_ascii_lowercase().as_str() {
        "mib" => 1024 * 1024,
        "mb" => 1_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(bytes)
}

/// `90s`, `5m`, `1h30m`, `7d`: each unit at most once, the larger first.
/// A duration as it is written: `90s`, `5m`, `1h30m`, `7d`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut seconds = 0_u64;
    let mut rest = text;
    for (unit, factor) in [('d', 24 * 3600), ('h', 3600), ('m', 60), ('s', 1)] {
        if let Some((number, after)) = rest.split_once(unit) {
            if !is_digits(number) {
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
        const DAY: u64 = 24 * 3600;
        for (text, seconds) in [
            ("90s", 90),
            ("5m", 300),
            ("2h", 7200),
            ("1h30m", 5400),
            ("1h2m3s", 3723),
            ("0s", 0),
            ("0d", 0),
            ("36h", 36 * 3600),
            ("7d", 7 * DAY),
            ("1d12h", DAY + 12 * 3600),
            ("1d1h1m1s", DAY + 3661),
        ] {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "5",
            "d",
            "m",
            "5 m",
            "5 d",
            "5D",
            "1w",
            "30m1h",
            "12h1d",
            "1h30",
            "-5m",
            "1.5h",
            "5m5m",
            "5d5d",
            "99999999999999999999h",
            "9999999999999999999h",
            "999999999999999d",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("95MiB", 95 * 1024 * 1024), ("30MB", 30_000_000), ("30 mb", 30_000_000), ("1mib", 1024 * 1024)]
        {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "95", "MB", "95M", "1.5MB", "-1MB", "95KB", "1GB", "1MBMB", "99999999999999999999MB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn dates_are_written_in_one_form() {
        for text in ["2026-12-10", "2028-02-29"] {
            assert!(is_like_date(text) && text.parse::<Date>().is_ok(), "{text}");
        }
        for text in
            ["10/12/2026", "2026-1-2", "20261210", "+002026-12-10", "2026-12-10T00:00", " 2026-12-10", "٢٠٢٦-12-10", ""]
        {
            assert!(!is_like_date(text), "{text}");
        }
        for text in ["2026-02-29", "2026-13-01", "2026-00-10"] {
            assert!(is_like_date(text) && text.parse::<Date>().is_err(), "{text}");
        }
    }
}
