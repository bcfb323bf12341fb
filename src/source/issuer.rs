//! Which certificate a server shows, and who signed it: the first question when it is not trusted, and one that drivers do
//! not answer. Asked by a handshake of its own that ends with the certificate; nothing else is sent.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::SourceError;
use crate::tls::{Certificate, Witness};

/// What comes before the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
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

/// The error with the issuer, if it is about a certificate that nobody vouches for and the issuer can be found out. Who
/// signed is beside the point when the name is wrong or the time is over.
pub(super) async fn complete(mut error: SourceError, host: &str, port: u16, opening: Opening) -> SourceError {
    // rustls' own word: drivers hand on no more than text.
    if let SourceError::Tls { issuer, reason, .. } = &mut error
        && ["UnknownIssuer", "CaUsedAsEndEntity"].iter().any(|word| reason.contains(word))
    {
        let shown = certificate(host, port, opening).await.ok().flatten();
        *issuer = shown.and_then(|certificate| certificate.authority);
    }
    error
}

/// The certificate that a server shows; `None` if it shows none.
///
/// # Errors
/// It did not answer in time, or not as such a server does.
pub(super) async fn certificate(host: &str, port: u16, opening: Opening) -> io::Result<Option<Certificate>> {
    tokio::time::timeout(LIMIT, ask(host, port, opening)).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
}

async fn ask(host: &str, port: u16, opening: Opening) -> io::Result<Option<Certificate>> {
    let (witness, mut config) = Witness::new().map_err(io::Error::other)?;
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
            Opening::Strict | Opening::Postgres | Opening::MySql => stream.write_all(&bytes).await?,
        }
        let received = match opening {
            Opening::Packets => read_packet(&mut stream).await?,
            Opening::Strict | Opening::Postgres | Opening::MySql => {
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
                return Ok(witness.certificate());
            }
        }
    }
    Ok(None)
}

/// Comes to where the handshake begins; whether the server is willing.
async fn open(stream: &mut TcpStream, opening: Opening) -> io::Result<bool> {
    match opening {
        Opening::Strict => Ok(true),
        Opening::Packets => {
            write_packet(stream, &PRELOGIN).await?;
            Ok(offers_tls(&read_packet(stream).await?))
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
            // After the version: the thread's number, eight bytes of salt and one of nothing, then what the server can.
            let version = greeting.iter().skip(1).position(|byte| *byte == 0).map_or(0, |length| length + 2);
            if greeting.get(version + 14).is_some_and(|capabilities| capabilities & MYSQL_TLS == 0) {
                return Ok(false);
            }
            stream.write_all(&[&MYSQL_SSL_REQUEST[..], &[0; 23]].concat()).await?;
            Ok(true)
        }
    }
}

/// The length, and 80877103 for a version.
const POSTGRES_SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F];
/// 32 bytes as packet 1: the capabilities 4.1 protocol, TLS and secure login; packets up to 16 MiB; UTF-8. Then zeros.
const MYSQL_SSL_REQUEST: [u8; 13] = [32, 0, 0, 1, 0x01, 0x8A, 0, 0, 0, 0, 0, 1, 45];
/// Of the capabilities, TLS; in their second byte.
const MYSQL_TLS: u8 = 0x08;
/// Version 0, encryption on.
const PRELOGIN: [u8; 18] = [0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xFF, 0, 0, 0, 0, 0, 0, 1];

/// Whether the answer to a prelogin (MS-TDS 2.2.6.5) has encryption of any kind.
fn offers_tls(answer: &[u8]) -> bool {
    const ENCRYPTION: u8 = 1;
    const NOT_SUPPORTED: u8 = 2;
    let option = answer.chunks_exact(5).take_while(|option| option[0] != 0xFF).find(|option| option[0] == ENCRYPTION);
    let place = option.map_or(usize::MAX, |option| usize::from(u16::from_be_bytes([option[1], option[2]])));
    answer.get(place).is_none_or(|level| *level != NOT_SUPPORTED)
}

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
