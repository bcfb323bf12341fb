//! What `doctor` found, for people and programs.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;

use serde_json::{Value, json};

use super::{ERROR, HINT, Output, STRONG, WARNING, counted, json, number, seconds, version_text, write_failed};
use crate::cli::args::FormatArg;
use crate::cli::doctor::Examined;
use crate::error::{Error, ExitCode, Hint, causes};
use crate::infiniti::client::Way;
use crate::infiniti::contract::USERS;
use crate::mapping::keyring::STORE;
use crate::mapping::{MappingError, Origin, Problem, Severity};
use crate::ops::doctor::bundle::Collected;
use crate::ops::doctor::{CLOCK_MAX_S, DAYS_LEFT_MIN, Failure, Finding, Kind, Outcome, Part, Step, Trust};
use crate::ops::version;
use crate::sync::{ExtractError, missing_columns};
use crate::tls::Certificate;

impl Output {
    /// Prints each step of a mapping once it is done; in JSON they are printed at the end.
    pub(in crate::cli) fn doctor(&mut self, examined: &Examined, format: FormatArg) -> Told<impl Write + use<>> {
        Told::new((format == FormatArg::Text).then(|| self.data()), examined)
    }

    /// What was found of all mappings.
    pub(in crate::cli) fn examined_json(&mut self, all: &[Examined], worst: ExitCode) -> Result<(), Error> {
        json::write(&mut self.data(), &examined_value(all, worst)).map_err(write_failed)
    }

    /// The files of a bundle: their names and their text.
    #[expect(clippy::unused_self, reason = "whoever prints shows that it holds the output")]
    pub(in crate::cli) fn bundle_files(
        &self,
        all: &[Examined],
        worst: ExitCode,
        collected: Vec<Collected>,
    ) -> Vec<(String, String)> {
        let mut files = vec![
            ("README.txt".to_owned(), BUNDLE.to_owned()),
            ("versions.txt".to_owned(), version_text(&version::facts())),
        ];
        let mut folders: Vec<String> = Vec::new();
        for (examined, mut collected) in all.iter().zip(collected) {
            let stem =
                folder_name(examined.path.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default().as_ref());
            // Windows takes `A` and `a` for one folder.
            let is_taken = |name: &str| folders.iter().any(|folder| folder.to_lowercase() == name.to_lowercase());
            let numbered = (2..).map(|number| format!("{stem}-{number}"));
            let folder = std::iter::once(stem.clone()).chain(numbered).find(|name| !is_taken(name)).unwrap_or(stem);
            folders.push(folder.clone());
            let mut add = |name: &str, text: String| files.push((format!("{folder}/{name}"), text));
            let result = examined_value(std::slice::from_ref(examined), worst);
            let result = serde_json::to_string_pretty(&result).unwrap_or_default();
            add("doctor.json", collected.names.hide(&result) + "\n");
            add("doctor.txt", collected.names.hide(&doctor_text(examined)));
            if let Some(mapping) = collected.mapping {
                add("mapping.yaml", mapping);
            }
            if let Some(base) = collected.base {
                add("base.yaml", base);
            }
            for (index, (_, query)) in collected.queries.into_iter().enumerate() {
                add(&format!("query-{}.sql", index + 1), query);
            }
            if !collected.runs.is_empty() {
                add("runs.json", serde_json::to_string_pretty(&collected.runs).unwrap_or_default() + "\n");
            }
            if let Some(log) = collected.log {
                let left_out = match log.left_out {
                    0 => String::new(),
                    count => format!("{} that sispush did not write: left out\n", counted(count as u64, "line")),
                };
                let text = log.text.unwrap_or_else(|| {
                    "left out: the state could not be read, so it is not known whose usernames to replace\n".to_owned()
                });
                add("log.txt", format!("the end of {}\n{left_out}\n{text}", log.path.display()));
            }
        }
        files
    }

    /// That a bundle was written.
    pub(in crate::cli) fn bundle_written(&mut self, file: &Path, files: usize) -> Result<(), Error> {
        writeln!(
            self.notes(),
            "wrote {} ({}) for a support request; look into it before you send it",
            file.display(),
            counted(files as u64, "file")
        )
        .map_err(write_failed)
    }
}

/// A mapping's name as that of a folder on any system: whoever opens the bundle may have Windows, where `\` parts
/// folders, and some names are refused.
fn folder_name(stem: &str) -> String {
    let safe = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ') { c } else { '_' };
    let name: String = stem.chars().map(safe).collect();
    // `..` is the folder above, and Windows takes dots and spaces at an end away.
    let name = name.trim_matches(['.', ' ']);
    if name.is_empty() { "mapping".to_owned() } else { name.to_owned() }
}

/// What a bundle says of itself.
const BUNDLE: &str = "\
This file was made by `sispush doctor --bundle` for a support request. Please look through it before you send it.

versions.txt       the versions of sispush and of the operating system
A folder for each mapping:
doctor.txt, .json  what `sispush doctor` found: names and addresses of servers, names of logins
mapping.yaml       the mapping; passwords are masked (********), references to secrets such as ${NAME} are as written
base.yaml          the base that it includes, likewise
query-1.sql, …     the queries of its extracts
runs.json          when the last pushes ran, their exit codes, and counts
log.txt            the end of the log

Not in it: passwords, and pupils' data. Usernames of patrons that sispush knows stand as user-1, user-2 and so on, the
same number for the same patron within a folder; the values of expectations on a patron are masked; lines of the log
that sispush did not write are left out. What sispush cannot know: names in the comments and queries of your mapping.
";

/// The steps as on the screen, without colours.
fn doctor_text(examined: &Examined) -> String {
    let mut text = anstream::StripStream::new(Vec::new());
    let mut told = Told::new(Some(&mut text), examined);
    for step in &examined.steps {
        told.step(step);
    }
    // Writing into memory does not fail.
    let _written = told.finish();
    String::from_utf8_lossy(&text.into_inner()).into_owned()
}

/// What was found of all mappings, as an object.
fn examined_value(all: &[Examined], worst: ExitCode) -> Value {
    let mappings: Vec<Value> = all
        .iter()
        .map(|examined| {
            json!({
                "file": examined.path,
                "name": examined.name,
                "exit_code": examined.exit_code().number(),
                "steps": examined.steps.iter().map(step_object).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({ "exit_code": worst.number(), "mappings": mappings })
}

/// Prints the steps of one mapping as they come.
#[derive(Debug)]
pub(in crate::cli) struct Told<W> {
    out: Option<W>,
    /// Source and target in a line each, once they are known.
    places: Option<[String; 2]>,
    part: Part,
    /// The steps that were skipped since the last that was not, and why: they share a line.
    skipped: Vec<String>,
    after: String,
    counts: [u64; 4],
    printed: io::Result<()>,
}

/// What a step can come to.
const OUTCOMES: [&str; 4] = ["ok", "warning", "failed", "skipped"];

impl<W: Write> Told<W> {
    fn new(out: Option<W>, examined: &Examined) -> Self {
        let mut told = Self {
            out,
            places: examined.places.clone(),
            part: Part::Mapping,
            skipped: Vec::new(),
            after: String::new(),
            counts: [0; 4],
            printed: Ok(()),
        };
        let file = examined.path.display();
        told.print(|out| match &examined.name {
            Some(name) => writeln!(out, "{STRONG}{name}{STRONG:#} ({file})"),
            None => writeln!(out, "{STRONG}{file}{STRONG:#}"),
        });
        told
    }

    pub(in crate::cli) fn step(&mut self, step: &Step) {
        let outcome = outcome_word(step);
        for (word, count) in OUTCOMES.iter().zip(&mut self.counts) {
            *count += u64::from(*word == outcome);
        }
        let part = step.kind.part();
        if part != self.part {
            self.write_skipped();
            self.part = part;
            let title = match (part, &self.places) {
                (Part::Source, Some([source, _])) => format!("source {source}"),
                (Part::Target, Some([_, target])) => format!("target {target}"),
                (Part::State, _) => "state".to_owned(),
                _ => String::new(),
            };
            self.print(|out| writeln!(out, "  {title}"));
        }
        if let Outcome::Skipped { after } = &step.outcome {
            let after = short_label(after);
            if after != self.after {
                self.write_skipped();
                self.after = after;
            }
            self.skipped.push(short_label(&step.kind));
            return;
        }
        self.write_skipped();
        self.print(|out| write_step(out, step));
    }

    /// Whether all could be printed.
    pub(in crate::cli) fn finish(mut self) -> Result<(), Error> {
        self.write_skipped();
        let steps = counted(self.counts.iter().sum(), "step");
        let parts = OUTCOMES.iter().zip(self.counts).filter(|(_, count)| *count > 0);
        let parts: Vec<String> = parts.map(|(word, count)| format!("{count} {word}")).collect();
        self.print(|out| writeln!(out, "  {steps}: {}", parts.join(", ")));
        self.printed.map_err(write_failed)
    }

    fn write_skipped(&mut self) {
        let skipped = std::mem::take(&mut self.skipped);
        let after = std::mem::take(&mut self.after);
        if !skipped.is_empty() {
            self.print(|out| writeln!(out, "    skipped   {}: `{after}` failed", skipped.join(", ")));
        }
    }

    fn print(&mut self, write: impl FnOnce(&mut W) -> io::Result<()>) {
        if let (Some(out), true) = (&mut self.out, self.printed.is_ok()) {
            self.printed = write(out);
        }
    }
}

fn write_step(out: &mut impl Write, step: &Step) -> io::Result<()> {
    let words = words(step);
    let outcome = match outcome_word(step) {
        word @ "warning" => format!("{WARNING}{word}{WARNING:#}  "),
        word @ "failed" => format!("{ERROR}{word}{ERROR:#}   "),
        word => format!("{word:<9}"),
    };
    let mut lines = words.found.lines();
    let first = lines.next().unwrap_or_default();
    let time = match step.outcome {
        Outcome::Done(_) | Outcome::Failed { .. } => format!(" ({})", seconds(step.elapsed)),
        Outcome::Skipped { .. } | Outcome::NotAsked => String::new(),
    };
    writeln!(out, "    {outcome} {}: {first}{time}", short_label(&step.kind))?;
    for line in lines {
        writeln!(out, "              {line}")?;
    }
    if let Some(hint) = words.hint {
        writeln!(out, "              {HINT}hint{HINT:#}: {hint}")?;
    }
    Ok(())
}

fn step_object(step: &Step) -> Value {
    let words = words(step);
    let mut object = json!({
        "step": code(&step.kind),
        "outcome": outcome_word(step),
        "seconds": step.elapsed.as_secs_f64(),
        "found": words.found,
        "hint": words.hint,
    });
    if let Kind::Extract { feed, name } = &step.kind {
        object["feed"] = (*feed).into();
        object["extract"] = name.as_str().into();
    }
    object
}

fn outcome_word(step: &Step) -> &'static str {
    match &step.outcome {
        Outcome::Done(finding) if finding.is_warning() => "warning",
        Outcome::Done(_) => "ok",
        Outcome::Failed { .. } => "failed",
        Outcome::Skipped { .. } | Outcome::NotAsked => "skipped",
    }
}

/// The name of a step for programs.
fn code(kind: &Kind) -> &'static str {
    match kind {
        Kind::Mapping => "mapping",
        Kind::Secrets => "secrets",
        Kind::SourceName => "source_name",
        Kind::SourceBrowser => "source_browser",
        Kind::SourcePort => "source_port",
        Kind::SourceTls => "source_tls",
        Kind::SourceLogin => "source_login",
        Kind::SourceVersion => "source_version",
        Kind::SourceEncoding => "source_encoding",
        Kind::SourceWriting => "source_writing",
        Kind::SourceClock => "source_clock",
        Kind::Extract { .. } => "extract",
        Kind::Pictures => "images_folder",
        Kind::TargetProxy => "target_proxy",
        Kind::TargetName => "target_name",
        Kind::TargetTls => "target_tls",
        Kind::TargetAnswer => "target_answer",
        Kind::TargetCredentials => "target_credentials",
        Kind::StateFolder => "state_folder",
        Kind::StateRoom => "state_room",
        Kind::State => "state",
        Kind::StateLock => "state_lock",
        Kind::StateDoubt => "state_doubt",
    }
}

/// The name of a step below the line of its part.
fn short_label(kind: &Kind) -> String {
    match kind {
        Kind::Mapping => "mapping",
        Kind::Secrets => "secrets",
        Kind::SourceName | Kind::TargetName => "name",
        Kind::SourceBrowser => "SQL Browser",
        Kind::SourcePort => "port",
        Kind::SourceTls | Kind::TargetTls => "TLS",
        Kind::SourceLogin => "login",
        Kind::SourceVersion => "version",
        Kind::SourceEncoding => "encoding",
        Kind::SourceWriting => "rights",
        Kind::SourceClock => "clock",
        Kind::Extract { feed, name } if *feed == USERS.feed => return format!("extract `{name}`"),
        Kind::Extract { feed, name } => return format!("extract `{name}` of {feed}"),
        Kind::Pictures => "images folder",
        Kind::TargetProxy => "proxy",
        Kind::TargetAnswer => "answer",
        Kind::TargetCredentials => "credentials",
        Kind::StateFolder => "folder",
        Kind::StateRoom => "room",
        Kind::State => "content",
        Kind::StateLock => "lock",
        Kind::StateDoubt => "outcomes",
    }
    .to_owned()
}

/// A step in words: what was found, which may be several lines, and what to do.
struct Words {
    found: String,
    hint: Option<Hint>,
}

fn words(step: &Step) -> Words {
    match &step.outcome {
        Outcome::Done(finding) => finding_words(finding),
        Outcome::Failed { failure, certificate } => failure_words(failure, certificate.as_ref()),
        Outcome::Skipped { after } => {
            Words { found: format!("not tried, as `{}` failed", short_label(after)), hint: None }
        }
        Outcome::NotAsked => Words {
            found: "not tried".into(),
            hint: Some("`--post-empty` tries them: it posts a CSV without patrons, which changes nothing".into()),
        },
    }
}

fn failure_words(failure: &Failure, certificate: Option<&Certificate>) -> Words {
    let (mut found, causes) = match failure {
        Failure::Mapping(MappingError::Invalid { problems, .. }) => {
            let errors: Vec<&Problem> = problems.iter().filter(|problem| problem.severity == Severity::Error).collect();
            (problem_lines(&errors, "problem"), Vec::new())
        }
        // Which extract it is, the step says.
        Failure::Extract(ExtractError::Query { source, .. }) => (source.to_string(), causes(source)),
        Failure::Extract(ExtractError::MissingColumns { missing, .. }) => (missing_columns(missing), Vec::new()),
        failure => (failure.to_string(), causes(failure)),
    };
    for cause in causes {
        found.push_str("\ncaused by: ");
        found.push_str(&cause);
    }
    if let Some(certificate) = certificate {
        found.push_str("\nthe certificate shown is ");
        found.push_str(&certificate_text(certificate));
    }
    Words { found, hint: failure.hint() }
}

/// `2 problems`, and a line for each with its place and what to write.
fn problem_lines(problems: &[&Problem], noun: &str) -> String {
    let mut text = counted(problems.len() as u64, noun);
    for problem in problems {
        let hint = problem.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        let file = if problem.is_in_base() { format!("{}, ", problem.file().display()) } else { String::new() };
        // Writing into a string cannot fail.
        let _ = write!(text, "\n{file}line {}: {}{hint}", problem.line(), problem.message);
    }
    text
}

fn pictures_words(folder: &Path, files: u64) -> Words {
    let hint = (files == 0).then(|| "are the pictures in another folder, or in folders below it?".into());
    Words { found: format!("`{}`: {}", folder.display(), counted(files, "file")), hint }
}

fn finding_words(finding: &Finding) -> Words {
    let mut hint: Option<Hint> = None;
    let found = match finding {
        Finding::Mapping { extracts, rules, warnings } => {
            let counts = format!("{}, {}", counted(*extracts as u64, "extract"), counted(*rules as u64, "rule"));
            let warnings: Vec<&Problem> = warnings.iter().collect();
            if warnings.is_empty() { counts } else { format!("{counts}, {}", problem_lines(&warnings, "warning")) }
        }
        Finding::Secrets(references) if references.is_empty() => "the mapping needs none".to_owned(),
        Finding::Secrets(references) => secrets_text(references),
        Finding::Addresses { host, is_proxy: false, .. } if host.parse::<IpAddr>().is_ok() => {
            format!("{host} is an address, so no name is looked up")
        }
        Finding::Addresses { host, addresses, is_proxy: false } => format!("`{host}` is {}", addresses_text(addresses)),
        Finding::Addresses { host, addresses, is_proxy: true } => {
            format!("the proxy `{host}` is {}; it looks up Infiniti itself", addresses_text(addresses))
        }
        Finding::Instance { instance, port } => format!("instance `{instance}` has port {port}"),
        Finding::PortOpen(port) => format!("{port} is open"),
        Finding::Tls { is_silent: true, .. } => {
            "the server broke off, or did not answer, when it was asked for its certificate".to_owned()
        }
        Finding::Tls { certificate, trust, days_left, is_inspected, .. } => {
            return tls_words(certificate.as_ref(), *trust, *days_left, *is_inspected);
        }
        Finding::LoggedIn(Some(user)) => format!("as {user}"),
        Finding::LoggedIn(None) => "none is needed; the file is open".to_owned(),
        Finding::Fact(fact) => fact.clone(),
        Finding::NoEncoding(encoding) => {
            hint = Some("where a name looks wrong, convert the column in the query with `convert_from(…)`".into());
            format!("{encoding}: the database does not say how its text is encoded")
        }
        Finding::Rights(rights) if rights.is_empty() => "the login can only read".to_owned(),
        Finding::Rights(rights) => {
            hint = Some("sispush never writes to the SIS, but a login that can only read is safer: ask for one with SELECT alone".into());
            rights_text(rights)
        }
        Finding::FileWritable(true) => "this account may write the file; sispush opens it for reading only".to_owned(),
        Finding::FileWritable(false) => "this account can only read the file".to_owned(),
        Finding::Clock(ahead_ms) => {
            if finding.is_warning() {
                hint = Some("set the clocks by a time server; the age of data (`freshness`) is wrong by as much, and certificates may seem too old or too new".into());
            }
            clock_text(*ahead_ms)
        }
        Finding::NotTold(error) => {
            hint = error.hint();
            format!("the server does not tell: {error}")
        }
        Finding::Extract { columns, rows, is_cut } => {
            if finding.is_warning() {
                hint = Some(
                    "a push is stopped by `limits.min_rows`; try the query's conditions in the database's own client"
                        .into(),
                );
            }
            extract_text(*columns, *rows, *is_cut)
        }
        Finding::Pictures { folder, files } => return pictures_words(folder, *files),
        Finding::Slow { waited, allowed } => {
            hint = Some(
                "`sispush preview` shows whether it comes to an end; a push waits as long as `source.timeout` says"
                    .into(),
            );
            format!("no row within {} s, then stopped; a push waits {} s", waited.as_secs(), allowed.as_secs())
        }
        Finding::Way(Way::Direct) => "none".to_owned(),
        Finding::Way(Way::Proxy { address, is_system, .. }) => {
            format!("{address}, {}", if *is_system { "by the system's settings" } else { "by the mapping" })
        }
        Finding::Answer(status) => {
            if finding.is_warning() {
                hint = Some("Infiniti, or a proxy before it, is out of order; try again later".into());
            }
            format!("status {status} for its first page, asked without credentials")
        }
        Finding::Credentials { username } => format!("`{username}` may import: a CSV without patrons was taken"),
        Finding::Folder { file, exists: true } => format!("`{}` can be written", file.display()),
        Finding::Folder { file, exists: false } => format!("`{}` can be made; the first push makes it", file.display()),
        Finding::Room(bytes) => {
            if finding.is_warning() {
                hint = Some("make room on that disk; without it a push stops before it sends".into());
            }
            format!("{} free", room_text(*bytes))
        }
        Finding::NoState => "the mapping keeps none".to_owned(),
        Finding::StateEmpty { .. } => "nothing is known of this mapping yet; it begins with the first push".to_owned(),
        Finding::State { place, version, patrons } => {
            format!("{} in `{place}`, version {version}", counted(*patrons, "patron"))
        }
        Finding::LockFree => "free".to_owned(),
        Finding::Doubt(0) => "known of every patron".to_owned(),
        Finding::Doubt(patrons) => {
            hint = Some("the next push sends them again, which does no harm".into());
            format!(
                "unknown of {}: a push was cut off, or Infiniti's answer was not clear",
                counted(*patrons, "patron")
            )
        }
    };
    Words { found, hint }
}

/// The references, by where they were found.
fn secrets_text(references: &[(String, Option<Origin>)]) -> String {
    let of = |wanted: Option<Origin>, place: &str| {
        let names: Vec<String> = references
            .iter()
            .filter(|(_, origin)| *origin == wanted)
            .map(|(reference, _)| format!("`{reference}`"))
            .collect();
        (!names.is_empty()).then(|| format!("{}{place}", names.join(", ")))
    };
    let parts = [
        of(Some(Origin::Environment), " from the environment"),
        of(Some(Origin::DotEnv), " from `.env`"),
        of(Some(Origin::Keyring), &format!(" from {STORE}")),
        of(Some(Origin::Credential), " from the service's credentials"),
        of(Some(Origin::Command), " from a program"),
        of(Some(Origin::File), ""),
        of(None, " not found, so a channel of `notify` is left out"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn addresses_text(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn extract_text(columns: usize, rows: u64, is_cut: bool) -> String {
    let columns = counted(columns as u64, "column");
    match (rows, is_cut) {
        (0, false) => format!("{columns}, no rows"),
        (0, true) => format!("{columns}, no row in the first second, then stopped"),
        (_, true) => format!("{columns}, {} in the first second, then stopped", counted(rows, "row")),
        (_, false) => format!("{columns}, {}", counted(rows, "row")),
    }
}

fn rights_text(rights: &[String]) -> String {
    const SHOWN: usize = 3;
    let more = if rights.len() > SHOWN { ", …" } else { "" };
    format!("the login can write: {}{more}", rights[..rights.len().min(SHOWN)].join(", "))
}

fn clock_text(ahead_ms: i64) -> String {
    let apart_s = ahead_ms.unsigned_abs() / 1000;
    let side = if ahead_ms > 0 { "ahead of" } else { "behind" };
    if i64::try_from(apart_s).is_ok_and(|apart| apart > CLOCK_MAX_S) {
        let (minutes, seconds) = (apart_s / 60, apart_s % 60);
        format!("the server's is {} min {seconds} s {side} this machine's", number(minutes))
    } else if apart_s == 0 {
        "the server's and this machine's agree".to_owned()
    } else {
        format!("the server's is {apart_s} s {side} this machine's")
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn room_text(bytes: u64) -> String {
    if bytes < 1_000_000_000 { super::bytes(bytes) } else { format!("{:.1} GB", bytes as f64 / 1e9) }
}

/// `of `sis` (sis.example.local), signed by `School DB CA`, valid until 2027-03-04`.
fn certificate_text(certificate: &Certificate) -> String {
    let mut text = format!("of `{}`", certificate.subject.as_deref().unwrap_or("nobody"));
    let hosts: Vec<&str> = certificate.hosts.iter().take(4).map(String::as_str).collect();
    if !hosts.is_empty() {
        let more = if certificate.hosts.len() > hosts.len() { ", …" } else { "" };
        text.extend([" (", &hosts.join(", "), more, ")"]);
    }
    match (&certificate.authority, certificate.is_self_signed) {
        (_, true) => text.push_str(", signed by itself"),
        (Some(authority), false) => text.extend([", signed by `", authority, "`"]),
        (None, false) => {}
    }
    if let Some(until) = certificate.until {
        text.extend([", valid until ", &until.strftime("%Y-%m-%d").to_string()]);
    }
    text
}

fn tls_words(certificate: Option<&Certificate>, trust: Trust, days_left: Option<i64>, is_inspected: bool) -> Words {
    let Some(certificate) = certificate else {
        return match trust {
            Trust::Unencrypted => Words {
                found: "none: passwords and pupils' data cross the network for all to read".into(),
                hint: Some("take `encryption: off` out of the mapping, and name the server's authority in `source.ca_file` if need be".into()),
            },
            Trust::OnThisMachine => Words { found: "none, and the connection stays on this machine".into(), hint: None },
            Trust::Verified | Trust::Unverified | Trust::LoginOnly => {
                Words { found: "the certificate could not be looked at".into(), hint: None }
            }
        };
    };
    let mut found = format!("certificate {}", certificate_text(certificate));
    let mut hints: Vec<String> = Vec::new();
    if is_inspected {
        let signer = certificate.authority.as_deref().unwrap_or("its signer");
        let inspected = "\nthis looks like the certificate of a proxy or filter that inspects TLS: `";
        found.extend([inspected, signer, "` signed it"]);
        hints.push(
            "let the filter exempt this host, so that passwords and pupils' data are not opened on the way".into(),
        );
    }
    match days_left {
        Some(days) if days < 0 => found.push_str("\nits time is over"),
        Some(days) if days < DAYS_LEFT_MIN => {
            found.extend(["\nit ends in ", &counted(days.unsigned_abs(), "day")]);
            hints.push("have it renewed by then: afterwards no push goes through".into());
        }
        _ => {}
    }
    match trust {
        Trust::Verified | Trust::Unencrypted => {}
        Trust::OnThisMachine => found.push_str("; not verified, as the connection stays on this machine"),
        Trust::Unverified => {
            found.push_str("\nnot verified (`trust_server_certificate`): whoever stands between can read the password");
            hints.push(
                "name the authority's certificate in `source.ca_file` and take `trust_server_certificate` out".into(),
            );
        }
        Trust::LoginOnly => {
            found.push_str("\nnot verified, and for the login alone (`encryption: login`): pupils' data cross the network for all to read");
            hints.push("write `encryption: required`".into());
        }
    }
    Words { found, hint: (!hints.is_empty()).then(|| hints.join("; ").into()) }
}
