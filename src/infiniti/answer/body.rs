//! The body of an answer to an import, read as it is written; what it means is decided one level up.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The counts of a summary: `100 users processed. 50 users created. 1 user updated. 0 users failed.`
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) processed: usize,
    pub(super) created: usize,
    pub(super) updated: usize,
    pub(super) failed: usize,
}

impl Counts {
    /// `None` if there is no count of processed rows, or one count stands twice.
    pub(super) fn parse(summary: &str) -> Option<Self> {
        let (mut processed, mut created, mut updated, mut failed) = (None, None, None, None);
        for sentence in summary.split('.') {
            let mut words = sentence.split_whitespace();
            let (Some(number), Some(verb)) = (words.next().and_then(number), words.next_back()) else { continue };
            let count = match verb.to_ascii_lowercase().as_str() {
                "processed" => &mut processed,
                "created" => &mut created,
                "updated" => &mut updated,
                "failed" => &mut failed,
                _ => continue,
            };
            if count.replace(number).is_some() {
                return None;
            }
        }
        Some(Self {
            processed: processed?,
            created: created.unwrap_or_default(),
            updated: updated.unwrap_or_default(),
            failed: failed.unwrap_or_default(),
        })
    }
}

/// A count, with or without separators of thousands: the vendor's example is too small to tell.
fn number(text: &str) -> Option<usize> {
    let mut groups = text.split(',');
    let first = groups.next()?;
    let plain = text.len() == first.len();
    let whole = |group: &str| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit());
    let grouped = first.len() <= 3 && groups.all(|group| group.len() == 3 && whole(group));
    (whole(first) && (plain || grouped)).then(|| text.replace(',', "").parse().ok()).flatten()
}

/// The body of an answer, as the contract has it.
#[derive(Deserialize)]
pub(super) struct Import {
    pub(super) success: bool,
    #[serde(default)]
    pub(super) summary: Option<String>,
    #[serde(default)]
    pub(super) details: Details,
}

impl Import {
    pub(super) fn parse(body: &[u8]) -> serde_json::Result<Self> {
        if !body.starts_with(b"{") {
            serde_json::from_slice::<IgnoredAny>(body)?;
            // serde would read a list as the fields in their order, which is no answer of the contract.
            return Err(serde::de::Error::custom("not an object"));
        }
        serde_json::from_slice(body)
    }
}

/// The outcomes by row number as text. A list of pairs, not a map, so that a number that stands twice is seen.
#[derive(Default)]
pub(super) enum Details {
    /// None, or an empty list (PHP's way to write an empty object).
    #[default]
    Absent,
    Malformed,
    Rows(Vec<(String, Option<String>)>),
}

impl<'de> Deserialize<'de> for Details {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DetailsVisitor)
    }
}

struct DetailsVisitor;

impl<'de> Visitor<'de> for DetailsVisitor {
    type Value = Details;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("outcomes by row number")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Details, A::Error> {
        let mut rows = Vec::new();
        while let Some((number, outcome)) = map.next_entry::<String, serde_json::Value>()? {
            let outcome = match outcome {
                serde_json::Value::String(text) => Some(text),
                _ => None,
            };
            rows.push((number, outcome));
        }
        Ok(if rows.is_empty() { Details::Absent } else { Details::Rows(rows) })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Details, A::Error> {
        let mut details = Details::Absent;
        while list.next_element::<IgnoredAny>()?.is_some() {
            details = Details::Malformed;
        }
        Ok(details)
    }

    fn visit_unit<E>(self) -> Result<Details, E> {
        Ok(Details::Absent)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Details, E> {
        Ok(Details::Malformed)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Details, E> {
        Ok(Details::Malformed)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Details, E> {
        Ok(Details::Malformed)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Details, E> {
        Ok(Details::Malformed)
    }

    fn visit_str<E>(self, _: &str) -> Result<Details, E> {
        Ok(Details::Malformed)
    }
}
