//! A story of nights: the service that `schedule systemd` installs does them, and what is told of each is counted.
//!
//! systemd itself takes the service apart; what it would set up is set up by hand, as a build machine runs no systemd.

#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail the test")]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use insta::assert_snapshot;
use support::context::{PASSWORD, TestContext};
use support::receivers::{Received, Receiver};
use support::units::{environment_of, me, program, stand_in, text, unit, words_of};

/// What may stand in nothing that is told: secrets, usernames, and values of rows.
const CANARIES: [&str; 5] = ["canary", "student0", "Given", "Family", "school.example"];

/// Stands in for the real one: makes of the properties what the service manager makes of them.
const SYSTEMD_RUN: &str = r#"
credentials=$(mktemp -d)
while :; do
  case $1 in
    --pipe | --wait | --collect) ;;
    --property=User=* | --property=UMask=0077 | --property=StateDirectoryMode=0700) ;;
    --property=StateDirectory=sispush) STATE_DIRECTORY=$HOME/var/lib/sispush ;;
    --property=LoadCredential=*)
      pair=${1#--property=LoadCredential=}
      cp "${pair#*:}" "$credentials/${pair%%:*}" ;;
    -*) echo "unknown: $1" >&2; exit 64 ;;
    *) break ;;
  esac
  shift
done
exec env -i PATH=/usr/bin:/bin LANG=C.UTF-8 SISPUSH_SYSTEM_LOG=off STATE_DIRECTORY="$STATE_DIRECTORY" \
  CREDENTIALS_DIRECTORY="$credentials" "$@"
"#;

/// A school whose service is installed below a folder, and those who hear of it.
struct School {
    context: TestContext,
    hook: Receiver,
    heartbeat: Receiver,
    /// The words of the service's command, as systemd takes them apart.
    line: String,
    /// The variables that the service sets.
    environment: Vec<(String, String)>,
    service: String,
    state: PathBuf,
}

/// What a night came to.
#[derive(Debug)]
struct Night {
    code: i32,
    /// What it printed.
    said: String,
    told: Vec<serde_json::Value>,
    heartbeats: usize,
}

impl School {
    fn installed(systemd: &std::path::Path) -> Self {
        let mut context = TestContext::with_sandbox(&[]);
        let (hook, heartbeat) = (Receiver::start(), Receiver::start());
        for folder in ["image", "secrets", "logs", "metrics", "credentials", "var/lib/sispush"] {
            fs::create_dir_all(context.path(folder)).unwrap();
        }
        context.students(40).mapping(
            "mode: delta\nlimits: { max_drop: 50% }\nnotify:\n  webhook: [{ url: \"${credential:hook}\" }]\n  \
             heartbeat: ${credential:heartbeat}\n  metrics: metrics/sispush.prom\n",
        );
        let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
        context.write("school.yaml", mapping.replace("${INFINITI_PASSWORD}", "${credential:infiniti}"));
        context.unset_env("INFINITI_PASSWORD");
        // A secret in a file ends with a line break.
        for (name, secret) in [
            ("infiniti", PASSWORD.to_owned()),
            ("hook", hook.url("canary-hook")),
            ("heartbeat", heartbeat.url("canary-beat")),
        ] {
            context.write(&format!("secrets/{name}"), format!("{secret}\n"));
            fs::copy(context.path(&format!("secrets/{name}")), context.path(&format!("credentials/{name}"))).unwrap();
        }
        let path = stand_in(&context, "systemd-run", SYSTEMD_RUN);
        context.set_env("PATH", &path);
        let (secrets, log) = (context.path("secrets"), context.path("logs/run.log"));
        let schedule = |place: &[&str]| {
            let words = ["schedule", "systemd", "school.yaml", "--credentials", secrets.to_str().unwrap(), "--install"];
            let output = context.output(&[&words[..], place].concat());
            assert!(output.status.success(), "{}", text(&output));
        };
        schedule(&["--user", &me(), "--root", "image", "--", "--log-file", log.to_str().unwrap()]);
        // The one of this account, in which the report finds when it runs next.
        schedule(&["--per-user", "--at", "03:45"]);
        let file = unit(&context.path("image"), "sispush-school.service");
        let state = context.path("var/lib/sispush");
        Self {
            line: words_of(systemd, &file),
            environment: environment_of(systemd, &file),
            service: fs::read_to_string(file).unwrap(),
            context,
            hook,
            heartbeat,
            state,
        }
    }

    /// The service's own command in the environment that systemd makes for it.
    fn night(&self) -> Night {
        let mut command = self.context.shell(&self.line);
        command.current_dir("/").env_clear().env("PATH", "/usr/bin:/bin").env("LANG", "C.UTF-8");
        command.env("SISPUSH_SYSTEM_LOG", "off").envs(self.environment.iter().cloned());
        command.env("STATE_DIRECTORY", &self.state).env("LOGS_DIRECTORY", self.context.path("logs"));
        command.env("CREDENTIALS_DIRECTORY", self.context.path("credentials"));
        let output = command.output().unwrap();
        self.came(&output)
    }

    /// A command of a message, as somebody copies it into a terminal of this machine.
    fn typed(&self, command: &str) -> Night {
        let output = self.context.shell(command).output().unwrap();
        self.came(&output)
    }

    fn came(&self, output: &Output) -> Night {
        let said = text(output);
        // At a terminal of this machine usernames may be shown.
        assert!(!said.contains("canary"), "{said}");
        let heartbeats = self.heartbeat.take();
        assert!(heartbeats.iter().all(|one| one.path == "/canary-beat"), "{heartbeats:?}");
        let told = self.hook.take();
        for one in &told {
            assert_eq!(one.path, "/canary-hook");
            holds_no_canary(&one.body);
        }
        Night {
            code: output.status.code().unwrap_or_else(|| panic!("{said}")),
            said,
            told: told.iter().map(Received::json).collect(),
            heartbeats: heartbeats.len(),
        }
    }

    fn state_file(&self) -> String {
        self.state.join("state.db").display().to_string()
    }

    /// What `history` prints of the state of the service.
    fn history(&self, more: &[&str]) -> String {
        let state = self.state_file();
        let output = self.context.output(&[&["history", "school.yaml", "--state", &state], more].concat());
        assert!(output.status.success(), "{}", text(&output));
        holds_no_canary(&text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What the file of metrics says of the school.
    fn metric(&self, name: &str) -> String {
        let metrics = fs::read_to_string(self.context.path("metrics/sispush.prom")).unwrap();
        holds_no_canary(&metrics);
        let start = format!("{name}{{mapping=\"school\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_else(|| panic!("{metrics}")).to_owned()
    }
}

fn holds_no_canary(text: &str) {
    for canary in CANARIES {
        assert!(!text.contains(canary), "{canary}: {text}");
    }
}

/// Each night with its exit code, what was told in it, and how often the heartbeat was asked for.
#[test]
fn a_failure_is_told_once_and_its_recovery_once() {
    let test = "a_failure_is_told_once_and_its_recovery_once";
    let Some(systemd) = program(test, "systemd", "systemd") else { return };
    let school = School::installed(&systemd);
    for name in ["hook", "heartbeat", "infiniti"] {
        assert!(school.service.contains(&format!("\nLoadCredential={name}:/")), "{}", school.service);
    }
    // All else is read-only to it.
    for folder in ["logs", "metrics"] {
        let line = format!("\nReadWritePaths={}\n", school.context.path(folder).display());
        assert!(school.service.contains(&line), "{line}: {}", school.service);
    }
    let mut story = Vec::new();
    let mut last_good = String::new();
    let mut note = |what: &str, night: Night| {
        let good = school.metric("sispush_last_success_timestamp_seconds");
        let is_good = night.code <= 1;
        assert_eq!(school.metric("sispush_exit_code"), night.code.to_string(), "{what}");
        assert!(is_good || good == last_good, "{what}: {last_good} {good}");
        last_good = good;
        story.push(format!(
            "{what}: exit code {}, told {:?}, heartbeats {}",
            night.code,
            night.told.iter().map(|message| message["mappings"][0]["event"].as_str().unwrap()).collect::<Vec<_>>(),
            night.heartbeats
        ));
        night
    };
    let context = &school.context;
    note("good", school.night());
    fs::rename(context.path("sis.db"), context.path("gone.db")).unwrap();
    note("the SIS is gone", school.night());
    note("still gone", school.night());
    fs::rename(context.path("gone.db"), context.path("sis.db")).unwrap();
    note("it is back", school.night());
    context.sis("DELETE FROM students WHERE barcode > '000015'");
    let [limit] = note("most pupils are gone", school.night()).told.try_into().unwrap();
    note("still so", school.night());
    let command = limit["mappings"][0]["command"].as_str().unwrap();
    assert!(school.history(&[]).contains(&format!("If all of it is right: `{command}`.")));
    note("approved by the command of the message", school.typed(command));
    note("the next one", school.night());
    context.sis("UPDATE students SET email = 'no address' WHERE login IN ('student0003', 'student0004')");
    note("two addresses are wrong", school.night());
    note("still wrong", school.night());
    context.sis("UPDATE students SET email = NULL WHERE email = 'no address'");
    note("good", school.night());
    assert_snapshot!("story", story.join("\n"));
    assert_eq!(context.sandbox().patrons().len(), 40, "nobody was taken away");

    let history: serde_json::Value = serde_json::from_str(&school.history(&["--format", "json"])).unwrap();
    let runs = history["runs"].as_array().unwrap();
    let mut outcomes: Vec<_> = runs.iter().map(|run| run["outcome"].as_str().unwrap()).collect();
    outcomes.reverse();
    assert_eq!(
        outcomes,
        ["fine", "failed", "failed", "fine", "stopped", "stopped", "fine", "fine", "rejections", "rejections", "fine"]
    );
    let report = context.run(&["report", "school.yaml", "--state", &school.state_file(), "-o", "report.html"]);
    assert!(report.starts_with("exit code 0\n"), "{report}");
    let page = fs::read_to_string(context.path("report.html")).unwrap();
    holds_no_canary(&page);
    assert!(page.contains("In all: fine 5, rejections 2, stopped 2, failed 2."), "{page}");
    let next = regex::Regex::new(r"<dt>next run</dt><dd>\d{4}-\d\d-\d\d 03:45</dd>").unwrap();
    assert!(next.is_match(&page), "{page}");
    // An approval is good once.
    assert_eq!(school.typed(command).code, 5);
}

/// What is typed by hand has nothing of the service in its environment, and yet names a command that works.
#[test]
fn an_approval_that_comes_too_late_tells_the_next_command() {
    let test = "an_approval_that_comes_too_late_tells_the_next_command";
    let Some(systemd) = program(test, "systemd", "systemd") else { return };
    let school = School::installed(&systemd);
    assert_eq!(school.night().code, 0);
    school.context.sis("DELETE FROM students WHERE barcode > '000015'");
    let [limit] = school.night().told.try_into().unwrap();
    school.context.sis("UPDATE students SET form = '8B' WHERE barcode = '000001'");
    let late = school.typed(limit["mappings"][0]["command"].as_str().unwrap());
    assert_eq!((late.code, late.told.len()), (5, 0), "{}", late.said);
    let (_, command) = late.said.split_once("if all of it is right, `").unwrap();
    let (command, _) = command.split_once('`').unwrap();
    let night = school.typed(command);
    assert_eq!((night.code, night.told.len()), (0, 1), "{}", night.said);
    assert!(night.said.contains("1 updated"), "{}", night.said);
}
