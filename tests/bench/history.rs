//! Times `sispush report` and `sispush history` over a year of many schools in a SQLite state, with peak memory and the
//! page's size.
//!
//! `cargo bench --bench history -- [SCHOOLS]`, by default 1000; `SISPUSH_BENCH_RUNS` sets the runs (default 5). The aim: a
//! thousand schools' year of four feeds as a page in under 2 s on two cores, in 200 MiB.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a benchmark prints its table and may fail")]

mod process;

use std::path::Path;

use process::{Timed, median, sispush, timed};
use sispush::mapping::StateLocation;
use sispush::state::{Identity, State};

/// How many nights a year has.
const NIGHTS: i64 = 365;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let schools = arguments.iter().find_map(|argument| argument.replace('_', "").parse().ok()).unwrap_or(1_000);
    let runs = setting("SISPUSH_BENCH_RUNS").and_then(|runs| runs.parse().ok()).unwrap_or(5);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (state, page) = (folder.path().join("state.db"), folder.path().join("report.html"));
    let bytes = fill(&state, schools);
    println!("{schools} schools, {} runs, a state of {} MiB\n", schools * NIGHTS, bytes >> 20);
    println!("| command | median | fastest | peak memory | output |\n|---|---:|---:|---:|---:|");
    let (state, out) = (state.to_str().expect("a UTF-8 path"), page.to_str().expect("a UTF-8 path"));
    let one = ["history", "--state", state, "--since", "30d"];
    let commands: [&[&str]; 3] = [&["report", "--state", state, "-o", out], &["history", "--state", state], &one];
    for command in commands {
        let mut times = Vec::new();
        let mut peak = 0;
        // The first warms the caches.
        for run in 0..=runs {
            let Timed { elapsed, peak_bytes, success } = timed(&mut sispush(command));
            assert!(success, "{command:?} failed");
            peak = peak.max(peak_bytes);
            if run > 0 {
                times.push(elapsed);
            }
        }
        let size = if command[0] == "report" { std::fs::metadata(&page).map_or(0, |file| file.len()) } else { 0 };
        let size = if size == 0 { "–".to_owned() } else { format!("{} kB", size / 1_000) };
        println!(
            "| `{}` | {:.2} s | {:.2} s | {} MiB | {size} |",
            command[0],
            median(&times).as_secs_f64(),
            times.iter().min().map_or(0.0, std::time::Duration::as_secs_f64),
            peak >> 20
        );
    }
}

/// A year in which most nights go well, some reject rows, and a few fail; gives the bytes of the file.
fn fill(path: &Path, schools: i64) -> u64 {
    let runtime = tokio::runtime::Builder::new_multi_thread().build().expect("a runtime");
    let identity = Identity { mapping: "school-0".into(), target: target(0) };
    runtime.block_on(async {
        let location = StateLocation::File(path.to_owned());
        let state = State::open(&location, &identity).await.expect("a state").expect("a state");
        state.close().await;
    });
    let mut store = rusqlite::Connection::open(path).expect("the state");
    let change = store.transaction().expect("a transaction");
    {
        let mut book = change
            .prepare("INSERT INTO books (mapping, target, key, revision, facts) VALUES (?, ?, randomblob(16), 1, '{}')")
            .expect("a statement");
        for school in 1..schools {
            book.execute((format!("school-{school}"), target(school))).expect("a book");
        }
        let mut insert = change
            .prepare(
                "INSERT INTO runs (book, started_at, ended_at, mode, plan, exit_code, report)
                 VALUES (?, ?, ?, 'delta', ?, ?, ?)",
            )
            .expect("a statement");
        let now = jiff::Timestamp::now().as_second();
        for night in 0..NIGHTS {
            for school in 0..schools {
                let started = now - (NIGHTS - night) * 86_400 + 36_000 + school;
                let (code, report) = report(school, night);
                let plan = (code != 3).then(|| format!("{:016x}", school * 1_000 + night));
                insert.execute((school + 1, started, started + 4, plan, code, report)).expect("a run");
            }
        }
    }
    change.commit().expect("a commit");
    std::fs::metadata(path).map_or(0, |file| file.len())
}

fn target(school: i64) -> String {
    format!("https://school-{school}.concordinfiniti.com/")
}

/// A run's exit code and summary, as a push writes it.
fn report(school: i64, night: i64) -> (i64, String) {
    let dice = (school * 7_919 + night * 104_729) % 997;
    if dice < 10 {
        let error = r#"{"rows":{},"error":"could not open the source `mssql://sis.example.local/SIS`","hint":"is the server running, is the port right, and does a firewall between let this machine through?","host":"nightly"}"#;
        return (3, error.to_owned());
    }
    let (rejected, code) = if dice < 200 { (dice % 9 + 1, 1) } else { (0, 0) };
    let rejections = match rejected {
        0 => "\"rejections\":{}".to_owned(),
        rows => format!(
            "\"rejections\":{{\"email\":{rows}}},\"rejections_by_extract\":{{\"students\":{{\"email\":{rows}}}}}"
        ),
    };
    let (created, updated) = (dice % 5, dice % 40);
    let feeds: Vec<String> = ["contacts", "groups", "images"].map(|feed| feed_report(feed, dice)).into();
    let summary = format!(
        "{{\"rows\":{{\"staff\":97,\"students\":1013}},\"rejected\":{rejected},{rejections},\"unchanged\":{},\
         \"planned\":{{\"changed\":{updated},\"failed_before\":0,\"new\":{created},\"resent\":0,\"returned\":0,\"unknown_before\":0}},\
         \"leavers\":3,\"grace\":2,\"deactivations\":0,\"expectations\":{{\"met\":2,\"warned\":0,\"failed\":0}},\"stops\":[],\
         \"accepted\":{},\"created\":{created},\"updated\":{updated},\"deactivated\":0,\"failed\":0,\"unknown\":0,\"not_sent\":0,\
         \"seconds\":{{\"read\":0.{:03},\"plan\":0.012,\"send\":0.{:03}}},\"feeds\":{{{}}},\"host\":\"nightly\"}}",
        1_110 - rejected - created - updated,
        created + updated,
        100 + dice % 800,
        50 + dice % 700,
        feeds.join(","),
    );
    (code, summary)
}

/// What the same run came to with another feed.
fn feed_report(feed: &str, dice: i64) -> String {
    let updated = dice % 7;
    format!(
        "\"{feed}\":{{\"rows\":{{\"{feed}\":1013}},\"rejected\":0,\"rejections\":{{}},\"unchanged\":{},\
         \"planned\":{{\"changed\":{updated},\"failed_before\":0,\"new\":0,\"resent\":0,\"returned\":0,\"unknown_before\":0}},\
         \"leavers\":0,\"deactivations\":0,\"expectations\":{{\"met\":0,\"warned\":0,\"failed\":0}},\"stops\":[],\
         \"accepted\":{updated},\"created\":0,\"updated\":{updated},\"deactivated\":0,\"failed\":0,\"unknown\":0,\"not_sent\":0}}",
        1_013 - updated
    )
}

#[expect(clippy::disallowed_methods, reason = "a benchmark has no other settings")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
