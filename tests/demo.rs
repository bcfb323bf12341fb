//! `demo`: the sample school's four feeds, two nights of it, and what the loopback Infiniti holds in the end.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use insta::assert_snapshot;
use serde_json::Value;
use support::context::TestContext;

/// What the loopback Infiniti holds of a feed.
fn held(context: &TestContext, feed: &str) -> Vec<BTreeMap<String, String>> {
    let file: Value = serde_json::from_slice(&fs::read(context.path("demo/infiniti.json")).unwrap()).unwrap();
    serde_json::from_value(file[feed].clone()).unwrap()
}

fn sample(context: &TestContext) -> rusqlite::Connection {
    rusqlite::Connection::open(context.path("demo/sample-sis.db")).unwrap()
}

/// The texts that a query gives.
fn texts(context: &TestContext, query: &str) -> BTreeSet<String> {
    let connection = sample(context);
    let mut statement = connection.prepare(query).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.map(|text| text.unwrap().trim().to_owned()).filter(|text| !text.is_empty()).collect()
}

#[test]
fn two_nights_of_four_feeds() {
    let context = TestContext::new();
    let said = context.run(&["demo", "--folder", "demo"]);
    assert_snapshot!("two_nights", said);

    let count = |feed: &str| held(&context, feed).len();
    assert_eq!(["patrons", "contacts", "images", "groups"].map(count), [331, 999, 324, 412]);

    // The mother's new number has come, and what else there was of that student is still there.
    let contacts = held(&context, "contacts");
    let of = |username: &str| -> Vec<(&str, &str)> {
        let of_user = contacts.iter().filter(|contact| contact["username"] == username);
        of_user.map(|contact| (contact["addressee"].as_str(), contact["contact"].as_str())).collect()
    };
    assert_eq!(
        of("kowhai.ngata").into_iter().collect::<BTreeSet<_>>(),
        BTreeSet::from([
            ("Mr Ngāta", "0491 570 737"),
            ("Mr Ngāta", "tane.ngata@post.example"),
            ("Ms Ngāta", "0491 577 644"),
            ("Ms Ngāta", "hinemoa.ngata@home.example"),
        ])
    );
    // Nothing hangs on an account that was held back.
    assert_eq!(of("ananya.sharma"), []);
    assert_eq!(of("ananya.reddy").len(), 4);

    let groups = held(&context, "groups");
    let of = |username: &str| -> Vec<&str> {
        groups.iter().filter(|row| row["username"] == username).map(|row| row["group"].as_str()).collect()
    };
    assert_eq!(of("aroha.henare"), ["Senior Students", "Students"]);
    assert_eq!(of("tui.parata"), ["Students"]);
    assert!(groups.iter().all(|row| row["group"] != "System Administrators"));

    // Every picture is a whole one, and small enough.
    let pictures: Vec<_> =
        fs::read_dir(context.path("demo/infiniti.json.images")).unwrap().map(Result::unwrap).collect();
    assert_eq!(pictures.len(), 324);
    for picture in pictures {
        let size = image::open(picture.path()).unwrap();
        assert!(size.width() <= 200 && size.height() <= 200, "{}", picture.path().display());
    }
}

/// The next night: a number that two siblings share.
#[test]
fn one_number_sends_the_contacts_of_those_who_share_it_and_nothing_else() {
    let context = TestContext::new();
    context.run(&["demo", "--folder", "demo"]);
    let siblings = "SELECT network_login FROM students JOIN student_guardians USING (student_id)
         WHERE guardian_id = (SELECT guardian_id FROM student_guardians JOIN students USING (student_id)
             WHERE network_login = 'siobhan.darcy' AND contact_order = 1)";
    let siblings = texts(&context, siblings);
    assert_eq!(siblings.len(), 2);
    let quiet = context.run(&["diff", "demo/demo.yaml", "--verbose", "--feed", "contacts"]);
    assert!(quiet.contains(", delta: 291 unchanged\n"), "{quiet}");
    let sql =
        "UPDATE guardians SET mobile = '0491 578 957' WHERE guardian_id = (SELECT guardian_id FROM student_guardians
         JOIN students USING (student_id) WHERE network_login = 'siobhan.darcy' AND contact_order = 1)";
    assert_eq!(sample(&context).execute(sql, []).unwrap(), 1);
    let said = context.run(&["diff", "demo/demo.yaml", "--verbose"]);
    let changed: BTreeSet<String> = said
        .lines()
        .filter_map(|line| line.strip_prefix("    changed, `")?.split_once('`'))
        .map(|(username, headers)| format!("{username}{headers}"))
        .collect();
    assert_eq!(changed, siblings.iter().map(|login| format!("{login}: `contact`")).collect(), "{said}");
    assert!(!said.contains("    new, `"), "{said}");
}

#[test]
fn no_value_of_a_person_is_told() {
    let context = TestContext::new();
    let output = context.output(&["demo", "--folder", "demo", "-vv", "--log-file", "demo.log"]);
    let log = fs::read_to_string(context.path("demo.log")).unwrap();
    let said = [output.stdout, output.stderr, log.into_bytes()].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(said[2].contains("contacts") && said[2].contains("images") && said[2].contains("groups"), "{}", said[2]);
    let mut values = texts(&context, "SELECT coalesce(mobile, '') FROM guardians");
    values.extend(texts(&context, "SELECT title || ' ' || surname FROM guardians WHERE surname <> ''"));
    values.extend(texts(&context, "SELECT given_name || ' ' || surname FROM guardians WHERE surname <> ''"));
    values.extend(texts(&context, "SELECT coalesce(barcode, '') FROM students"));
    for emails in
        texts(&context, "SELECT coalesce(emails, '') FROM guardians UNION SELECT coalesce(email, '') FROM students")
    {
        values.extend(emails.split(';').map(|email| email.trim().to_lowercase()).filter(|email| email.contains('@')));
    }
    assert!(values.len() > 1000, "{}", values.len());
    for said in said {
        let lower = said.to_lowercase();
        for value in &values {
            assert!(!said.contains(value) && !lower.contains(value), "`{value}` is told:\n{said}");
        }
    }
}
