//! Refuses SQL that does more than read, before it is sent: T-SQL here, any other in [`any`].
//!
//! SQL Server has no read-only transaction, so this is the first of two walls; the second is that our transaction is
//! always rolled back. The check is lexical: strings, quoted names and comments are skipped, and what remains must not
//! hold a reserved word that writes, executes, commits or changes the session's transaction. Reserved words cannot be
//! names unless they are quoted, so nothing that only reads is refused for a column's name.

mod any;

pub(super) use self::any::check as check_any;
use super::SourceError;
use super::lexer::{Dialect, Kind, Token, tokens, upper};

/// Checks the text of one extract.
///
/// # Errors
/// [`SourceError::NotARead`] with the line, counted from 1.
pub(super) fn check(sql: &str) -> Result<(), SourceError> {
    let tokens = tokens(sql, Dialect::SQL_SERVER).map_err(|error| refused(error.line, error.message))?;
    check_start(&tokens)?;
    for (index, token) in tokens.iter().enumerate() {
        if let Kind::Word(written) = token.kind {
            let word = upper(written);
            for word in token.readings(&word) {
                if let Some(message) = refusal(sql, &tokens, index, word) {
                    return Err(refused(token.line, message));
                }
            }
        }
    }
    Ok(())
}

/// Statements that may open a batch. Anything else there is either refused below or the name of a procedure, which
/// runs without EXEC if it stands first.
const OPENINGS: [&str; 10] = ["SELECT", "WITH", "DECLARE", "SET", "IF", "WHILE", "BEGIN", "PRINT", "WAITFOR", "RETURN"];

fn check_start(tokens: &[Token<'_>]) -> Result<(), SourceError> {
    let Some(first) = tokens.iter().find(|token| token.kind != Kind::Symbol(';')) else { return Ok(()) };
    match first.kind {
        Kind::Word(written) if OPENINGS.contains(&&*upper(written)) || WRITES.contains(&&*upper(written)) => Ok(()),
        Kind::Word(written) if matches!(&*upper(written), "MERGE" | "USE" | "BULK" | "GO") => Ok(()),
        Kind::Word(written) => {
            Err(refused(first.line, format!("it starts with `{written}`, which would call a procedure")))
        }
        Kind::Quoted(_) => {
            Err(refused(first.line, "it starts with a quoted name, which would call a procedure".to_owned()))
        }
        // `(SELECT …)`; anything else the server refuses as a syntax error.
        Kind::Symbol(_) | Kind::Number => Ok(()),
    }
}

/// Reserved words that no reading statement holds. (`MERGE`, `INTO`, `SET`, `USE` and `BULK` depend on what follows.)
const WRITES: [&str; 35] = [
    "ADD",
    "ALTER",
    "BACKUP",
    "CHECKPOINT",
    "COMMIT",
    "CREATE",
    "DBCC",
    "DELETE",
    "DENY",
    "DISTRIBUTED",
    "DROP",
    "DUMP",
    "EXEC",
    "EXECUTE",
    "GRANT",
    "INSERT",
    "KILL",
    "LOAD",
    "OPENQUERY",
    "RECONFIGURE",
    "RESTORE",
    "REVERT",
    "REVOKE",
    "ROLLBACK",
    "SAVE",
    "SETUSER",
    "SHUTDOWN",
    "TRAN",
    "TRANSACTION",
    "TRIGGER",
    "TRUNCATE",
    "UPDATE",
    "UPDATETEXT",
    "WRITETEXT",
    "OPENROWSET",
];

/// What SET may change: the session's language and formats, never its transaction (`ANSI_DEFAULTS` does), and nothing that
/// would shorten what this extract and those after it give (`ROWCOUNT`, `TEXTSIZE`), or stop a query from being carried out.
const SETTINGS: [&str; 16] = [
    "NOCOUNT",
    "DATEFORMAT",
    "DATEFIRST",
    "LANGUAGE",
    "ANSI_NULLS",
    "ANSI_NULL_DFLT_ON",
    "ANSI_NULL_DFLT_OFF",
    "ANSI_PADDING",
    "ANSI_WARNINGS",
    "ARITHABORT",
    "ARITHIGNORE",
    "CONCAT_NULL_YIELDS_NULL",
    "NUMERIC_ROUNDABORT",
    "QUOTED_IDENTIFIER",
    "LOCK_TIMEOUT",
    "DEADLOCK_PRIORITY",
];

/// Why the word at `index` makes the text more than a read, if it does.
fn refusal(sql: &str, tokens: &[Token<'_>], index: usize, word: &str) -> Option<String> {
    let next_word = |ahead: usize| match tokens.get(index + ahead).map(|token| token.kind) {
        Some(Kind::Word(written)) => upper(written),
        _ => String::new(),
    };
    let next = next_word(1);
    match word {
        "OPENROWSET" if next_word(2) == "BULK" => None,
        "OPENQUERY" | "OPENROWSET" => Some(format!(
            "`{word}` runs text on another server, where we cannot see whether it only reads; name the table instead: `server.database.schema.table`"
        )),
        // Hints for a join.
        "MERGE" if next == "JOIN" || next == "UNION" || is_in_option_list(tokens, index) => None,
        "MERGE" => Some("it holds `MERGE`".to_owned()),
        "TRAN" | "TRANSACTION" | "DISTRIBUTED" => {
            Some(format!("it holds `{word}`; the transaction is ours: leave the statement out"))
        }
        "BULK" if index >= 2 && matches!(tokens[index - 2].kind, Kind::Word(written) if upper(written) == "OPENROWSET") => None,
        "BULK" => Some("it holds `BULK`".to_owned()),
        // `FETCH … INTO @variable` of a cursor only reads.
        "INTO" if matches!(tokens.get(index + 1).map(|token| token.kind), Some(Kind::Word(written)) if written.starts_with('@')) => None,
        "INTO" => Some("it holds `INTO`, which makes a table; write `WITH name AS (SELECT …)` instead".to_owned()),
        "SET" if next.starts_with('@') || SETTINGS.contains(&&*next) => None,
        "SET" => Some(format!("it holds `SET {next}`")),
        // Query hints: `OPTION (USE HINT ('…'))`.
        "USE" if next == "HINT" || next == "PLAN" => None,
        "USE" => Some("it holds `USE`, which would change the database for the other extracts too; name the database in front of the table: `database.schema.table`".to_owned()),
        "NEXT" if next == "VALUE" && next_word(2) == "FOR" => Some("it holds `NEXT VALUE FOR`, which changes a sequence for good".to_owned()),
        "GO" if stands_alone(sql, tokens[index].start) => {
            Some("`GO` is a word of SQL Server Management Studio, not of the server; leave the line out".to_owned())
        }
        "CALL" if tokens[index.saturating_sub(3)..index].iter().any(|token| token.kind == Kind::Symbol('{')) => {
            Some("it holds `{call …}`, which calls a procedure".to_owned())
        }
        _ if WRITES.contains(&word) => Some(format!("it holds `{word}`")),
        _ => None,
    }
}

/// `OPTION (HASH JOIN, MERGE JOIN)` is told by the next word; `INNER MERGE JOIN` too. What is left is a list such as
/// `OPTION (MERGE UNION, …)`, told by the bracket or comma before and after.
fn is_in_option_list(tokens: &[Token<'_>], index: usize) -> bool {
    let symbol = |at: Option<usize>| at.and_then(|at| tokens.get(at)).map(|token| token.kind);
    matches!(symbol(index.checked_sub(1)), Some(Kind::Symbol('(' | ',')))
        && matches!(symbol(Some(index + 1)), Some(Kind::Symbol(')' | ',')))
}

/// Whether the word at `start` is all of its line but for a count.
fn stands_alone(sql: &str, start: usize) -> bool {
    let before = sql[..start].rsplit('\n').next().unwrap_or_default();
    let after = sql[start + 2..].split('\n').next().unwrap_or_default();
    let after = after.trim_start_matches(|c: char| c.is_ascii_digit() || c.is_whitespace() || c == ';');
    before.trim().is_empty() && (after.is_empty() || after.starts_with("--"))
}

fn refused(line: u32, message: String) -> SourceError {
    SourceError::NotARead { line: Some(line), message }
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
            "  -- a comment\n  select a, b from t",
            "WITH x AS (SELECT 1 AS a) SELECT * FROM x",
            ";WITH x AS (SELECT 1 AS a) SELECT * FROM x",
            "(SELECT 1) UNION (SELECT 2)",
            "SET NOCOUNT ON; SET DATEFORMAT dmy; DECLARE @year int = 2026; SET @year = 2027; SELECT @year",
            "IF 1 = 1 SELECT 1 ELSE SELECT 2",
            "BEGIN SELECT 1 END",
            "SELECT x.[insert], y AS [update], @delete, #drop.a, \"create\" FROM #drop x",
            "SELECT 'DELETE FROM x' AS a, N'it''s; DROP TABLE y' AS b",
            "SELECT 1 /* DROP TABLE x /* nested */ still DELETE */ AS a -- EXEC y",
            "SELECT * FROM a INNER MERGE JOIN b ON a.x = b.x OPTION (MERGE JOIN, MERGE UNION, HASH GROUP)",
            "SELECT * FROM a OPTION (USE HINT ('FORCE_DEFAULT_CARDINALITY_ESTIMATION'))",
            "SELECT * FROM OPENROWSET(BULK 'c:\\x.csv', FORMAT = 'CSV') AS x",
            "SELECT LastUpdate, created_at, deleted, executed, UpdatedBy, inserted_on, droppedOut, go FROM t",
            "SELECT DATEADD(day, 1, x), DATEADD(d,-1,y), REPLACE(a, 'x', 'y') FROM t WITH (UPDLOCK, NOLOCK)",
            "SELECT TOP 10 * FROM t ORDER BY x OFFSET 0 ROWS FETCH NEXT 5 ROWS ONLY",
            "SELECT 1e5, 0x1F, 1.5e-3, $5.00, .5, 1E+2 FROM t",
            "SELECT a FROM [linked server].db.dbo.t",
            "DECLARE c CURSOR FOR SELECT a FROM t; OPEN c; FETCH NEXT FROM c INTO @a; CLOSE c; DEALLOCATE c; SELECT @a",
            "SELECT Überschrift FROM Schüler",
            "SELECT Conversation, Dialog, call, {d '2026-01-01'} FROM a JOIN Send ON a.x = Send.y",
            "",
        ] {
            assert_eq!(refused(sql), None, "{sql}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for (sql, line) in [
            ("INSERT INTO t VALUES (1)", 1),
            ("SELECT 1\nUPDATE t SET a = 1", 2),
            ("select 1; delete from t", 1),
            ("SELECT * INTO x FROM t", 1),
            ("SELECT * INTO #x FROM t", 1),
            ("WITH x AS (SELECT 1 a) MERGE t USING x ON 1=1 WHEN MATCHED THEN DELETE;", 1),
            ("TRUNCATE TABLE t", 1),
            ("DROP TABLE t", 1),
            ("ALTER TABLE t ADD a int", 1),
            ("CREATE TABLE #t (a int)", 1),
            ("EXEC usp_x", 1),
            ("SELECT 1\n\nEXECUTE ('DELETE')", 3),
            ("usp_GetStudents 5", 1),
            ("[dbo].[usp_x]", 1),
            ("dbo.usp_x", 1),
            (";usp_x", 1),
            ("SELECT 1; COMMIT", 1),
            ("ROLLBACK; SELECT 1", 1),
            ("SAVE TRAN x", 1),
            ("BEGIN TRANSACTION SELECT 1", 1),
            ("BEGIN DISTRIBUTED TRAN", 1),
            ("SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED SELECT 1", 1),
            ("SET IMPLICIT_TRANSACTIONS ON", 1),
            ("SET XACT_ABORT ON SELECT 1", 1),
            ("SET IDENTITY_INSERT t ON", 1),
            ("SET ANSI_DEFAULTS ON SELECT 1", 1),
            ("SET ROWCOUNT 10 SELECT a FROM t", 1),
            ("{call usp_x}", 1),
            ("SELECT 1 { ? = CALL usp_x (1)}", 1),
            ("SET FMTONLY ON SELECT 1", 1),
            ("GRANT SELECT ON t TO x", 1),
            ("REVOKE SELECT ON t TO x", 1),
            ("DENY SELECT ON t TO x", 1),
            ("BACKUP DATABASE x TO DISK = 'y'", 1),
            ("RESTORE DATABASE x", 1),
            ("SHUTDOWN", 1),
            ("DBCC CHECKDB", 1),
            ("KILL 51", 1),
            ("RECONFIGURE", 1),
            ("WRITETEXT t.a @p 'x'", 1),
            ("UPDATETEXT t.a @p 0 0 'x'", 1),
            ("BULK INSERT t FROM 'x'", 1),
            ("SELECT * FROM OPENQUERY(linked, 'DELETE t')", 1),
            ("SELECT * FROM OPENROWSET('MSOLEDBSQL', 'x', 'y')", 1),
            ("SELECT 1\nGO\nSELECT 2", 2),
            ("SELECT 1\n  go 5  -- again", 2),
            ("USE master; SELECT 1", 1),
            ("SELECT NEXT VALUE FOR dbo.seq", 1),
            ("DISABLE TRIGGER a ON b", 1),
            ("SELECT 1DELETE FROM t", 1),
            ("SELECT 1eDELETE FROM t", 1),
            ("SELECT 1e5DELETE FROM t", 1),
            ("SELECT 1e+5DELETE FROM t", 1),
            ("SELECT 1.EXEC x", 1),
            ("SELECT 0xEEXEC x; SELECT 0x DROP TABLE t", 1),
            ("SELECT $DELETE FROM t", 1),
            ("SELECT 'a'DELETE FROM t", 1),
            ("SELECT [a]]b]DELETE FROM t", 1),
            ("SELECT 1 /* a */DELETE/* b */FROM t", 1),
            ("SELECT 1 -- a\rDELETE FROM t", 1),
            ("SELECT 1 -- a\u{2028}' DELETE t --'", 1),
            ("SELECT 'open", 1),
            ("SELECT 1 /* open /* */", 1),
            ("SELECT 1\0DELETE", 1),
            ("IN\u{17f}ERT INTO t VALUES (1)", 1),
        ] {
            assert_eq!(refused(sql).map(|(line, _)| line), Some(line), "{sql}");
        }
    }

    #[test]
    fn messages() {
        let said: Vec<String> = [
            "SELECT a\nFROM t\nDELETE t",
            "SELECT a INTO #b FROM t",
            "SET TRANSACTION ISOLATION LEVEL SNAPSHOT SELECT 1",
            "SET XACT_ABORT ON",
            "SELECT 1\r\nGO\r\n",
            "usp_GetStudents",
            "USE x",
            "SELECT * FROM OPENQUERY(x, 'y')",
        ]
        .map(|sql| check(sql).unwrap_err().to_string())
        .into();
        insta::assert_snapshot!(said.join("\n"), @r"
        the query is not a plain read in line 3: it holds `DELETE`
        the query is not a plain read in line 1: it holds `INTO`, which makes a table; write `WITH name AS (SELECT …)` instead
        the query is not a plain read in line 1: it holds `SET TRANSACTION`
        the query is not a plain read in line 1: it holds `SET XACT_ABORT`
        the query is not a plain read in line 2: `GO` is a word of SQL Server Management Studio, not of the server; leave the line out
        the query is not a plain read in line 1: it starts with `usp_GetStudents`, which would call a procedure
        the query is not a plain read in line 1: it holds `USE`, which would change the database for the other extracts too; name the database in front of the table: `database.schema.table`
        the query is not a plain read in line 1: `OPENQUERY` runs text on another server, where we cannot see whether it only reads; name the table instead: `server.database.schema.table`
        ");
    }

    proptest! {
        #[test]
        fn quoted_content_never_triggers(content in "(\\PC|DELETE|DROP TABLE x|\n|'|\"|\\]|--|/\\*|\\*/|;){0,12}") {
            for (open, close) in [('\'', '\''), ('"', '"'), ('[', ']')] {
                let inside = content.replace(close, &format!("{close}{close}"));
                let sql = format!("SELECT a AS {open}{inside}{close}, b FROM t");
                prop_assert_eq!(refused(&sql), None, "{}", sql);
                let after = format!("{sql}\nDELETE t");
                prop_assert!(refused(&after).is_some(), "{}", after);
            }
            let comment = content.replace("/*", "").replace("*/", "").replace(['*', '/'], "");
            let (read, write) = (format!("SELECT 1 /*{comment}*/ AS a"), format!("SELECT 1 /*{comment}*/ DELETE t"));
            prop_assert_eq!(refused(&read), None);
            prop_assert!(refused(&write).is_some());
            let line: String = content.chars().filter(|c| !c.is_control() && !c.is_whitespace()).collect();
            prop_assert_eq!(refused(&format!("SELECT 1 --{line}\nAS a")), None);
        }

        #[test]
        fn any_text_is_checked_without_a_panic(sql in "\\PC*") {
            drop(check(&sql));
        }
    }
}
