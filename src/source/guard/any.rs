//! Refuses SQL that does more than read, for an engine of which nothing is known: what comes through ODBC.
//!
//! One statement, which begins as a query does, without the words that write. Engines differ in what is a text, a quoted
//! name and a comment to them, and what is a text to one may be a statement to another: so the SQL is read in every such
//! way, and each must be harmless.

use super::{Dialect, Kind, SourceError, Token, WRITES, refused, tokens, upper};

/// Checks the text of one extract.
///
/// # Errors
/// [`SourceError::NotARead`] with the line, counted from 1.
pub(in crate::source) fn check(sql: &str) -> Result<(), SourceError> {
    let mut open = None;
    let mut is_read = false;
    for dialect in Dialect::every(sql) {
        match tokens(sql, dialect) {
            Ok(tokens) => {
                check_tokens(sql, &tokens)?;
                is_read = true;
            }
            Err(error) if error.is_open => {
                open.get_or_insert(refused(error.line, error.message));
            }
            Err(error) => return Err(refused(error.line, error.message)),
        }
    }
    match open {
        Some(error) if !is_read => Err(error),
        _ => Ok(()),
    }
}

/// What a query begins with.
const OPENINGS: [&str; 3] = ["SELECT", "WITH", "VALUES"];
/// Words that no query holds, beside those of T-SQL. (`FOR UPDATE` locks rows.)
const MORE_WRITES: [&str; 6] = ["INTO", "MERGE", "NEXTVAL", "SAVEPOINT", "UPSERT", "VACUUM"];

fn check_tokens(sql: &str, tokens: &[Token<'_>]) -> Result<(), SourceError> {
    let Some(first) = tokens.iter().find(|token| token.kind != Kind::Symbol('(')) else { return Ok(()) };
    if !matches!(first.kind, Kind::Word(written) if OPENINGS.contains(&&*upper(written))) {
        return Err(refused(first.line, "it does not begin with SELECT or WITH".to_owned()));
    }
    for (index, token) in tokens.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| tokens[before].kind);
        let next = tokens.get(index + 1);
        let message = match token.kind {
            Kind::Symbol(';') if tokens[index..].iter().any(|token| token.kind != Kind::Symbol(';')) => {
                Some("it holds more than one statement".to_owned())
            }
            Kind::Symbol('$') => Some("it holds a `$`, which quotes a text in some engines; write `'…'`".to_owned()),
            // A name after a dot begins no statement; but `sequence.NEXTVAL` counts.
            Kind::Word(written) if before == Some(Kind::Symbol('.')) && upper(written) != "NEXTVAL" => None,
            // As little does one alone in brackets or backticks, be it a name or the place in an array.
            Kind::Word(_) if is_enclosed(before, next.map(|next| next.kind)) => None,
            Kind::Word(written) => {
                let word = upper(written);
                // Oracle's `q'[…]'` ends elsewhere than a text does.
                let is_quote = matches!(&*word, "Q" | "NQ")
                    && next.is_some_and(|next| {
                        matches!(next.kind, Kind::Quoted(_)) && next.start == token.start + written.len()
                    });
                if is_quote && sql[token.start + written.len()..].starts_with('\'') {
                    Some(format!("it holds `{written}'…'`; write `'…'`, with the quotes inside doubled"))
                } else {
                    token.readings(&word).find_map(|word| refusal(tokens, index, word))
                }
            }
            Kind::Quoted(_) | Kind::Number | Kind::Symbol(_) => None,
        };
        if let Some(message) = message {
            return Err(refused(token.line, message));
        }
    }
    Ok(())
}

fn is_enclosed(before: Option<Kind<'_>>, next: Option<Kind<'_>>) -> bool {
    matches!(
        (before, next),
        (Some(Kind::Symbol('[')), Some(Kind::Symbol(']'))) | (Some(Kind::Symbol('`')), Some(Kind::Symbol('`')))
    )
}

/// Why the word at `index` makes the text more than a read, if it does.
fn refusal(tokens: &[Token<'_>], index: usize, word: &str) -> Option<String> {
    let next = tokens.get(index + 1).map(|token| token.kind);
    let is_one_of = |kind: Option<Kind<'_>>, words: &[&str]| matches!(kind, Some(Kind::Word(written)) if words.contains(&&*upper(written)));
    let next_is = |words: &[&str]| is_one_of(next, words);
    let before = index.checked_sub(1).map(|before| tokens[before].kind);
    match word {
        // Functions of numbers and texts.
        "TRUNCATE" | "INSERT" if next == Some(Kind::Symbol('(')) => None,
        "INTO" => Some("it holds `INTO`, which makes a table; write `WITH name AS (SELECT …)` instead".to_owned()),
        "NEXT" if next_is(&["VALUE"]) => Some("it holds `NEXT VALUE`, which changes a sequence for good".to_owned()),
        "WITH" if next_is(&["FUNCTION", "PROCEDURE"]) => Some("it defines a function of its own".to_owned()),
        // SQL Server needs no `;` between statements. (`CHARACTER SET utf8`; `USE INDEX`, `USE HINT`.)
        "SET" if !is_one_of(before, &["CHARACTER"]) => Some("it holds `SET`".to_owned()),
        "USE" if !next_is(&["INDEX", "KEY", "HINT", "PLAN"]) => Some("it holds `USE`".to_owned()),
        "CALL" if tokens[index.saturating_sub(3)..index].iter().any(|token| token.kind == Kind::Symbol('{')) => {
            Some("it holds `{call …}`, which calls a procedure".to_owned())
        }
        _ if WRITES.contains(&word) || MORE_WRITES.contains(&word) => Some(format!("it holds `{word}`")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::check;
    use crate::source::SourceError;

    fn refused(sql: &str) -> Option<(u32, String)> {
        match check(sql) {
            Ok(()) => None,
            Err(SourceError::NotARead { line, message }) => Some((line.unwrap(), message)),
            Err(other) => panic!("{sql}: {other}"),
        }
    }

    #[test]
    fn reads_pass() {
        for sql in [
            "SELECT 1",
            "  -- a comment\n  select a, b from t;",
            "WITH x AS (SELECT 1 AS a FROM dual) SELECT * FROM x",
            "(SELECT 1) UNION (SELECT 2)",
            "VALUES (1), (2)",
            "SELECT s.load, t.\"UPDATE\", `delete`, [drop] FROM s, t",
            "SELECT 'DELETE FROM x' AS a, 'it''s; DROP TABLE y' AS b FROM dual",
            "SELECT 'C:\\temp\\' AS folder, 'a\\' AS b FROM t",
            "SELECT last_update, deleted, v$session.x, a#b FROM sys.v$session",
            "SELECT TRUNCATE(a, 2), INSERT(b, 1, 2, 'x'), REPLACE(c, 'a', 'b') FROM t FETCH FIRST 5 ROWS ONLY",
            "SELECT {fn TRUNCATE(a, 2)}, {ts '2026-01-01 00:00:00'} FROM {oj a LEFT OUTER JOIN b ON a.x = b.x}",
            "SELECT /*+ FULL(s) */ a FROM students s",
            "SELECT CAST(a AS char CHARACTER SET utf8mb4) FROM t USE INDEX (i)",
            "SELECT a[1], b FROM t WHERE c = '[' OR c = ']'",
            "",
        ] {
            assert_eq!(refused(sql), None, "{sql}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for (sql, line) in [
            ("INSERT INTO t VALUES (1)", 1),
            ("UPDATE t SET a = 1", 1),
            ("SELECT 1\nDELETE FROM t", 2),
            ("SELECT 1; SELECT 2", 1),
            ("SELECT * INTO x FROM t", 1),
            ("SELECT a FROM t FOR UPDATE", 1),
            ("SELECT a FROM FINAL TABLE (INSERT INTO t VALUES (1))", 1),
            ("WITH x AS (DELETE FROM t RETURNING a) SELECT a FROM x", 1),
            ("WITH FUNCTION f RETURN int IS BEGIN RETURN 1; END; SELECT f() FROM dual", 1),
            ("SELECT s.NEXTVAL FROM dual", 1),
            ("SELECT NEXT VALUE FOR s FROM t", 1),
            ("TRUNCATE TABLE t", 1),
            ("SELECT 1 TRUNCATE TABLE t", 1),
            ("{call p}", 1),
            ("CALL p()", 1),
            ("BEGIN p; END;", 1),
            ("EXECUTE BLOCK AS BEGIN END", 1),
            ("PRAGMA user_version = 2", 1),
            ("EXPLAIN PLAN FOR SELECT 1 FROM dual", 1),
            ("LOCK TABLE t", 1),
            ("SET ROLE x", 1),
            ("SELECT 1 SET IMPLICIT_TRANSACTIONS OFF", 1),
            ("SELECT 1 USE other", 1),
            ("SELECT 1.DELETE FROM t", 1),
            ("SELECT 1eDELETE FROM t", 1),
            ("SELECT 'open", 1),
            ("SELECT 1\0", 1),
            // A text to one engine, a statement to another.
            ("SELECT '\\''; DELETE FROM t; -- '", 1),
            ("SELECT `'`; DELETE FROM t -- '`", 1),
            ("SELECT a[']; DELETE FROM t -- ']", 1),
            ("SELECT 1 /* /* */ DELETE FROM t /* */ */", 1),
            ("SELECT 1 /*! DELETE FROM t */", 1),
            ("SELECT 1 /*M! DELETE FROM t */", 1),
            ("SELECT 1 # '\nDELETE FROM t # '", 2),
            ("SELECT $$'$$; DELETE FROM t --'", 1),
            ("SELECT q'[']' FROM dual; DELETE FROM t --'", 1),
        ] {
            assert_eq!(refused(sql).map(|(line, _)| line), Some(line), "{sql}");
        }
    }

    #[test]
    fn messages() {
        let said: Vec<String> = [
            "DELETE FROM t",
            "SELECT a\nFROM t; DELETE FROM t",
            "SELECT a INTO b FROM t",
            "SELECT q'[a]' FROM dual",
            "SELECT a FROM t FOR UPDATE",
        ]
        .map(|sql| check(sql).unwrap_err().to_string())
        .into();
        insta::assert_snapshot!(said.join("\n"), @r"
        the query is not a plain read in line 1: it does not begin with SELECT or WITH
        the query is not a plain read in line 2: it holds more than one statement
        the query is not a plain read in line 1: it holds `INTO`, which makes a table; write `WITH name AS (SELECT …)` instead
        the query is not a plain read in line 1: it holds `q'…'`; write `'…'`, with the quotes inside doubled
        the query is not a plain read in line 1: it holds `UPDATE`
        ");
    }

    proptest! {
        #[test]
        fn what_follows_a_quote_of_any_engine_is_seen(content in "(\\PC|DELETE|\n|'|\"|\\]|`|\\\\|--|#|/\\*|\\*/|;){0,10}") {
            for (open, close) in [('\'', '\''), ('"', '"'), ('[', ']'), ('`', '`')] {
                let inside = content.replace(close, &format!("{close}{close}"));
                let after = format!("SELECT a AS {open}{inside}{close}, b FROM t\nDELETE FROM t");
                prop_assert!(refused(&after).is_some(), "{}", after);
            }
        }

        #[test]
        fn any_text_is_checked_without_a_panic(sql in "\\PC*") {
            drop(check(&sql));
        }
    }
}
