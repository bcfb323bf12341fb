//! What Infiniti's answers mean: status and body judged together. No I/O.
//!
//! Only what Infiniti said counts: whatever cannot be read, or contradicts what was sent, is unknown, and an unknown row
//! is never taken for accepted. Source: the vendor's page on patron accounts, "Results of Processing".

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

/// An HTTP answer, as far as its meaning goes.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The status code.
    pub status: u16,
    /// `Location`.
    pub location: Option<&'a str>,
    /// `Retry-After`, read: how long to wait.
    pub retry_after: Option<Duration>,
    /// The body, whole.
    pub body: &'a [u8],
}

/// What an answer says of the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Infiniti processed the batch and said what became of every row, or of nearly every one.
    Processed(Outcomes),
    /// The credentials were refused; nothing was imported.
    Unauthorised,
    /// Sent elsewhere: to this host or path. Nothing was imported.
    Redirected(String),
    /// Nothing at this address takes an import.
    WrongAddress(u16),
    /// The upload is too large; nothing was imported.
    TooLarge,
    /// The proxy wants a login; nothing reached Infiniti.
    ProxyLogin,
    /// Too busy; nothing was imported. Come back after a while.
    Busy(u16, Option<Duration>),
    /// Refused by another status; nothing was imported.
    Refused(u16),
    /// A gateway gave up waiting: the import may still be running.
    GatewayTimeout(u16),
    /// Nobody knows what became of the rows, for this reason.
    Unknown(String),
}

/// What became of the rows of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// New patrons.
    pub created: u64,
    /// Patrons that were there.
    pub updated: u64,
    /// Rows that failed, counted from 0, with Infiniti's words.
    pub failed: Vec<(usize, String)>,
    /// Rows of which nothing, or nothing that fits, was said; counted from 0.
    pub unknown: Vec<usize>,
}

/// Judges the answer to a batch of `rows` rows.
pub fn judge(answer: &Answer<'_>, rows: usize) -> Verdict {
    let body = Body::read(answer.body);
    if matches!(answer.status, 401 | 403) || body.as_ref().is_ok_and(Body::is_unauthorised) {
        return Verdict::Unauthorised;
    }
    match answer.status {
        200..=299 => match body {
            Ok(body) => body.judge(rows),
            Err(reason) => Verdict::Unknown(reason),
        },
        300..=399 => Verdict::Redirected(place(answer.location)),
        404 | 405 => Verdict::WrongAddress(answer.status),
        407 => Verdict::ProxyLogin,
        413 => Verdict::TooLarge,
        408 | 504 => Verdict::GatewayTimeout(answer.status),
        429 | 503 => Verdict::Busy(answer.status, answer.retry_after),
        400..=499 => Verdict::Refused(answer.status),
        status => match body {
            // The import's own answer counts, whatever status it came with.
            Ok(body) if body.summary.processed.is_some() => body.judge(rows),
            _ => Verdict::Unknown(format!("status {status}")),
        },
    }
}

/// The body of an answer that is an import's result.
#[derive(Debug)]
struct Body {
    success: bool,
    words: String,
    summary: Summary,
    details: Option<BTreeMap<String, String>>,
}

/// The counts of a summary such as `3 users processed. 1 user created. 1 user updated. 1 user failed.`
#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    processed: Option<u64>,
    created: Option<u64>,
    updated: Option<u64>,
    failed: Option<u64>,
}

impl Body {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Json {
            success: bool,
            #[serde(default)]
            summary: String,
            details: Option<BTreeMap<String, String>>,
        }
        let start = bytes.trim_ascii_start();
        if start.is_empty() {
            return Err("the answer is empty".into());
        }
        if start.starts_with(b"<") {
            return Err("the answer is a web page, such as a sign-in page".into());
        }
        let Json { success, summary, details } = serde_json::from_slice(bytes).map_err(|error| {
            if error.is_eof() {
                "the answer is cut off".to_owned()
            } else {
                "the answer is not the JSON of an import's result".to_owned()
            }
        })?;
        Ok(Self { success, summary: Summary::read(&summary), words: one_line(&summary), details })
    }

    fn is_unauthorised(&self) -> bool {
        !self.success && self.words.to_ascii_lowercase().starts_with("unauthori")
    }

    fn judge(&self, rows: usize) -> Verdict {
        let sent = rows as u64;
        let Summary { processed: Some(processed), created, updated, failed } = self.summary else {
            return Verdict::Unknown(format!("the answer does not say how many rows were processed: `{}`", self.words));
        };
        if processed != sent {
            return Verdict::Unknown(format!("{sent} rows were sent, and {processed} were processed"));
        }
        let failed = failed.unwrap_or(0);
        let (created, updated) = (created.unwrap_or(0), updated.unwrap_or(0));
        match &self.details {
            Some(details) => self.judge_details(rows, details),
            None if !self.success || failed > 0 => {
                Verdict::Unknown("rows failed, and the answer does not say which".into())
            }
            None if created + updated != sent => {
                Verdict::Unknown(format!("{sent} rows were sent, and {} were created or updated", created + updated))
            }
            None => Verdict::Processed(Outcomes { created, updated, ..Outcomes::default() }),
        }
    }

    fn judge_details(&self, rows: usize, details: &BTreeMap<String, String>) -> Verdict {
        let mut outcomes = Outcomes::default();
        let mut told = vec![false; rows];
        for (number, words) in details {
            // Counted from 1 on the wire.
            let row = number.trim().parse::<usize>().ok().and_then(|number| number.checked_sub(1));
            let Some((row, slot)) = row.and_then(|row| told.get_mut(row).map(|slot| (row, slot))) else {
                return Verdict::Unknown(format!("the answer tells of row `{}`, which was not sent", one_line(number)));
            };
            if std::mem::replace(slot, true) {
                return Verdict::Unknown(format!("the answer tells of row {} twice", row + 1));
            }
            match words.trim() {
                "User Created" => outcomes.created += 1,
                "User Updated" => outcomes.updated += 1,
                words => outcomes.failed.push((row, tidy(words))),
            }
        }
        outcomes.failed.sort_unstable();
        outcomes.unknown = (0..rows).filter(|row| !told[*row]).collect();
        let said = |count: Option<u64>, counted: u64| count.is_none_or(|count| count == counted);
        let fits = said(self.summary.failed, outcomes.failed.len() as u64)
            && said(self.summary.created, outcomes.created)
            && said(self.summary.updated, outcomes.updated);
        if outcomes.unknown.is_empty() && !fits {
            return Verdict::Unknown(format!("the answer contradicts itself: `{}`", self.words));
        }
        if self.success && !outcomes.failed.is_empty() {
            return Verdict::Unknown("the answer says that all is well and that rows failed".into());
        }
        Verdict::Processed(outcomes)
    }
}

impl Summary {
    fn read(text: &str) -> Self {
        let mut summary = Self::default();
        for sentence in text.split('.') {
            let mut words = sentence.split_whitespace();
            let (Some(count), Some("user" | "users"), Some(verb), None) =
                (words.next().and_then(|count| count.parse().ok()), words.next(), words.next(), words.next())
            else {
                continue;
            };
            match verb {
                "processed" => summary.processed = Some(count),
                "created" => summary.created = Some(count),
                "updated" => summary.updated = Some(count),
                "failed" => summary.failed = Some(count),
                _ => {}
            }
        }
        summary
    }
}

/// An outcome's words once: `X. User failed to import: X. ` says X twice.
fn tidy(words: &str) -> String {
    let text = match words.split_once("User failed to import:") {
        Some((first, _)) if !first.trim().is_empty() => first,
        Some((_, second)) => second,
        None => words,
    };
    let text = one_line(text);
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}

/// Words from outside: on one line, without control characters, and not without end.
fn one_line(text: &str) -> String {
    const CHARACTERS_MAX: usize = 300;
    let clean = text.replace(|c: char| c.is_control(), " ");
    let mut line = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(CHARACTERS_MAX) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// A redirect's goal without its query, which may hold a session.
fn place(location: Option<&str>) -> String {
    let location = location.unwrap_or_default();
    one_line(location.split(['?', '#']).next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, body: &str, rows: usize, expected: &Verdict) {
        let answer = Answer {
            status,
            location: Some("https://login.example/sso?token=secret"),
            retry_after: Some(Duration::from_secs(3)),
            body: body.as_bytes(),
        };
        assert_eq!(&judge(&answer, rows), expected, "status {status}, body {body}");
    }

    fn processed(created: u64, updated: u64, failed: &[(usize, &str)], unknown: &[usize]) -> Verdict {
        Verdict::Processed(Outcomes {
            created,
            updated,
            failed: failed.iter().map(|(row, words)| (*row, (*words).to_owned())).collect(),
            unknown: unknown.to_vec(),
        })
    }

    fn unknown(reason: &str) -> Verdict {
        Verdict::Unknown(reason.into())
    }

    const SEED_DETAILS: &str = r#"{
      "success": false,
      "summary": "3 users processed. 1 user created. 1 user updated. 1 user failed.",
      "details": {
        "1": "User Updated",
        "2": "Field (emailAddress) is not a well-formed email address. User failed to import: Field (emailAddress) is not a well-formed email address. ",
        "3": "User Created"
      }
    }"#;

    #[test]
    fn the_three_answers_of_the_page() {
        let all =
            r#"{"success":true, "summary":"100 users processed. 50 users created. 50 users updated. 0 users failed."}"#;
        check(200, all, 100, &processed(50, 50, &[], &[]));
        check(
            200,
            SEED_DETAILS,
            3,
            &processed(1, 1, &[(1, "Field (emailAddress) is not a well-formed email address")], &[]),
        );
        let unauthorised = r#"{"success": false, "summary":"Unauthorised. Check credentials."}"#;
        for status in [200, 401, 500] {
            check(status, unauthorised, 3, &Verdict::Unauthorised);
        }
    }

    #[test]
    fn an_empty_csv_is_processed() {
        let none =
            r#"{"success":true,"summary":"0 users processed. 0 users created. 0 users updated. 0 users failed."}"#;
        check(200, none, 0, &processed(0, 0, &[], &[]));
    }

    #[test]
    fn what_does_not_fit_is_unknown() {
        let all =
            r#"{"success":true,"summary":"2 users processed. 2 users created. 0 users updated. 0 users failed."}"#;
        check(200, all, 3, &unknown("3 rows were sent, and 2 were processed"));
        let short =
            r#"{"success":true,"summary":"3 users processed. 1 user created. 1 user updated. 0 users failed."}"#;
        check(200, short, 3, &unknown("3 rows were sent, and 2 were created or updated"));
        let silent =
            r#"{"success":false,"summary":"3 users processed. 1 user created. 1 user updated. 1 user failed."}"#;
        check(200, silent, 3, &unknown("rows failed, and the answer does not say which"));
        let vague = r#"{"success":true,"summary":"Import started."}"#;
        check(200, vague, 3, &unknown("the answer does not say how many rows were processed: `Import started.`"));
        check(200, SEED_DETAILS, 4, &unknown("4 rows were sent, and 3 were processed"));
        check(
            200,
            &SEED_DETAILS.replace("\"3\":", "\"7\":"),
            3,
            &unknown("the answer tells of row `7`, which was not sent"),
        );
        check(
            200,
            &SEED_DETAILS.replace("\"3\":", "\"x\":"),
            3,
            &unknown("the answer tells of row `x`, which was not sent"),
        );
        check(200, &SEED_DETAILS.replace("\"3\":", "\" 1\":"), 3, &unknown("the answer tells of row 1 twice"));
        check(
            200,
            &SEED_DETAILS.replace("User Created", "User Updated"),
            3,
            &unknown(
                "the answer contradicts itself: `3 users processed. 1 user created. 1 user updated. 1 user failed.`",
            ),
        );
    }

    #[test]
    fn a_row_that_the_details_leave_out_is_unknown_alone() {
        let body = SEED_DETAILS.replace(",\n        \"3\": \"User Created\"", "");
        check(200, &body, 3, &processed(0, 1, &[(1, "Field (emailAddress) is not a well-formed email address")], &[2]));
    }

    #[test]
    fn what_is_no_json_is_unknown() {
        check(200, "", 3, &unknown("the answer is empty"));
        check(
            200,
            "<!doctype html><title>Sign in</title>",
            3,
            &unknown("the answer is a web page, such as a sign-in page"),
        );
        check(200, &SEED_DETAILS[..60], 3, &unknown("the answer is cut off"));
        check(200, "[1]", 3, &unknown("the answer is not the JSON of an import's result"));
        check(200, "ok", 3, &unknown("the answer is not the JSON of an import's result"));
    }

    #[test]
    fn statuses() {
        for (status, verdict) in [
            (301, Verdict::Redirected("https://login.example/sso".into())),
            (302, Verdict::Redirected("https://login.example/sso".into())),
            (307, Verdict::Redirected("https://login.example/sso".into())),
            (400, Verdict::Refused(400)),
            (401, Verdict::Unauthorised),
            (403, Verdict::Unauthorised),
            (404, Verdict::WrongAddress(404)),
            (405, Verdict::WrongAddress(405)),
            (407, Verdict::ProxyLogin),
            (408, Verdict::GatewayTimeout(408)),
            (413, Verdict::TooLarge),
            (429, Verdict::Busy(429, Some(Duration::from_secs(3)))),
            (500, unknown("status 500")),
            (502, unknown("status 502")),
            (503, Verdict::Busy(503, Some(Duration::from_secs(3)))),
            (504, Verdict::GatewayTimeout(504)),
        ] {
            check(status, "<html>", 3, &verdict);
        }
    }

    #[test]
    fn an_import_that_answers_with_500_has_still_answered() {
        check(
            500,
            SEED_DETAILS,
            3,
            &processed(1, 1, &[(1, "Field (emailAddress) is not a well-formed email address")], &[]),
        );
    }

    #[test]
    fn words_from_outside_are_bounded() {
        assert_eq!(one_line(&"x".repeat(1000)).chars().count(), 301);
        assert_eq!(one_line("a\r\n\u{1b}[31mb"), "a [31mb");
    }
}
