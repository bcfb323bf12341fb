//! What a run came to, in one word.

use crate::error::ExitCode;
use crate::state::Run;

/// What a run came to, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Done, or nothing to do.
    Fine,
    /// Done, but rows were rejected, refused or held back.
    Rejections,
    /// It did not end: interrupted, killed, or still running.
    Unended,
    /// A limit or an expectation stopped it; nothing was sent.
    Stopped,
    /// It failed.
    Failed,
}

impl Outcome {
    /// All of them, from good to bad.
    pub const ALL: [Self; 5] = [Self::Fine, Self::Rejections, Self::Unended, Self::Stopped, Self::Failed];

    /// That of a run in the history.
    pub fn of(run: &Run) -> Self {
        let Some(code) = run.exit_code.filter(|_| run.ended_at.is_some()) else { return Self::Unended };
        // Whatever code a newer program adds is no success.
        let known = ExitCode::ALL.iter().find(|known| known.number() == code);
        known.map_or(Self::Failed, |code| match code {
            ExitCode::Complete => Self::Fine,
            ExitCode::Rejections => Self::Rejections,
            ExitCode::Stopped => Self::Stopped,
            ExitCode::Interrupted => Self::Unended,
            ExitCode::Usage | ExitCode::Source | ExitCode::Target | ExitCode::State => Self::Failed,
        })
    }

    /// The name of it in tables and keys.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Rejections => "rejections",
            Self::Unended => "not ended",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }

    /// The name of its class in the page.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Rejections => "rejections",
            Self::Unended => "unended",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }

    /// Its place in [`Self::ALL`].
    pub(super) fn index(self) -> usize {
        match self {
            Self::Fine => 0,
            Self::Rejections => 1,
            Self::Unended => 2,
            Self::Stopped => 3,
            Self::Failed => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::state::Summary;

    #[test]
    fn every_exit_code_has_an_outcome() {
        let of = |exit_code, is_ended: bool| {
            Outcome::of(&Run {
                started_at: Timestamp::UNIX_EPOCH,
                ended_at: is_ended.then_some(Timestamp::UNIX_EPOCH),
                mode: String::new(),
                plan: None,
                exit_code,
                summary: Summary::default(),
            })
        };
        let words: Vec<&str> = ExitCode::ALL.iter().map(|code| of(Some(code.number()), true).word()).collect();
        assert_eq!(words, ["fine", "rejections", "failed", "failed", "failed", "stopped", "failed", "not ended"]);
        assert_eq!(of(Some(77), true), Outcome::Failed);
        assert_eq!(of(None, true), Outcome::Unended);
        assert_eq!(of(Some(0), false), Outcome::Unended);
        assert!(Outcome::ALL.iter().enumerate().all(|(index, outcome)| outcome.index() == index));
    }
}
