//! `secret`: what the platform's store of credentials keeps, and where a mapping's secrets are found.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::PathBuf;

use super::args::{SecretArgs, SecretCommand};
use super::hidden;
use super::output::Output;
use crate::error::{Error, ExitCode, Hint};
use crate::mapping::{self, Found, Mapping, MappingError, keyring};
use crate::secret::Secret;

/// A mapping, and what became of looking its secrets up.
pub(super) type Listed = (PathBuf, Result<Vec<Found>, MappingError>);

pub(super) fn run(args: SecretArgs, output: &mut Output) -> Result<ExitCode, Error> {
    match args.command {
        SecretCommand::Set { secret, .. } if !secret.is_empty() => {
            return Err(Error::Usage {
                message: "a secret is never an argument: the shell's history and the list of processes would show it".into(),
                hint: Some("give the name alone and type the secret when asked, or pipe it in: `sispush secret set NAME < FILE`; if it was a real one, change it".into()),
            });
        }
        SecretCommand::Set { name, .. } => {
            keyring::check_name(&name).map_err(usage)?;
            // Before somebody types a secret for nothing.
            keyring::check_store().map_err(usage)?;
            keyring::set(&name, read(&name, output)?).map_err(usage)?;
            output.secret_kept(&name)?;
        }
        SecretCommand::List { mappings, format } if mappings.is_empty() => {
            output.secret_names(&keyring::names().map_err(usage)?, format)?;
        }
        SecretCommand::List { mappings, format } => {
            let listed: Vec<Listed> = mapping::find(&mappings)?
                .into_iter()
                .map(|path| {
                    let found = Mapping::load(&path).map(|mapping| mapping.find_secrets());
                    (path, found)
                })
                .collect();
            output.secrets_of(&listed, format)?;
            let is_whole =
                |(_, found): &Listed| found.as_ref().is_ok_and(|found| found.iter().all(|found| found.place.is_ok()));
            if !listed.iter().all(is_whole) {
                return Ok(ExitCode::Usage);
            }
        }
        SecretCommand::Delete { name } => {
            keyring::check_name(&name).map_err(usage)?;
            if !keyring::delete(&name).map_err(usage)? {
                return Err(Error::Usage {
                    message: format!("{} of this account has no secret `{name}`", keyring::STORE),
                    hint: Some(
                        "`sispush secret list` tells the names that it has; each account has a store of its own".into(),
                    ),
                });
            }
            output.secret_deleted(&name)?;
        }
    }
    Ok(ExitCode::Complete)
}

fn usage((message, hint): (String, Option<Hint>)) -> Error {
    Error::Usage { message, hint }
}

/// Longer than any secret.
const LENGTH_MAX: u64 = 64 * 1024;

/// The secret: typed at the terminal and not shown, or all that is piped in, less one line break.
fn read(name: &str, output: &mut Output) -> Result<Secret, Error> {
    let unheard = |source| Error::File { action: "read", path: "stdin".into(), source };
    let text = if io::stdin().is_terminal() {
        let line = hidden::line(|| output.ask_secret(name)).map_err(unheard);
        output.line_ends().map_err(unheard)?;
        line?.ok_or(Error::Interrupted)?
    } else {
        let refused = |message: &str, hint: &'static str| {
            Err(Error::Usage { message: message.to_owned(), hint: Some(hint.into()) })
        };
        let mut bytes = Vec::new();
        io::stdin().take(LENGTH_MAX + 1).read_to_end(&mut bytes).map_err(unheard)?;
        if bytes.len() as u64 > LENGTH_MAX {
            return refused("what came in is longer than 64 KiB, so nothing was kept", "is it the secret alone?");
        }
        let Ok(text) = String::from_utf8(bytes) else {
            return refused(
                "what came in is not UTF-8 text, so nothing was kept",
                "type it when asked, or save the file as UTF-8",
            );
        };
        mapping::bare(&text).to_owned()
    };
    if text.is_empty() {
        return Err(Error::Usage {
            message: "nothing was typed or piped in, so nothing was kept".into(),
            hint: Some(format!("type it when asked, or pipe it in: `sispush secret set {name} < FILE`").into()),
        });
    }
    Ok(text.into())
}
