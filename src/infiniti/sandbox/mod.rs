//! A loopback Infiniti that keeps to the contract, for rehearsals, the demo and the tests, with faults on demand.
//!
//! Basic auth; `POST /api/import/users` takes the first file part whatever its names; patrons are matched by username and
//! checked by the contract; answers have the three shapes of the vendor's page. `GET /` is a page to look at, and
//! `GET /patrons.json` the patrons. It never listens but on this machine.
//!
//! Chosen where the vendor does not say: bad credentials are answered with status 401; a blank cell clears a value; an
//! upload that is no import (an unknown header) is refused with status 400.

mod faults;
mod page;
mod socket;
mod store;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::secret::Secret;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest, Multipart, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use regex::Regex;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use faults::FaultKind;
pub use faults::{Fault, FaultError};
pub(crate) use page::is_for_loopback;
use socket::{Connection, CuttableListener};
use store::{Imported, Outcome, Store};

use super::contract::USERS_PATH;

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
    /// Where the patrons are kept; in memory only if there is none.
    pub file: Option<PathBuf>,
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
            faults: Vec::new(),
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
    /// Its path.
    pub path: String,
    /// The status of the answer; `None` if there was no answer.
    pub status: Option<u16>,
    /// Rows of the upload.
    pub rows: usize,
    /// Patrons created.
    pub created: usize,
    /// Patrons updated.
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
    pub async fn start(options: Options) -> io::Result<Self> {
        if !options.listen.ip().is_loopback() {
            let message = format!("the sandbox listens on loopback addresses only, not on `{}`", options.listen.ip());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let store = options.file.as_deref().map_or_else(|| Ok(Store::default()), Store::load)?;
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            username: options.username,
            password: options.password,
            file: options.file,
            state: Mutex::new(Inner { store, faults: options.faults, requests: VecDeque::new() }),
        });
        let router = Router::new()
            .route("/", get(page::index))
            .route("/patrons.json", get(page::patrons_json))
            .route(USERS_PATH, post(import))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&shared));
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
        self.shared.lock().store.patrons()
    }

    /// The last 1000 requests for an import, oldest first.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.shared.lock().requests.iter().cloned().collect()
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
    fn strike(&self) -> (Option<Fault>, Option<Regex>) {
        let mut inner = self.lock();
        let mut reject = None;
        let mut struck: Option<Fault> = None;
        for fault in &mut inner.faults {
            if let FaultKind::Reject { pattern } = fault.kind.clone() {
                if reject.is_none() && fault.strikes() {
                    reject = Some(pattern);
                }
            } else if struck.is_none() && fault.strikes() {
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
    fn import(&self, csv: &[u8], reject: Option<&Regex>) -> io::Result<Result<Imported, String>> {
        let mut inner = self.lock();
        let imported = inner.store.import(csv, reject);
        if let Some(path) = &self.file {
            inner.store.save(path)?;
        }
        Ok(imported)
    }
}

async fn import(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let (struck, reject) = shared.strike();
    let mut record = RequestRecord {
        time: Timestamp::now(),
        path: request.uri().path().to_owned(),
        status: None,
        rows: 0,
        created: 0,
        updated: 0,
        failed: 0,
        fault: struck
            .as_ref()
            .map(ToString::to_string)
            .or_else(|| reject.as_ref().map(|pattern| format!("reject={pattern}"))),
    };
    let kind = struck.map(|fault| fault.kind);
    if let Some(FaultKind::CutUpload { bytes }) = kind {
        read_some(request.into_body(), bytes).await;
        shared.record(record);
        connection.cut();
        return StatusCode::NO_CONTENT.into_response();
    }
    let authorised = shared.is_authorised(request.headers());
    // Read to the end even if it will be refused: a client that cannot finish may miss the answer.
    let csv = first_file(request).await;
    let refusal = match (&kind, &csv) {
        (Some(FaultKind::Status { status, retry_after }), _) => Some(status_answer(*status, *retry_after)),
        (Some(FaultKind::Redirect), _) => Some(redirect_answer()),
        (Some(FaultKind::Html), _) => Some(html_answer()),
        _ if !authorised => Some(status_answer(401, None)),
        (_, Err(refused)) => Some(refused_answer(refused)),
        _ => None,
    };
    let answer = match (refusal, csv) {
        (Some(refusal), _) => refusal,
        (None, Ok(csv)) => {
            let worker = Arc::clone(&shared);
            let imported = tokio::task::spawn_blocking(move || worker.import(&csv, reject.as_ref())).await;
            match imported.map_err(io::Error::other).flatten() {
                Ok(Ok(imported)) => {
                    record.rows = imported.outcomes.len();
                    record.created = imported.count(|outcome| *outcome == Outcome::Created);
                    record.updated = imported.count(|outcome| *outcome == Outcome::Updated);
                    record.failed = imported.count(|outcome| matches!(outcome, Outcome::Failed(_)));
                    import_answer(&imported, &record, kind.as_ref())
                }
                Ok(Err(refused)) => refused_answer(&refused),
                Err(error) => {
                    tracing::warn!(%error, "the sandbox could not keep its patrons");
                    StatusCode::INTERNAL_SERVER_ERROR.into_response()
                }
            }
        }
        (None, Err(refused)) => refused_answer(&refused),
    };
    if matches!(kind, Some(FaultKind::Hang)) && authorised {
        shared.record(record);
        connection.ended().await;
        return answer;
    }
    record.status = Some(answer.status().as_u16());
    shared.record(record);
    if matches!(kind, Some(FaultKind::Cut)) && authorised {
        cut_in_the_middle(answer, connection).await
    } else {
        answer
    }
}

async fn read_some(body: Body, bytes: usize) {
    let mut read = 0;
    let mut chunks = body.into_data_stream();
    while read < bytes {
        match chunks.next().await {
            Some(Ok(chunk)) => read += chunk.len(),
            _ => break,
        }
    }
}

/// The first file part, whatever its names. An error says why there is none.
async fn first_file(request: Request) -> Result<Bytes, String> {
    let unreadable = |_| "The upload cannot be read.".to_owned();
    let mut parts =
        Multipart::from_request(request, &()).await.map_err(|_| "The upload is not multipart/form-data.".to_owned())?;
    let mut file = None;
    while let Some(part) = parts.next_field().await.map_err(unreadable)? {
        if part.file_name().is_some() && file.is_none() {
            file = Some(part.bytes().await.map_err(|_| "The upload cannot be read.".to_owned())?);
        }
    }
    file.ok_or_else(|| "The upload has no file.".to_owned())
}

/// The answer to an import, in the vendor's shapes: details of every row, and only if some failed.
fn import_answer(imported: &Imported, record: &RequestRecord, fault: Option<&FaultKind>) -> Response {
    if matches!(fault, Some(FaultKind::BadJson)) {
        return json_answer(StatusCode::OK, "{\"success\": tru".to_owned());
    }
    let mut processed = record.rows;
    let (mut created, mut updated, mut failed) = (record.created, record.updated, record.failed);
    if matches!(fault, Some(FaultKind::Miscount)) {
        processed = processed.checked_sub(1).unwrap_or(1);
    }
    let no_details = matches!(fault, Some(FaultKind::NoDetails));
    if no_details && failed == 0 {
        failed = 1;
        (created, updated) = if created > 0 { (created - 1, updated) } else { (0, updated.saturating_sub(1)) };
    }
    let users = |count: usize, verb| format!("{count} user{} {verb}.", if count == 1 { "" } else { "s" });
    let summary =
        [users(processed, "processed"), users(created, "created"), users(updated, "updated"), users(failed, "failed")];
    let mut answer = serde_json::json!({ "success": failed == 0, "summary": summary.join(" ") });
    if failed > 0 && !no_details {
        let details = imported.outcomes.iter().enumerate().map(|(index, outcome)| {
            let text = match outcome {
                Outcome::Created => "User Created",
                Outcome::Updated => "User Updated",
                Outcome::Failed(error) => error,
            };
            ((index + 1).to_string(), text.into())
        });
        answer["details"] = serde_json::Value::Object(details.collect());
    }
    json_answer(StatusCode::OK, answer.to_string())
}

fn json_answer(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn refused_answer(reason: &str) -> Response {
    let body = serde_json::json!({ "success": false, "summary": format!("{reason} No users were imported.") });
    json_answer(StatusCode::BAD_REQUEST, body.to_string())
}

fn status_answer(status: u16, retry_after: Option<u64>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = if status == StatusCode::UNAUTHORIZED {
        json_answer(status, r#"{"success": false, "summary":"Unauthorised. Check credentials."}"#.to_owned())
    } else {
        (status, format!("{status}\n")).into_response()
    };
    if let Some(seconds) = retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    answer
}

fn redirect_answer() -> Response {
    (StatusCode::FOUND, [(header::LOCATION, "https://sso.example.invalid/login?return=import")]).into_response()
}

fn html_answer() -> Response {
    let page = "<!doctype html><title>Sign in</title><form method=post><input name=user><input type=password></form>";
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

/// The same answer, of which half arrives before the connection is reset.
async fn cut_in_the_middle(answer: Response, connection: Connection) -> Response {
    let (parts, body) = answer.into_parts();
    let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let mut parts = parts;
    parts.headers.insert(header::CONTENT_LENGTH, whole.len().into());
    let half = whole.slice(..whole.len() / 2);
    let body = stream::once(async move { Ok::<_, io::Error>(half) }).chain(stream::once(async move {
        // Gives the server a turn to send what it has.
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        connection.cut();
        Err(io::ErrorKind::ConnectionReset.into())
    }));
    Response::from_parts(parts, Body::from_stream(body))
}
