//! Posts batches to Infiniti and tries again where that can help.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{LOCATION, RETRY_AFTER};
use reqwest::multipart::{Form, Part};
use reqwest::{Certificate, Client, ClientBuilder, Proxy as HttpProxy, Response, redirect};
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use super::answer::{Answer, Outcomes, Verdict, judge};
use super::contract::Contract;
use crate::error::Hint;
use crate::mapping::{Proxy, TargetSettings};
use crate::tls::{self, Opening};

/// One batch as the client sees it.
pub trait Payload: std::fmt::Debug + Send + Sync + 'static {
    /// Its data rows.
    fn rows(&self) -> usize;
    /// Its length in bytes: the sum of its chunks.
    fn length(&self) -> u64;
    /// Its bytes from the start; asked again for every attempt.
    fn chunks(self: Arc<Self>) -> Box<dyn Iterator<Item = Bytes> + Send>;
}

/// Proof of what Infiniti accepted: made here only, of its own answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    outcomes: Outcomes,
}

impl Receipt {
    /// New patrons.
    pub fn created(&self) -> u64 {
        self.outcomes.created
    }

    /// Patrons that were there.
    pub fn updated(&self) -> u64 {
        self.outcomes.updated
    }

    /// Rows that Infiniti refused, counted from 0, with its words; in their order.
    pub fn failed(&self) -> &[(usize, String)] {
        &self.outcomes.failed
    }

    /// Rows of which Infiniti said nothing, counted from 0; in their order.
    pub fn unknown(&self) -> &[usize] {
        &self.outcomes.unknown
    }
}

/// Why a batch failed as a whole.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The settings cannot be used; nothing was contacted.
    #[error("{what}")]
    Setup {
        /// What is wrong with them.
        what: String,
        /// Why.
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// Nothing was sent: no connection.
    #[error("could not connect to `{host}`")]
    Unreachable {
        /// The host and port.
        host: String,
        /// Why.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The certificate is not trusted.
    #[error("the certificate of `{host}` is not trusted{}", signed_by(issuer.as_deref()))]
    Untrusted {
        /// The host.
        host: String,
        /// Who signed it, if that could be found out.
        issuer: Option<String>,
        /// Why it is not trusted.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The proxy wants a login.
    #[error("the proxy wants a login (407) before it lets anybody through to `{host}`")]
    ProxyLogin {
        /// The target's host.
        host: String,
    },
    /// The credentials were refused.
    #[error("Infiniti refused the credentials of `{username}`")]
    Unauthorised {
        /// The account.
        username: String,
    },
    /// The upload was answered with a redirect.
    #[error("`{host}` redirects the upload to `{place}`, and uploads are never redirected")]
    Redirected {
        /// The target's host.
        host: String,
        /// Where to, without query.
        place: String,
    },
    /// There is no import at the address.
    #[error("there is no import at `{url}` (status {status})")]
    WrongAddress {
        /// The address.
        url: String,
        /// The status.
        status: u16,
    },
    /// The batch is too large for a gateway.
    #[error("the batch of {rows} rows is too large for `{host}` (status 413)")]
    TooLarge {
        /// The target's host.
        host: String,
        /// The batch's rows.
        rows: usize,
    },
    /// Still busy after every attempt.
    #[error("`{host}` is busy (status {status}), also after {attempts} attempts")]
    Busy {
        /// The target's host.
        host: String,
        /// The last status.
        status: u16,
        /// How often it was asked.
        attempts: u32,
    },
    /// Refused by a status that says no more.
    #[error("`{host}` refused the batch with status {status}")]
    Refused {
        /// The target's host.
        host: String,
        /// The status.
        status: u16,
    },
    /// Nobody knows what became of the rows.
    #[error("the batch was sent, and nobody knows what became of its {rows} rows: {reason}")]
    Unknown {
        /// The batch's rows.
        rows: usize,
        /// What was wrong with the answer.
        reason: String,
    },
    /// No answer in time.
    #[error("the batch was sent, and no answer came within {} s; nobody knows what became of its {rows} rows", limit.as_secs())]
    TimedOut {
        /// The batch's rows.
        rows: usize,
        /// The limit.
        limit: Duration,
    },
    /// A gateway gave up waiting for Infiniti.
    #[error(
        "a gateway gave up waiting for Infiniti (status {status}); nobody knows what became of the batch's {rows} rows"
    )]
    GatewayTimeout {
        /// The batch's rows.
        rows: usize,
        /// The status.
        status: u16,
    },
}

impl TargetError {
    /// Whether rows may have been accepted without anybody knowing.
    pub fn is_unknown(&self) -> bool {
        match self {
            Self::Unknown { .. } | Self::TimedOut { .. } | Self::GatewayTimeout { .. } => true,
            Self::Setup { .. }
            | Self::Unreachable { .. }
            | Self::Untrusted { .. }
            | Self::ProxyLogin { .. }
            | Self::Unauthorised { .. }
            | Self::Redirected { .. }
            | Self::WrongAddress { .. }
            | Self::TooLarge { .. }
            | Self::Busy { .. }
            | Self::Refused { .. } => false,
        }
    }

    /// Whether the same batch may be sent again at once: it did not arrive, or sending it twice does no harm.
    fn is_transient(&self, retry_timeouts: bool) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Busy { .. } | Self::Unknown { .. } => true,
            // The import may still be running: a second one beside it could take turns with the first.
            Self::TimedOut { .. } | Self::GatewayTimeout { .. } => retry_timeouts,
            Self::Setup { .. }
            | Self::Untrusted { .. }
            | Self::ProxyLogin { .. }
            | Self::Unauthorised { .. }
            | Self::Redirected { .. }
            | Self::WrongAddress { .. }
            | Self::TooLarge { .. }
            | Self::Refused { .. } => false,
        }
    }

    /// What to edit or run.
    pub fn hint(&self) -> Option<Hint> {
        Some(match self {
            Self::Setup { .. } => return None,
            Self::Unreachable { .. } => "check `target.url`, this machine's way to the internet, and `target.proxy` if the school has one".into(),
            Self::Untrusted { issuer: Some(issuer), .. } => format!("if `{issuer}` is the school's own filter or proxy, save its authority's certificate as a PEM file and name it in `target.ca_file`; else somebody stands between").into(),
            Self::Untrusted { issuer: None, .. } => "if the school's filter inspects TLS, save its authority's certificate as a PEM file and name it in `target.ca_file`".into(),
            Self::ProxyLogin { .. } => "ask for an exception on the proxy for the school's Infiniti host: a proxy with NTLM or Kerberos login lets no unattended program through; for one with a password, set `target.proxy: http://user:${PROXY_PASSWORD}@host:port`".into(),
            Self::Unauthorised { .. } => "check `target.username` and `target.password`: an account of Infiniti itself (not single sign-on) with system administration privileges".into(),
            Self::Redirected { .. } => "`target.url` must be the school's own address, such as `https://example.concordinfiniti.com`; a sign-in page in front of it must let `/api/import` through".into(),
            Self::WrongAddress { .. } => "`target.url` must be the school's own address, such as `https://example.concordinfiniti.com`".into(),
            Self::TooLarge { .. } => "lower `target.batch_rows`".into(),
            Self::Busy { .. } => "run again later".into(),
            Self::Refused { .. } => "ask Concord's support what the status means, or try `sispush push` with a smaller `target.batch_rows`".into(),
            Self::Unknown { .. } => "look into Infiniti before anything else; then push again, which does no harm, since Infiniti matches by username".into(),
            Self::TimedOut { .. } | Self::GatewayTimeout { .. } => "the import may still be running: look into Infiniti after a while, then push again; raise `target.timeout` or lower `target.batch_rows`".into(),
        })
    }
}

fn signed_by(issuer: Option<&str>) -> String {
    issuer.map(|issuer| format!(": it was signed by `{issuer}`")).unwrap_or_default()
}

/// A school's Infiniti.
#[derive(Debug)]
pub struct Target {
    client: Client,
    url: Url,
    host: String,
    username: String,
    password: SecretString,
    timeout: Duration,
    retries: u32,
    retry_timeouts: bool,
    asks_issuer: bool,
}

const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// An answer is a line for each row; no batch has one that is longer.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// A longer wait is for the next night.
const WAIT_MAX: Duration = Duration::from_secs(120);
const FIRST_WAIT: Duration = Duration::from_millis(500);

impl Target {
    /// Sets the client up; contacts nobody.
    ///
    /// # Errors
    /// [`TargetError::Setup`]: a `ca_file` or proxy that cannot be used.
    pub fn new(settings: &TargetSettings) -> Result<Self, TargetError> {
        let is_loopback = is_loopback(&settings.url);
        let setup =
            |what: String, source: Box<dyn StdError + Send + Sync>| TargetError::Setup { what, source: Some(source) };
        let mut builder = Client::builder()
            .user_agent(concat!("sispush/", env!("CARGO_PKG_VERSION")))
            // A followed redirect would turn the upload into a GET that succeeds.
            .redirect(redirect::Policy::none())
            .referer(false)
            .https_only(!is_loopback)
            .connect_timeout(CONNECT_LIMIT);
        builder = with_proxy(builder, &settings.proxy, is_loopback)
            .map_err(|error| setup("`target.proxy` cannot be used".into(), error.into()))?;
        if let Some(path) = &settings.ca_file {
            let unusable = |error| setup(format!("`target.ca_file` (`{}`) cannot be used", path.display()), error);
            let pem = std::fs::read(path).map_err(|error| unusable(error.into()))?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| unusable(error.into()))?;
            if certificates.is_empty() {
                return Err(unusable("there is no certificate in it".into()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder.build().map_err(|error| setup("the client could not be set up".into(), error.into()))?;
        Ok(Self {
            client,
            host: host_and_port(&settings.url),
            url: settings.url.clone(),
            username: settings.username.clone(),
            password: settings.password.clone(),
            timeout: settings.timeout,
            retries: settings.retries,
            retry_timeouts: settings.retry_timeouts,
            // Through a proxy the question would go another way than the upload.
            asks_issuer: !matches!(settings.proxy, Proxy::Url(_)),
        })
    }

    /// Sends one batch, again where that can help, for a bounded number of times.
    ///
    /// # Errors
    /// The last attempt's [`TargetError`]. After one that [is unknown](TargetError::is_unknown) no row counts as
    /// accepted.
    pub async fn push(&self, contract: &Contract, payload: Arc<dyn Payload>) -> Result<Receipt, TargetError> {
        let mut wait = FIRST_WAIT;
        let mut attempts = 1;
        // Once a batch has been out of our hands, a later failure to connect does not tell what became of it.
        let mut unknown: Option<TargetError> = None;
        loop {
            let (error, asked_wait) = match self.attempt(contract, &payload, attempts).await {
                Ok(receipt) => return Ok(receipt),
                Err(failed) => failed,
            };
            if attempts > self.retries || !error.is_transient(self.retry_timeouts) {
                return Err(if error.is_unknown() { error } else { unknown.unwrap_or(error) });
            }
            let pause = asked_wait.unwrap_or_else(|| with_jitter(wait)).min(WAIT_MAX);
            tracing::warn!(%error, attempt = attempts, wait_ms = pause.as_millis(), "the batch failed; trying again");
            tokio::time::sleep(pause).await;
            wait = (wait * 2).min(WAIT_MAX);
            attempts += 1;
            if error.is_unknown() {
                unknown = Some(error);
            }
        }
    }

    /// One attempt; with its error, how long the target asks to wait.
    async fn attempt(
        &self,
        contract: &Contract,
        payload: &Arc<dyn Payload>,
        attempts: u32,
    ) -> Result<Receipt, (TargetError, Option<Duration>)> {
        let rows = payload.rows();
        let was_asked = Arc::new(AtomicBool::new(false));
        let exchange = self.exchange(contract, payload, &was_asked);
        let verdict = match tokio::time::timeout(self.timeout, exchange).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(error)) => return Err((self.failure(error, rows, was_asked.load(Ordering::Relaxed)).await, None)),
            Err(_) => return Err((TargetError::TimedOut { rows, limit: self.timeout }, None)),
        };
        let host = self.host.clone();
        let error = match verdict {
            Verdict::Processed(outcomes) => return Ok(Receipt { outcomes }),
            Verdict::Unauthorised => TargetError::Unauthorised { username: self.username.clone() },
            Verdict::Redirected(place) => TargetError::Redirected { host, place },
            Verdict::WrongAddress(status) => {
                TargetError::WrongAddress { url: self.address(contract).to_string(), status }
            }
            Verdict::TooLarge => TargetError::TooLarge { host, rows },
            Verdict::ProxyLogin => TargetError::ProxyLogin { host },
            Verdict::Busy(status, wait) => return Err((TargetError::Busy { host, status, attempts }, wait)),
            Verdict::Refused(status) => TargetError::Refused { host, status },
            Verdict::GatewayTimeout(status) => TargetError::GatewayTimeout { rows, status },
            Verdict::Unknown(reason) => TargetError::Unknown { rows, reason },
        };
        Err((error, None))
    }

    /// Sends the batch and reads the answer. `was_asked` tells whether the body's first byte was wanted: until then
    /// nothing can have been imported.
    async fn exchange(
        &self,
        contract: &Contract,
        payload: &Arc<dyn Payload>,
        was_asked: &Arc<AtomicBool>,
    ) -> reqwest::Result<Verdict> {
        let (rows, length, asked) = (payload.rows(), payload.length(), Arc::clone(was_asked));
        let chunks = Arc::clone(payload).chunks().inspect(move |_| asked.store(true, Ordering::Relaxed));
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks.map(Ok::<_, io::Error>)));
        let part = Part::stream_with_length(body, length).file_name(contract.file_name).mime_str("text/csv")?;
        let request = self
            .client
            .post(self.address(contract))
            .basic_auth(&self.username, Some(self.password.expose_secret()))
            .multipart(Form::new().part("file", part));
        let mut response = request.send().await?;
        let (body, is_whole) = read_body(&mut response).await;
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let verdict = judge(
            &Answer {
                status: response.status().as_u16(),
                location: header(LOCATION),
                retry_after: header(RETRY_AFTER).and_then(retry_after),
                body: &body,
            },
            rows,
        );
        Ok(match verdict {
            Verdict::Processed(_) | Verdict::Unknown(_) if !is_whole => {
                Verdict::Unknown("the answer is cut off".into())
            }
            verdict => verdict,
        })
    }

    fn address(&self, contract: &Contract) -> Url {
        let mut url = self.url.clone();
        url.set_path(contract.path);
        url
    }

    async fn failure(&self, error: reqwest::Error, rows: usize, was_asked: bool) -> TargetError {
        let host = self.host.clone();
        let cause = Cause::of(&error.without_url());
        if cause.is_certificate {
            let port = self.url.port_or_known_default().unwrap_or(443);
            let issuer = match self.url.host_str() {
                Some(host) if self.asks_issuer => tls::issuer(host, port, Opening::Direct).await,
                _ => None,
            };
            return TargetError::Untrusted { host, issuer, source: cause.innermost.into() };
        }
        if cause.is_proxy_login {
            TargetError::ProxyLogin { host }
        } else if cause.is_connect || !was_asked {
            TargetError::Unreachable { host, source: cause.innermost.into() }
        } else {
            TargetError::Unknown { rows, reason: format!("the connection was lost ({})", cause.innermost) }
        }
    }
}

fn with_proxy(builder: ClientBuilder, proxy: &Proxy, is_loopback: bool) -> reqwest::Result<ClientBuilder> {
    Ok(match proxy {
        Proxy::System if !is_loopback => builder,
        Proxy::System | Proxy::Off => builder.no_proxy(),
        Proxy::Url(url) => builder.proxy(HttpProxy::all(url.expose_secret())?),
    })
}

/// Reads an answer's body, up to a bound; whether that was all of it.
async fn read_body(response: &mut Response) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_BYTES_MAX => body.extend_from_slice(&chunk),
            Ok(None) => return (body, true),
            Ok(Some(_)) | Err(_) => return (body, false),
        }
    }
}

/// `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value.trim()).ok()?;
    let seconds = date.timestamp().as_second() - jiff::Timestamp::now().as_second();
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// Up to a quarter more, so that hundreds of schools do not come back in the same second.
fn with_jitter(wait: Duration) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    // A new state is the standard library's source of randomness.
    #[expect(clippy::cast_precision_loss, reason = "a random share needs no precision")]
    let share = RandomState::new().hash_one(0) as f64 / u64::MAX as f64;
    wait.mul_f64(1.0 + share / 4.0)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// What stands behind an error of the HTTP client.
struct Cause {
    is_connect: bool,
    is_certificate: bool,
    is_proxy_login: bool,
    /// The layers above the innermost cause say only that a request failed.
    innermost: String,
}

impl Cause {
    fn of(error: &reqwest::Error) -> Self {
        let mut cause = Self {
            is_connect: error.is_connect(),
            is_certificate: false,
            is_proxy_login: false,
            innermost: String::new(),
        };
        let mut next: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(error) = next {
            cause.innermost = error.to_string();
            cause.is_certificate |=
                matches!(error.downcast_ref::<rustls::Error>(), Some(rustls::Error::InvalidCertificate(_)));
            // hyper-util's error type for a refused tunnel is private: its text is all there is.
            cause.is_proxy_login |= cause.innermost.contains("proxy authorization required");
            // An I/O error that wraps another one passes over it in `source`.
            next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        cause
    }
}
