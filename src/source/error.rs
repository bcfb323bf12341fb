//! What can go wrong between us and the source, and what to do about it.

use std::fmt;
use std::time::Duration;

use crate::error::Hint;

/// Why the source failed. Holds no values of rows: `without_values` takes them out of what servers say.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The host's name has no address.
    #[error("could not resolve the host name `{host}`")]
    NameNotResolved {
        /// The host.
        host: String,
        /// What the resolver said.
        source: std::io::Error,
    },
    /// Nothing answered at the address.
    #[error("could not connect to `{address}`")]
    Unreachable {
        /// `host:port`, or a socket's path.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The SQL Browser does not know the instance, or did not answer.
    #[error("SQL Server instance `{instance}` was not found on `{host}`")]
    InstanceUnknown {
        /// The host asked.
        host: String,
        /// The instance asked for.
        instance: String,
    },
    /// TLS failed.
    #[error("TLS with `{host}` failed: {reason}")]
    Tls {
        /// The host.
        host: String,
        /// Why, in the library's words.
        reason: String,
        /// Who signed the certificate that was shown, if that could be found out.
        issuer: Option<String>,
    },
    /// The server refused the login.
    #[error("login refused: {message}")]
    LoginRefused {
        /// The server's words.
        message: String,
    },
    /// The database, or the SQLite file, does not exist.
    #[error("database `{database}` does not exist: {message}")]
    DatabaseMissing {
        /// The database.
        database: String,
        /// The server's words.
        message: String,
    },
    /// The login may not read something.
    #[error("permission denied: {message}")]
    PermissionDenied {
        /// The server's words.
        message: String,
    },
    /// The database refused the query.
    #[error("the query failed{}: {message}", Place(*line))]
    Query {
        /// The line of the query, counted from 1.
        line: Option<u32>,
        /// The server's words and its code.
        message: String,
    },
    /// The query would write, or is not one statement that reads.
    #[error("the query is not a plain read{}: {message}", Place(*line))]
    NotARead {
        /// The line of the query, counted from 1.
        line: Option<u32>,
        /// What was found.
        message: String,
    },
    /// The time limit of a statement was reached.
    #[error("the query took longer than {} s", limit.as_secs())]
    Timeout {
        /// The limit.
        limit: Duration,
    },
    /// The connection ended while rows were coming.
    #[error("the connection was lost after {rows} rows: {message}")]
    ConnectionLost {
        /// Rows of this extract that had come.
        rows: u64,
        /// Why.
        message: String,
    },
    /// Others held locks for too long, or the server was too busy.
    #[error("the database was busy: {message}")]
    Busy {
        /// The server's words and its code.
        message: String,
    },
    /// A file of a folder of CSV files cannot be read, or the folder itself.
    #[error("`{path}`{}: {reason}", FileLine(*line))]
    File {
        /// The file or folder.
        path: String,
        /// The line of the file, counted from 1.
        line: Option<u64>,
        /// Why, without the file's values.
        reason: String,
        /// What to do about it.
        hint: Option<Hint>,
    },
    /// A file was written to while it was read.
    #[error("`{path}` was written to while it was read")]
    FileChanged {
        /// The file.
        path: String,
    },
    /// The query names a table that no file gives.
    #[error("no file in `{folder}` gives the table `{table}`")]
    TableMissing {
        /// The table, as the query names it.
        table: String,
        /// The folder of files.
        folder: String,
        /// The table that may be meant, or all that there are.
        hint: Option<Hint>,
    },
    /// The query names a column that none of its files has.
    #[error("the query names the column `{column}`{}, which none of its files has", Place(*line))]
    ColumnMissing {
        /// The column, as the query names it.
        column: String,
        /// The line of the query, counted from 1.
        line: Option<u32>,
    },
    /// The query gives no result.
    #[error("the query gives no columns")]
    NoColumns,
    /// Two columns have one name.
    #[error("the query gives more than one column named {}", Names(names))]
    DuplicateColumns {
        /// The names, in lower case.
        names: Vec<String>,
    },
    /// A column holds binary data.
    #[error("column `{column}` is binary (`{type_name}`)")]
    Binary {
        /// The column.
        column: String,
        /// Its type in the database's words.
        type_name: String,
    },
    /// A value cannot be read as text.
    #[error("column `{column}`, row {row}: {reason}")]
    Value {
        /// The column.
        column: String,
        /// The row, counted from 1.
        row: u64,
        /// Why, without the value.
        reason: String,
        /// What to write in the SQL instead.
        hint: Option<Hint>,
    },
    /// This build, platform or engine cannot do what the mapping asks.
    #[error("{what}")]
    Unsupported {
        /// What cannot be done.
        what: String,
        /// What to do instead.
        hint: Option<Hint>,
    },
    /// Anything else the server or the driver says.
    #[error("the database failed: {message}")]
    Other {
        /// Its words.
        message: String,
    },
}

impl SourceError {
    /// Whether the same request may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NameNotResolved { .. }
            | Self::Unreachable { .. }
            | Self::ConnectionLost { .. }
            | Self::FileChanged { .. }
            | Self::Busy { .. } => true,
            Self::InstanceUnknown { .. }
            | Self::Tls { .. }
            | Self::LoginRefused { .. }
            | Self::DatabaseMissing { .. }
            | Self::PermissionDenied { .. }
            | Self::Query { .. }
            | Self::NotARead { .. }
            | Self::Timeout { .. }
            | Self::File { .. }
            | Self::TableMissing { .. }
            | Self::ColumnMissing { .. }
            | Self::NoColumns
            | Self::DuplicateColumns { .. }
            | Self::Binary { .. }
            | Self::Value { .. }
            | Self::Unsupported { .. }
            | Self::Other { .. } => false,
        }
    }

    /// What to edit or run.
    pub fn hint(&self) -> Option<Hint> {
        Some(match self {
            Self::NameNotResolved { .. } => "check the host in `source.url`; does this machine's DNS know the name (`nslookup`)?".into(),
            Self::Unreachable { .. } => "is the server running, is the port right, and does a firewall between let this machine through?".into(),
            Self::InstanceUnknown { .. } => "check the instance's name and that the SQL Server Browser runs and UDP port 1434 is open; or give the port in `source.url` instead of the instance".into(),
            Self::Tls { issuer: Some(issuer), .. } => format!("the certificate was signed by `{issuer}`; if that is right, save that authority's certificate as a PEM file and name it in `source.ca_file`").into(),
            // rustls' own word.
            Self::Tls { issuer: None, reason, .. } if reason.contains("xpired") => "the certificate's time is over: have it renewed; if its end is still to come, check the date and time of this machine".into(),
            Self::Tls { issuer: None, .. } => "name the authority that signed the server's certificate in `source.ca_file`, or choose another level of `source.encryption`".into(),
            Self::LoginRefused { .. } => "check `source.username` and `source.password` of the mapping, and that the login may open the database".into(),
            Self::DatabaseMissing { .. } => "check the database in `source.url`".into(),
            Self::PermissionDenied { .. } => "ask the database's administrator to grant SELECT on it to this login".into(),
            Self::NotARead { .. } => "sispush never writes to the SIS: give one SELECT, without statements that change, execute or commit".into(),
            Self::Timeout { .. } => "raise `source.timeout`, or make the query cheaper".into(),
            Self::ConnectionLost { .. } => "nothing was sent; run again, and look into the server's log if it happens again".into(),
            Self::Busy { .. } => "other programs hold what the query reads; run it at a quieter time".into(),
            Self::ColumnMissing { .. } => "the columns are named in the file's first line; a text in SQL stands in single quotes".into(),
            Self::NoColumns => "a query must give a result: one SELECT".into(),
            Self::DuplicateColumns { .. } => "give each column its own name with AS".into(),
            Self::Binary { .. } => "leave the column out, or convert it to text in the query".into(),
            Self::FileChanged { .. } => "run again when the export has ended; best it writes under another name, and renames the file at its end".into(),
            Self::Value { hint, .. }
            | Self::Unsupported { hint, .. }
            | Self::File { hint, .. }
            | Self::TableMissing { hint, .. } => return hint.clone(),
            Self::Query { .. } => "try the query with the database's own client and this login; what it says there it says here".into(),
            Self::Other { .. } => return None,
        })
    }
}

/// ` in line 3`, or nothing.
struct Place(Option<u32>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, " in line {line}"))
    }
}

/// `, line 3`, or nothing.
struct FileLine(Option<u64>);

impl fmt::Display for FileLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, ", line {line}"))
    }
}

struct Names<'n>(&'n [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            write!(f, "{}`{name}`", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// A server's message with quoted texts taken out unless they stand in the query: the query's own names and literals
/// help, but a quoted text from elsewhere may be a pupil's (`Conversion failed when converting the varchar value
/// 'Smith' to data type int`).
///
/// Servers do not escape a value's own quotes (`'O'Brien'`): from a text that the query does not hold up to the
/// message's last quote, everything goes. Better a name lost than a pupil's shown.
pub(super) fn without_values(message: &str, query: &str) -> String {
    let query = query.to_lowercase();
    let mut out = String::with_capacity(message.len());
    let mut rest = message;
    while let Some((open, quote, close)) = opening(rest) {
        let inner = open + quote.len_utf8();
        out.push_str(&rest[..inner]);
        rest = &rest[inner..];
        // The last that fits, as what the query holds may have quotes in it.
        let known = closings(rest, close).rev().find(|end| is_in(&query, &rest[..*end]));
        out.push_str(known.map_or("…", |end| &rest[..end]));
        let Some(end) = known.or_else(|| rest.rfind(close)) else { return out };
        out.push(close);
        rest = &rest[end + close.len_utf8()..];
    }
    out.push_str(rest);
    out
}

/// Quotes as servers write them in their languages, opening and closing.
const QUOTES: [(char, char); 9] =
    [('\'', '\''), ('"', '"'), ('`', '`'), ('“', '”'), ('‘', '’'), ('„', '“'), ('«', '»'), ('»', '«'), ('「', '」')];

/// The first opening quote, with what closes it. An apostrophe inside a word ("can't") opens nothing.
fn opening(text: &str) -> Option<(usize, char, char)> {
    let mut before = ' ';
    for (index, c) in text.char_indices() {
        if let Some((quote, close)) = QUOTES.iter().find(|(quote, _)| *quote == c)
            && !before.is_alphanumeric()
        {
            return Some((index, *quote, *close));
        }
        before = c;
    }
    None
}

/// The closing quotes that no word follows.
fn closings(text: &str, close: char) -> impl DoubleEndedIterator<Item = usize> {
    text.match_indices(close)
        .map(|(index, _)| index)
        .filter(move |index| !text[index + close.len_utf8()..].starts_with(char::is_alphanumeric))
}

/// Whether the query, in lower case, holds the text as whole words: `Ali` does not stand in `alias`. Of a long text the
/// server may have cut the last word.
fn is_in(query: &str, text: &str) -> bool {
    const LONG: usize = 40;
    let text = text.to_lowercase();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.is_empty()
        || query.match_indices(&text).any(|(start, _)| {
            let end = start + text.len();
            let starts = !text.starts_with(is_word) || !query[..start].ends_with(is_word);
            let ends = !text.ends_with(is_word) || !query[end..].starts_with(is_word);
            starts && (ends || text.chars().count() >= LONG)
        })
}

#[cfg(test)]
mod tests {
    use super::without_values;

    #[test]
    fn a_value_is_taken_out_and_a_name_of_the_query_stays() {
        let query = "SELECT CAST(Surname AS int) FROM vStudents";
        assert_eq!(
            without_values("Conversion failed when converting the varchar value 'Smith' to data type int.", query),
            "Conversion failed when converting the varchar value '…' to data type int."
        );
        assert_eq!(without_values("Invalid object name 'vstudents'.", query), "Invalid object name 'vstudents'.");
        assert_eq!(without_values("near \"FORM\": syntax error", "SELECT 1 FORM x"), "near \"FORM\": syntax error");
    }

    #[test]
    fn quotes_inside_a_value_let_nothing_out() {
        let query = "SELECT CAST(Surname AS int) AS brien, alias FROM vStudents WHERE form = '7A'";
        let check = |message: &str, expected: &str| assert_eq!(without_values(message, query), expected);
        check(
            "converting the varchar value 'O'Brien' to data type int.",
            "converting the varchar value '…' to data type int.",
        );
        check("column 'Surname' holds 'O'Brien'", "column 'Surname' holds '…'");
        check("value 'Surname'Brien' is wrong", "value '…' is wrong");
        check("invalid input syntax for type integer: \"a\"b\"", "invalid input syntax for type integer: \"…\"");
        check("Can't reopen 'Smith'", "Can't reopen '…'");
        check("the value 'Smith", "the value '…");
        check("the value 'Ali'", "the value '…'");
        check("near 'form = '7A'' at line 1", "near 'form = '7A'' at line 1");
        check("der Wert »Smith« und", "der Wert »…« und");
        check("der Wert „Smith“ und", "der Wert „…“ und");
        check("près de « Smith »", "près de «…»");
        check("l'objet 'Surname'", "l'objet 'Surname'");
        check("near '' at line 1", "near '' at line 1");
        check("the value ''Brien'", "the value '…'");
    }
}
