//! References to secrets: `${NAME}`, `${file:PATH}`, `${credential:NAME}`, `${keyring:NAME}` and `${command:…}`.
//!
//! They are replaced after the mapping is parsed, so any character in a secret is safe. No message shows a value.

mod command;
mod file;
pub(crate) mod keyring;
mod late;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use tokio::runtime::{Handle, RuntimeFlavor};

pub(crate) use command::stop_commands;
pub(crate) use file::bare;
pub(super) use file::read_private;

use super::dotenv;
use super::include::tidy;
use crate::error::Hint;
use crate::secret::Secret;

/// A part of a text that may hold references.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Reference(Reference),
}

/// Where a secret lies.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Reference {
    /// An environment variable, or a line of `.env` beside the mapping or its base.
    Variable(String),
    /// A file's text, relative to the mapping.
    File(String),
    /// A credential that systemd hands to its service.
    Credential(String),
    /// An entry of the platform's store.
    Keyring(String),
    /// What a program prints: its name, then its arguments. Never empty.
    Command(Vec<String>),
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "${{{name}}}"),
            Self::File(path) => write!(f, "${{file:{path}}}"),
            Self::Credential(name) => write!(f, "${{credential:{name}}}"),
            Self::Keyring(name) => write!(f, "${{keyring:{name}}}"),
            // An argument may be a secret, though it should not.
            Self::Command(words) => {
                let more = if words.len() > 1 { " …" } else { "" };
                write!(f, "${{command:{}{more}}}", words.first().map_or("", String::as_str))
            }
        }
    }
}

/// As it is displayed: the arguments of a command are in no crash text either.
impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a secret was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A variable of the environment.
    Environment,
    /// A line of `.env` beside the mapping or its base.
    DotEnv,
    /// A file of its own.
    File,
    /// A credential of the service that sispush runs as.
    Credential,
    /// The platform's store of credentials.
    Keyring,
    /// A program prints it.
    Command,
}

impl Origin {
    /// Its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::DotEnv => "dotenv",
            Self::File => "file",
            Self::Credential => "credential",
            Self::Keyring => "keyring",
            Self::Command => "command",
        }
    }
}

/// What is wrong with a reference: message and hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) hint: Option<Hint>,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>, hint: impl Into<Hint>) -> Self {
        Self { message: message.into(), hint: Some(hint.into()) }
    }

    fn into_parts(self) -> (String, Option<Hint>) {
        (self.message, self.hint)
    }
}

/// What stands before the colon of a reference, and what others call it.
const KINDS: [&str; 5] = ["file", "credential", "keyring", "command", "env"];

/// Takes a text apart. `$${` is a literal `${`.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece>, Fault> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            literal.push_str(&rest[..at - 1]);
            literal.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        literal.push_str(&rest[..at]);
        let Some(end) = rest[at..].find('}') else {
            return Err(Fault::new(
                "a reference `${` is not closed",
                "write `${NAME}`; a literal `${` is written `$${`",
            ));
        };
        if !literal.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut literal)));
        }
        pieces.push(Piece::Reference(reference(&rest[at + 2..at + end])?));
        rest = &rest[at + end + 1..];
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    Ok(pieces)
}

/// The text inside the braces is not shown when it is no reference: it may be part of a password.
fn reference(inner: &str) -> Result<Reference, Fault> {
    const HINT: &str = "write `${NAME}` for an environment variable, `${file:PATH}`, `${credential:NAME}`, `${keyring:NAME}` or `${command:PROGRAM}`; a literal `${` is written `$${`";
    let Some((kind, rest)) = inner.split_once(':') else {
        return if is_name(inner) {
            Ok(Reference::Variable(inner.to_owned()))
        } else {
            Err(Fault::new("`${…}` is not a reference that sispush knows", HINT))
        };
    };
    let rest = rest.trim();
    match kind {
        "file" if rest.is_empty() => Err(Fault::new("`${file:}` names no file", HINT)),
        "file" => Ok(Reference::File(rest.to_owned())),
        "credential" if is_credential_name(rest) => Ok(Reference::Credential(rest.to_owned())),
        "credential" => Err(Fault::new(
            "what `${credential:…}` names is no name of a credential",
            "write the name alone, as in the service's `LoadCredential=NAME:PATH`: no `/`, no `:`",
        )),
        "keyring" if is_store_name(rest) => Ok(Reference::Keyring(rest.to_owned())),
        "keyring" => Err(Fault::new("what `${keyring:…}` names is no name for a secret", keyring::NAME_RULE)),
        "command" => command::words(rest).map(Reference::Command).map_err(|reason| {
            Fault::new(
                format!("what `${{command:…}}` runs is not written rightly: {reason}"),
                "write a program and its words, `${command:pass show sis}`, with quotes around a word that has spaces; it cannot hold `}`",
            )
        }),
        "env" => Err(Fault::new("an environment variable is written without `env:`", "write `${NAME}`")),
        _ => Err(Fault::new("`${…}` is not a reference that sispush knows", HINT)),
    }
}

/// Whether this is what stands inside the braces of a reference.
pub(super) fn looks_like_reference(inner: &str) -> bool {
    match inner.split_once(':') {
        Some((kind, _)) => KINDS.contains(&kind),
        None => is_name(inner),
    }
}

/// One component of a path, as systemd allows it.
fn is_credential_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && !matches!(text, "." | "..")
        && text.chars().all(|char| (' '..='~').contains(&char) && !matches!(char, '/' | '\\' | ':'))
}

fn is_store_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.'))
}

pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
}

/// The references of a text; none when the text is not right, which is reported elsewhere.
pub(super) fn references(text: &str) -> impl Iterator<Item = Reference> {
    pieces(text).unwrap_or_default().into_iter().filter_map(|piece| match piece {
        Piece::Reference(reference) => Some(reference),
        Piece::Text(_) => None,
    })
}

/// Whether programs may be asked for secrets.
#[derive(Clone, Copy, Debug)]
pub(super) enum Commands<'m> {
    /// Nobody has allowed it.
    Refused,
    /// The mapping says so, which is made of these files: nobody else may be able to change them.
    Allowed(&'m [&'m Path]),
}

/// Looks secrets up, each once.
pub(super) struct Secrets<'m> {
    /// The mapping's folder, then its base's, if that is another.
    folders: &'m [PathBuf],
    commands: Commands<'m>,
    environment: &'m dyn Fn(&str) -> Option<String>,
    /// The `.env` of the folders, each read when a variable is not found before it.
    dotenvs: Vec<Result<HashMap<String, Secret>, Fault>>,
    values: HashMap<Reference, Result<Secret, Fault>>,
}

impl<'m> Secrets<'m> {
    pub(super) fn new(
        folders: &'m [PathBuf],
        commands: Commands<'m>,
        environment: &'m dyn Fn(&str) -> Option<String>,
    ) -> Self {
        Self { folders, commands, environment, dotenvs: Vec::new(), values: HashMap::new() }
    }

    /// The secret's text.
    pub(super) fn get(&mut self, reference: &Reference) -> Result<Secret, Fault> {
        if let Some(value) = self.values.get(reference) {
            return value.clone();
        }
        let value = match reference {
            Reference::Variable(name) => self.variable(name),
            Reference::File(path) => file::read(&self.file(path)),
            Reference::Credential(name) => self.credential(name),
            Reference::Keyring(name) => aside(|| keyring::find(name)),
            Reference::Command(words) => {
                self.check_commands().and_then(|()| aside(|| command::run(words, self.own_folder(), None)))
            }
        };
        let value = value.and_then(|value: Secret| {
            if value.expose_secret().is_empty() {
                Err(match reference {
                    Reference::Command(words) => Fault::new(
                        format!("`{}` printed nothing in its first line", words[0]),
                        "let it print the secret in its first line",
                    ),
                    _ => Fault::new(
                        format!("the secret `{reference}` is empty"),
                        "give it a value; for none at all write `\"\"` in the mapping",
                    ),
                })
            } else {
                Ok(value)
            }
        });
        self.values.insert(reference.clone(), value.clone());
        value
    }

    /// Where a secret is found, if it is; a variable of the environment goes before a line of `.env`.
    pub(super) fn origin(&self, reference: &Reference) -> Option<Origin> {
        match reference {
            Reference::Variable(name) if (self.environment)(name).is_some() => Some(Origin::Environment),
            Reference::Variable(name) => {
                let is_in = |folder: &PathBuf| Some(dotenv::read(&folder.join(".env")).ok()?.contains_key(name));
                self.folders.iter().map_while(is_in).any(|is_in| is_in).then_some(Origin::DotEnv)
            }
            Reference::File(path) => self.file(path).is_file().then_some(Origin::File),
            Reference::Credential(name) => self.credential_path(name)?.is_file().then_some(Origin::Credential),
            Reference::Keyring(name) => aside(|| keyring::find(name)).is_ok().then_some(Origin::Keyring),
            Reference::Command(_) => self.check_commands().is_ok().then_some(Origin::Command),
        }
    }

    /// Where a secret is found, or what is wrong with it. A program is not run for that.
    pub(super) fn place(&mut self, reference: &Reference) -> Result<Origin, Fault> {
        match reference {
            Reference::Command(_) => self.check_commands().map(|()| Origin::Command),
            Reference::Variable(_) | Reference::File(_) | Reference::Credential(_) | Reference::Keyring(_) => {
                self.get(reference)?;
                Ok(match reference {
                    Reference::Variable(name) if (self.environment)(name).is_some() => Origin::Environment,
                    Reference::Variable(_) => Origin::DotEnv,
                    Reference::File(_) => Origin::File,
                    Reference::Credential(_) => Origin::Credential,
                    Reference::Keyring(_) => Origin::Keyring,
                    Reference::Command(_) => Origin::Command,
                })
            }
        }
    }

    /// A text with its references replaced.
    pub(super) fn expand(&mut self, text: &str) -> Result<String, Fault> {
        let mut out = String::with_capacity(text.len());
        for piece in pieces(text)? {
            match piece {
                Piece::Text(text) => out.push_str(&text),
                Piece::Reference(reference) => out.push_str(self.get(&reference)?.expose_secret()),
            }
        }
        Ok(out)
    }

    /// A file's path starts from the mapping's folder; that of one in the base is written so.
    fn file(&self, path: &str) -> PathBuf {
        self.folders.first().map_or_else(|| path.into(), |folder| tidy(&folder.join(path)))
    }

    /// The folder of the mapping itself, in which programs run.
    fn own_folder(&self) -> &Path {
        self.folders.first().map_or(Path::new(""), PathBuf::as_path)
    }

    fn credential_path(&self, name: &str) -> Option<PathBuf> {
        (self.environment)("CREDENTIALS_DIRECTORY").map(|folder| Path::new(&folder).join(name))
    }

    fn credential(&self, name: &str) -> Result<Secret, Fault> {
        let Some(path) = self.credential_path(name) else {
            return Err(Fault::new(
                format!(
                    "the secret `${{credential:{name}}}` is there only while systemd runs sispush as a service (`CREDENTIALS_DIRECTORY` is not set)"
                ),
                format!(
                    "to try it by hand: `systemd-run --pipe --wait --same-dir --property=LoadCredential={name}:PATH sispush doctor MAPPING`"
                ),
            ));
        };
        if !path.exists() {
            return Err(Fault::new(
                format!("the service has no credential `{name}`"),
                format!(
                    "add a line `LoadCredential={name}:PATH` below `[Service]`, then run `systemctl daemon-reload`"
                ),
            ));
        }
        file::read(&path)
    }

    /// Whether programs may be asked: the mapping says so, and nobody but its owner can have written that.
    fn check_commands(&self) -> Result<(), Fault> {
        match self.commands {
            Commands::Refused => Err(Fault::new(COMMAND_REFUSED, COMMAND_HINT)),
            Commands::Allowed(files) => files.iter().try_for_each(|file| file::check_own(file)),
        }
    }

    fn variable(&mut self, name: &str) -> Result<Secret, Fault> {
        if let Some(value) = (self.environment)(name) {
            return Ok(value.into());
        }
        let paths: Vec<PathBuf> = self.folders.iter().map(|folder| folder.join(".env")).collect();
        for (index, path) in paths.iter().enumerate() {
            if self.dotenvs.len() == index {
                self.dotenvs.push(dotenv::read(path));
            }
            match &self.dotenvs[index] {
                Ok(variables) => {
                    if let Some(value) = variables.get(name) {
                        return Ok(value.clone());
                    }
                }
                Err(fault) => return Err(fault.clone()),
            }
        }
        let paths: Vec<String> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
        Err(Fault::new(
            format!("the secret `${{{name}}}` is not set"),
            format!("set the environment variable `{name}`, or write a line `{name}=…` into {}", paths.join(" or ")),
        ))
    }
}

/// A text whose `${file:PATH}` start from a folder; `None` if nothing changes.
pub(super) fn with_files_from(text: &str, folder: &Path) -> Option<String> {
    if folder.as_os_str().is_empty() || !text.contains("${file:") {
        return None;
    }
    let mut placed = String::with_capacity(text.len());
    for piece in pieces(text).ok()? {
        match piece {
            Piece::Text(text) => placed.push_str(&text.replace("${", "$${")),
            Piece::Reference(Reference::File(path)) => {
                placed.push_str(&Reference::File(folder.join(path).to_string_lossy().into_owned()).to_string());
            }
            Piece::Reference(reference) => placed.push_str(&reference.to_string()),
        }
    }
    Some(placed)
}

/// The process environment: the only place that reads it for mappings.
#[expect(clippy::disallowed_methods, reason = "the one place where the secrets of a mapping come from the environment")]
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Said of a `${command:…}` in a mapping without leave for it.
pub(super) const COMMAND_REFUSED: &str =
    "`${command:…}` runs a program, which only a mapping with `allow_commands: true` may do";
pub(super) const COMMAND_HINT: &str = "if you trust the program, add the line `allow_commands: true` to the mapping itself, and let only its owner write it";

/// Does what may take a while beside the runtime's other work, where there is any: another school's push, or the hearing
/// of Ctrl-C.
fn aside<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current() {
        Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::fs;

    use super::*;

    fn folder_with(name: &str, text: &str, mode: u32) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        #[cfg(not(unix))]
        let _ = mode;
        folder
    }

    fn expand(folder: &Path, text: &str) -> Result<String, String> {
        let environment = |name: &str| (name == "SET").then(|| "from ${ENV}".to_owned());
        Secrets::new(&[folder.to_owned()], Commands::Refused, &environment).expand(text).map_err(|fault| fault.message)
    }

    #[test]
    fn references_are_replaced_once() {
        let folder = folder_with(".env", "DOT='a b'\nSET=ignored\n", 0o600);
        assert_eq!(expand(folder.path(), "x${SET}y${DOT}z").unwrap(), "xfrom ${ENV}ya bz");
        assert_eq!(expand(folder.path(), "a$${SET}b$c$$d").unwrap(), "a${SET}b$c$$d");
        assert_eq!(expand(folder.path(), "${MISSING}").unwrap_err(), "the secret `${MISSING}` is not set");
    }

    #[test]
    fn a_file_loses_one_line_break() {
        for (text, expected) in [("s3cret\n", "s3cret"), ("s3cret\r\n", "s3cret"), ("a\n\n", "a\n"), (" a ", " a ")] {
            let folder = folder_with("secret", text, 0o600);
            assert_eq!(expand(folder.path(), "${file:secret}").unwrap(), expected);
        }
        let folder = folder_with("secret", "\n", 0o600);
        assert_eq!(expand(folder.path(), "${file:secret}").unwrap_err(), "the secret `${file:secret}` is empty");
        assert!(expand(folder.path(), "${file:nowhere}").unwrap_err().ends_with("does not exist"));
    }

    #[cfg(unix)]
    #[test]
    fn files_that_others_can_read_are_refused() {
        for (name, text) in [("secret", "${file:secret}"), (".env", "${A}")] {
            let folder = folder_with(name, "A=canary", 0o640);
            let message = expand(folder.path(), text).unwrap_err();
            assert!(message.ends_with("holds secrets and can be read by other accounts"), "{message}");
        }
        let folder = folder_with("secret", "canary", 0o620);
        let message = expand(folder.path(), "${file:secret}").unwrap_err();
        assert!(message.ends_with("holds secrets and can be changed by other accounts"), "{message}");
    }

    #[test]
    fn what_is_no_file_of_a_secret_is_told_as_such() {
        let folder = folder_with("secret", &"x".repeat(1024 * 1024 + 1), 0o600);
        let message = expand(folder.path(), "${file:secret}").unwrap_err();
        assert!(message.ends_with("is larger than 1 MiB"), "{message}");
        let message = expand(folder.path(), "${file:.}").unwrap_err();
        assert!(message.ends_with("is a folder"), "{message}");
    }

    #[test]
    fn what_is_no_reference_is_refused_without_showing_it() {
        for (text, message) in [
            ("${canary pass}", "`${…}` is not a reference that sispush knows"),
            ("${canary:pass}", "`${…}` is not a reference that sispush knows"),
            ("${}", "`${…}` is not a reference that sispush knows"),
            ("${canary", "a reference `${` is not closed"),
            ("${file: }", "`${file:}` names no file"),
            ("${env:CANARY}", "an environment variable is written without `env:`"),
            ("${keyring:}", "what `${keyring:…}` names is no name for a secret"),
            ("${keyring:can/ary}", "what `${keyring:…}` names is no name for a secret"),
            ("${keyring:-canary}", "what `${keyring:…}` names is no name for a secret"),
            ("${command: }", "what `${command:…}` runs is not written rightly: it names no program"),
            ("${command:'' canary}", "what `${command:…}` runs is not written rightly: it names no program"),
            ("${command:a 'canary}", "what `${command:…}` runs is not written rightly: a quote is not closed"),
        ] {
            let fault = pieces(text).unwrap_err();
            assert_eq!(fault.message, message);
            assert!(!format!("{fault:?}").to_lowercase().contains("canary"), "{fault:?}");
        }
        for name in ["", ".", "..", "a/b", "a\\b", "a:b", "../a", "/a", "ä", "a\tb", &"a".repeat(256)] {
            let fault = pieces(&format!("${{credential:{name}}}")).unwrap_err();
            assert_eq!(fault.message, "what `${credential:…}` names is no name of a credential", "{name}");
        }
    }

    #[test]
    fn a_reference_is_shown_without_the_arguments_of_its_command() {
        for (text, shown) in [
            ("${A}", "${A}"),
            ("${file: a b.txt }", "${file:a b.txt}"),
            ("${credential:sis password}", "${credential:sis password}"),
            ("${keyring:sis-1.a_b}", "${keyring:sis-1.a_b}"),
            ("${command:pass}", "${command:pass}"),
            ("${command:vault read --token=canary}", "${command:vault …}"),
        ] {
            let all: Vec<_> = references(text).collect();
            assert_eq!(format!("{} {:?}", all[0], all[0]), format!("{shown} {shown}"));
            assert!(looks_like_reference(&text[2..text.len() - 1]));
        }
    }

    #[test]
    fn a_credential_is_a_file_of_the_service() {
        let folder = folder_with("sis", "canary\n", 0o400);
        let path = folder.path().to_str().unwrap().to_owned();
        let environment = |name: &str| (name == "CREDENTIALS_DIRECTORY").then(|| path.clone());
        let folders = ["/nowhere".into()];
        let mut secrets = Secrets::new(&folders, Commands::Refused, &environment);
        assert_eq!(secrets.expand("${credential:sis}").unwrap(), "canary");
        assert_eq!(secrets.place(&Reference::Credential("sis".into())).unwrap(), Origin::Credential);
        let fault = secrets.expand("${credential:infiniti}").unwrap_err();
        assert_eq!(fault.message, "the service has no credential `infiniti`");
        assert!(fault.hint.unwrap().contains("`LoadCredential=infiniti:PATH`"));
        let none = |_: &str| None;
        let fault = Secrets::new(&[folder.path().to_owned()], Commands::Refused, &none)
            .expand("${credential:sis}")
            .unwrap_err();
        assert!(fault.message.contains("only while systemd runs sispush as a service"), "{}", fault.message);
    }

    #[test]
    fn a_command_needs_leave() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("ran");
        let environment = |_: &str| None;
        let folders = [folder.path().to_owned()];
        let mut secrets = Secrets::new(&folders, Commands::Refused, &environment);
        let text = format!("${{command:touch {}}}", mark.display());
        assert_eq!(secrets.expand(&text).unwrap_err().message, COMMAND_REFUSED);
        assert!(!mark.exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_mapping_that_others_can_change_runs_nothing() {
        use std::os::unix::fs::PermissionsExt as _;

        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let folder = folder_with("school.yaml", "", 0o600);
        let mapping = folder.path().join("school.yaml");
        let environment = |_: &str| None;
        let run = |text: &str| {
            let (files, folders) = ([mapping.as_path()], [folder.path().to_owned()]);
            let mut secrets = Secrets::new(&folders, Commands::Allowed(&files), &environment);
            secrets.expand(text).map_err(|fault| fault.message)
        };
        assert_eq!(run("${command:echo s3cret}").unwrap(), "s3cret");
        for (file, others) in [(0o644, 0o755), (0o640, 0o1777)] {
            mode(&mapping, file);
            mode(folder.path(), others);
            assert_eq!(run("${command:echo s3cret}").unwrap(), "s3cret");
        }
        mode(folder.path(), 0o700);
        for bits in [0o620, 0o602, 0o666] {
            mode(&mapping, bits);
            let message = run("${command:echo canary}").unwrap_err();
            assert_eq!(
                message,
                format!("`{}` can be changed by other accounts, so its commands are not run", mapping.display())
            );
        }
        mode(&mapping, 0o600);
        mode(folder.path(), 0o770);
        let message = run("${command:echo canary}").unwrap_err();
        assert!(message.contains("can be changed by other accounts"), "{message}");
        // Where it leads to counts as well.
        mode(folder.path(), 0o700);
        let other = tempfile::tempdir().unwrap();
        let link = other.path().join("link.yaml");
        std::os::unix::fs::symlink(&mapping, &link).unwrap();
        let through_link = || {
            let (files, folders) = ([link.as_path()], [other.path().to_owned()]);
            let mut secrets = Secrets::new(&folders, Commands::Allowed(&files), &environment);
            secrets.expand("${command:echo s3cret}").map_err(|fault| fault.message)
        };
        assert_eq!(through_link().unwrap(), "s3cret");
        mode(folder.path(), 0o770);
        assert!(through_link().unwrap_err().contains("can be changed by other accounts"));
        // The program, too, where it is named by its path.
        mode(folder.path(), 0o700);
        let program = folder.path().join("tell");
        fs::write(&program, "#!/bin/sh\necho s3cret\n").unwrap();
        mode(&program, 0o700);
        assert_eq!(run("${command:./tell}").unwrap(), "s3cret");
        mode(&program, 0o770);
        let message = run("${command:./tell}").unwrap_err();
        assert!(message.contains("tell` can be changed by other accounts"), "{message}");
    }

    proptest! {
        #[test]
        fn any_text_survives_as_a_secret(secret in "(?s).{1,40}", before in "[^$]{0,5}", after in "[^$]{0,5}") {
            let environment = |_: &str| Some(secret.clone());
            let text = format!("{before}${{NAME}}{after}");
            let expanded = Secrets::new(&["/nowhere".into()], Commands::Refused, &environment).expand(&text).unwrap();
            prop_assert_eq!(expanded, format!("{before}{secret}{after}"));
        }

        #[test]
        fn any_text_survives_as_a_literal(text in "(?s).{0,40}") {
            let escaped = text.replace("${", "$${");
            // A `$` right before a reference would be read as part of its escape.
            prop_assume!(!text.contains("$${"));
            let environment = |_: &str| None;
            prop_assert_eq!(Secrets::new(&["/nowhere".into()], Commands::Refused, &environment).expand(&escaped).unwrap(), text);
        }
    }
}
