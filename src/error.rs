//! What a run can end with: the exit codes, and the error of every stage with its hint.

use std::borrow::Cow;

use crate::infiniti::TargetError;
use crate::mapping::MappingError;
use crate::ops::report::page::PageError;
use crate::ops::schedule::ScheduleError;
use crate::source::SourceError;
use crate::state::StateError;
use crate::sync::ExtractError;

/// The exit codes. They never change their meaning: schedulers and scripts rely on them.
///
/// The same table stands in README.md, section "Exit codes"; `tests/docs.rs` holds both together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitCode {
    /// Done, or nothing to do, or on hold.
    Complete,
    /// Done, but rows were rejected, here or by Infiniti, or held back as renamed.
    Rejections,
    /// Bad arguments or a mapping that is not valid; nothing was contacted.
    Usage,
    /// The source failed.
    Source,
    /// The target failed, or its answer is unknown.
    Target,
    /// Stopped by a limit, or by an expectation that does not hold; nothing was sent.
    Stopped,
    /// The state failed, or another run holds the lock.
    State,
    /// Interrupted by a signal.
    Interrupted,
}

impl ExitCode {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Complete,
        Self::Rejections,
        Self::Usage,
        Self::Source,
        Self::Target,
        Self::Stopped,
        Self::State,
        Self::Interrupted,
    ];

    /// The number that the operating system sees.
    pub fn number(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Rejections => 1,
            Self::Usage => 2,
            Self::Source => 3,
            Self::Target => 4,
            Self::Stopped => 5,
            Self::State => 6,
            Self::Interrupted => 130,
        }
    }

    /// What programs read in its place, in JSON and in the system's log.
    pub fn word(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Rejections => "rejections",
            Self::Usage => "usage",
            Self::Source => "source",
            Self::Target => "target",
            Self::Stopped => "stopped",
            Self::State => "state",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        code.number().into()
    }
}

/// A hint: what to edit or run. Data beside the error, so that every output can show it in its own way.
pub type Hint = Cow<'static, str>;

/// Why a command failed as a whole. Rejected rows are not among these: they are results.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The mapping is not valid, or cannot be read.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The source failed.
    #[error(transparent)]
    Source(#[from] ExtractError),
    /// The target failed.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The state failed, or another run holds the lock.
    #[error(transparent)]
    State(#[from] StateError),
    /// An argument does not fit.
    #[error("{message}")]
    Usage {
        /// What does not fit.
        message: String,
        /// What to do.
        hint: Option<Hint>,
    },
    /// A push could not be put on a schedule, or taken off it.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// A file of our own could not be written or read.
    #[error("could not {action} `{path}`")]
    File {
        /// What was tried: `write`, `create`, `read`.
        action: &'static str,
        /// The file or folder.
        path: std::path::PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The page of a report could not be made.
    #[error(transparent)]
    Page(#[from] PageError),
    /// A push took longer than it may.
    #[error("not done within the time limit of {limit}")]
    TimeLimit {
        /// The limit, as it was written.
        limit: String,
        /// Whether rows may have been sent.
        was_sending: bool,
    },
    /// A fault of ours ended a push.
    #[error("a fault of sispush ended it")]
    Crashed {
        /// Whether rows may have been sent.
        was_sending: bool,
    },
    /// A signal ended the run.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// The exit code that this error ends the program with.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            // Of a source, what this build or engine cannot do at all: nothing was contacted yet.
            Self::Mapping(_)
            | Self::Usage { .. }
            | Self::Schedule(_)
            | Self::File { .. }
            | Self::Page(_)
            | Self::Source(ExtractError::Connect { source: SourceError::Unsupported { .. }, .. }) => ExitCode::Usage,
            Self::Source(_) | Self::TimeLimit { was_sending: false, .. } | Self::Crashed { was_sending: false } => {
                ExitCode::Source
            }
            Self::Target(error) if error.is_settings() => ExitCode::Usage,
            Self::Target(_) | Self::TimeLimit { .. } | Self::Crashed { .. } => ExitCode::Target,
            Self::State(_) => ExitCode::State,
            Self::Interrupted => ExitCode::Interrupted,
        }
    }

    /// What is wrong, for the history, reports and notifications: our own words only. Causes, which may be a server's words,
    /// are for the console and the log.
    pub fn told(&self) -> String {
        match self {
            Self::Source(error) => error.told(),
            // A secret is missing or unreadable: the first thing to know. Of what else is wrong, `check` tells more.
            Self::Mapping(error) => error.secret().map_or_else(|| error.to_string(), |problem| problem.message.clone()),
            Self::Target(_)
            | Self::State(_)
            | Self::Usage { .. }
            | Self::Schedule(_)
            | Self::File { .. }
            | Self::Page(_)
            | Self::TimeLimit { .. }
            | Self::Crashed { .. }
            | Self::Interrupted => self.to_string(),
        }
    }

    /// What to edit or run, where that is known.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Mapping(error) => error.hint(),
            Self::Source(error) => error.hint(),
            Self::Target(error) => error.hint(),
            Self::State(error) => error.hint(),
            Self::Usage { hint, .. } => hint.clone(),
            Self::Schedule(error) => error.hint(),
            Self::File { action: "read", .. } => Some("does the file exist, and may this account read it?".into()),
            Self::File { .. } => Some("does the folder exist, is there room, and may this account write there?".into()),
            Self::TimeLimit { was_sending: false, .. } => Some(
                "nothing was sent; see with `sispush doctor` whether the source answers, or give more by `--time-limit`"
                    .into(),
            ),
            Self::TimeLimit { .. } => Some(
                "what Infiniti did not answer for is sent again next time; give more by `--time-limit`, or see why \
                 Infiniti is slow"
                    .into(),
            ),
            Self::Crashed { .. } => Some(
                "push again, which does no harm; report it with the file of `sispush doctor --bundle`, and with the \
                 place in the program that the log names"
                    .into(),
            ),
            Self::Page(_) | Self::Interrupted => None,
        }
    }
}

/// An error and its causes in one line, for a log.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    std::iter::once(error.to_string()).chain(causes(error)).collect::<Vec<_>>().join(": ")
}

/// The causes of an error, outermost first. A transparent error says the same as its cause, which is then left out.
pub(crate) fn causes(error: &dyn std::error::Error) -> Vec<String> {
    let mut last = error.to_string();
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if text != last {
            causes.push(text.clone());
        }
        last = text;
        cause = error.source();
    }
    causes
}
