//! The state: folder, room, version, lock, doubt. It is looked at, never changed.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Failure, Finding, Kind, Report};
use crate::mapping::{Mapping, StateLocation};
use crate::state::{Identity, Outcome, State, StateError, default_file};

/// The longest wait for the state.
const LIMIT: Duration = Duration::from_secs(10);

pub(super) async fn examine(mapping: &Mapping, location: Option<StateLocation>, report: &mut Report<'_>) {
    let is_file = !matches!(mapping.state, StateLocation::Postgres(_));
    let folder_steps = if is_file { vec![Kind::StateFolder, Kind::StateRoom] } else { Vec::new() };
    let Some(location) = location else {
        let steps = folder_steps.into_iter().chain([Kind::State, Kind::StateLock, Kind::StateDoubt]);
        return report.skipped(steps, &Kind::Secrets);
    };
    let started = Instant::now();
    let file = match &location {
        StateLocation::None => return report.done(Kind::State, started, Finding::NoState),
        StateLocation::Default => match default_file() {
            Ok(file) => Some(file),
            Err(error) => {
                report.failed(Kind::StateFolder, started, error);
                let steps = [Kind::StateRoom, Kind::State, Kind::StateLock, Kind::StateDoubt];
                return report.skipped(steps, &Kind::StateFolder);
            }
        },
        StateLocation::File(file) => Some(file.clone()),
        StateLocation::Postgres(_) => None,
    };
    if let Some(file) = file {
        folder(&file, report);
    }
    let identity = Identity { mapping: mapping.name.clone(), target: mapping.target.url.to_string() };
    let started = Instant::now();
    let place = match &location {
        StateLocation::File(file) => file.display().to_string(),
        StateLocation::Postgres(connection) => connection.to_string(),
        StateLocation::Default | StateLocation::None => String::new(),
    };
    let looked = tokio::time::timeout(LIMIT, look(&location, &identity)).await;
    match looked.unwrap_or(Err(Failure::NoAnswer { limit: LIMIT })) {
        Ok(None) => report.done(Kind::State, started, Finding::StateEmpty { place }),
        Ok(Some(mut looked)) => {
            let place = looked.state.place();
            let finding = Finding::State { place, version: looked.version, patrons: looked.patrons };
            report.done(Kind::State, started, finding);
            let started = Instant::now();
            match tokio::time::timeout(LIMIT, looked.state.check_lock()).await {
                Ok(Ok(())) => report.done(Kind::StateLock, started, Finding::LockFree),
                Ok(Err(error)) => report.failed(Kind::StateLock, started, error),
                Err(_) => report.failed(Kind::StateLock, started, Failure::NoAnswer { limit: LIMIT }),
            }
            report.done(Kind::StateDoubt, Instant::now(), Finding::Doubt(looked.doubtful));
        }
        Err(failure) => {
            report.failed(Kind::State, started, failure);
            report.skipped([Kind::StateLock, Kind::StateDoubt], &Kind::State);
        }
    }
}

struct Looked {
    state: State,
    version: u32,
    patrons: u64,
    doubtful: u64,
}

async fn look(location: &StateLocation, identity: &Identity) -> Result<Option<Looked>, Failure> {
    let Some(mut state) = State::look(location, identity).await? else { return Ok(None) };
    let version = state.version().await?;
    let accepted = state.accepted().await?;
    let (mut patrons, mut doubtful) = (0, 0);
    for entry in accepted.entries() {
        patrons += 1;
        doubtful += u64::from(entry.outcome == Outcome::Unknown);
    }
    Ok(Some(Looked { state, version, patrons, doubtful }))
}

/// Whether the state can be made and written, and how much room there is. A file is made and taken away again, since
/// rights alone do not tell: of networks, quotas and read-only disks the system says it only then.
fn folder(file: &Path, report: &mut Report<'_>) {
    let started = Instant::now();
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let there = existing(folder);
    let result = if file.exists() { OpenOptions::new().write(true).open(file).map(drop) } else { Ok(()) };
    match result.and_then(|()| try_to_write(&there)) {
        Ok(()) => {
            let finding = Finding::Folder { file: file.to_owned(), exists: there == folder };
            report.done(Kind::StateFolder, started, finding);
        }
        Err(source) => {
            report.failed(Kind::StateFolder, started, StateError::Create { path: file.to_owned(), source });
        }
    }
    if let Some(room) = room(&there) {
        report.done(Kind::StateRoom, Instant::now(), Finding::Room(room));
    }
}

/// The folder, or the nearest above it that there is: the first push makes the rest.
fn existing(folder: &Path) -> PathBuf {
    let there = folder.ancestors().find(|folder| folder.exists());
    there.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

fn try_to_write(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".sispush-doctor-{}", std::process::id()));
    OpenOptions::new().write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)
}

#[cfg(unix)]
fn room(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Only by a call that is not safe.
#[cfg(not(unix))]
fn room(_: &Path) -> Option<u64> {
    None
}
