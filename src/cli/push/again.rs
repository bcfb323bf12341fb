//! The command that runs the same push again by hand, with an approval: as it must be typed, to come to the same plan.

use std::path::Path;

use crate::cli::args::{PushArgs, RenamesArg};
use crate::cli::schedule::has_password;
use crate::mapping::{Mapping, StateLocation};
use crate::ops::schedule::systemd::BY_HAND;
#[cfg(not(windows))]
use crate::ops::schedule::systemd::shell_word;
use crate::state::default_file;

/// What such a command is made of.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Again {
    /// The words before `push`; nothing for `sispush` alone.
    program: Option<String>,
    /// What was asked for that makes another plan; with a blank before each.
    options: String,
    /// The state as it was typed. Not told if a password is written out in it: whoever has that knows it.
    state: Option<String>,
}

impl Again {
    /// Of what was typed, and of what a service that runs this was told.
    pub(super) fn of(args: &PushArgs) -> Self {
        let plan = &args.plan;
        let mut options = String::new();
        let mut option = |text: &str| {
            options.push(' ');
            options.push_str(text);
        };
        if plan.full {
            option("--full");
        }
        if plan.delta {
            option("--delta");
        }
        match plan.renames {
            RenamesArg::Hold => {}
            RenamesArg::Realigned => option("--renames realigned"),
            RenamesArg::Separate => option("--renames separate"),
        }
        if plan.all_new {
            option("--all-new");
        }
        for feed in &plan.feeds {
            option(&format!("--feed {}", feed.contract().feed));
        }
        if args.despite_hold {
            option("--despite-hold");
        }
        let state = plan.state.state.clone();
        let words = std::env::var_os(BY_HAND).and_then(|words| words.into_string().ok());
        let program = words.filter(|words| !words.trim().is_empty());
        Self { program, options, state }
    }

    /// The command that carries out a mapping's plan of this id, in the same shell.
    pub(super) fn command(&self, mapping: &Path, id: &str) -> String {
        self.with(mapping, self.state.as_deref().filter(|state| !has_password(state)), id)
    }

    /// The same for a message or a page, which is read elsewhere: in another folder, and by an account whose own state is
    /// another one.
    pub(super) fn command_anywhere(&self, mapping: &Mapping, id: &str) -> String {
        let path = std::path::absolute(&mapping.path).unwrap_or_else(|_| mapping.path.clone());
        let state = match (&self.state, &mapping.state) {
            (Some(typed), _) if has_password(typed) => None,
            (Some(typed), _) if typed.contains("://") || typed.eq_ignore_ascii_case("none") => Some(typed.clone()),
            (Some(typed), _) => std::path::absolute(typed).ok().map(|file| file.display().to_string()),
            // A service's own command has its state.
            (None, StateLocation::Default) if self.program.is_none() => {
                default_file().ok().map(|file| file.display().to_string())
            }
            (None, _) => None,
        };
        self.with(&path, state.as_deref(), id)
    }

    fn with(&self, mapping: &Path, state: Option<&str>, id: &str) -> String {
        let state = state.map(|state| format!(" --state {}", word(state))).unwrap_or_default();
        let words = format!("push {}{}{state} --approve {id}", word(&mapping.display().to_string()), self.options);
        match &self.program {
            // systemd takes `$` of a word for a variable.
            Some(program) => format!("{program} {}", words.replace('$', "$$")),
            None => format!("sispush {words}"),
        }
    }
}

/// One word of the shell that people have here.
#[cfg(not(windows))]
fn word(text: &str) -> String {
    shell_word(text)
}

/// Likewise: no file's name has a quote in it.
#[cfg(windows)]
fn word(text: &str) -> String {
    if text.contains([' ', '&', '^', '(', ')', ';', ',', '=']) { format!("\"{text}\"") } else { text.to_owned() }
}
