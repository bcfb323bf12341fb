//! A mapping and the base that it includes: two files, one text, one tree.
//!
//! The base's text follows the mapping's, and its spans are shifted by as much. So everything that comes later sees one
//! document, and only who shows a place asks in which file it lies.

use std::borrow::Cow;
use std::fs;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::code::Code;
use super::diagnostic::Finding;
use super::keys::{self, Kind, Shape};
use super::load;
use super::mask;
use super::secret;
use super::text::{self, TextError};
use super::yaml::{self, Content, Node, Style};

/// A mapping's document with its base taken in.
pub(super) struct Document<'t> {
    /// The mapping's text; then, after a line break, the base's.
    pub(super) text: Cow<'t, str>,
    /// What both say; `None` if the mapping is no YAML at all.
    pub(super) tree: Option<Node>,
    /// What may be passwords, in order and apart.
    pub(super) masks: Vec<Range<usize>>,
    pub(super) findings: Vec<Finding>,
    pub(super) files: Files,
}

/// The files of a document, by the place in its text.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) mapping: Arc<Path>,
    /// The base, and where its text starts.
    pub(super) base: Option<(Arc<Path>, usize)>,
    /// The key `include`, if it is there.
    pub(super) include: Option<Range<usize>>,
    /// Whether the base's keys are known. Without them nobody can tell what is missing.
    pub(super) is_whole: bool,
}

impl Files {
    pub(super) fn is_base(&self, at: usize) -> bool {
        self.base.as_ref().is_some_and(|(_, start)| at >= *start)
    }

    /// The file that a place lies in, and where its text starts.
    pub(super) fn at(&self, at: usize) -> (&Arc<Path>, usize) {
        match &self.base {
            Some((base, start)) if at >= *start => (base, *start),
            _ => (&self.mapping, 0),
        }
    }

    /// The folder that a relative path starts from which stands at this place.
    pub(super) fn folder(&self, at: usize) -> PathBuf {
        load::folder_of(self.at(at).0)
    }

    /// The line of a place in its file, counted from 1.
    pub(super) fn line(&self, text: &str, at: usize) -> usize {
        text[self.at(at).1..at].matches('\n').count() + 1
    }

    /// Whether the mapping's own name says that it is a base, which lacks keys for good.
    pub(super) fn is_named_as_base(&self) -> bool {
        self.mapping.file_name().is_some_and(|name| name.to_string_lossy().starts_with('_'))
    }

    /// The base as the mapping's messages call it.
    pub(super) fn base_name(&self) -> String {
        self.base.as_ref().map_or_else(String::new, |(base, _)| base.display().to_string())
    }
}

impl<'t> Document<'t> {
    /// Parses a mapping's text and reads its base, if it names one.
    pub(super) fn read(path: &Path, text: &'t str) -> Self {
        let (tree, findings) = yaml::parse(text);
        let masks = mask::masks(text, tree.as_ref());
        let files = Files { mapping: path.into(), base: None, include: None, is_whole: true };
        let mut document = Self { text: Cow::Borrowed(text), tree, masks, findings, files };
        document.include();
        document
    }

    /// A text that cannot be parsed, with what is wrong.
    pub(super) fn refused(path: &Path, text: &'t str, finding: Finding) -> Self {
        let files = Files { mapping: path.into(), base: None, include: None, is_whole: false };
        Self { text: text.into(), tree: None, masks: mask::masks(text, None), findings: vec![finding], files }
    }

    fn include(&mut self) {
        let Some((key, value)) = self.tree.as_ref().and_then(|tree| entry(tree, "include")) else { return };
        self.files.include = Some(key.span.clone());
        self.files.is_whole = false;
        // What is no path is the checker's to report.
        let Some(name) = path_of(value).map(str::to_owned) else { return };
        let span = value.span.clone();
        match base(&self.files.mapping, &name, &span) {
            Ok((path, text)) => self.take_in(&name, path, &text, &span),
            Err(finding) => self.findings.push(finding),
        }
    }

    fn take_in(&mut self, name: &str, path: PathBuf, base: &Result<String, (String, usize)>, span: &Range<usize>) {
        if lies_among_mappings(&self.files.mapping, &path) {
            let message = format!("`{name}` lies among the mappings, and a folder of them takes it for one");
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            self.findings.push(
                Finding::warning(Code::BaseAmongMappings, span, message)
                    .hint(format!("rename it to `_{file}`: a file that begins with `_` is no mapping of its own")),
            );
        }
        let text = self.text.to_mut();
        text.push('\n');
        let start = text.len();
        self.files.base = Some((path.into(), start));
        let base = match base {
            Ok(base) => base,
            Err((lossy, at)) => {
                text.push_str(lossy);
                self.masks.extend(mask::masks(lossy, None).iter().map(|mask| mask.start + start..mask.end + start));
                let at = start + at;
                let finding = Finding::error(Code::Encoding, &(at..at + 1), "this is not UTF-8 text");
                self.findings.push(finding.hint(text::ENCODING_HINT));
                return;
            }
        };
        text.push_str(base);
        let (tree, findings) = yaml::parse(base);
        self.masks.extend(mask::masks(base, tree.as_ref()).iter().map(|mask| mask.start + start..mask.end + start));
        for mut finding in findings {
            finding.span = finding.span.start + start..finding.span.end + start;
            if finding.code == Code::Empty {
                "the base is empty".clone_into(&mut finding.message);
                finding.hint = Some("write the keys into it that the mappings share, or delete `include`".into());
            }
            self.findings.push(finding);
        }
        let Some(mut tree) = tree else { return };
        shift(&mut tree, start);
        let Content::Mapping(mut entries) = tree.content else {
            let message = format!("a base must be a group of keys, not {}", tree.what());
            self.findings.push(
                Finding::error(Code::NotAGroup, &tree.span, message)
                    .hint("write the keys into it that the mappings share, each as `key: value`"),
            );
            return;
        };
        entries.retain(|(key, _)| match key.text() {
            Some("include") => {
                self.findings.push(
                    Finding::error(Code::KeyOfMapping, &key.span, "a base cannot include another")
                        .hint("write what that file holds into this one, and delete the line"),
                );
                false
            }
            Some("name") => {
                let message = "`name` cannot stand in a base: all its mappings would share one history";
                let hint = "delete the line; without a `name` a mapping is called as its file";
                self.findings.push(Finding::error(Code::KeyOfMapping, &key.span, message).hint(hint));
                false
            }
            Some("allow_commands") => {
                let message = "`allow_commands` cannot stand in a base: each mapping's owner says so, or not";
                let hint = "write it into the mappings that may run programs, and delete the line";
                self.findings.push(Finding::error(Code::KeyOfMapping, &key.span, message).hint(hint));
                false
            }
            _ => true,
        });
        let folder = Path::new(name).parent().unwrap_or(Path::new(""));
        place_files(&mut entries, &keys::ROOT, folder);
        if let Some(Node { content: Content::Mapping(own), .. }) = &mut self.tree {
            if let Some(finding) = other_version(own, &entries) {
                self.findings.push(finding);
            }
            merge(own, entries, &keys::ROOT, "", &mut self.findings);
            self.files.is_whole = true;
        }
    }
}

/// The base that a mapping names, right or not.
pub(crate) fn base_of(path: &Path) -> Option<PathBuf> {
    let text = match text::read(path) {
        Ok(text) | Err(TextError::Encoding { lossy: text, .. }) => text,
        Err(TextError::Read(_)) => return None,
    };
    let name = if let Some(tree) = yaml::parse(&text).0 {
        path_of(tree.entry("include")?)?.to_owned()
    } else {
        // What is no YAML names one all the same.
        let line = text.lines().find_map(|line| line.strip_prefix("include:"))?;
        let line = line.split_once(" #").map_or(line, |(value, _)| value);
        line.trim().trim_matches(['"', '\'']).to_owned()
    };
    (!name.is_empty()).then(|| tidy(&load::folder_of(path).join(name)))
}

fn entry<'n>(node: &'n Node, name: &str) -> Option<&'n (Node, Node)> {
    let Content::Mapping(entries) = &node.content else { return None };
    entries.iter().find(|(key, _)| key.text() == Some(name))
}

fn path_of(value: &Node) -> Option<&str> {
    let text = value.text()?;
    let is_curly = matches!(value.content, Content::Scalar { style: Style::Plain, .. })
        && text.starts_with(['“', '”', '‘', '’', '„']);
    (!text.trim().is_empty() && !is_curly && !text.contains(char::is_control)).then_some(text)
}

/// The base's path, and its text, or the text with bad bytes replaced and where the first one stands.
type Base = (PathBuf, Result<String, (String, usize)>);

fn base(mapping: &Path, name: &str, span: &Range<usize>) -> Result<Base, Finding> {
    // Braces would also end a `${file:…}` whose path starts from the base's folder.
    if name.contains(['{', '}']) {
        return Err(Finding::error(Code::Include, span, "`include` holds braces: references are not replaced in it")
            .hint("write the path itself, without braces: `include: ../_base.yaml`"));
    }
    let path = tidy(&load::folder_of(mapping).join(name));
    if let (Ok(mapping), Ok(base)) = (fs::canonicalize(mapping), fs::canonicalize(&path))
        && mapping == base
    {
        return Err(Finding::error(Code::Include, span, "the mapping includes itself")
            .hint("name the file that holds what schools share, or delete the line"));
    }
    // A pipe would be waited for without an end.
    let is_special = fs::metadata(&path).is_ok_and(|file| !file.is_file());
    let text = if is_special { Err(TextError::Read(std::io::ErrorKind::NotFound.into())) } else { text::read(&path) };
    match text {
        Ok(text) => Ok((path, Ok(text))),
        Err(TextError::Encoding { lossy, at }) => Ok((path, Err((lossy, at)))),
        Err(TextError::Read(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(super::check::missing_file(span, "include", &path))
        }
        Err(TextError::Read(error)) => {
            let message = format!("could not read the base `{}`: {error}", path.display());
            Err(Finding::error(Code::UnreadableFile, span, message).hint("let the account that runs sispush read it"))
        }
    }
}

/// Beside the mapping, and neither hidden nor with the sign of a base: `mapping::find` would take it for a mapping.
fn lies_among_mappings(mapping: &Path, base: &Path) -> bool {
    let is_beside = || folder_in_full(base).is_some_and(|folder| folder_in_full(mapping) == Some(folder));
    load::is_mapping_of_folder(base) && is_beside()
}

fn folder_in_full(file: &Path) -> Option<PathBuf> {
    fs::canonicalize(Path::new(".").join(file.parent()?)).ok()
}

/// `schools/../_base.yaml` as `_base.yaml`, where that is the same place: people read it, and build servers look for it.
pub(super) fn tidy(path: &Path) -> PathBuf {
    let mut short = PathBuf::new();
    for part in path.components() {
        match (part, short.components().next_back()) {
            (Component::ParentDir, Some(Component::Normal(_))) => drop(short.pop()),
            _ => short.push(part),
        }
    }
    // Behind a symbolic link the two may differ.
    let is_same = short.components().eq(path.components())
        || folder_in_full(path).is_some_and(|folder| folder_in_full(&short) == Some(folder));
    if is_same { short } else { path.to_owned() }
}

fn shift(node: &mut Node, by: usize) {
    node.span = node.span.start + by..node.span.end + by;
    match &mut node.content {
        Content::Null | Content::Scalar { .. } => {}
        Content::Sequence(items) => items.iter_mut().for_each(|item| shift(item, by)),
        Content::Mapping(entries) => {
            for (key, value) in entries {
                shift(key, by);
                shift(value, by);
            }
        }
    }
}

/// Lets `${file:PATH}` of the base start from its folder. Other paths have their folder by their place.
fn place_files(entries: &mut [(Node, Node)], shape: &Shape, folder: &Path) {
    for (key, value) in entries {
        let kind = key.text().and_then(|name| shape.key(name)).map(|key| key.kind);
        match (kind, &mut value.content) {
            (Some(Kind::Secret), Content::Scalar { text, .. }) => {
                if let Some(placed) = secret::with_files_from(text, folder) {
                    *text = placed;
                }
            }
            (Some(Kind::Group(inner)), Content::Mapping(entries)) => place_files(entries, inner, folder),
            (Some(Kind::List(inner)), Content::Sequence(items)) => {
                for item in items {
                    if let Content::Mapping(entries) = &mut item.content {
                        place_files(entries, inner, folder);
                    }
                }
            }
            _ => {}
        }
    }
}

fn other_version(own: &[(Node, Node)], base: &[(Node, Node)]) -> Option<Finding> {
    let version = |entries: &[(Node, Node)]| {
        let (_, value) = entries.iter().find(|(key, _)| key.text() == Some("version"))?;
        Some((value.text()?.to_owned(), value.span.clone()))
    };
    let ((own, _), (base, span)) = (version(own)?, version(base)?);
    let message = format!("the base is of version `{base}`, and the mapping of version `{own}`");
    (own != base)
        .then(|| Finding::error(Code::Version, &span, message).hint("write `version: 1` in both, or in one of them"))
}

/// The mapping's own key goes before the base's; groups are merged key by key.
/// `path` is what people call the group: `contacts.`, and blank for the file itself.
fn merge(own: &mut Vec<(Node, Node)>, base: Vec<(Node, Node)>, shape: &Shape, path: &str, findings: &mut Vec<Finding>) {
    for (key, value) in base {
        // An unknown key is one in each file.
        let known = key.text().and_then(|name| shape.key(name));
        let same = known.and_then(|_| own.iter_mut().find(|(own, _)| own.text() == key.text()));
        match same {
            None => own.push((key, value)),
            Some((_, own)) => {
                let Some((Kind::Group(inner), name)) = known.map(|key| (key.kind, key.name)) else { continue };
                match (&mut own.content, value.content) {
                    (Content::Mapping(own), Content::Mapping(base)) => {
                        merge(own, base, inner, &format!("{path}{name}."), findings);
                    }
                    (_, Content::Mapping(_) | Content::Null) => {}
                    (_, Content::Scalar { .. } | Content::Sequence(_)) => {
                        let message = format!("`{path}{name}` must be a group of keys in the base, too");
                        findings.push(
                            Finding::error(Code::NotAGroup, &value.span, message)
                                .hint("write its keys below it, indented, each as `key: value`"),
                        );
                    }
                }
            }
        }
    }
}
