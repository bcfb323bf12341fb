//! Times whole commands side by side: `sispush push` against the shortest hand-made way with each database's own
//! client and `curl`, both to a sink on loopback; then what the state costs: the first push that records everybody, and
//! the nights after it, against the extraction alone and against `sort` and `comm`. Prints ratios and peak memory.
//!
//! `cargo bench --bench push -- [ROWS…]`, by default 2000 and 100000; `SISPUSH_BENCH_RUNS` sets the runs (default 5).
//! A database whose server is not installed is left out, and the output says so.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a benchmark prints its table and may fail")]

#[path = "../support/mod.rs"]
mod support;

mod process;
mod school;
mod sink;

use std::process::{Command, Stdio};
use std::time::Duration;

use process::{median, sispush, timed};
use school::School;
use sink::Sink;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let sizes: Vec<usize> = arguments.iter().filter_map(|argument| argument.replace('_', "").parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![2_000, 100_000] } else { sizes };
    let runs = setting("SISPUSH_BENCH_RUNS").and_then(|runs| runs.parse().ok()).unwrap_or(5);

    let version: Vec<Duration> = (0..20).map(|_| timed(&mut sispush(&["--version"])).elapsed).collect();
    println!("sispush --version: {:.1} ms (median of 20)\n", median(&version).as_secs_f64() * 1e3);
    let schools: Vec<(tempfile::TempDir, School, Vec<school::Source>)> = sizes
        .iter()
        .map(|rows| {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let school = School::write(folder.path(), *rows);
            let sources = school.sources();
            (folder, school, sources)
        })
        .collect();
    println!("Everybody, without a state:\n");
    println!("| rows | source | sispush | by hand | ratio | peak memory | bound | own time |");
    println!("|---:|---|---:|---:|---:|---:|---:|---:|");
    for (_, school, sources) in &schools {
        for source in sources {
            compare(school, source, runs);
        }
    }
    println!(
        "\nWith a state (a is the stateless push, b the extraction alone, c `sort` and `comm` over two nights' CSV):\n"
    );
    println!(
        "| rows | source | first push | / a | nothing changed | / b | / c | 1 % changed | / b | peak memory | state, bytes a patron |"
    );
    println!("|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for (_, school, sources) in &schools {
        for source in sources {
            nights(school, source, runs);
        }
    }
}

/// The medians of one school's nights.
#[derive(Default)]
struct Nights {
    stateless: Vec<Duration>,
    first: Vec<Duration>,
    extraction: Vec<Duration>,
    unchanged: Vec<Duration>,
    changed: Vec<Duration>,
    by_hand: Vec<Duration>,
}

fn nights(school: &School, source: &school::Source, runs: usize) {
    let sink = Sink::start();
    let mapping = school.mapping(source, sink.port());
    let mapping = mapping.to_str().expect("a UTF-8 path");
    let state = school.folder.join("state.db");
    let path = state.to_str().expect("a UTF-8 path");
    let mut nights = Nights::default();
    let mut peak = 0;
    let mut sent = |command: &mut Command, rows: usize| {
        let timed = timed(command);
        assert!(timed.success, "a push failed for {}", source.name);
        assert_eq!(sink.take().rows, rows, "the sink got another number of rows from {}", source.name);
        peak = peak.max(timed.peak_bytes);
        timed.elapsed
    };
    let mut bytes = 0;
    let by_hand = source.nights_by_hand(&school.folder);
    // The first of each warms the caches.
    for run in 0..=runs {
        let stateless = sent(&mut sispush(&["push", "--state", "none", mapping]), school.accepted);
        for ending in ["", "-wal", "-shm"] {
            drop(std::fs::remove_file(format!("{path}{ending}")));
        }
        let first = sent(&mut sispush(&["push", "--state", path, mapping]), school.accepted);
        bytes = std::fs::metadata(&state).map_or(0, |file| file.len());
        let unchanged = sent(&mut sispush(&["push", "--delta", "--state", path, mapping]), 0);
        let extraction = timed(&mut sispush(&["preview", "--format", "csv", mapping])).elapsed;
        let rows = source.change(school, run);
        let changed = sent(&mut sispush(&["push", "--delta", "--state", path, mapping]), rows);
        let hand = timed(Command::new("sh").args(["-ec", &by_hand]));
        assert!(hand.success, "the hand-made way failed for {}: {by_hand}", source.name);
        if run > 0 {
            nights.stateless.push(stateless);
            nights.first.push(first);
            nights.unchanged.push(unchanged);
            nights.extraction.push(extraction);
            nights.changed.push(changed);
            nights.by_hand.push(hand.elapsed);
        }
    }
    let over = |ours: &[Duration], theirs: &[Duration]| {
        let mut ratios: Vec<f64> =
            ours.iter().zip(theirs).map(|(ours, theirs)| ours.as_secs_f64() / theirs.as_secs_f64()).collect();
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    };
    println!(
        "| {} | {} | {:.3} s | {:.2} | {:.3} s | {:.2} | {:.2} | {:.3} s | {:.2} | {} MiB | {} |",
        school.rows,
        source.name,
        median(&nights.first).as_secs_f64(),
        over(&nights.first, &nights.stateless),
        median(&nights.unchanged).as_secs_f64(),
        over(&nights.unchanged, &nights.extraction),
        over(&nights.unchanged, &nights.by_hand),
        median(&nights.changed).as_secs_f64(),
        over(&nights.changed, &nights.extraction),
        peak >> 20,
        bytes / school.accepted as u64,
    );
}

fn compare(school: &School, source: &school::Source, runs: usize) {
    let sink = Sink::start();
    let mapping = school.mapping(source, sink.port());
    let by_hand = source.by_hand(&school.folder, sink.port());
    let (mut ours, mut theirs, mut ratios, mut peak) = (Vec::new(), Vec::new(), Vec::new(), 0);
    // The first of each warms the caches.
    for run in 0..=runs {
        let own = timed(&mut sispush(&["push", "--state", "none", mapping.to_str().expect("a UTF-8 path")]));
        assert!(own.success, "sispush push failed for {}", source.name);
        let received = sink.take();
        assert_eq!(received.rows, school.accepted, "the sink got {} rows from sispush", received.rows);
        let hand = timed(Command::new("sh").args(["-ec", &by_hand]).stdout(Stdio::null()));
        assert!(hand.success, "the hand-made way failed for {}: {by_hand}", source.name);
        assert_eq!(sink.take().rows, school.accepted, "the hand-made way sent another number of rows");
        if run > 0 {
            ratios.push(own.elapsed.as_secs_f64() / hand.elapsed.as_secs_f64());
            ours.push(own.elapsed);
            theirs.push(hand.elapsed);
            peak = peak.max(own.peak_bytes);
        }
    }
    ratios.sort_by(f64::total_cmp);
    let csv = school.csv_bytes();
    println!(
        "| {} | {} | {:.3} s | {:.3} s | {:.2} ({:.2} to {:.2}) | {} MiB | {} MiB | {:.0} ms |",
        school.rows,
        source.name,
        median(&ours).as_secs_f64(),
        median(&theirs).as_secs_f64(),
        ratios[ratios.len() / 2],
        ratios[0],
        ratios[ratios.len() - 1],
        peak >> 20,
        ((2 * csv) >> 20) + 64,
        median(&ours).as_secs_f64() * 1e3,
    );
}

#[expect(clippy::disallowed_methods, reason = "a benchmark has no other settings")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
