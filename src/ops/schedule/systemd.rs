//! A systemd service and its timer, as text.
//!
//! The rules of quoting are those of systemd.syntax(7), systemd.service(5) ("COMMAND LINES") and systemd.unit(5)
//! ("SPECIFIERS"). Tests hold the text against systemd itself.

use std::fmt::Write as _;

use super::times::hour_and_minute;
use super::{Account, Kind, Schedule, ScheduleError, Times, marker};

/// How long a push may take, of however many schools: whatever hangs longer must not meet the next night's.
pub const RUN_LIMIT: &str = "4h";

/// The folder below `/var/lib` and `/var/log`.
pub const FOLDER: &str = "sispush";

/// The variable of the service that holds the words of the shell by which a command of sispush is run by hand as the service
/// runs it: as its account, with its state and its secrets.
pub const BY_HAND: &str = "SISPUSH_BY_HAND";

/// The two files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Units {
    /// The name that both have before the ending: `sispush-NAME`.
    pub stem: String,
    /// `sispush-NAME.service`.
    pub service: String,
    /// `sispush-NAME.timer`.
    pub timer: String,
}

/// The name of a schedule's units, before the ending.
pub fn stem(name: &str) -> String {
    format!("sispush-{name}")
}

/// The units of a schedule of the kinds [`Kind::Systemd`] and [`Kind::SystemdUser`].
///
/// # Errors
/// A path or an argument that systemd cannot be given.
pub fn units(schedule: &Schedule) -> Result<Units, ScheduleError> {
    let name = &schedule.name;
    let head = format!(
        "# {}\n# Written by `sispush schedule systemd`; `sispush schedule remove {name}` takes it away.\n",
        marker::line(schedule)
    );
    Ok(Units {
        stem: stem(name),
        service: format!("{head}{}", service(schedule)?),
        timer: format!("{head}{}", timer(name, &schedule.times)),
    })
}

fn service(schedule: &Schedule) -> Result<String, ScheduleError> {
    let is_own = schedule.kind == Kind::SystemdUser;
    let mut text = format!("[Unit]\nDescription=sispush: push of {}\n", schedule.name);
    if !is_own {
        // An account's own systemd does not know this target.
        text.push_str("Wants=network-online.target\nAfter=network-online.target\n");
    }
    let mut line = |key: &str, value: &str| {
        // Writing to a text does not fail.
        let _infallible = writeln!(text, "{key}={value}");
    };
    line("\n[Service]\nType", "oneshot");
    line("ExecStart", &command_line(schedule)?);
    line("# Rows were rejected, and the rest is done.\nSuccessExitStatus", "1");
    if let Some(words) = by_hand(schedule) {
        line(
            "# What a message that names a command begins it with.\nEnvironment",
            &word(schedule.kind, &format!("{BY_HAND}={words}"))?,
        );
    }
    line("TimeoutStartSec", RUN_LIMIT);
    line("# A batch in flight has half a minute to end after a signal.\nTimeoutStopSec", "90");
    match &schedule.account {
        Account::Own => {}
        Account::Named(account) => line("User", account),
        // One name for all, as they share the folder of the state.
        Account::Dynamic => line("User", &format!("{FOLDER}\nDynamicUser=yes")),
    }
    for credential in &schedule.credentials {
        line("LoadCredential", &format!("{}:{}", credential.name, plain(schedule.kind, &credential.file)?));
    }
    if !is_own {
        line("StateDirectory", FOLDER);
        line("StateDirectoryMode", "0700");
        line("LogsDirectory", FOLDER);
        line("LogsDirectoryMode", "0750");
        for folder in &schedule.writable {
            line("ReadWritePaths", &word(schedule.kind, folder)?);
        }
    }
    line("UMask", "0077");
    line("\n# What it has no need of.\nNoNewPrivileges", "yes");
    if !is_own {
        // An account's own systemd may not set up any of these.
        line("ProtectSystem", "strict");
        line("ProtectHome", if schedule.reads_home { "read-only" } else { "yes" });
        line("PrivateTmp", "yes");
        line("PrivateDevices", "yes");
        line("ProtectProc", "invisible");
        for what in ["KernelTunables", "KernelModules", "KernelLogs", "ControlGroups", "Clock", "Hostname"] {
            line(&format!("Protect{what}"), "yes");
        }
        line("CapabilityBoundingSet", "");
        line("RemoveIPC", "yes");
    }
    // Sockets of the machine itself: name services, a database beside us.
    line("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX");
    for what in ["Namespaces", "Realtime", "SUIDSGID"] {
        line(&format!("Restrict{what}"), "yes");
    }
    line("LockPersonality", "yes");
    line("MemoryDenyWriteExecute", "yes");
    line("SystemCallArchitectures", "native");
    line("SystemCallFilter", "@system-service");
    line("SystemCallFilter", "~@privileged @resources");
    line("SystemCallErrorNumber", "EPERM");
    Ok(text)
}

fn timer(name: &str, times: &Times) -> String {
    let mut text = format!("[Unit]\nDescription=sispush: when {name} is pushed\n\n[Timer]\n");
    for calendar in calendars(times) {
        text.push_str("OnCalendar=");
        text.push_str(&calendar);
        text.push('\n');
    }
    text.push_str(
        "# A run that was missed, as the machine was off, is made up when it is on again.\nPersistent=true\n\
         RandomizedDelaySec=2min\n\n[Install]\nWantedBy=timers.target\n",
    );
    text
}

/// The expressions of `OnCalendar=`, one a time.
pub fn calendars(times: &Times) -> Vec<String> {
    const NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let ranges = times.days().ranges();
    let days: Vec<String> = match ranges.as_slice() {
        [(0, 6)] => Vec::new(),
        ranges => ranges
            .iter()
            .map(|(first, last)| match last - first {
                0 => NAMES[*first].to_owned(),
                1 => format!("{},{}", NAMES[*first], NAMES[*last]),
                _ => format!("{}..{}", NAMES[*first], NAMES[*last]),
            })
            .collect(),
    };
    let days = if days.is_empty() { String::new() } else { format!("{} ", days.join(",")) };
    times.at().iter().map(|at| format!("{days}*-*-* {}:00", hour_and_minute(*at))).collect()
}

/// The value of `ExecStart=`.
fn command_line(schedule: &Schedule) -> Result<String, ScheduleError> {
    let kind = schedule.kind;
    if schedule.program.contains(['"', '\'', '\\']) {
        let reason = "it takes no program whose path has a quote or a backslash";
        return Err(ScheduleError::Text { kind, text: schedule.program.clone(), reason });
    }
    // Of the program's own path, `$` is no variable.
    let mut line = word(kind, &schedule.program)?;
    line.push_str(" push");
    for argument in push_arguments(schedule) {
        line.push(' ');
        line.push_str(&word(kind, argument)?.replace('$', "$$"));
    }
    Ok(line)
}

/// The words of [`BY_HAND`]; nothing where `sispush` alone finds what the service finds.
fn by_hand(schedule: &Schedule) -> Option<String> {
    let mut words = vec!["systemd-run".to_owned(), "--pipe".into(), "--wait".into(), "--collect".into()];
    let mut property = |key: &str, value: &str| words.push(shell_word(&format!("--property={key}={value}")));
    match schedule.kind {
        Kind::Systemd => {
            match &schedule.account {
                Account::Own => {}
                Account::Named(account) => property("User", account),
                Account::Dynamic => {
                    property("User", FOLDER);
                    property("DynamicUser", "yes");
                }
            }
            property("StateDirectory", FOLDER);
            // Else systemd makes it readable for everybody.
            property("StateDirectoryMode", "0700");
            property("UMask", "0077");
        }
        Kind::SystemdUser if !schedule.credentials.is_empty() => {}
        Kind::SystemdUser | Kind::Crontab | Kind::CronFile | Kind::Windows => return None,
    }
    for credential in &schedule.credentials {
        property("LoadCredential", &format!("{}:{}", credential.name, credential.file));
    }
    if schedule.kind == Kind::SystemdUser {
        words.insert(1, "--user".into());
    }
    words.push(shell_word(&schedule.program));
    Some(words.join(" "))
}

/// One word of a POSIX shell.
pub fn shell_word(text: &str) -> String {
    let is_bare = !text.is_empty()
        && text.chars().all(|char| char.is_alphanumeric() || matches!(char, '/' | '-' | '_' | '.' | ':' | '='));
    if is_bare { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// What comes after `push`: the mappings last.
pub(super) fn push_arguments(schedule: &Schedule) -> impl Iterator<Item = &str> {
    let log = schedule.log_file.iter().flat_map(|file| ["--log-file", file.as_str()]);
    let own = schedule.arguments.iter().map(String::as_str);
    log.chain(own).chain(schedule.mappings.iter().map(String::as_str))
}

/// One word of a list, quoted where it must be, with `%` as no specifier.
fn word(kind: Kind, text: &str) -> Result<String, ScheduleError> {
    let text = plain(kind, text)?;
    let is_bare = !text.is_empty()
        && text.chars().all(|char| char.is_alphanumeric() || matches!(char, '/' | '-' | '_' | '.' | ':' | '=' | '%'));
    Ok(if is_bare { text } else { format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")) })
}

/// A value that is taken as it is, but for `%`.
fn plain(kind: Kind, text: &str) -> Result<String, ScheduleError> {
    if text.chars().any(char::is_control) {
        let reason = "it has a control character";
        return Err(ScheduleError::Text { kind, text: text.escape_debug().to_string(), reason });
    }
    Ok(text.replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::super::Credential;
    use super::super::tests::example;
    use super::*;

    #[test]
    fn credentials_and_folders_are_given() {
        let mut schedule = example(Kind::Systemd);
        schedule.account = Account::Dynamic;
        schedule.credentials.push(Credential { name: "sis".into(), file: "/etc/sis push/100%".into() });
        schedule.writable.push("/srv/a \"b\"".into());
        schedule.reads_home = true;
        let service = units(&schedule).unwrap().service;
        for line in [
            "LoadCredential=sis:/etc/sis push/100%%\n",
            "ReadWritePaths=\"/srv/a \\\"b\\\"\"\n",
            "DynamicUser=yes\n",
            "ProtectHome=read-only\n",
        ] {
            assert!(service.contains(line), "{line}: {service}");
        }
        assert!(service.contains("\nUser=sispush\n"));
    }

    #[test]
    fn what_systemd_cannot_be_given_is_refused() {
        let mut schedule = example(Kind::Systemd);
        schedule.mappings.push("/a\nUser=root".into());
        assert_eq!(
            units(&schedule).unwrap_err().to_string(),
            "systemd cannot be given `/a\\nUser=root`: it has a control character"
        );
        schedule = example(Kind::Systemd);
        schedule.program = "/opt/it's/sispush".into();
        assert!(units(&schedule).is_err());
    }

    #[test]
    fn an_account_s_own_units_ask_for_nothing_that_only_root_can_give() {
        let mut schedule = example(Kind::SystemdUser);
        schedule.account = Account::Own;
        let service = units(&schedule).unwrap().service;
        for key in ["User=", "StateDirectory=", "Protect", "Private", "CapabilityBoundingSet=", "network-online"] {
            assert!(!service.contains(key), "{key}: {service}");
        }
        assert!(service.contains("\nNoNewPrivileges=yes\n"));
    }

    #[test]
    fn times_are_calendar_expressions() {
        let of = |at: &[&str], days: &str| calendars(&Times::new(at, days).unwrap());
        assert_eq!(of(&["04:30"], "daily"), ["*-*-* 04:30:00"]);
        assert_eq!(of(&["4:30", "18:00"], "mon-fri"), ["Mon..Fri *-*-* 04:30:00", "Mon..Fri *-*-* 18:00:00"]);
        assert_eq!(of(&["04:30"], "sat-mon,wed"), ["Mon,Wed,Sat,Sun *-*-* 04:30:00"]);
    }
}
