//! `schedule`: what is to run the push every night, printed, installed, shown or taken away.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};

use clap::Parser as _;
use jiff::Zoned;

use super::args::{Cli, Command, FormatArg, RootArg, ScheduleArgs, ScheduleCommand, WantedArgs};
use super::output::Output;
use super::state::location;
use crate::error::{Error, ExitCode, Hint};
use crate::mapping::{self, Mapping, Origin, Part, StateLocation};
use crate::ops::schedule::install::{self, Places};
use crate::ops::schedule::{self, Account, Credential, Gap, Installed, Kind, Schedule, ScheduleError, Times};

/// What is worth saying and stops nothing: what is wrong, and what to do.
pub(super) type Remark = (String, Option<Hint>);

pub(super) fn run(args: ScheduleArgs, output: &mut Output) -> Result<ExitCode, Error> {
    match args.command {
        ScheduleCommand::Systemd { wanted, per_user, credentials, root } => {
            let is_own = per_user || (root.root.is_none() && wanted.user.is_none() && !is_root());
            let kind = if is_own { Kind::SystemdUser } else { Kind::Systemd };
            let secrets = match credentials {
                Some(folder) => absolute(&folder)?,
                None if is_own => {
                    Places::here().folder(kind).map_or_else(PathBuf::new, |units| own_credentials(&units))
                }
                None => PathBuf::from("/etc/sispush/credentials"),
            };
            place(&Asked { wanted: &wanted, kind, places: places(&root)?, credentials: secrets, out: None }, output)
        }
        ScheduleCommand::Cron { wanted, root } => {
            let is_file = root.root.is_some() || wanted.user.is_some();
            let kind = if is_file { Kind::CronFile } else { Kind::Crontab };
            place(
                &Asked { wanted: &wanted, kind, places: places(&root)?, credentials: PathBuf::new(), out: None },
                output,
            )
        }
        ScheduleCommand::Windows { wanted, out } => {
            if wanted.install && !cfg!(windows) {
                return Err(usage(
                    "the Task Scheduler is a part of Windows, and this is another system",
                    "run it on the Windows machine; here use `sispush schedule systemd` or `sispush schedule cron`",
                ));
            }
            let (places, credentials) = (Places::here(), PathBuf::new());
            place(&Asked { wanted: &wanted, kind: Kind::Windows, places, credentials, out }, output)
        }
        ScheduleCommand::Show { root, format } => {
            let now = Zoned::now();
            let found = install::find(&places(&root)?, &now);
            match format {
                FormatArg::Text => output.schedules(&found)?,
                FormatArg::Json => output.schedules_json(&found)?,
            }
            Ok(ExitCode::Complete)
        }
        ScheduleCommand::Remove { name, root } => remove(name.as_deref(), &places(&root)?, output),
    }
}

/// What was typed, as far as it is one for all kinds.
struct Asked<'a> {
    wanted: &'a WantedArgs,
    kind: Kind,
    places: Places,
    /// The folder of the files that systemd hands to the run.
    credentials: PathBuf,
    /// The file that the task is written to.
    out: Option<PathBuf>,
}

impl Asked<'_> {
    fn is_image(&self) -> bool {
        self.places.is_image()
    }
}

fn places(root: &RootArg) -> Result<Places, Error> {
    match &root.root {
        None => Ok(Places::here()),
        Some(root) if root.is_dir() => Ok(Places::below(&absolute(root)?)),
        Some(root) => Err(usage(
            format!("`--root`: `{}` is no folder", root.display()),
            "name the folder that holds the other machine's `etc`",
        )),
    }
}

/// The credentials of an account's own systemd, beside its units.
fn own_credentials(units: &Path) -> PathBuf {
    units.ancestors().nth(2).unwrap_or(units).join("sispush/credentials")
}

fn place(asked: &Asked<'_>, output: &mut Output) -> Result<ExitCode, Error> {
    let now = Zoned::now();
    let mut mappings = Vec::new();
    let mut is_valid = true;
    for path in mapping::find(&asked.wanted.mappings)? {
        match Mapping::load(&path) {
            Ok(mapping) => mappings.push(mapping),
            Err(error) => {
                output.failure(&error.into());
                is_valid = false;
            }
        }
    }
    if !is_valid {
        return Ok(ExitCode::Usage);
    }
    let mut remarks = Vec::new();
    let schedule = wanted(asked, &mut mappings, &now, &mut remarks)?;
    if !asked.is_image() {
        remarks.extend(elsewhere(&schedule, &install::find(&asked.places, &now)));
    }
    if asked.wanted.install {
        let placed = install::install(&schedule, &asked.places, &now)?;
        output.schedule_remarks(&remarks)?;
        let next = schedule.next_run(&now);
        output.schedule_placed(&schedule, &placed, next.as_ref(), asked.is_image())?;
    } else {
        let files = install::files(&schedule, &asked.places, &now)?;
        output.schedule_remarks(&remarks)?;
        if let (Some(out), Some((_, xml))) = (&asked.out, files.first()) {
            let failed = |source| Error::File { action: "write", path: out.clone(), source };
            fs::write(out, schedule::windows::bytes(xml)).map_err(failed)?;
            output.schedule_written(&schedule, out)?;
        } else {
            output.schedule_text(&schedule, &files)?;
        }
    }
    Ok(ExitCode::Complete)
}

fn remove(name: Option<&str>, places: &Places, output: &mut Output) -> Result<ExitCode, Error> {
    let all = install::find(places, &Zoned::now());
    let wanted: Vec<&Installed> = all.iter().filter(|found| name.is_none_or(|name| found.name == name)).collect();
    let mut names: Vec<&str> = all.iter().map(|found| &*found.name).collect();
    names.dedup();
    if names.is_empty() {
        return Err(usage(
            "no schedule is installed here",
            "a schedule of another account only that account, or root, sees",
        ));
    }
    if wanted.is_empty() || (name.is_none() && names.len() > 1) {
        let message =
            name.map_or("there is more than one schedule".to_owned(), |name| format!("there is no schedule `{name}`"));
        return Err(usage(message, format!("name one of `{}`", names.join("`, `"))));
    }
    for found in wanted {
        install::remove(found, places)?;
        output.schedule_removed(found)?;
    }
    Ok(ExitCode::Complete)
}

/// From what was typed to a schedule that can be installed.
fn wanted(
    asked: &Asked<'_>,
    mappings: &mut [Mapping],
    now: &Zoned,
    remarks: &mut Vec<Remark>,
) -> Result<Schedule, Error> {
    let Asked { wanted, kind, .. } = asked;
    let times = Times::new(&wanted.at, &wanted.days)?;
    if let Some((day, at)) = times.next_skipped(now, 400).filter(|_| kind.gap() == Gap::LeftOut) {
        remarks.push((
            format!(
                "on {day} the clock skips {:02}:{:02}, and systemd does not run it that night",
                at.hour(),
                at.minute()
            ),
            Some("take a time before the change or after it, such as 04:30".into()),
        ));
    }
    let paths = wanted.mappings.iter().map(|path| absolute_text(path)).collect::<Result<Vec<_>, _>>()?;
    let program = std::env::current_exe().map_err(|source| file_error("find", Path::new("sispush"), source))?;
    let push = push_options(&wanted.push)?;
    let mut writable: Vec<PathBuf> = push.writable;
    let mut credentials = Vec::new();
    let mut is_all_credentials = true;
    for mapping in mappings.iter_mut() {
        let found = secrets(asked, mapping, remarks)?;
        is_all_credentials &= found.has_others.is_none();
        for name in found.credentials {
            let file = asked.credentials.join(&name);
            if wanted.install && !asked.is_image() && !file.is_file() {
                return Err(usage(
                    format!("the credential `{name}` of `{}` is not in `{}`", mapping.path.display(), file.display()),
                    "write the secret into that file, which only root can read, or name another folder: `--credentials`",
                ));
            }
            let credential = Credential { name, file: text_of(&file)? };
            if !credentials.contains(&credential) {
                credentials.push(credential);
            }
        }
        // A place with a secret that is not there yet is a server's.
        if mapping.resolve(&[Part::State]).is_ok()
            && let StateLocation::File(file) = &mapping.state
        {
            writable.push(folder_of(&absolute(file)?));
        }
        if let Some(metrics) = mapping::notify::metrics_file(&mapping.path) {
            writable.push(folder_of(&absolute(&metrics)?));
        }
    }
    writable.sort();
    writable.dedup();
    if let Some(folder) = writable.iter().find(|folder| *kind == Kind::Systemd && !folder.is_dir()) {
        // systemd does not start a service with such a folder, nor may the run then make one.
        let message = format!("a folder that the run writes to is not there: `{}`", folder.display());
        let hint = "make it, and give it to the account that runs the push";
        if wanted.install && !asked.is_image() {
            return Err(usage(message, hint));
        }
        remarks.push((message, Some(hint.into())));
    }
    // An account that systemd makes could write to no folder of ours.
    let account = account(asked, mappings, is_all_credentials && writable.is_empty())?;
    if wanted.install && !asked.is_image() && cfg!(unix) {
        check_account(&account, *kind, mappings)?;
    }
    let files: Vec<PathBuf> = wanted.mappings.iter().map(|path| real(path)).chain([program.clone()]).collect();
    remarks.extend(misplaced(&program, &files, *kind));
    if account.name() == Some("root") || (account == Account::Own && is_root()) {
        remarks
            .push(("it runs as root".to_owned(), Some("an account of its own can do less harm: `--user NAME`".into())));
    }
    let name = name(wanted, mappings)?;
    let log_file = match kind {
        Kind::Systemd => Some(format!("/var/log/sispush/{name}.log")),
        // cron's shell knows the home of the account, and the account's systemd has a journal.
        Kind::SystemdUser | Kind::Crontab | Kind::CronFile => None,
        Kind::Windows => {
            let folder = absolute(&mappings.first().map_or_else(PathBuf::new, |mapping| mapping.path.clone()))?;
            Some(text_of(&folder.with_file_name(format!("sispush-{name}.log")))?)
        }
    };
    Ok(Schedule {
        name,
        kind: *kind,
        mappings: paths,
        times,
        account,
        program: text_of(&program)?,
        arguments: wanted.push.clone(),
        log_file: log_file.filter(|_| !push.has_log_file),
        credentials,
        writable: writable.iter().map(|folder| text_of(folder)).collect::<Result<_, _>>()?,
        reads_home: files.iter().any(|file| ["/home", "/root", "/run/user"].iter().any(|home| file.starts_with(home))),
    })
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new("/")).to_owned()
}

/// What the options of the push say of files.
struct PushOptions {
    has_log_file: bool,
    /// The folders of the log and of the state.
    writable: Vec<PathBuf>,
}

/// Takes the options of the push apart as the push will, so that a typo is seen now and not at night.
fn push_options(options: &[String]) -> Result<PushOptions, Error> {
    let line = ["sispush", "push"].into_iter().chain(options.iter().map(String::as_str)).chain(["a.yaml"]);
    let cli = Cli::try_parse_from(line).map_err(|error| {
        let message = error.to_string();
        let first = message.lines().next().unwrap_or_default().trim_start_matches("error: ");
        usage(format!("after `--`: {first}"), "see `sispush push --help`")
    })?;
    let Some(Command::Push(push)) = cli.command else {
        return Err(usage("after `--`: only options of `sispush push` can stand there", "see `sispush push --help`"));
    };
    if push.plan.mappings.len() > 1 {
        return Err(usage("after `--`: there is a mapping", "name the mappings before the options"));
    }
    if push.approve.is_some() {
        return Err(usage(
            "after `--`: an approval is good for one plan, once",
            "approve by hand: `sispush push MAPPING --approve ID`",
        ));
    }
    let must_be_full = |option: &str, path: &Path| {
        let message = format!("after `--`: `{option} {}` starts from whatever folder it is run in", path.display());
        if path.is_absolute() { Ok(()) } else { Err(usage(message, "write the path in full")) }
    };
    let mut writable = Vec::new();
    if let Some(file) = &cli.global.log_file {
        must_be_full("--log-file", file)?;
        writable.push(folder_of(file));
    }
    // Not one of this shell's environment, which the run has not.
    let is_given = options.iter().any(|option| option == "--state" || option.starts_with("--state="));
    if let Some(text) = push.plan.state.state.as_deref().filter(|_| is_given) {
        if text.contains("://") && has_password(text) {
            return Err(usage(
                "after `--`: everybody on the machine can read a password that stands there",
                "write it as `${NAME}`, or put the place into the mapping: `state:`",
            ));
        }
        if !text.contains("${")
            && let StateLocation::File(file) = location(text)?
        {
            must_be_full("--state", &file)?;
            writable.push(folder_of(&file));
        }
    }
    Ok(PushOptions { has_log_file: cli.global.log_file.is_some(), writable })
}

/// Whether an address holds a password that is written out.
pub(super) fn has_password(address: &str) -> bool {
    let Some((_, rest)) = address.split_once("://") else { return false };
    let authority = rest.split_once('/').map_or(rest, |(authority, _)| authority);
    let Some((login, _)) = authority.rsplit_once('@') else { return false };
    login.split_once(':').is_some_and(|(_, password)| !password.starts_with("${"))
}

/// What a mapping's references come from.
struct Secrets {
    credentials: Vec<String>,
    /// One that is no credential.
    has_others: Option<String>,
}

/// Looks at every secret of a mapping: whether the run will find it.
fn secrets(asked: &Asked<'_>, mapping: &Mapping, remarks: &mut Vec<Remark>) -> Result<Secrets, Error> {
    let mut found = Secrets { credentials: Vec::new(), has_others: None };
    let path = mapping.path.display();
    let dotenv = mapping.path.with_file_name(".env");
    let in_dotenv = mapping::secret_names(&dotenv).unwrap_or_default();
    let mut problems: Vec<(String, Hint)> = Vec::new();
    for (reference, origin) in mapping.references() {
        if let Some(name) = credential_name(&reference) {
            if !matches!(asked.kind, Kind::Systemd | Kind::SystemdUser) {
                let message =
                    format!("`{reference}` of `{path}` is what systemd hands to a service, and nothing else does");
                return Err(usage(message, "write it into `.env`, or use `sispush schedule systemd`"));
            }
            found.credentials.push(name.to_owned());
            continue;
        }
        let name = reference.trim_start_matches("${").trim_end_matches('}');
        let is_of_this_shell = origin == Some(Origin::Environment) && !in_dotenv.iter().any(|known| known == name);
        if origin.is_none() {
            let message = format!("the secret `{reference}` of `{path}` is missing");
            problems.push((message, format!("write a line `{name}=…` into `{}`", dotenv.display()).into()));
        } else if is_of_this_shell && asked.kind != Kind::Windows {
            let message =
                format!("the secret `{reference}` of `{path}` is in this shell's environment, which the run has not");
            problems.push((message, format!("write a line `{name}=…` into `{}`", dotenv.display()).into()));
        }
        found.has_others = Some(reference);
    }
    if asked.wanted.install && !asked.is_image() {
        if let Some((message, hint)) = problems.into_iter().next() {
            return Err(usage(message, hint));
        }
    } else {
        remarks.extend(problems.into_iter().map(|(message, hint)| (message, Some(hint))));
    }
    Ok(found)
}

/// The name in `${credential:NAME}`.
fn credential_name(reference: &str) -> Option<&str> {
    reference.strip_prefix("${credential:")?.strip_suffix('}').map(str::trim)
}

/// As which account it is to run. Not as one that systemd makes, where a secret lies in a file that only its owner may
/// read: that account would own nothing.
fn account(asked: &Asked<'_>, mappings: &[Mapping], may_be_dynamic: bool) -> Result<Account, Error> {
    if let Some(user) = &asked.wanted.user {
        if user.is_empty()
            || user.chars().any(|char| char.is_control() || matches!(char, ' ' | ':' | '%' | '"'))
                && asked.kind != Kind::Windows
        {
            return Err(usage(format!("`--user`: `{user}` is no name of an account"), "write its name alone"));
        }
        return Ok(Account::Named(user.clone()));
    }
    match asked.kind {
        Kind::SystemdUser | Kind::Crontab => Ok(Account::Own),
        Kind::CronFile => Err(usage("`--root` has no crontab of an account", "name the account: `--user NAME`")),
        Kind::Windows => match (std::env::var_os("USERDOMAIN"), std::env::var_os("USERNAME")) {
            (Some(domain), Some(name)) if cfg!(windows) => {
                Ok(Account::Named(format!("{}\\{}", domain.to_string_lossy(), name.to_string_lossy())))
            }
            _ => Err(usage("no Windows account is named", r"name the account that runs it: `--user SCHOOL\library`")),
        },
        Kind::Systemd if may_be_dynamic && mappings.iter().all(|mapping| everybody_reads(&mapping.path)) => {
            Ok(Account::Dynamic)
        }
        Kind::Systemd => {
            let owners: Vec<String> = mappings.iter().filter_map(|mapping| owner(&mapping.path)).collect();
            match owners.first() {
                Some(name) if name != "root" && owners.iter().all(|other| other == name) => {
                    Ok(Account::Named(name.clone()))
                }
                _ => Err(usage(
                    "it is not clear which account is to run it",
                    "name one that can read the mappings and their `.env`: `--user NAME`",
                )),
            }
        }
    }
}

/// The name of the account that owns a file.
fn owner(path: &Path) -> Option<String> {
    id(&["-nu", "--", &owner_number(path)?.to_string()])
}

#[cfg(unix)]
fn owner_number(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().map(|file| std::os::unix::fs::MetadataExt::uid(&file))
}

#[cfg(not(unix))]
fn owner_number(_path: &Path) -> Option<u32> {
    None
}

#[cfg(unix)]
fn everybody_reads(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| std::os::unix::fs::MetadataExt::mode(&file) & 0o004 != 0)
}

#[cfg(not(unix))]
fn everybody_reads(_path: &Path) -> bool {
    true
}

#[cfg(unix)]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

/// What `id` says, which knows accounts of a directory, too.
fn id(arguments: &[&str]) -> Option<String> {
    let output = Process::new("id").args(arguments).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// An account's home, as the system's databases have it; nothing where they cannot be asked.
fn home(account: &str) -> Option<PathBuf> {
    let output = Process::new("getent").args(["passwd", "--", account]).stdin(Stdio::null()).output().ok()?;
    let line = String::from_utf8_lossy(&output.stdout);
    line.trim().split(':').nth(5).filter(|home| !home.is_empty()).map(PathBuf::from)
}

/// Whether the account is there, and can read the mappings and the files of their secrets. cron's needs a home, too, for
/// its state and its log; systemd's has folders of its own.
fn check_account(account: &Account, kind: Kind, mappings: &[Mapping]) -> Result<(), Error> {
    let number = match account {
        Account::Dynamic => return Ok(()),
        Account::Own => id(&["-u"]),
        Account::Named(name) => Some(id(&["-u", "--", name]).ok_or_else(|| {
            let home = if kind == Kind::CronFile { "--create-home" } else { "--no-create-home" };
            usage(
                format!("this machine has no account `{name}`"),
                format!("make it: `useradd --system {home} --shell /usr/sbin/nologin {name}`"),
            )
        })?),
    };
    let Some(number) = number.and_then(|number| number.parse::<u32>().ok()) else { return Ok(()) };
    let who = account.name().unwrap_or("this account");
    if kind == Kind::CronFile
        && let Some(home) = account.name().and_then(home)
        && owner_number(&home) != Some(number)
    {
        return Err(usage(
            format!(
                "the home of `{who}`, `{}`, is not there or is not its own: its state and log lie there",
                home.display()
            ),
            format!("run `install -d -m 700 -o {who} '{}'`, or name another account: `--user`", home.display()),
        ));
    }
    for mapping in mappings {
        let references = mapping.references();
        let names = references.iter().filter_map(|(written, _)| written.strip_prefix("${file:")?.strip_suffix('}'));
        let secrets = names.chain([".env"]).map(|name| mapping.path.parent().unwrap_or(Path::new("")).join(name));
        for file in secrets.chain([mapping.path.clone()]) {
            if everybody_reads(&file) || its_group_reads(&file) {
                continue;
            }
            let Some(owner) = owner_number(&file).filter(|owner| *owner != number) else { continue };
            let owner = id(&["-nu", "--", &owner.to_string()]).unwrap_or_else(|| owner.to_string());
            return Err(usage(
                format!("`{}` is `{owner}`'s alone, and `{who}` is to run the push", file.display()),
                format!("run `chown {who} '{}'`, or name another account: `--user`", file.display()),
            ));
        }
    }
    Ok(())
}

/// Whether its group may read it; whether the account is in the group, is the administrator's to know.
#[cfg(unix)]
fn its_group_reads(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| std::os::unix::fs::MetadataExt::mode(&file) & 0o040 != 0)
}

#[cfg(not(unix))]
fn its_group_reads(_path: &Path) -> bool {
    true
}

/// Files that will be gone, or are out of the run's sight.
fn misplaced(program: &Path, files: &[PathBuf], kind: Kind) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let is_built = program.components().any(|part| part.as_os_str() == OsStr::new("target"));
    let temporary = [std::env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/var/tmp")];
    let is_temporary = |file: &PathBuf| temporary.iter().any(|folder| file.starts_with(folder));
    if is_built && !is_temporary(&program.to_owned()) {
        remarks.push((
            format!("the program is in a folder that the next build writes over: `{}`", program.display()),
            Some("install it first, to `/usr/local/bin` for instance, and run this with that one".into()),
        ));
    }
    for file in files.iter().filter(|file| is_temporary(file)) {
        let what = if kind == Kind::Systemd { ", which the service does not see" } else { "" };
        remarks.push((
            format!("`{}` lies among temporary files{what}", file.display()),
            Some("move it to a place that stays".into()),
        ));
    }
    if std::env::var_os("SISPUSH_STATE").is_some() {
        remarks.push((
            "`SISPUSH_STATE` is set in this shell, and the run has it not".to_owned(),
            Some("add `-- --state PLACE`, or put `state:` into the mapping".into()),
        ));
    }
    remarks
}

/// Mappings that another schedule pushes, too.
fn elsewhere(schedule: &Schedule, installed: &[Installed]) -> Vec<Remark> {
    let others = installed.iter().filter(|other| (&other.name, other.kind) != (&schedule.name, schedule.kind));
    let shared = others.flat_map(|other| {
        let is_shared = |path: &&String| other.mappings.iter().any(|mapping| mapping == Path::new(path));
        schedule.mappings.iter().filter(is_shared).map(move |path| {
            let message = format!("`{path}` is also pushed by schedule `{}` ({})", other.name, other.kind.name());
            (message, Some(format!("if one is enough: `sispush schedule remove {}`", other.name).into()))
        })
    });
    shared.collect()
}

fn name(wanted: &WantedArgs, mappings: &[Mapping]) -> Result<String, Error> {
    if let Some(name) = &wanted.name {
        if !schedule::is_name(name) {
            let message = format!("`--name`: `{name}` cannot be part of a file's name that cron and systemd read");
            return Err(usage(message, "letters, digits, `_` and `-` can, 64 at most"));
        }
        return Ok(name.clone());
    }
    Ok(match (wanted.mappings.as_slice(), mappings) {
        ([path], [mapping]) if path.is_file() => schedule::name_for(&mapping.name),
        ([path], _) => schedule::name_for(&real(path).file_name().unwrap_or_default().to_string_lossy()),
        _ => "schools".to_owned(),
    })
}

fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|source| file_error("find", path, source))
}

fn absolute_text(path: &Path) -> Result<String, Error> {
    text_of(&absolute(path)?)
}

fn text_of(path: &Path) -> Result<String, Error> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        usage(
            format!("the path `{}` is not UTF-8", path.display()),
            "rename it; nothing else can be written into the files of a schedule",
        )
    })
}

fn file_error(action: &'static str, path: &Path, source: std::io::Error) -> Error {
    ScheduleError::File { action, path: path.to_owned(), source }.into()
}

fn usage(message: impl Into<String>, hint: impl Into<Hint>) -> Error {
    Error::Usage { message: message.into(), hint: Some(hint.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_known_by_their_text() {
        assert_eq!(credential_name("${credential:sis}"), Some("sis"));
        assert_eq!(credential_name("${SIS_PASSWORD}"), None);
        assert_eq!(credential_name("${file:credential:x}"), None);
    }

    #[test]
    fn a_password_in_an_address_is_seen() {
        for (address, is_secret) in [
            ("postgres://u:secret@host/db", true),
            ("postgres://u:${STATE_PASSWORD}@host/db", false),
            ("postgres://u@host:5432/db", false),
            ("postgres://host/a:b@c", false),
        ] {
            assert_eq!(has_password(address), is_secret, "{address}");
        }
    }

    #[test]
    fn options_of_the_push_are_checked_now() {
        let check = |options: &[&str]| {
            push_options(&options.iter().map(|option| (*option).to_owned()).collect::<Vec<_>>())
                .err()
                .map(|error| error.to_string())
        };
        assert_eq!(check(&[]), None);
        assert_eq!(check(&["--full", "-v"]), None);
        assert_eq!(check(&["--state", "/srv/state.db", "--log-file", "/srv/a.log"]), None);
        for (options, message) in [
            (&["--ful"][..], "after `--`: unexpected argument '--ful' found"),
            (&["other.yaml"], "after `--`: there is a mapping"),
            (&["--approve", "0123456789abcdef"], "after `--`: an approval is good for one plan, once"),
            (&["--state", "state.db"], "after `--`: `--state state.db` starts from whatever folder it is run in"),
            (&["--log-file=a.log"], "after `--`: `--log-file a.log` starts from whatever folder it is run in"),
            (
                &["--state", "postgres://u:secret@h/d"],
                "after `--`: everybody on the machine can read a password that stands there",
            ),
        ] {
            assert_eq!(check(options).as_deref(), Some(message), "{options:?}");
        }
    }
}
