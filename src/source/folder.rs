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
    let mut files = files(folder).map_err(|error| failed(folder, &error))?;
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

/// How many files the folder itself has, of which one can be opened.
///
/// # Errors
/// [`SourceError::File`] if the folder cannot be read, or a file in it cannot be; without the file's name, which tells who it
/// is of.
pub fn count(folder: &Path) -> Result<u64, SourceError> {
    let files = files(folder).map_err(|error| failed(folder, &error))?;
    if let Some(file) = files.iter().min() {
        fs::File::open(folder.join(file)).map_err(|error| SourceError::File {
            path: folder.display().to_string(),
            line: None,
            reason: format!("its files cannot be opened: {error}"),
            hint: Some("may the account that runs this read the files, too?".into()),
        })?;
    }
    Ok(files.len() as u64)
}

/// The files of the folder itself. Hidden files are nobody's.
fn files(folder: &Path) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_folder = is_folder(&entry);
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_litter = name.starts_with('.') || LITTER.iter().any(|litter| name.eq_ignore_ascii_case(litter));
        if !is_folder && !is_litter {
            files.push(name.into_owned());
        }
    }
    Ok(files)
}

/// Whether an entry is a folder, or a link to one. A link that leads nowhere counts as a file, so that somebody is told of it.
fn is_folder(entry: &fs::DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| {
        kind.is_dir() || (kind.is_symlink() && fs::metadata(entry.path()).is_ok_and(|target| target.is_dir()))
    })
}

fn failed(folder: &Path, error: &io::Error) -> SourceError {
    let (reason, hint) = match error.kind() {
        io::ErrorKind::NotFound => (
            "there is no such folder".to_owned(),
            "check `images.folder`; it starts from the mapping's folder, and a share must be there at night, too",
        ),
        io::ErrorKind::NotADirectory => ("this is a file, not a folder".to_owned(), "name the folder of the pictures"),
        _ => (error.to_string(), "may the account that runs this read the folder?"),
    };
    SourceError::File { path: folder.display().to_string(), line: None, reason, hint: Some(hint.into()) }
}
