//! The feeds beside the accounts on the nastiest nights: what is told, and that nobody else waits for it.

#![expect(clippy::panic, reason = "helpers of tests may fail the test")]
#![cfg(unix)]

mod support;

use std::process::Command;

use support::every_feed::{FEEDS, Feed, PATRONS, School, login, of_feed, picture, told};
use support::gate::Trick;

/// A feed by its label.
fn feed(label: &str) -> &'static Feed {
    FEEDS.iter().find(|feed| feed.label == label).unwrap_or_else(|| panic!("no feed {label}"))
}

/// Regression: to open a pipe waits for whoever writes into it, so the push did for ever.
#[test]
fn a_pipe_among_the_pictures_is_a_rejection() {
    let school = School::pushed(feed("images of a folder"));
    let photos = school.sis.folder.join("photos");
    let status = Command::new("mkfifo").arg(photos.join("zq0099.jpg")).status().unwrap();
    assert!(status.success());
    std::os::unix::fs::symlink(".", photos.join("again")).unwrap();
    let told = school.push(1);
    assert!(told.contains("`zq0099`: `file` names a file that cannot be read: it is no file"), "{told}");
    // A link to a folder is a folder.
    assert!(!told.contains("again") && told.contains("rejected  1 row\n"), "{told}");
}

/// Regression: where the path is the mapping's, the hint was about `target.url`.
#[test]
fn a_path_that_infiniti_does_not_have_is_a_setting() {
    for name in ["images", "groups"] {
        let feed = FEEDS.iter().find(|feed| feed.name == name).unwrap();
        let school = School::with_faults(feed, &[&format!("404@{name}")]);
        let told = school.push(4);
        assert!(told.contains(&format!("hint: check `{name}.path`")), "{told}");
        // Regression: the feeds after it were not sent either, every night.
        let groups = school.held(crate::feed("groups"));
        assert_eq!(groups.is_empty(), name == "groups", "{told}");
    }
    let told = School::with_faults(feed("contacts"), &["404@contacts"]).push(4);
    assert!(told.contains("mend `path` or `mode` in the mapping"), "{told}");
}

/// Regression: once the patron was alone in the batch, be it the night after, the push ended there: no later feed was ever sent.
#[test]
fn nobody_waits_for_a_patron_who_is_refused_every_night() {
    for (label, path, key, status) in [
        ("contacts", "userContacts", login(3), 400),
        ("images of a query", "images", "zq0003".to_owned(), 413),
        ("images of a folder", "images", "zq0003".to_owned(), 413),
        ("groups", "groups", login(3), 422),
    ] {
        let feed = feed(label);
        let school = School::new(feed);
        let key: &'static str = key.leak();
        let refuse = || school.gate.set(school.sandbox().address(), Trick::Refuse(path, key, status));
        for night in 0..3 {
            refuse();
            if night > 0 {
                school.feeds().for_each(|other| (other.change)(&school.sis, 20));
            }
            let told = school.push(1);
            assert!(school.gate.has_struck(), "{label}: {told}");
            let diff = school.json(&["diff", "--delta"]);
            for other in school.feeds() {
                let refused = u64::from(other.name == feed.name);
                let counts = of_feed(&diff, other.name)["plan"]["counts"].clone();
                assert_eq!(counts["failed_before"], refused, "{label}: night {night}: {}: {told}", other.label);
                assert_eq!(counts["unchanged"], u64::from(PATRONS) - refused, "{label}: {}: {told}", other.label);
            }
        }
        // A patron who changed alone is no other case.
        (feed.change)(&school.sis, 3);
        refuse();
        school.push(1);
        school.gate.rest();
        school.push(0);
        school.assert_right("repaired");
    }
}

/// Regression: a single picture was said to need a smaller `target.batch_rows`, which no picture heeds.
#[test]
fn a_picture_that_is_too_large_for_infiniti_names_its_settings() {
    let school = School::with_faults(feed("images of a folder"), &["413@images"]);
    let told = school.push(1);
    assert!(told.contains("is too large (status 413): `images.resize: true` sends pictures small"), "{told}");
    assert!(!told.contains("batch_rows"), "{told}");
}

/// Regression: an extract of 48 rows was said to have given none, and the query to be at fault.
#[test]
fn rows_of_nobody_with_an_account_are_told_with_the_limit() {
    let school = School::pushed(feed("contacts"));
    school.sis.sql("UPDATE guardians SET login = 'SCHOOL\\' || login");
    let told = school.push(5);
    assert!(told.contains("gave 0 rows, and `min_rows` is 1; 48 more belong to nobody who has an account"), "{told}");
    assert!(told.contains("hint: does `username` look as in `users`?"), "{told}");
}

/// Regression: staff whose group waited for the account were said to be in none.
#[test]
fn a_group_that_waits_for_the_account_is_a_group() {
    let school = School::new(feed("groups"));
    let told = school.run(0, &["push", "--feed", "groups", "school.yaml"]);
    assert!(told.contains("waiting   24 patrons"), "{told}");
    assert!(!told.contains("in no group"), "{told}");
}

/// A picture goes between the plan and the sending: a folder's is left for the next push.
#[test]
fn a_picture_that_changes_while_the_push_is_under_way_goes_with_the_next() {
    let school = School::pushed(feed("images of a folder"));
    school.sis.set_picture(3, Some(&picture(3, 50)));
    school.sis.sql("UPDATE people SET form = '9C' WHERE login = 'patron01'");
    let (came, arrives) = std::sync::mpsc::channel();
    let (leave, left) = std::sync::mpsc::channel::<()>();
    // The accounts are held, while somebody works on the folder.
    let push = school.start(Trick::Hold(1, came, left));
    arrives.recv().unwrap();
    school.sis.set_picture(3, Some(&picture(3, 51)));
    drop(leave);
    let output = push.wait_with_output().unwrap();
    let told = told(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("the picture changed while the push was under way; the next one sends it"), "{told}");
    school.push(0);
    school.assert_right("the next push");
}

/// Regression: what belongs to a username that Infiniti refused was sent all the same, and refused once more.
#[test]
fn what_belongs_to_a_refused_username_waits() {
    let school = School::pushed(feed("contacts"));
    for table in ["people", "guardians", "members"] {
        school.sis.sql(&format!("UPDATE {table} SET login = 'patron03x' WHERE login = 'patron03'"));
    }
    // Nobody realigned it in Infiniti: the old one has the barcode.
    let told = school.run(1, &["push", "--renames", "realigned", "school.yaml"]);
    assert_eq!(told.matches("waiting   1 patron: Infiniti did not accept the account").count(), 2, "{told}");
    assert!(!told.contains("There is no user"), "{told}");
}

/// Regression: the name of a file that a Mac wrote was cleaned like any value, and then there was no such file.
#[test]
fn a_file_whose_name_has_letters_taken_apart_is_found() {
    let school = School::pushed(feed("images of a folder"));
    school.sis.sql("UPDATE people SET id = 'm\u{fc}ller' WHERE login = 'patron03'");
    let photos = school.sis.folder.join("photos");
    std::fs::rename(photos.join("zq0003.jpg"), photos.join("mu\u{308}ller.jpg")).unwrap();
    let told = school.push(0);
    assert!(told.contains("read      24 rows: folder 24"), "{told}");
    assert_eq!(
        school.held(feed("images of a folder")).iter().filter(|one| one["adminsystemid"] == "m\u{fc}ller").count(),
        1
    );
}
