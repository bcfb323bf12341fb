//! Private database servers for the tests: started from the installed binaries in a temporary folder on a free port,
//! once for each test process, and gone when the process is gone.
//!
//! A `static` is never dropped, and a killed process drops nothing. So each server runs under a small shell that holds
//! the reading end of a pipe whose writing end only this process has: however the process ends, the shell sees the
//! pipe's end, stops the server and removes its folder.
//!
//! ```text
//! let Some(server) = Postgres::get("my_test") else { return };
//! server.create_database("my_test");
//! server.execute("my_test", "CREATE TABLE …");
//! let url = server.url("my_test");
//! ```

#![allow(dead_code, reason = "each test file uses another part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test's helper")]

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

/// Who logs in, and may do everything.
pub(crate) const USERNAME: &str = "sispush";
/// That user's password.
pub(crate) const PASSWORD: &str = "canary-server-password";
/// The common name of the authority that signs the servers' certificates, which no system trusts.
pub(crate) const AUTHORITY: &str = "School DB CA";

/// How long a server may take until it answers.
const START_LIMIT: Duration = Duration::from_mins(1);
/// How often another port is tried when one was taken between our finding it and the server's opening it.
const PORT_TRIES: u32 = 5;

/// Stops the server when standard input ends, then removes the folder (`$1`). `$2` is the signal; the rest the server.
const WATCHDOG: &str = r#"
folder=$1 signal=$2
shift 2
cd /
exec 3<&0
"$@" </dev/null 3<&- >>"$folder/server.log" 2>&1 &
server=$!
{ while read -r _; do :; done; [ -e "$folder/ended" ] || kill -s "$signal" "$server"; } <&3 3<&- &
guard=$!
exec 3<&-
wait "$server"
echo "$?" >"$folder/ended"
wait "$guard"
rm -rf "$folder"
"#;

/// A PostgreSQL server.
#[derive(Debug)]
pub(crate) struct Postgres {
    server: Server,
    psql: PathBuf,
}

impl Postgres {
    /// A server without TLS; `None`, with a line on stderr, where PostgreSQL is not installed.
    pub(crate) fn get(test: &str) -> Option<&'static Self> {
        static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
        installed(test, "PostgreSQL", "postgresql", SERVER.get_or_init(|| Self::start(false)).as_ref())
    }

    /// Another server, with a certificate for `localhost` and `127.0.0.1` that [`Self::ca_file`] signed.
    pub(crate) fn tls(test: &str) -> Option<&'static Self> {
        static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
        installed(test, "PostgreSQL", "postgresql", SERVER.get_or_init(|| Self::start(true)).as_ref())
    }

    /// The port at 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.server.port
    }

    /// The folder of the Unix socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.server.folder.clone()
    }

    /// The authority's certificate, as PEM; `None` for the server without TLS.
    pub(crate) fn ca_file(&self) -> Option<PathBuf> {
        self.server.ca_file()
    }

    /// A URL with username and password.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://{USERNAME}:{PASSWORD}@127.0.0.1:{}/{database}", self.port())
    }

    /// Makes an empty database of that name; one that is there already goes.
    pub(crate) fn create_database(&self, database: &str) {
        self.execute("postgres", &format!("DROP DATABASE IF EXISTS \"{database}\" WITH (FORCE)"));
        self.execute("postgres", &format!("CREATE DATABASE \"{database}\""));
    }

    /// Runs SQL, several statements if need be, and gives what it printed: cells parted by `|`, a row a line.
    pub(crate) fn execute(&self, database: &str, sql: &str) -> String {
        text_of("psql", self.client("127.0.0.1".as_ref(), database), sql)
    }

    /// `psql` by TCP, or by the socket in the folder that is given for a host.
    fn client(&self, host: &Path, database: &str) -> Command {
        let mut command = Command::new(&self.psql);
        command
            .args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1", "--file=-"])
            .arg(format!(
                "host={} port={} user={USERNAME} dbname={database} client_encoding=UTF8 connect_timeout=5",
                host.display(),
                self.port()
            ))
            .env("PGPASSWORD", PASSWORD);
        command
    }

    fn start(has_tls: bool) -> Option<Self> {
        let (initdb, postgres) = (program("initdb")?, program("postgres")?);
        let psql = program("psql")?;
        let server = start(has_tls, |folder, port| {
            let data = folder.join("data");
            if !data.exists() {
                let password = folder.join("password");
                fs::write(&password, PASSWORD).unwrap();
                // PostgreSQL does not run as root: Debian's package brings this user.
                own(folder, "postgres");
                let mut command = command(&as_user("postgres", &initdb));
                command
                    .args(["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"])
                    .arg(format!("--username={USERNAME}"))
                    .arg(format!("--pwfile={}", password.display()))
                    .arg("--pgdata")
                    .arg(&data);
                text_of("initdb", command, "");
            }
            let mut server = as_user("postgres", &postgres);
            server.extend(["-D".into(), data.into(), "-k".into(), folder.into(), "-p".into(), port.to_string().into()]);
            let mut settings = vec![
                "listen_addresses=127.0.0.1".to_owned(),
                "fsync=off".to_owned(),
                "synchronous_commit=off".to_owned(),
                "full_page_writes=off".to_owned(),
                "timezone=UTC".to_owned(),
            ];
            if has_tls {
                settings.push("ssl=on".to_owned());
                settings.push(format!("ssl_cert_file={}", folder.join("server.pem").display()));
                settings.push(format!("ssl_key_file={}", folder.join("server.key").display()));
            }
            server.extend(settings.into_iter().flat_map(|setting| ["-c".into(), setting.into()]));
            // QUIT is PostgreSQL's immediate stop: nothing here is worth a shutdown checkpoint.
            let client = Self { server: Server::nowhere(folder, port), psql: psql.clone() }.client(folder, "postgres");
            ("QUIT", server, client)
        });
        Some(Self { server, psql })
    }
}

/// A MariaDB server.
#[derive(Debug)]
pub(crate) struct MariaDb {
    server: Server,
    client: PathBuf,
}

impl MariaDb {
    /// A server without TLS; `None`, with a line on stderr, where MariaDB is not installed.
    pub(crate) fn get(test: &str) -> Option<&'static Self> {
        static SERVER: OnceLock<Option<MariaDb>> = OnceLock::new();
        installed(test, "MariaDB", "mariadb-server", SERVER.get_or_init(|| Self::start(false)).as_ref())
    }

    /// Another server, with a certificate for `localhost` and `127.0.0.1` that [`Self::ca_file`] signed.
    pub(crate) fn tls(test: &str) -> Option<&'static Self> {
        static SERVER: OnceLock<Option<MariaDb>> = OnceLock::new();
        installed(test, "MariaDB", "mariadb-server", SERVER.get_or_init(|| Self::start(true)).as_ref())
    }

    /// The port at 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.server.port
    }

    /// The Unix socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.server.folder.join("socket")
    }

    /// The authority's certificate, as PEM; `None` for the server without TLS.
    pub(crate) fn ca_file(&self) -> Option<PathBuf> {
        self.server.ca_file()
    }

    /// A URL with username and password.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("mysql://{USERNAME}:{PASSWORD}@127.0.0.1:{}/{database}", self.port())
    }

    /// Makes an empty database of that name; one that is there already goes.
    pub(crate) fn create_database(&self, database: &str) {
        let sql = format!("DROP DATABASE IF EXISTS `{database}`; CREATE DATABASE `{database}`");
        self.execute("mysql", &sql);
    }

    /// Runs SQL, several statements if need be, and gives what it printed: cells parted by tabs, a row a line.
    pub(crate) fn execute(&self, database: &str, sql: &str) -> String {
        text_of("mariadb", self.client(None, database), sql)
    }

    /// `mariadb` by TCP, or by the socket that is given.
    fn client(&self, socket: Option<&Path>, database: &str) -> Command {
        let mut command = Command::new(&self.client);
        command
            .args(["--no-defaults", "--batch", "--skip-column-names", "--default-character-set=utf8mb4"])
            .arg("--connect-timeout=5")
            .arg(format!("--user={USERNAME}"))
            .arg(database)
            .env("MYSQL_PWD", PASSWORD);
        match socket {
            Some(socket) => command.arg("--protocol=socket").arg("--socket").arg(socket),
            None => command.args(["--protocol=tcp", "--host=127.0.0.1"]).arg(format!("--port={}", self.port())),
        };
        command
    }

    fn start(has_tls: bool) -> Option<Self> {
        let (install, mariadbd) = (program("mariadb-install-db")?, program("mariadbd")?);
        let client = program("mariadb")?;
        let user = is_root().then_some("--user=root");
        let server = start(has_tls, |folder, port| {
            let data = folder.join("data");
            let setup = folder.join("setup.sql");
            if !data.exists() {
                // Both delete `#sql-*` where temporary files go when they start: in a shared folder, each other's.
                fs::create_dir(folder.join("tmp")).unwrap();
                let mut command = Command::new(&install);
                command
                    .env("TMPDIR", folder.join("tmp"))
                    .args(["--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal"])
                    .arg(format!("--datadir={}", data.display()))
                    .args(user);
                text_of("mariadb-install-db", command, "");
                let sql = format!(
                    "CREATE USER IF NOT EXISTS {USERNAME}@'%' IDENTIFIED BY '{PASSWORD}';\n\
                     GRANT ALL ON *.* TO {USERNAME}@'%' WITH GRANT OPTION;\n"
                );
                fs::write(&setup, sql).unwrap();
            }
            let path = |option: &str, path: PathBuf| {
                let mut argument = OsString::from(option);
                argument.push(path);
                argument
            };
            let mut server: Vec<OsString> = vec![mariadbd.clone().into(), "--no-defaults".into()];
            server.extend(user.map(OsString::from));
            server.extend([
                path("--datadir=", data),
                path("--init-file=", setup),
                path("--socket=", folder.join("socket")),
                path("--pid-file=", folder.join("pid")),
                path("--tmpdir=", folder.join("tmp")),
                format!("--port={port}").into(),
            ]);
            let settings = [
                "--bind-address=127.0.0.1",
                "--skip-name-resolve",
                "--character-set-server=utf8mb4",
                "--default-time-zone=+00:00",
                "--innodb-buffer-pool-size=32M",
                "--innodb-flush-log-at-trx-commit=0",
                "--innodb-doublewrite=OFF",
                "--max-allowed-packet=64M",
            ];
            server.extend(settings.map(OsString::from));
            if has_tls {
                server.push(path("--ssl-ca=", folder.join("ca.pem")));
                server.push(path("--ssl-cert=", folder.join("server.pem")));
                server.push(path("--ssl-key=", folder.join("server.key")));
            }
            let nowhere = Self { server: Server::nowhere(folder, port), client: client.clone() };
            ("KILL", server, nowhere.client(Some(&nowhere.socket()), "mysql"))
        });
        Some(Self { server, client })
    }
}

/// A running server. It ends with this process, or when this is dropped.
#[derive(Debug)]
struct Server {
    folder: PathBuf,
    port: u16,
    /// Its end tells the watchdog to stop the server.
    lifeline: Option<ChildStdin>,
    watchdog: Option<Child>,
}

impl Server {
    /// A place to connect to, without the server.
    fn nowhere(folder: &Path, port: u16) -> Self {
        Self { folder: folder.to_path_buf(), port, lifeline: None, watchdog: None }
    }

    fn ca_file(&self) -> Option<PathBuf> {
        Some(self.folder.join("ca.pem")).filter(|path| path.exists())
    }
}

/// Starts a server in a new folder, on the first free port that it can have, and waits until it answers.
///
/// `prepare` fills the folder if that is still to do, and gives the signal that stops the server, the server's
/// command, and a client's command that succeeds once the server answers.
fn start(has_tls: bool, prepare: impl Fn(&Path, u16) -> (&'static str, Vec<OsString>, Command)) -> Server {
    let mut logs = String::new();
    for _ in 0..PORT_TRIES {
        // A short path: a Unix socket's may not be longer than 107 bytes.
        let folder = tempfile::Builder::new().prefix("sispush-").tempdir().unwrap();
        if has_tls {
            write_certificates(folder.path());
        }
        let port = free_port();
        let (signal, command, client) = prepare(folder.path(), port);
        // From here on the watchdog removes it.
        let folder = folder.keep();
        let mut server = watched(&folder, port, signal, &command);
        if wait_until_it_answers(&server, client) {
            return server;
        }
        logs.push_str(&fs::read_to_string(folder.join("server.log")).unwrap_or_default());
        drop(server.lifeline.take());
        if let Some(mut watchdog) = server.watchdog.take() {
            watchdog.wait().unwrap();
        }
    }
    panic!("a database server did not start; its log says:\n{logs}");
}

fn watched(folder: &Path, port: u16, signal: &str, server: &[OsString]) -> Server {
    let mut command = Command::new("sh");
    command.arg("-c").arg(WATCHDOG).arg("sh").arg(folder).arg(signal).args(server);
    // A group of its own, so that what ends the test's group (Ctrl-C, a runner's timeout) leaves time to clean up.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    // No output of the test's: a runner waits until everybody has closed it.
    let mut watchdog =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("`sh` starts");
    let lifeline = watchdog.stdin.take();
    Server { folder: folder.to_path_buf(), port, lifeline, watchdog: Some(watchdog) }
}

/// Whether the server answers in time; `false` if it ended, as it does if its port is taken.
///
/// The client comes by the socket in the server's folder: at the port, another test's server might answer.
fn wait_until_it_answers(server: &Server, mut client: Command) -> bool {
    client.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    while !server.folder.join("ended").exists() {
        if client.status().expect("the client starts").success() {
            return true;
        }
        assert!(start.elapsed() < START_LIMIT, "a database server did not answer within {START_LIMIT:?}");
        std::thread::sleep(Duration::from_millis(20)); // Neither server has a way to say that it is ready.
    }
    false
}

/// An authority `ca.pem`, and `server.pem` with `server.key` that it signed.
fn write_certificates(folder: &Path) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.push(DnType::CommonName, AUTHORITY);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut server = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    server.distinguished_name.push(DnType::CommonName, "localhost");
    let server = server.signed_by(&key, &authority).unwrap();
    fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    fs::write(folder.join("server.pem"), server.pem()).unwrap();
    let key_file = folder.join("server.key");
    fs::write(&key_file, key.serialize_pem()).unwrap();
    // PostgreSQL refuses a key that others can read.
    #[cfg(unix)]
    fs::set_permissions(&key_file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// The server; if there is none, says so, and on a build machine fails: a suite that skips is not a suite.
pub(crate) fn installed<T>(test: &str, server: &str, package: &str, found: Option<&'static T>) -> Option<&'static T> {
    if found.is_none() {
        let message = format!("ignored: {test} needs {server} (apt-get install {package})");
        assert!(cfg!(not(unix)) || std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{message}");
        eprintln!("{message}");
    }
    found
}

/// A program on the path, or where Debian puts servers.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    if cfg!(not(unix)) {
        return None; // The watchdog is a shell script.
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<PathBuf> =
        fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    versions.sort_by_key(|path| std::cmp::Reverse(number(path)));
    folders.extend(versions.into_iter().map(|version| version.join("bin")));
    folders.extend(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    folders.into_iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("`id` starts");
    output.stdout.trim_ascii() == b"0"
}

/// The start of a command that runs as `user` if we are root.
fn as_user(user: &str, program: &Path) -> Vec<OsString> {
    let mut command: Vec<OsString> = Vec::new();
    if is_root() {
        let arguments = ["setpriv", &format!("--reuid={user}"), &format!("--regid={user}"), "--init-groups", "--"];
        command.extend(arguments.map(OsString::from));
    }
    command.push(program.into());
    command
}

/// Gives a folder to `user` if we are root.
fn own(folder: &Path, user: &str) {
    if is_root() {
        let mut command = Command::new("chown");
        command.args(["-R", &format!("{user}:")]).arg(folder);
        text_of("chown", command, "");
    }
}

fn command(words: &[OsString]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).current_dir("/"); // One that the other user may enter.
    command
}

/// Runs a program with that input to its end and gives what it printed; fails with its words.
fn text_of(name: &str, mut command: Command, input: &str) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("`{name}` does not start: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let output: Output = std::thread::scope(|scope| {
        // Beside reading, since a program that prints much before it has read all would wait for us for ever. What it
        // does not read is no matter: its exit code tells.
        scope.spawn(move || drop(stdin.write_all(input.as_bytes())));
        child.wait_with_output().unwrap()
    });
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{name}` failed: {errors}");
    String::from_utf8(output.stdout).unwrap()
}
