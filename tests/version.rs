//! `--version`, alone and with `--verbose`, and what is said if nothing is asked for.

mod support;

use insta::assert_snapshot;
use support::context::TestContext;

#[test]
fn the_version_is_one_line() {
    let context = TestContext::new();
    assert_snapshot!(context.run(&["--version"]));
    assert_eq!(context.run(&["-V"]), context.run(&["--version"]));
    // It is about the program, whatever else stands there.
    assert_eq!(context.run(&["--version", "check", "nowhere.yaml"]), context.run(&["--version"]));
    // Others read it by place: the first line is the same with what is built in below it.
    assert!(context.run(&["-V", "-v"]).starts_with(context.run(&["-V"]).split("----- stderr").next().unwrap_or("?")));
}

#[test]
fn a_verbose_version_tells_what_is_built_in() {
    let context = TestContext::new();
    let said = context.run(&["--version", "--verbose"]);
    assert_eq!(context.run(&["-Vv"]), said);
    let mut shown = said;
    for (pattern, replacement) in [
        (r"(?m)^commit   \S+\n", ""),
        (r"(?m)^(build    )\S+-\S+, (debug|release)$", "${1}[TARGET], [PROFILE]"),
        (r"(?m)^(system   )\S.*$", "${1}[SYSTEM]"),
        (r"(?m)^(features )((?:, )?(?:none|mail|odbc|secret-service))+$", "${1}[FEATURES]"),
        (r"csv, odbc", "csv"),
        (r"(?m)^(sqlite   )3\.\d+\.\d+$", "${1}[SQLITE]"),
        (r"(?m)^(state    version )\d+$", "${1}[NUMBER]"),
    ] {
        shown = regex::Regex::new(pattern).expect("a pattern").replace_all(&shown, replacement).into_owned();
    }
    assert_snapshot!(shown);
}

/// Regression of what clap did by itself, as long as the version was its own.
#[test]
fn who_asks_for_nothing_gets_the_help() {
    let context = TestContext::new();
    for arguments in [&[][..], &["-v"], &["--color", "never"]] {
        let said = context.run(arguments);
        assert!(said.starts_with("exit code 2\n----- stdout -----\n----- stderr -----\nRead patrons from"), "{said}");
        assert!(said.contains("\nCommands:\n  demo ") && said.contains("-V, --version"), "{said}");
    }
    assert!(context.run(&["push", "--version"]).contains("unexpected argument '--version'"));
}
