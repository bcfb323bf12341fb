//! A push on a schedule: what systemd, cron or the Task Scheduler of Windows is to be told, and telling them.
//!
//! [`systemd`], [`cron`] and [`windows`] turn a [`Schedule`] into text; they do no I/O and read no clock. [`install`]
//! writes that text, finds what was written before by its [`marker`], and takes it away. The report asks
//! [`installed`].

pub mod cron;
mod error;
pub mod install;
pub mod marker;
pub mod systemd;
mod times;
pub mod windows;

pub use error::ScheduleError;
pub use install::{installed, next_of};
pub use times::{Days, Gap, Times};

use std::path::PathBuf;

use jiff::Zoned;

/// What runs the push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A unit of the machine's systemd.
    Systemd,
    /// A unit of the account's own systemd.
    SystemdUser,
    /// A line of the account's crontab.
    Crontab,
    /// A file below `/etc/cron.d`.
    CronFile,
    /// A task of the Windows Task Scheduler.
    Windows,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Systemd, Self::SystemdUser, Self::Crontab, Self::CronFile, Self::Windows];

    /// Its name in a marker, in JSON and in messages. Never changes: installed schedules are found by it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::SystemdUser => "systemd --user",
            Self::Crontab => "crontab",
            Self::CronFile => "cron.d",
            Self::Windows => "windows",
        }
    }

    /// What it does with a time that the clock skips when summer time begins.
    pub fn gap(self) -> Gap {
        match self {
            // `systemd-analyze calendar` shows it: the next elapse is a day later.
            Self::Systemd | Self::SystemdUser => Gap::LeftOut,
            // cron(8) of Debian: jobs of the skipped time run soon after the change. Microsoft documents nothing.
            Self::Crontab | Self::CronFile | Self::Windows => Gap::Later,
        }
    }
}

/// As which account the push runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// The one that installs.
    Own,
    /// This one.
    Named(String),
    /// One that systemd makes for the run, which can read only what everybody can and the credentials it is given.
    Dynamic,
}

impl Account {
    /// Its name, if it has one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Named(name) => Some(name),
            Self::Own | Self::Dynamic => None,
        }
    }
}

/// A secret that systemd hands to the run: `${credential:NAME}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Its name.
    pub name: String,
    /// The file that holds it, which only root need be able to read.
    pub file: String,
}

/// A push that is to run at certain times. Every path is absolute, and free of control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Its name: letters, digits, `_` and `-`, as it becomes part of file names that cron would else not read.
    pub name: String,
    /// What runs it.
    pub kind: Kind,
    /// The mapping files, and folders of them.
    pub mappings: Vec<String>,
    /// When.
    pub times: Times,
    /// As whom.
    pub account: Account,
    /// The program.
    pub program: String,
    /// More arguments of the push.
    pub arguments: Vec<String>,
    /// The log file; `None` where the arguments name one.
    pub log_file: Option<String>,
    /// What systemd hands to the run.
    pub credentials: Vec<Credential>,
    /// Folders that the run must be able to write to, beside those of its state and its log.
    pub writable: Vec<String>,
    /// Whether the run reads what lies in somebody's home.
    pub reads_home: bool,
}

impl Schedule {
    /// The next time after `after` at which it runs, in that time's zone. A delay at random is not in it.
    pub fn next_run(&self, after: &Zoned) -> Option<Zoned> {
        self.times.next_run(after, self.kind.gap())
    }
}

/// A schedule that is installed on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Its name.
    pub name: String,
    /// What runs it.
    pub kind: Kind,
    /// The mapping files, and folders of them.
    pub mappings: Vec<PathBuf>,
    /// When.
    pub times: Times,
    /// The account, if one is named.
    pub account: Option<String>,
    /// The files it consists of; none for a line of a crontab and a task of Windows.
    pub files: Vec<PathBuf>,
    /// The next time it runs; `None` when it is not enabled.
    pub next: Option<Zoned>,
}

/// Which name a schedule has if none is given: that of the mapping or folder, as far as a name can hold it.
pub fn name_for(mapping: &str) -> String {
    let fit = |char: char| if char.is_ascii_alphanumeric() || matches!(char, '_' | '-') { char } else { '-' };
    let name: String = mapping.chars().map(fit).take(NAME_MAX).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "push".to_owned() } else { name.to_owned() }
}

/// The longest name, in bytes.
const NAME_MAX: usize = 64;

/// Whether a schedule may have this name.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('-') && name.len() <= NAME_MAX && name_for(name) == name
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A schedule like a technician's.
    pub(crate) fn example(kind: Kind) -> Schedule {
        Schedule {
            name: "example-college".into(),
            kind,
            mappings: vec!["/etc/sispush/example-college.yaml".into()],
            times: Times::new(&["04:30"], "mon-fri").unwrap(),
            account: Account::Named("library".into()),
            program: "/usr/local/bin/sispush".into(),
            arguments: Vec::new(),
            log_file: Some("/var/log/sispush/example-college.log".into()),
            credentials: Vec::new(),
            writable: Vec::new(),
            reads_home: false,
        }
    }

    #[test]
    fn a_name_is_made_of_a_mapping_s() {
        assert_eq!(name_for("St. Mary's"), "St--Mary-s");
        assert_eq!(name_for("schön"), "sch-n");
        assert_eq!(name_for("…"), "push");
        assert!(is_name("a_b-1") && !is_name("a.b") && !is_name("") && !is_name("-a") && !is_name("a/b"));
        assert!(!is_name(&"a".repeat(65)));
    }
}
