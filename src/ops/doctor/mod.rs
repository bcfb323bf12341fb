//! What is wrong between a mapping, its source, its target and its state: step by step, each with its time and result.
//!
//! A step that fails takes with it those that need it; all others go on. Nothing is changed anywhere: the source is read,
//! the target is asked for a page (and is sent a CSV without patrons if that is asked for), the state is looked at.
//!
//! Every step has a limit of its own, so that a firewall that swallows packets costs seconds. The source sees one login,
//! and another after each extract that was stopped early; after a login that failed nothing logs in again, since
//! databases lock accounts.

pub mod bundle;
mod source;
mod state;
mod target;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::error::{ExitCode, Hint};
use crate::infiniti::TargetError;
use crate::infiniti::client::Way;
use crate::mapping::{self, Mapping, MappingError, Origin, Problem, StateLocation};
use crate::source::SourceError;
use crate::state::StateError;
use crate::sync::ExtractError;
use crate::tls::Certificate;

/// A certificate that ends within so many days is warned of.
pub const DAYS_LEFT_MIN: i64 = 30;
/// Clocks that are further apart than this are warned of, in seconds.
pub const CLOCK_MAX_S: i64 = 120;
/// Less room than this for the state is warned of, in bytes: the state of a large school has some megabytes.
const ROOM_MIN: u64 = 200 << 20;

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The mapping's file.
    Mapping,
    /// The secrets that it refers to.
    Secrets,
    /// The name of the source's host.
    SourceName,
    /// The port of the instance, from the SQL Browser.
    SourceBrowser,
    /// The source's port.
    SourcePort,
    /// The source's encryption and certificate.
    SourceTls,
    /// Logging in to the source, or opening its file.
    SourceLogin,
    /// The engine's version.
    SourceVersion,
    /// Encoding and collation of the database.
    SourceEncoding,
    /// Whether the login can write.
    SourceWriting,
    /// The difference of the clocks.
    SourceClock,
    /// One extract.
    Extract {
        /// Its feed.
        feed: &'static str,
        /// Its name.
        name: String,
    },
    /// The folder of the pictures.
    Pictures,
    /// The proxy on the way to the target.
    TargetProxy,
    /// The name of the target's host, or of the proxy's.
    TargetName,
    /// The certificate that is shown on the way to the target.
    TargetTls,
    /// Whether it answers.
    TargetAnswer,
    /// Whether it takes the credentials.
    TargetCredentials,
    /// The folder of the state.
    StateFolder,
    /// The room on its disk.
    StateRoom,
    /// The state itself.
    State,
    /// Its lock.
    StateLock,
    /// Whether what became of every patron is known.
    StateDoubt,
}

/// A part of the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The mapping and its secrets.
    Mapping,
    /// The source.
    Source,
    /// The target.
    Target,
    /// The state.
    State,
}

impl Kind {
    /// The part that the step belongs to.
    pub fn part(&self) -> Part {
        match self {
            Self::Mapping | Self::Secrets => Part::Mapping,
            Self::SourceName
            | Self::SourceBrowser
            | Self::SourcePort
            | Self::SourceTls
            | Self::SourceLogin
            | Self::SourceVersion
            | Self::SourceEncoding
            | Self::SourceWriting
            | Self::SourceClock
            | Self::Extract { .. }
            | Self::Pictures => Part::Source,
            Self::TargetProxy | Self::TargetName | Self::TargetTls | Self::TargetAnswer | Self::TargetCredentials => {
                Part::Target
            }
            Self::StateFolder | Self::StateRoom | Self::State | Self::StateLock | Self::StateDoubt => Part::State,
        }
    }
}

/// One step.
#[derive(Debug)]
pub struct Step {
    /// What was looked at.
    pub kind: Kind,
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took.
    pub elapsed: Duration,
}

/// What came of a step.
#[derive(Debug)]
pub enum Outcome {
    /// It is as it should be, or a warning is called for.
    Done(Finding),
    /// It is not.
    Failed {
        /// Why.
        failure: Failure,
        /// The certificate, if that is what it is about.
        certificate: Option<Certificate>,
    },
    /// A step that it needs has failed.
    Skipped {
        /// That step.
        after: Kind,
    },
    /// It was not asked for.
    NotAsked,
}

/// What was found.
#[derive(Debug)]
pub enum Finding {
    /// The mapping is valid.
    Mapping {
        /// How many extracts it has.
        extracts: usize,
        /// How many rules.
        rules: usize,
        /// What looks wrong.
        warnings: Vec<Problem>,
    },
    /// Every secret is there: the references as written, and where each was found.
    Secrets(Vec<(String, Option<Origin>)>),
    /// The addresses of a name.
    Addresses {
        /// The name.
        host: String,
        /// Its addresses.
        addresses: Vec<IpAddr>,
        /// Whether it is the proxy's name, which then looks up the target's.
        is_proxy: bool,
    },
    /// The port that the SQL Browser names for an instance.
    Instance {
        /// The instance.
        instance: String,
        /// Its port.
        port: u16,
    },
    /// The port is open.
    PortOpen(u16),
    /// How the connection is encrypted.
    Tls {
        /// The certificate, if one is shown.
        certificate: Option<Certificate>,
        /// Whether the server did not answer when it was asked for one.
        is_silent: bool,
        /// What the mapping asks for.
        trust: Trust,
        /// Days until the certificate ends.
        days_left: Option<i64>,
        /// Whether it looks as if a proxy stood between that inspects TLS.
        is_inspected: bool,
    },
    /// Logged in; as whom, if there are users.
    LoggedIn(Option<String>),
    /// The facts in the engine's own words.
    Fact(String),
    /// The database's encoding promises nothing.
    NoEncoding(String),
    /// The rights to write that the login has; none is as it should be. The last may stand for more.
    Rights(Vec<String>),
    /// Whether this account may write the file.
    FileWritable(bool),
    /// By how many milliseconds the server's clock is ahead of ours.
    Clock(i64),
    /// It could not be asked, which stops no push.
    NotTold(SourceError),
    /// What an extract gave.
    Extract {
        /// Its columns.
        columns: usize,
        /// The rows that came.
        rows: u64,
        /// Whether there were more.
        is_cut: bool,
    },
    /// The folder of the pictures can be read.
    Pictures {
        /// The folder.
        folder: PathBuf,
        /// How many files are in it; what they are named is told nowhere, since it is who they are of.
        files: u64,
    },
    /// An extract gave nothing within this time, though the mapping allows it more.
    Slow {
        /// So long was waited.
        waited: Duration,
        /// So long a push waits.
        allowed: Duration,
    },
    /// The way to the target.
    Way(Way),
    /// The target answered with this status.
    Answer(u16),
    /// The target took the credentials.
    Credentials {
        /// The account.
        username: String,
    },
    /// There is a state's folder, or there will be.
    Folder {
        /// The state's file.
        file: PathBuf,
        /// Whether the folder is there.
        exists: bool,
    },
    /// Bytes that are free.
    Room(u64),
    /// The mapping keeps no state.
    NoState,
    /// Nothing is known of the mapping yet.
    StateEmpty {
        /// The store.
        place: String,
    },
    /// The state can be read.
    State {
        /// The store.
        place: String,
        /// Its version.
        version: u32,
        /// How many patrons are known.
        patrons: u64,
    },
    /// Nobody holds the lock.
    LockFree,
    /// Of so many patrons it is not known what became of the last try.
    Doubt(u64),
}

/// What is asked of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It was verified.
    Verified,
    /// It is taken as it is, as the mapping says.
    Unverified,
    /// Only the login is encrypted, and the certificate taken as it is.
    LoginOnly,
    /// Nothing, since the connection stays on this machine.
    OnThisMachine,
    /// None.
    Unencrypted,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The mapping, or a secret.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// An extract.
    #[error(transparent)]
    Extract(#[from] ExtractError),
    /// The target.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The state.
    #[error(transparent)]
    State(#[from] StateError),
    /// The folder of the pictures does not answer.
    #[error("`{}` does not answer within {} s", folder.display(), limit.as_secs())]
    NoFolder {
        /// The folder.
        folder: PathBuf,
        /// The limit.
        limit: Duration,
    },
    /// The limit of the step was reached.
    #[error("no answer within {} s", limit.as_secs())]
    NoAnswer {
        /// The limit.
        limit: Duration,
    },
}

impl Failure {
    /// What to edit or run.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Mapping(error) => error.hint(),
            Self::Source(error) => error.hint(),
            Self::Extract(error) => error.hint(),
            Self::Target(error) => error.hint(),
            Self::State(error) => error.hint(),
            Self::NoFolder { .. } => {
                Some("a share that hangs holds a push up, too: is it there, and its server up?".into())
            }
            Self::NoAnswer { .. } => {
                Some("is the server overloaded, or does a firewall between look into the traffic?".into())
            }
        }
    }
}

impl Step {
    /// The exit code of a push that fails at the same place; that of success if the step did not fail.
    pub fn exit_code(&self) -> ExitCode {
        let Outcome::Failed { failure, .. } = &self.outcome else { return ExitCode::Complete };
        match failure {
            Failure::Mapping(_) | Failure::Source(SourceError::Unsupported { .. }) => ExitCode::Usage,
            Failure::Target(error) if error.is_settings() => ExitCode::Usage,
            Failure::Source(_) | Failure::Extract(_) | Failure::NoFolder { .. } => ExitCode::Source,
            Failure::Target(_) => ExitCode::Target,
            Failure::State(_) => ExitCode::State,
            Failure::NoAnswer { .. } => match self.kind.part() {
                Part::Mapping => ExitCode::Usage,
                Part::Source => ExitCode::Source,
                Part::Target => ExitCode::Target,
                Part::State => ExitCode::State,
            },
        }
    }
}

impl Finding {
    /// Whether somebody should look at it, though it stops nothing.
    pub fn is_warning(&self) -> bool {
        match self {
            Self::Mapping { warnings, .. } => !warnings.is_empty(),
            Self::Tls { is_silent, trust, days_left, is_inspected, .. } => {
                *is_inspected
                    || *is_silent
                    || days_left.is_some_and(|days| days < DAYS_LEFT_MIN)
                    || matches!(trust, Trust::Unverified | Trust::LoginOnly | Trust::Unencrypted)
            }
            Self::NoEncoding(_) | Self::NotTold(_) | Self::Slow { .. } => true,
            Self::Rights(rights) => !rights.is_empty(),
            Self::Clock(ahead_ms) => ahead_ms.abs() > CLOCK_MAX_S * 1000,
            Self::Extract { rows, is_cut, .. } => *rows == 0 && !is_cut,
            Self::Pictures { files, .. } => *files == 0,
            Self::Answer(status) => *status >= 500,
            Self::Room(bytes) => *bytes < ROOM_MIN,
            Self::Doubt(patrons) => *patrons > 0,
            // The push goes on, but somebody is not told of it.
            Self::Secrets(references) => references.iter().any(|(_, origin)| origin.is_none()),
            Self::Addresses { .. }
            | Self::Instance { .. }
            | Self::PortOpen(_)
            | Self::LoggedIn(_)
            | Self::Fact(_)
            | Self::FileWritable(_)
            | Self::Way(_)
            | Self::Credentials { .. }
            | Self::Folder { .. }
            | Self::NoState
            | Self::StateEmpty { .. }
            | Self::State { .. }
            | Self::LockFree => false,
        }
    }
}

/// Who is told of each step once it is done.
pub type Listener<'l> = &'l mut (dyn FnMut(&Step) + Send);

/// The steps so far.
struct Report<'l> {
    steps: Vec<Step>,
    listener: Listener<'l>,
}

impl Report<'_> {
    fn add(&mut self, kind: Kind, started: Instant, outcome: Outcome) {
        let step = Step { kind, outcome, elapsed: started.elapsed() };
        (self.listener)(&step);
        self.steps.push(step);
    }

    fn done(&mut self, kind: Kind, started: Instant, finding: Finding) {
        self.add(kind, started, Outcome::Done(finding));
    }

    fn failed(&mut self, kind: Kind, started: Instant, failure: impl Into<Failure>) {
        self.add(kind, started, Outcome::Failed { failure: failure.into(), certificate: None });
    }

    fn skipped(&mut self, kinds: impl IntoIterator<Item = Kind>, after: &Kind) {
        for kind in kinds {
            self.add(kind, Instant::now(), Outcome::Skipped { after: after.clone() });
        }
    }
}

/// What is asked beyond the mapping.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Another place of the state than the mapping's.
    pub state: Option<StateLocation>,
    /// Whether to try the target's credentials by a CSV without patrons.
    pub post_empty: bool,
}

/// Takes every step of a mapping that was loaded, or could not be.
pub async fn examine(
    loaded: Result<Mapping, MappingError>,
    load_time: Duration,
    asked: &Asked,
    listener: Listener<'_>,
) -> Vec<Step> {
    let mut report = Report { steps: Vec::new(), listener };
    let started = Instant::now().checked_sub(load_time).unwrap_or_else(Instant::now);
    let mut mapping = match loaded {
        Ok(mapping) => mapping,
        Err(error) => {
            report.failed(Kind::Mapping, started, error);
            return report.steps;
        }
    };
    report.done(
        Kind::Mapping,
        started,
        Finding::Mapping {
            extracts: mapping.feeds().map(|feed| feed.extracts.len()).sum(),
            rules: mapping.feeds().flat_map(|feed| &feed.extracts).map(|extract| extract.rules.len()).sum(),
            warnings: std::mem::take(&mut mapping.warnings),
        },
    );
    let started = Instant::now();
    let references = mapping.references();
    // Before the others: whoever only looks at the state needs no other secret.
    let location = match &asked.state {
        Some(location) => Some(location.clone()),
        None => mapping.resolve(&[mapping::Part::State]).is_ok().then(|| mapping.state.clone()),
    };
    let resolved = mapping.resolve(&mapping::Part::ALL);
    let has_secrets = resolved.is_ok();
    match resolved {
        Ok(()) => report.done(Kind::Secrets, started, Finding::Secrets(references)),
        Err(error) => report.failed(Kind::Secrets, started, error),
    }
    source::examine(&mapping, has_secrets, &mut report).await;
    target::examine(&mapping, has_secrets, asked.post_empty, &mut report).await;
    state::examine(&mapping, location, &mut report).await;
    report.steps
}
