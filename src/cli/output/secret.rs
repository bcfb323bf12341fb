//! Secrets: their names, and where they are found. Never what they hold.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{HINT, Output, STRONG, json as as_json, stderr_has_colour, write_failed};
use crate::cli::args::FormatArg;
use crate::cli::secret::Listed;
use crate::error::Error;
use crate::mapping::keyring::STORE;
use crate::mapping::{Found, Origin};

impl Output {
    /// Asks for a secret; it is typed behind that, and not shown.
    pub(in crate::cli) fn ask_secret(&mut self, name: &str) -> io::Result<()> {
        let mut notes = self.notes();
        write!(notes, "Secret `{name}` (not shown): ")?;
        notes.flush()
    }

    /// That a secret is in the store.
    pub(in crate::cli) fn secret_kept(&mut self, name: &str) -> Result<(), Error> {
        writeln!(self.data(), "`{name}` is in {STORE} of this account; a mapping refers to it by `${{keyring:{name}}}`")
            .map_err(write_failed)
    }

    /// That a secret is no longer in the store.
    pub(in crate::cli) fn secret_deleted(&mut self, name: &str) -> Result<(), Error> {
        writeln!(self.data(), "`{name}` is no longer in {STORE} of this account").map_err(write_failed)
    }

    /// The names of the secrets in the store.
    pub(in crate::cli) fn secret_names(&mut self, names: &[String], format: FormatArg) -> Result<(), Error> {
        let mut out = self.data();
        match format {
            FormatArg::Json => as_json::write(&mut out, &json!({ "names": names })),
            FormatArg::Text if names.is_empty() => {
                writeln!(self.notes(), "{STORE} of this account has no secret of sispush")
            }
            FormatArg::Text => names.iter().try_for_each(|name| writeln!(out, "{name}")),
        }
        .map_err(write_failed)
    }

    /// Where the secrets of mappings are found.
    pub(in crate::cli) fn secrets_of(&mut self, listed: &[Listed], format: FormatArg) -> Result<(), Error> {
        match format {
            FormatArg::Json => {
                let mappings: Vec<Value> = listed.iter().map(mapping_object).collect();
                as_json::write(&mut self.data(), &json!({ "mappings": mappings })).map_err(write_failed)
            }
            FormatArg::Text => listed.iter().try_for_each(|listed| self.secrets_of_one(listed)).map_err(write_failed),
        }
    }

    fn secrets_of_one(&mut self, (path, found): &Listed) -> io::Result<()> {
        let found = match found {
            Ok(found) => found,
            Err(error) => return writeln!(self.notes(), "{}", error.render(stderr_has_colour()).trim_end()),
        };
        let mut out = self.data();
        writeln!(out, "{STRONG}{}{STRONG:#}", path.display())?;
        if found.is_empty() {
            return writeln!(out, "  it refers to no secret");
        }
        let width = found.iter().map(|found| found.reference.chars().count()).max().unwrap_or_default();
        for Found { reference, place } in found {
            match place {
                Ok(origin) => writeln!(out, "  {reference:width$}  {}", place_text(*origin))?,
                Err((message, hint)) => {
                    writeln!(out, "  {reference:width$}  cannot be had: {message}")?;
                    if let Some(hint) = hint {
                        writeln!(out, "  {:width$}  {HINT}hint{HINT:#}: {hint}", "")?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Where a secret is found, in words.
pub(super) fn place_text(origin: Origin) -> &'static str {
    match origin {
        Origin::Environment => "from the environment",
        Origin::DotEnv => "from `.env`",
        Origin::File => "from its file",
        Origin::Credential => "from the service's credentials",
        Origin::Keyring => STORE_TEXT,
        Origin::Command => "from a program, which was not run",
    }
}

/// See [`STORE`].
const STORE_TEXT: &str = if cfg!(windows) {
    "from the Windows Credential Manager"
} else if cfg!(target_os = "macos") {
    "from the login keychain"
} else {
    "from the Secret Service"
};

fn mapping_object((path, found): &Listed) -> Value {
    let (secrets, message) = match found {
        Ok(found) => (found.iter().map(secret_object).collect(), None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    json!({ "path": path, "secrets": secrets, "message": message })
}

fn secret_object(found: &Found) -> Value {
    let (origin, message, hint) = match &found.place {
        Ok(origin) => (Some(origin.name()), None, None),
        Err((message, hint)) => (None, Some(message), hint.as_ref()),
    };
    json!({ "reference": found.reference, "found_in": origin, "message": message, "hint": hint })
}
