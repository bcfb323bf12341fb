//! What a run came to, in sentences: why it ended as it did, and what to do.

use super::{Outcome, advice};
use crate::infiniti::contract::USERS;
use crate::ops::words::counted;
use crate::state::{Run, Summary};

/// Why a run did not end well, and what to do about it; nothing if it did. `file` is the mapping's file in commands. The
/// words have literals in back-ticks, and no value of a row.
pub fn why(run: &Run, file: &str) -> Option<(String, Vec<String>)> {
    let summary = &run.summary;
    match Outcome::of(run) {
        Outcome::Fine => None,
        Outcome::Rejections => Some(why_rejected(summary, file)),
        Outcome::Stopped => {
            let known = |code: &String| {
                advice::of_stop(code).map_or_else(|| format!("`{code}`"), |it| format!("{} (`{code}`)", it.reason))
            };
            let (mut what, mut todo) = (Vec::new(), Vec::new());
            for (feed, counts) in summary.each() {
                let mut stops: Vec<String> = counts.stops.iter().map(known).collect();
                // One extract and all of them together are over the same limit.
                stops.dedup();
                what.extend(of_feed(feed, &stops));
                for action in counts.stops.iter().filter_map(|code| advice::of_stop(code)).map(|it| sentence(it.action))
                {
                    if !todo.contains(&action) {
                        todo.push(action);
                    }
                }
            }
            // A run of an older program has its plan's id alone.
            let of_plan = || run.plan.as_ref().map(|plan| format!("sispush push {file} --approve {plan}"));
            if let Some(command) = summary.approve.clone().or_else(of_plan) {
                todo.push(format!("If all of it is right: `{command}`."));
            }
            Some((join(&what, "another plan than this one had been approved"), todo))
        }
        Outcome::Failed => {
            let error = summary.error.clone().unwrap_or_else(|| "the history does not say why".into());
            let what = of_feed(summary.failed_feed(), &[error]).unwrap_or_default();
            let mut todo: Vec<String> = summary.hint.iter().map(|hint| sentence(hint)).collect();
            if todo.is_empty() {
                todo.push(format!("`sispush doctor {file}` tries every step, and says which one fails."));
            }
            Some((what, todo))
        }
        Outcome::Unended => {
            let what =
                if run.exit_code.is_some() { "it was interrupted" } else { "it was killed, or is still under way" };
            Some((what.into(), vec![format!("The next push finishes the work: `sispush push {file}`.")]))
        }
    }
}

/// Which rows did not get into Infiniti although the run is done, and what to do about them; likewise for `file`.
pub fn why_rejected(summary: &Summary, file: &str) -> (String, Vec<String>) {
    let (mut what, mut todo) = (Vec::new(), Vec::new());
    for (feed, counts) in summary.each() {
        let (of_counts, actions) = why_rejected_of(feed, counts, file);
        what.extend(of_feed(feed, &of_counts));
        for action in actions {
            if !todo.contains(&action) {
                todo.push(action);
            }
        }
    }
    (join(&what, "some rows were rejected"), todo)
}

/// Why a feed is in trouble since a run that was not the last one, and what to do about it.
pub(super) fn why_still(feed: Option<&str>, run: &Run, file: &str) -> (String, Vec<String>) {
    let name = feed.unwrap_or(USERS.feed);
    let counts = run.summary.each().find(|(name, _)| *name == feed).map(|(_, counts)| counts);
    let (what, todo) = counts.map(|counts| why_rejected_of(feed, counts, file)).unwrap_or_default();
    match of_feed(Some(name), &what) {
        Some(what) if Outcome::of(run) != Outcome::Stopped => (what, todo),
        _ => (
            format!("{name}: {}, and not pushed since", Outcome::of(run).word()),
            vec![format!("`sispush push {file} --feed {name}` pushes {name}.")],
        ),
    }
}

fn why_rejected_of(feed: Option<&str>, counts: &Summary, file: &str) -> (Vec<String>, Vec<String>) {
    let (mut what, mut todo) = (Vec::new(), Vec::new());
    let only = feed.map_or_else(String::new, |feed| format!(" --feed {feed}"));
    // Of the accounts a patron is a row.
    let (one, many) = if feed.is_none() { ("row", "rows") } else { ("patron", "patrons") };
    if counts.rejected > 0 {
        what.push(format!("{} rejected", counted(counts.rejected, "row was", "rows were")));
        todo.push(format!("`sispush preview {file}{only} --rejected` names the rejected rows, with the reasons."));
    }
    if counts.kept > 0 {
        what.push(format!("{} left as Infiniti has them", counted(counts.kept, "patron is", "patrons are")));
    }
    if counts.failed > 0 {
        what.push(format!("Infiniti refused {}", counted(counts.failed, one, many)));
        todo.push(format!("`sispush push {file}` sends what Infiniti refused again, and shows its words for each."));
    }
    if counts.unknown > 0 {
        what.push(format!(
            "{} of unknown outcome",
            counted(counts.unknown, &format!("{one} is"), &format!("{many} are"))
        ));
        todo.push("Rows of unknown outcome are sent again by the next push, which does no harm.".into());
    }
    if counts.unsent > 0 {
        what.push(format!("{} not be sent", counted(counts.unsent, "patron could", "patrons could")));
        todo.push(format!("`sispush push {file}` sends what could not be sent again, and says why it cannot."));
    }
    if counts.waiting > 0 {
        what.push(format!("{} for an account", counted(counts.waiting, "patron waits", "patrons wait")));
    }
    if counts.renames > 0 {
        what.push(format!("{} held back", counted(counts.renames, "changed username was", "changed usernames were")));
        todo.push(format!("`sispush diff {file}` names the changed usernames, and says how to go on."));
    }
    (what, todo)
}

/// What is told of a feed, the accounts without a name of their own; nothing if there is nothing.
pub(super) fn of_feed(feed: Option<&str>, what: &[String]) -> Option<String> {
    match feed {
        _ if what.is_empty() => None,
        None => Some(what.join("; ")),
        Some(feed) => Some(format!("{feed}: {}", what.join(", "))),
    }
}

fn join(what: &[String], none: &str) -> String {
    if what.is_empty() { none.to_owned() } else { what.join("; ") }
}

/// A fragment as a sentence. One that begins with a literal stays as it is.
pub(super) fn sentence(fragment: &str) -> String {
    let mut letters = fragment.chars();
    let first = letters.next().map(char::to_uppercase).into_iter().flatten();
    let text: String = first.chain(letters).collect();
    if text.ends_with(['.', '?', '!']) { text } else { text + "." }
}

/// How long a run took from its beginning to its end, to the second, as the state keeps both: `4 s`, `3:20`, `1:02:05`.
/// Nothing if it has not ended.
pub fn lasted(run: &Run) -> Option<String> {
    // A clock may have been set back.
    let seconds = run.ended_at?.duration_since(run.started_at).as_secs().max(0);
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    Some(match (hours, minutes) {
        (0, 0) => format!("{rest} s"),
        (0, _) => format!("{minutes}:{rest:02}"),
        _ => format!("{hours}:{minutes:02}:{rest:02}"),
    })
}

/// A text as HTML shows it.
pub(super) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;

    use super::*;

    fn run(exit_code: u8, summary: Summary) -> Run {
        Run {
            started_at: Timestamp::UNIX_EPOCH,
            ended_at: Some(Timestamp::UNIX_EPOCH),
            mode: "delta".into(),
            plan: Some("00f1".into()),
            exit_code: Some(exit_code),
            summary,
        }
    }

    #[test]
    fn each_outcome_says_why_and_what_to_do() {
        let in_a_line = |run: &Run| why(run, "school.yaml").map(|(what, todo)| format!("{what}. {}", todo.join(" ")));
        let check = |run: &Run, expected: &str| assert_eq!(in_a_line(run).unwrap_or_default(), expected);
        check(&run(0, Summary::default()), "");
        check(
            &run(1, Summary { rejected: 1, failed: 1_200, ..Summary::default() }),
            "1 row was rejected; Infiniti refused 1,200 rows. `sispush preview school.yaml --rejected` names the rejected \
             rows, with the reasons. `sispush push school.yaml` sends what Infiniti refused again, and shows its words for each.",
        );
        // Patrons who wait and are kept are told where something else is wrong, and are nothing wrong by themselves.
        let contacts = Summary { rejected: 2, kept: 1, waiting: 3, ..Summary::default() };
        let feeds = [
            ("contacts".to_owned(), contacts),
            ("images".to_owned(), Summary { failed: 1, unsent: 1, ..Summary::default() }),
            ("groups".to_owned(), Summary::default()),
        ];
        let rows = BTreeMap::from([("students".to_owned(), 9)]);
        check(
            &run(1, Summary { rows: rows.clone(), feeds: feeds.into(), ..Summary::default() }),
            "contacts: 2 rows were rejected, 1 patron is left as Infiniti has them, 3 patrons wait for an account; \
             images: Infiniti refused 1 patron, 1 patron could not be sent. `sispush preview school.yaml --feed contacts \
             --rejected` names the rejected rows, with the reasons. `sispush push school.yaml` sends what Infiniti refused \
             again, and shows its words for each. `sispush push school.yaml` sends what could not be sent again, and says why \
             it cannot.",
        );
        let stopped = Summary { stops: vec!["max_updates".into()], ..Summary::default() };
        check(
            &run(5, Summary { feeds: [("contacts".to_owned(), stopped)].into(), ..Summary::default() }),
            "contacts: unusually many patrons changed (`max_updates`). See with `sispush diff --verbose` which headers changed. \
             If all of it is right: `sispush push school.yaml --approve 00f1`.",
        );
        let ended = Summary { not_sent: 4, ..Summary::default() };
        let ended = Summary {
            rows,
            error: Some("it broke".into()),
            feeds: [("groups".to_owned(), ended)].into(),
            ..Summary::default()
        };
        check(
            &run(4, ended),
            "groups: it broke. `sispush doctor school.yaml` tries every step, and says which one fails.",
        );
        check(
            &run(5, Summary { stops: vec!["max_creates".into()], ..Summary::default() }),
            "unusually many patrons are new (`max_creates`). See with `sispush diff --verbose` who is new; usernames that \
             changed look like new patrons. If all of it is right: `sispush push school.yaml --approve 00f1`.",
        );
        check(
            &run(3, Summary { error: Some("extract `students` failed".into()), ..Summary::default() }),
            "extract `students` failed. `sispush doctor school.yaml` tries every step, and says which one fails.",
        );
        check(
            &Run { ended_at: None, exit_code: None, ..run(0, Summary::default()) },
            "it was killed, or is still under way. The next push finishes the work: `sispush push school.yaml`.",
        );
    }

    #[test]
    fn a_run_lasts_whole_seconds() {
        let after = |seconds| Run { ended_at: Timestamp::from_second(seconds).ok(), ..run(0, Summary::default()) };
        let all: Vec<String> =
            [-3, 0, 59, 200, 3_725].into_iter().filter_map(|seconds| lasted(&after(seconds))).collect();
        assert_eq!(all, ["0 s", "0 s", "59 s", "3:20", "1:02:05"]);
    }
}
