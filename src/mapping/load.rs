//! From a path to a [`Mapping`], and from references to secrets.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::secret::Secret;

use super::check;
use super::code::Code;
use super::diagnostic::{Finding, MappingError, Place, Problem, Severity, SourceText};
use super::include::Document;
use super::secret::{self, Commands, Fault, Origin, Reference, Secrets};
use super::text::{self, TextError};
use super::{Feed, Mapping, Proxy, StateLocation, TargetSettings};
use crate::error::Hint;
use crate::infiniti::contract::USERS;
use crate::source::Connection;

/// A part of a mapping whose secrets are looked up when somebody works with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `source`.
    Source,
    /// `target`.
    Target,
    /// `state`.
    State,
    /// `notify`. Each channel's secrets are looked up by themselves ([`contact`](super::notify::contact)): a missing one
    /// must not keep the other channels quiet, nor stop a push.
    Notify,
}

impl Part {
    /// Those that a push cannot do without.
    pub const ALL: [Self; 3] = [Self::Source, Self::Target, Self::State];

    /// The part that a key belongs to, by its path (`source.url`).
    pub(super) fn of(path: &str) -> Self {
        match path.split('.').next() {
            Some("source") => Self::Source,
            Some("state") => Self::State,
            Some("notify") => Self::Notify,
            _ => Self::Target,
        }
    }
}

/// The references of a mapping, with their places.
#[derive(Clone, Debug)]
pub(super) struct Unresolved {
    /// The parts whose references are not replaced yet.
    parts: Vec<Part>,
    references: Vec<(Reference, Part, Place)>,
    /// Where `source` and `target` stand.
    source: Place,
    target: Place,
    /// Where the proxy stands, if it is in the file.
    proxy: Option<Place>,
    /// Where the state's place stands, if it is in the file.
    state: Option<Place>,
    folders: Folders,
    /// Whether programs may be run for secrets.
    allows_commands: bool,
}

/// The folders that relative paths start from: each that of the file in which the path stands.
#[derive(Clone, Debug)]
pub(super) struct Folders {
    /// A SQLite file and a folder of CSV files.
    pub(super) database: PathBuf,
    pub(super) source_ca_file: PathBuf,
    pub(super) target_ca_file: PathBuf,
    pub(super) state: PathBuf,
}

/// A reference to a secret, and what becomes of it when it is looked up.
#[derive(Debug)]
pub struct Found {
    /// As it is written: `${NAME}`.
    pub reference: String,
    /// Where it is found; or what is wrong, and what to do.
    pub place: Result<Origin, (String, Option<Hint>)>,
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
                let mut document = Document::refused(path, &lossy, finding);
                let findings = std::mem::take(&mut document.findings);
                return Err(invalid(SourceText::new(&document).problems(findings)));
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
        let mut document = Document::read(path, text);
        let mut findings = std::mem::take(&mut document.findings);
        let source_text = SourceText::new(&document);
        let Some(tree) = &document.tree else { return Err(invalid(source_text.problems(findings))) };
        let (checked, more) = check::check(tree, &document);
        findings.extend(more);
        let is_valid = findings.iter().all(|finding| finding.severity != Severity::Error);
        let problems = source_text.problems(findings);
        let Some(checked) = checked.filter(|_| is_valid) else { return Err(invalid(problems)) };
        let place = |span: &std::ops::Range<usize>| source_text.place(span);
        let unresolved = Unresolved {
            parts: [Part::ALL.as_slice(), &[Part::Notify]].concat(),
            references: checked
                .references
                .iter()
                .map(|(reference, part, span)| (reference.clone(), *part, place(span)))
                .collect(),
            source: place(&checked.source_span),
            target: place(&checked.target_span),
            proxy: checked.proxy_span.as_ref().map(place),
            state: checked.state_span.as_ref().map(place),
            folders: checked.folders,
            allows_commands: checked.allows_commands,
        };
        Ok(Self {
            name: checked.name,
            path: path.to_owned(),
            base: document.files.base.as_ref().map(|(base, _)| base.to_path_buf()),
            source: checked.source,
            target: checked.target,
            users: Feed::new(&USERS, checked.users, checked.limits),
            others: checked.others,
            mode: checked.mode,
            full_every: checked.full_every,
            leavers: checked.leavers,
            hold: checked.hold,
            state: checked.state,
            expect: checked.expect,
            notify: checked.notify,
            warnings: problems,
            unresolved,
        })
    }

    /// Replaces the references to secrets in these parts by the secrets, and makes relative paths there start from the
    /// mapping's folder. The other parts stay as written: who only reads the SIS needs no password of Infiniti's. Does
    /// nothing with a part that was resolved before.
    ///
    /// # Errors
    /// With every secret of these parts that is missing, each at its place; the mapping is then as before.
    pub fn resolve(&mut self, parts: &[Part]) -> Result<(), MappingError> {
        let parts: Vec<Part> = self.unresolved.parts.iter().filter(|part| parts.contains(part)).copied().collect();
        let folders = secret_folders(&self.path, self.base.as_deref());
        let own_files = self.own_files();
        let mut secrets = Secrets::new(&folders, self.commands(&own_files), &secret::environment);
        let mut problems = Vec::new();
        for (reference, part, place) in &self.unresolved.references {
            if parts.contains(part)
                && let Err(fault) = secrets.get(reference)
            {
                problems.push(problem(place, fault));
            }
        }
        // One unreadable `.env`, or no store, is one problem, however many secrets should come from it.
        problems.dedup_by(|next, previous| next.message == previous.message && !next.message.contains("${"));
        let resolved = if problems.is_empty() { self.resolved(&parts, &mut secrets) } else { Err(problems) };
        (self.source, self.target, self.state) =
            resolved.map_err(|problems| MappingError::Invalid { path: self.path.clone(), problems })?;
        self.unresolved.parts.retain(|part| !parts.contains(part));
        Ok(())
    }

    /// The references that are not replaced yet, each once, as they are written (`${NAME}`), and where each is found, if
    /// it is.
    pub fn references(&self) -> Vec<(String, Option<Origin>)> {
        let folders = secret_folders(&self.path, self.base.as_deref());
        let own_files = self.own_files();
        let secrets = Secrets::new(&folders, self.commands(&own_files), &secret::environment);
        let mut found: Vec<(String, Option<Origin>)> = Vec::new();
        let Unresolved { parts, references, .. } = &self.unresolved;
        for (reference, _, _) in references.iter().filter(|(_, part, _)| parts.contains(part)) {
            let written = reference.to_string();
            if found.iter().all(|(known, _)| *known != written) {
                found.push((written, secrets.origin(reference)));
            }
        }
        found
    }

    /// The files that the mapping is made of.
    fn own_files(&self) -> Vec<&Path> {
        std::iter::once(self.path.as_path()).chain(self.base.as_deref()).collect()
    }

    /// The references that are not replaced yet, each once, and what looking them up gives. Programs are not run.
    pub fn find_secrets(&self) -> Vec<Found> {
        let folders = secret_folders(&self.path, self.base.as_deref());
        let own_files = self.own_files();
        let mut secrets = Secrets::new(&folders, self.commands(&own_files), &secret::environment);
        let mut all: Vec<Found> = Vec::new();
        for (reference, _, _) in &self.unresolved.references {
            let written = reference.to_string();
            if all.iter().all(|found| found.reference != written) {
                let place = secrets.place(reference).map_err(|fault| (fault.message, fault.hint));
                all.push(Found { reference: written, place });
            }
        }
        all
    }

    fn commands<'f>(&self, own_files: &'f [&'f Path]) -> Commands<'f> {
        if self.unresolved.allows_commands { Commands::Allowed(own_files) } else { Commands::Refused }
    }

    /// Source, target and state with the references of these parts replaced, or the first problem.
    fn resolved(
        &self,
        parts: &[Part],
        secrets: &mut Secrets<'_>,
    ) -> Result<(Connection, TargetSettings, StateLocation), Vec<Problem>> {
        let places = &self.unresolved;
        let folders = &places.folders;
        let failed = |place: &Place, fault| vec![problem(place, fault)];
        let (mut source, mut target, mut state) = (self.source.clone(), self.target.clone(), self.state.clone());
        for part in parts {
            match part {
                Part::Source => {
                    resolve_source(&mut source, secrets, &folders.database, &folders.source_ca_file)
                        .map_err(|fault| failed(&places.source, fault))?;
                }
                Part::Target => {
                    resolve_target(&mut target, secrets, &folders.target_ca_file)
                        .map_err(|fault| failed(&places.target, fault))?;
                    if let (Proxy::Url(url), Some(place)) = (&target.proxy, &places.proxy) {
                        let url = expand_secret(url, secrets)
                            .and_then(|url| check::proxy_address(url.expose_secret()).map(|()| url))
                            .map_err(|fault| failed(place, fault))?;
                        target.proxy = Proxy::Url(url);
                    }
                }
                Part::State => {
                    if let Some(place) = &places.state {
                        state = state.expanded(secrets, &folders.state).map_err(|fault| failed(place, fault))?;
                    }
                }
                Part::Notify => {}
            }
        }
        Ok((source, target, state))
    }
}

fn problem(place: &Place, fault: Fault) -> Problem {
    Problem::new(place.clone(), Code::Secret, Severity::Error, fault.message, fault.hint)
}

/// `folder` is where the database's path starts from, `ca_folder` where that of the file of authorities does.
pub(super) fn resolve_source(
    source: &mut Connection,
    secrets: &mut Secrets<'_>,
    folder: &Path,
    ca_folder: &Path,
) -> Result<(), Fault> {
    // Paths are expanded here, since the connection does not know the mapping's folder.
    let ca_file = source.ca_file.take();
    source.resolve(&mut |text: &str| secrets.expand(text))?;
    source.ca_file = ca_file.map(|file| expand_path(&file, secrets, ca_folder)).transpose()?;
    place_database(source, folder);
    Ok(())
}

/// Replaces a source's references as a mapping in `folder` would, before there is a mapping.
///
/// # Errors
/// What is wrong with the first that is missing, and what to do.
pub(crate) fn resolve_new_source(source: &mut Connection, folder: &Path) -> Result<(), (String, Option<Hint>)> {
    let folders = [folder.to_owned()];
    let mut secrets = Secrets::new(&folders, Commands::Refused, &secret::environment);
    resolve_source(source, &mut secrets, folder, folder).map_err(|fault| (fault.message, fault.hint))
}

fn resolve_target(target: &mut TargetSettings, secrets: &mut Secrets<'_>, folder: &Path) -> Result<(), Fault> {
    target.username = secrets.expand(&target.username)?;
    target.password = expand_secret(&target.password, secrets)?;
    target.ca_file = target.ca_file.take().map(|file| expand_path(&file, secrets, folder)).transpose()?;
    Ok(())
}

pub(super) fn expand_secret(secret: &Secret, secrets: &mut Secrets<'_>) -> Result<Secret, Fault> {
    secrets.expand(secret.expose_secret()).map(Into::into)
}

pub(super) fn expand_path(path: &Path, secrets: &mut Secrets<'_>, folder: &Path) -> Result<PathBuf, Fault> {
    match path.to_str() {
        Some(text) => secrets.expand(text).map(|text| folder.join(text)),
        None => Ok(path.to_owned()),
    }
}

/// Where `.env` is looked for: beside the mapping, then beside its base.
pub(super) fn secret_folders(path: &Path, base: Option<&Path>) -> Vec<PathBuf> {
    let mut folders = vec![folder_of(path)];
    folders.extend(base.map(folder_of).filter(|base| *base != folders[0]));
    folders
}

/// The folder that relative paths of a mapping start from.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
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

/// Whether a folder's file is a mapping: by its ending, and unless it begins with `_`, as a base does, or is hidden.
pub(super) fn is_mapping_of_folder(file: &Path) -> bool {
    is_yaml(file) && !file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(['_', '.']))
}

fn is_yaml(file: &Path) -> bool {
    file.extension().is_some_and(|end| end.eq_ignore_ascii_case("yaml") || end.eq_ignore_ascii_case("yml"))
}

/// The mappings that paths name: a file is itself, a folder its `.yaml` and `.yml` files, sorted by name, but for those
/// that begin with `_` or `.`. What is named twice is found once.
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
        let (mut inside, mut has_others) = (Vec::new(), false);
        for entry in fs::read_dir(path).map_err(read)? {
            let file = entry.map_err(read)?.path();
            if !is_yaml(&file) || !file.is_file() {
                continue;
            }
            if is_mapping_of_folder(&file) {
                inside.push(file);
            } else {
                has_others = true;
            }
        }
        if inside.is_empty() {
            return Err(MappingError::EmptyFolder { path: path.clone(), has_others });
        }
        inside.sort();
        found.append(&mut inside);
    }
    if paths.len() > 1 {
        let mut known = HashSet::new();
        // By its folder: a link to a mapping is another mapping, with a name of its own.
        found.retain(|path| {
            let folder = folder_of(path);
            let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
            known.insert((folder.canonicalize().ok(), path.file_name().map(ToOwned::to_owned)))
        });
    }
    Ok(found)
}
