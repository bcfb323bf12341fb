//! What keeps a scheduled job running: logs, and later schedules, notifications and history.

pub mod logging;
pub mod rotation;

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

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
