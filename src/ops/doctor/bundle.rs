//! What goes into a file for a support request, without passwords and without pupils' data, and the file itself.

mod names;

use std::fs;
use std::io::{self, Cursor, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

pub use names::Names;

use crate::infiniti::contract::FEEDS;
use crate::mapping::{Mapping, Part, StateLocation, shareable};
use crate::ops::{self, rotation};
use crate::state::{Identity, Run, State};

/// The last runs that are told.
const RUNS_MAX: u32 = 20;
/// The longest wait for the state.
const LIMIT: Duration = Duration::from_secs(10);
/// So much of a log's end is read, in bytes.
const LOG_MAX: u64 = 256 * 1024;

/// What is known of one mapping, fit to be sent.
#[derive(Debug, Default)]
pub struct Collected {
    /// The mapping's text; `None` if it cannot be read.
    pub mapping: Option<String>,
    /// The text of the base that it includes.
    pub base: Option<String>,
    /// The queries of its extracts, by the extract's name, if it is valid.
    pub queries: Vec<(String, String)>,
    /// The last runs, the latest first: times, exit codes and counts.
    pub runs: Vec<Value>,
    /// The end of the log, if there is one.
    pub log: Option<Log>,
    /// The usernames that must not be told.
    pub names: Names,
}

/// The end of a log.
#[derive(Debug)]
pub struct Log {
    /// The file.
    pub path: PathBuf,
    /// Its lines; `None` if they cannot be looked through, as it is not known whom they may name.
    pub text: Option<String>,
    /// How many lines were left out, as they are not of sispush's log.
    pub left_out: usize,
}

/// Gathers what is known of a mapping, valid or not. What cannot be read is left out: who asks for support has enough
/// that does not work. A state that could not be read (`has_state`) is not asked again: databases lock accounts.
pub async fn collect(
    path: &Path,
    asked: Option<&StateLocation>,
    has_state: bool,
    log_file: Option<&Path>,
) -> Collected {
    let mut collected = Collected::default();
    let shared = shareable(path).ok();
    for patron in shared.iter().flat_map(|shared| &shared.patrons) {
        collected.names.add(patron);
    }
    // Wherever they stand, since it is known that they are patrons.
    let base = shared.as_ref().and_then(|shared| Some(collected.names.hide(shared.base.as_ref()?)));
    let mapping = shared.map(|shared| collected.names.hide(&shared.text));
    let mut queries = Vec::new();
    if let Ok(mut mapping) = Mapping::load(path) {
        let extracts = mapping.feeds().flat_map(|feed| &feed.extracts);
        for extract in extracts.filter(|extract| !extract.query.is_empty()) {
            queries.push((extract.name.clone(), collected.names.hide(&extract.query)));
        }
        let known = async { if has_state { known(&mut mapping, asked).await } else { None } };
        match tokio::time::timeout(LIMIT, known).await.ok().flatten() {
            Some((runs, usernames)) => {
                collected.runs = runs;
                for username in usernames {
                    collected.names.add(&username);
                }
            }
            None => collected.names.give_up(),
        }
    } else {
        collected.names.give_up();
    }
    collected.mapping = mapping.map(|text| collected.names.hide_in_quotes(&text));
    collected.base = base.map(|text| collected.names.hide_in_quotes(&text));
    for (name, query) in queries {
        collected.queries.push((name, collected.names.hide_in_quotes(&query)));
    }
    let log = log_file.map(Path::to_owned).or_else(|| newest_log(path));
    collected.log = log.and_then(|log| tail(&log, &mut collected.names).ok());
    collected
}

/// The last runs and all usernames; `None` if the state cannot be read.
async fn known(mapping: &mut Mapping, asked: Option<&StateLocation>) -> Option<(Vec<Value>, Vec<String>)> {
    let location = if let Some(location) = asked {
        location.clone()
    } else {
        mapping.resolve(&[Part::State]).ok()?;
        mapping.state.clone()
    };
    let identity = Identity { mapping: mapping.name.clone(), target: mapping.target.url.to_string() };
    let Some(mut state) = State::look(&location, &identity).await.ok()? else { return Some((Vec::new(), Vec::new())) };
    let runs = state.runs(RUNS_MAX).await.ok()?.iter().map(run_object).collect();
    let mut keys = Vec::new();
    // An `adminsystemid` tells who somebody is, too.
    for contract in FEEDS {
        state.turn_to(contract.feed).await.ok()?;
        keys.extend(state.accepted().await.ok()?.entries().map(|entry| entry.username.to_owned()));
    }
    Some((runs, keys))
}

/// A run in numbers. Words are left out but for those of our own: an error may name anything.
fn run_object(run: &Run) -> Value {
    json!({
        "started_at": run.started_at.to_string(),
        "ended_at": run.ended_at.map(|at| at.to_string()),
        "mode": run.mode,
        "exit_code": run.exit_code,
        "counts": counts(&serde_json::to_value(&run.summary).unwrap_or_default()),
    })
}

fn counts(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut kept = Map::new();
            for (name, value) in fields {
                let value = if name == "stops" { value.clone() } else { counts(value) };
                if !value.is_null() {
                    kept.insert(name.clone(), value);
                }
            }
            Value::Object(kept)
        }
        Value::Number(_) | Value::Bool(_) => value.clone(),
        Value::Null | Value::String(_) | Value::Array(_) => Value::Null,
    }
}

/// The log beside the mapping that was written last.
fn newest_log(mapping: &Path) -> Option<PathBuf> {
    let folder = mapping.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let logs = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let logs =
        logs.filter(|path| path.extension().is_some_and(|end| end.eq_ignore_ascii_case("log")) && path.is_file());
    logs.max_by_key(|path| fs::metadata(path).and_then(|file| file.modified()).ok())
}

fn tail(path: &Path, names: &mut Names) -> io::Result<Log> {
    if names.is_lost() {
        return Ok(Log { path: path.to_owned(), text: None, left_out: 0 });
    }
    let mut text = end_of(path, LOG_MAX)?;
    // The first line of a day, be it that of this very run, sets the file of the night before aside.
    let before = LOG_MAX.saturating_sub(text.len() as u64);
    if let Ok(older) = end_of(&rotation::old(path, 1), before) {
        text.insert_str(0, &older);
    }
    let (mut kept, mut left_out) = (String::new(), 0);
    for line in text.lines() {
        if is_of_our_log(line) {
            kept.push_str(&names.hide_in_log(line));
            kept.push('\n');
        } else {
            left_out += 1;
        }
    }
    Ok(Log { path: path.to_owned(), text: Some(kept), left_out })
}

/// The last whole lines of a file, in so many bytes at most.
fn end_of(path: &Path, most: u64) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let start = file.metadata()?.len().saturating_sub(most);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(if start > 0 { text.split_once('\n').map_or("", |(_, rest)| rest) } else { &text }.to_owned())
}

/// Whether a line is one that `ops::logging` wrote. What else was sent into the file, such as the output of a preview, may
/// hold anything.
fn is_of_our_log(line: &str) -> bool {
    if line.starts_with('{') {
        return serde_json::from_str::<Value>(line)
            .is_ok_and(|object| object["timestamp"].is_string() && object["level"].is_string());
    }
    let mut words = line.split(' ');
    let time = words.next().is_some_and(|word| word.parse::<jiff::Timestamp>().is_ok());
    time && words.next().is_some_and(|word| matches!(word, "error:" | "warning:" | "info:" | "debug:" | "trace:"))
}

/// Writes files into a zip that only its owner may read: whole, or not at all.
///
/// # Errors
/// Those of writing it.
pub fn write(path: &Path, files: &[(String, String)]) -> io::Result<()> {
    // Nothing is compressed: a bundle is small, and what compresses brings more crates than all of the rest.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).unix_permissions(0o600);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in files {
        zip.start_file(name.as_str(), options).map_err(io::Error::other)?;
        zip.write_all(text.as_bytes())?;
    }
    let bytes = zip.finish().map_err(io::Error::other)?.into_inner();
    ops::write_private(path, |out| out.write_all(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_run_only_numbers_are_told() {
        let report = json!({
            "rows": { "students": 4 }, "error": "canary", "stops": ["max_drop"], "names": ["canary"], "sent": null,
        });
        assert_eq!(counts(&report), json!({ "rows": { "students": 4 }, "stops": ["max_drop"] }));
    }

    #[test]
    fn only_lines_of_our_log_are_taken() {
        for line in [
            "2026-11-23T02:30:00.125Z info: push ended mapping=\"demo\"",
            r#"{"timestamp":"2026-11-23T02:30:00.125Z","level":"INFO","message":"push ended"}"#,
        ] {
            assert!(is_of_our_log(line), "{line}");
        }
        for line in [
            "students row 35, `jurgen.lovstad`: `emailaddress` is not a well-formed address",
            "{\"surname\": \"canary\"}",
            "2026-11-23 canary",
            "",
        ] {
            assert!(!is_of_our_log(line), "{line}");
        }
    }

    #[test]
    fn a_bundle_is_written_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        write(&path, &[("README.txt".into(), "one".into()), ("a/b.txt".into(), "two".into())]).unwrap();
        let mut zip = zip::ZipArchive::new(fs::File::open(&path).unwrap()).unwrap();
        assert_eq!(io::read_to_string(zip.by_name("a/b.txt").unwrap()).unwrap(), "two");
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&fs::metadata(&path).unwrap()) & 0o777, 0o600);
        fs::create_dir(folder.path().join("folder")).unwrap();
        assert!(write(&folder.path().join("folder"), &[]).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
