//! A target that reads, counts and forgets: lines of CSV, and pictures of a zip.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What came since it was last asked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Received {
    /// Rows of CSV, and pictures.
    pub(crate) rows: usize,
    /// The length of the longest body.
    pub(crate) longest: u64,
}

/// The sink: it answers as Infiniti does when all is well.
pub(crate) struct Sink {
    port: u16,
    received: Arc<Mutex<Received>>,
}

impl Sink {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let received = Arc::new(Mutex::new(Received::default()));
        let shared = Arc::clone(&received);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(&stream, &shared));
            }
        });
        Self { port, received }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn take(&self) -> Received {
        std::mem::take(&mut *self.received.lock().expect("the lock"))
    }
}

fn serve(stream: &TcpStream, received: &Mutex<Received>) {
    let mut reader = BufReader::with_capacity(256 * 1024, stream);
    let mut writer = stream;
    loop {
        let mut length = 0;
        let mut line = String::new();
        loop {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if lower.starts_with("expect:") {
                writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").expect("the client listens");
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut lines = 0;
        let mut end = Vec::new();
        let mut body = (&mut reader).take(length);
        loop {
            let part = body.fill_buf().expect("the client sends");
            if part.is_empty() {
                break;
            }
            lines += memchr::memchr_iter(b'\n', part).count();
            end.extend_from_slice(&part[part.len().saturating_sub(END_BYTES)..]);
            end.drain(..end.len().saturating_sub(END_BYTES));
            let taken = part.len();
            body.consume(taken);
        }
        // A boundary, two headers, an empty line, the CSV's head, and two line breaks around the last boundary.
        let rows = pictures(&end).unwrap_or_else(|| lines - 7);
        {
            let mut received = received.lock().expect("the lock");
            received.rows += rows;
            received.longest = received.longest.max(length);
        }
        let answer = format!(
            r#"{{"success":true,"summary":"{rows} users processed. {rows} users created. 0 users updated. 0 users failed."}}"#
        );
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", answer.len());
        writer.write_all((head + &answer).as_bytes()).expect("the client listens");
    }
}

/// So much of a body's end is kept: a zip's own end, and the last boundary.
const END_BYTES: usize = 256;

/// How many pictures a zip has, as it says at its end (APPNOTE.TXT 4.3.16). `None` if it is no zip.
fn pictures(end: &[u8]) -> Option<usize> {
    let start = memchr::memmem::rfind(end, b"PK\x05\x06")?;
    let count = end.get(start + 10..start + 12)?;
    Some(usize::from(u16::from_le_bytes(count.try_into().ok()?)))
}
