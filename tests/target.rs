//! The target against real HTTP servers: every fault of the sandbox, certificates, proxies, and what no server answers.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Multipart};
use axum::http::HeaderMap;
use axum::routing::post;
use bytes::Bytes;
use sispush::infiniti::client::{Payload, Receipt, Route, Target, TargetError};
use sispush::infiniti::sandbox::{Fault, Options, Sandbox};
use sispush::mapping::{Proxy, TargetSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const USERNAME: &str = "autoimport";
const PASSWORD: &str = "CANARY-pässwörd:1";
/// Stands in rows; must reach no error and no receipt's `Debug`.
const VALUE: &str = "CANARY-value";

struct Csv {
    rows: usize,
    bytes: Bytes,
    chunk: usize,
}

impl Payload for Csv {
    fn rows(&self) -> usize {
        self.rows
    }

    fn patrons(&self) -> usize {
        self.rows
    }

    fn media_type(&self) -> &'static str {
        "text/csv"
    }

    fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn chunks(self: Arc<Self>) -> Box<dyn Iterator<Item = Bytes> + Send> {
        let mut rest = self.bytes.clone();
        let chunk = self.chunk;
        Box::new(std::iter::from_fn(move || (!rest.is_empty()).then(|| rest.split_to(chunk.min(rest.len())))))
    }
}

fn csv(rows: usize) -> Arc<Csv> {
    let head = "username,enabled,staffmember,givenname\r\n".to_owned();
    let lines = (0..rows).map(|row| format!("user{row},Y,Y,{VALUE}\r\n"));
    let text: String = std::iter::once(head).chain(lines).collect();
    Arc::new(Csv { rows, bytes: text.into(), chunk: 4096 })
}

fn settings(url: &str) -> TargetSettings {
    TargetSettings {
        url: url.parse().unwrap(),
        username: USERNAME.to_owned(),
        password: PASSWORD.into(),
        timeout: Duration::from_secs(20),
        batch_rows: NonZeroUsize::new(5000),
        retries: 0,
        retry_timeouts: false,
        proxy: Proxy::System,
        ca_file: None,
    }
}

async fn push(settings: &TargetSettings, payload: Arc<dyn Payload>) -> Result<Receipt, TargetError> {
    let target = Target::new(settings)?.first_wait(Duration::from_millis(1));
    let result = target.push(Route::USERS, payload).await;
    let error = result.as_ref().err().map(|error| (chain(error), error.hint()));
    let told = format!("{target:?} {result:?} {error:?}");
    assert!(!told.contains("CANARY"), "{told}");
    result
}

async fn sandbox(faults: &str) -> Sandbox {
    let options = Options { faults: Fault::parse_list(faults).unwrap(), ..Options::new(USERNAME, PASSWORD) };
    Sandbox::start(options).await.unwrap()
}

fn chain(error: &TargetError) -> String {
    let causes = std::iter::successors(Some(error as &(dyn StdError + 'static)), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(" <- ")
}

fn show(result: Result<Receipt, TargetError>) -> String {
    match result {
        Ok(receipt) => format!(
            "{} accepted, {} created, {} updated, failed {:?}, unknown {:?}, {} sent",
            receipt.accepted_count(),
            receipt.created(),
            receipt.updated(),
            receipt.failed().iter().map(|failed| (failed.row, failed.message.as_str())).collect::<Vec<_>>(),
            receipt.unknown(),
            receipt.attempts()
        ),
        Err(error) => error.to_string(),
    }
}

/// Pushes three rows at a sandbox with these faults, and tells the result, the requests seen and the patrons kept.
async fn check(faults: &str, retries: u32, expected: &str, requests: usize, patrons: usize) {
    let sandbox = sandbox(faults).await;
    let settings = TargetSettings { retries, ..settings(&sandbox.url()) };
    let result = show(push(&settings, csv(3)).await).replace(&sandbox.address().port().to_string(), "PORT");
    assert_eq!(result, expected, "{faults}");
    assert_eq!((sandbox.requests().len(), sandbox.patrons().len()), (requests, patrons), "{faults}");
    sandbox.stop().await;
}

const ALL: &str = "3 accepted, 3 created, 0 updated, failed [], unknown []";
const UNKNOWN: &str = "whether Infiniti accepted the batch is unknown";

#[tokio::test]
async fn a_batch_is_accepted_and_a_second_one_updates() {
    let sandbox = sandbox("").await;
    let settings = settings(&sandbox.url());
    assert_eq!(show(push(&settings, csv(3)).await), format!("{ALL}, 1 sent"));
    let again = "3 accepted, 0 created, 3 updated, failed [], unknown [], 1 sent";
    assert_eq!(show(push(&settings, csv(3)).await), again);
    assert_eq!(show(push(&settings, csv(0)).await), "0 accepted, 0 created, 0 updated, failed [], unknown [], 1 sent");
    assert_eq!(sandbox.patrons()[2]["givenname"], VALUE);
}

#[tokio::test]
async fn rows_that_fail_are_told_one_by_one() {
    let failed = r#"2 accepted, 2 created, 0 updated, failed [(1, "The sandbox was asked to reject this user")], unknown [], 1 sent"#;
    check("reject=user1", 3, failed, 1, 2).await;
    let sandbox = sandbox("reject=user1").await;
    let receipt = push(&settings(&sandbox.url()), csv(3)).await.unwrap();
    assert_eq!(receipt.accepted().collect::<Vec<_>>(), [0, 2]);
    assert!(!receipt.is_accepted(1) && !receipt.is_accepted(3));
}

#[tokio::test]
async fn terminal_answers_are_not_tried_again() {
    for (fault, expected) in [
        ("401", "Infiniti refused the credentials of `autoimport` (status 401)"),
        ("403", "Infiniti refused the credentials of `autoimport` (status 403)"),
        ("404", "there is no import at `127.0.0.1/api/import/users` (status 404)"),
        ("405", "there is no import at `127.0.0.1/api/import/users` (status 405)"),
        ("407", "the proxy on the way to `127.0.0.1` wants a login (status 407)"),
        ("413", "a batch of 3 rows (112 bytes) is too large (status 413)"),
        ("418", "Infiniti refused the batch (status 418)"),
        ("redirect", "`127.0.0.1` redirects to a login page at `sso.example.invalid` (status 302)"),
        ("307", "`127.0.0.1` redirects elsewhere (status 307)"),
    ] {
        check(fault, 3, expected, 1, 0).await;
    }
}

#[tokio::test]
async fn busy_answers_are_tried_again_a_bounded_number_of_times() {
    check("503x2", 3, &format!("{ALL}, 3 sent"), 3, 3).await;
    check("429", 2, "`127.0.0.1` is busy (status 429)", 3, 0).await;
    check("503", 0, "`127.0.0.1` is busy (status 503)", 1, 0).await;
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let started = Instant::now();
    check("503x1:1", 1, &format!("{ALL}, 2 sent"), 2, 3).await;
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn what_stays_unknown_is_said_to_be_unknown() {
    for (fault, doubt, patrons) in [
        ("500", "the server failed (status 500)", 0),
        ("502", "the server failed (status 502)", 0),
        ("html", "a web page came in place of an answer of the import", 0),
        ("200", "the answer is not JSON", 0),
        ("cut", "the answer is cut off", 3),
        ("badjson", "the answer is cut off", 3),
        ("miscount", "3 rows were sent, but 2 processed", 3),
        ("nodetails", "rows failed, but the answer does not say which", 3),
    ] {
        check(fault, 0, &format!("{UNKNOWN}: {doubt}"), 1, patrons).await;
        check(fault, 1, &format!("{UNKNOWN}: {doubt}"), 2, patrons).await;
    }
    // The second try finds the patrons of the first.
    check("cutx1", 1, "3 accepted, 0 created, 3 updated, failed [], unknown [], 2 sent", 2, 3).await;
}

#[tokio::test]
async fn a_doubt_outlives_a_later_failure() {
    let sandbox = sandbox("cutx1,401").await;
    let settings = TargetSettings { retries: 3, ..settings(&sandbox.url()) };
    let error = push(&settings, csv(3)).await.unwrap_err();
    assert!(error.is_unknown());
    assert_eq!(
        chain(&error),
        format!("{UNKNOWN}: the answer is cut off <- Infiniti refused the credentials of `autoimport` (status 401)")
    );
    assert!(error.hint().unwrap().contains("target.password"));
}

#[tokio::test]
async fn timeouts_are_tried_again_only_if_asked_for() {
    for (fault, doubt) in
        [("hangx1", "no answer came within 1 s"), ("504x1", "a gateway gave up waiting for Infiniti (status 504)")]
    {
        for (retry_timeouts, expected) in [(false, format!("{UNKNOWN}: {doubt}")), (true, String::new())] {
            let sandbox = sandbox(fault).await;
            let timeout = Duration::from_secs(1);
            let settings = TargetSettings { retries: 3, retry_timeouts, timeout, ..settings(&sandbox.url()) };
            let result = push(&settings, csv(3)).await;
            if retry_timeouts {
                assert_eq!(result.unwrap().attempts(), 2, "{fault}");
            } else {
                assert_eq!(show(result), expected);
                assert_eq!(sandbox.requests().len(), 1);
            }
            sandbox.stop().await;
        }
    }
}

#[tokio::test]
async fn an_upload_cut_off_is_unknown_and_sent_again() {
    let sandbox = sandbox("cut-uploadx1=100000").await;
    let settings = settings(&sandbox.url());
    let error = push(&settings, csv(200_000)).await.unwrap_err();
    assert_eq!(error.to_string(), format!("{UNKNOWN}: the connection ended after the upload had begun"));
    assert_eq!(sandbox.patrons().len(), 0);

    let sandbox = self::sandbox("cut-uploadx2=100000").await;
    let settings = TargetSettings { retries: 2, ..self::settings(&sandbox.url()) };
    let receipt = push(&settings, csv(2_000)).await.unwrap();
    assert_eq!((receipt.attempts(), receipt.accepted_count()), (3, 2_000));
}

#[tokio::test]
async fn a_server_that_stopped_is_unreachable() {
    let sandbox = sandbox("").await;
    let settings = TargetSettings { retries: 2, ..settings(&sandbox.url()) };
    let target = Target::new(&settings).unwrap().first_wait(Duration::from_millis(1));
    target.push(Route::USERS, csv(3)).await.unwrap();
    sandbox.stop().await;
    let error = target.push(Route::USERS, csv(3)).await.unwrap_err();
    assert!(matches!(error, TargetError::Unreachable { .. }), "{error:?}");
    assert!(!error.is_unknown() && error.is_transient());
    assert!(chain(&error).starts_with("could not connect to `127.0.0.1` <- "), "{}", chain(&error));
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_named() {
    let settings = TargetSettings { proxy: Proxy::Off, ..settings("https://school.invalid") };
    let error = push(&settings, csv(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "could not resolve the host name `school.invalid`");
    assert!(error.hint().unwrap().contains("nslookup school.invalid"));
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_before_anything_is_contacted() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "no certificate").unwrap();
    let with = |ca_file: PathBuf| TargetSettings { ca_file: Some(ca_file), ..settings("https://school.invalid") };
    let proxy = Proxy::Url("http://user:CANARY@ :x".into());
    for (settings, expected) in [
        (settings("http://school.invalid"), "`school.invalid` would be reached without TLS"),
        (with(folder.path().join("none.pem")), "could not read `target.ca_file`"),
        (with(empty), "holds no certificate as PEM"),
        (TargetSettings { proxy, ..settings("https://school.invalid") }, "`target.proxy` is not an address of a proxy"),
    ] {
        let error = push(&settings, csv(1)).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.is_settings() && error.hint().is_some());
    }
}

/// What an upload looked like to the server.
#[derive(Default)]
struct Seen {
    headers: HeaderMap,
    part: (Option<String>, Option<String>, Option<String>),
    bytes: Bytes,
}

#[tokio::test]
async fn an_upload_arrives_byte_for_byte() {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let noted = Arc::clone(&seen);
    let router = Router::new()
        .route(
            "/base/api/import/users",
            post(move |headers: HeaderMap, mut parts: Multipart| async move {
                let part = parts.next_field().await.unwrap().unwrap();
                let own = |text: Option<&str>| text.map(str::to_owned);
                let names = (own(part.name()), own(part.file_name()), own(part.content_type()));
                let bytes = part.bytes().await.unwrap();
                *noted.lock().unwrap() = Seen { headers, part: names, bytes };
                r#"{"success":true,"summary":"2 users processed."}"#
            }),
        )
        .layer(DefaultBodyLimit::disable());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://ignored:CANARY@{}/base/?x=1", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });

    let bytes: Bytes = (0..300_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>().into();
    for chunk in [997, 4096, 65_536, 10_000_000] {
        let payload = Csv { rows: 2, bytes: bytes.clone(), chunk };
        push(&settings(&url), Arc::new(payload)).await.unwrap();
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        assert_eq!(seen.bytes, bytes, "chunks of {chunk}");
        let own = |text: &str| Some(text.to_owned());
        assert_eq!(seen.part, (own("file"), own("users.csv"), own("text/csv")));
        let length: usize = seen.headers["content-length"].to_str().unwrap().parse().unwrap();
        assert!(length > bytes.len() && length < bytes.len() + 1024);
        assert!(!seen.headers.contains_key("transfer-encoding") && !seen.headers.contains_key("referer"));
        assert_eq!(seen.headers["user-agent"], concat!("sispush/", env!("CARGO_PKG_VERSION")));
        let basic =
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("{USERNAME}:{PASSWORD}"));
        assert_eq!(seen.headers["authorization"], format!("Basic {basic}"));
    }
}

/// An authority, and a server with a certificate that it signed for `names`.
async fn tls_server(names: &[&str]) -> (SocketAddr, String) {
    let authority = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "School Filter CA");
    let pem = params.self_signed(&authority).unwrap().pem();
    let issuer = rcgen::Issuer::new(params, authority);
    let key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let leaf = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                drop(read_request(&mut stream).await);
                let body = r#"{"success":true,"summary":"3 users processed. 3 users updated."}"#;
                let answer =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
                drop(stream.write_all(answer.as_bytes()).await);
                drop(stream.shutdown().await);
            });
        }
    });
    (address, pem)
}

/// Reads a request whole: its head, and as much body as `Content-Length` says.
async fn read_request(stream: &mut (impl AsyncReadExt + Unpin)) -> io::Result<String> {
    let mut request = Vec::new();
    loop {
        if let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..end]).into_owned();
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if request.len() >= end + 4 + length.unwrap_or(0_usize) {
                return Ok(head);
            }
        }
        if stream.read_buf(&mut request).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

#[tokio::test]
async fn an_untrusted_certificate_tells_who_signed_it_until_that_is_trusted() {
    let (address, pem) = tls_server(&["localhost"]).await;
    let url = format!("https://localhost:{}", address.port());
    let error = push(&TargetSettings { retries: 3, ..settings(&url) }, csv(3)).await.unwrap_err();
    assert_eq!(error.to_string(), "certificate of `localhost` is not trusted: signed by `School Filter CA`");
    assert!(error.hint().unwrap().contains("target.ca_file") && !error.is_transient());

    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("filter.pem");
    std::fs::write(&ca_file, pem).unwrap();
    let trusting = |url: &str| TargetSettings { ca_file: Some(ca_file.clone()), ..settings(url) };
    let accepted = "3 accepted, 0 created, 3 updated, failed [], unknown [], 1 sent";
    assert_eq!(show(push(&trusting(&url), csv(3)).await), accepted);

    let error = push(&trusting(&format!("https://{address}")), csv(3)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "certificate shown by `127.0.0.1` is not for that name: signed by `School Filter CA`"
    );
}

#[tokio::test]
async fn a_port_that_does_not_speak_tls_says_so() {
    let sandbox = sandbox("").await;
    let error = push(&settings(&sandbox.url().replace("http://", "https://")), csv(1)).await.unwrap_err();
    assert!(matches!(error, TargetError::Tls { .. }), "{error:?}");
    assert!(sandbox.requests().is_empty());
}

#[tokio::test]
async fn an_answer_that_comes_before_the_upload_ends_is_heard() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut some = [0; 1000];
        stream.read_exact(&mut some).await.unwrap();
        let answer = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        while stream.read(&mut some).await.is_ok_and(|length| length > 0) {}
    });
    let error = push(&settings(&url), csv(500_000)).await.unwrap_err();
    assert!(matches!(error, TargetError::TooLarge { rows: 500_000, .. }), "{error}");
    assert!(error.hint().unwrap().contains("target.batch_rows"));
}

/// A proxy that answers every request with `answer`, or tunnels to `to`. Counts, and notes the last head.
async fn proxy(answer: &'static str, to: Option<SocketAddr>) -> (SocketAddr, Arc<AtomicUsize>, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (count, head) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(String::new())));
    let (counted, noted) = (Arc::clone(&count), Arc::clone(&head));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (counted, noted) = (Arc::clone(&counted), Arc::clone(&noted));
            tokio::spawn(async move {
                let Ok(head) = read_request(&mut stream).await else { return };
                counted.fetch_add(1, Ordering::SeqCst);
                *noted.lock().unwrap() = head;
                stream.write_all(answer.as_bytes()).await.unwrap();
                if let Some(to) = to {
                    let mut upstream = TcpStream::connect(to).await.unwrap();
                    drop(tokio::io::copy_bidirectional(&mut stream, &mut upstream).await);
                }
            });
        }
    });
    (address, count, head)
}

#[tokio::test]
async fn a_proxy_that_wants_a_login_is_recognised() {
    let (address, count, head) = proxy(
        "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n",
        None,
    )
    .await;
    let proxy = Proxy::Url(format!("http://user:CANARY@{address}").into());
    let settings = TargetSettings { proxy, retries: 3, ..settings("https://school.invalid") };
    let error = push(&settings, csv(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "the proxy on the way to `school.invalid` wants a login (status 407)");
    let hint = error.hint().unwrap();
    assert!(hint.contains("NTLM") && hint.contains("exception for `school.invalid`"), "{hint}");
    assert_eq!(count.load(Ordering::SeqCst), 1);
    let head = head.lock().unwrap().to_lowercase();
    assert!(head.starts_with("connect school.invalid:443") && head.contains("proxy-authorization: basic"), "{head}");
}

#[tokio::test]
async fn a_proxy_that_opens_no_tunnel_is_recognised() {
    let (address, count, _) = proxy("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", None).await;
    let proxy = Proxy::Url(format!("http://{address}").into());
    let settings = TargetSettings { proxy, retries: 1, ..settings("https://school.invalid") };
    let error = push(&settings, csv(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "the proxy did not open a tunnel to `school.invalid`");
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn the_issuer_is_found_through_a_proxy_that_inspects() {
    let (server, _) = tls_server(&["other.invalid"]).await;
    let (address, _, head) = proxy("HTTP/1.1 200 OK\r\n\r\n", Some(server)).await;
    let proxy = Proxy::Url(format!("http://{address}").into());
    let error = push(&TargetSettings { proxy, ..settings("https://school.invalid") }, csv(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "certificate of `school.invalid` is not trusted: signed by `School Filter CA`");
    assert!(!head.lock().unwrap().to_lowercase().contains("\r\nauthorization"), "credentials are for Infiniti only");
}
