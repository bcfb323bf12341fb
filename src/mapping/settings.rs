//! What a mapping says about the push itself: how much is sent, who has left, when nothing is sent, and when to stop.

use std::time::Duration;

use jiff::civil::Date;

/// What a push sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Everybody, so that edits made in Infiniti by hand are put right.
    #[default]
    Full,
    /// Who is new or changed since Infiniti accepted them last. Needs a state.
    Delta,
}

/// What happens to those whom the source no longer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leavers {
    /// What to do.
    pub action: LeaverAction,
    /// How long somebody must be missing before being deactivated: a source that is wrong for a day must not take
    /// anybody's account away.
    pub after: Duration,
}

impl Default for Leavers {
    /// Nobody is deactivated unless the mapping says so.
    fn default() -> Self {
        Self { action: LeaverAction::Report, after: Duration::from_hours(3 * 24) }
    }
}

/// What to do with those who left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaverAction {
    /// Name them, send nothing.
    Report,
    /// Send `enabled` as `N`.
    Deactivate,
    /// Nothing.
    Ignore,
}

/// Days on which nothing is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The first day.
    pub from: Date,
    /// The last day: never before the first.
    pub until: Date,
    /// Why, for those who wonder. Never blank.
    pub reason: String,
}

/// What a plan may do before a person must look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The fewest rows that each extract must give, unless it has a number of its own.
    pub min_rows: u64,
    /// The fewest rows that all extracts must give together.
    pub min_rows_in_all: u64,
    /// How many fewer rows than in the last good run there may be: of each extract, and of all together.
    pub max_drop: Limit,
    /// The most patrons that may be new; per cent are of those whom Infiniti has accepted so far.
    pub max_creates: Option<Limit>,
    /// The most patrons that may change; per cent are of those whom Infiniti has accepted so far.
    pub max_updates: Option<Limit>,
    /// The most patrons that may be deactivated; per cent are of those whom Infiniti has accepted so far.
    pub max_deactivations: Limit,
    /// The most rows that may be rejected; per cent are of all rows read.
    pub max_rejections: Limit,
}

impl Default for Limits {
    /// A few bad rows are life, many are a query that went wrong. Creates and updates have no limit, since a first
    /// push creates everybody and a new school year changes everybody.
    fn default() -> Self {
        Self {
            min_rows: 1,
            min_rows_in_all: 0,
            max_drop: Limit::Percent(25.0),
            max_creates: None,
            max_updates: None,
            max_deactivations: Limit::Percent(10.0),
            max_rejections: Limit::Percent(25.0),
        }
    }
}

/// A limit: so many, or so many of a hundred.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// A count is a count.
    Count(u64),
    /// Per cent of a total. Never bites at [`Limit::SMALL`] or fewer.
    Percent(f64),
}
impl Eq for Limit {}

impl Limit {
    /// A limit in per cent never bites at so few.
    pub const SMALL: u64 = 5;

    /// Whether `count` out of `total` is over the limit.
    pub fn is_exceeded(self, count: u64, total: u64) -> bool {
        match self {
            Self::Count(limit) => count > limit,
            #[expect(clippy::cast_precision_loss, reason = "counts of patrons are far below 2^52")]
            Self::Percent(limit) => count > Self::SMALL && count as f64 * 100.0 > limit * total as f64,
        }
    }
}
