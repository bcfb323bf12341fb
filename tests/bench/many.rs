//! Times `push FOLDER --jobs 2` of many small schools with a state, SQLite sources, and a sink on loopback for a target:
//! the first night, when everybody is new, and nights on which nothing changed. Prints times and peak memory.
//!
//! `cargo bench --bench many -- [SCHOOLS [PATRONS]]`, by default 1000 schools of 1000 patrons.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a benchmark prints its table and may fail")]

#[path = "../support/mod.rs"]
mod support;

mod process;
#[expect(dead_code, reason = "a school has other databases, for the other benchmark")]
mod school;
mod sink;

use process::{median, sispush, timed};
use school::School;
use sink::Sink;

const NIGHTS: usize = 3;

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.replace('_', "").parse().ok());
    let (schools, patrons) = (numbers.next().unwrap_or(1_000), numbers.next().unwrap_or(1_000));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let school = School::write(folder.path(), patrons);
    let sink = Sink::start();
    let mapping = std::fs::read_to_string(school.mapping(&school.sqlite(), sink.port())).expect("the mapping");
    let mappings = folder.path().join("schools");
    std::fs::create_dir(&mappings).expect("a folder for the mappings");
    for number in 0..schools {
        // Each with a database of its own, as in life.
        let database = format!("school{number}.db");
        std::fs::copy(folder.path().join("school.db"), folder.path().join(&database)).expect("a database");
        let text = mapping.replace("school.db", &database) + "mode: delta\n";
        std::fs::write(mappings.join(format!("school{number}.yaml")), text).expect("a mapping");
    }
    let state = folder.path().join("state.db");
    let (mappings, state) = (mappings.to_str().expect("a UTF-8 path"), state.to_str().expect("a UTF-8 path"));
    let push = || {
        let timed = timed(&mut sispush(&["push", mappings, "--jobs", "2", "--state", state]));
        assert!(timed.success, "a push failed");
        (timed, sink.take().rows)
    };
    let (first, rows) = push();
    assert_eq!(rows, schools * patrons, "not everybody came");
    let mut peak = 0;
    let nights: Vec<_> = (0..NIGHTS)
        .map(|_| {
            let (night, rows) = push();
            assert_eq!(rows, 0, "somebody was sent again");
            peak = peak.max(night.peak_bytes);
            night.elapsed
        })
        .collect();
    println!("| schools | patrons each | first night | peak memory | nothing changed | peak memory |");
    println!("|---:|---:|---:|---:|---:|---:|");
    println!(
        "| {schools} | {patrons} | {:.1} s | {} MiB | {:.1} s | {} MiB |",
        first.elapsed.as_secs_f64(),
        first.peak_bytes >> 20,
        median(&nights).as_secs_f64(),
        peak >> 20
    );
}
