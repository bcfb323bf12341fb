//! The settings of a schedule as one line of text, by which it is found again.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Account, Kind, Schedule, Times};

/// What stands before the settings.
pub const PREFIX: &str = "sispush: ";

/// The version of the settings; history: 1 is the first.
const VERSION: u64 = 1;

/// What a marker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    /// The schedule's name.
    pub name: String,
    /// What runs it.
    pub kind: Kind,
    /// The mapping files, and folders of them.
    pub mappings: Vec<PathBuf>,
    /// When.
    pub times: Times,
    /// The account, if one is named.
    pub account: Option<String>,
    /// All of the settings, to see which have changed.
    pub settings: Value,
}

/// The line of a schedule: [`PREFIX`] and JSON without a line break. ASCII only, since Windows gives it back in whatever
/// code page its console has.
pub fn line(schedule: &Schedule) -> String {
    let account = match &schedule.account {
        Account::Own => Value::Null,
        Account::Named(name) => json!(name),
        Account::Dynamic => json!({ "dynamic": true }),
    };
    let settings = json!({
        "version": VERSION,
        "name": schedule.name,
        "kind": schedule.kind.name(),
        "at": schedule.times.at_text(),
        "days": schedule.times.days().to_string(),
        "mappings": schedule.mappings,
        "user": account,
        "program": schedule.program,
        "arguments": schedule.arguments,
    });
    let mut text = PREFIX.to_owned();
    for char in settings.to_string().chars() {
        if char.is_ascii() {
            text.push(char);
        } else {
            for unit in char.encode_utf16(&mut [0; 2]) {
                // Writing to a text does not fail.
                let _infallible = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

/// The first marker in a text. `None` also for one that a newer version wrote in another way.
pub fn find(text: &str) -> Option<Marked> {
    text.lines().find_map(|line| parse(line.split_once(PREFIX)?.1))
}

/// The settings that follow a [`PREFIX`]; what comes after them is not looked at.
pub fn parse(text: &str) -> Option<Marked> {
    let settings = serde_json::Deserializer::from_str(text).into_iter::<Value>().next()?.ok()?;
    if settings["version"] != VERSION {
        return None;
    }
    let text = |key: &str| settings[key].as_str().map(str::to_owned);
    let texts = |key: &str| -> Option<Vec<String>> {
        settings[key].as_array()?.iter().map(|value| value.as_str().map(str::to_owned)).collect()
    };
    let kind = text("kind")?;
    Some(Marked {
        name: text("name")?,
        kind: Kind::ALL.into_iter().find(|known| known.name() == kind)?,
        mappings: texts("mappings")?.into_iter().map(PathBuf::from).collect(),
        times: Times::new(&texts("at")?, &text("days")?).ok()?,
        account: text("user"),
        settings,
    })
}

/// Which settings differ, in words: `at 04:30 -> 05:00`.
pub fn changes(before: &Value, after: &Value) -> Vec<String> {
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(|item| item.as_str().unwrap_or_default()).collect::<Vec<_>>().join(" "),
        Value::Object(_) => "an account that systemd makes".to_owned(),
        Value::Null => "none".to_owned(),
        other => other.to_string(),
    };
    let keys = ["at", "days", "mappings", "user", "program", "arguments"];
    keys.iter()
        .filter(|key| before[**key] != after[**key])
        .map(|key| format!("{key} {} -> {}", shown(&before[*key]), shown(&after[*key])))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_marker_is_read_back(path in "/[^\\p{C}]{1,40}", argument in "[^\\p{C}]{0,20}", name in "[a-z-]{1,8}") {
            let mut schedule = example(Kind::Crontab);
            schedule.mappings.push(path);
            schedule.arguments.push(argument);
            schedule.name = name;
            let line = line(&schedule);
            prop_assert!(line.is_ascii() && !line.contains('\n'));
            let marked = find(&format!("[Unit]\n# {line}\nx\n")).unwrap();
            prop_assert_eq!(marked.name, schedule.name);
            prop_assert_eq!(marked.times, schedule.times);
            prop_assert_eq!(marked.mappings, schedule.mappings.iter().map(PathBuf::from).collect::<Vec<_>>());
            prop_assert_eq!(&marked.settings["arguments"], &json!(schedule.arguments));
        }
    }

    #[test]
    fn what_is_no_marker_is_not_found() {
        for text in
            ["", "sispush: ", "# sispush: {\"version\":1}", "# sispush: {\"version\":2,\"name\":\"a\"}", "sispush: []"]
        {
            assert_eq!(find(text), None, "{text}");
        }
    }

    #[test]
    fn changes_are_told_in_words() {
        let settings = |schedule: &Schedule| find(&line(schedule)).unwrap().settings;
        let before = example(Kind::Systemd);
        let mut after = before.clone();
        after.times = Times::new(&["05:00", "12:00"], "daily").unwrap();
        after.arguments = vec!["--jobs".into(), "4".into()];
        after.account = Account::Dynamic;
        assert_eq!(
            changes(&settings(&before), &settings(&after)),
            [
                "at 04:30 -> 05:00 12:00",
                "days mon-fri -> daily",
                "user library -> an account that systemd makes",
                "arguments none -> --jobs 4"
            ]
        );
    }
}
