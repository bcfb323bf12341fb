//! What a run came to, as the history keeps it: counts, codes and our own words, never a value of a row.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

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
    /// Rows that Infiniti accepted.
    pub accepted: u64,
    /// Of these, new ones.
    pub created: u64,
    /// Of these, known ones.
    pub updated: u64,
    /// Of these, leavers that are no longer enabled.
    pub deactivated: u64,
    /// Rows that Infiniti refused.
    pub failed: u64,
    /// Rows of which nobody knows what became.
    pub unknown: u64,
    /// Rows that were not sent, since the run ended before.
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
