//! What can go wrong between us and Infiniti, and what to do about it.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use super::answer::{Doubt, RetryAfter, Words};
use super::contract::{Contract, USERS_PATH};
use crate::error::Hint;

/// Why a batch has no receipt. Holds no values of rows and no secrets.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Credentials would cross the network in the clear.
    #[error("`{host}` would be reached without TLS")]
    Insecure {
        /// The host.
        host: String,
    },
    /// The file of authorities cannot be read.
    #[error("could not read `target.ca_file` `{}`", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file of authorities holds no certificate as PEM.
    #[error("`target.ca_file` `{}` holds no certificate as PEM", path.display())]
    CaFileEmpty {
        /// The file.
        path: PathBuf,
    },
    /// The proxy's address is none. It may hold a password, so it is not shown.
    #[error("`target.proxy` is not an address of a proxy")]
    ProxyAddress,
    /// The HTTP client could not be built, or a request could not.
    #[error("could not prepare the request")]
    Client {
        /// Why.
        source: reqwest::Error,
    },
    /// A host's name has no address: Infiniti's, or the proxy's.
    #[error("could not resolve the host name `{host}`")]
    NameNotResolved {
        /// The host.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// Nothing answered. Nothing was sent.
    #[error("could not connect to `{host}`")]
    Unreachable {
        /// The host.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// Nothing answered at the proxy's address. Nothing was sent.
    #[error("could not connect to the proxy `{proxy}`, which is on the way to `{host}`")]
    ProxyUnreachable {
        /// The proxy's address, without username and password.
        proxy: String,
        /// The host behind it.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// The certificate that was shown is not trusted. Nothing was sent.
    #[error("certificate of `{host}` is not trusted{}", SignedBy(issuer.as_deref()))]
    Untrusted {
        /// The host.
        host: String,
        /// Who signed it, if that could be found out.
        issuer: Option<String>,
        /// Why, in the library's words.
        source: rustls::Error,
    },
    /// The certificate that was shown is that of another host. Nothing was sent.
    #[error("certificate shown by `{host}` is not for that name{}", SignedBy(issuer.as_deref()))]
    OtherName {
        /// The host.
        host: String,
        /// Who signed it, if that could be found out.
        issuer: Option<String>,
        /// Why, in the library's words.
        source: rustls::Error,
    },
    /// The certificate that was shown is too old, or the clock is wrong. Nothing was sent.
    #[error("certificate of `{host}` is not valid at this time{}", SignedBy(issuer.as_deref()))]
    OutOfDate {
        /// The host.
        host: String,
        /// Who signed it, if that could be found out.
        issuer: Option<String>,
        /// Why, in the library's words.
        source: rustls::Error,
    },
    /// TLS failed in another way. Nothing was sent.
    #[error("TLS with `{host}` failed")]
    Tls {
        /// The host.
        host: String,
        /// Why, in the library's words.
        source: rustls::Error,
    },
    /// The proxy wants a login. Nothing was sent to Infiniti.
    #[error("the proxy on the way to `{host}` wants a login (status 407)")]
    ProxyLogin {
        /// The host behind the proxy.
        host: String,
    },
    /// The proxy did not let us through to Infiniti. Nothing was sent to Infiniti.
    #[error("the proxy did not open a tunnel to `{host}`")]
    ProxyRefused {
        /// The host behind the proxy.
        host: String,
    },
    /// Infiniti does not take the account.
    #[error("Infiniti refused the credentials of `{username}` (status {status})")]
    CredentialsRefused {
        /// The account.
        username: String,
        /// The status of the answer.
        status: u16,
    },
    /// The answer points elsewhere. Nothing was imported.
    #[error("`{host}` redirects {}{} (status {status})", if *login { "to a login page" } else { "elsewhere" }, At(to.as_deref()))]
    Redirected {
        /// The host asked.
        host: String,
        /// The host pointed to, if it is another one.
        to: Option<String>,
        /// Whether the page pointed to looks like a login page.
        login: bool,
        /// The status of the answer.
        status: u16,
    },
    /// There is no import at the address.
    #[error("there is no import at `{host}{path}` (status {status})")]
    WrongAddress {
        /// The host.
        host: String,
        /// The path asked for.
        path: String,
        /// The feed, if its path is a setting.
        setting_of: Option<&'static str>,
        /// The status of the answer.
        status: u16,
    },
    /// The batch is larger than what is taken.
    #[error("a batch of {rows} row{} ({bytes} bytes) is too large (status 413)", if *rows == 1 { "" } else { "s" })]
    TooLarge {
        /// What it is of.
        contract: &'static Contract,
        /// Rows of the batch.
        rows: usize,
        /// Bytes of its file.
        bytes: u64,
    },
    /// Infiniti, or a proxy, has no time now. Nothing was imported.
    #[error("`{host}` is busy (status {status})")]
    Busy {
        /// The host.
        host: String,
        /// The status of the answer.
        status: u16,
        /// When to come back, if that was said.
        retry_after: Option<RetryAfter>,
    },
    /// The request as a whole was refused. Nothing was imported.
    #[error("Infiniti refused the batch (status {status})")]
    Refused {
        /// The status of the answer.
        status: u16,
        /// Infiniti's words, which may repeat a value: for the person at the console, not for a log.
        words: Option<Words>,
    },
    /// Nobody can tell what became of the batch: nothing counts as accepted, but some of it may have been.
    #[error("whether Infiniti accepted the batch is unknown: {doubt}")]
    Unknown {
        /// Why.
        doubt: Doubt,
        /// Infiniti's words, which may repeat a value: for the person at the console, not for a log.
        words: Option<Words>,
        /// What lies beneath, or how the last try failed after an earlier one had left the doubt.
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
}

impl TargetError {
    /// Whether rows of the batch may have been accepted although none counts as such.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }

    /// Whether the same request may succeed later. A repeated batch does no harm: the import matches by username.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NameNotResolved { .. }
            | Self::Unreachable { .. }
            | Self::ProxyUnreachable { .. }
            | Self::ProxyRefused { .. }
            | Self::Busy { .. }
            | Self::Unknown { .. } => true,
            Self::Insecure { .. }
            | Self::CaFile { .. }
            | Self::CaFileEmpty { .. }
            | Self::ProxyAddress
            | Self::Client { .. }
            | Self::Untrusted { .. }
            | Self::OtherName { .. }
            | Self::OutOfDate { .. }
            | Self::Tls { .. }
            | Self::ProxyLogin { .. }
            | Self::CredentialsRefused { .. }
            | Self::Redirected { .. }
            | Self::WrongAddress { .. }
            | Self::TooLarge { .. }
            | Self::Refused { .. } => false,
        }
    }

    /// Whether fewer rows may be taken: one bad row can have spoilt the batch.
    pub fn is_for_the_whole(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::TooLarge { .. })
    }

    /// Whether the path of one feed is wrong, which is a setting, so that the others are none the worse.
    pub fn is_of_the_path(&self) -> bool {
        matches!(self, Self::WrongAddress { setting_of: Some(_), .. })
    }

    /// Whether the import may still be running, so that a repeated batch may meet it.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Unknown { doubt, .. } if doubt.is_timeout())
    }

    /// Whether the mapping's own settings are at fault, so that nothing was contacted.
    pub fn is_settings(&self) -> bool {
        matches!(
            self,
            Self::Insecure { .. }
                | Self::CaFile { .. }
                | Self::CaFileEmpty { .. }
                | Self::ProxyAddress
                | Self::Client { .. }
        )
    }

    /// Infiniti's own words. They may repeat a value of a row: to be shown to the person at the console, not logged.
    pub fn words(&self) -> Option<&Words> {
        match self {
            Self::Refused { words, .. } | Self::Unknown { words, .. } => words.as_ref(),
            _ => None,
        }
    }

    /// What to edit or run, where that is known.
    pub fn hint(&self) -> Option<Hint> {
        Some(match self {
            Self::Insecure { .. } => "write `https://` in `target.url`; plain `http://` is for this machine only".into(),
            Self::CaFile { .. } => "correct the path in `target.ca_file`, and let the account that runs sispush read the file".into(),
            Self::CaFileEmpty { .. } => {
                "export the certificate as \"Base-64 encoded X.509\": a text that starts with `-----BEGIN CERTIFICATE-----`".into()
            }
            Self::ProxyAddress => "write `target.proxy` as `system`, `none`, or like `http://proxy.example.local:8080`".into(),
            Self::NameNotResolved { host, .. } => {
                format!("check `target.url` (and the proxy's address), and on this machine `nslookup {host}`").into()
            }
            Self::Unreachable { .. } => {
                "check `target.url`, and whether this machine may go out by itself or needs a proxy (`target.proxy`)".into()
            }
            Self::ProxyUnreachable { .. } => {
                "check `target.proxy`, or the system's proxy where the mapping names none; `target.proxy: none` goes without".into()
            }
            Self::Untrusted { issuer: Some(issuer), .. } => format!(
                "if `{issuer}` is your school's proxy or filter that inspects TLS, put its certificate as PEM into `target.ca_file`, or exempt the host from inspection"
            )
            .into(),
            Self::Untrusted { issuer: None, .. } => {
                "if a proxy or filter inspects TLS, put its certificate as PEM into `target.ca_file`; on Linux, install `ca-certificates`".into()
            }
            Self::OtherName { .. } => "check the host in `target.url`; a proxy or filter may also have answered in its place".into(),
            Self::OutOfDate { .. } => "check the date and time of this machine".into(),
            Self::Tls { .. } => "check `target.url`: the port may not speak TLS, or a filter may stand in between".into(),
            Self::ProxyLogin { host } => format!(
                "put username and password into `target.proxy` if the proxy takes a Basic login; one that wants NTLM or Kerberos needs an exception for `{host}`"
            )
            .into(),
            Self::ProxyRefused { host } => format!("ask for the proxy to allow CONNECT to `{host}`, or set `target.proxy`").into(),
            Self::CredentialsRefused { .. } => {
                "check `target.username` and `target.password`; the account needs system administration privileges in Infiniti and a password of its own, since SSO needs a browser".into()
            }
            Self::Redirected { .. } => {
                "`target.url` must be the school's own Infiniti, like `https://example.concordinfiniti.com`; if it is, a login page (SSO, filter) stands in front of it and must let `/api/` through".into()
            }
            Self::WrongAddress { setting_of: Some(feed), .. } => format!(
                "check `{feed}.path`: where it leads stands on Infiniti's help pages (\"autoSync patron {feed}\"), or Concord's support knows it"
            )
            .into(),
            Self::WrongAddress { path, .. } if !path.ends_with(USERS_PATH) => {
                "if the accounts arrive, the path of this feed is wrong: look at Infiniti's help pages on autoSync, or ask Concord's support, and mend `path` or `mode` in the mapping; if they do not, `target.url` must be the school's own Infiniti".into()
            }
            Self::WrongAddress { .. } => "`target.url` must be the school's own Infiniti, like `https://example.concordinfiniti.com`".into(),
            Self::TooLarge { contract, rows: 1, .. } if contract.is_pictured() => {
                "`images.resize: true` sends pictures small".into()
            }
            Self::TooLarge { contract, .. } if contract.is_pictured() => "make `images.max_zip` smaller".into(),
            Self::TooLarge { .. } => "make `target.batch_rows` smaller".into(),
            Self::Busy { .. } => "run it again later".into(),
            Self::Client { .. } | Self::Refused { .. } => return None,
            Self::Unknown { doubt, source, .. } => {
                let last = source.as_deref().and_then(|source| source.downcast_ref::<Self>());
                last.and_then(Self::hint).unwrap_or_else(|| doubt_hint(*doubt))
            }
        })
    }
}

fn doubt_hint(doubt: Doubt) -> Hint {
    match doubt {
        Doubt::TimedOut { .. } => {
            "look in Infiniti whether the import went on; then run it again, which does no harm, with a longer `target.timeout` or a smaller `target.batch_rows`".into()
        }
        Doubt::GatewayTimeout { .. } => {
            "look in Infiniti whether the import went on; then run it again, which does no harm, with a smaller `target.batch_rows`".into()
        }
        Doubt::Html => {
            "a proxy, a filter or a login page answered in place of Infiniti: check `target.url`, and exempt the host from it".into()
        }
        Doubt::ConnectionLost | Doubt::CutOff | Doubt::Empty | Doubt::ServerError { .. } => "run it again: a repeated batch does no harm".into(),
        Doubt::NotJson
        | Doubt::TooLong
        | Doubt::NotAnAnswer
        | Doubt::Summary
        | Doubt::Miscount { .. }
        | Doubt::NoDetails
        | Doubt::RowNumbers
        | Doubt::RowsOrPatrons
        | Doubt::Contradiction => {
            "look in Infiniti what was imported; run it again, which does no harm, and if the answer stays the same, ask Concord's support".into()
        }
    }
}

struct SignedBy<'a>(Option<&'a str>);

impl std::fmt::Display for SignedBy<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |issuer| write!(f, ": signed by `{issuer}`"))
    }
}

struct At<'a>(Option<&'a str>);

impl std::fmt::Display for At<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |host| write!(f, " at `{host}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infiniti::contract::{CONTACTS, IMAGES, USERS};

    #[test]
    fn what_is_too_large_is_made_smaller_by_its_own_setting() {
        for (contract, setting) in
            [(&USERS, "`target.batch_rows`"), (&CONTACTS, "`target.batch_rows`"), (&IMAGES, "`images.max_zip`")]
        {
            let hint = TargetError::TooLarge { contract, rows: 2, bytes: 100 }.hint();
            assert!(hint.is_some_and(|hint| hint.contains(setting)), "{}", contract.feed);
        }
    }
}
