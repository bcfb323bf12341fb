//! The source: name, port, certificate, login, facts, extracts, and the folder of the pictures.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tokio::sync::oneshot;

use super::{Failure, Finding, Kind, Outcome, Report, Trust};
use crate::infiniti::builder::Builder;
use crate::infiniti::contract::Kind as ValueKind;
use crate::mapping::{Extract, Feed, Mapping};
use crate::source::probe::{self, Facts};
use crate::source::row::{Column, Message, channel};
use crate::source::{Connection, Encryption, Login, Source, SourceError, connect, folder, table};
use crate::sync::ExtractError;
use crate::tls::Certificate;

/// The longest wait for a login.
const LOGIN_LIMIT: Duration = Duration::from_secs(10);
/// The longest wait for a fact, or for the first row of an extract.
const QUERY_LIMIT: Duration = Duration::from_secs(10);
/// So long the rows of an extract are counted.
const SAMPLE: Duration = Duration::from_secs(1);
/// More rights to write than these need not be named.
const RIGHTS_MAX: usize = 6;

pub(super) async fn examine(mapping: &Mapping, has_secrets: bool, report: &mut Report<'_>) {
    database(mapping, has_secrets, report).await;
    for folder in mapping.feeds().filter_map(|feed| feed.images.as_ref()?.folder.as_ref()) {
        let started = Instant::now();
        match pictures(folder.clone()).await {
            Ok(files) => report.done(Kind::Pictures, started, Finding::Pictures { folder: folder.clone(), files }),
            Err(failure) => report.failed(Kind::Pictures, started, failure),
        }
    }
}

/// How many files are in a folder, of which the first can be read.
async fn pictures(folder: PathBuf) -> Result<u64, Failure> {
    let (tell, told) = oneshot::channel();
    // A thread of its own, which nobody waits for: a share that hangs holds it for as long as it likes.
    std::thread::spawn({
        let folder = folder.clone();
        move || drop(tell.send(folder::count(&folder)))
    });
    match tokio::time::timeout(QUERY_LIMIT, told).await {
        Ok(Ok(counted)) => Ok(counted?),
        Ok(Err(_)) => Err(ExtractError::Crashed.into()),
        Err(_) => Err(Failure::NoFolder { folder, limit: QUERY_LIMIT }),
    }
}

async fn database(mapping: &Mapping, has_secrets: bool, report: &mut Report<'_>) {
    let mut connection = mapping.source.clone();
    connection.timeout = connection.timeout.min(QUERY_LIMIT);
    // A reference that stands in the host itself leaves nothing to be asked.
    if !has_secrets && connection.host.contains("${") {
        return report.skipped(network_steps(&connection).into_iter().chain(session_steps(mapping)), &Kind::Secrets);
    }
    let mut tls = None;
    if probe::is_remote(&connection) {
        match network(&connection, report).await {
            Ok(shown) => tls = Some(shown),
            Err(failed) => return report.skipped(session_steps(mapping), &failed),
        }
    }
    if !has_secrets {
        if let Some(shown) = tls {
            shown.tell(&connection, report, None);
        }
        return report.skipped(session_steps(mapping), &Kind::Secrets);
    }
    let started = Instant::now();
    let mut session = match log_in(&connection).await {
        Ok(session) => {
            if let Some(shown) = tls {
                shown.tell(&connection, report, None);
            }
            report.done(Kind::SourceLogin, started, Finding::LoggedIn(user(&connection)));
            Some(session)
        }
        Err(Failure::Source(error @ SourceError::Tls { .. })) if tls.is_some() => {
            if let Some(shown) = tls {
                shown.tell(&connection, report, Some(error));
            }
            return report.skipped(session_steps(mapping), &Kind::SourceTls);
        }
        Err(failure) => {
            if let Some(shown) = tls {
                shown.tell(&connection, report, None);
            }
            report.failed(Kind::SourceLogin, started, failure);
            // Not once more: databases lock accounts after a few logins that fail.
            return report.skipped(session_steps(mapping).into_iter().skip(1), &Kind::SourceLogin);
        }
    };
    if let Some(facts) = probe::facts(connection.engine) {
        ask_facts(&connection, &mut session, &facts, report).await;
    }
    let mut steps = extracts(mapping);
    while let Some((feed, extract)) = steps.next() {
        let kind = extract_step(feed, extract);
        let started = Instant::now();
        let outcome = match again(&connection, &mut session).await {
            Ok(open) => sample(open, (feed, extract), mapping.source.timeout).await,
            Err(failure) => (Err(failure), false),
        };
        if !outcome.1
            && let Some(session) = session.take()
        {
            session.close().await;
        }
        match outcome.0 {
            Ok(finding) => report.done(kind, started, finding),
            Err(failure) => {
                let is_login = matches!(failure, Failure::Source(_) | Failure::NoAnswer { .. });
                report.failed(kind.clone(), started, failure);
                if is_login {
                    return report.skipped(steps.map(|(feed, extract)| extract_step(feed, extract)), &kind);
                }
            }
        }
    }
    if let Some(session) = session {
        session.close().await;
    }
}

/// The queries of all feeds. A folder that is listed has none.
fn extracts(mapping: &Mapping) -> impl Iterator<Item = (&Feed, &Extract)> {
    let is_asked = |feed: &&Feed| !feed.images.as_ref().is_some_and(|images| images.is_listed);
    mapping.feeds().filter(is_asked).flat_map(|feed| feed.extracts.iter().map(move |extract| (feed, extract)))
}

fn extract_step(feed: &Feed, extract: &Extract) -> Kind {
    Kind::Extract { feed: feed.contract.feed, name: extract.name.clone() }
}

fn network_steps(connection: &Connection) -> Vec<Kind> {
    if !probe::is_remote(connection) {
        return Vec::new();
    }
    let mut steps = vec![Kind::SourceName];
    if probe::needs_browser(connection) {
        steps.push(Kind::SourceBrowser);
    }
    steps.extend([Kind::SourcePort, Kind::SourceTls]);
    steps
}

/// The steps from the login on.
fn session_steps(mapping: &Mapping) -> Vec<Kind> {
    let mut steps = vec![Kind::SourceLogin];
    if let Some(facts) = probe::facts(mapping.source.engine) {
        steps.extend([Kind::SourceVersion, Kind::SourceEncoding]);
        steps.push(Kind::SourceWriting);
        steps.extend(facts.now.map(|_| Kind::SourceClock));
    }
    steps.extend(extracts(mapping).map(|(feed, extract)| extract_step(feed, extract)));
    steps
}

/// What the network says of the source; the certificate is told once it is known whether the driver takes it.
struct Shown {
    certificate: Option<Certificate>,
    is_silent: bool,
    /// Where the clock of the step began, set back by what lay between.
    elapsed: Duration,
}

/// Takes the steps up to the certificate; the step that failed if one did.
async fn network(connection: &Connection, report: &mut Report<'_>) -> Result<Shown, Kind> {
    let mut steps = network_steps(connection).into_iter();
    let host = connection.host.clone();
    let mut fail = |kind: Kind, started: Instant, error: SourceError, report: &mut Report<'_>| {
        report.failed(kind.clone(), started, error);
        let rest = steps.by_ref().skip_while(|step| *step != kind).skip(1);
        report.skipped(rest, &kind);
        kind
    };
    let started = Instant::now();
    match probe::addresses(&host).await {
        Ok(addresses) => {
            let finding = Finding::Addresses { host: host.clone(), addresses, is_proxy: false };
            report.done(Kind::SourceName, started, finding);
        }
        Err(error) => return Err(fail(Kind::SourceName, started, error, report)),
    }
    let started = Instant::now();
    let port = match probe::port(connection).await {
        Ok(port) => port,
        Err(error) => return Err(fail(Kind::SourceBrowser, started, error, report)),
    };
    if let (true, Some(instance)) = (probe::needs_browser(connection), &connection.instance) {
        report.done(Kind::SourceBrowser, started, Finding::Instance { instance: instance.clone(), port });
    }
    let started = Instant::now();
    match probe::knock(&host, port).await {
        Ok(()) => report.done(Kind::SourcePort, started, Finding::PortOpen(port)),
        Err(error) => return Err(fail(Kind::SourcePort, started, error, report)),
    }
    let started = Instant::now();
    let asked = match connection.encryption {
        Encryption::Off => Ok(None),
        Encryption::Strict | Encryption::Required | Encryption::Login | Encryption::Preferred => {
            probe::certificate(connection, port).await
        }
    };
    let is_silent = asked.is_err();
    Ok(Shown { certificate: asked.ok().flatten(), is_silent, elapsed: started.elapsed() })
}

impl Shown {
    /// Tells the step; `refused` is what the driver has against the certificate.
    fn tell(self, connection: &Connection, report: &mut Report<'_>, refused: Option<SourceError>) {
        let started = Instant::now().checked_sub(self.elapsed).unwrap_or_else(Instant::now);
        let outcome = match refused {
            Some(error) => Outcome::Failed { failure: error.into(), certificate: self.certificate },
            None => Outcome::Done(Finding::Tls {
                days_left: self.certificate.as_ref().and_then(days_left),
                is_inspected: self.certificate.as_ref().is_some_and(is_of_a_filter),
                certificate: self.certificate,
                is_silent: self.is_silent,
                trust: trust(connection),
            }),
        };
        report.add(Kind::SourceTls, started, outcome);
    }
}

fn trust(connection: &Connection) -> Trust {
    match (connection.encryption, connection.trust_server_certificate) {
        (Encryption::Preferred, _) => Trust::OnThisMachine,
        (Encryption::Off, _) if connection.is_local() => Trust::OnThisMachine,
        (Encryption::Off, _) => Trust::Unencrypted,
        (Encryption::Login, _) => Trust::LoginOnly,
        (Encryption::Strict | Encryption::Required, true) => Trust::Unverified,
        (Encryption::Strict | Encryption::Required, false) => Trust::Verified,
    }
}

/// Days until a certificate ends; fewer than none if it has.
pub(super) fn days_left(certificate: &Certificate) -> Option<i64> {
    const DAY_S: i64 = 24 * 60 * 60;
    Some((certificate.until?.as_second() - Timestamp::now().as_second()).div_euclid(DAY_S))
}

/// Whether one of the products that schools inspect TLS with signed. Certificates of databases are signed by anybody,
/// their own server too, so only a name tells.
fn is_of_a_filter(certificate: &Certificate) -> bool {
    const PRODUCTS: [&str; 18] = [
        "barracuda",
        "blue coat",
        "check point",
        "cisco umbrella",
        "contentkeeper",
        "fortigate",
        "fortinet",
        "iboss",
        "lightspeed",
        "linewize",
        "mitmproxy",
        "netskope",
        "palo alto",
        "securly",
        "smoothwall",
        "sophos",
        "watchguard",
        "zscaler",
    ];
    certificate.signers.iter().any(|name| {
        let name = name.to_lowercase();
        PRODUCTS.iter().any(|product| name.contains(product))
    })
}

fn user(connection: &Connection) -> Option<String> {
    match (connection.login, connection.username.as_str()) {
        _ if connection.engine.is_local() => None,
        (Login::Windows, "") => Some("the Windows account that runs sispush".to_owned()),
        (Login::Database, "") => Some("the user that the driver takes by itself".to_owned()),
        (_, username) => Some(format!("`{username}`")),
    }
}

async fn log_in(connection: &Connection) -> Result<Box<dyn Source>, Failure> {
    match tokio::time::timeout(LOGIN_LIMIT, connect(connection)).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Failure::NoAnswer { limit: LOGIN_LIMIT }),
    }
}

/// The session, or another one where the last ended with what was asked of it.
async fn again<'s>(
    connection: &Connection,
    session: &'s mut Option<Box<dyn Source>>,
) -> Result<&'s mut Box<dyn Source>, Failure> {
    let open = match session.take() {
        Some(open) => open,
        None => log_in(connection).await?,
    };
    Ok(session.insert(open))
}

async fn ask_facts(
    connection: &Connection,
    session: &mut Option<Box<dyn Source>>,
    facts: &Facts,
    report: &mut Report<'_>,
) {
    let started = Instant::now();
    let finding = ask(connection, session, facts.version).await.map(|rows| Finding::Fact(words(&rows)));
    report.done(Kind::SourceVersion, started, finding.unwrap_or_else(Finding::NotTold));

    let started = Instant::now();
    let finding = ask(connection, session, facts.encoding).await.map(|rows| match words(&rows) {
        // PostgreSQL takes any bytes then, and tells us nothing of what they mean.
        encoding if encoding.starts_with("SQL_ASCII") => Finding::NoEncoding(encoding),
        encoding => Finding::Fact(encoding),
    });
    report.done(Kind::SourceEncoding, started, finding.unwrap_or_else(Finding::NotTold));

    let started = Instant::now();
    let finding = match facts.writing {
        None => Ok(Finding::FileWritable(OpenOptions::new().write(true).open(&connection.database).is_ok())),
        Some(query) => ask(connection, session, query)
            .await
            .map(|rows| Finding::Rights(rows.into_iter().filter_map(|row| row.into_iter().next()).collect())),
    };
    report.done(Kind::SourceWriting, started, finding.unwrap_or_else(Finding::NotTold));

    let Some(query) = facts.now else { return };
    let started = Instant::now();
    let asked_at = Timestamp::now();
    let finding = ask(connection, session, query).await.map(|rows| {
        let ours = asked_at + started.elapsed() / 2;
        let theirs = words(&rows).parse::<DateTime>().ok().and_then(|time| time.to_zoned(TimeZone::UTC).ok());
        match theirs {
            Some(theirs) => Finding::Clock(theirs.timestamp().as_millisecond() - ours.as_millisecond()),
            None => Finding::NotTold(SourceError::Other { message: "its time is not understood".into() }),
        }
    });
    report.done(Kind::SourceClock, started, finding.unwrap_or_else(Finding::NotTold));
}

/// The rows of a small result. After an error the session is gone: in PostgreSQL the transaction has failed with it.
async fn ask(
    connection: &Connection,
    session: &mut Option<Box<dyn Source>>,
    query: &str,
) -> Result<Vec<Vec<String>>, SourceError> {
    let lost = |failure| match failure {
        Failure::Source(error) => error,
        other => SourceError::Other { message: other.to_string() },
    };
    let open = again(connection, session).await.map_err(lost)?;
    let result = tokio::time::timeout(QUERY_LIMIT, table::read(open.as_mut(), query, RIGHTS_MAX)).await;
    let result = result.unwrap_or(Err(SourceError::Timeout { limit: QUERY_LIMIT }));
    if !result.as_ref().is_ok_and(|table| !table.is_cut)
        && let Some(session) = session.take()
    {
        session.close().await;
    }
    result.map(|table| table.rows)
}

/// The cells of the first row.
fn words(rows: &[Vec<String>]) -> String {
    rows.first()
        .map(|row| row.iter().filter(|cell| !cell.is_empty()).cloned().collect::<Vec<_>>().join(", "))
        .unwrap_or_default()
}

/// Runs an extract and counts the rows of the first second; whether the session is still good.
async fn sample(
    session: &mut Box<dyn Source>,
    (feed, extract): (&Feed, &Extract),
    allowed: Duration,
) -> (Result<Finding, Failure>, bool) {
    let (mut sink, stream) = channel();
    sink.take_binary(feed.contract.headers.iter().any(|rule| rule.kind == ValueKind::Picture));
    let (tell, told) = oneshot::channel();
    // A thread, as rows come whether or not this one is free.
    let reader = std::thread::spawn(move || {
        let (mut tell, mut columns, mut is_whole) = (Some(tell), None::<(Vec<Column>, Instant)>, false);
        while let Some(message) = stream.next() {
            match message {
                Message::Columns(described) => {
                    columns = Some((described, Instant::now()));
                    if let Some(tell) = tell.take() {
                        let _gone: Result<(), ()> = tell.send(());
                    }
                }
                Message::Rows(block) => {
                    stream.give_back(block);
                    if columns.as_ref().is_some_and(|(_, since)| since.elapsed() >= SAMPLE) {
                        break;
                    }
                }
                Message::End => is_whole = true,
            }
        }
        (columns.map(|(columns, _)| columns), is_whole)
    });
    let over = async {
        match told.await {
            Ok(()) => tokio::time::sleep(SAMPLE).await,
            Err(_) => std::future::pending().await,
        }
    };
    let result = tokio::select! {
        result = session.extract(&extract.query, &mut sink) => Some(result),
        () = over => None,
        () = tokio::time::sleep(QUERY_LIMIT + SAMPLE) => Some(Err(SourceError::Timeout { limit: QUERY_LIMIT })),
    };
    let rows = sink.row_number() - 1;
    drop(sink);
    let Ok((columns, is_whole)) = reader.join() else { return (Err(ExtractError::Crashed.into()), false) };
    let failed = |source| ExtractError::Query { extract: extract.name.clone(), source };
    match (result, columns) {
        (Some(Err(SourceError::Timeout { limit })), columns) if limit < allowed => {
            let finding = match columns {
                Some(columns) => missing(feed, extract, &columns).map(|()| Finding::Extract {
                    columns: columns.len(),
                    rows,
                    is_cut: true,
                }),
                None => Ok(Finding::Slow { waited: limit, allowed }),
            };
            (finding, false)
        }
        (Some(Err(error)), _) => (Err(failed(error).into()), false),
        (Some(Ok(())) | None, Some(columns)) => {
            let finding = missing(feed, extract, &columns);
            (finding.map(|()| Finding::Extract { columns: columns.len(), rows, is_cut: !is_whole }), is_whole)
        }
        (Some(Ok(())) | None, None) => (Err(failed(SourceError::NoColumns).into()), false),
    }
}

fn missing(feed: &Feed, extract: &Extract, columns: &[Column]) -> Result<(), Failure> {
    Builder::new(feed)
        .start(extract, columns)
        .map_err(|missing| ExtractError::MissingColumns { extract: extract.name.clone(), missing }.into())
}
