//! What the demo says around its push.

use std::io::{self, Write};

use super::{Output, STRONG, write_failed};
use crate::cli::demo::{Stage, Summary};
use crate::error::{Error, ExitCode};

impl Output {
    /// What was set up.
    pub(in crate::cli) fn demo_started(&mut self, stage: &Stage, summary: &Summary) -> Result<(), Error> {
        let mut out = self.data();
        let mut write = || -> io::Result<()> {
            writeln!(out, "A made-up school and a loopback Infiniti, in {}", stage.folder.display())?;
            writeln!(
                out,
                "  sample-sis.db  {} students and {} staff, with the mess of a real SIS; {} rows are wrong",
                summary.students,
                summary.staff,
                summary.rejected()
            )?;
            writeln!(out, "  demo.yaml      the mapping, with comments")?;
            writeln!(out, "  .env           the password that it names")?;
            writeln!(out, "  state.db       what that Infiniti has accepted, once it has")?;
            writeln!(out, "  infiniti.json  what the loopback Infiniti holds; its page is {}/", stage.url)?;
            writeln!(out, "\n{STRONG}$ sispush push {}{STRONG:#}", stage.mapping.display())
        };
        write().map_err(write_failed)
    }

    /// What happens between the two pushes.
    pub(in crate::cli) fn demo_next_night(&mut self, stage: &Stage, code: ExitCode) -> Result<(), Error> {
        let mut out = self.data();
        let mut write = || -> io::Result<()> {
            writeln!(out, "  exit code {}{}", code.number(), code_words(code))?;
            writeln!(
                out,
                "\nA day goes by: one student starts, two change their form, one leaves, one gets another login; a teacher gets another address"
            )?;
            writeln!(out, "\n{STRONG}$ sispush push {}{STRONG:#}", stage.mapping.display())
        };
        write().map_err(write_failed)
    }

    /// What to try next.
    pub(in crate::cli) fn demo_ended(
        &mut self,
        stage: &Stage,
        code: ExitCode,
        keeps_running: bool,
    ) -> Result<(), Error> {
        let mut out = self.data();
        let mapping = stage.mapping.display();
        let mut write = || -> io::Result<()> {
            writeln!(out, "  exit code {}{}", code.number(), code_words(code))?;
            writeln!(out, "\nTry next:")?;
            writeln!(out, "  sispush preview {mapping} --limit 10     who would be sent, and how")?;
            writeln!(out, "  sispush diff {mapping} --verbose        what a push would do, with every patron")?;
            writeln!(out, "  sispush state show {mapping}            what Infiniti has accepted")?;
            writeln!(out, "  sispush check {mapping}                  break a line of it first")?;
            if keeps_running {
                writeln!(out, "  {}/  in a browser; Ctrl-C ends the sandbox", stage.url)
            } else {
                writeln!(
                    out,
                    "  sispush sandbox --listen 127.0.0.1:{} --file {}\n  sispush push {mapping}                   in a second terminal: sends what you change",
                    stage.port,
                    stage.patrons.display()
                )
            }
        };
        write().map_err(write_failed)
    }
}

fn code_words(code: ExitCode) -> &'static str {
    match code {
        ExitCode::Rejections => ": done, but rows were rejected; they are the sample's mistakes",
        _ => "",
    }
}
