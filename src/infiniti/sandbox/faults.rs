//! Faults on demand: what can go wrong at Infiniti, or on the way to it, one at a time.

use std::fmt;
use std::str::FromStr;

use regex::{Regex, RegexBuilder};

use crate::infiniti::contract::FEEDS;

/// One fault, and how many imports it strikes.
///
/// Written as `NAME`, `NAMExTIMES` or `NAMExTIMES=ARGUMENT`; a status may end in `:SECONDS` for `Retry-After`. `@FEED` before
/// the argument aims it at one feed: `503x2:5@contacts`, `reject@groups=PATTERN`.
///
/// | fault | what happens | imported? |
/// |---|---|---|
/// | `401`, `503x2`, `429:5` | that status, with Infiniti's body for 401 | no |
/// | `redirect` | 302 to a login page | no |
/// | `html` | a login page, with status 200 | no |
/// | `cut-upload=BYTES` | the connection is reset after so many bytes of the upload | no |
/// | `cut` | the connection is reset in the middle of the answer | yes |
/// | `hang` | no answer | yes |
/// | `badjson` | an answer that is not JSON | yes |
/// | `miscount` | one row fewer counted as processed than was sent | yes |
/// | `nodetails` | a row said to have failed, but not which | yes |
/// | `reject=PATTERN` | rows whose username (of images, `adminsystemid`) matches the regular expression fail | the others |
#[derive(Clone, Debug)]
pub struct Fault {
    pub(super) kind: FaultKind,
    /// How many imports it still strikes; `None` is all.
    pub(super) times: Option<u32>,
    /// The one feed that it strikes.
    feed: Option<&'static str>,
    text: String,
}

#[derive(Clone, Debug)]
pub(super) enum FaultKind {
    Status { status: u16, retry_after: Option<u64> },
    Redirect,
    Html,
    CutUpload { bytes: usize },
    Cut,
    Hang,
    BadJson,
    Miscount,
    NoDetails,
    Reject { pattern: Regex },
}

/// A fault that is none.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not a fault: {reason}")]
pub struct FaultError {
    text: String,
    reason: &'static str,
}

impl Fault {
    /// Reads faults separated by commas. `reject=` takes the rest of the text, since a pattern may hold a comma.
    ///
    /// # Errors
    /// The first one that is not a fault.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, FaultError> {
        let mut faults = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (one, after) = match rest.split_once(',') {
                Some(parts) if !rest.trim_start().starts_with("reject") => parts,
                _ => (rest, ""),
            };
            faults.push(one.trim().parse()?);
            rest = after;
        }
        Ok(faults)
    }

    /// Whether it strikes an import of this feed now; counts it if so.
    pub(super) fn strikes(&mut self, feed: &str) -> bool {
        if self.feed.is_some_and(|only| only != feed) {
            return false;
        }
        match &mut self.times {
            None => true,
            Some(0) => false,
            Some(times) => {
                *times -= 1;
                true
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let error = |reason| FaultError { text: text.to_owned(), reason };
        let (head, argument) = text.split_once('=').map_or((text, None), |(head, argument)| (head, Some(argument)));
        let (head, feed) = match head.rsplit_once('@') {
            Some((head, name)) => {
                let feed = FEEDS.iter().map(|contract| contract.feed).find(|feed| *feed == name);
                (head, Some(feed.ok_or_else(|| error("after `@` stands `users`, `contacts`, `images` or `groups`"))?))
            }
            None => (head, None),
        };
        let (head, seconds) = head.split_once(':').map_or((head, None), |(head, seconds)| (head, Some(seconds)));
        let (name, times) = match head.rsplit_once('x') {
            Some((name, times)) if times.bytes().all(|byte| byte.is_ascii_digit()) && !times.is_empty() => {
                (name, Some(times.parse().map_err(|_| error("so many times are too many"))?))
            }
            _ => (head, None),
        };
        let kind = match (name, argument) {
            ("cut", None) => FaultKind::Cut,
            ("hang", None) => FaultKind::Hang,
            ("html", None) => FaultKind::Html,
            ("redirect", None) => FaultKind::Redirect,
            ("badjson", None) => FaultKind::BadJson,
            ("miscount", None) => FaultKind::Miscount,
            ("nodetails", None) => FaultKind::NoDetails,
            ("cut-upload", Some(bytes)) => {
                FaultKind::CutUpload { bytes: bytes.parse().map_err(|_| error("write `cut-upload=BYTES`"))? }
            }
            ("cut-upload", None) => return Err(error("write `cut-upload=BYTES`")),
            ("reject", Some(pattern)) if !pattern.is_empty() => FaultKind::Reject {
                pattern: RegexBuilder::new(pattern)
                    .case_insensitive(true)
                    .build()
                    .map_err(|_| error("the pattern is not a regular expression"))?,
            },
            ("reject", _) => return Err(error("write `reject=PATTERN`")),
            (status, None) if !status.is_empty() && status.bytes().all(|byte| byte.is_ascii_digit()) => {
                let status = status.parse().ok().filter(|status| (200..=999).contains(status));
                let retry_after = match seconds {
                    Some(seconds) => Some(seconds.parse().map_err(|_| error("write `503:SECONDS`"))?),
                    None => None,
                };
                FaultKind::Status { status: status.ok_or_else(|| error("a status is 200 to 999"))?, retry_after }
            }
            _ => {
                return Err(error(
                    "known are a status like `503`, `cut`, `cut-upload=BYTES`, `hang`, `html`, `redirect`, `badjson`, `miscount`, `nodetails` and `reject=PATTERN`, each also as `503x2` or `503@contacts`",
                ));
            }
        };
        if seconds.is_some() && !matches!(kind, FaultKind::Status { .. }) {
            return Err(error("only a status has `:SECONDS`"));
        }
        Ok(Self { kind, times, feed, text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_strike_as_often_as_they_say() {
        let mut fault: Fault = "503x2:5".parse().unwrap();
        assert!(matches!(fault.kind, FaultKind::Status { status: 503, retry_after: Some(5) }));
        assert_eq!([fault.strikes("users"), fault.strikes("images"), fault.strikes("users")], [true, true, false]);
        let mut fault: Fault = "hang".parse().unwrap();
        assert!((0..100).all(|_| fault.strikes("users")));
        let fault: Fault = "cut-uploadx3=1000".parse().unwrap();
        assert!(matches!((fault.kind, fault.times), (FaultKind::CutUpload { bytes: 1000 }, Some(3))));
    }

    #[test]
    fn a_fault_is_aimed_at_one_feed() {
        for text in ["503x1:5@contacts", "cutx1@contacts", "reject@contacts=@school", "cut-uploadx1@contacts=10"] {
            let mut fault: Fault = text.parse().unwrap();
            assert!(!fault.strikes("users") && !fault.strikes("groups"), "{text}");
            assert!(fault.strikes("contacts"), "{text}");
        }
        let fault: Fault = "reject=a@contacts".parse().unwrap();
        assert_eq!(fault.feed, None, "what stands in a pattern is its own");
    }

    #[test]
    fn a_list_leaves_a_pattern_whole() {
        let faults = Fault::parse_list("401, cutx1,reject=a{1,2}x9").unwrap();
        assert_eq!(faults.iter().map(ToString::to_string).collect::<Vec<_>>(), ["401", "cutx1", "reject=a{1,2}x9"]);
        assert_eq!(faults[2].times, None);
    }

    #[test]
    fn what_is_no_fault_says_what_is() {
        for (text, reason) in [
            ("bang", "known are"),
            ("99", "200 to 999"),
            ("cut-upload", "cut-upload=BYTES"),
            ("cut-upload=x", "cut-upload=BYTES"),
            ("reject=", "reject=PATTERN"),
            ("reject=(", "regular expression"),
            ("hang:5", "only a status"),
            ("503:x", "503:SECONDS"),
            ("hangx99999999999", "too many"),
            ("hang@contact", "after `@`"),
            ("cut-upload=10@users", "cut-upload=BYTES"),
            ("", "known are"),
        ] {
            let error = text.parse::<Fault>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
