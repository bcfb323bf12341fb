//! `report`: a page about past runs, written to a file or shown to browsers.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::args::{ReportArgs, Since};
use super::history::Books;
use super::output::Output;
use super::own;
use crate::error::{Error, ExitCode};
use crate::mapping::StateLocation;
use crate::ops;
use crate::ops::report::serve::Server;
use crate::ops::report::{Collector, Figures, Frame, page};
use crate::ops::schedule;
use crate::state::{Identity, RUNS_KEPT_DAYS, default_file, read_history};

pub(super) async fn run(args: ReportArgs, mut output: Output) -> Result<ExitCode, Error> {
    if let Some(path) = &args.out {
        return write(&args, path, &mut output).await;
    }
    let listen = args.listen;
    let args = Arc::new(args);
    let server = Server::start(listen, move || {
        let args = Arc::clone(&args);
        async move {
            let figures = figures(&args).await?;
            Ok(page::render(&figures, page::Options { refresh_s: Some(REFRESH_S) })?)
        }
    })
    .await
    .map_err(|error| Error::Usage {
        message: format!("could not listen on `{listen}`: {error}"),
        hint: Some("choose a free address with `--listen`, such as `127.0.0.1:0`".into()),
    })?;
    output.serving(&server.url(), listen.ip().is_loopback())?;
    server.ended().await;
    Ok(ExitCode::Complete)
}

/// How often a browser asks for the page again.
const REFRESH_S: u32 = 60;

async fn write(args: &ReportArgs, path: &Path, output: &mut Output) -> Result<ExitCode, Error> {
    let failed = |source| Error::File { action: "write", path: path.to_owned(), source };
    let books = Books::find(&args.mappings, &args.state)?;
    let asked = args.state.state.as_deref().map(super::state::location).transpose()?;
    let state = asked.or_else(|| default_file().ok().map(StateLocation::File));
    own::refuse_state("--out", path, state.as_ref())?;
    for asked in &books.asked {
        own::refuse("--out", path, (&asked.file, Some(&asked.mapping)), state.as_ref())?;
    }
    for (file, _) in &books.unread {
        own::refuse("--out", path, (file, None), state.as_ref())?;
    }
    ops::try_private(path).map_err(failed)?;
    let worst = books.unread.iter().map(|(_, error)| output.failure(error)).max();
    let figures = collect(args, books).await?;
    let page = page::render(&figures, page::Options::default())?;
    ops::write_private(path, |out| out.write_all(page.as_bytes())).map_err(failed)?;
    output.reported(path, &figures)?;
    Ok(worst.unwrap_or(ExitCode::Complete))
}

async fn figures(args: &ReportArgs) -> Result<Figures, Error> {
    collect(args, Books::find(&args.mappings, &args.state)?).await
}

async fn collect(args: &ReportArgs, books: Books) -> Result<Figures, Error> {
    let (now, zone) = (Timestamp::now(), TimeZone::system());
    let since = since(args.since, now, &zone)?;
    let late_after = SignedDuration::try_from(args.late_after.duration).unwrap_or(SignedDuration::MAX);
    let today = now.to_zoned(zone.clone()).date();
    let mut collector = Collector::new(Frame { since, now, zone, late_after });
    let mut found = false;
    for (location, wanted) in &books.stores {
        let offset = collector.schools();
        let history =
            read_history(location, since, wanted.as_deref(), |book, run| collector.add(offset + book, run)).await?;
        let Some(history) = history else { continue };
        found = true;
        for (book, identity) in history.books.into_iter().enumerate() {
            collector.school(offset + book).identity = identity;
        }
    }
    if collector.schools() == 0 && books.asked.len() + books.unread.len() < 2 && books.unread.is_empty() {
        return Err(books.nothing(found));
    }
    let known: HashMap<Identity, usize> =
        (0..collector.schools()).map(|index| (collector.school(index).identity.clone(), index)).collect();
    let installed = schedule::installed();
    for asked in &books.asked {
        let index = known.get(&asked.identity).copied().unwrap_or(collector.schools());
        let school = collector.school(index);
        school.identity = asked.identity.clone();
        school.file = Some(asked.file.clone());
        let others = asked.mapping.feeds().filter(|feed| feed.contract.account.is_some());
        school.has = Some(others.map(|feed| feed.contract.feed.to_owned()).collect());
        school.next = schedule::next_of(&installed, &asked.file);
        school.hold = asked.mapping.hold_on(today).map(|hold| (hold.until, hold.reason.clone()));
    }
    for (file, error) in &books.unread {
        let index = collector.schools();
        let school = collector.school(index);
        school.identity.mapping = file.display().to_string();
        school.file = Some(file.clone());
        school.problem = Some(error.told());
    }
    Ok(collector.finish())
}

/// The beginning of the time. Longer than runs are kept would only make thin bars.
fn since(since: Since, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, Error> {
    Ok(since.moment(now, zone)?.clamp(now - SignedDuration::from_hours(24) * RUNS_KEPT_DAYS, now))
}
