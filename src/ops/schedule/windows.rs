//! A task of the Windows Task Scheduler, as XML of Microsoft's specification MS-TSCH, section 2.5, and the command that makes it.

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::{Gap, Kind, Schedule, ScheduleError, marker, systemd};
use jiff::Zoned;

/// The folder of the Task Scheduler that the tasks lie in.
pub const FOLDER: &str = r"\sispush\";

/// The namespace of the schema.
const NAMESPACE: &str = "http://schemas.microsoft.com/windows/2004/02/mit/task";

/// Longer paths are not valid (`pathType` of the schema).
const PATH_MAX: usize = 260;

/// The Windows accounts that have no password, and their security identifiers.
const BUILT_IN: [(&str, &str); 3] =
    [("SYSTEM", "S-1-5-18"), ("LOCAL SERVICE", "S-1-5-19"), ("NETWORK SERVICE", "S-1-5-20")];

/// The name of a schedule's task.
pub fn task(name: &str) -> String {
    format!("{FOLDER}{name}")
}

/// The task. `now` is when its first run is looked for, so that the Task Scheduler has none to make up.
///
/// # Errors
/// A path or an argument that the Task Scheduler cannot be given.
pub fn xml(schedule: &Schedule, now: &Zoned) -> Result<String, ScheduleError> {
    let parts = Parts::of(schedule)?;
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    // Writing to memory does not fail, and what is written is UTF-8.
    let _infallible = write(&mut writer, schedule, &parts, now);
    let mut text = String::from_utf8(writer.into_inner()).unwrap_or_default();
    text.push('\n');
    Ok(text)
}

/// The bytes of a file: UTF-16 with a byte order mark, as the XML says and `schtasks` wants it.
pub fn bytes(xml: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(xml.replace('\n', "\r\n").encode_utf16().collect::<Vec<_>>());
    units.flat_map(u16::to_le_bytes).collect()
}

/// What `schtasks` is given to make the task of a file.
pub fn create(schedule: &Schedule, file: &str) -> Vec<String> {
    let mut arguments: Vec<String> =
        ["/Create", "/TN", &task(&schedule.name), "/XML", file, "/F"].map(str::to_owned).to_vec();
    if let Some(account) = schedule.account.name() {
        arguments.extend(["/RU".to_owned(), account.to_owned()]);
        if built_in(account).is_none() {
            // It asks for the password by itself.
            arguments.extend(["/RP".to_owned(), "*".to_owned()]);
        }
    }
    arguments
}

/// A command as it is typed into `cmd` or PowerShell.
pub fn typed(program: &str, arguments: &[String]) -> String {
    let mut line = program.to_owned();
    for argument in arguments {
        line.push(' ');
        line.push_str(&quoted(argument, |char| char.is_ascii_alphanumeric() || matches!(char, '/' | '*')));
    }
    line
}

/// The security identifier of an account that Windows itself has.
fn built_in(account: &str) -> Option<&'static str> {
    let name = account.rsplit('\\').next().unwrap_or(account);
    let is_local = !account.contains('\\') || account.to_ascii_uppercase().starts_with("NT AUTHORITY\\");
    BUILT_IN.iter().find(|(known, _)| is_local && name.eq_ignore_ascii_case(known)).map(|(_, sid)| *sid)
}

/// What becomes text of the task.
struct Parts {
    program: String,
    arguments: String,
    folder: Option<String>,
}

impl Parts {
    fn of(schedule: &Schedule) -> Result<Self, ScheduleError> {
        let all: Vec<&str> = std::iter::once("push").chain(systemd::push_arguments(schedule)).collect();
        for text in all.iter().copied().chain([schedule.program.as_str()]) {
            check(text)?;
        }
        let folder = folder_of(schedule.mappings.first().map_or("", String::as_str));
        for path in std::iter::once(schedule.program.as_str()).chain(folder) {
            if path.encode_utf16().count() > PATH_MAX {
                return refuse(path, "it is longer than 260 characters");
            }
        }
        let arguments: Vec<String> = all.iter().map(|text| argument(text)).collect();
        Ok(Self {
            program: schedule.program.clone(),
            arguments: arguments.join(" "),
            folder: folder.map(str::to_owned),
        })
    }
}

/// The folder of a Windows path.
fn folder_of(path: &str) -> Option<&str> {
    let (folder, _) = path.rsplit_once(['\\', '/'])?;
    // That of `C:\a.yaml` is `C:\`, not the drive's current one.
    Some(if folder.len() == 2 && folder.ends_with(':') { &path[..3] } else { folder })
}

fn refuse<T>(text: &str, reason: &'static str) -> Result<T, ScheduleError> {
    Err(ScheduleError::Text { kind: Kind::Windows, text: text.escape_debug().to_string(), reason })
}

/// The Task Scheduler replaces `%NAME%` by a variable of the environment and `$(NAME)` by a parameter, and knows no way to
/// say that it should not.
fn check(text: &str) -> Result<(), ScheduleError> {
    if text.chars().any(char::is_control) {
        return refuse(text, "it has a control character");
    }
    if text.contains("$(") || text.contains("$$") {
        return refuse(text, "it takes `$(` and `$$` for a parameter");
    }
    let parts: Vec<&str> = text.split('%').collect();
    let is_variable = |part: &&str| !part.is_empty() && part.chars().all(|char| !matches!(char, '\\' | '/' | ' '));
    if parts.len() > 2 && parts[1..parts.len() - 1].iter().any(is_variable) {
        return refuse(text, "it takes what stands between two `%` for a variable");
    }
    Ok(())
}

/// An argument as programs of Windows take their command line apart: by the rules of `CommandLineToArgvW`.
fn argument(text: &str) -> String {
    quoted(text, |char| !matches!(char, ' ' | '\t' | '"'))
}

fn quoted(text: &str, is_bare: impl Fn(char) -> bool) -> String {
    if !text.is_empty() && text.chars().all(is_bare) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    let mut backslashes = 0;
    for char in text.chars() {
        match char {
            '\\' => backslashes += 1,
            '"' => {
                // Those before a quote are doubled, and one more makes the quote a character.
                quoted.push_str(&"\\".repeat(backslashes + 1));
                backslashes = 0;
            }
            _ => backslashes = 0,
        }
        quoted.push(char);
    }
    quoted.push_str(&"\\".repeat(backslashes));
    quoted.push('"');
    quoted
}

type Written = std::io::Result<()>;

fn write(writer: &mut Writer<Vec<u8>>, schedule: &Schedule, parts: &Parts, now: &Zoned) -> Written {
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-16"), None)))?;
    let task = writer.create_element("Task").with_attributes([("version", "1.2"), ("xmlns", NAMESPACE)]);
    task.write_inner_content(|writer| {
        writer.create_element("RegistrationInfo").write_inner_content(|writer| {
            text(writer, "Source", "sispush")?;
            let name = &schedule.name;
            text(
                writer,
                "Description",
                &format!(
                    "Pushes patrons from the SIS to Infiniti. Made by `sispush schedule windows`; `sispush schedule remove {name}` takes it away."
                ),
            )?;
            text(writer, "Documentation", &marker::line(schedule))
        })?;
        triggers(writer, schedule, now)?;
        principals(writer, schedule)?;
        settings(writer)?;
        let actions = writer.create_element("Actions").with_attribute(("Context", "Account"));
        actions.write_inner_content(|writer| {
            writer.create_element("Exec").write_inner_content(|writer| {
                text(writer, "Command", &parts.program)?;
                text(writer, "Arguments", &parts.arguments)?;
                parts.folder.as_ref().map_or(Ok(()), |folder| text(writer, "WorkingDirectory", folder))
            })?;
            Ok(())
        })?;
        Ok(())
    })?;
    Ok(())
}

fn text(writer: &mut Writer<Vec<u8>>, name: &str, value: &str) -> Written {
    writer.create_element(name).write_text_content(BytesText::new(value)).map(drop)
}

fn triggers(writer: &mut Writer<Vec<u8>>, schedule: &Schedule, now: &Zoned) -> Written {
    const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    let days = schedule.times.days();
    let triggers = writer.create_element("Triggers");
    triggers.write_inner_content(|writer| {
        for at in schedule.times.at() {
            let first = schedule.times.only(*at).next_run(now, Gap::LeftOut);
            let first = first.unwrap_or_else(|| now.clone()).date().to_datetime(*at);
            writer.create_element("CalendarTrigger").write_inner_content(|writer| {
                // Without a zone it is the machine's local time, summer and winter.
                text(writer, "StartBoundary", &first.strftime("%Y-%m-%dT%H:%M:%S").to_string())?;
                text(writer, "RandomDelay", "PT2M")?;
                writer.create_element("ScheduleByWeek").write_inner_content(|writer| {
                    text(writer, "WeeksInterval", "1")?;
                    writer.create_element("DaysOfWeek").write_inner_content(|writer| {
                        for day in days.numbers() {
                            writer.create_element(DAYS[day]).write_empty()?;
                        }
                        Ok(())
                    })?;
                    Ok(())
                })?;
                Ok(())
            })?;
        }
        Ok(())
    })?;
    Ok(())
}

fn principals(writer: &mut Writer<Vec<u8>>, schedule: &Schedule) -> Written {
    writer.create_element("Principals").write_inner_content(|writer| {
        let principal = writer.create_element("Principal").with_attribute(("id", "Account"));
        principal.write_inner_content(|writer| {
            if let Some(account) = schedule.account.name() {
                text(writer, "UserId", built_in(account).unwrap_or(account))?;
            }
            if schedule.account.name().and_then(built_in).is_none() {
                // Not `S4U`, which needs no password: it has no login to servers, nor the account's credential store.
                text(writer, "LogonType", "Password")?;
            }
            text(writer, "RunLevel", "LeastPrivilege")
        })?;
        Ok(())
    })?;
    Ok(())
}

fn settings(writer: &mut Writer<Vec<u8>>) -> Written {
    writer.create_element("Settings").write_inner_content(|writer| {
        for (name, value) in [
            ("MultipleInstancesPolicy", "IgnoreNew"),
            ("DisallowStartIfOnBatteries", "false"),
            ("StopIfGoingOnBatteries", "false"),
            ("AllowHardTerminate", "true"),
            ("StartWhenAvailable", "true"),
            ("RunOnlyIfNetworkAvailable", "true"),
            ("AllowStartOnDemand", "true"),
            ("Enabled", "true"),
            ("Hidden", "false"),
            ("RunOnlyIfIdle", "false"),
            ("WakeToRun", "false"),
            // As long as systemd gives it.
            ("ExecutionTimeLimit", "PT4H"),
            ("Priority", "7"),
        ] {
            text(writer, name, value)?;
        }
        Ok(())
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_the_task_scheduler_would_change_is_refused() {
        for text in [r"C:\%TEMP%\a.yaml", r"C:\a$(Arg0)", r"C:\a$$b", "C:\\a\nb"] {
            assert!(check(text).is_err(), "{text}");
        }
        for text in [r"C:\100% sure\50%\a.yaml", r"C:\a$b", r"C:\it's & <that>", r"C:\Schüler\a.yaml", "%%"] {
            assert!(check(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn accounts_without_a_password_are_asked_for_none() {
        let mut schedule = example(Kind::Windows);
        for (account, sid) in [
            ("SYSTEM", Some("S-1-5-18")),
            (r"NT AUTHORITY\Network Service", Some("S-1-5-20")),
            (r"SCHOOL\system", None),
        ] {
            schedule.account = super::super::Account::Named(account.into());
            let xml = xml(&schedule, &"2026-11-27T16:00[UTC]".parse().unwrap()).unwrap();
            assert_eq!(create(&schedule, "a.xml").contains(&"/RP".to_owned()), sid.is_none(), "{account}");
            assert_eq!(xml.contains("<LogonType>Password</LogonType>"), sid.is_none(), "{account}");
            assert!(xml.contains(&format!("<UserId>{}</UserId>", sid.unwrap_or(account))), "{account}: {xml}");
        }
    }

    #[test]
    fn the_folder_is_the_mapping_s() {
        assert_eq!(folder_of(r"C:\sispush\a.yaml"), Some(r"C:\sispush"));
        assert_eq!(folder_of(r"C:\a.yaml"), Some(r"C:\"));
        assert_eq!(folder_of(r"\\server\share\a.yaml"), Some(r"\\server\share"));
    }

    #[test]
    fn a_command_is_typed_with_quotes_where_they_are_needed() {
        let schedule = example(Kind::Windows);
        assert_eq!(
            typed("schtasks", &create(&schedule, r"C:\a b\task.xml")),
            r#"schtasks /Create /TN "\sispush\example-college" /XML "C:\a b\task.xml" /F /RU library /RP *"#
        );
    }

    /// The rules of Microsoft's "Parsing C++ command-line arguments", written down a second time, from the reader's side.
    fn taken_apart(line: &str) -> Vec<String> {
        let (mut words, mut word, mut is_quoted, mut has_word) = (Vec::new(), String::new(), false, false);
        let chars: Vec<char> = line.chars().collect();
        let mut at = 0;
        while at < chars.len() {
            match chars[at] {
                '\\' => {
                    let count = chars[at..].iter().take_while(|char| **char == '\\').count();
                    let is_before_quote = chars.get(at + count) == Some(&'"');
                    word.push_str(&"\\".repeat(if is_before_quote { count / 2 } else { count }));
                    at += count;
                    if is_before_quote && count % 2 == 1 {
                        word.push('"');
                        at += 1;
                    }
                    has_word = true;
                    continue;
                }
                '"' => (is_quoted, has_word) = (!is_quoted, true),
                ' ' | '\t' if !is_quoted => {
                    if std::mem::take(&mut has_word) {
                        words.push(std::mem::take(&mut word));
                    }
                }
                char => {
                    word.push(char);
                    has_word = true;
                }
            }
            at += 1;
        }
        if has_word {
            words.push(word);
        }
        words
    }

    proptest! {
        #[test]
        fn arguments_are_read_back(words in prop::collection::vec("[a \\\\\"ü$%']{0,8}", 0..5)) {
            let line = words.iter().map(|word| argument(word)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(taken_apart(&line), words);
        }

        /// Whatever a path holds, the XML is well-formed and gives it back.
        #[test]
        fn xml_gives_paths_back(path in "C:[^\\p{C}%$]{1,30}") {
            let mut schedule = example(Kind::Windows);
            schedule.program = path.clone();
            schedule.mappings = vec![path.clone()];
            let xml = xml(&schedule, &"2026-11-27T16:00[UTC]".parse().unwrap()).unwrap();
            let mut reader = quick_xml::Reader::from_str(&xml);
            let (mut element, mut command) = (String::new(), String::new());
            loop {
                match reader.read_event().unwrap() {
                    Event::Start(start) => element = start.name().as_ref().to_owned(),
                    Event::Text(text) if element == "Command" => command.push_str(&text),
                    Event::GeneralRef(name) if element == "Command" => {
                        command.push_str(quick_xml::escape::resolve_predefined_entity(&name).unwrap());
                    }
                    Event::End(_) => element.clear(),
                    Event::Eof => break,
                    _ => {}
                }
            }
            prop_assert_eq!(command, path);
        }
    }
}
