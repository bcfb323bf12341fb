//! What a run came to, as the history keeps it: counts, codes and our own words, never a value of a row.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::infiniti::contract::FEEDS;

/// What a run came to. Stored as JSON; fields are only added, and one that an older run lacks is nought.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Rows read, by extract.
    pub rows: BTreeMap<String, u64>,
    /// Rows rejected before anything was sent.
    pub rejected: u64,
    /// By the rule that they broke (a [code](crate::infiniti::value::Rule::code)); a row may break several.
    pub rejections: BTreeMap<String, u64>,
    /// Likewise, by extract.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rejections_by_extract: BTreeMap<String, BTreeMap<String, u64>>,
    /// Patrons that Infiniti had as they are.
    pub unchanged: u64,
    /// Patrons that were to be sent, by reason.
    pub planned: BTreeMap<String, u64>,
    /// Patrons in Infiniti and no longer in the source.
    pub leavers: u64,
    /// Of these, in their time of grace.
    #[serde(skip_serializing_if = "is_nought")]
    pub grace: u64,
    /// Patrons that were to be deactivated.
    pub deactivations: u64,
    /// Patrons held back, since their usernames seem to have changed.
    #[serde(skip_serializing_if = "is_nought")]
    pub renames: u64,
    /// Patrons who wait for their account.
    #[serde(skip_serializing_if = "is_nought")]
    pub waiting: u64,
    /// Patrons who are left as Infiniti has them, since rows of theirs are rejected.
    #[serde(skip_serializing_if = "is_nought")]
    pub kept: u64,
    /// What became of the mapping's expectations.
    pub expectations: Expectations,
    /// The codes of the limits and expectations that stopped it.
    pub stops: Vec<String>,
    /// Patrons that Infiniti accepted.
    pub accepted: u64,
    /// New ones, in Infiniti's count, which may be of rows.
    pub created: u64,
    /// Known ones, in Infiniti's count.
    pub updated: u64,
    /// Of those accepted, leavers that are no longer enabled.
    pub deactivated: u64,
    /// Patrons that Infiniti refused.
    pub failed: u64,
    /// Patrons of whom nobody knows what became.
    pub unknown: u64,
    /// Patrons that were not sent, since the run ended before.
    pub not_sent: u64,
    /// Patrons whose row could not be sent: a picture that was gone.
    #[serde(skip_serializing_if = "is_nought")]
    pub unsent: u64,
    /// The other feeds, by name: what stands here is of the accounts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub feeds: BTreeMap<String, Summary>,
    /// What ended the run, in our own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What to do about that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The command that carries out what a limit stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approve: Option<String>,
    /// How long each stage took.
    #[serde(skip_serializing_if = "Seconds::is_nought")]
    pub seconds: Seconds,
    /// The machine that ran it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// The id of the run of the program, which stands in every line of its log.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub run: String,
}

impl Summary {
    /// What came of each feed that was pushed, in the order in which they are sent: the accounts, which have no name here as
    /// there was nothing else once, and the others by name. Whoever tells of a run tells of these, and so of a feed to come.
    pub fn each(&self) -> impl Iterator<Item = (Option<&str>, &Self)> {
        self.accounts().map(|counts| (None, counts)).into_iter().chain(self.others().map(|(name, it)| (Some(name), it)))
    }

    /// What came of the accounts; nothing if other feeds alone were pushed.
    pub fn accounts(&self) -> Option<&Self> {
        // Accounts have an extract at least.
        (self.feeds.is_empty() || !self.rows.is_empty()).then_some(self)
    }

    /// The feeds beside the accounts.
    pub fn others(&self) -> impl Iterator<Item = (&str, &Self)> {
        // One of a newer program comes last.
        let place = |name: &str| FEEDS.iter().position(|feed| feed.feed == name).unwrap_or(FEEDS.len());
        let mut all: Vec<_> = self.feeds.iter().map(|(name, counts)| (name.as_str(), counts)).collect();
        all.sort_by_key(|(name, _)| place(name));
        all.into_iter()
    }

    /// The feed that what ended the run happened to, if that is not the accounts: the first of which something was not sent,
    /// or has an unknown outcome.
    pub fn failed_feed(&self) -> Option<&str> {
        self.each().find(|(_, counts)| counts.not_sent + counts.unknown > 0)?.0
    }

    /// Patrons that were sent, whatever became of them.
    pub fn sent(&self) -> u64 {
        self.accepted + self.failed + self.unknown
    }

    /// Whether somebody is to look at this feed: rows of it did not get into Infiniti although they were to.
    pub fn is_troubled(&self) -> bool {
        self.rejected + self.failed + self.unknown + self.not_sent + self.unsent + self.renames > 0
            || !self.stops.is_empty()
    }

    /// Whether there is anything to tell of this feed, be it that something was sent, or that something was not.
    pub fn is_eventful(&self) -> bool {
        self.is_troubled() || self.sent() + self.waiting + self.kept > 0
    }
}

/// How many expectations held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Expectations {
    /// Those that held.
    pub met: u64,
    /// Those that did not, and only warn.
    pub warned: u64,
    /// Those that did not, and stopped the run.
    pub failed: u64,
}

/// How long each stage of a run took, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Seconds {
    /// Login, queries, and the checks of every row.
    pub read: f64,
    /// Comparison with the state.
    pub plan: f64,
    /// From the first batch to the last answer.
    pub send: f64,
}

impl Seconds {
    /// To the millisecond, which is as much as anybody wants to know.
    pub fn of(read: Duration, plan: Duration, send: Duration) -> Self {
        let [read, plan, send] = [read, plan, send].map(|time| (time.as_secs_f64() * 1000.0).round() / 1000.0);
        Self { read, plan, send }
    }

    fn is_nought(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_nought(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feeds_come_in_the_order_in_which_they_are_sent() {
        let feeds = ["contacts", "groups", "images", "of a newer program"];
        let feeds = feeds.map(|name| (name.to_owned(), Summary::default())).into();
        let of = |summary: &Summary| summary.each().map(|(name, _)| name.map(str::to_owned)).collect::<Vec<_>>();
        let others = ["contacts", "images", "groups", "of a newer program"].map(|name| Some(name.to_owned()));
        // By `--feed` without the accounts.
        let summary = Summary { feeds, ..Summary::default() };
        assert_eq!(of(&summary), others);
        let all = Summary { rows: [("students".to_owned(), 0)].into(), ..summary };
        assert_eq!(of(&all), [&[None], &others[..]].concat());
        // Of a run that came to nothing, or of an older program, the accounts are all there is.
        assert_eq!(of(&Summary::default()), [None]);
    }

    #[test]
    fn the_feed_that_ended_a_run_is_the_first_that_was_not_sent_to_its_end() {
        let of = |counts: [u64; 3]| {
            let [users, contacts, groups] = counts.map(|not_sent| Summary { not_sent, ..Summary::default() });
            let rows = [("students".to_owned(), 1)].into();
            let feeds = [("contacts".to_owned(), contacts), ("groups".to_owned(), groups)].into();
            Summary { rows, feeds, ..users }.failed_feed().map(str::to_owned)
        };
        assert_eq!(of([0, 2, 1]).as_deref(), Some("contacts"));
        assert_eq!(of([3, 2, 1]), None);
        assert_eq!(of([0, 0, 0]), None);
    }
}
