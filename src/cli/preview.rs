//! `preview`: rows as they would be sent; nothing is.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use unicode_normalization::UnicodeNormalization;

use super::args::{PreviewArgs, PreviewFormatArg};
use super::output::Output;
use super::own;
use super::random::Random;
use crate::error::{Error, ExitCode};
use crate::infiniti::contract::{Header, HeaderSet, Kind, USERNAME, USERS};
use crate::infiniti::patron::Patrons;
use crate::infiniti::payload::cell_value;
use crate::infiniti::value::{RowPlace, Rule, canonical};
use crate::mapping::{Mapping, Part, nearest};
use crate::ops;
use crate::state::layer::compare_keys;
use crate::sync::{self, ExtractError, Progress, Wanted};

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

/// What is shown of what was read.
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
    let conditions = args.conditions.iter().map(|text| condition(text)).collect::<Result<Vec<_>, _>>()?;
    let place = place(&args)?;
    let mut mapping = Mapping::load(&args.mapping)?;
    output.mapping_warnings(&mapping)?;
    mapping.resolve(&[Part::Source])?;
    if let Some(path) = place.file {
        own::refuse("--out", path, (&args.mapping, Some(&mapping)), None)?;
        // A folder that is not there must not cost the SIS a scan.
        ops::try_private(path).map_err(|source| Error::File { action: "write", path: path.to_owned(), source })?;
    }
    let mapping = Arc::new(mapping);
    let progress = Arc::new(Progress::default());
    let shown = output.progress(&progress);
    if args.columns {
        let extracts = sync::columns(&mapping, &progress).await;
        shown.finish();
        let extracts = extracts?;
        output.columns(&extracts, place)?;
        // A push would fail with this.
        return match extracts.into_iter().find(|extract| !extract.missing.is_empty()) {
            Some(extract) => {
                Err(ExtractError::MissingColumns { extract: extract.name, missing: extract.missing }.into())
            }
            None => Ok(ExitCode::Complete),
        };
    }
    let extraction = sync::extract(&mapping, Wanted { most: args.limit, ..Wanted::default() }, &progress).await;
    shown.finish();
    let patrons = extraction?.into_first().ok_or(ExtractError::Crashed)?;
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
            (
                limit,
                mapping
                    .users
                    .extracts
                    .iter()
                    .skip(patrons.extracts.len())
                    .map(|extract| extract.name.clone())
                    .collect(),
            )
        }),
        patrons,
    };
    shown.narrow(&conditions, args.sample, args.seed.unwrap_or_default());
    let code = if shown.rejected == 0 { ExitCode::Complete } else { ExitCode::Rejections };
    output.preview(shown, place)?;
    Ok(code)
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

fn condition(text: &str) -> Result<Condition, Error> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(Error::Usage {
            message: format!("`--where`: `{text}` is no condition"),
            hint: Some("write a header and its value: `--where formclass=7A`; `--where formclass=` is blank".into()),
        });
    };
    let names = || USERS.headers.iter().map(|rule| rule.name);
    let Some(header) = USERS.header(name.trim()) else {
        let hint = match nearest(name.trim(), names()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("the headers are `{}`", names().collect::<Vec<_>>().join("`, `")),
        };
        let message = format!("`--where`: Infiniti has no header `{}`", name.trim());
        return Err(Error::Usage { message, hint: Some(hint.into()) });
    };
    let value: String = value.trim().nfc().collect();
    let kind = USERS.rule(header).kind;
    if kind == Kind::Password && !value.is_empty() {
        return Err(Error::Usage {
            message: format!("`--where`: `{}` is never shown, nor looked for", USERS.rule(header).name),
            hint: None,
        });
    }
    // `enabled=yes` is `enabled=Y`.
    let value = match canonical(kind, &value) {
        Ok(value) => value.to_owned(),
        Err(_) => value,
    };
    Ok(Condition { header, value })
}

impl Shown {
    /// Leaves out what is not asked for.
    fn narrow(&mut self, conditions: &[Condition], sample: Option<u64>, seed: u64) {
        if !conditions.is_empty() {
            self.patrons.retain(|patrons, patron| conditions.iter().all(|one| one.holds(patrons, patron)));
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
                    None => condition.header == USERNAME && condition.value.is_empty(),
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
        compare_keys(&value, &self.value).is_eq()
    }
}
