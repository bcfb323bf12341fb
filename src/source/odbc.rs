//! Any engine that has an ODBC driver.
//!
//! Data come as UTF-16, which every driver manager and driver speaks, so that no code page of this machine matters. The SIS
//! is kept from being changed by two walls: [`super::guard`] refuses what does more than read, and all that runs at all
//! runs in a transaction that is always rolled back. (`SQL_ATTR_ACCESS_MODE` would be a third, but drivers take it as advice,
//! and to set it takes `unsafe`, which this crate forbids.)

mod failure;
mod text;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use odbc_api::buffers::{ColumnarBuffer, TextColumn};
use odbc_api::handles::{ColumnDescription, StatementRef};
use odbc_api::{ConnectionOptions, Cursor, CursorImpl, ResultSetMetadata as _, environment};

use self::failure::{Failure, explain, explain_login};
use self::text::{Kind, Shape};
use super::row::{Column, RowSink};
use super::{Connection, Source, SourceError, check_columns, guard};

/// A session with an ODBC data source.
pub(super) struct Odbc {
    session: odbc_api::Connection<'static>,
    database: String,
    timeout: Duration,
}

/// The longest a login may take, where the driver can say.
const LOGIN_SECONDS: u32 = 15;
/// Rows that are fetched at once, and the most memory that their cells may take.
const BLOCK_ROWS: usize = 500;
const BLOCK_BYTES: usize = 8 * 1024 * 1024;
/// Columns that may be longer are read cell by cell.
const BLOCK_CELL_UNITS: usize = 8 * 1024;

impl Odbc {
    pub(super) fn connect(settings: &Connection) -> Result<Self, SourceError> {
        let whole = settings.odbc.with_login(&settings.username, settings.password.as_ref());
        let options = ConnectionOptions { login_timeout_sec: Some(LOGIN_SECONDS), ..ConnectionOptions::default() };
        let open = || {
            let session = environment()?.connect_with_connection_string(whole.expose_secret(), options)?;
            match session.set_autocommit(false) {
                // A driver without transactions has nothing to roll back either.
                Err(error) if failure::is_not_implemented(&error) => {
                    tracing::debug!("the ODBC driver has no transactions");
                }
                result => result?,
            }
            Ok(session)
        };
        let session = tokio::task::block_in_place(open).map_err(|error| explain_login(&error, settings))?;
        let database = settings.odbc.database().unwrap_or_default().to_owned();
        Ok(Self { session, database, timeout: settings.timeout })
    }

    /// `is_begun` becomes true when the sink has this query's columns.
    fn read(&self, query: &str, sink: &mut RowSink, is_begun: &mut bool) -> Result<(), Failure> {
        let deadline = Instant::now() + self.timeout;
        let mut statement = self.session.preallocate()?;
        // ODBC counts in seconds, and 0 is none.
        let seconds = self.timeout.as_secs() + u64::from(self.timeout.subsec_nanos() > 0);
        match statement.set_query_timeout_sec(usize::try_from(seconds.max(1)).unwrap_or(usize::MAX)) {
            Err(error) if failure::is_not_implemented(&error) => {
                tracing::debug!("the ODBC driver has no time limit for queries");
            }
            result => result?,
        }
        let Some(mut cursor) = statement.execute(query, ())? else { return Err(SourceError::NoColumns.into()) };
        let shapes = describe(&mut cursor, sink.takes_binary())?;
        let columns: Vec<Column> = shapes.iter().map(|shape| shape.column.clone()).collect();
        check_columns(&columns)?;
        sink.columns(columns)?;
        *is_begun = true;
        let mut reader = Reader { shapes: &shapes, sink, deadline, scratch: String::new() };
        let cursor = if shapes.iter().all(|shape| shape.units.is_some_and(|units| units <= BLOCK_CELL_UNITS)) {
            reader.read_blocks(cursor)?
        } else {
            reader.read_cells(cursor)?
        };
        after_rows(cursor)?;
        sink.end()?;
        Ok(())
    }
}

impl Source for Odbc {
    fn extract<'a>(&'a mut self, query: &'a str, sink: &'a mut RowSink) -> BoxFuture<'a, Result<(), SourceError>> {
        Box::pin(async move {
            guard::check_any(query)?;
            let mut is_begun = false;
            // Drivers break their promises in ways that the library answers with a panic.
            let work = || catch_unwind(AssertUnwindSafe(|| self.read(query, sink, &mut is_begun)));
            match tokio::task::block_in_place(work) {
                Ok(Ok(()) | Err(Failure::Stopped)) => Ok(()),
                Ok(Err(failure)) => {
                    let rows = if is_begun { sink.row_number() - 1 } else { 0 };
                    Err(explain(failure, query, &self.database, self.timeout, rows))
                }
                Err(_) => Err(SourceError::Other { message: "the ODBC driver does not keep to ODBC".to_owned() }),
            }
        })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move { tokio::task::block_in_place(|| drop(self)) })
    }
}

impl Drop for Odbc {
    fn drop(&mut self) {
        // Whatever a driver does with a transaction that is open when the session ends.
        if let Err(error) = self.session.rollback() {
            tracing::debug!(state = failure::state(&error), "the ODBC driver did not roll back");
        }
    }
}

/// The columns of a result.
fn describe(cursor: &mut CursorImpl<StatementRef<'_>>, takes_binary: bool) -> Result<Vec<Shape>, Failure> {
    let count = u16::try_from(cursor.num_result_cols()?).unwrap_or_default();
    let mut shapes = Vec::with_capacity(usize::from(count));
    for number in 1..=count {
        let mut description = ColumnDescription::default();
        cursor.describe_col(number, &mut description)?;
        // Not the name that stands there, too: SQLite's driver cuts it.
        let shape = Shape::new(cursor.col_name(number)?, &description.data_type);
        if shape.kind == Kind::Binary && !takes_binary {
            return Err(SourceError::Binary { column: shape.column.name, type_name: shape.column.type_name }.into());
        }
        shapes.push(shape);
    }
    Ok(shapes)
}

/// What comes after a result: errors, and no second result.
fn after_rows(cursor: CursorImpl<StatementRef<'_>>) -> Result<(), Failure> {
    let mut left = cursor.more_results()?;
    while let Some(mut cursor) = left {
        if cursor.num_result_cols()? > 0 {
            let message = "it gives more than one result".to_owned();
            return Err(SourceError::NotARead { line: None, message }.into());
        }
        left = cursor.more_results()?;
    }
    Ok(())
}

/// Rows on their way into the sink.
struct Reader<'r> {
    shapes: &'r [Shape],
    sink: &'r mut RowSink,
    deadline: Instant,
    scratch: String,
}

impl Reader<'_> {
    /// Many rows at once, into buffers that hold the longest cell there can be.
    fn read_blocks<C: Cursor>(&mut self, cursor: C) -> Result<C, Failure> {
        let units: Vec<usize> = self.shapes.iter().map(|shape| shape.units.unwrap_or(BLOCK_CELL_UNITS)).collect();
        let row_bytes: usize = units.iter().map(|units| 2 * (units + 1)).sum();
        let rows = (BLOCK_BYTES / row_bytes.max(1)).clamp(1, BLOCK_ROWS);
        let columns = units.iter().zip(1..).map(|(units, number)| (number, TextColumn::<u16>::new(rows, *units)));
        let mut blocks = cursor.bind_buffer(ColumnarBuffer::new(columns.collect()))?;
        while let Some(block) = blocks.fetch()? {
            let columns: Vec<_> = (0..self.shapes.len()).map(|index| block.column(index)).collect();
            if let Some(index) = columns.iter().position(|column| column.has_truncated_values().is_some()) {
                return Err(self.cut(index).into());
            }
            for row in 0..block.num_rows() {
                for (index, column) in columns.iter().enumerate() {
                    self.cell(index, column.get(row))?;
                }
                self.sink.end_row()?;
            }
            self.look_at_the_time()?;
        }
        Ok(blocks.unbind()?.0)
    }

    /// Cell by cell, whatever its length.
    fn read_cells<C: Cursor>(&mut self, mut cursor: C) -> Result<C, Failure> {
        let (mut cell, mut bytes) = (Vec::new(), Vec::new());
        let mut rows = 0_usize;
        while let Some(mut row) = cursor.next_row()? {
            for (index, number) in (0..self.shapes.len()).zip(1..) {
                // One cell of 20 MB must not pin 20 MB for the rest of the run.
                if self.shapes[index].kind == Kind::Binary {
                    if row.get_binary(number, &mut bytes)? {
                        self.sink.binary(&bytes);
                    }
                    self.sink.end_cell();
                    bytes.clear();
                    bytes.shrink_to(128 * 1024);
                } else {
                    let is_filled = row.get_wide_text(number, &mut cell)?;
                    self.cell(index, is_filled.then_some(cell.as_slice()))?;
                    cell.clear();
                    cell.shrink_to(64 * 1024);
                }
            }
            self.sink.end_row()?;
            rows += 1;
            if rows.is_multiple_of(BLOCK_ROWS) {
                self.look_at_the_time()?;
            }
        }
        Ok(cursor)
    }

    fn cell(&mut self, index: usize, units: Option<&[u16]>) -> Result<(), Failure> {
        if let Some(units) = units {
            self.scratch.clear();
            for c in char::decode_utf16(units.iter().copied()) {
                match c {
                    Ok(c) => self.scratch.push(c),
                    Err(_) => return Err(self.not_text(index).into()),
                }
            }
            self.shapes[index].kind.write(self.sink.text(), &self.scratch);
        }
        self.sink.end_cell();
        Ok(())
    }

    fn look_at_the_time(&self) -> Result<(), Failure> {
        if Instant::now() < self.deadline { Ok(()) } else { Err(Failure::Timeout) }
    }

    fn cut(&self, index: usize) -> SourceError {
        let name = &self.shapes[index].column.name;
        SourceError::Value {
            column: name.clone(),
            row: self.sink.row_number(),
            reason:
                "in this row or one soon after it, the value is longer than the driver says that the column can hold"
                    .into(),
            hint: Some(
                format!(
                    "write `CAST({name} AS varchar(4000)) AS {name}` in the query, or the like in the database's SQL"
                )
                .into(),
            ),
        }
    }

    fn not_text(&self, index: usize) -> SourceError {
        SourceError::Value {
            column: self.shapes[index].column.name.clone(),
            row: self.sink.row_number(),
            reason: "the text is not valid UTF-16".into(),
            hint: Some("set the driver's client encoding to UTF-8 or Unicode, or leave the column out".into()),
        }
    }
}
