//! Patron accounts, on which everything else hangs.
//!
//! Source: the vendor's page "autoSync: patron accounts" (`POST /api/import/users`).

use super::{Answers, Contract, Header, HeaderRule, Holders, Kind, Presence, Rows, Unique, text};

/// `username`, the key of patron accounts.
pub const USERNAME: Header = Header(0);
/// `staffmember`, which tells staff from students.
pub const STAFFMEMBER: Header = Header(2);
/// `librarybarcode`, without which a patron cannot borrow.
pub const LIBRARYBARCODE: Header = Header(10);
/// `enabled`, which tells patrons from leavers.
pub const ENABLED: Header = Header(1);
/// `adminsystemid`, which stays with a person whose username changes.
pub const ADMINSYSTEMID: Header = Header(11);
/// `formclass`, which Infiniti creates when it does not know it.
pub const FORMCLASS: Header = Header(14);
/// `emailaddress`, without which a staff member cannot be written to.
pub const EMAILADDRESS: Header = Header(7);

/// Where patron accounts are posted.
pub const USERS_PATH: &str = "/api/import/users";

/// Patron accounts.
pub static USERS: Contract = Contract {
    feed: "users",
    about: "Patron accounts",
    path: Some(USERS_PATH),
    file_name: "users.csv",
    headers: &[
        HeaderRule {
            presence: Presence::Mandatory,
            unique: Unique::IgnoringCase,
            ..text(
                "username",
                "the matching key: must equal the username of an existing patron, or a new patron is made",
            )
        },
        HeaderRule {
            kind: Kind::Boolean,
            presence: Presence::Mandatory,
            ..text("enabled", "whether the patron is active")
        },
        HeaderRule {
            kind: Kind::Boolean,
            presence: Presence::Mandatory,
            ..text("staffmember", "`Y` for staff, `N` for students")
        },
        text("givenname", "the given name"),
        text("surname", "the surname"),
        text("middlename", "the middle name"),
        text("preferredname", "the preferred name, shown in circulation"),
        HeaderRule { kind: Kind::Email, ..text("emailaddress", "the primary e-mail address; must be well-formed") },
        HeaderRule {
            kind: Kind::Year,
            presence: Presence::OneOfCohort,
            holders: Holders::Students,
            ..text(
                "graduationyear",
                "the year of graduation, four digits; students have this or `academiclevel`, staff neither",
            )
        },
        HeaderRule {
            presence: Presence::OneOfCohort,
            holders: Holders::Students,
            ..text(
                "academiclevel",
                "the import ID of an academic level (Settings > Cohorts > Academic Levels); students have this or `graduationyear`",
            )
        },
        HeaderRule {
            unique: Unique::Exact,
            ..text("librarybarcode", "the barcode of the borrower; needed to borrow; unique to the patron")
        },
        text("adminsystemid", "the SIS's own identifier; may equal `username` or `librarybarcode`"),
        HeaderRule { kind: Kind::OneOf(&["M", "F"]), ..text("gender", "`M`, `F` or blank") },
        HeaderRule { kind: Kind::Password, ..text("password", "the default password; not needed with single sign-on") },
        text("formclass", "the form class in the current academic period; one that does not exist is created"),
        text(
            "presentationgrouplabel",
            "a presentation group that exists in Infiniti (Settings > Users > Display > Presentation Groups)",
        ),
    ],
    rows: Rows::One,
    answers: Answers::Exact,
    account: None,
    staff: Some(STAFFMEMBER),
    unique: Some(LIBRARYBARCODE),
    classes: Some(FORMCLASS),
};
