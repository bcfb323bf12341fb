//! Asks the SQL Server Browser for the port of a named instance, by SSRP
//! ([MS-SQLR](https://learn.microsoft.com/openspecs/windows_protocols/mc-sqlr), 2.2.3 and 2.2.5).
//!
//! Not by tiberius' `connect_named`: it sends one datagram, waits one second, and says of a lost datagram and of a closed
//! port the same.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;

use super::login::resolve;
use crate::source::SourceError;

/// The Browser's port.
const PORT: u16 = 1434;
/// How often the datagram is sent, as one may be lost.
const TRIES: u32 = 3;
/// The wait for an answer to each, as the protocol asks for.
const WAIT: Duration = Duration::from_secs(1);
/// `CLNT_UCAST_INST`: asks for one instance.
const ASK: u8 = 4;
/// `SVR_RESP`: the answer.
const ANSWER: u8 = 5;

/// The TCP port of an instance.
pub(in crate::source) async fn port_of(host: &str, instance: &str) -> Result<u16, SourceError> {
    let unknown = || SourceError::InstanceUnknown { host: host.to_owned(), instance: instance.to_owned() };
    // At most 32 characters and the NUL: a longer name is no instance's.
    if instance.len() > 32 {
        return Err(unknown());
    }
    for address in resolve(host, PORT).await? {
        if let Ok(Some(port)) = ask(address, instance, WAIT).await {
            return Ok(port);
        }
    }
    Err(unknown())
}

async fn ask(browser: SocketAddr, instance: &str, wait: Duration) -> std::io::Result<Option<u16>> {
    let any = if browser.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let socket = UdpSocket::bind((any, 0)).await?;
    // Only this address may answer, and a closed port is told at once.
    socket.connect(browser).await?;
    let mut question = vec![ASK];
    question.extend_from_slice(instance.as_bytes());
    question.push(0);
    let mut answer = [0; 2048];
    for _ in 0..TRIES {
        socket.send(&question).await?;
        if let Ok(length) = tokio::time::timeout(wait, socket.recv(&mut answer)).await {
            return Ok(port_in(&answer[..length?]));
        }
    }
    Ok(None)
}

/// The port in `ServerName;HOST;InstanceName;SIS;IsClustered;No;Version;15.0.2000.5;tcp;50000;;`, after three bytes of
/// head: the kind and the length.
fn port_in(answer: &[u8]) -> Option<u16> {
    let [ANSWER, low, high, text @ ..] = answer else { return None };
    let text = std::str::from_utf8(text.get(..usize::from(u16::from_le_bytes([*low, *high])))?).ok()?;
    let mut parts = text.split(';');
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        if name.eq_ignore_ascii_case("tcp") {
            return value.parse().ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Vec<u8> {
        let length = u16::try_from(text.len()).unwrap().to_le_bytes();
        [&[ANSWER, length[0], length[1]], text.as_bytes()].concat()
    }

    const TEXT: &str = "ServerName;tcp;InstanceName;SIS;IsClustered;No;Version;15.0.2000.5;np;\\\\H\\pipe;tcp;50123;;";

    #[test]
    fn answers() {
        assert_eq!(port_in(&answer(TEXT)), Some(50123));
        assert_eq!(port_in(&answer("ServerName;H;InstanceName;SIS;;")), None);
        assert_eq!(port_in(&answer("tcp;99999;;")), None);
        for broken in [&[][..], &[5], &[5, 1], &[5, 9, 0, b't'], &[4, 0, 0], &[5, 2, 0, 0xFF, 0xFF]] {
            assert_eq!(port_in(broken), None);
        }
    }

    #[tokio::test]
    async fn a_lost_datagram_is_sent_again() {
        let browser = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
        let address = browser.local_addr().unwrap();
        let server = async {
            let mut question = [0; 64];
            let (length, _) = browser.recv_from(&mut question).await.unwrap();
            assert_eq!(&question[..length], b"\x04SIS\0");
            let (_, client) = browser.recv_from(&mut question).await.unwrap();
            browser.send_to(&answer(TEXT), client).await.unwrap();
        };
        let (port, ()) = tokio::join!(ask(address, "SIS", Duration::from_millis(50)), server);
        assert_eq!(port.unwrap(), Some(50123));
    }

    #[tokio::test]
    async fn silence_and_a_closed_port_end() {
        let browser = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
        let address = browser.local_addr().unwrap();
        assert_eq!(ask(address, "SIS", Duration::from_millis(5)).await.unwrap(), None);
        drop(browser);
        assert!(!matches!(ask(address, "SIS", Duration::from_millis(50)).await, Ok(Some(_))));
        let error = port_of("localhost", &"x".repeat(33)).await.unwrap_err();
        assert!(matches!(error, SourceError::InstanceUnknown { .. }));
    }
}
