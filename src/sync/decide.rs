//! Makes the plan of every feed, by what the state knows of each.

use jiff::Timestamp;

use super::expect;
use super::plan::accounts::Accounts;
use super::{Asked, Feeds, Known, Plan, Plans, Times};
use crate::infiniti::contract::USERS;
use crate::infiniti::patron::Patrons;
use crate::mapping::Mapping;
use crate::state::{State, StateError};
use crate::sync::expect::Judged;

/// What feeds are to be planned, and by what.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// What is pushed.
    pub mapping: &'r Mapping,
    /// What the freshness queries gave.
    pub times: &'r Times,
    /// What whoever runs the push asks for.
    pub asked: Asked,
    /// The feeds that are sent.
    pub feeds: Feeds,
    /// Whether the state is this push's to keep in order: a rehearsal only looks.
    pub is_push: bool,
    /// When the push began.
    pub now: Timestamp,
}

impl Request<'_> {
    /// Makes the plans of the feeds that are sent. `patrons` are those of every feed that was read, the accounts first: the other
    /// feeds hang on them, be they sent or not. What the state says of one feed is gone before that of the next is read.
    ///
    /// # Errors
    /// Any [`StateError`].
    pub async fn plans(self, patrons: Vec<Patrons>, mut state: Option<&mut State>) -> Result<Plans, StateError> {
        let mapping = self.mapping;
        let mut plans = Vec::new();
        let mut accounts = None;
        for mut patrons in patrons {
            let contract = patrons.contract;
            let Some(feed) = mapping.feeds().find(|feed| *feed.contract == *contract) else { continue };
            let known = match &mut state {
                Some(state) => {
                    state.turn_to(contract.feed).await?;
                    // That of the accounts was put in order before the source was asked for anything.
                    if self.is_push && contract.account.is_some() {
                        state.tidy().await?;
                    }
                    Known::of(state).await?
                }
                None => Known::nothing(),
            };
            let is_sent = self.feeds.contains(contract);
            if contract.account.is_none() {
                // Nobody else needs them.
                if mapping.others.iter().any(|feed| self.feeds.contains(feed.contract)) {
                    accounts = Some(Accounts::of(&patrons, &known, is_sent));
                }
                if is_sent {
                    let facts = (&known.facts, &known.key);
                    let judged = expect::judge(&patrons, mapping, facts, self.times, self.now);
                    let plan = Plan::new(patrons, (mapping, feed), &known, judged, self.asked, self.now);
                    if let Some(accounts) = &mut accounts {
                        accounts.hold_back(&plan);
                    }
                    plans.push(plan);
                }
            } else if is_sent {
                let waiting = accounts.as_ref().map_or(0, |accounts| accounts.settle(&mut patrons));
                let asked = Asked { mode: self.asked.mode, ..Asked::default() };
                let of = (mapping, feed);
                let plan = Plan::of_feed(patrons, of, &known, accounts.as_ref(), Judged::default(), asked, self.now);
                plans.push(Plan { waiting, has_accounts_sent: self.feeds.contains(&USERS), ..plan });
            }
        }
        Ok(Plans::new(plans))
    }
}

/// Leaves out of the other feeds who has no account, for those who look and send nothing: as far as the rows of the accounts
/// tell, which must be the first. No state is asked, so whoever left since the last push counts as one without.
pub fn settle(feeds: &mut [Patrons]) {
    let Some((users, others)) = feeds.split_first_mut() else { return };
    if users.contract.account.is_none() && !others.is_empty() {
        let accounts = Accounts::of(users, &Known::nothing(), true);
        for patrons in others {
            accounts.settle(patrons);
        }
    }
}
