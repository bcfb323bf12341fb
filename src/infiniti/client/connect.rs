//! How connections are made, and what is read from the errors of the libraries that make them.

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Certificate, Client, ClientBuilder, redirect};
use url::{Host, Url};

use crate::infiniti::answer::Words;
use crate::infiniti::error::TargetError;
use crate::mapping::{Proxy, TargetSettings};

pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

pub(super) fn builder(settings: &TargetSettings, host: &str) -> Result<ClientBuilder, TargetError> {
    way_to(&settings.url, host, &settings.proxy, settings.ca_file.as_deref())
}

/// What makes connections to an address, by the rules that hold for all of them: TLS unless it is this machine, no
/// redirects, no retries of the library's own.
pub(crate) fn way_to(
    url: &Url,
    host: &str,
    proxy: &Proxy,
    ca_file: Option<&Path>,
) -> Result<ClientBuilder, TargetError> {
    let encrypted = url.scheme() == "https";
    if !encrypted && !is_loopback(url) {
        return Err(TargetError::Insecure { host: host.to_owned() });
    }
    let builder = Client::builder()
        .user_agent(concat!("sispush/", env!("CARGO_PKG_VERSION")))
        // A redirected POST becomes a GET whose answer looks like success.
        .redirect(redirect::Policy::none())
        .referer(false)
        .https_only(encrypted)
        .retry(reqwest::retry::never())
        .dns_resolver(Resolver)
        .connect_timeout(CONNECT_TIMEOUT)
        // Large imports take minutes without a byte; firewalls forget connections that are silent.
        .tcp_keepalive(Duration::from_secs(30))
        // A connection that rests longer may be half closed, which would turn the next batch into an unknown one.
        .pool_idle_timeout(Duration::from_secs(5));
    let builder = with_proxy(builder, &proxy_to(url, proxy))?;
    let Some(path) = ca_file else { return Ok(builder) };
    let pem = std::fs::read(path).map_err(|source| TargetError::CaFile { path: path.to_owned(), source })?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(builder.tls_certs_merge(certificates)),
        _ => Err(TargetError::CaFileEmpty { path: path.to_owned() }),
    }
}

pub(super) fn proxy_for(settings: &TargetSettings) -> Proxy {
    proxy_to(&settings.url, &settings.proxy)
}

/// The system's proxy is not for this machine itself, even where `NO_PROXY` does not say so.
fn proxy_to(url: &Url, proxy: &Proxy) -> Proxy {
    match proxy {
        Proxy::System if is_loopback(url) => Proxy::Off,
        proxy => proxy.clone(),
    }
}

pub(super) fn with_proxy(builder: ClientBuilder, proxy: &Proxy) -> Result<ClientBuilder, TargetError> {
    Ok(match proxy {
        Proxy::System => builder,
        Proxy::Off => builder.no_proxy(),
        // The library's error may hold the address, and so a password.
        Proxy::Url(url) => {
            builder.proxy(reqwest::Proxy::all(url.expose_secret()).map_err(|_| TargetError::ProxyAddress)?)
        }
    })
}

/// Whether an address is on this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Every cause of an error. `io::Error::source` leaves out the error it wraps, which is often the one that matters.
pub(crate) fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn StdError + 'static) = *error;
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    })
}

/// The operating system's word on why a connection ended, without the library's envelopes (and their addresses).
pub(super) fn io_source(error: &reqwest::Error) -> Option<Box<dyn StdError + Send + Sync>> {
    causes(error).find_map(|cause| cause.downcast_ref::<io::Error>()).map(|source| Box::new(copy(source)).into())
}

pub(super) fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(
            error.kind(),
            Words::new(&error.to_string()).map_or_else(String::new, |words| words.to_string()),
        ),
    }
}

/// The system's resolver, with an error that says which name it was: Infiniti's or the proxy's.
pub(super) struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let addresses: io::Result<Vec<SocketAddr>> =
                tokio::net::lookup_host((host.as_str(), 0)).await.map(Iterator::collect);
            match addresses {
                Ok(addresses) => Ok(Box::new(addresses.into_iter()) as Addrs),
                Err(source) => Err(NameFailure { host, source }.into()),
            }
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("could not resolve `{host}`")]
pub(crate) struct NameFailure {
    pub(crate) host: String,
    pub(super) source: io::Error,
}
