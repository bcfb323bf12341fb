//! Mappings that would share what is known of their patrons.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::mapping::{Mapping, Part, StateLocation};

/// Those of the mappings that have another's name, target and state, each with what is wrong. The patrons of the one would
/// be leavers of the other, so neither is pushed. What cannot be read has no twin, and fails by itself.
pub(super) fn find(paths: &[PathBuf], state: Option<&StateLocation>) -> HashMap<PathBuf, Error> {
    let mut all: HashMap<_, Vec<&Path>> = HashMap::new();
    for path in paths {
        if let Some(book) = book(path, state) {
            all.entry(book).or_default().push(path);
        }
    }
    let mut twins = HashMap::new();
    for ((name, _, _), paths) in all.iter().filter(|(_, paths)| paths.len() > 1) {
        for (index, path) in paths.iter().enumerate() {
            let other = paths[usize::from(index == 0)];
            twins.insert(path.to_path_buf(), error(name, other));
        }
    }
    twins
}

/// Name, target and place of the state; nothing if none is kept.
fn book(path: &Path, state: Option<&StateLocation>) -> Option<(String, String, String)> {
    let mut mapping = Mapping::load(path).ok()?;
    let place = match state.unwrap_or(&mapping.state) {
        StateLocation::None => return None,
        StateLocation::Default => String::new(),
        StateLocation::Postgres(connection) => connection.to_string(),
        StateLocation::File(file) if state.is_some() || file.to_string_lossy().contains("${") => {
            file.display().to_string()
        }
        // Without a secret in it, this looks none up.
        StateLocation::File(_) => match (mapping.resolve(&[Part::State]), &mapping.state) {
            (Ok(()), StateLocation::File(file)) => {
                let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
                // Two ways to one folder are one place, as long as it is there.
                let folder = file.parent().and_then(|folder| folder.canonicalize().ok());
                folder
                    .zip(file.file_name())
                    .map_or(file.clone(), |(folder, name)| folder.join(name))
                    .display()
                    .to_string()
            }
            _ => return None,
        },
    };
    Some((mapping.name, mapping.target.url.to_string(), place))
}

fn error(name: &str, other: &Path) -> Error {
    Error::Usage {
        message: format!(
            "it has the name `{name}` and the target of `{}`: each would take the other's patrons for leavers",
            other.display()
        ),
        hint: Some(
            "give each a `name` of its own; if one is a copy that is not to be pushed, begin its file's name with `_`"
                .into(),
        ),
    }
}
