//! Where the state is.

use std::fmt;
use std::path::PathBuf;

use etcetera::{BaseStrategy, choose_base_strategy};

use super::StateError;

/// A store, as messages name it. What helps a file does not help a server, so the two are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A SQLite file.
    File(PathBuf),
    /// A PostgreSQL database, without the secrets of its URL.
    Server(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server(url) => f.write_str(url),
        }
    }
}

/// The file of this account: below `$STATE_DIRECTORY` (which systemd sets), or the platform's folder for the state of
/// programs: `$XDG_STATE_HOME` or `~/.local/state`, on Windows `%LOCALAPPDATA%`.
///
/// # Errors
/// [`StateError::NoFolder`] for an account without a home folder.
pub fn default_file() -> Result<PathBuf, StateError> {
    const NAME: &str = "state.db";
    if let Some(folder) = std::env::var_os("STATE_DIRECTORY").filter(|folder| !folder.is_empty()) {
        return Ok(PathBuf::from(folder).join(NAME));
    }
    let platform = choose_base_strategy().map_err(|_| StateError::NoFolder)?;
    // Windows has no such folder; what it calls the cache is the local application data, which does not roam.
    let folder = platform.state_dir().unwrap_or_else(|| platform.cache_dir());
    Ok(folder.join("sispush").join(NAME))
}
