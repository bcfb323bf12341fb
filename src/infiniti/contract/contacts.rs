//! Patron contacts: whom the library writes to.
//!
//! Source: a public script that posts to `/api/import/userContacts/replaceDeclaredPatronsKeepCustomContacts`, and the vendor's
//! help pages. Other modes and the codes of further scenarios and roles exist and are not known.

use super::{Answers, Contract, HeaderRule, Kind, Presence, Rows, USERNAME, text};

/// Patron contacts.
pub static CONTACTS: Contract = Contract {
    feed: "contacts",
    about: "Whom the library writes to",
    path: Some("/api/import/userContacts/{mode}"),
    file_name: "contacts.csv",
    headers: &[
        HeaderRule { presence: Presence::Mandatory, ..text("username", "the patron, by the username of the account") },
        HeaderRule {
            kind: Kind::Channel,
            presence: Presence::Mandatory,
            ..text("type", "`email` or `phone`: what `contact` is")
        },
        HeaderRule {
            kind: Kind::Open(&["patron", "guardian"]),
            presence: Presence::Mandatory,
            ..text("role", "whose contact it is: `patron` or `guardian`")
        },
        HeaderRule {
            kind: Kind::Boolean,
            presence: Presence::Mandatory,
            ..text("primary", "whether it is the patron's first contact")
        },
        text("addressee", "how the library addresses whoever is written to: free text, such as a name"),
        HeaderRule {
            kind: Kind::Reach,
            presence: Presence::Content,
            ..text("contact", "the e-mail address or the number; a row without one is left out")
        },
        HeaderRule { kind: Kind::Boolean, ..text("sms", "whether the number takes text messages") },
        HeaderRule {
            kind: Kind::Codes(&[
                "ANY",
                "NONE",
                "OVERDUE",
                "OVERDUE_ESCALATION_ONE",
                "OVERDUE_ESCALATION_TWO",
                "OVERDUE_ESCALATION_THREE",
            ]),
            presence: Presence::Mandatory,
            ..text("scenarios", "what it is used for: `ANY`, `NONE`, or codes such as `OVERDUE`, split by `;`")
        },
    ],
    rows: Rows::Several,
    answers: Answers::Loose,
    account: Some(USERNAME),
    staff: None,
    unique: None,
    classes: None,
};
