//! What is wrong with a mapping, where, and what to do about it.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::code::Code;
use super::include::{Document, Files};
use super::mask;
use crate::error::Hint;

/// Why a mapping cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// The file or folder cannot be read.
    #[error("could not read `{}`: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The folder holds no mapping.
    #[error("folder `{}` holds no mapping", path.display())]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
        /// Whether there are files that begin with `_` or `.`.
        has_others: bool,
    },
    /// The file was read and is not right. All problems that were found, in the order of the file.
    #[error("mapping `{}` is not valid: {}", path.display(), Count(errors(problems)))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong. At least one is an error; warnings are among them.
        problems: Vec<Problem>,
    },
}

impl MappingError {
    /// What to edit or run, where one thing is to be said about the whole. Each [`Problem`] has its own.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Read { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound => {
                    Some("check the path; a mapping is a `.yaml` file or a folder of them".into())
                }
                std::io::ErrorKind::PermissionDenied => Some("let the account that runs sispush read it".into()),
                _ => None,
            },
            Self::EmptyFolder { has_others: true, .. } => Some(
                "a file that begins with `_` or `.` is no mapping of its own, but a base that mappings include".into(),
            ),
            Self::EmptyFolder { .. } => Some("mappings are files that end in `.yaml` or `.yml`".into()),
            Self::Invalid { .. } => None,
        }
    }

    /// The first problem with a secret that was looked up.
    pub fn secret(&self) -> Option<&Problem> {
        self.problems().iter().find(|problem| problem.code == Code::Secret)
    }

    /// The problems with their places. None when the file could not be read at all.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Read { .. } | Self::EmptyFolder { .. } => &[],
            Self::Invalid { problems, .. } => problems,
        }
    }

    /// Every problem as a compiler would show it, a blank line between two; ends without a line break.
    pub fn render(&self, colour: bool) -> String {
        if let Self::Invalid { problems, .. } = self {
            return problems.iter().map(|problem| problem.render(colour)).collect::<Vec<_>>().join("\n\n");
        }
        let title = self.to_string();
        let mut group = Group::with_title(Level::ERROR.primary_title(&title));
        let hint = self.hint();
        if let Some(hint) = &hint {
            group = group.element(Level::HELP.message(hint.as_ref()));
        }
        renderer(colour).render(&[group])
    }
}

fn errors(problems: &[Problem]) -> usize {
    problems.iter().filter(|problem| problem.severity == Severity::Error).count()
}

/// `1 problem`, `2 problems`.
struct Count(usize);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} problem{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The mapping cannot be used.
    Error,
    /// The mapping can be used, but looks wrong.
    Warning,
}

/// One thing that is wrong with a mapping, at its place.
///
/// As JSON: an object with `code`, `severity` (`error` or `warning`), `file`, `line`, `column`, `message` and `hint` (text
/// or null). Line and column count from 1; columns are characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which rule it breaks.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong. Never holds a password.
    pub message: String,
    /// What to write instead.
    pub hint: Option<Hint>,
    place: Place,
}

impl Problem {
    /// The file.
    pub fn file(&self) -> &Path {
        &self.place.path
    }

    /// Whether that is the base, and not the mapping itself.
    pub fn is_in_base(&self) -> bool {
        self.place.is_base
    }

    /// The line in the file, counted from 1.
    pub fn line(&self) -> usize {
        self.place.line
    }

    /// The column in characters, counted from 1.
    pub fn column(&self) -> usize {
        self.place.column
    }

    /// The column after what it points at, in the same line; equal to [`column`](Self::column) when that is nothing.
    pub fn end_column(&self) -> usize {
        self.place.end_column
    }

    /// The problem as a compiler would show it: message, `file:line:column`, the line with a caret, the hint. Passwords
    /// in the line are masked. Ends without a line break.
    pub fn render(&self, colour: bool) -> String {
        let path = self.place.path.display().to_string();
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = level.primary_title(&self.message).element(
            Snippet::source(&self.place.excerpt)
                .line_start(self.place.line)
                .path(path)
                .annotation(AnnotationKind::Primary.span(self.place.highlight.clone())),
        );
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(hint.as_ref()));
        }
        renderer(colour).render(&[group])
    }

    pub(super) fn new(place: Place, code: Code, severity: Severity, message: String, hint: Option<Hint>) -> Self {
        Self { code, severity, message, hint, place }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.place.path.display(), self.place.line, self.place.column, self.message)
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Problem", 7)?;
        object.serialize_field("code", &self.code)?;
        object.serialize_field("severity", &self.severity)?;
        object.serialize_field("file", &self.place.path.to_string_lossy())?;
        object.serialize_field("line", &self.place.line)?;
        object.serialize_field("column", &self.place.column)?;
        object.serialize_field("message", &self.message)?;
        object.serialize_field("hint", &self.hint)?;
        object.end()
    }
}

fn renderer(colour: bool) -> Renderer {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    renderer.decor_style(DecorStyle::Ascii)
}

/// A problem whose place is still a range of bytes.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) code: Code,
    pub(super) severity: Severity,
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) hint: Option<Hint>,
    /// Where in these sources it was made.
    #[cfg(test)]
    pub(super) site: &'static std::panic::Location<'static>,
}

impl Finding {
    #[cfg_attr(test, track_caller)]
    pub(super) fn error(code: Code, span: &Range<usize>, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            span: span.clone(),
            message: message.into(),
            hint: None,
            #[cfg(test)]
            site: std::panic::Location::caller(),
        }
    }

    #[cfg_attr(test, track_caller)]
    pub(super) fn warning(code: Code, span: &Range<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, span, message) }
    }

    pub(super) fn hint(mut self, hint: impl Into<Hint>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A place in a file with its line, fit to be shown: whatever may be a password is masked already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    path: Arc<Path>,
    is_base: bool,
    line: usize,
    column: usize,
    end_column: usize,
    excerpt: String,
    /// What the caret points at, in bytes of the excerpt.
    highlight: Range<usize>,
}

/// A mapping's text and its base's, from which places are made.
pub(super) struct SourceText<'t> {
    files: &'t Files,
    text: &'t str,
    line_starts: Vec<usize>,
    masks: &'t [Range<usize>],
}

impl<'t> SourceText<'t> {
    pub(super) fn new(document: &'t Document<'_>) -> Self {
        let text: &str = &document.text;
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { files: &document.files, text, line_starts, masks: &document.masks }
    }

    pub(super) fn problems(&self, mut findings: Vec<Finding>) -> Vec<Problem> {
        findings.sort_by_key(|finding| finding.span.start);
        findings
            .into_iter()
            .map(|finding| {
                Problem::new(self.place(&finding.span), finding.code, finding.severity, finding.message, finding.hint)
            })
            .collect()
    }

    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        let start = self.text.floor_char_boundary(span.start);
        let line = self.line_starts.partition_point(|line_start| *line_start <= start);
        let line_start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let rest = &self.text[line_start..];
        let line_end = line_start + rest.find('\n').unwrap_or(rest.len());
        let end = self.text.ceil_char_boundary(span.end.clamp(start, line_end.max(start)));
        let column = self.text[line_start..start].chars().count() + 1;
        let end_column = column + self.text[start..end].chars().count();

        let mut excerpt = String::new();
        let mut highlight = None::<usize>..None::<usize>;
        let mut at = line_start;
        let masks = self.masks.iter().filter(|mask| mask.start < line_end && mask.end > line_start);
        let mut shown = |excerpt: &mut String, from: usize, to: usize, masked: bool| {
            if highlight.start.is_none() && start < to {
                highlight.start = Some(excerpt.len() + if masked { 0 } else { start.saturating_sub(from) });
            }
            if highlight.end.is_none() && end <= to {
                highlight.end = Some(excerpt.len() + if masked { mask::MASK.len() } else { end.saturating_sub(from) });
            }
            excerpt.push_str(if masked { mask::MASK } else { &self.text[from..to] });
        };
        for mask in masks {
            let (from, to) = (mask.start.max(line_start), mask.end.min(line_end));
            shown(&mut excerpt, at, from, false);
            shown(&mut excerpt, from, to, true);
            at = to;
        }
        shown(&mut excerpt, at, line_end, false);
        let first = highlight.start.unwrap_or(excerpt.len());
        let last = highlight.end.unwrap_or(excerpt.len()).max(first);
        let (path, file_start) = self.files.at(start);
        let before = self.line_starts.partition_point(|line_start| *line_start < file_start);
        Place {
            path: Arc::clone(path),
            is_base: self.files.is_base(start),
            line: line - before,
            column,
            end_column,
            excerpt,
            highlight: first..last,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;
    use crate::mapping::{check, find, text};

    /// Every place in these sources that reports something is reached by a fixture, so that somebody has read its message in
    /// the snapshots of `tests/mapping.rs`.
    #[test]
    fn every_report_has_a_fixture() {
        // Not to be had by a fixture: a file whose rights are taken away, and one of another encoding, which is told before
        // the check begins.
        // What is said of ODBC differs with the features of the build.
        let elsewhere = [
            ("check/extract.rs", "Code::UnreadableFile"),
            ("load.rs", "Code::Encoding"),
            ("mapping/include.rs", "Code::UnreadableFile"),
            ("mapping/check.rs", "Code::EngineOfBuild"),
            ("mapping/check.rs", "Code::IdleKey"),
        ];
        let mut reached = BTreeSet::new();
        for kind in ["invalid", "warnings"] {
            for path in find(&[Path::new("tests/fixtures/mappings").join(kind)]).unwrap() {
                let Ok(text) = text::read(&path) else { continue };
                let document = Document::read(&path, &text);
                let more = document.tree.as_ref().map(|tree| check::check(tree, &document).1);
                let findings = document.findings.into_iter().chain(more.unwrap_or_default());
                let site = |finding: Finding| (finding.site.file().replace('\\', "/"), finding.site.line());
                reached.extend(findings.into_iter().map(site));
            }
        }
        let mut missing = Vec::new();
        let mut count = 0;
        for folder in ["src/mapping", "src/mapping/check"] {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_none_or(|end| end != "rs") || path.ends_with("diagnostic.rs") {
                    continue;
                }
                let name = path.to_string_lossy().replace('\\', "/");
                let source = fs::read_to_string(&path).unwrap();
                let code = source.split("#[cfg(test)]\nmod tests").next().unwrap();
                let lines: Vec<&str> = code.lines().collect();
                for (index, line) in lines.iter().enumerate() {
                    if !["Finding::error(", "Finding::warning("].iter().any(|call| line.contains(call)) {
                        continue;
                    }
                    count += 1;
                    let call = format!("{line}{}", lines.get(index + 1).copied().unwrap_or_default());
                    let is_elsewhere = elsewhere.iter().any(|(file, code)| name.ends_with(file) && call.contains(code));
                    if !is_elsewhere && !reached.contains(&(name.clone(), u32::try_from(index + 1).unwrap())) {
                        missing.push(format!("{name}:{}: {}", index + 1, line.trim()));
                    }
                }
            }
        }
        assert!(count > 100, "only {count} reports were found");
        assert!(missing.is_empty(), "no fixture reaches\n{}", missing.join("\n"));
    }

    fn place(text: &str, span: Range<usize>) -> Place {
        let finding = Finding::error(Code::YamlSyntax, &span, "");
        SourceText::new(&Document::refused(Path::new("a.yaml"), text, finding)).place(&span)
    }

    #[test]
    fn a_place_counts_characters_from_one() {
        let text = "näme: x\nsource: ü y\n";
        let at = text.find('y').unwrap();
        let place = place(text, at..at + 1);
        assert_eq!((place.line, place.column), (2, 11));
        assert_eq!(&place.excerpt[place.highlight], "y");
    }

    #[test]
    fn a_place_at_the_end_of_the_text_is_on_its_last_line() {
        let place = place("a: 1\nb", 6..6);
        assert_eq!((place.line, place.column, place.excerpt.as_str()), (2, 2, "b"));
    }

    #[test]
    fn a_span_over_lines_shows_its_first() {
        let place = place("a: b\n  c\n", 3..8);
        assert_eq!((place.excerpt.as_str(), &place.highlight), ("a: b", &(3..4)));
    }

    #[test]
    fn the_caret_moves_with_the_mask() {
        let text = "target: { password: hunter2, usename: x }";
        let at = text.find("hunter2").unwrap();
        let place = place(text, at..at + 7);
        assert_eq!(place.excerpt, format!("target: {{ password: {}", mask::MASK));
        assert_eq!(&place.excerpt[place.highlight], mask::MASK);
    }
}
