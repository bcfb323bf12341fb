//! `explain`: one person from the source row to what a push would send; nothing is.

use std::sync::Arc;

use jiff::{Timestamp, Zoned};

use super::args::{ExplainArgs, FormatArg};
use super::output::Output;
use super::state::location;
use crate::error::{Error, ExitCode};
use crate::infiniti::contract::{Contract, Header, USERNAME};
use crate::infiniti::patron::Rejection;
use crate::infiniti::trace::Traced;
use crate::infiniti::value::RowPlace;
use crate::mapping::{Check, Hold, Mapping, Part, StateLocation, ValueRule, nearest};
use crate::state::layer::compare_keys;
use crate::state::{Entry, Identity, Standing, State};
use crate::sync::expect::{self, Judged, Outcome, Verdict};
use crate::sync::plan::{Leaver, Prospect};
use crate::sync::{self, Asked, ExtractError, Found, Known, Match, Person, Plan, Progress, Search, Sought, Times};

/// A patron's row, and everything that is known of it.
#[derive(Debug)]
pub(super) struct Explained<'e> {
    pub(super) asked: &'e str,
    pub(super) mapping: &'e Mapping,
    pub(super) known: &'e StateView,
    pub(super) search: &'e Search,
    pub(super) found: &'e Found,
    /// Why the row is rejected.
    pub(super) rejection: Option<&'e Rejection>,
    /// What a push would do, unless the row is rejected.
    pub(super) prospect: Option<Prospect>,
    pub(super) hold: Option<&'e Hold>,
    /// The expectations of this patron, and those that its values break.
    pub(super) verdicts: Vec<Verdict>,
    /// What the other feeds have of the person.
    pub(super) others: &'e [OtherFeed],
}

/// What a feed that hangs on the accounts has of a person, and what a push would do with it.
#[derive(Debug)]
pub(super) struct OtherFeed {
    pub(super) contract: &'static Contract,
    /// `None` if the person has no key in it.
    pub(super) person: Option<Person>,
    pub(super) known: Known,
    pub(super) fate: Fate,
}

/// What a push would do with what a feed has of a person.
#[derive(Debug)]
pub(super) enum Fate {
    /// The account has no value in the header that the feed knows people by.
    NoKey(&'static str),
    /// There is no row, or none that says something.
    Nothing,
    /// All rows are rejected.
    Rejected,
    /// The rows are left out, since there is no account.
    NoAccount,
    /// Some rows are rejected, and Infiniti keeps what it has.
    Kept,
    /// They are sent, or are as Infiniti has them.
    Goes(Prospect),
}

impl Fate {
    /// A stable name, for JSON.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::NoKey(_) => "no_key",
            Self::Nothing => "nothing",
            Self::Rejected => "rejected",
            Self::NoAccount => "no_account",
            Self::Kept => "kept",
            Self::Goes(prospect) => prospect.change.map_or("unchanged", |change| change.reason.code()),
        }
    }
}

/// What the state says, and where it is.
#[derive(Debug)]
pub(super) struct StateView {
    pub(super) known: Known,
    /// Where it is; `None` if there is none, or none yet.
    pub(super) place: Option<String>,
    /// Whether there is to be one.
    pub(super) is_kept: bool,
}

/// That no query gives what was asked for.
#[derive(Debug)]
pub(super) struct Absent<'a> {
    pub(super) asked: &'a str,
    pub(super) mapping: &'a Mapping,
    pub(super) known: &'a StateView,
    /// Of all rows: whether the patron is a leaver, and what happens then.
    pub(super) plan: Plan,
    /// Usernames that look like it.
    pub(super) near: &'a [Match],
    /// The row that was asked for.
    pub(super) row: Option<RowPlace>,
    /// What the other feeds have of the person, if a name was asked for.
    pub(super) others: &'a [OtherFeed],
}

impl Absent<'_> {
    /// The patron as a leaver.
    pub(super) fn leaver(&self) -> Option<&Leaver> {
        self.plan.leavers.iter().find(|leaver| compare_keys(&leaver.username, self.asked).is_eq())
    }
}

impl Explained<'_> {
    pub(super) fn exit_code(&self) -> ExitCode {
        let is_rejected = self.rejection.is_some() || self.others.iter().any(OtherFeed::is_rejected);
        if is_rejected { ExitCode::Rejections } else { ExitCode::Complete }
    }
}

pub(super) async fn run(args: ExplainArgs, mut output: Output) -> Result<ExitCode, Error> {
    let mut mapping = Mapping::load(&args.mapping)?;
    output.mapping_warnings(&mapping)?;
    let (asked, sought) = sought(&args, &mapping)?;
    let asked_state = args.state.state.as_deref().map(location).transpose()?;
    mapping.resolve(if asked_state.is_some() { &[Part::Source] } else { &[Part::Source, Part::State] })?;
    let now = Timestamp::now();
    // Before the query, as in a push: a state that cannot be read must not cost the SIS a scan.
    let identity = Identity { mapping: mapping.name.clone(), target: mapping.target.url.to_string() };
    let place = asked_state.as_ref().unwrap_or(&mapping.state);
    let mut view = StateView { known: Known::nothing(), place: None, is_kept: !matches!(place, StateLocation::None) };
    let mut known_others = Vec::new();
    if let Some(mut state) = State::look(place, &identity).await? {
        view.place = Some(state.place());
        view.known = Known::of(&mut state).await?;
        for feed in &mapping.others {
            state.turn_to(feed.contract.feed).await?;
            known_others.push(Known::of(&mut state).await?);
        }
        state.close().await;
    }
    let mapping = Arc::new(mapping);
    let progress = Arc::new(Progress::default());
    let shown = output.progress(&progress);
    let read = async {
        let search = sync::find(&mapping, sought.clone(), &progress).await?;
        // What is known of the account is shown, whatever becomes of the other feeds.
        let others = others(&mapping, &search, &sought, &view.known, known_others, now, &progress).await;
        Ok::<_, ExtractError>((search, others))
    };
    let read = read.await;
    shown.finish();
    let (search, others) = read?;
    let (others, failure) = match others {
        Ok(others) => (others, None),
        Err(failure) => (Vec::new(), Some(failure)),
    };
    let Some(found) = &search.found else {
        let absent = Absent {
            asked: &asked,
            mapping: &mapping,
            known: &view,
            near: &search.near,
            others: &others,
            row: match sought {
                Sought::Row(place) => Some(place),
                Sought::Name(_) => None,
            },
            plan: Plan::new(
                search.patrons,
                (&mapping, &mapping.users),
                &view.known,
                Judged::default(),
                Asked::default(),
                now,
            ),
        };
        match args.format {
            FormatArg::Text => {}
            FormatArg::Json => output.absent_json(&absent)?,
        }
        output.absent(&absent, args.format == FormatArg::Text)?;
        return failure.map_or(Ok(ExitCode::Rejections), |failure| Err(failure.into()));
    };
    let patrons = &search.patrons;
    let place = found.row.place;
    let patron = patrons.order().iter().copied().find(|patron| patrons.place(*patron) == place);
    let explained = Explained {
        asked: &asked,
        mapping: &mapping,
        known: &view,
        search: &search,
        found,
        rejection: patrons.rejections.iter().find(|rejection| rejection.place == place),
        prospect: patron.map(|patron| Prospect::of(patrons, patron, (&mapping, &mapping.users), &view.known, now)),
        hold: mapping.hold_on(Zoned::now().date()),
        verdicts: verdicts(&mapping, &search, found, &view.known, now),
        others: &others,
    };
    match args.format {
        FormatArg::Text => output.explained(&explained)?,
        FormatArg::Json => output.explained_json(&explained)?,
    }
    failure.map_or(Ok(explained.exit_code()), |failure| Err(failure.into()))
}

/// What the other feeds have of the person. Of a mapping without any, nothing more is read.
async fn others(
    mapping: &Arc<Mapping>,
    search: &Search,
    sought: &Sought,
    users: &Known,
    known: Vec<Known>,
    now: Timestamp,
    progress: &Arc<Progress>,
) -> Result<Vec<OtherFeed>, ExtractError> {
    let username = match (&search.found, sought) {
        (Some(found), _) => found.row.username.clone(),
        (None, Sought::Name(name)) => Some(name.clone()),
        (None, Sought::Row(_)) => None,
    };
    if mapping.others.is_empty() || (username.is_none() && search.found.is_none()) {
        return Ok(Vec::new());
    }
    let value = |header: Header| match (&search.found, header) {
        (_, USERNAME) => username.clone(),
        (Some(found), _) => {
            found.trace.headers.iter().find(|trace| trace.header == header).and_then(|trace| match &trace.result {
                Traced::Sent(value) => Some(value.clone()),
                Traced::SentBlank | Traced::LeftOut | Traced::Broken(_) => None,
            })
        }
        (None, _) => None,
    };
    let keys = mapping.others.iter().filter_map(|feed| Some((feed.contract, value(feed.contract.account?)?))).collect();
    let mut persons = sync::person(mapping, keys, progress).await?;
    let is_coming = search
        .found
        .as_ref()
        .is_some_and(|found| !search.patrons.rejections.iter().any(|rejection| rejection.place == found.row.place));
    let is_accepted = username.as_deref().and_then(|username| users.entry(username));
    let is_accepted = is_accepted.is_some_and(|entry| matches!(entry.standing, Standing::Active(_)));
    let mut known = known.into_iter();
    let mut others = Vec::new();
    for feed in &mapping.others {
        let known = known.next().unwrap_or_else(Known::nothing);
        let place = persons.iter().position(|person| person.contract == feed.contract);
        let person = place.map(|place| persons.swap_remove(place));
        let fate = match &person {
            None => Fate::NoKey(feed.contract.account.map_or("", |header| mapping.users.contract.rule(header).name)),
            Some(person) => match person.patrons.order() {
                [] if !person.patrons.rejections.is_empty() => Fate::Rejected,
                [] => Fate::Nothing,
                _ if !is_coming && !is_accepted => Fate::NoAccount,
                [patron, ..] => {
                    let prospect = Prospect::of(&person.patrons, *patron, (mapping, feed), &known, now);
                    if prospect.is_kept { Fate::Kept } else { Fate::Goes(prospect) }
                }
            },
        };
        others.push(OtherFeed { contract: feed.contract, person, known, fate });
    }
    Ok(others)
}

impl OtherFeed {
    fn is_rejected(&self) -> bool {
        self.person.as_ref().is_some_and(|person| !person.patrons.rejections.is_empty())
    }

    /// What the state has of the person.
    pub(super) fn entry(&self) -> Option<Entry<'_>> {
        self.known.entry(&self.person.as_ref()?.key)
    }
}

/// What is asked for, as it was typed and as it is looked for.
fn sought(args: &ExplainArgs, mapping: &Mapping) -> Result<(String, Sought), Error> {
    let Some(text) = &args.row else {
        let name = args.username.as_deref().unwrap_or_default().trim();
        if name.is_empty() {
            let hint = "a row without one is asked for by its number: `--row students:12`".into();
            return Err(Error::Usage { message: "the username is blank".into(), hint: Some(hint) });
        }
        return Ok((name.to_owned(), Sought::Name(name.to_owned())));
    };
    let Some((name, number)) =
        text.rsplit_once(':').and_then(|(name, number)| Some((name, number.parse().ok().filter(|row| *row > 0)?)))
    else {
        let hint = "write the extract and the number of its row, counted from 1: `--row students:12`".into();
        return Err(Error::Usage { message: format!("`--row`: `{text}` names no row"), hint: Some(hint) });
    };
    let names = || mapping.users.extracts.iter().map(|extract| extract.name.as_str());
    let Some(extract) = names().position(|each| each.eq_ignore_ascii_case(name)) else {
        let hint = match nearest(name, names()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => {
                format!("the extracts are {}", names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
            }
        };
        let message = format!("`--row`: the mapping has no extract `{name}`");
        return Err(Error::Usage { message, hint: Some(hint.into()) });
    };
    let place = RowPlace { extract: u16::try_from(extract).unwrap_or(u16::MAX), row: number };
    Ok((text.clone(), Sought::Row(place)))
}

/// The mapping's expectations of this patron, and of every value that this patron's values break.
fn verdicts(mapping: &Mapping, search: &Search, found: &Found, known: &Known, now: Timestamp) -> Vec<Verdict> {
    let judge = |patrons| expect::judge(patrons, mapping, (&known.facts, &known.key), &Times::new(), now).verdicts;
    let (among_all, alone) = (judge(&search.patrons), judge(&found.alone));
    let own = found.row.username.as_deref();
    let each = mapping.expect.iter().zip(among_all.into_iter().zip(alone));
    each.filter_map(|(expectation, (among_all, alone))| match &expectation.check {
        Check::Patron { username, .. } => {
            own.is_some_and(|own| compare_keys(username, own).is_eq()).then_some(among_all)
        }
        // They say something of one value alone.
        Check::Values {
            rule: ValueRule::Matches(_) | ValueRule::OneOf(_) | ValueRule::Range { .. } | ValueRule::NoNewValues,
            ..
        } => matches!(alone.outcome, Outcome::Failed | Outcome::Warned).then_some(alone),
        Check::Values { rule: ValueRule::Filled(_) | ValueRule::Unique, .. }
        | Check::Rows { .. }
        | Check::Freshness { .. } => None,
    })
    .collect()
}

/// Whether a row was found by something else than its username or its number.
pub(super) fn by_another_header(row: &Match) -> bool {
    row.header.is_some_and(|header| header != USERNAME)
}
