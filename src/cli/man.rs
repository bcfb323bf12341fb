//! `man`: one manual page for all commands.

use std::io::{self, Write};

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::Cli;

/// Writes the page. By itself clap's renderer would point to a page for each command, of which there is none.
pub(super) fn render(out: &mut dyn Write) -> io::Result<()> {
    let command = Cli::command();
    let page = Man::new(command.clone());
    page.render_title(out)?;
    page.render_name_section(out)?;
    writeln!(out, ".SH SYNOPSIS\n\\fBsispush\\fR [\\fIGLOBAL OPTIONS\\fR] \\fICOMMAND\\fR [\\fIOPTIONS\\fR]")?;
    page.render_description_section(out)?;
    writeln!(out, ".SH COMMANDS")?;
    for subcommand in command.get_subcommands() {
        render_command(subcommand, out)?;
    }
    page.render_options_section(out)?;
    render_exit_codes(&command, out)
}

fn render_command(subcommand: &Command, out: &mut dyn Write) -> io::Result<()> {
    let name = format!("sispush {}", subcommand.get_name());
    let page = Man::new(subcommand.clone().bin_name(&name).disable_help_flag(true));
    let mut sections = Vec::new();
    page.render_synopsis_section(&mut sections)?;
    page.render_description_section(&mut sections)?;
    page.render_options_section(&mut sections)?;
    writeln!(out, ".SS \"{name}\"")?;
    for line in String::from_utf8_lossy(&sections).lines() {
        // Their headings would end this part of the page.
        match line.strip_prefix(".SH ") {
            Some(_) => writeln!(out, ".PP")?,
            None => writeln!(out, "{line}")?,
        }
    }
    Ok(())
}

fn render_exit_codes(command: &Command, out: &mut dyn Write) -> io::Result<()> {
    let text = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    writeln!(out, ".SH EXIT STATUS")?;
    for line in text.lines() {
        if let Some((number, meaning)) = line.trim_start().split_once(' ')
            && number.bytes().all(|byte| byte.is_ascii_digit())
        {
            writeln!(out, ".TP\n{number}\n{}", meaning.trim_start())?;
        }
    }
    Ok(())
}
