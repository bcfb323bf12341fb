//! The sandbox against a plain HTTP client: the vendor's shapes of answer, and what a person sees.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

use std::net::SocketAddr;

use reqwest::multipart::{Form, Part};
use sispush::infiniti::sandbox::{Fault, Options, Sandbox};

async fn post(sandbox: &Sandbox, form: Form, password: &str) -> (u16, String) {
    let url = format!("{}/api/import/users", sandbox.url());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.post(url).basic_auth("autoimport", Some(password)).multipart(form).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn get(url: String) -> (u16, String) {
    let answer = reqwest::Client::builder().no_proxy().build().unwrap().get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn file(csv: &str) -> Form {
    Form::new().part("file", Part::text(csv.to_owned()).file_name("users.csv"))
}

async fn check(sandbox: &Sandbox, csv: &str, expected: &str) {
    assert_eq!(post(sandbox, file(csv), "secret").await.1, expected, "{csv}");
}

#[tokio::test]
async fn answers_have_the_vendors_shapes() {
    let sandbox = Sandbox::start(Options::new("autoimport", "secret")).await.unwrap();
    check(
        &sandbox,
        "",
        r#"{"success":true,"summary":"0 users processed. 0 users created. 0 users updated. 0 users failed."}"#,
    )
    .await;
    check(
        &sandbox,
        "username,enabled,staffmember\njane,Y,Y\n",
        r#"{"success":true,"summary":"1 user processed. 1 user created. 0 users updated. 0 users failed."}"#,
    )
    .await;
    check(
        &sandbox,
        "\u{feff}staffmember,username,enabled,emailaddress\r\nY,jane,Y,jane@school.example\r\nY,john,Y,john\r\nY,joan,Y,\r\n",
        concat!(
            r#"{"success":false,"summary":"3 users processed. 1 user created. 1 user updated. 1 user failed.","details":"#,
            r#"{"1":"User Updated","2":"Field (emailAddress) is not a well-formed email address. User failed to import: "#,
            r#"Field (emailAddress) is not a well-formed email address. ","3":"User Created"}}"#
        ),
    )
    .await;
    let unauthorised = r#"{"success": false, "summary":"Unauthorised. Check credentials."}"#.to_owned();
    assert_eq!(post(&sandbox, file(""), "wrong").await, (401, unauthorised));
    let (status, body) = post(&sandbox, file("username,shoesize\na,1\n"), "secret").await;
    assert_eq!((status, body.contains("Unknown column header (shoesize).")), (400, true), "{body}");
    assert_eq!(post(&sandbox, Form::new().text("file", "username\n"), "secret").await.0, 400);

    let seen: Vec<(Option<u16>, usize, usize)> =
        sandbox.requests().iter().map(|request| (request.status, request.rows, request.failed)).collect();
    let good = Some(200);
    assert_eq!(
        seen,
        [(good, 0, 0), (good, 1, 0), (good, 3, 1), (Some(401), 0, 0), (Some(400), 0, 0), (Some(400), 0, 0)]
    );
}

#[tokio::test]
async fn the_first_file_wins_whatever_its_names() {
    let sandbox = Sandbox::start(Options::new("autoimport", "secret")).await.unwrap();
    let form = Form::new()
        .text("note", "username\n")
        .part("x", Part::text("username,enabled,staffmember\nfirst,Y,Y\n").file_name("any.bin"))
        .part("file", Part::text("username,enabled,staffmember\nsecond,Y,Y\n").file_name("users.csv"));
    assert_eq!(post(&sandbox, form, "secret").await.0, 200);
    assert_eq!(sandbox.patrons().iter().map(|patron| patron["username"].as_str()).collect::<Vec<_>>(), ["first"]);
}

#[tokio::test]
async fn it_listens_on_this_machine_only() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let listen: SocketAddr = address.parse().unwrap();
        let error = Sandbox::start(Options { listen, ..Options::new("a", "b") }).await.unwrap_err();
        assert!(error.to_string().contains("loopback addresses only"), "{error}");
    }
}

#[tokio::test]
async fn a_file_keeps_patrons_from_one_sandbox_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options { file: Some(folder.path().join("sandbox.json")), ..Options::new("autoimport", "secret") };
    let sandbox = Sandbox::start(options()).await.unwrap();
    assert_eq!(post(&sandbox, file("username,enabled,staffmember\n007,Y,Y\n"), "secret").await.0, 200);
    let before = sandbox.patrons();
    sandbox.stop().await;
    assert_eq!(Sandbox::start(options()).await.unwrap().patrons(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
}

#[tokio::test]
async fn the_page_shows_what_came_and_no_password() {
    let faults = Fault::parse_list("503x1,reject=nobody").unwrap();
    let sandbox = Sandbox::start(Options { faults, ..Options::new("autoimport", "secret") }).await.unwrap();
    assert!(get(sandbox.url()).await.1.contains("No patrons yet"));
    let head = "username,enabled,staffmember,graduationyear,givenname,formclass,password\n".to_owned();
    let lines = (0..1200).map(|number| format!("u{number:04},Y,N,2030,<b>Zoë</b>,10A,CANARY\n"));
    let csv: String = std::iter::once(head).chain(lines).collect();
    assert_eq!(post(&sandbox, file(&csv), "secret").await.0, 503);
    assert_eq!(post(&sandbox, file(&csv), "secret").await.0, 200);
    let (_, page) = get(sandbox.url()).await;
    for part in [
        "1200 match, 1000 shown",
        "&lt;b&gt;Zoë&lt;/b&gt;",
        "503x1",
        "reject=nobody",
        "10A <span class=count>1200",
        "<td>set",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("CANARY") && !page.contains("u1100"));
    let (_, page) = get(format!("{}/?filter=U110", sandbox.url())).await;
    assert!(page.contains("10 match, 10 shown") && page.contains("u1100") && !page.contains("u0001"));
    let (_, json) = get(format!("{}/patrons.json", sandbox.url())).await;
    let patrons: Vec<std::collections::BTreeMap<String, String>> = serde_json::from_str(&json).unwrap();
    assert_eq!(patrons, sandbox.patrons());
    assert_eq!(get(format!("{}/elsewhere", sandbox.url())).await.0, 404);
}
