//! A SQL Server for tests, in the test's own process: TDS 7.4 and 8.0 by
//! [MS-TDS](https://learn.microsoft.com/openspecs/windows_protocols/ms-tds) over a SQLite file.
//!
//! A batch goes to SQLite as it is, but for the statements that manage a session and a few functions of dates; columns
//! get the types that they were declared with in SQL Server's words, and SQLite's errors become SQL Server's numbers. What
//! SQLite cannot do, a [`Script`] plays. `tests/tds.rs` holds it to the protocol by a second client, FreeTDS's `tsql`.

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(unreachable_pub, reason = "a module of test binaries, which have no crate to be public in")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "test code: what cannot be set up fails the test"
)]

mod sqlite;
mod tls;
pub mod tokens;
mod wire;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use sqlite::Session;
use wire::{Login, Message};

/// Which encryption the server offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// None at all.
    NotSupported,
    /// For the login if the client asks for no more.
    Login,
    /// For everything.
    Required,
    /// TLS before the first byte (TDS 8.0).
    Strict,
}

/// What the server does instead of asking SQLite.
pub enum Step {
    /// Sends tokens.
    Send(Vec<u8>),
    /// Ends the connection after what was sent so far, in the middle of the message.
    Cut,
    /// Sends what there is so far, then nothing until the client goes away or asks to stop.
    Hang,
}

/// Says for a batch what to do; `None` leaves it to SQLite.
pub type Script = Arc<dyn Fn(&str) -> Option<Vec<Step>> + Send + Sync>;

/// How a server starts.
pub struct Options {
    pub encryption: Encryption,
    /// Whether the database allows snapshots.
    pub snapshots: bool,
    pub script: Option<Script>,
    /// Where a client is sent on to.
    pub route: Option<SocketAddr>,
    /// What `GETDATE()` gives.
    pub today: &'static str,
    /// The rights to write that the login has.
    pub rights: &'static [&'static str],
    /// By how many seconds the server's clock is ahead.
    pub clock_ahead_s: i64,
    /// The last day of the certificate, if it is not that of a school's lifetime.
    pub certificate_until: Option<(i32, u8, u8)>,
    /// The password of the one login.
    pub password: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            encryption: Encryption::NotSupported,
            snapshots: true,
            script: None,
            route: None,
            today: TODAY,
            rights: &[],
            clock_ahead_s: 0,
            certificate_until: None,
            password: PASSWORD,
        }
    }
}

/// The one login.
pub const USER: &str = "svc_library";
/// Its password: every kind of character.
pub const PASSWORD: &str = "p@ss;w'ö\"rd {1}";
/// The one database.
pub const DATABASE: &str = "Synergetic";
/// The clock of a server, unless it has another.
pub const TODAY: &str = "2026-11-24 02:00:00.000";

/// A running server. It ends with the test's process.
pub struct TdsServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    folder: tempfile::TempDir,
    options: Options,
    tls: Option<tls::Tls>,
    logins: Mutex<Vec<Login>>,
    batches: Mutex<Vec<String>>,
    open: AtomicUsize,
}

impl TdsServer {
    /// A server without encryption.
    pub fn start() -> Self {
        Self::start_with(Options::default())
    }

    /// A server that plays `script` where it gives steps.
    pub fn scripted(script: impl Fn(&str) -> Option<Vec<Step>> + Send + Sync + 'static) -> Self {
        Self::start_with(Options { script: Some(Arc::new(script)), ..Options::default() })
    }

    pub fn start_with(options: Options) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let tls = (options.encryption != Encryption::NotSupported)
            .then(|| tls::Tls::new(folder.path(), options.encryption == Encryption::Strict, options.certificate_until));
        let shared = Arc::new(Shared {
            folder,
            options,
            tls,
            logins: Mutex::default(),
            batches: Mutex::default(),
            open: AtomicUsize::new(0),
        });
        sqlite::create(&shared.file());
        let for_clients = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), shared) = (stream, Arc::clone(&for_clients)) else { continue };
                thread::spawn(move || {
                    shared.open.fetch_add(1, Ordering::SeqCst);
                    // A client that goes away is no failure of the server.
                    let _gone = serve(stream, &shared);
                    shared.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, shared }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The authority that signed the server's certificate, as PEM. Only with encryption.
    pub fn ca_file(&self) -> PathBuf {
        tls::ca_file(self.shared.folder.path())
    }

    /// An ADO.NET string that works.
    pub fn connection_string(&self) -> String {
        let password = PASSWORD.replace('\'', "''");
        format!("Server=tcp:127.0.0.1,{};Database={DATABASE};User ID={USER};Password='{password}'", self.port())
    }

    /// The lines below `source` of a mapping that has its password from `SIS_PASSWORD`.
    pub fn source_lines(&self) -> String {
        format!("url: mssql://{USER}@127.0.0.1:{}/{DATABASE}\npassword: ${{SIS_PASSWORD}}", self.port())
    }

    /// Adds a schema: `sims` for `sims.stud_student`. For sessions that begin later.
    pub fn create_schema(&self, name: &str) {
        sqlite::create_schema(&self.shared.file(), name);
    }

    /// Runs SQL of SQLite with SQL Server's types, past the protocol and at once for good.
    pub fn execute(&self, sql: &str) {
        sqlite::execute(&self.shared.file(), sql);
    }

    /// The first cell of a result as text, past the protocol.
    pub fn value(&self, sql: &str) -> String {
        sqlite::value(&self.shared.file(), sql)
    }

    /// The batches that came so far.
    pub fn batches(&self) -> Vec<String> {
        self.shared.batches.lock().unwrap().clone()
    }

    /// Application name and whether it came to read only, of each login so far.
    pub fn logins(&self) -> Vec<(String, bool)> {
        self.shared.logins.lock().unwrap().iter().map(|login| (login.application.clone(), login.read_only)).collect()
    }

    /// Clients that are connected now.
    pub fn open_connections(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn file(&self) -> PathBuf {
        self.folder.path().join("sis.db")
    }
}

/// A stream that can be plain, TLS, or first the one and then the other.
trait Stream: Read + Write {
    /// Back to what lies below TLS.
    fn into_plain(self: Box<Self>) -> TcpStream;
}

impl Stream for TcpStream {
    fn into_plain(self: Box<Self>) -> TcpStream {
        *self
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let offered = shared.options.encryption;
    let mut stream: Box<dyn Stream> = match (&shared.tls, offered) {
        (Some(tls), Encryption::Strict) => tls.accept_strict(stream)?,
        _ => Box::new(stream),
    };
    let prelogin = wire::read(&mut stream)?;
    if prelogin.kind != wire::PRELOGIN {
        return Err(io::Error::other("no prelogin"));
    }
    let asked = wire::encryption_asked(&prelogin.body);
    let (answer, encrypt) = negotiate(offered, asked);
    wire::write(&mut stream, &wire::prelogin_answer(answer))?;
    if let (Some(tls), true) = (&shared.tls, encrypt && offered != Encryption::Strict) {
        stream = tls.accept_in_packets(stream.into_plain())?;
    }
    let message = wire::read(&mut stream)?;
    let login = wire::parse_login(&message)?;
    if encrypt && answer == wire::ENCRYPT_OFF {
        stream = Box::new(stream.into_plain());
    }
    if let Some(refusal) = refusal(&login, shared.options.password) {
        return wire::write(&mut stream, &[refusal, tokens::done(tokens::DONE_ERROR, 0)].concat());
    }
    let mut answer = tokens::login_ack(DATABASE);
    if let Some(route) = shared.options.route {
        answer.extend(tokens::routing(&route.ip().to_string(), route.port()));
    }
    answer.extend(tokens::done(0, 0));
    wire::write(&mut stream, &answer)?;
    shared.logins.lock().unwrap().push(login);
    serve_batches(&mut *stream, shared)
}

/// What the server answers and whether TLS follows, by the table in MS-TDS 2.2.6.5.
fn negotiate(offered: Encryption, asked: u8) -> (u8, bool) {
    match (offered, asked) {
        (Encryption::NotSupported, _) | (Encryption::Login, wire::ENCRYPT_NOT_SUPPORTED) => {
            (wire::ENCRYPT_NOT_SUPPORTED, false)
        }
        (Encryption::Login, wire::ENCRYPT_OFF) => (wire::ENCRYPT_OFF, true),
        (Encryption::Login, _) | (Encryption::Required, wire::ENCRYPT_ON) => (wire::ENCRYPT_ON, true),
        (Encryption::Required | Encryption::Strict, _) => (wire::ENCRYPT_REQUIRED, true),
    }
}

fn refusal(login: &Login, password: &str) -> Option<Vec<u8>> {
    if login.user != USER || login.password != password {
        return Some(tokens::error(18456, 14, 1, &format!("Login failed for user '{}'.", login.user)));
    }
    let known = ["", "master", "tempdb"].contains(&&*login.database) || login.database.eq_ignore_ascii_case(DATABASE);
    (!known).then(|| {
        let message = format!("Cannot open database \"{}\" requested by the login. The login failed.", login.database);
        [
            tokens::error(4060, 11, 1, &message),
            tokens::error(18456, 14, 1, &format!("Login failed for user '{}'.", login.user)),
        ]
        .concat()
    })
}

fn serve_batches(stream: &mut dyn Stream, shared: &Shared) -> io::Result<()> {
    let mut session = Session::open(&shared.file(), &shared.options);
    loop {
        let message = wire::read(stream)?;
        match message.kind {
            wire::BATCH => {
                let (descriptor, sql) = wire::parse_batch(&message)?;
                shared.batches.lock().unwrap().push(sql.clone());
                let waits = sql.to_ascii_uppercase().contains("WAITFOR DELAY");
                let script = shared.options.script.as_ref().and_then(|script| script(&sql));
                match script.or_else(|| waits.then(|| vec![Step::Hang])) {
                    Some(steps) => play(stream, steps)?,
                    None => wire::write(stream, &session.run(descriptor, &sql, shared.options.today))?,
                }
            }
            wire::TRANSACTION => {
                let (descriptor, sql) = wire::parse_transaction(&message)?;
                shared.batches.lock().unwrap().push(sql.to_owned());
                wire::write(stream, &session.run(descriptor, sql, shared.options.today))?;
            }
            wire::ATTENTION => wire::write(stream, &tokens::done(tokens::DONE_ATTENTION, 0))?,
            kind => {
                let message = format!("Message type {kind} is not supported.");
                wire::write(
                    stream,
                    &[tokens::error(50_000, 16, 1, &message), tokens::done(tokens::DONE_ERROR, 0)].concat(),
                )?;
            }
        }
    }
}

fn play(stream: &mut dyn Stream, steps: Vec<Step>) -> io::Result<()> {
    let mut bytes = Vec::new();
    for step in steps {
        match step {
            Step::Send(more) => bytes.extend(more),
            Step::Cut => {
                wire::write_part(stream, &bytes)?;
                return Err(io::Error::other("cut by the script"));
            }
            Step::Hang => {
                wire::write_part(stream, &bytes)?;
                let Message { kind, .. } = wire::read(stream)?;
                if kind != wire::ATTENTION {
                    return Err(io::Error::other("a message while an answer was owed"));
                }
                return wire::write(stream, &tokens::done(tokens::DONE_ATTENTION, 0));
            }
        }
    }
    wire::write(stream, &bytes)
}

/// Whether a program that apt provides is here. Without it the test is ignored by name; in CI that is a failure.
pub fn program_or_ignore(program: &str, test: &str) -> bool {
    #[expect(clippy::disallowed_methods, reason = "a test, not the program")]
    let (path, ci) =
        (std::env::var_os("PATH").unwrap_or_default(), std::env::var("CI").is_ok_and(|value| value == "true"));
    let found = std::env::split_paths(&path).any(|folder: PathBuf| Path::new(&folder).join(program).is_file());
    assert!(found || !ci, "{test} needs `{program}`");
    if !found {
        eprintln!("ignored: {test} needs `{program}`");
    }
    found
}
