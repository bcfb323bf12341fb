//! `secret`, and the kinds of secrets that a mapping can refer to. The machine's own store of credentials is left alone.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

mod support;

use std::fs;
#[cfg(target_os = "linux")]
use std::process::Stdio;
#[cfg(target_os = "linux")]
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use support::context::{PASSWORD, TestContext};

/// Lets only the owner read a file of the context's.
fn only_owner(context: &TestContext, name: &str) {
    #[cfg(unix)]
    fs::set_permissions(context.path(name), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    #[cfg(not(unix))]
    let _ = (context, name);
}

fn private(context: &TestContext, name: &str, text: &str) {
    context.write(name, text);
    only_owner(context, name);
}

/// A school whose Infiniti password is this reference.
fn school(reference: &str, more: &str) -> TestContext {
    let mut context = TestContext::with_sandbox(&[]);
    context.unset_env("INFINITI_PASSWORD");
    context.students(2).mapping(&format!("state: state.db\n{more}"));
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    context.write("school.yaml", mapping.replace("${INFINITI_PASSWORD}", reference));
    only_owner(&context, "school.yaml");
    context
}

/// On a server nobody is logged in: it is said at once, before anything is typed, and with what to use instead.
#[cfg(all(target_os = "linux", not(feature = "secret-service")))]
#[test]
fn without_a_store_the_alternatives_are_named() {
    use std::io::Write as _;

    let context = TestContext::new();
    assert_snapshot!(context.run(&["secret", "set", "sis"]));
    let same = context.run(&["secret", "list"]);
    assert_eq!(context.run(&["secret", "delete", "sis"]), same);
    let mut child =
        context.command(&["secret", "set", "sis"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may have ended before.
    drop(child.stdin.take().unwrap().write_all(b"canary\n"));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("canary"));
    assert_eq!(context.run(&["secret", "set", "sis"]), same);
    let context = school("${keyring:infiniti}", "");
    assert_snapshot!(context.run(&["push", "school.yaml"]));
    assert!(context.sandbox().requests().is_empty());
}

/// The shell's history has it already; a scheduler's log must not.
#[test]
fn a_secret_is_never_an_argument() {
    let context = TestContext::new();
    assert_snapshot!(context.run(&["secret", "set", "sis", "canary-typed"]));
    assert_snapshot!(context.run(&["secret", "set", "sis password"]));
    assert!(context.run(&["secret", "delete", "../sis"]).contains("`../sis` is no name for a secret"));
}

#[test]
fn a_push_takes_its_password_from_every_kind() {
    for (reference, more) in [
        ("${FROM_ENVIRONMENT}", ""),
        ("${FROM_DOTENV}", ""),
        ("${file:secrets/infiniti}", ""),
        ("${credential:infiniti}", ""),
        ("${command:cat secrets/infiniti}", "allow_commands: true\n"),
        ("'${command:sh -c \"cat < secrets/infiniti; echo login: autoimport\"}'", "allow_commands: true\n"),
    ] {
        if cfg!(not(unix)) && reference.contains("command") {
            continue;
        }
        let mut context = school(reference, more);
        context.set_env("FROM_ENVIRONMENT", PASSWORD);
        private(&context, ".env", &format!("FROM_DOTENV={PASSWORD}\n"));
        fs::create_dir(context.path("secrets")).unwrap();
        private(&context, "secrets/infiniti", &format!("{PASSWORD}\n"));
        let folder = context.path("secrets").display().to_string();
        context.set_env("CREDENTIALS_DIRECTORY", &folder);
        let output = context.run(&["push", "school.yaml", "-vv"]);
        assert!(output.starts_with("exit code 0\n"), "{reference}: {output}");
        assert!(!context.sandbox().requests().is_empty(), "{reference}");
        assert!(context.run(&["doctor", "school.yaml"]).contains("ok        secrets: `${"), "{reference}");
    }
}

/// What a mapping of all kinds says of each, and `doctor` in short.
#[cfg(all(target_os = "linux", not(feature = "secret-service")))]
#[test]
fn a_mapping_s_secrets_are_listed_with_their_places() {
    let mut context = TestContext::new();
    let source = "url: postgres://${SIS_LOGIN}:${command:pass show sis}@sis.example.local/sis";
    context.mapping_of(
        source,
        "SELECT login FROM students WHERE active = 1",
        "allow_commands: true\nstate: postgres://svc:${file:state}@127.0.0.1:1/x\n",
    );
    let mapping = fs::read_to_string(context.path("school.yaml")).unwrap();
    let mapping = mapping
        .replace("${INFINITI_PASSWORD}", "${credential:infiniti}\n  proxy: http://u:${keyring:proxy}@127.0.0.1:1");
    context.write("school.yaml", &mapping);
    only_owner(&context, "school.yaml");
    context.write("other.yaml", mapping.replace("allow_commands: true", "colour: red"));
    assert_snapshot!(context.run(&["secret", "list", "school.yaml"]));
    private(&context, ".env", "SIS_LOGIN=canary\n");
    private(&context, "state", "canary");
    let folder = context.folder().display().to_string();
    private(&context, "infiniti", "canary");
    context.set_env("CREDENTIALS_DIRECTORY", &folder);
    let mapping = mapping.replace("${keyring:proxy}", "${PROXY}");
    context.set_env("PROXY", "canary");
    context.write("school.yaml", &mapping);
    assert_snapshot!(context.run(&["secret", "list", "school.yaml"]));
    assert_snapshot!(context.run(&["secret", "list", "school.yaml", "--format", "json"]));
    assert_snapshot!(context.run(&["secret", "list", "."]));
}

/// A mapping that somebody else can change runs nothing, and nothing leaves.
#[cfg(unix)]
#[test]
fn commands_run_only_from_a_mapping_that_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let context = school("${command:touch ran}", "allow_commands: true\n");
    fs::set_permissions(context.path("school.yaml"), fs::Permissions::from_mode(0o664)).unwrap();
    assert_snapshot!(context.run(&["push", "school.yaml"]));
    assert!(!context.path("ran").exists() && context.sandbox().requests().is_empty());
    only_owner(&context, "school.yaml");
    assert_snapshot!(context.run(&["push", "school.yaml"]));
    assert!(context.path("ran").exists() && context.sandbox().requests().is_empty());

    let context = school("${command:touch ran}", "");
    assert_snapshot!(context.run(&["push", "school.yaml"]));
    assert_eq!(context.run(&["check", "school.yaml"]).lines().next(), Some("exit code 2"));
    // Nor does what only looks.
    let context = school("${command:touch ran}", "allow_commands: true\n");
    for run in [&["check", "school.yaml"][..], &["secret", "list", "school.yaml"], &["preview", "school.yaml"]] {
        assert!(context.run(run).starts_with("exit code 0\n"), "{run:?}");
        assert!(!context.path("ran").exists(), "{run:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_program_that_fails_is_told_without_its_words() {
    let context = school("'${command:sh -c \"echo canary; echo canary >&2; exit 3\"}'", "allow_commands: true\n");
    assert_snapshot!(context.run(&["push", "school.yaml"]));
    let context = school("${command:nowhere-at-all canary}", "allow_commands: true\n");
    assert_snapshot!(context.run(&["doctor", "school.yaml"]).lines().take(8).collect::<Vec<_>>().join("\n"));
}

/// A signal is heard while a program is asked, and the program does not outlive sispush.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_ends_the_program_that_is_asked() {
    let context =
        school("'${command:sh -c \"sleep 67 & echo $! > pid.new; mv pid.new pid; wait\"}'", "allow_commands: true\n");
    let mut push = context.command(&["push", "school.yaml"]).stderr(Stdio::piped()).spawn().unwrap();
    let within = |what: &str, is_true: &dyn Fn() -> bool| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !is_true() {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::yield_now();
        }
    };
    within("the program runs", &|| context.path("pid").exists());
    let child = fs::read_to_string(context.path("pid")).unwrap();
    let begun = Instant::now();
    let status = std::process::Command::new("kill").args(["-TERM", &push.id().to_string()]).status().unwrap();
    assert!(status.success());
    assert_eq!(push.wait().unwrap().code(), Some(130));
    assert!(begun.elapsed() < Duration::from_secs(20));
    within("the program is gone", &|| {
        let state = fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
        state.is_empty() || state.contains(") Z ")
    });
    assert!(context.sandbox().requests().is_empty());
}
