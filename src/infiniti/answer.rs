//! What an answer of Infiniti means: status, headers and body are judged together. No I/O, no clock.
//!
//! | answer | verdict |
//! |---|---|
//! | 2xx, `success: true`, as many processed as sent, none failed | every row accepted |
//! | 2xx (400 and 422 too), `success: false` with `details` | each row by its own outcome; a row that is missing is unknown |
//! | 2xx, anything else | unknown |
//! | 401, 403, or a body that says `Unauthorised` | credentials refused |
//! | 3xx | redirected; nothing was imported |
//! | 404, 405, 410 | wrong address |
//! | 407 | the proxy wants a login |
//! | 413 | too large |
//! | 429, 503 | busy; to be tried again after `Retry-After` |
//! | 408, 504, 524 | unknown: a gateway gave up waiting, the import may still be running |
//! | other 4xx | refused |
//! | other | unknown |
//!
//! Of other feeds than the accounts the vendor documents no answers ([`Answers::Loose`]): there `success` is the word that
//! counts, and a summary may count rows, patrons, or nothing.
//!
//! Unknown is the answer to every doubt: a row counts as accepted only if Infiniti said so (design 5).

mod body;

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::contract::Answers;
use body::{Counts, Details, Import};

/// The parts of an HTTP answer that matter.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// The header `Location`.
    pub location: Option<&'a str>,
    /// The header `Retry-After`.
    pub retry_after: Option<&'a str>,
    /// The header `Content-Type`.
    pub content_type: Option<&'a str>,
    /// The whole body.
    pub body: &'a [u8],
}

impl fmt::Debug for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The body may repeat what was sent.
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Infiniti said what became of the rows.
    Rows(Outcomes),
    /// The credentials are wrong, or the account may not import.
    CredentialsRefused,
    /// Somewhere else was pointed to. Nothing was imported.
    Redirected {
        /// The host pointed to, if it is another one.
        host: Option<String>,
        /// Whether the path pointed to looks like a login page.
        login: bool,
    },
    /// There is no import at that address.
    WrongAddress,
    /// A proxy on the way wants a login.
    ProxyLogin,
    /// The batch is larger than Infiniti, or a proxy, takes.
    TooLarge,
    /// Not now. Nothing was imported.
    Busy {
        /// When to come back, if that was said.
        retry_after: Option<RetryAfter>,
    },
    /// The request as a whole was refused.
    Refused {
        /// Infiniti's words.
        words: Option<Words>,
    },
    /// What became of the rows cannot be told. None counts as accepted, but some may have been.
    Unknown {
        /// Why.
        doubt: Doubt,
        /// Infiniti's words.
        words: Option<Words>,
    },
}

/// What became of the rows of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Patrons created, in Infiniti's count.
    pub created: usize,
    /// Patrons updated, in Infiniti's count.
    pub updated: usize,
    /// Rows that failed, in order.
    pub failed: Vec<FailedRow>,
    /// Rows of which nothing, or nothing clear, was said: positions in the batch from 0, in order.
    pub unknown: Vec<usize>,
}

/// A row that Infiniti did not accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedRow {
    /// Its position in the batch, from 0.
    pub row: usize,
    /// Infiniti's reason.
    pub message: Words,
}

/// Words of the server: one line, bounded in length, without control characters.
///
/// They may repeat a value of a row. `Display` shows them to the person at the console; `Debug` does not, so that no log
/// line holds them.
#[derive(Clone, PartialEq, Eq)]
pub struct Words(String);

impl Words {
    /// The most characters that are kept.
    pub const LENGTH_MAX: usize = 200;

    /// Tidies words of the server. `None` if nothing remains.
    pub fn new(text: &str) -> Option<Self> {
        let mut words = String::new();
        let mut length = 0;
        // A control character parts words as a space does; a bidirectional mark would let a message rewrite its line.
        let visible =
            text.split(|c: char| c.is_whitespace() || c.is_control() || is_format(c)).filter(|word| !word.is_empty());
        for (index, word) in visible.enumerate() {
            for c in (index > 0).then_some(' ').into_iter().chain(word.chars()) {
                if length == Self::LENGTH_MAX {
                    words.push('…');
                    return Some(Self(words));
                }
                words.push(c);
                length += 1;
            }
        }
        (!words.is_empty()).then_some(Self(words))
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Words({} bytes)", self.0.len())
    }
}

/// Why nobody can tell what became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// No answer came in time. The import may still be running.
    TimedOut {
        /// How long was waited.
        limit: Duration,
    },
    /// A gateway between us and Infiniti gave up waiting. The import may still be running.
    GatewayTimeout {
        /// The status of its answer.
        status: u16,
    },
    /// The connection ended after the upload had begun.
    ConnectionLost,
    /// The answer ended in the middle.
    CutOff,
    /// The answer is empty.
    Empty,
    /// The answer is a web page.
    Html,
    /// The answer is not JSON.
    NotJson,
    /// The answer is longer than any that makes sense.
    TooLong,
    /// The answer is JSON, but not an answer of the import.
    NotAnAnswer,
    /// The summary has no count of processed rows.
    Summary,
    /// Another number of rows was processed than was sent.
    Miscount {
        /// Rows sent.
        sent: usize,
        /// Rows processed, by the summary.
        processed: usize,
    },
    /// Rows failed, and it is not said which.
    NoDetails,
    /// The details speak of rows that are not in the batch, so none of their numbers can be trusted.
    RowNumbers,
    /// The details name as many as there are patrons, who have more rows: whichever is numbered, one would be taken for another.
    RowsOrPatrons,
    /// The counts of the summary contradict the details, or each other.
    Contradiction,
    /// The server, or a gateway, failed.
    ServerError {
        /// The status of its answer.
        status: u16,
    },
}

impl Doubt {
    /// Whether nobody waited for the end of the import, so that it may still be running.
    pub fn is_timeout(self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::GatewayTimeout { .. })
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { limit } => write!(f, "no answer came within {} s", limit.as_secs_f64()),
            Self::GatewayTimeout { status } => write!(f, "a gateway gave up waiting for Infiniti (status {status})"),
            Self::ConnectionLost => f.write_str("the connection ended after the upload had begun"),
            Self::CutOff => f.write_str("the answer is cut off"),
            Self::Empty => f.write_str("the answer is empty"),
            Self::Html => f.write_str("a web page came in place of an answer of the import"),
            Self::NotJson => f.write_str("the answer is not JSON"),
            Self::TooLong => f.write_str("the answer is too long"),
            Self::NotAnAnswer => f.write_str("the answer is JSON, but not an answer of the import"),
            Self::Summary => f.write_str("the answer does not say how many rows were processed"),
            Self::Miscount { sent, processed } => write!(f, "{sent} rows were sent, but {processed} processed"),
            Self::NoDetails => f.write_str("rows failed, but the answer does not say which"),
            Self::RowNumbers => f.write_str("the answer speaks of rows that were not sent"),
            Self::RowsOrPatrons => f.write_str("the answer numbers rows or patrons, and does not say which"),
            Self::Contradiction => f.write_str("the counts in the answer contradict each other"),
            Self::ServerError { status } => write!(f, "the server failed (status {status})"),
        }
    }
}

/// When to come back, as the server said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// After so long.
    Delay(Duration),
    /// At that time.
    Time(Timestamp),
}

impl RetryAfter {
    /// The longest wait that is honoured.
    pub const WAIT_MAX: Duration = Duration::from_mins(2);

    /// How long to wait from `now`; at most [`Self::WAIT_MAX`].
    pub fn wait(self, now: Timestamp) -> Duration {
        let wait = match self {
            Self::Delay(delay) => delay,
            Self::Time(time) => Duration::try_from(time.duration_since(now)).unwrap_or_default(),
        };
        wait.min(Self::WAIT_MAX)
    }

    /// Reads the header: seconds, or an HTTP date.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // A number too large to read is a long wait, not a missing one.
            return Some(Self::Delay(text.parse().map_or(Self::WAIT_MAX, Duration::from_secs)));
        }
        jiff::fmt::rfc2822::parse(text).ok().map(|time| Self::Time(time.timestamp()))
    }
}

/// What was sent, as far as an answer may count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// How many rows.
    pub rows: usize,
    /// How many patrons they belong to.
    pub patrons: usize,
    /// How clearly the feed's answers are documented.
    pub answers: Answers,
}

impl From<usize> for Sent {
    /// So many rows of accounts.
    fn from(rows: usize) -> Self {
        Self { rows, patrons: rows, answers: Answers::Exact }
    }
}

/// Judges an answer to a batch.
pub fn judge(answer: &Answer<'_>, sent: impl Into<Sent>) -> Verdict {
    let sent = sent.into();
    let body = answer.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(answer.body).trim_ascii();
    let import = Import::parse(body);
    if is_unauthorised(body, import.as_ref().ok()) {
        return Verdict::CredentialsRefused;
    }
    let words = || import.as_ref().ok().and_then(|import| Words::new(import.summary.as_deref()?));
    match answer.status {
        200..=299 => match import {
            Ok(import) => judge_import(&import, sent),
            Err(error) => Verdict::Unknown { doubt: unreadable(answer.content_type, body, &error), words: None },
        },
        300..=399 => redirected(answer.location),
        // Not documented, but a server of today says "unprocessable" where one of yesterday says 200. The details are
        // Infiniti's own word on each row.
        400 | 422 => match import {
            Ok(import) if !import.success && matches!(import.details, Details::Rows(_)) => judge_import(&import, sent),
            _ => Verdict::Refused { words: words() },
        },
        401 | 403 => Verdict::CredentialsRefused,
        404 | 405 | 410 => Verdict::WrongAddress,
        407 => Verdict::ProxyLogin,
        413 => Verdict::TooLarge,
        429 | 503 => Verdict::Busy { retry_after: answer.retry_after.and_then(RetryAfter::parse) },
        status @ (408 | 504 | 524) => Verdict::Unknown { doubt: Doubt::GatewayTimeout { status }, words: None },
        400..=499 => Verdict::Refused { words: words() },
        status => Verdict::Unknown { doubt: Doubt::ServerError { status }, words: words() },
    }
}

fn is_format(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The contract's answer to bad credentials: `Unauthorised. Check credentials.`, with a status that is not documented.
fn is_unauthorised(body: &[u8], import: Option<&Import>) -> bool {
    let text = match import {
        Some(import) if import.success => return false,
        Some(import) => import.summary.as_deref().unwrap_or_default().trim_start().as_bytes(),
        None => body,
    };
    ["unauthorised", "unauthorized"]
        .iter()
        .any(|word| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes())))
}

fn redirected(location: Option<&str>) -> Verdict {
    let location = location.unwrap_or_default();
    let url = url::Url::parse(location).ok();
    let host = url.as_ref().and_then(url::Url::host_str).and_then(Words::new).map(|host| host.0);
    let path = url.as_ref().map_or(location, url::Url::path).to_ascii_lowercase();
    let login =
        ["login", "logon", "signin", "sign-in", "sso", "saml", "adfs", "auth"].iter().any(|word| path.contains(word));
    Verdict::Redirected { host, login }
}

fn unreadable(content_type: Option<&str>, body: &[u8], error: &serde_json::Error) -> Doubt {
    if body.is_empty() {
        Doubt::Empty
    } else if content_type.is_some_and(|kind| kind.to_ascii_lowercase().contains("html")) && !body.starts_with(b"{")
        || body.starts_with(b"<")
    {
        Doubt::Html
    } else if error.is_eof() {
        Doubt::CutOff
    } else if error.is_data() {
        Doubt::NotAnAnswer
    } else {
        Doubt::NotJson
    }
}

fn judge_import(import: &Import, sent: Sent) -> Verdict {
    match outcomes(import, sent) {
        Ok(outcomes) => Verdict::Rows(outcomes),
        Err(doubt) => Verdict::Unknown { doubt, words: import.summary.as_deref().and_then(Words::new) },
    }
}

fn outcomes(import: &Import, sent: Sent) -> Result<Outcomes, Doubt> {
    let counts = import.summary.as_deref().and_then(Counts::parse);
    let processed = counts.as_ref().map(|counts| counts.processed);
    let Sent { rows, patrons, answers } = sent;
    let counts = match answers {
        Answers::Exact => counts.ok_or(Doubt::Summary)?,
        // Nobody says that there are counts, nor of what.
        Answers::Loose => counts.unwrap_or(Counts { processed: rows, ..Counts::default() }),
    };
    if counts.processed != rows && (answers == Answers::Exact || counts.processed != patrons) {
        return Err(Doubt::Miscount { sent: rows, processed: counts.processed });
    }
    if counts.created.saturating_add(counts.updated).saturating_add(counts.failed) > rows {
        return Err(Doubt::Contradiction);
    }
    match &import.details {
        Details::Absent if import.success && counts.failed == 0 => {
            Ok(Outcomes { created: counts.created, updated: counts.updated, ..Outcomes::default() })
        }
        Details::Absent if import.success => Err(Doubt::Contradiction),
        Details::Absent => Err(Doubt::NoDetails),
        Details::Malformed => Err(Doubt::NotAnAnswer),
        Details::Rows(details) if !are_of_rows(details, processed, sent) => Err(Doubt::RowsOrPatrons),
        Details::Rows(details) => by_row(details, &counts, sent, import.success),
    }
}

/// Whether the numbers of details can only be those of rows. Else the outcome of one patron might be told of another.
fn are_of_rows(details: &[(String, Option<String>)], processed: Option<usize>, sent: Sent) -> bool {
    let number = |(number, _): &(String, Option<String>)| number.trim().parse::<usize>().ok();
    let is_counted = processed.is_some_and(|processed| processed == sent.rows);
    sent.rows == sent.patrons || is_counted || details.iter().filter_map(number).any(|number| number > sent.patrons)
}

/// Words with which a short text says that something did not happen.
const DENIALS: [&str; 8] = ["cannot", "never", "no", "nobody", "none", "not", "nothing", "without"];

/// Whether the text for a row says that it was created, or updated. Where nobody says what the thing is called, two words do:
/// `Contact Created`.
fn says(text: &str, verb: &str, answers: Answers) -> bool {
    let text = text.to_ascii_lowercase();
    let mut words = text.split_whitespace().rev();
    match answers {
        Answers::Exact => text.strip_prefix("user ") == Some(verb),
        Answers::Loose => {
            words.next() == Some(verb)
                && words.next().is_none_or(|thing| !DENIALS.contains(&thing))
                && words.next().is_none()
        }
    }
}

/// What the details say of one row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Nothing,
    Created,
    Updated,
    Failed,
    /// Said twice, or not in words.
    Unclear,
}

fn by_row(
    details: &[(String, Option<String>)],
    counts: &Counts,
    Sent { rows: sent, answers, .. }: Sent,
    success: bool,
) -> Result<Outcomes, Doubt> {
    let is = |text: &str, verb: &str| says(text, verb, answers);
    let mut said = vec![Said::Nothing; sent];
    let mut messages = Vec::new();
    for (number, text) in details {
        // One number out of range means that rows are counted in another way than ours: then every number is suspect.
        let number = number.trim().parse::<usize>().map_err(|_| Doubt::RowNumbers)?;
        let row = number.checked_sub(1).filter(|row| *row < sent).ok_or(Doubt::RowNumbers)?;
        said[row] = match (said[row], text.as_deref().map(str::trim)) {
            (Said::Nothing, Some(text)) if is(text, "created") => Said::Created,
            (Said::Nothing, Some(text)) if is(text, "updated") => Said::Updated,
            (Said::Nothing, Some(text)) => match reason(text) {
                Some(message) => {
                    messages.push(FailedRow { row, message });
                    Said::Failed
                }
                None => Said::Unclear,
            },
            _ => Said::Unclear,
        };
    }
    let unknown: Vec<usize> = (0..sent).filter(|row| matches!(said[*row], Said::Nothing | Said::Unclear)).collect();
    // Every count must be reachable by giving each unknown row one outcome.
    for (outcome, count) in
        [(Said::Created, counts.created), (Said::Updated, counts.updated), (Said::Failed, counts.failed)]
    {
        // What is counted, rows or patrons, nobody says.
        if answers == Answers::Loose {
            continue;
        }
        let told = said.iter().filter(|said| **said == outcome).count();
        if count < told || count > told + unknown.len() {
            return Err(Doubt::Contradiction);
        }
    }
    let is_all_well = said.iter().all(|said| matches!(said, Said::Created | Said::Updated));
    let says_failed = counts.failed > 0 || (answers == Answers::Loose && !success);
    if (success && counts.failed > 0) || (is_all_well && says_failed) {
        return Err(Doubt::Contradiction);
    }
    messages.retain(|failed: &FailedRow| said[failed.row] == Said::Failed);
    messages.sort_by_key(|failed| failed.row);
    Ok(Outcomes { created: counts.created, updated: counts.updated, failed: messages, unknown })
}

/// Infiniti's reason for a row: `X. User failed to import: X. ` says `X`.
fn reason(text: &str) -> Option<Words> {
    let bare = |text: &str| text.trim().trim_end_matches('.').trim_end().to_owned();
    let short = match text.split_once("User failed to import:") {
        Some((before, after)) if bare(before) == bare(after) || bare(before).is_empty() => bare(after),
        Some((before, after)) if bare(after).is_empty() => bare(before),
        _ => bare(text),
    };
    Words::new(&short)
}

#[cfg(test)]
mod tests;
