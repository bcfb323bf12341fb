//! `check`: what is said of mapping files in each format, and `schema`, by which an editor says it.

#![expect(clippy::unwrap_used, reason = "test code: helpers outside the test functions too")]

mod support;

use std::fs;

use insta::assert_snapshot;
use serde_json::Value;
use support::context::TestContext;

/// A mapping with one mistake, and two things that only look wrong, one of them in a line with letters beyond ASCII.
const MIXED: &str = "version: 1
source:
  url: mssql://svc_library@sis.example.local/Synergetic
target:
  url: https://example.concordinfiniti.com
  username: autoimport
  password: ${INFINITI_PASSWORD}
users:
  - name: students
    query: |
      SELECT StudentNetworkLogin, FileYear
      /* Schüler */ FROM vStudents
    columns:
      username: StudentNetworkLogin
      enabled: { value: true }
      staffmember: { value: false }
      graduationyear: FileYear
      formclas: StudentForm
  - name: staff
    query: SELECT Login, Form FROM vStaff WHERE ActiveFlag = 1
    columns:
      username: Logn
      enabled: { value: true }
      staffmember: { value: true }
";

fn mixed() -> TestContext {
    let context = TestContext::new();
    context.write("school.yaml", MIXED);
    context
}

/// A mapping that is valid, and has warnings.
fn doubtful() -> TestContext {
    let context = TestContext::new();
    context.write("school.yaml", MIXED.replace("formclas: StudentForm", "formclass: FileYear"));
    context
}

fn json(context: &TestContext, arguments: &[&str]) -> Value {
    serde_json::from_slice(&context.output(arguments).stdout).unwrap()
}

#[test]
fn everything_is_told_at_once() {
    let context = mixed();
    context.write("other.yaml", "version: 1\n");
    assert_snapshot!(context.run(&["check", "school.yaml"]));
    assert_snapshot!(context.run(&["check", "."]));
}

#[test]
fn warnings_end_well_unless_they_are_denied() {
    let context = doubtful();
    assert_snapshot!(context.run(&["check", "school.yaml", "--deny-warnings"]));
    for format in ["text", "json", "sarif"] {
        let code = |more: &[&str]| {
            let arguments = [&["check", "school.yaml", "--format", format], more].concat();
            context.output(&arguments).status.code()
        };
        assert_eq!((code(&[]), code(&["--deny-warnings"])), (Some(0), Some(2)), "{format}");
    }
    let good = MIXED.replace("formclas: StudentForm", "formclass: FileYear").replace("Logn", "Login");
    context.write("school.yaml", good.replace("FROM vStudents", "FROM vStudents WHERE FileYear = 2026"));
    assert_snapshot!(context.run(&["check", "school.yaml", "--deny-warnings"]));
}

#[test]
fn json_has_the_code_of_every_problem() {
    assert_snapshot!(mixed().run(&["check", "school.yaml", "--format", "json"]));
}

#[test]
fn sarif_points_at_the_words() {
    let context = mixed();
    context.write("a b.yaml", "version: 1\n\tx: 1\n");
    fs::create_dir(context.path("c.yaml")).unwrap();
    let mut log = json(&context, &["check", "school.yaml", "a b.yaml", "--format", "sarif"]);
    let rules = log["runs"][0]["tool"]["driver"]["rules"].take();
    for result in log["runs"][0]["results"].as_array().unwrap() {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
    }
    let shown = serde_json::to_string_pretty(&log).unwrap();
    // The place of a rule moves when one is added.
    let index = regex::Regex::new(r#""ruleIndex": \d+"#).unwrap();
    assert_snapshot!(
        index.replace_all(&shown, r#""ruleIndex": [INDEX]"#).replace(env!("CARGO_PKG_VERSION"), "[VERSION]")
    );
}

#[test]
fn sarif_keeps_to_its_schema() {
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler.enable_format_assertions();
    let text = fs::read_to_string("tests/fixtures/sarif-2.1.0.json").unwrap();
    compiler.add_resource("sarif.json", serde_json::from_str(&text).unwrap()).unwrap();
    let schema = compiler.compile("sarif.json", &mut schemas).unwrap();
    let folder = fs::canonicalize("tests/fixtures/mappings").unwrap();
    let context = TestContext::new();
    for kind in ["valid", "warnings", "invalid"] {
        let folder = folder.join(kind).display().to_string();
        let log = json(&context, &["check", &folder, "--format", "sarif"]);
        if let Err(error) = schemas.validate(&log, schema) {
            panic!("{kind}: {error}");
        }
        for result in log["runs"][0]["results"].as_array().unwrap() {
            let region = &result["locations"][0]["physicalLocation"]["region"];
            let [start, end] = ["startColumn", "endColumn"].map(|name| region[name].as_u64().unwrap());
            assert!(start <= end, "{result}");
        }
        assert!(log["runs"][0]["results"].as_array().unwrap().len() > usize::from(kind != "valid"));
    }
}

/// What a check finds does not depend on where it runs, and nothing that it prints is a password.
#[test]
fn no_format_shows_a_password() {
    let context = TestContext::new();
    let text = MIXED.replace("svc_library@", "svc:canary@").replace("${INFINITI_PASSWORD}", "canary2");
    context.write("school.yaml", text);
    for format in ["text", "json", "sarif"] {
        context.run(&["check", "school.yaml", "--format", format]); // Looks for canaries itself.
    }
}

#[test]
fn what_is_not_there_or_not_readable_is_told() {
    let context = mixed();
    assert_snapshot!(context.run(&["check", "nowhere.yaml", "--format", "sarif"]));
    fs::create_dir(context.path("empty")).unwrap();
    assert_snapshot!(context.run(&["check", "empty"]));
}

#[test]
fn the_schema_is_printed_whole() {
    let context = TestContext::new();
    let said = context.output(&["schema"]);
    assert!(said.status.success() && said.stderr.is_empty());
    let schema: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(schema, sispush::mapping::schema::json_schema());
    let source = serde_json::to_string_pretty(&schema["$defs"]["source"]["properties"]["timeout"]).unwrap();
    assert_snapshot!(source);
}

/// Two schools with one base; each file has its mistakes.
fn with_a_base() -> TestContext {
    let context = TestContext::new();
    let rest = MIXED.split_once("  username: autoimport\n").unwrap().1;
    let base = "# What the schools share.\nversion: 1\nsource:\n  url: mssql://svc:canary@sis.example.local/Synergetic\ntarget:\n  username: autoimport\n";
    context.write("_base.yaml", format!("{base}{rest}"));
    for school in ["st-johns", "st-marys"] {
        let text = format!(
            "include: _base.yaml\ntarget:\n  url: https://{school}.concordinfiniti.com\n  usrname: {school}\nlimits: {{ max_drop: ten }}\n"
        );
        context.write(&format!("{school}.yaml"), text);
    }
    context
}

/// Each problem is shown in its file, and what stands in the base once, however many include it.
#[test]
fn problems_of_a_base_are_told_at_their_places() {
    let context = with_a_base();
    assert_snapshot!(context.run(&["check", "."]));
    assert_snapshot!(context.run(&["check", "st-marys.yaml", "--format", "json"]));
    let log = json(&context, &["check", ".", "--format", "sarif"]);
    let places: Vec<String> = log["runs"][0]["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| {
            let place = &result["locations"][0]["physicalLocation"];
            let region = &place["region"];
            let at = |name: &str| region[name].as_u64().unwrap();
            let uri = place["artifactLocation"]["uri"].as_str().unwrap();
            format!("{uri}:{}:{} {}", at("startLine"), at("startColumn"), result["ruleId"].as_str().unwrap())
        })
        .collect();
    assert_snapshot!(places.join("\n"));
}

/// A base among the mappings of a folder is no school, unless its name says nothing of it.
#[test]
fn a_base_is_no_mapping_of_its_folder() {
    let context = TestContext::new();
    context.mapping("").write(".hidden.yaml", "version: 2\n");
    fs::rename(context.path("school.yaml"), context.path("_base.yaml")).unwrap();
    assert_snapshot!(context.run(&["check", "."]));
    context.write("st-marys.yaml", "include: _base.yaml\n");
    assert_snapshot!(context.run(&["check", "."]));
    fs::rename(context.path("_base.yaml"), context.path("base.yml")).unwrap();
    context.write("st-marys.yaml", "include: ./base.yml\n");
    assert_snapshot!(context.run(&["check", "."]));
}
