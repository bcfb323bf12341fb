//! `report`: the page about past runs, as a file, to a browser, and for a screen on the wall.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use insta::assert_snapshot;
use support::browser::Browser;
use support::context::TestContext;
use support::network::closed_port;

/// A school with a run of several outcomes, the last of which went well but for one row.
fn school() -> TestContext {
    let context = TestContext::with_sandbox(&[]);
    context.students(60).mapping("state: state.db\nmode: delta\nname: st-marys\n");
    context.output(&["push", "school.yaml"]);
    fs::rename(context.path("sis.db"), context.path("gone.db")).unwrap();
    context.output(&["push", "school.yaml"]);
    fs::rename(context.path("gone.db"), context.path("sis.db")).unwrap();
    context.sis("UPDATE students SET email = 'canary at home' WHERE login = 'student0003'");
    context.output(&["push", "school.yaml"]);
    context
}

/// So many schools with two months of runs, of which some did not go well.
fn many(context: &TestContext, schools: usize) {
    let store = rusqlite::Connection::open(context.path("state.db")).unwrap();
    let now = jiff::Timestamp::now().as_second();
    store.execute_batch(&format!("
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {schools})
        INSERT INTO books (mapping, target, key, revision, facts)
            SELECT printf('college-%03d', i), 'https://example.concordinfiniti.com/', randomblob(16), 1, '{{}}' FROM n;
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
        INSERT INTO runs (book, started_at, ended_at, mode, plan, exit_code, report)
            SELECT id, {now} - (60 - i) * 86400 - 3600, {now} - (60 - i) * 86400 - 3590, 'delta',
                CASE WHEN (id * 7 + i) % 41 = 0 THEN NULL ELSE 'a' END,
                CASE WHEN (id * 7 + i) % 41 = 0 THEN 3 WHEN (id + i) % 9 = 0 THEN 1 ELSE 0 END,
                CASE WHEN (id * 7 + i) % 41 = 0 THEN '{{\"error\":\"could not open the source `mssql://sis.example.local/SIS`\",\"hint\":\"is the server running?\"}}'
                ELSE json_object('rows', json_object('students', 900 + id), 'unchanged', 880 + id, 'accepted', i % 20, 'updated', i % 17, 'created', i % 4,
                    'rejected', CASE WHEN (id + i) % 9 = 0 THEN 2 ELSE 0 END,
                    'seconds', json_object('read', 0.4, 'plan', 0.01, 'send', 0.9)) END
            FROM books, n WHERE mapping LIKE 'college-%' AND NOT (id % 17 = 0 AND i > 50);
    ")).unwrap();
}

fn page(context: &TestContext) -> String {
    fs::read_to_string(context.path("report.html")).unwrap()
}

#[test]
fn a_page_is_written() {
    let context = school();
    assert_snapshot!(context.run(&["report", "school.yaml", "-o", "report.html"]));
    let html = page(&context);
    for text in
        ["st-marys", "1 row was rejected", "sispush preview school.yaml --rejected", "not a well-formed e-mail address"]
    {
        assert!(html.contains(text), "{text}");
    }
    // Nobody else on this machine needs to read it.
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::MetadataExt::mode(&fs::metadata(context.path("report.html")).unwrap()) & 0o777,
        0o600
    );
    let whole = context.run(&["report", "--state", "state.db", "-o", "report.html"]);
    assert!(whole.starts_with("exit code 0\n"), "{whole}");
}

/// A school of four feeds: contacts and groups have rejected rows, and the last push was of the accounts alone.
fn school_of_all_feeds() -> TestContext {
    let context = TestContext::with_sandbox(&["reject@contacts=student0007"]);
    context.students(60).mapping_of_all_feeds("state: state.db\nmode: delta\nname: st-marys\n");
    context.output(&["push", "school.yaml"]);
    context.sis("UPDATE guardians SET address = 'canary at home', name = 'canary' WHERE login = 'student0003'");
    context.sis("UPDATE students SET form = '8C' WHERE login > 'student0040'");
    context.sis("INSERT INTO members VALUES ('student0001', 'canary-group')");
    context.write("photos/000002.png", "canary, no picture").write("photos/canary-9.png", "canary");
    context.output(&["push", "school.yaml"]);
    context.output(&["push", "school.yaml", "--feed", "users"]);
    context
}

#[test]
fn every_feed_has_its_last_run_and_its_rejections() {
    let context = school_of_all_feeds();
    // The last push, of the accounts alone, went well.
    assert_snapshot!(context.run(&["report", "school.yaml", "-o", "report.html"]));
    let html = page(&context);
    for text in [
        "<h3>Feeds</h3>",
        "Contacts sent",
        "Images not sent",
        "The charts of groups as a table",
        "contacts: 1 row was rejected",
        "sispush preview school.yaml --feed groups --rejected",
        "a library group that the mapping does not allow",
    ] {
        assert!(html.contains(text), "{text}: {html}");
    }
    for one in [
        &html,
        &context.run(&["history", "school.yaml"]),
        &context.run(&["history", "school.yaml", "--format", "json"]),
    ] {
        assert!(!one.contains("canary") && !one.contains("student0") && !one.contains(".png"), "{one}");
    }
    // A school that has no contacts any more is not in trouble by them.
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    let (users, rest) = mapping.split_once("contacts:\n").unwrap();
    context.write("school.yaml", format!("{users}state:{}", rest.split_once("state:").unwrap().1));
    let told = context.run(&["report", "school.yaml", "-o", "report.html"]);
    assert!(told.contains("(1 fine)"), "{told}");
}

#[test]
fn a_browser_shows_every_feed() {
    let Some(browser) = Browser::get("a_browser_shows_every_feed") else { return };
    let context = school_of_all_feeds();
    context.run(&["report", "school.yaml", "-o", "report.html"]);
    let path = context.path("report.html");
    let dom = browser.dom(&path);
    assert_eq!(dom.matches("<table").count(), dom.matches("<caption").count());
    pictures(browser, &path);
    many(&context, 30);
    context.run(&["report", "--state", "state.db", "-o", "report.html"]);
    assert!(browser.dom(&path).contains("id=\"feeds\">Feeds</h2>"));
    pictures(browser, &path);
}

#[test]
fn it_is_not_written_over_what_a_push_needs() {
    let context = school();
    let mut told = String::new();
    for file in ["school.yaml", ".env", "state.db", "sis.db"] {
        let before = fs::read(context.path(file)).ok();
        told.push_str(&context.run(&["report", "school.yaml", "-o", file]));
        assert_eq!(fs::read(context.path(file)).ok(), before, "{file}");
    }
    told.push_str(&context.run(&["report", "--state", "state.db", "-o", "state.db"]));
    fs::create_dir(context.path("folder")).unwrap();
    told.push_str(&context.run(&["report", "school.yaml", "-o", "folder"]));
    told.push_str(&context.run(&["report", "school.yaml", "-o", "none/report.html"]));
    told.push_str(&context.run(&["report", "school.yaml"]));
    assert_snapshot!(told);
}

/// A page that cannot be made leaves the one that is there.
#[test]
fn a_damaged_state_leaves_the_last_page() {
    let context = school();
    context.run(&["report", "school.yaml", "-o", "report.html"]);
    let before = page(&context);
    context.write("state.db", "not a state, but a text that is long enough to be one");
    let told = context.run(&["report", "school.yaml", "-o", "report.html"]);
    assert!(told.starts_with("exit code 6\n"), "{told}");
    assert_eq!(page(&context), before);
}

/// A folder with a mapping that is not valid and one that was never pushed: both are trouble, and told.
#[test]
fn what_has_no_runs_is_told() {
    let context = school();
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    fs::create_dir(context.path("schools")).unwrap();
    let mapping = mapping.replace("state: state.db", "state: ../state.db").replace("sqlite:sis.db", "sqlite:../sis.db");
    context.write("schools/a.yaml", &mapping);
    context.write("schools/b-new.yaml", mapping.replace("name: st-marys", "name: st-johns"));
    context.write("schools/c-broken.yaml", mapping.replace("version: 1", "version: 7"));
    let hold = "hold: [{ from: 2020-01-01, until: 2999-01-01, reason: holidays }]\n";
    context.write("schools/d-held.yaml", mapping.replace("name: st-marys", "name: st-pauls") + hold);
    assert_snapshot!(context.run(&["report", "schools", "-o", "report.html"]));
    let html = page(&context);
    for text in ["its mapping cannot be read", "never run", "on hold until 2999-01-01", "4 schools"] {
        assert!(html.contains(text), "{text}");
    }
}

/// Where nothing runs at weekends, two days of silence are none.
#[test]
fn a_silence_may_be_longer() {
    let context = TestContext::with_sandbox(&[]);
    context.students(3).mapping("state: state.db\n");
    context.output(&["push", "school.yaml"]);
    let store = rusqlite::Connection::open(context.path("state.db")).unwrap();
    store.execute("UPDATE runs SET started_at = started_at - 48 * 3600, ended_at = ended_at - 48 * 3600", []).unwrap();
    let told = context.run(&["report", "school.yaml", "-o", "report.html"]);
    assert!(told.contains("1 not run for too long"), "{told}");
    assert!(page(&context).contains("Nothing has run for 48 hours since."));
    let told = context.run(&["report", "school.yaml", "-o", "report.html", "--late-after", "80h"]);
    assert!(told.contains("1 fine") && !page(&context).contains("Nothing has run"), "{told}");
}

/// Whatever a store says, the page stays ours.
fn make_hostile(context: &TestContext, port: u16) {
    let name =
        format!("<img src=http://127.0.0.1:{port}/name><script src=http://127.0.0.1:{port}/x></script>\"'><b>&amp;");
    let store = rusqlite::Connection::open(context.path("state.db")).unwrap();
    store.execute("UPDATE books SET mapping = ?1, target = ?1", [&name]).unwrap();
    let summary = serde_json::json!({ "error": name, "hint": format!("`{name}`"), "rejections": { &name: 3 },
        "rejections_by_extract": { &name: { &name: 3 } }, "stops": [&name], "host": name });
    store.execute("UPDATE runs SET report = ?1, mode = ?2, plan = ?2", [&summary.to_string(), &name]).unwrap();
}

#[test]
fn hostile_names_and_errors_stay_text() {
    let context = school();
    make_hostile(&context, 9);
    for code in [1, 3, 5] {
        let store = rusqlite::Connection::open(context.path("state.db")).unwrap();
        store.execute("UPDATE runs SET exit_code = ?", [code]).unwrap();
        let told = context.run(&["report", "--state", "state.db", "-o", "report.html"]);
        assert!(told.starts_with("exit code 0\n"), "{told}");
        let html = page(&context);
        assert!(!html.contains("<img") && !html.contains("<script") && !html.contains("<b>&"), "{code}: {html}");
        assert!(html.contains("&lt;img src=http:"), "{code}");
    }
}

/// Counts who connects; a browser that was told to would.
fn listener() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for visitor in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
            drop(visitor);
        }
    });
    (port, count)
}

#[test]
fn the_page_asks_the_network_for_nothing() {
    let Some(browser) = Browser::get("the_page_asks_the_network_for_nothing") else { return };
    let context = school();
    let (port, visitors) = listener();
    make_hostile(&context, port);
    context.run(&["report", "--state", "state.db", "-o", "report.html"]);
    let path = context.path("report.html");
    let dom = browser.dom(&path);
    assert!(dom.contains("&lt;img src=http:") && !dom.contains("<img"), "{dom}");
    // Even if something got through: the page's policy forbids it.
    let html = page(&context);
    let tags = format!(
        "<img src=http://127.0.0.1:{port}/x><script src=http://127.0.0.1:{port}/x></script><link rel=stylesheet href=http://127.0.0.1:{port}/x></main>"
    );
    let spoilt = html.replace("</main>", &tags);
    context.write("spoilt.html", &spoilt);
    browser.dom(&context.path("spoilt.html"));
    assert_eq!(visitors.load(Ordering::SeqCst), 0);
    // Without the policy it would.
    let (policy, rest) = spoilt.split_once("<meta http-equiv=\"Content-Security-Policy\"").unwrap();
    context.write("open.html", policy.to_owned() + rest.split_once('>').unwrap().1);
    browser.dom(&context.path("open.html"));
    assert!(visitors.load(Ordering::SeqCst) > 0, "nothing was tried");
}

#[test]
fn a_browser_shows_one_school() {
    let Some(browser) = Browser::get("a_browser_shows_one_school") else { return };
    let context = school();
    context.run(&["report", "school.yaml", "-o", "report.html"]);
    let path = context.path("report.html");
    let dom = browser.dom(&path);
    for text in [
        "<h1>st-marys</h1>",
        "Runs by outcome",
        "Patrons sent",
        "How long a run takes",
        "These charts as a table",
        "<caption><span>",
    ] {
        assert!(dom.contains(text), "{text}: {dom}");
    }
    // Every picture has its text, every table its caption, and every column its heading.
    for svg in dom.split("<svg").skip(1) {
        let tag = svg.split('>').next().unwrap();
        assert!(tag.contains("aria-label=\"") || tag.contains("aria-hidden=\"true\""), "{tag}");
    }
    assert_eq!(dom.matches("<table").count(), dom.matches("<caption").count());
    pictures(browser, &path);
}

#[test]
fn a_browser_shows_many_schools() {
    let Some(browser) = Browser::get("a_browser_shows_many_schools") else { return };
    let context = school();
    many(&context, 120);
    let told = context.run(&["report", "--state", "state.db", "-o", "report.html"]);
    assert_snapshot!(told);
    let path = context.path("report.html");
    let dom = browser.dom(&path);
    assert_eq!(dom.matches("<details class=\"school\"").count(), 121);
    assert!(dom.contains("<h1>121 schools</h1>"));
    // Trouble first.
    let place = |text: &str| dom.find(text).unwrap_or_else(|| panic!("{text}"));
    assert!(
        place("failed: could not open the source") < place("</span>not run for")
            && place("</span>not run for") < place("</span>fine</td>")
    );
    pictures(browser, &path);
}

/// Light, dark and on a phone they differ, and paper has pages.
fn pictures(browser: &Browser, path: &Path) {
    let (light, size) = browser.picture(path, (1280, 1400), false);
    assert_eq!(size, (1280, 1400));
    let (dark, _) = browser.picture(path, (1280, 1400), true);
    let (phone, _) = browser.picture(path, (390, 1400), false);
    assert!(light.len() > 30_000 && dark.len() > 30_000 && phone.len() > 15_000, "there is hardly anything to see");
    assert!(light != dark);
    let pdf = browser.print(path);
    let text = String::from_utf8_lossy(&pdf);
    assert!(text.starts_with("%PDF-") && text.matches("/Type /Page\n").count() >= 1, "{}", pdf.len());
}

/// What `report --serve` says, and its child, which goes on until it is ended.
fn serve(context: &TestContext, more: &[&str]) -> (Child, String) {
    let arguments = [&["report", "--serve"], more].concat();
    let mut child = context.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (child, line)
}

fn get(url: &str, host: &str) -> String {
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[cfg(unix)]
#[test]
fn a_screen_on_the_wall_is_served_until_it_is_interrupted() {
    let context = school();
    let (child, line) = serve(&context, &["school.yaml", "--listen", "127.0.0.1:0"]);
    let url = line.trim().strip_prefix("the report is shown at ").unwrap();
    let answer = get(url, "localhost");
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.contains("<meta http-equiv=\"refresh\" content=\"60\">"),
        "{answer}"
    );
    assert!(answer.contains("1 row was rejected"));
    assert!(get(url, "evil.example").starts_with("HTTP/1.1 403"));
    let status = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
}

/// A state that is not there yet, or cannot be read, must not end the screen.
#[test]
fn a_screen_says_that_there_is_nothing_to_show() {
    let context = TestContext::new();
    context.mapping("state: state.db\n");
    context.write("state.db", "not a state, but a text that is long enough to be one");
    let (mut child, line) = serve(&context, &["school.yaml", "--listen", "127.0.0.1:0"]);
    let url = line.trim().strip_prefix("the report is shown at ").unwrap();
    let answer = get(url, "127.0.0.1");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("is not a state of sispush"), "{answer}");
    // Why a database does not answer is in its own words, and those are for the log.
    context.mapping(&format!("state: postgres://canary@127.0.0.1:{}/sispush\n", closed_port()));
    let (mut child, line) = serve(&context, &["school.yaml", "--listen", "127.0.0.1:0"]);
    let url = line.trim().strip_prefix("the report is shown at ").unwrap();
    let answer = get(url, "127.0.0.1");
    child.kill().unwrap();
    let said = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
    assert!(answer.contains("Could not open the state") && !answer.contains("refused"), "{answer}");
    assert!(said.contains("refused"), "{said}");
}

#[test]
fn beyond_this_machine_it_warns() {
    let context = school();
    let (mut child, line) = serve(&context, &["school.yaml", "--listen", "0.0.0.0:0"]);
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(line.starts_with("the report is shown at http://0.0.0.0:"), "{line}");
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "warning: the page has no login: whoever reaches this port sees it\n"
    );
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert_snapshot!(context.run(&["report", "--serve", "--listen", &address]));
}
