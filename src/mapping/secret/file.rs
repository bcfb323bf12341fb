//! Files that hold secrets: read only if nobody but their owner can read them.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::mapping::secret::{Fault, late};
use crate::secret::Secret;

/// More than any secret or `.env`: what is larger was named by mistake.
const SIZE_MAX: u64 = 1024 * 1024;

/// A file's text, less one line break at its end.
pub(super) fn read(path: &Path) -> Result<Secret, Fault> {
    let bytes = read_private(path)?.ok_or_else(|| unreadable(path, &io::ErrorKind::NotFound.into()))?;
    let text = String::from_utf8(bytes).map_err(|_| {
        Fault::new(format!("the secret's file `{}` is not UTF-8 text", path.display()), "save the file as UTF-8")
    })?;
    Ok(bare(&text).into())
}

/// A text without the byte order mark that Windows may put before it, and the one line break that editors and `echo` put
/// at its end.
pub(crate) fn bare(text: &str) -> &str {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text))
}

/// The bytes of a file that nobody else can read; `None` if there is no file.
pub(in crate::mapping) fn read_private(path: &Path) -> Result<Option<Vec<u8>>, Fault> {
    if path.is_dir() {
        let hint = "name the file in it that holds the secret";
        return Err(Fault::new(format!("the secret's file `{}` is a folder", path.display()), hint));
    }
    match fs::metadata(path) {
        Ok(metadata) if is_pipe(&metadata) => super::aside(|| read_pipe(path, PIPE_LIMIT)),
        // Whoever followed the hint of a file that others can read would break the machine.
        Ok(metadata) if !metadata.is_file() => Err(Fault::new(
            format!("`{}`, where a secret is looked for, is a device and no file", path.display()),
            "name the file that holds the secret",
        )),
        _ => read_open(path),
    }
}

/// So long what writes into a named pipe may take to begin, and to end.
const PIPE_LIMIT: Duration = Duration::from_secs(10);

/// Opening a pipe waits for its other end, for ever if nobody comes; a program that hands secrets out may do it by one.
fn read_pipe(path: &Path, limit: Duration) -> Result<Option<Vec<u8>>, Fault> {
    let what = path.display().to_string();
    if let Some(fault) = late::before(&what) {
        return Err(fault);
    }
    let (sender, receiver) = mpsc::channel();
    let own = path.to_owned();
    // Nobody listens any longer when the time is over.
    thread::spawn(move || drop(sender.send(read_open(&own))));
    receiver.recv_timeout(limit).unwrap_or_else(|_| {
        let fault = Fault::new(
            format!("`{what}` is a named pipe, and nothing came out of it within {} s", limit.as_secs_f32()),
            "does the program run that writes the secret into it? a plain file needs none",
        );
        late::remember(what, &fault);
        Err(fault)
    })
}

#[cfg(unix)]
fn is_pipe(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt as _;

    metadata.file_type().is_fifo()
}

/// They lie in a place of their own, and do not wait.
#[cfg(not(unix))]
fn is_pipe(_: &fs::Metadata) -> bool {
    false
}

fn read_open(path: &Path) -> Result<Option<Vec<u8>>, Fault> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, &error)),
    };
    // Of the file that is open, so that none can be put in its place between the look and the reading.
    let metadata = file.metadata().map_err(|error| unreadable(path, &error))?;
    check_private(path, &metadata)?;
    let mut bytes = Vec::new();
    file.take(SIZE_MAX + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > SIZE_MAX {
        return Err(Fault::new(
            format!("the secret's file `{}` is larger than 1 MiB", path.display()),
            "name the file that holds the secret and nothing else",
        ));
    }
    Ok(Some(bytes))
}

fn unreadable(path: &Path, error: &io::Error) -> Fault {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => Fault::new(
            format!("the secret's file `{path}` does not exist"),
            "a path is relative to the folder of the file in which it stands",
        ),
        io::ErrorKind::PermissionDenied => Fault::new(
            format!("could not read `{path}`: permission denied"),
            "let the account that runs sispush read the file",
        ),
        _ => Fault { message: format!("could not read `{path}`: {error}"), hint: None },
    }
}

/// Refuses a file that others than its owner can read or change. With an access control list, the bits of the group are
/// its widest right, so that one who is named there counts, too. Who can write in its folder can put another file in its
/// place, but reads nothing by that: the folder is not looked at.
#[cfg(unix)]
fn check_private(path: &Path, metadata: &fs::Metadata) -> Result<(), Fault> {
    use std::os::unix::fs::MetadataExt as _;

    let others = metadata.mode() & 0o077;
    if others == 0 || metadata.uid() == 0 && is_handed_by_system(path) {
        return Ok(());
    }
    let what = if others & 0o044 == 0 { "changed" } else { "read" };
    Err(Fault::new(
        format!("`{}` holds secrets and can be {what} by other accounts", path.display()),
        format!("run `chmod 600 {}`", path.display()),
    ))
}

/// Windows keeps a profile's or a service's folder to its account; its lists of access have no such simple reading, and are
/// not looked at.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as elsewhere")]
fn check_private(_: &Path, _: &fs::Metadata) -> Result<(), Fault> {
    Ok(())
}

/// Container and service managers hand secrets in through these folders, readable by whom they choose.
#[cfg(unix)]
fn is_handed_by_system(path: &Path) -> bool {
    let folders = [Some("/run".into()), super::environment("CREDENTIALS_DIRECTORY")];
    let Ok(path) = path.canonicalize() else { return false };
    folders
        .into_iter()
        .flatten()
        .filter_map(|folder| fs::canonicalize(folder).ok())
        .any(|folder| path.starts_with(folder))
}

/// Refuses what others than its owner, who must be this account or root, can change: a mapping whose commands are run, and
/// what they run. Of a file its folder counts, too, unless only owners may replace files there (as in `/tmp`).
#[cfg(unix)]
pub(super) fn check_own(path: &Path) -> Result<(), Fault> {
    use std::os::unix::fs::MetadataExt as _;

    const STICKY: u32 = 0o1000;
    let account = rustix::process::geteuid().as_raw();
    let real = path.canonicalize().map_err(|error| unreadable(path, &error))?;
    // A link could be put in another's place, and so could what it leads to.
    for (path, is_folder) in [(path, false), (folder_of(path), true), (folder_of(&real), true)] {
        let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        let shown = path.display();
        if metadata.uid() != account && metadata.uid() != 0 {
            return Err(Fault::new(
                format!(
                    "`{shown}` belongs to another account than the one that runs sispush, so its commands are not run"
                ),
                format!("run `chown` on it, to the account that runs sispush or to root: `chown root {shown}`"),
            ));
        }
        if metadata.mode() & 0o022 != 0 && !(is_folder && metadata.mode() & STICKY != 0) {
            return Err(Fault::new(
                format!("`{shown}` can be changed by other accounts, so its commands are not run"),
                format!("run `chmod go-w {shown}`"),
            ));
        }
    }
    Ok(())
}

#[cfg(unix)]
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Not looked at, see above.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as elsewhere")]
pub(super) fn check_own(_: &Path) -> Result<(), Fault> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// Regression: the hint was to run `chmod 600 /dev/zero`.
    #[test]
    fn a_device_is_no_file() {
        let fault = read_private(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(fault.message, "`/dev/zero`, where a secret is looked for, is a device and no file");
    }

    /// Regression: a named pipe in the place of `.env`, into which nobody wrote, was waited for without an end.
    #[test]
    fn a_pipe_is_read_and_not_waited_for_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let writer = {
            let path = path.clone();
            thread::spawn(move || fs::write(path, "s3cret").unwrap())
        };
        assert_eq!(read_private(&path).unwrap().unwrap(), b"s3cret");
        writer.join().unwrap();
        let fault = read_pipe(&path, Duration::from_millis(50)).unwrap_err();
        assert!(
            fault.message.ends_with("is a named pipe, and nothing came out of it within 0.05 s"),
            "{}",
            fault.message
        );
        // Nor is it waited for again, by the next of a hundred schools.
        assert_eq!(read_pipe(&path, Duration::from_hours(1)).unwrap_err(), fault);
    }
}
