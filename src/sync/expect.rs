//! Whether what a mapping expects of the data holds. No I/O, no clock.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::freshness::{NoTime, Times};
use crate::infiniti::contract::Header;
use crate::infiniti::fingerprint::Key;
use crate::infiniti::patron::Patrons;
use crate::infiniti::payload::cell_value;
use crate::mapping::{Check, Consequence, Expectation, Limit, Mapping, ValueRule};
use crate::state::layer::compare_keys;
use crate::state::{Expectations, Facts};

/// What became of all expectations of a mapping.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// One verdict for each, in the order of the mapping.
    pub verdicts: Vec<Verdict>,
    /// For each header that is to have no new values, prints of those it has now: the state keeps them.
    pub values: BTreeMap<String, BTreeSet<u64>>,
}

/// What became of one expectation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The expectation in words.
    pub expectation: String,
    /// The base, if it stands there and not in the mapping itself.
    pub base: Option<PathBuf>,
    /// Its line in that file.
    pub line: usize,
    /// What was found.
    pub finding: Finding,
    /// What follows from it.
    pub outcome: Outcome,
}

/// Counts verdicts for the history.
pub fn count(verdicts: &[Verdict]) -> Expectations {
    let of = |outcome| verdicts.iter().filter(|verdict| verdict.outcome == outcome).count() as u64;
    Expectations { met: of(Outcome::Met), warned: of(Outcome::Warned), failed: of(Outcome::Failed) }
}

/// What follows for an expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Met,
    /// It does not hold, and the report says so.
    Warned,
    /// It does not hold, and nothing is sent.
    Failed,
    /// It could not be judged.
    Skipped,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// So many rows.
    Rows(u64),
    /// So many patrons have a value.
    Filled {
        /// Those who have one.
        filled: u64,
        /// All who were looked at.
        of: u64,
    },
    /// So many values do not hold.
    Values {
        /// Patrons whose value does not hold.
        broken: u64,
        /// Patrons with a value.
        of: u64,
        /// The first few of them, in key order.
        usernames: Vec<String>,
        /// The first few values, each once: for whoever asks for them.
        values: Vec<String>,
    },
    /// The patron has other values in these headers, and which.
    Patron(Vec<(Header, String)>),
    /// The patron's row was rejected.
    PatronRejected,
    /// No query gives the patron.
    PatronAbsent,
    /// The time is so long ago.
    Age(Duration),
    /// The query gave no time.
    NoTime(NoTime),
    /// No earlier push has noted the header's values.
    NothingKnown,
    /// The header has too many values to be noted.
    TooManyValues,
}

/// So many usernames or values stand beside a count.
const NAMED: usize = 5;

/// A time further ahead than this is none of a change: time zones are 26 hours apart at most.
const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(26);

/// A header with more values than this has new ones every day.
const VALUES_MAX: usize = 5_000;

/// Judges every expectation of a mapping. `facts` and `key` are the state's.
pub fn judge(
    patrons: &Patrons,
    mapping: &Mapping,
    (facts, key): (&Facts, &Key),
    times: &Times,
    now: Timestamp,
) -> Judged {
    let mut judged = Judged::default();
    let mut tallies = tally(patrons, &mapping.expect, facts, key);
    for (index, expectation) in mapping.expect.iter().enumerate() {
        let (finding, holds) = match &expectation.check {
            Check::Rows { extract, min, max } => {
                let rows = in_scope(patrons, extract.as_ref()).map(|extract| patrons.extracts[extract].rows).sum();
                let holds = min.is_none_or(|min| rows >= min) && max.is_none_or(|max| rows <= max);
                (Finding::Rows(rows), Some(holds))
            }
            Check::Values { header, rule, .. } => {
                let tally = tallies.get_mut(index).and_then(Option::take).unwrap_or_default();
                if matches!(rule, ValueRule::NoNewValues) && tally.prints.len() <= VALUES_MAX {
                    let name = patrons.contract.rule(*header).name.to_owned();
                    judged.values.entry(name).or_insert_with(|| tally.prints.iter().copied().collect());
                }
                tally.finding(patrons, *header, rule)
            }
            Check::Patron { username, is } => look_at(patrons, username, is),
            Check::Freshness { warn_after, error_after, .. } => {
                let (finding, outcome) = freshness(times.get(&index), *warn_after, *error_after, now);
                judged.verdicts.push(verdict(expectation, finding, outcome));
                continue;
            }
        };
        let outcome = match (holds, expectation.consequence) {
            (None, _) => Outcome::Skipped,
            (Some(true), _) => Outcome::Met,
            (Some(false), Consequence::Warn) => Outcome::Warned,
            (Some(false), Consequence::Stop) => Outcome::Failed,
        };
        judged.verdicts.push(verdict(expectation, finding, outcome));
    }
    judged
}

fn verdict(expectation: &Expectation, finding: Finding, outcome: Outcome) -> Verdict {
    let (base, line) = (expectation.base.clone(), expectation.line);
    Verdict { expectation: expectation.to_string(), base, line, finding, outcome }
}

/// The extracts that an expectation looks at, by number.
fn in_scope<'p>(patrons: &'p Patrons, extract: Option<&'p String>) -> impl Iterator<Item = usize> + 'p {
    let names = patrons.extracts.iter().enumerate();
    names.filter(move |(_, one)| extract.is_none_or(|name| *name == one.name)).map(|(number, _)| number)
}

/// What is gathered for one expectation of values.
#[derive(Debug, Default)]
struct Tally {
    /// Which extracts are looked at.
    scope: Vec<bool>,
    /// Patrons looked at.
    patrons: u64,
    filled: u64,
    broken: u64,
    usernames: Vec<String>,
    values: Vec<String>,
    /// A hash of every value, and whose it is.
    hashes: Vec<(u64, u32)>,
    /// A print of every value that any patron has, up to one more than is bearable.
    prints: BTreeSet<u64>,
    /// The prints that are known; `None` if none ever were.
    known: Option<BTreeSet<u64>>,
}

/// Gathers for all expectations of values, in one pass over the patrons.
fn tally(patrons: &Patrons, expectations: &[Expectation], facts: &Facts, key: &Key) -> Vec<Option<Tally>> {
    let mut wanted: Vec<Vec<(usize, &ValueRule)>> = vec![Vec::new(); patrons.contract.headers.len()];
    let mut tallies: Vec<Option<Tally>> = Vec::new();
    for (index, expectation) in expectations.iter().enumerate() {
        let Check::Values { header, extract, rule } = &expectation.check else {
            tallies.push(None);
            continue;
        };
        let mut tally = Tally { scope: vec![false; patrons.extracts.len()], ..Tally::default() };
        for extract in in_scope(patrons, extract.as_ref()) {
            tally.scope[extract] = true;
        }
        tally.known = facts.values.get(patrons.contract.rule(*header).name).cloned();
        wanted[header.index()].push((index, rule));
        tallies.push(Some(tally));
    }
    if tallies.iter().all(Option::is_none) {
        return tallies;
    }
    for (at, patron) in patrons.order().iter().enumerate() {
        patrons.warm(patrons.order(), at);
        let extract = usize::from(patrons.place(*patron).extract);
        for tally in tallies.iter_mut().flatten().filter(|tally| tally.scope[extract]) {
            tally.patrons += 1;
        }
        for (header, cell) in patrons.cells(*patron).filter(|(_, cell)| !cell.is_empty()) {
            for (index, rule) in &wanted[header.index()] {
                if let Some(tally) = tallies.get_mut(*index).and_then(Option::as_mut) {
                    tally.take(patrons, *patron, extract, rule, cell, || key.print(header, cell));
                }
            }
        }
    }
    tallies
}

impl Tally {
    fn take(
        &mut self,
        patrons: &Patrons,
        patron: u32,
        extract: usize,
        rule: &ValueRule,
        cell: &[u8],
        print: impl Fn() -> u64,
    ) {
        let is_in_scope = self.scope[extract];
        self.filled += u64::from(is_in_scope);
        match rule {
            ValueRule::Unique if is_in_scope => {
                let mut hasher = DefaultHasher::new();
                cell.hash(&mut hasher);
                self.hashes.push((hasher.finish(), patron));
            }
            ValueRule::NoNewValues => {
                let print = print();
                if self.prints.len() <= VALUES_MAX {
                    self.prints.insert(print);
                }
                if is_in_scope && self.known.as_ref().is_some_and(|known| !known.contains(&print)) {
                    self.breaks(patrons, patron, cell);
                }
            }
            ValueRule::Matches(_) | ValueRule::OneOf(_) | ValueRule::Range { .. } if is_in_scope => {
                if !rule.accepts(&cell_value(cell)) {
                    self.breaks(patrons, patron, cell);
                }
            }
            ValueRule::Filled(_)
            | ValueRule::Unique
            | ValueRule::Matches(_)
            | ValueRule::OneOf(_)
            | ValueRule::Range { .. } => {}
        }
    }

    fn breaks(&mut self, patrons: &Patrons, patron: u32, cell: &[u8]) {
        self.broken += 1;
        if self.usernames.len() < NAMED {
            self.usernames.push(patrons.username(patron));
        }
        if self.values.len() < NAMED {
            let value = cell_value(cell).into_owned();
            if !self.values.contains(&value) {
                self.values.push(value);
            }
        }
    }

    /// What was found, and whether it holds.
    fn finding(mut self, patrons: &Patrons, header: Header, rule: &ValueRule) -> (Finding, Option<bool>) {
        match rule {
            ValueRule::Filled(least) => {
                let (filled, of) = (self.filled, self.patrons);
                let holds = match *least {
                    Limit::Count(count) => filled >= count,
                    #[expect(clippy::cast_precision_loss, reason = "counts of patrons are far below 2^52")]
                    Limit::Percent(percent) => filled as f64 * 100.0 >= percent * of as f64,
                };
                return (Finding::Filled { filled, of }, Some(holds));
            }
            ValueRule::NoNewValues if self.prints.len() > VALUES_MAX => return (Finding::TooManyValues, None),
            ValueRule::NoNewValues if self.known.is_none() => return (Finding::NothingKnown, None),
            ValueRule::Unique => self.find_shared(patrons, header),
            ValueRule::NoNewValues | ValueRule::Matches(_) | ValueRule::OneOf(_) | ValueRule::Range { .. } => {}
        }
        let holds = self.broken == 0;
        let Self { broken, filled, usernames, values, .. } = self;
        (Finding::Values { broken, of: filled, usernames, values }, Some(holds))
    }

    /// Whose values are another's, too.
    fn find_shared(&mut self, patrons: &Patrons, header: Header) {
        let mut hashes = std::mem::take(&mut self.hashes);
        let cell = |patron: u32| patrons.cells(patron).find(|(one, _)| *one == header).map(|(_, cell)| cell);
        hashes.sort_by(|(hash, patron), (other_hash, other)| {
            hash.cmp(other_hash).then_with(|| cell(*patron).cmp(&cell(*other)))
        });
        let is_same = |(hash, patron): &(u64, u32), (other_hash, other): &(u64, u32)| {
            hash == other_hash && cell(*patron) == cell(*other)
        };
        let groups = hashes.chunk_by(is_same).filter(|same| same.len() > 1);
        let mut shared: Vec<u32> = groups.flatten().map(|(_, patron)| *patron).collect();
        shared.sort_by(|one, other| compare_keys(&patrons.key(*one), &patrons.key(*other)));
        for patron in shared {
            self.breaks(patrons, patron, cell(patron).unwrap_or_default());
        }
    }
}

fn look_at(patrons: &Patrons, username: &str, is: &[(Header, String)]) -> (Finding, Option<bool>) {
    let order = patrons.order();
    let at = order.partition_point(|patron| compare_keys(&patrons.key(*patron), username).is_lt());
    let patron = order.get(at).filter(|patron| compare_keys(&patrons.key(**patron), username).is_eq());
    let Some(patron) = patron else {
        let is_rejected = patrons.rejections.iter().any(|rejection| {
            rejection.username.as_ref().is_some_and(|rejected| compare_keys(rejected, username).is_eq())
        });
        return (if is_rejected { Finding::PatronRejected } else { Finding::PatronAbsent }, Some(false));
    };
    let has: BTreeMap<Header, String> = patrons.values(*patron).collect();
    let other: Vec<(Header, String)> = is
        .iter()
        .filter_map(|(header, expected)| {
            let value = has.get(header).cloned().unwrap_or_default();
            (value != *expected).then_some((*header, value))
        })
        .collect();
    let holds = other.is_empty();
    (Finding::Patron(other), Some(holds))
}

fn freshness(
    time: Option<&Result<Timestamp, NoTime>>,
    warn_after: Option<Duration>,
    error_after: Option<Duration>,
    now: Timestamp,
) -> (Finding, Outcome) {
    match time {
        None => (Finding::NoTime(NoTime::NotAsked), Outcome::Skipped),
        Some(Err(why)) => {
            (Finding::NoTime(*why), if error_after.is_some() { Outcome::Failed } else { Outcome::Warned })
        }
        // Such a query tells nothing of the age, and would for ever: it is no clock that is a little ahead.
        Some(Ok(time)) if time.duration_since(now) > AHEAD_MAX => (Finding::NoTime(NoTime::Ahead), Outcome::Warned),
        Some(Ok(time)) => {
            // A server whose clock or time zone is ahead has data of the future: those are fresh.
            let age = Duration::try_from(now.duration_since(*time)).unwrap_or_default();
            let is_older = |bound: Option<Duration>| bound.is_some_and(|bound| age > bound);
            let outcome = if is_older(error_after) {
                Outcome::Failed
            } else if is_older(warn_after) {
                Outcome::Warned
            } else {
                Outcome::Met
            };
            (Finding::Age(age), outcome)
        }
    }
}
