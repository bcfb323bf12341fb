//! What the YAML parser says, in words for a person who has never written YAML.

use granit_parser::{ErrorKind, ScanError};

use super::code::Code;
use super::diagnostic::Finding;

/// The parser's error at its place. Most advice comes from the line itself: the parser only knows where it gave up.
pub(super) fn finding(error: &ScanError, text: &str) -> Finding {
    let at = offset(error, text);
    let span = at..at + text[at..].chars().next().filter(|char| *char != '\n').map_or(0, char::len_utf8);
    let line = line_around(text, at);
    let (message, hint) = words(error.kind());
    let finding = Finding::error(Code::YamlSyntax, &span, message);
    match advice(error.kind(), line, &text[..at]).or(hint) {
        Some(hint) => finding.hint(hint),
        None => finding,
    }
}

fn offset(error: &ScanError, text: &str) -> usize {
    let marker = error.marker();
    let line: usize = text.split_inclusive('\n').take(marker.line().saturating_sub(1)).map(str::len).sum();
    let column = text[line..].char_indices().nth(marker.col()).map_or(text.len(), |(at, _)| line + at);
    let end = line + text[line..].find('\n').unwrap_or(text.len() - line);
    column.min(end)
}

fn line_around(text: &str, at: usize) -> &str {
    let start = text[..at].rfind('\n').map_or(0, |at| at + 1);
    text[start..].lines().next().unwrap_or_default()
}

/// What the kind of error means, and what usually mends it.
fn words(kind: &ErrorKind) -> (String, Option<&'static str>) {
    use ErrorKind as Kind;
    let (message, hint) = match kind {
        Kind::TabInBlockIndentation
        | Kind::TabInIndentation
        | Kind::TabNotAllowed
        | Kind::TabInPlainScalar
        | Kind::TabAtBlockScalarStart => ("a tab stands where YAML wants spaces", Some(TABS)),
        Kind::MappingValueNotAllowed | Kind::InvalidColonPlacement => {
            ("a `:` stands where no key can be", Some("put a value that holds `: ` in single quotes: `'a: b'`"))
        }
        Kind::ExpectedBlockMappingKey
        | Kind::InvalidIndentation
        | Kind::MappingKeyNotAllowed
        | Kind::InvalidBlockScalarIndent
        | Kind::InvalidQuotedScalarIndent
        | Kind::InvalidFlowScalarIndent => ("the indentation does not fit what stands above", Some(INDENTATION)),
        Kind::SimpleKeyExpected | Kind::InvalidSimpleKey => (
            "a `:` is missing here, or the line is indented wrongly",
            Some("write `key: value`, with a space after the colon"),
        ),
        Kind::ExpectedBlockSequenceEntry
        | Kind::BlockSequenceEntryNotAllowed
        | Kind::InvalidBlockEntryWhitespace
        | Kind::BlockEntryInFlowCollection => {
            ("a list item (`- `) does not fit here", Some("indent every item of a list alike, with a space after `-`"))
        }
        Kind::UnknownQuotedScalarEscape | Kind::InvalidQuotedScalarHexEscape => (
            "a backslash in double quotes starts an escape, and this is none",
            Some("use single quotes, in which a backslash is a backslash: `'C:\\data\\file'`"),
        ),
        Kind::UnclosedQuotedScalar | Kind::DocumentIndicatorInQuotedScalar => {
            ("a quote is opened and never closed", Some(QUOTE))
        }
        Kind::InvalidTrailingSingleQuotedScalar => (
            "something follows the closing quote",
            Some("a single quote inside single quotes is written twice: `'O''Brien'`"),
        ),
        Kind::InvalidTrailingDoubleQuotedScalar => (
            "something follows the closing quote",
            Some("a double quote inside double quotes is written `\\\"`, or use single quotes around the whole"),
        ),
        Kind::UnknownAnchor | Kind::MissingAnchorOrAliasName => (
            "a value that begins with `*` or `&` needs quotes",
            Some("put it in single quotes; for any other value of a lookup write `'*': …`"),
        ),
        Kind::MisplacedFlowCollectionEnd | Kind::MismatchedFlowCollectionEnd { .. } => {
            ("a bracket closes what was not opened", Some(BRACKET))
        }
        Kind::UnclosedFlowCollection { .. }
        | Kind::UnexpectedEofFlowSequence
        | Kind::UnexpectedEofFlowMapping
        | Kind::UnexpectedEofImplicitFlowMapping => ("a bracket is opened and never closed", Some(BRACKET)),
        Kind::ExpectedFlowMappingSeparator | Kind::ExpectedFlowSequenceSeparator => {
            ("a `,` or a closing bracket is missing here or above", Some(BRACKET))
        }
        Kind::UnexpectedCharacter { .. } => {
            ("a value cannot begin with this character", Some("put the value in single quotes"))
        }
        Kind::DirectiveDisallowed | Kind::MissingDirectiveName => {
            ("a line cannot begin with `%`", Some("indent it under its key, or put the value in single quotes"))
        }
        Kind::RecursionLimitExceeded => ("nested too deeply", None),
        Kind::CommentNotSeparated | Kind::CommentInterceptedScalar => (
            "a `#` starts a comment here, in the middle of a value",
            Some("put a value that holds `#` in single quotes"),
        ),
        Kind::BomInsideDocument => {
            ("an invisible byte order mark stands here", Some("delete the line and type it again"))
        }
        other => return (plain_words(other), None),
    };
    (message.to_owned(), hint)
}

const TABS: &str = "replace every tab by spaces; most editors have a setting for it";
const INDENTATION: &str = "keys of one group start in the same column; indent what belongs to a key by two spaces";
const QUOTE: &str = "close the quote; a single quote inside single quotes is written twice: `'O''Brien'`";
const BRACKET: &str = "every `{` needs its `}` and every `[` its `]`; a value that holds one needs quotes";

/// The parser's own name of the error as words: `ExpectedNodeContent` is `expected node content`.
fn plain_words(kind: &ErrorKind) -> String {
    let name = format!("{kind:?}");
    let name = name.split([' ', '(', '{']).next().unwrap_or_default();
    let mut words = String::from("not valid YAML:");
    for char in name.chars() {
        if char.is_uppercase() {
            words.push(' ');
        }
        words.extend(char.to_lowercase());
    }
    words
}

/// Advice that the line gives away, or the one above it: the parser often notices a line too late.
fn advice(kind: &ErrorKind, line: &str, before: &str) -> Option<&'static str> {
    let indentation = &line[..line.len() - line.trim_start().len()];
    if indentation.contains('\t') {
        return Some(TABS);
    }
    let line_start = before.rfind('\n').unwrap_or(0);
    let above = before[..line_start].trim_end().lines().last().unwrap_or_default();
    let either = |test: &dyn Fn(&str) -> bool| test(line) || test(above);
    if either(&|line| line.contains('\u{a0}')) {
        return Some(
            "here or in the line above stands a no-break space, as pasted from a web page or Word: type the spaces again",
        );
    }
    if either(&|line| line.contains(['“', '”', '‘', '’'])) {
        return Some(
            "here or in the line above stand curly quotes, as Word makes them: type straight quotes (`'` or `\"`) instead",
        );
    }
    if matches!(kind, ErrorKind::UnclosedQuotedScalar | ErrorKind::DocumentIndicatorInQuotedScalar) {
        return None;
    }
    if line.contains("{{") && !line.contains("\"{{") && !line.contains("'{{") {
        return Some("put a template in quotes: `template: \"{{ Year + 12 }}\"`");
    }
    let is_flow = line.find(['{', '[']).is_some_and(|open| line.find("${") != Some(open.saturating_sub(1)));
    if is_flow && line.contains("${") && !line.contains("\"${") && !line.contains("'${") {
        return Some("inside `{ }` a reference needs quotes: `\"${NAME}\"`");
    }
    if matches!(
        kind,
        ErrorKind::SimpleKeyExpected | ErrorKind::ExpectedBlockMappingKey | ErrorKind::MappingValueNotAllowed
    ) {
        if either(&|line| is_dash_without_space(line.trim())) {
            return Some("write a space after the dash, here or in the line above: `- name: students`");
        }
        if either(&|line| has_colon_without_space(line.trim())) {
            return Some("write a space after the colon, here or in the line above: `key: value`");
        }
        if line.trim_start().trim_start_matches("- ").starts_with("query:") {
            return Some("write the SQL into the lines below `query: |`, indented: there nothing needs quotes");
        }
    }
    None
}

fn is_dash_without_space(line: &str) -> bool {
    line.strip_prefix('-').is_some_and(|rest| rest.starts_with(|next: char| next.is_alphabetic()))
}

fn has_colon_without_space(line: &str) -> bool {
    let key = line.chars().take_while(|char| char.is_ascii_alphanumeric() || *char == '_').count();
    key > 0 && line[key..].starts_with(':') && line[key + 1..].starts_with(|next: char| !next.is_whitespace())
}
