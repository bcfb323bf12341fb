//! Metrics of pushes as a text file, which Prometheus' node exporter reads (its collector `textfile`).
//!
//! The file is written whole, and what it says of mappings that were not pushed now stays as it was.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::event::{Came, Happened};
use super::text::numbers;

/// The metrics, in the order of the file: name, and what it is.
const METRICS: [(&str, &str); 29] = [
    ("sispush_last_run_timestamp_seconds", "When the last push began, in seconds since 1970."),
    ("sispush_last_success_timestamp_seconds", "When the last push that ended well (exit code 0 or 1) began."),
    ("sispush_exit_code", "The exit code of the last push."),
    ("sispush_duration_seconds", "How long each stage of the last push took."),
    ("sispush_rows", "Rows that the last push read."),
    ("sispush_accepted", "Rows that Infiniti accepted."),
    ("sispush_created", "Of these, new patrons."),
    ("sispush_updated", "Of these, known patrons."),
    ("sispush_deactivated", "Of these, leavers that are no longer enabled."),
    ("sispush_unchanged", "Patrons that Infiniti had as they are."),
    ("sispush_rejected", "Rows that were rejected before anything was sent."),
    ("sispush_refused", "Rows that Infiniti refused."),
    ("sispush_unknown", "Rows of which nobody knows what became."),
    ("sispush_not_sent", "Rows that were not sent, since the push ended before."),
    ("sispush_leavers", "Patrons in Infiniti and no longer in the source."),
    // Of the other feeds. Names of their own, as whoever sums `sispush_rows` over a mapping means the accounts.
    ("sispush_feed_rows", "Rows of another feed that the last push of it read."),
    ("sispush_feed_accepted", "Patrons of whom Infiniti accepted all rows of a feed."),
    ("sispush_feed_created", "Of their rows, new ones, as far as Infiniti said."),
    ("sispush_feed_updated", "Of their rows, known ones."),
    ("sispush_feed_deactivated", "Of these, those that were taken away."),
    ("sispush_feed_unchanged", "Patrons whose rows of a feed Infiniti had as they are."),
    ("sispush_feed_rejected", "Rows of a feed that were rejected before anything was sent."),
    ("sispush_feed_refused", "Patrons whose rows of a feed Infiniti refused."),
    ("sispush_feed_unknown", "Patrons of whose rows nobody knows what became."),
    ("sispush_feed_not_sent", "Patrons whose rows were not sent, since the push ended before."),
    ("sispush_feed_leavers", "Patrons whose rows of a feed are in Infiniti and no longer in the source."),
    ("sispush_feed_waiting", "Patrons who wait for their account."),
    ("sispush_feed_kept", "Patrons who are left as Infiniti has them, since rows of theirs are rejected."),
    ("sispush_feed_unsent", "Patrons whose row could not be sent: a picture that was gone."),
];

const LAST_SUCCESS: &str = METRICS[1].0;

/// A line of the file without its value: the metric and its labels, the mapping's first.
type Series = (usize, String);

/// Writes what became of these pushes.
///
/// # Errors
/// Those of reading and writing. What stood there is then as it was.
pub(super) fn write(path: &Path, pushed: &[&Happened]) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::Error::other("it is a folder"));
    }
    // Two pushes at the same time must not lose each other's lines. The lock lies beside the file, which is replaced.
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(beside(path, ".lock")?)?;
    take(&lock)?;
    let before = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    replace(path, &merged(&before, pushed))
}

/// Whoever has the lock is done in no time; one that is not must not keep the others.
fn take(lock: &File) -> io::Result<()> {
    for _ in 0..LOCK_TRIES {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_WAIT),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
    Err(io::Error::other("another push keeps it locked"))
}

const LOCK_TRIES: u32 = 100;
const LOCK_WAIT: Duration = Duration::from_millis(20);

/// The file's text, as it was and with these.
fn merged(before: &str, pushed: &[&Happened]) -> String {
    let mut known: BTreeMap<Series, String> = before.lines().filter_map(series).collect();
    for happened in pushed.iter().filter(|happened| matches!(happened.came, Came::Pushed | Came::Interrupted)) {
        let label = format!("mapping=\"{}\"", escaped(&happened.mapping));
        let success = known.get(&(1, label.clone())).cloned();
        let before = known.clone();
        known.retain(|(_, labels), _| labels != &label && !labels.starts_with(&format!("{label},")));
        let mut put = |metric: &str, more: &str, value: String| {
            if let Some(index) = METRICS.iter().position(|(name, _)| *name == metric) {
                known.insert((index, format!("{label}{more}")), value);
            }
        };
        let started = happened.started_at.as_second().to_string();
        put("sispush_last_run_timestamp_seconds", "", started.clone());
        if happened.exit_code <= 1 {
            put(LAST_SUCCESS, "", started);
        } else if let Some(success) = success {
            put(LAST_SUCCESS, "", success);
        }
        put("sispush_exit_code", "", happened.exit_code.to_string());
        let Some(summary) = &happened.summary else { continue };
        let seconds = summary.seconds;
        for (stage, seconds) in [("read", seconds.read), ("plan", seconds.plan), ("send", seconds.send)] {
            put("sispush_duration_seconds", &format!(",stage=\"{stage}\""), seconds.to_string());
        }
        for (feed, counts) in summary.each() {
            let (prefix, more) = match feed {
                None => ("sispush", String::new()),
                Some(feed) => ("sispush_feed", format!(",feed=\"{}\"", escaped(feed))),
            };
            for (name, count) in numbers(feed, counts) {
                put(&format!("{prefix}_{name}"), &more, count.to_string());
            }
        }
        // A push of some feeds says nothing of the others.
        for ((index, labels), value) in before {
            let is_left = match labels.strip_prefix(&label).and_then(|rest| rest.strip_prefix(",feed=\"")) {
                Some(feed) => feed.strip_suffix('"').is_some_and(|feed| !summary.feeds.contains_key(feed)),
                None => labels == label && summary.accounts().is_none(),
            };
            if is_left {
                known.entry((index, labels)).or_insert(value);
            }
        }
    }
    let mut out = String::new();
    for (index, (name, about)) in METRICS.iter().enumerate() {
        let mut samples = known.iter().filter(|((metric, _), _)| *metric == index).peekable();
        if samples.peek().is_none() {
            continue;
        }
        // Writing into a String cannot fail.
        let _ = writeln!(out, "# HELP {name} {about}\n# TYPE {name} gauge");
        for ((_, labels), value) in samples {
            let _ = writeln!(out, "{name}{{{labels}}} {value}");
        }
    }
    out
}

/// A line that an earlier push wrote; what somebody else wrote is left out.
fn series(line: &str) -> Option<(Series, String)> {
    let (name, rest) = line.split_once('{')?;
    let (labels, value) = rest.rsplit_once("} ")?;
    let index = METRICS.iter().position(|(known, _)| *known == name)?;
    let is_ours = labels.starts_with("mapping=\"") && value.parse::<f64>().is_ok();
    is_ours.then(|| ((index, labels.to_owned()), value.to_owned()))
}

/// The text format's rule for the value of a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Readable by the exporter, so not private: it holds names of mappings, times and counts.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let part = beside(path, &format!(".{}.part", std::process::id()))?;
    let result = File::create(&part).and_then(|mut file| {
        #[cfg(unix)]
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&part, path)
    });
    if result.is_err() {
        // There may be nothing to remove.
        drop(fs::remove_file(&part));
    }
    result
}

/// A file beside it whose name the exporter passes over.
fn beside(path: &Path, ending: &str) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::other("it names no file"))?;
    let mut other = std::ffi::OsString::from(".");
    other.push(name);
    other.push(ending);
    Ok(path.with_file_name(other))
}

#[cfg(test)]
mod tests {
    use super::super::event::Kind;
    use super::super::event::tests::happened;
    use super::*;
    use crate::state::{Seconds, Summary};

    fn named(name: &str, hour: i64, trouble: Option<(Kind, &str)>) -> Happened {
        let summary = Summary {
            rows: [("students".into(), 412)].into(),
            accepted: 7,
            seconds: Seconds { read: 1.25, plan: 0.5, send: 0.0 },
            ..Summary::default()
        };
        Happened { mapping: name.into(), summary: trouble.is_none().then_some(summary), ..happened(hour, trouble) }
    }

    #[test]
    fn others_stay_and_the_last_good_time_too() {
        let first =
            merged("# somebody's own\nother{a=\"b\"} 1\n", &[&named("a", 0, None), &named("b \"x\\y\"", 0, None)]);
        insta::assert_snapshot!(first);
        let failed = named("a", 24, Some((Kind::Failed, "3")));
        let second = merged(&first, &[&failed]);
        let of = |text: &str, start: &str| {
            text.lines().filter(|line| line.contains(start)).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(of(&second, "b \\\"x"), of(&first, "b \\\"x"));
        assert_eq!(
            of(&second, "{mapping=\"a\""),
            [
                "sispush_last_run_timestamp_seconds{mapping=\"a\"} 1795746600",
                "sispush_last_success_timestamp_seconds{mapping=\"a\"} 1795660200",
                "sispush_exit_code{mapping=\"a\"} 3",
            ]
        );
        // What was not pushed says nothing.
        let held = Happened { came: Came::LeftOut, ..named("a", 48, None) };
        assert_eq!(merged(&second, &[&held]), second);
    }

    /// The exposition format, read as strictly as `promtool check metrics` does: each metric has its help and type once and
    /// before its samples, which stand together; names and labels are of the right letters, and no series comes twice.
    #[test]
    fn the_file_keeps_to_the_format() {
        let text = merged("", &[&named("a\nb{} 1", 0, None), &named("c", 0, Some((Kind::Limit, "5")))]);
        let sample = regex::Regex::new(
            r#"^([a-zA-Z_:][a-zA-Z0-9_:]*)\{([a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"(?:,[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*")*)\} (-?[0-9.]+)$"#,
        )
        .unwrap();
        let (mut help, mut kind, mut seen) = (Vec::new(), Vec::new(), std::collections::BTreeSet::new());
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let name = rest.split(' ').next().unwrap();
                assert!(!help.contains(&name), "{name}");
                help.push(name);
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, what) = rest.split_once(' ').unwrap();
                assert_eq!((what, Some(&name)), ("gauge", help.last()));
                kind.push(name);
            } else {
                let parts = sample.captures(line).unwrap_or_else(|| panic!("{line}"));
                assert_eq!(Some(&parts.get(1).unwrap().as_str()), kind.last(), "{line}");
                assert!(parts[3].parse::<f64>().is_ok());
                assert!(seen.insert(format!("{}{{{}}}", &parts[1], &parts[2])), "{line}");
            }
        }
        assert!(text.ends_with('\n') && seen.len() == 2 * 3 + 3 + 11 - 1, "{}", seen.len());
        assert_eq!(merged(&text, &[]), text);
    }

    #[test]
    fn a_folder_in_its_place_stays() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(write(folder.path(), &[]).unwrap_err().to_string(), "it is a folder");
        let file = folder.path().join("sispush.prom");
        write(&file, &[&named("a", 0, None)]).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
        }
        assert!(fs::read_to_string(&file).unwrap().contains("sispush_rows{mapping=\"a\"} 412\n"));
    }
}
