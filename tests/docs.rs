//! The reference in the documentation is made from the program's own tables; here it is made again and compared.
//!
//! `SISPUSH_UPDATE_DOCS=1 cargo test --test docs` writes it anew.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the documentation has failed")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use sispush::error::ExitCode;
use sispush::infiniti::contract::{FEEDS, HeaderRule, Holders, Kind, Presence, Unique};
use sispush::mapping::shipped::SHIPPED;
use sispush::mapping::{self, Mapping, keys};

const REFERENCE: &str = "mappings/README.md";
const UPDATE: &str = "SISPUSH_UPDATE_DOCS";

#[test]
fn the_tables_of_headers_are_the_contracts() {
    for contract in FEEDS {
        let mut table = "| header | value | rules | meaning |\n|---|---|---|---|\n".to_owned();
        for rule in contract.headers {
            writeln!(table, "| `{}` | {} | {} | {} |", rule.name, value(rule.kind), rules(rule), rule.about).unwrap();
        }
        compare(REFERENCE, &format!("headers of {}", contract.feed), &table);
    }
}

#[test]
fn the_tables_of_keys_are_the_checker_s() {
    compare(REFERENCE, "keys", &keys::reference());
}

#[test]
fn the_table_of_exit_codes_is_the_program_s() {
    let readme = fs::read_to_string("README.md").unwrap();
    let section = readme.split("\n## ").find(|section| section.starts_with("Exit codes\n")).unwrap();
    let documented: Vec<(u8, &str)> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" | "))
        .filter_map(|(number, rest)| Some((number.parse().ok()?, rest)))
        .collect();
    let codes = [
        ExitCode::Complete,
        ExitCode::Rejections,
        ExitCode::Usage,
        ExitCode::Source,
        ExitCode::Target,
        ExitCode::Stopped,
        ExitCode::State,
        ExitCode::Interrupted,
    ];
    assert_eq!(documented.iter().map(|(number, _)| *number).collect::<Vec<_>>(), codes.map(ExitCode::number));
    for (code, (number, meaning)) in codes.into_iter().zip(documented) {
        let (meaning, _) = meaning.split_once(" | ").unwrap();
        assert!(meaning.starts_with(start_of_meaning(code)), "{number}: {meaning}");
    }
    let help = said(&["--help"]);
    let page = said(&["man"]);
    for code in codes {
        let (number, meaning) = (code.number(), start_of_meaning(code));
        assert!(help.contains(&format!("\n  {number:<5}{meaning}")), "{number}: {help}");
        assert!(page.contains(&format!("\n.TP\n{number}\n")), "{number}: {page}");
    }
}

#[test]
fn the_manual_page_has_every_command_and_option() {
    let page = said(&["man"]).replace("\\-", "-");
    let help = said(&["--help"]);
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // A description that goes on in another line is indented further.
    let commands: Vec<&str> =
        commands.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() >= 7, "{commands:?}");
    for command in commands {
        assert!(page.contains(&format!("\n.SS \"sispush {command}\"\n")), "{command}: {page}");
        for option in said(&[command, "--help"]).split_whitespace().filter(|word| word.starts_with("--")) {
            let option = option.trim_end_matches("...");
            assert!(page.contains(&format!("\\fB{option}\\fR")), "{command} {option}: {page}");
        }
    }
}

fn said(arguments: &[&str]) -> String {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_sispush")).args(arguments).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n")
}

/// A new code does not compile here: it belongs into the README, and into the list above.
fn start_of_meaning(code: ExitCode) -> &'static str {
    match code {
        ExitCode::Complete => "done, or nothing to do",
        ExitCode::Rejections => "done, but rows were rejected",
        ExitCode::Usage => "bad arguments or mapping",
        ExitCode::Source => "the source failed",
        ExitCode::Target => "the target failed, or its answer is unknown",
        ExitCode::Stopped => "stopped by a limit, or by an expectation",
        ExitCode::State => "the state cannot be read or written",
        ExitCode::Interrupted => "interrupted",
    }
}

#[test]
fn every_shipped_mapping_is_valid() {
    let paths = mapping::find(&[Path::new("mappings").to_path_buf()]).unwrap();
    assert!(!paths.is_empty());
    for path in paths {
        // In a folder of its own: the secrets that it names lie beside it.
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join(path.file_name().unwrap());
        fs::copy(&path, &copy).unwrap();
        let secrets = folder.path().join(".env");
        fs::write(&secrets, "SIS_PASSWORD=x\nINFINITI_PASSWORD=x\nDEMO_PASSWORD=x\n").unwrap();
        #[cfg(unix)]
        fs::set_permissions(&secrets, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        if let Err(error) = Mapping::load(&copy) {
            let is_odbc = fs::read_to_string(&path).unwrap().contains("\n  url: odbc:");
            if is_odbc && !cfg!(feature = "odbc") {
                // Right but for the build.
                let messages: Vec<&str> = error.problems().iter().map(|problem| &*problem.message).collect();
                assert_eq!(messages, ["this sispush was built without ODBC"], "{}", path.display());
                continue;
            }
            panic!("{}: {error}\n{:#?}", path.display(), error.problems());
        }
    }
}

#[test]
fn the_table_of_ready_mappings_has_each_and_says_which_are_unverified() {
    let reference = fs::read_to_string(REFERENCE).unwrap();
    let section = reference.split("\n## ").find(|section| section.starts_with("Shipped mappings\n")).unwrap();
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| [`")).collect();
    assert_eq!(rows.len(), SHIPPED.len());
    for (row, shipped) in rows.iter().zip(SHIPPED) {
        let name = shipped.name;
        assert!(row.starts_with(&format!("| [`{name}.yaml`]({name}.yaml) | ")), "{name}: {row}");
        assert_eq!(row.contains("**unverified**"), shipped.about().contains("UNVERIFIED"), "{name}: {row}");
    }
}

fn value(kind: Kind) -> String {
    match kind {
        Kind::Text => "text".into(),
        Kind::Boolean => "boolean".into(),
        Kind::Email => "e-mail address".into(),
        Kind::Year => "year, `YYYY`".into(),
        Kind::OneOf(values) => {
            values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ") + " or blank"
        }
        Kind::Password => "text, never shown".into(),
        Kind::Channel => "`email`, `phone`".into(),
        Kind::Reach => "address or number, by `type`".into(),
        Kind::Open(values) => values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ") + ", …",
        Kind::Codes(values) => {
            let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
            format!("a list, split by `;`, of {}, …", values.join(", "))
        }
        Kind::Group => "one of `allow`".into(),
        Kind::Picture => "binary".into(),
        Kind::PictureFile => "path".into(),
    }
}

fn rules(rule: &HeaderRule) -> String {
    let presence = match rule.presence {
        Presence::Mandatory | Presence::Content => Some("mandatory"),
        Presence::Optional => None,
        Presence::OneOfCohort => Some("one of the two for each student"),
        Presence::OneOfContent => Some("one of the two"),
    };
    let holders = match rule.holders {
        Holders::Everybody => None,
        Holders::Students => Some("students only"),
    };
    let unique = match rule.unique {
        Unique::No => None,
        Unique::IgnoringCase => Some("unique, whatever its case"),
        Unique::Exact => Some("unique"),
    };
    let rules: Vec<_> = [presence, holders, unique].into_iter().flatten().collect();
    if rules.is_empty() { "—".into() } else { rules.join("; ") }
}

/// Compares what stands between `<!-- mark -->` and `<!-- /mark -->`, or writes it.
fn compare(file: &str, mark: &str, generated: &str) {
    // A text is read, changed and written: two tests must not do that to one file at once.
    static FILE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = FILE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let text = fs::read_to_string(file).unwrap().replace("\r\n", "\n");
    let (before, rest) = text.split_once(&format!("<!-- {mark} -->\n")).unwrap();
    let (written, after) = rest.split_once(&format!("<!-- /{mark} -->\n")).unwrap();
    let generated = format!("\n{}\n\n", generated.trim());
    if written == generated {
        return;
    }
    #[expect(clippy::disallowed_methods, reason = "a switch of this test, no setting of the program")]
    let is_update = std::env::var(UPDATE).is_ok_and(|value| value == "1");
    assert!(
        is_update,
        "`{file}` is not what the program says: run `{UPDATE}=1 cargo test --test docs`, and look at it"
    );
    fs::write(file, format!("{before}<!-- {mark} -->\n{generated}<!-- /{mark} -->\n{after}")).unwrap();
}
