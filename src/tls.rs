//! Who signed the certificate that a server shows: the one fact that tells a technician that a proxy inspects TLS.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};

/// The longest that the question may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Asks a server for its certificate and reads who signed it. Nothing but the start of a handshake is sent, and the
/// handshake is broken off at the certificate. `None` if that fails.
pub async fn issuer_of(host: &str, port: u16) -> Option<String> {
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    tokio::task::spawn_blocking(move || {
        let address = std::net::ToSocketAddrs::to_socket_addrs(&(host.as_str(), port)).ok()?.next()?;
        let stream = TcpStream::connect_timeout(&address, LIMIT).ok()?;
        issuer_on(stream, &host)
    })
    .await
    .ok()?
}

/// As [`issuer_of`], on a connection where the server waits for a TLS handshake.
pub fn issuer_on(mut stream: TcpStream, host: &str) -> Option<String> {
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    stream.set_write_timeout(Some(LIMIT)).ok()?;
    let seen = Arc::new(Mutex::new(None));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Recorder { seen: Arc::clone(&seen), schemes: provider.signature_verification_algorithms.supported_schemes() };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let mut connection = ClientConnection::new(Arc::new(config), name).ok()?;
    // The recorder refuses every certificate, so this ends with an error as soon as it has seen one.
    let _refused = handshake(&mut connection, &mut stream);
    let certificate = seen.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    issuer_name(&certificate)
}

fn handshake(connection: &mut ClientConnection, stream: &mut (impl Read + Write)) -> io::Result<()> {
    while connection.is_handshaking() {
        connection.complete_io(stream)?;
    }
    Ok(())
}

/// Keeps the server's certificate and trusts nobody.
#[derive(Debug)]
struct Recorder {
    seen: Arc<Mutex<Option<Vec<u8>>>>,
    schemes: Vec<SignatureScheme>,
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(end_entity.to_vec());
        Err(rustls::Error::General("only the certificate was wanted".into()))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only the certificate was wanted".into()))
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only the certificate was wanted".into()))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

/// The issuer's common name, else its organisation, of a certificate in DER (RFC 5280, section 4.1).
fn issuer_name(der: &[u8]) -> Option<String> {
    const SEQUENCE: u8 = 0x30;
    const SET: u8 = 0x31;
    const EXPLICIT_VERSION: u8 = 0xa0;
    const INTEGER: u8 = 0x02;
    const OBJECT_IDENTIFIER: u8 = 0x06;
    const COMMON_NAME: &[u8] = &[0x55, 4, 3];
    const ORGANISATION: &[u8] = &[0x55, 4, 10];

    let mut certificate = Der(Der(der).take(SEQUENCE)?);
    let mut fields = Der(certificate.take(SEQUENCE)?);
    // The version is left out of certificates of version 1.
    let _version = fields.take(EXPLICIT_VERSION);
    fields.take(INTEGER)?;
    fields.take(SEQUENCE)?;
    let mut names = Der(fields.take(SEQUENCE)?);
    let (mut common_name, mut organisation) = (None, None);
    while let Some(set) = names.take(SET) {
        let mut attribute = Der(Der(set).take(SEQUENCE)?);
        let kind = attribute.take(OBJECT_IDENTIFIER)?;
        let (_, text) = attribute.next()?;
        let text: String = String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).take(100).collect();
        match kind {
            COMMON_NAME => common_name = Some(text),
            ORGANISATION => organisation = Some(text),
            _ => {}
        }
    }
    common_name.or(organisation)
}

/// Tags, lengths and values, one after the other.
struct Der<'d>(&'d [u8]);

impl<'d> Der<'d> {
    fn next(&mut self) -> Option<(u8, &'d [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            if bytes.len() > 4 {
                return None;
            }
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, value))
    }

    /// The next value if it has this tag.
    fn take(&mut self, tag: u8) -> Option<&'d [u8]> {
        let before = self.0;
        match self.next() {
            Some((found, value)) if found == tag => Some(value),
            _ => {
                self.0 = before;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_issuer_is_read_from_the_certificate() {
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let mut authority = rcgen::CertificateParams::new(vec![]).unwrap();
        authority.distinguished_name.push(rcgen::DnType::OrganizationName, "Example Diocese");
        authority.distinguished_name.push(rcgen::DnType::CommonName, "School Filter CA");
        let issuer = rcgen::Issuer::new(authority, &authority_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["x.example".into()]).unwrap().signed_by(&key, &issuer).unwrap();
        assert_eq!(issuer_name(certificate.der()).as_deref(), Some("School Filter CA"));
        // Half a certificate is no reason to panic.
        for end in 0..certificate.der().len() {
            let _whatever = issuer_name(&certificate.der()[..end]);
        }
    }
}
