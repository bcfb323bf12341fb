//! Results as JSON. Fields are only added within a major version, never renamed or removed.

use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::expect;
use super::plan::stop_text;
use super::{Output, write_failed};
use crate::cli::push::{Done, Planned, Pushed};
use crate::error::{Error, ExitCode, Hint, causes};
use crate::infiniti::contract::{Header, HeaderSet, Rows};
use crate::infiniti::patron::{ExtractCount, Patrons, WarningKind};
use crate::infiniti::value::RowPlace;
use crate::mapping::{Hold, Mapping, MappingError, schema};
use crate::sync::plan::Stage;
use crate::sync::{Failure, Plan, Reason, Report, Scope, Why};

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

    /// The schema of mapping files, or of bases.
    pub(in crate::cli) fn schema(&mut self, of_base: bool) -> Result<(), Error> {
        let schema = if of_base { schema::json_schema_of_base() } else { schema::json_schema() };
        write(&mut self.data(), &schema).map_err(write_failed)
    }

    /// The result of `push`.
    pub(in crate::cli) fn pushed_json(&mut self, mappings: &[Value], worst: ExitCode) -> Result<(), Error> {
        write(&mut self.data(), &json!({ "exit_code": worst.number(), "mappings": mappings })).map_err(write_failed)
    }
}

/// Writes a value with a line break at its end.
pub(super) fn write(out: &mut (impl Write + ?Sized), value: &Value) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

/// Patrons, rejections and warnings. A patron that may have several rows has all of them, and the places that they were read from.
pub(super) fn preview(patrons: &Patrons, shown: &dyn Fn(Header, &str) -> String) -> Value {
    let place = |place: &RowPlace| {
        let mut object = Map::new();
        object.insert("extract".into(), patrons.extract_name(place.extract).into());
        object.insert("row".into(), place.row.into());
        object
    };
    let values = |row: Vec<(Header, String)>| -> Value {
        let name = |header| patrons.contract.rule(header).name.to_owned();
        Value::Object(row.into_iter().map(|(header, value)| (name(header), shown(header, &value).into())).collect())
    };
    let each = patrons.order().iter().map(|patron| match patrons.contract.rows {
        Rows::One => {
            let mut object = place(&patrons.place(*patron));
            object.insert("values".into(), patrons.rows_of(*patron).map(values).next().unwrap_or_default());
            Value::Object(object)
        }
        Rows::Several => json!({
            "places": patrons.places_of(*patron).iter().map(place).collect::<Vec<_>>(),
            "rows": patrons.rows_of(*patron).map(values).collect::<Vec<_>>(),
        }),
    });
    json!({ "patrons": each.collect::<Vec<_>>(), "rejections": rejections(patrons), "warnings": warnings(patrons) })
}

/// What one mapping's push came to.
pub(in crate::cli) fn pushed_object(pushed: &Pushed, dry_run: bool) -> Value {
    let mut object = json!({
        "file": pushed.path,
        "name": pushed.name,
        "exit_code": pushed.exit_code().number(),
        "outcome": pushed.exit_code().word(),
    });
    let more = match &pushed.result {
        Ok(Done::Planned(planned)) => planned_fields(planned, dry_run),
        Ok(Done::Held(hold)) => {
            let mut fields = Map::new();
            fields.insert("hold".into(), hold_object(hold));
            fields
        }
        Ok(Done::Already(earlier)) => {
            let mut fields = Map::new();
            fields.insert(
                "already".into(),
                json!({
                    "started_at": earlier.started_at.to_string(),
                    "host": earlier.host,
                    "exit_code": earlier.exit_code,
                }),
            );
            fields
        }
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

pub(super) fn hold_object(hold: &Hold) -> Value {
    json!({ "from": hold.from.to_string(), "until": hold.until.to_string(), "reason": hold.reason })
}

fn planned_fields(planned: &Planned, dry_run: bool) -> Map<String, Value> {
    let plans = &planned.plans;
    let reports = planned.reports.as_ref();
    let mut fields = Map::new();
    fields.insert("source".into(), planned.source.clone().into());
    fields.insert("target".into(), planned.target.clone().into());
    fields.insert("dry_run".into(), dry_run.into());
    fields.insert("hold".into(), planned.hold.as_ref().map_or(Value::Null, hold_object));
    fields.insert("read_seconds".into(), planned.timing.read.as_secs_f64().into());
    // The accounts stand at the top, as when there was nothing else; the other feeds in a list of their own.
    let mut others = Vec::new();
    for (number, plan) in plans.feeds.iter().enumerate() {
        let mut of_feed = feed_fields(plan, reports.map(|reports| &reports.feeds[number]));
        if plan.contract().account.is_none() {
            fields.extend(of_feed);
        } else {
            of_feed.insert("feed".into(), plan.contract().feed.into());
            others.push(Value::Object(of_feed));
        }
    }
    if !others.is_empty() {
        fields.insert("feeds".into(), others.into());
    }
    if let Some(Value::Object(plan)) = fields.get_mut("plan") {
        // What is approved is all of them.
        plan.insert("id".into(), plans.id.to_string().into());
    }
    fields.insert("plan_id".into(), plans.id.to_string().into());
    let stops: Vec<Value> = plans.stops().map(|(plan, stop)| Value::from(stop_text(plan, stop).0)).collect();
    fields.insert("stops".into(), stops.into());
    let codes: Vec<Value> = plans.stops().map(|(_, stop)| Value::from(stop.code())).collect();
    fields.insert("limits_exceeded".into(), codes.into());
    if let Some(approved) = &planned.other_approval {
        fields.insert("other_approval".into(), approved.clone().into());
    }
    let Some(reports) = reports else { return fields };
    fields.insert("sent_seconds".into(), reports.elapsed.as_secs_f64().into());
    fields.insert("interrupted".into(), reports.is_interrupted.into());
    if let Some(error) = &reports.error {
        fields.insert("error".into(), error_object(error, error.hint().as_ref()));
    }
    if let Some(error) = &reports.source_error {
        fields.insert("source_error".into(), error_object(error, error.hint().as_ref()));
    }
    if let Some(error) = &reports.state_error {
        fields.insert("state_error".into(), error_object(error, error.hint().as_ref()));
    }
    fields
}

/// What was planned and done with one feed.
fn feed_fields(plan: &Plan, report: Option<&Report>) -> Map<String, Value> {
    let patrons = &plan.patrons;
    let mut fields = Map::new();
    let mut add = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    add("extracts", extracts(&patrons.extracts));
    add("rows_read", patrons.rows().into());
    add("rows_to_send", plan.rows_to_send().into());
    add("batches", plan.batches.len().into());
    add("rejections", rejections(patrons));
    add("warnings", warnings(patrons));
    let names = |headers: HeaderSet| -> Value {
        headers.iter().map(|header| Value::from(patrons.contract.rule(header).name)).collect()
    };
    add("expectations", expect::verdicts(&plan.verdicts, false));
    add("left_out", names(plan.left_out));
    add("plan", plan_object(plan, &names));
    let Some(report) = report else { return fields };
    add("batches_sent", report.batches.into());
    add("bytes", report.bytes.into());
    add("accepted", report.accepted.into());
    add("created", report.created.into());
    add("updated", report.updated.into());
    add("deactivated", report.deactivated.into());
    add("unknown", report.unknown.into());
    add("not_sent", report.not_sent.into());
    add("refused", failures(patrons, &report.failed));
    if patrons.contract.account.is_some() {
        add("waiting", report.waiting.into());
        add("unsent", failures(patrons, &report.unsent));
    }
    fields
}

fn failures(patrons: &Patrons, failures: &[Failure]) -> Value {
    failures
        .iter()
        .map(|failure| {
            json!({
                "extract": failure.place.map(|place| patrons.extract_name(place.extract)),
                "row": failure.place.map(|place| place.row),
                (key_name(patrons)): failure.username,
                "message": failure.message,
            })
        })
        .collect()
}

fn plan_object(plan: &Plan, names: &dyn Fn(HeaderSet) -> Value) -> Value {
    let key = key_name(&plan.patrons);
    let counts: Map<String, Value> =
        Reason::ALL
            .iter()
            .map(|reason| (reason.code().to_owned(), plan.of_reason(*reason).count().into()))
            .chain([
                ("unchanged".to_owned(), plan.unchanged.into()),
                ("deactivated".to_owned(), plan.deactivations().count().into()),
            ])
            .chain(plan.contract().account.iter().flat_map(|_| {
                [("waiting".to_owned(), plan.waiting.into()), ("kept".to_owned(), plan.kept.len().into())]
            }))
            .collect();
    // Whoever is only sent again is counted: everybody's name would say nothing.
    let changes: Vec<Value> = plan
        .changes
        .iter()
        .filter(|change| change.reason != Reason::Resent)
        .map(|change| {
            json!({
                (key): plan.patrons.key(change.patron),
                "reason": change.reason.code(),
                "known": change.is_known,
                "headers": names(change.headers),
            })
        })
        .collect();
    let leavers: Vec<Value> = plan
        .leavers
        .iter()
        .map(|leaver| {
            let until = match leaver.stage {
                Stage::Grace { until } => Some(until.to_string()),
                _ => None,
            };
            json!({
                (key): leaver.username,
                "staff": leaver.is_staff,
                "missing_since": leaver.since.timestamp().to_string(),
                "stage": leaver.stage.code(),
                "grace_until": until,
            })
        })
        .collect();
    let renames: Vec<Value> = plan
        .renames
        .iter()
        .map(|rename| {
            json!({
                "old": rename.old,
                "new": plan.patrons.key(rename.patron),
                "same": plan.patrons.contract.rule(rename.header).name,
                "held": plan.holds_renames,
            })
        })
        .collect();
    json!({
        "id": plan.id.to_string(),
        "mode": if plan.scope == Scope::Delta { "delta" } else { "full" },
        "full_since": full_since(plan.scope),
        "counts": counts,
        "changes": changes,
        "leavers": leavers,
        "renames": renames,
        "returned": plan.returned.iter().map(|patron| plan.patrons.key(*patron)).collect::<Vec<_>>(),
        "new_form_classes": plan.form_classes,
    })
}

/// What a patron is known by in this feed: `username`, or `adminsystemid`.
fn key_name(patrons: &Patrons) -> &'static str {
    patrons.contract.rule(patrons.contract.key()).name
}

/// Why everybody is sent.
pub(super) fn full_since(scope: Scope) -> Option<&'static str> {
    match scope {
        Scope::Delta => None,
        Scope::Full(Why::Asked) => Some("asked"),
        Scope::Full(Why::First) => Some("first"),
        Scope::Full(Why::Due) => Some("due"),
        Scope::Full(Why::MappingChanged) => Some("mapping_changed"),
    }
}

pub(super) fn extracts(extracts: &[ExtractCount]) -> Value {
    extracts
        .iter()
        .map(|extract| json!({ "name": extract.name, "rows": extract.rows, "rejected": extract.rejected }))
        .collect()
}

pub(super) fn error_object(error: &dyn std::error::Error, hint: Option<&Hint>) -> Value {
    json!({ "message": error.to_string(), "causes": causes(error), "hint": hint })
}

pub(super) fn rejections(patrons: &Patrons) -> Value {
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
                (key_name(patrons)): rejection.username,
                "broken": broken,
            })
        })
        .collect()
}

pub(super) fn warnings(patrons: &Patrons) -> Value {
    patrons
        .warnings
        .iter()
        .map(|warning| {
            let header = match warning.kind {
                WarningKind::NoBarcode => "librarybarcode",
                WarningKind::StaffWithoutAddress => "emailaddress",
                WarningKind::ControlCharacter(header) | WarningKind::UnknownWord(header) => {
                    patrons.contract.rule(header).name
                }
                WarningKind::NoAccount => patrons.contract.rule(patrons.contract.key()).name,
                WarningKind::StaffWithoutGroup => "group",
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
