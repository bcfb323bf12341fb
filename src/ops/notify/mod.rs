//! Who is told what became of a push: webhooks, mail, a heartbeat, and a file of metrics.
//!
//! From what [happened](event) come events, from events words, and from words what a channel takes. Each channel is
//! told a thing once: what it was told last is kept in the state, by a hash of its address, and only after it has arrived.
//! Mappings that share a channel share one message.
//!
//! All of it comes after the pushes, outside of their locks, within a time limit, and changes nothing of what they came to:
//! what cannot be told is a warning.

mod channel;
mod error;
pub mod event;
mod http;
mod mail;
mod metrics;
mod overdue;
mod states;
mod text;
mod webhook;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use channel::Channel;
use channel::{Way, in_time};
pub use error::NotifyError;
use event::{Came, Decision, Event, Gap, Happened, Remembered, Told, decide};
use overdue::Lately;
pub use overdue::{Found, Looked, USUAL, overdue};
use states::States;
pub use text::Place;
use text::{Item, Message, Templates};

use crate::mapping::StateLocation;
use crate::mapping::notify::{Contact, Events, contact, may_tell};
use crate::secret::Secret;
use crate::state::State;

/// The longest that a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// So many channels at the same time.
const AT_ONCE: usize = 64;

/// What came of one channel.
#[derive(Debug)]
pub struct Delivery {
    /// The channel, without its secrets.
    pub channel: String,
    /// The mappings that share it.
    pub mappings: Vec<String>,
    /// Whether its message arrived.
    pub result: Result<(), NotifyError>,
}

/// A channel, and those who share it.
struct Group {
    channel: Channel,
    /// Each with what it wants to be told there.
    members: Vec<(usize, Events)>,
}

/// Who belongs to the mappings of one command.
struct Circle {
    happened: Vec<Happened>,
    contacts: Vec<Option<Contact>>,
    groups: BTreeMap<String, Group>,
}

impl Circle {
    fn new(mut happened: Vec<Happened>) -> Self {
        let contacts: Vec<Option<Contact>> = happened
            .iter()
            .map(|one| (one.is_invalid || may_tell(&one.file)).then(|| contact(&one.file)).flatten())
            .collect();
        for (happened, contact) in happened.iter_mut().zip(&contacts) {
            // What is wrong elsewhere in the file hides its name from the push.
            if let (true, Some(name)) =
                (happened.is_invalid, contact.as_ref().and_then(|contact| contact.name.as_ref()))
            {
                happened.mapping.clone_from(name);
            }
        }
        warn_of_missing(&contacts);
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        let mut mute = Vec::new();
        for (index, contact) in contacts.iter().enumerate() {
            let before = groups.values().map(|group| group.members.len()).sum::<usize>();
            if let Some(contact) = contact {
                let way = Way::of(contact);
                let webhooks = contact.notify.webhooks.iter().map(|one| (Channel::webhook(one, &way), one.on));
                let email = contact.notify.email.iter().map(|one| (Channel::email(one, &way), one.on));
                for (channel, on) in webhooks.chain(email) {
                    let group = groups.entry(channel.key()).or_insert_with(|| Group { channel, members: Vec::new() });
                    if group.members.last().is_none_or(|(last, _)| *last != index) {
                        group.members.push((index, on));
                    }
                }
            }
            let has_channel = groups.values().map(|group| group.members.len()).sum::<usize>() > before;
            if happened[index].is_invalid && !has_channel {
                mute.push(index);
            }
        }
        // Whoever looks after the others looks after this one, too.
        for group in groups.values_mut().filter(|group| group.members.len() > 1) {
            group.members.extend(mute.iter().map(|index| (*index, Events::ALL)));
        }
        Self { happened, contacts, groups }
    }

    /// Those who have a channel.
    fn members(&self) -> BTreeSet<usize> {
        self.groups.values().flat_map(|group| &group.members).map(|(index, _)| *index).collect()
    }

    /// Sees for which of them there was no push that ended well for too long, before the one that ended now.
    async fn find_gaps(&mut self, states: &States<'_>, place: &Place) {
        for index in self.members() {
            let Some(contact) = &self.contacts[index] else { continue };
            let Some(most) = contact.notify.not_run_since else { continue };
            if self.happened[index].came != Came::Pushed {
                continue;
            }
            let Ok(Some(mut state)) = states.open(contact).await else { continue };
            let began = self.happened[index].started_at;
            let Ok(lately) = Lately::of(&mut state, Some(began), place.now).await else { continue };
            self.happened[index].gap = Gap::find(lately.good, lately.first, &contact.hold, most, began, &place.zone);
        }
    }
}

fn warn_of_missing(contacts: &[Option<Contact>]) {
    // A secret that hundreds of schools share is missing once.
    let missing: BTreeSet<_> = contacts.iter().flatten().flat_map(|contact| &contact.missing).collect();
    for (message, hint) in missing {
        tracing::warn!(hint = hint.as_deref(), "notification: {message}");
    }
}

/// Tells what became of the pushes of one command, and waits until that is done. What cannot be told is a warning.
/// `state` goes before what the mappings say of their state.
pub async fn tell(happened: Vec<Happened>, state: Option<&StateLocation>, place: &Place) -> Vec<Delivery> {
    let mut circle = Circle::new(happened);
    write_metrics(&circle);
    let states = States::new(state);
    circle.find_gaps(&states, place).await;
    let heartbeats = Box::pin(beat(&circle));
    let told = Box::pin(tell_channels(&circle, &states, place));
    let (told, ()) = tokio::join!(told, heartbeats);
    for delivery in &told {
        if let Err(error) = &delivery.result {
            warn(&delivery.channel, error);
        }
    }
    told
}

fn warn(channel: &str, error: &NotifyError) {
    warn_of(error, &format!("{channel}: {error}"));
}

fn warn_of(error: &NotifyError, message: &str) {
    let causes = crate::error::causes(error);
    let cause = (!causes.is_empty()).then(|| causes.join(": "));
    tracing::warn!(cause, hint = error.hint().as_deref(), "notification: {message}");
}

fn write_metrics(circle: &Circle) {
    let mut files: BTreeMap<&PathBuf, Vec<&Happened>> = BTreeMap::new();
    for (happened, contact) in circle.happened.iter().zip(&circle.contacts) {
        if let Some(path) = contact.as_ref().and_then(|contact| contact.notify.metrics.as_ref()) {
            files.entry(path).or_default().push(happened);
        }
    }
    for (path, pushed) in files {
        if let Err(source) = metrics::write(path, &pushed) {
            let error = NotifyError::Metrics { path: path.clone(), source };
            warn_of(&error, &error.to_string());
        }
    }
}

/// Asks each heartbeat whose mappings are all well: pushed with exit code 0 or 1, on hold, or pushed so before.
async fn beat(circle: &Circle) {
    let mut beats: BTreeMap<String, (Secret, Way, bool)> = BTreeMap::new();
    for (happened, contact) in circle.happened.iter().zip(&circle.contacts) {
        let Some((contact, url)) =
            contact.as_ref().and_then(|contact| Some((contact, contact.notify.heartbeat.as_ref()?)))
        else {
            continue;
        };
        let beat = beats.entry(url.expose_secret().to_owned()).or_insert_with(|| (url.clone(), Way::of(contact), true));
        let is_well = matches!(happened.came, Came::Pushed | Came::LeftOut) && happened.exit_code <= 1;
        beat.2 &= is_well;
    }
    let mut at_work = JoinSet::new();
    let room = Arc::new(Semaphore::new(AT_ONCE));
    for (url, way, _) in beats.into_values().filter(|(_, _, is_well)| *is_well) {
        let room = Arc::clone(&room);
        at_work.spawn(async move {
            let _place = room.acquire_owned().await;
            let host = http::host_of(&url);
            (in_time(&host, || http::ask(&url, &way, None)).await, host)
        });
    }
    while let Some(beat) = at_work.join_next().await {
        if let Ok((Err(error), host)) = beat {
            warn(&format!("heartbeat at `{host}`"), &error);
        }
    }
}

/// What was told of a mapping, by the channels' keys.
type Notices = BTreeMap<String, String>;

async fn tell_channels(circle: &Circle, states: &States<'_>, place: &Place) -> Vec<Delivery> {
    let mut notices: BTreeMap<usize, Notices> = BTreeMap::new();
    for index in circle.members() {
        let happened = &circle.happened[index];
        // Of what is well, and was before, there is nothing to look up.
        if (happened.trouble.is_some() || happened.has_notices)
            && let Some(mut state) = look(circle, index, states).await
        {
            notices.insert(index, state.notices().await.unwrap_or_default());
        }
    }
    let mut at_work = JoinSet::new();
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut remembered: BTreeMap<String, Vec<(usize, Remembered)>> = BTreeMap::new();
    let mut forgotten = Vec::new();
    for (key, group) in &circle.groups {
        let mut items = Vec::new();
        for (index, on) in &group.members {
            let happened = &circle.happened[*index];
            let notify = circle.contacts[*index].as_ref().map(|contact| &contact.notify);
            let told: Option<Told> = notices
                .get(index)
                .and_then(|notices| notices.get(key))
                // What a later version wrote differently is told again.
                .and_then(|told| serde_json::from_str(told).ok());
            let remind_every = notify.map_or(Duration::from_hours(7 * 24), |notify| notify.remind_every);
            let Decision { event, remembered: after } = decide(happened, told.as_ref(), *on, remind_every, place.now);
            match event {
                Some(event) => {
                    let templates = Templates {
                        subject: notify.and_then(|notify| notify.subject.as_ref()),
                        text: notify.and_then(|notify| notify.text.as_ref()),
                    };
                    items.push(Item { event, happened, since: told.map(|told| told.since), templates });
                    remembered.entry(key.clone()).or_default().push((*index, after));
                }
                None => forgotten.push((key.clone(), *index, after)),
            }
        }
        if items.is_empty() {
            continue;
        }
        let message = composed(&items, group.members.len(), place);
        let (channel, key, room, host) = (group.channel.clone(), key.clone(), Arc::clone(&room), place.host.clone());
        let mappings = items.iter().map(|item| item.happened.mapping.clone()).collect();
        at_work.spawn(async move {
            let _place = room.acquire_owned().await;
            let result = channel.deliver(&message, &host).await;
            (key, Delivery { channel: channel.label(), mappings, result })
        });
    }
    let mut deliveries = Vec::new();
    let mut changes: BTreeMap<usize, Vec<(String, Remembered)>> = BTreeMap::new();
    for (key, index, after) in forgotten {
        changes.entry(index).or_default().push((key, after));
    }
    while let Some(done) = at_work.join_next().await {
        let Ok((key, delivery)) = done else { continue };
        // What did not arrive was not told, and is next time.
        if delivery.result.is_ok() {
            tracing::info!(channel = delivery.channel, mappings = delivery.mappings.len(), "told");
            for (index, after) in remembered.remove(&key).unwrap_or_default() {
                changes.entry(index).or_default().push((key.clone(), after));
            }
        }
        deliveries.push(delivery);
    }
    for (index, changes) in changes {
        remember(circle, index, states, &changes).await;
    }
    deliveries.sort_by(|a, b| a.channel.cmp(&b.channel));
    deliveries
}

fn composed(items: &[Item<'_>], mappings: usize, place: &Place) -> Message {
    let mut failed = Vec::new();
    let message = text::message(items, mappings, place, &mut failed);
    failed.sort_unstable();
    failed.dedup();
    for name in failed {
        tracing::warn!(
            "notification: the template `notify.{name}` does not fit its values; the usual words stand in its place"
        );
    }
    message
}

/// Opens the state of a mapping to see, or to write, what was told; `None` if there is none, or it cannot be read.
async fn look(circle: &Circle, index: usize, states: &States<'_>) -> Option<State> {
    match states.open(circle.contacts[index].as_ref()?).await {
        Ok(state) => state,
        Err(error) => {
            tracing::debug!(%error, "what was told before cannot be read");
            None
        }
    }
}

async fn remember(circle: &Circle, index: usize, states: &States<'_>, changes: &[(String, Remembered)]) {
    if changes.iter().all(|(_, after)| *after == Remembered::AsBefore) {
        return;
    }
    let Some(mut state) = look(circle, index, states).await else { return };
    for (key, after) in changes {
        let told = match after {
            Remembered::AsBefore => continue,
            // Of strings and times: it cannot fail.
            Remembered::This(told) => Some(serde_json::to_string(told).unwrap_or_default()),
            Remembered::Nothing => None,
        };
        if let Err(error) = state.notice(key, told.as_deref()).await {
            let mapping = &circle.happened[index].mapping;
            tracing::warn!(mapping, %error, "notification: what was told could not be written down; it is told again next time");
            return;
        }
    }
}

/// Sends a message on every channel of these mappings, to try whether it arrives.
pub async fn try_out(happened: Vec<Happened>, place: &Place) -> Vec<Delivery> {
    let circle = Circle::new(happened);
    let mut at_work = JoinSet::new();
    let room = Arc::new(Semaphore::new(AT_ONCE));
    for group in circle.groups.values() {
        let items: Vec<Item<'_>> = group
            .members
            .iter()
            .map(|(index, _)| Item {
                event: Event::Test,
                happened: &circle.happened[*index],
                since: None,
                templates: Templates::default(),
            })
            .collect();
        let message = composed(&items, items.len(), place);
        let (channel, room, host) = (group.channel.clone(), Arc::clone(&room), place.host.clone());
        let mappings = items.iter().map(|item| item.happened.mapping.clone()).collect();
        at_work.spawn(async move {
            let _place = room.acquire_owned().await;
            let result = channel.deliver(&message, &host).await;
            Delivery { channel: channel.label(), mappings, result }
        });
    }
    let mut deliveries = Vec::new();
    while let Some(done) = at_work.join_next().await {
        deliveries.extend(done);
    }
    deliveries.sort_by(|a, b| a.channel.cmp(&b.channel));
    deliveries
}

/// The place of the messages of this machine.
pub fn here(log: Option<PathBuf>) -> Place {
    Place { host: crate::process::this_host(), log, now: Timestamp::now(), zone: jiff::tz::TimeZone::system() }
}
