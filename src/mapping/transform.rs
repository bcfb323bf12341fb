//! Changes to a value's text.

use std::fmt;

use regex::Regex;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// One change to a value's text.
#[derive(Clone, Debug)]
pub enum Transform {
    /// Lower case.
    Lower,
    /// Upper case.
    Upper,
    /// A capital at the start of each word, the rest in lower case; a word starts after anything but a letter, a digit
    /// or a combining mark: `Mary-Jane O'Brien`.
    Title,
    /// Only the digits 0 to 9.
    Digits,
    /// Letters without their accents: `é` becomes `e`, `ø` becomes `o`, `ß` becomes `ss`.
    StripAccents,
    /// The first part that is not blank, trimmed, of a list split by this text.
    FirstOf(String),
    /// What the pattern matches is replaced. In `with`, `$1` and `${name}` are groups and `$$` is a dollar sign.
    Replace {
        /// The pattern. Matching takes linear time.
        pattern: Regex,
        /// The replacement.
        with: String,
    },
}

/// As it is written in a mapping.
impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lower => f.write_str("lower"),
            Self::Upper => f.write_str("upper"),
            Self::Title => f.write_str("title"),
            Self::Digits => f.write_str("digits"),
            Self::StripAccents => f.write_str("strip_accents"),
            Self::FirstOf(separator) => write!(f, "first_of {separator:?}"),
            Self::Replace { pattern, with } => write!(f, "replace '{pattern}' with {with:?}"),
        }
    }
}

impl Transform {
    /// Appends the changed value to `out`.
    pub fn apply(&self, value: &str, out: &mut String) {
        match self {
            Self::Lower if value.is_ascii() => {
                let start = out.len();
                out.push_str(value);
                out[start..].make_ascii_lowercase();
            }
            Self::Upper if value.is_ascii() => {
                let start = out.len();
                out.push_str(value);
                out[start..].make_ascii_uppercase();
            }
            Self::Lower => out.extend(value.chars().flat_map(char::to_lowercase)),
            Self::Upper => out.extend(value.chars().flat_map(char::to_uppercase)),
            Self::Title => title(value, out),
            Self::Digits => out.extend(value.chars().filter(char::is_ascii_digit)),
            Self::StripAccents if value.is_ascii() => out.push_str(value),
            Self::StripAccents => strip_accents(value, out),
            Self::FirstOf(separator) => {
                let first = value.split(separator.as_str()).map(str::trim).find(|part| !part.is_empty());
                out.push_str(first.unwrap_or_default());
            }
            Self::Replace { pattern, with } => out.push_str(&pattern.replace_all(value, with.as_str())),
        }
    }
}

fn title(value: &str, out: &mut String) {
    let mut starts_word = true;
    for char in value.chars() {
        let is_mark = is_combining_mark(char);
        if starts_word {
            out.extend(char.to_uppercase());
        } else {
            out.extend(char.to_lowercase());
        }
        starts_word = !(char.is_alphanumeric() || is_mark && !starts_word);
    }
}

fn strip_accents(value: &str, out: &mut String) {
    // Combining diacritical marks only: the vowel signs of other scripts are no accents.
    let bare = value.nfd().filter(|char| !('\u{300}'..='\u{36f}').contains(char));
    for char in bare.nfc() {
        match char {
            'ø' => out.push('o'),
            'Ø' => out.push('O'),
            'ł' => out.push('l'),
            'Ł' => out.push('L'),
            'đ' | 'ð' => out.push('d'),
            'Đ' | 'Ð' => out.push('D'),
            'ħ' => out.push('h'),
            'Ħ' => out.push('H'),
            'ı' => out.push('i'),
            'ß' => out.push_str("ss"),
            'ẞ' => out.push_str("SS"),
            'æ' => out.push_str("ae"),
            'Æ' => out.push_str("AE"),
            'œ' => out.push_str("oe"),
            'Œ' => out.push_str("OE"),
            'þ' => out.push_str("th"),
            'Þ' => out.push_str("Th"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(transform: &Transform, cases: &[(&str, &str)]) {
        for (value, expected) in cases {
            let mut out = String::from("before ");
            transform.apply(value, &mut out);
            assert_eq!(out, format!("before {expected}"), "{value}");
        }
    }

    #[test]
    fn case() {
        check(&Transform::Lower, &[("JANE.DOE", "jane.doe"), ("ÉLODIE", "élodie"), ("", "")]);
        check(&Transform::Upper, &[("jane", "JANE"), ("straße", "STRASSE")]);
        check(
            &Transform::Title,
            &[
                ("mary-jane o'brien", "Mary-Jane O'Brien"),
                ("MCDONALD", "Mcdonald"),
                ("élodie d’arcy", "Élodie D’Arcy"),
                ("zoe\u{308} ng", "Zoe\u{308} Ng"),
                ("e\u{301}LAN", "E\u{301}lan"),
                ("year 3RD", "Year 3rd"),
                ("", ""),
            ],
        );
    }

    #[test]
    fn digits_and_accents() {
        check(&Transform::Digits, &[("AB-0012 3", "00123"), ("none", ""), ("٣4", "4")]);
        check(
            &Transform::StripAccents,
            &[
                ("Zoë Müller-Łukasz", "Zoe Muller-Lukasz"),
                ("Nguyễn", "Nguyen"),
                ("Søren Weiß", "Soren Weiss"),
                ("김", "김"),
                ("が", "が"),
            ],
        );
    }

    #[test]
    fn first_of_takes_the_first_part_that_is_not_blank() {
        let semicolon = Transform::FirstOf(";".into());
        check(&semicolon, &[("a; b", "a"), (" ; b ;c", "b"), (";;", ""), ("", ""), ("a", "a")]);
        check(&Transform::FirstOf(" / ".into()), &[("a/b / c", "a/b")]);
    }

    #[test]
    fn replace_knows_groups() {
        let replace =
            |pattern, with: &str| Transform::Replace { pattern: Regex::new(pattern).unwrap(), with: with.into() };
        check(&replace("^0+", ""), &[("0012", "12"), ("12", "12"), ("", "")]);
        check(&replace(r"^(\w+), (\w+)$", "$2 $1"), &[("Doe, Jane", "Jane Doe")]);
    }

    proptest! {
        #[test]
        fn title_changes_nothing_but_case(value in "\\PC{0,30}") {
            let mut out = String::new();
            Transform::Title.apply(&value, &mut out);
            // Some letters, such as the Kelvin sign, are upper case as they are, and another letter once they were lower case.
            let folded = |text: &str| text.to_lowercase().to_uppercase();
            prop_assert_eq!(folded(&out), folded(&value));
        }
    }
}
