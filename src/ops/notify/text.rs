//! From events to the words of a message. No I/O.

use std::fmt::Write as _;
use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::event::{Event, Happened, Kind};
use crate::mapping::Template;
use crate::mapping::notify::{COUNTS, count_of_feed, is_field};
use crate::ops::words::took;
use crate::state::Summary;

/// So many mappings are named in a message; the others are counted.
const LISTED: usize = 10;
/// The longest first line, in characters: Slack takes no more as a header.
const SUBJECT_MAX: usize = 150;
/// The longest text, in characters: Teams takes 28 kB with everything around it.
const TEXT_MAX: usize = 6000;
/// The version of the JSON that is posted. Fields are only added.
const JSON_VERSION: u8 = 1;

/// Where and when a message is made.
#[derive(Clone, Debug)]
pub struct Place {
    /// This machine.
    pub host: String,
    /// The log, if there is one.
    pub log: Option<PathBuf>,
    /// Now.
    pub now: Timestamp,
    /// The time zone in which times are told.
    pub zone: TimeZone,
}

/// What one message says of one mapping.
#[derive(Clone, Debug)]
pub(super) struct Item<'h> {
    /// What is told.
    pub(super) event: Event,
    /// What became of it.
    pub(super) happened: &'h Happened,
    /// Since when it was not well, if it was told so before.
    pub(super) since: Option<Timestamp>,
    /// The mapping's own templates.
    pub(super) templates: Templates<'h>,
}

/// The templates of a mapping.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Templates<'t> {
    /// Of the first line.
    pub(super) subject: Option<&'t Template>,
    /// Of the rest.
    pub(super) text: Option<&'t Template>,
}

/// A message, before it has the form of its channel.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Message {
    /// The first line: never blank, on one line.
    pub(super) subject: String,
    /// The rest.
    pub(super) text: String,
    /// The same for a program.
    pub(super) fields: Value,
}

/// Makes one message of what there is to tell. `mappings` is how many there were in all, those of which nothing is told
/// among them. A template that fails leaves the usual words; its name is added to `failed`.
pub(super) fn message(items: &[Item<'_>], mappings: usize, place: &Place, failed: &mut Vec<&'static str>) -> Message {
    let mut items: Vec<&Item<'_>> = items.iter().collect();
    items.sort_by(|a, b| a.event.rank().cmp(&b.event.rank()).then_with(|| a.happened.mapping.cmp(&b.happened.mapping)));
    let subject = match items.as_slice() {
        [only] => rendered(only, only.templates.subject, "subject", place, failed)
            .unwrap_or_else(|| format!("sispush: {}", headline(only, place))),
        _ => format!("sispush: {}", counts(&items, mappings)),
    };
    let mut text = String::new();
    if items.len() > 1 {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{}\n", counts(&items, mappings));
    }
    for item in items.iter().take(LISTED) {
        match rendered(item, item.templates.text, "text", place, failed) {
            Some(own) => text.push_str(own.trim_end()),
            None => text.push_str(&paragraph(item, items.len() == 1, place)),
        }
        text.push_str("\n\n");
    }
    if let more @ 1.. = items.len().saturating_sub(LISTED) {
        let _ = writeln!(text, "and {more} more, which the history and the log of the push have\n");
    }
    text.push_str(&signature(place));
    let subject = one_line(&subject);
    let text = shortened(text.trim_end(), TEXT_MAX);
    let fields = fields(&items, mappings, &subject, &text, place);
    Message { subject, text, fields }
}

/// `2 failed, 1 well again (of 300 mappings)`.
fn counts(items: &[&Item<'_>], mappings: usize) -> String {
    let mut parts = Vec::new();
    for (rank, words) in [
        "failed",
        "stopped by a limit",
        "not pushed for too long",
        "with rejected rows",
        "pushed again after a gap",
        "well again",
    ]
    .iter()
    .enumerate()
    {
        let count = items.iter().filter(|item| usize::from(item.event.rank()) == rank).count();
        if count > 0 {
            parts.push(format!("{count} {words}"));
        }
    }
    format!("{} (of {mappings} mappings)", parts.join(", "))
}

/// What matters, in one line.
fn headline(item: &Item<'_>, place: &Place) -> String {
    let mapping = &item.happened.mapping;
    let what = item.happened.trouble.as_ref().map(|trouble| trouble.what.as_str()).unwrap_or_default();
    match item.event {
        Event::New(Kind::Failed) => format!("{mapping} failed: {what}"),
        Event::New(Kind::Limit) => format!("{mapping} was stopped: {what}"),
        Event::Changed(Kind::Failed) => format!("{mapping} still fails, but differently: {what}"),
        Event::Changed(Kind::Limit) => format!("{mapping} is still stopped, but differently: {what}"),
        Event::Reminder(Kind::Failed) => format!("{mapping} still fails: {what}"),
        Event::Reminder(Kind::Limit) => format!("{mapping} is still stopped: {what}"),
        Event::New(Kind::Rejections) | Event::Changed(Kind::Rejections) | Event::Reminder(Kind::Rejections) => {
            format!("{mapping} was pushed, but {what}")
        }
        Event::New(Kind::Overdue) | Event::Changed(Kind::Overdue) => format!("{mapping}: {what}"),
        Event::Reminder(Kind::Overdue) => format!("{mapping}: still, {what}"),
        Event::Recovered => format!("{mapping} is well again"),
        Event::Gap => match item.happened.gap.and_then(|gap| gap.since) {
            Some(since) => format!("{mapping} is pushed again, after a gap since {}", time(since, place)),
            None => format!("{mapping} is pushed again, after a gap"),
        },
        Event::Test => format!("{mapping}: this is a test"),
    }
}

fn paragraph(item: &Item<'_>, is_alone: bool, place: &Place) -> String {
    let happened = item.happened;
    let mut out = headline(item, place);
    let mut line = |text: String| {
        out.push('\n');
        out.push_str(&text);
    };
    if item.event == Event::Test {
        line("messages about pushes will arrive here; nothing is to be done".into());
        return out;
    }
    // Of what is well again, or what this channel does not want to hear of, there is nothing to do.
    if let (Some(trouble), Some(_)) = (&happened.trouble, item.event.trouble()) {
        if let Some(hint) = &trouble.hint {
            line(format!("what to do: {hint}"));
        }
        if let Some(command) = &trouble.command {
            line(format!("to carry it out all the same: {command}"));
        }
    }
    if let Some(since) = item.since {
        let word = if item.event == Event::Recovered { "was not well since" } else { "not well since" };
        line(format!("{word} {}", time(since, place)));
    }
    if let (Some(gap), false) = (happened.gap, item.event == Event::Gap) {
        line(match gap.since {
            Some(since) => format!("before this push, none had ended well since {}", time(since, place)),
            None => "before this push, none had ended well".into(),
        });
    }
    if item.event.trouble() == Some(Kind::Overdue) {
        return out;
    }
    if is_alone {
        line(format!(
            "exit code {}, began {}, took {}",
            happened.exit_code,
            time(happened.started_at, place),
            took(happened.ended_at.duration_since(happened.started_at).as_secs_f64())
        ));
    }
    for (feed, counts) in happened.summary.iter().flat_map(Summary::each) {
        let told = numbers(feed, counts).filter(|(name, count)| *count > 0 || *name == "rows");
        let told: Vec<String> = told.map(|(name, count)| format!("{} {count}", name.replace('_', " "))).collect();
        let feed = feed.map_or_else(String::new, |feed| format!("{feed}: "));
        line(format!("{feed}{}", told.join(", ")));
    }
    if is_alone {
        line(format!("mapping {}", happened.file.display()));
    }
    out
}

fn signature(place: &Place) -> String {
    let log = place.log.as_ref().map_or_else(String::new, |log| format!(", log {}", log.display()));
    format!("machine {}{log}", place.host)
}

/// The counts of a feed that are told, by the names that templates and programs know: [`COUNTS`], of which the accounts have no
/// more than they ever had.
pub(super) fn numbers(feed: Option<&str>, counts: &Summary) -> impl Iterator<Item = (&'static str, u64)> {
    let all = [
        counts.rows.values().sum(),
        counts.accepted,
        counts.created,
        counts.updated,
        counts.deactivated,
        counts.unchanged,
        counts.rejected,
        counts.failed,
        counts.unknown,
        counts.not_sent,
        counts.leavers,
        counts.waiting,
        counts.kept,
        counts.unsent,
    ];
    COUNTS.into_iter().zip(all).take(if feed.is_none() { OF_ACCOUNTS } else { COUNTS.len() })
}

/// So many of [`COUNTS`] the accounts have.
pub(super) const OF_ACCOUNTS: usize = 11;

fn object_of(feed: Option<&str>, counts: &Summary) -> Map<String, Value> {
    numbers(feed, counts).map(|(name, count)| (name.to_owned(), count.into())).collect()
}

fn rendered(
    item: &Item<'_>,
    template: Option<&Template>,
    name: &'static str,
    place: &Place,
    failed: &mut Vec<&'static str>,
) -> Option<String> {
    let mut template = template?.clone();
    let values: Vec<String> = template.variables().iter().map(|name| field(item, name, place)).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let mut out = String::new();
    match template.render(&values, &mut out) {
        Ok(()) if !out.trim().is_empty() => Some(out),
        // A template of nothing would be a message of nothing.
        Ok(()) => None,
        Err(_) => {
            failed.push(name);
            None
        }
    }
}

/// The value of a template's field: one of [`FIELDS`], or a count of another feed.
fn field(item: &Item<'_>, name: &str, place: &Place) -> String {
    let happened = item.happened;
    let trouble = happened.trouble.as_ref();
    debug_assert!(is_field(name));
    match name {
        "mapping" => happened.mapping.clone(),
        "event" => item.event.code().into(),
        "outcome" => happened.outcome.into(),
        "exit_code" => happened.exit_code.to_string(),
        "what" => headline(item, place)
            .strip_prefix(&happened.mapping)
            .map_or_else(String::new, |rest| rest.trim_start_matches([':', ' ']).to_owned()),
        "hint" => trouble.and_then(|trouble| trouble.hint.clone()).unwrap_or_default(),
        "command" => trouble.and_then(|trouble| trouble.command.clone()).unwrap_or_default(),
        "host" => place.host.clone(),
        "started_at" => time(happened.started_at, place),
        "ended_at" => time(happened.ended_at, place),
        "seconds" => happened.ended_at.duration_since(happened.started_at).as_secs().to_string(),
        "log" => place.log.as_ref().map(|log| log.display().to_string()).unwrap_or_default(),
        "file" => happened.file.display().to_string(),
        count => {
            let none = Summary::default();
            let all = happened.summary.as_ref().unwrap_or(&none);
            let (feed, count) = count_of_feed(count).map_or((None, count), |(feed, count)| (Some(feed), count));
            // A feed that was not pushed has counted nothing.
            let counts = feed.map_or(all, |feed| all.feeds.get(feed).unwrap_or(&none));
            let value = numbers(feed, counts).find(|(name, _)| *name == count);
            value.map_or_else(String::new, |(_, count)| count.to_string())
        }
    }
}

/// What a program gets. Fields are only added.
fn fields(items: &[&Item<'_>], mappings: usize, subject: &str, text: &str, place: &Place) -> Value {
    let each: Vec<Value> = items
        .iter()
        .map(|item| {
            let happened = item.happened;
            let trouble = happened.trouble.as_ref();
            let summary = happened.summary.as_ref();
            // Those of the accounts stand where they stood when there was nothing else.
            let counts = summary.and_then(Summary::accounts).map(|counts| object_of(None, counts));
            let feeds = summary.iter().flat_map(|summary| summary.others());
            let feeds: Map<String, Value> =
                feeds.map(|(name, counts)| (name.to_owned(), object_of(Some(name), counts).into())).collect();
            json!({
                "mapping": happened.mapping,
                "file": happened.file,
                "event": item.event.code(),
                "trouble": item.event.trouble().map(Kind::code),
                "reason": trouble.map(|trouble| &trouble.reason),
                "what": trouble.map(|trouble| &trouble.what),
                "hint": trouble.and_then(|trouble| trouble.hint.as_ref()),
                "command": trouble.and_then(|trouble| trouble.command.as_ref()),
                "exit_code": happened.exit_code,
                "outcome": happened.outcome,
                "started_at": happened.started_at.to_string(),
                "ended_at": happened.ended_at.to_string(),
                "since": item.since.map(|since| since.to_string()),
                "counts": counts,
                "feeds": feeds,
            })
        })
        .collect();
    json!({
        "version": JSON_VERSION,
        "subject": subject,
        "text": text,
        "event": items.first().map(|item| item.event.code()),
        "host": place.host,
        "log": place.log,
        "at": place.now.to_string(),
        "mappings_in_all": mappings,
        "mappings": each,
    })
}

/// `2026-11-27 02:30 AEDT`.
pub(super) fn time(at: Timestamp, place: &Place) -> String {
    at.to_zoned(place.zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string()
}

/// A line break in the first line of a mail would begin another header.
fn one_line(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|char: char| char.is_whitespace() || char.is_control()).filter(|word| !word.is_empty()).collect();
    shortened(&words.join(" "), SUBJECT_MAX)
}

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most - 1) {
        Some((at, _)) if text.chars().count() > most => format!("{}…", &text[..at]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::event::tests::{at, happened};
    use super::super::event::{Gap, Trouble};
    use super::*;

    pub(in super::super) fn place() -> Place {
        Place {
            host: "sync01".into(),
            log: Some("/var/log/sispush.log".into()),
            now: at(0),
            zone: TimeZone::fixed(jiff::tz::offset(11)),
        }
    }

    pub(in super::super) fn item(event: Event, happened: &Happened) -> Item<'_> {
        Item { event, happened, since: None, templates: Templates::default() }
    }

    fn said(items: &[Item<'_>], mappings: usize) -> String {
        let message = message(items, mappings, &place(), &mut Vec::new());
        format!("{}\n---\n{}", message.subject, message.text)
    }

    #[test]
    fn one_mapping_has_all_that_one_needs() {
        let mut limit = happened(0, Some((Kind::Limit, "5:max_drop")));
        limit.trouble = Some(Trouble {
            what: "extract `students` gave 12 rows".into(),
            command: Some("sispush push school.yaml --approve 0123".into()),
            ..limit.trouble.unwrap()
        });
        limit.summary =
            Some(Summary { rows: [("students".into(), 12)].into(), rejected: 2, not_sent: 0, ..Summary::default() });
        limit.gap = Some(Gap { since: Some(at(-48)) });
        let item = Item { since: Some(at(-24)), ..item(Event::New(Kind::Limit), &limit) };
        insta::assert_snapshot!(said(&[item], 1));
    }

    #[test]
    fn many_mappings_are_one_digest_with_trouble_first() {
        let named = |name: &str, trouble| Happened { mapping: name.into(), ..happened(0, trouble) };
        let well = named("a-college", None);
        let failed = [named("z-college", Some((Kind::Failed, "3"))), named("b-college", Some((Kind::Failed, "3")))];
        let rejected = named("c-college", Some((Kind::Rejections, "1")));
        let items = [
            item(Event::Recovered, &well),
            item(Event::New(Kind::Failed), &failed[0]),
            item(Event::Changed(Kind::Failed), &failed[1]),
            item(Event::New(Kind::Rejections), &rejected),
        ];
        insta::assert_snapshot!(said(&items, 300));
    }

    #[test]
    fn a_thousand_mappings_are_counted() {
        let all: Vec<Happened> = (0..1000)
            .map(|n| Happened { mapping: format!("school-{n:04}"), ..happened(0, Some((Kind::Failed, "3"))) })
            .collect();
        let items: Vec<Item<'_>> = all.iter().map(|one| item(Event::New(Kind::Failed), one)).collect();
        let said = said(&items, 1000);
        assert!(said.starts_with("sispush: 1000 failed (of 1000 mappings)\n"), "{said}");
        assert!(said.contains("school-0009") && !said.contains("school-0010"), "{said}");
        assert!(said.contains("and 990 more"), "{said}");
    }

    #[test]
    fn a_template_is_for_its_mapping_and_a_break_begins_no_header() {
        let happened = happened(0, Some((Kind::Failed, "3")));
        let subject = Template::compile("{{ mapping }}\r\nBcc: x {{ exit_code + 1 }} {{ what }}").unwrap();
        let text = Template::compile("{{ host }} {{ rows }} {{ hint }}").unwrap();
        let templates = Templates { subject: Some(&subject), text: Some(&text) };
        let one = Item { templates, ..item(Event::New(Kind::Failed), &happened) };
        let said = said(std::slice::from_ref(&one), 1);
        assert_eq!(
            said,
            "example-college Bcc: x 4 failed: what of 3\n---\nsync01 0 a hint\n\nmachine sync01, log /var/log/sispush.log"
        );
        // One that fails is told, and the usual words stand in its place.
        let broken = Template::compile("{% if rows > 0 %}{% endif %}{{ mapping + 1 }}").unwrap();
        let templates = Templates { subject: Some(&broken), text: None };
        let mut failed = Vec::new();
        let message = message(&[Item { templates, ..one }], 1, &place(), &mut failed);
        assert_eq!(
            (message.subject.as_str(), failed.as_slice()),
            ("sispush: example-college failed: what of 3", &["subject"][..])
        );
    }

    #[test]
    fn the_fields_of_the_json_stay() {
        let happened = happened(0, Some((Kind::Failed, "3:x")));
        let message = message(&[item(Event::New(Kind::Failed), &happened)], 1, &place(), &mut Vec::new());
        insta::assert_snapshot!(serde_json::to_string_pretty(&message.fields).unwrap());
    }
}
