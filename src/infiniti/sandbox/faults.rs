//! What a sandbox does wrong on demand.

use std::str::FromStr;

use regex::Regex;

/// One fault, as `--fail` takes it: `401`, `503x2`, `503x2:5` (with `Retry-After: 5`), `cut`, `cut-upload=1000`,
/// `hang`, `html`, `redirect`, `badjson`, `miscount`, `nodetails`, `reject=PATTERN`. A fault that ends with `xN` shows
/// for the first N requests only.
#[derive(Clone, Debug)]
pub struct Fault(Spec);

#[derive(Clone, Debug)]
enum Spec {
    /// Instead of a right answer, or in it; for so many requests, or for all.
    Request(Kind, Option<u32>),
    /// Rows whose username matches fail.
    Reject(Regex),
}

/// A fault of a whole request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// This status, perhaps with seconds to wait; nothing is imported.
    Status(u16, Option<u64>),
    /// The import is done, the answer ends in the middle.
    Cut,
    /// So many bytes of the upload are read, then the connection ends.
    CutUpload(usize),
    /// No answer.
    Hang,
    /// A sign-in page with status 200.
    Html,
    /// Sent to a sign-in page.
    Redirect,
    /// The import is done, the answer has something before its JSON.
    BadJson,
    /// The import is done, the answer counts one row too few.
    Miscount,
    /// The import is done, the answer does not tell which rows failed.
    NoDetails,
}

impl Kind {
    /// Its name, for the page.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Status(status, _) => status.to_string(),
            Self::Cut => "cut".into(),
            Self::CutUpload(bytes) => format!("cut-upload={bytes}"),
            Self::Hang => "hang".into(),
            Self::Html => "html".into(),
            Self::Redirect => "redirect".into(),
            Self::BadJson => "badjson".into(),
            Self::Miscount => "miscount".into(),
            Self::NoDetails => "nodetails".into(),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(pattern) = text.strip_prefix("reject=") {
            let pattern = Regex::new(pattern).map_err(|error| error.to_string())?;
            return Ok(Self(Spec::Reject(pattern)));
        }
        let (text, wait) = match text.split_once(':') {
            Some((text, wait)) => {
                (text, Some(wait.parse().map_err(|_| format!("`{wait}` is not a number of seconds"))?))
            }
            None => (text, None),
        };
        let (name, times) = match text.rsplit_once('x') {
            Some((name, times))
                if !name.is_empty() && !times.is_empty() && times.bytes().all(|b| b.is_ascii_digit()) =>
            {
                (name, Some(times.parse().map_err(|_| format!("`{times}` is too many times"))?))
            }
            _ => (text, None),
        };
        let kind = match name {
            "cut" => Kind::Cut,
            "hang" => Kind::Hang,
            "html" => Kind::Html,
            "redirect" => Kind::Redirect,
            "badjson" => Kind::BadJson,
            "miscount" => Kind::Miscount,
            "nodetails" => Kind::NoDetails,
            _ => match (name.strip_prefix("cut-upload="), name.parse()) {
                (Some(bytes), _) => {
                    Kind::CutUpload(bytes.parse().map_err(|_| format!("`{bytes}` is not a number of bytes"))?)
                }
                (None, Ok(status @ 300..=599)) => Kind::Status(status, wait),
                (None, _) => {
                    return Err(format!(
                        "`{name}` is not a fault; there are a status (300 to 599), cut, cut-upload=N, hang, html, redirect, badjson, miscount, nodetails and reject=PATTERN"
                    ));
                }
            },
        };
        Ok(Self(Spec::Request(kind, times)))
    }
}

/// The faults that are still to come.
#[derive(Debug)]
pub(super) struct Faults {
    requests: Vec<(Kind, Option<u32>)>,
    rejects: Vec<Regex>,
}

impl Faults {
    pub(super) fn new(faults: Vec<Fault>) -> Self {
        let mut all = Self { requests: Vec::new(), rejects: Vec::new() };
        for fault in faults {
            match fault.0 {
                Spec::Request(kind, times) => all.requests.push((kind, times)),
                Spec::Reject(pattern) => all.rejects.push(pattern),
            }
        }
        all
    }

    /// The fault of the request that comes now: in the order given, each until it is used up.
    pub(super) fn next(&mut self) -> Option<Kind> {
        let (kind, times) = self.requests.iter_mut().find(|(_, times)| *times != Some(0))?;
        if let Some(times) = times {
            *times -= 1;
        }
        Some(kind.clone())
    }

    pub(super) fn rejects(&self) -> Vec<Regex> {
        self.rejects.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_in_order_and_are_used_up() {
        let faults = ["503x2:7", "cutx1", "hangx1"].map(|text| text.parse().unwrap());
        let mut faults = Faults::new(faults.to_vec());
        let names: Vec<_> = std::iter::from_fn(|| faults.next()).collect();
        let busy = Kind::Status(503, Some(7));
        assert_eq!(names, [busy.clone(), busy, Kind::Cut, Kind::Hang]);
    }

    #[test]
    fn what_is_no_fault_is_refused() {
        for text in ["", "x2", "200", "cut-upload=many", "reject=(", "503:soon", "nonsense"] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }
}
