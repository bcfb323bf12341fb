//! A line from the terminal that is not shown while it is typed.

use std::io;

/// Asks, by `ask`, and reads the answer; `None` if the input ended or was broken off with Ctrl-C.
///
/// Ctrl-C ends the line like Enter does, and kills nothing: a program that is killed here would leave a terminal that
/// shows nothing that is typed.
#[cfg(unix)]
pub(super) fn line(ask: impl FnOnce() -> io::Result<()>) -> io::Result<Option<String>> {
    use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};

    const INTERRUPT: char = '\u{3}';
    let before = tcgetattr(io::stdin())?;
    let mut hidden = before.clone();
    hidden.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
    hidden.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT as u8;
    tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
    let mut line = String::new();
    // Asked only now: what is typed before is thrown away, since it was shown. The line's end comes as a line feed, or as Ctrl-C, which `read_line` would wait behind.
    let read = ask().and_then(|()| read_until(&mut line, INTERRUPT as u8));
    tcsetattr(io::stdin(), OptionalActions::Now, &before)?;
    let count = read?;
    Ok((count > 0 && !line.ends_with(INTERRUPT)).then(|| line.trim_end_matches(['\n', '\r']).to_owned()))
}

#[cfg(unix)]
fn read_until(line: &mut String, interrupt: u8) -> io::Result<usize> {
    use std::io::Read as _;

    let mut bytes = Vec::new();
    let mut stdin = io::stdin().lock();
    let mut byte = [0];
    while bytes.len() < LENGTH_MAX && stdin.read(&mut byte)? == 1 {
        bytes.push(byte[0]);
        if byte[0] == b'\n' || byte[0] == interrupt {
            break;
        }
    }
    *line = String::from_utf8(bytes).map_err(|_| io::Error::other("what was typed is not UTF-8"))?;
    Ok(line.len())
}

/// Longer than any terminal's line.
#[cfg(unix)]
const LENGTH_MAX: usize = 64 * 1024;

/// See above. The console is read key by key there, and keeps its settings.
#[cfg(not(unix))]
pub(super) fn line(ask: impl FnOnce() -> io::Result<()>) -> io::Result<Option<String>> {
    ask()?;
    match console::Term::stderr().read_secure_line() {
        Ok(line) => Ok(Some(line)),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
        Err(error) => Err(error),
    }
}
