//! Who is told what became of a push, and how.

use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use super::check;
use super::include::Document;
use super::load::{expand_path, expand_secret, secret_folders};
use super::secret::{self, Commands, Fault, Secrets};
use super::text;
use super::{Proxy, StateLocation, Template};
use crate::error::Hint;
use crate::infiniti::contract::FEEDS;
use crate::secret::Secret;

/// Who is told what became of a push, and how. Nobody, unless the mapping says so.
#[derive(Clone, Debug)]
pub struct Notify {
    /// Addresses that a message is posted to.
    pub webhooks: Vec<Webhook>,
    /// Those who get a mail.
    pub email: Option<Email>,
    /// What is asked for after each push that ended well. A secret, as whoever knows it can feign that.
    pub heartbeat: Option<Secret>,
    /// A file of metrics for Prometheus' node exporter.
    pub metrics: Option<PathBuf>,
    /// How long there may be no push that ended well.
    pub not_run_since: Option<Duration>,
    /// After this time, what stays as wrong as it was is told again.
    pub remind_every: Duration,
    /// Makes a message's first line, of [`FIELDS`].
    pub subject: Option<Template>,
    /// Makes the rest of it, likewise.
    pub text: Option<Template>,
}

impl Default for Notify {
    fn default() -> Self {
        Self {
            webhooks: Vec::new(),
            email: None,
            heartbeat: None,
            metrics: None,
            not_run_since: None,
            remind_every: Duration::from_hours(7 * 24),
            subject: None,
            text: None,
        }
    }
}

impl Notify {
    /// Whether it says anything at all.
    pub fn is_empty(&self) -> bool {
        self.webhooks.is_empty() && self.email.is_none() && self.heartbeat.is_none() && self.metrics.is_none()
    }
}

/// An address that messages are posted to.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// The address: a secret, as whoever knows it can post there.
    pub url: Secret,
    /// What is posted.
    pub style: Style,
    /// What is told there.
    pub on: Events,
}

/// What is posted to a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Fields for a program.
    Json,
    /// A message for a workflow of Microsoft Teams: an Adaptive Card.
    Teams,
    /// A message for Slack.
    Slack,
}

/// Those who get a mail.
#[derive(Clone, Debug)]
pub struct Email {
    /// The mail server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub security: Security,
    /// The account and its password, if the server wants a login.
    pub login: Option<(String, Secret)>,
    /// The sender's address.
    pub from: String,
    /// The addresses of those who are told. Never empty.
    pub to: Vec<String>,
    /// What they are told.
    pub on: Events,
}

/// How the connection to a mail server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// From its second command on (`STARTTLS`), or not at all used.
    StartTls,
    /// From its first byte.
    Tls,
    /// Not: for a server on this machine itself.
    None,
}

/// Which events are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of `on`")]
pub struct Events {
    /// A push failed.
    pub failed: bool,
    /// A limit, or an expectation, stopped it.
    pub limit: bool,
    /// It is done, but rows were rejected.
    pub rejections: bool,
    /// It is well again.
    pub recovered: bool,
    /// There was no push that ended well for too long.
    pub overdue: bool,
}

impl Events {
    /// All of them.
    pub const ALL: Self = Self { failed: true, limit: true, rejections: true, recovered: true, overdue: true };
    /// None of them.
    pub const NONE: Self = Self { failed: false, limit: false, rejections: false, recovered: false, overdue: false };
}

/// Whether the templates of a message may use a field: one of [`FIELDS`], or a count of a feed.
pub fn is_field(name: &str) -> bool {
    FIELDS.contains(&name) || count_of_feed(name).is_some()
}

/// A count of another feed than the accounts, which has both in its name (`contacts_rejected`): the feed, and which of its
/// [`COUNTS`].
pub fn count_of_feed(name: &str) -> Option<(&'static str, &'static str)> {
    let (feed, count) = name.split_once('_')?;
    let feed = FEEDS.iter().find(|known| known.account.is_some() && known.feed == feed)?;
    COUNTS.iter().find(|known| **known == count).map(|count| (feed.feed, *count))
}

/// What is counted of each feed. Of the accounts nobody waits, is kept or cannot be sent.
pub const COUNTS: [&str; 14] = [
    "rows",
    "accepted",
    "created",
    "updated",
    "deactivated",
    "unchanged",
    "rejected",
    "refused",
    "unknown",
    "not_sent",
    "leavers",
    "waiting",
    "kept",
    "unsent",
];

/// The fields that the templates of a message may use, beside the counts of the other feeds: counts, codes, times, and words of
/// our own. No field holds a value of a row or a username.
pub const FIELDS: [&str; 24] = [
    "mapping",
    "event",
    "outcome",
    "exit_code",
    "what",
    "hint",
    "command",
    "rows",
    "accepted",
    "created",
    "updated",
    "deactivated",
    "unchanged",
    "rejected",
    "refused",
    "unknown",
    "not_sent",
    "leavers",
    "host",
    "started_at",
    "ended_at",
    "seconds",
    "log",
    "file",
];

/// What is needed to tell somebody of a mapping, as far as its file gives it: it need not be valid.
#[derive(Clone, Debug)]
pub struct Contact {
    /// Its name.
    pub name: Option<String>,
    /// Whom to tell, with their secrets; without those whose secrets are missing.
    pub notify: Notify,
    /// The way out that holds for the target, and so for webhooks as well.
    pub proxy: Proxy,
    /// The authority that holds for the target, likewise for mail.
    pub ca_file: Option<PathBuf>,
    /// Where the state is.
    pub state: Option<StateLocation>,
    /// The school's address.
    pub target: Option<Url>,
    /// The days on which nothing is sent.
    pub hold: Vec<super::Hold>,
    /// Why somebody cannot be told: message and hint.
    pub missing: Vec<(String, Option<Hint>)>,
}

/// Whether a mapping's text says anything of notifications, or may take in another file that does: hundreds of mappings that
/// do not need not be taken apart once more.
pub(crate) fn may_tell(path: &Path) -> bool {
    text::read(path).is_ok_and(|text| text.contains("notify") || text.contains("include"))
}

/// The file of metrics that a mapping names, from the folder of the file in which it stands; nothing if its path has a
/// secret in it, as no secret is looked up.
pub fn metrics_file(path: &Path) -> Option<PathBuf> {
    let text = text::read(path).ok()?;
    let document = Document::read(path, &text);
    let readable = check::readable(document.tree.as_ref()?, &document)?;
    let metrics = readable.notify.metrics.filter(|file| file.to_str().is_some_and(|text| !text.contains("${")))?;
    Some(readable.metrics_folder.join(metrics))
}

/// Reads what a mapping says of notifications, and replaces its references. What is wrong elsewhere in the file does not
/// matter, as long as it is YAML; `None` if it is not, or cannot be read.
pub fn contact(path: &Path) -> Option<Contact> {
    let text = text::read(path).ok()?;
    let document = Document::read(path, &text);
    let readable = check::readable(document.tree.as_ref()?, &document)?;
    let base = document.files.base.as_ref().map(|(base, _)| &**base);
    let own_files: Vec<&Path> = std::iter::once(path).chain(base).collect();
    let commands = if readable.allows_commands { Commands::Allowed(&own_files) } else { Commands::Refused };
    let folders = secret_folders(path, base);
    let mut secrets = Secrets::new(&folders, commands, &secret::environment);
    let mut missing = Vec::new();
    let mut told = |name: &str, fault: Fault| missing.push((format!("{name}: {}", fault.message), fault.hint));
    let mut notify = readable.notify;
    notify.webhooks.retain_mut(|webhook| {
        match address(&webhook.url, "notify.webhook.url", &mut secrets) {
            Ok(url) => webhook.url = url,
            Err(fault) => {
                told("a webhook is left out", fault);
                return false;
            }
        }
        true
    });
    if let Some(email) = &mut notify.email
        && let Some((username, password)) = &mut email.login
    {
        let login = secrets.expand(username).and_then(|name| Ok((name, expand_secret(password, &mut secrets)?)));
        match login {
            Ok(login) => email.login = Some(login),
            Err(fault) => {
                told("no mail is sent", fault);
                notify.email = None;
            }
        }
    }
    if let Some(heartbeat) = notify.heartbeat.take() {
        match address(&heartbeat, "notify.heartbeat", &mut secrets) {
            Ok(url) => notify.heartbeat = Some(url),
            Err(fault) => told("there is no heartbeat", fault),
        }
    }
    if let Some(metrics) = notify.metrics.take() {
        match expand_path(&metrics, &mut secrets, &readable.metrics_folder) {
            Ok(path) => notify.metrics = Some(path),
            Err(fault) => told("no metrics are written", fault),
        }
    }
    let mut resolved = |name: &str, fault: Option<Fault>| {
        // Without anybody to tell, the push itself says what is wrong with these.
        if let Some(fault) = fault
            && !notify.is_empty()
        {
            told(name, fault);
        }
    };
    let ca_file = readable.ca_file.map(|file| expand_path(&file, &mut secrets, &readable.ca_folder)).transpose();
    let proxy = match readable.proxy {
        Proxy::Url(url) => expand_secret(&url, &mut secrets)
            .and_then(|url| check::proxy_address(url.expose_secret()).map(|()| Proxy::Url(url))),
        proxy => Ok(proxy),
    };
    let state = readable.state.map(|state| state.expanded(&mut secrets, &readable.state_folder)).transpose();
    resolved("`target.ca_file`", ca_file.as_ref().err().cloned());
    resolved("`target.proxy`", proxy.as_ref().err().cloned());
    Some(Contact {
        name: readable.name,
        notify,
        proxy: proxy.unwrap_or(Proxy::System),
        ca_file: ca_file.unwrap_or_default(),
        state: state.unwrap_or_default(),
        target: readable.target,
        hold: readable.hold,
        missing,
    })
}

fn address(written: &Secret, key: &str, secrets: &mut Secrets<'_>) -> Result<Secret, Fault> {
    let url = expand_secret(written, secrets)?;
    // What a file or a variable holds often ends in a blank.
    let url = Secret::from(url.expose_secret().trim());
    check::notify_address(url.expose_secret(), key).map(|_| url)
}
