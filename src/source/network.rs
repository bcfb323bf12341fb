//! Names and ports, checked before a driver is let loose: drivers mix up a name that does not resolve, a closed port
//! and a server that does not answer.

use std::future::Future;
use std::time::Duration;

use super::{Connection, SourceError};

/// The longest wait for a connection and login.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);

/// How long the client waits beyond the server's own time limit.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// Whether the host's name resolves. A socket needs none.
pub(super) async fn check(settings: &Connection, port: u16) -> Result<(), SourceError> {
    if settings.socket.is_some() {
        return Ok(());
    }
    let host = settings.host.as_str();
    let not_resolved = |source| SourceError::NameNotResolved { host: host.to_owned(), source };
    let resolved = tokio::net::lookup_host((host, port)).await.map_err(not_resolved)?.next().is_some();
    if resolved { Ok(()) } else { Err(not_resolved(std::io::Error::other("the name has no address"))) }
}

/// Waits for a connection, but not for ever.
pub(super) async fn within<T>(
    settings: &Connection,
    port: u16,
    connecting: impl Future<Output = T>,
) -> Result<T, SourceError> {
    tokio::time::timeout(CONNECT_LIMIT, connecting).await.map_err(|_| SourceError::Unreachable {
        address: address(settings, port),
        source: std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            format!("no answer within {} s", CONNECT_LIMIT.as_secs()),
        ),
    })
}

/// Says goodbye to a server, so that its log has nothing to complain of, but does not wait for its answer for long.
pub(super) async fn close<T>(closing: impl Future<Output = T>) {
    drop(tokio::time::timeout(Duration::from_secs(1), closing).await);
}

/// `host:port`, or the socket, for messages.
pub(super) fn address(settings: &Connection, port: u16) -> String {
    match &settings.socket {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{port}", settings.host),
    }
}
