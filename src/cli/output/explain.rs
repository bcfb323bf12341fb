//! One patron, step by step. As in a preview, values are shown, and passwords masked.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::expect::{verdict_text, verdicts};
use super::plan::{names, reason_words, scope, stage_words, wait_text};
use super::preview::{MASK, shown_cell};
use super::result::{hold_text, write_findings};
use super::state::{Patron, patron_object};
use super::{ERROR, HINT, Output, STRONG, WARNING, counted, json as as_json, number, write_failed};
use crate::cli::explain::{Absent, Explained, Fate as OtherFate, OtherFeed, StateView, by_another_header};
use crate::error::{Error, ExitCode};
use crate::infiniti::contract::{Contract, Header, HeaderSet, Kind, Presence, Rows, USERS};
use crate::infiniti::patron::WarningKind;
use crate::infiniti::trace::{HeaderTrace, Stage, Traced};
use crate::infiniti::value::RowPlace;
use crate::mapping::{Extract, Input, Mapping, Rule};
use crate::state::Entry;
use crate::sync::expect::Outcome;
use crate::sync::plan::Prospect;
use crate::sync::{Match, Person, PersonRow, Reason, Scope};

impl Output {
    /// A patron, for people.
    pub(in crate::cli) fn explained(&mut self, explained: &Explained<'_>) -> Result<(), Error> {
        write_explained(&mut self.data(), explained).map_err(write_failed)
    }

    /// A patron, for programs.
    pub(in crate::cli) fn explained_json(&mut self, explained: &Explained<'_>) -> Result<(), Error> {
        as_json::write(&mut self.data(), &explained_object(explained)).map_err(write_failed)
    }

    /// That no query gives a patron, and what is known all the same.
    pub(in crate::cli) fn absent(&mut self, absent: &Absent<'_>, shows_state: bool) -> Result<(), Error> {
        if shows_state {
            let mut out = self.data();
            write_absent(&mut out, absent)
                .and_then(|()| write_others(&mut out, absent.others, absent.known))
                .map_err(write_failed)?;
        }
        let mut notes = self.notes();
        let (message, hint) = absent_text(absent);
        let mut write = || -> io::Result<()> {
            writeln!(notes, "{ERROR}error{ERROR:#}: {message}")?;
            writeln!(notes, "{HINT}hint{HINT:#}: {hint}")
        };
        write().map_err(write_failed)
    }

    /// The same for programs.
    pub(in crate::cli) fn absent_json(&mut self, absent: &Absent<'_>) -> Result<(), Error> {
        as_json::write(&mut self.data(), &absent_object(absent)).map_err(write_failed)
    }
}

fn write_explained(out: &mut impl Write, explained: &Explained<'_>) -> io::Result<()> {
    let Explained { mapping, search, found, .. } = explained;
    let Some(extract) = mapping.users.extracts.get(usize::from(found.row.place.extract)) else { return Ok(()) };
    if by_another_header(&found.row) {
        writeln!(out, "no query gives the username `{}`; a row has it as {}:", explained.asked, header_of(&found.row))?;
    }
    let who = found.row.username.as_deref().unwrap_or("no username");
    writeln!(out, "{STRONG}{who}{STRONG:#}: {}", place_text(mapping, found.row.place))?;
    for other in &search.others {
        writeln!(out, "  {WARNING}also{WARNING:#}      {} of {}", header_of(other), match_text(mapping, other))?;
    }
    writeln!(out, "  query     {}", query_text(extract))?;
    let width = found.columns.iter().map(|column| column.name.chars().count()).max().unwrap_or(0);
    let secret = secret_columns(extract);
    for (index, (column, cell)) in found.columns.iter().zip(&found.cells).enumerate() {
        let label = if index == 0 { "row" } else { "" };
        let value = quoted(cell, secret.iter().any(|name| *name == column.name.to_lowercase()));
        writeln!(out, "  {label:<9} {:<width$}  {value}", column.name)?;
    }
    let width = found.trace.headers.iter().map(|trace| name(trace.header).len()).max().unwrap_or(0);
    for (index, trace) in found.trace.headers.iter().enumerate() {
        let label = if index == 0 { "headers" } else { "" };
        let Some(rule) = extract.rules.iter().find(|rule| rule.header == trace.header) else { continue };
        let way = way_text(trace, rule, explained);
        writeln!(out, "  {label:<9} {:<width$}  {way}", name(trace.header))?;
    }
    write_checks(out, explained)?;
    writeln!(out, "  state     {}", state_text(explained, found.row.username.as_deref()))?;
    write_prospect(out, explained)?;
    if !search.is_whole {
        writeln!(
            out,
            "  not read  the rows after this one; one with the same username or barcode would clash with it: `sispush diff` and `sispush preview --rejected` read all rows"
        )?;
    }
    write_others(out, explained.others, explained.known)
}

/// What the other feeds have of the person, each in a block of its own.
fn write_others(out: &mut impl Write, others: &[OtherFeed], view: &StateView) -> io::Result<()> {
    for other in others {
        let feed = other.contract.feed;
        let Some(person) = &other.person else {
            writeln!(out, "{STRONG}{feed}{STRONG:#}")?;
            writeln!(out, "  push      {}", other_text(other, None))?;
            continue;
        };
        writeln!(out, "{STRONG}{feed}{STRONG:#}: {} of `{}`", counted(places(person), "row"), person.key)?;
        for row in &person.rows {
            let place = format!("{} row {}", person.patrons.extract_name(row.place.extract), row.place.row);
            match row_fate(person, row) {
                RowFate::Sent => writeln!(out, "  row       {place}: {}", values_text(person.contract, row))?,
                // Why is told below.
                RowFate::Rejected => {}
                RowFate::Empty(header) => {
                    writeln!(out, "  left out  {place}: `{}` is blank", person.contract.rule(header).name)?;
                }
            }
        }
        write_findings(out, &person.patrons, usize::MAX)?;
        let known = match other.entry() {
            Some(entry) => entry_text(other.contract, &entry),
            None if view.place.is_some() => "not known: never sent, or forgotten".to_owned(),
            None => known_text(view, &person.key),
        };
        writeln!(out, "  state     {known}")?;
        writeln!(out, "  push      {}", other_text(other, Some(person)))?;
    }
    Ok(())
}

/// How many rows of the source a person has.
fn places(person: &Person) -> u64 {
    let mut places: Vec<RowPlace> = person.rows.iter().map(|row| row.place).collect();
    places.dedup();
    places.len() as u64
}

/// What becomes of one row of a person.
enum RowFate {
    Sent,
    Rejected,
    /// This header, which the row is there for, is blank.
    Empty(Header),
}

impl RowFate {
    fn code(&self) -> &'static str {
        match self {
            Self::Sent => "valid",
            Self::Rejected => "rejected",
            Self::Empty(_) => "left_out",
        }
    }
}

fn row_fate(person: &Person, row: &PersonRow) -> RowFate {
    let is_left_out = |(header, result): &&(Header, Traced)| {
        let presence = person.contract.rule(*header).presence;
        *result == Traced::LeftOut && matches!(presence, Presence::Content | Presence::OneOfContent)
    };
    match row.headers.iter().find(is_left_out) {
        Some((header, _)) => RowFate::Empty(*header),
        None if person.patrons.rejections.iter().any(|rejection| rejection.place == row.place) => RowFate::Rejected,
        None => RowFate::Sent,
    }
}

/// The values of a row as they are sent, without the key, which is the same in all.
fn values_text(contract: &Contract, row: &PersonRow) -> String {
    let each = row.headers.iter().filter(|(header, _)| *header != contract.key()).filter_map(|(header, result)| {
        Some(format!("{} {}", contract.rule(*header).name, quoted(&sent_value(contract, *header, result)?, false)))
    });
    each.collect::<Vec<_>>().join(", ")
}

fn sent_value(contract: &Contract, header: Header, result: &Traced) -> Option<String> {
    match result {
        Traced::Sent(value) => Some(shown_cell(contract, header, value, false).into_owned()),
        Traced::SentBlank => Some(String::new()),
        Traced::LeftOut | Traced::Broken(_) => None,
    }
}

/// What a push would do, and why.
fn other_text(other: &OtherFeed, person: Option<&Person>) -> String {
    let keeps = if other.entry().is_some() { "; Infiniti keeps what it has" } else { "" };
    match &other.fate {
        OtherFate::NoKey(header) => format!("nothing: no account gives an `{header}`, by which {} are known", other.contract.feed),
        OtherFate::Nothing if other.entry().is_some() => {
            "nothing: the source has none any longer; they are told as gone, and Infiniti keeps what it has".to_owned()
        }
        OtherFate::Nothing => "nothing: there is nothing to send".to_owned(),
        OtherFate::Rejected => format!("would send nothing, since every row is rejected{keeps}"),
        OtherFate::NoAccount => format!("would send nothing: left out, having no account{keeps}"),
        OtherFate::Kept => "would send nothing until the rejected rows are repaired, since what is sent replaces what is there; Infiniti keeps what it has".to_owned(),
        OtherFate::Goes(prospect) => {
            let rows = person
                .map(|person| person.patrons.order().iter().map(|patron| person.patrons.line_count(*patron) as u64).sum())
                .unwrap_or_default();
            let what = match other.contract.rows {
                Rows::One => "it".to_owned(),
                Rows::Several => counted(rows, "row"),
            };
            goes_text(other.contract, prospect, &what)
        }
    }
}

fn write_checks(out: &mut impl Write, explained: &Explained<'_>) -> io::Result<()> {
    let extract_name = |extract| explained.search.patrons.extract_name(extract);
    match explained.rejection {
        None => writeln!(out, "  checks    the row keeps Infiniti's contract")?,
        Some(rejection) => {
            for (header, rule) in &rejection.broken {
                writeln!(out, "  {ERROR}rejected{ERROR:#}  {}", rule.reason(&USERS, *header, &extract_name))?;
            }
        }
    }
    if explained.rejection.is_none() {
        for warning in &explained.found.alone.warnings {
            let text = match warning.kind {
                WarningKind::NoBarcode => "no `librarybarcode`: the patron cannot borrow".to_owned(),
                WarningKind::StaffWithoutAddress => {
                    "no `emailaddress`: the staff member cannot be written to".to_owned()
                }
                // Of other feeds.
                WarningKind::UnknownWord(_) | WarningKind::NoAccount | WarningKind::StaffWithoutGroup => continue,
                WarningKind::ControlCharacter(header) => {
                    format!("a line break or control character in `{}`; a space was put in its place", name(header))
                }
            };
            writeln!(out, "  {WARNING}warning{WARNING:#}   {text}")?;
        }
    }
    for verdict in &explained.verdicts {
        let text = verdict_text(verdict, true);
        match verdict.outcome {
            Outcome::Met | Outcome::Skipped => writeln!(out, "  expected  {text}")?,
            Outcome::Warned => writeln!(out, "  {WARNING}expected{WARNING:#}  {text}")?,
            Outcome::Failed => writeln!(out, "  {ERROR}expected{ERROR:#}  {text}; it stops a push")?,
        }
    }
    Ok(())
}

fn state_text(explained: &Explained<'_>, username: Option<&str>) -> String {
    match username {
        None => "a row without a username is nobody's".to_owned(),
        Some(username) => known_text(explained.known, username),
    }
}

fn known_text(view: &StateView, username: &str) -> String {
    if view.place.is_none() {
        return if view.is_kept {
            "nothing is known yet: it begins with the first push".to_owned()
        } else {
            "none is kept".to_owned()
        };
    }
    let Some(entry) = view.known.entry(username) else {
        return "not known: never sent, or forgotten".to_owned();
    };
    entry_text(&USERS, &entry)
}

fn entry_text(contract: &Contract, entry: &Entry<'_>) -> String {
    let patron = Patron::of(contract, entry);
    let at = patron.at.map(|at| format!(" at {at}")).unwrap_or_default();
    let missing = patron.missing_since.map(|since| format!("; missing since {since}")).unwrap_or_default();
    let rows = if contract.rows == Rows::One { "last row" } else { "last rows" };
    format!("{}{at}; {rows} {}{missing}", patron.standing, patron.outcome)
}

fn write_prospect(out: &mut impl Write, explained: &Explained<'_>) -> io::Result<()> {
    if let Some(hold) = explained.hold {
        writeln!(out, "  {WARNING}hold{WARNING:#}      {}; until then a push sends nothing", hold_text(hold))?;
    }
    let Some(prospect) = &explained.prospect else {
        let own = explained.found.row.username.as_deref();
        let is_known = own.is_some_and(|username| explained.known.known.entry(username).is_some());
        let rest = if is_known { "; Infiniti keeps what it has, and this is no leaver" } else { "" };
        return writeln!(out, "  push      would not send the row, since it is rejected{rest}");
    };
    if let Some(rename) = &prospect.rename {
        let if_so = if explained.search.is_whole { "" } else { "if no query gives that one any longer, " };
        writeln!(
            out,
            "  {WARNING}renamed?{WARNING:#}  Infiniti has `{}` with the same `{}`: {if_so}it looks like a changed username, and both are held back",
            rename.old,
            name(rename.header)
        )?;
        if explained.search.is_whole {
            return Ok(());
        }
    }
    let otherwise = if prospect.rename.is_some() { "otherwise, " } else { "" };
    writeln!(out, "  push      {otherwise}{}", prospect_text(prospect))
}

fn prospect_text(prospect: &Prospect) -> String {
    match prospect.change {
        None => format!("{}: would not send the row, which is as Infiniti accepted it", scope(prospect.scope)),
        Some(_) => goes_text(&USERS, prospect, &counted(prospect.sent.len() as u64, "header")),
    }
}

fn goes_text(contract: &Contract, prospect: &Prospect, what: &str) -> String {
    let Some(change) = &prospect.change else {
        return format!("{}: would send nothing, since all is as Infiniti accepted it", scope(prospect.scope));
    };
    let why = match change.reason {
        Reason::New => "new, never sent before".to_owned(),
        Reason::Changed if change.headers.is_empty() => "changed".to_owned(),
        Reason::Changed => format!("changed in {}", names(contract, change.headers)),
        Reason::Resent => "unchanged, but a full push sends everybody".to_owned(),
        Reason::Failed | Reason::Unknown | Reason::Returned => reason_words(change.reason).to_owned(),
    };
    format!("{}: would send {what}: {why}", scope(prospect.scope))
}

/// The way of one header, from its column to what is sent.
fn way_text(trace: &HeaderTrace, rule: &Rule, explained: &Explained<'_>) -> String {
    let is_secret = USERS.rule(trace.header).kind == Kind::Password;
    let mut parts: Vec<String> = trace
        .steps
        .iter()
        .map(|(stage, value)| format!("{} {}", stage_text(*stage, rule, is_secret), quoted(value, is_secret)))
        .collect();
    if parts.is_empty() {
        // A template that failed gave nothing.
        parts.push(stage_text(Stage::Input, rule, is_secret));
    }
    parts.push(result_text(trace, explained).to_owned());
    parts.join(" -> ")
}

fn stage_text(stage: Stage, rule: &Rule, is_secret: bool) -> String {
    match (stage, &rule.input) {
        (Stage::Input, Input::Column(column)) => format!("column {column}"),
        (Stage::Input, Input::Value(_)) => "value".to_owned(),
        (Stage::Input, Input::Template(template)) => {
            let source = if is_secret { MASK.to_owned() } else { template.source() };
            format!("template {}", source.split_whitespace().collect::<Vec<_>>().join(" "))
        }
        (Stage::Lookup, _) => "lookup".to_owned(),
        (Stage::Transform(number), _) => match rule.transforms.get(number) {
            Some(transform) if !is_secret => transform.to_string(),
            _ => "transform".to_owned(),
        },
        (Stage::Default, _) => "default".to_owned(),
        (Stage::Normalised, _) => "normalised".to_owned(),
    }
}

fn result_text(trace: &HeaderTrace, explained: &Explained<'_>) -> &'static str {
    match &trace.result {
        Traced::Broken(_) => "rejected",
        Traced::LeftOut => "blank, left out",
        Traced::SentBlank => match fate(trace, explained) {
            Fate::Sent | Fate::Changed => "sent as a blank",
            fate => fate.words(),
        },
        Traced::Sent(_) => fate(trace, explained).words(),
    }
}

/// What a push does with a value.
#[derive(Clone, Copy)]
enum Fate {
    Sent,
    Changed,
    Unchanged,
    /// `send: create`, and Infiniti has the patron.
    ForOthers,
    /// `send: create`, and nobody knows whether Infiniti has the patron.
    ForNobodyYet,
    Rejected,
}

impl Fate {
    fn words(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Changed => "sent, changed",
            Self::Unchanged => "as Infiniti has it",
            Self::ForOthers => "left out (`send: create`): the patron is known",
            Self::ForNobodyYet => "left out (`send: create`): in the first push nobody knows who is new",
            Self::Rejected => "ok",
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::Sent | Self::Changed => "sent",
            Self::Unchanged => "unchanged",
            Self::ForOthers | Self::ForNobodyYet => "left_out",
            Self::Rejected => "row_rejected",
        }
    }
}

fn fate(trace: &HeaderTrace, explained: &Explained<'_>) -> Fate {
    let Some(prospect) = &explained.prospect else { return Fate::Rejected };
    let Some(change) = &prospect.change else {
        let is_create_only = explained.search.patrons.create_only().contains(trace.header);
        return if is_create_only { Fate::ForOthers } else { Fate::Unchanged };
    };
    if !prospect.sent.contains(trace.header) {
        if change.is_known { Fate::ForOthers } else { Fate::ForNobodyYet }
    } else if change.headers.contains(trace.header) {
        Fate::Changed
    } else {
        Fate::Sent
    }
}

/// The value, unless it is a password.
fn shown(value: &str, is_secret: bool) -> &str {
    if is_secret && !value.trim().is_empty() { MASK } else { value }
}

/// With its blanks to be seen. Of an essay that strayed into a column the start is enough.
fn quoted(value: &str, is_secret: bool) -> String {
    const CHARS_MAX: usize = 200;
    match value.char_indices().nth(CHARS_MAX) {
        _ if is_secret && !value.trim().is_empty() => MASK.to_owned(),
        Some((end, _)) => {
            format!("{:?}… ({} more)", &value[..end], counted(value[end..].chars().count() as u64, "character"))
        }
        None => format!("{value:?}"),
    }
}

/// The columns that hold passwords, in lower case.
fn secret_columns(extract: &Extract) -> Vec<String> {
    let rules = extract.rules.iter().filter(|rule| USERS.rule(rule.header).kind == Kind::Password);
    rules
        .flat_map(|rule| match &rule.input {
            Input::Column(column) => vec![column.to_lowercase()],
            Input::Template(template) => template.variables().iter().map(|name| name.to_lowercase()).collect(),
            Input::Value(_) => Vec::new(),
        })
        .collect()
}

fn query_text(extract: &Extract) -> String {
    let lines = counted(extract.query.trim_end().lines().count() as u64, "line");
    let place = format!("{}:{}", extract.file.display(), extract.line);
    match &extract.query_file {
        Some(file) => format!("{lines} in {}, named at {place}", file.display()),
        None => format!("{lines} at {place}"),
    }
}

fn name(header: Header) -> &'static str {
    USERS.rule(header).name
}

fn header_of(row: &Match) -> String {
    row.header.map(|header| format!("`{}`", name(header))).unwrap_or_default()
}

fn place_text(mapping: &Mapping, place: RowPlace) -> String {
    let extract = mapping.users.extracts.get(usize::from(place.extract)).map_or("", |extract| extract.name.as_str());
    format!("{extract} row {}", place.row)
}

fn match_text(mapping: &Mapping, row: &Match) -> String {
    let place = place_text(mapping, row.place);
    match &row.username {
        Some(username) => format!("`{username}` ({place})"),
        None => format!("a row without a username ({place})"),
    }
}

fn absent_text(absent: &Absent<'_>) -> (String, String) {
    let extracts = &absent.plan.patrons.extracts;
    let rows: Vec<String> =
        extracts.iter().map(|extract| format!("{} {}", extract.name, number(extract.rows))).collect();
    let rows = rows.join(", ");
    if let Some(place) = absent.row {
        let extract = extracts.get(usize::from(place.extract));
        let (name, count) = extract.map_or((String::new(), 0), |extract| (extract.name.clone(), extract.rows));
        return (
            format!("extract `{name}` gave {}, so there is no row {}", counted(count, "row"), place.row),
            "rows are counted from 1, in the order in which the query gives them".to_owned(),
        );
    }
    let message = format!("no query gives `{}`; all rows were read: {rows}", absent.asked);
    let near: Vec<String> = absent.near.iter().map(|near| match_text(absent.mapping, near)).collect();
    let hint = if near.is_empty() {
        "a filter or a join of the query may hide the person; a barcode, an `adminsystemid` or an address will find the row, too".to_owned()
    } else {
        let (last, first) = near.split_last().map_or(("", &[][..]), |(last, first)| (last.as_str(), first));
        let first = if first.is_empty() { String::new() } else { format!("{} or ", first.join(", ")) };
        format!("did you mean {first}{last}?")
    };
    (message, hint)
}

fn write_absent(out: &mut impl Write, absent: &Absent<'_>) -> io::Result<()> {
    if absent.row.is_some() {
        return Ok(());
    }
    let Some(entry) = absent.known.known.entry(absent.asked) else {
        return writeln!(
            out,
            "{STRONG}{}{STRONG:#}: no row\n  state     {}",
            absent.asked,
            known_text(absent.known, absent.asked)
        );
    };
    writeln!(out, "{STRONG}{}{STRONG:#}: no row", entry.username)?;
    writeln!(out, "  state     {}", known_text(absent.known, absent.asked))?;
    let Some(leaver) = absent.leaver() else { return Ok(()) };
    writeln!(out, "  leaver    {}", stage_words(leaver))?;
    if let Some(rename) = absent.plan.renames.iter().find(|rename| rename.old == leaver.username) {
        writeln!(
            out,
            "  {WARNING}renamed?{WARNING:#}  `{}` has the same `{}`: it looks like a changed username, and both are held back",
            absent.plan.patrons.key(rename.patron),
            name(rename.header)
        )?;
    }
    match &absent.plan.wait {
        Some(wait) => writeln!(out, "            {}", wait_text(wait)),
        None => Ok(()),
    }
}

fn match_object(mapping: &Mapping, row: &Match) -> Value {
    let extract = mapping.users.extracts.get(usize::from(row.place.extract)).map(|extract| extract.name.as_str());
    json!({
        "extract": extract,
        "row": row.place.row,
        "username": row.username,
        "header": row.header.map(name),
    })
}

fn explained_object(explained: &Explained<'_>) -> Value {
    let Explained { mapping, search, found, .. } = explained;
    let extract = mapping.users.extracts.get(usize::from(found.row.place.extract));
    let secret = extract.map(secret_columns).unwrap_or_default();
    let columns: Vec<Value> = found
        .columns
        .iter()
        .zip(&found.cells)
        .map(|(column, cell)| {
            let is_secret = secret.contains(&column.name.to_lowercase());
            json!({ "name": column.name, "type": column.type_name, "value": shown(cell, is_secret) })
        })
        .collect();
    let names = |headers: HeaderSet| headers.iter().map(name).collect::<Vec<_>>();
    let extract_name = |extract| search.patrons.extract_name(extract);
    let headers: Vec<Value> = found
        .trace
        .headers
        .iter()
        .filter_map(|trace| Some((trace, extract?.rules.iter().find(|rule| rule.header == trace.header)?)))
        .map(|(trace, rule)| header_object(trace, rule, explained))
        .collect();
    let broken: Vec<Value> = explained
        .rejection
        .iter()
        .flat_map(|rejection| &rejection.broken)
        .map(|(header, rule)| {
            json!({
                "header": name(*header),
                "rule": rule.code(),
                "reason": rule.reason(&USERS, *header, &extract_name),
            })
        })
        .collect();
    let entry = found.row.username.as_deref().and_then(|username| explained.known.known.entry(username));
    let mut object = match_object(mapping, &found.row);
    let more = json!({
        "exit_code": explained.exit_code().number(),
        "found": true,
        "asked": explained.asked,
        "others": search.others.iter().map(|row| match_object(mapping, row)).collect::<Vec<_>>(),
        "query": extract.map(|extract| json!({
            "lines": extract.query.trim_end().lines().count(),
            "file": extract.query_file.as_ref().unwrap_or(&extract.file),
            "mapping_file": extract.file,
            "mapping_line": extract.line,
        })),
        "columns": columns,
        "headers": headers,
        "broken": broken,
        "warnings": as_json::warnings(&found.alone),
        "expectations": verdicts(&explained.verdicts, true),
        "state": entry.as_ref().map(|entry| patron_object(&USERS, entry)),
        "state_place": explained.known.place,
        "hold": explained.hold.map(as_json::hold_object),
        "push": explained.prospect.as_ref().map(|prospect| json!({
            "mode": if prospect.scope == Scope::Delta { "delta" } else { "full" },
            "full_since": as_json::full_since(prospect.scope),
            "sends": prospect.change.is_some() && prospect.rename.is_none(),
            "reason": prospect.change.map_or("unchanged", |change| change.reason.code()),
            "changed": names(prospect.change.map(|change| change.headers).unwrap_or_default()),
            "headers": names(prospect.sent),
            "renamed_from": prospect.rename.as_ref().map(|rename| rename.old.as_str()),
        })),
        "all_rows_read": search.is_whole,
    });
    add_others(&mut object, explained.others);
    if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
    object
}

/// What the other feeds have, if the mapping has any.
fn add_others(object: &mut Value, others: &[OtherFeed]) {
    if !others.is_empty() {
        object["feeds"] = others.iter().map(other_object).collect();
    }
}

fn other_object(other: &OtherFeed) -> Value {
    let contract = other.contract;
    let name = |header: Header| contract.rule(header).name;
    let row_object = |person: &Person, row: &PersonRow| {
        let values = row.headers.iter().filter_map(|(header, result)| {
            Some((name(*header).to_owned(), sent_value(contract, *header, result)?.into()))
        });
        json!({
            "extract": person.patrons.extract_name(row.place.extract),
            "row": row.place.row,
            "result": row_fate(person, row).code(),
            "values": values.collect::<Map<String, Value>>(),
        })
    };
    let person = other.person.as_ref();
    let prospect = match &other.fate {
        OtherFate::Goes(prospect) => Some(prospect),
        OtherFate::NoKey(_) | OtherFate::Nothing | OtherFate::Rejected | OtherFate::NoAccount | OtherFate::Kept => None,
    };
    let changed = prospect.and_then(|prospect| prospect.change).map(|change| change.headers).unwrap_or_default();
    json!({
        "feed": contract.feed,
        "key": person.map(|person| &person.key),
        "rows": person.map(|person| person.rows.iter().map(|row| row_object(person, row)).collect::<Vec<_>>()),
        "rejections": person.map(|person| as_json::rejections(&person.patrons)),
        "warnings": person.map(|person| as_json::warnings(&person.patrons)),
        "state": other.entry().map(|entry| patron_object(contract, &entry)),
        "push": {
            "mode": prospect.map(|prospect| if prospect.scope == Scope::Delta { "delta" } else { "full" }),
            "full_since": prospect.and_then(|prospect| as_json::full_since(prospect.scope)),
            "sends": prospect.is_some_and(|prospect| prospect.change.is_some()),
            "reason": other.fate.code(),
            "changed": changed.iter().map(name).collect::<Vec<_>>(),
        },
    })
}

fn header_object(trace: &HeaderTrace, rule: &Rule, explained: &Explained<'_>) -> Value {
    let is_secret = USERS.rule(trace.header).kind == Kind::Password;
    let steps: Vec<Value> = trace
        .steps
        .iter()
        .map(|(stage, value)| json!({ "step": stage_text(*stage, rule, is_secret), "value": shown(value, is_secret) }))
        .collect();
    let mut object = Map::new();
    object.insert("header".into(), name(trace.header).into());
    object.insert("steps".into(), steps.into());
    let (result, value) = match &trace.result {
        Traced::Broken(rule) => {
            let extract_name = |extract| explained.search.patrons.extract_name(extract);
            object.insert("reason".into(), rule.reason(&USERS, trace.header, &extract_name).into());
            ("broken", Value::Null)
        }
        Traced::LeftOut => ("blank", Value::Null),
        Traced::SentBlank => (fate(trace, explained).code(), "".into()),
        Traced::Sent(value) => (fate(trace, explained).code(), shown(value, is_secret).into()),
    };
    object.insert("result".into(), result.into());
    object.insert("value".into(), value);
    object.into()
}

fn absent_object(absent: &Absent<'_>) -> Value {
    let entry = absent.known.known.entry(absent.asked);
    let mut object = json!({
        "exit_code": ExitCode::Rejections.number(),
        "found": false,
        "asked": absent.asked,
        "error": absent_text(absent).0,
        "near": absent.near.iter().map(|row| match_object(absent.mapping, row)).collect::<Vec<_>>(),
        "extracts": as_json::extracts(&absent.plan.patrons.extracts),
        "state": entry.as_ref().map(|entry| patron_object(&USERS, entry)),
        "state_place": absent.known.place,
        "leaver": absent.leaver().map(|leaver| json!({
            "stage": leaver.stage.code(),
            "missing_since": leaver.since.timestamp().to_string(),
        })),
        "all_rows_read": true,
    });
    add_others(&mut object, absent.others);
    object
}
