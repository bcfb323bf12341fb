//! What a push tells, and whom: against servers that keep what they are told.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

mod support;

use std::fs;

use insta::assert_snapshot;
use support::context::TestContext;
use support::network::closed_port;
use support::receivers::{Answer, MailServer, Received, Receiver, certificate};

/// A school of 20 students whose webhook is `receiver`, by a secret.
fn school(receiver: &Receiver, style: &str, more: &str) -> TestContext {
    let mut context = TestContext::with_sandbox(&[]);
    context.set_env("HOOK", &receiver.url("canary-hook"));
    context
        .students(20)
        .mapping(&format!("state: state.db\nnotify:\n  webhook: [{{ url: \"${{HOOK}}\", style: {style} }}]\n{more}"));
    context
}

/// Takes what came; no canary is in it.
fn taken(receiver: &Receiver) -> Vec<Received> {
    let all = receiver.take();
    for one in &all {
        assert!(!one.body.contains("canary") && !one.body.contains("student0"), "{one:?}");
    }
    all
}

/// What one message says: event, mapping and what.
fn events(receiver: &Receiver) -> Vec<String> {
    let mut all = Vec::new();
    for one in taken(receiver) {
        let message = one.json();
        let each = message["mappings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| format!("{} {}", one["event"].as_str().unwrap(), one["mapping"].as_str().unwrap()));
        all.push(each.collect::<Vec<_>>().join(", "));
    }
    all
}

fn code(context: &TestContext, arguments: &[&str]) -> i32 {
    let output = context.output(arguments);
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(!said.contains("canary"), "{said}");
    output.status.code().unwrap()
}

/// A drop that lacks its first line has a pupil in the place of its columns, and one of these is suggested to whoever looks on.
#[test]
fn what_the_source_calls_its_columns_is_told_to_nobody() {
    let receiver = Receiver::start();
    let context = school(&receiver, "json", "");
    assert_eq!(context.output(&["push", "school.yaml"]).status.code(), Some(0));
    let more = fs::read_to_string(context.path("school.yaml")).unwrap();
    let (_, more) = more.split_once("state:").unwrap();
    fs::create_dir(context.path("drops")).unwrap();
    context.write(
        "drops/students.csv",
        "pupil1,Givena,Brown,none,2031,000001,7A\npupil2,Emma,Smith,none,2031,000002,7A\n",
    );
    context.mapping_of("url: csv:drops", "SELECT * FROM students", &format!("state:{more}"));
    let output = context.output(&["push", "school.yaml"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(3) && said.contains("did you mean `Givena`?"), "{said}");
    let told = taken(&receiver);
    let history = context.run(&["history", "school.yaml", "--format", "json"]);
    for text in [&told[0].body, &history] {
        assert!(text.contains("no column `given`") && !text.contains("Givena"), "{text}");
    }
}

/// Each night with its exit code and what was told in it.
#[test]
fn night_by_night() {
    let receiver = Receiver::start();
    let context = school(&receiver, "json", "limits: { max_drop: 50% }\n");
    let mut story = Vec::new();
    let mut night = |what: &str| {
        let code = code(&context, &["push", "school.yaml"]);
        story.push(format!("{what}: exit code {code}, told {:?}", events(&receiver)));
    };
    night("good");
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    let with = |one: &str, other: &str| {
        assert!(mapping.contains(one), "{one}");
        context.write("school.yaml", mapping.replace(one, other));
    };
    with("sqlite:sis.db", "sqlite:gone.db");
    night("the database is gone");
    night("still gone");
    with("FROM students", "FROM pupils");
    night("it is back without its table");
    context.write("school.yaml", &mapping);
    context.sis("DELETE FROM students WHERE barcode > '000005'");
    night("most pupils are gone");
    night("still so");
    context.sis("DELETE FROM students");
    context.sis("DROP TABLE students");
    context.students(20);
    night("all is well");
    night("still well");
    context.sis("UPDATE students SET email = 'no address' WHERE login = 'student0003'");
    night("an address is wrong");
    night("still wrong");
    context.sis("UPDATE students SET year = 'x' WHERE login = 'student0004'");
    night("a year is wrong, too");
    with("version: 1", "version: 2");
    night("the mapping is not valid");
    night("still not valid");
    context.write("school.yaml", &mapping);
    context.sis("UPDATE students SET email = NULL, year = 2030");
    night("all is well");
    assert_snapshot!(story.join("\n"));
}

/// A night's exit code, and what was told in it of one mapping, as a program reads it.
fn night(context: &TestContext, receiver: &Receiver, arguments: &[&str]) -> (i32, Vec<String>) {
    // Whoever runs it sees the names of files.
    let code = context.output(arguments).status.code().unwrap();
    let told = taken(receiver).into_iter().map(|one| {
        let one = one.json()["mappings"][0].clone();
        let text = |field: &str| one[field].as_str().unwrap_or_default().to_owned();
        format!("{}: {} ({})", text("event"), text("what"), text("reason"))
    });
    (code, told.collect())
}

/// Each feed's trouble is told with its name, once, in counts; and the metrics of the accounts stay those of the accounts.
#[test]
fn every_feed_is_told() {
    let receiver = Receiver::start();
    let mut context = TestContext::with_sandbox(&[]);
    context.set_env("HOOK", &receiver.url("canary-hook"));
    context.students(20).mapping_of_all_feeds(
        "state: state.db\nmode: delta\nnotify: { webhook: [{ url: \"${HOOK}\" }], metrics: sispush.prom }\n",
    );
    let good = fs::read_to_string(context.path("school.yaml")).unwrap();
    let metrics = || fs::read_to_string(context.path("sispush.prom")).unwrap();
    let mut story = Vec::new();
    let mut tell = |what: &str, arguments: &[&str]| {
        let (code, told) = night(&context, &receiver, &[&["push", "school.yaml"], arguments].concat());
        story.push(format!("{what}: exit code {code}, told {told:#?}"));
    };
    tell("good", &[]);
    context.sis("UPDATE guardians SET address = 'canary at home', name = 'canary' WHERE login = 'student0003'");
    tell("an address is wrong", &[]);
    for line in
        ["sispush_rejected{mapping=\"school\"} 0", "sispush_feed_rejected{mapping=\"school\",feed=\"contacts\"} 1"]
    {
        assert!(metrics().contains(&format!("{line}\n")), "{line}: {}", metrics());
    }
    context.sis("UPDATE guardians SET address = 'canary at work' WHERE login = 'student0005'");
    tell("another one, too", &[]);
    context.sis("INSERT INTO members VALUES ('student0001', 'canary-group')");
    context.write("photos/000002.png", "canary, no picture").write("photos/canary-9.png", "canary");
    tell("a group is not allowed, and a picture is none", &[]);
    context.sis("UPDATE guardians SET address = NULL WHERE address LIKE 'canary%'");
    tell("the addresses are gone", &[]);
    context.sis("DELETE FROM members WHERE name <> 'Students'");
    fs::remove_file(context.path("photos/000002.png")).unwrap();
    tell("all is well", &[]);
    let before = metrics();
    tell("only the contacts", &["--feed", "contacts"]);
    let of = |text: &str, start: &str| {
        text.lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect::<Vec<_>>()
    };
    for kept in ["sispush_rows{", "sispush_unchanged{", "sispush_feed_rows{"] {
        assert!(!of(&before, kept).is_empty() && of(&before, kept) == of(&metrics(), kept), "{kept}: {}", metrics());
    }
    assert!(!metrics().contains("canary"), "{}", metrics());
    context.write("school.yaml", good.replace("contacts:\n", "contacts:\n  limits: { max_updates: 1 }\n"));
    context.sis("UPDATE guardians SET address = 'new.' || address");
    tell("all addresses changed", &[]);
    context.write("school.yaml", &good);
    tell("without the limit", &[]);
    assert_snapshot!(regex::Regex::new("[0-9a-f]{16}").unwrap().replace_all(&story.join("\n"), "[PLAN]"));
}

/// What Infiniti refuses of a feed, and what is of unknown outcome, has its feed's name; a template may count it.
#[test]
fn what_is_refused_of_a_feed_is_told_with_its_name() {
    let receiver = Receiver::start();
    let text = "text: \"{{ what }} | {{ rows }}/{{ refused }} {{ contacts_rows }}/{{ contacts_refused }} {{ groups_unknown }}\"";
    let mut said = Vec::new();
    for fault in ["reject@contacts=student0003", "badjson@groups"] {
        let mut context = TestContext::with_sandbox(&[fault]);
        context.set_env("HOOK", &receiver.url("canary-hook"));
        context.students(20).mapping_of_all_feeds(&format!(
            "state: state.db\nnotify: {{ webhook: [{{ url: \"${{HOOK}}\", style: slack }}], {text} }}\n"
        ));
        for _ in 0..2 {
            let code = code(&context, &["push", "school.yaml"]);
            let told = taken(&receiver).into_iter().map(|one| {
                let message = one.json();
                let text = message["blocks"][1]["elements"][0]["elements"][0]["text"].as_str().unwrap();
                text.lines().next().unwrap().to_owned()
            });
            said.push(format!("{fault}: exit code {code}, told {:#?}", told.collect::<Vec<_>>()));
        }
    }
    assert_snapshot!(support::context::without_times_and_ports(&said.join("\n")));
}

/// Regression: it named the mapping as the push was started, and no state: good in one folder, for one account.
#[test]
#[cfg(unix)]
fn the_command_of_an_approval_works_from_anywhere_and_for_any_account() {
    let receiver = Receiver::start();
    let context = school(&receiver, "json", "limits: { min_rows: 50 }\n");
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    for (file, state, options) in [
        ("St Mary's.yaml", "", vec!["--state", "its state.db"]),
        // As of systemd's service, whose state no shell has for its own.
        ("school.yaml", "", vec![]),
        ("school.yaml", "state: state.db\n", vec![]),
    ] {
        context.write(file, format!("name: school\n{}", mapping.replace("state: state.db\n", state)));
        assert_eq!(code(&context, &[vec!["push", file], options].concat()), 5, "{file}");
        let message = taken(&receiver).remove(0).json();
        let command = message["mappings"][0]["command"].as_str().unwrap();
        assert!(message["text"].as_str().unwrap().contains(command), "{message}");
        let command = command.replacen("sispush", env!("CARGO_BIN_EXE_sispush"), 1);
        let output =
            context.shell(&command).current_dir("/").env("HOME", context.path("another account")).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        receiver.take();
    }
}

#[test]
fn what_did_not_arrive_is_told_next_time() {
    let receiver = Receiver::start();
    let context = school(&receiver, "json", "");
    fs::remove_file(context.path("sis.db")).unwrap();
    receiver.will([Answer::Status(500), Answer::Status(503)]);
    assert_snapshot!(context.run(&["push", "school.yaml"]));
    assert_eq!(taken(&receiver).len(), 2, "a failure that may pass is tried twice");
    assert_eq!(code(&context, &["push", "school.yaml"]), 3);
    assert_eq!(events(&receiver), ["failed school"]);
    assert_eq!(code(&context, &["push", "school.yaml"]), 3);
    assert_eq!(events(&receiver), [""; 0]);
}

#[test]
fn a_webhook_that_fails_changes_nothing_and_is_told_as_a_warning() {
    let receiver = Receiver::start();
    let mut context = school(&receiver, "teams", "");
    let mut said = Vec::new();
    let elsewhere = Receiver::start();
    for (what, answer) in [
        ("a redirect", Answer::Redirect(elsewhere.url("login"))),
        ("deleted", Answer::Status(404)),
        ("wrong style", Answer::Status(400)),
    ] {
        receiver.will([answer]);
        said.push(format!("## {what}\n{}", context.run(&["notify", "test", "school.yaml"])));
        assert_eq!(taken(&receiver).len(), 1, "{what}");
    }
    assert_eq!(elsewhere.take().len(), 0, "a redirect is not followed");
    receiver.will([Answer::HangUp, Answer::HangUp]);
    said.push(format!("## hung up\n{}", context.run(&["notify", "test", "school.yaml"])));
    context.unset_env("HOOK");
    context.set_env("HOOK", &format!("http://127.0.0.1:{}/canary", closed_port()));
    said.push(format!("## nobody there\n{}", context.run(&["notify", "test", "school.yaml"])));
    context.unset_env("HOOK");
    context.set_env("HOOK", "http://hooks.example/canary");
    said.push(format!("## not encrypted\n{}", context.run(&["notify", "test", "school.yaml"])));
    context.unset_env("HOOK");
    said.push(format!("## no secret\n{}", context.run(&["notify", "test", "school.yaml"])));
    // And a push goes on all the same.
    said.push(format!("## a push\n{}", context.run(&["push", "school.yaml"])));
    assert_eq!(context.sandbox().patrons().len(), 20);
    assert_snapshot!(said.join("\n"));
}

#[test]
fn a_filter_that_inspects_tls_is_trusted_by_the_target_s_ca_file() {
    let (config, pem) = certificate();
    let receiver = Receiver::with_tls(config);
    let context = school(&receiver, "slack", "");
    let untrusted = context.run(&["notify", "test", "school.yaml"]);
    assert_eq!(taken(&receiver).len(), 0);
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    context.write("ca.pem", pem).write(
        "school.yaml",
        mapping.replace("  username: autoimport\n", "  username: autoimport\n  ca_file: ca.pem\n"),
    );
    let trusted = context.run(&["notify", "test", "school.yaml"]);
    let [message] = taken(&receiver).try_into().unwrap();
    assert_eq!((message.method.as_str(), message.path.as_str()), ("POST", "/canary-hook"));
    assert_eq!(message.json()["text"], "sispush: school: this is a test");
    assert_snapshot!(format!("{untrusted}\n{trusted}"));
}

/// The way out of the target is that of a webhook: here a proxy that lets nobody through.
#[test]
fn a_webhook_goes_through_the_target_s_proxy() {
    let mut context = TestContext::with_sandbox(&[]);
    context.set_env("HOOK", "https://hooks.example/canary");
    context.students(20).mapping("notify: { webhook: [{ url: \"${HOOK}\" }] }\n");
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    let proxy = format!("  username: autoimport\n  proxy: http://127.0.0.1:{}\n", support::network::proxy());
    context.write("school.yaml", mapping.replace("  username: autoimport\n", &proxy));
    assert_snapshot!(context.run(&["notify", "test", "school.yaml"]));
}

#[test]
fn many_schools_that_share_a_channel_get_one_message() {
    let receiver = Receiver::start();
    let mut context = school(&receiver, "json", "");
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    fs::remove_file(context.path("school.yaml")).unwrap();
    fs::create_dir(context.path("schools")).unwrap();
    let of = |database: &str| {
        mapping.replace("sqlite:sis.db", &format!("sqlite:{database}")).replace("state.db", "../state.db")
    };
    for number in 0..12 {
        context.write(&format!("schools/good-{number:02}.yaml"), of("../sis.db"));
        context.write(&format!("schools/bad-{number:02}.yaml"), of("gone.db"));
    }
    context.write("schools/typo.yaml", of("../sis.db").replace("version: 1", "version: 1\nlimts: {}"));
    context.write("schools/no-yaml.yaml", "version: 1\n\tsource: x\n");
    // One with a channel of its own, and one that tells nobody.
    let own = Receiver::start();
    context.set_env("OWN", &own.url("canary-own"));
    context.write("schools/own.yaml", of("gone.db").replace("HOOK", "OWN"));
    let quiet = of("gone.db");
    context.write("schools/quiet.yaml", quiet.split("notify:").next().unwrap());
    assert_eq!(code(&context, &["push", "schools", "--jobs", "2"]), 3);
    let [message] = taken(&receiver).try_into().unwrap();
    let message = message.json();
    assert_eq!(message["mappings_in_all"], 26);
    assert_eq!(message["mappings"].as_array().unwrap().len(), 14);
    assert_snapshot!(support::context::without_times_and_ports(&format!(
        "{}\n\n{}",
        message["subject"].as_str().unwrap(),
        message["text"].as_str().unwrap().replace(message["host"].as_str().unwrap(), "[HOST]")
    )));
    assert_eq!(events(&own), ["failed own"]);
    // The next night only what cannot remember is told again.
    assert_eq!(code(&context, &["push", "schools", "--jobs", "2"]), 3);
    assert_eq!(events(&receiver), ["failed schools/no-yaml.yaml, failed typo"]);
    assert_eq!(events(&own), [""; 0]);
}

#[test]
fn a_mail_is_encrypted_or_not_sent() {
    let (config, pem) = certificate();
    let server = MailServer::start(Some(config));
    let mut context = TestContext::with_sandbox(&[]);
    context.set_env("SMTP_PASSWORD", "canary-smtp");
    let email = |port: u16| {
        format!(
            "notify:\n  email:\n    host: localhost\n    port: {port}\n    username: library\n    password: ${{SMTP_PASSWORD}}\n    \
             from: library@example.edu\n    to: [it@example.edu, diocese@example.edu]\nstate: state.db\n"
        )
    };
    context.mapping(&email(server.port)).write("ca.pem", pem);
    let untrusted = context.run(&["notify", "test", "school.yaml"]);
    assert_eq!(server.take().len(), 0);
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    let trusting = mapping.replace("  username: autoimport\n", "  username: autoimport\n  ca_file: ca.pem\n");
    context.write("school.yaml", &trusting);
    // The database is not there.
    assert_eq!(code(&context, &["push", "school.yaml"]), 3);
    let [mail] = server.take().try_into().unwrap();
    assert!(mail.is_encrypted && mail.login.is_some());
    assert_eq!(
        (mail.from.as_str(), mail.to.as_slice()),
        ("library@example.edu", &["it@example.edu".to_owned(), "diocese@example.edu".to_owned()][..])
    );
    assert!(!mail.text.contains("canary"));
    for header in [
        "Auto-Submitted: auto-generated\r\n",
        "Content-Type: text/plain; charset=utf-8\r\n",
        "Date: ",
        "Message-ID: <",
        "Subject: sispush: school failed: ",
    ] {
        assert!(mail.text.contains(header), "{header}: {}", mail.text);
    }
    server.will_refuse("AUTH", "535 5.7.8 no, canary");
    let login = context.run(&["notify", "test", "school.yaml"]);
    server.will_refuse("RCPT", "550 5.1.1 nobody of that name, canary");
    let refused = context.run(&["notify", "test", "school.yaml"]);
    let plain = MailServer::start(None);
    context.write("school.yaml", trusting.replace(&server.port.to_string(), &plain.port.to_string()));
    let in_the_clear = context.run(&["notify", "test", "school.yaml"]);
    assert_eq!((server.take().len(), plain.take().len()), (0, 0));
    assert_snapshot!([untrusted, login, refused, in_the_clear].join("\n"));
}

#[test]
fn a_heartbeat_is_for_pushes_that_ended_well() {
    let receiver = Receiver::start();
    let mut context = TestContext::with_sandbox(&[]);
    context.set_env("HEARTBEAT", &receiver.url("canary-beat"));
    context.students(20).mapping("state: state.db\nnotify: { heartbeat: \"${HEARTBEAT}\", metrics: sispush.prom }\n");
    let beats = |arguments: &[&str]| {
        let code = code(&context, arguments);
        let requests = receiver.take();
        assert!(requests.iter().all(|one| one.method == "GET" && one.path == "/canary-beat"), "{requests:?}");
        (code, requests.len())
    };
    assert_eq!(beats(&["push", "school.yaml"]), (0, 1));
    assert_eq!(beats(&["push", "school.yaml", "--dry-run"]), (0, 0));
    context.sis("UPDATE students SET email = 'no address' WHERE login = 'student0003'");
    assert_eq!(beats(&["push", "school.yaml"]), (1, 1));
    let metrics = fs::read_to_string(context.path("sispush.prom")).unwrap();
    for line in [
        "sispush_exit_code{mapping=\"school\"} 1",
        "sispush_rejected{mapping=\"school\"} 1",
        "sispush_rows{mapping=\"school\"} 20",
    ] {
        assert!(metrics.contains(&format!("{line}\n")), "{line}: {metrics}");
    }
    // Two that share a heartbeat are well together.
    context.write("other.yaml", fs::read_to_string(context.path("school.yaml")).unwrap().replace("sis.db", "gone.db"));
    assert_eq!(beats(&["push", "school.yaml", "other.yaml"]), (3, 0));
    let metrics = fs::read_to_string(context.path("sispush.prom")).unwrap();
    assert!(
        metrics.contains("sispush_exit_code{mapping=\"other\"} 3\nsispush_exit_code{mapping=\"school\"} 1\n"),
        "{metrics}"
    );
    // Neither what cannot be written nor who does not answer changes what the push came to.
    fs::remove_file(context.path("sispush.prom")).unwrap();
    fs::create_dir(context.path("sispush.prom")).unwrap();
    receiver.will([Answer::Status(404)]);
    assert_snapshot!(context.run(&["push", "school.yaml"]));
}

#[test]
fn a_secret_that_the_push_needs_is_told_and_one_of_the_notice_is_not() {
    let receiver = Receiver::start();
    let mut context = school(&receiver, "json", "  heartbeat: ${NOT_SET}\n");
    assert_eq!(code(&context, &["push", "school.yaml"]), 0);
    let doctor = context.run(&["doctor", "school.yaml"]);
    let line = "warning   secrets: `${INFINITI_PASSWORD}`, `${HOOK}` from the environment; `${NOT_SET}` not found, so a channel of `notify` is left out";
    assert!(doctor.starts_with("exit code 0") && doctor.contains(line), "{doctor}");
    context.unset_env("INFINITI_PASSWORD");
    let said = context.run(&["push", "school.yaml"]);
    let [message] = taken(&receiver).try_into().unwrap();
    let message = message.json();
    assert_eq!(message["mappings"][0]["what"], "the secret `${INFINITI_PASSWORD}` is not set");
    assert_eq!(code(&context, &["push", "school.yaml"]), 2);
    assert_eq!(events(&receiver), [""; 0]);
    context.set_env("INFINITI_PASSWORD", "canary-wrong");
    assert_eq!(code(&context, &["push", "school.yaml"]), 4);
    assert_eq!(events(&receiver), ["changed school"], "another exit code is another reason");
    assert_snapshot!(said);
}

/// What an expectation or a broken mapping says may name a patron.
#[test]
fn no_patron_is_named() {
    let receiver = Receiver::start();
    let expect = "expect:\n  - { patron: student0001, is: { formclass: canary-9Z } }\n";
    let context = school(&receiver, "json", expect);
    assert_eq!(code(&context, &["push", "school.yaml"]), 5);
    let [message] = taken(&receiver).try_into().unwrap();
    let what = message.json()["mappings"][0]["what"].as_str().unwrap().to_owned();
    assert!(what.starts_with("an expectation does not hold (line "), "{what}");
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    context.write("school.yaml", mapping.replace("is: {", "is: { student0001: x,"));
    assert_eq!(context.output(&["push", "school.yaml"]).status.code(), Some(2));
    let [message] = taken(&receiver).try_into().unwrap();
    let what = message.json()["mappings"][0]["what"].as_str().unwrap().to_owned();
    assert!(what.starts_with("the mapping is not valid: `unknown-header` in line "), "{what}");
}

#[test]
fn mail_to_this_machine_needs_no_encryption() {
    let server = MailServer::start(None);
    let context = TestContext::with_sandbox(&[]);
    context.students(20).mapping(&format!(
        "notify:\n  email: {{ host: 127.0.0.1, port: {}, security: none, from: library@example.edu, to: [it@example.edu] }}\n",
        server.port
    ));
    assert_eq!(code(&context, &["notify", "test", "school.yaml"]), 0);
    let [mail] = server.take().try_into().unwrap();
    assert!(!mail.is_encrypted && mail.login.is_none());
    assert!(mail.text.contains("\r\n\r\nschool: this is a test\r\n"), "{}", mail.text);
}

#[test]
fn a_message_is_worded_by_the_mapping() {
    let receiver = Receiver::start();
    let more = "  subject: \"{{ mapping }} ({{ event }}, code {{ exit_code }})\"\n  text: \"{{ what }}{% if rows > 10 %}, many rows{% endif %}\"\n";
    let context = school(&receiver, "slack", more);
    context.sis("UPDATE students SET email = 'no address' WHERE login = 'student0003'");
    assert_eq!(code(&context, &["push", "school.yaml"]), 1);
    let [message] = taken(&receiver).try_into().unwrap();
    let message = message.json();
    assert_eq!(message["text"], "school (rejections, code 1)");
    let text = message["blocks"][1]["elements"][0]["elements"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("was pushed, but 1 row was rejected, many rows\n\nmachine "), "{text}");
}

#[test]
fn what_is_not_pushed_any_more_is_told_once() {
    let receiver = Receiver::start();
    let context = school(&receiver, "json", "  not_run_since: 26h\n");
    assert_eq!(code(&context, &["push", "school.yaml"]), 0);
    let in_time = context.run(&["notify", "overdue", "school.yaml"]);
    // Four days go by.
    rusqlite::Connection::open(context.path("state.db"))
        .unwrap()
        .execute_batch("UPDATE runs SET started_at = started_at - 4 * 86400, ended_at = ended_at - 4 * 86400")
        .unwrap();
    let overdue = context.run(&["notify", "overdue", "school.yaml"]);
    assert_eq!(events(&receiver), ["overdue school"]);
    let again = context.run(&["notify", "overdue", "school.yaml"]);
    assert_eq!(events(&receiver), [""; 0]);
    assert_eq!(code(&context, &["notify", "overdue", "school.yaml", "--since", "7d"]), 0);
    let said = [in_time, overdue, again].join("\n");
    let said =
        regex::Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ").unwrap().replace_all(&said, "[TIMESTAMP]").into_owned();
    assert_snapshot!(said);
    assert_eq!(code(&context, &["push", "school.yaml"]), 0);
    assert_eq!(events(&receiver), ["recovered school"]);
    // Where nobody looked in between, the next push says it.
    rusqlite::Connection::open(context.path("state.db"))
        .unwrap()
        .execute_batch("UPDATE runs SET started_at = started_at - 4 * 86400, ended_at = ended_at - 4 * 86400")
        .unwrap();
    assert_eq!(code(&context, &["push", "school.yaml"]), 0);
    assert_eq!(events(&receiver), ["overdue school"]);
    assert_eq!(code(&context, &["push", "school.yaml"]), 0);
    assert_eq!(events(&receiver), [""; 0]);
}

#[test]
fn a_hold_is_quiet_and_a_state_that_cannot_be_written_is_told_each_time() {
    let receiver = Receiver::start();
    let context = school(&receiver, "json", "hold: [{ from: 2020-01-01, until: 2999-12-31, reason: rollover }]\n");
    assert_eq!(code(&context, &["push", "school.yaml"]), 0);
    assert_eq!(code(&context, &["notify", "overdue", "school.yaml"]), 0);
    assert_eq!(events(&receiver), [""; 0]);
    let context = school(&receiver, "json", "");
    context.write("state.db", "this is no database");
    for _ in 0..2 {
        assert_eq!(code(&context, &["push", "school.yaml"]), 6);
        assert_eq!(events(&receiver), ["failed school"]);
    }
}
