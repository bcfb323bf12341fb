//! The one suite that both stores pass: what a state keeps, and what it says when it cannot.

use std::panic::AssertUnwindSafe;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, StreamExt as _, stream};
use jiff::Timestamp;
use sispush::infiniti::contract::{EMAILADDRESS, LIBRARYBARCODE, USERNAME};
use sispush::infiniti::fingerprint::{Fingerprint, Key};
use sispush::mapping::StateLocation;
use sispush::state::layer::{Active, Page, Patch, Prints, StandingPatch, pages};
use sispush::state::{
    Accepted, Facts, Identity, Moment, Outcome, Run, STATE_VERSION, Standing, State, StateError, Summary, read_history,
};

/// A store under test, empty at first.
pub trait Store {
    /// Where it is.
    fn location(&self) -> StateLocation;
    /// Runs SQL by another client than sispush. Tables go by the names they have in that store.
    fn execute(&self, sql: &str);
    /// Says that another version wrote it.
    fn set_version(&self, version: u32);
    /// Makes every insertion of a second page fail.
    fn refuse_second_pages(&self);
    /// How many books it holds, of all feeds.
    fn books(&self) -> u64;
    /// Makes it what version 2 would have made of it. It has books of feed `users` only.
    fn make_version_2(&self);
}

/// Runs `work` on the runtime that the tests share.
pub fn wait<T>(work: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Runtime::new().unwrap()).block_on(work)
}

pub fn book(mapping: &str) -> Identity {
    Identity { mapping: mapping.into(), target: "https://library.example/infiniti".into() }
}

pub fn time(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

/// A run that began at that second and, with an exit code, ended a second later.
pub fn run(second: i64, exit_code: Option<u8>) -> Run {
    Run {
        started_at: time(second),
        ended_at: exit_code.map(|_| time(second + 1)),
        mode: "delta".into(),
        plan: Some(format!("plan-{second}")),
        exit_code,
        summary: Summary { accepted: second.unsigned_abs(), ..Summary::default() },
    }
}

pub async fn open(location: &StateLocation, mapping: &str) -> State {
    State::open(location, &book(mapping)).await.unwrap().unwrap()
}

/// Fills pages with patrons of whom nobody knows what became.
pub fn unknown(usernames: &[&str]) -> impl FnMut(&mut Page) -> bool + Send + use<> {
    fill(usernames, |username, page| {
        page.add(&Patch { outcome: Some(Outcome::Unknown), ..Patch::of(username, false) });
    })
}

/// Fills pages with patrons whose rows were accepted at that second. Staff have a dot in their usernames.
pub fn active(usernames: &[&str], second: i64, key: Key) -> impl FnMut(&mut Page) -> bool + Send + use<> {
    let mut prints = Prints::default();
    fill(usernames, move |username, page| {
        let email = format!("{username}@school.example");
        let cells = [(USERNAME, username), (EMAILADDRESS, &email), (LIBRARYBARCODE, "0042")];
        prints.take(&key, cells.into_iter().map(|(header, cell)| (header, cell.as_bytes())));
        let active = Active::new(Moment::from(time(second)), Fingerprint::stored([7; 16]), &prints);
        let patch = Patch::of(username, username.contains('.'));
        page.add(&Patch { standing: StandingPatch::Active(active), outcome: Some(Outcome::Accepted), ..patch });
    })
}

fn fill<A>(usernames: &[&str], mut add: A) -> impl FnMut(&mut Page) -> bool + Send + use<A>
where
    A: FnMut(&str, &mut Page) + Send,
{
    let usernames: Vec<String> = usernames.iter().map(|username| (*username).to_owned()).collect();
    let mut left = usernames.into_iter();
    move |page| left.next().map(|username| add(&username, page)).is_some()
}

/// Sends patrons as a push does, and has them accepted at that second.
pub async fn push(state: &mut State, usernames: &[&str], second: i64) {
    state.begin(&run(second, None), |_| false).await.unwrap();
    state.depart(unknown(usernames)).await.unwrap();
    state.arrive(pages(active(usernames, second, state.key()))).await.unwrap();
    state.finish(|_| false, facts(second), &run(second, Some(0))).await.unwrap();
}

pub fn facts(second: i64) -> Facts {
    Facts {
        full_at: Some(time(second).as_second()),
        headers: "username,emailaddress".into(),
        has_baseline: true,
        rows: [("students".to_owned(), 3), ("staff".to_owned(), 1)].into(),
        form_classes: [7, u64::MAX].into(),
        ..Facts::default()
    }
}

/// One line a patron: the spelling, who it is, the standing, what became of the last row, and since when missing.
pub fn lines(accepted: &Accepted) -> Vec<String> {
    let since = |moment: Moment| moment.timestamp().as_second() - time(0).as_second();
    let line = |entry: sispush::state::Entry<'_>| {
        let who = if entry.is_staff { "staff" } else { "student" };
        let standing = match entry.standing {
            Standing::New => "new".to_owned(),
            Standing::Active(active) => format!("active {}", since(active.at)),
            Standing::Deactivated { at } => format!("deactivated {}", since(at)),
        };
        let missing = entry.missing_since.map(|moment| format!(", missing {}", since(moment))).unwrap_or_default();
        format!("{} {who}: {standing}, {:?}{missing}", entry.username, entry.outcome)
    };
    accepted.entries().map(line).collect()
}

pub async fn known(state: &mut State) -> Vec<String> {
    lines(&state.accepted().await.unwrap())
}

/// So many usernames in order; five thousand fill two pages.
pub fn crowd(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("pupil{number:06}")).collect()
}

pub fn as_texts(usernames: &[String]) -> Vec<&str> {
    usernames.iter().map(String::as_str).collect()
}

/// Everything that is written is there after the store is opened again, by a look and by a push.
pub fn what_is_written_is_read_back(store: &dyn Store) {
    wait(async {
        let location = store.location();
        assert!(State::look(&location, &book("patrons")).await.unwrap().is_none());
        let mut state = open(&location, "patrons").await;
        assert_eq!((state.revision(), state.facts()), (0, &Facts::default()));
        assert_eq!(known(&mut state).await, Vec::<String>::new());
        push(&mut state, &["ann", "bob", "j.doe"], 10).await;
        state.record(&run(20, Some(5))).await.unwrap();
        let (key, revision) = (state.key(), state.revision());
        assert_eq!(revision, 1);
        state.close().await;

        let expected = [
            "ann student: active 10, Accepted",
            "bob student: active 10, Accepted",
            "j.doe staff: active 10, Accepted",
        ];
        let looked = State::look(&location, &book("patrons")).await.unwrap().unwrap();
        for mut state in [looked, open(&location, "patrons").await] {
            assert_eq!((state.key(), state.revision(), state.facts()), (key, revision, &facts(10)));
            let accepted = state.accepted().await.unwrap();
            assert_eq!(lines(&accepted), expected);
            let mut prints = Prints::default();
            let cells = [(USERNAME, "ann"), (EMAILADDRESS, "new@school.example"), (LIBRARYBARCODE, "0042")];
            prints.take(&key, cells.into_iter().map(|(header, cell)| (header, cell.as_bytes())));
            let Standing::Active(ann) = accepted.entries().next().unwrap().standing else { panic!("ann is active") };
            assert_eq!(ann.changed(&prints), EMAILADDRESS.bit());
            assert_eq!(state.runs(9).await.unwrap(), [run(20, Some(5)), run(10, Some(0))]);
            assert_eq!(state.runs(1).await.unwrap(), [run(20, Some(5))]);
        }
    });
}

/// A look makes nothing: neither a store nor a book.
pub fn a_look_makes_nothing(store: &dyn Store) {
    wait(async {
        let location = store.location();
        assert!(State::look(&location, &book("patrons")).await.unwrap().is_none());
        open(&location, "patrons").await.close().await;
        assert!(State::look(&location, &book("loans")).await.unwrap().is_none());
        assert_eq!(store.books(), 1);
    });
}

/// A run that is cut off after a departure leaves the outcome unknown, and what was accepted before.
pub fn a_departure_without_an_arrival_leaves_the_outcome_unknown(store: &dyn Store) {
    wait(async {
        let location = store.location();
        let mut state = open(&location, "patrons").await;
        push(&mut state, &["ann", "bob"], 10).await;
        state.begin(&run(20, None), |_| false).await.unwrap();
        state.depart(unknown(&["bob", "cem"])).await.unwrap();
        state.close().await;

        let mut state = open(&location, "patrons").await;
        let cut = ["ann student: active 10, Accepted", "bob student: active 10, Unknown", "cem student: new, Unknown"];
        assert_eq!(known(&mut state).await, cut);
        assert_eq!(state.runs(1).await.unwrap(), [run(20, None)]);
        push(&mut state, &["bob", "cem"], 30).await;
        let sent = [
            "ann student: active 10, Accepted",
            "bob student: active 30, Accepted",
            "cem student: active 30, Accepted",
        ];
        assert_eq!(known(&mut state).await, sent);
    });
}

/// What was not sent after all is as it was.
pub fn an_arrival_of_nothing_undoes_a_departure(store: &dyn Store) {
    wait(async {
        let mut state = open(&store.location(), "patrons").await;
        push(&mut state, &["ann", "bob"], 10).await;
        let before = known(&mut state).await;
        state.depart(unknown(&["bob", "cem"])).await.unwrap();
        assert_ne!(known(&mut state).await, before);
        state.arrive(std::iter::empty()).await.unwrap();
        assert_eq!(known(&mut state).await, before);
    });
}

/// A push may write before it has read: the numbers of its layers do not meet those that are there.
pub fn a_departure_needs_no_look_at_what_was_accepted(store: &dyn Store) {
    wait(async {
        for second in [10, 20] {
            let mut state = open(&store.location(), "patrons").await;
            push(&mut state, &["ann"], second).await;
            state.close().await;
        }
        let mut state = open(&store.location(), "patrons").await;
        assert_eq!(known(&mut state).await, ["ann student: active 20, Accepted"]);
    });
}

/// Books do not see each other, be it the mapping or the target that tells them apart.
/// One mapping after the other, the earliest run first, and only since then and of those that are wanted.
pub fn the_history_has_the_runs_of_all_who_are_wanted(store: &dyn Store) {
    wait(async {
        let location = store.location();
        let none = read_history(&location, Timestamp::MIN, None, |_, _| panic!("there is no run yet")).await.unwrap();
        assert!(none.is_none());
        let mut patrons = open(&location, "patrons").await;
        let mut staff = open(&location, "staff").await;
        staff.record(&run(10, Some(0))).await.unwrap();
        patrons.record(&run(20, Some(3))).await.unwrap();
        staff.record(&run(30, None)).await.unwrap();
        patrons.record(&run(40, Some(1))).await.unwrap();
        let check = async |since, wanted: Option<&[Identity]>, expected: &str| {
            let mut text = Vec::new();
            let each = |book: usize, run: Run| {
                let second = run.started_at.as_second() - time(0).as_second();
                text.push(format!("{book}: {second} {:?}; ", run.exit_code));
            };
            let history = read_history(&location, time(since), wanted, each).await.unwrap().unwrap();
            let names: Vec<&str> = history.books.iter().map(|book| book.mapping.as_str()).collect();
            assert_eq!(format!("{} = {}", names.join(", "), text.concat()), expected);
        };
        check(0, None, "patrons, staff = 0: 20 Some(3); 0: 40 Some(1); 1: 10 Some(0); 1: 30 None; ").await;
        check(30, None, "patrons, staff = 0: 40 Some(1); 1: 30 None; ").await;
        let elsewhere = Identity { target: "https://other.example/infiniti".into(), ..book("patrons") };
        check(0, Some(&[book("staff"), elsewhere]), "staff = 0: 10 Some(0); 0: 30 None; ").await;
        check(0, Some(&[]), " = ").await;
    });
}

pub fn books_do_not_see_each_other(store: &dyn Store) {
    wait(async {
        let location = store.location();
        let elsewhere = Identity { target: "https://other.example/infiniti".into(), ..book("patrons") };
        let mut patrons = open(&location, "patrons").await;
        let mut staff = open(&location, "staff").await;
        let mut other = State::open(&location, &elsewhere).await.unwrap().unwrap();
        push(&mut patrons, &["ann"], 10).await;
        push(&mut staff, &["b.bob"], 20).await;
        push(&mut other, &["cem"], 30).await;
        assert_eq!(staff.forget(&["ann".to_owned()]).await.unwrap(), 0);
        assert_eq!(staff.forget(&["b.bob".to_owned()]).await.unwrap(), 1);
        assert_eq!(known(&mut patrons).await, ["ann student: active 10, Accepted"]);
        assert_eq!(known(&mut staff).await, Vec::<String>::new());
        assert_eq!(known(&mut other).await, ["cem student: active 30, Accepted"]);
        assert_eq!(patrons.runs(9).await.unwrap(), [run(10, Some(0))]);
        assert_eq!(patrons.facts(), &facts(10));
        assert!(patrons.key() != staff.key() && patrons.key() != other.key());
    });
}

/// Each feed has a book with a key of its own, and what is in hand of one stays when another has its turn.
pub fn each_feed_has_a_book(store: &dyn Store) {
    wait(async {
        let location = store.location();
        let mut state = open(&location, "patrons").await;
        push(&mut state, &["ann", "bob"], 10).await;
        state.depart(unknown(&["ann"])).await.unwrap();
        let users = state.key();
        state.turn_to("groups").await.unwrap();
        assert_eq!((state.has_book(), state.revision(), state.facts()), (true, 0, &Facts::default()));
        state.turn_to("contacts").await.unwrap();
        push(&mut state, &["ann", "cem"], 20).await;
        push(&mut state, &["cem"], 30).await;
        let contacts = state.key();
        assert_ne!(users, contacts);
        state.depart(unknown(&["cem"])).await.unwrap();
        state.turn_to("users").await.unwrap();
        assert_eq!((state.key(), state.revision(), state.facts()), (users, 1, &facts(10)));
        // The arrival takes the place of this feed's departure.
        state.arrive(std::iter::empty()).await.unwrap();
        let expected = ["ann student: active 10, Accepted", "bob student: active 10, Accepted"];
        assert_eq!(known(&mut state).await, expected);
        state.turn_to("contacts").await.unwrap();
        assert_eq!((state.key(), state.revision(), state.facts()), (contacts, 2, &facts(30)));
        assert_eq!(known(&mut state).await[1], "cem student: active 30, Unknown");
        state.arrive(std::iter::empty()).await.unwrap();
        for feed in ["zines", "images", "badges"] {
            state.turn_to(feed).await.unwrap();
        }
        state.close().await;

        assert_eq!(store.books(), 6);
        let looked = State::look(&location, &book("patrons")).await.unwrap().unwrap();
        for mut state in [looked, open(&location, "patrons").await] {
            let feeds = ["users", "contacts", "images", "groups", "badges", "zines"];
            assert_eq!(state.feeds().await.unwrap(), feeds);
            assert_eq!(known(&mut state).await, expected);
            state.turn_to("contacts").await.unwrap();
            assert_eq!((state.key(), state.revision(), state.facts()), (contacts, 2, &facts(30)));
            let expected = ["ann student: active 20, Accepted", "cem student: active 30, Accepted"];
            assert_eq!(known(&mut state).await, expected);
            state.turn_to("groups").await.unwrap();
            assert_eq!(known(&mut state).await, Vec::<String>::new());
        }
    });
}

/// A push of several feeds is one run, of the mapping and of no feed.
pub fn the_history_has_one_run_of_several_feeds(store: &dyn Store) {
    wait(async {
        let location = store.location();
        let mut state = open(&location, "patrons").await;
        let night = |accepted, exit_code| {
            let summary = Summary { accepted, ..Summary::default() };
            Run { exit_code, summary, ..run(10, None) }
        };
        push(&mut state, &["ann"], 10).await;
        for feed in ["contacts", "images"] {
            state.turn_to(feed).await.unwrap();
            state.begin(&night(1, None), |_| false).await.unwrap();
            assert_eq!(state.runs(9).await.unwrap(), [night(1, None)]);
            state.finish(|_| false, facts(10), &night(2, Some(0))).await.unwrap();
            assert_eq!((state.runs(9).await.unwrap(), state.revision()), (vec![night(2, Some(0))], 1));
        }
        state.record(&night(3, Some(5))).await.unwrap();
        assert_eq!(state.runs(9).await.unwrap(), [night(3, Some(5))]);
        // The next one is another, whichever feed is in hand, and whether it sends or not.
        state.record(&run(20, Some(4))).await.unwrap();
        state.turn_to("contacts").await.unwrap();
        push(&mut state, &["ann"], 30).await;
        let expected = [run(30, Some(0)), run(20, Some(4)), night(3, Some(5))];
        assert_eq!(state.runs(9).await.unwrap(), expected);
        state.turn_to("users").await.unwrap();
        assert_eq!(state.runs(9).await.unwrap(), expected);

        let mut runs = Vec::new();
        let history = read_history(&location, time(0), None, |index, run| runs.push((index, run))).await;
        assert_eq!(history.unwrap().unwrap().books, [book("patrons")]);
        runs.reverse();
        assert_eq!(runs, expected.map(|run| (0, run)));
    });
}

/// The lock and what the channels were told are the mapping's, whichever feed is in hand.
pub fn feeds_share_the_lock_and_the_notices(store: &dyn Store) {
    wait(async {
        let location = store.location();
        let mut state = open(&location, "patrons").await;
        state.notice("channel", Some("of users")).await.unwrap();
        state.turn_to("contacts").await.unwrap();
        assert_eq!(state.notices().await.unwrap()["channel"], "of users");
        state.notice("channel", Some("of contacts")).await.unwrap();
        let error = State::open(&location, &book("patrons")).await.unwrap_err();
        assert!(error.is_held(), "{error:?}");
        let mut looked = State::look(&location, &book("patrons")).await.unwrap().unwrap();
        assert_eq!(looked.notices().await.unwrap()["channel"], "of contacts");
        looked.turn_to("contacts").await.unwrap();
        assert!(looked.check_lock().await.unwrap_err().is_held());
        state.close().await;
        looked.check_lock().await.unwrap();
        open(&location, "patrons").await.close().await;
    });
}

/// Wherever a push of two feeds is cut off, each book says what is known of its own feed, and the next push mends both.
pub fn a_push_of_two_feeds_may_be_cut_anywhere(store: &dyn Store) {
    const STEPS: usize = 4;

    async fn step(state: &mut State, number: usize, second: i64) {
        match number {
            0 => state.begin(&run(second, None), |_| false).await,
            1 => state.depart(unknown(&["ann"])).await,
            2 => state.arrive(pages(active(&["ann"], second, state.key()))).await,
            _ => state.finish(|_| false, facts(second), &run(second, Some(0))).await,
        }
        .unwrap();
    }
    wait(async {
        let location = store.location();
        for cut in 0..=2 * STEPS {
            let mapping = format!("cut-{cut}");
            let mut state = open(&location, &mapping).await;
            for feed in ["users", "contacts"] {
                state.turn_to(feed).await.unwrap();
                push(&mut state, &["ann", "bob"], 10).await;
            }
            state.close().await;

            let mut state = open(&location, &mapping).await;
            for number in 0..cut {
                state.turn_to(if number < STEPS { "users" } else { "contacts" }).await.unwrap();
                step(&mut state, number % STEPS, 20).await;
            }
            drop(state);

            let mut state = open_when_free(&location, &mapping).await;
            for (feed, steps) in [("users", cut.min(STEPS)), ("contacts", cut.saturating_sub(STEPS))] {
                state.turn_to(feed).await.unwrap();
                let ann = match steps {
                    0 | 1 => "active 10, Accepted",
                    2 => "active 10, Unknown",
                    _ => "active 20, Accepted",
                };
                let expected = [format!("ann student: {ann}"), "bob student: active 10, Accepted".to_owned()];
                assert_eq!(known(&mut state).await, expected, "{feed} of {mapping}");
                assert_eq!(state.revision(), if steps > 0 { 2 } else { 1 }, "{feed} of {mapping}");
                assert_eq!(state.facts(), &facts(if steps == STEPS { 20 } else { 10 }), "{feed} of {mapping}");
            }
            let has_ended = cut == STEPS || cut == 2 * STEPS;
            let cut_off = (cut > 0).then(|| run(20, has_ended.then_some(0)));
            let expected: Vec<Run> = cut_off.into_iter().chain([run(10, Some(0))]).collect();
            assert_eq!(state.runs(9).await.unwrap(), expected, "{mapping}");

            for feed in ["users", "contacts"] {
                state.turn_to(feed).await.unwrap();
                push(&mut state, &["ann"], 30).await;
                let expected = ["ann student: active 30, Accepted", "bob student: active 10, Accepted"];
                assert_eq!(known(&mut state).await, expected, "{feed} of {mapping}");
            }
        }
    });
}

/// What is mended of one feed is not touched of the others.
pub fn a_feed_is_mended_alone(store: &dyn Store) {
    wait(async {
        let location = store.location();
        let mut state = open(&location, "patrons").await;
        for feed in ["users", "contacts", "images"] {
            state.turn_to(feed).await.unwrap();
            push(&mut state, &["ann", "bob"], 10).await;
        }
        state.turn_to("contacts").await.unwrap();
        assert_eq!(state.forget(&["ann".to_owned()]).await.unwrap(), 1);
        state.turn_to("images").await.unwrap();
        assert_eq!(state.rebase().await.unwrap(), 2);
        state.pack().await.unwrap();
        state.close().await;

        let mut state = open(&location, "patrons").await;
        let (ann, bob) = ("ann student: active 10, Accepted", "bob student: active 10, Accepted");
        let expected = [
            ("users", 1, facts(10), vec![ann, bob]),
            ("contacts", 1, facts(10), vec![bob]),
            (
                "images",
                2,
                Facts { full_at: None, ..facts(10) },
                vec!["ann student: active 10, Unknown", "bob student: active 10, Unknown"],
            ),
        ];
        for (feed, revision, facts, patrons) in expected {
            state.turn_to(feed).await.unwrap();
            assert_eq!((state.revision(), state.facts()), (revision, &facts), "{feed}");
            assert_eq!(known(&mut state).await, patrons, "{feed}");
        }
    });
}

/// A look at a feed that was never pushed finds nothing, and leaves it so.
pub fn a_look_makes_no_book_of_a_feed(store: &dyn Store) {
    wait(async {
        let location = store.location();
        let mut state = open(&location, "patrons").await;
        push(&mut state, &["ann"], 10).await;
        state.close().await;
        let mut looked = State::look(&location, &book("patrons")).await.unwrap().unwrap();
        assert!(looked.has_book());
        looked.turn_to("contacts").await.unwrap();
        assert_eq!((looked.has_book(), looked.revision(), looked.facts()), (false, 0, &Facts::default()));
        assert_eq!(known(&mut looked).await, Vec::<String>::new());
        assert_eq!(looked.forget(&["ann".to_owned()]).await.unwrap(), 0);
        assert_eq!((looked.rebase().await.unwrap(), looked.revision()), (0, 0));
        looked.tidy().await.unwrap();
        looked.pack().await.unwrap();
        let error = looked.depart(unknown(&["ann"])).await.unwrap_err();
        assert!(matches!(error, StateError::Failed { .. }), "{error:?}");
        assert_eq!(looked.feeds().await.unwrap(), ["users"]);
        assert_eq!(looked.runs(9).await.unwrap(), [run(10, Some(0))]);
        looked.turn_to("users").await.unwrap();
        assert_eq!(known(&mut looked).await, ["ann student: active 10, Accepted"]);
        assert_eq!(store.books(), 1);
    });
}

/// A store from before there were feeds can be looked at, and becomes a newer one with all that it has.
pub fn version_2_is_upgraded(store: &dyn Store) {
    wait(async {
        let location = store.location();
        let mut keys = Vec::new();
        for mapping in ["patrons", "staff"] {
            let mut state = open(&location, mapping).await;
            push(&mut state, &["ann", "bob"], 10).await;
            state.notice("channel", Some(mapping)).await.unwrap();
            keys.push(state.key());
            state.close().await;
        }
        store.make_version_2();
        let mut early = State::look(&location, &book("patrons")).await.unwrap().unwrap();
        assert_eq!(early.version().await.unwrap(), 2);
        assert_eq!(early.feeds().await.unwrap(), ["users"]);
        let history = read_history(&location, time(0), None, |_, _| ()).await.unwrap().unwrap();
        assert_eq!(history.books, [book("patrons"), book("staff")]);

        let mut upgraded = Vec::new();
        for opening in ["patrons", "staff", "loans"].map(|mapping| {
            let location = location.clone();
            tokio::spawn(async move { open(&location, mapping).await })
        }) {
            upgraded.push(opening.await.unwrap());
        }
        upgraded.pop();
        for (mut state, key) in upgraded.into_iter().zip(keys) {
            assert_eq!(state.version().await.unwrap(), STATE_VERSION);
            assert_eq!((state.key(), state.revision(), state.facts()), (key, 1, &facts(10)));
            let expected = ["ann student: active 10, Accepted", "bob student: active 10, Accepted"];
            assert_eq!(known(&mut state).await, expected);
            assert_eq!(state.runs(9).await.unwrap(), [run(10, Some(0))]);
            assert_eq!(state.notices().await.unwrap().len(), 1);
            push(&mut state, &["bob"], 20).await;
            state.turn_to("contacts").await.unwrap();
            push(&mut state, &["cem"], 20).await;
            assert_eq!(known(&mut state).await, ["cem student: active 20, Accepted"]);
        }
        assert_eq!(store.books(), 5);
        // Who looked before is told what was so then, of feeds; of patrons what is so now.
        early.turn_to("contacts").await.unwrap();
        assert!(!early.has_book());
        early.turn_to("users").await.unwrap();
        assert_eq!(known(&mut early).await[1], "bob student: active 20, Accepted");
    });
}

/// A thousand mappings share a store.
pub fn a_thousand_books(store: &dyn Store) {
    let location = store.location();
    let started = Instant::now();
    wait(async {
        let write = |number| {
            let location = location.clone();
            tokio::spawn(async move {
                let mut state = open(&location, &format!("school-{number}")).await;
                let fill = active(&["ann", "bob"], number, state.key());
                state.finish(fill, facts(number), &run(number, Some(0))).await.unwrap();
                state.close().await;
            })
        };
        let mut writing = stream::iter(0..1000).map(write).buffer_unordered(4);
        while let Some(written) = writing.next().await {
            written.unwrap();
        }
        let written = started.elapsed();
        for number in [0, 500, 999] {
            let mut state = State::look(&location, &book(&format!("school-{number}"))).await.unwrap().unwrap();
            assert_eq!(known(&mut state).await[0], format!("ann student: active {number}, Accepted"));
        }
        assert_eq!(store.books(), 1000);
        assert!(written < Duration::from_mins(1), "it took {written:?}");
    });
}

/// The machines of a fleet may all be the first.
pub fn a_new_store_is_opened_by_many_at_once(store: &dyn Store) {
    wait(async {
        let location = store.location();
        let opening = (0..16).map(|number| {
            let location = location.clone();
            tokio::spawn(async move { State::open(&location, &book(&format!("school-{}", number % 8))).await })
        });
        let mut open = Vec::new();
        let mut held = 0;
        for opening in opening.collect::<Vec<_>>() {
            match opening.await.unwrap() {
                Ok(state) => open.push(state),
                Err(StateError::Held { .. }) => held += 1,
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!((open.len(), held, store.books()), (8, 8, 8));
    });
}

/// A second run is told who is at work; when that one ends, in whatever way, the lock is free.
pub fn a_book_has_one_run_at_a_time(store: &dyn Store) {
    wait(async {
        let location = store.location();
        let before = Timestamp::now();
        let mut first = open(&location, "patrons").await;
        let error = State::open(&location, &book("patrons")).await.unwrap_err();
        let StateError::Held { owner: Some(owner) } = &error else { panic!("{error:?}") };
        assert_eq!(owner.process, std::process::id());
        assert!(owner.since.as_second() >= before.as_second() && !owner.host.is_empty(), "{owner:?}");
        assert!(error.to_string().contains(&format!("process {} on `{}`", owner.process, owner.host)), "{error}");
        // Others are not in the way, and neither is a look.
        open(&location, "staff").await.close().await;
        assert!(State::look(&location, &book("patrons")).await.unwrap().is_some());
        push(&mut first, &["ann"], 10).await;
        first.close().await;

        let mut second = open(&location, "patrons").await;
        second.depart(unknown(&["bob"])).await.unwrap();
        drop(second);
        let mut third = open_when_free(&location, "patrons").await;
        assert_eq!(known(&mut third).await, ["ann student: active 10, Accepted", "bob student: new, Unknown"]);
    });
}

/// A server sees the end of a connection a moment later than who dropped it.
pub async fn open_when_free(location: &StateLocation, mapping: &str) -> State {
    let started = Instant::now();
    loop {
        match State::open(location, &book(mapping)).await {
            Err(StateError::Held { .. }) if started.elapsed() < Duration::from_secs(20) => {
                tokio::task::yield_now().await;
            }
            opened => return opened.unwrap().unwrap(),
        }
    }
}

/// What a newer program wrote is left alone.
pub fn a_newer_version_is_refused(store: &dyn Store) {
    wait(async {
        let location = store.location();
        open(&location, "patrons").await.close().await;
        store.set_version(4711);
        for error in [
            State::open(&location, &book("patrons")).await.unwrap_err(),
            State::look(&location, &book("patrons")).await.unwrap_err(),
        ] {
            assert!(matches!(error, StateError::Newer { found: 4711, .. }), "{error:?}");
            assert!(error.to_string().contains("has version 4711, and this sispush knows versions up to 3"), "{error}");
        }
    });
}

/// A patron is forgotten in whatever case the username is written, and the others stay.
pub fn forget(store: &dyn Store) {
    wait(async {
        let location = store.location();
        let mut state = open(&location, "patrons").await;
        push(&mut state, &["ann", "bob", "Cem"], 10).await;
        push(&mut state, &["bob"], 20).await;
        let names = ["BOB", "cem", "nobody"].map(str::to_owned);
        assert_eq!(state.forget(&names).await.unwrap(), 2);
        assert_eq!(state.forget(&names).await.unwrap(), 0);
        state.close().await;
        let mut state = open(&location, "patrons").await;
        assert_eq!(known(&mut state).await, ["ann student: active 10, Accepted"]);
    });
}

/// After a rebase everybody is known, nobody's row is, and a plan made before is no longer the plan.
pub fn rebase(store: &dyn Store) {
    wait(async {
        let location = store.location();
        let mut state = open(&location, "patrons").await;
        push(&mut state, &["ann", "bob"], 5).await;
        push(&mut state, &["ann", "bob"], 10).await;
        let revision = state.revision();
        assert_eq!(state.rebase().await.unwrap(), 2);
        let rebased = Facts { full_at: None, ..facts(10) };
        let expected = ["ann student: active 10, Unknown", "bob student: active 10, Unknown"];
        assert_eq!((state.revision(), state.facts()), (revision + 1, &rebased));
        assert_eq!(known(&mut state).await, expected);
        state.close().await;
        let mut state = open(&location, "patrons").await;
        assert_eq!((state.revision(), state.facts()), (revision + 1, &rebased));
        assert_eq!(known(&mut state).await, expected);
    });
}

/// Packing changes the layers, not what they say.
pub fn pack_keeps_every_entry(store: &dyn Store) {
    wait(async {
        let location = store.location();
        let crowd = crowd(6000);
        let mut state = open(&location, "patrons").await;
        push(&mut state, &as_texts(&crowd), 10).await;
        push(&mut state, &as_texts(&crowd[100..200]), 20).await;
        state.depart(unknown(&as_texts(&crowd[150..300]))).await.unwrap();
        state.close().await;
        let mut state = open(&location, "patrons").await;
        let before = state.accepted().await.unwrap();
        assert_eq!(before.layer_count(), 3);
        state.pack().await.unwrap();
        let after = state.accepted().await.unwrap();
        assert_eq!((after.layer_count(), after.entry_count()), (1, 6000));
        assert!(before.entries().eq(after.entries()));
        state.close().await;
        let mut state = open(&location, "patrons").await;
        assert!(before.entries().eq(state.accepted().await.unwrap().entries()));
    });
}

/// A transaction that does not come to its end, by our fault or the store's, changes nothing.
pub fn half_a_commit_changes_nothing(store: &dyn Store) {
    wait(async {
        let location = store.location();
        let crowd = crowd(6000);
        let mut state = open(&location, "patrons").await;
        push(&mut state, &["ann"], 10).await;
        state.depart(unknown(&as_texts(&crowd))).await.unwrap();
        let before = known(&mut state).await;

        let mut left = pages(active(&as_texts(&crowd), 20, state.key()));
        let first = std::iter::from_fn(move || Some(left.next().unwrap())).take(1);
        let torn = first.chain(std::iter::from_fn(|| panic!("the second page is never made")));
        assert!(AssertUnwindSafe(state.arrive(torn)).catch_unwind().await.is_err());
        assert_eq!(known(&mut state).await, before);

        store.refuse_second_pages();
        let error = state.arrive(pages(active(&as_texts(&crowd), 20, state.key()))).await.unwrap_err();
        assert!(matches!(error, StateError::Failed { .. } | StateError::Full { .. }), "{error:?}");
        assert_eq!(known(&mut state).await, before);
        drop(state);

        let mut state = open_when_free(&location, "patrons").await;
        assert_eq!(known(&mut state).await, before);
        state.arrive(pages(active(&["bob"], 20, state.key()))).await.unwrap();
        assert_eq!(known(&mut state).await[1], "bob student: active 20, Accepted");
    });
}
