//! Trust for the drivers that know only Mozilla's roots, and what a failed handshake means.

use std::error::Error;
use std::fmt::Display;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

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
        pem.extend(ca_file(path)?);
    }
    Ok(pem)
}

/// The certificates of a mapping's `ca_file`, as PEM.
fn ca_file(path: &Path) -> Result<Vec<u8>, SourceError> {
    let unusable = |why: &dyn Display| {
        SourceError::Unsupported {
        what: format!("`source.ca_file` (`{}`) cannot be used: {why}", path.display()),
        hint: Some(
            "it must hold the authority's certificate as PEM, from `-----BEGIN CERTIFICATE-----` on; Windows makes that of a `.cer` file by `certutil -encode authority.cer authority.pem`".into(),
        ),
    }
    };
    let pem = std::fs::read(path).map_err(|error| unusable(&error))?;
    let mut certificates = CertificateDer::pem_slice_iter(&pem).peekable();
    if certificates.peek().is_none() {
        return Err(unusable(&"there is no certificate in it"));
    }
    for certificate in certificates {
        certificate.map_err(|error| unusable(&error))?;
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
