//! What a push would do: decided before anything is sent, printed by a rehearsal, carried out by a push. No I/O, no clock.

pub(super) mod accounts;
mod batches;
pub(super) mod comparison;
mod leavers;
mod limits;
mod prospect;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

pub use batches::{Batch, BatchKind, Content};
use comparison::Comparison;
pub use leavers::{Leaver, Rename, Renames, Stage, Wait};
pub use limits::{Counted, Stop};
pub use prospect::Prospect;

use accounts::Accounts;

use super::expect::{Judged, Outcome, Verdict};
use crate::error::ExitCode;
use crate::infiniti::contract::{Contract, Header, HeaderSet};
use crate::infiniti::fingerprint::Key;
use crate::infiniti::patron::Patrons;
use crate::infiniti::payload::cell_value;
use crate::mapping::{Feed, LeaverAction, Leavers, Mapping, Mode, Send};
use crate::state::layer::compare_keys;
use crate::state::{Accepted, Entry, Facts, Standing, State, StateError};

/// What a push would do: a plan for each feed that it sends.
#[derive(Debug)]
pub struct Plans {
    /// In the order in which they are sent. Never empty.
    pub feeds: Vec<Plan>,
    /// A hash of what all of them would do: the same for a rehearsal and for the push after it.
    pub id: PlanId,
}

impl Plans {
    /// Of the plans of some feeds, at least one.
    pub fn new(feeds: Vec<Plan>) -> Self {
        let id = match feeds.as_slice() {
            [plan] => plan.id,
            plans => {
                let mut hash = Sha256::new();
                for plan in plans {
                    hash.update(plan.id.0);
                }
                PlanId::of(hash)
            }
        };
        Self { feeds, id }
    }

    /// That of the accounts, if they are sent.
    pub fn users(&self) -> Option<&Plan> {
        self.feeds.iter().find(|plan| plan.contract().account.is_none())
    }

    /// Everything that stops it, with the plan of which it does. Unless empty, nothing may be sent of any feed.
    pub fn stops(&self) -> impl Iterator<Item = (&Plan, &Stop)> {
        self.feeds.iter().flat_map(|plan| plan.stops.iter().map(move |stop| (plan, stop)))
    }

    /// Whether something stops it.
    pub fn is_stopped(&self) -> bool {
        self.stops().next().is_some()
    }

    /// The exit code of a rehearsal.
    pub fn exit_code(&self) -> ExitCode {
        if self.is_stopped() { ExitCode::Stopped } else { self.exit_code_within_limits() }
    }

    /// The exit code if the limits allow it, or somebody approved it, and Infiniti accepts all of it.
    pub fn exit_code_within_limits(&self) -> ExitCode {
        self.feeds.iter().map(Plan::exit_code_within_limits).max().unwrap_or(ExitCode::Complete)
    }
}

/// What a push would do with one feed.
#[derive(Debug)]
pub struct Plan {
    /// The patrons and rejections it was made of.
    pub patrons: Arc<Patrons>,
    /// A hash of what it would do: the same for a rehearsal and for the push after it.
    pub id: PlanId,
    /// Who is sent.
    pub scope: Scope,
    /// The patrons that are sent, in key order.
    pub changes: Vec<Change>,
    /// The patrons that are not sent, since Infiniti has them as they are.
    pub unchanged: u64,
    /// The patrons that Infiniti keeps as they are although rows of theirs changed, since others of their rows are rejected:
    /// what is sent replaces what is there, so that something good might go.
    pub kept: Vec<u32>,
    /// Patrons who wait for their account, which this push does not send.
    pub waiting: u64,
    /// Whether it sends other accounts, so that theirs are those that are held back since their username seems to be a new one.
    pub has_accounts_sent: bool,
    /// The patrons that Infiniti has and the source has no longer, in key order.
    pub leavers: Vec<Leaver>,
    /// Why no leaver is deactivated now, if one would be.
    pub wait: Option<Wait>,
    /// The patrons that seem to have a new username, in the key order of the old one.
    pub renames: Vec<Rename>,
    /// Whether patrons with a new username are held back.
    pub holds_renames: bool,
    /// Patrons that were missing, or deactivated, and are back.
    pub returned: Vec<u32>,
    /// Form classes that were never sent before, in order; Infiniti would create them.
    pub form_classes: Vec<String>,
    /// The batches, in the order in which they are sent.
    pub batches: Vec<Batch>,
    /// What became of the mapping's expectations.
    pub verdicts: Vec<Verdict>,
    /// The limits it is over, and the expectations that do not hold. Unless empty, nothing may be sent.
    pub stops: Vec<Stop>,
    /// Headers that are left out since nobody is known to be new.
    pub left_out: HeaderSet,
    /// Whether everybody was sent once before.
    pub has_baseline: bool,
    /// The facts that hold once all of it is done.
    pub facts: Facts,
    /// Keys to be forgotten: accounts that never were in Infiniti, and of other feeds those of whom there is no account.
    pub forgotten: Vec<String>,
}

/// The id of a plan: 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanId([u8; 8]);

impl PlanId {
    fn of(hash: Sha256) -> Self {
        let mut id = [0; 8];
        id.copy_from_slice(&hash.finalize()[..8]);
        Self(id)
    }
}

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Who is sent, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Who is new, changed, failed last time, or of unknown outcome.
    Delta,
    /// Everybody.
    Full(Why),
}

/// Why everybody is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The mapping says so, or whoever runs the push.
    Asked,
    /// There is no full push in the state yet.
    First,
    /// The last full push is longer ago than `full_every`, or the clock has gone back behind it.
    Due,
    /// The mapping fills other headers than before.
    MappingChanged,
}

/// A patron that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The patron, by its number.
    pub patron: u32,
    /// Why.
    pub reason: Reason,
    /// The headers whose values differ from those that Infiniti accepted last.
    pub headers: HeaderSet,
    /// Whether Infiniti has accepted the patron before.
    pub is_known: bool,
}

/// Why a patron is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Infiniti has not been sent the patron before.
    New,
    /// The row differs from the one that Infiniti accepted last.
    Changed,
    /// The patron was deactivated and is back.
    Returned,
    /// Infiniti refused the patron last time.
    Failed,
    /// What became of the patron last time is not known.
    Unknown,
    /// Nothing changed; everybody is sent.
    Resent,
}

impl Reason {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 6] = [Self::New, Self::Changed, Self::Returned, Self::Failed, Self::Unknown, Self::Resent];

    /// A stable name, for JSON.
    pub fn code(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Returned => "returned",
            Self::Failed => "failed_before",
            Self::Unknown => "unknown_before",
            Self::Resent => "resent",
        }
    }
}

/// What the state says, as far as a plan needs it.
#[derive(Debug)]
pub struct Known {
    /// What Infiniti has accepted.
    pub accepted: Accepted,
    /// The key of its fingerprints.
    pub key: Key,
    /// How often something was sent so far.
    pub revision: i64,
    /// About the mapping as a whole.
    pub facts: Facts,
    /// Whether there is a state that keeps the facts of this run.
    pub is_kept: bool,
}

impl Known {
    /// What a state says.
    ///
    /// # Errors
    /// Any [`StateError`].
    pub async fn of(state: &mut State) -> Result<Self, StateError> {
        Ok(Self {
            accepted: state.accepted().await?,
            key: state.key(),
            revision: state.revision(),
            facts: state.facts().clone(),
            is_kept: true,
        })
    }

    /// What is known of a patron.
    pub fn entry(&self, username: &str) -> Option<Entry<'_>> {
        self.accepted.entries().find(|entry| compare_keys(entry.username, username).is_eq())
    }

    /// The keys of another feed's patrons that are those of these usernames: by the prints of the account's header, since no
    /// value of it is kept. A text that is such a key itself stands for it.
    pub fn keys_of(&self, usernames: &[String], header: Header, others: &Accepted) -> Vec<String> {
        let wanted: HashSet<String> = usernames.iter().map(|username| username.to_lowercase()).collect();
        let own = self.accepted.entries().filter(|entry| wanted.contains(&entry.username.to_lowercase()));
        let prints: HashSet<[u8; 8]> = own
            .filter_map(|entry| match entry.standing {
                Standing::Active(active) => active.print(header)?.try_into().ok(),
                Standing::New | Standing::Deactivated { .. } => None,
            })
            .collect();
        let is_meant = |entry: &Entry<'_>| {
            wanted.contains(&entry.username.to_lowercase())
                || prints.contains(&self.key.print(header, entry.username.as_bytes()).to_le_bytes())
        };
        others.entries().filter(is_meant).map(|entry| entry.username.to_owned()).collect()
    }

    /// Without a state, or with one that has not heard of the mapping.
    pub fn nothing() -> Self {
        Self {
            accepted: Accepted::default(),
            key: Key::stored([0; 16]),
            revision: 0,
            facts: Facts::default(),
            is_kept: false,
        }
    }
}

/// What whoever runs the push asks for, beside the mapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Another mode than the mapping's.
    pub mode: Option<Mode>,
    /// What to do with patrons whose username seems to have changed.
    pub renames: Renames,
    /// Whether nobody is in Infiniti yet, so that headers for new patrons are sent to those who are not known.
    pub all_new: bool,
}

impl Plan {
    /// Compares what the source has with what Infiniti accepted.
    pub fn new(
        patrons: Patrons,
        (mapping, feed): (&Mapping, &Feed),
        known: &Known,
        judged: Judged,
        asked: Asked,
        now: Timestamp,
    ) -> Self {
        Self::of_feed(patrons, (mapping, feed), known, None, judged, asked, now)
    }

    /// Likewise of a feed that hangs on accounts: of those who have none tonight nothing is missed.
    pub(super) fn of_feed(
        patrons: Patrons,
        (mapping, feed): (&Mapping, &Feed),
        known: &Known,
        accounts: Option<&Accounts>,
        judged: Judged,
        asked: Asked,
        now: Timestamp,
    ) -> Self {
        let signature = signature(feed);
        let scope = scope(mapping, &known.facts, &signature, asked, now);
        let comparison = Comparison::of(&patrons, known, accounts, scope, now);
        let Comparison {
            mut changes,
            unchanged,
            mut leavers,
            returned,
            forgotten,
            kept,
            known: known_count,
            entries,
            ..
        } = comparison;
        let renames = leavers::find_renames(&patrons, &known.key, &changes, &mut leavers);
        let doubtful: HashSet<u32> = renames.iter().map(|rename| rename.patron).collect();
        match asked.renames {
            Renames::Hold => changes.retain(|change| !doubtful.contains(&change.patron)),
            Renames::Realigned => {
                leavers.retain(|leaver| leaver.stage != Stage::Renamed);
                for change in &mut changes {
                    change.is_known |= doubtful.contains(&change.patron);
                }
            }
            Renames::Separate => {}
        }
        let holds_renames = asked.renames == Renames::Hold && !renames.is_empty();
        let wait = leavers::settle(&mut leavers, &patrons, leavers_of(mapping, feed), asked.renames, now);
        if mapping.leavers.action == LeaverAction::Ignore {
            leavers.clear();
        }
        let create_only = patrons.create_only();
        let left_out = left_out(create_only, known, asked);
        let mut stops = limits::check(&patrons, feed, known, &changes, &leavers, known_count);
        let failed = judged.verdicts.iter().filter(|verdict| verdict.outcome == Outcome::Failed);
        stops.extend(failed.cloned().map(|verdict| Stop::Expectation(Box::new(verdict))));
        let patrons = Arc::new(patrons);
        let most = batches::Most::of(mapping, feed);
        let batches = batches::make(&patrons, &changes, &leavers, create_only, left_out, most);
        let id = id(&patrons, &signature, known, (&changes, &leavers, &batches), &judged.verdicts, !stops.is_empty());
        let left_out = if changes.iter().any(|change| !change.is_known) { left_out } else { HeaderSet::default() };
        let mut facts = Facts {
            headers: signature,
            has_baseline: true,
            rows: patrons.extracts.iter().map(|extract| (extract.name.clone(), extract.counted())).collect(),
            patrons: entries + changes.iter().filter(|change| change.reason == Reason::New).count() as u64,
            values: judged.values,
            ..known.facts.clone()
        };
        for (header, values) in &mut facts.values {
            values.extend(known.facts.values.get(header).into_iter().flatten());
        }
        if matches!(scope, Scope::Full(_)) {
            facts.full_at = Some(now.as_second());
        }
        // Whoever has never pushed would be told of every class.
        let is_first = known.facts.form_classes.is_empty();
        let mut new_classes = Vec::new();
        let classes = if known.is_kept { form_classes(&patrons, &known.key, &changes) } else { BTreeMap::new() };
        for (print, name) in classes {
            if facts.form_classes.insert(print) && !is_first {
                new_classes.push(name);
            }
        }
        new_classes.sort_unstable();
        Self {
            patrons,
            id,
            scope,
            changes,
            unchanged,
            kept,
            waiting: 0,
            has_accounts_sent: false,
            leavers,
            wait,
            renames,
            holds_renames,
            returned,
            form_classes: new_classes,
            batches,
            verdicts: judged.verdicts,
            stops,
            left_out,
            has_baseline: known.facts.has_baseline,
            facts,
            forgotten,
        }
    }

    /// The feed's contract.
    pub fn contract(&self) -> &'static Contract {
        self.patrons.contract
    }

    fn exit_code_within_limits(&self) -> ExitCode {
        if self.holds_renames || !self.patrons.rejections.is_empty() {
            ExitCode::Rejections
        } else {
            ExitCode::Complete
        }
    }

    /// How many rows it sends.
    pub fn rows_to_send(&self) -> u64 {
        self.batches.iter().map(|batch| batch.content.rows() as u64).sum()
    }

    /// How many patrons it sends.
    pub fn patrons_to_send(&self) -> u64 {
        self.batches.iter().map(|batch| batch.content.patrons() as u64).sum()
    }

    /// The changes of one reason.
    pub fn of_reason(&self, reason: Reason) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(move |change| change.reason == reason)
    }

    /// The leavers that are deactivated.
    pub fn deactivations(&self) -> impl Iterator<Item = &Leaver> {
        self.leavers.iter().filter(|leaver| leaver.stage == Stage::Due)
    }
}

/// The headers that are not sent although they are for new patrons: until everybody was sent once, who is not in the
/// state may well be in Infiniti, with a password of their own.
fn left_out(create_only: HeaderSet, known: &Known, asked: Asked) -> HeaderSet {
    if known.facts.has_baseline || asked.all_new { HeaderSet::default() } else { create_only }
}

/// Nothing says how Infiniti would be told that somebody has no contact, picture or group any more: that is only reported.
fn leavers_of(mapping: &Mapping, feed: &Feed) -> Leavers {
    match feed.contract.account {
        Some(_) if mapping.leavers.action == LeaverAction::Deactivate => {
            Leavers { action: LeaverAction::Report, ..mapping.leavers }
        }
        Some(_) | None => mapping.leavers,
    }
}

/// The headers that a feed fills, and when; of a feed with settings of its own also what these make of what is sent: another
/// signature leads to a full push.
fn signature(feed: &Feed) -> String {
    let mut headers: BTreeMap<Header, Send> = BTreeMap::new();
    for rule in feed.extracts.iter().flat_map(|extract| &extract.rules) {
        let send = headers.entry(rule.header).or_insert(rule.send);
        if rule.send == Send::Create {
            *send = Send::Create;
        }
    }
    let name = |(header, send): (&Header, &Send)| {
        let name = feed.header_name(*header);
        match send {
            Send::Always => name.to_owned(),
            Send::Create => format!("{name}:create"),
        }
    };
    let mut signature = headers.iter().map(name).collect::<Vec<_>>().join(" ");
    if feed.contract.account.is_some() {
        signature = format!("{signature} -> {}", feed.path);
    }
    if feed.images.as_ref().is_some_and(|images| images.resize) {
        signature.push_str(" resized");
    }
    signature
}

/// The form classes of those who are sent, by their prints; whoever is sent like everybody else brings no new one.
fn form_classes(patrons: &Patrons, key: &Key, changes: &[Change]) -> BTreeMap<u64, String> {
    let mut classes = BTreeMap::new();
    let Some(class) = patrons.contract.classes else { return classes };
    let sent: Vec<u32> =
        changes.iter().filter(|change| change.reason != Reason::Resent).map(|change| change.patron).collect();
    for (at, patron) in sent.iter().enumerate() {
        patrons.warm(&sent, at);
        let cell = patrons.cells(*patron).find(|(header, _)| *header == class);
        if let Some((_, cell)) = cell.filter(|(_, cell)| !cell.is_empty()) {
            classes.entry(key.print(class, cell)).or_insert_with(|| cell_value(cell).into_owned());
        }
    }
    classes
}

fn scope(mapping: &Mapping, facts: &Facts, signature: &str, asked: Asked, now: Timestamp) -> Scope {
    match asked.mode.unwrap_or(mapping.mode) {
        Mode::Full => return Scope::Full(Why::Asked),
        Mode::Delta => {}
    }
    let Some(full_at) = facts.full_at else { return Scope::Full(Why::First) };
    if asked.mode == Some(Mode::Delta) {
        return Scope::Delta;
    }
    if facts.headers != signature {
        return Scope::Full(Why::MappingChanged);
    }
    let elapsed = now.as_second() - full_at;
    match mapping.full_every {
        Some(every) if elapsed < 0 || elapsed.unsigned_abs() >= every.as_secs() => Scope::Full(Why::Due),
        _ => Scope::Delta,
    }
}

fn id(
    patrons: &Patrons,
    signature: &str,
    known: &Known,
    (changes, leavers, batches): (&[Change], &[Leaver], &[Batch]),
    verdicts: &[Verdict],
    is_stopped: bool,
) -> PlanId {
    let mut hash = Sha256::new();
    // The key keeps a plan of one patron from being guessed. A state that has sent nothing may have another key by then.
    if known.revision > 0 {
        hash.update(known.key.bytes());
    }
    hash.update(known.revision.to_le_bytes());
    for change in changes {
        hash.update([1, u8::from(change.is_known)]);
        hash.update(patrons.digest(change.patron).bytes());
    }
    for leaver in leavers.iter().filter(|leaver| leaver.stage == Stage::Due) {
        hash.update([2]);
        hash.update(leaver.username.as_bytes());
    }
    for batch in batches {
        hash.update([3]);
        hash.update(batch.headers.bits().to_le_bytes());
    }
    // Who approved that groups are added has not approved that they are replaced: the path says so.
    if patrons.contract.account.is_some() {
        hash.update([8]);
        hash.update(signature.as_bytes());
    }
    // Who approves a plan has seen which expectations fail.
    for (number, _) in verdicts.iter().enumerate().filter(|(_, verdict)| verdict.outcome == Outcome::Failed) {
        hash.update([4]);
        hash.update((number as u64).to_le_bytes());
    }
    // Nor has whoever approves forty missing rows approved sixty, though neither sends anything yet.
    if is_stopped {
        for extract in &patrons.extracts {
            hash.update([5]);
            hash.update(extract.rows.to_le_bytes());
        }
        hash.update([6]);
        hash.update((patrons.rejections.len() as u64).to_le_bytes());
        for leaver in leavers {
            hash.update([7]);
            hash.update(leaver.username.as_bytes());
        }
    }
    PlanId::of(hash)
}
