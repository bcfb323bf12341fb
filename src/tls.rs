//! Who signed the certificate that a server shows: the first question when it is not trusted, and one that drivers do not
//! answer. Asked by a handshake of its own that ends with the certificate; nothing else is sent.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What comes before the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// Nothing (HTTPS).
    Direct,
    /// Nothing, but the protocol is named (TDS 8).
    Strict,
    /// A prelogin, and then the handshake in packets of its own (TDS 7).
    Packets,
    /// A request for TLS (PostgreSQL).
    Postgres,
    /// The server's greeting and a request for TLS (MySQL, MariaDB).
    MySql,
}

/// The wait for the whole of it: this only makes a message better.
const LIMIT: Duration = Duration::from_secs(5);

/// The name of the authority that the shown chain ends in; `None` if that cannot be found out.
pub(crate) async fn issuer(host: &str, port: u16, opening: Opening) -> Option<String> {
    tokio::time::timeout(LIMIT, ask(host, port, opening)).await.ok()?.ok()?
}

async fn ask(host: &str, port: u16, opening: Opening) -> io::Result<Option<String>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let seen = Arc::new(Seen { provider: Arc::clone(&provider), issuer: Mutex::new(None) });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&seen) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    if opening == Opening::Strict {
        config.alpn_protocols = vec![b"tds/8.0".to_vec()];
    }
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let mut tls = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let mut stream = TcpStream::connect((host, port)).await?;
    if !open(&mut stream, opening).await? {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    while tls.is_handshaking() {
        bytes.clear();
        while tls.wants_write() {
            tls.write_tls(&mut bytes)?;
        }
        match opening {
            _ if bytes.is_empty() => {}
            Opening::Packets => write_packet(&mut stream, &bytes).await?,
            Opening::Direct | Opening::Strict | Opening::Postgres | Opening::MySql => stream.write_all(&bytes).await?,
        }
        let received = match opening {
            Opening::Packets => read_packet(&mut stream).await?,
            Opening::Direct | Opening::Strict | Opening::Postgres | Opening::MySql => {
                let mut some = vec![0; 4096];
                let length = stream.read(&mut some).await?;
                some.truncate(length);
                some
            }
        };
        if received.is_empty() {
            break;
        }
        let mut received = received.as_slice();
        while !received.is_empty() {
            tls.read_tls(&mut received)?;
            // The refusal of our own verifier ends the handshake.
            if tls.process_new_packets().is_err() {
                return Ok(seen.issuer.lock().map_err(|_| io::Error::other("poisoned"))?.take());
            }
        }
    }
    Ok(None)
}

/// Comes to where the handshake begins; whether the server is willing.
async fn open(stream: &mut TcpStream, opening: Opening) -> io::Result<bool> {
    match opening {
        Opening::Direct | Opening::Strict => Ok(true),
        Opening::Packets => {
            write_packet(stream, &PRELOGIN).await?;
            read_packet(stream).await.map(|_| true)
        }
        Opening::Postgres => {
            stream.write_all(&POSTGRES_SSL_REQUEST).await?;
            Ok(stream.read_u8().await? == b'S')
        }
        Opening::MySql => {
            let mut head = [0; 4];
            stream.read_exact(&mut head).await?;
            let mut greeting = vec![0; usize::from(u16::from_le_bytes([head[0], head[1]]))];
            stream.read_exact(&mut greeting).await?;
            stream.write_all(&[&MYSQL_SSL_REQUEST[..], &[0; 23]].concat()).await?;
            Ok(true)
        }
    }
}

/// The length, and 80877103 for a version.
const POSTGRES_SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F];
/// 32 bytes as packet 1: the capabilities 4.1 protocol, TLS and secure login; packets up to 16 MiB; UTF-8. Then zeros.
const MYSQL_SSL_REQUEST: [u8; 13] = [32, 0, 0, 1, 0x01, 0x8A, 0, 0, 0, 0, 0, 1, 45];
/// Version 0, encryption on.
const PRELOGIN: [u8; 18] = [0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xFF, 0, 0, 0, 0, 0, 0, 1];

async fn write_packet(stream: &mut TcpStream, body: &[u8]) -> io::Result<()> {
    // A client's part of a handshake fits into one packet.
    let length = u16::try_from(body.len() + 8).map_err(io::Error::other)?.to_be_bytes();
    stream.write_all(&[&[0x12, 1, length[0], length[1], 0, 0, 1, 0], body].concat()).await
}

async fn read_packet(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = [0; 8];
    stream.read_exact(&mut head).await?;
    let mut body = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]])).saturating_sub(head.len())];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

/// Looks at the certificates and trusts none.
#[derive(Debug)]
struct Seen {
    provider: Arc<CryptoProvider>,
    issuer: Mutex<Option<String>>,
}

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Ok(mut issuer) = self.issuer.lock() {
            *issuer = issuer_of(others.last().unwrap_or(certificate));
        }
        Err(Error::General("seen".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("never asked".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("never asked".to_owned()))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The issuer of a certificate in DER (RFC 5280, 4.1): its common name and organisation.
fn issuer_of(certificate: &[u8]) -> Option<String> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut fields, _) = element(certificate)?;
    // Version (optional), serial number, algorithm; then the issuer.
    if element(fields)?.0 == 0xA0 {
        fields = element(fields)?.2;
    }
    let fields = element(element(fields)?.2)?.2;
    let (_, mut names, _) = element(fields)?;
    let (mut common, mut organisation) = (None, None);
    while let Some((_, set, rest)) = element(names) {
        names = rest;
        let (_, pair, _) = element(set)?;
        let (_, kind, value) = element(pair)?;
        let (encoding, value, _) = element(value)?;
        match kind {
            [0x55, 4, 3] => common = text(encoding, value),
            [0x55, 4, 10] => organisation = text(encoding, value),
            _ => {}
        }
    }
    match (common, organisation) {
        (Some(common), Some(organisation)) => Some(format!("{common}, {organisation}")),
        (name, None) | (None, name) => name,
    }
}

/// The tag and content of the first element, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&short, mut rest) = rest.split_first()?;
    let mut length = usize::from(short);
    if short >= 0x80 {
        let (digits, after) =
            rest.split_at_checked(usize::from(short & 0x7F)).filter(|(digits, _)| digits.len() <= 4)?;
        length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
        rest = after;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn text(encoding: u8, value: &[u8]) -> Option<String> {
    let text = match encoding {
        // BMPString.
        0x1E => {
            let units: Vec<u16> = value.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            String::from_utf16_lossy(&units)
        }
        _ => String::from_utf8_lossy(value).into_owned(),
    };
    let text: String = text.chars().filter(|c| !c.is_control()).take(100).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair};

    use super::issuer_of;

    fn certificate(names: &[(DnType, DnValue)]) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in names {
            params.distinguished_name.push(kind.clone(), value.clone());
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn issuers() {
        let school = (DnType::CommonName, DnValue::from("Schule Zürich CA"));
        let vendor = (DnType::OrganizationName, DnValue::from("Example Proxy Inc"));
        let country = (DnType::CountryName, DnValue::from("AU"));
        assert_eq!(issuer_of(&certificate(&[country.clone(), school.clone()])).as_deref(), Some("Schule Zürich CA"));
        let both = certificate(&[vendor.clone(), school]);
        assert_eq!(issuer_of(&both).as_deref(), Some("Schule Zürich CA, Example Proxy Inc"));
        assert_eq!(issuer_of(&certificate(&[vendor])).as_deref(), Some("Example Proxy Inc"));
        assert_eq!(issuer_of(&certificate(&[country])), None);
    }

    proptest! {
        #[test]
        fn broken_certificates_have_none(cut in 0_usize..300, bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            drop(issuer_of(&bytes));
            let whole = certificate(&[(DnType::CommonName, DnValue::from("x"))]);
            drop(issuer_of(&whole[..cut.min(whole.len())]));
        }
    }
}
