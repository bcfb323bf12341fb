//! What `init` asks and says.

use std::io::{self, Write};

use super::{Output, STRONG, WARNING, counted, number, write_failed};
use crate::cli::init::{Offers, ROWS_MAX, Summary, Wanted};
use crate::error::{Error, causes};
use crate::mapping::shipped::Shipped;
use crate::source::{Connection, Engine};

/// A question.
#[derive(Debug)]
pub(in crate::cli) enum Question<'q> {
    /// Which shipped mapping to start from.
    Template(&'static [Shipped]),
    /// Which engine; with the shipped mapping's address as an example.
    Engine {
        /// Such as `mssql://…`.
        example: Option<&'q str>,
    },
    /// Which SQLite file.
    File,
    /// The folder of CSV files.
    Folder,
    /// What ODBC is to connect to.
    DataSource,
    /// Which server.
    Host(Engine),
    /// Which database.
    Database,
    /// Which login.
    Login,
    /// The school's Infiniti address.
    Target,
    /// The importing account.
    Account(&'q str),
    /// Whether the database may be looked at.
    MayLook(&'q Connection),
    /// The database login's password.
    Password {
        /// Whose.
        login: &'q str,
    },
    /// Whether passwords go into `.env`.
    Keep,
    /// The importing account's password.
    TargetPassword {
        /// Whose.
        account: &'q str,
    },
}

impl Question<'_> {
    /// The question without its list, for when the list has just been shown; `None` if it has none.
    pub(in crate::cli) fn again(&self) -> Option<Question<'static>> {
        match self {
            Question::Template(_) => Some(Question::Template(&[])),
            _ => None,
        }
    }
}

/// What is wrong with an answer.
#[derive(Debug)]
pub(in crate::cli) struct Remark<'r> {
    pub(in crate::cli) message: &'r str,
    pub(in crate::cli) hint: Option<&'r str>,
}

impl Output {
    /// Asks; the answer is typed behind it.
    pub(in crate::cli) fn question(&mut self, question: &Question<'_>) -> io::Result<()> {
        let mut notes = self.notes();
        match question {
            Question::Template([]) => write!(notes, "Number or name [0]: ")?,
            Question::Template(shipped) => {
                writeln!(notes, "Which SIS is it? These mappings are shipped:")?;
                writeln!(notes, "  0  another one: look at the database and guess")?;
                for (index, shipped) in shipped.iter().enumerate() {
                    writeln!(notes, "  {}  {}: {}", index + 1, shipped.name, shipped.about())?;
                }
                write!(notes, "Number or name [0]: ")?;
            }
            Question::Engine { example } => {
                writeln!(notes, "Which database does it run on?")?;
                writeln!(
                    notes,
                    "  1  Microsoft SQL Server\n  2  PostgreSQL\n  3  MySQL or MariaDB\n  4  a SQLite file\n  5  a folder of CSV files\n  6  any other, through ODBC"
                )?;
                let example = example.unwrap_or("mssql://svc_library@sis.example.local/Synergetic");
                write!(notes, "Number, or a whole address or connection string such as {example}: ")?;
            }
            Question::File => write!(notes, "File, relative to the mapping: ")?,
            Question::DataSource => write!(notes, "ODBC data source of this machine, or a connection string: ")?,
            Question::Folder => write!(notes, "Folder, relative to the mapping: ")?,
            Question::Host(Engine::SqlServer) => {
                write!(notes, "Server, such as sis.example.local or sis\\INSTANCE or sis,1433: ")?;
            }
            Question::Host(_) => write!(notes, "Server, such as sis.example.local or sis:5432: ")?,
            Question::Database => write!(notes, "Database: ")?,
            Question::Login => write!(notes, "Login of the database, one that may only read: ")?,
            Question::Target => write!(
                notes,
                "The school's Infiniti address, or its first word: example is https://example.concordinfiniti.com: "
            )?,
            Question::Account(default) => write!(notes, "Infiniti account that imports [{default}]: ")?,
            Question::MayLook(source) => write!(
                notes,
                "May sispush look at {source} now? It logs in, reads the list of tables and a few rows of some, and writes nothing. [Y/n]: "
            )?,
            Question::Password { login } => write!(notes, "Password of `{login}` (not shown): ")?,
            Question::Keep => {
                write!(notes, "Keep the password in `.env` beside the mapping, which only you can read? [Y/n]: ")?;
            }
            Question::TargetPassword { account } => write!(
                notes,
                "Password of `{account}` in Infiniti, for `.env` too (not shown, not tested; Enter leaves it for later): "
            )?,
        }
        notes.flush()
    }

    /// Ends the line of what was typed and not shown.
    pub(in crate::cli) fn line_ends(&mut self) -> io::Result<()> {
        writeln!(self.notes())
    }

    /// Says what is wrong with an answer.
    pub(in crate::cli) fn remark(&mut self, remark: &Remark<'_>) -> io::Result<()> {
        let mut notes = self.notes();
        match remark.hint {
            Some(hint) => writeln!(notes, "  {}; {hint}", remark.message),
            None => writeln!(notes, "  {}", remark.message),
        }
    }

    /// The shipped mappings.
    pub(in crate::cli) fn shipped(&mut self, shipped: &[Shipped]) -> Result<(), Error> {
        let width = shipped.iter().map(|shipped| shipped.name.len()).max().unwrap_or(0);
        for shipped in shipped {
            writeln!(self.data(), "{:<width$}  {}", shipped.name, shipped.about()).map_err(write_failed)?;
        }
        Ok(())
    }

    /// What the look is going to do.
    pub(in crate::cli) fn look_begins(
        &mut self,
        source: &Connection,
        wanted: &Wanted,
        is_shipped: bool,
    ) -> Result<(), Error> {
        let what = if is_shipped {
            "runs the mapping's queries up to their first row".to_owned()
        } else if wanted.is_all() {
            format!("reads up to {ROWS_MAX} rows of what you named")
        } else if wanted.is_given() {
            format!(
                "reads the list of tables, and up to {ROWS_MAX} rows of what you named and of those that may be lists of people"
            )
        } else {
            format!("reads the list of tables and up to {ROWS_MAX} rows of those that may be lists of people")
        };
        writeln!(self.notes(), "looking at {source}: logs in, {what}; writes nothing there").map_err(write_failed)
    }

    /// What was written, and what comes next.
    pub(in crate::cli) fn init_ended(&mut self, summary: &Summary) -> Result<(), Error> {
        let mut notes = self.notes();
        if summary.has_failed {
            writeln!(notes, "{WARNING}warning{WARNING:#}: the mapping is written without a look at the database")
                .map_err(write_failed)?;
        }
        let mut out = self.data();
        let mut write = || -> io::Result<()> {
            let file = summary.file.display();
            writeln!(
                out,
                "wrote {file}{}",
                summary.template.map_or(String::new(), |name| format!(", from the shipped mapping `{name}`"))
            )?;
            write_tables(&mut out, summary)?;
            for trial in &summary.trials {
                let name = &trial.extract;
                match &trial.result {
                    Ok((columns, missing)) if missing.is_empty() => {
                        writeln!(
                            out,
                            "  {name:<9} the query runs: {}, none missing",
                            counted(*columns as u64, "column")
                        )?;
                    }
                    Ok((_, missing)) => {
                        for column in missing {
                            let near = column
                                .nearest
                                .as_ref()
                                .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                            writeln!(
                                out,
                                "  {name:<9} no column `{}`, which `{}` needs{near}",
                                column.column, column.header
                            )?;
                        }
                    }
                    Err(error) => {
                        writeln!(out, "  {name:<9} the query does not run here: {error}")?;
                        for cause in causes(error) {
                            writeln!(out, "            {cause}")?;
                        }
                    }
                }
            }
            if let Some(example) = &summary.example {
                writeln!(out, "wrote {}, the names of the secrets", example.display())?;
            }
            if !summary.kept.is_empty() {
                writeln!(out, "wrote {} into .env, which only you can read", listed(&summary.kept))?;
            }
            writeln!(out, "\nNext:")?;
            if summary.has_failed {
                writeln!(
                    out,
                    "  mend what the error says, and run the same again with --force, for a look at the database"
                )?;
            }
            if !summary.missing.is_empty() {
                writeln!(out, "  write {} into .env, as .env.example shows", listed(&summary.missing))?;
            }
            let left = summary.extracts.iter().find(|(_, table, _)| table.is_none());
            if let Some((who, ..)) =
                left.filter(|_| !summary.is_named && (summary.offers.lists.len() + summary.offers.others.len() > 0))
            {
                writeln!(
                    out,
                    "  if you know the table, run the same again with --force --table {}=NAME; if two must be joined, with --query-file",
                    who.name()
                )?;
            }
            if summary.todos > 0 {
                writeln!(
                    out,
                    "  look at the {} marked TODO in {file}, and at what is marked guessed",
                    counted(summary.todos as u64, "place")
                )?;
            }
            writeln!(out, "  {STRONG}sispush check {file}{STRONG:#}")?;
            writeln!(out, "  {STRONG}sispush preview {file} --limit 20{STRONG:#}")
        };
        write().map_err(write_failed)
    }
}

/// What each extract was guessed from.
fn write_tables(out: &mut impl Write, summary: &Summary) -> io::Result<()> {
    for (who, table, headers) in &summary.extracts {
        let who = who.name();
        match table {
            Some(table) => writeln!(out, "  {who:<9} {table}: {} guessed", counted(*headers as u64, "header"))?,
            None if summary.is_named => {
                writeln!(out, "  {who:<9} nothing was named for them, so nothing was looked at")?;
            }
            None => {
                let Offers { lists, others } = &summary.offers;
                let offers = match (lists.as_slice(), others.as_slice()) {
                    ([], []) => String::new(),
                    ([], others) => format!("; there are {}", some_of(others)),
                    // The tables of a whole SIS would bury the lists.
                    (lists, others) if others.is_empty() || others.len() > NAMED_MAX => {
                        format!("; with people in them: {}", some_of(lists))
                    }
                    (lists, others) => {
                        format!("; with people in them: {}; others: {}", some_of(lists), some_of(others))
                    }
                };
                writeln!(out, "  {who:<9} no table looks like one of {who}{offers}")?;
            }
        }
    }
    Ok(())
}

/// So many tables are named.
const NAMED_MAX: usize = 20;

/// The first names of a list that may be long, in back-ticks.
pub(in crate::cli) fn some_of(names: &[String]) -> String {
    let first: Vec<String> = names.iter().take(NAMED_MAX).map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {} more", number(more as u64)) } else { String::new() };
    first.join(", ") + &more
}

/// `A`, `A and B`.
fn listed(names: &[String]) -> String {
    names.join(" and ")
}
