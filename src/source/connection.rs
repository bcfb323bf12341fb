//! How to reach a source: a URL, or an ADO.NET connection string, taken apart.

mod ado;
mod csv;
mod odbc;
mod parameters;
mod url;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::secret::Secret;

pub use self::csv::CsvFormat;
pub(super) use self::csv::DELIMITERS;
pub use self::odbc::OdbcString;

/// Which database engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Microsoft SQL Server.
    SqlServer,
    /// PostgreSQL.
    Postgres,
    /// MySQL or MariaDB.
    MySql,
    /// SQLite.
    Sqlite,
    /// A folder of CSV files, each a table.
    Csv,
    /// Any other engine, through ODBC.
    Odbc,
}

/// Who logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// A login of the database, with username and password.
    Database,
    /// The Windows account that runs the program, or `DOMAIN\user` with a password.
    Windows,
}

/// How the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// TLS before the first byte of the protocol (SQL Server: TDS 8).
    Strict,
    /// TLS, with the certificate verified. The default, except to loopback.
    Required,
    /// TLS for the login only (SQL Server).
    Login,
    /// None.
    Off,
    /// TLS if the server offers it. The default to loopback.
    Preferred,
}

/// A source's address and login.
///
/// Texts may hold references such as `${SIS_PASSWORD}` until [`Connection::resolve`] has replaced them.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The engine.
    pub engine: Engine,
    /// The host; blank for SQLite, CSV, ODBC and sockets.
    pub host: String,
    /// The port, if given. A given port wins over an instance.
    pub port: Option<u16>,
    /// SQL Server: the named instance.
    pub instance: Option<String>,
    /// PostgreSQL, MySQL: a Unix socket (for PostgreSQL its folder).
    pub socket: Option<PathBuf>,
    /// The database; for SQLite the file, for CSV the folder; blank for ODBC.
    pub database: String,
    /// CSV: how the files are written, where the URL says it.
    pub csv: CsvFormat,
    /// ODBC: the data source or connection string.
    pub odbc: OdbcString,
    /// Who logs in.
    pub login: Login,
    /// The user.
    pub username: String,
    /// The password.
    pub password: Option<Secret>,
    /// How to encrypt.
    pub encryption: Encryption,
    /// Encrypt without verifying the certificate. Said in a warning at every run.
    pub trust_server_certificate: bool,
    /// An authority to trust beside the operating system's, as PEM.
    pub ca_file: Option<PathBuf>,
    /// The longest a statement may take.
    pub timeout: Duration,
}

impl Connection {
    /// Takes a URL or, for SQL Server, an ADO.NET connection string apart.
    ///
    /// URLs: `mssql://` (or `sqlserver://`), `postgres://` (or `postgresql://`), `mysql://` (or `mariadb://`),
    /// `sqlite:` with a file, `csv:` with a folder and `odbc:` with a data source or connection string. References (`${NAME}`, `${file:PATH}`) stay as they are, whatever they hold.
    ///
    /// # Errors
    /// [`ConnectionError`], which never holds a password or a part of one.
    pub fn parse(text: &str) -> Result<Self, ConnectionError> {
        let text = text.trim();
        if text.starts_with("${") && text.find('}') == Some(text.len() - 1) {
            return Err(ConnectionError::new("the whole URL is a reference").hint(format!(
                "write the URL out, with references for its parts where you need them, for example {EXAMPLE}"
            )));
        }
        if let Some((scheme, rest)) = url::scheme(text) {
            url::parse(scheme, rest)
        } else if text.contains('=') {
            ado::parse(text)
        } else {
            let ending = text.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
            Err(ConnectionError::new("this is neither a URL nor a connection string").hint(match ending.as_deref() {
                Some("db" | "sqlite" | "sqlite3" | "db3") => format!("for a SQLite file write `sqlite:{text}`"),
                Some("csv" | "tsv" | "txt") => "for CSV files write `csv:` and the folder in which they are".to_owned(),
                _ => format!(
                    "write for example {EXAMPLE}, or an ADO.NET connection string such as `Server=host\\instance;Database=name`"
                ),
            }))
        }
    }

    /// Replaces the references in every text by what `resolve` makes of it. `resolve` is given the whole text.
    ///
    /// # Errors
    /// The first error of `resolve`.
    pub fn resolve<E>(&mut self, resolve: &mut dyn FnMut(&str) -> Result<String, E>) -> Result<(), E> {
        for text in [&mut self.host, &mut self.database, &mut self.username] {
            *text = resolve(text)?;
        }
        self.odbc.resolve(resolve)?;
        if let Some(instance) = &mut self.instance {
            *instance = resolve(instance)?;
        }
        if let Some(password) = &mut self.password {
            *password = Secret::from(resolve(password.expose_secret())?);
        }
        for path in [&mut self.ca_file, &mut self.socket].into_iter().flatten() {
            // A path that is not Unicode came from elsewhere and holds no reference.
            if let Some(text) = path.to_str() {
                *path = PathBuf::from(resolve(text)?);
            }
        }
        Ok(())
    }

    /// Whether the connection stays on this machine.
    pub fn is_local(&self) -> bool {
        self.engine.is_local() || self.socket.is_some() || is_loopback(&self.host)
    }

    /// A name of the place in one line, for people and logs: `mssql://sis.example.local/Synergetic`. Holds neither a
    /// password nor a username.
    pub fn describe(&self) -> String {
        let mut out = String::new();
        let _ = self.write_place(&mut out);
        out
    }

    fn write_place(&self, out: &mut impl fmt::Write) -> fmt::Result {
        if self.engine == Engine::Odbc {
            return write!(out, "odbc:{}", self.odbc);
        }
        if self.engine.is_local() {
            return write!(out, "{}:{}", self.engine.scheme(), OneLine(&self.database));
        }
        write!(out, "{}://", self.engine.scheme())?;
        if self.host.contains(':') {
            write!(out, "[{}]", OneLine(&self.host))?;
        } else {
            write!(out, "{}", OneLine(&self.host))?;
        }
        if let Some(port) = self.port {
            write!(out, ":{port}")?;
        }
        write!(out, "/{}", OneLine(&self.database))?;
        if let Some(instance) = &self.instance {
            write!(out, "?instance={}", OneLine(instance))?;
        }
        if let Some(socket) = &self.socket {
            write!(out, "?socket={}", OneLine(&socket.display().to_string()))?;
        }
        Ok(())
    }

    /// A connection with nothing but its engine.
    fn new(engine: Engine) -> Self {
        Self {
            engine,
            host: String::new(),
            port: None,
            instance: None,
            socket: None,
            database: String::new(),
            csv: CsvFormat::default(),
            odbc: OdbcString::default(),
            login: Login::Database,
            username: String::new(),
            password: None,
            encryption: if engine.is_local() { Encryption::Off } else { Encryption::Required },
            trust_server_certificate: false,
            ca_file: None,
            timeout: TIMEOUT,
        }
    }

    /// The level for a connection that names none: traffic that stays on this machine needs no TLS.
    fn default_encryption(&self) -> Encryption {
        if self.engine.is_local() {
            Encryption::Off
        } else if self.socket.is_some() || is_loopback(&self.host) {
            Encryption::Preferred
        } else {
            Encryption::Required
        }
    }
}

/// [`Connection::describe`].
impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_place(f)
    }
}

impl Engine {
    /// All of them, whether or not this build has them.
    pub(crate) const ALL: [Self; 6] =
        [Self::SqlServer, Self::Postgres, Self::MySql, Self::Sqlite, Self::Csv, Self::Odbc];

    /// The scheme of its URLs, as we write it.
    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Self::SqlServer => "mssql",
            Self::Postgres => "postgres",
            Self::MySql => "mysql",
            Self::Sqlite => "sqlite",
            Self::Csv => "csv",
            Self::Odbc => "odbc",
        }
    }

    /// Whether it reads files and contacts nobody; the database is then their path.
    pub(crate) fn is_local(self) -> bool {
        match self {
            Self::Sqlite | Self::Csv => true,
            Self::SqlServer | Self::Postgres | Self::MySql | Self::Odbc => false,
        }
    }
}

/// The longest a statement may take unless the mapping says otherwise.
const TIMEOUT: Duration = Duration::from_mins(5);

const EXAMPLE: &str = "`mssql://sis.example.local/Synergetic`";

/// What to do with a password that a URL cannot hold as it is.
const PASSWORD_KEY: &str = "leave user and password out and write them as `username:` and `password:` beside `url:`; \
                            there any character is safe";

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Text without what would break a line or a terminal.
struct OneLine<'t>(&'t str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| write!(f, "{}", if c.is_control() { ' ' } else { c }))
    }
}

/// The characters of `text` with their places, without those inside references (`${…}`), where anything may stand.
fn outside_references(text: &str) -> impl Iterator<Item = (usize, char)> + Clone + '_ {
    let mut end = 0;
    text.char_indices().filter(move |&(index, _)| {
        if index >= end && text[index..].starts_with("${") {
            // Without its end it is no reference, and the resolver says so.
            end = text[index..].find('}').map_or(index, |length| index + length + 1);
        }
        index >= end
    })
}

/// The two sides of the first of `delimiters` outside references, and which it was.
fn split_outside<'t>(text: &'t str, delimiters: &[char]) -> Option<(&'t str, char, &'t str)> {
    outside_references(text)
        .find(|(_, c)| delimiters.contains(c))
        .map(|(index, c)| (&text[..index], c, &text[index + c.len_utf8()..]))
}

/// The nearest of `known` to what was written, if it is near.
pub(super) fn nearest<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(written, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 2 && *distance * 2 < candidate.len())
        .min()
        .map(|(_, candidate)| candidate)
}

/// `yes` or `no` in the words that drivers take.
fn parse_yes_no(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// `TrustServerCertificate` and `integrated_security` are said the same way in both forms.
fn parse_integrated(value: &str) -> Option<Login> {
    if value.eq_ignore_ascii_case("sspi") {
        return Some(Login::Windows);
    }
    parse_yes_no(value).map(|yes| if yes { Login::Windows } else { Login::Database })
}

/// SQL Server: what stands before an instance's backslash or the port, in the words for this machine.
fn local_host(host: &str) -> &str {
    if host == "." || host.eq_ignore_ascii_case("(local)") { "localhost" } else { host }
}

/// A path in a text, if one is there.
fn path(value: &str) -> Option<PathBuf> {
    if value.is_empty() { None } else { Some(Path::new(value).to_path_buf()) }
}

/// Why a URL or connection string is not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConnectionError {
    /// What is wrong; never the password.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl ConnectionError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::Connection;

    /// What is said of texts that are no connection, a line each.
    pub(super) fn refusals<const N: usize>(texts: [&str; N]) -> String {
        let said = texts.map(|text| {
            let error = Connection::parse(text).unwrap_err();
            format!("{text}: {error} | {}", error.hint.as_deref().unwrap_or_default())
        });
        said.join("\n")
    }
}
