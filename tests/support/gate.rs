//! A gate between the program and a sandbox: it passes requests on, keeps what they brought, and can do any harm.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex};

/// Where in a request something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    HeadArrived,
    BodyComplete,
    BeforeAnswer,
    AfterAnswer,
}

impl Point {
    pub const ALL: [Self; 4] = [Self::HeadArrived, Self::BodyComplete, Self::BeforeAnswer, Self::AfterAnswer];
}

/// What the gate does to one request, counted from 1.
#[derive(Debug)]
pub enum Trick {
    Pass,
    /// The program is killed.
    Kill(usize, Point),
    /// The connection ends after so many bytes of the answer.
    CutAnswer(usize, usize),
    /// The connection ends after so many bytes of the upload, which nobody gets to see.
    CutUpload(usize, usize),
    /// Every request to a path with this and that has this in its file is refused with a status.
    Refuse(&'static str, &'static str, u16),
    /// The request waits for leave, after it has told that it came.
    Hold(usize, Sender<()>, Receiver<()>),
}

/// A proxy in front of the sandbox, which can do any harm.
#[derive(Clone)]
pub struct Gate(Arc<Shared>);

struct Shared {
    address: SocketAddr,
    upstream: Mutex<SocketAddr>,
    trick: Mutex<Trick>,
    /// The program that is running. Locked while it is started, so that no request is faster than that.
    process: Mutex<u32>,
    requests: AtomicUsize,
    answer_length: AtomicUsize,
    has_struck: AtomicBool,
    visitors: AtomicUsize,
    uploads: Mutex<Vec<Upload>>,
}

/// A request that came whole.
#[derive(Clone, PartialEq, Eq)]
pub struct Upload {
    pub path: String,
    /// Its file, without what differs from request to request.
    pub file: Vec<u8>,
}

impl Gate {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let gate = Self(Arc::new(Shared {
            address,
            upstream: Mutex::new(address),
            trick: Mutex::new(Trick::Pass),
            process: Mutex::new(0),
            requests: AtomicUsize::new(0),
            answer_length: AtomicUsize::new(0),
            has_struck: AtomicBool::new(false),
            visitors: AtomicUsize::new(0),
            uploads: Mutex::default(),
        }));
        let shared = Arc::clone(&gate.0);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (shared, stream) = (Arc::clone(&shared), stream.unwrap());
                shared.visitors.fetch_add(1, Ordering::SeqCst);
                // What a cut connection says does not matter: the school is looked at in the end.
                std::thread::spawn(move || drop(shared.pass(stream)));
            }
        });
        gate
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// Lets the next requests, counted anew, through to a sandbox, with a trick.
    pub fn set(&self, upstream: SocketAddr, trick: Trick) {
        *self.0.upstream.lock().unwrap() = upstream;
        *self.0.trick.lock().unwrap() = trick;
        self.0.requests.store(0, Ordering::SeqCst);
        self.0.has_struck.store(false, Ordering::SeqCst);
    }

    /// No more tricks.
    pub fn rest(&self) {
        *self.0.trick.lock().unwrap() = Trick::Pass;
    }

    /// How many have connected so far, be it without a word.
    pub fn visitors(&self) -> usize {
        self.0.visitors.load(Ordering::SeqCst)
    }

    /// What came whole since the last time.
    pub fn take(&self) -> Vec<Upload> {
        std::mem::take(&mut self.0.uploads.lock().unwrap())
    }

    pub fn requests(&self) -> usize {
        self.0.requests.load(Ordering::SeqCst)
    }

    pub fn has_struck(&self) -> bool {
        self.0.has_struck.load(Ordering::SeqCst)
    }

    /// How long the last answer was, with its head.
    pub fn answer_length(&self) -> usize {
        self.0.answer_length.load(Ordering::SeqCst)
    }

    pub fn spawn(&self, command: &mut Command) -> Child {
        let mut process = self.0.process.lock().unwrap();
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        *process = child.id();
        child
    }
}

impl Upload {
    fn of(head: &str, body: &[u8]) -> Self {
        let find = |what: &[u8]| body.windows(what.len()).position(|window| window == what);
        let start = find(b"\r\n\r\n").map_or(0, |at| at + 4);
        let end = body.windows(4).rposition(|window| window == b"\r\n--").unwrap_or(body.len());
        Self { path: head.split(' ').nth(1).unwrap().to_owned(), file: body[start..end.max(start)].to_vec() }
    }

    /// Whom it brings: what stands first in each line of a CSV, or the names of the files of a zip without their endings.
    pub fn names(&self) -> Vec<String> {
        if let Ok(zip) = zip::ZipArchive::new(std::io::Cursor::new(&self.file)) {
            return zip.file_names().map(|name| name.unwrap().split('.').next().unwrap().to_owned()).collect();
        }
        self.text().lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned()).collect()
    }

    /// A CSV as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.file).replace("\r\n", "\n")
    }
}

impl Shared {
    /// Passes one request on, and its answer back. A connection is for one request.
    fn pass(&self, mut client: TcpStream) -> std::io::Result<()> {
        let (mut head, mut body) = (Vec::new(), Vec::new());
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if client.read(&mut byte)? == 0 {
                return Ok(());
            }
            head.extend_from_slice(&byte);
        }
        let number = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
        let text = String::from_utf8(head).unwrap();
        let length =
            text.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
        let length: usize = length.expect("an upload says how long it is");
        if self.kills(number, Point::HeadArrived) {
            return Ok(());
        }
        if let Trick::CutUpload(at, bytes) = &*self.trick.lock().unwrap()
            && *at == number
        {
            body.resize((*bytes).min(length), 0);
            client.read_exact(&mut body)?;
            self.has_struck.store(*bytes < length, Ordering::SeqCst);
            if *bytes < length {
                return Ok(());
            }
        }
        let read = body.len();
        body.resize(length, 0);
        client.read_exact(&mut body[read..])?;
        self.uploads.lock().unwrap().push(Upload::of(&text, &body));
        if self.kills(number, Point::BodyComplete) {
            return Ok(());
        }
        if let Trick::Refuse(path, name, status) = *self.trick.lock().unwrap()
            && text.split(' ').nth(1).is_some_and(|asked| asked.contains(path))
            && body.windows(name.len()).any(|window| window == name.as_bytes())
        {
            self.has_struck.store(true, Ordering::SeqCst);
            let answer = format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            client.write_all(answer.as_bytes())?;
            return client.shutdown(Shutdown::Both);
        }
        self.hold(number);
        let mut upstream = TcpStream::connect(*self.upstream.lock().unwrap())?;
        upstream.write_all(text.replacen("\r\n", "\r\nconnection: close\r\n", 1).as_bytes())?;
        upstream.write_all(&body)?;
        let mut answer = Vec::new();
        // What came before a cut is passed on.
        let _cut = upstream.read_to_end(&mut answer);
        self.answer_length.store(answer.len(), Ordering::SeqCst);
        if self.kills(number, Point::BeforeAnswer) {
            return Ok(());
        }
        let mut length = answer.len();
        if let Trick::CutAnswer(at, bytes) = &*self.trick.lock().unwrap()
            && *at == number
        {
            self.has_struck.store(*bytes < length, Ordering::SeqCst);
            length = length.min(*bytes);
        }
        client.write_all(&answer[..length])?;
        self.kills(number, Point::AfterAnswer);
        client.shutdown(Shutdown::Both)
    }

    fn kills(&self, number: usize, point: Point) -> bool {
        let kills = matches!(&*self.trick.lock().unwrap(), Trick::Kill(at, here) if (*at, *here) == (number, point));
        if kills {
            self.has_struck.store(true, Ordering::SeqCst);
            signal("KILL", *self.process.lock().unwrap());
        }
        kills
    }

    fn hold(&self, number: usize) {
        let mut trick = self.trick.lock().unwrap();
        if !matches!(&*trick, Trick::Hold(at, ..) if *at == number) {
            return;
        }
        let Trick::Hold(_, came, leave) = std::mem::replace(&mut *trick, Trick::Pass) else { return };
        drop(trick);
        came.send(()).unwrap();
        // A test that is done with the request drops its end.
        let _leave = leave.recv();
    }
}

pub fn signal(name: &str, process: u32) {
    // A program that ended meanwhile is no longer there to be told.
    Command::new("sh").args(["-c", &format!("kill -{name} {process} 2>&-")]).status().unwrap();
}
