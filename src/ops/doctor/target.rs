//! The target: proxy, name, certificate, answer, credentials.

use std::time::{Duration, Instant};

use super::source::days_left;
use super::{Failure, Finding, Kind, Outcome, Report, Trust};
use crate::infiniti::client::Way;
use crate::infiniti::{Target, TargetError};
use crate::mapping::{Mapping, Proxy, TargetSettings};
use crate::source::SourceError;
use crate::source::probe;

/// The longest wait for the certificate, for a page, and for the answer to a CSV without patrons.
const LIMIT: Duration = Duration::from_secs(10);

pub(super) async fn examine(mapping: &Mapping, has_secrets: bool, post_empty: bool, report: &mut Report<'_>) {
    // One try, and a short one.
    let settings = TargetSettings { retries: 0, timeout: mapping.target.timeout.min(LIMIT), ..mapping.target.clone() };
    let encrypted = settings.url.scheme() == "https";
    let steps = [
        Some(Kind::TargetProxy),
        Some(Kind::TargetName),
        encrypted.then_some(Kind::TargetTls),
        Some(Kind::TargetAnswer),
        Some(Kind::TargetCredentials),
    ];
    let after = |kind: &Kind| {
        let kind = kind.clone();
        steps.iter().flatten().skip_while(move |step| **step != kind).skip(1).cloned().collect::<Vec<_>>()
    };
    // Paths and the proxy's address wait for their secrets.
    if !has_secrets && (settings.ca_file.is_some() || matches!(settings.proxy, Proxy::Url(_))) {
        return report.skipped(steps.into_iter().flatten(), &Kind::Secrets);
    }
    let started = Instant::now();
    let target = match Target::new(&settings) {
        Ok(target) => target,
        Err(error) => {
            report.failed(Kind::TargetProxy, started, error);
            return report.skipped(after(&Kind::TargetProxy), &Kind::TargetProxy);
        }
    };
    let way = target.way();
    let (host, is_proxy) = match &way {
        Way::Direct => (settings.url.host_str().unwrap_or_default().to_owned(), false),
        Way::Proxy { host, .. } => (host.clone(), true),
    };
    report.done(Kind::TargetProxy, started, Finding::Way(way));

    let started = Instant::now();
    match probe::addresses(host.trim_matches(['[', ']'])).await {
        Ok(addresses) => report.done(Kind::TargetName, started, Finding::Addresses { host, addresses, is_proxy }),
        Err(SourceError::NameNotResolved { host, source }) => {
            report.failed(Kind::TargetName, started, TargetError::NameNotResolved { host, source });
            return report.skipped(after(&Kind::TargetName), &Kind::TargetName);
        }
        Err(error) => {
            report.failed(Kind::TargetName, started, error);
            return report.skipped(after(&Kind::TargetName), &Kind::TargetName);
        }
    }

    // Side by side: whoever does not answer the one does not answer the other.
    let started = Instant::now();
    let ask = async {
        let shown = if encrypted { Box::pin(target.certificate()).await } else { None };
        (shown, started.elapsed())
    };
    let (asked, greeted) =
        tokio::join!(tokio::time::timeout(LIMIT, ask), tokio::time::timeout(LIMIT, Box::pin(target.greet())));
    let (certificate, asked_certificate) = asked.unwrap_or((None, LIMIT));
    let greeted = match greeted {
        Ok(Ok(status)) => Ok(status),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Failure::NoAnswer { limit: LIMIT }),
    };
    if encrypted {
        let started = Instant::now().checked_sub(asked_certificate).unwrap_or_else(Instant::now);
        match (&greeted, certificate) {
            (Err(Failure::Target(error)), certificate) if is_about_tls(error) => {
                let Err(failure) = greeted else { return };
                report.add(Kind::TargetTls, started, Outcome::Failed { failure, certificate });
                return report.skipped(after(&Kind::TargetTls), &Kind::TargetTls);
            }
            (_, Some(certificate)) => {
                let finding = Finding::Tls {
                    days_left: days_left(&certificate),
                    // Infiniti's own is signed by an authority that every browser knows.
                    is_inspected: !certificate.is_public,
                    certificate: Some(certificate),
                    is_silent: false,
                    trust: Trust::Verified,
                };
                report.done(Kind::TargetTls, started, finding);
            }
            (_, None) => report.skipped([Kind::TargetTls], &Kind::TargetAnswer),
        }
    }
    match greeted {
        Ok(status) => report.done(Kind::TargetAnswer, started, Finding::Answer(status)),
        Err(failure) => {
            report.add(Kind::TargetAnswer, started, Outcome::Failed { failure, certificate: None });
            return report.skipped([Kind::TargetCredentials], &Kind::TargetAnswer);
        }
    }
    if !has_secrets {
        return report.skipped([Kind::TargetCredentials], &Kind::Secrets);
    }
    let started = Instant::now();
    if !post_empty {
        return report.add(Kind::TargetCredentials, started, Outcome::NotAsked);
    }
    match target.post_empty().await {
        Ok(()) => {
            let finding = Finding::Credentials { username: settings.username.clone() };
            report.done(Kind::TargetCredentials, started, finding);
        }
        Err(error) => report.failed(Kind::TargetCredentials, started, error),
    }
}

fn is_about_tls(error: &TargetError) -> bool {
    matches!(
        error,
        TargetError::Untrusted { .. }
            | TargetError::OtherName { .. }
            | TargetError::OutOfDate { .. }
            | TargetError::Tls { .. }
    )
}
