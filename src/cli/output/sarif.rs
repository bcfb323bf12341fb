//! The result of `check` as SARIF 2.1.0, which editors and build servers show at the lines themselves.

use std::collections::HashSet;
use std::env;
use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

use serde_json::{Value, json};
use url::Url;

use super::{Output, json, write_failed};
use crate::error::Error;
use crate::mapping::{Code, Mapping, MappingError, Problem, Severity};

impl Output {
    /// The result of `check`.
    pub(in crate::cli) fn checked_sarif(
        &mut self,
        results: &[(PathBuf, Result<Mapping, MappingError>)],
    ) -> Result<(), Error> {
        let folder = env::current_dir().unwrap_or_default();
        let mut found: Vec<Value> = Vec::new();
        for (path, result) in results {
            match result {
                Ok(mapping) => found.extend(mapping.warnings.iter().map(|problem| of_problem(problem, &folder))),
                Err(error) if error.problems().is_empty() => found.push(of_file(path, error, &folder)),
                Err(error) => found.extend(error.problems().iter().map(|problem| of_problem(problem, &folder))),
            }
        }
        // What stands in a base is told once, however many mappings include it.
        let mut told = HashSet::new();
        found.retain(|result| told.insert(result.to_string()));
        let rules: Vec<Value> = Code::ALL
            .iter()
            .map(|code| json!({ "id": code.name(), "shortDescription": { "text": code.about() } }))
            .collect();
        let log = json!({
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": { "driver": { "name": "sispush", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
                "columnKind": "unicodeCodePoints",
                "results": found,
            }],
        });
        json::write(&mut self.data(), &log).map_err(write_failed)
    }
}

fn of_problem(problem: &Problem, folder: &Path) -> Value {
    let level = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let region = json!({
        "startLine": problem.line(),
        "startColumn": problem.column(),
        "endLine": problem.line(),
        "endColumn": problem.end_column(),
    });
    let place = json!({ "artifactLocation": { "uri": uri(problem.file(), folder) }, "region": region });
    result(problem.code, level, &with_hint(&problem.message, problem.hint.as_deref()), &place)
}

/// A file that could not be read has no line.
fn of_file(path: &Path, error: &MappingError, folder: &Path) -> Value {
    let text = with_hint(&error.to_string(), error.hint().as_deref());
    result(Code::UnreadableFile, "error", &text, &json!({ "artifactLocation": { "uri": uri(path, folder) } }))
}

fn result(code: Code, level: &str, text: &str, place: &Value) -> Value {
    json!({
        "ruleId": code.name(),
        "ruleIndex": Code::ALL.iter().position(|one| *one == code),
        "level": level,
        "message": { "text": text },
        "locations": [{ "physicalLocation": place }],
    })
}

fn with_hint(message: &str, hint: Option<&str>) -> String {
    match hint {
        Some(hint) => format!("{message}\nhint: {hint}"),
        None => message.to_owned(),
    }
}

/// A path relative to the folder that the program runs in, where it is below it, as a build server wants it; with slashes.
fn uri(path: &Path, folder: &Path) -> String {
    let path = path.strip_prefix(folder).unwrap_or(path);
    if path.is_absolute()
        && let Ok(url) = Url::from_file_path(path)
    {
        return url.into();
    }
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(encoded(&name.to_string_lossy())),
        Component::ParentDir => Some("..".to_owned()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Percent-encoded, but for what RFC 3986 leaves as it is everywhere.
fn encoded(name: &str) -> String {
    name.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            // Writing into a String cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_addresses() {
        let folder = Path::new("/srv/sispush");
        for (path, expected) in [
            ("school.yaml", "school.yaml"),
            ("./mappings/a b.yaml", "mappings/a%20b.yaml"),
            ("../Schüler/x%.yaml", "../Sch%C3%BCler/x%25.yaml"),
        ] {
            assert_eq!(uri(Path::new(path), folder), expected);
        }
        if cfg!(unix) {
            assert_eq!(uri(Path::new("/srv/sispush/mappings/a.yaml"), folder), "mappings/a.yaml");
            assert_eq!(uri(Path::new("/etc/a b.yaml"), folder), "file:///etc/a%20b.yaml");
        }
    }
}
