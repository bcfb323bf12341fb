//! What keeps a scheduled job running: logs, and later schedules, notifications and history.

pub mod logging;
pub mod rotation;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Creates or empties a file that only its owner may read, where the platform can say so: it holds secrets or pupils'
/// data.
///
/// # Errors
/// Those of opening it.
pub fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Writes a file that only its owner may read, whole or not at all: another beside it takes its place when it is done.
///
/// # Errors
/// Those of writing. What stood there before is then as it was.
pub fn write_private(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let part = part_of(path)?;
    let result = new_private_file(&part).and_then(|file| {
        let mut out = BufWriter::new(file);
        write(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&part, path)
    });
    if result.is_err() {
        // There may be nothing to remove.
        drop(fs::remove_file(&part));
    }
    result
}

/// Whether [`write_private`] could begin, to be asked before the work whose result it writes.
///
/// # Errors
/// Those of making a file there.
pub fn try_private(path: &Path) -> io::Result<()> {
    let part = part_of(path)?;
    new_private_file(&part)?;
    fs::remove_file(&part)
}

/// The file beside it, of a name of its own for each process.
fn part_of(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().filter(|_| !path.is_dir()).ok_or(io::ErrorKind::IsADirectory)?;
    let mut part = std::ffi::OsString::from(".");
    part.push(name);
    part.push(format!(".{}.part", std::process::id()));
    Ok(path.with_file_name(part))
}

fn new_private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_that_cannot_be_written_whole_is_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("patrons.csv");
        fs::write(&path, "before").unwrap();
        let failed = write_private(&path, |out| {
            out.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        assert_eq!(entries(folder.path()), ["patrons.csv"]);
        try_private(&path).unwrap();
        write_private(&path, |out| out.write_all(b"after")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "after");
        assert_eq!(entries(folder.path()), ["patrons.csv"]);
        assert_eq!(try_private(folder.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }
}
