//! Those who are told: a web server that keeps what is posted to it, and a mail server that keeps its mails.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What a web server got.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    pub path: String,
    pub body: String,
}

impl Received {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// What a web server does with a request; without one it is taken.
#[derive(Clone, Debug)]
pub enum Answer {
    Status(u16),
    Redirect(String),
    Hang,
    HangUp,
}

/// A web server on this machine.
#[derive(Clone)]
pub struct Receiver {
    pub port: u16,
    is_encrypted: bool,
    received: Arc<Mutex<Vec<Received>>>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

impl Receiver {
    pub fn start() -> Self {
        Self::start_with(None)
    }

    pub fn with_tls(config: Arc<ServerConfig>) -> Self {
        Self::start_with(Some(config))
    }

    fn start_with(config: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            port: listener.local_addr().unwrap().port(),
            is_encrypted: config.is_some(),
            received: Arc::default(),
            answers: Arc::default(),
        };
        let shared = receiver.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (shared, config) = (shared.clone(), config.clone());
                std::thread::spawn(move || {
                    let stream = stream.unwrap();
                    let _done = match config {
                        Some(config) => shared.serve(StreamOwned::new(ServerConnection::new(config).unwrap(), stream)),
                        None => shared.serve(stream),
                    };
                });
            }
        });
        receiver
    }

    /// An address at this server, with a secret in its path.
    pub fn url(&self, path: &str) -> String {
        let (scheme, host) = if self.is_encrypted { ("https", "localhost") } else { ("http", "127.0.0.1") };
        format!("{scheme}://{host}:{}/{path}", self.port)
    }

    /// The next requests are answered so, each once.
    pub fn will(&self, answers: impl IntoIterator<Item = Answer>) {
        self.answers.lock().unwrap().extend(answers);
    }

    /// What came since the last time.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.received.lock().unwrap())
    }

    fn serve(&self, stream: impl Read + Write) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let mut words = line.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut length = 0;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        self.received.lock().unwrap().push(Received { method, path, body: String::from_utf8(body).unwrap() });
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Answer::Status(200));
        let head = match answer {
            Answer::Status(status) => format!("HTTP/1.1 {status} X\r\n"),
            Answer::Redirect(to) => format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\n"),
            Answer::HangUp => return Ok(()),
            // Until the other side has enough.
            Answer::Hang => return stream.read_to_end(&mut Vec::new()).map(drop),
        };
        let stream = stream.get_mut();
        write!(stream, "{head}Content-Length: 2\r\nConnection: close\r\n\r\nok")?;
        stream.flush()
    }
}

/// The certificate of `localhost` by an authority of its own: what a server needs, and the authority's PEM.
pub fn certificate() -> (Arc<ServerConfig>, String) {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "School Filter CA");
    let authority = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .unwrap();
    (Arc::new(config), authority.pem())
}

/// A mail that a mail server took.
#[derive(Clone, Debug)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    /// Headers and body, as they came.
    pub text: String,
    /// Whether it came over an encrypted connection.
    pub is_encrypted: bool,
    /// The login that came with it: base64 of `\0username\0password`.
    pub login: Option<String>,
}

/// A mail server on this machine, with as much of RFC 5321 as a client asks for.
#[derive(Clone)]
pub struct MailServer {
    pub port: u16,
    mails: Arc<Mutex<Vec<Mail>>>,
    refuses: Arc<Mutex<Option<(&'static str, &'static str)>>>,
}

impl MailServer {
    /// With a certificate it offers STARTTLS.
    pub fn start(config: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server =
            Self { port: listener.local_addr().unwrap().port(), mails: Arc::default(), refuses: Arc::default() };
        let shared = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let _done = shared.serve(stream.unwrap(), config.clone());
            }
        });
        server
    }

    /// The next command that begins so is answered so.
    pub fn will_refuse(&self, command: &'static str, answer: &'static str) {
        *self.refuses.lock().unwrap() = Some((command, answer));
    }

    pub fn take(&self) -> Vec<Mail> {
        std::mem::take(&mut self.mails.lock().unwrap())
    }

    fn serve(&self, mut stream: TcpStream, config: Option<Arc<ServerConfig>>) -> std::io::Result<()> {
        stream.write_all(b"220 ready\r\n")?;
        let offer = if config.is_some() { "250-test\r\n250 STARTTLS\r\n" } else { "250 test\r\n" };
        if self.talk(&mut stream, offer, false)?
            && let Some(config) = config
        {
            let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
            self.talk(&mut stream, "250-test\r\n250 AUTH PLAIN\r\n", true)?;
        }
        Ok(())
    }

    /// Whether the client wants TLS now.
    fn talk(&self, stream: &mut (impl Read + Write), offer: &str, is_encrypted: bool) -> std::io::Result<bool> {
        let mut mail = Mail { from: String::new(), to: Vec::new(), text: String::new(), is_encrypted, login: None };
        loop {
            let line = line(stream)?;
            if line.is_empty() {
                return Ok(false);
            }
            let refused = self.refuses.lock().unwrap().take_if(|(command, _)| line.starts_with(*command));
            if let Some((_, answer)) = refused {
                write!(stream, "{answer}\r\n")?;
                continue;
            }
            let answer = match line.trim_end() {
                line if line.starts_with("EHLO") => offer.to_owned(),
                "STARTTLS" => {
                    stream.write_all(b"220 go\r\n")?;
                    return Ok(true);
                }
                line if line.starts_with("AUTH PLAIN ") => {
                    mail.login = Some(line["AUTH PLAIN ".len()..].to_owned());
                    "235 in\r\n".to_owned()
                }
                line if line.starts_with("MAIL FROM:") => {
                    mail.from = address(line);
                    "250 ok\r\n".to_owned()
                }
                line if line.starts_with("RCPT TO:") => {
                    mail.to.push(address(line));
                    "250 ok\r\n".to_owned()
                }
                "DATA" => {
                    stream.write_all(b"354 go\r\n")?;
                    stream.flush()?;
                    loop {
                        let line = self::line(stream)?;
                        if line == ".\r\n" {
                            break;
                        }
                        mail.text.push_str(&line);
                    }
                    self.mails.lock().unwrap().push(mail.clone());
                    "250 taken\r\n".to_owned()
                }
                "QUIT" => {
                    stream.write_all(b"221 bye\r\n")?;
                    stream.flush()?;
                    return Ok(false);
                }
                _ => "250 ok\r\n".to_owned(),
            };
            stream.write_all(answer.as_bytes())?;
            stream.flush()?;
        }
    }
}

fn address(line: &str) -> String {
    line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or_else(String::new, |(one, _)| one.to_owned())
}

/// Byte by byte, since what follows may be a handshake.
fn line(stream: &mut impl Read) -> std::io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 {
        line.push(byte[0]);
        if byte[0] == b'\n' {
            break;
        }
    }
    Ok(String::from_utf8(line).unwrap())
}
