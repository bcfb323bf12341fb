//! Webhooks and heartbeats. The mapping's way to its target holds for them as well: proxy, `ca_file`, the system's trust
//! store; no redirects, as the one to a login page would look like success.

use std::io;

use crate::secret::Secret;
use reqwest::{Client, Method};
use serde_json::Value;
use url::Url;

use super::error::NotifyError;
use super::{CONNECT_LIMIT, Way};
use crate::infiniti::TargetError;
use crate::infiniti::client::connect::{NameFailure, causes, way_to};

/// The host of an address, which is all that may be shown of it.
pub(super) fn host_of(url: &Secret) -> String {
    Url::parse(url.expose_secret()).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

/// Asks an address once; any status of success will do. With a body it is a POST.
pub(super) async fn ask(url: &Secret, way: &Way, body: Option<&Value>) -> Result<(), NotifyError> {
    let host = host_of(url);
    // The error may hold the address.
    let address = Url::parse(url.expose_secret()).map_err(|_| NotifyError::Unreachable {
        host: host.clone(),
        source: Some(io::ErrorKind::InvalidInput.into()),
    })?;
    let client: Client = way_to(&address, &host, &way.proxy, way.ca_file.as_deref())
        .and_then(|builder| {
            builder
                .connect_timeout(CONNECT_LIMIT)
                .build()
                .map_err(|error| TargetError::Client { source: error.without_url() })
        })
        .map_err(NotifyError::Settings)?;
    let method = if body.is_some() { Method::POST } else { Method::GET };
    let mut request = client.request(method, address);
    if let Some(body) = body {
        request = request
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            // Of strings and numbers: it cannot fail.
            .body(serde_json::to_vec(body).unwrap_or_default());
    }
    match request.send().await {
        Ok(response) => match response.status() {
            status if status.is_success() => Ok(()),
            status if status.is_redirection() => Err(NotifyError::Redirected { host, status: status.as_u16() }),
            status => Err(NotifyError::Refused { host, status: status.as_u16() }),
        },
        Err(error) => Err(explained(&error, host)),
    }
}

fn explained(error: &reqwest::Error, host: String) -> NotifyError {
    let mut io = None;
    for cause in causes(error) {
        if let Some(failure) = cause.downcast_ref::<NameFailure>() {
            return NotifyError::NameNotResolved { host: failure.host.clone() };
        }
        if let Some(source) = cause.downcast_ref::<rustls::Error>() {
            return NotifyError::Tls { host, source: Box::new(source.clone()) };
        }
        if let Some(source) = cause.downcast_ref::<io::Error>() {
            io.get_or_insert_with(|| source.raw_os_error().map_or(source.kind().into(), io::Error::from_raw_os_error));
        }
        // As of the target: the library does not export the type of these errors.
        match cause.to_string().as_str() {
            "tunnel error: proxy authorization required" => {
                return NotifyError::Settings(TargetError::ProxyLogin { host });
            }
            "tunnel error: unsuccessful" | "tunnel error: unexpected end of file" => {
                return NotifyError::Settings(TargetError::ProxyRefused { host });
            }
            _ => {}
        }
    }
    if error.is_timeout() {
        return NotifyError::TimedOut { host, limit: CONNECT_LIMIT };
    }
    if !error.is_connect() {
        return NotifyError::Broken { host };
    }
    NotifyError::Unreachable { host, source: io }
}
