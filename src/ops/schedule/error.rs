//! Why a push cannot be put on a schedule.

use std::io;
use std::path::PathBuf;

use crate::error::Hint;

/// Why a push cannot be put on a schedule, or taken off it.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// No time of a day.
    #[error("`{text}` is no time of day")]
    Time {
        /// What was written.
        text: String,
    },
    /// No days.
    #[error("`{text}` names no days of the week")]
    Days {
        /// What was written.
        text: String,
    },
    /// A path or an argument that the place it goes to cannot hold.
    #[error("{kind} cannot be given `{text}`: {reason}", kind = kind.name())]
    Text {
        /// What runs the push.
        kind: super::Kind,
        /// The text; control characters are shown as escapes.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A command that is too long for cron.
    #[error("the line is {length} bytes long, and cron reads no more than {max}")]
    TooLong {
        /// How long it is.
        length: usize,
        /// How long it may be.
        max: usize,
    },
    /// A file of that name is there and has no marker of ours.
    #[error("`{path}` is there already, and sispush did not write it")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A schedule of that name pushes something else.
    #[error("schedule `{name}` is there already, and pushes `{mapping}`", mapping = mapping.display())]
    NameTaken {
        /// The name.
        name: String,
        /// What it pushes.
        mapping: PathBuf,
    },
    /// A marker that begins and does not end.
    #[error("the crontab has the line `{line}` without the line that belongs to it")]
    Torn {
        /// The line.
        line: String,
    },
    /// Another account's state would be in the same folder.
    #[error(
        "schedule `{other}` runs as {}, and two accounts cannot share the folder of the state",
        account.as_ref().map_or_else(|| "an account that systemd makes".to_owned(), |account| format!("`{account}`"))
    )]
    OtherAccount {
        /// The schedule.
        other: String,
        /// Its account; nothing if systemd makes it.
        account: Option<String>,
    },
    /// A file that could not be read, written or removed.
    #[error("could not {action} `{path}`")]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A program that is not there.
    #[error("could not start `{program}`")]
    Start {
        /// The program.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A program that failed.
    #[error("`{command}` failed: {message}")]
    Failed {
        /// What was run.
        command: String,
        /// What it said.
        message: String,
    },
}

impl ScheduleError {
    /// What to edit or run, where that is known.
    pub fn hint(&self) -> Option<Hint> {
        Some(match self {
            Self::Time { .. } => "write hours and minutes of local time: `--at 04:30`".into(),
            Self::Days { .. } => "write `daily`, `mon-fri`, or days such as `mon,wed,sat`".into(),
            Self::Text { .. } => "rename or move it: the quickest is a path of letters, digits, `-` and `_`".into(),
            Self::TooLong { .. } => "put the mappings into one folder, and name the folder".into(),
            Self::NameTaken { name, .. } => {
                format!("give this one another `--name`, or take that one away: `sispush schedule remove {name}`")
                    .into()
            }
            Self::Foreign { .. } => "move it away, or choose another `--name`".into(),
            Self::Torn { .. } => "mend it with `crontab -e`: remove what is left of the schedule".into(),
            Self::OtherAccount { other, account } => {
                let remove = format!("remove the other schedule first: `sispush schedule remove {other}`");
                match account {
                    Some(account) => format!("add `--user {account}`, or {remove}").into(),
                    None => format!("leave `--user` out, or {remove}").into(),
                }
            }
            Self::File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "run it as root, or without `--user` for your own account".into()
            }
            Self::Start { program: "crontab", .. } => "install cron, or use `sispush schedule systemd`".into(),
            Self::File { .. } | Self::Start { .. } | Self::Failed { .. } => return None,
        })
    }
}
