//! A mapping's text as it may be shown to somebody else: without passwords, and without what it says of patrons.

use std::ops::Range;
use std::path::Path;

use super::include::base_of;
use super::mask::{MASK, masks};
use super::text::{self, TextError};
use super::yaml::{self, Content, Node};
use crate::infiniti::contract::FEEDS;

/// A mapping's text, and its base's, to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shareable {
    /// The text, masked but for the usernames of `patrons`.
    pub text: String,
    /// The base's text, if the mapping includes one that can be read; likewise.
    pub base: Option<String>,
    /// The usernames that its expectations name: to be replaced wherever they stand.
    pub patrons: Vec<String>,
}

/// Reads a mapping that need not be valid. Passwords are masked, references to secrets stay; so do queries. Of an
/// expectation on a patron the values are masked, and so are lookups of names, addresses and numbers. What is no YAML at all
/// loses its expectations whole. So does the base.
///
/// # Errors
/// If the file cannot be read.
pub fn shareable(path: &Path) -> std::io::Result<Shareable> {
    let text = match text::read(path) {
        Ok(text) => text,
        Err(TextError::Read(error)) => return Err(error),
        Err(TextError::Encoding { lossy, .. }) => lossy,
    };
    let mut shared = masked(&text);
    if let Some(base) = base_of(path).and_then(|base| base_text(&base)) {
        let base = masked(&base);
        shared.base = Some(base.text);
        shared.patrons.extend(base.patrons);
    }
    Ok(shared)
}

fn base_text(path: &Path) -> Option<String> {
    // A pipe would be waited for without an end.
    if !path.is_file() {
        return None;
    }
    match text::read(path) {
        Ok(text) | Err(TextError::Encoding { lossy: text, .. }) => Some(text),
        Err(TextError::Read(_)) => None,
    }
}

fn masked(text: &str) -> Shareable {
    let (tree, _) = yaml::parse(text);
    let mut hidden = masks(text, tree.as_ref());
    let mut patrons = Vec::new();
    match &tree {
        Some(tree) => of_patrons(tree, &mut hidden, &mut patrons),
        None => hidden.extend(expectations(text)),
    }
    hidden.sort_by_key(|range| (range.start, range.end));
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    for range in hidden {
        if range.end <= at {
            continue;
        }
        if range.start >= at {
            shown.push_str(&text[at..range.start]);
            shown.push_str(MASK);
        }
        at = range.end;
    }
    shown.push_str(&text[at..]);
    Shareable { text: shown, base: None, patrons }
}

/// The values of `{ patron: …, is: … }`, wherever it stands, and the patrons' usernames.
fn of_patrons(node: &Node, hidden: &mut Vec<Range<usize>>, patrons: &mut Vec<String>) {
    match &node.content {
        Content::Null | Content::Scalar { .. } => {}
        Content::Sequence(items) => items.iter().for_each(|item| of_patrons(item, hidden, patrons)),
        Content::Mapping(entries) => {
            let patron = entries.iter().find(|(key, _)| key.text() == Some("patron"));
            for (key, value) in entries {
                match (key.text(), patron) {
                    (Some("patron"), _) => match value.text() {
                        Some(username) if !username.is_empty() => patrons.push(username.to_owned()),
                        _ => hidden.push(value.span.clone()),
                    },
                    (Some("is"), Some(_)) => values_of(value, hidden),
                    (Some("columns"), _) => tables_of(value, hidden),
                    _ => of_patrons(value, hidden, patrons),
                }
            }
        }
    }
}

/// The lookups of headers that tell who somebody is: such a table is of single people, put right by hand.
fn tables_of(columns: &Node, hidden: &mut Vec<Range<usize>>) {
    let Content::Mapping(rules) = &columns.content else { return };
    let is_personal =
        |name: &str| FEEDS.iter().any(|feed| feed.header(name).is_some_and(|header| feed.is_personal(header)));
    for (header, rule) in rules {
        let lookup = rule.entry("lookup").map(|lookup| &lookup.content);
        if let Some(Content::Mapping(entries)) = lookup.filter(|_| header.text().is_some_and(is_personal)) {
            for (from, to) in entries {
                // Neither names anybody.
                if !matches!(from.text(), Some("*" | "")) {
                    hidden.push(from.span.clone());
                }
                values_of(to, hidden);
            }
        }
    }
}

fn values_of(node: &Node, hidden: &mut Vec<Range<usize>>) {
    match &node.content {
        Content::Mapping(entries) => entries.iter().for_each(|(_, value)| values_of(value, hidden)),
        Content::Null | Content::Scalar { .. } | Content::Sequence(_) => hidden.push(node.span.clone()),
    }
}

/// The lines of `expect`, up to the next key that stands as far left; and every other line that names a patron.
fn expectations(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let (mut start, mut inside) = (0, false);
    for line in text.split_inclusive('\n') {
        let end = start + line.trim_end_matches('\n').len();
        let begins_key = line.starts_with(|first: char| !first.is_whitespace() && !matches!(first, '#' | '-'));
        if begins_key {
            inside = line.trim_start_matches(['"', '\'']).starts_with("expect");
        }
        if start < end && (inside || line.contains("patron") || line.trim_start().starts_with("is:")) {
            ranges.push(start..end);
        }
        start += line.len();
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_patrons_are_masked_and_queries_stay() {
        let shared = masked(
            "source: { url: 'mssql://sa:canary@h/d', password: '${SIS}' }\nusers:\n  - query: SELECT a FROM b WHERE c = 'd'\nexpect:\n  - { rows: { min: 4 } }\n  - patron: jane.doe\n    is: { surname: canary, formclass: \"10 A\" }\n",
        );
        assert_eq!(shared.patrons, ["jane.doe"]);
        assert!(!shared.text.contains("canary") && !shared.text.contains("10 A"), "{}", shared.text);
        for kept in ["SELECT a FROM b WHERE c = 'd'", "password: '${SIS}'", "surname: ********", "patron: jane.doe"] {
            assert!(shared.text.contains(kept), "{}", shared.text);
        }
    }

    #[test]
    fn tables_of_single_people_are_masked_and_others_stay() {
        let shared = masked(
            "users:\n  - columns:\n      gender: { column: Sex, lookup: { Male: M, \"*\": \"\" } }\n      Surname: { column: S, lookup: { canary: canary } }\ncontacts:\n  extracts:\n    - columns:\n        role: { column: R, lookup: { G: guardian } }\n        contact:\n          column: Emails\n          lookup:\n            canary.jane: canary@example.edu\n            \"*\": \"\"\n",
        );
        assert!(!shared.text.contains("canary"), "{}", shared.text);
        for kept in ["lookup: { Male: M, ", "lookup: { G: guardian }", "            \"*\": ********"] {
            assert!(shared.text.contains(kept), "{kept}: {}", shared.text);
        }
    }

    #[test]
    fn what_is_no_yaml_loses_its_expectations() {
        let shared = masked(
            "source:\n  url: [\n  password: canary\nexpect:\n  - patron: canary\n    is:\n      surname: canary\nmode: delta\n",
        );
        assert!(!shared.text.contains("canary"), "{}", shared.text);
        assert!(shared.text.contains("mode: delta"), "{}", shared.text);
    }
}
