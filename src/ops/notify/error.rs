//! Why a message did not arrive. Names hosts only: the address of a webhook is a secret.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::Hint;
use crate::infiniti::TargetError;

/// Why a message did not arrive, or a file of metrics could not be written.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The way out that the mapping names cannot be used.
    #[error(transparent)]
    Settings(TargetError),
    /// A host's name has no address: the receiver's, or the proxy's.
    #[error("could not resolve the host name `{host}`")]
    NameNotResolved {
        /// The host.
        host: String,
    },
    /// Nothing answered.
    #[error("could not connect to `{host}`")]
    Unreachable {
        /// The host.
        host: String,
        /// Why, where the system says so.
        source: Option<io::Error>,
    },
    /// The certificate that was shown is not trusted, or TLS failed in another way.
    #[error("TLS with `{host}` failed")]
    Tls {
        /// The host.
        host: String,
        /// Why, in the library's words.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There was no answer in time.
    #[error("`{host}` did not answer within {} s", limit.as_secs())]
    TimedOut {
        /// The host.
        host: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The answer points elsewhere.
    #[error("`{host}` redirects elsewhere (status {status})")]
    Redirected {
        /// The host.
        host: String,
        /// The status of the answer.
        status: u16,
    },
    /// It was not taken.
    #[error("`{host}` did not take it (status {status})")]
    Refused {
        /// The host.
        host: String,
        /// The status of the answer.
        status: u16,
    },
    /// The mail server does not encrypt.
    #[error("mail server `{host}` does not offer STARTTLS")]
    NoStartTls {
        /// The host.
        host: String,
    },
    /// The mail server did not take the login.
    #[error("mail server `{host}` refused the login (code {code})")]
    LoginRefused {
        /// The host.
        host: String,
        /// The code of the answer.
        code: String,
    },
    /// The mail server did not take the message.
    #[error("mail server `{host}` refused the message (code {code})")]
    MailRefused {
        /// The host.
        host: String,
        /// The code of the answer.
        code: String,
    },
    /// The connection broke off before there was an answer.
    #[error("the connection to `{host}` broke off")]
    Broken {
        /// The host.
        host: String,
    },
    /// The mail could not be made.
    #[error("the mail could not be made")]
    Mail {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// This build has no mail.
    #[error("this sispush was built without mail")]
    NoMail,
    /// The file of metrics could not be written.
    #[error("could not write the metrics `{}`", path.display())]
    Metrics {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl NotifyError {
    /// Whether another try may arrive.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NameNotResolved { .. } | Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Broken { .. } => {
                true
            }
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            Self::MailRefused { code, .. } | Self::LoginRefused { code, .. } => code.starts_with('4'),
            Self::Settings(_)
            | Self::Tls { .. }
            | Self::Redirected { .. }
            | Self::NoStartTls { .. }
            | Self::Mail { .. }
            | Self::NoMail
            | Self::Metrics { .. } => false,
        }
    }

    /// What to edit or run, where that is known.
    pub fn hint(&self) -> Option<Hint> {
        Some(match self {
            Self::Settings(error) => return error.hint(),
            Self::NameNotResolved { host } => {
                format!("check the address and the proxy's, and on this machine `nslookup {host}`").into()
            }
            Self::Unreachable { .. } | Self::TimedOut { .. } => {
                "may this machine go there by itself? `target.proxy` holds for webhooks, too; mail knows no proxy"
                    .into()
            }
            Self::Tls { .. } => {
                "if a proxy or filter inspects TLS, put its certificate as PEM into `target.ca_file`, which \
                                 holds for webhooks and mail as well"
                    .into()
            }
            Self::Redirected { .. } => {
                "copy the whole address anew from where it was made; a login page answers for one that is gone".into()
            }
            Self::Refused { status: 401 | 403 | 404 | 410, .. } => {
                "was it deleted or switched off there? make a new one, and put its address into the secret".into()
            }
            Self::Refused { status: 400, .. } => {
                "does `style` say what listens there: `teams`, `slack` or `json`?".into()
            }
            Self::Refused { .. } => "it is told next time".into(),
            Self::NoStartTls { .. } => {
                "try `security: tls` with port 465, or ask for encryption: mail is not sent in the clear".into()
            }
            Self::LoginRefused { .. } => {
                "check `notify.email.username` and `password`; many servers want a password for apps".into()
            }
            Self::MailRefused { .. } => {
                "may this account send as `notify.email.from`, and from this machine? are the addresses in `to` right?"
                    .into()
            }
            Self::Broken { .. } => {
                "it is told next time; of a mail server check `port` and `security`: 465 needs `tls`".into()
            }
            Self::Mail { .. } => "check the addresses in `notify.email`".into(),
            Self::NoMail => "build it with the feature `mail`, or tell by a webhook".into(),
            Self::Metrics { .. } => "does the folder exist, is there room, and may this account write there?".into(),
        })
    }
}
