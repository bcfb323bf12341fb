//! The page for a screen on the wall: made anew when it is asked for, at most every few seconds.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::words::{escaped, sentence};
use crate::error::{Error, with_causes};
use crate::infiniti::sandbox::is_for_loopback;

/// For so long a page is good: ten screens cost as much as one.
const FRESH: Duration = Duration::from_secs(10);

type Made = Pin<Box<dyn Future<Output = Result<String, Error>> + Send>>;

struct Shared {
    make: Box<dyn Fn() -> Made + Send + Sync>,
    /// The last answer, and when it was made.
    made: Mutex<Option<(Instant, StatusCode, String)>>,
    is_loopback: bool,
}

/// A running server. It ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Begins to listen. `make` makes the page.
    ///
    /// # Errors
    /// An address that is not free, or not this machine's.
    pub async fn start<F>(listen: SocketAddr, make: impl Fn() -> F + Send + Sync + 'static) -> io::Result<Self>
    where
        F: Future<Output = Result<String, Error>> + Send + 'static,
    {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            make: Box::new(move || Box::pin(make())),
            made: Mutex::new(None),
            is_loopback: listen.ip().is_loopback(),
        });
        let router = Router::new().route("/", get(index)).with_state(shared);
        let task = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { address, task })
    }

    /// Where the page is.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Waits for the end of it, which only a signal brings about.
    pub async fn ended(mut self) {
        // Fails only if the server panicked, and then it has ended too.
        drop((&mut self.task).await);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn index(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if shared.is_loopback && !is_for_loopback(&headers) {
        return (StatusCode::FORBIDDEN, "the report answers to loopback names only\n").into_response();
    }
    let mut made = shared.made.lock().await;
    if let Some((at, status, html)) = &*made
        && at.elapsed() < FRESH
    {
        return answer(*status, html.clone());
    }
    let (status, html) = match (shared.make)().await {
        Ok(page) => (StatusCode::OK, page),
        Err(error) => {
            tracing::warn!(error = with_causes(&error), "the report could not be made");
            (StatusCode::SERVICE_UNAVAILABLE, failed(&error))
        }
    };
    *made = Some((Instant::now(), status, html.clone()));
    answer(status, html)
}

fn answer(status: StatusCode, html: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, "frame-ancestors 'none'"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (status, headers, html).into_response()
}

/// A screen must say that it shows nothing, and go on asking. Causes are for the log: they may be a database's words.
fn failed(error: &Error) -> String {
    let hint = error.hint().map(|hint| format!("<p>{}</p>", escaped(&sentence(&hint)))).unwrap_or_default();
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'\">\
         <meta http-equiv=\"refresh\" content=\"30\"><title>sispush report</title></head>\
         <body><h1>There is no report just now</h1><p>{}</p>{hint}<p>It is tried again in half a minute.</p></body></html>\n",
        escaped(&sentence(&error.told()))
    )
}
