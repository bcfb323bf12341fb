//! Reads every extract of a mapping in one session, while another thread makes patrons of the rows.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::album::{Album, Wanted as Pictured};
use super::freshness::{self, Times};
use super::{Feeds, Progress};
use crate::error::Hint;
use crate::infiniti::builder::{Builder, MissingColumn, Pictures};
use crate::infiniti::patron::Patrons;
use crate::mapping::{Extract, Feed, Mapping};
use crate::source::row::{Message, RowSink, RowStream, channel};
use crate::source::{self, Source, SourceError, folder};

/// What a mapping's extracts gave.
#[derive(Debug)]
pub struct Extraction {
    /// The patrons and rejections of each feed that was wanted, in the order in which they are sent.
    pub feeds: Vec<Patrons>,
    /// Where the pictures are, if any were read.
    pub album: Option<Arc<Album>>,
    /// What the mapping's freshness queries gave, if that was wanted.
    pub times: Times,
    /// How long it took, login included.
    pub elapsed: Duration,
}

/// What is wanted beside the patrons.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// At most so many rows in all; `None` is all.
    pub most: Option<u64>,
    /// Digests, which a comparison with the state needs.
    pub digests: bool,
    /// The times of the freshness queries.
    pub times: bool,
    /// The feeds that are read.
    pub feeds: Feeds,
}

impl Extraction {
    /// The patrons of the first feed that was wanted.
    pub fn into_first(self) -> Option<Patrons> {
        self.feeds.into_iter().next()
    }
}

/// Why an extraction failed.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The session could not be opened.
    #[error("could not open the source `{place}`")]
    Connect {
        /// The source without its secrets.
        place: String,
        /// Why.
        source: SourceError,
    },
    /// A query failed.
    #[error("extract `{extract}` failed")]
    Query {
        /// The extract.
        extract: String,
        /// Why.
        source: SourceError,
    },
    /// The result lacks columns that the mapping names.
    #[error("extract `{extract}`: {}", missing_columns(missing))]
    MissingColumns {
        /// The extract.
        extract: String,
        /// All of them.
        missing: Vec<MissingColumn>,
    },
    /// A freshness query failed.
    #[error("the `freshness` query of line {line}{} failed", OfBase(base.as_deref()))]
    Freshness {
        /// The base, if the expectation stands there and not in the mapping itself.
        base: Option<PathBuf>,
        /// The expectation's line in that file.
        line: usize,
        /// Why.
        source: SourceError,
    },
    /// The thread that makes patrons of rows died.
    #[error("the mapping of rows failed: this is a fault of sispush")]
    Crashed,
}

/// What follows the line, where that is a base's.
struct OfBase<'b>(Option<&'b Path>);

impl fmt::Display for OfBase<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |base| write!(f, " of `{}`", base.display()))
    }
}

impl ExtractError {
    /// What is wrong, for those who are told of it elsewhere: without the names of the source's own columns, since a CSV drop
    /// that lacks its first line has a pupil in their place.
    pub fn told(&self) -> String {
        match self {
            Self::MissingColumns { extract, missing } => {
                let missing = missing.iter().map(|one| MissingColumn { nearest: None, ..one.clone() }).collect();
                Self::MissingColumns { extract: extract.clone(), missing }.to_string()
            }
            Self::Connect { .. } | Self::Query { .. } | Self::Freshness { .. } | Self::Crashed => self.to_string(),
        }
    }

    /// What to edit or run.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Connect { source, .. } | Self::Query { source, .. } | Self::Freshness { source, .. } => source.hint(),
            Self::MissingColumns { .. } => Some(
                "add the column to the query, or name another in the mapping; upper and lower case do not matter"
                    .into(),
            ),
            Self::Crashed => Some("run again with -v and report what it says".into()),
        }
    }
}

/// Reads all extracts of `mapping` in one session.
///
/// # Errors
/// [`ExtractError`], by extract. Nothing is left half-read: there is a result only if every extract ended well.
pub async fn extract(
    mapping: &Arc<Mapping>,
    wanted: Wanted,
    progress: &Arc<Progress>,
) -> Result<Extraction, ExtractError> {
    let started = Instant::now();
    let mut session = connect(mapping).await?;
    let (mut sink, stream) = channel();
    let images =
        mapping.feeds().filter(|feed| wanted.feeds.contains(feed.contract)).find_map(|feed| feed.images.as_ref());
    let album = images.map(|images| Arc::new(Album::new(images)));
    let worker = std::thread::spawn({
        let (mapping, progress, album) = (Arc::clone(mapping), Arc::clone(progress), album.clone());
        move || make_patrons(&mapping, wanted, &stream, &progress, || album.as_ref().map(Album::looker))
    });
    let failure = run_queries(session.as_mut(), mapping, wanted.feeds, &mut sink, || true).await.err();
    drop(sink);
    let feeds = worker.join().map_err(|_| ExtractError::Crashed)?;
    let mut times = Ok(Times::new());
    if wanted.times && failure.is_none() {
        times = freshness::ask(session.as_mut(), mapping).await;
    }
    session.close().await;
    match failure {
        // Why the worker stopped comes first: the reading side may have failed only because of it.
        Some(failure) => Err(feeds.err().unwrap_or(failure)),
        None => Ok(Extraction { feeds: feeds?, album, times: times?, elapsed: started.elapsed() }),
    }
}

/// Reads the pictures of a feed again, and keeps those that are wanted, as they are sent.
///
/// # Errors
/// As those of [`extract`].
pub(super) async fn collect(
    mapping: &Arc<Mapping>,
    feed: Feeds,
    album: &Arc<Album>,
    pictures: Arc<Pictured>,
) -> Result<(), ExtractError> {
    let mut session = connect(mapping).await?;
    let (mut sink, stream) = channel();
    let worker = std::thread::spawn({
        let (mapping, album) = (Arc::clone(mapping), Arc::clone(album));
        let wanted = Wanted { feeds: feed, ..Wanted::default() };
        let progress = Progress::default();
        move || {
            make_patrons(&mapping, wanted, &stream, &progress, || Some(album.collector(Arc::clone(&pictures))))
                .map(drop)
        }
    });
    let failure = run_queries(session.as_mut(), mapping, feed, &mut sink, || true).await;
    drop(sink);
    let made = worker.join().map_err(|_| ExtractError::Crashed)?;
    session.close().await;
    made.and(failure)
}

/// Runs the queries one after the other, as long as they go well and `goes_on` says so after each.
pub(super) async fn run_queries(
    session: &mut dyn Source,
    mapping: &Mapping,
    feeds: Feeds,
    sink: &mut RowSink,
    mut goes_on: impl FnMut() -> bool + Send,
) -> Result<(), ExtractError> {
    for (feed, extract) in extracts(mapping, feeds) {
        tracing::debug!(feed = feed.contract.feed, extract = extract.name, "reading");
        sink.take_binary(feed.contract.is_pictured());
        let listed = feed.images.as_ref().filter(|images| images.is_listed).and_then(|images| images.folder.as_deref());
        let result = match listed {
            Some(folder) => folder::list(folder, sink),
            None => session.extract(&extract.query, sink).await,
        };
        if let Err(source) = result {
            return Err(ExtractError::Query { extract: extract.name.clone(), source });
        }
        if !goes_on() {
            break;
        }
    }
    Ok(())
}

/// The extracts of these feeds, in the order in which they are read.
pub(super) fn extracts(mapping: &Mapping, feeds: Feeds) -> impl Iterator<Item = (&Feed, &Extract)> {
    let feeds = mapping.feeds().filter(move |feed| feeds.contains(feed.contract));
    feeds.flat_map(|feed| feed.extracts.iter().map(move |extract| (feed, extract)))
}

/// Waits before a connection is tried again. Few and short: a schedule tries again anyway.
const CONNECT_WAITS: [Duration; 2] = [Duration::from_millis(500), Duration::from_millis(1500)];

pub(super) async fn connect(mapping: &Mapping) -> Result<Box<dyn Source>, ExtractError> {
    let mut waits = CONNECT_WAITS.iter();
    loop {
        match source::connect(&mapping.source).await {
            Ok(session) => return Ok(session),
            Err(error) => {
                let wait = waits.next().filter(|_| error.is_transient());
                let Some(wait) = wait else {
                    return Err(ExtractError::Connect { place: mapping.source.to_string(), source: error });
                };
                tracing::warn!(%error, wait_ms = wait.as_millis(), "the source does not answer; trying again");
                tokio::time::sleep(*wait).await;
            }
        }
    }
}

/// The mapping thread: takes rows until the reading side is gone.
fn make_patrons(
    mapping: &Mapping,
    wanted: Wanted,
    stream: &RowStream,
    progress: &Progress,
    looker: impl Fn() -> Option<Box<dyn Pictures>>,
) -> Result<Vec<Patrons>, ExtractError> {
    let builder = |feed: &Feed| {
        let mut builder = Builder::new(feed);
        if feed.images.is_some()
            && let Some(looker) = looker()
        {
            builder = builder.with_pictures(looker);
        }
        if wanted.digests { builder.with_digests() } else { builder }
    };
    let mut feeds = mapping.feeds().filter(|feed| wanted.feeds.contains(feed.contract));
    let mut extracts = extracts(mapping, wanted.feeds);
    let mut finished = Vec::new();
    let mut current: Option<(&Feed, Builder)> = None;
    let mut left = wanted.most.unwrap_or(u64::MAX);
    while let Some(message) = stream.next() {
        match message {
            Message::Columns(columns) => {
                let Some((feed, extract)) = extracts.next() else { break };
                if current.as_ref().is_none_or(|(current, _)| current.contract.feed != feed.contract.feed) {
                    finished.extend(current.take().map(|(_, builder)| builder.finish()));
                    current = feeds.next().map(|feed| (feed, builder(feed)));
                }
                let Some((_, builder)) = &mut current else { break };
                builder
                    .start(extract, &columns)
                    .map_err(|missing| ExtractError::MissingColumns { extract: extract.name.clone(), missing })?;
            }
            Message::Rows(block) => {
                let Some((_, builder)) = &mut current else { break };
                let taken = builder.rows(&block, left);
                progress.add_rows(taken);
                left -= taken;
                stream.give_back(block);
                if left == 0 {
                    break;
                }
            }
            Message::End => {}
        }
    }
    finished.extend(current.map(|(_, builder)| builder.finish()));
    // Those that reading did not come to.
    finished.extend(feeds.map(|feed| builder(feed).finish()));
    Ok(finished)
}

/// The columns in words, for messages.
pub(crate) fn missing_columns(missing: &[MissingColumn]) -> String {
    let each: Vec<String> = missing
        .iter()
        .map(|one| {
            let nearest = one.nearest.as_ref().map(|nearest| format!(" (did you mean `{nearest}`?)"));
            format!("no column `{}`, which `{}` needs{}", one.column, one.header, nearest.unwrap_or_default())
        })
        .collect();
    format!("the query's result has {}", each.join("; "))
}
