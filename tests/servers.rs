//! The tests' own database servers: they start, they answer, and they leave nothing behind.

#![cfg(unix)]

#[path = "support/servers.rs"]
mod servers;

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use servers::{MariaDb, Postgres};

#[test]
fn postgres_answers() {
    let Some(server) = Postgres::get("postgres_answers") else { return };
    assert_eq!(server.execute("postgres", "SELECT 1"), "1\n");
    server.create_database("names");
    server.execute("names", "CREATE TABLE people (name text); INSERT INTO people VALUES ('Nguyễn'), (NULL)");
    assert_eq!(server.execute("names", "SELECT name FROM people WHERE name IS NOT NULL"), "Nguyễn\n");
    server.create_database("names");
    assert_eq!(server.execute("names", "SELECT count(*) FROM pg_tables WHERE tablename = 'people'"), "0\n");
    assert_eq!(server.execute("names", "SHOW ssl"), "off\n");
    assert_eq!(server.ca_file(), None);
    assert!(server.socket().join(format!(".s.PGSQL.{}", server.port())).exists());
}

#[test]
fn postgres_speaks_tls() {
    let Some(server) = Postgres::tls("postgres_speaks_tls") else { return };
    assert_eq!(server.execute("postgres", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"), "t\n");
    assert!(server.ca_file().is_some());
}

#[test]
fn mariadb_answers() {
    let Some(server) = MariaDb::get("mariadb_answers") else { return };
    assert_eq!(server.execute("mysql", "SELECT 1"), "1\n");
    server.create_database("names");
    server.execute("names", "CREATE TABLE people (name text); INSERT INTO people VALUES ('Nguyễn'), (NULL)");
    assert_eq!(server.execute("names", "SELECT name FROM people WHERE name IS NOT NULL"), "Nguyễn\n");
    assert_eq!(server.execute("names", "SELECT @@have_ssl"), "DISABLED\n");
    assert_eq!(server.ca_file(), None);
    assert!(server.socket().exists());
}

#[test]
fn mariadb_speaks_tls() {
    let Some(server) = MariaDb::tls("mariadb_speaks_tls") else { return };
    assert_eq!(server.execute("mysql", "SELECT @@have_ssl"), "YES\n");
    assert!(server.ca_file().is_some());
}

/// Where the process below says which servers it has: a folder and a port a line.
const SERVERS: &str = "SISPUSH_TEST_SERVERS";

/// Not a test of its own: what [`a_killed_process_leaves_nothing_behind`] runs and kills.
#[test]
#[ignore = "waits to be killed; run by another test"]
fn waits_to_be_killed() {
    let Some(file) = std::env::var_os(SERVERS) else { return };
    let postgres = Postgres::get("waits_to_be_killed").map(|server| (server.port(), server.socket()));
    let mariadb = MariaDb::get("waits_to_be_killed")
        .map(|server| (server.port(), server.socket().parent().unwrap().to_path_buf()));
    let servers: Vec<String> =
        postgres.into_iter().chain(mariadb).map(|(port, folder)| format!("{port} {}", folder.display())).collect();
    // Whole or not at all, since the other process waits for it.
    let new = PathBuf::from(&file).with_extension("new");
    std::fs::write(&new, servers.join("\n")).unwrap();
    std::fs::rename(new, file).unwrap();
    // Until killed, or until the test that should do it is gone.
    drop(std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
}

#[test]
fn a_killed_process_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("servers");
    let errors = folder.path().join("errors");
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "waits_to_be_killed", "--ignored", "--nocapture"])
        .env(SERVERS, &file)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&errors).unwrap())
        .spawn()
        .unwrap();
    wait_for("the servers start", || file.exists() || process.try_wait().unwrap().is_some());
    assert!(file.exists(), "{}", std::fs::read_to_string(errors).unwrap());
    let servers = std::fs::read_to_string(&file).unwrap();
    let servers: Vec<(u16, &Path)> = servers
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(port, folder)| (port.parse().unwrap(), Path::new(folder)))
        .collect();
    for (port, folder) in &servers {
        assert!(folder.exists() && is_answered(*port), "{port}, {}", folder.display());
    }
    process.kill().unwrap(); // SIGKILL: nothing of the process's own can clean up.
    process.wait().unwrap();
    for (port, folder) in &servers {
        wait_for("the server ends", || !is_answered(*port));
        wait_for("its folder goes", || !folder.exists());
    }
}

fn is_answered(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn wait_for(what: &str, mut is_done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_done() {
        assert!(start.elapsed() < Duration::from_mins(1), "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(20)); // The end of a process that is not our child sends no signal.
    }
}
