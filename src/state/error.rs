//! What can go wrong with the state, and what to do about it.

use std::io;
use std::path::PathBuf;

use super::store::Owner;
use super::{Place, STATE_VERSION};
use crate::error::Hint;
use crate::source::SourceError;

/// Why the state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The platform names no folder for the state of programs.
    #[error("this account has no home folder to keep the state in")]
    NoFolder,
    /// A folder or file could not be made.
    #[error("could not create `{}`", path.display())]
    Create {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database behind `state: postgres://…` did not let us in.
    #[error("could not open the state `{place}`")]
    Connect {
        /// The store.
        place: Place,
        /// Why.
        source: SourceError,
    },
    /// The file, or the schema, is something else.
    #[error("`{place}` is not a state of sispush")]
    NotOurs {
        /// The store.
        place: Place,
    },
    /// A newer program wrote it.
    #[error("the state `{place}` has version {found}, and this sispush knows versions up to {STATE_VERSION}")]
    Newer {
        /// The store.
        place: Place,
        /// Its version.
        found: u32,
    },
    /// What is stored cannot be read.
    #[error("the state `{place}` is damaged")]
    Damaged {
        /// The store.
        place: Place,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// This account has not the right to write it.
    #[error("the state `{place}` cannot be written: it is read-only for this account")]
    ReadOnly {
        /// The store.
        place: Place,
    },
    /// No room.
    #[error("there is no room left for the state `{place}`")]
    Full {
        /// The store.
        place: Place,
    },
    /// Other runs keep the store busy.
    #[error("the state `{place}` was busy for too long")]
    Busy {
        /// The store.
        place: Place,
    },
    /// The connection to the server ended, and the lock with it.
    #[error("the connection to the state `{place}` was lost")]
    Lost {
        /// The store.
        place: Place,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another run has the lock.
    #[error("another run of this mapping is under way: {}", held_by(owner.as_ref()))]
    Held {
        /// Who, as far as that is known.
        owner: Option<Owner>,
    },
    /// Anything else.
    #[error("the state `{place}` failed")]
    Failed {
        /// The store.
        place: Place,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn held_by(owner: Option<&Owner>) -> String {
    match owner {
        Some(Owner { host, process, since }) => {
            format!("process {process} on `{host}`, since {since:.0}")
        }
        None => "it began just now".to_owned(),
    }
}

impl StateError {
    /// Whether another run has the lock.
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Held { .. })
    }

    /// What to edit or run.
    pub fn hint(&self) -> Option<Hint> {
        Some(match self {
            Self::NoFolder => "name a file with `--state FILE`, or with `state:` in the mapping".into(),
            Self::Create { .. } => {
                "does the folder exist, is there room, and may this account write there? `--state FILE` names another place".into()
            }
            Self::Connect { source: SourceError::PermissionDenied { .. }, .. } => {
                "let the database's administrator run `GRANT CONNECT ON DATABASE …` for this account".into()
            }
            // A source's own hints name its keys, which are not those of a state.
            Self::Connect { source: SourceError::Busy { .. }, .. } => {
                "is the server starting, or has it too few connections? each mapping that is pushed needs one: let its administrator raise `max_connections`, or push with fewer `--jobs`".into()
            }
            Self::Connect { source: SourceError::LoginRefused { .. }, .. } => {
                "check the username and the password in the address of the state (`state:` or `--state`)".into()
            }
            Self::Connect {
                source: SourceError::NameNotResolved { .. } | SourceError::DatabaseMissing { .. },
                ..
            } => "check the host and the database in the address of the state (`state:` or `--state`)".into(),
            Self::Connect { source, .. } => return source.hint(),
            Self::NotOurs { place: Place::File(_) } => {
                "name a file of its own for the state, which is made when it does not exist; if this was the state, it is damaged: put back a copy from before, or move it out of the way".into()
            }
            Self::NotOurs { place: Place::Server(_) } => {
                "the database has a schema `sispush` of somebody else's; name another database for the state".into()
            }
            Self::Newer { .. } => "install the newer sispush here too, or name another state with `--state`".into(),
            Self::Damaged { place: Place::File(_), .. } => {
                "put back a copy of the file from before, or move it out of the way: the next push then sends everybody, which does no harm, but who left in between is not noticed".into()
            }
            Self::Damaged { place: Place::Server(_), .. } => {
                "put back a copy of the schema `sispush` from before, or drop it: the next push then sends everybody, which does no harm, but who left in between is not noticed".into()
            }
            Self::ReadOnly { place: Place::File(_) } => {
                "give this account the right to write the file and its folder; nothing more is sent until then".into()
            }
            Self::ReadOnly { place: Place::Server(_) } => {
                "is this a replica? if not, let the database's administrator run `GRANT CREATE ON DATABASE …` for this account once; if another account made the schema `sispush`, this one needs rights on it and its tables, and the first push with a newer sispush must be that account's".into()
            }
            Self::Full { .. } => "make room on that disk and run again; what was sent without a record is sent again".into(),
            Self::Busy { place: Place::File(_) } => {
                "is a backup or another program keeping the file open? run again later".into()
            }
            Self::Busy { place: Place::Server(_) } => {
                "is a backup or another program holding the tables of the schema `sispush`? run again later".into()
            }
            Self::Lost { .. } => {
                "was the server restarted, or does a firewall end idle connections? run again: what was sent without a record is sent again".into()
            }
            Self::Held { .. } => {
                "wait until it ends, or end it; a run that died lets go of the lock by itself".into()
            }
            Self::Failed { place: Place::File(_), .. } => {
                "is there room on the disk, and is it one of this machine? a network drive is no place for the state".into()
            }
            Self::Failed { place: Place::Server(_), .. } => return None,
        })
    }
}
