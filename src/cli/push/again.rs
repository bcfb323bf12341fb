//! The command that runs the same push again by hand, with an approval: as it must be typed, to come to the same plan.

use std::path::Path;

use crate::cli::args::{PushArgs, RenamesArg};
use crate::ops::schedule::systemd::BY_HAND;
#[cfg(not(windows))]
use crate::ops::schedule::systemd::shell_word;

/// What such a command is made of.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Again {
    /// The words before `push`; nothing for `sispush` alone.
    program: Option<String>,
    /// What was asked for that makes another plan, or another state; with a blank before each.
    options: String,
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
        if args.despite_hold {
            option("--despite-hold");
        }
        // One with a password that is written out stays out of messages: whoever has it knows it.
        if let Some(state) = plan.state.state.as_deref().filter(|state| !super::super::schedule::has_password(state)) {
            option("--state");
            option(&word(state));
        }
        let words = std::env::var_os(BY_HAND).and_then(|words| words.into_string().ok());
        let program = words.filter(|words| !words.trim().is_empty());
        Self { program, options }
    }

    /// The command that carries out a mapping's plan of this id.
    pub(super) fn command(&self, mapping: &Path, id: &str) -> String {
        let words = format!("push {}{} --approve {id}", word(&mapping.display().to_string()), self.options);
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
