//! The units that `schedule` writes, and how systemd reads them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test's helper")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::context::TestContext;

/// The name of the account that runs the tests: the only one that is sure to be there.
pub fn me() -> String {
    let output = Command::new("id").arg("-nu").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A program of a Debian package; `None`, with a line on stderr, where it is missing.
pub fn program(test: &str, name: &str, package: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/lib/systemd", "/usr/lib/systemd"].map(PathBuf::from));
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        let message = format!("ignored: {test} needs {name} (apt-get install {package})");
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{message}");
        eprintln!("{message}");
    }
    found
}

pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

/// The units that are below a folder after `schedule systemd`.
pub fn unit(root: &Path, name: &str) -> PathBuf {
    root.join("etc/systemd/system").join(name)
}

/// The words of `ExecStart=` as systemd itself takes them apart, as a shell would be given them.
pub fn words_of(systemd: &Path, service: &Path) -> String {
    let said = read_by(systemd, service);
    let line = said.lines().find_map(|line| line.trim().strip_prefix("Command Line: "));
    // Of what is left of `$$`, one is a variable's sign; in the program's own path it is none.
    line.unwrap_or_else(|| panic!("{said}")).replace("\\$\\$", "\\$")
}

/// The variables of `Environment=`, likewise.
pub fn environment_of(systemd: &Path, service: &Path) -> Vec<(String, String)> {
    let said = read_by(systemd, service);
    let lines = said.lines().filter_map(|line| line.trim().strip_prefix("Environment: ")?.split_once('='));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// What systemd says of a service that it read. Its test mode runs as no root, so somebody else does it.
fn read_by(systemd: &Path, service: &Path) -> String {
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let units = home.path().join("units");
    fs::create_dir(&units).unwrap();
    fs::copy(service, units.join(service.file_name().unwrap())).unwrap();
    fs::set_permissions(&units, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = if me() == "root" {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(systemd);
        command
    } else {
        Command::new(systemd)
    };
    let unit = service.file_name().unwrap().to_str().unwrap();
    let output = command
        .args(["--user", "--test", &format!("--unit={unit}")])
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", home.path())
        .env("SYSTEMD_UNIT_PATH", format!("{}:", units.display()))
        .output()
        .unwrap();
    let said = text(&output);
    let (_, own) = said.split_once(&format!("-> Unit {unit}:")).unwrap_or_else(|| panic!("{said}"));
    own.split_once("-> Unit ").map_or(own, |(own, _)| own).to_owned()
}

/// A program that stands in for another one, on the path before it.
pub fn stand_in(context: &TestContext, name: &str, script: &str) -> String {
    let folder = context.path("bin");
    fs::create_dir_all(&folder).unwrap();
    context.write(&format!("bin/{name}"), format!("#!/bin/sh\n{script}"));
    fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:/usr/bin:/bin", folder.display())
}
