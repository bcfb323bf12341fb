//! References to secrets: `${NAME}` and `${file:PATH}`.
//!
//! They are replaced after the mapping is parsed, so any character in a secret is safe. No message shows a value.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::secret::Secret;

use super::dotenv;
use super::include::tidy;
use crate::error::Hint;

/// A part of a text that may hold references.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Reference(Reference),
}

/// Where a secret lies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reference {
    /// An environment variable, or a line of `.env` beside the mapping or its base.
    Variable(String),
    /// A file's text, relative to the mapping.
    File(String),
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "${{{name}}}"),
            Self::File(path) => write!(f, "${{file:{path}}}"),
        }
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
}

/// Kinds of references that are planned.
const LATER: [&str; 4] = ["keyring", "credential", "command", "env"];

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
    const HINT: &str =
        "write `${NAME}` for an environment variable, `${file:PATH}` for a file; a literal `${` is written `$${`";
    match inner.split_once(':') {
        Some(("file", path)) if !path.trim().is_empty() => Ok(Reference::File(path.trim().to_owned())),
        Some(("file", _)) => Err(Fault::new("`${file:}` names no file", HINT)),
        Some((kind, _)) if LATER.contains(&kind) => {
            Err(Fault::new(format!("references of the kind `${{{kind}:…}}` are not in this version yet"), HINT))
        }
        None if is_name(inner) => Ok(Reference::Variable(inner.to_owned())),
        _ => Err(Fault::new("`${…}` is not a reference that sispush knows", HINT)),
    }
}

/// Whether this is what stands inside the braces of a reference, of a later version's kinds too.
pub(super) fn looks_like_reference(inner: &str) -> bool {
    match inner.split_once(':') {
        Some((kind, _)) => kind == "file" || LATER.contains(&kind),
        None => is_name(inner),
    }
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

/// Looks secrets up, each once.
pub(super) struct Secrets<'m> {
    /// The mapping's folder, then its base's, if that is another.
    folders: &'m [PathBuf],
    environment: &'m dyn Fn(&str) -> Option<String>,
    /// The `.env` of the folders, each read when a variable is not found before it.
    dotenvs: Vec<Result<HashMap<String, Secret>, Fault>>,
    values: HashMap<Reference, Result<Secret, Fault>>,
}

impl<'m> Secrets<'m> {
    pub(super) fn new(folders: &'m [PathBuf], environment: &'m dyn Fn(&str) -> Option<String>) -> Self {
        Self { folders, environment, dotenvs: Vec::new(), values: HashMap::new() }
    }

    /// The secret's text.
    pub(super) fn get(&mut self, reference: &Reference) -> Result<Secret, Fault> {
        if let Some(value) = self.values.get(reference) {
            return value.clone();
        }
        let value = match reference {
            Reference::Variable(name) => self.variable(name),
            Reference::File(path) => read_file(&self.file(path)).map(Into::into),
        };
        let value = value.and_then(|value: Secret| {
            if value.expose_secret().is_empty() {
                Err(Fault::new(
                    format!("the secret `{reference}` is empty"),
                    "give it a value; for none at all write `\"\"` in the mapping",
                ))
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

fn read_file(path: &Path) -> Result<String, Fault> {
    check_private(path)?;
    let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
    let mut text = String::from_utf8(bytes).map_err(|_| {
        Fault::new(format!("the secret's file `{}` is not UTF-8 text", path.display()), "save the file as UTF-8")
    })?;
    if let Some(rest) = text.strip_prefix('\u{feff}') {
        text = rest.to_owned();
    }
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Fault {
    let path = path.display();
    match error.kind() {
        std::io::ErrorKind::NotFound => Fault::new(
            format!("the secret's file `{path}` does not exist"),
            "a path is relative to the folder of the file in which it stands",
        ),
        std::io::ErrorKind::PermissionDenied => Fault::new(
            format!("could not read `{path}`: permission denied"),
            "let the account that runs sispush read the file",
        ),
        _ => Fault { message: format!("could not read `{path}`: {error}"), hint: None },
    }
}

/// Refuses a file that others than its owner can read, where the platform says so.
#[cfg(unix)]
pub(super) fn check_private(path: &Path) -> Result<(), Fault> {
    use std::os::unix::fs::MetadataExt as _;

    let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    let others = metadata.mode() & 0o077;
    if others == 0 || metadata.uid() == 0 && is_handed_by_system(path) {
        return Ok(());
    }
    Err(Fault::new(
        format!("`{}` holds secrets and can be read by other accounts", path.display()),
        format!("run `chmod 600 {}`", path.display()),
    ))
}

/// Windows keeps a profile's or a service's folder to its account; its lists of access have no such simple reading.
#[cfg(not(unix))]
pub(super) fn check_private(_: &Path) -> Result<(), Fault> {
    Ok(())
}

/// Container and service managers hand secrets in through these folders, readable by whom they choose.
#[cfg(unix)]
fn is_handed_by_system(path: &Path) -> bool {
    let folders = [Some(PathBuf::from("/run")), environment("CREDENTIALS_DIRECTORY").map(PathBuf::from)];
    let Ok(path) = path.canonicalize() else { return false };
    folders.into_iter().flatten().filter_map(|folder| folder.canonicalize().ok()).any(|folder| path.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        Secrets::new(&[folder.to_owned()], &environment).expand(text).map_err(|fault| fault.message)
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
    }

    #[test]
    fn other_kinds_are_refused_without_showing_them() {
        for (text, message) in [
            ("${keyring:sis}", "references of the kind `${keyring:…}` are not in this version yet"),
            ("${credential:sis}", "references of the kind `${credential:…}` are not in this version yet"),
            ("${command:pass show sis}", "references of the kind `${command:…}` are not in this version yet"),
            ("${canary pass}", "`${…}` is not a reference that sispush knows"),
            ("${}", "`${…}` is not a reference that sispush knows"),
            ("${canary", "a reference `${` is not closed"),
        ] {
            assert_eq!(pieces(text).unwrap_err().message, message);
        }
    }

    proptest! {
        #[test]
        fn any_text_survives_as_a_secret(secret in "(?s).{1,40}", before in "[^$]{0,5}", after in "[^$]{0,5}") {
            let environment = |_: &str| Some(secret.clone());
            let text = format!("{before}${{NAME}}{after}");
            let expanded = Secrets::new(&["/nowhere".into()], &environment).expand(&text).unwrap();
            prop_assert_eq!(expanded, format!("{before}{secret}{after}"));
        }

        #[test]
        fn any_text_survives_as_a_literal(text in "(?s).{0,40}") {
            let escaped = text.replace("${", "$${");
            // A `$` right before a reference would be read as part of its escape.
            prop_assume!(!text.contains("$${"));
            let environment = |_: &str| None;
            prop_assert_eq!(Secrets::new(&["/nowhere".into()], &environment).expand(&escaped).unwrap(), text);
        }
    }
}
