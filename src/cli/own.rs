//! Files that a result may not be written over: what a run reads.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::mapping::{self, Mapping, StateLocation};
use crate::source::Engine;

/// Refuses to write a result, named by `option`, over what the mapping is made of, its secrets, its state, or the source
/// itself: `--out students.csv` beside `csv:.` would put a preview in the place of the drop, and `--out sis.db` one in the
/// place of the SIS. `asked` is the state that `--state` names. Links are followed. Of a mapping that is not valid only its
/// own file, its base and `.env` are known.
pub(super) fn refuse(
    option: &str,
    file: &Path,
    (path, mapping): (&Path, Option<&Mapping>),
    asked: Option<&StateLocation>,
) -> Result<(), Error> {
    let folder = folder_of(path);
    let mut own = vec![("the mapping itself", path.to_owned()), ("the file of the secrets", folder.join(".env"))];
    let mut folders = vec![folder.clone()];
    if let Some(base) = mapping::base_of(path) {
        let folder = folder_of(&base);
        own.extend([("the base of the mapping", base), ("the file of the secrets", folder.join(".env"))]);
        folders.push(folder);
    }
    if let Some(StateLocation::File(state)) = asked {
        own.push(("the state", state.clone()));
    }
    if let Some(mapping) = mapping {
        // As long as its secrets are not looked up, paths are as written: beside the mapping, or beside its base.
        let mut add = |what, file: &Path| {
            own.push((what, file.to_owned()));
            own.extend(folders.iter().map(|folder| (what, folder.join(file))));
        };
        for extract in &mapping.users.extracts {
            extract.query_file.iter().for_each(|query| add("a query of the mapping", query));
        }
        for authority in [&mapping.source.ca_file, &mapping.target.ca_file].into_iter().flatten() {
            add("a file of authorities", authority);
        }
        match &mapping.state {
            StateLocation::File(state) => add("the state", state),
            StateLocation::Default | StateLocation::None | StateLocation::Postgres(_) => {}
        }
        let database = Path::new(&mapping.source.database);
        match mapping.source.engine {
            Engine::Sqlite => add("the source", database),
            // Whatever has such an ending there is a table.
            Engine::Csv
                if is_drop(file, database) || folders.iter().any(|folder| is_drop(file, &folder.join(database))) =>
            {
                add("a file of the source", file);
            }
            Engine::Csv | Engine::SqlServer | Engine::Postgres | Engine::MySql | Engine::Odbc => {}
        }
    }
    let real = real(file);
    match own.into_iter().find(|(_, own)| self::real(own) == real) {
        Some((what, _)) => Err(Error::Usage {
            message: format!("`{option}`: `{}` is {what}", file.display()),
            hint: Some("write to a file of its own, in another folder than the source's".into()),
        }),
        None => Ok(()),
    }
}

/// Likewise over a state alone, where no mapping is named.
pub(super) fn refuse_state(option: &str, file: &Path, state: Option<&StateLocation>) -> Result<(), Error> {
    match state {
        Some(StateLocation::File(state)) if real(state) == real(file) => Err(Error::Usage {
            message: format!("`{option}`: `{}` is the state", file.display()),
            hint: Some("write to a file of its own".into()),
        }),
        _ => Ok(()),
    }
}

fn is_drop(file: &Path, folder: &Path) -> bool {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let is_table = ["csv", "tsv", "txt"].iter().any(|table| ending.eq_ignore_ascii_case(table));
    is_table && real(&folder_of(file)) == real(folder)
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Where a path leads to; as far as that is there, for a file that is yet to be made.
fn real(file: &Path) -> PathBuf {
    let made = || Some(fs::canonicalize(folder_of(file)).ok()?.join(file.file_name()?));
    fs::canonicalize(file).ok().or_else(made).unwrap_or_else(|| file.to_owned())
}
