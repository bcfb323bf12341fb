//! Times whole commands side by side: `sispush push` against the shortest hand-made way with each database's own
//! client and `curl`, both to a sink on loopback. Prints the ratios and the peak memory.
//!
//! `cargo bench --bench push -- [ROWS…]`, by default 2000 and 100000; `SISPUSH_BENCH_RUNS` sets the runs (default 5).
//! A database whose server is not installed is left out, and the output says so.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a benchmark prints its table and may fail")]

#[path = "../support/mod.rs"]
mod support;

mod school;
mod sink;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use school::School;
use sink::Sink;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let sizes: Vec<usize> = arguments.iter().filter_map(|argument| argument.replace('_', "").parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![2_000, 100_000] } else { sizes };
    let runs = setting("SISPUSH_BENCH_RUNS").and_then(|runs| runs.parse().ok()).unwrap_or(5);

    let version: Vec<Duration> = (0..20).map(|_| timed(&mut sispush(&["--version"])).elapsed).collect();
    println!("sispush --version: {:.1} ms (median of 20)\n", median(&version).as_secs_f64() * 1e3);
    println!("| rows | source | sispush | by hand | ratio | peak memory | bound | own time |");
    println!("|---:|---|---:|---:|---:|---:|---:|---:|");
    for rows in sizes {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let school = School::write(folder.path(), rows);
        for source in school.sources() {
            compare(&school, &source, runs);
        }
    }
}

fn compare(school: &School, source: &school::Source, runs: usize) {
    let sink = Sink::start();
    let mapping = school.mapping(source, sink.port());
    let by_hand = source.by_hand(&school.folder, sink.port());
    let (mut ours, mut theirs, mut ratios, mut peak) = (Vec::new(), Vec::new(), Vec::new(), 0);
    // The first of each warms the caches.
    for run in 0..=runs {
        let own = timed(&mut sispush(&["push", mapping.to_str().expect("a UTF-8 path")]));
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

struct Timed {
    elapsed: Duration,
    success: bool,
    peak_bytes: u64,
}

/// Runs a command as a whole process. The peak is the kernel's own high-water mark, read until the process ends.
fn timed(command: &mut Command) -> Timed {
    let started = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the command starts");
    let status = format!("/proc/{}/status", child.id());
    let watch = std::thread::spawn(move || {
        let mut peak = 0;
        while let Some(now) = high_water(Path::new(&status)) {
            peak = peak.max(now);
            std::thread::sleep(Duration::from_millis(2));
        }
        peak
    });
    let exit = child.wait().expect("the command ends");
    let elapsed = started.elapsed();
    Timed { elapsed, success: exit.success(), peak_bytes: watch.join().expect("the watch ends") }
}

fn high_water(status: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(status).ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

fn sispush(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sispush"));
    command.args(arguments);
    command
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

#[expect(clippy::disallowed_methods, reason = "a benchmark has no other settings")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
