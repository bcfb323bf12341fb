//! From a [`Connection`] to a session that is logged in.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::select_ok;
use tiberius::error::Error;
use tiberius::{AuthMethod, Client, Config, EncryptionLevel};
use tokio::net::TcpStream;
use tokio_util::compat::TokioAsyncWriteCompatExt as _;

use super::failure::explain_login;
use super::{Session, browser};
use crate::source::issuer::{self, Opening};
use crate::source::{Connection, Encryption, Login, SourceError};

/// SQL Server's own port.
const PORT: u16 = 1433;
/// The longest wait for a TCP connection, and again for TLS and login: as ADO.NET's `Connect Timeout`.
const CONNECT_TIME: Duration = Duration::from_secs(15);
/// Azure SQL sends a client on to another address, once; more is a circle.
const ROUTES_MAX: usize = 3;

/// Connects and logs in.
pub(super) async fn connect(connection: &Connection) -> Result<Session, SourceError> {
    if connection.socket.is_some() {
        return Err(SourceError::Unsupported {
            what: "SQL Server cannot be reached by a socket".to_owned(),
            hint: None,
        });
    }
    let mut config = configure(connection)?;
    let mut host = connection.host.clone();
    let mut port = match (connection.port, &connection.instance) {
        (Some(port), _) => port,
        (None, Some(instance)) => browser::port_of(&host, instance).await?,
        (None, None) => PORT,
    };
    let mut routes = 0;
    loop {
        config.host(&host);
        config.port(port);
        let address = address(&host, port);
        let stream = open(&host, port).await?;
        // On the heap: the driver's future is large.
        match Box::pin(Client::connect(config.clone(), stream.compat_write())).await {
            Ok(session) => return Ok(session),
            Err(Error::Routing { host: next_host, port: next_port }) if routes < ROUTES_MAX => {
                (host, port) = (next_host, next_port);
                routes += 1;
            }
            // No TLS on the other side; said before anything of the login was sent.
            Err(Error::Protocol(_)) if connection.encryption == Encryption::Preferred && routes < ROUTES_MAX => {
                tracing::debug!("the server offers no encryption");
                config.encryption(EncryptionLevel::NotSupported);
                routes += 1;
            }
            Err(error) => {
                let strict = connection.encryption == Encryption::Strict;
                let opening = if strict { Opening::Strict } else { Opening::Packets };
                let error = explain_login(error, connection, &address);
                return Err(issuer::complete(error, &host, port, opening).await);
            }
        }
    }
}

fn configure(connection: &Connection) -> Result<Config, SourceError> {
    let mut config = Config::new();
    config.database(&connection.database);
    config.application_name("sispush");
    config.readonly(true);
    config.authentication(authentication(connection)?);
    config.handshake_timeout(Some(CONNECT_TIME));
    // The whole statement is timed by us; this is the longest wait within it.
    config.command_timeout(Some(connection.timeout));
    let verified = matches!(connection.encryption, Encryption::Strict | Encryption::Required);
    config.encryption(match connection.encryption {
        Encryption::Strict => EncryptionLevel::Strict,
        Encryption::Required => EncryptionLevel::Required,
        Encryption::Login => EncryptionLevel::Off,
        Encryption::Off => EncryptionLevel::NotSupported,
        Encryption::Preferred => EncryptionLevel::On,
    });
    // `trust_cert` beside an authority panics in tiberius: one or the other.
    if connection.trust_server_certificate {
        config.trust_cert();
    } else if let Some(path) = &connection.ca_file {
        let authority = std::fs::read(path).map_err(|error| SourceError::Unsupported {
            what: format!("could not read `source.ca_file` (`{}`): {error}", path.display()),
            hint: Some("name a PEM file that this account may read".into()),
        })?;
        config.trust_cert_ca_bundle(authority);
    } else if !verified {
        // As every driver of SQL Server: where encryption is optional, the self-signed certificate that the server
        // makes for itself is taken.
        config.trust_cert();
    }
    Ok(config)
}

fn authentication(connection: &Connection) -> Result<AuthMethod, SourceError> {
    match connection.login {
        Login::Database => {
            let password = connection.password.as_ref().map_or("", |password| password.expose_secret());
            Ok(AuthMethod::sql_server(&connection.username, password))
        }
        Login::Windows => windows(connection),
    }
}

#[cfg(windows)]
fn windows(connection: &Connection) -> Result<AuthMethod, SourceError> {
    match (&*connection.username, &connection.password) {
        // ADO.NET leaves a user out beside `Integrated Security`, and so do we: the account that runs us logs in.
        ("", _) | (_, None) => Ok(AuthMethod::Integrated),
        (username, Some(password)) => Ok(AuthMethod::windows(username, password.expose_secret())),
    }
}

#[cfg(not(windows))]
fn windows(_: &Connection) -> Result<AuthMethod, SourceError> {
    Err(SourceError::Unsupported {
        what: "a Windows login works only where sispush itself runs on Windows".to_owned(),
        hint: Some(
            "run sispush on a Windows server of the domain, or make a SQL login and give `username` and `password`"
                .into(),
        ),
    })
}

/// A TCP connection to the first of the host's addresses that answers.
async fn open(host: &str, port: u16) -> Result<TcpStream, SourceError> {
    let addresses = resolve(host, port).await?;
    let unreachable = |source| SourceError::Unreachable { address: address(host, port), source };
    // All at once: an address that swallows packets must not use up the time of the one that works.
    let attempts = select_ok(addresses.into_iter().map(|address| Box::pin(TcpStream::connect(address))));
    let stream = match tokio::time::timeout(CONNECT_TIME, attempts).await {
        Ok(Ok((stream, _))) => stream,
        Ok(Err(error)) => return Err(unreachable(error)),
        Err(_) => {
            let silent = format!("no answer within {} s", CONNECT_TIME.as_secs());
            return Err(unreachable(std::io::Error::new(std::io::ErrorKind::TimedOut, silent)));
        }
    };
    stream.set_nodelay(true).map_err(unreachable)?;
    Ok(stream)
}

/// The host's addresses. Never empty.
pub(super) async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, SourceError> {
    let not_resolved = |source| SourceError::NameNotResolved { host: host.to_owned(), source };
    let addresses: Vec<_> = tokio::net::lookup_host((host, port)).await.map_err(not_resolved)?.collect();
    if addresses.is_empty() {
        return Err(not_resolved(std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address")));
    }
    Ok(addresses)
}

fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
