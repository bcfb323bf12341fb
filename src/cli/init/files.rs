//! The files that `init` writes, each whole or not at all.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::secret::Secret;

use crate::error::Error;
use crate::mapping;
use crate::ops;

/// Whether the mapping can be written there, before anybody is asked anything.
pub(super) fn check_place(file: &Path, force: bool) -> Result<(), Error> {
    let usage = |message: String, hint: &'static str| Err(Error::Usage { message, hint: Some(hint.into()) });
    if file.is_dir() {
        return usage(format!("`{}` is a folder", file.display()), "give the name of a file in it: `school.yaml`");
    }
    if file.exists() && !force {
        return usage(
            format!("`{}` is there already", file.display()),
            "give another name, or `--force` to write over it",
        );
    }
    let is_yaml =
        file.extension().is_some_and(|end| end.eq_ignore_ascii_case("yaml") || end.eq_ignore_ascii_case("yml"));
    if !is_yaml {
        return usage(format!("`{}` is no name for a mapping", file.display()), "let it end in `.yaml`");
    }
    let temporary = temporary(file);
    fs::File::create_new(&temporary).and_then(|_| fs::remove_file(&temporary)).map_err(|source| Error::File {
        action: "write",
        path: file.to_owned(),
        source,
    })
}

/// Writes the mapping: beside its place first, so that it is never there by half.
pub(super) fn write(file: &Path, text: &str) -> Result<(), Error> {
    let temporary = temporary(file);
    let written = fs::File::create(&temporary)
        .and_then(|mut new| new.write_all(text.as_bytes()).and_then(|()| new.sync_all()))
        .and_then(|()| fs::rename(&temporary, file));
    written.map_err(|source| {
        // It may not even have been made.
        drop(fs::remove_file(&temporary));
        Error::File { action: "write", path: file.to_owned(), source }
    })
}

fn temporary(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!(".{name}.{}.new", std::process::id()))
}

/// Writes the names of the secrets into `.env.example`, unless there is one.
pub(super) fn write_example(folder: &Path, names: &[String]) -> Result<Option<PathBuf>, Error> {
    let path = folder.join(".env.example");
    let lines: Vec<String> = names.iter().map(|name| format!("{name}=")).collect();
    let text = format!(
        "# Copy this file to `.env` beside the mapping, fill it in, and let nobody else read it: chmod 600 .env\n\
         # A value with spaces, `#` or quotes goes into single quotes: NAME='a b'\n{}\n",
        lines.join("\n")
    );
    if path.exists() {
        return Ok(None);
    }
    write(&path, &text).map(|()| Some(path))
}

/// The secrets that neither the environment nor `.env` has.
pub(super) fn missing(folder: &Path, names: &[String]) -> Vec<String> {
    let known = mapping::secret_names(&folder.join(".env")).unwrap_or_default();
    (names.iter()).filter(|name| !known.contains(name) && mapping::environment(name).is_none()).cloned().collect()
}

/// Adds secrets to `.env`, which only its owner may read; what is in it stays.
pub(super) fn add_secrets(folder: &Path, secrets: &[(String, Secret)]) -> Result<(), Error> {
    let path = folder.join(".env");
    let failed = |source| Error::File { action: "write", path: path.clone(), source };
    let mut text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error)),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for (name, value) in secrets {
        text.push_str(&mapping::secret_line(name, value.expose_secret()));
    }
    ops::write_private(&path, |out| out.write_all(text.as_bytes())).map_err(failed)
}

/// Of a shipped mapping the comment above all, and everything from `users:` on with the comment right above it.
pub(super) fn parts(text: &str) -> (String, &str) {
    let comment: String =
        text.split_inclusive('\n').take_while(|line| line.starts_with('#')).collect::<Vec<_>>().concat();
    let mut start = if text.starts_with("users:") { 0 } else { text.find("\nusers:").map_or(text.len(), |at| at + 1) };
    while let Some(before) = text[..start].strip_suffix('\n') {
        let line = before.rfind('\n').map_or(0, |at| at + 1);
        if !before[line..].starts_with('#') {
            break;
        }
        start = line;
    }
    (comment, &text[start..])
}

#[cfg(test)]
mod tests {
    use super::parts;
    use crate::mapping::shipped::SHIPPED;

    #[test]
    fn a_shipped_mapping_is_taken_apart() {
        let text =
            "# A\n# B\n\nversion: 1\nsource:\n  url: x\n# not this\n\n# C\n# D\nusers:\n  - name: x\nlimits: {}\n";
        assert_eq!(parts(text), ("# A\n# B\n".to_owned(), "# C\n# D\nusers:\n  - name: x\nlimits: {}\n"));
        for shipped in SHIPPED {
            let (comment, users) = parts(shipped.text);
            assert!(comment.starts_with("# ") && users.contains("users:\n"), "{}", shipped.name);
        }
    }
}
