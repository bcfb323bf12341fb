//! The sandbox against a plain HTTP client: the vendor's shapes of answer, and what a person sees.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test")]

use std::collections::BTreeMap;
use std::net::SocketAddr;

use reqwest::multipart::{Form, Part};
use sispush::infiniti::sandbox::{Fault, Options, Sandbox};

async fn post(sandbox: &Sandbox, form: Form, password: &str) -> (u16, String) {
    post_to(sandbox, "/api/import/users", form, password).await
}

async fn post_to(sandbox: &Sandbox, path: &str, form: Form, password: &str) -> (u16, String) {
    let url = format!("{}{path}", sandbox.url());
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

fn picture(name: &str, content: &'static [u8]) -> Form {
    Form::new().part("file", Part::bytes(content).file_name(name.to_owned()))
}

const CONTACTS: &str = "/api/import/userContacts/replaceDeclaredPatronsKeepCustomContacts";
const IMAGES: &str = "/sandbox/images";
const ADD: &str = "/sandbox/groups/add";
const REPLACE: &str = "/sandbox/groups/replace";
const HEAD: &str = "username,type,role,primary,addressee,contact,sms,scenarios\n";
/// The smallest PNG: one pixel.
const PNG: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, 0x49, 0x48, 0x44, 0x52, 0, 0, 0, 1, 0, 0, 0, 1, 8,
    6, 0, 0, 0, 0x1f, 0x15, 0xc4, 0x89, 0, 0, 0, 0x0d, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0x60, 0x60, 0x60,
    0xf8, 0x0f, 0, 1, 4, 1, 0, 0x5f, 0xe5, 0xc3, 0x4b, 0, 0, 0, 0, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];

/// With two accounts: `anna` (`001`) and `bert` (`002`).
async fn with_accounts(options: Options) -> Sandbox {
    let sandbox = Sandbox::start(options).await.unwrap();
    let csv = "username,enabled,staffmember,adminsystemid\nanna,Y,Y,001\nbert,Y,Y,002\n";
    assert_eq!(post(&sandbox, file(csv), "secret").await.0, 200);
    sandbox
}

/// What a list of records has under some headers.
fn values(records: &[BTreeMap<String, String>], headers: &[&str]) -> Vec<String> {
    let value = |record: &BTreeMap<String, String>, header: &&str| record.get(*header).cloned();
    records
        .iter()
        .map(|record| {
            headers.iter().map(|header| value(record, header).unwrap_or_default()).collect::<Vec<_>>().join(" ")
        })
        .collect()
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
    let patrons: Vec<BTreeMap<String, String>> = serde_json::from_str(&json).unwrap();
    assert_eq!(patrons, sandbox.patrons());
    assert_eq!(get(format!("{}/elsewhere", sandbox.url())).await.0, 404);
}

#[tokio::test]
async fn every_feed_is_answered_like_the_accounts() {
    let sandbox = with_accounts(Options::new("autoimport", "secret")).await;
    let contacts = format!("{HEAD}anna,email,guardian,Y,,mum@home.example,,ANY\nanna,phone,guardian,N,,none,,ANY\n");
    for (path, form, expected) in [
        (
            CONTACTS,
            file(&contacts),
            concat!(
                r#"{"success":false,"summary":"2 contacts processed. 1 contact created. 0 contacts updated. 1 contact failed.","#,
                r#""details":{"1":"Contact Created","2":"Field (contact) is not a well-formed phone. Contact failed to import: "#,
                r#"Field (contact) is not a well-formed phone. "}}"#
            ),
        ),
        (
            IMAGES,
            picture("001.png", PNG),
            r#"{"success":true,"summary":"1 image processed. 1 image created. 0 images updated. 0 images failed."}"#,
        ),
        (
            ADD,
            file("username,Library Group\nanna,Staff\nbert,Staff\n"),
            r#"{"success":true,"summary":"2 memberships processed. 2 memberships created. 0 memberships updated. 0 memberships failed."}"#,
        ),
        (
            REPLACE,
            file("username,Library Group\nanna,Stuff\n"),
            concat!(
                r#"{"success":false,"summary":"1 membership processed. 0 memberships created. 0 memberships updated. 1 membership failed.","#,
                r#""details":{"1":"There is no group (Stuff). Membership failed to import: There is no group (Stuff). "}}"#
            ),
        ),
        (
            "/api/import/userContacts/replaceAll",
            file(&contacts),
            r#"{"success":false,"summary":"Unknown mode (replaceAll): the sandbox knows the mode replaceDeclaredPatronsKeepCustomContacts only. No contacts were imported."}"#,
        ),
        (
            "/sandbox/groups/remove",
            file("username,group\nanna,Staff\n"),
            r#"{"success":false,"summary":"Unknown mode (remove): the sandbox knows the modes add and replace only. No memberships were imported."}"#,
        ),
        (
            IMAGES,
            file("not a picture"),
            r#"{"success":false,"summary":"The file is neither a zip nor a jpg or png. No images were imported."}"#,
        ),
    ] {
        assert_eq!(post_to(&sandbox, path, form, "secret").await.1, expected);
    }
    assert_eq!(post_to(&sandbox, CONTACTS, file(&contacts), "wrong").await.0, 401);

    assert_eq!(values(&sandbox.contacts(), &["username", "contact"]), ["anna mum@home.example"]);
    assert_eq!(values(&sandbox.groups(), &["username", "group"]), ["bert Staff"]);
    let images = values(&sandbox.images(), &["adminsystemid", "image"]);
    let [image] = images.as_slice() else { panic!("{images:?}") };
    assert!(image.starts_with("001 png 70 ") && image.len() == "001 png 70 ".len() + 32, "{image}");
    let seen: Vec<_> = sandbox.requests().iter().map(|request| (request.feed, request.status, request.rows)).collect();
    let expected = [
        ("users", 200, 2),
        ("contacts", 200, 2),
        ("images", 200, 1),
        ("groups", 200, 2),
        ("groups", 200, 1),
        ("contacts", 400, 0),
        ("groups", 400, 0),
        ("images", 400, 0),
        ("contacts", 401, 0),
    ];
    assert_eq!(seen, expected.map(|(feed, status, rows)| (feed, Some(status), rows)));
}

#[tokio::test]
async fn a_zip_beyond_what_infiniti_takes_is_refused() {
    let sandbox = Sandbox::start(Options::new("autoimport", "secret")).await.unwrap();
    for (bytes, expected) in [(100_000_000, 400), (100_000_001, 413)] {
        let form = Form::new().part("file", Part::bytes(vec![0; bytes]).file_name("images.zip"));
        let (status, body) = post_to(&sandbox, IMAGES, form, "secret").await;
        assert_eq!(status, expected, "{body}");
    }
}

#[tokio::test]
async fn faults_strike_every_feed_or_the_one_that_they_are_aimed_at() {
    let faults = Fault::parse_list("502x1@images,503x1@contacts,cut@groups,reject@contacts=bert").unwrap();
    let sandbox = with_accounts(Options { faults, ..Options::new("autoimport", "secret") }).await;
    let rows = "anna,phone,patron,Y,,1,,ANY\nbert,phone,patron,Y,,2,,ANY\n";
    assert_eq!(post_to(&sandbox, CONTACTS, file(&format!("{HEAD}{rows}")), "secret").await.0, 503);
    let (status, body) = post_to(&sandbox, CONTACTS, file(&format!("{HEAD}{rows}")), "secret").await;
    assert!(status == 200 && body.contains("1 contact created") && body.contains("1 contact failed"), "{body}");
    assert_eq!(values(&sandbox.contacts(), &["username"]), ["anna"]);
    assert_eq!(post_to(&sandbox, IMAGES, picture("001.png", PNG), "secret").await.0, 502);
    assert_eq!(post_to(&sandbox, IMAGES, picture("001.png", PNG), "secret").await.0, 200);
    assert_eq!(sandbox.images().len(), 1);

    let faults = Fault::parse_list("miscountx1,badjsonx1,nodetailsx1").unwrap();
    let sandbox = with_accounts(Options { faults, ..Options::new("autoimport", "secret") }).await;
    let groups = || file("username,group\nanna,Staff\nbert,Staff\n");
    assert_eq!(post_to(&sandbox, ADD, groups(), "secret").await.1, "{\"success\": tru");
    let (_, body) = post_to(&sandbox, ADD, groups(), "secret").await;
    assert!(body.contains("1 membership failed") && !body.contains("details"), "{body}");
}

#[tokio::test]
async fn groups_are_those_that_are_named_and_the_systems() {
    let groups = vec!["Year 7".to_owned()];
    let sandbox = with_accounts(Options { groups, ..Options::new("autoimport", "secret") }).await;
    let csv = "username,group\nanna,Year 7\nbert,System Administrators\nanna,Students\n";
    let (_, body) = post_to(&sandbox, ADD, file(csv), "secret").await;
    assert!(body.contains(r#""3":"There is no group (Students)."#), "{body}");
    assert_eq!(values(&sandbox.groups(), &["username", "group"]), ["anna Year 7", "bert System Administrators"]);
}

#[tokio::test]
async fn a_file_keeps_every_feed_and_the_pictures_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("infiniti.json");
    let options = || Options { file: Some(path.clone()), ..Options::new("autoimport", "secret") };
    let sandbox = with_accounts(options()).await;
    let contacts = format!("{HEAD}anna,email,guardian,Y,,mum@home.example,,ANY\n");
    assert_eq!(post_to(&sandbox, CONTACTS, file(&contacts), "secret").await.0, 200);
    assert_eq!(post_to(&sandbox, IMAGES, picture("002.png", PNG), "secret").await.0, 200);
    assert_eq!(post_to(&sandbox, ADD, file("username,group\nbert,Staff\n"), "secret").await.0, 200);
    let all = |sandbox: &Sandbox| [sandbox.patrons(), sandbox.contacts(), sandbox.images(), sandbox.groups()];
    let before = all(&sandbox);
    sandbox.stop().await;
    let sandbox = Sandbox::start(options()).await.unwrap();
    assert_eq!(all(&sandbox), before);
    assert!(before.iter().all(|records| !records.is_empty()));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(format!("{}/images/002", sandbox.url())).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "image/png");
    assert_eq!(answer.bytes().await.unwrap(), PNG);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file stays");
}

#[tokio::test]
async fn what_cannot_be_kept_is_answered_with_500() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { file: Some(folder.path().join("infiniti.json")), ..Options::new("autoimport", "secret") };
    let sandbox = with_accounts(options).await;
    // A file stands where the pictures' folder would.
    std::fs::write(folder.path().join("infiniti.json.images"), "").unwrap();
    assert_eq!(post_to(&sandbox, IMAGES, picture("001.png", PNG), "secret").await.0, 500);
    let kept = std::fs::read_to_string(folder.path().join("infiniti.json")).unwrap();
    assert!(!kept.contains("png"), "the file names a picture that is not there: {kept}");
    std::fs::remove_file(folder.path().join("infiniti.json.images")).unwrap();
    assert_eq!(post_to(&sandbox, IMAGES, picture("001.png", PNG), "secret").await.0, 200);
}

#[tokio::test]
async fn the_page_shows_pictures_contacts_and_groups() {
    let sandbox = with_accounts(Options::new("autoimport", "secret")).await;
    let contacts =
        format!("{HEAD}anna,email,guardian,Y,<i>Mum,mum@home.example,,ANY\nbert,phone,patron,N,,0400 1,,NONE\n");
    assert_eq!(post_to(&sandbox, CONTACTS, file(&contacts), "secret").await.0, 200);
    assert_eq!(post_to(&sandbox, IMAGES, picture("001.png", PNG), "secret").await.0, 200);
    assert_eq!(post_to(&sandbox, ADD, file("username,group\nanna,Staff\nanna,Students\n"), "secret").await.0, 200);
    let (_, page) = get(sandbox.url()).await;
    for part in [
        "<h2>Patrons <span class=count>2<",
        "<h2>Contacts <span class=count>2<",
        "<h2>Groups <span class=count>2<",
        "<img src=\"/images/001\"",
        "<td>Staff<br>Students",
        "<td>mum@home.example <small>guardian</small>",
        "&lt;i&gt;Mum",
        "<li>System Administrators <small>system</small> <span class=count>0<",
        "<td>images<td>/sandbox/images<td>",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let (_, page) = get(format!("{}/?filter=0400", sandbox.url())).await;
    assert!(page.contains("1 match, 1 shown") && page.contains("0 match, 0 shown") && !page.contains("mum@home"));

    for (name, expected) in [
        ("patrons", sandbox.patrons()),
        ("contacts", sandbox.contacts()),
        ("images", sandbox.images()),
        ("groups", sandbox.groups()),
    ] {
        let (_, json) = get(format!("{}/{name}.json", sandbox.url())).await;
        let records: Vec<BTreeMap<String, String>> = serde_json::from_str(&json).unwrap();
        assert_eq!(records, expected, "{name}");
    }
    assert_eq!(get(format!("{}/images/002", sandbox.url())).await.0, 404);
    assert_eq!(get(format!("{}/images/..%2F001", sandbox.url())).await.0, 404);

    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(sandbox.url()).send().await.unwrap();
    let policy = answer.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; img-src 'self'; style-src"), "{policy}");
    for path in ["/", "/images/001", "/patrons.json", "/contacts.json", "/images.json", "/groups.json"] {
        let url = format!("{}{path}", sandbox.url());
        let answer = client.get(&url).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["x-content-type-options"]),
            (200, &"nosniff".parse().unwrap())
        );
        let foreign = client.get(&url).header("host", "library.example:8080").send().await.unwrap();
        assert_eq!(foreign.status().as_u16(), 403, "{path}");
    }
}
