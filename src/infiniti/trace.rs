//! What the steps of a mapping's rules make of one row, for whoever wants to see them. No I/O, no clock.

use super::contract::Header;
use super::value::{RowPlace, Rule};
use crate::source::row::Row;

/// Watches a [`Builder`](super::builder::Builder) at work. The unit watches nothing: it compiles to nothing, so the hot
/// path is the one that is shown.
pub trait Observer {
    /// A row begins.
    fn begins(&mut self, place: RowPlace);
    /// A step of a header's rule gave this value.
    fn saw(&mut self, header: Header, stage: Stage, value: &str);
    /// What became of the header.
    fn ends(&mut self, header: Header, ending: Ending<'_>);
    /// The row ends.
    fn row_ends(&mut self, row: Row<'_>);
    /// Whether no further row is wanted.
    fn is_done(&self) -> bool;
}

impl Observer for () {
    fn begins(&mut self, _: RowPlace) {}

    fn saw(&mut self, _: Header, _: Stage, _: &str) {}

    fn ends(&mut self, _: Header, _: Ending<'_>) {}

    fn row_ends(&mut self, _: Row<'_>) {}

    fn is_done(&self) -> bool {
        false
    }
}

/// A step of a rule, in the order in which they are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The column, the template or the fixed value, as it came.
    Input,
    /// The table.
    Lookup,
    /// The transform of this number, from 0.
    Transform(usize),
    /// What a blank becomes.
    Default,
    /// The spelling in which it is sent: trimmed, in NFC, without control characters, as the contract writes it.
    Normalised,
}

/// What became of a header of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending<'r> {
    /// It is sent with this value.
    Sent(&'r str),
    /// It is sent as a blank, since the mapping says so.
    SentBlank,
    /// It is blank and left out.
    LeftOut,
    /// It breaks a rule.
    Broken(&'r Rule),
}

/// Every step of one row, kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// One for each rule of the extract, in the contract's order.
    pub headers: Vec<HeaderTrace>,
    /// The steps of the header at work.
    steps: Vec<(Stage, String)>,
}

/// The way of one header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderTrace {
    /// The header.
    pub header: Header,
    /// The steps that its rule has, each with the value that it gave.
    pub steps: Vec<(Stage, String)>,
    /// What became of it.
    pub result: Traced,
}

/// [`Ending`], kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Traced {
    /// It is sent with this value.
    Sent(String),
    /// It is sent as a blank, since the mapping says so.
    SentBlank,
    /// It is blank and left out.
    LeftOut,
    /// It breaks a rule.
    Broken(Rule),
}

impl From<Ending<'_>> for Traced {
    fn from(ending: Ending<'_>) -> Self {
        match ending {
            Ending::Sent(value) => Self::Sent(value.to_owned()),
            Ending::SentBlank => Self::SentBlank,
            Ending::LeftOut => Self::LeftOut,
            Ending::Broken(rule) => Self::Broken(rule.clone()),
        }
    }
}

impl Observer for Trace {
    fn begins(&mut self, _: RowPlace) {
        self.headers.clear();
        self.steps.clear();
    }

    fn saw(&mut self, _: Header, stage: Stage, value: &str) {
        // What leaves the value as it is was nothing to be normalised.
        let is_same = self.steps.last().is_some_and(|(_, before)| before == value);
        if stage != Stage::Normalised || !is_same {
            self.steps.push((stage, value.to_owned()));
        }
    }

    fn ends(&mut self, header: Header, ending: Ending<'_>) {
        self.headers.push(HeaderTrace { header, steps: std::mem::take(&mut self.steps), result: ending.into() });
    }

    fn row_ends(&mut self, _: Row<'_>) {}

    fn is_done(&self) -> bool {
        !self.headers.is_empty()
    }
}
