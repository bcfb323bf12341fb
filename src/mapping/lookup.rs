//! Tables from value to value.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::HashTable;
use unicode_normalization::UnicodeNormalization;

/// A table from value to value, matched without regard to case. `*` stands for any other value.
#[derive(Clone, Debug, Default)]
pub struct Lookup {
    entries: HashTable<Entry>,
    hasher: RandomState,
    /// What any other value becomes.
    any: Option<String>,
    /// What a blank becomes.
    blank: Option<String>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// In lower case.
    from: String,
    to: String,
}

/// Two entries that differ only in case say different things.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Contradiction;

impl Lookup {
    /// What a value becomes. Without an entry for it, nor `*`, a blank stays blank (`Some("")`) and any other value has
    /// no output (`None`).
    pub fn get(&self, value: &str) -> Option<&str> {
        if value.is_empty() {
            return Some(self.blank.as_deref().or(self.any.as_deref()).unwrap_or_default());
        }
        let entry = self.entries.find(self.hash(value), |entry| folded(value).eq(entry.from.chars()));
        entry.map(|entry| entry.to.as_str()).or(self.any.as_deref())
    }

    /// Every text that a value may become.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        let entries = self.entries.iter().map(|entry| entry.to.as_str());
        entries.chain(self.any.as_deref()).chain(self.blank.as_deref())
    }

    /// Adds an entry, as it stands in the mapping.
    pub(super) fn insert(&mut self, from: &str, to: &str) -> Result<(), Contradiction> {
        // Values come trimmed and in NFC, so the entries must be, too.
        let from: String = folded(&from.trim().nfc().collect::<String>()).collect();
        let to = to.trim().to_owned();
        let slot = match from.as_str() {
            "" => &mut self.blank,
            "*" => &mut self.any,
            _ => {
                let hash = self.hash(&from);
                if let Some(entry) = self.entries.find(hash, |entry| entry.from == from) {
                    return if entry.to == to { Ok(()) } else { Err(Contradiction) };
                }
                let hasher = &self.hasher;
                self.entries.insert_unique(hash, Entry { from, to }, |entry| hash_folded(hasher, &entry.from));
                return Ok(());
            }
        };
        match slot {
            Some(before) if *before != to => Err(Contradiction),
            _ => {
                *slot = Some(to);
                Ok(())
            }
        }
    }

    fn hash(&self, value: &str) -> u64 {
        hash_folded(&self.hasher, value)
    }
}

/// Lower case, letter by letter, so that no text need be made for a comparison.
fn folded(value: &str) -> impl Iterator<Item = char> {
    value.chars().flat_map(char::to_lowercase)
}

fn hash_folded(hasher: &RandomState, value: &str) -> u64 {
    let mut hasher = hasher.build_hasher();
    folded(value).for_each(|char| char.hash(&mut hasher));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(entries: &[(&str, &str)]) -> Lookup {
        let mut lookup = Lookup::default();
        for (from, to) in entries {
            lookup.insert(from, to).unwrap();
        }
        lookup
    }

    #[test]
    fn values_match_without_regard_to_case() {
        let lookup = lookup(&[("Male", "M"), ("FEMALE", "F"), ("Ünbekannt", "")]);
        assert_eq!(lookup.get("Male"), Some("M"));
        assert_eq!(lookup.get("mALE"), Some("M"));
        assert_eq!(lookup.get("female"), Some("F"));
        assert_eq!(lookup.get("üNBEKANNT"), Some(""));
        assert_eq!(lookup.get("x"), None);
    }

    #[test]
    fn any_other_value_takes_the_star() {
        let lookup = lookup(&[("Male", "M"), ("*", "")]);
        assert_eq!(lookup.get("divers"), Some(""));
        assert_eq!(lookup.get("male"), Some("M"));
    }

    #[test]
    fn a_blank_has_its_entry_or_the_star_or_stays() {
        assert_eq!(lookup(&[("a", "b")]).get(""), Some(""));
        assert_eq!(lookup(&[("*", "x")]).get(""), Some("x"));
        assert_eq!(lookup(&[("*", "x"), ("", "y")]).get(""), Some("y"));
    }

    #[test]
    fn entries_that_differ_only_in_case_must_agree() {
        let mut lookup = lookup(&[("Male", "M")]);
        assert_eq!(lookup.insert("MALE", "M"), Ok(()));
        assert_eq!(lookup.insert("male", "F"), Err(Contradiction));
        assert_eq!(lookup.get("male"), Some("M"));
    }

    #[test]
    fn many_entries_are_all_found() {
        let mut lookup = Lookup::default();
        for number in 0..5_000 {
            lookup.insert(&format!("Key {number}"), &number.to_string()).unwrap();
        }
        for number in 0..5_000 {
            assert_eq!(lookup.get(&format!("KEY {number}")), Some(number.to_string().as_str()));
        }
        assert_eq!(lookup.get("KEY 5000"), None);
    }
}
