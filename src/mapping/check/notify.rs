//! Who is told what became of a push.

use std::path::PathBuf;

use url::Url;

use super::extract::place_of_item;
use super::section::{Field, Section};
use super::{Checker, is_literal, is_loopback};
use crate::mapping::code::Code;
use crate::mapping::diagnostic::Finding;
use crate::mapping::include::Document;
use crate::mapping::keys::{self, EVENTS};
use crate::mapping::notify::{Email, Events, FIELDS, Security, Style, Webhook, is_field};
use crate::mapping::secret::Fault;
use crate::mapping::yaml::{Content, Node};
use crate::mapping::{Hold, Notify, Proxy, StateLocation, Template};
use crate::secret::Secret;

/// What can be read of a mapping that need not be valid, so that somebody can be told of it. References stay.
pub(in crate::mapping) struct Readable {
    pub(in crate::mapping) name: Option<String>,
    pub(in crate::mapping) notify: Notify,
    /// The folders that relative paths start from: each that of the file in which the path stands.
    pub(in crate::mapping) metrics_folder: PathBuf,
    pub(in crate::mapping) ca_folder: PathBuf,
    pub(in crate::mapping) state_folder: PathBuf,
    pub(in crate::mapping) allows_commands: bool,
    pub(in crate::mapping) proxy: Proxy,
    pub(in crate::mapping) ca_file: Option<PathBuf>,
    pub(in crate::mapping) state: Option<StateLocation>,
    pub(in crate::mapping) target: Option<Url>,
    pub(in crate::mapping) hold: Vec<Hold>,
}

/// Reads what is right, and passes over the rest. `None` if it is no mapping at all.
pub(in crate::mapping) fn readable(root: &Node, document: &Document<'_>) -> Option<Readable> {
    let mut checker = Checker::new(document);
    let start = root.span.start..root.span.start;
    let section = checker.section(&keys::ROOT, &start, root)?;
    let notify = section.get("notify").map(|field| checker.notify(field)).unwrap_or_default();
    let target = section.get("target");
    let target = target.and_then(|field| checker.section(&keys::TARGET, &field.key_span, field.node));
    let target = target.as_ref();
    let of_target = |name| target.and_then(|target| target.get(name));
    let folder = |field: Option<&Field<'_>>| {
        field.map_or_else(Default::default, |field| document.files.folder(field.node.span.start))
    };
    let metrics = section.get("notify").and_then(|field| field.node.entry("metrics"));
    Some(Readable {
        name: checker.name(&section, &document.files.mapping, &start),
        notify,
        metrics_folder: metrics.map_or_else(Default::default, |node| document.files.folder(node.span.start)),
        ca_folder: folder(of_target("ca_file")),
        state_folder: folder(section.get("state")),
        allows_commands: checker.switch(&section, "allow_commands").unwrap_or_default(),
        proxy: of_target("proxy").and_then(|field| checker.proxy(field)).unwrap_or(Proxy::System),
        ca_file: of_target("ca_file").and_then(|field| checker.file(field)),
        state: section.get("state").map_or(Some(StateLocation::Default), |field| checker.state(field)),
        target: of_target("url").and_then(|field| checker.target_url(field)),
        hold: checker.hold(section.get("hold")).unwrap_or_default(),
    })
}

impl Checker<'_> {
    /// What is wrong is reported, and what is right given all the same.
    pub(super) fn notify(&mut self, field: &Field<'_>) -> Notify {
        let Some(section) = self.section(&keys::NOTIFY, &field.key_span, field.node) else { return Notify::default() };
        let mut notify = Notify {
            webhooks: section.get("webhook").map(|field| self.webhooks(field)).unwrap_or_default(),
            email: section.get("email").and_then(|field| self.email(field)),
            heartbeat: section.get("heartbeat").and_then(|field| self.notify_url(field)),
            metrics: section.get("metrics").and_then(|field| self.metrics(field)),
            not_run_since: section.get("not_run_since").and_then(|_| self.duration(&section, "not_run_since")),
            subject: section.get("subject").and_then(|field| self.notify_template(field)),
            text: section.get("text").and_then(|field| self.notify_template(field)),
            ..Notify::default()
        };
        if let Some(remind_every) = self.duration(&section, "remind_every") {
            notify.remind_every = remind_every;
        }
        let has_channel = section.get("webhook").is_some() || section.get("email").is_some();
        for name in ["not_run_since", "remind_every", "subject", "text"] {
            if let (false, false, Some(idle)) = (has_channel, section.is_doubtful, section.get(name)) {
                let message = format!("`{}` does nothing without `webhook` or `email`", idle.path);
                self.report(
                    Finding::warning(Code::NobodyIsTold, &idle.key_span, message)
                        .hint("say who is told: `webhook: [{ url: \"${TEAMS_URL}\", style: teams }]`"),
                );
            }
        }
        notify
    }

    fn webhooks(&mut self, field: &Field<'_>) -> Vec<Webhook> {
        let Content::Sequence(items) = &field.node.content else {
            let message = format!("`{}` must be a list, not {}", field.path, field.node.what());
            self.report(
                Finding::error(Code::NotAList, &field.key_span, message)
                    .hint("begin each with a dash: `- { url: \"${TEAMS_URL}\", style: teams }`"),
            );
            return Vec::new();
        };
        let mut webhooks = Vec::new();
        for item in items {
            let Some(section) = self.section(&keys::WEBHOOK, &place_of_item(item), item) else { continue };
            let url = section.get("url").and_then(|field| self.notify_url(field));
            let style = self.one_of(&section, "style");
            let on = self.events(&section);
            let (Some(url), Some(style), Some(on)) = (url, style, on) else { continue };
            let style = match style {
                "teams" => Style::Teams,
                "slack" => Style::Slack,
                _ => Style::Json,
            };
            webhooks.push(Webhook { url, style, on });
        }
        webhooks
    }

    fn notify_url(&mut self, field: &Field<'_>) -> Option<Secret> {
        let text = self.secret(field)?;
        if !is_literal(text) {
            return Some(text.to_owned().into());
        }
        match notify_address(text, &field.path) {
            Ok(url) => {
                if url.scheme() == "https" {
                    let message =
                        format!("`{}` stands here in plain text, and whoever knows it can post there", field.path);
                    let name = if field.key.name == "heartbeat" { "HEARTBEAT_URL" } else { "TEAMS_URL" };
                    self.report(Finding::warning(Code::LiteralSecret, &field.node.span, message).hint(format!(
                        "write `${{{name}}}` instead, and set it in the environment or in a file `.env` beside the mapping"
                    )));
                }
                Some(text.to_owned().into())
            }
            Err(fault) => {
                self.report(Finding {
                    hint: fault.hint,
                    ..Finding::error(Code::NotifyAddress, &field.node.span, fault.message)
                });
                None
            }
        }
    }

    fn email(&mut self, field: &Field<'_>) -> Option<Email> {
        let section = self.section(&keys::EMAIL, &field.key_span, field.node)?;
        let host = section.get("host").and_then(|field| self.mail_host(field));
        let security = self.one_of(&section, "security");
        let port = section.get("port").map(|_| self.count(&section, "port"));
        let from = section.get("from").and_then(|field| {
            let text = self.text(field)?;
            self.mail_address(text, field.node, &field.path)
        });
        let to = section.get("to").and_then(|field| self.mail_addresses(field));
        let on = self.events(&section);
        let login = self.mail_login(&section);
        let security = match security? {
            "tls" => Security::Tls,
            "none" => Security::None,
            _ => Security::StartTls,
        };
        let host = host?;
        let is_here =
            Url::parse(&format!("https://{host}/")).is_ok_and(|url| url.host().is_some_and(|host| is_loopback(&host)));
        if security == Security::None && !is_here {
            let at = section.get("security").map_or(&field.key_span, |field| &field.node.span);
            let message = format!("mail to `{host}` would cross the network in the clear (`security: none`)");
            self.report(
                Finding::error(Code::MailServer, at, message)
                    .hint("write `starttls` or `tls`; `none` is for a mail server on this machine itself"),
            );
            return None;
        }
        let usual = if security == Security::Tls { 465 } else { 587 };
        Some(Email {
            host,
            port: match port {
                Some(port) => u16::try_from(port?).ok()?,
                None => usual,
            },
            security,
            login: login?,
            from: from?,
            to: to?,
            on: on?,
        })
    }

    /// A login is both or neither.
    #[expect(clippy::option_option, reason = "wrong, none, and one")]
    fn mail_login(&mut self, section: &Section<'_>) -> Option<Option<(String, Secret)>> {
        let (username, password) = (section.get("username"), section.get("password"));
        let name = username.map(|field| self.secret(field));
        let secret = password.map(|field| self.password(field));
        match (name, secret) {
            (Some(name), Some(secret)) => Some(Some((name?.to_owned(), secret?))),
            (None, None) => Some(None),
            _ if section.is_doubtful => None,
            _ => {
                let field = username.or(password)?;
                let other = if username.is_some() { "password" } else { "username" };
                let message = format!("`{}` needs a `{other}`", field.path);
                self.report(
                    Finding::error(Code::MissingKey, &field.key_span, message).hint(format!(
                        "add `{other}`, or delete `{}` if the mail server wants no login",
                        field.key.name
                    )),
                );
                None
            }
        }
    }

    fn mail_host(&mut self, field: &Field<'_>) -> Option<String> {
        let host = self.text(field)?.trim();
        let is_name = Url::parse(&format!("https://{host}/")).is_ok_and(|url| url.has_host());
        if host.is_empty() || !is_name || host.contains(['/', '@', ' ', '$', ':', '?', '#']) {
            let message = format!("`{}` is no name of a mail server", field.path);
            self.report(
                Finding::error(Code::MailServer, &field.node.span, message)
                    .hint("write the name alone: `smtp.example.edu`; the port goes into `port`"),
            );
            return None;
        }
        Some(host.to_owned())
    }

    fn mail_addresses(&mut self, field: &Field<'_>) -> Option<Vec<String>> {
        let items = match &field.node.content {
            Content::Sequence(items) if !items.is_empty() => items.as_slice(),
            _ => {
                let message = format!("`{}` must be a list of addresses, at least one", field.path);
                self.report(
                    Finding::error(Code::NobodyIsTold, &field.key_span, message)
                        .hint("write a list in brackets: `[it@example.edu]`"),
                );
                return None;
            }
        };
        let mut addresses = Vec::new();
        for item in items {
            let text = self.raw_text(item, &field.path)?;
            addresses.push(self.mail_address(text, item, &field.path)?);
        }
        Some(addresses)
    }

    fn mail_address(&mut self, text: &str, node: &Node, path: &str) -> Option<String> {
        let text = text.trim();
        let is_fit = text.split_once('@').is_some_and(|(local, domain)| {
            let is_plain = |part: &str| {
                !part.is_empty() && !part.contains(|char: char| char.is_whitespace() || "@<>,;\"".contains(char))
            };
            is_plain(local) && is_plain(domain)
        });
        if is_fit {
            return Some(text.to_owned());
        }
        self.report(
            Finding::error(Code::MailAddress, &node.span, format!("`{text}` in `{path}` is no address of a mailbox"))
                .hint("write the address alone: `it@example.edu`"),
        );
        None
    }

    fn metrics(&mut self, field: &Field<'_>) -> Option<PathBuf> {
        let text = self.secret(field)?;
        if text.trim().is_empty() || text.ends_with(['/', '\\']) {
            let message = format!("`{}` names no file", field.path);
            self.report(
                Finding::error(Code::Blank, &field.node.span, message)
                    .hint("write a file that ends in `.prom`, in the node exporter's folder for text files"),
            );
            return None;
        }
        Some(text.into())
    }

    fn events(&mut self, section: &Section<'_>) -> Option<Events> {
        let Some(field) = section.get("on") else { return Some(Events::ALL) };
        let items = match &field.node.content {
            Content::Sequence(items) if !items.is_empty() => items.as_slice(),
            _ => {
                let message = format!("`{}` must be a list of what is told, at least one", field.path);
                self.report(Finding::error(Code::NobodyIsTold, &field.key_span, message).hint(format!(
                    "write a list in brackets: `[{}]`; without `on` everything is told",
                    EVENTS.join(", ")
                )));
                return None;
            }
        };
        let mut events = Events::NONE;
        let mut is_right = true;
        for item in items {
            let word = self.raw_text(item, &field.path)?;
            match word.to_ascii_lowercase().as_str() {
                "failed" => events.failed = true,
                "limit" => events.limit = true,
                "rejections" => events.rejections = true,
                "recovered" => events.recovered = true,
                "overdue" => events.overdue = true,
                _ => {
                    is_right = false;
                    let message = format!("`{word}` is no value of `{}`", field.path);
                    self.report(Finding::error(Code::UnknownWord, &item.span, message).hint(
                        match keys::nearest(word, EVENTS) {
                            Some(nearest) => format!("did you mean `{nearest}`?"),
                            None => format!("write `{}`", EVENTS.join("` or `")),
                        },
                    ));
                }
            }
        }
        is_right.then_some(events)
    }

    /// A template of a message, which knows a closed set of fields.
    fn notify_template(&mut self, field: &Field<'_>) -> Option<Template> {
        let text = self.raw_text(field.node, &field.path)?;
        let template = match Template::compile(text) {
            Ok(template) => template,
            Err(error) => {
                self.report(
                    Finding::error(Code::Template, &field.node.span, error.to_string())
                        .hint("fields stand in double braces: `\"{{ mapping }}: {{ what }}\"`"),
                );
                return None;
            }
        };
        let unknown = template.variables().iter().find(|name| !is_field(name));
        let Some(unknown) = unknown else { return Some(template) };
        let message = format!("a notification has no field `{unknown}`");
        self.report(Finding::error(Code::NotifyField, &field.node.span, message).hint(
            match keys::nearest(unknown, FIELDS) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!(
                    "the fields are `{}`; of another feed its counts, such as `contacts_rejected`",
                    FIELDS.join("`, `")
                ),
            },
        ));
        None
    }
}

/// The address of a webhook or a heartbeat. Never shown.
pub(in crate::mapping) fn notify_address(text: &str, key: &str) -> Result<Url, Fault> {
    const EXAMPLE: &str = "copy the whole address from Teams, Slack or whoever listens: it begins with `https://`";
    let url = Url::parse(text).map_err(|error| Fault::new(format!("`{key}` is no address: {error}"), EXAMPLE))?;
    let Some(host) = url.host() else { return Err(Fault::new(format!("`{key}` names no host"), EXAMPLE)) };
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&host) => Ok(url),
        "http" => Err(Fault::new(
            format!("`{key}` is not encrypted (`http:`)"),
            "write `https://`; plain `http://` is for this machine only",
        )),
        _ => Err(Fault::new(format!("`{key}` must begin with `https://`"), EXAMPLE)),
    }
}
