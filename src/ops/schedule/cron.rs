//! Lines of a crontab, and what stands around them.

use super::{Kind, Schedule, ScheduleError, marker};

/// cron of Debian reads no longer commands (`MAX_COMMAND` of its `cron.h`).
const COMMAND_MAX: usize = 998;

/// What stands before the lines of a schedule, and after them.
const BEGIN: &str = "# sispush schedule begins: ";
const END: &str = "# sispush schedule ends: ";

/// The lines of a schedule, with those that mark it, for an account's crontab or, of the kind [`Kind::CronFile`], for a file
/// below `/etc/cron.d`.
///
/// # Errors
/// A path or an argument that cron cannot be given, or more of them than it reads.
pub fn lines(schedule: &Schedule) -> Result<String, ScheduleError> {
    let name = &schedule.name;
    let command = command(schedule)?;
    let mut text = format!(
        "{BEGIN}{name}\n# {}\n# cron makes no missed run up. Written by `sispush schedule cron`; `sispush schedule remove \
         {name}` takes it away.\n",
        marker::line(schedule)
    );
    let account = match (schedule.kind, schedule.account.name()) {
        (Kind::CronFile, Some(account)) => format!("{account} "),
        _ => String::new(),
    };
    for at in schedule.times.at() {
        let line = format!("{} {} * * {} {account}{command}\n", at.minute(), at.hour(), days(schedule));
        text.push_str(&line);
    }
    text.push_str(END);
    text.push_str(name);
    text.push('\n');
    Ok(text)
}

/// A crontab with these lines in the place of the schedule's own, or at its end. Nothing else in it changes.
///
/// # Errors
/// [`ScheduleError::Torn`] if what stands there was damaged.
pub fn with(crontab: &str, name: &str, lines: &str) -> Result<String, ScheduleError> {
    if let Some(place) = place(crontab, name)? {
        return Ok(format!("{}{lines}{}", &crontab[..place.start], &crontab[place.end..]));
    }
    let gap = if crontab.is_empty() || crontab.ends_with('\n') { "" } else { "\n" };
    Ok(format!("{crontab}{gap}{lines}"))
}

/// A crontab without a schedule's lines. Nothing else in it changes.
///
/// # Errors
/// As those of [`with`].
pub fn without(crontab: &str, name: &str) -> Result<String, ScheduleError> {
    with(crontab, name, "")
        .map(|text| if place(crontab, name).is_ok_and(|place| place.is_some()) { text } else { crontab.to_owned() })
}

/// The lines of a schedule in a crontab.
///
/// # Errors
/// As those of [`with`].
pub fn find<'c>(crontab: &'c str, name: &str) -> Result<Option<&'c str>, ScheduleError> {
    Ok(place(crontab, name)?.map(|place| &crontab[place]))
}

/// What the markers of a crontab say.
pub fn marked(crontab: &str) -> Vec<marker::Marked> {
    let parse = |line: &str| marker::parse(line.strip_prefix("# ")?.strip_prefix(marker::PREFIX)?);
    crontab.lines().filter_map(parse).collect()
}

/// Where the lines of a schedule are, the markers among them.
fn place(crontab: &str, name: &str) -> Result<Option<std::ops::Range<usize>>, ScheduleError> {
    let at = |mark: &str| {
        let wanted = format!("{mark}{name}");
        let mut start = 0;
        crontab.split_inclusive('\n').find_map(|line| {
            let range = start..start + line.len();
            start = range.end;
            (line.trim_end() == wanted).then_some(range)
        })
    };
    match (at(BEGIN), at(END)) {
        (None, None) => Ok(None),
        (Some(begin), Some(end)) if begin.end <= end.start => Ok(Some(begin.start..end.end)),
        (Some(_), _) => Err(ScheduleError::Torn { line: format!("{BEGIN}{name}") }),
        (None, Some(_)) => Err(ScheduleError::Torn { line: format!("{END}{name}") }),
    }
}

/// Days as cron counts them: 0 is Sunday.
fn days(schedule: &Schedule) -> String {
    let number = |day: usize| (day + 1) % 7;
    let parts: Vec<String> = match schedule.times.days().ranges().as_slice() {
        [(0, 6)] => return "*".to_owned(),
        ranges => ranges
            .iter()
            .flat_map(|(first, last)| match (first, last) {
                // A range cannot end with 0.
                (first, 6) => (*first..=6).map(|day| number(day).to_string()).collect(),
                (first, last) if last - first > 1 => vec![format!("{}-{}", number(*first), number(*last))],
                (first, last) => (*first..=*last).map(|day| number(day).to_string()).collect::<Vec<_>>(),
            })
            .collect(),
    };
    parts.join(",")
}

/// What the shell is to run. The log lies beside the account's state, in a folder that the first run makes. What goes
/// well is in the log; what goes wrong is on stderr, which cron mails to the account, or to `MAILTO`.
fn command(schedule: &Schedule) -> Result<String, ScheduleError> {
    let program = word(schedule, &schedule.program)?;
    let mut command = if schedule.log_file.is_some() || has_own_log(schedule) {
        format!("{program} push")
    } else {
        let folder = "$HOME/.local/state/sispush";
        format!("mkdir -p \"{folder}\" && {program} push --log-file \"{folder}/{}.log\"", schedule.name)
    };
    for argument in super::systemd::push_arguments(schedule) {
        command.push(' ');
        command.push_str(&word(schedule, argument)?);
    }
    command.push_str(" >/dev/null");
    if command.len() > COMMAND_MAX {
        return Err(ScheduleError::TooLong { length: command.len(), max: COMMAND_MAX });
    }
    Ok(command)
}

fn has_own_log(schedule: &Schedule) -> bool {
    schedule.arguments.iter().any(|argument| argument == "--log-file" || argument.starts_with("--log-file="))
}

/// One word of the shell, whose `%` cron does not take for a line break.
fn word(schedule: &Schedule, text: &str) -> Result<String, ScheduleError> {
    let refuse =
        |reason| Err(ScheduleError::Text { kind: schedule.kind, text: text.escape_debug().to_string(), reason });
    if text.chars().any(char::is_control) {
        return refuse("it has a control character");
    }
    if text.contains('\\') {
        return refuse("one cron takes a backslash for itself, another does not");
    }
    let is_bare = !text.is_empty()
        && text.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '/' | '-' | '_' | '.' | ':' | '='));
    let quoted = if is_bare { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\"'\"'")) };
    Ok(quoted.replace('%', "\\%"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::super::{Account, Times};
    use super::*;
    use proptest::prelude::*;

    fn days_of(text: &str) -> String {
        let mut schedule = example(Kind::Crontab);
        schedule.times = Times::new(&["04:30"], text).unwrap();
        days(&schedule)
    }

    #[test]
    fn days_are_numbers_from_sunday() {
        for (text, numbers) in [
            ("daily", "*"),
            ("mon-fri", "1-5"),
            ("sun", "0"),
            ("sat-sun", "6,0"),
            ("mon,wed", "1,3"),
            ("thu-sun", "4,5,6,0"),
            ("mon-wed,fri", "1-3,5"),
        ] {
            assert_eq!(days_of(text), numbers, "{text}");
        }
    }

    #[test]
    fn a_file_of_cron_d_names_the_account_and_a_crontab_does_not() {
        let mut schedule = example(Kind::CronFile);
        schedule.log_file = None;
        schedule.times = Times::new(&["04:30", "12:05"], "mon-fri").unwrap();
        let lines = lines(&schedule).unwrap();
        let runs: Vec<&str> = lines.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            runs,
            [
                "30 4 * * 1-5 library mkdir -p \"$HOME/.local/state/sispush\" && /usr/local/bin/sispush push --log-file \
                 \"$HOME/.local/state/sispush/example-college.log\" /etc/sispush/example-college.yaml >/dev/null",
                "5 12 * * 1-5 library mkdir -p \"$HOME/.local/state/sispush\" && /usr/local/bin/sispush push --log-file \
                 \"$HOME/.local/state/sispush/example-college.log\" /etc/sispush/example-college.yaml >/dev/null",
            ]
        );
    }

    #[test]
    fn what_cron_cannot_be_given_is_refused() {
        for path in ["/a\n* * * * * rm", "/a\\b"] {
            let mut schedule = example(Kind::Crontab);
            schedule.mappings = vec![path.into()];
            assert!(lines(&schedule).is_err(), "{path}");
        }
        let mut schedule = example(Kind::Crontab);
        schedule.mappings = (0..100).map(|number| format!("/etc/sispush/{number:04}.yaml")).collect();
        assert!(matches!(lines(&schedule), Err(ScheduleError::TooLong { .. })));
    }

    #[test]
    fn a_damaged_crontab_is_left_alone() {
        let mut schedule = example(Kind::Crontab);
        schedule.account = Account::Own;
        let lines = lines(&schedule).unwrap();
        let begin = lines.lines().next().unwrap();
        for torn in [&lines[..lines.len() - 20], &lines[begin.len() + 1..]] {
            assert!(matches!(with(torn, "example-college", &lines), Err(ScheduleError::Torn { .. })), "{torn}");
            assert!(matches!(without(torn, "example-college"), Err(ScheduleError::Torn { .. })), "{torn}");
        }
    }

    proptest! {
        /// What others have in the crontab stays as it is, byte for byte.
        #[test]
        fn a_schedule_comes_and_goes(before in "([ -~]{0,12}\n){0,3}", after in "([ -~]{0,12}\n){0,3}[ -~]{0,5}") {
            let schedule = example(Kind::Crontab);
            let ours = lines(&schedule).unwrap();
            let mut other = schedule.clone();
            other.name = "example-college-2".into();
            other.mappings.push("/x".into());
            let there = format!("{before}{}{after}", lines(&other).unwrap());
            let all = with(&there, "example-college", &ours).unwrap();
            prop_assert_eq!(&with(&all, "example-college", &ours).unwrap(), &all);
            prop_assert_eq!(find(&all, "example-college").unwrap(), Some(ours.as_str()));
            prop_assert_eq!(marked(&all).len(), 2);
            let gone = without(&all, "example-college").unwrap();
            prop_assert_eq!(gone.trim_end_matches('\n'), there.trim_end_matches('\n'));
            prop_assert!(gone.starts_with(&there));
            prop_assert_eq!(&without(&gone, "example-college").unwrap(), &gone);
            // In the middle, too.
            let moved = without(&all, "example-college-2").unwrap();
            prop_assert!(moved.starts_with(&format!("{before}{after}")), "{}", moved);
        }

        /// Held against the shell itself, after what cron does with `%`.
        #[cfg(unix)]
        #[test]
        fn the_shell_reads_the_words_back(path in "/[^\\p{C}\\\\]{1,30}", argument in "[^\\p{C}\\\\]{0,20}") {
            let mut schedule = example(Kind::Crontab);
            schedule.program = "printf".into();
            schedule.log_file = Some("%s\n".into());
            let words = [path.as_str(), argument.as_str(), "%", "a%%b", "$HOME `id` \"x\" 'y' *", ""];
            let quoted: Vec<String> = words.iter().map(|text| word(&schedule, text).unwrap()).collect();
            let line = quoted.join(" ");
            // As do_command.c of cron: an escaped `%` loses its backslash, another one ends the command.
            prop_assert!(!line.replace("\\%", "").contains('%'));
            let line = line.replace("\\%", "%");
            let output = std::process::Command::new("sh").arg("-c").arg(format!("printf '%s\\n' {line}")).output().unwrap();
            prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), words.map(|word| format!("{word}\n")).concat());
        }
    }
}
