//! What the demo says around its push.

use std::io::{self, Write};

use super::{Output, STRONG, write_failed};
use crate::cli::demo::{Finding, Outcome, Stage, Summary};
use crate::error::{Error, ExitCode};

impl Output {
    /// What was set up.
    pub(in crate::cli) fn demo_started(&mut self, stage: &Stage, summary: &Summary) -> Result<(), Error> {
        let mut out = self.data();
        let mut write = || -> io::Result<()> {
            writeln!(out, "A made-up school and a loopback Infiniti, in {}", stage.folder.display())?;
            writeln!(
                out,
                "  sample-sis.db  {} students, {} staff, {} guardians, {} photos, {} memberships in library groups",
                summary.students, summary.staff, summary.guardians, summary.photos, summary.memberships
            )?;
            writeln!(out, "  demo.yaml      the mapping, with comments")?;
            writeln!(out, "  .env           the password that it names")?;
            writeln!(out, "  state.db       what that Infiniti has accepted, once it has")?;
            writeln!(
                out,
                "  infiniti.json  what the loopback Infiniti holds, pictures beside it; its page is {}/",
                stage.url
            )?;
            writeln!(out, "\nPut into the SIS on purpose, and what a push makes of it:")?;
            for (contract, mess) in summary.feeds() {
                let told = mess.iter().filter_map(|finding| Some((outcome_words(finding.outcome)?, finding)));
                for (number, (outcome, Finding { count, what, .. })) in told.enumerate() {
                    let feed = if number == 0 { contract.feed } else { "" };
                    writeln!(out, "  {feed:<9} {outcome:<9} {count:>3} {what}")?;
                }
            }
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
                "\nA day goes by: one student starts, two change their form, one leaves, one gets another login; a teacher gets\n\
                 another address, a mother another mobile number; one student has a new photo, and one may borrow as a senior"
            )?;
            writeln!(out, "\n{STRONG}$ sispush push {}{STRONG:#}", stage.mapping.display())
        };
        write().map_err(write_failed)
    }

    /// What the loopback Infiniti holds of each feed now, and what to try next.
    pub(in crate::cli) fn demo_ended(
        &mut self,
        stage: &Stage,
        code: ExitCode,
        held: [usize; 4],
        keeps_running: bool,
    ) -> Result<(), Error> {
        let mut out = self.data();
        let mapping = stage.mapping.display();
        let mut write = || -> io::Result<()> {
            writeln!(out, "  exit code {}{}", code.number(), code_words(code))?;
            let [patrons, contacts, images, groups] = held;
            writeln!(
                out,
                "\nInfiniti now holds {patrons} patrons, {contacts} contacts, {images} pictures and {groups} memberships in groups"
            )?;
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

/// What is put right on the way, or is nothing to put right, needs no line.
fn outcome_words(outcome: Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Sent => None,
        Outcome::Warned => Some("warned of"),
        Outcome::LeftOut => Some("left out"),
        Outcome::Rejected => Some("rejected"),
    }
}

fn code_words(code: ExitCode) -> &'static str {
    match code {
        ExitCode::Rejections => ": done, but rows were rejected; they are the sample's mistakes",
        _ => "",
    }
}
