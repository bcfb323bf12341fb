//! A loopback Infiniti that keeps to the contract: for the demo, for rehearsals and for tests, with faults on demand.
//!
//! Its checks come from the same [contract](super::contract) as those of a push. Where the vendor says nothing it takes
//! the worse side: a blank cell clears what was there.

mod faults;
mod page;
mod store;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;

pub use faults::Fault;
use faults::{Faults, Kind};
use store::Store;
pub use store::{Patron, RequestRecord};

use super::contract::USERS;

/// How a sandbox is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen: a loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The account that may import.
    pub username: String,
    /// Its password.
    pub password: String,
    /// Where to keep the patrons; in memory if not given.
    pub file: Option<PathBuf>,
    /// What to do wrong.
    pub faults: Vec<Fault>,
}

/// A sandbox that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    authorization: String,
    store: Mutex<Store>,
    faults: Mutex<Faults>,
}

impl Shared {
    fn store(&self) -> std::sync::MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sandbox {
    /// Starts to listen.
    ///
    /// # Errors
    /// An address that is not loopback or not free; a file that cannot be read.
    pub async fn start(options: Options) -> io::Result<Self> {
        if !options.listen.ip().is_loopback() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the sandbox listens on loopback only, since pupils' data may be sent to it",
            ));
        }
        let credentials = STANDARD.encode(format!("{}:{}", options.username, options.password));
        let shared = Arc::new(Shared {
            authorization: format!("Basic {credentials}"),
            store: Mutex::new(Store::open(options.file)?),
            faults: Mutex::new(Faults::new(options.faults)),
        });
        let listener = tokio::net::TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .route("/", get(page))
            .route("/patrons.json", get(patrons_json))
            .route(USERS.path, post(import))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the sandbox ended");
            }
        });
        Ok(Self { address, shared, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address as a target's `url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The patrons in the order of their usernames.
    pub fn patrons(&self) -> Vec<Patron> {
        self.shared.store().patrons()
    }

    /// The uploads so far, oldest first.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.shared.store().requests().to_vec()
    }

    /// Stops listening.
    pub async fn stop(self) {
        self.server.abort();
        // Aborted is how it is meant to end.
        let mut server = self;
        let _aborted = (&mut server.server).await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn page(State(shared): State<Arc<Shared>>) -> Html<String> {
    Html(page::render(&shared.store()))
}

/// The patrons as JSON. Passwords are not among them.
async fn patrons_json(State(shared): State<Arc<Shared>>) -> Response {
    let patrons = shared.store().patrons();
    json(StatusCode::OK, &serde_json::to_string(&patrons).unwrap_or_default())
}

async fn import(State(shared): State<Arc<Shared>>, headers: HeaderMap, request: Request) -> Response {
    let fault = shared.faults.lock().unwrap_or_else(PoisonError::into_inner).next();
    let record = |rows, status: u16| shared.store().record(RequestRecord::fault(rows, status, fault.as_ref()));
    match &fault {
        Some(Kind::Status(status, wait)) => {
            record(0, *status);
            return status_answer(*status, *wait);
        }
        Some(Kind::Hang) => {
            record(0, 0);
            std::future::pending::<()>().await;
        }
        Some(Kind::Html) => {
            record(0, 200);
            return Html("<!doctype html><title>Sign in</title><h1>Sign in</h1>").into_response();
        }
        Some(Kind::Redirect) => {
            record(0, 302);
            return (StatusCode::FOUND, [(LOCATION, "https://login.example/sso?session=1")]).into_response();
        }
        Some(Kind::CutUpload(bytes)) => {
            record(0, 0);
            read_some(request, *bytes).await;
            return cut_answer(Bytes::new());
        }
        Some(Kind::Cut | Kind::BadJson | Kind::Miscount | Kind::NoDetails) | None => {}
    }
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if authorization != Some(shared.authorization.as_str()) {
        shared.store().record(RequestRecord::fault(0, 401, None));
        let mut answer = status_answer(401, None);
        answer.headers_mut().insert(WWW_AUTHENTICATE, axum::http::HeaderValue::from_static("Basic realm=\"sandbox\""));
        return answer;
    }
    let csv = match first_file(request).await {
        Ok(csv) => csv,
        Err(reason) => {
            shared.store().record(RequestRecord::fault(0, 400, None));
            return json(StatusCode::BAD_REQUEST, &result(false, &reason));
        }
    };
    let rejects = shared.faults.lock().unwrap_or_else(PoisonError::into_inner).rejects();
    let answer = shared.store().import(&csv, &rejects, fault.as_ref());
    match fault {
        Some(Kind::Cut) => cut_answer(Bytes::from(answer[..answer.len() / 2].to_owned())),
        Some(Kind::BadJson) => json(StatusCode::OK, &format!("Warning: deprecated\n{answer}")),
        _ => json(StatusCode::OK, &answer),
    }
}

/// The first part of the form that is a file, whatever its names.
async fn first_file(request: Request) -> Result<Bytes, String> {
    let mut form = Multipart::from_request(request, &()).await.map_err(|error| error.to_string())?;
    while let Some(field) = form.next_field().await.map_err(|error| error.to_string())? {
        if field.file_name().is_some() {
            return field.bytes().await.map_err(|error| error.to_string());
        }
    }
    Err("No file was uploaded.".into())
}

async fn read_some(request: Request, bytes: usize) {
    let mut body = request.into_body().into_data_stream();
    let mut read = 0;
    while read < bytes {
        match body.next().await {
            Some(Ok(part)) => read += part.len(),
            _ => break,
        }
    }
}

/// An answer that promises more than it holds; the connection ends in the middle.
fn cut_answer(start: Bytes) -> Response {
    let parts = [Ok(start), Err(io::Error::new(io::ErrorKind::ConnectionReset, "cut on demand"))];
    let stream = futures_util::stream::iter(parts).then(|part| async {
        // The start must be on its way before the end cuts it off.
        if part.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        part
    });
    ([(CONTENT_TYPE, "application/json")], Body::from_stream(stream)).into_response()
}

fn status_answer(status: u16, wait: Option<u64>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let words =
        if matches!(status.as_u16(), 401 | 403) { "Unauthorised. Check credentials." } else { "Fault on demand." };
    let mut answer = json(status, &result(false, words));
    if let Some(wait) = wait {
        answer.headers_mut().insert(RETRY_AFTER, wait.into());
    }
    answer
}

fn result(success: bool, summary: &str) -> String {
    serde_json::json!({ "success": success, "summary": summary }).to_string()
}

fn json(status: StatusCode, body: &str) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body.to_owned()).into_response()
}
