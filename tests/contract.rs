//! Holds the contract that the program carries against a table written by hand from the vendor's page on patron
//! accounts, so that one mistake cannot stand in both validation and sandbox unseen.

#![expect(clippy::expect_used, reason = "helpers of tests may fail the test")]

use sispush::infiniti::contract::{FALSE_SPELLINGS, Holders, Kind, Presence, TRUE_SPELLINGS, USERS, Unique};

/// header, type on the vendor's page, mandatory (m), students only (s), unique (u)
const BY_HAND: &[(&str, &str, &str)] = &[
    ("username", "varchar", "mu"),
    ("enabled", "boolean", "m"),
    ("staffmember", "boolean", "m"),
    ("givenname", "string", ""),
    ("surname", "string", ""),
    ("middlename", "string", ""),
    ("preferredname", "string", ""),
    ("emailaddress", "email", ""),
    ("graduationyear", "integer YYYY", "s"),
    ("academiclevel", "string", "s"),
    ("librarybarcode", "varchar", "u"),
    ("adminsystemid", "varchar", ""),
    ("gender", "M, F or blank", ""),
    ("password", "varchar", ""),
    ("formclass", "varchar", ""),
    ("presentationgrouplabel", "varchar", ""),
];

#[test]
fn the_headers_are_those_of_the_page() {
    let carried: Vec<(&str, String, String)> = USERS
        .headers
        .iter()
        .map(|rule| {
            let kind = match rule.kind {
                Kind::Text
                | Kind::Password
                | Kind::Channel
                | Kind::Reach
                | Kind::Open(_)
                | Kind::Codes(_)
                | Kind::Group
                | Kind::Picture
                | Kind::PictureFile => by_hand(rule.name).1.to_owned(),
                Kind::Boolean => "boolean".into(),
                Kind::Email => "email".into(),
                Kind::Year => "integer YYYY".into(),
                Kind::OneOf(values) => format!("{} or blank", values.join(", ")),
            };
            let mut marks = String::new();
            if rule.presence == Presence::Mandatory {
                marks.push('m');
            }
            if rule.holders == Holders::Students {
                marks.push('s');
            }
            if rule.unique != Unique::No {
                marks.push('u');
            }
            (rule.name, kind, marks)
        })
        .collect();
    let expected: Vec<(&str, String, String)> =
        BY_HAND.iter().map(|(name, kind, marks)| (*name, (*kind).to_owned(), (*marks).to_owned())).collect();
    assert_eq!(carried, expected);
}

/// Text is text: the page's `varchar` and `string` do not differ in what they accept.
fn by_hand(name: &str) -> (&'static str, &'static str) {
    let (name, kind, _) = BY_HAND.iter().find(|(header, ..)| *header == name).expect("a header of the page");
    assert!(["varchar", "string"].contains(kind), "`{name}` is {kind} on the page, and plain text here");
    (name, kind)
}

#[test]
fn the_cohort_is_one_of_two() {
    let cohort: Vec<&str> =
        USERS.headers.iter().filter(|rule| rule.presence == Presence::OneOfCohort).map(|rule| rule.name).collect();
    assert_eq!(cohort, ["graduationyear", "academiclevel"]);
}

#[test]
fn booleans_are_spelt_as_on_the_page() {
    assert_eq!(TRUE_SPELLINGS, ["y", "yes", "true", "1"]);
    assert_eq!(FALSE_SPELLINGS, ["n", "no", "false", "0"]);
}

#[test]
fn it_goes_where_the_page_says() {
    assert_eq!(USERS.path, Some("/api/import/users"));
}
