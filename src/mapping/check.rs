//! From a tree to a mapping, or to every problem found.

mod expect;
mod extract;
mod feed;
mod notify;
mod query;
mod rule;
mod scalar;
mod section;
mod settings;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use crate::secret::Secret;
use url::{Host, Url};

pub(super) use notify::{notify_address, readable};
pub(crate) use scalar::duration;
use section::{Field, Section};

pub(super) use scalar::missing_file;

use super::code::Code;
use super::diagnostic::Finding;
use super::include::{Document, Files};
use super::keys;
use super::load::{Folders, Part};
use super::secret::{self, Fault, Reference};
use super::yaml::Node;
use super::{Expectation, Extract, Feed, Hold, Leavers, Limits, Mode, Notify, Proxy, StateLocation, TargetSettings};
use crate::error::Hint;
use crate::infiniti::contract::{Contract, USERS};
use crate::source::{self, Connection, Encryption, Engine};

/// What a mapping says, with the places that are needed when references are replaced.
pub(super) struct Checked {
    pub(super) name: String,
    pub(super) source: Connection,
    pub(super) target: TargetSettings,
    pub(super) users: Vec<Extract>,
    pub(super) others: Vec<Feed>,
    pub(super) mode: Mode,
    pub(super) full_every: Option<Duration>,
    pub(super) leavers: Leavers,
    pub(super) hold: Vec<Hold>,
    pub(super) state: StateLocation,
    pub(super) limits: Limits,
    pub(super) expect: Vec<Expectation>,
    pub(super) notify: Notify,
    pub(super) references: Vec<(Reference, Part, Range<usize>)>,
    pub(super) allows_commands: bool,
    pub(super) source_span: Range<usize>,
    pub(super) target_span: Range<usize>,
    pub(super) proxy_span: Option<Range<usize>>,
    pub(super) state_span: Option<Range<usize>>,
    pub(super) folders: Folders,
}

/// Checks a document. Without a mapping there is at least one error among the findings.
pub(super) fn check(root: &Node, document: &Document<'_>) -> (Option<Checked>, Vec<Finding>) {
    let mut checker = Checker::new(document);
    let mapping = checker.mapping(root, &document.files.mapping);
    (mapping, checker.findings)
}

struct Checker<'t> {
    /// The document as written.
    text: &'t str,
    /// Which file a place lies in.
    files: &'t Files,
    /// Whether the base's keys are not known, so that nobody can tell what is missing.
    lacks_base: bool,
    findings: Vec<Finding>,
    references: Vec<(Reference, Part, Range<usize>)>,
    /// The source's engine, once its address is understood.
    engine: Option<Engine>,
    /// The feed that is looked at: whose headers there are, and what its keys are called.
    feed: &'static Contract,
    /// The queries' names so far, and whose they are.
    extract_names: Vec<(String, &'static Contract)>,
    /// The groups that may be sent, by their names in lower case.
    allow: BTreeMap<String, String>,
}

impl<'t> Checker<'t> {
    fn new(document: &'t Document<'_>) -> Self {
        Self {
            text: &document.text,
            files: &document.files,
            lacks_base: !document.files.is_whole,
            findings: Vec::new(),
            references: Vec::new(),
            engine: None,
            feed: &USERS,
            extract_names: Vec::new(),
            allow: BTreeMap::new(),
        }
    }
}

impl Checker<'_> {
    fn report(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn mapping(&mut self, root: &Node, path: &Path) -> Option<Checked> {
        let start = root.span.start..root.span.start;
        let section = self.section(&keys::ROOT, &start, root)?;
        // Each part reports its problems, whatever the others say; only then may one of them be missing.
        // What it names is read already.
        if let Some(field) = section.get("include") {
            self.filled_path(field);
        }
        self.version(&section);
        let name = self.name(&section, path, &start);
        let source_field = section.get("source");
        let source = source_field.and_then(|field| self.source(field));
        self.engine = source.as_ref().map(|source| source.engine);
        let target_field = section.get("target");
        let target = target_field.and_then(|field| self.target(field));
        let users = section.get("users").and_then(|field| self.extracts(field));
        let state_field = section.get("state");
        let state = state_field.map_or(Some(StateLocation::Default), |field| self.state(field));
        let has_state = !matches!(state, Some(StateLocation::None));
        let mode = self.mode(&section, has_state);
        let full_every = self.full_every(&section, mode, has_state);
        let leavers = self.leavers(section.get("leavers"), has_state);
        let hold = self.hold(section.get("hold"));
        let limits = self.limits(section.get("limits"));
        let others = self.others(&section, users.as_deref(), limits.as_ref());
        let expect = self.expect(section.get("expect"), users.as_deref(), limits.as_ref(), has_state);
        let allows_commands = self.switch(&section, "allow_commands");
        if allows_commands == Some(false) {
            self.refuse_commands();
        }
        let notify = section.get("notify").map(|field| self.notify(field)).unwrap_or_default();
        let (target, proxy_span) = target?;
        let folders = self.folders(source_field?, target_field?, state_field);
        Some(Checked {
            name: name?,
            source: source?,
            target,
            users: users?,
            others: others?,
            mode: mode?,
            full_every,
            leavers: leavers?,
            hold: hold?,
            state: state?,
            limits: limits?,
            expect: expect?,
            notify,
            references: std::mem::take(&mut self.references),
            allows_commands: allows_commands?,
            source_span: source_field?.key_span.clone(),
            target_span: target_field?.key_span.clone(),
            proxy_span,
            state_span: state_field.map(|field| field.node.span.clone()),
            folders,
        })
    }

    fn filled_path(&mut self, field: &Field<'_>) {
        if self.text(field).is_some_and(|text| text.trim().is_empty()) {
            self.report(
                Finding::error(Code::Blank, &field.node.span, format!("`{}` is blank", field.path))
                    .hint("write the base's path, such as `_base.yaml`, or delete the line"),
            );
        }
    }

    fn folders(&self, source: &Field<'_>, target: &Field<'_>, state: Option<&Field<'_>>) -> Folders {
        let folder = |node: &Node| self.files.folder(node.span.start);
        let database = source.node.entry("url").unwrap_or(source.node);
        Folders {
            database: folder(database),
            // An address may name one, too.
            source_ca_file: folder(source.node.entry("ca_file").unwrap_or(database)),
            target_ca_file: folder(target.node.entry("ca_file").unwrap_or(target.node)),
            state: state.map_or_else(Default::default, |field| folder(field.node)),
        }
    }

    fn refuse_commands(&mut self) {
        let commands = self.references.iter().filter(|(reference, ..)| matches!(reference, Reference::Command(_)));
        let findings: Vec<Finding> = commands
            .map(|(_, _, span)| {
                Finding::error(Code::CommandNotAllowed, span, secret::COMMAND_REFUSED).hint(secret::COMMAND_HINT)
            })
            .collect();
        self.findings.extend(findings);
    }

    fn version(&mut self, section: &Section<'_>) {
        let Some(field) = section.get("version") else { return };
        if let Some(version) = self.text(field)
            && version != "1"
        {
            self.report(
                Finding::error(
                    Code::Version,
                    &field.node.span,
                    format!("version `{version}` is not one that this sispush knows"),
                )
                .hint("write `version: 1`"),
            );
        }
    }

    fn name(&mut self, section: &Section<'_>, path: &Path, start: &Range<usize>) -> Option<String> {
        let (name, finding) = if let Some(field) = section.get("name") {
            let name = self.text(field)?.to_owned();
            let message = format!("`{name}` is no name for a mapping");
            (name, Finding::error(Code::Name, &field.node.span, message).hint(NAME_RULE))
        } else {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let message = format!("the file's name gives `{name}`, which is no name for a mapping");
            let hint = if self.files.is_named_as_base() {
                BASE_ALONE
            } else {
                "rename the file, or add a line such as `name: example-college`"
            };
            (name, Finding::error(Code::Name, start, message).hint(hint))
        };
        let is_fit = name.len() <= 64
            && name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.'));
        if is_fit {
            return Some(name);
        }
        self.report(finding);
        None
    }

    fn source(&mut self, field: &Field<'_>) -> Option<Connection> {
        let section = self.section(&keys::SOURCE, &field.key_span, field.node)?;
        let username = section.get("username").map(|field| self.secret(field));
        let password = section.get("password").map(|field| self.password(field));
        let timeout = self.duration(&section, "timeout");
        let encryption = section.get("encryption").map(|_| self.one_of(&section, "encryption"));
        let trust_server_certificate = self.switch(&section, "trust_server_certificate");
        let ca_file = section.get("ca_file").map(|field| self.file(field));
        let mut connection = self.connection(section.get("url")?)?;
        if let (Some(Some(username)), Some(field)) = (username, section.get("username")) {
            self.once(field, section.get("url"), !connection.username.is_empty());
            username.clone_into(&mut connection.username);
        }
        if let (Some(Some(password)), Some(field)) = (password, section.get("password")) {
            self.once(field, section.get("url"), connection.password.is_some());
            connection.password = Some(password);
        }
        if let Some(Some(encryption)) = encryption {
            connection.encryption = match encryption {
                "strict" => Encryption::Strict,
                "login" => Encryption::Login,
                "off" => Encryption::Off,
                "preferred" => Encryption::Preferred,
                _ => Encryption::Required,
            };
        }
        if connection.engine != Engine::SqlServer
            && matches!(connection.encryption, Encryption::Strict | Encryption::Login)
        {
            let at = section.get("encryption").map_or(&field.key_span, |field| &field.node.span);
            self.report(
                Finding::error(Code::EncryptionLevel, at, "`strict` and `login` are levels of SQL Server")
                    .hint("use `required` or `off`"),
            );
        }
        if connection.engine == Engine::Odbc {
            for key in ["encryption", "trust_server_certificate", "ca_file"] {
                let Some(field) = section.get(key) else { continue };
                let message =
                    format!("`{}` does nothing through ODBC: the driver encrypts as it is told to", field.path);
                self.report(Finding::error(Code::IdleKey, &field.key_span, message).hint(
                    "delete it, and set encryption in the data source or connection string as the driver's manual says",
                ));
            }
        }
        connection.timeout = timeout?;
        // What the address itself says holds unless the key is there.
        if section.get("trust_server_certificate").is_some() {
            connection.trust_server_certificate = trust_server_certificate?;
        }
        if let Some(ca_file) = ca_file {
            connection.ca_file = Some(ca_file?);
        }
        if connection.trust_server_certificate && connection.ca_file.is_none() {
            let at = section.get("trust_server_certificate").or_else(|| section.get("url"));
            let at = at.map_or(&field.key_span, |field| &field.node.span);
            self.report(
                Finding::warning(
                    Code::UnverifiedCertificate,
                    at,
                    "the source's certificate is not verified (`trust_server_certificate`)",
                )
                .hint("name the certificate's authority in `source.ca_file` instead"),
            );
        }
        if connection.trust_server_certificate && connection.ca_file.is_some() {
            // Either may be a part of the address.
            let url = section.get("url")?;
            let of = |key| section.get(key).unwrap_or(url);
            let ca_file = (of("ca_file"), "source.ca_file");
            let (at, [ca_file, trust]) =
                self.of_both([ca_file, (of("trust_server_certificate"), "trust_server_certificate")]);
            let hint = "keep `ca_file` and delete `trust_server_certificate`";
            self.report(
                Finding::error(Code::ExclusiveKeys, at, format!("{ca_file} and {trust} exclude each other")).hint(hint),
            );
        }
        Some(connection)
    }

    fn connection(&mut self, field: &Field<'_>) -> Option<Connection> {
        let url = self.secret(field)?;
        if url.starts_with("${") {
            self.report(
                Finding::error(Code::SourceUrl, &field.node.span, "`source.url` cannot be a reference as a whole")
                    .hint("write the address here and only its secrets as references: `password: ${SIS_PASSWORD}`"),
            );
            return None;
        }
        match Connection::parse(url) {
            Ok(connection) => {
                // Said before anything else that needs the engine would fail.
                if let Err(error) = source::check_engine(connection.engine) {
                    let hint = error.hint();
                    self.report(Finding {
                        hint,
                        ..Finding::error(Code::EngineOfBuild, &field.node.span, error.to_string())
                    });
                }
                if connection.password.as_ref().is_some_and(|password| is_literal(password.expose_secret())) {
                    self.warn_literal_password(field);
                }
                Some(connection)
            }
            Err(error) => {
                let finding = Finding::error(Code::SourceUrl, &field.node.span, error.message);
                self.report(match error.hint {
                    Some(hint) => finding.hint(hint),
                    None => finding,
                });
                None
            }
        }
    }

    fn once(&mut self, field: &Field<'_>, url: Option<&Field<'_>>, is_in_url: bool) {
        let Some(url) = url.filter(|_| is_in_url) else { return };
        let hint = match [field, url].map(|field| self.files.is_base(field.key_span.start)) {
            [true, false] => "leave the login out of this address, or take it out of the base",
            [false, true] => {
                "delete it, or move the base's login from `source.url` to `source.username` and `source.password`: what a mapping has of these goes before the base's"
            }
            [true, true] | [false, false] => "delete one of the two",
        };
        let (at, [key, url]) = self.of_both([(field, &field.path), (url, &url.path)]);
        let message = format!("{key} is given twice: {url} holds one, too");
        self.report(Finding::error(Code::GivenTwice, at, message).hint(hint));
    }

    /// Where to report what two keys say together, and what to call them: of two files in the mapping, which is easier to
    /// change than what others share, with the place in the base.
    fn of_both<'f>(&self, fields: [(&'f Field<'_>, &str); 2]) -> (&'f Range<usize>, [String; 2]) {
        let [first, second] = fields.map(|(field, _)| self.files.is_base(field.key_span.start));
        let (at, _) = if first && !second { fields[1] } else { fields[0] };
        let called = fields.map(|(field, name)| {
            let start = field.key_span.start;
            if first != second && self.files.is_base(start) {
                let line = self.files.line(self.text, start);
                format!("`{name}` (`{}`, line {line})", self.files.base_name())
            } else {
                format!("`{name}`")
            }
        });
        (&at.key_span, called)
    }

    fn password(&mut self, field: &Field<'_>) -> Option<Secret> {
        let text = self.secret(field)?;
        if is_literal(text) {
            self.warn_literal_password(field);
        }
        Some(text.to_owned().into())
    }

    fn warn_literal_password(&mut self, field: &Field<'_>) {
        let name = match Part::of(&field.path) {
            Part::Source => "SIS_PASSWORD",
            Part::State => "STATE_PASSWORD",
            Part::Target => "INFINITI_PASSWORD",
            Part::Notify => "SMTP_PASSWORD",
        };
        self.report(
            Finding::warning(
                Code::LiteralPassword,
                &field.node.span,
                format!("`{}` holds a password in plain text", field.path),
            )
            .hint(format!(
                "write `${{{name}}}` instead, and set it in the environment or in a file `.env` beside the mapping"
            )),
        );
    }

    fn target(&mut self, field: &Field<'_>) -> Option<(TargetSettings, Option<Range<usize>>)> {
        let section = self.section(&keys::TARGET, &field.key_span, field.node)?;
        let url = section.get("url").and_then(|field| self.target_url(field));
        let username = section.get("username").and_then(|field| self.filled(field));
        let password = section.get("password").and_then(|field| self.password(field));
        let timeout = self.duration(&section, "timeout");
        let batch_rows = self.count(&section, "batch_rows");
        let retries = self.count(&section, "retries");
        let retry_timeouts = self.switch(&section, "retry_timeouts");
        let proxy = section.get("proxy").map_or(Some(Proxy::System), |field| self.proxy(field));
        let ca_file = section.get("ca_file").map(|field| self.file(field));
        let target = TargetSettings {
            url: url?,
            username: username?.to_owned(),
            password: password?,
            timeout: timeout?,
            batch_rows: NonZeroUsize::new(usize::try_from(batch_rows?).unwrap_or(usize::MAX)),
            retries: u32::try_from(retries?).unwrap_or(u32::MAX),
            retry_timeouts: retry_timeouts?,
            proxy: proxy?,
            ca_file: match ca_file {
                Some(file) => Some(file?),
                None => None,
            },
        };
        Some((target, section.get("proxy").map(|field| field.node.span.clone())))
    }

    fn filled<'n>(&mut self, field: &Field<'n>) -> Option<&'n str> {
        let text = self.secret(field)?;
        if text.trim().is_empty() {
            self.report(
                Finding::error(Code::Blank, &field.node.span, format!("`{}` is blank", field.path))
                    .hint("write the account that imports, such as `autoimport`"),
            );
            return None;
        }
        Some(text)
    }

    fn target_url(&mut self, field: &Field<'_>) -> Option<Url> {
        let text = self.text(field)?;
        match target_url(text) {
            Ok(url) => {
                if url.scheme() == "http" {
                    self.report(
                        Finding::warning(
                            Code::RehearsalTarget,
                            &field.node.span,
                            "the target is this machine itself, without encryption: a rehearsal",
                        )
                        .hint(
                            "for the real Infiniti write the school's address: `https://example.concordinfiniti.com`",
                        ),
                    );
                }
                Some(url)
            }
            Err(fault) => {
                self.report(Finding {
                    hint: fault.hint,
                    ..Finding::error(Code::TargetUrl, &field.node.span, fault.message)
                });
                None
            }
        }
    }

    fn proxy(&mut self, field: &Field<'_>) -> Option<Proxy> {
        let text = self.secret(field)?;
        match text {
            "system" => return Some(Proxy::System),
            "none" => return Some(Proxy::Off),
            _ => {}
        }
        if secret::references(text).next().is_none()
            && let Err(fault) = proxy_address(text)
        {
            self.report(Finding { hint: fault.hint, ..Finding::error(Code::Proxy, &field.node.span, fault.message) });
            return None;
        }
        let password = text
            .split_once("://")
            .and_then(|(_, rest)| rest.rsplit_once('@'))
            .and_then(|(login, _)| login.split_once(':'));
        if password.is_some_and(|(_, password)| is_literal(password)) {
            self.report(
                Finding::warning(
                    Code::LiteralPassword,
                    &field.node.span,
                    "`target.proxy` holds a password in plain text",
                )
                .hint("write it as a reference: `http://user:${PROXY_PASSWORD}@proxy.example:8080`"),
            );
        }
        Some(Proxy::Url(text.to_owned().into()))
    }
}

const BASE_ALONE: &str = "a file that begins with `_` is a base: check a mapping that includes it instead";

const NAME_RULE: &str = "use letters, digits, `-`, `_` and `.`, starting with a letter or digit, at most 64";

/// Whether a text is a secret itself rather than a reference to one.
fn is_literal(text: &str) -> bool {
    !text.is_empty() && secret::references(text).next().is_none()
}

/// The school's address: `https://example.concordinfiniti.com`.
fn target_url(text: &str) -> Result<Url, Fault> {
    const EXAMPLE: &str = "write the school's address alone: `https://example.concordinfiniti.com`";
    if text.contains("${") {
        return Err(Fault::new("`target.url` cannot hold references", EXAMPLE));
    }
    // The text is not shown: it may hold a password.
    let url = Url::parse(text).map_err(|error| Fault::new(format!("`target.url` is no address: {error}"), EXAMPLE))?;
    let Some(host) = url.host() else { return Err(Fault::new("`target.url` names no host", EXAMPLE)) };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::new(
            "`target.url` holds a login",
            "move it to `target.username` and `target.password`: addresses are written to logs",
        ));
    }
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&host) => {}
        "http" => {
            return Err(Fault::new("`target.url` is not encrypted (`http:`)", format!("write `https://{host}`")));
        }
        _ => return Err(Fault::new("`target.url` must begin with `https://`", EXAMPLE)),
    }
    if url.path() != "/" || text.ends_with('/') || url.query().is_some() || url.fragment().is_some() {
        let port = url.port().map_or(String::new(), |port| format!(":{port}"));
        return Err(Fault::new(
            "`target.url` goes on after the host",
            format!("sispush adds the path itself: write `{}://{host}{port}`", url.scheme()),
        ));
    }
    Ok(url)
}

/// A school's address as a new mapping writes it: `example` is `https://example.concordinfiniti.com`.
///
/// # Errors
/// What is wrong with it, and what to write.
pub(crate) fn school_address(text: &str) -> Result<String, (String, Option<Hint>)> {
    let text = text.trim().trim_end_matches('/');
    let is_name = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if let Some(rest) = text.strip_prefix("https//").or_else(|| text.strip_prefix("http//")) {
        return Err(("`target.url` lacks its colon".into(), Some(format!("write `https://{rest}`").into())));
    }
    let address = if is_name {
        format!("https://{}.concordinfiniti.com", text.to_ascii_lowercase())
    } else if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    target_url(&address).map(|_| address).map_err(|fault| (fault.message, fault.hint))
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => IpAddr::from(*address).is_loopback(),
        Host::Ipv6(address) => IpAddr::from(*address).is_loopback(),
    }
}

/// The address of a proxy. Never shown: it may hold a password.
pub(super) fn proxy_address(text: &str) -> Result<(), Fault> {
    const EXAMPLE: &str = "write `system`, `none`, or an address such as `http://proxy.example:8080`";
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(()),
        _ => Err(Fault::new("`target.proxy` is no address of a proxy", EXAMPLE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_encrypted_unless_it_is_this_machine() {
        for text in [
            "https://x.example",
            "https://x.example:8443",
            "http://localhost:8080",
            "http://127.0.0.9",
            "http://[::1]:1",
        ] {
            assert_eq!(target_url(text).unwrap().path(), "/", "{text}");
        }
        for text in [
            "http://x.example",
            "http://128.0.0.1",
            "http://[::2]",
            "http://localhost.example",
            "ftp://localhost",
            "file:///x",
        ] {
            assert!(target_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_target_is_an_address_alone() {
        for text in [
            "https://x.example/",
            "https://x.example?a",
            "https://x.example#a",
            "https://u@x.example",
            "https://:p@x.example",
            "https://",
            "x",
        ] {
            let fault = target_url(text).unwrap_err();
            assert!(fault.hint.is_some() && !fault.message.contains("p@"), "{text}");
        }
    }

    #[test]
    fn a_proxy_is_an_http_address() {
        assert!(proxy_address("http://proxy.example:8080").is_ok());
        for text in ["proxy.example:8080", "socks5://proxy.example", "", "http://"] {
            assert!(proxy_address(text).is_err(), "{text}");
        }
    }
}
