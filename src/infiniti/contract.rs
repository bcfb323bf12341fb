//! The contract of Infiniti's import as data: every header with its type and its rules.
//!
//! Validation, the order of the CSV's headers, the reference tables in `mappings/README.md` and the sandbox's checks
//! all come from here. `tests/contract.rs` holds it against tables written by hand from the vendor's pages, since one
//! source would also share one mistake.
//!
//! Each feed has a file of its own; everything that works with a feed works with its contract.

mod contacts;
mod groups;
mod images;
mod users;

pub use contacts::CONTACTS;
pub use groups::{GROUP, GROUPS};
pub use images::IMAGES;
pub use users::{
    ADMINSYSTEMID, EMAILADDRESS, ENABLED, FORMCLASS, LIBRARYBARCODE, STAFFMEMBER, USERNAME, USERS, USERS_PATH,
};

/// Every feed, in the order in which they are sent: the others hang on the accounts.
pub static FEEDS: [&Contract; 4] = [&USERS, &CONTACTS, &IMAGES, &GROUPS];

/// One feed of the import API: where it goes and which headers it has.
#[derive(Debug)]
pub struct Contract {
    /// The feed's key in a mapping.
    pub feed: &'static str,
    /// What it is, for help.
    pub about: &'static str,
    /// The path below the school's address; nothing where it is not known, so that the mapping must have it. `{mode}` in it is
    /// a setting of the mapping's.
    pub path: Option<&'static str>,
    /// The name that the uploaded part bears. Infiniti ignores it; a person who reads a proxy's log does not.
    pub file_name: &'static str,
    /// The headers in the order in which they are sent. The first is the key.
    pub headers: &'static [HeaderRule],
    /// How many rows a key may have.
    pub rows: Rows,
    /// How clearly Infiniti answers.
    pub answers: Answers,
    /// The header of the accounts that the key is a value of; nothing for the accounts themselves. A row of no account is left
    /// out.
    pub account: Option<Header>,
    /// The header that tells staff from students.
    pub staff: Option<Header>,
    /// The header beside the key of which no two patrons share a value.
    pub unique: Option<Header>,
    /// The header of which Infiniti makes a thing of its own for every new value.
    pub classes: Option<Header>,
}

/// How many rows a key may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// One: a second one is a clash. A blank is left out of what is sent, unless the mapping says otherwise.
    One,
    /// Several, which are sent together: what Infiniti had is replaced by them. A blank is sent as a blank.
    Several,
}

/// How clearly Infiniti answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// As the vendor documents it: the summary counts every row.
    Exact,
    /// Not documented: `success` is the word that counts, and a summary that counts must count rows or patrons.
    Loose,
}

/// One header of a contract.
#[derive(Debug, PartialEq, Eq)]
pub struct HeaderRule {
    /// The header as Infiniti spells it.
    pub name: &'static str,
    /// What its values look like.
    pub kind: Kind,
    /// Whether a mapping must fill it.
    pub presence: Presence,
    /// Whose rows may hold a value.
    pub holders: Holders,
    /// Whether two patrons may share a value.
    pub unique: Unique,
    /// One sentence for the reference.
    pub about: &'static str,
}

/// What the values of a header look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text as it is: names, codes, identifiers. Leading zeros stay.
    Text,
    /// `Y` or `N`; read from any spelling that the contract knows.
    Boolean,
    /// A well-formed e-mail address.
    Email,
    /// A year of four digits.
    Year,
    /// One of these, or blank.
    OneOf(&'static [&'static str]),
    /// A password: text that is never shown.
    Password,
    /// `email` or `phone`: what the row's [`Reach`](Self::Reach) is.
    Channel,
    /// An address or a number, as the row's [`Channel`](Self::Channel) says.
    Reach,
    /// One of these, which are known, or another one, which is told: there are more than anybody wrote down.
    Open(&'static [&'static str]),
    /// A list of such words, split by `;`.
    Codes(&'static [&'static str]),
    /// A group that the mapping allows.
    Group,
    /// A picture: in a row its bytes as hexadecimal text, in a patron a description of them.
    Picture,
    /// A picture's file: in a row its path, in a patron the description of its content.
    PictureFile,
}

/// Whether a header must be there and filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// In every mapping and every row.
    Mandatory,
    /// Filled or not.
    Optional,
    /// Of the headers that say so, a student fills exactly one.
    OneOfCohort,
    /// What a row is there for: in every mapping; a row in which it is blank says nothing and is left out.
    Content,
    /// The same, of which a mapping has exactly one.
    OneOfContent,
}

/// Whose rows may hold a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holders {
    /// Students and staff.
    Everybody,
    /// Students only: a staff row with a value is rejected.
    Students,
}

/// Whether two patrons may share a value of this header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unique {
    /// They may.
    No,
    /// They may not; values that differ only in case are the same.
    IgnoringCase,
    /// They may not; compared to the letter.
    Exact,
}

/// Spellings of a boolean that the contract accepts, in lower case.
pub const TRUE_SPELLINGS: [&str; 4] = ["y", "yes", "true", "1"];
/// See [`TRUE_SPELLINGS`].
pub const FALSE_SPELLINGS: [&str; 4] = ["n", "no", "false", "0"];

/// A header: its place in a contract's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Header(u8);

impl Header {
    /// Its place in [`Contract::headers`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// This header alone as a set.
    pub fn bit(self) -> HeaderSet {
        HeaderSet(1 << self.0)
    }
}

/// A set of headers of one contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderSet(u32);

impl HeaderSet {
    /// Adds a header.
    pub fn insert(&mut self, header: Header) {
        self.0 |= header.bit().0;
    }

    /// Whether a header is in the set.
    pub fn contains(self, header: Header) -> bool {
        self.0 & header.bit().0 != 0
    }

    /// The headers of both sets.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The headers that are in both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The headers of this set that the other lacks.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The set as bits, the first header lowest.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// A set from its bits.
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// How many headers are in the set.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Where a header's cell stands in a row that holds just this set's headers.
    pub fn position(self, header: Header) -> Option<usize> {
        self.contains(header).then(|| (self.0 & (header.bit().0 - 1)).count_ones() as usize)
    }

    /// The headers in the contract's order.
    pub fn iter(self) -> impl Iterator<Item = Header> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let lowest = u8::try_from(left.trailing_zeros()).ok().filter(|_| left != 0)?;
            left &= left - 1;
            Some(Header(lowest))
        })
    }
}

impl FromIterator<Header> for HeaderSet {
    fn from_iter<I: IntoIterator<Item = Header>>(headers: I) -> Self {
        let mut set = Self::default();
        for header in headers {
            set.insert(header);
        }
        set
    }
}

impl Contract {
    /// The header of that name. Mappings may write it in any case.
    pub fn header(&self, name: &str) -> Option<Header> {
        self.iter().find(|header| self.rule(*header).name.eq_ignore_ascii_case(name))
    }

    /// The rule of a header.
    pub fn rule(&self, header: Header) -> &'static HeaderRule {
        &self.headers[header.index()]
    }

    /// Whether its rows are pictures, which go as a zip.
    pub fn is_pictured(&self) -> bool {
        self.headers.iter().any(|rule| rule.kind == Kind::Picture)
    }

    /// Whether a header's values tell who somebody is, or how to reach them: names, addresses, numbers. What somebody is
    /// (staff or student, year, gender, class) does not, by itself.
    pub fn is_personal(&self, header: Header) -> bool {
        let rule = self.rule(header);
        match rule.kind {
            Kind::Text => !matches!(rule.name, "academiclevel" | "formclass" | "presentationgrouplabel"),
            Kind::Email | Kind::Password | Kind::Reach | Kind::Picture | Kind::PictureFile => true,
            Kind::Boolean
            | Kind::Year
            | Kind::OneOf(_)
            | Kind::Channel
            | Kind::Open(_)
            | Kind::Codes(_)
            | Kind::Group => false,
        }
    }

    /// All headers in the order in which they are sent.
    pub fn iter(&self) -> impl Iterator<Item = Header> + use<> {
        (0..u8::try_from(self.headers.len()).unwrap_or(u8::MAX)).map(Header)
    }

    /// The key: what identifies a patron.
    pub fn key(&self) -> Header {
        Header(0)
    }
}

impl PartialEq for Contract {
    /// There is one of each.
    fn eq(&self, other: &Self) -> bool {
        self.feed == other.feed
    }
}

impl Eq for Contract {}

const fn text(name: &'static str, about: &'static str) -> HeaderRule {
    HeaderRule {
        name,
        kind: Kind::Text,
        presence: Presence::Optional,
        holders: Holders::Everybody,
        unique: Unique::No,
        about,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_headers_are_where_the_table_has_them() {
        for (header, name) in [
            (USERNAME, "username"),
            (STAFFMEMBER, "staffmember"),
            (LIBRARYBARCODE, "librarybarcode"),
            (EMAILADDRESS, "emailaddress"),
            (ENABLED, "enabled"),
            (ADMINSYSTEMID, "adminsystemid"),
            (FORMCLASS, "formclass"),
        ] {
            assert_eq!(USERS.rule(header).name, name);
        }
        assert_eq!(USERS.key(), USERNAME);
        assert_eq!(GROUPS.rule(GROUP).name, "group");
    }

    #[test]
    fn a_set_knows_where_a_cell_stands() {
        let set: HeaderSet = [USERNAME, STAFFMEMBER, LIBRARYBARCODE].into_iter().collect();
        assert_eq!(set.position(LIBRARYBARCODE), Some(2));
        assert_eq!(set.position(EMAILADDRESS), None);
        assert_eq!(set.iter().count(), set.len());
    }
}
