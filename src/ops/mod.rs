//! What keeps a scheduled job running: logs, files that only their owner may read, what to ask when it does not run, when it
//! runs, who is told of it, and past runs as numbers and as a page.

pub mod doctor;
pub mod logging;
pub mod notify;
pub mod report;
pub mod rotation;
pub mod schedule;
pub mod system_log;
pub mod version;
pub(crate) mod words;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The files that [`write_private`] is writing: whoever ends the program in the middle takes them away.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Writes a file that only its owner may read, where the platform can say so, as it holds secrets or pupils' data: whole or
/// not at all, since another beside it takes its place when it is done.
///
/// # Errors
/// Those of writing, and that what stands there is no file. What stood there before is then as it was.
pub fn write_private(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let path = &target_of(path)?;
    let part = part_of(path)?;
    unfinished(|files| files.push(part.clone()));
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
    unfinished(|files| files.retain(|file| *file != part));
    result
}

/// Removes what [`write_private`] has not finished, for a program that is about to end: half a file of pupils must not
/// lie about.
pub fn remove_unfinished() {
    unfinished(|files| {
        for file in files.drain(..) {
            // It may not have been begun yet, or be whole by now.
            drop(fs::remove_file(file));
        }
    });
}

fn unfinished(change: impl FnOnce(&mut Vec<PathBuf>)) {
    change(&mut UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner));
}

/// Whether [`write_private`] could begin, to be asked before the work whose result it writes.
///
/// # Errors
/// Those of making a file there.
pub fn try_private(path: &Path) -> io::Result<()> {
    let part = part_of(&target_of(path)?)?;
    new_private_file(&part)?;
    fs::remove_file(&part)
}

/// The file that a path leads to, which may not be there yet. What is no file is not to be replaced by one: neither a
/// folder nor, for root, `/dev/null`.
fn target_of(path: &Path) -> io::Result<PathBuf> {
    match fs::metadata(path) {
        Ok(known) if known.is_file() => fs::canonicalize(path),
        Ok(known) if known.is_dir() => Err(io::Error::other("it is a folder")),
        Ok(_) => Err(io::Error::other("it is no regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(path.to_owned()),
        Err(error) => Err(error),
    }
}

/// The file beside it, of a name of its own for each process.
fn part_of(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::other("it names no file"))?;
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
        assert_eq!(try_private(folder.path()).unwrap_err().to_string(), "it is a folder");
        assert_eq!(try_private(Path::new("/")).unwrap_err().to_string(), "it is a folder");
    }

    /// Regression: a device that root may replace became a file.
    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&socket, &link).unwrap();
        for path in [&socket, &link] {
            assert_eq!(try_private(path).unwrap_err().to_string(), "it is no regular file");
            write_private(path, |_| panic!("nothing is written")).unwrap_err();
        }
        assert_eq!(entries(folder.path()), ["link", "socket"]);
        // A link to a file stays one.
        let file = folder.path().join("file");
        fs::write(&file, "before").unwrap();
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_private(&link, |out| out.write_all(b"after")).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "after");
    }
}
