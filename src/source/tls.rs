//! Trust for the drivers that know only Mozilla's roots, and what a failed handshake means.

use std::error::Error;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Connection, Encryption, SourceError, network};

/// The operating system's roots and the mapping's `ca_file`, as PEM.
pub(super) fn roots_pem(settings: &Connection) -> Result<Vec<u8>, SourceError> {
    let mut pem = String::new();
    for certificate in rustls_native_certs::load_native_certs().certs {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        STANDARD.encode_string(&certificate, &mut pem);
        pem.push_str("\n-----END CERTIFICATE-----\n");
    }
    let mut pem = pem.into_bytes();
    if let Some(path) = &settings.ca_file {
        let file = std::fs::read(path).map_err(|error| SourceError::Unsupported {
            what: format!("could not read `source.ca_file` (`{}`): {error}", path.display()),
            hint: Some("name a PEM file that this account may read".into()),
        })?;
        pem.extend(file);
    }
    Ok(pem)
}

/// The level is another engine's.
pub(super) fn unsupported(level: Encryption, engine: &str) -> SourceError {
    let level = if level == Encryption::Strict { "strict" } else { "login" };
    SourceError::Unsupported {
        what: format!("`encryption: {level}` is a level of SQL Server, which {engine} does not have"),
        hint: Some("use `required` or `off`".into()),
    }
}

/// A handshake that failed, told by the whole chain of causes.
pub(super) fn failure(settings: &Connection, error: &(dyn Error + 'static)) -> SourceError {
    let mut reason = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !reason.contains(&text) {
            reason = format!("{reason}: {text}");
        }
        cause = error.source();
    }
    SourceError::Tls { host: settings.host.clone(), reason, issuer: None }
}

/// An I/O error while connecting: rustls hides its own inside one.
pub(super) fn failure_or_unreachable(settings: &Connection, port: u16, error: &std::io::Error) -> SourceError {
    match error.get_ref() {
        Some(inner) if inner.is::<rustls::Error>() => failure(settings, inner),
        _ => SourceError::Unreachable {
            address: network::address(settings, settings.port.unwrap_or(port)),
            source: std::io::Error::new(error.kind(), error.to_string()),
        },
    }
}
