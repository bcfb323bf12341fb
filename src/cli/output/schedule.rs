//! What is, or would be, on a schedule.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Zoned;
use serde_json::json;

use super::{HINT, Output, STRONG, WARNING, json as as_json, write_failed};
use crate::cli::schedule::Remark;
use crate::error::Error;
use crate::ops::schedule::install::{Change, Placed};
use crate::ops::schedule::{Account, Installed, Kind, Schedule, Times, systemd, windows};

impl Output {
    /// What is worth saying and stops nothing.
    pub(in crate::cli) fn schedule_remarks(&mut self, remarks: &[Remark]) -> Result<(), Error> {
        let mut notes = self.notes();
        for (message, hint) in remarks {
            writeln!(notes, "{WARNING}warning{WARNING:#}: {message}").map_err(write_failed)?;
            if let Some(hint) = hint {
                writeln!(notes, "{HINT}hint{HINT:#}: {hint}").map_err(write_failed)?;
            }
        }
        Ok(())
    }

    /// What would be written, each text below the name of its file; and that nothing was.
    pub(in crate::cli) fn schedule_text(
        &mut self,
        schedule: &Schedule,
        files: &[(PathBuf, String)],
    ) -> Result<(), Error> {
        let mut out = self.data();
        let mut write = || -> io::Result<()> {
            for (index, (path, text)) in files.iter().enumerate() {
                let gap = if index > 0 { "\n" } else { "" };
                match schedule.kind {
                    Kind::Windows | Kind::Crontab => write!(out, "{text}")?,
                    Kind::Systemd | Kind::SystemdUser | Kind::CronFile => {
                        write!(out, "{gap}# {}\n{text}", path.display())?;
                    }
                }
            }
            Ok(())
        };
        write().map_err(write_failed)?;
        let mut notes = self.notes();
        let what = match schedule.kind {
            Kind::Windows => {
                let file = format!("sispush-{}.xml", schedule.name);
                let command = windows::typed("schtasks", &windows::create(schedule, &file));
                format!("nothing is installed: add `--install`, or `--out {file}` and then run `{command}`")
            }
            Kind::Systemd | Kind::SystemdUser | Kind::Crontab | Kind::CronFile => {
                "nothing is installed: add `--install`".to_owned()
            }
        };
        writeln!(notes, "{what}").map_err(write_failed)
    }

    /// That the task is in a file, and how it becomes one.
    pub(in crate::cli) fn schedule_written(&mut self, schedule: &Schedule, file: &Path) -> Result<(), Error> {
        let command = windows::typed("schtasks", &windows::create(schedule, &file.display().to_string()));
        writeln!(self.data(), "{} is written; run as administrator:\n  {command}", file.display()).map_err(write_failed)
    }

    /// What an installation came to.
    pub(in crate::cli) fn schedule_placed(
        &mut self,
        schedule: &Schedule,
        placed: &Placed,
        next: Option<&Zoned>,
        is_image: bool,
    ) -> Result<(), Error> {
        let mut out = self.data();
        let mut write = || -> io::Result<()> {
            let what = match &placed.change {
                Change::AsWanted => "is as wanted; nothing changed",
                Change::New => "is installed",
                Change::Changed(_) => "is changed",
            };
            writeln!(out, "{STRONG}{}{STRONG:#} {what}", schedule.name)?;
            if let Change::Changed(changes) = &placed.change {
                for change in changes {
                    writeln!(out, "  changed   {change}")?;
                }
            }
            let account = match &schedule.account {
                Account::Own => None,
                Account::Named(name) => Some(name.as_str()),
                Account::Dynamic => Some("an account that systemd makes"),
            };
            let mappings: Vec<PathBuf> = schedule.mappings.iter().map(PathBuf::from).collect();
            write_schedule(&mut out, schedule.kind, &mappings, &schedule.times, account, &placed.files)?;
            let log = match (&schedule.log_file, schedule.kind) {
                (Some(file), _) => Some(file.clone()),
                (None, Kind::Crontab | Kind::CronFile) => {
                    Some(format!("~/.local/state/sispush/{}.log of the account", schedule.name))
                }
                (None, Kind::Systemd | Kind::SystemdUser | Kind::Windows) => None,
            };
            if let Some(log) = log.filter(|_| !schedule.arguments.iter().any(|option| option.starts_with("--log-file")))
            {
                writeln!(out, "  log       {log}")?;
            }
            if is_image {
                return Ok(());
            }
            if let Some(next) = next {
                writeln!(out, "  next      {}", moment(next))?;
            }
            for command in &placed.later {
                writeln!(out, "  to do     systemd does not run here; once it does: {command}")?;
            }
            if !placed.later.is_empty() {
                return Ok(());
            }
            match schedule.kind {
                Kind::Systemd => {
                    writeln!(out, "  try it    systemctl start {}.service", systemd::stem(&schedule.name))?;
                }
                Kind::SystemdUser => {
                    writeln!(out, "  try it    systemctl --user start {}.service", systemd::stem(&schedule.name))?;
                    writeln!(
                        out,
                        "  note      it runs while you are logged in, and always after `loginctl enable-linger`"
                    )?;
                }
                Kind::Windows => {
                    let arguments = ["/Run", "/TN", &windows::task(&schedule.name)].map(str::to_owned);
                    writeln!(out, "  try it    {}", windows::typed("schtasks", &arguments))?;
                }
                Kind::Crontab | Kind::CronFile => {
                    writeln!(
                        out,
                        "  note      cron makes no missed run up; what fails it mails to the account, if the machine can mail"
                    )?;
                }
            }
            Ok(())
        };
        write().map_err(write_failed)
    }

    /// What is installed.
    pub(in crate::cli) fn schedules(&mut self, all: &[Installed]) -> Result<(), Error> {
        let mut out = self.data();
        let mut write = || -> io::Result<()> {
            for found in all {
                let Installed { name, kind, mappings, times, account, files, next } = found;
                writeln!(out, "{STRONG}{name}{STRONG:#}")?;
                write_schedule(&mut out, *kind, mappings, times, account.as_deref(), files)?;
                match next {
                    Some(next) => writeln!(out, "  next      {}", moment(next))?,
                    None => writeln!(
                        out,
                        "  next      never: the timer is not enabled; `systemctl{} enable --now {}.timer` does it",
                        if *kind == Kind::SystemdUser { " --user" } else { "" },
                        systemd::stem(name)
                    )?,
                }
            }
            if all.is_empty() {
                writeln!(out, "no schedule of this account or this machine is installed")?;
            }
            Ok(())
        };
        write().map_err(write_failed)
    }

    /// Likewise, for programs.
    pub(in crate::cli) fn schedules_json(&mut self, all: &[Installed]) -> Result<(), Error> {
        let objects = all.iter().map(|found| {
            json!({
                "name": found.name,
                "kind": found.kind.name(),
                "mappings": found.mappings,
                "at": found.times.at_text(),
                "days": found.times.days().to_string(),
                "user": found.account,
                "files": found.files,
                "enabled": found.next.is_some(),
                "next": found.next.as_ref().map(|next| next.timestamp().to_string()),
            })
        });
        as_json::write(&mut self.data(), &json!({ "schedules": objects.collect::<Vec<_>>() })).map_err(write_failed)
    }

    /// That a schedule is gone.
    pub(in crate::cli) fn schedule_removed(&mut self, found: &Installed) -> Result<(), Error> {
        let mut out = self.data();
        let kind = found.kind.name();
        writeln!(out, "{STRONG}{}{STRONG:#} is removed ({kind}); state and log are left", found.name)
            .map_err(write_failed)
    }
}

fn write_schedule(
    out: &mut impl Write,
    kind: Kind,
    mappings: &[PathBuf],
    times: &Times,
    account: Option<&str>,
    files: &[PathBuf],
) -> io::Result<()> {
    let account = account.map(|account| format!(", as {account}")).unwrap_or_default();
    writeln!(out, "  by        {}{account}", kind.name())?;
    writeln!(out, "  when      {} at {}", times.days(), times.at_text().join(", "))?;
    for (index, mapping) in mappings.iter().enumerate() {
        writeln!(out, "  {:9} {}", if index == 0 { "pushes" } else { "" }, mapping.display())?;
    }
    for (index, file) in files.iter().enumerate() {
        writeln!(out, "  {:9} {}", if index == 0 { "files" } else { "" }, file.display())?;
    }
    Ok(())
}

/// `Mon 2026-11-30 04:30 (Australia/Sydney)`.
fn moment(at: &Zoned) -> String {
    let zone = at.time_zone().iana_name().map_or_else(|| at.offset().to_string(), str::to_owned);
    format!("{} ({zone})", at.strftime("%a %Y-%m-%d %H:%M"))
}
