//! A message as a mail.

use super::Way;
use super::error::NotifyError;
use super::text::Message;
use crate::mapping::notify::Email;

#[cfg(not(feature = "mail"))]
#[expect(clippy::unused_async, reason = "as the one that does send")]
pub(super) async fn send(_: &Email, _: &Way, _: &Message, _: &str) -> Result<(), NotifyError> {
    Err(NotifyError::NoMail)
}

#[cfg(feature = "mail")]
pub(super) use smtp::send;

#[cfg(feature = "mail")]
mod smtp {
    use std::io;

    use lettre::message::header::{ContentType, HeaderName, HeaderValue};
    use lettre::transport::smtp::authentication::Credentials;
    use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
    use lettre::transport::smtp::extension::ClientId;
    use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

    use super::{Email, Message, NotifyError, Way};
    use crate::infiniti::TargetError;
    use crate::infiniti::client::connect::causes;
    use crate::mapping::notify::Security;
    use crate::ops::notify::CONNECT_LIMIT;
    use crate::ops::notify::channel::hex;

    /// Hands a mail over to the mail server, once.
    pub(in super::super) async fn send(
        email: &Email,
        way: &Way,
        message: &Message,
        this_host: &str,
    ) -> Result<(), NotifyError> {
        let host = email.host.clone();
        let mail = mail(email, message)?;
        let tls = match email.security {
            Security::StartTls => Tls::Required(parameters(email, way)?),
            Security::Tls => Tls::Wrapper(parameters(email, way)?),
            Security::None => Tls::None,
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&host)
            .port(email.port)
            .tls(tls)
            .timeout(Some(CONNECT_LIMIT))
            .hello_name(ClientId::Domain(if this_host.is_empty() { "localhost".into() } else { this_host.into() }));
        if let Some((username, password)) = &email.login {
            transport = transport.credentials(Credentials::new(username.clone(), password.expose_secret().to_owned()));
        }
        match transport.build().send(mail).await {
            Ok(_) => Ok(()),
            Err(error) => Err(explained(&error, email)),
        }
    }

    fn mail(email: &Email, message: &Message) -> Result<lettre::Message, NotifyError> {
        let unfit = |source: Box<dyn std::error::Error + Send + Sync>| NotifyError::Mail { source };
        let mut mail = lettre::Message::builder()
            .from(email.from.parse().map_err(|error| unfit(Box::new(error)))?)
            .subject(&message.subject)
            .date_now()
            .message_id(Some(message_id(&email.from)))
            .header(ContentType::TEXT_PLAIN);
        for to in &email.to {
            mail = mail.to(to.parse().map_err(|error| unfit(Box::new(error)))?);
        }
        let mut mail = mail.body(format!("{}\n", message.text)).map_err(|error| unfit(Box::new(error)))?;
        // RFC 3834: nobody's absence notice answers it.
        let name = HeaderName::new_from_ascii_str("Auto-Submitted");
        mail.headers_mut().insert_raw(HeaderValue::new(name, "auto-generated".into()));
        Ok(mail)
    }

    fn message_id(from: &str) -> String {
        let mut bytes = [0; 16];
        // Without chance the time alone tells two mails apart.
        let _: Result<(), getrandom::Error> = getrandom::fill(&mut bytes);
        let random = hex(&bytes);
        let domain = from.rsplit('@').next().unwrap_or("localhost");
        format!("<{random}.{}@{domain}>", jiff::Timestamp::now().as_millisecond())
    }

    fn parameters(email: &Email, way: &Way) -> Result<TlsParameters, NotifyError> {
        let tls = |error: lettre::transport::smtp::Error| NotifyError::Tls {
            host: email.host.clone(),
            source: Box::new(error),
        };
        let mut parameters = TlsParameters::builder(email.host.clone());
        if let Some(path) = &way.ca_file {
            let pem = std::fs::read(path)
                .map_err(|source| NotifyError::Settings(TargetError::CaFile { path: path.clone(), source }))?;
            let certificate = Certificate::from_pem(&pem)
                .map_err(|_| NotifyError::Settings(TargetError::CaFileEmpty { path: path.clone() }))?;
            parameters = parameters.add_root_certificate(certificate);
        }
        parameters.build_rustls().map_err(tls)
    }

    /// The server's words are left out: they may repeat an address, or be a page long.
    fn explained(error: &lettre::transport::smtp::Error, email: &Email) -> NotifyError {
        let host = email.host.clone();
        if let Some(code) = error.status() {
            let code = code.to_string();
            // RFC 4954: 454 and 53x are of the login.
            let is_login = email.login.is_some() && (code == "454" || code.starts_with("53"));
            return if is_login {
                NotifyError::LoginRefused { host, code }
            } else {
                NotifyError::MailRefused { host, code }
            };
        }
        if error.is_timeout() {
            return NotifyError::TimedOut { host, limit: CONNECT_LIMIT };
        }
        let mut io = None;
        for cause in causes(error) {
            if let Some(source) = cause.downcast_ref::<rustls::Error>() {
                return NotifyError::Tls { host, source: Box::new(source.clone()) };
            }
            if let Some(source) = cause.downcast_ref::<io::Error>() {
                io.get_or_insert_with(|| {
                    source.raw_os_error().map_or(source.kind().into(), io::Error::from_raw_os_error)
                });
            }
        }
        match io {
            Some(source) if source.kind() == io::ErrorKind::UnexpectedEof => NotifyError::Broken { host },
            Some(source) => NotifyError::Unreachable { host, source: Some(source) },
            // The library's own word for a server that lacks an extension.
            None if error.is_client() && email.security == Security::StartTls => NotifyError::NoStartTls { host },
            None => NotifyError::Broken { host },
        }
    }
}
