//! Puts a schedule where it belongs, finds what is there, and takes it away.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use etcetera::{BaseStrategy as _, choose_base_strategy};
use jiff::{Timestamp, Zoned};

use super::marker::{self, Marked};
use super::{Account, Installed, Kind, Schedule, ScheduleError, cron, systemd, windows};

/// Where things lie on a machine.
#[derive(Clone, Debug)]
pub struct Places {
    /// `/`, or the folder of another machine's files.
    root: PathBuf,
    /// Whether it is another machine's: nothing is started, and no account is asked.
    is_image: bool,
    /// The account's folder of settings, such as `~/.config`.
    settings: Option<PathBuf>,
}

/// What an installation came to.
#[derive(Debug)]
pub struct Placed {
    /// What changed.
    pub change: Change,
    /// Where it is.
    pub files: Vec<PathBuf>,
    /// What is to be run before it works; nothing if it does.
    pub later: Vec<String>,
}

/// What changed.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// It was there already, letter by letter.
    AsWanted,
    /// It is new.
    New,
    /// It was there otherwise: what changed, in words.
    Changed(Vec<String>),
}

impl Places {
    /// Those of this machine.
    pub fn here() -> Self {
        let settings = choose_base_strategy().ok().map(|platform| platform.config_dir());
        Self { root: PathBuf::from("/"), is_image: false, settings }
    }

    /// Those of another machine, whose files lie below this folder.
    pub fn below(root: &Path) -> Self {
        Self { root: root.to_owned(), is_image: true, settings: None }
    }

    /// Whether these are another machine's.
    pub fn is_image(&self) -> bool {
        self.is_image
    }

    /// The folder of the files of a kind; `None` for one that has none.
    pub fn folder(&self, kind: Kind) -> Option<PathBuf> {
        match kind {
            Kind::Systemd => Some(self.root.join("etc/systemd/system")),
            Kind::SystemdUser => Some(self.settings.as_ref()?.join("systemd/user")),
            Kind::CronFile => Some(self.root.join("etc/cron.d")),
            Kind::Crontab | Kind::Windows => None,
        }
    }
}

/// The schedules that are installed on this machine, as far as this account may see them; none if there are none, or if
/// nothing can be found out.
pub fn installed() -> Vec<Installed> {
    find(&Places::here(), &Zoned::now())
}

/// When a mapping is pushed next by one of these schedules: they name its file, or the folder that it lies in.
pub fn next_of(installed: &[Installed], mapping: &Path) -> Option<Timestamp> {
    let mapping = fs::canonicalize(mapping).ok()?;
    let is_pushed = |place: &PathBuf| {
        fs::canonicalize(place).is_ok_and(|place| place == mapping || Some(place.as_path()) == mapping.parent())
    };
    let of_mapping = installed.iter().filter(|each| each.mappings.iter().any(is_pushed));
    of_mapping.filter_map(|each| each.next.as_ref().map(Zoned::timestamp)).min()
}

/// Likewise, in other places. In the order of kinds and names.
pub fn find(places: &Places, now: &Zoned) -> Vec<Installed> {
    let mut found = Vec::new();
    for kind in Kind::ALL {
        let mut of_kind = match kind {
            Kind::Systemd | Kind::SystemdUser => find_units(kind, places, now),
            Kind::CronFile => find_files(places, now),
            Kind::Crontab if places.is_image || cfg!(windows) => Vec::new(),
            Kind::Crontab => {
                let text = read_crontab().unwrap_or_default();
                let marked = cron::marked(&text).into_iter().filter(|marked| marked.kind == kind);
                marked.map(|marked| described(marked, Vec::new(), Some(now))).collect()
            }
            Kind::Windows if cfg!(windows) && !places.is_image => find_tasks(now),
            Kind::Windows => Vec::new(),
        };
        of_kind.sort_by(|one, other| one.name.cmp(&other.name));
        found.append(&mut of_kind);
    }
    found
}

/// Installs a schedule, or changes the one of that name and kind.
///
/// # Errors
/// What cannot be written, or what the program that keeps the schedules said.
pub fn install(schedule: &Schedule, places: &Places, now: &Zoned) -> Result<Placed, ScheduleError> {
    check_name(schedule, places, now)?;
    match schedule.kind {
        Kind::Systemd | Kind::SystemdUser => install_units(schedule, places, now),
        Kind::CronFile => install_file(schedule, places),
        Kind::Crontab => install_lines(schedule),
        Kind::Windows => install_task(schedule, now),
    }
}

/// Two folders may each have a `school.yaml`: the one's schedule must not take the place of the other's, which would be
/// pushed no more.
fn check_name(schedule: &Schedule, places: &Places, now: &Zoned) -> Result<(), ScheduleError> {
    let mut known = find(places, now).into_iter();
    let Some(known) = known.find(|known| known.kind == schedule.kind && known.name == schedule.name) else {
        return Ok(());
    };
    // A folder pushes the mappings that lie in it, and not those further below.
    let is_of_both =
        |known: &PathBuf| {
            schedule.mappings.iter().map(Path::new).any(|wanted| {
                wanted == known || wanted.parent() == Some(known.as_path()) || known.parent() == Some(wanted)
            })
        };
    if known.mappings.iter().any(is_of_both) {
        return Ok(());
    }
    match known.mappings.into_iter().find(|mapping| mapping.exists()) {
        Some(mapping) => Err(ScheduleError::NameTaken { name: known.name, mapping }),
        None => Ok(()),
    }
}

/// Takes a schedule away.
///
/// # Errors
/// As those of [`install`].
pub fn remove(installed: &Installed, places: &Places) -> Result<(), ScheduleError> {
    let name = &installed.name;
    match installed.kind {
        Kind::Systemd | Kind::SystemdUser => {
            let timer = format!("{}.timer", systemd::stem(name));
            let is_live = is_live(installed.kind, places);
            if is_live {
                systemctl(installed.kind, &["stop", &timer])?;
            }
            let link = places.folder(installed.kind).map(|folder| wants(&folder, &timer));
            for file in link.iter().chain(&installed.files) {
                remove_file(file)?;
            }
            if is_live {
                systemctl(installed.kind, &["daemon-reload"])?;
            }
            Ok(())
        }
        Kind::CronFile => installed.files.iter().try_for_each(|file| remove_file(file)),
        Kind::Crontab => {
            let crontab = read_crontab()?;
            let rest = cron::without(&crontab, name)?;
            if rest == crontab { Ok(()) } else { write_crontab(&rest) }
        }
        Kind::Windows => schtasks(&["/Delete", "/TN", &windows::task(name), "/F"]).map(drop),
    }
}

/// The files that a schedule consists of, with their texts; for a crontab its lines.
///
/// # Errors
/// A path or an argument that the place cannot be given.
pub fn files(schedule: &Schedule, places: &Places, now: &Zoned) -> Result<Vec<(PathBuf, String)>, ScheduleError> {
    let folder = places.folder(schedule.kind).unwrap_or_default();
    Ok(match schedule.kind {
        Kind::Systemd | Kind::SystemdUser => {
            let units = systemd::units(schedule)?;
            let named = |ending: &str| folder.join(format!("{}.{ending}", units.stem));
            vec![(named("service"), units.service), (named("timer"), units.timer)]
        }
        Kind::CronFile => vec![(folder.join(systemd::stem(&schedule.name)), cron::lines(schedule)?)],
        Kind::Crontab => vec![(PathBuf::new(), cron::lines(schedule)?)],
        Kind::Windows => vec![(PathBuf::from(format!("sispush-{}.xml", schedule.name)), windows::xml(schedule, now)?)],
    })
}

fn described(marked: Marked, files: Vec<PathBuf>, now: Option<&Zoned>) -> Installed {
    let Marked { name, kind, mappings, times, account, .. } = marked;
    let next = now.and_then(|now| times.next_run(now, kind.gap()));
    Installed { name, kind, mappings, times, account, files, next }
}

fn find_units(kind: Kind, places: &Places, now: &Zoned) -> Vec<Installed> {
    let Some(folder) = places.folder(kind) else { return Vec::new() };
    let marked = marked_files(&folder, ".timer").into_iter().filter(|(_, marked)| marked.kind == kind);
    marked
        .map(|(timer, marked)| {
            let name = timer.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_enabled = fs::symlink_metadata(wants(&folder, &name)).is_ok();
            let service = timer.with_extension("service");
            described(marked, vec![service, timer], is_enabled.then_some(now))
        })
        .collect()
}

fn find_files(places: &Places, now: &Zoned) -> Vec<Installed> {
    let Some(folder) = places.folder(Kind::CronFile) else { return Vec::new() };
    let marked = marked_files(&folder, "").into_iter().filter(|(_, marked)| marked.kind == Kind::CronFile);
    marked.map(|(file, marked)| described(marked, vec![file], Some(now))).collect()
}

/// The files of a folder that we wrote, by their names and their markers.
fn marked_files(folder: &Path, ending: &str) -> Vec<(PathBuf, Marked)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_ours = |path: &PathBuf| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with("sispush-") && name.ends_with(ending))
    };
    entries.filter(is_ours).filter_map(|path| Some((path.clone(), marked_text(&path)?))).collect()
}

/// The marker of a file whose text we wrote.
fn marked_text(path: &Path) -> Option<Marked> {
    marker::find(&fs::read_to_string(path).ok()?)
}

/// The link by which a timer starts with the machine, as `systemctl enable` makes it.
fn wants(folder: &Path, timer: &str) -> PathBuf {
    folder.join("timers.target.wants").join(timer)
}

fn install_units(schedule: &Schedule, places: &Places, now: &Zoned) -> Result<Placed, ScheduleError> {
    let kind = schedule.kind;
    let account = match &schedule.account {
        Account::Dynamic => None,
        Account::Own | Account::Named(_) => schedule.account.name(),
    };
    let others = find_units(kind, places, now);
    let is_other = |other: &&Installed| other.name != schedule.name && other.account.as_deref() != account;
    if let Some(other) = others.iter().find(is_other) {
        return Err(ScheduleError::OtherAccount { other: other.name.clone(), account: other.account.clone() });
    }
    let mut result = write_files(schedule, places, now)?;
    let timer = format!("{}.timer", systemd::stem(&schedule.name));
    let folder = places.folder(kind).unwrap_or_default();
    let link = wants(&folder, &timer);
    let was_enabled = fs::symlink_metadata(&link).is_ok();
    if !was_enabled {
        make_link(&timer, &link)?;
        if result.change == Change::AsWanted {
            result.change = Change::Changed(vec!["it was not enabled".into()]);
        }
    }
    let is_live = is_live(kind, places);
    if result.change == Change::AsWanted {
        if !is_live || is_known(kind, &systemd::stem(&schedule.name))? {
            return Ok(result);
        }
        // An earlier installation wrote the files, and then failed or was killed.
        result.change = Change::Changed(vec!["systemd did not know of it yet".into()]);
    }
    if is_live {
        systemctl(kind, &["daemon-reload"])?;
        systemctl(kind, &["restart", &timer])?;
    } else if !places.is_image {
        let systemctl = if kind == Kind::SystemdUser { "systemctl --user" } else { "systemctl" };
        result.later = vec![format!("{systemctl} daemon-reload"), format!("{systemctl} start {timer}")];
    }
    Ok(result)
}

fn install_file(schedule: &Schedule, places: &Places) -> Result<Placed, ScheduleError> {
    write_files(schedule, places, &Zoned::now())
}

/// Writes those files that are not as wanted.
fn write_files(schedule: &Schedule, places: &Places, now: &Zoned) -> Result<Placed, ScheduleError> {
    let wanted = files(schedule, places, now)?;
    let mut old = Vec::new();
    for (path, _) in &wanted {
        let text = match fs::read(path) {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(ScheduleError::File { action: "read", path: path.clone(), source }),
        };
        if text.as_deref().is_some_and(|text| !text.contains(marker::PREFIX)) {
            return Err(ScheduleError::Foreign { path: path.clone() });
        }
        old.push(text);
    }
    let change = change(schedule, &old, &wanted);
    for ((path, text), old) in wanted.iter().zip(&old) {
        if old.as_ref() != Some(text) {
            write_file(path, text).map_err(|source| ScheduleError::File {
                action: "write",
                path: path.clone(),
                source,
            })?;
        }
    }
    Ok(Placed { change, files: wanted.into_iter().map(|(path, _)| path).collect(), later: Vec::new() })
}

/// What differs between the texts that are there and those that are wanted.
fn change(schedule: &Schedule, old: &[Option<String>], wanted: &[(PathBuf, String)]) -> Change {
    if old.iter().all(Option::is_none) {
        return Change::New;
    }
    if old.iter().zip(wanted).all(|(old, (_, wanted))| old.as_ref() == Some(wanted)) {
        return Change::AsWanted;
    }
    let before = old.iter().flatten().find_map(|text| marker::find(text));
    let after = marker::find(&marker::line(schedule));
    let mut changes = match (before, after) {
        (Some(before), Some(after)) => marker::changes(&before.settings, &after.settings),
        _ => Vec::new(),
    };
    if changes.is_empty() {
        changes.push("its text, which had been edited or was of another version".into());
    }
    Change::Changed(changes)
}

/// Writes a file that everybody may read, whole or not at all. It holds no secret.
fn write_file(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder)?;
    // systemd reads no file of this ending, and cron none with a dot in its name.
    let part = folder.join(format!(".sispush.{}.part", std::process::id()));
    let result = fs::write(&part, text).and_then(|()| {
        #[cfg(unix)]
        fs::set_permissions(&part, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        fs::rename(&part, path)
    });
    if result.is_err() {
        // There may be nothing to remove.
        drop(fs::remove_file(&part));
    }
    result
}

fn remove_file(path: &Path) -> Result<(), ScheduleError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(ScheduleError::File { action: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn make_link(timer: &str, link: &Path) -> Result<(), ScheduleError> {
    let folder = link.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder)
        .and_then(|()| std::os::unix::fs::symlink(Path::new("..").join(timer), link))
        .map_err(|source| ScheduleError::File { action: "make the link", path: link.to_owned(), source })
}

#[cfg(not(unix))]
fn make_link(_timer: &str, link: &Path) -> Result<(), ScheduleError> {
    let source = io::ErrorKind::Unsupported.into();
    Err(ScheduleError::File { action: "make the link", path: link.to_owned(), source })
}

/// Whether systemd runs here, so that it must be told. It does not in most containers, nor in another machine's files.
fn is_live(kind: Kind, places: &Places) -> bool {
    if places.is_image {
        return false;
    }
    let mut command = systemctl_command(kind);
    let output = command.arg("is-system-running").output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    matches!(said.as_str(), "running" | "degraded" | "starting" | "initializing" | "maintenance" | "stopping")
}

/// Whether systemd has read the units as they are, and waits for the timer's time.
fn is_known(kind: Kind, stem: &str) -> Result<bool, ScheduleError> {
    let (timer, service) = (format!("{stem}.timer"), format!("{stem}.service"));
    let output = systemctl(kind, &["show", "--property=ActiveState,NeedDaemonReload", &timer, &service])?;
    let said = String::from_utf8_lossy(&output.stdout);
    let has = |wanted: &str| said.lines().any(|line| line == wanted);
    Ok(has("ActiveState=active") && !has("NeedDaemonReload=yes"))
}

fn systemctl_command(kind: Kind) -> Command {
    let mut command = Command::new("systemctl");
    command.stdin(Stdio::null());
    if kind == Kind::SystemdUser {
        command.arg("--user");
    }
    command
}

fn systemctl(kind: Kind, arguments: &[&str]) -> Result<Output, ScheduleError> {
    let mut command = systemctl_command(kind);
    command.args(arguments);
    let user = if kind == Kind::SystemdUser { "--user " } else { "" };
    run("systemctl", command, &format!("{user}{}", arguments.join(" ")))
}

/// Runs a program to its end.
fn run(program: &'static str, mut command: Command, arguments: &str) -> Result<Output, ScheduleError> {
    let output = command.output().map_err(|source| ScheduleError::Start { program, source })?;
    if output.status.success() {
        return Ok(output);
    }
    Err(ScheduleError::Failed { command: format!("{program} {arguments}"), message: message(&output) })
}

/// What a program said when it failed.
fn message(output: &Output) -> String {
    let text = [output.stderr.as_slice(), &output.stdout].concat();
    let text = String::from_utf8_lossy(&text);
    match text.trim() {
        "" => output.status.to_string(),
        text => text.lines().collect::<Vec<_>>().join("; "),
    }
}

fn crontab_command(argument: &str) -> Command {
    let mut command = Command::new("crontab");
    // That it has none, is said in English.
    command.arg(argument).env("LC_ALL", "C").stdin(Stdio::null());
    command
}

/// The account's crontab, a byte a character: whatever encoding its comments are in, they stay as they are.
fn read_crontab() -> Result<String, ScheduleError> {
    let start = |source| ScheduleError::Start { program: "crontab", source };
    let output = crontab_command("-l").output().map_err(start)?;
    if output.status.success() {
        return Ok(output.stdout.iter().map(|byte| char::from(*byte)).collect());
    }
    let message = message(&output);
    // Any other failure must not look like an empty crontab, over which ours would then be written.
    if message.to_lowercase().contains("no crontab for") {
        return Ok(String::new());
    }
    Err(ScheduleError::Failed { command: "crontab -l".into(), message })
}

fn write_crontab(text: &str) -> Result<(), ScheduleError> {
    let start = |source| ScheduleError::Start { program: "crontab", source };
    let bytes: Vec<u8> = text.chars().map(|char| u8::try_from(char).unwrap_or(b'?')).collect();
    let mut command = crontab_command("-");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(start)?;
    // It reads to the end before it writes; what it did not read, its failure tells.
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(&bytes));
    let output = child.wait_with_output().map_err(start)?;
    match (output.status.success(), written) {
        (true, Ok(())) => Ok(()),
        (true, Err(source)) => Err(start(source)),
        (false, _) => Err(ScheduleError::Failed { command: "crontab -".into(), message: message(&output) }),
    }
}

fn install_lines(schedule: &Schedule) -> Result<Placed, ScheduleError> {
    // As the crontab is read.
    let lines: String = cron::lines(schedule)?.bytes().map(char::from).collect();
    let crontab = read_crontab()?;
    let old = cron::find(&crontab, &schedule.name)?.map(str::to_owned);
    let change = change(schedule, &[old], &[(PathBuf::new(), lines.clone())]);
    if change != Change::AsWanted {
        write_crontab(&cron::with(&crontab, &schedule.name, &lines)?)?;
    }
    Ok(Placed { change, files: Vec::new(), later: Vec::new() })
}

fn schtasks(arguments: &[&str]) -> Result<Output, ScheduleError> {
    let mut command = Command::new("schtasks");
    command.args(arguments).stdin(Stdio::null());
    run("schtasks", command, &arguments.join(" "))
}

/// The tasks of this machine that this account may see. The text is in the console's code page, and markers are ASCII.
fn find_tasks(now: &Zoned) -> Vec<Installed> {
    let Ok(output) = schtasks(&["/Query", "/XML"]) else { return Vec::new() };
    marked_tasks(&output.stdout).into_iter().map(|marked| described(marked, Vec::new(), Some(now))).collect()
}

/// The markers in what `schtasks /Query /XML` prints, whichever encoding that is in.
fn marked_tasks(bytes: &[u8]) -> Vec<Marked> {
    let ascii: String = bytes.iter().filter(|byte| **byte != 0).map(|byte| char::from(*byte)).collect();
    let parts = ascii.split(marker::PREFIX).skip(1);
    let settings = parts.filter_map(|part| Some(part.split_once('<')?.0));
    settings.filter_map(|text| marker::parse(&quick_xml::escape::unescape(text).ok()?)).collect()
}

fn install_task(schedule: &Schedule, now: &Zoned) -> Result<Placed, ScheduleError> {
    let xml = windows::xml(schedule, now)?;
    let task = windows::task(&schedule.name);
    let before = schtasks(&["/Query", "/XML", "/TN", &task]).ok();
    let before = before.and_then(|output| marked_tasks(&output.stdout).into_iter().next());
    let after = marker::find(&marker::line(schedule));
    let change = match (&before, &after) {
        (Some(before), Some(after)) if before.settings == after.settings => Change::AsWanted,
        (Some(before), Some(after)) => Change::Changed(marker::changes(&before.settings, &after.settings)),
        _ => Change::New,
    };
    if change != Change::AsWanted {
        let file = std::env::temp_dir().join(format!("sispush-{}.xml", std::process::id()));
        let failed = |action| {
            let path = file.clone();
            move |source| ScheduleError::File { action, path, source }
        };
        fs::write(&file, windows::bytes(&xml)).map_err(failed("write"))?;
        // Not with an output that is caught: it asks for the password.
        let arguments = windows::create(schedule, &file.to_string_lossy());
        let status = Command::new("schtasks").args(&arguments).status();
        fs::remove_file(&file).map_err(failed("remove"))?;
        let status = status.map_err(|source| ScheduleError::Start { program: "schtasks", source })?;
        if !status.success() {
            let command = windows::typed("schtasks", &arguments);
            return Err(ScheduleError::Failed { command, message: status.to_string() });
        }
    }
    Ok(Placed { change, files: Vec::new(), later: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;

    #[test]
    fn tasks_are_found_in_any_encoding() {
        let mut schedule = example(Kind::Windows);
        schedule.mappings = vec![r"C:\Schüler & Co\a <1>.yaml".into()];
        let xml = windows::xml(&schedule, &"2026-11-27T16:00[UTC]".parse().unwrap()).unwrap();
        for bytes in [windows::bytes(&xml), xml.replace('ü', "?").into_bytes()] {
            let twice = [bytes.as_slice(), b"\r\n<!-- \\other -->\r\n", &bytes].concat();
            let marked = marked_tasks(&twice);
            assert_eq!(marked.len(), 2);
            assert_eq!(marked[0].mappings, [PathBuf::from(r"C:\Schüler & Co\a <1>.yaml")]);
        }
        assert!(marked_tasks(b"ERROR: The system cannot find the path specified.").is_empty());
    }

    #[test]
    fn nothing_is_installed_where_nothing_is() {
        let folder = tempfile::tempdir().unwrap();
        assert!(find(&Places::below(folder.path()), &Zoned::now()).is_empty());
        assert!(find(&Places::below(&folder.path().join("gone")), &Zoned::now()).is_empty());
    }

    /// What an installation holds is what the marker says, and `installed` gives it back.
    #[cfg(unix)]
    #[test]
    fn what_is_installed_is_found_and_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::below(folder.path());
        let now: Zoned = "2026-11-27T16:00[UTC]".parse().unwrap();
        for kind in [Kind::Systemd, Kind::CronFile] {
            let mut schedule = example(kind);
            let result = install(&schedule, &places, &now).unwrap();
            assert_eq!(result.change, Change::New);
            assert_eq!(install(&schedule, &places, &now).unwrap().change, Change::AsWanted);
            schedule.times = super::super::Times::new(&["05:00"], "daily").unwrap();
            assert_eq!(
                install(&schedule, &places, &now).unwrap().change,
                Change::Changed(vec!["at 04:30 -> 05:00".into(), "days mon-fri -> daily".into()])
            );
            let found = find(&places, &now);
            let [one] = found.as_slice() else { panic!("{found:?}") };
            assert_eq!((&*one.name, one.kind, one.account.as_deref()), ("example-college", kind, Some("library")));
            assert_eq!(one.next.as_ref().unwrap().to_string(), "2026-11-28T05:00:00+00:00[UTC]");
            remove(one, &places).unwrap();
            assert!(find(&places, &now).is_empty());
            let is_file = |path: &PathBuf| path.exists();
            assert!(!result.files.iter().any(is_file));
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_others_wrote_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::below(folder.path());
        let file = folder.path().join("etc/systemd/system/sispush-example-college.timer");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "[Timer]\n").unwrap();
        let error = install(&example(Kind::Systemd), &places, &Zoned::now()).unwrap_err();
        assert!(matches!(error, ScheduleError::Foreign { .. }), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "[Timer]\n");
        assert!(!file.with_extension("service").exists());
    }

    #[cfg(unix)]
    #[test]
    fn two_accounts_do_not_share_the_state_s_folder() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::below(folder.path());
        install(&example(Kind::Systemd), &places, &Zoned::now()).unwrap();
        let mut other = example(Kind::Systemd);
        other.name = "other".into();
        install(&other, &places, &Zoned::now()).unwrap();
        other.account = Account::Named("else".into());
        other.name = "third".into();
        let error = install(&other, &places, &Zoned::now()).unwrap_err();
        let hint = |error: &ScheduleError| error.hint().map(String::from).unwrap_or_default();
        assert!(
            error.to_string().contains("runs as `library`") && hint(&error).contains("`--user library`"),
            "{error}"
        );
        // One that systemd makes has no name to be given.
        let folder = tempfile::tempdir().unwrap();
        let places = Places::below(folder.path());
        install(&Schedule { account: Account::Dynamic, ..example(Kind::Systemd) }, &places, &Zoned::now()).unwrap();
        let error = install(&other, &places, &Zoned::now()).unwrap_err();
        assert!(error.to_string().contains("runs as an account that systemd makes,"), "{error}");
        assert!(hint(&error).starts_with("leave `--user` out, or remove the other schedule first: `"), "{error}");
    }
}
