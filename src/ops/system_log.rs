//! The outcome of a push in the system's own log, where the tools that watch a machine look: journald on Linux, the Event
//! Log on Windows. On macOS nothing: its log is reached by `unsafe` code only.
//!
//! At a terminal nothing is noted, so that somebody who tries things out leaves no trace. What cannot be noted is lost
//! without a word but for the log's `debug`: it changes nothing of a run.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::OnceLock;

use crate::error::ExitCode;
use crate::process::RunId;

/// Where outcomes are noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the system's log, unless stderr is a terminal.
    Auto,
    /// Nowhere.
    Off,
    /// In a datagram socket that understands journald's protocol, at a terminal too.
    Socket(PathBuf),
}

impl FromStr for Place {
    type Err = String;

    /// `auto` (or blank), `off`, or a path with a slash in it: a slip of the pen must not be taken for a socket.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" | "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            path if path.contains('/') => Ok(Self::Socket(path.into())),
            _ => Err("it is `auto`, `off`, or the path of a socket, which has a `/`".into()),
        }
    }
}

/// How a push ended, for one mapping or as a whole. Not a value of a row in it, and no secret.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'o> {
    /// The mapping's name, or its file if it has none yet; `None` for the whole command.
    pub mapping: Option<&'o str>,
    /// The exit code of that mapping, or of the command.
    pub exit_code: ExitCode,
    /// What a person reads.
    pub message: &'o str,
    /// The process's id.
    pub run: RunId,
}

/// Where this process notes its outcomes; nowhere, unless [`start`] was called.
static PLACE: OnceLock<Place> = OnceLock::new();

/// Begins to note outcomes. A second call changes nothing.
pub fn start(place: Place) {
    PLACE.get_or_init(|| place.seen_by(io::stderr().is_terminal()));
}

/// Notes an outcome.
pub fn outcome(outcome: &Outcome<'_>) {
    let noted = match PLACE.get() {
        None | Some(Place::Off) => Ok(()),
        Some(Place::Auto) => note(outcome),
        Some(Place::Socket(path)) => send(path, outcome),
    };
    if let Err(error) = noted {
        tracing::debug!(%error, "the outcome is not in the system's log");
    }
}

impl Place {
    /// Whoever looks on at a terminal is told there.
    fn seen_by(self, is_terminal: bool) -> Self {
        if self == Self::Auto && is_terminal { Self::Off } else { self }
    }
}

impl Outcome<'_> {
    /// Whether nobody has to get up for it: done, be it with rejected rows.
    fn is_well(&self) -> bool {
        match self.exit_code {
            ExitCode::Complete | ExitCode::Rejections => true,
            ExitCode::Usage
            | ExitCode::Source
            | ExitCode::Target
            | ExitCode::Stopped
            | ExitCode::State
            | ExitCode::Interrupted => false,
        }
    }

    /// The fields of a line in journald. `PRIORITY` is syslog's: 3 error, 6 information.
    fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("MESSAGE", one_line(self.message)),
            ("PRIORITY", if self.is_well() { "6" } else { "3" }.to_owned()),
            ("SYSLOG_IDENTIFIER", "sispush".to_owned()),
            ("SISPUSH_EXIT_CODE", self.exit_code.number().to_string()),
            ("SISPUSH_OUTCOME", self.exit_code.word().to_owned()),
            ("SISPUSH_RUN", self.run.to_string()),
        ];
        if let Some(mapping) = self.mapping {
            fields.push(("SISPUSH_MAPPING", one_line(mapping)));
        }
        fields
    }
}

/// A line as journald takes it: `FIELD=value`, each with a line feed, in one datagram
/// (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL>).
pub fn datagram(outcome: &Outcome<'_>) -> Vec<u8> {
    outcome.fields().iter().flat_map(|(name, value)| format!("{name}={value}\n").into_bytes()).collect()
}

/// The arguments by which `eventcreate.exe` of Windows writes an entry into the log `Application`. The id is 100 and the
/// exit code, so that one can filter by it, and since 0 is none.
pub fn event_arguments(outcome: &Outcome<'_>) -> Vec<String> {
    let level = if outcome.is_well() { "INFORMATION" } else { "ERROR" };
    let id = (100 + u16::from(outcome.exit_code.number())).to_string();
    let text = format!("{} [run {}]", one_line(outcome.message), outcome.run);
    ["/L", "APPLICATION", "/SO", "sispush", "/T", level, "/ID", &id, "/D", &text].map(str::to_owned).to_vec()
}

/// The most characters of a message. A command line of Windows ends at 32,767, and nobody reads as much.
const CHARACTERS_MAX: usize = 4000;

/// A text in one line, shortened: a line feed would end its field, and begin another.
fn one_line(text: &str) -> String {
    let mut characters = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut line: String = characters.by_ref().take(CHARACTERS_MAX).collect();
    if characters.next().is_some() {
        line.push('…');
    }
    line
}

#[cfg(target_os = "linux")]
fn note(outcome: &Outcome<'_>) -> io::Result<()> {
    send(Path::new("/run/systemd/journal/socket"), outcome)
}

/// By the system's own program: its functions are called by `unsafe` code only. It takes some hundredths of a second, and
/// so mappings that went well are told by the command's own line alone.
#[cfg(windows)]
fn note(outcome: &Outcome<'_>) -> io::Result<()> {
    use std::process::{Command, Stdio};
    if outcome.mapping.is_some() && outcome.is_well() {
        return Ok(());
    }
    let mut command = Command::new("eventcreate.exe");
    command.args(event_arguments(outcome)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("eventcreate.exe: {status}"))) }
}

#[cfg(not(any(target_os = "linux", windows)))]
fn note(_: &Outcome<'_>) -> io::Result<()> {
    Ok(())
}

/// Sends a line in a datagram. A log that does not take it within a moment is not waited for.
#[cfg(unix)]
fn send(socket: &Path, outcome: &Outcome<'_>) -> io::Result<()> {
    let sender = std::os::unix::net::UnixDatagram::unbound()?;
    sender.set_write_timeout(Some(std::time::Duration::from_millis(250)))?;
    sender.send_to(&datagram(outcome), socket)?;
    Ok(())
}

#[cfg(not(unix))]
fn send(_: &Path, _: &Outcome<'_>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome<'o>(mapping: Option<&'o str>, exit_code: ExitCode, message: &'o str) -> Outcome<'o> {
        Outcome { mapping, exit_code, message, run: RunId::new("2026-11-23T02:30:00.125Z".parse().unwrap(), 0x12345) }
    }

    #[test]
    fn a_line_of_journald_has_a_field_a_line() {
        let outcome = outcome(Some("demo"), ExitCode::Source, "mapping `demo`: the source failed\nMESSAGE=forged");
        let expected = "\
MESSAGE=mapping `demo`: the source failed MESSAGE=forged
PRIORITY=3
SYSLOG_IDENTIFIER=sispush
SISPUSH_EXIT_CODE=3
SISPUSH_OUTCOME=source
SISPUSH_RUN=1a2063d24bd12345
SISPUSH_MAPPING=demo
";
        assert_eq!(String::from_utf8(datagram(&outcome)).unwrap(), expected);
    }

    #[test]
    fn only_what_is_done_is_information() {
        for (code, priority, level, id) in [
            (ExitCode::Complete, "6", "INFORMATION", "100"),
            (ExitCode::Rejections, "6", "INFORMATION", "101"),
            (ExitCode::Usage, "3", "ERROR", "102"),
            (ExitCode::Stopped, "3", "ERROR", "105"),
            (ExitCode::Interrupted, "3", "ERROR", "230"),
        ] {
            let outcome = outcome(None, code, "push of 3 mappings ended");
            let text = String::from_utf8(datagram(&outcome)).unwrap();
            assert!(text.contains(&format!("\nPRIORITY={priority}\n")), "{text}");
            assert!(!text.contains("SISPUSH_MAPPING"), "{text}");
            let arguments = event_arguments(&outcome).join(" ");
            let expected = format!(
                "/L APPLICATION /SO sispush /T {level} /ID {id} /D push of 3 mappings ended [run 1a2063d24bd12345]"
            );
            assert_eq!(arguments, expected);
        }
    }

    #[test]
    fn a_long_message_is_cut() {
        let message = "é".repeat(40_000);
        let cut = one_line(&message);
        assert_eq!(cut.chars().count(), CHARACTERS_MAX + 1);
        assert!(cut.ends_with("é…"));
        assert_eq!(one_line(&"é".repeat(CHARACTERS_MAX)).chars().count(), CHARACTERS_MAX);
    }

    #[test]
    fn a_place_is_a_word_or_a_path() {
        assert_eq!("auto".parse(), Ok(Place::Auto));
        assert_eq!("".parse(), Ok(Place::Auto));
        assert_eq!("off".parse(), Ok(Place::Off));
        assert_eq!("./log".parse(), Ok(Place::Socket("./log".into())));
        assert!("of".parse::<Place>().is_err());
    }

    #[test]
    fn at_a_terminal_only_what_is_asked_for_is_noted() {
        assert_eq!(Place::Auto.seen_by(true), Place::Off);
        assert_eq!(Place::Auto.seen_by(false), Place::Auto);
        for place in [Place::Off, Place::Socket("./log".into())] {
            assert_eq!(place.clone().seen_by(true), place);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_socket_that_is_not_there_or_full_is_an_error_and_no_wait() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let outcome = outcome(None, ExitCode::Complete, "push of 1 mapping ended");
        assert_eq!(send(&path, &outcome).unwrap_err().kind(), io::ErrorKind::NotFound);
        let listener = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        // Nobody reads: at some time nothing more goes in.
        let failed = (0..100_000).find_map(|_| send(&path, &outcome).err()).unwrap();
        assert!(matches!(failed.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{failed}");
        drop(listener);
        assert_eq!(send(&path, &outcome).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
