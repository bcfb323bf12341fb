//! Mapping files: what is accepted, and the catalogue of what is said about the rest.

#![expect(clippy::unwrap_used, reason = "a test that cannot write its files has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use sispush::infiniti::contract::{CONTACTS, Contract, FEEDS, GROUP, GROUPS, IMAGES, Presence, USERS};
use sispush::mapping::notify::{Events, Security, Style};
use sispush::mapping::{
    self, Check, Code, Consequence, Extract, Feed, Hold, ImageSettings, Input, LeaverAction, Leavers, Limit, Limits,
    Mapping, MappingError, Mode, Part, Proxy, Send, Severity, StateLocation, keys,
};
use sispush::source::{Encryption, Engine};

const FIXTURES: &str = "tests/fixtures/mappings";

fn fixtures(kind: &str) -> Vec<PathBuf> {
    mapping::find(&[Path::new(FIXTURES).join(kind)]).unwrap()
}

/// The paths of this test as Unix has them.
fn with_slashes(text: &str) -> String {
    ["invalid", "warnings", "certificates", "queries"].iter().fold(text.to_owned(), |text, folder| {
        text.replace(&format!("\\{folder}"), &format!("/{folder}"))
            .replace(&format!("{folder}\\"), &format!("{folder}/"))
    })
}

/// Writes a mapping, and `.env` if it is not blank, into a folder of their own.
fn folder(mapping: &str, dotenv: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("school.yaml");
    fs::write(&path, mapping).unwrap();
    if !dotenv.is_empty() {
        let path = folder.path().join(".env");
        fs::write(&path, dotenv).unwrap();
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    (folder, path)
}

/// A valid mapping with more `columns`, source and target keys.
fn mapping(columns: &str, source: &str, target: &str) -> String {
    format!(
        "version: 1\nsource:\n  url: sqlite:sis.db\n{source}target:\n  url: https://example.concordinfiniti.com\n  \
         username: autoimport\n{target}users:\n  - name: students\n    query: SELECT 1\n    columns:\n      username: Login\n      \
         enabled: {{ value: true }}\n      staffmember: {{ value: false }}\n      graduationyear: Year\n{columns}"
    )
}

#[test]
fn every_rule_has_its_message() {
    let mut catalogue = String::new();
    for path in fixtures("invalid") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let error = Mapping::check(&path).expect_err(&name);
        assert!(error.problems().iter().any(|problem| problem.severity == Severity::Error), "{name}");
        for problem in error.problems() {
            assert!(!problem.message.ends_with('.'), "{name}: {}", problem.message);
            assert!(problem.line() > 0 && problem.column() > 0);
        }
        writeln!(catalogue, "## {name}\n\n{}\n", with_slashes(&error.render(false))).unwrap();
    }
    assert!(!catalogue.contains("hunter2"));
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!("invalid", catalogue) });
}

/// Nothing else of such a mapping is tried, and its queries are checked all the same.
#[cfg(not(feature = "odbc"))]
#[test]
fn without_odbc_a_mapping_says_what_to_build() {
    let text = mapping("", "", "  password: ${X}\n").replace("sqlite:sis.db", "odbc:school");
    let (_folder, path) = folder(&text, "");
    let error = Mapping::load(&path).unwrap_err();
    let said: Vec<_> =
        error.problems().iter().map(|problem| (problem.message.as_str(), problem.hint.as_deref())).collect();
    assert_eq!(
        said,
        [(
            "this sispush was built without ODBC",
            Some(
                "the released program for Windows has it; elsewhere install unixODBC (`unixodbc-dev` on Debian) and build \
                 with `cargo install --locked --path . --features odbc`"
            )
        )]
    );
}

#[test]
fn what_only_looks_wrong_is_a_warning() {
    let mut catalogue = String::new();
    for path in fixtures("warnings") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mapping = Mapping::check(&path).expect(&name);
        assert!(!mapping.warnings.is_empty(), "{name}");
        for warning in &mapping.warnings {
            assert_eq!(warning.severity, Severity::Warning);
            writeln!(catalogue, "{}\n", with_slashes(&warning.render(false))).unwrap();
        }
    }
    assert!(!catalogue.contains("hunter2"));
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!("warnings", catalogue) });
}

/// A push comes every night, and what it says of the mapping every night nobody reads.
#[test]
fn advice_is_for_who_asks() {
    for (fixture, has_others) in [
        ("warnings/query-all-columns.yaml", false),
        ("warnings/query-without-filter.yaml", false),
        ("warnings/password-in-plain-text.yaml", true),
    ] {
        let path = Path::new(FIXTURES).join(fixture);
        let (told, all) = (Mapping::load(&path).unwrap().warnings, Mapping::check(&path).unwrap().warnings);
        let others: Vec<_> = all.iter().filter(|warning| !warning.code.is_advice()).cloned().collect();
        assert_eq!((&told, !told.is_empty()), (&others, has_others), "{fixture}");
    }
    let (_folder, path) = folder("version: 2\ntarget:\n  url: http://localhost\n", "");
    let codes = |error: MappingError| error.problems().iter().map(|problem| problem.code).collect::<Vec<_>>();
    assert!(!codes(Mapping::load(&path).unwrap_err()).contains(&Code::RehearsalTarget));
    assert!(codes(Mapping::check(&path).unwrap_err()).contains(&Code::RehearsalTarget));
}

/// Regression: what a hint lists and what a column is compared with took minutes for the queries and lookups that programs write.
#[test]
fn large_mappings_are_checked_at_once() {
    let names = |count: usize, name: &str| (0..count).map(|n| format!("{name}{n}")).collect::<Vec<_>>();
    let query = format!("SELECT Login, Year, {} FROM t WHERE a = 1", names(50_000, "c").join(", "));
    let entries = names(40_000, "K").iter().map(|name| format!("{name}: V{name}")).collect::<Vec<_>>().join(", ");
    let rule = format!("      formclass: {{ column: Form, lookup: {{ {entries} }} }}\n");
    let text = mapping(&rule, "", "  password: ${X}\n").replace("SELECT 1", &query);
    let (_folder, path) = folder(&format!("{text}expect:\n  - {{ header: formclass, matches: '^X' }}\n"), "");
    let started = Instant::now();
    let codes: Vec<_> = Mapping::check(&path).unwrap().warnings.iter().map(|warning| warning.code).collect();
    assert_eq!(codes, [Code::QueryColumnMissing, Code::NeverHolds]);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

/// A rule that no fixture breaks has a message that nobody has read.
#[test]
fn every_rule_of_the_catalogue_is_broken_by_a_fixture() {
    // Secrets are looked up when a mapping is run, by other tests here; the file that cannot be read needs its rights taken
    // away, and root reads it all the same.
    // Which engines a build lacks is its own affair.
    let elsewhere = [Code::Secret, Code::UnreadableFile, Code::EngineOfBuild];
    let mut files: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for path in [fixtures("invalid"), fixtures("warnings")].concat() {
        let problems = match Mapping::check(&path) {
            Ok(mapping) => mapping.warnings,
            Err(error) => error.problems().to_vec(),
        };
        for problem in problems {
            let file = path.file_stem().unwrap().to_string_lossy().into_owned();
            files.entry(problem.code.name()).or_default().insert(file);
        }
    }
    let is_seen = |code: &&Code| files.contains_key(code.name()) || elsewhere.contains(code);
    let never: Vec<&str> = Code::ALL.iter().filter(|code| !is_seen(code)).map(|code| code.name()).collect();
    assert!(never.is_empty(), "no fixture breaks {never:?}");
    // Names are added and never changed: editors and build servers filter by them.
    let mut catalogue = String::new();
    for code in Code::ALL {
        let files = files
            .get(code.name())
            .map_or_else(String::new, |files| files.iter().cloned().collect::<Vec<_>>().join(", "));
        writeln!(catalogue, "{}: {files}", code.name()).unwrap();
    }
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!("codes", catalogue) });
}

#[test]
fn every_key_arrives() {
    let path = Path::new(FIXTURES).join("valid/everything.yaml");
    let mapping = Mapping::check(&path).unwrap();
    let warnings: Vec<_> = mapping.warnings.iter().map(|warning| warning.code).collect();
    assert_eq!(warnings, [Code::UnverifiedCertificate]);
    assert_eq!(mapping.name, "example-college");
    assert_eq!(mapping.path, path);

    let source = &mapping.source;
    assert_eq!((source.host.as_str(), source.username.as_str()), ("sis.example.local", "svc_library"));
    assert_eq!(source.timeout, Duration::from_mins(90));
    assert_eq!((source.encryption, source.trust_server_certificate), (Encryption::Strict, true));

    let target = &mapping.target;
    assert_eq!(target.url.as_str(), "https://library.example:8443/");
    assert_eq!((target.timeout, target.batch_rows, target.retries), (Duration::from_secs(90), None, 2));
    assert!(target.retry_timeouts);
    assert!(matches!(&target.proxy, Proxy::Url(url) if url.expose_secret() == "http://proxy.example:8080"));
    let limits = Limits {
        min_rows: 0,
        min_rows_in_all: 400,
        max_drop: Limit::Count(15),
        max_creates: Some(Limit::Percent(50.0)),
        max_updates: Some(Limit::Percent(75.0)),
        max_deactivations: Limit::Count(0),
        max_rejections: Limit::Percent(2.5),
    };
    assert_eq!(mapping.users.limits, limits);
    assert_eq!((mapping.mode, mapping.full_every), (Mode::Delta, Some(Duration::from_hours(36))));
    assert_eq!(mapping.leavers, Leavers { action: LeaverAction::Deactivate, after: Duration::ZERO });
    let hold = |from: &str, until: &str, reason: &str| Hold {
        from: from.parse().unwrap(),
        until: until.parse().unwrap(),
        reason: reason.to_owned(),
    };
    assert_eq!(
        mapping.hold,
        [hold("2026-12-10", "2027-01-28", "year rollover"), hold("2027-04-02", "2027-04-02", "one day")]
    );
    let StateLocation::Postgres(state) = &mapping.state else { panic!("{:?}", mapping.state) };
    assert_eq!((state.engine, state.host.as_str(), state.port), (Engine::Postgres, "db.example.local", Some(5433)));
    assert_eq!(state.password.as_ref().unwrap().expose_secret(), "${STATE_PASSWORD}");

    let expected: Vec<_> = mapping.expect.iter().map(|one| (one.line, one.consequence, one.to_string())).collect();
    let at = mapping.expect[0].line;
    let stop = |line, words: &str| (at + line, Consequence::Stop, words.to_owned());
    assert_eq!(
        expected,
        [
            stop(0, "rows of `students`: at least 400"),
            (at + 1, Consequence::Warn, "`formclass` is filled for at least 95 %".to_owned()),
            stop(2, "`formclass` has no new values"),
            stop(3, "`graduationyear` of `students` is 2026 to 2040.5"),
            stop(4, "patron `jane.doe` has the expected `enabled`, `preferredname`"),
            stop(5, "the data are fresh"),
        ]
    );
    let Check::Freshness { warn_after, error_after, .. } = &mapping.expect[5].check else { panic!() };
    assert_eq!((*warn_after, *error_after), (Some(Duration::from_hours(24)), Some(Duration::from_hours(36))));

    let notify = &mapping.notify;
    let [teams, json] = notify.webhooks.as_slice() else { panic!() };
    assert_eq!((teams.url.expose_secret(), teams.style, teams.on), ("${TEAMS_URL}", Style::Teams, Events::ALL));
    assert_eq!((json.style, json.on), (Style::Json, Events { failed: true, recovered: true, ..Events::NONE }));
    let email = notify.email.as_ref().unwrap();
    assert_eq!((email.host.as_str(), email.port, email.security), ("smtp.example.edu", 465, Security::Tls));
    assert_eq!(email.to, ["it@example.edu", "diocese@example.edu"]);
    assert_eq!(email.on, Events { failed: false, recovered: false, ..Events::ALL });
    let (username, password) = email.login.as_ref().unwrap();
    assert_eq!((username.as_str(), password.expose_secret()), ("library", "${SMTP_PASSWORD}"));
    assert_eq!(notify.heartbeat.as_ref().unwrap().expose_secret(), "${HEARTBEAT_URL}");
    assert_eq!(notify.metrics.as_deref(), Some(Path::new("metrics/sispush.prom")));
    assert_eq!((notify.not_run_since, notify.remind_every), (Some(Duration::from_hours(26)), Duration::from_hours(72)));
    assert_eq!(notify.text.as_ref().unwrap().variables(), ["rejected"]);

    let [students, staff] = mapping.users.extracts.as_slice() else { panic!() };
    assert_eq!((students.name.as_str(), staff.name.as_str()), ("students", "staff"));
    assert_eq!(
        students.query,
        "SELECT Login, FileYear, Level, Emails, Gender, Surname, Initial, SchoolId\nFROM vStudents WHERE Status = 'A'\n"
    );
    assert_eq!((students.min_rows, staff.min_rows), (None, Some(20)));
    assert_eq!(staff.query, "SELECT Login, Surname\nFROM vStaff\nWHERE ActiveFlag = 1\n");
    for extract in &mapping.users.extracts {
        let headers: Vec<_> = extract.rules.iter().map(|rule| rule.header).collect();
        assert!(headers.is_sorted(), "rules stand in the contract's order");
        for header in USERS.iter().filter(|header| USERS.rule(*header).presence == Presence::Mandatory) {
            assert!(headers.contains(&header));
        }
    }
    let rule = |name: &str| students.rules.iter().find(|rule| Some(rule.header) == USERS.header(name)).unwrap();
    assert!(matches!(&rule("username").input, Input::Column(column) if column == "Login"));
    for (header, written) in [("staffmember", "N"), ("formclass", "007"), ("presentationgrouplabel", "1e3")] {
        assert!(matches!(&rule(header).input, Input::Value(value) if value == written), "{header}");
    }
    let Input::Template(template) = &rule("graduationyear").input else { panic!() };
    assert_eq!(template.variables(), ["FileYear", "Level"]);
    let lookup = rule("gender").lookup.as_ref().unwrap();
    assert_eq!((lookup.get("male"), lookup.get("other"), lookup.get("")), (Some("M"), Some(""), Some("")));
    assert_eq!(rule("emailaddress").transforms.len(), 2);
    assert_eq!((rule("formclass").default.as_deref(), rule("username").default.as_deref()), (Some(""), None));
    assert_eq!((rule("password").send, rule("username").send), (Send::Create, Send::Always));
}

#[test]
fn every_key_of_the_other_feeds_arrives() {
    let mapping = Mapping::check(&Path::new(FIXTURES).join("valid/everything.yaml")).unwrap();
    // That is a count of accounts.
    let limits = Limits { min_rows_in_all: 0, ..mapping.users.limits };
    assert_eq!(mapping.users.limits.min_rows_in_all, 400);
    assert_eq!(mapping.feeds().map(|feed| feed.contract).collect::<Vec<_>>(), FEEDS);
    let [contacts, images, groups] = mapping.others.as_slice() else { panic!() };
    assert_eq!(contacts.path, "/api/import/userContacts/replaceDeclaredPatronsKeepCustomContacts");
    // What a feed says of limits goes before what the mapping says, key by key.
    assert_eq!(contacts.limits, Limits { min_rows: 5, max_updates: Some(Limit::Percent(50.0)), ..limits });
    let [guardians] = contacts.extracts.as_slice() else { panic!() };
    assert_eq!((guardians.name.as_str(), guardians.min_rows), ("guardians", Some(7)));
    let rule = |extract: &Extract, name: &str, feed: &'static Contract| {
        let at = extract.rules.iter().position(|rule| Some(rule.header) == feed.header(name)).unwrap();
        let rule = &extract.rules[at];
        (format!("{:?}", rule.input), rule.split.clone(), rule.transforms.len())
    };
    assert_eq!(rule(guardians, "contact", &CONTACTS), (r#"Column("Emails")"#.to_owned(), Some(";".to_owned()), 1),);
    assert_eq!(rule(guardians, "type", &CONTACTS), (r#"Value("Email")"#.to_owned(), None, 0));

    assert_eq!(images.path, "/sandbox/images");
    assert_eq!(
        images.images,
        Some(ImageSettings {
            folder: Some(Path::new(FIXTURES).join("valid/photos")),
            is_listed: false,
            resize: true,
            max_zip: 30_000_000,
        })
    );
    let names = |feed: &Feed| feed.extracts.iter().map(|extract| extract.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(images), ["photos", "files"]);
    assert_eq!(
        images.limits,
        Limits {
            max_drop: Limit::Percent(50.0),
            max_creates: Some(Limit::Count(100)),
            max_rejections: Limit::Count(20),
            ..limits
        }
    );

    assert_eq!((groups.path.as_str(), groups.limits), ("/sandbox/groups/add", limits));
    assert_eq!((groups.header_name(GROUPS.key()), groups.header_name(GROUP)), ("username", "group"));
    assert_eq!(groups.allow, ["Students", "Staff & Friends"]);
    assert_eq!(groups.extracts[0].query_file.as_deref(), Some(Path::new("queries/groups.sql")));
}

/// The files of a folder are what a query of their names would give.
#[test]
fn a_folder_of_pictures_is_a_query_of_its_files() {
    let columns = "      adminsystemid: SchoolId\n";
    let text = mapping(columns, "", "  password: ${X}\n") + "images: { path: /sandbox/images, folder: photos }\n";
    let (folder, path) = folder(&text, "");
    let mapping = Mapping::check(&path).unwrap();
    let [images] = mapping.others.as_slice() else { panic!() };
    let settings = images.images.as_ref().unwrap();
    // It need not be there: a share may be away until the push.
    assert_eq!(settings.folder, Some(folder.path().join("photos")));
    assert_eq!((settings.is_listed, settings.resize, settings.max_zip), (true, false, 95 * 1024 * 1024));
    let [files] = images.extracts.as_slice() else { panic!() };
    assert_eq!((files.name.as_str(), files.query.as_str(), files.line), ("folder", "", 17));
    assert_eq!(files.file, path);
    let rules: Vec<_> =
        files.rules.iter().map(|rule| (IMAGES.rule(rule.header).name, format!("{:?}", rule.input))).collect();
    assert_eq!(
        rules,
        [("adminsystemid", r#"Column("adminsystemid")"#.to_owned()), ("file", r#"Column("file")"#.to_owned()),]
    );
    let absolute = text.replace("folder: photos", &format!("folder: '{}'", folder.path().join("p").display()));
    fs::write(&path, absolute).unwrap();
    let mapping = Mapping::check(&path).unwrap();
    assert_eq!(mapping.others[0].images.as_ref().unwrap().folder, Some(folder.path().join("p")));
}

/// What schools share of a feed stands in the base, and each adds its own.
#[test]
fn feeds_are_merged_with_those_of_a_base_key_by_key() {
    let base = format!(
        "version: 1\nsource: {{ url: 'sqlite:sis.db' }}\ntarget: {{ username: u, password: '${{X}}' }}\n{USERS_OF_BASE}      \
         adminsystemid: Id\nimages: {{ path: /sandbox/images, folder: photos, limits: {{ max_drop: 5, min_rows: 7 }} }}\n\
         groups:\n  path: /sandbox/groups/{{mode}}\n  mode: add\n  header: group\n  allow: [Students, Staff]\n  extracts:\n    \
         - {{ name: groups, query_file: b.sql, columns: {{ username: Login, group: Kind }} }}\n"
    );
    let own = "include: ../shared/_base.yaml\ntarget: { url: 'https://a.example' }\n\
               limits: { max_updates: 50 }\nimages: { resize: true, limits: { max_drop: 9 } }\ngroups: { allow: [Boys], mode: replace }\n";
    let files = [
        ("shared/_base.yaml", base.as_str()),
        ("shared/a.sql", "SELECT Login, Year, Id FROM students WHERE Status = 'A'"),
        ("shared/b.sql", "SELECT Login, Kind FROM students WHERE Status = 'A'"),
        ("schools/a.yaml", own),
        (
            "schools/b.yaml",
            "include: ../shared/_base.yaml\ntarget: { url: 'https://a.example' }\nimages: { folder: own }\n",
        ),
        (
            "schools/c.yaml",
            "include: ../shared/_base.yaml\ntarget: { url: 'https://a.example' }\ngroups: { path: /sandbox/g }\n",
        ),
    ];
    let folder = tree(&files);
    let school = |name: &str| Mapping::check(&folder.path().join("schools").join(name));
    let mapping = school("a.yaml").unwrap();
    assert_eq!(mapping.warnings, []);
    let [images, groups] = mapping.others.as_slice() else { panic!() };
    let settings = images.images.as_ref().unwrap();
    assert_eq!((settings.folder.as_deref(), settings.resize), (Some(&*folder.path().join("shared/photos")), true));
    let limits = Limits { max_updates: Some(Limit::Count(50)), ..Limits::default() };
    assert_eq!(images.limits, Limits { max_drop: Limit::Count(9), min_rows: 7, ..limits });
    assert_eq!((groups.path.as_str(), groups.limits), ("/sandbox/groups/replace", limits));
    // A list stands in the place of the base's.
    assert_eq!(groups.allow, ["Boys"]);
    assert_eq!(groups.extracts[0].file, folder.path().join("shared/_base.yaml"));
    let mapping = school("b.yaml").unwrap();
    assert_eq!(mapping.others[0].images.as_ref().unwrap().folder, Some(folder.path().join("schools/own")));
    // The base's mode has no place in the school's own path.
    let error = school("c.yaml").unwrap_err();
    let [problem] = error.problems() else { panic!("{error:?}") };
    let (line, said) = problem.message.split_once("_base.yaml`, line ").unwrap();
    assert!(
        line.starts_with("`groups.mode` (`") && said == "16) does nothing: `groups.path` has no `{mode}`",
        "{problem:?}"
    );
    assert_eq!((problem.code, problem.line()), (Code::IdleKey, 3));
    for (feed, said) in [("groups: []", "groups"), ("images: { limits: 5 }", "images.limits")] {
        let base = folder.path().join("shared/_base.yaml");
        let text = fs::read_to_string(&base).unwrap();
        let name = said.split('.').next().unwrap();
        let kept = text.split(&format!("\n{name}:")).next().unwrap();
        fs::write(&base, format!("{kept}\n{feed}\n")).unwrap();
        let error = school("a.yaml").unwrap_err();
        let wanted = format!("`{said}` must be a group of keys in the base, too");
        assert!(error.problems().iter().any(|problem| problem.message == wanted), "{}", error.render(false));
        fs::write(&base, text).unwrap();
    }
}

/// An address is put together of what is written; a path must not lead it elsewhere.
#[test]
fn the_path_of_a_feed_stays_below_the_school_s_address() {
    let path_of = |written: &str| {
        let columns = "      adminsystemid: SchoolId\n";
        let text = mapping(columns, "", "  password: ${X}\n");
        let (_folder, path) = folder(&format!("{text}images: {{ path: '{written}', folder: photos }}\n"), "");
        Mapping::load(&path).map(|mapping| mapping.others[0].path.clone())
    };
    for right in ["/sandbox", "/sandbox/images", "/a/b.c/d-e_f", "/a%20b", "/sandbox/"] {
        assert_eq!(path_of(right).unwrap(), right);
    }
    for wrong in [
        "",
        "/",
        "//x.example/a",
        "/a//b",
        "a",
        "/a/../b",
        "/a/..",
        "/a/./b",
        "/%2E%2e/b",
        "/.%2e/b",
        "/a\\..\\b",
        "/a?b",
        "/a#b",
        "/a b",
        "/ä",
        "/{mode}",
        "/{a}",
        "https://x.example/a",
        "/a\tb",
    ] {
        let codes: Vec<_> = path_of(wrong).expect_err(wrong).problems().iter().map(|problem| problem.code).collect();
        assert_eq!(codes, [Code::FeedPath], "{wrong}");
    }
}

#[test]
fn what_is_left_out_has_its_default() {
    let mapping = Mapping::load(&Path::new(FIXTURES).join("valid/smallest.yaml")).unwrap();
    assert_eq!(mapping.name, "smallest");
    let target = &mapping.target;
    assert_eq!(
        (target.timeout, target.batch_rows, target.retries),
        (Duration::from_mins(10), NonZeroUsize::new(5000), 4)
    );
    assert!(!target.retry_timeouts);
    assert!(matches!(target.proxy, Proxy::System));
    assert_eq!(mapping.source.timeout, Duration::from_mins(5));
    assert_eq!(mapping.users.limits, Limits::default());
    assert_eq!((mapping.mode, mapping.full_every, mapping.leavers), (Mode::Full, None, Leavers::default()));
    assert_eq!(mapping.hold, []);
    assert!(mapping.others.is_empty());
    assert!(matches!(mapping.state, StateLocation::Default));
    assert!(mapping.notify.is_empty());
    assert_eq!((mapping.notify.not_run_since, mapping.notify.remind_every), (None, Duration::from_hours(7 * 24)));
}

#[test]
fn a_mapping_saved_on_windows_is_the_same() {
    let text = mapping("", "", "  password: ${INFINITI_PASSWORD}\n");
    let (_folder, path) = folder(&format!("\u{feff}{}", text.replace('\n', "\r\n")), "");
    assert_eq!(Mapping::load(&path).unwrap().warnings, []);
}

#[test]
fn secrets_come_from_the_file_beside_the_mapping() {
    let source = "  password: ${SISPUSH_TEST_A}\n  ca_file: ${SISPUSH_TEST_D}\n";
    let target =
        "  password: ${SISPUSH_TEST_B}x\n  proxy: http://${SISPUSH_TEST_C}@proxy.example:8080\n  ca_file: .env\n";
    let (folder, path) = folder(
        &mapping("", source, target),
        "SISPUSH_TEST_A='a:b@c/${X}'\nSISPUSH_TEST_B=b\nSISPUSH_TEST_C=u:p\nSISPUSH_TEST_D=school.yaml\n",
    );
    let mut mapping = Mapping::load(&path).unwrap();
    assert_eq!(mapping.warnings, []);
    for _ in 0..2 {
        mapping.resolve(&Part::ALL).unwrap();
        assert_eq!(mapping.source.password.as_ref().unwrap().expose_secret(), "a:b@c/${X}");
        assert_eq!(mapping.target.password.expose_secret(), "bx");
        assert!(
            matches!(&mapping.target.proxy, Proxy::Url(url) if url.expose_secret() == "http://u:p@proxy.example:8080")
        );
        assert_eq!(mapping.source.ca_file.as_deref(), Some(path.as_path()));
        assert_eq!(mapping.target.ca_file, Some(folder.path().join(".env")));
        assert_eq!(Path::new(&mapping.source.database), folder.path().join("sis.db"));
    }
}

/// A valid mapping whose state is this.
fn with_state(state: &str, dotenv: &str) -> (tempfile::TempDir, Mapping) {
    let text = mapping("", "", "  password: '${SISPUSH_TEST_A}'\n");
    let (folder, path) = folder(&format!("{text}state: {state}\n"), &format!("SISPUSH_TEST_A=a\n{dotenv}"));
    let mapping = Mapping::load(&path).unwrap();
    assert_eq!(mapping.warnings, []);
    (folder, mapping)
}

#[test]
fn the_place_of_the_state_is_resolved_with_the_rest() {
    for (written, file) in [("states/a.db", "states/a.db"), ("${SISPUSH_TEST_C}/$${x}.db", "b c/${x}.db")] {
        let (folder, mut mapping) = with_state(written, "SISPUSH_TEST_C='b c'\n");
        for _ in 0..2 {
            mapping.resolve(&Part::ALL).unwrap();
            assert!(matches!(&mapping.state, StateLocation::File(path) if *path == folder.path().join(file)));
        }
    }
    let (_folder, mut mapping) = with_state("NONE", "");
    mapping.resolve(&Part::ALL).unwrap();
    assert!(matches!(mapping.state, StateLocation::None));

    let secret = "a:b@c/#?${X}";
    let address = "postgres://${SISPUSH_TEST_B}:${SISPUSH_TEST_C}@db.example/state?sslrootcert=school.pem";
    let (folder, mut mapping) = with_state(address, &format!("SISPUSH_TEST_B=svc\nSISPUSH_TEST_C='{secret}'\n"));
    assert!(format!("{:?}", mapping.state).contains("SISPUSH_TEST_B"), "secrets are not read before they are needed");
    mapping.resolve(&Part::ALL).unwrap();
    let StateLocation::Postgres(state) = &mapping.state else { panic!() };
    assert_eq!((state.username.as_str(), state.password.as_ref().unwrap().expose_secret()), ("svc", secret));
    assert_eq!(state.ca_file, Some(folder.path().join("school.pem")));
    assert!(!format!("{mapping:?}").contains(secret));
}

/// Regression: a preview was refused until the library had given Infiniti's password.
#[test]
fn a_part_needs_no_secret_of_another() {
    let state = "postgres://svc:${SISPUSH_TEST_C}@db.example/state";
    let text = mapping("", "  password: ${SISPUSH_TEST_A}\n", "  password: ${SISPUSH_TEST_B}\n");
    let (folder, path) = folder(&format!("{text}state: {state}\n"), "SISPUSH_TEST_A=a\n");
    let mut mapping = Mapping::load(&path).unwrap();
    let names = |mapping: &Mapping| -> Vec<String> { mapping.references().into_iter().map(|(name, _)| name).collect() };
    mapping.resolve(&[Part::Source]).unwrap();
    assert_eq!(mapping.source.password.as_ref().unwrap().expose_secret(), "a");
    assert_eq!(Path::new(&mapping.source.database), folder.path().join("sis.db"));
    assert_eq!(mapping.target.password.expose_secret(), "${SISPUSH_TEST_B}", "of no part that was not asked for");
    assert_eq!(names(&mapping), ["${SISPUSH_TEST_B}", "${SISPUSH_TEST_C}"]);

    let missing = |mapping: &mut Mapping, parts: &[Part]| -> Vec<String> {
        let error = mapping.resolve(parts).unwrap_err();
        assert!(error.problems().iter().all(|problem| problem.line() > 0 && problem.hint.is_some()));
        error.problems().iter().map(|problem| problem.message.clone()).collect()
    };
    assert_eq!(missing(&mut mapping, &[Part::Source, Part::State]), ["the secret `${SISPUSH_TEST_C}` is not set"]);
    assert_eq!(
        missing(&mut mapping, &Part::ALL),
        ["the secret `${SISPUSH_TEST_B}` is not set", "the secret `${SISPUSH_TEST_C}` is not set"]
    );
    fs::write(folder.path().join(".env"), "SISPUSH_TEST_A=other\nSISPUSH_TEST_B=b\nSISPUSH_TEST_C=c\n").unwrap();
    mapping.resolve(&[Part::State]).unwrap();
    let StateLocation::Postgres(state) = &mapping.state else { panic!() };
    assert_eq!(state.password.as_ref().unwrap().expose_secret(), "c");
    mapping.resolve(&Part::ALL).unwrap();
    assert_eq!(mapping.source.password.as_ref().unwrap().expose_secret(), "a", "what is resolved stays");
    assert_eq!(mapping.target.password.expose_secret(), "b");
    assert_eq!(names(&mapping), Vec::<String>::new());
}

#[test]
fn an_address_is_no_file_for_the_state() {
    let (folder, mut mapping) =
        with_state("${SISPUSH_TEST_B}/state", "SISPUSH_TEST_B=postgres://svc:hunter2@db.example\n");
    let error = mapping.resolve(&Part::ALL).unwrap_err();
    let rendered =
        error.render(false).replace(&folder.path().display().to_string(), "FOLDER").replace("FOLDER\\", "FOLDER/");
    insta::assert_snapshot!(rendered, @r"
    error: `state` is a file's path, and becomes an address once its references are replaced
      --> FOLDER/school.yaml:16:8
       |
    16 | state: ${SISPUSH_TEST_B}/state
       |        ^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: write it out, and only its secrets as references: `postgres://user:${STATE_PASSWORD}@host/database`
    ");
}

#[test]
fn all_missing_secrets_are_reported_at_once() {
    let text = mapping("", "  password: ${SISPUSH_TEST_A}\n", "  password: ${file:nowhere}${SISPUSH_TEST_B}\n");
    let (folder, path) = folder(&text, "SISPUSH_TEST_B=\n");
    let mut mapping = Mapping::load(&path).unwrap();
    let error = mapping.resolve(&Part::ALL).unwrap_err();
    let rendered =
        error.render(false).replace(&folder.path().display().to_string(), "FOLDER").replace("FOLDER\\", "FOLDER/");
    insta::assert_snapshot!(rendered, @r#"
    error: the secret `${SISPUSH_TEST_A}` is not set
     --> FOLDER/school.yaml:4:13
      |
    4 |   password: ${SISPUSH_TEST_A}
      |             ^^^^^^^^^^^^^^^^^
      |
      = help: set the environment variable `SISPUSH_TEST_A`, or write a line `SISPUSH_TEST_A=…` into `FOLDER/.env`

    error: the secret's file `FOLDER/nowhere` does not exist
     --> FOLDER/school.yaml:8:13
      |
    8 |   password: ********
      |             ^^^^^^^^
      |
      = help: a path is relative to the folder of the file in which it stands

    error: the secret `${SISPUSH_TEST_B}` is empty
     --> FOLDER/school.yaml:8:13
      |
    8 |   password: ********
      |             ^^^^^^^^
      |
      = help: give it a value; for none at all write `""` in the mapping
    "#);
    assert!(mapping.resolve(&Part::ALL).is_err(), "a second call must not pass");
}

#[cfg(unix)]
#[test]
fn a_file_of_secrets_that_others_can_read_is_one_problem() {
    let text = mapping("", "  password: ${SISPUSH_TEST_A}\n", "  password: ${SISPUSH_TEST_B}\n");
    let (folder, path) = folder(&text, "SISPUSH_TEST_A=x\n");
    fs::set_permissions(folder.path().join(".env"), std::os::unix::fs::PermissionsExt::from_mode(0o604)).unwrap();
    let error = Mapping::load(&path).unwrap().resolve(&Part::ALL).unwrap_err();
    let [problem] = error.problems() else { panic!("{}", error.render(false)) };
    assert!(problem.hint.as_deref().unwrap().starts_with("run `chmod 600 "));
}

#[test]
fn problems_are_json_too() {
    let error = Mapping::load(&Path::new(FIXTURES).join("invalid/unknown-key.yaml")).unwrap_err();
    let json = serde_json::to_string_pretty(error.problems()).unwrap().replace(r"\\", "/");
    insta::assert_snapshot!(json, @r#"
    [
      {
        "code": "unknown-key",
        "severity": "error",
        "file": "tests/fixtures/mappings/invalid/unknown-key.yaml",
        "line": 6,
        "column": 3,
        "message": "unknown key `usename` in `target`",
        "hint": "did you mean `username`?"
      }
    ]
    "#);
}

#[test]
fn colours_only_when_asked_for() {
    let error = Mapping::load(&Path::new(FIXTURES).join("invalid/unknown-key.yaml")).unwrap_err();
    assert!(!error.render(false).contains('\u{1b}'));
    assert!(error.render(true).contains('\u{1b}'));
}

/// Passwords written into a file must not come out, whatever else is wrong with it.
#[test]
fn no_rendering_shows_a_password() {
    let canary = "kanarie-7Q";
    let breakages = [
        "",
        "\tx: 1\n",
        "x: {\n",
        "x: 'y\n",
        "  z\n",
        "x: a: b\n",
        "---\nx: 1\n",
        "version: 1\n",
        "\u{a0} : :\n",
        "x: \"\\q\"\n",
        "]\n",
        "x: *y\n",
    ];
    let passwords = [
        format!("password: {canary}"),
        format!("password: '{canary}"),
        format!("password: \"{canary}\\q\""),
        format!("password: !{canary}"),
        format!("password: *{canary}"),
        format!("password: {{{canary}"),
        format!("password: {{ {canary}: 1 }}"),
        format!("password: [{canary}]"),
        format!("password: a: {canary}"),
        format!("password: |\n      {canary}\n     {canary}"),
        format!("password:\n    {canary}"),
        format!("Password: {canary}"),
        format!("passwort: 1\n  proxy: http://u:{canary}@proxy example"),
        format!("passwort: 1\n  proxy: u:{canary}@proxy:x"),
        format!("password: x\n  password: {canary}"),
        format!("password: ${{{canary} x}}"),
        format!("password: ${{X}}{canary}${{"),
    ];
    let urls = [
        format!("url: mssql://sa:{canary}@host/db"),
        format!("url: nosuch://sa:{canary}@host/db"),
        format!("url: Server=h;Password={canary};Nonsense"),
        format!("url: \"Server=h;Pwd='{canary};x'\""),
        format!("url: odbc:Driver=x;Server=h;PWD={canary}"),
        format!("url: \"odbc:Driver={{A;b}};Pwd={{a;{canary};b}}c;x\""),
        format!("url: x\nstate: postgres://svc:{canary}@host/db\nx:"),
        format!("url: x\nstate: mongodb://svc:{canary}@host/db\nx:"),
        format!("url: x\nstate: host=h password={canary}\nx:"),
        format!("url: x\nstate: postgres://svc:{canary}#@host/db\nx:"),
        format!("url: x\nstate: postgres://svc@host/db?pwd={canary}&x=y\nx:"),
    ];
    for breakage in breakages {
        for password in &passwords {
            for url in &urls {
                let text = format!(
                    "version: 1\nsource:\n  {url}\n  colour: {{}}\ntarget:\n  url: https://u:{canary}@example.com/\n  {password}\n{breakage}users:\n  - columns:\n      password: {{ value: {canary}, lookup: {{ a: {canary} }}, default: {canary}, sned: 1 }}\n"
                );
                let (_folder, path) = folder(&text, "");
                let error = Mapping::load(&path).unwrap_err();
                let shown = format!(
                    "{}{}{error:?}{error}{}",
                    error.render(false),
                    error.render(true),
                    serde_json::to_string(error.problems()).unwrap()
                );
                assert!(!shown.contains(canary), "{text}\n{}", error.render(false));
            }
        }
    }
}

#[test]
fn a_folder_is_its_mappings() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(mapping::find(&[folder.path().into()]), Err(MappingError::EmptyFolder { .. })));
    for name in ["b.yml", "a.yaml", "c.txt"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    let other = PathBuf::from(FIXTURES).join("valid/smallest.yaml");
    let found = mapping::find(&[folder.path().into(), other.clone()]).unwrap();
    assert_eq!(found, [folder.path().join("a.yaml"), folder.path().join("b.yml"), other]);
    let missing = mapping::find(&[folder.path().join("nowhere")]).unwrap_err();
    assert!(matches!(&missing, MappingError::Read { .. }) && missing.hint().is_some());
}

#[test]
fn defaults_of_the_reference_are_the_defaults_of_the_program() {
    let mut target = String::from("  password: ${INFINITI_PASSWORD}\n");
    let (mut source, mut leavers, mut limits) = (String::new(), String::new(), String::new());
    let mut root = String::new();
    for (shape, text, indent) in [
        (&keys::SOURCE, &mut source, "  "),
        (&keys::TARGET, &mut target, "  "),
        (&keys::LEAVERS, &mut leavers, "  "),
        (&keys::LIMITS, &mut limits, "  "),
        (&keys::ROOT, &mut root, ""),
    ] {
        for key in shape.keys {
            if let Some(default) = key.default {
                writeln!(text, "{indent}{}: {default}", key.name).unwrap();
            }
        }
    }
    let text = format!("{}{root}leavers:\n{leavers}limits:\n{limits}", mapping("", &source, &target));
    let (_folder, path) = folder(&text, "");
    let written = Mapping::load(&path).unwrap();
    let implied = Mapping::load(&Path::new(FIXTURES).join("valid/smallest.yaml")).unwrap();
    assert_eq!(format!("{:?}", written.target), format!("{:?}", implied.target));
    assert_eq!(written.source.timeout, implied.source.timeout);
    assert_eq!(
        (written.mode, written.leavers, written.users.limits),
        (implied.mode, implied.leavers, implied.users.limits)
    );
}

#[test]
fn defaults_of_the_other_feeds_are_those_of_the_reference() {
    let feeds = |keys: &dyn Fn(&keys::Shape) -> String| {
        let text = mapping("      adminsystemid: Id\n", "", "  password: ${X}\n");
        let extracts = "  extracts:\n    - name: a\n      query: SELECT 1\n      \
             columns: { username: A, type: B, role: C, primary: D, contact: E, scenarios: F }\n";
        let (contacts, images) = (keys(&keys::CONTACTS), keys(&keys::IMAGES));
        let text =
            format!("{text}contacts:\n{contacts}{extracts}images:\n{images}  path: /sandbox\n  folder: photos\n");
        let (_folder, path) = folder(&text, "");
        let mut others = Mapping::load(&path).unwrap().others;
        let images = others.remove(1).images.unwrap();
        (others.remove(0).path, images.resize, images.max_zip)
    };
    let written = feeds(&|shape| {
        let with_default = shape.keys.iter().filter_map(|key| Some((key.name, key.default?)));
        with_default.fold(String::new(), |text, (name, default)| format!("{text}  {name}: {default}\n"))
    });
    assert_eq!(written, feeds(&|_| String::new()));
    assert_eq!((written.1, written.2), (false, 95 * 1024 * 1024));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Any plain scalar arrives as the text that was written.
    #[test]
    fn a_value_arrives_as_written(value in "[A-Za-z0-9][A-Za-z0-9._+-]{0,12}") {
        prop_assume!(!["null", "Null", "NULL"].contains(&value.as_str()));
        let (_folder, path) = folder(&mapping(&format!("      formclass: {{ value: {value} }}\n"), "", "  password: ${X}\n"), "");
        let mapping = Mapping::load(&path).unwrap();
        let rule = mapping.users.extracts[0].rules.iter().find(|rule| Some(rule.header) == USERS.header("formclass")).unwrap();
        prop_assert!(matches!(&rule.input, Input::Value(text) if *text == value));
    }

    /// Whatever a slip of the hand does to a mapping, it is checked and shown without a panic.
    #[test]
    fn no_slip_of_the_hand_makes_it_panic(at in 0.0..1.0_f64, cut in 0..40_usize, typed in "(?s)[\\PC\n\t{}\\[\\]:*&#'\"|>-]{0,4}") {
        let whole = fs::read_to_string(Path::new(FIXTURES).join("valid/everything.yaml")).unwrap();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a short text")]
        let start = whole.floor_char_boundary((at * whole.len() as f64) as usize);
        let end = whole.ceil_char_boundary((start + cut).min(whole.len()));
        let (_folder, path) = folder(&format!("{}{typed}{}", &whole[..start], &whole[end..]), "");
        match Mapping::load(&path) {
            Ok(mapping) => mapping.warnings.iter().for_each(|warning| drop(warning.render(false))),
            Err(error) => prop_assert!(error.render(false).contains("-->")),
        }
    }

    /// Any text survives on its way from a secret's file to the password.
    #[test]
    fn a_secret_survives(secret in "(?s)[^\r\n\u{feff}].{0,30}") {
        // One line break is cut, and these two would be one.
        prop_assume!(!secret.ends_with('\r'));
        let (folder, path) = folder(&mapping("", "", "  password: ${file:secret}\n"), "");
        let file = folder.path().join("secret");
        fs::write(&file, format!("{secret}\n")).unwrap();
        #[cfg(unix)]
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let mut mapping = Mapping::load(&path).unwrap();
        mapping.resolve(&Part::ALL).unwrap();
        prop_assert_eq!(mapping.target.password.expose_secret(), secret.as_str());
    }
}

#[test]
fn a_mapping_s_own_keys_go_before_those_of_its_base() {
    let path = Path::new(FIXTURES).join("valid/include.yaml");
    let mapping = Mapping::check(&path).unwrap();
    // The base's `full_every` and `leavers.after` do nothing here, and are for others.
    assert_eq!(mapping.warnings, []);
    let base = Path::new(FIXTURES).join("bases/_base.yaml");
    assert_eq!((mapping.name.as_str(), mapping.base.as_deref()), ("st-marys", Some(base.as_path())));
    assert_eq!((mapping.source.host.as_str(), mapping.source.username.as_str()), ("sis.example.local", "svc_library"));
    let target = &mapping.target;
    assert_eq!(target.url.as_str(), "https://stmarys.concordinfiniti.com/");
    assert_eq!((target.username.as_str(), target.retries), ("autoimport", 0));
    assert_eq!((mapping.mode, mapping.full_every), (Mode::Full, Some(Duration::from_hours(7 * 24))));
    assert_eq!(mapping.leavers, Leavers { action: LeaverAction::Report, after: Duration::from_hours(7 * 24) });
    assert_eq!(
        (mapping.users.limits.max_drop, mapping.users.limits.max_updates),
        (Limit::Percent(10.0), Some(Limit::Count(50)))
    );
    // A list stands in the place of the base's.
    let expected: Vec<_> = mapping.expect.iter().map(|one| (one.base.clone(), one.line, one.to_string())).collect();
    assert_eq!(expected, [(None, 10, "`username` is unique".to_owned())]);
    let [students] = mapping.users.extracts.as_slice() else { panic!() };
    assert_eq!((&students.file, students.line), (&base, 22));
    assert_eq!(students.query, "SELECT Login, Year\nFROM vStudents\nWHERE Status = 'A'\n");
    assert_eq!(
        mapping.references().iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["${SIS_PASSWORD}", "${file:../bases/secrets/infiniti}"]
    );
}

/// Writes files into a folder; secrets only for their owner.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    folder
}

/// The rest of a mapping: its queries.
const USERS_OF_BASE: &str = "users:\n  - name: students\n    query_file: a.sql\n    columns:\n      username: Login\n      \
     enabled: { value: true }\n      staffmember: { value: false }\n      graduationyear: Year\n";

/// Every path starts from the folder of the file that it stands in.
#[test]
fn paths_and_secrets_of_a_base_start_from_its_folder() {
    let base = format!(
        "version: 1\nsource:\n  url: sqlite:sis.db\n  ca_file: ${{SISPUSH_TEST_DIR}}/a.pem\n  password: x${{file:pw}}y$${{z}}\n\
         target:\n  username: ${{SISPUSH_TEST_BOTH}}\n  password: ${{SISPUSH_TEST_BASE}}\nstate: ${{SISPUSH_TEST_DIR}}/s.db\n{USERS_OF_BASE}"
    );
    let own = "include: ../shared/_base.yaml\ntarget:\n  url: https://a.example\n  ca_file: own.pem\n";
    let folder = tree(&[
        ("shared/_base.yaml", &base),
        ("shared/.env", "SISPUSH_TEST_BASE=of-base\nSISPUSH_TEST_BOTH=of-base\nSISPUSH_TEST_DIR=d\n"),
        ("shared/pw", "secret\n"),
        ("shared/a.sql", "SELECT Login, Year FROM students WHERE Status = 'A'"),
        ("schools/.env", "SISPUSH_TEST_BOTH=of-mapping\n"),
        ("schools/own.pem", ""),
        ("schools/a.yaml", own),
        (
            "schools/b.yaml",
            "include: ../shared/_base.yaml\nsource: { url: 'sqlite:own.db', password: '${file:own.pem}x' }\n\
             target: { url: 'https://a.example' }\nstate: own.state\n",
        ),
    ]);
    let shared = folder.path().join("shared");
    let mut mapping = Mapping::load(&folder.path().join("schools/a.yaml")).unwrap();
    assert_eq!(mapping.base, Some(shared.join("_base.yaml")), "a path without `..`, as people read it");
    assert_eq!(mapping.references().iter().filter(|(_, origin)| origin.is_none()).count(), 0);
    mapping.resolve(&Part::ALL).unwrap();
    assert_eq!(Path::new(&mapping.source.database), shared.join("sis.db"));
    assert_eq!(mapping.source.ca_file, Some(shared.join("d/a.pem")));
    assert_eq!(mapping.source.password.as_ref().unwrap().expose_secret(), "xsecrety${z}");
    assert_eq!(mapping.target.ca_file, Some(folder.path().join("schools/own.pem")));
    assert_eq!((&*mapping.target.username, mapping.target.password.expose_secret()), ("of-mapping", "of-base"));
    assert!(matches!(&mapping.state, StateLocation::File(file) if *file == shared.join("d/s.db")));

    let mut mapping = Mapping::load(&folder.path().join("schools/b.yaml")).unwrap();
    fs::write(folder.path().join("schools/own.pem"), "own").unwrap();
    mapping.resolve(&Part::ALL).unwrap();
    let schools = folder.path().join("schools");
    assert_eq!(Path::new(&mapping.source.database), schools.join("own.db"));
    assert_eq!(mapping.source.password.as_ref().unwrap().expose_secret(), "ownx");
    assert!(matches!(&mapping.state, StateLocation::File(file) if *file == schools.join("own.state")));

    // A secret that is missing is reported where it is named.
    fs::remove_file(shared.join(".env")).unwrap();
    let mut mapping = Mapping::load(&schools.join("a.yaml")).unwrap();
    let error = mapping.resolve(&[Part::Target]).unwrap_err();
    let [problem] = error.problems() else { panic!("{error:?}") };
    assert_eq!((problem.file(), problem.line(), problem.column()), (shared.join("_base.yaml").as_path(), 8, 13));
    let hint = problem.hint.as_deref().unwrap();
    for folder in [&schools, &shared] {
        assert!(hint.contains(&folder.join(".env").display().to_string()), "{hint}");
    }
}

/// What a base may be by mistake, but for what the fixtures have.
#[cfg(unix)]
#[test]
fn a_base_that_cannot_be_read_is_told_at_once() {
    use std::os::unix::fs::symlink;

    let folder = tree(&[("a.yaml", "include: _base.yaml\n")]);
    let (path, base) = (folder.path().join("a.yaml"), folder.path().join("_base.yaml"));
    let said = || {
        let error = Mapping::check(&path).unwrap_err();
        let [problem] = error.problems() else { panic!("{error:?}") };
        assert_eq!((problem.file(), problem.line(), problem.column()), (path.as_path(), 1, 10));
        (problem.code, problem.message.replace(&folder.path().display().to_string(), ""))
    };
    symlink("_base.yaml", &base).unwrap();
    let (code, message) = said();
    assert_eq!(code, Code::UnreadableFile);
    assert!(message.starts_with("could not read the base `/_base.yaml`: "), "{message}");
    fs::remove_file(&base).unwrap();
    symlink("a.yaml", &base).unwrap();
    assert_eq!(said(), (Code::Include, "the mapping includes itself".to_owned()));
    fs::remove_file(&base).unwrap();
    // Nobody writes into it, and nobody waits for that.
    assert!(std::process::Command::new("mkfifo").arg(&base).status().unwrap().success());
    assert_eq!(said(), (Code::MissingFile, "the file of `include`, `/_base.yaml`, is no file".to_owned()));
}

/// Whatever stands in a mapping, right or wrong, is found at the same place when it stands in a base.
#[test]
fn a_base_is_checked_as_a_mapping_is() {
    let folder = tree(&[]);
    let path = folder.path().join("school.yaml");
    let full = |path: &Path| std::path::absolute(path).unwrap();
    // What only a mapping has, and what is said of it by its own file.
    let is_own = |code: Code| {
        matches!(
            code,
            Code::Name
                | Code::KeyOfMapping
                | Code::CommandNotAllowed
                | Code::MissingKey
                | Code::Empty
                | Code::NotAGroup
                | Code::Include
        )
    };
    let found = |path: &Path, file: &Path| -> Vec<String> {
        let problems = match Mapping::check(path) {
            Ok(mapping) => mapping.warnings,
            Err(error) => error.problems().to_vec(),
        };
        let is_there = |problem: &&mapping::Problem| problem.file() == file && !is_own(problem.code);
        let shown = problems.iter().filter(is_there).map(|problem| problem.render(false));
        shown.filter(|shown| !shown.contains(" | name: ")).collect()
    };
    let (mut files, mut problems) = (0, 0);
    for base in [fixtures("invalid"), fixtures("warnings"), fixtures("valid")].concat() {
        let base = full(&base);
        let text = fs::read(&base).unwrap();
        if text.starts_with(b"include:") {
            continue;
        }
        fs::write(&path, format!("include: '{}'\n# Schüler", base.display())).unwrap();
        let as_mapping = found(&base, &base);
        assert_eq!(found(&path, &base), as_mapping, "{}", base.display());
        files += 1;
        problems += as_mapping.len();
    }
    assert!(files > 150 && problems > 200, "{files} files with {problems} problems");
}
