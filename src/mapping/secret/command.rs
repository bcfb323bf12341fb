//! `${command:…}`: a program that prints a secret.
//!
//! There is no shell: what stands in the braces is split into words, and the first is the program. It gets no input, its
//! errors are thrown away, since they may hold what it is about, and it must end in time.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::mapping::secret::{Fault, file, late};
use crate::secret::Secret;

/// So long a program may take: nobody sits there who could answer a question.
const LIMIT: Duration = Duration::from_secs(30);

/// So much a program may print: a secret is a line.
const OUTPUT_MAX: u64 = 64 * 1024;

/// The words of a command: split at spaces and tabs; what stands in single or double quotes is one word, as it is. There
/// are no escapes, so a Windows path needs none.
pub(super) fn words(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for char in text.chars() {
        match (char, quote) {
            (_, Some(open)) if char == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (' ' | '\t', None) => words.extend(word.take()),
            (char, _) if char.is_control() => return Err("it holds a line break or another control character"),
            (char, _) => word.get_or_insert_default().push(char),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed");
    }
    words.extend(word);
    match words.first() {
        Some(program) if !program.is_empty() => Ok(words),
        _ => Err("it names no program"),
    }
}

/// The first line that a program prints. A program with a `/` in its name is relative to the mapping's folder, in which
/// all of them run.
pub(super) fn run(words: &[String], folder: &Path, limit: Option<Duration>) -> Result<Secret, Fault> {
    let limit = limit.unwrap_or(LIMIT);
    let Some((name, arguments)) = words.split_first() else {
        return Err(Fault { message: "the command is blank".into(), hint: None });
    };
    let program = match own_program(name, folder) {
        Some(path) => {
            file::check_own(&path)?;
            path
        }
        None => name.into(),
    };
    let asked = format!("{} in {}", words.join("\0"), folder.display());
    if let Some(fault) = late::before(&asked) {
        return Err(fault);
    }
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    if !folder.as_os_str().is_empty() {
        command.current_dir(folder);
    }
    // So that it can be ended with all that it has started.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let child = command.spawn().map_err(|error| unstarted(name, &error))?;
    let mut running = Running::new(child);
    let printed = running.printed(limit).map_err(|trouble| {
        let is_late = matches!(trouble, Trouble::Late);
        let fault = trouble.fault(name, limit);
        if is_late {
            late::remember(asked, &fault);
        }
        fault
    })?;
    let text = String::from_utf8(printed)
        .map_err(|_| Fault::new(format!("what `{name}` prints is not UTF-8 text"), "let it print UTF-8"))?;
    Ok(text.lines().next().unwrap_or_default().into())
}

/// The path of a program that is named by one.
fn own_program(name: &str, folder: &Path) -> Option<PathBuf> {
    let is_path = name.contains('/') || cfg!(windows) && name.contains('\\');
    // Absolute, since it is looked for from another folder than this one.
    is_path.then(|| std::path::absolute(folder.join(name)).unwrap_or_else(|_| folder.join(name)))
}

fn unstarted(name: &str, error: &io::Error) -> Fault {
    let message = format!("could not run `{name}`: {error}");
    match error.kind() {
        io::ErrorKind::NotFound => Fault::new(
            message,
            "is it installed, and in the `PATH` of the account that runs sispush? a path with `/` starts from the mapping's folder",
        ),
        io::ErrorKind::PermissionDenied => {
            Fault::new(message, "let the account that runs sispush execute it, for example by `chmod u+x`")
        }
        _ => Fault { message, hint: None },
    }
}

/// Why a program gave no secret.
enum Trouble {
    Late,
    Long,
    Ended(ExitStatus),
    System(io::Error),
}

impl Trouble {
    fn fault(self, name: &str, limit: Duration) -> Fault {
        const BY_HAND: &str = "run it by hand, as the account that runs sispush and in the mapping's folder; its error messages are not shown here, since they may hold secrets";
        match self {
            Self::Late => Fault::new(
                format!("`{name}` did not end within {} s, and was stopped", limit.as_secs_f32()),
                format!("does it ask for something? nobody can answer it at night: {BY_HAND}"),
            ),
            Self::Long => Fault::new(
                format!("`{name}` printed more than 64 KiB, which is no secret, and was stopped"),
                "let it print the secret in its first line, and nothing else",
            ),
            Self::Ended(status) => Fault::new(format!("`{name}` failed: {}", status_text(status)), BY_HAND),
            Self::System(error) => {
                Fault { message: format!("could not read what `{name}` prints: {error}"), hint: None }
            }
        }
    }
}

fn status_text(status: ExitStatus) -> String {
    status.code().map_or_else(|| status.to_string(), |code| format!("exit code {code}"))
}

/// A program that runs; ended with its children if it is not over when this is dropped.
struct Running {
    child: Child,
    is_over: bool,
}

/// The programs that run, by their ids: whoever ends sispush in the middle ends them, too.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// Ends the programs that are asked for secrets, for a sispush that is about to end.
pub(crate) fn stop_commands() {
    for id in running(std::mem::take) {
        end(id);
    }
}

fn running<T>(change: impl FnOnce(&mut Vec<u32>) -> T) -> T {
    change(&mut RUNNING.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Running {
    fn new(child: Child) -> Self {
        running(|ids| ids.push(child.id()));
        Self { child, is_over: false }
    }

    /// All that it prints, once it has ended well.
    fn printed(&mut self, limit: Duration) -> Result<Vec<u8>, Trouble> {
        let deadline = Instant::now() + limit;
        let Some(stdout) = self.child.stdout.take() else { return Ok(Vec::new()) };
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = stdout.take(OUTPUT_MAX + 1).read_to_end(&mut bytes).map(|_| bytes);
            // Nobody listens any longer when the time is over.
            drop(sender.send(read));
        });
        let bytes = match receiver.recv_timeout(limit) {
            Ok(read) => read.map_err(Trouble::System)?,
            Err(_) => return Err(Trouble::Late),
        };
        if bytes.len() as u64 > OUTPUT_MAX {
            return Err(Trouble::Long);
        }
        // What has closed its output ends at once, as a rule.
        loop {
            if let Some(status) = self.child.try_wait().map_err(Trouble::System)? {
                self.is_over = true;
                return if status.success() { Ok(bytes) } else { Err(Trouble::Ended(status)) };
            }
            if Instant::now() >= deadline {
                return Err(Trouble::Late);
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let id = self.child.id();
        running(|ids| ids.retain(|running| *running != id));
        if !self.is_over {
            end(id);
            // It may be over by now, and there is nothing else to be done about it.
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// Ends a program and what it has started, as far as that stayed in its group.
#[cfg(unix)]
fn end(id: u32) {
    use rustix::process::{Pid, Signal, kill_process_group};

    if let Some(group) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        let _may_be_over = kill_process_group(group, Signal::KILL);
    }
}

/// Likewise, by the system's own program for it.
#[cfg(not(unix))]
fn end(id: u32) {
    let mut taskkill = Command::new("taskkill");
    taskkill.args(["/T", "/F", "/PID", &id.to_string()]);
    drop(taskkill.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_into_words() {
        for (text, expected) in [
            ("pass", &["pass"][..]),
            ("  pass\tshow  sis ", &["pass", "show", "sis"]),
            ("a 'b c' \"d 'e\" f\"g h\"i ''", &["a", "b c", "d 'e", "fg hi", ""]),
            ("C:\\x\\pass.exe $HOME * ~ | ; a=b", &["C:\\x\\pass.exe", "$HOME", "*", "~", "|", ";", "a=b"]),
            ("'a b' c", &["a b", "c"]),
        ] {
            assert_eq!(words(text).unwrap(), expected, "{text}");
        }
        for text in ["", " ", "'' x", "a 'b", "a \"b'", "a\nb", "a 'b\rc'"] {
            assert!(words(text).is_err(), "{text}");
        }
    }

    #[cfg(unix)]
    fn shell(script: &str) -> Result<String, String> {
        let words = ["sh", "-c", script].map(str::to_owned);
        let secret = run(&words, Path::new("/"), Some(Duration::from_millis(800)));
        secret.map(|secret| secret.expose_secret().to_owned()).map_err(|fault| {
            let text = format!("{} | {}", fault.message, fault.hint.unwrap_or_default());
            assert!(!text.contains("canary"), "{text}");
            fault.message
        })
    }

    #[cfg(unix)]
    #[test]
    fn the_first_line_is_the_secret() {
        for (script, secret) in [
            ("echo s3cret", "s3cret"),
            ("printf s3cret", "s3cret"),
            ("printf 's3 cret \\r\\nlogin: x\\n'", "s3 cret "),
            ("pwd", "/"),
            ("cat; echo read nothing", "read nothing"),
            ("echo canary >&2; echo ok", "ok"),
            ("true", ""),
        ] {
            assert_eq!(shell(script).unwrap(), secret, "{script}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_program_that_gives_none_is_told_without_its_words() {
        for (script, message) in [
            ("echo canary; echo canary >&2; exit 3", "`sh` failed: exit code 3"),
            ("echo canary; kill -9 $$", "`sh` failed: signal: 9 (SIGKILL)"),
            ("printf 'canary\\377'", "what `sh` prints is not UTF-8 text"),
            ("yes canary", "`sh` printed more than 64 KiB, which is no secret, and was stopped"),
        ] {
            assert_eq!(shell(script).unwrap_err(), message, "{script}");
        }
        let missing = run(&["./nowhere-at-all".to_owned()], Path::new("/"), None).unwrap_err();
        assert!(missing.message.contains("does not exist"), "{}", missing.message);
        let missing = run(&["nowhere-at-all".to_owned()], Path::new("/"), None).unwrap_err();
        assert!(missing.message.starts_with("could not run `nowhere-at-all`: "), "{}", missing.message);
    }

    /// Regression: hundreds of schools waited half a minute each for one program that hung, and again for their notices.
    #[cfg(unix)]
    #[test]
    fn a_program_that_hung_is_not_waited_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let words = ["sh", "-c", "echo x >> runs; sleep 61"].map(str::to_owned);
        let ask = |limit| run(&words, folder.path(), Some(limit)).unwrap_err();
        assert_eq!(ask(Duration::from_millis(300)), ask(Duration::from_hours(1)));
        assert_eq!(std::fs::read_to_string(folder.path().join("runs")).unwrap(), "x\n");
    }

    /// With what it has started: the child of a shell would hold its output open, and go on.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_program_that_does_not_end_is_stopped_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        for script in [
            "sleep 61 & echo $! > PID; wait",
            "sleep 61 & echo $! > PID; echo canary",
            "exec >&-; echo $$ > PID; sleep 61",
        ] {
            let file = folder.path().join("pid");
            let message = shell(&script.replace("PID", &file.display().to_string())).unwrap_err();
            assert_eq!(message, "`sh` did not end within 0.8 s, and was stopped", "{script}");
            let child = std::fs::read_to_string(&file).unwrap();
            let deadline = Instant::now() + Duration::from_secs(10);
            // Gone, or dead and not yet taken note of by its new parent. A kill takes a moment.
            let is_over = || {
                let state = std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
                state.is_empty() || state.contains(") Z ")
            };
            while !is_over() {
                assert!(Instant::now() < deadline, "{script}");
                thread::yield_now();
            }
        }
        assert!(running(|ids| ids.is_empty()));
    }
}
