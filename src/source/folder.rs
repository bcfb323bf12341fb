//! A folder of files as rows: what each is named, and where it is.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

use super::SourceError;
use super::row::{Column, RowSink};

/// The columns: a file's name without its ending, and with it.
pub const COLUMNS: [&str; 2] = ["adminsystemid", "file"];

/// Names of files that systems leave behind in folders of pictures.
const LITTER: [&str; 2] = ["thumbs.db", "desktop.ini"];

/// Writes a row for each file of the folder itself, in the order of their names. Hidden files are nobody's.
///
/// # Errors
/// [`SourceError::File`] if the folder cannot be read.
pub fn list(folder: &Path, sink: &mut RowSink) -> Result<(), SourceError> {
    let failed = |error: io::Error| {
        let (reason, hint) = match error.kind() {
            io::ErrorKind::NotFound => (
                "there is no such folder".to_owned(),
                "check `images.folder`; it starts from the mapping's folder, and a share must be there at night, too",
            ),
            io::ErrorKind::NotADirectory => {
                ("this is a file, not a folder".to_owned(), "name the folder of the pictures")
            }
            _ => (error.to_string(), "may the account that runs this read the folder?"),
        };
        SourceError::File { path: folder.display().to_string(), line: None, reason, hint: Some(hint.into()) }
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // A link counts as what it leads to.
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_litter = name.starts_with('.') || LITTER.iter().any(|litter| name.eq_ignore_ascii_case(litter));
        if !is_folder && !is_litter {
            files.push(name.into_owned());
        }
    }
    files.sort_unstable();
    let columns = COLUMNS.map(|name| Column { name: name.to_owned(), type_name: "text".to_owned() });
    if sink.columns(columns.to_vec()).is_err() {
        return Ok(());
    }
    for file in &files {
        sink.cell(Path::new(file).file_stem().map_or("".into(), OsStr::to_string_lossy).as_ref());
        sink.cell(file);
        if sink.end_row().is_err() {
            return Ok(());
        }
    }
    // A stopped sink has all it wants.
    let _stopped = sink.end();
    Ok(())
}
