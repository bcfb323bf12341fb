//! Where the state is kept, taken apart from a text.

use std::path::{Path, PathBuf};

use super::load;
use super::secret::{self, Commands, Fault, Secrets};
use crate::error::Hint;
use crate::source::Connection;

/// Where it is kept what Infiniti has accepted.
#[derive(Clone, Debug)]
pub enum StateLocation {
    /// The platform's usual place.
    Default,
    /// Nowhere: every push is the first.
    None,
    /// A SQLite file, which need not exist yet.
    File(PathBuf),
    /// A PostgreSQL database, for many machines that share one state.
    Postgres(Box<Connection>),
}

/// Why a text names no place for the state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StateLocationError {
    /// What is wrong. Never holds a password.
    pub message: String,
    /// What to write instead.
    pub hint: Option<Hint>,
}

const EXAMPLES: &str = "write a file's path, `postgres://user@host/database`, or `none`";
const POSTGRES_EXAMPLE: &str = "write it like `postgres://user:${STATE_PASSWORD}@host:5432/database`";
const WRITTEN_OUT: &str =
    "write it out, and only its secrets as references: `postgres://user:${STATE_PASSWORD}@host/database`";

impl StateLocation {
    /// Takes a file's path, a PostgreSQL address or the word `none` apart. A relative path starts from `folder`.
    /// References to secrets (`${NAME}`) stay until [`StateLocation::resolved`], so any character in a secret is safe.
    ///
    /// # Errors
    /// When the text is none of these, or another engine's address.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, StateLocationError> {
        let text = text.trim();
        let error =
            |message: String, hint: &'static str| Err(StateLocationError { message, hint: Some(Hint::Borrowed(hint)) });
        if text.is_empty() {
            return error("the place of the state is blank".into(), EXAMPLES);
        }
        if text.eq_ignore_ascii_case("none") {
            return Ok(Self::None);
        }
        if is_one_reference(text) {
            return error("the place of the state cannot be a reference as a whole".into(), WRITTEN_OUT);
        }
        if let Some(scheme) = scheme(text) {
            return match scheme.to_ascii_lowercase().as_str() {
                "postgres" | "postgresql" => postgres(text),
                "sqlite" | "file" => error(
                    format!("a file for the state is written without `{scheme}:`"),
                    "write the path alone, such as `state/school.db`",
                ),
                _ => error(format!("the state cannot be kept in `{scheme}:`"), EXAMPLES),
            };
        }
        let lower = text.to_ascii_lowercase();
        if ["password=", "pwd="].iter().any(|key| lower.contains(key)) {
            return error("a connection string is no place for the state".into(), EXAMPLES);
        }
        if lower == ":memory:" {
            return error("a state in memory is forgotten at once".into(), "write a file's path, or `none`");
        }
        if text.ends_with(['/', '\\']) || matches!(text, "." | "..") {
            return error("the place of the state is a folder".into(), "add the name of a file: `state/school.db`");
        }
        Ok(Self::File(folder.join(text)))
    }

    /// The place with the references of a PostgreSQL address replaced: from the environment, or from the file `.env` in
    /// `folder`. A file's path stays as it is.
    ///
    /// # Errors
    /// With the first secret that is missing.
    pub fn resolved(&self, folder: &Path) -> Result<Self, StateLocationError> {
        let mut resolved = self.clone();
        if let Self::Postgres(connection) = &mut resolved {
            let folders = [folder.to_owned()];
            let mut secrets = Secrets::new(&folders, Commands::Refused, &secret::environment);
            load::resolve_source(connection, &mut secrets, folder, folder)?;
        }
        Ok(resolved)
    }

    /// The place as a mapping names it, with every reference replaced and a relative path started from the mapping's
    /// folder.
    pub(super) fn expanded(&self, secrets: &mut Secrets<'_>, folder: &Path) -> Result<Self, Fault> {
        Ok(match self {
            Self::Default => Self::Default,
            Self::None => Self::None,
            Self::File(path) => {
                let path = load::expand_path(path, secrets, Path::new(""))?;
                // A password in an address must not become a file's name, which messages show.
                if path.to_str().is_some_and(|text| scheme(text).is_some()) {
                    return Err(Fault::new(
                        "`state` is a file's path, and becomes an address once its references are replaced",
                        WRITTEN_OUT,
                    ));
                }
                Self::File(folder.join(path))
            }
            Self::Postgres(connection) => {
                let mut connection = connection.clone();
                load::resolve_source(&mut connection, secrets, folder, folder)?;
                Self::Postgres(connection)
            }
        })
    }
}

impl From<Fault> for StateLocationError {
    fn from(fault: Fault) -> Self {
        Self { message: fault.message, hint: fault.hint }
    }
}

/// The connection's own hints speak of a source and its keys, which a state has not.
fn postgres(text: &str) -> Result<StateLocation, StateLocationError> {
    match Connection::parse(text) {
        Ok(connection) => Ok(StateLocation::Postgres(Box::new(connection))),
        Err(error) => Err(StateLocationError { message: error.message, hint: Some(POSTGRES_EXAMPLE.into()) }),
    }
}

fn is_one_reference(text: &str) -> bool {
    text.starts_with("${") && text.find('}') == Some(text.len() - 1)
}

/// The scheme of a text that looks like an address. The one letter of a Windows drive is none.
fn scheme(text: &str) -> Option<&str> {
    const WITHOUT_SLASHES: [&str; 9] =
        ["sqlite", "file", "postgres", "postgresql", "mysql", "mariadb", "mssql", "sqlserver", "odbc"];
    let (scheme, rest) = text.split_once(':')?;
    let is_like_one = scheme.len() > 1
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '+' | '-' | '.'));
    (is_like_one && (rest.starts_with("//") || WITHOUT_SLASHES.iter().any(|known| known.eq_ignore_ascii_case(scheme))))
        .then_some(scheme)
}

#[cfg(test)]
mod tests {

    use super::*;

    fn check(text: &str, expected: &str) {
        let folder = Path::new("folder");
        let actual = match StateLocation::parse(text, folder) {
            Ok(StateLocation::Default) => "the default".to_owned(),
            Ok(StateLocation::None) => "none".to_owned(),
            Ok(StateLocation::File(path)) => match path.strip_prefix(folder) {
                Ok(path) => format!("in the folder: {}", path.display()),
                Err(_) => format!("file: {}", path.display()),
            },
            Ok(StateLocation::Postgres(connection)) => connection.describe(),
            Err(error) => {
                assert!(error.hint.is_some(), "{text}");
                error.message
            }
        };
        assert_eq!(actual, expected, "{text}");
    }

    #[test]
    fn a_state_is_a_file_or_a_database_or_nothing() {
        check("state.db", "in the folder: state.db");
        check(" ../states/a b.sqlite ", "in the folder: ../states/a b.sqlite");
        check("${DIR}/state.db", "in the folder: ${DIR}/state.db");
        check("./none", "in the folder: none");
        // A name with a colon is a name, where the platform allows it.
        check("a:b", "in the folder: a:b");
        check("none", "none");
        check("None", "none");
        check("postgres://svc@db.example/state", "postgres://db.example/state");
        check("PostgreSQL://svc@db.example:5433/state", "postgres://db.example:5433/state");
        #[cfg(unix)]
        check("/var/lib/sispush/state.db", "file: /var/lib/sispush/state.db");
        #[cfg(windows)]
        check(r"C:\sispush\state.db", r"file: C:\sispush\state.db");
    }

    #[test]
    fn what_else_there_is_is_refused() {
        check("", "the place of the state is blank");
        check("  ", "the place of the state is blank");
        check("${STATE}", "the place of the state cannot be a reference as a whole");
        check("sqlite:state.db", "a file for the state is written without `sqlite:`");
        check("SQLite:///srv/state.db", "a file for the state is written without `SQLite:`");
        check("file:state.db", "a file for the state is written without `file:`");
        check("mysql://u:hunter2@db.example/state", "the state cannot be kept in `mysql:`");
        check("mssql:db", "the state cannot be kept in `mssql:`");
        check("https://example.com/state", "the state cannot be kept in `https:`");
        check("Server=x;Database=y;PWD=hunter2", "a connection string is no place for the state");
        check(":memory:", "a state in memory is forgotten at once");
        check("states/", "the place of the state is a folder");
        check(r"states\", "the place of the state is a folder");
        check("..", "the place of the state is a folder");
        check("postgres:state", "`postgres:` must be followed by `//`");
        check("postgres://svc@db.example", "the URL names no database");
    }

    #[test]
    fn a_password_is_not_shown() {
        let state = StateLocation::parse("postgres://svc:hunter2@db.example/state", Path::new("")).unwrap();
        assert!(!format!("{state:?}").contains("hunter2"));
    }

    #[test]
    fn references_of_an_address_alone_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "a@b:/${X}\n").unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let parse = |text| StateLocation::parse(text, folder.path()).unwrap();

        let written = parse("postgres://svc:${file:secret}@db.example/state");
        let StateLocation::Postgres(connection) = written.resolved(folder.path()).unwrap() else { panic!() };
        assert_eq!(connection.password.unwrap().expose_secret(), "a@b:/${X}");
        let missing = parse("postgres://svc:${file:nowhere}@db.example/state").resolved(folder.path()).unwrap_err();
        assert!(missing.message.ends_with("does not exist") && missing.hint.is_some());
        let file = parse("${file:secret}.db").resolved(folder.path()).unwrap();
        assert!(matches!(file, StateLocation::File(path) if path == folder.path().join("${file:secret}.db")));
    }
}
