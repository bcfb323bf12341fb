//! Reads a mapping's extracts to see what their columns hold.

use std::sync::Arc;

use super::extract::{connect, extracts, run_queries};
use super::{ExtractError, Feeds, Progress};
use crate::infiniti::builder::{Builder, MissingColumn};
use crate::infiniti::contract::{Contract, Header, Kind};
use crate::mapping::{Extract, Feed, Input, Mapping};
use crate::source::row::{Column, Message, RowStream, channel};

/// The result of one extract.
#[derive(Clone, Debug)]
pub struct ExtractColumns {
    /// The contract of its feed.
    pub contract: &'static Contract,
    /// The extract's name.
    pub name: String,
    /// How many rows it gave.
    pub rows: u64,
    /// Its columns in the order of the result.
    pub columns: Vec<ColumnView>,
    /// The columns that the mapping names and the result does not have: a push fails because of them.
    pub missing: Vec<MissingColumn>,
}

/// One column.
#[derive(Clone, Debug)]
pub struct ColumnView {
    /// Its name and its type.
    pub column: Column,
    /// In how many rows it has a value.
    pub filled: u64,
    /// The first value that is not blank; none of a picture.
    pub sample: Option<String>,
    /// The headers whose rules use it.
    pub headers: Vec<Header>,
    /// Whether it holds pictures.
    is_picture: bool,
}

/// Reads all extracts of these feeds of `mapping` in one session: a column that is blank in the first rows may have its first value in
/// the last.
///
/// # Errors
/// [`ExtractError`], by extract. Missing columns are results here.
pub async fn columns(
    mapping: &Arc<Mapping>,
    feeds: Feeds,
    progress: &Arc<Progress>,
) -> Result<Vec<ExtractColumns>, ExtractError> {
    let mut session = connect(mapping).await?;
    let (mut sink, stream) = channel();
    let worker = std::thread::spawn({
        let (mapping, progress) = (Arc::clone(mapping), Arc::clone(progress));
        move || look(&mapping, feeds, &stream, &progress)
    });
    let result = run_queries(session.as_mut(), mapping, feeds, &mut sink, || true).await;
    drop(sink);
    let found = worker.join().map_err(|_| ExtractError::Crashed)?;
    session.close().await;
    result.map(|()| found)
}

fn look(mapping: &Mapping, feeds: Feeds, stream: &RowStream, progress: &Progress) -> Vec<ExtractColumns> {
    let mut found: Vec<ExtractColumns> = Vec::new();
    let mut extracts = extracts(mapping, feeds);
    while let Some(message) = stream.next() {
        match message {
            Message::Columns(columns) => {
                let Some((feed, extract)) = extracts.next() else { break };
                found.push(ExtractColumns {
                    contract: feed.contract,
                    name: extract.name.clone(),
                    rows: 0,
                    missing: Builder::new(feed).start(extract, &columns).err().unwrap_or_default(),
                    columns: columns.into_iter().map(|column| ColumnView::new(feed, extract, column)).collect(),
                });
            }
            Message::Rows(block) => {
                let Some(extract) = found.last_mut() else { break };
                let before = extract.rows;
                for row in block.rows() {
                    extract.rows += 1;
                    for (index, view) in extract.columns.iter_mut().enumerate() {
                        let value = row.cell(index).trim();
                        if !value.is_empty() {
                            view.filled += 1;
                            if !view.is_picture {
                                view.sample.get_or_insert_with(|| value.to_owned());
                            }
                        }
                    }
                }
                progress.add_rows(extract.rows - before);
                stream.give_back(block);
            }
            Message::End => {}
        }
    }
    found
}

impl ColumnView {
    fn new(feed: &Feed, extract: &Extract, column: Column) -> Self {
        let is_it = |name: &String| name.to_lowercase() == column.name.to_lowercase();
        let uses = |input: &Input| match input {
            Input::Column(name) => is_it(name),
            Input::Template(template) => template.variables().iter().any(is_it),
            Input::Value(_) => false,
        };
        let headers: Vec<Header> =
            extract.rules.iter().filter(|rule| uses(&rule.input)).map(|rule| rule.header).collect();
        let is_picture = headers.iter().any(|header| feed.contract.rule(*header).kind == Kind::Picture);
        Self { column, filled: 0, sample: None, headers, is_picture }
    }
}
