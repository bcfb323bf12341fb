//! Results as JSON. Fields are only added within a major version, never renamed or removed.

use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::preview::MASK;
use super::result::{outcome_word, stop_text};
use super::{Output, write_failed};
use crate::cli::push::{Done, Pushed};
use crate::error::{Error, ExitCode, Hint, causes};
use crate::infiniti::contract::Kind;
use crate::infiniti::patron::{Patrons, WarningKind};
use crate::mapping::{Mapping, MappingError};

impl Output {
    /// The result of `check`.
    pub(in crate::cli) fn checked_json(
        &mut self,
        results: &[(PathBuf, Result<Mapping, MappingError>)],
    ) -> Result<(), Error> {
        let mappings: Vec<Value> = results
            .iter()
            .map(|(path, result)| match result {
                Ok(mapping) => json!({
                    "file": path,
                    "valid": true,
                    "name": mapping.name,
                    "problems": mapping.warnings,
                }),
                Err(error) => {
                    json!({ "file": path, "valid": false, "problems": error.problems(), "error": error.to_string() })
                }
            })
            .collect();
        write(&mut self.data(), &json!({ "mappings": mappings })).map_err(write_failed)
    }

    /// The result of `push`.
    pub(in crate::cli) fn pushed_json(&mut self, all: &[Pushed], dry_run: bool, worst: ExitCode) -> Result<(), Error> {
        let mappings: Vec<Value> = all.iter().map(|pushed| mapping(pushed, dry_run)).collect();
        write(&mut self.data(), &json!({ "exit_code": worst.number(), "mappings": mappings })).map_err(write_failed)
    }
}

/// Writes a value with a line break at its end.
pub(super) fn write(out: &mut impl Write, value: &Value) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

/// Patrons, rejections and warnings.
pub(super) fn preview(patrons: &Patrons) -> Value {
    let rows: Vec<Value> = patrons
        .order()
        .iter()
        .map(|patron| {
            let place = patrons.place(*patron);
            let mut values = Map::new();
            for (header, value) in patrons.values(*patron) {
                let rule = patrons.contract.rule(header);
                let shown = if rule.kind == Kind::Password { MASK.to_owned() } else { value };
                values.insert(rule.name.to_owned(), shown.into());
            }
            json!({ "extract": patrons.extract_name(place.extract), "row": place.row, "values": values })
        })
        .collect();
    json!({ "patrons": rows, "rejections": rejections(patrons), "warnings": warnings(patrons) })
}

fn mapping(pushed: &Pushed, dry_run: bool) -> Value {
    let mut object = json!({
        "file": pushed.path,
        "name": pushed.name,
        "exit_code": pushed.exit_code().number(),
        "outcome": outcome_word(pushed.exit_code()),
    });
    let more = match &pushed.result {
        Ok(done) => done_fields(done, dry_run),
        Err(error) => {
            let mut fields = Map::new();
            fields.insert("error".into(), error_object(error, error.hint().as_ref()));
            if let Error::Mapping(error) = error {
                fields.insert("problems".into(), serde_json::to_value(error.problems()).unwrap_or_default());
            }
            fields
        }
    };
    if let Some(object) = object.as_object_mut() {
        object.extend(more);
    }
    object
}

fn done_fields(done: &Done, dry_run: bool) -> Map<String, Value> {
    let patrons = &done.plan.patrons;
    let mut fields = Map::new();
    let mut add = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    add("source", done.source.clone().into());
    add("target", done.target.clone().into());
    add("dry_run", dry_run.into());
    add(
        "extracts",
        patrons
            .extracts
            .iter()
            .map(|extract| json!({ "name": extract.name, "rows": extract.rows, "rejected": extract.rejected }))
            .collect(),
    );
    add("read_seconds", done.read.as_secs_f64().into());
    add("rows_read", patrons.rows().into());
    add("rows_to_send", patrons.order().len().into());
    add("batches", done.plan.batches.len().into());
    add("rejections", rejections(patrons));
    add("warnings", warnings(patrons));
    add("left_out", done.plan.left_out.iter().map(|header| Value::from(patrons.contract.rule(header).name)).collect());
    add("stops", done.plan.stops.iter().map(|stop| Value::from(stop_text(stop).0)).collect());
    let Some(report) = &done.report else { return fields };
    add("sent_seconds", report.elapsed.as_secs_f64().into());
    add("batches_sent", report.batches.into());
    add("bytes", report.bytes.into());
    add("accepted", report.accepted.into());
    add("created", report.created.into());
    add("updated", report.updated.into());
    add("unknown", report.unknown.into());
    add("not_sent", report.not_sent.into());
    add(
        "refused",
        report
            .failed
            .iter()
            .map(|failure| {
                json!({
                    "extract": patrons.extract_name(failure.place.extract),
                    "row": failure.place.row,
                    "username": failure.username,
                    "message": failure.message,
                })
            })
            .collect(),
    );
    if let Some(error) = &report.error {
        add("error", error_object(error, error.hint().as_ref()));
    }
    fields
}

fn error_object(error: &dyn std::error::Error, hint: Option<&Hint>) -> Value {
    json!({ "message": error.to_string(), "causes": causes(error), "hint": hint })
}

fn rejections(patrons: &Patrons) -> Value {
    let extract_name = |extract| patrons.extract_name(extract);
    patrons
        .rejections
        .iter()
        .map(|rejection| {
            let broken: Vec<Value> = rejection
                .broken
                .iter()
                .map(|(header, rule)| {
                    json!({
                        "header": patrons.contract.rule(*header).name,
                        "rule": rule.code(),
                        "reason": rule.reason(patrons.contract, *header, &extract_name),
                    })
                })
                .collect();
            json!({
                "extract": extract_name(rejection.place.extract),
                "row": rejection.place.row,
                "username": rejection.username,
                "broken": broken,
            })
        })
        .collect()
}

fn warnings(patrons: &Patrons) -> Value {
    patrons
        .warnings
        .iter()
        .map(|warning| {
            let header = match warning.kind {
                WarningKind::NoBarcode => "librarybarcode",
                WarningKind::StaffWithoutAddress => "emailaddress",
                WarningKind::ControlCharacter(header) => patrons.contract.rule(header).name,
            };
            json!({
                "kind": warning.kind.code(),
                "header": header,
                "count": warning.count,
                "usernames": warning.usernames,
            })
        })
        .collect()
}
