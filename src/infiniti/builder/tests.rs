use std::fmt::Write as _;

use super::*;
use crate::infiniti::contract::{LIBRARYBARCODE, USERS};
use crate::infiniti::patron::WarningKind;
use crate::infiniti::trace::{Trace, Traced};
use crate::mapping::{Limits, Rule as MappingRule};
use crate::source::memory::Memory;
use crate::source::row::{Message, channel};

const STUDENT: [&str; 5] = ["username", "enabled", "staffmember", "graduationyear", "librarybarcode"];

fn extract(name: &str, headers: &[&str], defaults: &[(&str, &str)]) -> Extract {
    let rule = |name: &&str| MappingRule {
        header: USERS.header(name).unwrap(),
        input: Input::Column((*name).to_owned()),
        lookup: None,
        transforms: Vec::new(),
        default: defaults.iter().find(|(header, _)| header == name).map(|(_, value)| (*value).to_owned()),
        send: Send::Always,
        split: None,
    };
    let mut rules: Vec<MappingRule> = headers.iter().map(rule).collect();
    rules.sort_by_key(|rule| rule.header);
    let (query, file) = (name.to_owned(), "a.yaml".into());
    Extract { name: name.to_owned(), query, query_file: None, file, line: 1, rules, min_rows: None }
}

/// The accounts, of these extracts.
fn feed<'e>(extracts: impl IntoIterator<Item = &'e Extract>) -> Feed {
    Feed::new(&USERS, extracts.into_iter().cloned().collect(), Limits::default())
}

/// An extract, the columns of its result, and its rows.
type Given<'g> = (Extract, &'g [&'g str], &'g [&'g [&'g str]]);

/// Feeds rows through the same way as a run, one extract after the other.
fn patrons(extracts: &[Given<'_>]) -> Patrons {
    let mut memory = Memory::default();
    for (extract, columns, rows) in extracts {
        memory = memory.with(&extract.query, columns, rows);
    }
    let (mut sink, stream) = channel();
    let queries: Vec<String> = extracts.iter().map(|(extract, ..)| extract.query.clone()).collect();
    let reader = std::thread::spawn(move || {
        use crate::source::Source as _;
        for query in &queries {
            futures_util::future::FutureExt::now_or_never(memory.extract(query, &mut sink)).unwrap().unwrap();
        }
    });
    let mut builder = Builder::new(&feed(extracts.iter().map(|(extract, ..)| extract)));
    let mut next = extracts.iter();
    while let Some(message) = stream.next() {
        match message {
            Message::Columns(columns) => builder.start(&next.next().unwrap().0, &columns).unwrap(),
            Message::Rows(block) => drop(builder.rows(&block, u64::MAX)),
            Message::End => {}
        }
    }
    reader.join().unwrap();
    builder.finish()
}

/// The accepted patrons as text, a line each, and the rejections.
fn check(extracts: &[Given<'_>], expected: &str) {
    let patrons = patrons(extracts);
    let mut text = String::new();
    for patron in patrons.order() {
        let values: Vec<String> =
            patrons.values(*patron).map(|(header, value)| format!("{}={value}", USERS.rule(header).name)).collect();
        text.push_str(&values.join(" "));
        text.push('\n');
    }
    let name = |extract| patrons.extract_name(extract);
    for rejection in &patrons.rejections {
        for (header, rule) in &rejection.broken {
            writeln!(
                text,
                "! {} {} {:?} {}: {}",
                name(rejection.place.extract),
                rejection.place.row,
                rejection.username.as_deref().unwrap_or_default(),
                rule.code(),
                rule.reason(&USERS, *header, &name),
            )
            .unwrap();
        }
    }
    assert_eq!(text, expected);
}

/// What is shown of a row is what is sent of it.
#[test]
fn who_looks_on_sees_what_is_sent_and_changes_nothing() {
    let given = extract("students", &STUDENT, &[("librarybarcode", "")]);
    let rows: [&[&str]; 5] = [
        &["ann", "yes", "0", "2031.0", " 0001 "],
        &["Zoe\u{308} ", "Y", "N", "2030", ""],
        &["bad", "maybe", "N", "31", "0003"],
        &["", "Y", "N", "2030", "0004"],
        &["both, \"x\"\n y", "1", "N", "2030", "0005"],
    ];
    let columns: Vec<Column> =
        STUDENT.iter().map(|name| Column { name: (*name).into(), type_name: "text".into() }).collect();
    let (mut silent, mut watched) = (Builder::new(&feed([&given])), Builder::new(&feed([&given])));
    silent.start(&given, &columns).unwrap();
    watched.start(&given, &columns).unwrap();
    let mut traces = Vec::new();
    for row in rows {
        let block = Block::of_row(row.iter().copied());
        let mut trace = Trace::default();
        silent.rows(&block, u64::MAX);
        watched.watched_rows(&block, &mut trace);
        traces.push(trace);
    }
    let (silent, watched) = (silent.finish(), watched.finish());
    assert_eq!(silent.rejections, watched.rejections);
    assert_eq!(silent.order(), watched.order());
    assert_eq!(silent.order().len(), 3);
    for patron in silent.order() {
        let sent: Vec<(Header, String)> = silent.values(*patron).collect();
        assert_eq!(sent, watched.values(*patron).collect::<Vec<_>>());
        let trace = &traces[silent.place(*patron).row as usize - 1];
        let shown: Vec<(Header, String)> = trace
            .headers
            .iter()
            .filter_map(|header| match &header.result {
                Traced::Sent(value) => Some((header.header, value.clone())),
                Traced::SentBlank => Some((header.header, String::new())),
                Traced::LeftOut | Traced::Broken(_) => None,
            })
            .collect();
        assert_eq!(shown, sent);
    }
    for rejection in &silent.rejections {
        let trace = &traces[rejection.place.row as usize - 1];
        for (header, rule) in &rejection.broken {
            assert!(
                trace.headers.iter().any(|one| one.header == *header && one.result == Traced::Broken(rule.clone()))
            );
        }
    }
}

fn check_students(rows: &[&[&str]], expected: &str) {
    check(&[(extract("students", &STUDENT, &[]), &STUDENT, rows)], expected);
}

#[test]
fn patrons_come_in_key_order_trimmed_and_without_blanks() {
    check_students(
        &[&["zoe", "true", "no", "2030", ""], &["Adam  ", "1", "0", " 2031.0 ", "0042"]],
        "username=Adam enabled=Y staffmember=N graduationyear=2031 librarybarcode=0042\n\
         username=zoe enabled=Y staffmember=N graduationyear=2030\n",
    );
}

#[test]
fn a_blank_is_sent_only_if_the_mapping_says_so() {
    let headers = ["username", "enabled", "staffmember", "formclass", "gender"];
    check(
        &[(extract("staff", &headers, &[("formclass", "")]), &headers, &[&["a", "Y", "Y", "", ""]])],
        "username=a enabled=Y staffmember=Y formclass=\n",
    );
}

#[test]
fn a_mandatory_blank_rejects() {
    check_students(
        &[&["", "Y", "N", "2030", ""], &["b", "", "N", "2030", ""]],
        "! students 1 \"\" blank: `username` is blank, and it is mandatory\n\
         ! students 2 \"b\" blank: `enabled` is blank, and it is mandatory\n",
    );
}

#[test]
fn cohorts_belong_to_students() {
    let headers = ["username", "enabled", "staffmember", "graduationyear", "academiclevel"];
    check(
        &[(
            extract("all", &headers, &[]),
            &headers,
            &[
                &["both", "Y", "N", "2030", "Y7"],
                &["level", "Y", "N", "", "Y7"],
                &["neither", "Y", "N", "", ""],
                &["staff", "Y", "Y", "", "Y7"],
                &["teacher", "Y", "Y", "", ""],
                &["year", "Y", "N", "30", ""],
            ],
        )],
        "username=level enabled=Y staffmember=N academiclevel=Y7\n\
         username=teacher enabled=Y staffmember=Y\n\
         ! all 1 \"both\" cohort_twice: a student has `graduationyear` or `academiclevel`, not both\n\
         ! all 3 \"neither\" cohort_missing: a student needs `graduationyear` or `academiclevel`, and both are blank\n\
         ! all 4 \"staff\" cohort_of_staff: `academiclevel` belongs to students, and this is a staff member\n\
         ! all 6 \"year\" year: `graduationyear` is not a year of four digits\n",
    );
}

#[test]
fn every_row_of_a_clash_is_rejected_over_all_extracts() {
    let staff = ["username", "enabled", "staffmember", "librarybarcode"];
    check(
        &[
            (
                extract("students", &STUDENT, &[]),
                &STUDENT,
                &[
                    &["a", "Y", "N", "2030", "1"],
                    &["a-name-of-more-than-16-letters", "Y", "N", "2030", ""],
                    &["A-Name-Of-More-Than-16-Letters", "Y", "N", "2030", ""],
                    &["a-name-of-more-than-16-lettres", "Y", "N", "2030", ""],
                    // Rejected already; it still clashes.
                    &["Zoë", "maybe", "N", "2030", ""],
                ],
            ),
            (extract("staff", &staff, &[]), &staff, &[&["b", "Y", "Y", "1"], &["ZOË", "Y", "Y", "01"]]),
        ],
        "username=a-name-of-more-than-16-lettres enabled=Y staffmember=N graduationyear=2030\n\
         ! students 1 \"a\" clash: `librarybarcode` is the same as in staff row 1\n\
         ! students 2 \"a-name-of-more-than-16-letters\" clash: `username` is the same as in students row 3\n\
         ! students 3 \"A-Name-Of-More-Than-16-Letters\" clash: `username` is the same as in students row 2\n\
         ! students 5 \"Zoë\" boolean: `enabled` is neither of yes and no (Y, yes, true, 1; N, no, false, 0)\n\
         ! students 5 \"Zoë\" clash: `username` is the same as in staff row 2\n\
         ! staff 1 \"b\" clash: `librarybarcode` is the same as in students row 1\n\
         ! staff 2 \"ZOË\" clash: `username` is the same as in students row 5\n",
    );
}

#[test]
fn control_characters_become_spaces_and_text_becomes_nfc() {
    let headers = ["username", "enabled", "staffmember", "surname"];
    let extract = extract("staff", &headers, &[]);
    let rows: &[&[&str]] = &[&["a", "Y", "Y", "Van\r\n\tder \0Berg\n"], &["b", "Y", "Y", "Zoe\u{308}"]];
    let patrons = patrons(&[(extract, &headers, rows)]);
    let surname = |patron| patrons.values(patron).last().unwrap().1;
    assert_eq!(surname(0), "Van der Berg");
    assert_eq!(surname(1), "Zo\u{eb}");
    let control = WarningKind::ControlCharacter(USERS.header("surname").unwrap());
    assert_eq!(
        patrons.warnings.iter().filter(|warning| warning.kind == control).map(|warning| warning.count).sum::<u64>(),
        1
    );
}

#[test]
fn a_missing_column_is_found_before_the_first_row() {
    let extract = extract("x", &["username", "enabled"], &[]);
    let mut builder = Builder::new(&feed([&extract]));
    let columns = [Column { name: "UserName".into(), type_name: "text".into() }];
    let missing = builder.start(&extract, &columns).unwrap_err();
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0].column, "enabled");
}

mod properties {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The order of the rows changes neither who is accepted nor the bytes, and keys never clash.
        #[test]
        fn the_order_of_rows_does_not_matter(
            names in proptest::collection::vec("[abAB]{1,3}", 0..12),
            seed in any::<u64>(),
        ) {
            let rows: Vec<Vec<String>> = names
                .iter()
                .enumerate()
                .map(|(index, name)| vec![name.clone(), "Y".into(), "N".into(), "2030".into(), format!("{index}")])
                .collect();
            let mut shuffled = rows.clone();
            let length = shuffled.len().max(1);
            shuffled.sort_by_key(|row| row[4].parse::<u64>().unwrap().wrapping_mul(seed | 1) % (length as u64 * 7 + 1));
            let bytes = |rows: &[Vec<String>]| {
                let cells: Vec<Vec<&str>> = rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
                let cells: Vec<&[&str]> = cells.iter().map(Vec::as_slice).collect();
                let patrons = patrons(&[(extract("students", &STUDENT, &[]), &STUDENT, &cells)]);
                let mut out = Vec::new();
                patrons.write_csv(USERS.iter().collect(), |_, cell| cell.into(), &mut out).unwrap();
                (out, patrons.rejections.len())
            };
            let first = bytes(&rows);
            prop_assert_eq!(&first, &bytes(&shuffled));
            let distinct: BTreeSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
            let single = distinct.iter().filter(|one| names.iter().filter(|name| name.to_lowercase() == **one).count() == 1).count();
            prop_assert_eq!(names.len() - first.1, single);
        }
    }
}

/// Who stops reading before the extract that sends a header only to new patrons would else tell that known ones get it.
#[test]
fn what_is_for_new_patrons_only_is_known_before_its_extract_is_read() {
    let mut staff = extract("staff", &STUDENT, &[]);
    staff.rules[4].send = Send::Create;
    let extracts = [extract("students", &STUDENT, &[]), staff];
    let columns: Vec<Column> =
        STUDENT.iter().map(|name| Column { name: (*name).to_owned(), type_name: "text".to_owned() }).collect();
    let mut builder = Builder::new(&feed(&extracts)).with_digests();
    builder.start(&extracts[0], &columns).unwrap();
    assert!(builder.finish().create_only().contains(LIBRARYBARCODE));
}
