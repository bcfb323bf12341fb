//! What this program is and what is built into it, for `--version --verbose` and for the file for a support request.

use std::env::consts::{ARCH, OS};
use std::fs;

use crate::source::{self, Engine};
use crate::state::STATE_VERSION;

/// The version, as in `Cargo.toml`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit it was built from, if whoever built it said so. There is no build script that asks git: one source gives one
/// binary, and `cargo install` needs no git.
const COMMIT: Option<&str> = option_env!("SISPUSH_COMMIT");

/// What is known beside the version, each with its name.
pub fn facts() -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(commit) = COMMIT.filter(|commit| !commit.is_empty()) {
        facts.push(("commit", commit.to_owned()));
    }
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    let engines = Engine::ALL.into_iter().filter(|engine| source::check_engine(*engine).is_ok());
    let engines: Vec<String> = engines.map(|engine| engine.scheme().to_owned()).collect();
    facts.push(("build", format!("{ARCH}-{OS}{}, {profile}", libc())));
    facts.push(("system", system()));
    facts.push(("features", features()));
    facts.push(("engines", engines.join(", ")));
    facts.push(("sqlite", rusqlite::version().to_owned()));
    facts.push(("tls", "rustls with aws-lc-rs; the operating system's trust store, and `ca_file`".to_owned()));
    facts.push(("state", format!("version {STATE_VERSION}")));
    facts
}

/// Every feature of `Cargo.toml` that is compiled in.
fn features() -> String {
    let all = [
        ("mail", cfg!(feature = "mail")),
        ("odbc", cfg!(feature = "odbc")),
        ("secret-service", cfg!(feature = "secret-service")),
    ];
    let built: Vec<&str> = all.iter().filter(|(_, is_built)| *is_built).map(|(name, _)| *name).collect();
    if built.is_empty() { "none".to_owned() } else { built.join(", ") }
}

/// The C library that it was built for, as in the name of the target.
fn libc() -> &'static str {
    if cfg!(target_env = "gnu") {
        "-gnu"
    } else if cfg!(target_env = "musl") {
        "-musl"
    } else if cfg!(target_env = "msvc") {
        "-msvc"
    } else {
        ""
    }
}

/// The operating system with its version, in its own words; its name alone where it has no such file, as outside of Linux.
fn system() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or_default();
    let name = name.trim_matches('"');
    if name.is_empty() { OS } else { name }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A build without a commit is the rule here; one with it is CI's.
    #[test]
    fn each_fact_is_told_once_and_is_not_blank() {
        let facts = facts();
        let names: Vec<&str> = facts.iter().map(|(name, _)| *name).collect();
        let expected = ["commit", "build", "system", "features", "engines", "sqlite", "tls", "state"];
        assert_eq!(names, expected[usize::from(COMMIT.is_none_or(str::is_empty))..]);
        assert!(facts.iter().all(|(_, value)| !value.trim().is_empty() && !value.contains('\n')), "{facts:?}");
        let engines = facts.iter().find(|(name, _)| *name == "engines").map(|(_, value)| value.as_str());
        assert!(engines.unwrap().starts_with("mssql, postgres, mysql, sqlite, csv"));
        assert_eq!(engines.unwrap().contains("odbc"), cfg!(feature = "odbc"));
        // Regression: a feature that came later was not told.
        let manifest = fs::read_to_string("Cargo.toml").unwrap();
        let section = manifest.split("[features]\n").nth(1).unwrap().split("\n[").next().unwrap();
        let names = section.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = "));
        let names: Vec<&str> = names.map(|(name, _)| name).filter(|name| *name != "default").collect();
        assert_eq!(names.len(), 3, "a new feature must be told by `features`: {names:?}");
    }
}
