//! Values by the rules of the contract: what a header accepts, and in which spelling it is sent.

use super::contract::{Contract, FALSE_SPELLINGS, Header, Kind, TRUE_SPELLINGS};
use super::image::NameFault;

/// The longest value that is sent, in bytes. The contract names no limit; nothing that belongs to a patron is longer,
/// and a photo or an essay that strays into a column must not go to the library.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

/// What a contact is.
pub const CHANNELS: [&str; 2] = ["email", "phone"];

/// A rule that a row broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A mandatory header is blank.
    Blank,
    /// Not one of the spellings of a boolean.
    Boolean,
    /// Not a well-formed address.
    Email,
    /// Not a year of four digits.
    Year,
    /// A phone number without a digit.
    Number,
    /// Not one of the groups that the mapping allows.
    NotAllowed,
    /// An identifier that cannot be a file's name.
    FileName(NameFault),
    /// No picture that can be sent: why, in words that go on after the header.
    Picture(String),
    /// Not one of the values that the header accepts.
    OneOf(&'static [&'static str]),
    /// Longer than [`VALUE_BYTES_MAX`]: so many bytes.
    TooLong(usize),
    /// The lookup has no entry for the value, and no `*`.
    Lookup,
    /// The template failed: what kind of failure.
    Template(String),
    /// A student without graduation year and academic level.
    CohortMissing,
    /// A student with both.
    CohortTwice,
    /// A staff member with one.
    CohortOfStaff,
    /// Other rows have the same value.
    Clash {
        /// The first few of them.
        first: Vec<RowPlace>,
        /// How many more there are.
        more: usize,
    },
}

/// Where a row came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowPlace {
    /// The extract, by its place in the feed.
    pub extract: u16,
    /// The row of its result, counted from 1.
    pub row: u32,
}

impl Rule {
    /// A stable name, for JSON and for counting.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Blank => "blank",
            Self::Boolean => "boolean",
            Self::Email => "email",
            Self::Year => "year",
            Self::Number => "number",
            Self::NotAllowed => "not_allowed",
            Self::FileName(_) => "file_name",
            Self::Picture(_) => "picture",
            Self::OneOf(_) => "one_of",
            Self::TooLong(_) => "too_long",
            Self::Lookup => "lookup",
            Self::Template(_) => "template",
            Self::CohortMissing => "cohort_missing",
            Self::CohortTwice => "cohort_twice",
            Self::CohortOfStaff => "cohort_of_staff",
            Self::Clash { .. } => "clash",
        }
    }

    /// The reason in words, without the value. `extract_name` names the other rows of a clash.
    pub fn reason(&self, contract: &Contract, header: Header, extract_name: &dyn Fn(u16) -> String) -> String {
        let name = contract.rule(header).name;
        match self {
            Self::Blank => format!("`{name}` is blank, and it is mandatory"),
            Self::Boolean => format!("`{name}` is neither of yes and no (Y, yes, true, 1; N, no, false, 0)"),
            Self::Email => format!("`{name}` is not a well-formed address"),
            Self::Year => format!("`{name}` is not a year of four digits"),
            Self::Number => format!("`{name}` is to be a phone number, and has no digit"),
            Self::NotAllowed => format!("`{name}` is none of the groups that `allow` lists"),
            Self::FileName(fault) => format!("`{name}` {fault}"),
            Self::Picture(fault) => format!("`{name}` {fault}"),
            Self::OneOf(values) => {
                let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
                format!("`{name}` is none of {} and blank", values.join(", "))
            }
            Self::TooLong(bytes) => format!("`{name}` is {bytes} bytes long; at most {VALUE_BYTES_MAX} are sent"),
            Self::Lookup => format!("`{name}`: the lookup has no entry for this value, and no `*`"),
            Self::Template(kind) => format!("`{name}`: the template failed: {kind}"),
            Self::CohortMissing => "a student needs `graduationyear` or `academiclevel`, and both are blank".to_owned(),
            Self::CohortTwice => "a student has `graduationyear` or `academiclevel`, not both".to_owned(),
            Self::CohortOfStaff => format!("`{name}` belongs to students, and this is a staff member"),
            Self::Clash { first, more } => {
                let mut places: Vec<String> =
                    first.iter().map(|place| format!("{} row {}", extract_name(place.extract), place.row)).collect();
                if *more > 0 {
                    places.push(format!("{more} more"));
                }
                format!("`{name}` is the same as in {}", places.join(", "))
            }
        }
    }
}

/// The spelling in which a value is sent, or the rule that it breaks. `value` is trimmed and not blank.
///
/// # Errors
/// The rule of the header's kind that the value breaks.
pub fn canonical(kind: Kind, value: &str) -> Result<&str, Rule> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(Rule::TooLong(value.len()));
    }
    match kind {
        // What is a picture, a group or an address in this row is decided with more than the value.
        Kind::Text
        | Kind::Password
        | Kind::Reach
        | Kind::Codes(_)
        | Kind::Group
        | Kind::Picture
        | Kind::PictureFile => Ok(value),
        Kind::Boolean => {
            // The usual spellings first: this runs twice a row.
            match value.as_bytes() {
                [b'Y' | b'y' | b'1'] => return Ok("Y"),
                [b'N' | b'n' | b'0'] => return Ok("N"),
                _ => {}
            }
            let is = |spellings: &[&str]| spellings.iter().any(|spelling| value.eq_ignore_ascii_case(spelling));
            if is(&TRUE_SPELLINGS) {
                Ok("Y")
            } else if is(&FALSE_SPELLINGS) {
                Ok("N")
            } else {
                Err(Rule::Boolean)
            }
        }
        Kind::Email => is_well_formed_email(value).then_some(value).ok_or(Rule::Email),
        Kind::Year => {
            // `2032.0` is how a spreadsheet or a float column writes 2032.
            let digits = value.split_once('.').map_or(value, |(whole, fraction)| {
                if fraction.bytes().all(|byte| byte == b'0') { whole } else { value }
            });
            let is_year = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit()) && digits >= "1000";
            is_year.then_some(digits).ok_or(Rule::Year)
        }
        Kind::Channel => canonical(Kind::OneOf(&CHANNELS), value),
        Kind::Open(values) => Ok(values.iter().copied().find(|one| value.eq_ignore_ascii_case(one)).unwrap_or(value)),
        Kind::OneOf(values) => {
            values.iter().copied().find(|one| value.eq_ignore_ascii_case(one)).ok_or(Rule::OneOf(values))
        }
    }
}

/// The spelling in which a contact is sent, by the row's channel, as [`canonical`] gave it.
///
/// # Errors
/// [`Rule::Email`] and [`Rule::Number`].
pub fn reach<'v>(channel: &str, value: &'v str) -> Result<&'v str, Rule> {
    if channel == CHANNELS[0] {
        canonical(Kind::Email, value)
    } else if value.bytes().any(|byte| byte.is_ascii_digit()) {
        canonical(Kind::Text, value)
    } else {
        Err(Rule::Number)
    }
}

/// Whether an address is well-formed: one `@`, a local part without blanks, quotes or stray dots, and a domain of
/// labels. Stricter than RFC 5322, which allows comments and quoted blanks that no school's mail server does.
fn is_well_formed_email(address: &str) -> bool {
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    let is_letter = |c: char| c.is_ascii() || c.is_alphanumeric();
    is_local_part(local.as_bytes())
        && is_domain(domain.as_bytes())
        && (address.is_ascii() || address.chars().all(is_letter))
}

/// Bytes that a local part may hold beside dots. A byte that is not ASCII is a part of a letter; which ones is asked
/// elsewhere.
const LOCAL: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = 0_u8;
    loop {
        allowed[byte as usize] = byte.is_ascii_alphanumeric() || byte >= 0x80;
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    let special = b"!#$%&'*+/=?^_`{|}~-";
    let mut index = 0;
    while index < special.len() {
        allowed[special[index] as usize] = true;
        index += 1;
    }
    allowed
};

fn is_local_part(local: &[u8]) -> bool {
    let mut previous = b'.';
    for byte in local {
        let is_allowed = if *byte == b'.' { previous != b'.' } else { LOCAL[usize::from(*byte)] };
        if !is_allowed {
            return false;
        }
        previous = *byte;
    }
    previous != b'.' && local.len() <= 64
}

fn is_domain(domain: &[u8]) -> bool {
    let (mut previous, mut label) = (b'.', 0);
    for byte in domain {
        label += 1;
        match byte {
            b'.' if matches!(previous, b'.' | b'-') => return false,
            b'.' => label = 0,
            b'-' if previous == b'.' => return false,
            b'-' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | 0x80.. => {}
            _ => return false,
        }
        if label > 63 {
            return false;
        }
        previous = *byte;
    }
    !matches!(previous, b'.' | b'-') && domain.len() <= 253
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_in_every_spelling_of_the_contract() {
        for value in ["Y", "yes", "TRUE", "1"] {
            assert_eq!(canonical(Kind::Boolean, value), Ok("Y"), "{value}");
        }
        for value in ["n", "No", "false", "0"] {
            assert_eq!(canonical(Kind::Boolean, value), Ok("N"), "{value}");
        }
        assert_eq!(canonical(Kind::Boolean, "T"), Err(Rule::Boolean));
    }

    #[test]
    fn years() {
        assert_eq!(canonical(Kind::Year, "2032"), Ok("2032"));
        assert_eq!(canonical(Kind::Year, "2032.0"), Ok("2032"));
        for value in ["32", "20320", "2032.5", "0032", "20a2", "Year 12"] {
            assert_eq!(canonical(Kind::Year, value), Err(Rule::Year), "{value}");
        }
    }

    #[test]
    fn addresses() {
        for value in ["a@b.c", "o'brien+lib@school.example.edu.au", "zoë@schule.example", "a@localhost"] {
            assert_eq!(canonical(Kind::Email, value), Ok(value));
        }
        for value in [
            "a",
            "@b.c",
            "a@",
            "a b@c.d",
            "a@b..c",
            ".a@b.c",
            "a..b@c.d",
            "a@-b.c",
            "a@b.c;d@e.f",
            "a@b@c.d",
            "a,b@c.d",
        ] {
            assert_eq!(canonical(Kind::Email, value), Err(Rule::Email), "{value}");
        }
    }

    #[test]
    fn one_of_is_sent_as_the_contract_spells_it() {
        assert_eq!(canonical(Kind::OneOf(&["M", "F"]), "f"), Ok("F"));
        assert!(canonical(Kind::OneOf(&["M", "F"]), "X").is_err());
    }

    #[test]
    fn a_value_longer_than_the_bound_is_refused() {
        let long = "x".repeat(VALUE_BYTES_MAX + 1);
        assert_eq!(canonical(Kind::Text, &long[1..]), Ok(&long[1..]));
        assert_eq!(canonical(Kind::Text, &long), Err(Rule::TooLong(VALUE_BYTES_MAX + 1)));
    }
}
