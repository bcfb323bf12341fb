//! SQL as words, quoted texts, numbers and signs, each with its place; comments are skipped.
//!
//! The [guard](super::guard) lets no statement pass that does more than read, so in [`Dialect::SQL_SERVER`] this must never
//! skip what the server would run. What [`select`](super::select) makes of the other dialects is advice.

use super::Engine;

/// What differs from engine to engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a habit of its own that an engine has or has not")]
pub(super) struct Dialect {
    /// `[name]`.
    brackets: bool,
    /// `` `name` ``.
    backticks: bool,
    /// `# comment`; `--` begins one only before white space, and `/*! … */` is none.
    hash_comments: bool,
    /// `/* a /* b */ c */`.
    nested_comments: bool,
    /// `'it\'s'`.
    backslashes: bool,
    /// `$tag$ … $tag$`, and `E'it\'s'`.
    dollars: bool,
}

impl Dialect {
    pub(super) const SQL_SERVER: Self = Self {
        brackets: true,
        backticks: false,
        hash_comments: false,
        nested_comments: true,
        backslashes: false,
        dollars: false,
    };

    pub(super) fn of(engine: Engine) -> Self {
        let plain = Self { brackets: false, nested_comments: false, ..Self::SQL_SERVER };
        match engine {
            Engine::SqlServer => Self::SQL_SERVER,
            Engine::Postgres => Self { nested_comments: true, dollars: true, ..plain },
            Engine::MySql => Self { backticks: true, hash_comments: true, backslashes: true, ..plain },
            Engine::Sqlite | Engine::Csv => Self { brackets: true, backticks: true, ..plain },
            // Whose dialect it is nobody knows.
            Engine::Odbc => plain,
        }
    }

    /// Every way in which an engine may read a text, as far as it makes a difference. The most common is the first.
    pub(super) fn every(sql: &str) -> Vec<Self> {
        let either = |differs: bool| if differs { &[false, true][..] } else { &[false][..] };
        let has_hashes = ["#", "--", "/*!", "/*M!"].iter().any(|sign| sql.contains(sign));
        let mut all = Vec::new();
        for &brackets in either(sql.contains('[')) {
            for &backticks in either(sql.contains('`')) {
                for &backslashes in either(sql.contains('\\')) {
                    for &nested_comments in either(sql.contains("/*")) {
                        for &hash_comments in either(has_hashes) {
                            let dollars = false;
                            all.push(Self {
                                brackets,
                                backticks,
                                hash_comments,
                                nested_comments,
                                backslashes,
                                dollars,
                            });
                        }
                    }
                }
            }
        }
        all
    }
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind<'q> {
    /// A name, variable or keyword that is not quoted.
    Word(&'q str),
    /// `'…'`, `[…]`, `"…"` or `` `…` ``, with the sign that opens it; `$` for a text between dollars.
    Quoted(char),
    Number,
    Symbol(char),
}

/// One token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'q> {
    pub(super) kind: Kind<'q>,
    /// Where it starts and ends, in bytes.
    pub(super) start: usize,
    pub(super) end: usize,
    /// Its line, counted from 1.
    pub(super) line: u32,
    /// A number stands before it without a space between.
    pub(super) after_number: bool,
}

impl Token<'_> {
    /// A word with what else it may be: `1EXEC` may be read as `1 EXEC` or as `1e XEC`, and both must be harmless.
    pub(super) fn readings<'w>(&self, word: &'w str) -> impl Iterator<Item = &'w str> {
        let after_number = if self.after_number { word.strip_prefix('E') } else { None }
            .map(|word| word.trim_start_matches(|c: char| c.is_ascii_digit()));
        std::iter::once(word).chain(after_number)
    }
}

/// What is no SQL in any engine.
#[derive(Debug)]
pub(super) struct LexError {
    pub(super) line: u32,
    pub(super) message: String,
    /// Whether a quote or comment has no end: a server that reads the text so refuses it, too.
    pub(super) is_open: bool,
}

/// Takes a text apart.
pub(super) fn tokens(sql: &str, dialect: Dialect) -> Result<Vec<Token<'_>>, LexError> {
    let bytes = sql.as_bytes();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    let error = |line, message: String| LexError { line, message, is_open: false };
    let open = |line, message: String| LexError { line, message, is_open: true };
    while let Some(c) = sql[at..].chars().next() {
        let start = at;
        let rest = &sql[at..];
        let mut token = None;
        if c == '\0' {
            return Err(error(line, "it holds a NUL character".to_owned()));
        } else if is_line_comment(rest, dialect) {
            at += rest.find('\n').unwrap_or(rest.len());
            // Where the server ends the comment at such a character and we do not, it would run what we skipped.
            if sql[start..at].trim_end_matches('\r').contains(['\r', '\x0b', '\x0c', '\u{85}', '\u{2028}', '\u{2029}'])
            {
                return Err(error(line, "a comment holds an unusual line break; write line feeds".to_owned()));
            }
        } else if rest.starts_with("/*") && !is_hidden_statement(rest, dialect) {
            let length = if dialect.nested_comments { block_comment(rest) } else { flat_comment(rest) };
            at += length.ok_or_else(|| open(line, "a comment `/*` has no end".to_owned()))?;
        } else if let Some(length) = dialect.dollars.then(|| dollar_quoted(rest)).flatten() {
            at += length;
            token = Some(Kind::Quoted('$'));
        } else if let Some(close) = closing(c, dialect) {
            let is_escaped = matches!(c, '\'' | '"') && (dialect.backslashes || dialect.dollars && is_after_e(sql, at));
            let length = if is_escaped { escaped(rest, close) } else { quoted(rest, close) };
            at += length.ok_or_else(|| open(line, format!("`{c}` opens a quote that has no end")))?;
            token = Some(Kind::Quoted(c));
        } else if c.is_ascii_digit() || (c == '.' && bytes.get(at + 1).is_some_and(u8::is_ascii_digit)) {
            at += number(rest);
            token = Some(Kind::Number);
        } else if is_word_start(c) {
            let is_part =
                |c: char| (is_word_start(c) && !(dialect.hash_comments && c == '#')) || c.is_numeric() || c == '$';
            at += rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
            token = Some(Kind::Word(&sql[start..at]));
        } else {
            at += c.len_utf8();
            if !c.is_whitespace() {
                token = Some(Kind::Symbol(c));
            }
        }
        if let Some(kind) = token {
            let after_number = tokens.last().is_some_and(|before: &Token<'_>| {
                before.kind == Kind::Number && start > 0 && !bytes[start - 1].is_ascii_whitespace()
            });
            tokens.push(Token { kind, start, end: at, line, after_number });
        }
        line += u32::try_from(memchr::memchr_iter(b'\n', &bytes[start..at]).count()).unwrap_or(u32::MAX);
    }
    Ok(tokens)
}

/// Upper case in a way that also catches letters that only become ASCII by it (`ſ`, `K`).
pub(super) fn upper(word: &str) -> String {
    word.to_lowercase().to_uppercase()
}

fn is_line_comment(rest: &str, dialect: Dialect) -> bool {
    if dialect.hash_comments {
        let after = rest.strip_prefix("--").map(|after| after.chars().next());
        return rest.starts_with('#')
            || matches!(after, Some(next) if next.is_none_or(|c| c.is_whitespace() || c.is_control()));
    }
    rest.starts_with("--")
}

/// What MySQL and MariaDB run although it looks like a comment.
fn is_hidden_statement(rest: &str, dialect: Dialect) -> bool {
    dialect.hash_comments && (rest.starts_with("/*!") || rest.starts_with("/*M!"))
}

fn closing(open: char, dialect: Dialect) -> Option<char> {
    match open {
        '\'' | '"' => Some(open),
        '[' if dialect.brackets => Some(']'),
        '`' if dialect.backticks => Some('`'),
        _ => None,
    }
}

/// Whether the `E` of `E'…'` stands right before, and is no end of a longer word.
fn is_after_e(sql: &str, at: usize) -> bool {
    let mut before = sql[..at].chars().rev();
    matches!(before.next(), Some('e' | 'E')) && !before.next().is_some_and(|c| is_word_start(c) || c.is_numeric())
}

fn is_word_start(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '_' | '@' | '#')
}

/// The length of a comment; they nest.
fn block_comment(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let (mut depth, mut at) = (0_u32, 0);
    loop {
        match bytes.get(at..at + 2)? {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" if depth == 1 => return Some(at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
}

/// The length of a comment that ends at the first `*/`.
fn flat_comment(rest: &str) -> Option<usize> {
    rest.get(2..)?.find("*/").map(|at| at + 4)
}

/// The length of a quoted text; the closing quote is doubled inside.
fn quoted(rest: &str, close: char) -> Option<usize> {
    let bytes = rest.as_bytes();
    let close = u8::try_from(close).ok()?;
    let mut at = 1;
    loop {
        at += memchr::memchr(close, bytes.get(at..)?)? + 1;
        if bytes.get(at) != Some(&close) {
            return Some(at);
        }
        at += 1;
    }
}

/// Likewise, where a backslash takes its meaning from the character after it.
fn escaped(rest: &str, close: char) -> Option<usize> {
    let close = u8::try_from(close).ok()?;
    let bytes = rest.as_bytes();
    let mut at = 1;
    loop {
        match *bytes.get(at)? {
            b'\\' => at += 2,
            byte if byte == close && bytes.get(at + 1) == Some(&close) => at += 2,
            byte if byte == close => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// The length of `$tag$ … $tag$`; a `$1` is none.
fn dollar_quoted(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('$')?;
    let tag = &inner[..inner.find('$')?];
    if tag.starts_with(|c: char| c.is_ascii_digit()) || tag.contains(|c: char| !(c.is_alphanumeric() || c == '_')) {
        return None;
    }
    let open = tag.len() + 2;
    rest[open..].find(&rest[..open]).map(|at| open + at + open)
}

/// The length of a number, without an exponent: what looks like one becomes a word, and the guard reads it both ways.
fn number(rest: &str) -> usize {
    let hexadecimal = rest.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("0x"));
    let digits = |from: usize, is_digit: fn(char) -> bool| {
        rest[from..].find(|c: char| !is_digit(c)).map_or(rest.len(), |length| from + length)
    };
    if hexadecimal { digits(2, |c| c.is_ascii_hexdigit()) } else { digits(0, |c| c.is_ascii_digit() || c == '.') }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The tokens, with a space between two.
    fn shown(engine: Engine, sql: &str) -> String {
        let tokens = tokens(sql, Dialect::of(engine)).unwrap();
        tokens.iter().map(|token| &sql[token.start..token.end]).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_engine_has_its_comments_and_quotes() {
        use Engine::{MySql, Postgres, SqlServer, Sqlite};
        for (engine, sql, expected) in [
            (SqlServer, "a[b]]c]`d", "a [b]]c] ` d"),
            (SqlServer, "a /* b /* c */ d */ e", "a e"),
            (Sqlite, "a /* b /* c */ d [e] `f`", "a d [e] `f`"),
            (Sqlite, "'a\\' b", "'a\\' b"),
            (MySql, "a # b\nc --d\ne -- f", "a c - - d e"),
            (MySql, "'a\\'b' \"c\\\"d\" `e`", "'a\\'b' \"c\\\"d\" `e`"),
            (Postgres, "a $b$ ' $c$ $b$ $1 $$d'$$", "a $b$ ' $c$ $b$ $ 1 $$d'$$"),
            (Postgres, "E'a\\'b' te'c\\' x[1]", "E 'a\\'b' te 'c\\' x [ 1 ]"),
        ] {
            assert_eq!(shown(engine, sql), expected, "{engine:?}: {sql}");
        }
    }

    #[test]
    fn what_has_no_end_is_an_error() {
        for (engine, sql) in [
            (Engine::Sqlite, "a\n/* b"),
            (Engine::Sqlite, "a\n'b"),
            (Engine::MySql, "a\n'b\\'"),
            (Engine::Postgres, "a\nE'b\\"),
            (Engine::Sqlite, "a\n/*/"),
        ] {
            assert_eq!(tokens(sql, Dialect::of(engine)).unwrap_err().line, 2, "{sql}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_apart_without_a_panic(sql in "(\\PC|\\$|'|E'|\\\\|--|/\\*|\\*/|\n|#){0,20}") {
            for engine in [Engine::SqlServer, Engine::Postgres, Engine::MySql, Engine::Sqlite] {
                for token in tokens(&sql, Dialect::of(engine)).unwrap_or_default() {
                    prop_assert!(!sql[token.start..token.end].is_empty());
                }
            }
        }
    }
}
