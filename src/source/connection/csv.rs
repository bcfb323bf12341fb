//! `csv:folder?delimiter=;&encoding=windows-1250`: a folder of CSV files, and how they are written.

use encoding_rs::Encoding;

use super::url::{Result, decoded, local_path};
use super::{Connection, ConnectionError, Engine, nearest, split_outside};

/// How CSV files are written, as far as the URL says it. What it does not say is found out, file by file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CsvFormat {
    /// What stands between two fields: `,`, `;`, `|` or a tab.
    pub delimiter: Option<u8>,
    /// The encoding.
    pub encoding: Option<&'static Encoding>,
}

/// Every delimiter with its name. The first that stands most often in a header is taken.
pub(in crate::source) const DELIMITERS: [(u8, &str); 4] =
    [(b',', "comma"), (b';', "semicolon"), (b'\t', "tab"), (b'|', "pipe")];

const PARAMETERS: [&str; 2] = ["delimiter", "encoding"];

/// `csv:drops`, `csv:C:\SIS\drops`, `csv:///srv/drops`.
pub(super) fn parse(rest: &str) -> Result<Connection> {
    let (folder, mut query) = match split_outside(rest, &['?']) {
        Some((folder, _, query)) => (folder, query),
        None => (rest, ""),
    };
    let mut connection = Connection::new(Engine::Csv);
    connection.database = local_path(folder)?;
    if connection.database.is_empty() {
        return Err(ConnectionError::new("the URL names no folder")
            .hint("write `csv:FOLDER`, for example `csv:drops`; `csv:.` is the mapping's own folder"));
    }
    while !query.is_empty() {
        let pair;
        (pair, query) = split_outside(query, &['&']).map_or((query, ""), |(pair, _, rest)| (pair, rest));
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name.to_ascii_lowercase().as_str() {
            "delimiter" if connection.csv.delimiter.is_none() => connection.csv.delimiter = Some(delimiter(value)?),
            "encoding" if connection.csv.encoding.is_none() => connection.csv.encoding = Some(encoding(value)?),
            "" => {}
            known if PARAMETERS.contains(&known) => {
                return Err(ConnectionError::new(format!("`{known}` is given twice")));
            }
            other => {
                let error = ConnectionError::new(format!("unknown parameter `{name}`"));
                return Err(match nearest(other, PARAMETERS) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error.hint("the parameters of `csv:` are `delimiter` and `encoding`"),
                });
            }
        }
    }
    Ok(connection)
}

fn delimiter(value: &str) -> Result<u8> {
    let value = decoded(value)?;
    let known = DELIMITERS.iter().find(|(byte, name)| {
        value.as_bytes() == [*byte] || value.eq_ignore_ascii_case(name) || (*byte == b'\t' && value == "\\t")
    });
    known.map(|(byte, _)| *byte).ok_or_else(|| {
        ConnectionError::new("`delimiter` has a value that is not understood")
            .hint("write `comma`, `semicolon`, `tab` or `pipe`")
    })
}

fn encoding(value: &str) -> Result<&'static Encoding> {
    Encoding::for_label_no_replacement(decoded(value)?.as_bytes()).ok_or_else(|| {
        ConnectionError::new("`encoding` has a value that is not understood")
            .hint("write `utf-8`, `utf-16le`, `windows-1252`, `windows-1250`, or another name that browsers know")
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::refusals;
    use super::*;

    #[test]
    fn folders_and_formats() {
        for (url, folder, delimiter, encoding) in [
            ("csv:drops", "drops", None, None),
            ("CSV:.", ".", None, None),
            (r"csv:C:\SIS\drops", r"C:\SIS\drops", None, None),
            ("csv:///srv/a%20b", "/srv/a b", None, None),
            ("csv:drops?delimiter=;&encoding=windows-1250", "drops", Some(b';'), Some("windows-1250")),
            ("csv:drops?encoding=latin1&delimiter=tab", "drops", Some(b'\t'), Some("windows-1252")),
            ("csv:drops?delimiter=%7C", "drops", Some(b'|'), None),
            ("csv:${DROPS?}/a", "${DROPS?}/a", None, None),
        ] {
            let connection = Connection::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!((connection.engine, &*connection.database), (Engine::Csv, folder), "{url}");
            assert_eq!(connection.csv.delimiter, delimiter, "{url}");
            assert_eq!(
                connection.csv.encoding.map(|known| known.name().to_ascii_lowercase()).as_deref(),
                encoding,
                "{url}"
            );
            assert_eq!(connection.describe(), format!("csv:{folder}"));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let said = refusals([
            "csv:",
            "csv:?delimiter=;",
            "csv:d?delimiter=x",
            "csv:d?encoding=klingon",
            "csv:d?delimeter=;",
            "csv:d?password=x",
            "csv:d?delimiter=;&delimiter=;",
        ]);
        insta::assert_snapshot!(said, @r"
        csv:: the URL names no folder | write `csv:FOLDER`, for example `csv:drops`; `csv:.` is the mapping's own folder
        csv:?delimiter=;: the URL names no folder | write `csv:FOLDER`, for example `csv:drops`; `csv:.` is the mapping's own folder
        csv:d?delimiter=x: `delimiter` has a value that is not understood | write `comma`, `semicolon`, `tab` or `pipe`
        csv:d?encoding=klingon: `encoding` has a value that is not understood | write `utf-8`, `utf-16le`, `windows-1252`, `windows-1250`, or another name that browsers know
        csv:d?delimeter=;: unknown parameter `delimeter` | did you mean `delimiter`?
        csv:d?password=x: unknown parameter `password` | the parameters of `csv:` are `delimiter` and `encoding`
        csv:d?delimiter=;&delimiter=;: `delimiter` is given twice | 
        ");
    }
}
