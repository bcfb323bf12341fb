use super::*;

const TEXT: Option<&str> = None;

fn verdict(status: u16, content_type: Option<&str>, body: &str, sent: usize) -> String {
    let answer = Answer { status, location: None, retry_after: None, content_type, body: body.as_bytes() };
    show(judge(&answer, sent))
}

fn show(verdict: Verdict) -> String {
    match verdict {
        Verdict::Rows(outcomes) => {
            let mut text = vec![format!("{} created, {} updated", outcomes.created, outcomes.updated)];
            text.extend(outcomes.failed.iter().map(|failed| format!("{}: {}", failed.row, failed.message)));
            if !outcomes.unknown.is_empty() {
                text.push(format!("unknown {:?}", outcomes.unknown));
            }
            text.join("; ")
        }
        Verdict::Unknown { doubt, .. } => format!("unknown: {doubt}"),
        Verdict::Refused { words } => format!("refused: {}", words.map_or("-".to_owned(), |words| words.to_string())),
        other => format!("{other:?}"),
    }
}

fn check(body: &str, sent: usize, expected: &str) {
    assert_eq!(verdict(200, TEXT, body, sent), expected, "{body}");
}

#[test]
fn answers_of_the_vendors_page() {
    check(
        r#"{"success":true, "summary":"100 users processed. 50 users created. 50 users updated. 0 users failed."}"#,
        100,
        "50 created, 50 updated",
    );
    check(r#"{"success": false, "summary":"Unauthorised. Check credentials."}"#, 3, "CredentialsRefused");
    check(
        r#"{
          "success": false,
          "summary": "3 users processed. 1 user created. 1 user updated. 1 user failed.",
          "details": {
            "1": "User Updated",
            "2": "Field (emailAddress) is not a well-formed email address. User failed to import: Field (emailAddress) is not a well-formed email address. ",
            "3": "User Created"
          }
        }"#,
        3,
        "1 created, 1 updated; 1: Field (emailAddress) is not a well-formed email address",
    );
}

#[test]
fn accepted_takes_success_and_every_row_processed() {
    let summary = |text: &str| format!(r#"{{"success":true,"summary":"{text}"}}"#);
    check(&summary("0 users processed. 0 users created. 0 users updated. 0 users failed."), 0, "0 created, 0 updated");
    check(&summary("1 user processed. 1 user created."), 1, "1 created, 0 updated");
    check(&summary("1,234 users processed. 1,234 users updated."), 1234, "0 created, 1234 updated");
    check(&summary("2 users processed. 2 users created."), 3, "unknown: 3 rows were sent, but 2 processed");
    check(&summary("4 users processed. 4 users created."), 3, "unknown: 3 rows were sent, but 4 processed");
    check(
        &summary("3 users processed. 2 users created. 1 user failed."),
        3,
        "unknown: the counts in the answer contradict each other",
    );
    check(
        &summary("3 users processed. 3 users created. 1 user updated."),
        3,
        "unknown: the counts in the answer contradict each other",
    );
    for unreadable in [
        "",
        "done",
        "3 users created.",
        "all users processed.",
        "1,23 users processed.",
        "3 users processed. 3 users processed.",
    ] {
        check(&summary(unreadable), 3, "unknown: the answer does not say how many rows were processed");
    }
    check(r#"{"success":true}"#, 3, "unknown: the answer does not say how many rows were processed");
}

#[test]
fn rows_are_judged_one_by_one() {
    let body =
        |summary: &str, details: &str| format!(r#"{{"success":false,"summary":"{summary}","details":{details}}}"#);
    let three = "3 users processed. 1 user created. 1 user updated. 1 user failed.";
    check(&body(three, r#"{"3":"User Created","1":"bad","2":"User Updated"}"#), 3, "1 created, 1 updated; 0: bad");
    check(&body(three, r#"{"1":"bad","2":"User Updated"}"#), 3, "1 created, 1 updated; 0: bad; unknown [2]");
    check(&body(three, r#"{"1":"bad","2":"User Updated","3":null}"#), 3, "1 created, 1 updated; 0: bad; unknown [2]");
    check(&body(three, r#"{"1":"bad","2":"User Updated","3":" "}"#), 3, "1 created, 1 updated; 0: bad; unknown [2]");
    check(
        &body(three, r#"{"1":"bad","2":"User Updated","3":"User Created","3":"bad"}"#),
        3,
        "1 created, 1 updated; 0: bad; unknown [2]",
    );
    // Numbers that are not ours make every number suspect.
    for details in [
        r#"{"2":"bad","3":"User Updated","4":"User Created"}"#,
        r#"{"0":"bad","1":"User Updated","2":"User Created"}"#,
        r#"{"one":"bad","2":"User Updated","3":"User Created"}"#,
        r#"{"-1":"bad"}"#,
        r#"{"99999999999999999999":"bad"}"#,
    ] {
        check(&body(three, details), 3, "unknown: the answer speaks of rows that were not sent");
    }
    // Counts that no outcome of the missing rows could explain.
    for details in [
        r#"{"1":"bad","2":"bad","3":"User Created"}"#,
        r#"{"1":"User Created","2":"User Updated","3":"User Created"}"#,
        r#"{"1":"bad","2":"User Created","3":"User Created"}"#,
    ] {
        check(&body(three, details), 3, "unknown: the counts in the answer contradict each other");
    }
    check(
        &body("2 users processed. 1 user failed.", r#"{"1":"bad"}"#),
        3,
        "unknown: 3 rows were sent, but 2 processed",
    );
    check(&body("broken", r#"{"1":"bad"}"#), 1, "unknown: the answer does not say how many rows were processed");
    for none in ["{}", "[]", "null"] {
        check(&body(three, none), 3, "unknown: rows failed, but the answer does not say which");
    }
    for odd in [r#"["bad"]"#, "\"bad\"", "7", "-7", "1.5", "true"] {
        check(&body(three, odd), 3, "unknown: the answer is JSON, but not an answer of the import");
    }
    check(
        r#"{"success":false,"summary":"3 users processed. 3 users failed."}"#,
        3,
        "unknown: rows failed, but the answer does not say which",
    );
    check(
        r#"{"success":true,"summary":"1 user processed. 1 user failed.","details":{"1":"bad"}}"#,
        1,
        "unknown: the counts in the answer contradict each other",
    );
}

#[test]
fn what_is_no_answer_is_unknown() {
    for (content_type, body, expected) in [
        (TEXT, "", "the answer is empty"),
        (TEXT, " \r\n", "the answer is empty"),
        (Some("text/html"), "Please sign in", "a web page came in place of an answer of the import"),
        (TEXT, "<!doctype html><title>x</title>", "a web page came in place of an answer of the import"),
        (TEXT, "OK", "the answer is not JSON"),
        (TEXT, r#"{"success": tru"#, "the answer is cut off"),
        (Some("text/html"), r#"{"success":true,"summary":"1 us"#, "the answer is cut off"),
        (TEXT, r#"{"success":true,"summary":"1 user processed."} x"#, "the answer is not JSON"),
        (TEXT, "[]", "the answer is JSON, but not an answer of the import"),
        (TEXT, r#"[true,"1 user processed."]"#, "the answer is JSON, but not an answer of the import"),
        (TEXT, "true", "the answer is JSON, but not an answer of the import"),
        (TEXT, r#"{"ok":true}"#, "the answer is JSON, but not an answer of the import"),
        (
            TEXT,
            r#"{"success":"true","summary":"1 user processed."}"#,
            "the answer is JSON, but not an answer of the import",
        ),
        (
            TEXT,
            r#"{"success":true,"success":false,"summary":""}"#,
            "the answer is JSON, but not an answer of the import",
        ),
    ] {
        assert_eq!(verdict(200, content_type, body, 1), format!("unknown: {expected}"), "{body}");
    }
    // PHP says that JSON is HTML, and Windows puts a mark before it.
    let good = "\u{feff}{\"success\":true,\"summary\":\"1 user processed. 1 user created.\"}\n";
    assert_eq!(verdict(200, Some("text/html; charset=utf-8"), good, 1), "1 created, 0 updated");
}

#[test]
fn every_status_has_its_meaning() {
    let good = r#"{"success":true,"summary":"1 user processed. 1 user created."}"#;
    let rows = r#"{"success":false,"summary":"1 user processed. 1 user failed.","details":{"1":"bad"}}"#;
    for (status, body, expected) in [
        (201, good, "1 created, 0 updated"),
        (204, "", "unknown: the answer is empty"),
        (301, good, "Redirected { host: None, login: false }"),
        (304, "", "Redirected { host: None, login: false }"),
        (400, "no", "refused: -"),
        (400, good, "refused: 1 user processed. 1 user created."),
        (400, r#"{"success":false,"summary":"Unknown header."}"#, "refused: Unknown header."),
        (400, rows, "0 created, 0 updated; 0: bad"),
        (422, rows, "0 created, 0 updated; 0: bad"),
        (401, "", "CredentialsRefused"),
        (403, good, "CredentialsRefused"),
        (404, "", "WrongAddress"),
        (405, "", "WrongAddress"),
        (407, "", "ProxyLogin"),
        (408, "", "unknown: a gateway gave up waiting for Infiniti (status 408)"),
        (409, "", "refused: -"),
        (413, "", "TooLarge"),
        (429, "", "Busy { retry_after: None }"),
        (500, good, "unknown: the server failed (status 500)"),
        (502, "", "unknown: the server failed (status 502)"),
        (503, good, "Busy { retry_after: None }"),
        (504, good, "unknown: a gateway gave up waiting for Infiniti (status 504)"),
        (524, "", "unknown: a gateway gave up waiting for Infiniti (status 524)"),
        (999, good, "unknown: the server failed (status 999)"),
    ] {
        assert_eq!(verdict(status, TEXT, body, 1), expected, "{status} {body}");
    }
    for status in [200, 400, 404, 500, 503] {
        for body in
            [r#"{"success":false,"summary":"Unauthorised. Check credentials."}"#, "Unauthorised", "unauthorized"]
        {
            assert_eq!(verdict(status, TEXT, body, 1), "CredentialsRefused", "{status} {body}");
        }
    }
}

#[test]
fn a_redirect_tells_the_host_and_no_more() {
    for (location, expected) in [
        (None, (None, false)),
        (Some("/users/sign-in?token=secret"), (None, true)),
        (Some("https://sso.example/adfs/ls?SAMLRequest=secret"), (Some("sso.example"), true)),
        (Some("https://user:secret@other.example/x"), (Some("other.example"), false)),
    ] {
        let answer = Answer { status: 302, location, retry_after: None, content_type: None, body: b"" };
        let (host, login) = (expected.0.map(str::to_owned), expected.1);
        assert_eq!(judge(&answer, 1), Verdict::Redirected { host, login });
    }
}

#[test]
fn retry_after_is_seconds_or_a_date_and_bounded() {
    let now: Timestamp = "2026-11-06T08:49:00Z".parse().unwrap();
    for (header, seconds) in [
        ("7", Some(7)),
        (" 0 ", Some(0)),
        ("86400", Some(120)),
        ("99999999999999999999999", Some(120)),
        ("Fri, 06 Nov 2026 08:49:37 GMT", Some(37)),
        ("Fri, 06 Nov 2026 08:48:37 GMT", Some(0)),
        ("Fri, 06 Nov 2099 08:48:37 GMT", Some(120)),
        ("soon", None),
        ("-1", None),
        ("", None),
    ] {
        let answer = Answer { status: 503, location: None, retry_after: Some(header), content_type: None, body: b"" };
        let Verdict::Busy { retry_after } = judge(&answer, 1) else { panic!("{header}") };
        assert_eq!(retry_after.map(|after| after.wait(now).as_secs()), seconds, "{header}");
    }
}

#[test]
fn reasons_are_tidied() {
    for (text, expected) in [
        ("X is bad. User failed to import: X is bad. ", "X is bad"),
        ("X is bad. User failed to import: Y is worse.", "X is bad. User failed to import: Y is worse"),
        ("User failed to import: X.", "X"),
        ("X. User failed to import: ", "X"),
        (" two\r\n lines\u{1b}[31m \u{202e}here ", "two lines [31m here"),
    ] {
        assert_eq!(reason(text).unwrap().as_str(), expected, "{text}");
    }
    let long = reason(&"ä".repeat(10_000)).unwrap();
    assert_eq!(long.as_str().chars().count(), Words::LENGTH_MAX + 1);
    assert_eq!(reason(" . "), None);
    assert_eq!(format!("{:?}", Words::new("CANARY").unwrap()), "Words(6 bytes)");
}

/// The vendor documents no answer of contacts, pictures and groups: what is sure is taken, and nothing else.
#[test]
fn answers_that_nobody_documents_are_taken_at_their_word() {
    let loose = |body: &str| {
        let answer =
            Answer { status: 200, location: None, retry_after: None, content_type: None, body: body.as_bytes() };
        judge(&answer, Sent { rows: 3, patrons: 2, answers: Answers::Loose })
    };
    let accepted = |created, updated| Verdict::Rows(Outcomes { created, updated, ..Outcomes::default() });
    assert_eq!(loose(r#"{"success": true}"#), accepted(0, 0));
    assert_eq!(loose(r#"{"success": true, "summary": "Imported."}"#), accepted(0, 0));
    assert_eq!(loose(r#"{"success": true, "summary": "3 contacts processed. 2 contacts created."}"#), accepted(2, 0));
    assert_eq!(loose(r#"{"success": true, "summary": "2 users processed. 2 users updated."}"#), accepted(0, 2));
    for (body, doubt) in [
        (r#"{"success": true, "summary": "1 user processed."}"#, Doubt::Miscount { sent: 3, processed: 1 }),
        (r#"{"success": false, "summary": "3 contacts processed. 1 contact failed."}"#, Doubt::NoDetails),
        (r#"{"success": true, "summary": "3 contacts processed. 1 contact failed."}"#, Doubt::Contradiction),
        (r#"{"success": false, "details": {"4": "No such user."}}"#, Doubt::RowNumbers),
        // The second of two patrons failed, whose row is not the second.
        (
            r#"{"success": false, "summary": "2 users processed.", "details": {"1": "User Updated", "2": "No such user."}}"#,
            Doubt::RowsOrPatrons,
        ),
        (r#"{"success": false, "details": {"1": "User Updated", "2": "No such user."}}"#, Doubt::RowsOrPatrons),
        // Something failed, and nothing did.
        (
            r#"{"success": false, "summary": "3 contacts processed. 1 contact failed.", "details": {"1": "Created", "2": "Created", "3": "Created"}}"#,
            Doubt::Contradiction,
        ),
        (r#"{"success": false, "details": {"1": "Created", "2": "Created", "3": "Created"}}"#, Doubt::Contradiction),
    ] {
        assert!(matches!(loose(body), Verdict::Unknown { doubt: found, .. } if found == doubt), "{body}");
    }
    let Verdict::Rows(outcomes) =
        loose(r#"{"success": false, "details": {"1": "Contact Created", "3": "No such user."}}"#)
    else {
        panic!("details name rows");
    };
    assert_eq!((outcomes.failed.len(), outcomes.failed[0].row, outcomes.unknown), (1, 2, vec![1]));
    for text in ["Not created", "Nothing Updated", "uncreated", "Contact not created"] {
        let body =
            format!(r#"{{"success": false, "details": {{"1": "{text}", "2": "Updated", "3": "Contact Updated"}}}}"#);
        let Verdict::Rows(outcomes) = loose(&body) else { panic!("{text}") };
        assert_eq!((outcomes.failed[0].row, outcomes.unknown), (0, vec![]), "{text}");
    }
}
