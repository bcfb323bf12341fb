//! Somebody who is told, and the way there.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::text::Message;
use super::{NotifyError, http, mail, webhook};
use crate::mapping::Proxy;
use crate::mapping::notify::{Contact, Email, Style, Webhook};
use crate::ops::words::counted;
use crate::secret::Secret;

/// The longest that a channel may take, with another try.
const LIMIT: Duration = Duration::from_secs(20);
/// Before another try.
const WAIT: Duration = Duration::from_secs(2);

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
pub(super) struct Way {
    pub(super) proxy: Proxy,
    pub(super) ca_file: Option<PathBuf>,
}

impl Way {
    pub(super) fn of(contact: &Contact) -> Self {
        Self { proxy: contact.proxy.clone(), ca_file: contact.ca_file.clone() }
    }
}

impl Channel {
    pub(super) fn webhook(webhook: &Webhook, way: &Way) -> Self {
        Self { to: To::Webhook(webhook.url.clone(), webhook.style), way: way.clone() }
    }

    pub(super) fn email(email: &Email, way: &Way) -> Self {
        Self { to: To::Email(Box::new(email.clone())), way: way.clone() }
    }

    /// What it is known by: a hash, since an address may be a secret.
    pub(super) fn key(&self) -> String {
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
    pub(super) fn label(&self) -> String {
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
    pub(super) async fn deliver(&self, message: &Message, host: &str) -> Result<(), NotifyError> {
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

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing into a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

pub(super) async fn in_time<F>(host: &str, mut attempt: impl FnMut() -> F) -> Result<(), NotifyError>
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
