//! Posts batches and judges what comes back: the only way out of this program, and the only maker of a [`Receipt`].
//!
//! A batch is sent again after a transient failure ([`TargetError::is_transient`]), a bounded number of times. That is
//! safe after an answer that leaves everything open, since the import matches by username; after a timeout it is off by
//! default, because the first import may still be running.

pub(crate) mod connect;
mod probe;
mod receipt;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::secret::Secret;
use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use futures_util::stream;
use jiff::Timestamp;
use reqwest::header;
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Client};
use rustls::CertificateError;
use url::Url;

use super::answer::{Answer, Doubt, Outcomes, Sent, Verdict, judge};
use super::contract::{Contract, USERS, USERS_PATH};
pub use super::error::TargetError;
use crate::mapping::{Proxy, TargetSettings};
use connect::{NameFailure, builder, causes, copy, io_source, proxy_for};
pub use probe::Way;
pub use receipt::Receipt;

/// The longest answer that is read. A million rows, each failing with a long reason, fit.
const ANSWER_MAX: usize = 256 * 1024 * 1024;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Where a feed's batches go.
#[derive(Clone, Copy, Debug)]
pub struct Route<'r> {
    /// The feed's contract.
    pub contract: &'static Contract,
    /// The path below the school's address.
    pub path: &'r str,
}

impl Route<'static> {
    /// That of patron accounts.
    pub const USERS: Self = Self { contract: &USERS, path: USERS_PATH };
}

/// One batch as the client sees it. Nothing has a default, which a payload around another one would forget to pass on.
pub trait Payload: Send + Sync + 'static {
    /// How many rows it holds, without the header row.
    fn rows(&self) -> usize;

    /// How many patrons they belong to.
    fn patrons(&self) -> usize;

    /// What it is, for the request.
    fn media_type(&self) -> &'static str;

    /// How many bytes it has: the sum of its chunks.
    fn length(&self) -> u64;

    /// Its bytes. Asked for once a try, and read no faster than the network takes them.
    fn chunks(self: Arc<Self>) -> Box<dyn Iterator<Item = Bytes> + Send>;
}

/// Infiniti's import, ready to take batches. Nothing is contacted before the first one.
pub struct Target {
    client: Client,
    proxy: Proxy,
    url: Url,
    host: String,
    username: String,
    password: Secret,
    timeout: Duration,
    retries: u32,
    retry_timeouts: bool,
    first_wait: Duration,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Target {
    /// Prepares to post. Reads `ca_file`; contacts nothing.
    ///
    /// # Errors
    /// Those of [`TargetError::is_settings`]: no TLS to another machine, a `ca_file` or a proxy that cannot be used.
    pub fn new(settings: &TargetSettings) -> Result<Self, TargetError> {
        let host = settings.url.host_str().unwrap_or_default().to_owned();
        let client = builder(settings, &host)?.build().map_err(client_error)?;
        Ok(Self {
            client,
            proxy: proxy_for(settings),
            url: settings.url.clone(),
            host,
            username: settings.username.clone(),
            password: settings.password.clone(),
            timeout: settings.timeout,
            retries: settings.retries,
            retry_timeouts: settings.retry_timeouts,
            first_wait: FIRST_WAIT,
        })
    }

    /// Sets the wait before the first retry (one second by default). Each further wait is twice as long, up to a minute,
    /// with jitter.
    #[must_use]
    pub fn first_wait(mut self, wait: Duration) -> Self {
        self.first_wait = wait;
        self
    }

    /// Posts one batch, again after transient failures, and gives Infiniti's word on its rows.
    ///
    /// # Errors
    /// Any [`TargetError`]. After [`TargetError::is_unknown`] rows may have been accepted although none counts as such,
    /// even if a later try failed for another reason.
    pub async fn push(&self, route: Route<'_>, payload: Arc<dyn Payload>) -> Result<Receipt, TargetError> {
        let mut waits = ExponentialBuilder::default()
            .with_min_delay(self.first_wait)
            .with_max_delay(LONGEST_WAIT)
            .with_max_times(usize::try_from(self.retries).unwrap_or(usize::MAX))
            .with_jitter()
            .with_jitter_seed(seed())
            .build();
        let mut doubtful: Option<TargetError> = None;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let error = match Box::pin(self.attempt(route, Arc::clone(&payload))).await {
                Ok(outcomes) => return Ok(Receipt::new(payload.rows(), outcomes, attempts)),
                Err(error) => error,
            };
            let again = error.is_transient() && (self.retry_timeouts || !error.is_timeout());
            let Some(wait) = again.then(|| waits.next()).flatten() else {
                return Err(with_doubt(doubtful, error));
            };
            let wait = match &error {
                TargetError::Busy { retry_after: Some(after), .. } => wait.max(after.wait(Timestamp::now())),
                _ => wait,
            };
            tracing::warn!(
                feed = route.contract.feed,
                rows = payload.rows(),
                attempt = attempts,
                retries = self.retries,
                wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                reason = %error,
                "batch failed, trying again"
            );
            if error.is_unknown() {
                doubtful = Some(error);
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// One request and its answer, within the time limit.
    async fn attempt(&self, route: Route<'_>, payload: Arc<dyn Payload>) -> Result<Outcomes, TargetError> {
        let started = Arc::new(AtomicBool::new(false));
        match tokio::time::timeout(self.timeout, self.exchange(route, payload, &started)).await {
            Ok(result) => result,
            Err(_) if started.load(Ordering::Acquire) => {
                Err(TargetError::Unknown { doubt: Doubt::TimedOut { limit: self.timeout }, words: None, source: None })
            }
            Err(_) => Err(TargetError::Unreachable { host: self.host.clone(), source: io::ErrorKind::TimedOut.into() }),
        }
    }

    async fn exchange(
        &self,
        route: Route<'_>,
        payload: Arc<dyn Payload>,
        started: &Arc<AtomicBool>,
    ) -> Result<Outcomes, TargetError> {
        let (rows, patrons) = (payload.rows(), payload.patrons());
        let (bytes, media_type) = (payload.length(), payload.media_type());
        let part = Part::stream_with_length(body(payload, Arc::clone(started)), bytes)
            .file_name(route.contract.file_name)
            .mime_str(media_type)
            .map_err(client_error)?;
        let request = self
            .client
            .post(endpoint(&self.url, route))
            .basic_auth(&self.username, Some(self.password.expose_secret()))
            .header(header::ACCEPT, "application/json")
            .multipart(Form::new().part("file", part));
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Err(self.failure(error, started.load(Ordering::Acquire)).await),
        };
        let status = response.status().as_u16();
        let mut answer = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if answer.len() + chunk.len() > ANSWER_MAX => {
                    return Err(TargetError::Unknown { doubt: Doubt::TooLong, words: None, source: None });
                }
                Ok(Some(chunk)) => answer.extend_from_slice(&chunk),
                Ok(None) => break,
                // A refusal says enough by its status; servers often hang up on an upload that they do not want.
                Err(_) if !response.status().is_success() => break,
                Err(error) => {
                    return Err(TargetError::Unknown { doubt: Doubt::CutOff, words: None, source: io_source(&error) });
                }
            }
        }
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let verdict = judge(
            &Answer {
                status,
                location: header(header::LOCATION),
                retry_after: header(header::RETRY_AFTER),
                content_type: header(header::CONTENT_TYPE),
                body: &answer,
            },
            Sent { rows, patrons, answers: route.contract.answers },
        );
        self.outcomes(verdict, status, route, rows, bytes)
    }

    fn outcomes(
        &self,
        verdict: Verdict,
        status: u16,
        route: Route<'_>,
        rows: usize,
        bytes: u64,
    ) -> Result<Outcomes, TargetError> {
        let host = self.host.clone();
        Err(match verdict {
            Verdict::Rows(outcomes) => return Ok(outcomes),
            Verdict::CredentialsRefused => TargetError::CredentialsRefused { username: self.username.clone(), status },
            Verdict::Redirected { host: to, login } => {
                let to = to.filter(|to| !to.eq_ignore_ascii_case(&host));
                TargetError::Redirected { host, to, login, status }
            }
            Verdict::WrongAddress => {
                let (contract, path) = (route.contract, endpoint(&self.url, route).path().to_owned());
                let setting_of = contract.path.is_none().then_some(contract.feed);
                TargetError::WrongAddress { host, path, setting_of, status }
            }
            Verdict::ProxyLogin => TargetError::ProxyLogin { host },
            Verdict::TooLarge => TargetError::TooLarge { contract: route.contract, rows, bytes },
            Verdict::Busy { retry_after } => TargetError::Busy { host, status, retry_after },
            Verdict::Refused { words } => TargetError::Refused { status, words },
            Verdict::Unknown { doubt, words } => TargetError::Unknown { doubt, words, source: None },
        })
    }

    /// What it means that there is no answer.
    async fn failure(&self, error: reqwest::Error, started: bool) -> TargetError {
        if started {
            return TargetError::Unknown { doubt: Doubt::ConnectionLost, words: None, source: io_source(&error) };
        }
        match self.explain(error) {
            Ok(error) => error,
            Err(tls) => self.tls_failure(tls).await,
        }
    }

    /// What it means that nothing was sent; a failure of TLS comes back as it is, since more must be asked.
    fn explain(&self, error: reqwest::Error) -> Result<TargetError, rustls::Error> {
        if error.is_builder() {
            return Ok(client_error(error));
        }
        let (host, is_connect) = (self.host.clone(), error.is_connect());
        let mut io = None;
        for cause in causes(&error) {
            if let Some(failure) = cause.downcast_ref::<NameFailure>() {
                return Ok(TargetError::NameNotResolved { host: failure.host.clone(), source: copy(&failure.source) });
            }
            if let Some(source) = cause.downcast_ref::<rustls::Error>() {
                return Err(source.clone());
            }
            if let Some(source) = cause.downcast_ref::<io::Error>() {
                io.get_or_insert_with(|| copy(source));
            }
            // hyper-util does not export the type of these errors, so its words are all there is. They are a
            // library's, fixed by Cargo.lock, and `tests/target.rs` holds them.
            match cause.to_string().as_str() {
                "tunnel error: proxy authorization required" => return Ok(TargetError::ProxyLogin { host }),
                "tunnel error: unsuccessful" | "tunnel error: unexpected end of file" => {
                    return Ok(TargetError::ProxyRefused { host });
                }
                _ => {}
            }
        }
        let source = io.unwrap_or_else(|| {
            if error.is_timeout() { io::ErrorKind::TimedOut.into() } else { io::Error::other(error.without_url()) }
        });
        Ok(match self.way() {
            // Behind a proxy it is the only one that a connection is made to.
            Way::Proxy { address, .. } if is_connect => TargetError::ProxyUnreachable { proxy: address, host, source },
            Way::Proxy { .. } | Way::Direct => TargetError::Unreachable { host, source },
        })
    }

    async fn tls_failure(&self, source: rustls::Error) -> TargetError {
        let host = self.host.clone();
        let rustls::Error::InvalidCertificate(reason) = &source else {
            return TargetError::Tls { host, source };
        };
        let issuer = Box::pin(self.certificate()).await.and_then(|certificate| certificate.authority);
        match reason {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TargetError::OtherName { host, issuer, source }
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => TargetError::OutOfDate { host, issuer, source },
            _ => TargetError::Untrusted { host, issuer, source },
        }
    }
}

/// An unknown outcome stays one, however a later try failed.
fn with_doubt(doubtful: Option<TargetError>, last: TargetError) -> TargetError {
    match doubtful {
        Some(TargetError::Unknown { doubt, words, .. }) if !last.is_unknown() => {
            TargetError::Unknown { doubt, words, source: Some(Box::new(last)) }
        }
        _ => last,
    }
}

/// Where a feed goes. Only scheme, host, port and path of the mapping's address are used.
fn endpoint(url: &Url, route: Route<'_>) -> Url {
    let mut endpoint = url.clone();
    endpoint.set_path(&format!("{}{}", url.path().trim_end_matches('/'), route.path));
    endpoint.set_query(None);
    endpoint.set_fragment(None);
    // Fails only for addresses that cannot have credentials anyway.
    let _: Result<(), ()> = endpoint.set_username("").and_then(|()| endpoint.set_password(None));
    endpoint
}

/// The chunks as a body. Notes when the first one is asked for: from then on the server may have seen the batch.
fn body(payload: Arc<dyn Payload>, started: Arc<AtomicBool>) -> Body {
    let mut chunks = None;
    Body::wrap_stream(stream::iter(std::iter::from_fn(move || {
        let chunks = chunks.get_or_insert_with(|| {
            started.store(true, Ordering::Release);
            Arc::clone(&payload).chunks()
        });
        chunks.find(|chunk| !chunk.is_empty()).map(Ok::<_, io::Error>)
    })))
}

fn client_error(error: reqwest::Error) -> TargetError {
    TargetError::Client { source: error.without_url() }
}

/// Schools start at the same minute: without a seed of its own every process would wait in step with the others.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
