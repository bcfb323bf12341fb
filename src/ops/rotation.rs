//! A log file that is set aside when it gets large or when a new day begins, so that it never fills a disk.
//!
//! `sispush.log` is the file being written; `sispush.log.1` is the one before it, up to the oldest. Days are UTC, as
//! are the times inside. A crate for this (tracing-appender) would have brought 22 more.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// When a log file is set aside, and how many are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// A line that would make the file larger than this, in bytes, begins a new one.
    pub bytes_max: u64,
    /// How many old files are kept beside the one being written.
    pub old_files: u32,
}

impl Rotation {
    /// So small a file may be asked for, in bytes: every run fits into one, and a file for each line helps nobody.
    pub const BYTES_LEAST: u64 = 64 * 1024;
    /// So large, in bytes: what an editor still opens.
    pub const BYTES_MOST: u64 = 1024 * 1024 * 1024;
    /// So many old files may be asked for. Each is renamed whenever one is set aside.
    pub const OLD_FILES_MOST: u32 = 1000;
}

impl Default for Rotation {
    /// 10 MiB, and seven old files: a week of a nightly job.
    fn default() -> Self {
        Self { bytes_max: 10 * 1024 * 1024, old_files: 7 }
    }
}

/// A size as it is typed is no size, or no sensible one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// It is written in another way.
    #[error("a size is written like `512KiB`, `10MiB` or `1GiB`")]
    Syntax,
    /// It is smaller or larger than a file may be asked to be.
    #[error("a size is at least `64KiB` and at most `1GiB`")]
    Bounds,
}

/// Reads the size of a file, in bytes: a whole number of `KiB`, `MiB` or `GiB` (1024, 1024², 1024³ bytes), in any case.
///
/// # Errors
/// If it is written in another way, or outside of [`Rotation::BYTES_LEAST`] and [`Rotation::BYTES_MOST`].
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let text = text.trim().to_ascii_lowercase();
    let unit = text.find(|c: char| !c.is_ascii_digit()).ok_or(SizeError::Syntax)?;
    let (digits, unit) = text.split_at(unit);
    let power = match unit.trim_start() {
        "kib" => 1,
        "mib" => 2,
        "gib" => 3,
        _ => return Err(SizeError::Syntax),
    };
    if digits.is_empty() {
        return Err(SizeError::Syntax);
    }
    // So many digits that they are no number are too many bytes.
    let bytes = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(1024_u64.pow(power)));
    let bounds = Rotation::BYTES_LEAST..=Rotation::BYTES_MOST;
    bytes.filter(|bytes| bounds.contains(bytes)).ok_or(SizeError::Bounds)
}

/// A file that rotates. Each call of `write` is one whole line.
///
/// Several processes may append to one file; the one that rotates takes the others' lines along into the old file.
#[derive(Debug)]
pub struct RotatingFile {
    path: PathBuf,
    rotation: Rotation,
    clock: fn() -> Timestamp,
    file: Option<File>,
    /// The file's size in bytes.
    size: u64,
    /// The UTC day of the last line, counted from 1970.
    day: i64,
    /// Whether the last line was lost, so that a full disk is told once and not with every line.
    is_failing: bool,
}

impl RotatingFile {
    /// Opens a file for appending; makes it, readable for its owner only, if it is not there. Its folder must exist. What
    /// is plainly something else, such as a mapping, is an error: it would be written to, and set aside later.
    pub fn open(path: &Path, rotation: Rotation, clock: fn() -> Timestamp) -> io::Result<Self> {
        if is_something_else(path) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is there already, and is no log"));
        }
        let mut this = Self {
            path: path.to_path_buf(),
            rotation,
            clock,
            file: None,
            size: 0,
            day: day(clock()),
            is_failing: false,
        };
        let file = this.reopen()?;
        if this.size > 0
            && let Ok(modified) = file.metadata().and_then(|metadata| metadata.modified())
            && let Ok(modified) = Timestamp::try_from(modified)
        {
            this.day = day(modified);
        }
        this.file = Some(file);
        Ok(this)
    }

    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        let today = day((self.clock)());
        let length = line.len() as u64;
        // Others may have written to it as well.
        if let Some(metadata) = self.file.as_ref().and_then(|file| file.metadata().ok()) {
            self.size = metadata.len();
        }
        if self.size > 0 && (today != self.day || self.size + length > self.rotation.bytes_max) {
            if self.is_current() {
                self.rotate();
            } else {
                // Another process has set it aside already.
                self.file = None;
            }
        }
        self.day = today;
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.reopen()?,
        };
        file.write_all(line)?;
        self.size += length;
        self.file = Some(file);
        Ok(())
    }

    fn reopen(&mut self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&self.path)?;
        self.size = file.metadata()?.len();
        Ok(file)
    }

    /// Whether the file that is open still has the name.
    #[cfg(unix)]
    fn is_current(&self) -> bool {
        use std::os::unix::fs::MetadataExt as _;

        let Some(open) = self.file.as_ref().and_then(|file| file.metadata().ok()) else { return true };
        std::fs::metadata(&self.path).is_ok_and(|named| (named.dev(), named.ino()) == (open.dev(), open.ino()))
    }

    /// A file that another process has open cannot be renamed there.
    #[cfg(not(unix))]
    #[expect(clippy::unused_self, reason = "as elsewhere")]
    fn is_current(&self) -> bool {
        true
    }

    /// Sets the file aside. Where that fails, writing goes on in the same file until it is due again.
    fn rotate(&mut self) {
        // Closed first: not every file system renames an open file.
        self.file = None;
        self.shift(); // A run that was killed between the two steps below may have left a file `.0`.
        // First out of the way, then the others up: if another process holds the file, no old one is lost for nothing.
        if std::fs::rename(&self.path, self.old(0)).is_ok() {
            self.shift();
        }
    }

    /// Moves `.0` to `.1`, `.1` to `.2` and so on; the oldest goes.
    fn shift(&self) {
        if !self.old(0).exists() {
            return;
        }
        for number in (0..self.rotation.old_files).rev() {
            // A number that is missing is no harm: the sequence closes again by itself.
            drop(std::fs::rename(self.old(number), self.old(number + 1)));
        }
        if self.rotation.old_files == 0 {
            drop(std::fs::remove_file(self.old(0)));
        }
        // Those of a time when more were kept. The first that is not there, or cannot go, ends it: what is numbered further
        // on may be somebody else's.
        let mut beyond = self.rotation.old_files + 1;
        while std::fs::remove_file(self.old(beyond)).is_ok() {
            beyond += 1;
        }
    }

    fn old(&self, number: u32) -> PathBuf {
        old(&self.path, number)
    }
}

/// Whether a file that is there is a mapping, a table, a database: told by its ending and its first bytes. Any other may be
/// a log, as technicians send all kinds of things into one, and a power cut leaves zeros.
fn is_something_else(path: &Path) -> bool {
    const ENDINGS: [&str; 5] = ["yaml", "yml", "csv", "tsv", "sql"];
    const STARTS: [&[u8]; 2] = [b"SQLite format 3\0", b"PK\x03\x04"];
    let is_there = std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() > 0);
    let mut start = [0; 16];
    let Some(length) = is_there.then(|| File::open(path).ok()?.read(&mut start).ok()).flatten() else { return false };
    // Of what it leads to, if it is a link.
    let path = &path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    path.file_name().is_some_and(|name| name == ".env")
        || ENDINGS.iter().any(|other| ending.eq_ignore_ascii_case(other))
        || STARTS.iter().any(|other| start[..length].starts_with(other))
}

/// A file that was set aside; 1 is the newest.
pub fn old(path: &Path, number: u32) -> PathBuf {
    let mut name = path.to_path_buf().into_os_string();
    name.push(format!(".{number}"));
    name.into()
}

impl Write for RotatingFile {
    /// Writes one line. The first line that cannot be written is an error, which the log says on stderr; those
    /// after it are dropped without a word until writing succeeds again. A run never stops for its log.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.write_line(line) {
            Ok(()) => self.is_failing = false,
            Err(_) if self.is_failing => (),
            Err(error) => {
                self.is_failing = true;
                let message = format!("log file `{}` cannot be written: {error}", self.path.display());
                return Err(io::Error::new(error.kind(), message));
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn day(time: Timestamp) -> i64 {
    time.as_second().div_euclid(24 * 60 * 60)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::{Duration, SystemTime};

    use super::*;

    thread_local! {
        static NOW: Cell<i64> = const { Cell::new(0) };
    }

    const DAY: i64 = 24 * 60 * 60;
    const MIDNIGHT: i64 = 20_000 * DAY;

    fn clock() -> Timestamp {
        Timestamp::from_second(NOW.get()).unwrap()
    }

    struct Log {
        folder: tempfile::TempDir,
        file: RotatingFile,
    }

    impl Log {
        fn new(bytes_max: u64, old_files: u32) -> Self {
            NOW.set(MIDNIGHT);
            let folder = tempfile::tempdir().unwrap();
            let rotation = Rotation { bytes_max, old_files };
            let file = RotatingFile::open(&folder.path().join("run.log"), rotation, clock).unwrap();
            Self { folder, file }
        }

        fn reopen(&mut self) {
            self.file = RotatingFile::open(&self.folder.path().join("run.log"), self.file.rotation, clock).unwrap();
        }

        /// Every file in the folder with its text.
        fn files(&self) -> Vec<(String, String)> {
            let mut files: Vec<_> = std::fs::read_dir(self.folder.path())
                .unwrap()
                .map(|entry| {
                    let entry = entry.unwrap();
                    (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap())
                })
                .collect();
            files.sort();
            files
        }

        fn check(&self, files: &[(&str, &str)]) {
            let expected: Vec<_> = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
            assert_eq!(self.files(), expected);
        }
    }

    /// Regression: `--log-file sis.db` appended to the SIS and, from 10 MiB on, set it aside as an old log.
    #[test]
    fn what_is_no_log_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str, start: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, start).unwrap();
            let opened = RotatingFile::open(&path, Rotation::default(), clock);
            assert_eq!(std::fs::read(&path).unwrap(), start);
            opened.map(drop).map_err(|error| error.to_string())
        };
        for (name, start) in [
            ("sis.db", b"SQLite format 3\0 and more".as_slice()),
            ("support.zip", b"PK\x03\x04"),
            ("school.yaml", b"version: 1\n"),
            ("STUDENTS.CSV", b"login\n"),
            (".env", b"SIS_PASSWORD=x\n"),
        ] {
            assert_eq!(open(name, start), Err("it is there already, and is no log".to_owned()), "{name}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(folder.path().join("school.yaml"), folder.path().join("link.log")).unwrap();
            assert!(open("link.log", b"version: 1\n").is_err());
        }
        for (name, start) in
            [("a.log", b"school: read 3 rows\n".as_slice()), ("b.json", b"{}"), ("c", b"\0\0"), ("d.csv", b"")]
        {
            assert_eq!(open(name, start), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_large_file_is_set_aside_at_a_line() {
        let mut log = Log::new(6, 2);
        for line in ["aa\n", "bb\n", "cc\n"] {
            log.file.write_all(line.as_bytes()).unwrap();
        }
        log.check(&[("run.log", "cc\n"), ("run.log.1", "aa\nbb\n")]);
    }

    /// Regression: each process knew its own lines only, so that the file of three grew three times as large, and the second
    /// to notice set a new file aside.
    #[cfg(unix)]
    #[test]
    fn processes_that_share_a_file_set_it_aside_once() {
        let mut log = Log::new(6, 2);
        let rotation = log.file.rotation;
        let mut other = RotatingFile::open(&log.folder.path().join("run.log"), rotation, clock).unwrap();
        log.file.write_all(b"aa\n").unwrap();
        other.write_all(b"bb\n").unwrap();
        log.file.write_all(b"cc\n").unwrap();
        log.check(&[("run.log", "cc\n"), ("run.log.1", "aa\nbb\n")]);
        other.write_all(b"dd\n").unwrap();
        log.check(&[("run.log", "cc\ndd\n"), ("run.log.1", "aa\nbb\n")]);
    }

    #[test]
    fn the_oldest_file_goes() {
        let mut log = Log::new(1, 2);
        for line in ["a\n", "b\n", "c\n", "d\n"] {
            log.file.write_all(line.as_bytes()).unwrap();
        }
        log.check(&[("run.log", "d\n"), ("run.log.1", "c\n"), ("run.log.2", "b\n")]);
    }

    #[test]
    fn files_of_a_time_when_more_were_kept_go() {
        let mut log = Log::new(1, 4);
        for line in ["a\n", "b\n", "c\n", "d\n", "e\n"] {
            log.file.write_all(line.as_bytes()).unwrap();
        }
        std::fs::write(log.folder.path().join("run.log.2026"), "of somebody else").unwrap();
        log.file.rotation.old_files = 1;
        log.file.write_all(b"f\n").unwrap();
        log.check(&[("run.log", "f\n"), ("run.log.1", "e\n"), ("run.log.2026", "of somebody else")]);
    }

    #[test]
    fn sizes_are_read_as_they_are_typed() {
        for (text, size) in [
            ("64KiB", Ok(65_536)),
            ("10MiB", Ok(10_485_760)),
            ("10 mib", Ok(10_485_760)),
            ("1GiB", Ok(1_073_741_824)),
            ("63KiB", Err(SizeError::Bounds)),
            ("0MiB", Err(SizeError::Bounds)),
            ("1025MiB", Err(SizeError::Bounds)),
            ("99999999999999999999KiB", Err(SizeError::Bounds)),
            ("18014398509481984KiB", Err(SizeError::Bounds)),
            ("10485760", Err(SizeError::Syntax)),
            ("10MB", Err(SizeError::Syntax)),
            ("1.5MiB", Err(SizeError::Syntax)),
            ("-1MiB", Err(SizeError::Syntax)),
            ("MiB", Err(SizeError::Syntax)),
            ("", Err(SizeError::Syntax)),
        ] {
            assert_eq!(parse_size(text), size, "{text}");
        }
    }

    #[test]
    fn no_old_files_are_kept_if_none_are_wanted() {
        let mut log = Log::new(1, 0);
        for line in ["a\n", "b\n"] {
            log.file.write_all(line.as_bytes()).unwrap();
        }
        log.check(&[("run.log", "b\n")]);
    }

    #[test]
    fn a_new_utc_day_begins_a_new_file() {
        let mut log = Log::new(1000, 7);
        NOW.set(MIDNIGHT + DAY - 1);
        log.file.write_all(b"late\n").unwrap();
        NOW.set(MIDNIGHT + DAY - 1);
        log.file.write_all(b"still late\n").unwrap();
        NOW.set(MIDNIGHT + DAY);
        log.file.write_all(b"early\n").unwrap();
        log.check(&[("run.log", "early\n"), ("run.log.1", "late\nstill late\n")]);
    }

    /// A nightly job starts a new process each time: the day of the last line must come from the file.
    #[test]
    fn a_file_of_an_earlier_day_is_set_aside_by_the_next_run() {
        let mut log = Log::new(1000, 7);
        log.file.write_all(b"first\n").unwrap();
        let modified = |second: i64| SystemTime::UNIX_EPOCH + Duration::from_secs(second.unsigned_abs());
        let file = File::options().append(true).open(log.folder.path().join("run.log")).unwrap();
        file.set_modified(modified(MIDNIGHT)).unwrap();
        NOW.set(MIDNIGHT + DAY - 1);
        log.reopen();
        log.file.write_all(b"same day\n").unwrap();
        file.set_modified(modified(MIDNIGHT + DAY - 1)).unwrap();
        NOW.set(MIDNIGHT + DAY);
        log.reopen();
        log.file.write_all(b"next day\n").unwrap();
        log.check(&[("run.log", "next day\n"), ("run.log.1", "first\nsame day\n")]);
    }

    #[test]
    fn a_run_that_was_killed_while_rotating_loses_nothing() {
        let mut log = Log::new(1, 3);
        std::fs::write(log.folder.path().join("run.log.0"), "x\n").unwrap();
        for line in ["a\n", "b\n"] {
            log.file.write_all(line.as_bytes()).unwrap();
        }
        log.check(&[("run.log", "b\n"), ("run.log.1", "a\n"), ("run.log.2", "x\n")]);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_told_once_and_taken_up_again() {
        let mut log = Log::new(1, 1);
        log.file.write_all(b"a\n").unwrap();
        let path = log.folder.path().join("run.log");
        // A folder in the file's place: cannot be opened, whoever runs the test, on any system.
        log.file.file = None;
        log.file.size = 0;
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let error = log.file.write(b"lost\n").unwrap_err();
        assert!(error.to_string().starts_with("log file `"), "{error}");
        assert_eq!(log.file.write(b"lost too\n").unwrap(), 9);
        std::fs::remove_dir(&path).unwrap();
        log.file.write_all(b"b\n").unwrap();
        log.check(&[("run.log", "b\n")]);
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt;
        let mut log = Log::new(1, 1);
        for line in ["a\n", "b\n"] {
            log.file.write_all(line.as_bytes()).unwrap();
        }
        for name in ["run.log", "run.log.1"] {
            let mode = std::fs::metadata(log.folder.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
}
