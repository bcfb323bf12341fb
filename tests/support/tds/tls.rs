//! TLS for the stand-in: before everything (TDS 8.0), or with its handshake inside packets (MS-TDS 2.2.6.5).

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{Stream, wire};

pub(super) struct Tls {
    config: Arc<ServerConfig>,
}

pub(super) fn ca_file(folder: &Path) -> PathBuf {
    folder.join("ca.pem")
}

impl Tls {
    /// A certificate for `localhost` by an authority of its own, which is written into `folder`.
    pub(super) fn new(folder: &Path, strict: bool, until: Option<(i32, u8, u8)>) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "sispush test authority");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(ca_file(folder), authority.pem()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "SIS");
        if let Some((year, month, day)) = until {
            params.not_after = rcgen::date_time_ymd(year, month, day);
        }
        let certificate = params.signed_by(&key, &authority).unwrap();
        // SQL Server itself speaks at most TLS 1.2 inside packets.
        let versions: &[_] = if strict { rustls::ALL_VERSIONS } else { &[&rustls::version::TLS12] };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        if strict {
            config.alpn_protocols = vec![b"tds/8.0".to_vec()];
        }
        Self { config: Arc::new(config) }
    }

    pub(super) fn accept_strict(&self, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
        let mut stream = self.handshake(InPackets::new(stream, false))?;
        stream.flush()?;
        if stream.conn.alpn_protocol() != Some(b"tds/8.0") {
            return Err(io::Error::other("the client does not say that it speaks TDS 8"));
        }
        Ok(Box::new(stream))
    }

    pub(super) fn accept_in_packets(&self, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
        let mut stream = self.handshake(InPackets::new(stream, true))?;
        stream.flush()?;
        stream.sock.wrapped = false;
        Ok(Box::new(stream))
    }

    fn handshake(&self, mut stream: InPackets) -> io::Result<StreamOwned<ServerConnection, InPackets>> {
        let mut connection = ServerConnection::new(Arc::clone(&self.config)).map_err(io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(connection, stream))
    }
}

impl Stream for StreamOwned<ServerConnection, InPackets> {
    fn into_plain(self: Box<Self>) -> TcpStream {
        self.sock.stream
    }
}

/// A stream that puts its bytes into packets while the handshake lasts.
struct InPackets {
    stream: TcpStream,
    wrapped: bool,
    read: Vec<u8>,
    written: Vec<u8>,
}

impl InPackets {
    fn new(stream: TcpStream, wrapped: bool) -> Self {
        Self { stream, wrapped, read: Vec::new(), written: Vec::new() }
    }
}

impl Read for InPackets {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.read.is_empty() {
            if !self.wrapped {
                return self.stream.read(bytes);
            }
            self.flush()?;
            let (kind, _) = wire::read_packet(&mut self.stream, &mut self.read)?;
            if kind != wire::PRELOGIN {
                return Err(io::Error::other("a handshake outside its packets"));
            }
        }
        let length = bytes.len().min(self.read.len());
        bytes[..length].copy_from_slice(&self.read[..length]);
        self.read.drain(..length);
        Ok(length)
    }
}

impl Write for InPackets {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.wrapped {
            return self.stream.write(bytes);
        }
        self.written.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.written.is_empty() {
            let written = std::mem::take(&mut self.written);
            wire::write_packets(&mut self.stream, wire::PRELOGIN, &written, true)?;
        }
        self.stream.flush()
    }
}
