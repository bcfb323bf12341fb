//! Patron images: one picture of a patron.
//!
//! Source: the vendor's help pages: one zip without folders, of jpg and png files named by the Admin System ID, 200x200
//! pixels recommended, under 100 MB. The path that they are posted to is not known.

use super::{ADMINSYSTEMID, Answers, Contract, HeaderRule, Kind, Presence, Rows, Unique, text};

/// Patron images.
pub static IMAGES: Contract = Contract {
    feed: "images",
    about: "Pictures of patrons",
    path: None,
    file_name: "images.zip",
    headers: &[
        HeaderRule {
            presence: Presence::Mandatory,
            unique: Unique::IgnoringCase,
            ..text("adminsystemid", "the patron, by the account's `adminsystemid`; the name of the picture's file")
        },
        HeaderRule {
            kind: Kind::Picture,
            presence: Presence::OneOfContent,
            ..text("image", "the picture itself: a binary column of jpg or png; this or `file`")
        },
        HeaderRule {
            kind: Kind::PictureFile,
            presence: Presence::OneOfContent,
            ..text("file", "the path of the picture, below `folder`; this or `image`")
        },
    ],
    rows: Rows::One,
    answers: Answers::Loose,
    account: Some(ADMINSYSTEMID),
    staff: None,
    unique: None,
    classes: None,
};
