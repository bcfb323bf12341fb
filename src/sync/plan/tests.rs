//! Properties of plans over random schools and histories: a plan is carried out on an Infiniti in memory, by the very
//! functions that write a real run into the state, and the two must agree in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::FutureExt as _;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::infiniti::builder::Builder;
use crate::infiniti::client::Payload as _;
use crate::infiniti::contract::{ENABLED, USERNAME, USERS};
use crate::mapping::{Leavers, Limit, Limits};
use crate::source::Source as _;
use crate::source::memory::Memory;
use crate::source::row::{Message, channel};
use crate::state::layer::{Layer, Patch, pages};
use crate::state::{Outcome, Standing};
use crate::sync::Report;
use crate::sync::deliver::RowOutcome;
use crate::sync::marks::{arrivals, departures, fill, marks, returned};

/// Two extracts, since leavers and limits look at each of them.
const MAPPING: &str = "version: 1
source:
  url: sqlite:sis.db
target:
  url: https://example.concordinfiniti.com
  username: autoimport
  password: secret
  batch_rows: 3
users:
  - name: students
    query: students
    columns:
      username: login
      enabled: { value: true }
      staffmember: { value: false }
      givenname: given
      surname: { column: family, send: create }
      emailaddress: email
      graduationyear: year
      librarybarcode: barcode
      adminsystemid: admin
      formclass: form
      password: { column: pass, send: create }
  - name: staff
    query: staff
    columns:
      username: login
      enabled: { value: true }
      staffmember: { value: true }
      givenname: given
      surname: { column: family, send: create }
      emailaddress: email
      librarybarcode: barcode
      adminsystemid: admin
      formclass: form
      password: { column: pass, send: create }
";
const COLUMNS: [&str; 9] = ["login", "given", "family", "email", "year", "barcode", "admin", "form", "pass"];
/// The headers of those columns, which a digest holds; the others are sent only to new patrons.
const DIGESTED: [(&str, &str); 5] = [
    ("given", "givenname"),
    ("email", "emailaddress"),
    ("barcode", "librarybarcode"),
    ("admin", "adminsystemid"),
    ("form", "formclass"),
];

/// Usernames that are hard to order, to fold or to write as CSV. Every fourth is staff.
const NAMES: [&str; 14] = [
    "ann",
    "Bob",
    "émile",
    "straße",
    "i\u{307}nci",
    "ας",
    "o'hara",
    "d,e",
    "q\"r",
    "zoë",
    "jane",
    "janet",
    "jane-ann",
    "ÉLAN",
];

/// One person's row tonight. Small numbers choose among few values, so that values come back.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    number: usize,
    is_shouted: bool,
    is_renamed: bool,
    given: u8,
    email: u8,
    form: u8,
    barcode: u8,
    secret: u8,
    fate: Presence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Absent,
    Present,
    /// With an address that is none.
    Rejected,
    /// Without a username.
    Nameless,
}

impl Row {
    /// A row that breaks no rule.
    fn plain(number: usize) -> Self {
        Self {
            number,
            is_shouted: false,
            is_renamed: false,
            given: 1,
            email: 1,
            form: 1,
            barcode: 1,
            secret: 0,
            fate: Presence::Present,
        }
    }

    fn is_staff(&self) -> bool {
        self.number.is_multiple_of(4)
    }

    fn username(&self) -> String {
        let name = NAMES.get(self.number).map_or_else(|| format!("patron{}", self.number), ToString::to_string);
        let name = if self.is_renamed { format!("new-{name}") } else { name };
        if self.is_shouted { name.to_ascii_uppercase() } else { name }
    }

    /// What Infiniti and the state know the patron by.
    fn key(&self) -> String {
        self.username().to_lowercase()
    }

    fn cell(&self, column: &str) -> String {
        let or_blank = |version: u8, text: String| if version == 0 { String::new() } else { text };
        let number = self.number;
        match column {
            "login" if self.fate == Presence::Nameless => String::new(),
            "login" => self.username(),
            "given" => or_blank(self.given, format!("Given {}, \"{}\"", number, self.given)),
            "family" => format!("Family{number}x{}", self.secret),
            "email" if self.fate == Presence::Rejected => "nobody at home".to_owned(),
            "email" => or_blank(self.email, format!("p{number}v{}@school.example", self.email)),
            "year" => "2030".to_owned(),
            "barcode" => or_blank(self.barcode, format!("{number:03}-{}", self.barcode)),
            "admin" => format!("A{number}"),
            "form" => or_blank(self.form, format!("{}{}", 7 + number % 3, self.form)),
            _ => format!("Swordfish{number}x{}", self.secret),
        }
    }
}

fn row(number: usize) -> impl Strategy<Value = Row> {
    let fate = prop_oneof![
        8 => Just(Presence::Present),
        3 => Just(Presence::Absent),
        1 => Just(Presence::Rejected),
        1 => proptest::bool::weighted(0.2).prop_map(|is| if is { Presence::Nameless } else { Presence::Present }),
    ];
    (any::<bool>(), 0_u8..3, 0_u8..3, 0_u8..3, 0_u8..3, 0_u8..3, fate).prop_map(
        move |(is_shouted, given, email, form, barcode, secret, fate)| Row {
            number,
            is_shouted,
            is_renamed: false,
            given,
            email,
            form,
            barcode,
            secret,
            fate,
        },
    )
}

fn school() -> impl Strategy<Value = Vec<Row>> {
    (0..NAMES.len()).map(row).collect::<Vec<_>>()
}

fn mapping_of(text: &str) -> Mapping {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("school.yaml");
    std::fs::write(&path, text).unwrap();
    Mapping::load(&path).unwrap()
}

fn mapping() -> Mapping {
    mapping_of(MAPPING)
}

/// A mapping that deactivates leavers after so many days.
fn deactivating(days: u64) -> Mapping {
    let mut mapping = mapping();
    mapping.leavers = Leavers { action: LeaverAction::Deactivate, after: Duration::from_secs(days * 86_400) };
    mapping
}

/// Takes rows the way of a run: each extract's query, then the rules of the mapping.
fn patrons(mapping: &Mapping, rows: &[Row]) -> Patrons {
    let mut builder = Builder::new(&mapping.users).with_digests();
    for extract in &mapping.users.extracts {
        let mine = rows.iter().filter(|row| row.is_staff() == (extract.name == "staff"));
        let cells: Vec<Vec<String>> = mine
            .filter(|row| row.fate != Presence::Absent)
            .map(|row| COLUMNS.iter().map(|column| row.cell(column)).collect())
            .collect();
        let cells: Vec<Vec<&str>> = cells.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        let cells: Vec<&[&str]> = cells.iter().map(Vec::as_slice).collect();
        let mut memory = Memory::default().with(&extract.query, &COLUMNS, &cells);
        let (mut sink, stream) = channel();
        // So few rows fit into the channel: nobody has to take them meanwhile.
        memory.extract(&extract.query, &mut sink).now_or_never().unwrap().unwrap();
        drop(sink);
        while let Some(message) = stream.next() {
            match message {
                Message::Columns(columns) => builder.start(extract, &columns).unwrap(),
                Message::Rows(block) => drop(builder.rows(&block, u64::MAX)),
                Message::End => {}
            }
        }
    }
    builder.finish()
}

/// An Infiniti in memory: an upsert by username without regard to case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Infiniti(BTreeMap<String, BTreeMap<String, String>>);

impl Infiniti {
    fn import(&mut self, batch: &Batch, is_taken: impl Fn(usize) -> bool) {
        let bytes = bytes(batch);
        let mut reader = csv::Reader::from_reader(&bytes[..]);
        let headers = reader.headers().unwrap().clone();
        for (index, record) in reader.records().enumerate().filter(|(index, _)| is_taken(*index)) {
            let record = record.unwrap_or_else(|error| panic!("row {index}: {error}"));
            let patron = self.0.entry(record[0].to_lowercase()).or_default();
            patron.extend(headers.iter().zip(&record).map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
    }

    /// Whether it holds everything that the source says of its accepted patrons; what the source has not, it may keep.
    fn assert_holds(&self, patrons: &Patrons, left_out: HeaderSet) {
        for patron in patrons.order() {
            let held = self.0.get(&patrons.username(*patron).to_lowercase());
            for (header, value) in patrons.values(*patron).filter(|(header, _)| !left_out.contains(*header)) {
                let name = USERS.rule(header).name;
                let found = held.and_then(|held| held.get(name));
                let is_same = if header == USERNAME {
                    found.is_some_and(|found| found.to_lowercase() == value.to_lowercase())
                } else {
                    found == Some(&value)
                };
                assert!(is_same, "{}: {name} is {found:?}, not {value:?}", patrons.username(*patron));
            }
        }
    }
}

fn bytes(batch: &Batch) -> Vec<u8> {
    match &batch.content {
        Content::Patrons(csv) => Arc::clone(csv).chunks().flatten().collect(),
        Content::Leavers(csv) => Arc::clone(csv).chunks().flatten().collect(),
        Content::Pictures(_) => unreachable!("these tests have accounts only"),
    }
}

/// What becomes of a batch.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// There is a receipt; these rows, as bits, were refused.
    Answered { refused: u32 },
    /// Sent without an answer; these rows, as bits, were taken all the same. The run ends.
    Unanswered { taken: u32 },
    /// The program was killed after these rows, as bits, were taken.
    Killed { taken: u32 },
    /// Refused as a whole before anything was taken, and the run ends.
    Ended,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Fate::Answered { refused: 0 }),
        3 => (0_u32..8).prop_map(|refused| Fate::Answered { refused }),
        2 => (0_u32..8).prop_map(|taken| Fate::Unanswered { taken }),
        2 => (0_u32..8).prop_map(|taken| Fate::Killed { taken }),
        1 => Just(Fate::Ended),
    ]
}

/// The state of a mapping, without its database.
#[derive(Clone, Debug, Default)]
struct Book {
    layers: Vec<Layer>,
    last_layer: i64,
    revision: i64,
    facts: Facts,
}

const KEY: [u8; 16] = *b"a key for a test";

impl Book {
    fn known(&self) -> Known {
        Known {
            accepted: Accepted::new(self.layers.clone()).unwrap(),
            key: Key::stored(KEY),
            revision: self.revision,
            facts: self.facts.clone(),
            is_kept: true,
        }
    }

    fn add(&mut self, pages: impl Iterator<Item = crate::state::layer::Page>) -> i64 {
        self.last_layer += 1;
        self.layers.push(Layer { number: self.last_layer, pages: pages.collect() });
        self.last_layer
    }

    /// Carries a plan out as a run does.
    fn push(&mut self, plan: &Plan, infiniti: &mut Infiniti, fates: &[Fate], renames: Renames) {
        self.revision += 1;
        self.add(pages(fill(returned(plan))));
        let mut report = Report::default();
        for (index, batch) in plan.batches.iter().enumerate() {
            let is_told = plan.has_baseline || batch.kind != BatchKind::Create;
            let departure = is_told.then(|| self.add(pages(departures(plan, &batch.content))));
            let rows = batch.content.rows();
            let is_in = |bits: u32, row: usize| bits >> (row % 32) & 1 == 1;
            let fate = fates.get(index % fates.len().max(1)).copied().unwrap_or(Fate::Answered { refused: 0 });
            let outcomes: Vec<RowOutcome> = match fate {
                Fate::Answered { refused } => {
                    infiniti.import(batch, |row| !is_in(refused, row));
                    let outcome = |row| if is_in(refused, row) { RowOutcome::Failed } else { RowOutcome::Accepted };
                    (0..rows).map(outcome).collect()
                }
                Fate::Unanswered { taken } => {
                    infiniti.import(batch, |row| is_in(taken, row));
                    vec![RowOutcome::Unknown; rows]
                }
                Fate::Killed { taken } => {
                    infiniti.import(batch, |row| is_in(taken, row));
                    return;
                }
                Fate::Ended => vec![RowOutcome::NotSent; rows],
            };
            self.layers.retain(|layer| Some(layer.number) != departure);
            self.add(arrivals(plan, &batch.content, &outcomes, Key::stored(KEY)));
            if !matches!(fate, Fate::Answered { .. }) {
                report.not_sent = 1;
                break;
            }
        }
        report.is_complete = report.not_sent == 0;
        self.add(pages(fill(marks(plan, &report, renames))));
        if report.is_complete {
            self.facts = plan.facts.clone();
        }
    }

    /// Packs all layers into one, which must change nothing.
    fn pack(&mut self) {
        let known = self.known();
        let mut entries = known.accepted.entries();
        self.layers.clear();
        self.add(pages(|page| entries.next().map(|entry| page.add(&Patch::whole(&entry))).is_some()));
    }
}

/// A school with its Infiniti and what is known of it.
struct Town {
    mapping: Mapping,
    book: Book,
    infiniti: Infiniti,
}

impl Town {
    fn new(mapping: Mapping) -> Self {
        Self { mapping, book: Book::default(), infiniti: Infiniti::default() }
    }

    fn plan(&self, rows: &[Row], asked: Asked, now: Timestamp) -> Plan {
        let mapping = (&self.mapping, &self.mapping.users);
        Plan::new(patrons(&self.mapping, rows), mapping, &self.book.known(), Judged::default(), asked, now)
    }

    /// A night in which Infiniti accepts everything.
    fn push(&mut self, rows: &[Row], asked: Asked, now: Timestamp) -> Plan {
        let plan = self.plan(rows, asked, now);
        self.book.push(&plan, &mut self.infiniti, &[], asked.renames);
        plan
    }
}

fn delta() -> Asked {
    Asked { mode: Some(Mode::Delta), ..Asked::default() }
}

fn day(number: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + number * 86_400).unwrap()
}

fn usernames<'p>(plan: &'p Plan, changes: impl Iterator<Item = &'p Change>) -> BTreeSet<String> {
    changes.map(|change| plan.patrons.username(change.patron).to_lowercase()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// What a push is for: afterwards Infiniti holds what the SIS has, no more and no less.
    #[test]
    fn the_first_push_makes_infiniti_equal_to_the_extract(rows in school()) {
        let mut town = Town::new(mapping());
        let plan = town.push(&rows, Asked { all_new: true, ..Asked::default() }, day(0));
        let expected: BTreeMap<String, BTreeMap<String, String>> = plan.patrons.order().iter().map(|patron| {
            let named = |(header, value)| (USERS.rule(header).name.to_owned(), value);
            let values = plan.patrons.values(*patron).map(named);
            (plan.patrons.username(*patron).to_lowercase(), values.collect())
        }).collect();
        let present = rows.iter().filter(|row| row.fate == Presence::Present).count();
        prop_assert_eq!(plan.patrons.order().len(), present);
        prop_assert_eq!(&town.infiniti.0, &expected);
    }

    /// A plan that is never empty would send a school every night, and hide what did change.
    #[test]
    fn a_second_push_plans_nothing(rows in school()) {
        let mut town = Town::new(mapping());
        town.push(&rows, Asked::default(), day(0));
        for _ in 0..2 {
            let plan = town.plan(&rows, delta(), day(1));
            prop_assert!(plan.batches.is_empty(), "{:?}", plan.changes);
            prop_assert_eq!(plan.unchanged, plan.patrons.order().len() as u64);
            town.book.pack();
        }
    }

    /// A database gives rows in any order; an approval must hold for the push after the rehearsal.
    #[test]
    fn the_order_of_rows_changes_neither_id_nor_bytes(
        before in school(),
        (after, shuffled) in school().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
    ) {
        let mut town = Town::new(deactivating(0));
        town.push(&before, Asked::default(), day(0));
        let plans = [&after, &shuffled].map(|rows| town.plan(rows, delta(), day(1)));
        prop_assert_eq!(plans[0].id, plans[1].id);
        let all = plans.each_ref().map(|plan| plan.batches.iter().map(bytes).collect::<Vec<_>>());
        prop_assert_eq!(&all[0], &all[1]);
    }

    /// Rows fail, answers are lost, the program is killed, people come and go, values change and change back: one good
    /// night must mend all of it. A row that was sent without an answer must not count as the one accepted before.
    #[test]
    fn one_good_night_mends_any_history(
        nights in vec((school(), vec(fate(), 1..6), any::<bool>(), any::<bool>()), 1..6),
        last in school(), repeats in any::<bool>(), grace in 0_u64..3,
    ) {
        let mut town = Town::new(deactivating(grace));
        let mut now = 0;
        for (rows, fates, is_full, packs) in &nights {
            let asked = Asked { mode: Some(if *is_full { Mode::Full } else { Mode::Delta }), ..Asked::default() };
            let plan = town.plan(rows, asked, day(now));
            town.book.push(&plan, &mut town.infiniti, fates, asked.renames);
            if *packs {
                let told = |book: &Book| -> Vec<String> {
                    book.known().accepted.entries().map(|entry| format!("{entry:?}")).collect()
                };
                let before = told(&town.book);
                town.book.pack();
                let after = told(&town.book);
                prop_assert_eq!(before, after);
            }
            now += 1;
        }
        // The source often goes back to what it was the first night.
        let last = if repeats { &nights[0].0 } else { &last };
        let plan = town.push(last, delta(), day(now));
        town.infiniti.assert_holds(&plan.patrons, plan.patrons.create_only());
        for entry in town.book.known().accepted.entries().filter(|entry| entry.missing_since.is_none()) {
            let is_rejected = plan.patrons.rejections.iter().any(|rejection| {
                rejection.username.as_deref().is_some_and(|name| name.to_lowercase() == entry.username.to_lowercase())
            });
            let is_deactivated = matches!(entry.standing, Standing::Deactivated { .. });
            prop_assert!(entry.outcome == Outcome::Accepted || is_rejected || is_deactivated, "{entry:?}");
        }
        let again = town.plan(last, delta(), day(now));
        prop_assert!(again.batches.is_empty(), "{:?} {:?}", again.changes, again.leavers);
        prop_assert_eq!(again.unchanged, again.patrons.order().len() as u64);
    }

    /// Limits are the last thing between a broken query and a school's library: the formula, written a second time.
    #[test]
    fn a_plan_stops_exactly_when_a_limit_is_passed(
        known in 0_usize..60, gone in 0_usize..30, created in 0_usize..30, updated in 0_usize..30,
        rejected in 0_usize..12,
        limits in vec((any::<bool>(), 0_u32..60), 5), optional in (any::<bool>(), any::<bool>()),
        min_rows in (0_u64..12, 0_u64..30),
    ) {
        let gone = gone.min(known);
        let updated = updated.min(known - gone);
        let rejected = rejected.min(known - gone - updated);
        let limit = |index: usize| -> Limit {
            let (is_count, number) = limits[index];
            if is_count { Limit::Count(number.into()) } else { Limit::Percent(number.into()) }
        };
        let mut town = Town::new(deactivating(0));
        let everybody: Vec<Row> = (0..known).map(|number| Row::plain(number + 100)).collect();
        town.push(&everybody, Asked::default(), day(0));
        town.mapping.users.limits = Limits {
            min_rows: min_rows.0,
            min_rows_in_all: min_rows.1,
            max_drop: limit(0),
            max_creates: optional.0.then(|| limit(1)),
            max_updates: optional.1.then(|| limit(2)),
            max_deactivations: limit(3),
            max_rejections: limit(4),
        };
        let mut rows: Vec<Row> = everybody[gone..].to_vec();
        rows[..updated].iter_mut().for_each(|row| row.given = 2);
        rows[updated..updated + rejected].iter_mut().for_each(|row| row.fate = Presence::Rejected);
        rows.extend((0..created).map(|number| Row::plain(number + 1000)));
        let plan = town.plan(&rows, delta(), day(1));

        let is_over = |index: usize, count: usize, of: usize| match limits[index] {
            (true, most) => count > most as usize,
            (false, _) if count <= 5 => false,
            (false, most) => count * 100 > most as usize * of,
        };
        // Per cent of nobody says nothing.
        let is_over_of_known = |index: usize, count| (limits[index].0 || known > 0) && is_over(index, count, known);
        let of = |rows: &[Row]| [false, true].map(|staff| rows.iter().filter(|row| row.is_staff() == staff).count());
        let (before, now) = (of(&everybody), of(&rows));
        // An empty extract holds back every deactivation.
        let due = if now.contains(&0) { 0 } else { gone };
        let mut expected = Vec::new();
        for rows in now {
            expected.extend(((rows as u64) < min_rows.0).then_some("min_rows"));
        }
        expected.extend(((rows.len() as u64) < min_rows.1).then_some("min_rows_in_all"));
        for (before, now) in before.into_iter().zip(now).chain([(known, rows.len())]) {
            expected.extend(is_over(0, before.saturating_sub(now), before).then_some("max_drop"));
        }
        expected.extend(is_over(4, rejected, rows.len()).then_some("max_rejections"));
        expected.extend((optional.0 && is_over_of_known(1, created)).then_some("max_creates"));
        expected.extend((optional.1 && is_over_of_known(2, updated)).then_some("max_updates"));
        expected.extend(is_over_of_known(3, due).then_some("max_deactivations"));
        prop_assert_eq!(plan.stops.iter().map(Stop::code).collect::<Vec<_>>(), expected);
        let is_stopped = !plan.stops.is_empty();
        prop_assert_eq!(Plans::new(vec![plan]).exit_code() == ExitCode::Stopped, is_stopped);
    }

    /// A pupil who is locked out of the library by mistake is the worst that can happen: the rules, written a second
    /// time.
    #[test]
    fn leavers_are_deactivated_after_their_grace_and_not_before(
        nights in vec((school(), -3_i64..6, proptest::bool::weighted(0.1)), 1..8), grace in 0_u64..5,
    ) {
        let mut town = Town::new(deactivating(grace));
        // By key: since when missing, and whether still enabled in Infiniti.
        let mut model: BTreeMap<String, (Option<Timestamp>, bool)> = BTreeMap::new();
        let mut today = 0;
        for (rows, step, is_staff_gone) in &nights {
            today += step;
            let now = day(today);
            let rows: Vec<Row> = rows.iter().filter(|row| !(*is_staff_gone && row.is_staff())).cloned().collect();
            let plan = town.push(&rows, Asked { renames: Renames::Separate, ..delta() }, now);
            let with = |fate| rows.iter().filter(move |row| row.fate == fate).map(Row::key).collect::<BTreeSet<_>>();
            let (present, rejected) = (with(Presence::Present), with(Presence::Rejected));
            let is_waiting = !with(Presence::Nameless).is_empty()
                || plan.patrons.extracts.iter().any(|extract| extract.rows == 0);
            let mut due = BTreeSet::new();
            let mut returned = BTreeSet::new();
            for (username, (since, is_enabled)) in &mut model {
                if present.contains(username) {
                    if !*is_enabled {
                        returned.insert(username.clone());
                    }
                    (*since, *is_enabled) = (None, true);
                } else if *is_enabled && !rejected.contains(username) {
                    let since = *since.get_or_insert(now);
                    if !is_waiting && now.duration_since(since).as_secs() >= i64::try_from(grace).unwrap() * 86_400 {
                        due.insert(username.clone());
                        *is_enabled = false;
                    }
                }
            }
            for username in &present {
                model.entry(username.clone()).or_insert((None, true));
            }
            let planned: BTreeSet<String> = plan.deactivations().map(|leaver| leaver.username.to_lowercase()).collect();
            prop_assert_eq!(planned, due);
            prop_assert_eq!(usernames(&plan, plan.of_reason(Reason::Returned)), returned.clone());
            for username in &rejected {
                prop_assert!(plan.leavers.iter().all(|leaver| leaver.username.to_lowercase() != *username));
            }
            for batch in plan.batches.iter().filter(|batch| batch.kind != BatchKind::Deactivate) {
                prop_assert!(batch.headers.contains(ENABLED));
            }
            for (username, (_, is_enabled)) in &model {
                let expected = if *is_enabled { "Y" } else { "N" };
                prop_assert_eq!(town.infiniti.0[username]["enabled"].as_str(), expected, "{}", username);
            }
        }
    }

    /// A new username would make a second account, and the first one's loans would be lost.
    #[test]
    fn a_changed_username_is_held_until_a_person_says_what_it_is(
        mut rows in vec((5_usize..90).prop_map(Row::plain), 3..12), by_barcode in any::<bool>(),
        which in any::<prop::sample::Index>(),
    ) {
        rows.sort_by_key(|row| row.number);
        rows.dedup_by_key(|row| row.number);
        // What stays with the person is either the barcode or the admin id.
        let kept = if by_barcode { "      adminsystemid: admin\n" } else { "      librarybarcode: barcode\n" };
        let mut town = Town::new(mapping_of(&MAPPING.replace(kept, "")));
        town.mapping.leavers = Leavers { action: LeaverAction::Deactivate, after: Duration::ZERO };
        town.push(&rows, Asked::default(), day(0));
        let old = which.get(&rows).clone();
        // Neither extract may be empty, or leavers would wait.
        let fillers = [400, 401].map(Row::plain);
        let renamed: Vec<Row> =
            rows.iter().map(|row| Row { is_renamed: row.number == old.number, ..row.clone() }).chain(fillers).collect();
        let new_name = Row { is_renamed: true, ..old.clone() }.key();
        for renames in [Renames::Hold, Renames::Realigned, Renames::Separate] {
            let asked = Asked { renames, ..delta() };
            let plan = town.plan(&renamed, asked, day(1));
            prop_assert_eq!(plan.renames.len(), 1);
            prop_assert_eq!(plan.renames[0].old.to_lowercase(), old.key());
            let is_sent = |batch: &&Batch| {
                let is_new = |record: csv::StringRecord| record[0].to_lowercase() == new_name;
                csv::Reader::from_reader(&bytes(batch)[..]).records().any(|record| is_new(record.unwrap()))
            };
            let sent: Vec<BatchKind> = plan.batches.iter().filter(is_sent).map(|batch| batch.kind).collect();
            let leaves = plan.deactivations().any(|leaver| leaver.username.to_lowercase() == old.key());
            let (expected, expects_leaver) = match renames {
                Renames::Hold => (vec![], false),
                Renames::Realigned => (vec![BatchKind::Update], false),
                Renames::Separate => (vec![BatchKind::Create], true),
            };
            prop_assert_eq!(&sent, &expected, "{:?}", renames);
            prop_assert_eq!(leaves, expects_leaver, "{:?}", renames);
            let mut book = town.book.clone();
            let mut infiniti = town.infiniti.clone();
            book.push(&plan, &mut infiniti, &[], renames);
            let again = Plan::new(patrons(&town.mapping, &renamed), (&town.mapping, &town.mapping.users), &book.known(), Judged::default(), delta(), day(1));
            prop_assert_eq!(again.batches.len(), 0, "{:?}", renames);
            prop_assert_eq!(again.renames.len(), usize::from(renames == Renames::Hold), "{:?}", renames);
        }
    }

    /// A password or another value for new patrons only must never be sent to one who is there: it would undo what the
    /// patron has set. So it is no part of what is compared either.
    #[test]
    fn values_for_new_patrons_are_sent_to_new_patrons_only(
        before in school(), after in school(), all_new in any::<bool>(),
    ) {
        let mut town = Town::new(mapping());
        let asked = Asked { all_new, ..Asked::default() };
        let first = town.push(&before, asked, day(0));
        let create_only = first.patrons.create_only();
        prop_assert_eq!(create_only.len(), 2);
        for batch in &first.batches {
            prop_assert_eq!(!batch.headers.intersection(create_only).is_empty(), all_new);
        }
        let others: Vec<Row> = before.iter().map(|row| Row { secret: row.secret + 1, ..row.clone() }).collect();
        let plans = [&before, &others].map(|rows| town.plan(rows, delta(), day(1)));
        prop_assert!(plans[1].batches.is_empty());
        prop_assert_eq!(plans[0].id, plans[1].id);
        let next = town.push(&after, delta(), day(1));
        let key = |patron: &u32| first.patrons.username(*patron).to_lowercase();
        let known: BTreeSet<String> = first.patrons.order().iter().map(key).collect();
        for batch in &next.batches {
            prop_assert_eq!(batch.headers.intersection(create_only).is_empty(), batch.kind != BatchKind::Create);
            let Content::Patrons(csv) = &batch.content else { continue };
            for row in 0..batch.content.rows() {
                let is_known = known.contains(&next.patrons.username(csv.patron(row)).to_lowercase());
                prop_assert_eq!(is_known, batch.kind == BatchKind::Update);
            }
        }
    }

    /// A rehearsal is read by a person, who must be told what would change, and nothing else.
    #[test]
    fn a_plan_names_the_headers_that_changed(before in school(), after in school()) {
        let mut town = Town::new(mapping());
        town.push(&before, Asked::default(), day(0));
        let plan = town.plan(&after, delta(), day(1));
        let is_present = |rows: &[Row], number: usize| rows[number].fate == Presence::Present;
        let both = (0..NAMES.len()).filter(|number| is_present(&before, *number) && is_present(&after, *number));
        let mut expected: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for number in both {
            let (old, new) = (&before[number], &after[number]);
            let changed = DIGESTED.iter().filter(|(column, _)| old.cell(column) != new.cell(column));
            let mut headers: BTreeSet<&str> = changed.map(|(_, header)| *header).collect();
            if old.username() != new.username() {
                headers.insert("username");
            }
            if !headers.is_empty() {
                expected.insert(new.key(), headers);
            }
        }
        let named = plan.of_reason(Reason::Changed).map(|change| {
            let headers = change.headers.iter().map(|header| USERS.rule(header).name).collect::<BTreeSet<_>>();
            (plan.patrons.username(change.patron).to_lowercase(), headers)
        }).collect::<BTreeMap<_, _>>();
        prop_assert_eq!(named, expected);
    }
}

/// Prints have 16 bits, so two values in 65,536 look the same: with this key none of the values above do, and the
/// property beside this one cannot fail by chance.
#[test]
fn the_values_of_these_tests_have_different_prints() {
    let key = Key::stored(KEY);
    for number in 0..NAMES.len() {
        for (column, header) in DIGESTED {
            let header = USERS.header(header).unwrap();
            let versions: BTreeSet<String> = (0..3)
                .map(|version| {
                    let row =
                        Row { given: version, email: version, form: version, barcode: version, ..Row::plain(number) };
                    row.cell(column)
                })
                .collect();
            let print = |value: &String| key.print(header, value.as_bytes()) & 0xffff;
            assert_eq!(versions.iter().map(print).collect::<BTreeSet<_>>().len(), versions.len());
        }
    }
}

/// Without a full push in the state nothing can be compared, whatever is asked for.
#[test]
fn a_delta_without_a_full_push_sends_everybody() {
    let mut town = Town::new(mapping());
    let rows: Vec<Row> = (0..9).map(Row::plain).collect();
    let plan = town.push(&rows, delta(), day(0));
    assert_eq!((plan.scope, plan.rows_to_send()), (Scope::Full(Why::First), 9));
}
