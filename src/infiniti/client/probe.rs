//! What can be asked of the target without sending a patron.

use std::sync::Arc;

use bytes::Bytes;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{Client, redirect};
use url::Url;

use super::connect::{CONNECT_TIMEOUT, Resolver, with_proxy};
use super::{Payload, Route, Target, TargetError};
use crate::infiniti::payload::CSV;
use crate::mapping::Proxy;
use crate::tls::{Certificate, Witness};

/// The way to the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Straight.
    Direct,
    /// Through a proxy.
    Proxy {
        /// Its address, without username and password: `http://proxy.example.local:8080`.
        address: String,
        /// Its host.
        host: String,
        /// Whether the system names it, not the mapping.
        is_system: bool,
    },
}

impl Target {
    /// Which way requests take: for the system's proxy by the very rules of the HTTP client.
    pub fn way(&self) -> Way {
        let (address, is_system) = match &self.proxy {
            Proxy::Off => (None, false),
            Proxy::System => {
                let target = self.url.as_str().parse().ok();
                let proxy = target.and_then(|target| Matcher::from_system().intercept(&target));
                (proxy.and_then(|proxy| Url::parse(&proxy.uri().to_string()).ok()), true)
            }
            Proxy::Url(address) => {
                let address = address.expose_secret();
                let has_scheme = address.contains("://");
                let address = if has_scheme { Url::parse(address) } else { Url::parse(&format!("http://{address}")) };
                (address.ok(), false)
            }
        };
        let Some((address, host)) = address.as_ref().and_then(|address| Some((address, address.host_str()?))) else {
            return Way::Direct;
        };
        let port = address.port().map(|port| format!(":{port}")).unwrap_or_default();
        Way::Proxy { address: format!("{}://{host}{port}", address.scheme()), host: host.to_owned(), is_system }
    }

    /// The certificate that is shown on this way, through the proxy if there is one. This connection carries a handshake
    /// that is refused, and nothing else.
    pub async fn certificate(&self) -> Option<Certificate> {
        let (witness, config) = Witness::new().ok()?;
        let client = with_proxy(Client::builder(), &self.proxy)
            .ok()?
            .tls_backend_preconfigured(config)
            .dns_resolver(Resolver)
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CONNECT_TIMEOUT)
            .build()
            .ok()?;
        // Always an error: the witness refuses every certificate.
        drop(client.head(self.root()).send().await);
        witness.certificate()
    }

    /// Asks for the first page, without credentials, by the client that a push uses; gives the status. A page is read and
    /// nothing is changed, and nothing is said of whom we are.
    ///
    /// # Errors
    /// Any [`TargetError`] of name, proxy, TLS and connection.
    pub async fn greet(&self) -> Result<u16, TargetError> {
        match self.client.get(self.root()).send().await {
            Ok(answer) if answer.status().as_u16() == 407 => Err(TargetError::ProxyLogin { host: self.host.clone() }),
            Ok(answer) => Ok(answer.status().as_u16()),
            Err(error) => Err(self.failure(error, false).await),
        }
    }

    /// Posts a CSV of a header row and no patron, which tries the credentials and changes nothing (infiniti-api.md,
    /// "Patron accounts").
    ///
    /// # Errors
    /// As those of [`Target::push`].
    pub async fn post_empty(&self) -> Result<(), TargetError> {
        self.push(Route::USERS, Arc::new(NoRows)).await.map(drop)
    }

    fn root(&self) -> Url {
        let mut url = self.url.clone();
        url.set_path("/");
        url
    }
}

/// A CSV without rows.
struct NoRows;

const HEADER_ROW: &[u8] = b"username,enabled,staffmember\r\n";

impl Payload for NoRows {
    fn rows(&self) -> usize {
        0
    }

    fn patrons(&self) -> usize {
        0
    }

    fn media_type(&self) -> &'static str {
        CSV
    }

    fn length(&self) -> u64 {
        HEADER_ROW.len() as u64
    }

    fn chunks(self: Arc<Self>) -> Box<dyn Iterator<Item = Bytes> + Send> {
        Box::new(std::iter::once(Bytes::from_static(HEADER_ROW)))
    }
}
