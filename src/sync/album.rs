//! Pictures: looked at while rows are read, and read again when they are sent, since all of a school's do not belong into memory.
//!
//! What was planned is known by its content. A picture that changed in between is not sent tonight.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::num::NonZeroUsize;
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc::{self, SendError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use unicode_normalization::UnicodeNormalization as _;

use crate::infiniti::builder::Pictures;
use crate::infiniti::contract::Kind;
use crate::infiniti::image::{self, BYTES_MAX, Description, FITTED_BYTES_MAX};
use crate::infiniti::value::Rule;
use crate::mapping::ImageSettings;

/// The digest of a picture's content.
pub(super) type Digest = [u8; 16];

/// Where the pictures of a run are.
#[derive(Debug)]
pub struct Album {
    folder: Option<PathBuf>,
    is_resized: bool,
    /// The files of those that are files, by content: two people may share a picture.
    files: Mutex<HashMap<Digest, PathBuf>>,
}

impl Album {
    /// One without pictures.
    pub(super) fn new(settings: &ImageSettings) -> Self {
        Self { folder: settings.folder.clone(), is_resized: settings.resize, files: Mutex::default() }
    }

    /// Looks at pictures for a builder.
    pub(super) fn looker(self: &Arc<Self>) -> Box<dyn Pictures> {
        Box::new(Looker { album: Arc::clone(self), bytes: Vec::new(), spelled: HashMap::new(), wanted: None })
    }

    /// Likewise, and keeps those that are still wanted, as they are sent.
    pub(super) fn collector(self: &Arc<Self>, wanted: Arc<Wanted>) -> Box<dyn Pictures> {
        Box::new(Looker {
            album: Arc::clone(self),
            bytes: Vec::new(),
            spelled: HashMap::new(),
            wanted: Some(Collector::new(self, wanted)),
        })
    }

    /// Whether a picture is a file.
    pub(super) fn has_file(&self, digest: &Digest) -> bool {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).contains_key(digest)
    }

    /// Reads a picture that is a file, as it is sent.
    ///
    /// # Errors
    /// Why it cannot be sent, in words that go on after "the picture".
    pub(super) fn read(&self, digest: &Digest) -> Result<Vec<u8>, String> {
        let file = self.files.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned();
        let file = file.ok_or("is no longer there")?;
        let mut bytes = Vec::new();
        read_file(&file, &mut bytes).map_err(|error| format!("can no longer be read: {error}"))?;
        let now = image::look(&bytes).map_err(|fault| fault.to_string())?;
        if now.digest != *digest {
            return Err("changed while the push was under way; the next one sends it".to_owned());
        }
        self.fitted(bytes)
    }

    fn fitted(&self, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
        if !self.is_resized {
            return Ok(bytes);
        }
        // A plan counts on it that no picture gets larger by this: a small one of few colours may.
        let is_better = |fitted: &Vec<u8>| fitted.len() <= bytes.len() || bytes.len() > FITTED_BYTES_MAX;
        let fitted = match image::fit(&bytes).map_err(|fault| fault.to_string())? {
            std::borrow::Cow::Borrowed(_) => None,
            std::borrow::Cow::Owned(fitted) => Some(fitted).filter(is_better),
        };
        Ok(fitted.unwrap_or(bytes))
    }
}

/// Pictures that are to be sent, until somebody has read them: each as it is sent, or why it cannot be.
#[derive(Debug, Default)]
pub(super) struct Wanted(Mutex<HashMap<Digest, Option<Read>>>);

/// A picture as it is sent, or why it cannot be, in words that go on after "the picture".
pub(super) type Read = Result<Vec<u8>, String>;

impl Wanted {
    pub(super) fn new(digests: impl IntoIterator<Item = Digest>) -> Self {
        Self(Mutex::new(digests.into_iter().map(|digest| (digest, None)).collect()))
    }

    fn is_missing(&self, digest: &Digest) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(digest).is_some_and(Option::is_none)
    }

    fn keep(&self, digest: Digest, picture: Read) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, Some(picture));
    }

    pub(super) fn into_found(self) -> HashMap<Digest, Option<Read>> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Looker {
    album: Arc<Album>,
    /// Used again for every picture.
    bytes: Vec<u8>,
    /// By folder, its files whose names are written otherwise than a cleaned value is, by the value.
    spelled: HashMap<PathBuf, HashMap<String, PathBuf>>,
    wanted: Option<Collector>,
}

/// How many threads work on pictures.
pub(super) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Keeps pictures that are wanted. Making them small takes much longer than reading, so that is done beside it, on all
/// processors. It has kept all of them when it is dropped.
struct Collector {
    album: Arc<Album>,
    wanted: Arc<Wanted>,
    /// To the threads that make pictures small, if that is to be done.
    large: Option<SyncSender<(Digest, Vec<u8>)>>,
    threads: Vec<JoinHandle<()>>,
}

impl Collector {
    fn new(album: &Arc<Album>, wanted: Arc<Wanted>) -> Self {
        let threads = if album.is_resized { processors() } else { 0 };
        // Short: each may have 20 MB.
        let (large, pictures) = mpsc::sync_channel(threads);
        let pictures = Arc::new(Mutex::new(pictures));
        let threads: Vec<JoinHandle<()>> = (0..threads)
            .map(|_| {
                let (album, wanted, pictures) = (Arc::clone(album), Arc::clone(&wanted), Arc::clone(&pictures));
                std::thread::spawn(move || {
                    let next = || pictures.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    while let Ok((digest, bytes)) = next() {
                        wanted.keep(digest, album.fitted(bytes));
                    }
                })
            })
            .collect();
        let large = (!threads.is_empty()).then_some(large);
        Self { album: Arc::clone(album), wanted, large, threads }
    }

    /// Takes a picture if it is wanted.
    fn see(&self, digest: Digest, bytes: &mut Vec<u8>) {
        if !self.wanted.is_missing(&digest) {
            return;
        }
        let picture = (digest, std::mem::take(bytes));
        let left = match &self.large {
            Some(large) => large.send(picture).err().map(|SendError(picture)| picture),
            None => Some(picture),
        };
        if let Some((digest, bytes)) = left {
            self.wanted.keep(digest, self.album.fitted(bytes));
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.large.take());
        for thread in self.threads.drain(..) {
            // One that died kept nothing more; what it had is then missing, and the next push sends it.
            drop(thread.join());
        }
    }
}

impl Looker {
    fn describe(&mut self, kind: Kind, value: &str) -> Result<Description, Rule> {
        let refused = |fault: image::Fault| Rule::Picture(fault.to_string());
        if kind == Kind::Picture {
            image::from_hex(value, &mut self.bytes).map_err(refused)?;
            return image::look(&self.bytes).map_err(refused);
        }
        let folder = self.album.folder.as_deref().unwrap_or(Path::new(""));
        let mut file =
            below(folder, value).ok_or_else(|| Rule::Picture("is not a path below `images.folder`".to_owned()))?;
        let mut read = read_file(&file, &mut self.bytes);
        if read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
            && let Some(other) = self.spelled_otherwise(&file)
        {
            read = read_file(&other, &mut self.bytes);
            file = other;
        }
        read.map_err(|error| {
            Rule::Picture(match error.kind() {
                io::ErrorKind::NotFound => "names a file that is not there".to_owned(),
                _ => format!("names a file that cannot be read: {error}"),
            })
        })?;
        let description = image::look(&self.bytes).map_err(refused)?;
        self.album.files.lock().unwrap_or_else(PoisonError::into_inner).entry(description.digest).or_insert(file);
        Ok(description)
    }
}

impl Looker {
    /// The file that is meant where a value was cleaned: a Mac takes letters with marks apart, and NFC puts them together.
    fn spelled_otherwise(&mut self, file: &Path) -> Option<PathBuf> {
        let (folder, name) = (file.parent()?, file.file_name()?.to_str()?);
        let spelled = self.spelled.entry(folder.to_owned()).or_insert_with(|| {
            let files = fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let clean: String = name.trim().nfc().collect();
                (clean != name).then(|| (clean, entry.path()))
            });
            files.collect()
        });
        spelled.get(name).cloned()
    }
}

impl Pictures for Looker {
    fn look(&mut self, kind: Kind, value: &str, out: &mut String) -> Result<(), Rule> {
        use std::fmt::Write as _;
        let description = self.describe(kind, value)?;
        if let Some(wanted) = &self.wanted {
            wanted.see(description.digest, &mut self.bytes);
        }
        // Writing to a `String` does not fail.
        let _ = write!(out, "{description}");
        Ok(())
    }
}

/// A path of the SIS below a folder; backslashes count as slashes, since most of these databases live on Windows. `None` if it
/// leads out of the folder.
fn below(folder: &Path, path: &str) -> Option<PathBuf> {
    let path = PathBuf::from(path.replace('\\', "/"));
    let is_within = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    is_within.then(|| folder.join(path))
}

/// Reads a file, but no more of it than can be a picture, and a byte that tells that it is more.
fn read_file(path: &Path, bytes: &mut Vec<u8>) -> io::Result<()> {
    bytes.clear();
    // To open a pipe waits for whoever writes into it, for ever.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    File::open(path)?.take(BYTES_MAX as u64 + 1).read_to_end(bytes).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_folder() {
        let folder = Path::new("photos");
        assert_eq!(below(folder, "2026\\7A\\0001.jpg"), Some(folder.join("2026/7A/0001.jpg")));
        assert_eq!(below(folder, "./0001.jpg"), Some(folder.join("0001.jpg")));
        for path in ["../secret.jpg", "/etc/passwd", "\\\\server\\share\\a.jpg", "7A/../../a.jpg"] {
            assert_eq!(below(folder, path), None, "{path}");
        }
    }
}
