//! Layers: what is known of patrons, packed into pages. No I/O, no clock.
//!
//! A page is one byte that names the format, then entries in key order. An entry says some things of a patron, and
//! leaves the others as an earlier layer has them:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | bits 0-1 standing: as before, active, deactivated, gone; bits 2-3 outcome: as before, accepted, failed, unknown; bits 4-5 missing: as before, no, yes; bit 6 staff |
//! | LEB128, then so many | the username |
//! | active only: 4, 16, LEB128 | accepted at, fingerprint, headers as bits |
//! | active only: 2 or 8 each | the print of each header but the key; 8 bytes for those that identify a person |
//! | deactivated only: 4 | since when |
//! | missing only: 4 | since when |
//!
//! Numbers are little-endian, times are seconds since 1970.

use std::cmp::Ordering;

use jiff::{SignedDuration, Timestamp};

use crate::infiniti::contract::{ADMINSYSTEMID, Header, HeaderSet, LIBRARYBARCODE, USERNAME};
use crate::infiniti::fingerprint::{Fingerprint, Key};

/// A time in the state: seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u32);

impl From<Timestamp> for Moment {
    fn from(time: Timestamp) -> Self {
        Self(u32::try_from(time.as_second().max(0)).unwrap_or(u32::MAX))
    }
}

impl Moment {
    /// As a timestamp.
    pub fn timestamp(self) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(i64::from(self.0))
    }
}

/// What is known of a patron.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The key.
    pub username: &'a str,
    /// Whether the patron is staff.
    pub is_staff: bool,
    /// What Infiniti has accepted.
    pub standing: Standing<'a>,
    /// What became of the patron's last row that was sent.
    pub outcome: Outcome,
    /// Since when the patron is missing from the source.
    pub missing_since: Option<Moment>,
}

/// What Infiniti has accepted of a patron.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing<'a> {
    /// Nothing yet.
    New,
    /// A row.
    Active(Active<'a>),
    /// That the patron is not enabled, since the source has the patron no longer.
    Deactivated {
        /// When.
        at: Moment,
    },
}

/// A row that Infiniti accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Active<'a> {
    /// When.
    pub at: Moment,
    /// Of the row.
    pub fingerprint: Fingerprint,
    /// The headers that it filled.
    pub headers: HeaderSet,
    prints: &'a [u8],
}

/// What became of a row that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Infiniti accepted it.
    Accepted,
    /// Infiniti refused it.
    Failed,
    /// Nobody knows.
    Unknown,
}

/// Headers that stay with a person when the username changes. Their prints are wide enough to find one person among all.
pub const IDENTIFYING: [Header; 2] = [LIBRARYBARCODE, ADMINSYSTEMID];

fn print_length(header: Header) -> usize {
    if IDENTIFYING.contains(&header) { 8 } else { 2 }
}

impl<'a> Active<'a> {
    /// A row that is about to be written.
    pub fn new(at: Moment, fingerprint: Fingerprint, prints: &'a Prints) -> Self {
        Self { at, fingerprint, headers: prints.headers, prints: &prints.bytes }
    }

    /// The print of a header, as long as it is kept.
    pub fn print(&self, header: Header) -> Option<&'a [u8]> {
        let mut at = 0;
        for each in self.headers.iter().filter(|each| *each != USERNAME) {
            let length = print_length(each);
            if each == header {
                return self.prints.get(at..at + length);
            }
            at += length;
        }
        None
    }

    /// The headers, the key left out, whose values differ from those of another row.
    pub fn changed(&self, prints: &Prints) -> HeaderSet {
        let other = Active::new(self.at, self.fingerprint, prints);
        let both = self.headers.union(prints.headers);
        both.iter().filter(|header| *header != USERNAME && self.print(*header) != other.print(*header)).collect()
    }
}

/// The prints of a row, in a buffer that is used again.
#[derive(Debug, Default)]
pub struct Prints {
    headers: HeaderSet,
    bytes: Vec<u8>,
}

impl Prints {
    /// Takes the prints of a row's cells.
    pub fn take<'c>(&mut self, key: &Key, cells: impl Iterator<Item = (Header, &'c [u8])>) {
        self.headers = HeaderSet::default();
        self.bytes.clear();
        for (header, cell) in cells {
            self.headers.insert(header);
            if header != USERNAME {
                let print = key.print(header, cell).to_le_bytes();
                self.bytes.extend_from_slice(&print[..print_length(header)]);
            }
        }
    }
}

/// What a layer says of one patron.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch<'a> {
    /// The key.
    pub username: &'a str,
    /// Whether the patron is staff; counts only where standing or outcome are said.
    pub is_staff: bool,
    /// What Infiniti has accepted.
    pub standing: StandingPatch<'a>,
    /// What became of the last row; `None` leaves it as it was.
    pub outcome: Option<Outcome>,
    /// Whether the patron is missing, and since when; `None` leaves it as it was.
    pub missing: Option<Option<Moment>>,
}

/// What a layer says of a patron's standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandingPatch<'a> {
    /// Nothing.
    Keep,
    /// Infiniti accepted this row.
    Active(Active<'a>),
    /// Infiniti accepted that the patron is not enabled.
    Deactivated {
        /// When.
        at: Moment,
    },
    /// The patron is to be forgotten.
    Gone,
}

impl<'a> Patch<'a> {
    /// A patch that says nothing yet.
    pub fn of(username: &'a str, is_staff: bool) -> Self {
        Self { username, is_staff, standing: StandingPatch::Keep, outcome: None, missing: None }
    }

    /// All that is known of a patron.
    pub fn whole(entry: &Entry<'a>) -> Self {
        let standing = match entry.standing {
            Standing::New => StandingPatch::Keep,
            Standing::Active(active) => StandingPatch::Active(active),
            Standing::Deactivated { at } => StandingPatch::Deactivated { at },
        };
        Self {
            username: entry.username,
            is_staff: entry.is_staff,
            standing,
            outcome: Some(entry.outcome),
            missing: Some(entry.missing_since),
        }
    }

    fn flags(&self) -> u8 {
        let standing = match self.standing {
            StandingPatch::Keep => 0,
            StandingPatch::Active(_) => 1,
            StandingPatch::Deactivated { .. } => 2,
            StandingPatch::Gone => 3,
        };
        let outcome = match self.outcome {
            None => 0,
            Some(Outcome::Accepted) => 1,
            Some(Outcome::Failed) => 2,
            Some(Outcome::Unknown) => 3,
        };
        let missing = match self.missing {
            None => 0,
            Some(None) => 1,
            Some(Some(_)) => 2,
        };
        standing | outcome << 2 | missing << 4 | u8::from(self.is_staff) << 6
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.flags());
        write_number(out, self.username.len() as u64);
        out.extend_from_slice(self.username.as_bytes());
        match self.standing {
            StandingPatch::Active(active) => {
                out.extend_from_slice(&active.at.0.to_le_bytes());
                out.extend_from_slice(active.fingerprint.bytes());
                write_number(out, active.headers.bits().into());
                out.extend_from_slice(active.prints);
            }
            StandingPatch::Deactivated { at } => out.extend_from_slice(&at.0.to_le_bytes()),
            StandingPatch::Keep | StandingPatch::Gone => {}
        }
        if let Some(Some(since)) = self.missing {
            out.extend_from_slice(&since.0.to_le_bytes());
        }
    }

    fn read(page: &'a [u8], at: &mut usize) -> Option<Self> {
        let [flags] = *take(page, at, 1)? else { return None };
        let length = usize::try_from(read_number(page, at)?).ok()?;
        let username = std::str::from_utf8(take(page, at, length)?).ok()?;
        let standing = match flags & 3 {
            0 => StandingPatch::Keep,
            1 => {
                let accepted_at = read_moment(page, at)?;
                let fingerprint = Fingerprint::stored(take(page, at, 16)?.try_into().ok()?);
                let headers = HeaderSet::from_bits(u32::try_from(read_number(page, at)?).ok()?);
                let length = headers.iter().filter(|header| *header != USERNAME).map(print_length).sum();
                let prints = take(page, at, length)?;
                StandingPatch::Active(Active { at: accepted_at, fingerprint, headers, prints })
            }
            2 => StandingPatch::Deactivated { at: read_moment(page, at)? },
            _ => StandingPatch::Gone,
        };
        let outcome = match flags >> 2 & 3 {
            0 => None,
            1 => Some(Outcome::Accepted),
            2 => Some(Outcome::Failed),
            _ => Some(Outcome::Unknown),
        };
        let missing = match flags >> 4 & 3 {
            0 => None,
            1 => Some(None),
            2 => Some(Some(read_moment(page, at)?)),
            _ => return None,
        };
        Some(Self { username, is_staff: flags & 1 << 6 != 0, standing, outcome, missing })
    }
}

fn take<'a>(page: &'a [u8], at: &mut usize, length: usize) -> Option<&'a [u8]> {
    let bytes = page.get(*at..at.checked_add(length)?)?;
    *at += length;
    Some(bytes)
}

fn read_moment(page: &[u8], at: &mut usize) -> Option<Moment> {
    Some(Moment(u32::from_le_bytes(take(page, at, 4)?.try_into().ok()?)))
}

fn write_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap_or_default());
}

fn read_number(page: &[u8], at: &mut usize) -> Option<u64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let [byte] = *take(page, at, 1)? else { return None };
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Orders usernames as patrons are ordered: without regard to case, byte by byte.
pub fn compare_keys(a: &str, b: &str) -> Ordering {
    if a == b {
        Ordering::Equal
    } else if a.is_ascii() && b.is_ascii() {
        let lower = |byte: u8| byte.to_ascii_lowercase();
        a.bytes().map(lower).cmp(b.bytes().map(lower))
    } else {
        a.to_lowercase().cmp(&b.to_lowercase())
    }
}

/// The format of pages that this program writes, and the only one that it reads.
const PAGE_FORMAT: u8 = 1;
/// A page is closed when it has so many bytes.
const PAGE_BYTES: usize = 128 * 1024;

/// One page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many patrons it has.
    pub patrons: u32,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Page {
    /// Adds what is said of a patron. Patrons come in key order, each once a layer.
    pub fn add(&mut self, patch: &Patch<'_>) {
        patch.write(&mut self.bytes);
        self.patrons += 1;
    }
}

/// Packs patrons into pages: `fill` adds one patron and says whether there was one.
pub fn pages(mut fill: impl FnMut(&mut Page) -> bool) -> impl Iterator<Item = Page> {
    std::iter::from_fn(move || {
        let mut page = Page { patrons: 0, bytes: Vec::with_capacity(PAGE_BYTES + 4096) };
        page.bytes.push(PAGE_FORMAT);
        while page.bytes.len() < PAGE_BYTES && fill(&mut page) {}
        (page.patrons > 0).then_some(page)
    })
}

/// One layer as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// Its number; a higher one overrides a lower one.
    pub number: i64,
    /// Its pages, in order.
    pub pages: Vec<Page>,
}

/// All that is known of a mapping's patrons.
#[derive(Debug, Default)]
pub struct Accepted {
    /// In the order of their numbers.
    layers: Vec<Layer>,
}

/// A page holds something else than entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("page {page} of layer {layer} is damaged")]
pub struct Damaged {
    /// The layer's number.
    pub layer: i64,
    /// The page in it, from 0.
    pub page: usize,
}

impl Accepted {
    /// What these layers say together.
    ///
    /// # Errors
    /// When a page holds something else than entries.
    pub fn new(mut layers: Vec<Layer>) -> Result<Self, Damaged> {
        layers.retain(|layer| !layer.pages.is_empty());
        layers.sort_by_key(|layer| layer.number);
        for layer in &layers {
            for (index, page) in layer.pages.iter().enumerate() {
                check(page).ok_or(Damaged { layer: layer.number, page: index })?;
            }
        }
        Ok(Self { layers })
    }

    /// The layers' numbers.
    pub fn numbers(&self) -> impl Iterator<Item = i64> {
        self.layers.iter().map(|layer| layer.number)
    }

    /// How many layers there are.
    pub fn layer_count(&self) -> usize {
        self.layers.len()
    }

    /// How many entries the layers have together, overridden ones included.
    pub fn entry_count(&self) -> u64 {
        self.layers.iter().flat_map(|layer| &layer.pages).map(|page| u64::from(page.patrons)).sum()
    }

    /// How many bytes they have.
    pub fn bytes(&self) -> usize {
        self.layers.iter().flat_map(|layer| &layer.pages).map(|page| page.bytes.len()).sum()
    }

    /// Every patron in key order.
    pub fn entries(&self) -> Entries<'_> {
        Entries { cursors: self.layers.iter().map(Cursor::new).collect() }
    }
}

/// Reads a page from end to end.
fn check(page: &Page) -> Option<()> {
    let mut at = 1;
    let mut patrons = 0;
    if page.bytes.first() != Some(&PAGE_FORMAT) {
        return None;
    }
    while at < page.bytes.len() {
        Patch::read(&page.bytes, &mut at)?;
        patrons += 1;
    }
    (patrons == page.patrons).then_some(())
}

/// The patrons of [`Accepted`].
#[derive(Debug)]
pub struct Entries<'a> {
    /// One a layer, the lowest first.
    cursors: Vec<Cursor<'a>>,
}

#[derive(Debug)]
struct Cursor<'a> {
    layer: &'a Layer,
    page: usize,
    at: usize,
    head: Option<Patch<'a>>,
}

impl<'a> Cursor<'a> {
    fn new(layer: &'a Layer) -> Self {
        let mut cursor = Self { layer, page: 0, at: 1, head: None };
        cursor.advance();
        cursor
    }

    fn advance(&mut self) {
        while let Some(page) = self.layer.pages.get(self.page) {
            if self.at < page.bytes.len() {
                // Every page was read from end to end before.
                self.head = Patch::read(&page.bytes, &mut self.at);
                return;
            }
            self.page += 1;
            self.at = 1;
        }
        self.head = None;
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let heads = self.cursors.iter().filter_map(|cursor| cursor.head.map(|head| head.username));
            let username = heads.min_by(|a, b| compare_keys(a, b))?;
            let mut entry = None;
            for cursor in &mut self.cursors {
                if let Some(head) = cursor.head
                    && compare_keys(head.username, username) == Ordering::Equal
                {
                    entry = apply(entry, &head);
                    cursor.advance();
                }
            }
            if entry.is_some() {
                return entry;
            }
        }
    }
}

/// What is known of a patron after a layer had its say.
fn apply<'a>(known: Option<Entry<'a>>, patch: &Patch<'a>) -> Option<Entry<'a>> {
    // A row that is refused now says nothing of the one before, which Infiniti may have taken.
    let may_exist = known.is_some_and(|entry| entry.standing == Standing::New && entry.outcome == Outcome::Unknown);
    let mut entry = known.unwrap_or(Entry {
        username: patch.username,
        is_staff: patch.is_staff,
        standing: Standing::New,
        outcome: Outcome::Unknown,
        missing_since: None,
    });
    match patch.standing {
        StandingPatch::Keep => {}
        StandingPatch::Active(active) => entry.standing = Standing::Active(active),
        StandingPatch::Deactivated { at } => entry.standing = Standing::Deactivated { at },
        StandingPatch::Gone => return None,
    }
    if let StandingPatch::Active(_) = patch.standing {
        // The spelling that Infiniti accepted last.
        entry.username = patch.username;
    }
    if patch.standing != StandingPatch::Keep || patch.outcome.is_some() {
        entry.is_staff = patch.is_staff;
    }
    if let Some(outcome) = patch.outcome
        && !(may_exist && outcome == Outcome::Failed)
    {
        entry.outcome = outcome;
    }
    if let Some(missing) = patch.missing {
        entry.missing_since = missing;
    }
    Some(entry)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::infiniti::contract::{EMAILADDRESS, FORMCLASS, USERS};
    use crate::infiniti::fingerprint::Digest;

    #[expect(clippy::option_option, reason = "as in a patch")]
    /// What a layer says of a patron, owned: the prints are made of the seed.
    #[derive(Clone, Debug)]
    struct Said {
        is_staff: bool,
        standing: u8,
        headers: u32,
        outcome: Option<Outcome>,
        missing: Option<Option<Moment>>,
        seed: u32,
    }

    impl Said {
        fn prints(&self) -> Prints {
            let mut prints = Prints::default();
            let headers = HeaderSet::from_bits(self.headers).union(USERNAME.bit());
            let cell = self.seed.to_le_bytes();
            prints.take(&Key::stored([1; 16]), headers.iter().map(|header| (header, &cell[..])));
            prints
        }

        fn patch<'a>(&self, username: &'a str, prints: &'a Prints) -> Patch<'a> {
            let at = Moment(self.seed);
            let standing = match self.standing {
                0 => StandingPatch::Keep,
                1 => {
                    StandingPatch::Active(Active::new(at, Key::stored([2; 16]).fingerprint(Digest::default()), prints))
                }
                2 => StandingPatch::Deactivated { at },
                _ => StandingPatch::Gone,
            };
            Patch { username, is_staff: self.is_staff, standing, outcome: self.outcome, missing: self.missing }
        }
    }

    fn said() -> impl Strategy<Value = Said> {
        let outcome =
            prop::option::of(prop::sample::select(vec![Outcome::Accepted, Outcome::Failed, Outcome::Unknown]));
        let missing = prop::option::of(prop::option::of(any::<u32>().prop_map(Moment)));
        (any::<bool>(), 0_u8..4, 0_u32..1 << 16, outcome, missing, any::<u32>()).prop_map(
            |(is_staff, standing, headers, outcome, missing, seed)| Said {
                is_staff,
                standing,
                headers,
                outcome,
                missing,
                seed,
            },
        )
    }

    /// A layer of patrons in key order.
    fn layer(number: i64, said: &BTreeMap<String, Said>) -> Layer {
        let mut left = said.iter();
        let pages = pages(|page| {
            let Some((username, said)) = left.next() else { return false };
            page.add(&said.patch(username, &said.prints()));
            true
        });
        Layer { number, pages: pages.collect() }
    }

    proptest! {
        /// What layers say together is what they say one after the other; packed into one layer it stays the same.
        #[test]
        fn layers_say_what_was_said_last(
            layers in prop::collection::vec(prop::collection::btree_map("[a-zé]{1,3}", said(), 0..12), 0..5),
        ) {
            let stored: Vec<Layer> = (0..).zip(&layers).map(|(number, said)| layer(number, said)).collect();
            let accepted = Accepted::new(stored).unwrap();
            let entries: Vec<Entry<'_>> = accepted.entries().collect();

            let prints: Vec<BTreeMap<&String, Prints>> =
                layers.iter().map(|said| said.iter().map(|(name, said)| (name, said.prints())).collect()).collect();
            let mut expected: BTreeMap<&String, Entry<'_>> = BTreeMap::new();
            for (said, prints) in layers.iter().zip(&prints) {
                for (username, said) in said {
                    let known = expected.remove(username);
                    if let Some(entry) = apply(known, &said.patch(username, &prints[username])) {
                        expected.insert(username, entry);
                    }
                }
            }
            prop_assert_eq!(&entries, &expected.into_values().collect::<Vec<_>>());

            let mut left = entries.iter();
            let pages = pages(|page| left.next().map(|entry| page.add(&Patch::whole(entry))).is_some()).collect();
            let packed = Accepted::new(vec![Layer { number: 9, pages }]).unwrap();
            let again: Vec<Entry<'_>> = packed.entries().collect();
            prop_assert_eq!(entries, again);
        }

        /// Bytes that are no page end in an error, never in a panic.
        #[test]
        fn damaged_pages_are_told(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(first) = bytes.first_mut() {
                *first %= 2;
            }
            if let Ok(accepted) = Accepted::new(vec![Layer { number: 1, pages: vec![Page { patrons: 1, bytes }] }]) {
                prop_assert!(accepted.entries().count() <= 1);
            }
        }
    }

    #[test]
    fn a_truncated_page_is_damaged() {
        let said = Said { is_staff: true, standing: 1, headers: 0xffff, outcome: None, missing: None, seed: 7 };
        let whole = layer(3, &BTreeMap::from([("jane.doe".to_owned(), said)]));
        let length = whole.pages[0].bytes.len();
        for length in 2..length {
            let mut cut = whole.clone();
            cut.pages[0].bytes.truncate(length);
            assert_eq!(Accepted::new(vec![cut]).map(drop), Err(Damaged { layer: 3, page: 0 }), "{length} bytes");
        }
    }

    #[test]
    fn changed_headers_are_told_apart() {
        let key = Key::stored([3; 16]);
        let cells = |email: &'static str| [(USERNAME, &b"jane"[..]), (EMAILADDRESS, email.as_bytes())];
        let (mut before, mut now) = (Prints::default(), Prints::default());
        before.take(&key, cells("a").into_iter());
        let active = Active::new(Moment(0), key.fingerprint(Digest::default()), &before);
        now.take(&key, cells("a").into_iter());
        assert!(active.changed(&now).is_empty());
        now.take(&key, cells("b").into_iter());
        assert_eq!(active.changed(&now), EMAILADDRESS.bit());
        now.take(&key, cells("a").into_iter().chain([(FORMCLASS, &b"7A"[..])]));
        assert_eq!(active.changed(&now), FORMCLASS.bit());
        assert_eq!(USERS.rule(IDENTIFYING[0]).name, "librarybarcode");
    }

    /// Regression: a new patron was sent without an answer, and refused the night after. Infiniti may have taken the
    /// first row, but the patron was forgotten when the source had the person no longer.
    #[test]
    fn a_refusal_does_not_answer_for_the_row_before() {
        let with = |outcome| Patch { outcome: Some(outcome), ..Patch::of("jane", false) };
        let sent = apply(None, &with(Outcome::Unknown));
        assert_eq!(apply(sent, &with(Outcome::Failed)).unwrap().outcome, Outcome::Unknown);
        assert_eq!(apply(None, &with(Outcome::Failed)).unwrap().outcome, Outcome::Failed);
        let at = Moment(1);
        let known = apply(sent, &Patch { standing: StandingPatch::Deactivated { at }, ..with(Outcome::Unknown) });
        assert_eq!(apply(known, &with(Outcome::Failed)).unwrap().outcome, Outcome::Failed);
    }

    #[test]
    fn keys_are_compared_without_regard_to_case() {
        assert_eq!(compare_keys("Jane", "jane"), Ordering::Equal);
        assert_eq!(compare_keys("ÉLAN", "élan"), Ordering::Equal);
        assert_eq!(compare_keys("jane", "Janet"), Ordering::Less);
        assert_eq!(compare_keys("z", "é"), Ordering::Less);
    }
}
