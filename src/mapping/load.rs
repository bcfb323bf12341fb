//! From a path to a [`Mapping`], and from references to secrets.

use std::fs;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::check;
use super::code::Code;
use super::diagnostic::{Finding, MappingError, Place, Problem, Severity, SourceText};
use super::secret::{self, Fault, Origin, Reference, Secrets};
use super::text::{self, TextError};
use super::{Mapping, Proxy, StateLocation, TargetSettings, yaml};
use crate::error::Hint;
use crate::source::Connection;

/// The references of a mapping that are not replaced yet, with their places.
#[derive(Clone, Debug)]
pub(super) struct Unresolved {
    pub(super) references: Vec<(Reference, Place)>,
    /// Where `source` and `target` stand.
    pub(super) source: Place,
    pub(super) target: Place,
    /// Where the proxy stands, if it is in the file.
    pub(super) proxy: Option<Place>,
    /// Where the state's place stands, if it is in the file.
    pub(super) state: Option<Place>,
}

impl Mapping {
    /// Reads a mapping and checks everything that needs no network. References to secrets stay as they are.
    ///
    /// # Errors
    /// When the file cannot be read or is not valid: then with every problem, warnings among them.
    pub fn load(path: &Path) -> Result<Self, MappingError> {
        let is_told = |problem: &Problem| !problem.code.is_advice();
        match Self::check(path) {
            Ok(mut mapping) => {
                mapping.warnings.retain(is_told);
                Ok(mapping)
            }
            Err(MappingError::Invalid { path, mut problems }) => {
                problems.retain(is_told);
                Err(MappingError::Invalid { path, problems })
            }
            Err(error) => Err(error),
        }
    }

    /// As [`load`](Self::load), with advice among the warnings ([`Code::is_advice`]): for who looks at the mapping itself.
    ///
    /// # Errors
    /// As those of [`load`](Self::load).
    pub fn check(path: &Path) -> Result<Self, MappingError> {
        let invalid = |problems| MappingError::Invalid { path: path.to_owned(), problems };
        let text = match text::read(path) {
            Ok(text) => text,
            Err(TextError::Read(source)) => return Err(MappingError::Read { path: path.to_owned(), source }),
            Err(TextError::Encoding { lossy, at }) => {
                let finding =
                    Finding::error(Code::Encoding, &(at..at + 1), "this is not UTF-8 text").hint(text::ENCODING_HINT);
                return Err(invalid(SourceText::new(path, &lossy, None).problems(vec![finding])));
            }
        };
        Self::parse(path, &text)
    }

    /// [`Mapping::load`] of a text that is, or will be, at a path.
    ///
    /// # Errors
    /// When the text is not valid: then with every problem, warnings among them.
    pub fn parse(path: &Path, text: &str) -> Result<Self, MappingError> {
        let invalid = |problems| MappingError::Invalid { path: path.to_owned(), problems };
        let (tree, mut findings) = yaml::parse(text);
        let source_text = SourceText::new(path, text, tree.as_ref());
        let Some(tree) = tree else { return Err(invalid(source_text.problems(findings))) };
        let (checked, more) = check::check(&tree, text, path);
        findings.extend(more);
        let is_valid = findings.iter().all(|finding| finding.severity != Severity::Error);
        let problems = source_text.problems(findings);
        let Some(checked) = checked.filter(|_| is_valid) else { return Err(invalid(problems)) };
        let place = |span: &std::ops::Range<usize>| source_text.place(span);
        let unresolved = Unresolved {
            references: checked.references.iter().map(|(reference, span)| (reference.clone(), place(span))).collect(),
            source: place(&checked.source_span),
            target: place(&checked.target_span),
            proxy: checked.proxy_span.as_ref().map(place),
            state: checked.state_span.as_ref().map(place),
        };
        Ok(Self {
            name: checked.name,
            path: path.to_owned(),
            source: checked.source,
            target: checked.target,
            users: checked.users,
            mode: checked.mode,
            full_every: checked.full_every,
            leavers: checked.leavers,
            hold: checked.hold,
            state: checked.state,
            limits: checked.limits,
            expect: checked.expect,
            warnings: problems,
            unresolved: Some(unresolved),
        })
    }

    /// Replaces the references to secrets in `source`, `target` and `state` by the secrets, and makes relative paths
    /// there start from the mapping's folder. Does nothing the second time.
    ///
    /// # Errors
    /// With every secret that is missing, each at its place; the mapping is then as before.
    pub fn resolve(&mut self) -> Result<(), MappingError> {
        self.resolve_with(&secret::environment)
    }

    /// Where the state is, with the references of `state` alone replaced: who looks at the state needs neither the
    /// source's secrets nor the target's.
    ///
    /// # Errors
    /// With the first secret that is missing, at the place of `state`.
    pub fn resolved_state(&self) -> Result<StateLocation, MappingError> {
        let Some(place) = self.unresolved.as_ref().and_then(|unresolved| unresolved.state.as_ref()) else {
            return Ok(self.state.clone());
        };
        let folder = folder_of(&self.path);
        let mut secrets = Secrets::new(&folder, &secret::environment);
        self.state
            .expanded(&mut secrets, &folder)
            .map_err(|fault| MappingError::Invalid { path: self.path.clone(), problems: vec![problem(place, fault)] })
    }

    /// The references to secrets, each once, as they are written (`${NAME}`), and where each is found, if it is. Nothing
    /// once they are replaced.
    pub fn references(&self) -> Vec<(String, Option<Origin>)> {
        let folder = folder_of(&self.path);
        let secrets = Secrets::new(&folder, &secret::environment);
        let mut found: Vec<(String, Option<Origin>)> = Vec::new();
        for (reference, _) in self.unresolved.iter().flat_map(|unresolved| &unresolved.references) {
            let written = reference.to_string();
            if found.iter().all(|(known, _)| *known != written) {
                found.push((written, secrets.origin(reference)));
            }
        }
        found
    }

    fn resolve_with(&mut self, environment: &dyn Fn(&str) -> Option<String>) -> Result<(), MappingError> {
        let Some(unresolved) = &self.unresolved else { return Ok(()) };
        let folder = folder_of(&self.path);
        let mut secrets = Secrets::new(&folder, environment);
        let mut problems = Vec::new();
        for (reference, place) in &unresolved.references {
            if let Err(fault) = secrets.get(reference) {
                problems.push(problem(place, fault));
            }
        }
        // One unreadable `.env` is one problem, however many secrets should come from it.
        problems.dedup_by(|next, previous| next.message == previous.message && next.message.contains(".env`"));
        let mut source = self.source.clone();
        let mut target = self.target.clone();
        if problems.is_empty()
            && let Err(fault) = resolve_source(&mut source, &mut secrets, &folder)
        {
            problems.push(problem(&unresolved.source, fault));
        }
        if problems.is_empty() {
            if let Err(fault) = resolve_target(&mut target, &mut secrets, &folder) {
                problems.push(problem(&unresolved.target, fault));
            }
            if let (Proxy::Url(url), Some(place)) = (&target.proxy, &unresolved.proxy) {
                match expand_secret(url, &mut secrets)
                    .and_then(|url| check::proxy_address(url.expose_secret()).map(|()| url))
                {
                    Ok(url) => target.proxy = Proxy::Url(url),
                    Err(fault) => problems.push(problem(place, fault)),
                }
            }
        }
        let mut state = self.state.clone();
        if let (true, Some(place)) = (problems.is_empty(), &unresolved.state) {
            match state.expanded(&mut secrets, &folder) {
                Ok(expanded) => state = expanded,
                Err(fault) => problems.push(problem(place, fault)),
            }
        }
        if !problems.is_empty() {
            return Err(MappingError::Invalid { path: self.path.clone(), problems });
        }
        self.source = source;
        self.target = target;
        self.state = state;
        self.unresolved = None;
        Ok(())
    }
}

fn problem(place: &Place, fault: Fault) -> Problem {
    Problem::new(place.clone(), Code::Secret, Severity::Error, fault.message, fault.hint)
}

pub(super) fn resolve_source(source: &mut Connection, secrets: &mut Secrets<'_>, folder: &Path) -> Result<(), Fault> {
    // Paths are expanded here, since the connection does not know the mapping's folder.
    let ca_file = source.ca_file.take();
    source.resolve(&mut |text: &str| secrets.expand(text))?;
    source.ca_file = ca_file.map(|file| expand_path(&file, secrets, folder)).transpose()?;
    place_database(source, folder);
    Ok(())
}

/// Replaces a source's references as a mapping in `folder` would, before there is a mapping.
///
/// # Errors
/// What is wrong with the first that is missing, and what to do.
pub(crate) fn resolve_new_source(source: &mut Connection, folder: &Path) -> Result<(), (String, Option<Hint>)> {
    let mut secrets = Secrets::new(folder, &secret::environment);
    resolve_source(source, &mut secrets, folder).map_err(|fault| (fault.message, fault.hint))
}

fn resolve_target(target: &mut TargetSettings, secrets: &mut Secrets<'_>, folder: &Path) -> Result<(), Fault> {
    target.username = secrets.expand(&target.username)?;
    target.password = expand_secret(&target.password, secrets)?;
    target.ca_file = target.ca_file.take().map(|file| expand_path(&file, secrets, folder)).transpose()?;
    Ok(())
}

fn expand_secret(secret: &SecretString, secrets: &mut Secrets<'_>) -> Result<SecretString, Fault> {
    secrets.expand(secret.expose_secret()).map(Into::into)
}

pub(super) fn expand_path(path: &Path, secrets: &mut Secrets<'_>, folder: &Path) -> Result<PathBuf, Fault> {
    match path.to_str() {
        Some(text) => secrets.expand(text).map(|text| folder.join(text)),
        None => Ok(path.to_owned()),
    }
}

/// The folder that relative paths of a mapping start from.
pub(super) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::new(),
    }
}

/// A SQLite file and a folder of CSV files are relative to the mapping, too.
fn place_database(source: &mut Connection, folder: &Path) {
    let file = &source.database;
    // `:memory:` is no file.
    if source.engine.is_local() && !file.is_empty() && !file.starts_with(':') {
        source.database = folder.join(file).to_string_lossy().into_owned();
    }
}

/// The mappings that paths name: a file is itself, a folder its `.yaml` and `.yml` files, sorted by name.
///
/// # Errors
/// When a path cannot be read, or a folder holds no mapping.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, MappingError> {
    let mut found = Vec::new();
    for path in paths {
        let read = |source| MappingError::Read { path: path.clone(), source };
        if !fs::metadata(path).map_err(read)?.is_dir() {
            found.push(path.clone());
            continue;
        }
        let mut inside = Vec::new();
        for entry in fs::read_dir(path).map_err(read)? {
            let file = entry.map_err(read)?.path();
            let is_yaml =
                file.extension().is_some_and(|end| end.eq_ignore_ascii_case("yaml") || end.eq_ignore_ascii_case("yml"));
            if is_yaml && file.is_file() {
                inside.push(file);
            }
        }
        if inside.is_empty() {
            return Err(MappingError::EmptyFolder { path: path.clone() });
        }
        inside.sort();
        found.append(&mut inside);
    }
    Ok(found)
}
