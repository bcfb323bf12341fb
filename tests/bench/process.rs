//! Whole processes: how long they take, and how much memory.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a process took.
pub(crate) struct Timed {
    pub(crate) elapsed: Duration,
    pub(crate) success: bool,
    pub(crate) peak_bytes: u64,
}

/// Runs a command as a whole process. The peak is the kernel's own high-water mark, read until the process ends.
pub(crate) fn timed(command: &mut Command) -> Timed {
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

/// The program itself.
pub(crate) fn sispush(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sispush"));
    command.args(arguments).env("SISPUSH_SYSTEM_LOG", "off");
    command
}

/// The middle one.
pub(crate) fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}
