//! Library groups: who is in which.
//!
//! Source: the vendor's help pages: a CSV of the username and the library group, which must exist. Neither the path that it
//! is posted to nor the name of the group's column is known.

use super::{Answers, Contract, Header, HeaderRule, Kind, Presence, Rows, USERNAME, text};

/// `group`, whose name in the CSV is a setting.
pub const GROUP: Header = Header(1);

/// Library groups.
pub static GROUPS: Contract = Contract {
    feed: "groups",
    about: "Library groups",
    path: None,
    file_name: "groups.csv",
    headers: &[
        HeaderRule { presence: Presence::Mandatory, ..text("username", "the patron, by the username of the account") },
        HeaderRule {
            kind: Kind::Group,
            presence: Presence::Content,
            ..text(
                "group",
                "a library group that exists in Infiniti and that `allow` lists; a row without one is left out",
            )
        },
    ],
    rows: Rows::Several,
    answers: Answers::Loose,
    account: Some(USERNAME),
    staff: None,
    unique: None,
    classes: None,
};
