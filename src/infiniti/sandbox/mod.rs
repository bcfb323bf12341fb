//! A loopback Infiniti that keeps to the contract, for rehearsals, the demo and the tests, with faults on demand.
//!
//! Basic auth; each feed is posted to the contract's path, and the first file part is taken whatever its names; patrons are
//! matched by username and checked by the contract; answers have the three shapes of the vendor's page. `GET /` is a page to
//! look at; `GET /patrons.json`, `/contacts.json`, `/images.json` and `/groups.json` are what it holds, `/images/ID` a
//! picture. It never listens but on this machine.
//!
//! The vendor's paths for images and groups are not known. `/sandbox/images` and `/sandbox/groups/{mode}` (`add`, `replace`)
//! are the sandbox's own, and say so by their name: they are nothing that a school's Infiniti would answer to.
//!
//! Chosen where the vendor does not say: bad credentials are answered with status 401; a blank cell clears a value; an
//! upload that is no import (an unknown header) is refused with status 400, one that is too large with 413; the answers to
//! contacts, images and groups are like those to accounts. What is chosen for one feed stands in its file.
//!
//! A feed is a file with its `FEED`, and an entry in `feed::FEEDS` and in `store::Store`.

mod contacts;
mod faults;
mod feed;
mod groups;
mod images;
mod import;
mod page;
mod patrons;
mod socket;
mod store;
mod table;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::secret::Secret;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, header};
use axum::routing::{get, post};
use base64::Engine as _;
use jiff::Timestamp;
use regex::Regex;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use faults::FaultKind;
pub use faults::{Fault, FaultError};
use feed::{FEEDS, Feed, Imported, Order, Refused, Upload};
pub use groups::{DEFAULT_GROUPS, SYSTEM_GROUP};
pub(crate) use page::is_for_loopback;
use socket::{Connection, CuttableListener};
use store::Store;

/// How many requests are remembered.
const REQUESTS_MAX: usize = 1000;

/// How a sandbox starts.
#[derive(Debug)]
pub struct Options {
    /// Where it listens; a loopback address. Port 0 is any free one.
    pub listen: SocketAddr,
    /// The account that may import.
    pub username: String,
    /// Its password.
    pub password: Secret,
    /// Where everything is kept, the pictures in a folder beside it; in memory only if there is none.
    pub file: Option<PathBuf>,
    /// The library groups that exist, beside [`SYSTEM_GROUP`].
    pub groups: Vec<String>,
    /// What goes wrong. The first one that still strikes does; `reject=` works beside the others.
    pub faults: Vec<Fault>,
}

impl Options {
    /// On any free port, in memory, without faults.
    pub fn new(username: impl Into<String>, password: impl Into<Secret>) -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            username: username.into(),
            password: password.into(),
            file: None,
            groups: DEFAULT_GROUPS.map(str::to_owned).into(),
            faults: Vec::new(),
        }
    }
}

/// Why a sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Others could reach it.
    #[error("the sandbox listens on loopback addresses only, not on `{0}`")]
    NotLoopback(IpAddr),
    /// The port is taken, or not ours to take.
    #[error("could not listen on `{address}`")]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The file is there, and is not one that a sandbox wrote, or a picture that it names is not.
    #[error("could not read what the sandbox kept in `{path}`", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
}

impl StartError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotLoopback(_) | Self::Listen { .. } => {
                "choose a free loopback address with `--listen`, such as `127.0.0.1:0`"
            }
            Self::File { .. } => "move it away to begin with an empty sandbox, or name another file with `--file`",
        }
    }
}

/// A running sandbox. It ends when it is dropped.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
    stop: DropGuard,
}

/// One request for an import, as the sandbox saw it.
#[derive(Clone, Debug)]
pub struct RequestRecord {
    /// When it came.
    pub time: Timestamp,
    /// The feed that it brought.
    pub feed: &'static str,
    /// Its path.
    pub path: String,
    /// The status of the answer; `None` if there was no answer.
    pub status: Option<u16>,
    /// Rows of the upload.
    pub rows: usize,
    /// Rows that made something new.
    pub created: usize,
    /// Rows of which something was known.
    pub updated: usize,
    /// Rows that failed.
    pub failed: usize,
    /// The fault that struck.
    pub fault: Option<String>,
}

impl Sandbox {
    /// Starts to listen.
    ///
    /// # Errors
    /// An address that is not loopback, or not free; a file that cannot be read.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        if !options.listen.ip().is_loopback() {
            return Err(StartError::NotLoopback(options.listen.ip()));
        }
        let store = Store::new(&options.groups);
        let store = match &options.file {
            Some(path) => store.load(path).map_err(|source| StartError::File { path: path.clone(), source })?,
            None => store,
        };
        let unheard = |source| StartError::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(unheard)?;
        let address = listener.local_addr().map_err(unheard)?;
        let shared = Arc::new(Shared {
            username: options.username,
            password: options.password,
            file: options.file,
            state: Mutex::new(Inner { store, faults: options.faults, requests: VecDeque::new() }),
        });
        let mut router = Router::new().route("/", get(page::index)).route("/images/{id}", get(page::picture));
        for feed in FEEDS {
            router = router
                .route(
                    feed.path(),
                    post(move |state, connection, request| import::import(feed, state, connection, request)),
                )
                .route(
                    &format!("/{}.json", feed.records_name),
                    get(async move |State(shared): State<Arc<Shared>>, headers: HeaderMap| {
                        page::records_json(feed, &shared, &headers)
                    }),
                );
        }
        let router = router.layer(DefaultBodyLimit::disable()).with_state(Arc::clone(&shared));
        let stop = CancellationToken::new();
        let serve = axum::serve(
            CuttableListener { listener, stop: stop.clone() },
            router.into_make_service_with_connect_info::<Connection>(),
        )
        .with_graceful_shutdown(stop.clone().cancelled_owned());
        let server = tokio::spawn(async move { drop(serve.await) });
        Ok(Self { address, shared, server, stop: stop.drop_guard() })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address as a mapping's `target.url` has it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The patrons by username, each with the headers that are filled. A password is shown as `(set)`.
    pub fn patrons(&self) -> Vec<BTreeMap<String, String>> {
        self.records(&patrons::FEED)
    }

    /// The contacts by username, each with the headers that are filled, in the order in which they came.
    pub fn contacts(&self) -> Vec<BTreeMap<String, String>> {
        self.records(&contacts::FEED)
    }

    /// The pictures as `adminsystemid` and `image`, which describes one by its kind, its bytes and the first 32 hexadecimal
    /// digits of its SHA-256: `jpg 23512 9f86d081884c7d659a2feaa0c55ad015`.
    pub fn images(&self) -> Vec<BTreeMap<String, String>> {
        self.records(&images::FEED)
    }

    /// Who is in which library group, as `username` and `group`, in that order.
    pub fn groups(&self) -> Vec<BTreeMap<String, String>> {
        self.records(&groups::FEED)
    }

    /// Each feed with the path that takes it.
    pub fn paths() -> impl Iterator<Item = (&'static str, &'static str)> {
        FEEDS.iter().map(|feed| (feed.contract.feed, feed.path()))
    }

    /// The last 1000 requests for an import, oldest first.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.shared.lock().requests.iter().cloned().collect()
    }

    fn records(&self, feed: &Feed) -> Vec<BTreeMap<String, String>> {
        (feed.records)(&self.shared.lock().store).map(|record| record.filled()).collect()
    }

    /// Stops listening and cuts every connection.
    pub async fn stop(self) {
        drop(self.stop);
        // Fails only if the server panicked, and then it has stopped too.
        drop(self.server.await);
    }
}

struct Shared {
    username: String,
    password: Secret,
    file: Option<PathBuf>,
    state: Mutex<Inner>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

struct Inner {
    store: Store,
    faults: Vec<Fault>,
    requests: VecDeque<RequestRecord>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_authorised(&self, headers: &HeaderMap) -> bool {
        let expected = format!("{}:{}", self.username, self.password.expose_secret());
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given =
            given.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
        given
            .and_then(|(_, encoded)| base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok())
            .is_some_and(|given| given == expected.as_bytes())
    }

    /// The fault that strikes this import, and the pattern that rejects rows of it.
    fn strike(&self, feed: &str) -> (Option<Fault>, Option<Regex>) {
        let mut inner = self.lock();
        let mut reject = None;
        let mut struck: Option<Fault> = None;
        for fault in &mut inner.faults {
            if let FaultKind::Reject { pattern } = fault.kind.clone() {
                if reject.is_none() && fault.strikes(feed) {
                    reject = Some(pattern);
                }
            } else if struck.is_none() && fault.strikes(feed) {
                struck = Some(fault.clone());
            }
        }
        (struck, reject)
    }

    fn record(&self, record: RequestRecord) {
        let mut inner = self.lock();
        if inner.requests.len() == REQUESTS_MAX {
            inner.requests.pop_front();
        }
        inner.requests.push_back(record);
    }

    /// Imports and keeps. The outer error is that of the file.
    fn import(&self, feed: &Feed, upload: &Upload, order: &Order<'_>) -> io::Result<Result<Imported, Refused>> {
        let mut inner = self.lock();
        let imported = (feed.import)(&mut inner.store, upload, order);
        if let Some(path) = &self.file {
            inner.store.save(path)?;
        }
        Ok(imported)
    }
}
