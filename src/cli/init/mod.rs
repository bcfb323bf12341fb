//! `init`: from an empty folder to a mapping: asks, looks at the database, writes the file.
//!
//! ```text
//! ask: options and answers -> look: catalogue, samples -> mapping::propose: which column is what -> files
//! ```

mod ask;
mod files;
mod look;

use std::path::PathBuf;

use crate::secret::Secret;

use look::Seen;
pub(super) use look::{Offers, ROWS_MAX, Trial, Wanted};

use super::args::InitArgs;
use super::output::Output;
use crate::error::{Error, ExitCode};
use crate::mapping::propose::{self, Look, Who};
use crate::mapping::schema;
use crate::mapping::shipped::{SHIPPED, Shipped};
use crate::mapping::{folder_of, resolve_new_source};
use crate::source::{Connection, SourceError};
use crate::sync::ExtractError;

/// What is written, and what came of the look.
#[derive(Debug)]
pub(super) struct Summary {
    /// The mapping.
    pub(super) file: PathBuf,
    /// The file of names of secrets; `None` if one was there already.
    pub(super) example: Option<PathBuf>,
    /// Secrets that neither the environment nor `.env` has yet.
    pub(super) missing: Vec<String>,
    /// Secrets that were written into `.env`.
    pub(super) kept: Vec<String>,
    /// What each extract was guessed from, with the headers that are still to do.
    pub(super) extracts: Vec<(Who, Option<String>, usize)>,
    /// Tables that may be meant where none was picked.
    pub(super) offers: Offers,
    /// Whether only what was named was looked at.
    pub(super) is_named: bool,
    /// Places marked with `TODO`.
    pub(super) todos: usize,
    /// What came of the written queries.
    pub(super) trials: Vec<Trial>,
    /// Whether a look was tried and failed.
    pub(super) has_failed: bool,
    /// The shipped mapping that it was made of.
    pub(super) template: Option<&'static str>,
}

pub(super) async fn run(args: InitArgs, mut output: Output) -> Result<ExitCode, Error> {
    if args.template == Some(None) {
        output.shipped(SHIPPED)?;
        return Ok(ExitCode::Complete);
    }
    files::check_place(&args.file, args.force)?;
    let wanted = Wanted::of(&args)?;
    let mut terminal = ask::terminal(&output);
    let answers = ask::answers(&args, terminal.as_deref_mut())?;
    let folder = folder_of(&args.file);
    let mut kept = Vec::new();
    let mut seen = None;
    let mut failure = None;
    if answers.may_look {
        let mut source = answers.source.clone();
        let mut password = ask::password(&answers, &folder, terminal.as_deref_mut())?;
        output.look_begins(&answers.source, &wanted, answers.template.is_some())?;
        for attempt in 1.. {
            source = resolved(&answers.source, password.clone(), &folder)?;
            let result = look::look(&source, &wanted, answers.template.is_some()).await;
            let is_refused = matches!(
                &result,
                Err(Error::Source(ExtractError::Connect { source: SourceError::LoginRefused { .. }, .. }))
            );
            match result {
                Ok(found) => seen = Some(found),
                // A typing mistake must not cost all the answers.
                Err(error) if is_refused && answers.has_asked && attempt < PASSWORD_TRIES => {
                    output.failure(&error);
                    if let Some(terminal) = terminal.as_deref_mut() {
                        password = ask::password_again(&answers, terminal)?;
                        if password.is_some() {
                            continue;
                        }
                    }
                    failure = Some(error);
                }
                // What was given does not fit: nothing would be won by a file without it.
                Err(error @ (Error::Usage { .. } | Error::Interrupted | Error::Source(ExtractError::Query { .. }))) => {
                    return Err(error);
                }
                Err(error) => failure = Some(error),
            }
            break;
        }
        if let Some(error) = &failure {
            output.failure(error);
        }
        if let (Some(terminal), Some(password), true) = (terminal.as_deref_mut(), &password, seen.is_some()) {
            kept = ask::keep_secrets(&answers, password, &folder, terminal)?;
        }
        answers.source.clone_into(&mut source);
    }
    let look = seen.as_ref().and_then(Seen::look);
    let text = compose(&answers, look.as_ref());
    let trials = match (&seen, answers.may_look && failure.is_none()) {
        (Some(seen), true) => look::try_out(seen, &args.file, &text).await,
        _ => Vec::new(),
    };
    files::write(&args.file, &text)?;
    files::write(&folder.join(SCHEMA), &format!("{:#}\n", schema::json_schema()))?;
    let names = names(&answers.source);
    let example = files::write_example(&folder, &names)?;
    let summary = Summary {
        missing: files::missing(&folder, &names),
        kept,
        example,
        extracts: extracts(look.as_ref()),
        offers: seen.as_ref().map(Seen::offers).unwrap_or_default(),
        is_named: wanted.is_all(),
        todos: text.split("\nusers:\n").skip(1).map(|users| users.matches("TODO").count()).sum(),
        trials,
        has_failed: failure.is_some(),
        template: answers.template.map(|shipped| shipped.name),
        file: args.file,
    };
    output.init_ended(&summary)?;
    Ok(failure.map_or(ExitCode::Complete, |error| error.exit_code()))
}

/// So often a password is asked for.
const PASSWORD_TRIES: u32 = 3;

/// What was asked or given.
#[derive(Debug)]
struct Answers {
    /// The source with its references as they are.
    source: Connection,
    /// The school's address.
    target: String,
    /// The importing account.
    account: String,
    template: Option<&'static Shipped>,
    may_look: bool,
    /// Whether somebody sits at a terminal and was asked.
    has_asked: bool,
}

/// The source as it is logged in to: with this password, or with what its reference gives.
fn resolved(source: &Connection, password: Option<Secret>, folder: &std::path::Path) -> Result<Connection, Error> {
    let mut source = source.clone();
    source.password = None;
    resolve_new_source(&mut source, folder).map_err(|(message, hint)| Error::Usage { message, hint })?;
    source.password = password;
    Ok(source)
}

/// The name of the JSON Schema beside the mapping.
const SCHEMA: &str = "sispush.schema.json";

/// The whole mapping.
fn compose(answers: &Answers, look: Option<&Look<'_>>) -> String {
    let head = propose::head(&answers.source, &answers.target, &answers.account);
    let editors = format!("# yaml-language-server: $schema=./{SCHEMA}\n");
    match answers.template {
        Some(shipped) => {
            let (comment, users) = files::parts(shipped.text);
            format!("{editors}{comment}\n{head}\n{users}{OTHERS}")
        }
        None => format!("{editors}{INTRODUCTION}\n{head}\n{}{LATER}{OTHERS}", propose::users(look)),
    }
}

/// What stands above all in a new mapping.
const INTRODUCTION: &str = "\
# One school's sync: which SQL to run on the SIS, and which of its columns fill which of Infiniti's headers.
#
# `sispush init` wrote this file; from here on it is yours. What it guessed is marked `guessed`, what it could not find
# `TODO`. All keys: mappings/README.md. After each change:
#
#   sispush check FILE               is the file right? Contacts nothing.
#   sispush preview FILE --limit 20  the rows as they would be sent. Sends nothing.
";

/// What stands below all.
const LATER: &str = "
# Once the first push is done, these make the nightly one send only what changed, and care for those who left:
# mode: delta
# full_every: 7d
# leavers: { action: deactivate, after: 3d }
";

/// The other feeds. Nothing in them is guessed: neither tables nor what Infiniti alone can tell.
const OTHERS: &str = r##"
# Infiniti takes more of people who have an account. To send it, too, take the "# " off the lines of what you want, and write
# the queries:
#
# contacts:                                   # whom the library writes to: one row a contact
#   extracts:
#     - name: contacts
#       query: SELECT login, addressee, emails FROM your_contacts
#       columns:
#         username: login
#         type: { value: email }              # email or phone
#         role: { value: guardian }           # patron or guardian
#         primary: { value: true }
#         addressee: addressee
#         contact: { column: emails, split: ";" }     # one contact for each address in the cell
#         scenarios: { value: ANY }           # what for: ANY, NONE, or codes such as OVERDUE
#
# images:                                     # pictures, jpg or png
#   path:                                     # ask Concord, or see Infiniti's help on "autoSync patron images"
#   folder: photos                            # files named by the account's adminsystemid: 00012345.jpg
#
# groups:                                     # library groups: one row a group of a patron
#   path:                                     # ask Concord, or see Infiniti's help on "autoSync patron groups"
#   header:                                   # likewise: the name of the group's column in the CSV
#   allow:                                    # the groups that may be sent: [Students, Staff]
#   extracts:
#     - name: groups
#       query: SELECT login, library_group FROM your_groups
#       columns: { username: login, group: library_group }
"##;

/// The names of the secrets that the mapping refers to.
fn names(source: &Connection) -> Vec<String> {
    let password = propose::password_of(source).and_then(|reference| {
        let name = reference.strip_prefix("${")?.strip_suffix('}')?;
        (!name.contains(':')).then(|| name.to_owned())
    });
    password.into_iter().chain(["INFINITI_PASSWORD".to_owned()]).collect()
}

fn extracts(look: Option<&Look<'_>>) -> Vec<(Who, Option<String>, usize)> {
    let Some(look) = look else { return Vec::new() };
    [(Who::Students, &look.students), (Who::Staff, &look.staff)]
        .into_iter()
        .map(|(who, picked)| {
            let name = picked.as_ref().map(|picked| look.tables[picked.table].name.clone());
            (who, name, picked.as_ref().map_or(0, |picked| picked.extract.found.len()))
        })
        .collect()
}
