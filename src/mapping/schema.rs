//! The format of mapping files as a JSON Schema (draft 2020-12), for editors: made from [`keys`] and the
//! contract, so that the two cannot tell different things.
//!
//! An editor reads YAML by its own rules, so what we take as text may come as a number or a truth value (`version: 1`,
//! `value: true`). The schema accepts whatever `check` accepts, and refuses what it can see: not what a file holds that is
//! only named, nor SQL, templates and patterns. Its own patterns know no look-around, which not every validator has.
//!
//! `errorMessage` and `patternErrorMessage` are words of the YAML language server; other validators pass them over. It has no
//! words of ours for `not` and `oneOf`, so `if` and `properties: { key: false }` stand in their place.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::keys::{self, Key, Kind, Shape};
use crate::infiniti::contract::{self, Contract, FEEDS, HeaderRule, Presence, USERS, Unique};
use crate::infiniti::value::CHANNELS;

/// The schema of a mapping file.
pub fn json_schema() -> Value {
    let about = "One school's sync: how patrons are read from the SIS and pushed to Concord Infiniti.";
    let mut schema = whole("sispush mapping", about);
    // With a base nobody knows what is missing before both are read.
    add(&mut schema, json!({ "if": { "required": ["include"] }, "else": requirements(&keys::ROOT) }));
    schema
}

/// The schema of a base, which mappings include: it need not hold any key, and is nobody's own.
pub fn json_schema_of_base() -> Value {
    let mut schema = whole("sispush base", "What mappings share, which include this file.");
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.retain(|name, _| !keys::OF_MAPPING.contains(&name.as_str()));
    }
    schema
}

fn whole(title: &str, about: &str) -> Value {
    let mut schema = group(&keys::ROOT, &USERS);
    let mut definitions = Map::new();
    for shape in keys::SHAPES.iter().filter(|shape| !shape.path.is_empty()) {
        // Its keys are items of a list, words among them.
        if shape.path == keys::TRANSFORM.path {
            continue;
        }
        if shape.path == keys::EXTRACT.path {
            definitions.extend(FEEDS.map(|feed| (definition(shape, feed), group(shape, feed))));
        } else {
            let feed = FEEDS.into_iter().find(|feed| feed.feed == shape.path).unwrap_or(&USERS);
            definitions.insert(definition(shape, feed), group(shape, feed));
        }
    }
    let root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "description": about,
    });
    add(&mut schema, root);
    add(&mut schema, json!({ "$defs": definitions }));
    schema
}

/// `users[].columns.HEADER` is the rule of a header; others are named by the last part of their path. Of an item of `users`
/// there is one a feed, since each has headers of its own.
fn definition(shape: &Shape, feed: &Contract) -> String {
    if shape.path == keys::EXTRACT.path {
        return format!("{}_item", feed.feed);
    }
    if shape.path == keys::FEED_LIMITS.path {
        return "feed_limits".to_owned();
    }
    let last = shape.path.rsplit('.').next().unwrap_or_default();
    match last.strip_suffix("[]") {
        Some(name) => format!("{name}_item"),
        None if last == "HEADER" => "rule".to_owned(),
        None => last.to_owned(),
    }
}

fn reference(shape: &Shape, feed: &Contract) -> Value {
    json!({ "$ref": format!("#/$defs/{}", definition(shape, feed)) })
}

/// A group of keys.
fn group(shape: &Shape, feed: &'static Contract) -> Value {
    let properties: Map<String, Value> =
        shape.keys.iter().map(|key| (key.name.to_owned(), property(shape, key, feed))).collect();
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    // What a base may give in part is required of the whole alone.
    if shape.path.contains("[]") {
        add(&mut schema, requirements(shape));
    }
    add(&mut schema, exclusions(shape));
    schema
}

/// The keys that must be there, those of inner groups too.
fn requirements(shape: &Shape) -> Value {
    let required: Vec<&str> = shape.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let mut schema = json!({});
    if !required.is_empty() {
        add(&mut schema, json!({ "required": required }));
    }
    if shape.path.contains("[]") {
        return schema;
    }
    let inner = shape.keys.iter().filter_map(|key| match key.kind {
        Kind::Group(inner) => Some((key.name.to_owned(), requirements(inner))),
        _ => None,
    });
    let inner: Map<String, Value> = inner.filter(|(_, inner)| *inner != json!({})).collect();
    if !inner.is_empty() {
        add(&mut schema, json!({ "properties": inner }));
    }
    match shape.path {
        "images" => add_to(schema, at_least_one(&["folder", "extracts"])),
        "groups" => {
            let has_place = json!({ "required": ["path"], "properties": { "path": { "pattern": r"\{mode\}" } } });
            let idle = json!({ "properties": { "mode": false } });
            add_to(schema, json!({ "if": has_place, "then": { "required": ["mode"] }, "else": idle }))
        }
        _ => schema,
    }
}

/// Which keys go together.
fn exclusions(shape: &Shape) -> Value {
    match shape.path {
        "users[]" => exactly_one(&["query", "query_file"], &|_| (&[], &[])),
        "users[].columns.HEADER" => exactly_one(&["column", "value", "template"], &|_| (&[], &[])),
        "expect[].rows" | "expect[].range" => at_least_one(&["min", "max"]),
        "expect[].freshness" => at_least_one(&["warn_after", "error_after"]),
        "expect[]" => exactly_one(&keys::CHECKS, &|check| match check {
            "rows" => (&[], &["header", "patron"]),
            "is" => (&["patron"], &["extract", "header"]),
            "freshness" => (&[], &["extract", "header", "patron", "severity"]),
            _ => (&["header"], &["patron"]),
        }),
        _ => json!({}),
    }
}

fn at_least_one(names: &[&str]) -> Value {
    let message = format!("one of `{}` is needed", names.join("`, `"));
    let each: Vec<Value> = names.iter().map(|name| json!({ "required": [name], "errorMessage": message })).collect();
    json!({ "anyOf": each })
}

/// The keys that one needs, and those that do nothing beside it.
type Beside = (&'static [&'static str], &'static [&'static str]);

/// One of these keys.
fn exactly_one(names: &[&str], beside: &dyn Fn(&str) -> Beside) -> Value {
    let each: Vec<Value> = names
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let (needed, idle) = beside(name);
            // Of two, the later is the one too many.
            let excluded = names[index + 1..].iter().chain(idle).map(|name| ((*name).to_owned(), json!(false)));
            let excluded: Map<String, Value> = excluded.collect();
            json!({ "if": { "required": [name] }, "then": { "required": needed, "properties": excluded } })
        })
        .collect();
    add_to(at_least_one(names), json!({ "allOf": each }))
}

/// A key with its value.
fn property(shape: &Shape, key: &Key, feed: &'static Contract) -> Value {
    let mut schema = value(key, feed);
    add(&mut schema, narrower(shape, key));
    // What a pattern says to a program, words say to a person.
    let form = match key.kind {
        Kind::Count(..) | Kind::Duration(..) | Kind::Limit | Kind::Date | Kind::Size(..) => {
            format!(" {}", sentence(&key.kind.words()))
        }
        _ => String::new(),
    };
    let mut property = json!({ "description": sentence(key.about) + &form });
    add(&mut property, schema);
    if let Some(default) = key.default {
        add(&mut property, json!({ "default": plain(default) }));
    }
    property
}

/// What a key's kind allows.
fn value(key: &Key, feed: &'static Contract) -> Value {
    match key.kind {
        Kind::Text | Kind::Secret | Kind::Path | Kind::Folder => text(),
        Kind::Size(..) => {
            let said = said("write it like `95MiB` or `30MB`", r"^[0-9]+ *[Mm][Ii]?[Bb]$");
            add_to(said, json!({ "type": "string", "examples": ["95MiB", "30MB"] }))
        }
        Kind::Switch => switch(),
        Kind::Count(least, most) => {
            let mut schema = said(&format!("{} is needed, in digits only", key.kind.words()), r"^\+?[0-9]+$");
            add(&mut schema, json!({ "type": ["integer", "string"], "minimum": least }));
            if most < u64::MAX {
                add(&mut schema, json!({ "maximum": most }));
            }
            schema
        }
        Kind::Duration(_, most) => {
            let is_long = most > Duration::from_hours(24);
            let (examples, like) = if is_long {
                (json!(["7d", "36h", "1d12h"]), "write it like `36h`, `7d` or `1d12h`")
            } else {
                (json!(["90s", "5m", "1h30m"]), "write it like `90s`, `5m`, `2h` or `1h30m`")
            };
            let said = said(like, r"^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$");
            add_to(said, json!({ "type": "string", "minLength": 2, "examples": examples }))
        }
        Kind::Date => {
            let said = said("write year, month and day: `2026-12-10`", "^[0-9]{4}-[0-9]{2}-[0-9]{2}$");
            add_to(said, json!({ "type": "string", "examples": ["2026-12-10"] }))
        }
        Kind::Limit => {
            let pattern = r"^(\+?[0-9]+|(0*100(\.0*)?|0*[0-9]{1,2}(\.[0-9]*)?|\.[0-9]+) *%)$";
            let said = said("write a count or per cent from 0 to 100: `20` or `5%`", pattern);
            add_to(said, json!({ "type": ["integer", "string"], "minimum": 0, "examples": ["10%", 20] }))
        }
        Kind::OneOf(words) => one_of_words(words),
        Kind::Group(inner) => reference(inner, feed),
        Kind::List(inner) => json!({ "type": "array", "items": reference(inner, feed) }),
        Kind::Number => {
            let pattern = r"^[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$";
            add_to(said("write a number: `2032` or `7.5`", pattern), json!({ "type": ["number", "string"] }))
        }
        Kind::Texts => json!({
            "type": "array",
            "errorMessage": "write a list in brackets: `[10A, 10B]`",
            "items": text(),
            "minItems": 1,
        }),
        Kind::SomeOf(words) => json!({
            "type": "array",
            "errorMessage": format!("write a list in brackets: `[{}]`", words.join(", ")),
            "items": one_of_words(words),
            "minItems": 1,
        }),
        // A key without a value is a blank there.
        Kind::Table => json!({
            "type": "object",
            "errorMessage": "write a table: `{ Male: M, Female: F }`",
            "additionalProperties": { "type": ["string", "number", "boolean", "null"] },
        }),
        Kind::Columns => columns(feed),
        Kind::Transforms => transforms(),
        Kind::Word => json!({ "const": key.name }),
    }
}

/// What single keys allow beyond their kind.
fn narrower(shape: &Shape, key: &Key) -> Value {
    let filled = |examples: &[&str]| add_to(said(NOT_BLANK, r"\S"), json!({ "examples": examples }));
    match (shape.path, key.name) {
        ("", "name") => {
            let rule = "use letters, digits, `-`, `_` and `.`, starting with a letter or digit, at most 64";
            add_to(said(rule, "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"), json!({ "examples": ["example-college"] }))
        }
        ("", "include") => {
            let plain = "write the path itself: `include: ../_base.yaml`";
            let path = add_to(said(plain, r"^[^{}]*[^{}\s][^{}]*$"), json!({ "type": "string" }));
            add_to(path, json!({ "examples": ["_base.yaml", "../_base.yaml"] }))
        }
        ("", "users") | ("contacts" | "images" | "groups", "extracts") => json!({ "minItems": 1 }),
        ("contacts" | "groups", "mode") => {
            let word = "use letters, digits, `-`, `_` and `.`: it stands in the path";
            add_to(said(word, "^[A-Za-z0-9][A-Za-z0-9._-]*$"), json!({ "type": "string" }))
        }
        ("images", "path") => path_of_feed(r"^/[^/?#{}\s\\][^?#{}\s\\]*$"),
        ("groups", "path") => path_of_feed(r"^/([^/?#{}\s\\]|\{mode\})([^?#{}\s\\]|\{mode\})*$"),
        ("images", "folder") => filled(&["photos"]),
        ("groups", "header") => {
            let name = "write what Infiniti calls the group's column";
            add_to(
                said(name, r"^[^,;\x22\x00-\x1f]*[^,;\x22\x00-\x1f\s][^,;\x22\x00-\x1f]*$"),
                json!({ "type": "string" }),
            )
        }
        ("groups", "allow") => json!({
            "items": add_to(text(), said(NOT_BLANK, r"\S")),
            "uniqueItems": true,
            "errorMessage": "write a list in brackets, each group once: `[Students, Staff]`",
        }),
        ("", "state") => filled(&["state/school.db", "none"]),
        ("source", "url") => {
            let whole = "write the address here and only its secrets as references: `password: ${SIS_PASSWORD}`";
            let examples = [
                "mssql://svc_library@sis.example.local/Synergetic",
                "postgres://svc_library@sis.example.local/sis",
                "mysql://svc_library@sis.example.local/sis",
                "sqlite:sis.db",
            ];
            add_to(said(whole, r"^[^$]|^\$[^{]"), json!({ "examples": examples }))
        }
        ("source", "password") => json!({ "examples": ["${SIS_PASSWORD}"] }),
        ("target", "url") => {
            let alone = "write the school's address alone: `https://example.concordinfiniti.com`";
            let loopback = format!(r"({}|127\.[0-9.]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?", any_case("localhost"));
            let pattern = format!(r"^({}://[^/?#@$\s]+|{}://{loopback})$", any_case("https"), any_case("http"));
            let examples = json!({ "type": "string", "examples": ["https://example.concordinfiniti.com"] });
            add_to(said(alone, &pattern), examples)
        }
        ("target", "proxy") => {
            let one = "write `system`, `none`, or an address such as `http://proxy.example:8080`";
            let pattern = format!(r"^(system|none|{}[Ss]?://.+|.*\$\{{.*)$", any_case("http"));
            add_to(said(one, &pattern), json!({ "examples": ["system", "none", "http://proxy.example:8080"] }))
        }
        ("target", "username") => filled(&["autoimport"]),
        ("target", "password") => json!({ "examples": ["${INFINITI_PASSWORD}"] }),
        ("hold[]", "reason") => filled(&["year rollover"]),
        ("notify.webhook[]", "url") | ("notify", "heartbeat") => {
            let loopback = format!(r"({}|127\.[0-9.]+|\[[0-9A-Fa-f:.]+\])", any_case("localhost"));
            let pattern = format!(
                r"^({}://[^/?#\s]+.*|{}://{loopback}([:/?].*)?|.*\$\{{.*)$",
                any_case("https"),
                any_case("http")
            );
            let one = "write a reference such as `${TEAMS_URL}`, or an address that begins with `https://`";
            add_to(said(one, &pattern), json!({ "examples": ["${TEAMS_URL}"] }))
        }
        ("notify", "metrics") => filled(&["/var/lib/prometheus/node-exporter/sispush.prom"]),
        ("notify", "subject") => json!({ "examples": ["{{ mapping }}: {{ what }}"] }),
        ("notify.email", "host") => add_to(
            said("write the mail server's name: `smtp.example.edu`", r"^[^\s/@:]+$"),
            json!({ "examples": ["smtp.example.edu"] }),
        ),
        ("notify.email", "password") => json!({ "examples": ["${SMTP_PASSWORD}"] }),
        ("notify.email", "from") => {
            add_to(said(MAIL_ADDRESS, MAIL_PATTERN), json!({ "examples": ["sispush@example.edu"] }))
        }
        ("notify.email", "to") => json!({ "items": said(MAIL_ADDRESS, MAIL_PATTERN) }),
        ("users[]", "name") => add_to(said(NOT_BLANK, r"^.*\S.*$"), json!({ "examples": ["students", "staff"] })),
        ("users[]", "query_file") => json!({ "examples": ["queries/students.sql"] }),
        ("users[].columns.HEADER", "split") => add_to(said(NOT_BLANK, r"\S"), json!({ "examples": [";"] })),
        ("users[]" | "expect[].freshness", "query") | ("expect[]", "patron") => said(NOT_BLANK, r"\S"),
        ("expect[]", "unique" | "no_new_values") => {
            let only = "write `true`, or delete the item";
            let pattern = format!("^({}|{})$", any_case("true"), any_case("yes"));
            let truth = json!({ "if": { "type": "boolean" }, "then": { "enum": [true], "errorMessage": only } });
            add_to(said(only, &pattern), truth)
        }
        ("expect[]", "header") => header_name(),
        ("expect[]", "is") => json!({ "minProperties": 1, "propertyNames": header_name() }),
        ("users[].columns.HEADER", "column") => column_name(),
        ("users[].columns.HEADER", "template") => json!({ "examples": ["{{ Year + 12 }}"] }),
        _ => json!({}),
    }
}

fn path_of_feed(pattern: &str) -> Value {
    let alone = "write the path alone, from the `/` after the host on";
    add_to(said(alone, pattern), json!({ "type": "string" }))
}

const MAIL_ADDRESS: &str = "write an address: `library@example.edu`";
const MAIL_PATTERN: &str = r"^[^\s@<>,;\x22]+@[^\s@<>,;\x22]+$";
const NOT_BLANK: &str = "this cannot be blank";

/// A pattern with what an editor says when a text is not so, or when there is no text at all.
fn said(message: &str, pattern: &str) -> Value {
    json!({ "pattern": pattern, "patternErrorMessage": message, "errorMessage": message })
}

fn text() -> Value {
    json!({ "type": ["string", "number", "boolean"] })
}

fn switch() -> Value {
    let words = ["true", "false", "yes", "no"].map(any_case).join("|");
    add_to(said("write `true` or `false`", &format!("^({words})$")), json!({ "type": ["boolean", "string"] }))
}

/// The name of a result column: no template, and on one line.
fn column_name() -> Value {
    let template = said("this is a template: write `{ template: \"{{ … }}\" }`", r"^([^{]|\{[^{%])*\{?$");
    let line = said("write the name of a result column", r"^[^\n\t]*\S[^\n\t]*$");
    json!({ "allOf": [template, line] })
}

/// Any of these words; they are taken in any case, and completed as they are written here.
fn one_of_words(words: &[&str]) -> Value {
    let listed: Vec<Value> = words.iter().flat_map(|word| [Some(json!(word)), number(word)]).flatten().collect();
    if words.iter().all(|word| number(word).is_some()) {
        return json!({ "enum": listed });
    }
    let cases = words.iter().map(|word| any_case(word)).collect::<Vec<_>>().join("|");
    json!({ "anyOf": [{ "enum": listed }, { "type": "string", "pattern": format!("^({cases})$") }] })
}

/// A header that something can be expected of.
fn header_name() -> Value {
    let names: Vec<&str> =
        USERS.headers.iter().filter(|rule| rule.kind != contract::Kind::Password).map(|rule| rule.name).collect();
    one_of_words(&names)
}

fn columns(feed: &'static Contract) -> Value {
    let mut properties = Map::new();
    let mut patterns = Map::new();
    let mut all = Vec::new();
    for header in feed.iter() {
        let rule = feed.rule(header);
        let form = of_header(feed, rule, header == feed.key());
        let mut schema = json!({ "description": header_sentence(rule) });
        add(&mut schema, form.clone());
        patterns.insert(format!("^{}$", any_case(rule.name)), form);
        properties.insert(rule.name.to_owned(), schema);
        if matches!(rule.presence, Presence::Mandatory | Presence::Content) {
            all.push(has_header(rule.name));
        }
    }
    let cohort = with_presence(feed, Presence::OneOfCohort);
    let content = with_presence(feed, Presence::OneOfContent);
    for pair in [&cohort, &content] {
        if let [first, second] = pair.as_slice() {
            let other: Map<String, Value> = [((*second).to_owned(), json!(false))].into_iter().collect();
            all.push(json!({ "if": { "required": [first] }, "then": { "properties": other } }));
        }
    }
    let any_of = |names: &[&str]| -> Value { names.iter().map(|name| has_header(name)).collect() };
    if !content.is_empty() {
        all.push(json!({ "anyOf": any_of(&content) }));
    }
    if feed.staff.is_some() {
        let none: Map<String, Value> = cohort.iter().map(|name| ((*name).to_owned(), json!(false))).collect();
        let is_student = staffmember_is(&contract::FALSE_SPELLINGS, false);
        all.push(json!({ "if": is_student, "then": { "anyOf": any_of(&cohort) } }));
        all.push(json!({ "if": staffmember_is(&contract::TRUE_SPELLINGS, true), "then": { "properties": none } }));
    }
    json!({
        "type": "object",
        "properties": properties,
        "patternProperties": patterns,
        "additionalProperties": false,
        "allOf": all,
    })
}

fn with_presence(feed: &Contract, presence: Presence) -> Vec<&'static str> {
    feed.headers.iter().filter(|rule| rule.presence == presence).map(|rule| rule.name).collect()
}

/// The header is there, in whatever case.
fn has_header(name: &str) -> Value {
    let is_other = json!({ "not": { "pattern": format!("^{}$", any_case(name)) } });
    json!({ "anyOf": [{ "required": [name] }, { "not": { "propertyNames": is_other } }] })
}

/// `staffmember` is the same for all, as one of these.
fn staffmember_is(spellings: &[&str], truth: bool) -> Value {
    let cases = spellings.iter().map(|word| any_case(word)).collect::<Vec<_>>().join("|");
    let value = json!({ "anyOf": [{ "const": truth }, { "const": u8::from(truth) }, { "type": "string", "pattern": format!("^({cases})$") }] });
    json!({
        "required": ["staffmember"],
        "properties": {
            "staffmember": { "type": "object", "maxProperties": 1, "required": ["value"], "properties": { "value": value } }
        },
    })
}

/// How one header is filled: the name of a column, or a rule.
fn of_header(feed: &'static Contract, rule: &HeaderRule, is_key: bool) -> Value {
    let mut bare = add_to(text(), column_name());
    add(&mut bare, json!({ "errorMessage": "write the name of a result column, or a rule: `{ value: … }`" }));
    // A value that is no name is mostly meant as `{ value: … }`.
    let value = match rule.kind {
        contract::Kind::Boolean => Some(json!({ "enum": [true, false, 0, 1] })),
        contract::Kind::Year => Some(json!({ "type": "integer", "minimum": 1000, "maximum": 9999 })),
        _ => None,
    };
    if let Some(value) = value {
        let message =
            "this is read as the name of a result column; for the same text in every row write `{ value: … }`";
        add(&mut bare, json!({ "if": value, "then": { "type": "string", "errorMessage": message } }));
    }
    let is_mandatory = rule.presence == Presence::Mandatory;
    let mut properties = json!({ "default": literal(rule.kind, is_mandatory) });
    if is_mandatory || feed.account.is_some() {
        let message =
            if is_mandatory { "the header is mandatory: delete `send`" } else { "this is for accounts: delete `send`" };
        add(&mut properties, json!({ "send": said(message, &format!("^{}$", any_case("always"))) }));
    }
    if rule.kind != contract::Kind::Reach {
        add(&mut properties, json!({ "split": false }));
    }
    if rule.kind == contract::Kind::Picture {
        let idle = ["value", "template", "lookup", "transform", "default"];
        let idle: Map<String, Value> = idle.map(|name| (name.to_owned(), json!(false))).into_iter().collect();
        add(&mut properties, Value::Object(idle));
    }
    let is_content = matches!(rule.presence, Presence::Content | Presence::OneOfContent);
    let value = if rule.unique == Unique::No && !is_key {
        literal(rule.kind, is_mandatory || is_content)
    } else {
        let message = format!("every row would have the same `{}`, which must differ from patron to patron", rule.name);
        add_to(said(&message, r"^\s*$"), json!({ "type": "string" }))
    };
    // What a lookup or a transform makes of the value is not for a schema.
    let changes: Vec<Value> = ["lookup", "transform", "default"].map(|name| json!({ "required": [name] })).into();
    let outputs = json!({ "if": { "type": "null" }, "else": literal(rule.kind, false) });
    let full = add_to(
        reference(&keys::RULE, feed),
        json!({
            "properties": properties,
            "allOf": [
                { "if": { "anyOf": changes }, "else": { "properties": { "value": value } } },
                {
                    "if": { "required": ["transform"] },
                    "else": { "properties": { "lookup": { "additionalProperties": outputs } } },
                },
            ],
        }),
    );
    json!({ "if": { "type": "object" }, "then": full, "else": bare })
}

/// What the mapping itself may give a header.
fn literal(kind: contract::Kind, is_mandatory: bool) -> Value {
    let blank = if is_mandatory { "" } else { r"|\s*" };
    let words = |words: &[&str]| {
        let cases = words.iter().map(|word| any_case(word)).collect::<Vec<_>>().join("|");
        format!(r"^(\s*({cases})\s*{blank})$")
    };
    match kind {
        contract::Kind::Boolean => {
            let spellings = [contract::TRUE_SPELLINGS, contract::FALSE_SPELLINGS].concat();
            let said = said("write `true` or `false` (also `Y`, `N`, `yes`, `no`, `1`, `0`)", &words(&spellings));
            add_to(said, json!({ "type": ["boolean", "integer", "string"], "minimum": 0, "maximum": 1 }))
        }
        contract::Kind::Year => {
            let pattern = format!(r"^(\s*[1-9][0-9]{{3}}(\.0*)?\s*{blank})$");
            let said = said("write a year of four digits: `2032`", &pattern);
            add_to(said, json!({ "type": ["number", "string"], "minimum": 1000, "maximum": 9999 }))
        }
        contract::Kind::OneOf(list) => {
            let message = format!("write `{}` or `\"\"`", list.join("`, `"));
            add_to(said(&message, &words(list)), json!({ "type": "string" }))
        }
        contract::Kind::Email => {
            let pattern = format!(r"^(\s*[^\s@]+@[^\s@]+\s*{blank})$");
            add_to(said("write an e-mail address: `library@example.edu`", &pattern), json!({ "type": "string" }))
        }
        contract::Kind::Channel => literal(contract::Kind::OneOf(&CHANNELS), is_mandatory),
        _ if is_mandatory => add_to(text(), said(NOT_BLANK, r"\S")),
        _ => text(),
    }
}

fn transforms() -> Value {
    let items: Vec<Value> = keys::TRANSFORM
        .keys
        .iter()
        .map(|key| {
            let description = json!({ "description": sentence(key.about) });
            if let Kind::Word = key.kind {
                return add_to(description, json!({ "const": key.name }));
            }
            let mut inner = value(key, &USERS);
            if key.name == "first_of" {
                add(&mut inner, json!({ "minLength": 1 }));
            }
            let properties: Map<String, Value> = [(key.name.to_owned(), inner)].into_iter().collect();
            let object = json!({
                "type": "object",
                "properties": properties,
                "required": [key.name],
                "additionalProperties": false,
            });
            add_to(description, object)
        })
        .collect();
    json!({ "type": "array", "items": { "anyOf": items } })
}

/// The text of a default as YAML reads it.
fn plain(text: &str) -> Value {
    match text {
        "true" => json!(true),
        "false" => json!(false),
        _ => number(text).unwrap_or_else(|| json!(text)),
    }
}

fn number(text: &str) -> Option<Value> {
    text.parse::<u64>().ok().map(|number| json!(number))
}

/// `[Yy][Ee][Ss]`: patterns have no switch for case that every validator knows.
fn any_case(word: &str) -> String {
    word.chars().fold(String::new(), |mut pattern, char| {
        if char.is_ascii_alphabetic() {
            pattern.extend(['[', char.to_ascii_uppercase(), char.to_ascii_lowercase(), ']']);
        } else {
            pattern.push(char);
        }
        pattern
    })
}

/// The words of the reference with a capital and a full stop.
fn sentence(about: &str) -> String {
    let mut chars = about.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", chars.as_str())
}

fn header_sentence(rule: &HeaderRule) -> String {
    let presence = match rule.presence {
        Presence::Mandatory => " Mandatory.",
        Presence::Content => " Mandatory; a row in which it is blank is left out.",
        Presence::OneOfContent => " Exactly one of `image` and `file`; a row in which it is blank is left out.",
        Presence::OneOfCohort => " Students need exactly one of `graduationyear` and `academiclevel`.",
        Presence::Optional => "",
    };
    format!("{}{presence} A result column, or a rule.", sentence(rule.about))
}

/// Adds the members of another object. Both are objects here.
fn add(schema: &mut Value, more: Value) {
    if let (Value::Object(schema), Value::Object(more)) = (schema, more) {
        schema.extend(more);
    }
}

fn add_to(mut schema: Value, more: Value) -> Value {
    add(&mut schema, more);
    schema
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use boon::{Compiler, SchemaIndex, Schemas};

    use super::*;
    use crate::mapping::yaml::{self, Content, Node, Style};
    use crate::mapping::{Mapping, find};

    const FIXTURES: &str = "tests/fixtures/mappings";

    /// Those of `invalid` that a schema cannot see, and why.
    const UNSEEN: &[(&str, &str)] = &[
        ("Bad name", "the file's name is not in the file"),
        ("ca-file-missing", "files that are named"),
        ("command-not-allowed", "the leave stands in another key"),
        ("contacts-name-of-users", "items of a list held against each other"),
        ("control-character-in-path", "escapes are read already"),
        ("duplicate-header-case", "a key that differs only in case, or comes again"),
        ("duplicate-key", "a key that differs only in case, or comes again"),
        ("duration-out-of-bounds", "bounds of durations"),
        ("encryption-level", "what holds between keys far apart"),
        ("expect-of-feed", "what holds between keys far apart"),
        ("expect-without-state", "what holds between keys far apart"),
        ("extract-name-twice", "items of a list held against each other"),
        ("feed-path-disguised", "references and addresses"),
        ("feed-path-dots", "references and addresses"),
        ("feed-path-of-contacts", "what holds between keys far apart"),
        ("feed-path-of-users", "what holds between keys far apart"),
        ("feed-path-twice", "what holds between keys far apart"),
        ("groups-header", "what holds between keys far apart"),
        ("groups-lookup", "what holds between keys far apart"),
        ("groups-value", "what holds between keys far apart"),
        ("hold-order", "items of a list held against each other"),
        ("images-file-without-folder", "what holds between keys far apart"),
        ("images-folder-name", "items of a list held against each other"),
        ("images-folder-reference", "references and addresses"),
        ("images-size-too-large", "bounds of sizes"),
        ("include-base-list", "files that are named"),
        ("include-empty", "files that are named"),
        ("include-encoding", "files that are named"),
        ("include-folder", "files that are named"),
        ("include-itself", "files that are named"),
        ("include-lacks-keys", "files that are named"),
        ("include-login-in-base", "files that are named"),
        ("include-login-twice", "files that are named"),
        ("include-missing", "files that are named"),
        ("include-syntax", "files that are named"),
        ("key-missing", "YAML that editors report by themselves"),
        ("lookup-contradiction", "items of a list held against each other"),
        ("lookup-without-entry", "what a lookup gives"),
        ("merge-of-text", "YAML that editors report by themselves"),
        ("notify-template", "SQL, templates and regular expressions"),
        ("notify-template-syntax", "SQL, templates and regular expressions"),
        ("query-file-encoding", "files that are named"),
        ("query-file-missing", "files that are named"),
        ("query-writes", "SQL, templates and regular expressions"),
        ("reference-kind", "references and addresses"),
        ("reference-syntax", "references and addresses"),
        ("source-ca-file-and-trust", "what holds between keys far apart"),
        ("source-csv-delimiter", "references and addresses"),
        ("source-csv-folder", "files that are named"),
        ("source-odbc-driver", "references and addresses"),
        ("source-odbc-password", "references and addresses"),
        ("source-url", "references and addresses"),
        ("source-username-twice", "what holds between keys far apart"),
        ("state-connection-string", "references and addresses"),
        ("state-control-character", "escapes are read already"),
        ("state-folder", "files that are named"),
        ("state-folder-slash", "references and addresses"),
        ("state-memory", "references and addresses"),
        ("state-mysql", "references and addresses"),
        ("state-none-and-delta", "what holds between keys far apart"),
        ("state-none-and-full-every", "what holds between keys far apart"),
        ("state-none-and-leavers", "what holds between keys far apart"),
        ("state-postgres-host", "references and addresses"),
        ("state-postgres-special-character", "references and addresses"),
        ("state-reference", "references and addresses"),
        ("state-sqlite", "references and addresses"),
        ("syntax-complex-key", "YAML that editors report by themselves"),
        ("syntax-exclamation-mark", "YAML that editors report by themselves"),
        ("template-filter", "SQL, templates and regular expressions"),
        ("template-loop", "SQL, templates and regular expressions"),
        ("template-syntax", "SQL, templates and regular expressions"),
        ("transform-pattern", "SQL, templates and regular expressions"),
    ];

    struct Validator {
        schemas: Schemas,
        index: SchemaIndex,
    }

    impl Validator {
        fn new() -> Self {
            Self::of(json_schema())
        }

        fn of(schema: Value) -> Self {
            let mut schemas = Schemas::new();
            let mut compiler = Compiler::new();
            compiler.add_resource("mapping.json", schema).unwrap();
            let index = compiler.compile("mapping.json", &mut schemas).unwrap();
            Self { schemas, index }
        }

        fn check(&self, text: &str) -> Result<(), String> {
            let (tree, _) = yaml::parse(text);
            let tree = tree.ok_or_else(|| "not YAML".to_owned())?;
            self.schemas.validate(&as_json(&tree), self.index).map_err(|error| error.to_string())
        }
    }

    /// A document as an editor reads it: by the core schema of YAML 1.2.
    fn as_json(node: &Node) -> Value {
        match &node.content {
            Content::Null => Value::Null,
            Content::Scalar { text, style: Style::Plain } => scalar(text),
            Content::Scalar { text, .. } => json!(text),
            Content::Sequence(items) => items.iter().map(as_json).collect(),
            Content::Mapping(entries) => {
                let entries =
                    entries.iter().map(|(key, value)| (key.text().unwrap_or_default().to_owned(), as_json(value)));
                Value::Object(entries.collect())
            }
        }
    }

    fn scalar(text: &str) -> Value {
        match text {
            "true" | "True" | "TRUE" => return json!(true),
            "false" | "False" | "FALSE" => return json!(false),
            _ => {}
        }
        let is_number = text.contains(|char: char| char.is_ascii_digit())
            && text.chars().all(|char| char.is_ascii_digit() || "+-.eE".contains(char));
        let number = text.trim_start_matches('+');
        match (is_number, number.parse::<i64>(), number.parse::<f64>()) {
            (true, Ok(number), _) => json!(number),
            (true, Err(_), Ok(number)) => json!(number),
            _ => json!(text),
        }
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        find(&[folder.to_owned()]).unwrap()
    }

    fn fixtures(kind: &str) -> Vec<PathBuf> {
        files(&Path::new(FIXTURES).join(kind))
    }

    #[test]
    fn what_is_valid_is_valid_in_an_editor() {
        let validator = Validator::new();
        for path in [fixtures("valid"), fixtures("warnings"), files(Path::new("mappings"))].concat() {
            let text = fs::read_to_string(&path).unwrap();
            if let Err(error) = validator.check(&text) {
                panic!("{}: {error}", path.display());
            }
        }
    }

    /// A base has a schema of its own, in which nothing is required; any mapping without a name may be one.
    #[test]
    fn a_base_is_checked_in_an_editor() {
        let validator = Validator::of(json_schema_of_base());
        for (file, is_valid) in [
            ("bases/_base", true),
            ("invalid/_login", true),
            ("invalid/_partial", true),
            ("valid/smallest", true),
            ("invalid/_empty", false),
            ("invalid/_list", false),
            ("invalid/_nested", false),
            ("valid/include", false),
        ] {
            let text = fs::read_to_string(Path::new(FIXTURES).join(format!("{file}.yaml"))).unwrap();
            assert_eq!(validator.check(&text).is_ok(), is_valid, "{file}");
        }
        for line in ["name: all-schools", "include: _base.yaml", "sorce: { url: 'sqlite:sis.db' }", "mode: dleta"] {
            assert!(validator.check(line).is_err(), "{line}");
        }
        // With a base nothing is required of the mapping either, but what is there must be right.
        let validator = Validator::new();
        for (text, is_valid) in [
            ("include: ../_base.yaml\ntarget: { url: 'https://stmarys.concordinfiniti.com' }", true),
            ("include: ../_base.yaml\ntarget: { uri: 'https://stmarys.concordinfiniti.com' }", false),
            ("include: ../_base.yaml\nhold: [{ from: 2026-12-10 }]", false),
            ("target: { url: 'https://stmarys.concordinfiniti.com' }", false),
        ] {
            assert_eq!(validator.check(text).is_ok(), is_valid, "{text}");
        }
    }

    #[test]
    fn the_blocks_of_the_documentation_are_valid_in_an_editor() {
        let (validator, of_base) = (Validator::new(), Validator::of(json_schema_of_base()));
        let mut count = 0;
        for document in ["README.md", "mappings/README.md"] {
            let text = fs::read_to_string(document).unwrap().replace("\r\n", "\n");
            let parts: Vec<&str> = text.split("```yaml\n").collect();
            let before = parts.iter().map(|before| before.lines().last().unwrap_or_default());
            let blocks: Vec<(&str, &str)> =
                before.zip(parts[1..].iter().filter_map(|rest| rest.split("```\n").next())).collect();
            // Some blocks are lines to add to the first, and some are bases.
            for (mark, block) in &blocks {
                let is_whole = block.contains("version: 1") || block.contains("include: ");
                let whole = if is_whole { (*block).to_owned() } else { format!("{}{block}", blocks[0].1) };
                let validator = if mark.contains("file: _") { &of_base } else { &validator };
                if let Err(error) = validator.check(&whole) {
                    panic!("{document}: {error}\n{whole}");
                }
                count += 1;
            }
        }
        assert!(count >= 5, "only {count} blocks were found");
    }

    #[test]
    fn what_is_not_valid_is_not_valid_in_an_editor() {
        let validator = Validator::new();
        let mut passed: Vec<String> = Vec::new();
        for path in fixtures("invalid") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let Ok(text) = fs::read_to_string(&path) else { continue };
            assert!(Mapping::load(&path).is_err());
            if validator.check(&text).is_ok() {
                passed.push(name);
            }
        }
        passed.sort_unstable();
        let unseen: Vec<&str> = UNSEEN.iter().map(|(name, _)| *name).collect();
        assert_eq!(passed, unseen);
    }
}
