//! The states of the mappings, in which it stands what was told.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::mapping::StateLocation;
use crate::mapping::notify::Contact;
use crate::source::SourceError;
use crate::state::{Identity, State, StateError};

/// The longest that looking into a state may take: what is told twice is better than nothing told.
const STATE_LIMIT: Duration = Duration::from_secs(10);

/// The states of one command's mappings. A server that did not answer once is not asked again: hundreds of schools that share
/// it would each wait for it.
pub(super) struct States<'s> {
    /// Goes before what the mappings say.
    given: Option<&'s StateLocation>,
    silent: Mutex<BTreeSet<String>>,
}

impl<'s> States<'s> {
    pub(super) fn new(given: Option<&'s StateLocation>) -> Self {
        Self { given, silent: Mutex::default() }
    }

    /// Where that of a mapping is.
    pub(super) fn location<'c>(&'c self, contact: &'c Contact) -> Option<&'c StateLocation> {
        self.given.or(contact.state.as_ref())
    }

    /// Opens that of a mapping to look at it; `None` if there is none.
    pub(super) async fn open(&self, contact: &Contact) -> Result<Option<State>, StateError> {
        let identity = contact
            .name
            .clone()
            .zip(contact.target.as_ref())
            .map(|(mapping, target)| Identity { mapping, target: target.to_string() });
        let (Some(location), Some(identity)) = (self.location(contact), identity) else { return Ok(None) };
        let StateLocation::Postgres(connection) = location else { return State::look(location, &identity).await };
        let server = connection.to_string();
        let silent = |source: io::Error| {
            let source = SourceError::Unreachable { address: connection.describe(), source };
            Err(StateError::Connect { place: crate::state::Place::Server(server.clone()), source })
        };
        if self.silent().contains(&server) {
            return silent(io::Error::other("it did not answer a moment ago"));
        }
        let look = tokio::time::timeout(STATE_LIMIT, State::look(location, &identity)).await;
        let look = look.unwrap_or_else(|_| silent(io::ErrorKind::TimedOut.into()));
        if matches!(look, Err(StateError::Connect { .. } | StateError::Busy { .. } | StateError::Lost { .. })) {
            self.silent().insert(server);
        }
        look
    }

    fn silent(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::mapping::notify::contact;

    /// Regression: each school of hundreds waited for the same dead server, and one that did not answer in time looked like a
    /// state that is not there yet, so that a school was told to have never been pushed.
    #[tokio::test]
    async fn a_server_that_does_not_answer_is_asked_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        std::thread::spawn({
            let asked = Arc::clone(&asked);
            move || listener.incoming().for_each(|_hung_up| _ = asked.fetch_add(1, Ordering::SeqCst))
        });
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("school.yaml");
        let text = format!("target: {{ url: https://x.example }}\nstate: postgres://u@127.0.0.1:{port}/sispush\n");
        std::fs::write(&file, text).unwrap();
        let (contact, states) = (contact(&file).unwrap(), States::new(None));
        states.open(&contact).await.unwrap_err();
        let first = asked.load(Ordering::SeqCst);
        states.open(&contact).await.unwrap_err();
        assert_eq!((first > 0, asked.load(Ordering::SeqCst)), (true, first));
    }
}
