//! Takes usernames out of text: the same one becomes the same `user-1` everywhere.

use std::collections::{HashMap, HashSet};

use regex::{Regex, RegexBuilder};

/// The usernames that must not be told.
#[derive(Debug, Default)]
pub struct Names {
    /// In lower case.
    known: HashSet<String>,
    /// Those with characters that no word has, and how to find them.
    odd: Vec<(String, Regex)>,
    numbers: HashMap<String, usize>,
    is_lost: bool,
}

/// More usernames with odd characters than this are not looked for one by one.
const ODD_MAX: usize = 2_000;

impl Names {
    /// Adds a username.
    pub fn add(&mut self, username: &str) {
        let username = username.trim().to_lowercase();
        if username.is_empty() {
            return;
        }
        let is_word = username.chars().all(is_of_a_word) && word(&username) == username;
        if !is_word && !self.known.contains(&username) {
            match RegexBuilder::new(&regex::escape(&username)).case_insensitive(true).build() {
                Ok(pattern) if self.odd.len() < ODD_MAX => self.odd.push((username.clone(), pattern)),
                _ => self.is_lost = true,
            }
        }
        self.known.insert(username);
    }

    /// Not all usernames are known: no log can be told.
    pub fn give_up(&mut self) {
        self.is_lost = true;
    }

    /// Whether not all are known, or are too many to be looked for.
    pub fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// The text with every known username replaced.
    pub fn hide(&mut self, text: &str) -> String {
        self.hidden(text, false)
    }

    /// A line of a log with every known username replaced, and every address.
    pub fn hide_in_log(&mut self, line: &str) -> String {
        self.hidden(line, true)
    }

    /// A mapping or a query in which usernames are replaced that are all of a text in quotes: elsewhere a word may be a
    /// column's name, which is somebody's username, too.
    pub fn hide_in_quotes(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.find(['\'', '"']).map(|at| rest.split_at(at)) {
            out.push_str(before);
            let (quote, inner) = after.split_at(1);
            out.push_str(quote);
            let end = inner.find(['\n', '\'', '"']).unwrap_or(inner.len());
            let (literal, after) = inner.split_at(end);
            let lower = literal.trim().to_lowercase();
            let local = lower.split('@').next().unwrap_or_default();
            if self.known.contains(&lower) || (lower.contains('@') && self.known.contains(local)) {
                let number = self.number(local);
                out.push_str(&number);
            } else {
                out.push_str(literal);
            }
            rest = after;
            if let Some(after) = rest.strip_prefix(quote) {
                out.push_str(quote);
                rest = after;
            }
        }
        out.push_str(rest);
        out
    }

    fn hidden(&mut self, text: &str, is_log: bool) -> String {
        let mut text = text.to_owned();
        for index in 0..self.odd.len() {
            if self.odd[index].1.is_match(&text) {
                let username = self.odd[index].0.clone();
                let number = self.number(&username);
                text = self.odd[index].1.replace_all(&text, number.as_str()).into_owned();
            }
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(start) = rest.find(is_of_a_word) {
            out.push_str(&rest[..start]);
            rest = &rest[start..];
            let end = rest.find(|c| !is_of_a_word(c)).unwrap_or(rest.len());
            self.write_word(&rest[..end], is_log, &mut out);
            rest = &rest[end..];
        }
        out.push_str(rest);
        out
    }

    fn write_word(&mut self, run: &str, is_log: bool, out: &mut String) {
        let word = word(run);
        let lower = word.to_lowercase();
        let local = lower.split('@').next().unwrap_or_default();
        let shown = if self.known.contains(&lower) {
            self.number(&lower)
        } else if lower.contains('@') && self.known.contains(local) {
            format!("{}@…", self.number(local))
        } else if is_log && lower.contains('@') {
            "[address]".to_owned()
        } else {
            return out.push_str(run);
        };
        let start = run.find(word).unwrap_or(0);
        out.push_str(&run[..start]);
        out.push_str(&shown);
        out.push_str(&run[start + word.len()..]);
    }

    fn number(&mut self, username: &str) -> String {
        let next = self.numbers.len() + 1;
        format!("user-{}", self.numbers.entry(username.to_owned()).or_insert(next))
    }
}

fn is_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '+')
}

/// A run of such characters without what belongs to the sentence.
fn word(run: &str) -> &str {
    run.trim_matches(['.', '-', '@', '+'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames_become_numbers_everywhere() {
        let mut names = Names::default();
        for name in ["jane.doe", "Ann", "o'brien", "SCHOOL\\bob"] {
            names.add(name);
        }
        assert_eq!(
            names.hide("row of `Jane.Doe`, ann. annual=3 O'Brien school\\BOB jane.doe@x.example Jane.Doe-Smith"),
            "row of `user-3`, user-4. annual=3 user-1 user-2 user-3@… Jane.Doe-Smith"
        );
        assert_eq!(names.hide("ann"), "user-4");
        assert_eq!(names.hide_in_log("mail to someone@school.example failed"), "mail to [address] failed");
    }

    /// Regression: a username that stands in what replaces it was replaced without end.
    #[test]
    fn odd_usernames_come_to_an_end() {
        let mut names = Names::default();
        for name in ["-1", "Zoë May", "ÀÉ '", "$1"] {
            names.add(name);
        }
        assert_eq!(names.hide("a-1 b ZOË MAY c àé ' d $1"), "auser-1 b user-2 c user-3 d user-4");
    }

    #[test]
    fn in_a_query_only_whole_literals_are_usernames() {
        let mut names = Names::default();
        names.add("ann");
        assert_eq!(
            names.hide_in_quotes(
                "SELECT ann FROM t WHERE a <> 'Ann' AND b = 'anne' AND c = 'ann@x.example' AND d = 'it''s'"
            ),
            "SELECT ann FROM t WHERE a <> 'user-1' AND b = 'anne' AND c = 'user-1' AND d = 'it''s'"
        );
        assert_eq!(names.hide_in_quotes("don't \"ann\"\n'ann"), "don't \"user-1\"\n'user-1");
    }
}
