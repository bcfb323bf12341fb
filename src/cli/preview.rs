//! `preview`: rows as they would be sent; nothing is.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use unicode_normalization::UnicodeNormalization;

use super::args::{FeedArg, PreviewArgs, PreviewFormatArg};
use super::output::Output;
use super::own;
use super::random::Random;
use crate::error::{Error, ExitCode};
use crate::infiniti::contract::{Contract, Header, HeaderSet, Kind};
use crate::infiniti::patron::Patrons;
use crate::infiniti::payload::cell_value;
use crate::infiniti::value::{RowPlace, Rule, canonical};
use crate::mapping::{Mapping, Part, nearest};
use crate::ops;
use crate::state::layer::compare_keys;
use crate::sync::{self, ExtractError, Feeds, Progress, Wanted};

/// Where a preview goes, and how it looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'p> {
    pub(super) format: PreviewFormatArg,
    /// A file in the place of stdout.
    pub(super) file: Option<&'p Path>,
    /// Whether the file begins with a byte order mark.
    pub(super) bom: bool,
    pub(super) mask: bool,
}

/// What is shown of what was read of one feed.
#[derive(Debug)]
pub(super) struct Shown {
    /// With those patrons and rejections that are shown.
    pub(super) patrons: Patrons,
    /// The headers that any patron fills, shown or not: the columns of the CSV.
    pub(super) headers: HeaderSet,
    /// All patrons that would be sent.
    pub(super) accepted: u64,
    /// All rows that are rejected.
    pub(super) rejected: u64,
    pub(super) what: What,
    /// After how many rows reading stopped, and the extracts that it did not come to; `None` if all were read.
    pub(super) stopped: Option<(u64, Vec<String>)>,
}

/// Which of them are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Everybody,
    /// Some patrons and some rejections.
    Some,
    /// Rejections only.
    Rejected,
}

pub(super) async fn run(args: PreviewArgs, mut output: Output) -> Result<ExitCode, Error> {
    let place = place(&args)?;
    let mut mapping = Mapping::load(&args.mapping)?;
    output.mapping_warnings(&mapping)?;
    let wanted = wanted(&args, place, &mapping)?;
    mapping.resolve(&[Part::Source])?;
    if let Some(path) = place.file {
        own::refuse("--out", path, (&args.mapping, Some(&mapping)), None)?;
        // A folder that is not there must not cost the SIS a scan.
        ops::try_private(path).map_err(|source| Error::File { action: "write", path: path.to_owned(), source })?;
    }
    let feeds = Feeds::of(wanted.iter().map(|(feed, _)| *feed));
    let mapping = Arc::new(mapping);
    let progress = Arc::new(Progress::default());
    let shown = output.progress(&progress);
    let code = if args.columns {
        let extracts = sync::columns(&mapping, feeds, &progress).await;
        shown.finish();
        let extracts = extracts?;
        output.columns(&extracts, place)?;
        // A push would fail with this.
        match extracts.into_iter().find(|extract| !extract.missing.is_empty()) {
            Some(extract) => {
                return Err(ExtractError::MissingColumns { extract: extract.name, missing: extract.missing }.into());
            }
            None => ExitCode::Complete,
        }
    } else {
        let read = read(&mapping, feeds, args.limit, &progress).await;
        shown.finish();
        let shown: Vec<Shown> = read?
            .into_iter()
            .zip(wanted)
            .map(|(patrons, (_, conditions))| shown_of(&args, &mapping, patrons, &conditions))
            .collect();
        let is_whole = shown.iter().all(|shown| shown.rejected == 0);
        output.preview(shown, place)?;
        if is_whole { ExitCode::Complete } else { ExitCode::Rejections }
    };
    if args.feed.is_none() {
        let others = mapping.feeds().map(|feed| feed.contract).filter(|contract| !feeds.contains(contract));
        let is_of_one = place.file.is_some() || place.format == PreviewFormatArg::Csv;
        output.other_feeds(&others.map(|contract| contract.feed).collect::<Vec<_>>(), !is_of_one)?;
    }
    Ok(code)
}

/// The feeds that are shown, each with its conditions.
fn wanted(
    args: &PreviewArgs,
    place: Place<'_>,
    mapping: &Mapping,
) -> Result<Vec<(&'static Contract, Vec<Condition>)>, Error> {
    let all: Vec<&'static Contract> = mapping.feeds().map(|feed| feed.contract).collect();
    let feeds = match args.feed {
        Some(feed) => vec![of_mapping(feed, mapping)?],
        // A file is of one feed, as the CSV of an import is.
        None if place.file.is_some() || place.format == PreviewFormatArg::Csv => vec![mapping.users.contract],
        None => all,
    };
    for text in &args.conditions {
        check_condition(text, &feeds)?;
    }
    let mut wanted = Vec::new();
    for feed in &feeds {
        let conditions =
            args.conditions.iter().map(|text| condition(text, feed)).collect::<Result<Option<Vec<_>>, _>>()?;
        wanted.extend(conditions.map(|conditions| (*feed, conditions)));
    }
    if wanted.is_empty() {
        let message = "`--where`: no feed has all of these headers".into();
        return Err(Error::Usage {
            message,
            hint: Some("a condition is of the rows of one feed; `--feed` names it".into()),
        });
    }
    Ok(wanted)
}

/// The contract of a feed that the mapping has.
pub(super) fn of_mapping(feed: FeedArg, mapping: &Mapping) -> Result<&'static Contract, Error> {
    let contract = feed.contract();
    if mapping.feeds().any(|feed| feed.contract == contract) {
        return Ok(contract);
    }
    let names: Vec<String> = mapping.feeds().map(|feed| format!("`{}`", feed.contract.feed)).collect();
    Err(Error::Usage {
        message: format!("the mapping has no `{}`", contract.feed),
        hint: Some(format!("it has {}", names.join(", ")).into()),
    })
}

/// Reads the feeds; with a limit one after the other, since each has its own first rows.
async fn read(
    mapping: &Arc<Mapping>,
    feeds: Feeds,
    limit: Option<u64>,
    progress: &Arc<Progress>,
) -> Result<Vec<Patrons>, ExtractError> {
    let Some(most) = limit else {
        let wanted = Wanted { feeds, ..Wanted::default() };
        let mut patrons = sync::extract(mapping, wanted, progress).await?.feeds;
        sync::settle(&mut patrons);
        return Ok(patrons);
    };
    let mut patrons = Vec::new();
    for feed in mapping.feeds().filter(|feed| feeds.contains(feed.contract)) {
        let wanted = Wanted { most: Some(most), feeds: Feeds::of([feed.contract]), ..Wanted::default() };
        patrons.extend(sync::extract(mapping, wanted, progress).await?.into_first());
    }
    Ok(patrons)
}

fn shown_of(args: &PreviewArgs, mapping: &Mapping, patrons: Patrons, conditions: &[Condition]) -> Shown {
    let extracts =
        mapping.feeds().find(|feed| feed.contract == patrons.contract).map_or(&[][..], |feed| &feed.extracts);
    let mut shown = Shown {
        headers: patrons.filled(),
        accepted: patrons.order().len() as u64,
        rejected: patrons.rejections.len() as u64,
        what: match (args.rejected, conditions.is_empty() && args.sample.is_none()) {
            (true, _) => What::Rejected,
            (false, true) => What::Everybody,
            (false, false) => What::Some,
        },
        stopped: args.limit.filter(|limit| patrons.rows() == *limit).map(|limit| {
            (limit, extracts.iter().skip(patrons.extracts.len()).map(|extract| extract.name.clone()).collect())
        }),
        patrons,
    };
    shown.narrow(conditions, args.sample, args.seed.unwrap_or_default());
    shown
}

fn place(args: &PreviewArgs) -> Result<Place<'_>, Error> {
    let file = args.out.as_deref();
    let ending = file.and_then(Path::extension).map(std::ffi::OsStr::to_ascii_lowercase);
    let of_ending = match ending.as_deref().and_then(std::ffi::OsStr::to_str) {
        Some("csv") => PreviewFormatArg::Csv,
        Some("json") => PreviewFormatArg::Json,
        Some(ending @ ("xlsx" | "xls" | "ods")) if args.format.is_none() => {
            return Err(Error::Usage {
                message: format!("`--out`: sispush writes no `.{ending}` files"),
                hint: Some("write `.csv`, with `--bom` for Excel".into()),
            });
        }
        _ => PreviewFormatArg::Table,
    };
    let format = args.format.unwrap_or(of_ending);
    if args.bom && format != PreviewFormatArg::Csv {
        return Err(Error::Usage {
            message: "`--bom` is for CSV, and this is another format".into(),
            hint: Some("add `--format csv`, or let the file's name end in `.csv`".into()),
        });
    }
    Ok(Place { format, file, bom: args.bom, mask: args.mask })
}

/// A header and the value that it must have.
#[derive(Debug)]
struct Condition {
    header: Header,
    value: String,
}

/// Whether any of the feeds has the header of a condition.
fn check_condition(text: &str, feeds: &[&'static Contract]) -> Result<(), Error> {
    let (name, _) = parts(text)?;
    if feeds.iter().any(|feed| feed.header(name).is_some()) {
        return Ok(());
    }
    let names = || feeds.iter().flat_map(|feed| feed.headers).map(|rule| rule.name);
    let hint = match (nearest(name, names()), feeds) {
        (Some(nearest), _) => format!("did you mean `{nearest}`?"),
        (None, [_]) => format!("the headers are `{}`", names().collect::<Vec<_>>().join("`, `")),
        (None, _) => "`sispush preview --feed FEED` shows the headers that the feed fills".to_owned(),
    };
    let whose = match feeds {
        [feed] if feed.account.is_some() => format!("`{}` has", feed.feed),
        _ => "Infiniti has".to_owned(),
    };
    let message = format!("`--where`: {whose} no header `{name}`");
    Err(Error::Usage { message, hint: Some(hint.into()) })
}

fn parts(text: &str) -> Result<(&str, &str), Error> {
    let parts = text.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
    parts.ok_or_else(|| Error::Usage {
        message: format!("`--where`: `{text}` is no condition"),
        hint: Some("write a header and its value: `--where formclass=7A`; `--where formclass=` is blank".into()),
    })
}

/// A condition of a feed; `None` if the feed does not have the header.
fn condition(text: &str, contract: &Contract) -> Result<Option<Condition>, Error> {
    let (name, value) = parts(text)?;
    let Some(header) = contract.header(name) else { return Ok(None) };
    let value: String = value.nfc().collect();
    let kind = contract.rule(header).kind;
    if kind == Kind::Password && !value.is_empty() {
        return Err(Error::Usage {
            message: format!("`--where`: `{}` is never shown, nor looked for", contract.rule(header).name),
            hint: None,
        });
    }
    // `enabled=yes` is `enabled=Y`.
    let value = match canonical(kind, &value) {
        Ok(value) => value.to_owned(),
        Err(_) => value,
    };
    Ok(Some(Condition { header, value }))
}

impl Shown {
    /// Leaves out what is not asked for.
    fn narrow(&mut self, conditions: &[Condition], sample: Option<u64>, seed: u64) {
        if !conditions.is_empty() {
            self.patrons.retain_rows(|value| conditions.iter().all(|one| one.is(&value(one.header))));
            self.narrow_rejections(conditions);
        }
        match (self.what, sample) {
            (What::Rejected, _) => self.patrons.retain(|_, _| false),
            (What::Everybody | What::Some, Some(most)) => self.sample(most, seed),
            (What::Everybody | What::Some, None) => {}
        }
    }

    /// A rejected row is looked at as far as it has values.
    fn narrow_rejections(&mut self, conditions: &[Condition]) {
        let records: HashMap<RowPlace, u32> = self.patrons.rejected().collect();
        let mut rejections = std::mem::take(&mut self.patrons.rejections);
        rejections.retain(|rejection| {
            conditions.iter().all(|condition| {
                // What breaks a rule is not blank, and nobody knows here what it is.
                let is_unknown = rejection.broken.iter().any(|(header, rule)| {
                    *header == condition.header
                        && !matches!(
                            rule,
                            Rule::Blank
                                | Rule::CohortMissing
                                | Rule::CohortTwice
                                | Rule::CohortOfStaff
                                | Rule::Clash { .. }
                        )
                });
                match records.get(&rejection.place) {
                    _ if is_unknown => false,
                    Some(record) => condition.holds(&self.patrons, *record),
                    // Of a row without a username nothing else is kept.
                    None => condition.header == self.patrons.contract.key() && condition.value.is_empty(),
                }
            })
        });
        self.patrons.rejections = rejections;
    }

    /// Keeps so many patrons of each extract: in key order, one of each of as many equal parts. The order in which a
    /// database gives rows does not matter.
    fn sample(&mut self, most: u64, seed: u64) {
        let mut random = Random::seeded(seed);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut of_extract: Vec<Vec<u32>> = vec![Vec::new(); self.patrons.extracts.len()];
        for patron in self.patrons.order() {
            of_extract[usize::from(self.patrons.place(*patron).extract)].push(*patron);
        }
        let mut chosen = vec![];
        for patrons in of_extract {
            let parts = most.min(patrons.len());
            for part in 0..parts {
                let (start, end) = (part * patrons.len() / parts, (part + 1) * patrons.len() / parts);
                chosen.push(patrons[start + random.below(end - start)]);
            }
        }
        let chosen: std::collections::HashSet<u32> = chosen.into_iter().collect();
        self.patrons.retain(|_, patron| chosen.contains(&patron));
    }
}

impl Condition {
    fn holds(&self, patrons: &Patrons, patron: u32) -> bool {
        let cell = patrons.cells(patron).find(|(header, _)| *header == self.header);
        let value = cell.map(|(_, cell)| cell_value(cell)).unwrap_or_default();
        self.is(&value)
    }

    fn is(&self, value: &str) -> bool {
        compare_keys(value, &self.value).is_eq()
    }
}
