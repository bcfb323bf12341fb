//! A source that holds its rows in memory: the twin that tests of later stages use.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::row::{Column, RowSink};
use super::{Source, SourceError, check_columns};

/// Rows by query text.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    tables: Vec<Table>,
}

#[derive(Clone, Debug)]
struct Table {
    query: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Memory {
    /// Adds the answer to a query.
    #[must_use]
    pub fn with(mut self, query: &str, columns: &[&str], rows: &[&[&str]]) -> Self {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        self.tables.push(Table {
            query: query.to_owned(),
            columns: owned(columns),
            rows: rows.iter().map(|row| owned(row)).collect(),
        });
        self
    }

    fn read(&self, query: &str, sink: &mut RowSink) -> Result<(), SourceError> {
        let Some(table) = self.tables.iter().find(|table| table.query == query) else {
            return Err(SourceError::Query { line: Some(1), message: "no such query".into() });
        };
        let columns: Vec<Column> =
            table.columns.iter().map(|name| Column { name: name.clone(), type_name: "text".into() }).collect();
        check_columns(&columns)?;
        if sink.columns(columns).is_err() {
            return Ok(());
        }
        for row in &table.rows {
            for cell in row {
                sink.cell(cell);
            }
            if sink.end_row().is_err() {
                return Ok(());
            }
        }
        // A stopped sink has all it wants.
        let _stopped = sink.end();
        Ok(())
    }
}

impl Source for Memory {
    fn extract<'a>(&'a mut self, query: &'a str, sink: &'a mut RowSink) -> BoxFuture<'a, Result<(), SourceError>> {
        async move { self.read(query, sink) }.boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        async {}.boxed()
    }
}
