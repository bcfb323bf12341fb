//! Who is told what became of a push: webhooks, mail, a heartbeat, and a file of metrics.
//!
//! From what [happened](event) come events, from events words, and from words what a channel takes. Each channel is
//! told a thing once: what it was told last is kept in the state, by a hash of its address, and only after it has arrived.
//! Mappings that share a channel share one message.
//!
//! All of it comes after the pushes, outside of their locks, within a time limit, and changes nothing of what they came to:
//! what cannot be told is a warning.

mod error;
pub mod event;
mod http;
mod mail;
mod metrics;
mod text;
mod webhook;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::secret::Secret;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use error::NotifyError;
use event::{Came, Decision, Event, Gap, Happened, Kind, Remembered, Told, Trouble, decide};
pub use text::Place;
use text::{Item, Message, Templates};

use crate::mapping::notify::{Contact, Email, Events, Style, Webhook, contact, may_tell};
use crate::mapping::{Proxy, StateLocation};
use crate::ops::words::counted;
use crate::source::SourceError;
use crate::state::{Identity, Run, State, StateError};

/// The longest that a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The longest that a channel may take, with another try.
const LIMIT: Duration = Duration::from_secs(20);
/// Before another try.
const WAIT: Duration = Duration::from_secs(2);
/// So many channels at the same time.
const AT_ONCE: usize = 64;
/// The longest that looking into a state may take: what is told twice is better than nothing told.
const STATE_LIMIT: Duration = Duration::from_secs(10);

/// A channel: somebody who is told.
#[derive(Clone, Debug)]
pub struct Channel {
    to: To,
    way: Way,
}

#[derive(Clone, Debug)]
enum To {
    Webhook(Secret, Style),
    Email(Box<Email>),
}

/// The way out.
#[derive(Clone, Debug)]
struct Way {
    proxy: Proxy,
    ca_file: Option<PathBuf>,
}

impl Way {
    fn of(contact: &Contact) -> Self {
        Self { proxy: contact.proxy.clone(), ca_file: contact.ca_file.clone() }
    }
}

impl Channel {
    fn webhook(webhook: &Webhook, way: &Way) -> Self {
        Self { to: To::Webhook(webhook.url.clone(), webhook.style), way: way.clone() }
    }

    fn email(email: &Email, way: &Way) -> Self {
        Self { to: To::Email(Box::new(email.clone())), way: way.clone() }
    }

    /// What it is known by: a hash, since an address may be a secret.
    fn key(&self) -> String {
        let address = match &self.to {
            To::Webhook(url, _) => format!("webhook\n{}", url.expose_secret()),
            To::Email(email) => {
                let mut to = email.to.clone();
                to.sort();
                format!("email\n{}\n{}\n{}", email.host, email.port, to.join("\n"))
            }
        };
        hex(&Sha256::digest(address)[..16])
    }

    /// What people call it, without its secrets.
    fn label(&self) -> String {
        match &self.to {
            To::Webhook(url, style) => {
                let kind = match style {
                    Style::Json => "webhook",
                    Style::Teams => "Teams webhook",
                    Style::Slack => "Slack webhook",
                };
                format!("{kind} at `{}`", http::host_of(url))
            }
            To::Email(email) => {
                let addresses = counted(email.to.len() as u64, "address", "addresses");
                format!("mail to {addresses} by `{}`", email.host)
            }
        }
    }

    /// Delivers a message within the time limit, in two tries if the first failure may pass.
    async fn deliver(&self, message: &Message, host: &str) -> Result<(), NotifyError> {
        in_time(&self.host(), || self.attempt(message, host)).await
    }

    fn host(&self) -> String {
        match &self.to {
            To::Webhook(url, _) => http::host_of(url),
            To::Email(email) => email.host.clone(),
        }
    }

    async fn attempt(&self, message: &Message, host: &str) -> Result<(), NotifyError> {
        match &self.to {
            To::Webhook(url, style) => http::ask(url, &self.way, Some(&webhook::body(*style, message))).await,
            To::Email(email) => mail::send(email, &self.way, message, host).await,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing into a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

async fn in_time<F>(host: &str, mut attempt: impl FnMut() -> F) -> Result<(), NotifyError>
where
    F: Future<Output = Result<(), NotifyError>>,
{
    let tries = async {
        match attempt().await {
            Err(error) if error.is_transient() => {
                tracing::debug!(%error, "trying again");
                tokio::time::sleep(WAIT).await;
                attempt().await
            }
            result => result,
        }
    };
    match tokio::time::timeout(LIMIT, tries).await {
        Ok(result) => result,
        Err(_) => Err(NotifyError::TimedOut { host: host.to_owned(), limit: LIMIT }),
    }
}

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

/// The pushes of a mapping so far.
#[derive(Clone, Copy, Debug, Default)]
struct Lately {
    /// When the last one that ended well began.
    good: Option<Timestamp>,
    /// When the first one that is known began.
    first: Option<Timestamp>,
    /// When the last one began that ended, however that was.
    ended: Option<Timestamp>,
}

/// So many runs are looked at: more than a year of nights.
const LOOKED_BACK: u32 = 500;

impl Lately {
    /// Without the push that began at `own`, if that was the last. The state keeps whole seconds.
    async fn of(state: &mut State, own: Option<Timestamp>, now: Timestamp) -> Result<Self, StateError> {
        let mut runs = state.runs(LOOKED_BACK).await?;
        runs.retain(|run| !run.is_ahead(now));
        let is_own = |run: &Run| own.is_some_and(|own| run.started_at.as_second() == own.as_second());
        let own = usize::from(runs.first().is_some_and(is_own));
        Ok(runs.iter().skip(own).fold(Self::default(), |found, run| Self {
            good: found.good.or_else(|| run.exit_code.is_some_and(|code| code <= 1).then_some(run.started_at)),
            first: Some(run.started_at),
            ended: found.ended.or_else(|| run.exit_code.map(|_| run.started_at)),
        }))
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

/// The states of one command's mappings. A server that did not answer once is not asked again: hundreds of schools that share
/// it would each wait for it.
struct States<'s> {
    /// Goes before what the mappings say.
    given: Option<&'s StateLocation>,
    silent: Mutex<BTreeSet<String>>,
}

impl<'s> States<'s> {
    fn new(given: Option<&'s StateLocation>) -> Self {
        Self { given, silent: Mutex::default() }
    }

    /// Where that of a mapping is.
    fn location<'c>(&'c self, contact: &'c Contact) -> Option<&'c StateLocation> {
        self.given.or(contact.state.as_ref())
    }

    /// Opens that of a mapping to look at it; `None` if there is none.
    async fn open(&self, contact: &Contact) -> Result<Option<State>, StateError> {
        let identity = contact
            .name
            .clone()
            .zip(contact.target.as_ref())
            .map(|(mapping, target)| Identity { mapping, target: target.to_string() });
        let (Some(location), Some(identity)) = (self.location(contact), identity) else { return Ok(None) };
        let StateLocation::Postgres(connection) = location else { return State::look(location, &identity).await };
        let server = connection.to_string();
        let silent = |source: io::Error| {
            let source = SourceError::Unreachable { address: connection.describe(), source };
            Err(StateError::Connect { place: crate::state::Place::Server(server.clone()), source })
        };
        if self.silent().contains(&server) {
            return silent(io::Error::other("it did not answer a moment ago"));
        }
        let look = tokio::time::timeout(STATE_LIMIT, State::look(location, &identity)).await;
        let look = look.unwrap_or_else(|_| silent(io::ErrorKind::TimedOut.into()));
        if matches!(look, Err(StateError::Connect { .. } | StateError::Busy { .. } | StateError::Lost { .. })) {
            self.silent().insert(server);
        }
        look
    }

    fn silent(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
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

/// What a look at a mapping's history gave.
#[derive(Debug)]
pub struct Looked {
    /// The mapping's name, or its file's.
    pub mapping: String,
    /// What was found.
    pub found: Found,
}

/// What a look at a mapping's history can give.
#[derive(Debug)]
pub enum Found {
    /// A push ended well in time, or the first of all was not so long ago; when it began.
    InTime(Timestamp),
    /// It is on hold today.
    Held,
    /// It was never pushed.
    Never,
    /// No push ended well in time.
    Overdue(Gap),
    /// Who is to be told, and of what, cannot be read.
    NoMapping,
    /// Its history cannot be read.
    NoState(StateError),
}

/// Sees which mappings had no push that ended well in this time, and tells their channels, each once. `most` goes before
/// what the mappings say; where neither does, it is [`USUAL`].
pub async fn overdue(
    files: &[PathBuf],
    most: Option<Duration>,
    state: Option<&StateLocation>,
    place: &Place,
) -> (Vec<Looked>, Vec<Delivery>) {
    let states = States::new(state);
    let mut looked = Vec::new();
    let mut happened = Vec::new();
    for file in files {
        let (one, trouble) = look_back(file, most, &states, place).await;
        looked.push(one);
        happened.extend(trouble);
    }
    let circle = Circle::new(happened);
    let told = Box::pin(tell_channels(&circle, &states, place)).await;
    (looked, told)
}

/// A night, and two hours for one that began late.
pub const USUAL: Duration = Duration::from_hours(26);

async fn look_back(
    file: &Path,
    most: Option<Duration>,
    states: &States<'_>,
    place: &Place,
) -> (Looked, Option<Happened>) {
    let contact = contact(file);
    let name = contact.as_ref().and_then(|contact| contact.name.clone());
    let mapping = name.unwrap_or_else(|| file.display().to_string());
    let looked = |found| (Looked { mapping: mapping.clone(), found }, None);
    let Some(contact) = contact else { return looked(Found::NoMapping) };
    if contact.target.is_none() || contact.name.is_none() || states.location(&contact).is_none() {
        return looked(Found::NoMapping);
    }
    let today = place.now.to_zoned(place.zone.clone()).date();
    if contact.hold.iter().any(|hold| (hold.from..=hold.until).contains(&today)) {
        return looked(Found::Held);
    }
    let lately = match states.open(&contact).await {
        Ok(Some(mut state)) => Lately::of(&mut state, None, place.now).await,
        Ok(None) => Ok(Lately::default()),
        Err(error) => Err(error),
    };
    let lately = match lately {
        Ok(lately) => lately,
        Err(error) => return looked(Found::NoState(error)),
    };
    let most = most.or(contact.notify.not_run_since).unwrap_or(USUAL);
    let (found, gap) = match Gap::find(lately.good, lately.first, &contact.hold, most, place.now, &place.zone) {
        Some(gap) => (Found::Overdue(gap), gap),
        // Whoever asks for this wants it to be pushed.
        None if lately.first.is_none() => (Found::Never, Gap { since: None }),
        None => return looked(lately.good.or(lately.first).map_or(Found::Never, Found::InTime)),
    };
    let what = match gap.since {
        Some(since) => format!("no push has ended well since {}", text::time(since, place)),
        None => "no push has ended well yet".to_owned(),
    };
    let hint = format!(
        "is it still scheduled, and was the machine on? see what the scheduler says, and run `sispush push {}`",
        file.display()
    );
    let trouble =
        Trouble { kind: Kind::Overdue, reason: Kind::Overdue.code().into(), what, hint: Some(hint), command: None };
    let has_run_lately = lately.ended.is_some_and(|ended| {
        place.now.duration_since(ended) <= SignedDuration::try_from(most).unwrap_or(SignedDuration::MAX)
    });
    let happened = Happened {
        mapping: mapping.clone(),
        file: file.to_owned(),
        came: Came::Looked,
        exit_code: 0,
        outcome: Kind::Overdue.code(),
        started_at: place.now,
        ended_at: place.now,
        trouble: Some(trouble),
        summary: None,
        is_invalid: false,
        has_notices: false,
        gap: None,
        has_run_lately,
    };
    (Looked { mapping, found }, Some(happened))
}

/// The place of the messages of this machine.
pub fn here(log: Option<PathBuf>) -> Place {
    Place { host: crate::process::this_host(), log, now: Timestamp::now(), zone: jiff::tz::TimeZone::system() }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Regression: each school of hundreds waited for the same dead server, and one that did not answer in time looked like a
    /// state that is not there yet, so that a school was told to have never been pushed.
    #[tokio::test]
    async fn a_server_that_does_not_answer_is_asked_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        std::thread::spawn({
            let asked = Arc::clone(&asked);
            move || listener.incoming().for_each(|_hung_up| _ = asked.fetch_add(1, Ordering::SeqCst))
        });
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("school.yaml");
        let text = format!("target: {{ url: https://x.example }}\nstate: postgres://u@127.0.0.1:{port}/sispush\n");
        std::fs::write(&file, text).unwrap();
        let (contact, states) = (contact(&file).unwrap(), States::new(None));
        states.open(&contact).await.unwrap_err();
        let first = asked.load(Ordering::SeqCst);
        states.open(&contact).await.unwrap_err();
        assert_eq!((first > 0, asked.load(Ordering::SeqCst)), (true, first));
    }
}
