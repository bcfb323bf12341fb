//! Times pushes of contacts and pictures with a state, as whole processes: the first night, when all are sent, a night on
//! which nothing changed, and one on which one in a hundred changed; beside each the shortest hand-made way, with the
//! database's own client, `zip`, `sha256sum` and `curl`, to the same sink on loopback. Prints times and peak memory.
//! The push reads the accounts on each of these nights, which the hand-made way does not.
//!
//! `cargo bench --bench feeds -- [PATRONS]`, by default 50000: two contacts each, and a picture of about 25 KB of every
//! tenth. `SISPUSH_BENCH_RUNS` sets the runs (default 3). A program that is not installed is said and left out.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a benchmark prints its table and may fail")]

#[path = "../support/mod.rs"]
mod support;

mod process;
#[expect(dead_code, reason = "a school has other databases, for another benchmark")]
mod school;
mod sink;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};

use process::{median, sispush, timed};
use school::{School, Source};
use sink::Sink;
use support::servers::Postgres;

/// One patron in so many has a picture.
const PICTURED: usize = 10;
/// One in so many changes.
const CHANGED: usize = 100;
/// Where pictures are sent.
const PATH: &str = "/sandbox/images";
/// Where contacts are sent.
const CONTACTS_PATH: &str = "/api/import/userContacts/replaceDeclaredPatronsKeepCustomContacts";

fn main() {
    let patrons = std::env::args().find_map(|argument| argument.replace('_', "").parse().ok());
    let patrons = patrons.unwrap_or(50_000);
    let runs = setting("SISPUSH_BENCH_RUNS").and_then(|runs| runs.parse().ok()).unwrap_or(3);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let fixture = Fixture::write(folder.path(), patrons);
    for program in ["zip", "mogrify"] {
        if !is_installed(program) {
            println!("`{program}` is not installed: what needs it by hand is left out.");
        }
    }
    println!(
        "{patrons} patrons, {} contacts, {} pictures of {} KB on average:\n",
        2 * patrons,
        fixture.pictures.len(),
        fixture.picture_bytes / fixture.pictures.len() as u64 / 1000
    );
    println!("| feed | source | night | sispush | by hand | ratio | peak memory | bound | largest body |");
    println!("|---|---|---|---:|---:|---:|---:|---:|---:|");
    for case in fixture.cases() {
        nights(&fixture, &case, runs);
    }
}

/// A school with contacts and pictures, in every database that is installed.
struct Fixture {
    school: School,
    sources: Vec<Source>,
    /// Admin System IDs of those who have a picture.
    pictures: Vec<String>,
    picture_bytes: u64,
    portraits: Vec<Vec<u8>>,
}

/// What is timed.
#[derive(Clone, Copy)]
struct Case<'f> {
    feed: &'static str,
    from: Place<'f>,
    resize: bool,
}

#[derive(Clone, Copy)]
enum Place<'f> {
    /// The accounts are those of the first source.
    Folder(&'f Source),
    Query(&'f Source),
}

impl Fixture {
    fn write(folder: &Path, patrons: usize) -> Self {
        let school = School::write(folder, patrons);
        let mut sources = vec![school.sqlite()];
        sources.extend(Postgres::get("the benchmark").map(|server| school.postgres(server)));
        let portraits: Vec<Vec<u8>> = (0..16).map(portrait).collect();
        let pictures = (0..patrons / PICTURED).map(|number| format!("S{:08}", number * PICTURED)).collect();
        let mut fixture = Self { school, sources, pictures, picture_bytes: 0, portraits };
        std::fs::create_dir(fixture.folder()).expect("a folder for the pictures");
        for number in 0..fixture.pictures.len() {
            fixture.picture_bytes += fixture.write_picture(number, 0);
        }
        for source in &fixture.sources {
            let contacts = format!(
                "CREATE TABLE contacts AS SELECT username, 'email' AS type, 'guardian' AS role, 'Y' AS isprimary, givenname || ' ' || surname AS addressee, 'parent.' || emailaddress AS contact, 'N' AS sms, 'ANY' AS scenarios FROM school_{patrons}
                 UNION ALL SELECT username, 'phone', 'guardian', 'N', givenname || ' ' || surname, '0400' || librarybarcode, 'Y', 'OVERDUE' FROM school_{patrons};\n"
            );
            let photo = if source.name == "SQLite" { "blob" } else { "bytea" };
            source
                .run(&format!("{contacts}CREATE TABLE photos (adminsystemid varchar(80) PRIMARY KEY, photo {photo});"));
            fixture.load(source, 0..fixture.pictures.len());
        }
        fixture
    }

    fn folder(&self) -> PathBuf {
        self.school.folder.join("photos")
    }

    /// Writes a picture's file, other bytes on each night; gives how many.
    fn write_picture(&self, number: usize, night: usize) -> u64 {
        let portrait = &self.portraits[number % self.portraits.len()];
        let comment = format!("{number} {night}");
        let length = u16::try_from(comment.len() + 2).expect("a short comment");
        // A comment after the mark of the start makes it another picture, as good as the one before.
        let bytes = [&portrait[..2], &[0xFF, 0xFE], &length.to_be_bytes(), comment.as_bytes(), &portrait[2..]].concat();
        let path = self.folder().join(format!("{}.jpg", self.pictures[number]));
        std::fs::write(path, &bytes).expect("a picture is written");
        bytes.len() as u64
    }

    /// Puts the files of pictures into a database.
    fn load(&self, source: &Source, numbers: impl IntoIterator<Item = usize>) {
        let mut sql = "BEGIN;\n".to_owned();
        for number in numbers {
            let id = &self.pictures[number];
            let path = self.folder().join(format!("{id}.jpg"));
            let value = if source.name == "SQLite" {
                format!("readfile('{}')", path.display())
            } else {
                let bytes = std::fs::read(path).expect("the picture");
                bytes.iter().fold("'\\x".to_owned(), |text, byte| text + &format!("{byte:02x}")) + "'"
            };
            writeln!(sql, "INSERT INTO photos VALUES ('{id}', {value}) ON CONFLICT (adminsystemid) DO UPDATE SET photo = excluded.photo;")
                .expect("a string takes text");
        }
        source.run(&(sql + "COMMIT;"));
    }

    fn cases(&self) -> Vec<Case<'_>> {
        let queries = || self.sources.iter().map(Place::Query);
        let mut cases: Vec<Case<'_>> = queries().map(|from| Case { feed: "contacts", from, resize: false }).collect();
        for resize in [false, true] {
            let places = self.sources.first().map(Place::Folder).into_iter().chain(queries());
            cases.extend(places.map(|from| Case { feed: "images", from, resize }));
        }
        cases
    }

    /// Changes one in a hundred patrons; gives how many rows or pictures that makes.
    fn change(&self, case: &Case<'_>, night: usize) -> usize {
        if case.feed == "contacts" {
            let source = case.from.source();
            source.run(&format!(
                "UPDATE contacts SET contact = '05{night:02}' || substr(contact, 5) WHERE type = 'phone' AND contact LIKE '%00';"
            ));
            // The addresses of these patrons go with their numbers.
            return 2 * self.school.rows.div_ceil(CHANGED);
        }
        let changed = || (0..self.pictures.len()).step_by(CHANGED);
        for number in changed() {
            self.write_picture(number, night);
        }
        if let Place::Query(source) = case.from {
            self.load(source, changed());
        }
        changed().count()
    }

    fn mapping(&self, case: &Case<'_>, port: u16) -> PathBuf {
        let path = self.school.mapping(case.from.source(), port);
        let mut text = std::fs::read_to_string(&path).expect("the mapping") + "mode: delta\n";
        if case.feed == "contacts" {
            text += "contacts:\n  extracts:\n    - name: guardians\n      query: SELECT * FROM contacts\n      columns: { username: username, type: type, role: role, primary: isprimary, addressee: addressee, contact: contact, sms: sms, scenarios: scenarios }\n";
        } else {
            write!(text, "images:\n  path: {PATH}\n  resize: {}\n", case.resize).expect("a string takes text");
            text += match case.from {
                Place::Folder(_) => "  folder: photos\n",
                Place::Query(_) => {
                    "  extracts:\n    - name: photos\n      query: SELECT adminsystemid, photo FROM photos\n      columns: { adminsystemid: adminsystemid, image: photo }\n"
                }
            };
        }
        std::fs::write(&path, text).expect("the mapping is written");
        path
    }

    /// The hand-made ways of a first night, one of no changes, and one of some; `None` where there is no short one.
    fn by_hand(&self, case: &Case<'_>, port: u16) -> [Option<String>; 3] {
        let cd = format!("cd {}; export LC_ALL=C", self.school.folder.display());
        let curl = |file: &str, path: &str| format!("curl -sSf -u u:p -F file=@{file} http://127.0.0.1:{port}{path}");
        if case.feed == "contacts" {
            let extract = case.from.source().extract_of("SELECT * FROM contacts");
            let changes =
                "sort -o new.csv out.csv; touch old.csv; comm -13 old.csv new.csv > changes.csv; mv new.csv old.csv";
            let send = |file: &str| curl(file, CONTACTS_PATH);
            return [
                Some(format!("{cd}; {extract}; {}", send("out.csv"))),
                Some(format!("{cd}; {extract}; {changes}")),
                Some(format!("{cd}; {extract}; {changes}; {}", send("changes.csv"))),
            ];
        }
        if !is_installed("zip") || (case.resize && !is_installed("mogrify")) {
            return [const { None }; 3];
        }
        let extract = match case.from {
            Place::Folder(_) => String::new(),
            Place::Query(source) if source.name == "SQLite" => {
                "rm -rf blobs; mkdir blobs; sqlite3 school.db \"SELECT writefile('blobs/' || adminsystemid || '.jpg', photo) FROM photos\" > /dev/null; ".to_owned()
            }
            // Its client writes no files of its own.
            Place::Query(_) => return [const { None }; 3],
        };
        let files = if extract.is_empty() { "photos" } else { "blobs" };
        let sums = format!(
            "cd {files}; sha256sum * > ../new.sums; touch ../old.sums; comm -13 ../old.sums ../new.sums | cut -c67- > ../changed; mv ../new.sums ../old.sums"
        );
        let resize = if case.resize {
            "rm -rf ../small; mkdir ../small; mogrify -path ../small -resize '200x200>' -quality 90 $(cat ../changed); cd ../small; "
        } else {
            ""
        };
        let send = format!("rm -f ../out.zip; zip -0 -q ../out.zip -@ < ../changed; {}", curl("../out.zip", PATH));
        let all = format!("{cd}; {extract}cd {files}; ls > ../changed; {resize}{send}");
        [Some(all), Some(format!("{cd}; {extract}{sums}")), Some(format!("{cd}; {extract}{sums}; {resize}{send}"))]
    }
}

impl<'f> Place<'f> {
    fn source(self) -> &'f Source {
        match self {
            Self::Folder(source) | Self::Query(source) => source,
        }
    }
}

fn nights(fixture: &Fixture, case: &Case<'_>, runs: usize) {
    let sink = Sink::start();
    let mapping = fixture.mapping(case, sink.port());
    let mapping = mapping.to_str().expect("a UTF-8 path");
    let [accounts, state] = ["accounts.db", "state.db"].map(|name| fixture.school.folder.join(name));
    let push = |state: &Path, feed: &str| {
        let state = state.to_str().expect("a UTF-8 path");
        let timed = timed(&mut sispush(&["push", "--delta", "--feed", feed, "--state", state, mapping]));
        assert!(timed.success, "a push of {feed} failed");
        timed
    };
    drop(std::fs::remove_file(&accounts));
    push(&accounts, "users");
    sink.take();
    let by_hand = fixture.by_hand(case, sink.port());
    let (mut ours, mut hand): ([Vec<Duration>; 3], [Vec<Duration>; 3]) = Default::default();
    let (mut peaks, mut longest) = ([0; 3], 0);
    let all = if case.feed == "contacts" { 2 * fixture.school.rows } else { fixture.pictures.len() };
    // The first of each warms the caches.
    for run in 0..=runs {
        for ending in ["", "-wal", "-shm"] {
            drop(std::fs::remove_file(fixture.school.folder.join(format!("state.db{ending}"))));
        }
        std::fs::copy(&accounts, &state).expect("the state is copied");
        for night in 0..3 {
            let rows = match night {
                0 => all,
                1 => 0,
                _ => fixture.change(case, run + 1),
            };
            let own = push(&state, case.feed);
            let received = sink.take();
            assert_eq!(received.rows, rows, "night {night} of {}", case.feed);
            longest = longest.max(received.longest);
            let theirs = by_hand[night].as_ref().map(|way| {
                let theirs = timed(Command::new("sh").args(["-ec", way]));
                assert!(theirs.success, "the hand-made way failed: {way}");
                sink.take();
                theirs.elapsed
            });
            if run > 0 {
                ours[night].push(own.elapsed);
                hand[night].extend(theirs);
                peaks[night] = own.peak_bytes.max(peaks[night]);
            }
        }
    }
    let source = match case.from {
        Place::Folder(_) => "folder",
        Place::Query(source) => source.name,
    };
    for (night, name) in ["first", "nothing changed", "1 % changed"].into_iter().enumerate() {
        let own = median(&ours[night]).as_secs_f64();
        let (hand, ratio) = if hand[night].is_empty() {
            ("—".to_owned(), "—".to_owned())
        } else {
            let hand = median(&hand[night]).as_secs_f64();
            (format!("{hand:.3} s"), format!("{:.2}", own / hand))
        };
        println!(
            "| {}{} | {source} | {name} | {own:.3} s | {hand} | {ratio} | {} MiB | {} MiB | {} MiB |",
            case.feed,
            if case.resize { ", resized" } else { "" },
            peaks[night] >> 20,
            ((2 * longest) >> 20) + 64,
            longest >> 20,
        );
    }
}

/// A JPEG of about 25 KB: shades with some grain, which is what makes a photo's bytes.
fn portrait(number: u32) -> Vec<u8> {
    let mut state = number + 1;
    let picture = RgbImage::from_fn(360, 480, |x, y| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let grain = state % 20;
        let shade = |of: u32| u8::try_from((of + grain) % 256).unwrap_or_default();
        Rgb([shade(x / 3 + 8 * number), shade(y / 3), shade((x + y) / 5)])
    });
    let mut bytes = Vec::new();
    picture.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, 75)).expect("an encoded picture");
    bytes
}

fn is_installed(program: &str) -> bool {
    Command::new("sh").args(["-c", &format!("command -v {program} > /dev/null")]).status().is_ok_and(|it| it.success())
}

#[expect(clippy::disallowed_methods, reason = "a benchmark has no other settings")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
