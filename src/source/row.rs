//! Rows on their way from a driver to the mapping: text in blocks that are used again and again.
//!
//! A cell is written once into a block's buffer. Blocks cross to the mapping thread and come back empty, so reading
//! and checking overlap, and no cell needs an allocation of its own.

use std::sync::mpsc::{self, Receiver, SyncSender};

use super::format::write_hex;

/// A column of a query's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name as the database gives it.
    pub name: String,
    /// Its type in the database's own words, for people.
    pub type_name: String,
}

/// Some rows of one extract as text. NULL and the empty text are the same blank.
#[derive(Debug, Default)]
pub struct Block {
    text: String,
    /// The end of every cell in `text`, row after row.
    ends: Vec<usize>,
    columns: usize,
}

impl Block {
    /// A block of one row.
    pub fn of_row<'c>(cells: impl IntoIterator<Item = &'c str>) -> Self {
        let mut block = Self::default();
        for cell in cells {
            block.text.push_str(cell);
            block.ends.push(block.text.len());
        }
        block.columns = block.ends.len();
        block
    }

    /// The rows in the order of the result; each gives its cells.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let columns = self.columns.max(1);
        (0..self.ends.len() / columns).map(move |row| {
            let first = row * columns;
            let start = first.checked_sub(1).map_or(0, |before| self.ends[before]);
            Row { text: &self.text, start, ends: &self.ends[first..first + columns] }
        })
    }

    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        // One cell of 20 MB must not pin 20 MB in every block for the rest of the run.
        self.text.shrink_to(4 * BLOCK_BYTES);
    }
}

/// One row of a [`Block`].
#[derive(Clone, Copy, Debug)]
pub struct Row<'b> {
    text: &'b str,
    start: usize,
    ends: &'b [usize],
}

impl<'b> Row<'b> {
    /// The text of a cell; blank for NULL. `column` counts from 0 and is one of the extract's columns.
    pub fn cell(&self, column: usize) -> &'b str {
        let start = column.checked_sub(1).map_or(self.start, |before| self.ends[before]);
        &self.text[start..self.ends[column]]
    }

    /// How many cells the row has.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether the row has no cells.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

/// What the reading side sends.
#[derive(Debug)]
pub enum Message {
    /// The columns of the extract that starts now.
    Columns(Vec<Column>),
    /// Rows of that extract.
    Rows(Block),
    /// The extract ended well: every row was sent.
    End,
}

/// The receiving side wants no more rows. Not an error: a preview stops after its limit.
#[derive(Debug, PartialEq, Eq)]
pub struct Stopped;

/// A block is handed on when it holds this many bytes. Small enough to stay in the processor's cache.
const BLOCK_BYTES: usize = 128 * 1024;
/// Blocks on their way. Bounds memory when checking is slower than reading. A block that a long row made longer takes
/// the places of as many as it is long.
const BLOCKS_IN_FLIGHT: usize = 32;

/// Makes both ends of the way.
pub fn channel() -> (RowSink, RowStream) {
    let (sender, receiver) = mpsc::sync_channel(BLOCKS_IN_FLIGHT);
    let (give_back, emptied) = mpsc::sync_channel(BLOCKS_IN_FLIGHT + 1);
    let sink =
        RowSink { block: Block::default(), sender, emptied, row_start: 0, rows: 0, bytes: 0, takes_binary: false };
    (sink, RowStream { receiver, give_back })
}

/// Where an engine writes its rows: [`columns`](Self::columns) once, then for each row its cells, each ended by
/// [`end_cell`](Self::end_cell), and [`end_row`](Self::end_row), and at last [`end`](Self::end).
///
/// Sending blocks the calling thread while the other side is behind: that is the back-pressure.
#[derive(Debug)]
pub struct RowSink {
    block: Block,
    sender: SyncSender<Message>,
    emptied: Receiver<Block>,
    /// Where the row being written starts in `block.ends`.
    row_start: usize,
    rows: u64,
    bytes: u64,
    takes_binary: bool,
}

impl RowSink {
    /// Whether binary columns are read, as hexadecimal text. Off at first: to an engine they are then an error that says
    /// what to do. Holds for the extracts that follow.
    pub fn take_binary(&mut self, takes_binary: bool) {
        self.takes_binary = takes_binary;
    }

    /// Whether an engine may write [`binary`](Self::binary) cells.
    pub fn takes_binary(&self) -> bool {
        self.takes_binary
    }

    /// Starts an extract. The names must be checked already ([`super::check_columns`]).
    pub fn columns(&mut self, columns: Vec<Column>) -> Result<(), Stopped> {
        self.block.clear();
        self.block.columns = columns.len();
        self.row_start = 0;
        self.rows = 0;
        self.sender.send(Message::Columns(columns)).map_err(|_| Stopped)
    }

    /// The buffer: append the text of the current cell to it, and nothing else.
    pub fn text(&mut self) -> &mut String {
        &mut self.block.text
    }

    /// Appends bytes to the current cell as lower-case hexadecimal digits, without a prefix. No bytes are the blank.
    pub fn binary(&mut self, bytes: &[u8]) {
        debug_assert!(self.takes_binary);
        write_hex(&mut self.block.text, bytes);
    }

    /// Ends the current cell. Nothing appended means blank.
    pub fn end_cell(&mut self) {
        self.block.ends.push(self.block.text.len());
    }

    /// Writes a whole cell.
    pub fn cell(&mut self, text: &str) {
        self.block.text.push_str(text);
        self.end_cell();
    }

    /// Ends the current row, which has as many cells as the extract has columns.
    pub fn end_row(&mut self) -> Result<(), Stopped> {
        debug_assert_eq!(self.block.ends.len() - self.row_start, self.block.columns);
        self.row_start = self.block.ends.len();
        self.rows += 1;
        if self.block.text.len() >= BLOCK_BYTES { self.hand_on() } else { Ok(()) }
    }

    /// Ends the extract: all rows were written.
    pub fn end(&mut self) -> Result<(), Stopped> {
        self.hand_on()?;
        self.sender.send(Message::End).map_err(|_| Stopped)
    }

    /// The number of the row being written, counted from 1: for an error's place.
    pub fn row_number(&self) -> u64 {
        self.rows + 1
    }

    /// How many bytes of text all extracts gave so far.
    pub fn bytes(&self) -> u64 {
        self.bytes + self.block.text.len() as u64
    }

    fn hand_on(&mut self) -> Result<(), Stopped> {
        if self.block.ends.is_empty() {
            return Ok(());
        }
        let mut next = self.emptied.try_recv().unwrap_or_default();
        next.columns = self.block.columns;
        let full = std::mem::replace(&mut self.block, next);
        self.row_start = 0;
        self.bytes += full.text.len() as u64;
        let places = (full.text.len() / BLOCK_BYTES).clamp(1, BLOCKS_IN_FLIGHT);
        self.sender.send(Message::Rows(full)).map_err(|_| Stopped)?;
        // Empty blocks, which the stream skips. Else 32 photos of 5 MB would lie about as 320 MB of text.
        (1..places).try_for_each(|_| self.sender.send(Message::Rows(Block::default())).map_err(|_| Stopped))
    }
}

/// Where the mapping thread takes rows from.
#[derive(Debug)]
pub struct RowStream {
    receiver: Receiver<Message>,
    give_back: SyncSender<Block>,
}

impl RowStream {
    /// The next message; `None` when the reading side is gone, which without [`Message::End`] means that it failed.
    pub fn next(&self) -> Option<Message> {
        loop {
            match self.receiver.recv().ok()? {
                Message::Rows(block) if block.ends.is_empty() => {}
                message => return Some(message),
            }
        }
    }

    /// Gives a block back for reuse.
    pub fn give_back(&self, mut block: Block) {
        block.clear();
        // A full channel only means that enough blocks are about.
        drop(self.give_back.try_send(block));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_out_as_they_went_in() {
        let (mut sink, stream) = channel();
        let column = |name: &str| Column { name: name.into(), type_name: "text".into() };
        let writer = std::thread::spawn(move || {
            for extract in ["a", "b"] {
                sink.columns(vec![column("x"), column("y")]).unwrap();
                for number in 0..20_000 {
                    sink.cell(&format!("{extract}{number}"));
                    if number % 2 == 0 {
                        sink.text().push('é');
                    }
                    sink.end_cell();
                    sink.end_row().unwrap();
                }
                sink.end().unwrap();
            }
        });
        let (mut rows, mut ends) = (0, 0);
        while let Some(message) = stream.next() {
            match message {
                Message::Columns(columns) => assert_eq!(columns.len(), 2),
                Message::Rows(block) => {
                    for row in block.rows() {
                        let number = rows % 20_000;
                        let extract = if rows < 20_000 { "a" } else { "b" };
                        assert_eq!(row.cell(0), format!("{extract}{number}"));
                        assert_eq!(row.cell(1), if number % 2 == 0 { "é" } else { "" });
                        rows += 1;
                    }
                    stream.give_back(block);
                }
                Message::End => ends += 1,
            }
        }
        writer.join().unwrap();
        assert_eq!((rows, ends), (40_000, 2));
    }

    #[test]
    fn bytes_become_hexadecimal_text() {
        let (mut sink, stream) = channel();
        assert!(!sink.takes_binary());
        sink.take_binary(true);
        sink.columns(vec![Column { name: "x".into(), type_name: "blob".into() }]).unwrap();
        let long: Vec<u8> = (0..=255).cycle().take(70_000).collect();
        for bytes in [b"".as_slice(), b"\x00", b"\xff\xd8\x0a", &long] {
            sink.binary(bytes);
            sink.end_cell();
            sink.end_row().unwrap();
        }
        drop(sink);
        assert!(matches!(stream.next(), Some(Message::Columns(_))));
        let Some(Message::Rows(block)) = stream.next() else { panic!("the rows come when a block is full") };
        let cells: Vec<&str> = block.rows().map(|row| row.cell(0)).collect();
        assert_eq!(cells[..3], ["", "00", "ffd80a"]);
        let digits = long.iter().flat_map(|byte| [byte >> 4, byte & 0xF]);
        assert_eq!(cells[3], digits.map(|digit| char::from_digit(digit.into(), 16).unwrap()).collect::<String>());
    }

    /// Photos of some megabytes wait with the database, and not in memory.
    #[test]
    fn a_long_row_takes_the_places_of_many() {
        let (mut sink, stream) = channel();
        let (tell, told) = mpsc::channel();
        let writer = std::thread::spawn(move || {
            sink.columns(vec![Column { name: "x".into(), type_name: "text".into() }]).unwrap();
            for number in 0..10 {
                sink.cell(&"x".repeat(40 * BLOCK_BYTES));
                sink.end_row().unwrap();
                tell.send(number).unwrap();
            }
            sink.end().unwrap();
        });
        assert!(matches!(stream.next(), Some(Message::Columns(_))));
        for number in 0..10 {
            let Some(Message::Rows(block)) = stream.next() else { panic!("row {number}") };
            assert_eq!(block.rows().count(), 1);
            // This one was taken, so that it is written; the next one waits until it is asked for.
            assert_eq!(told.recv().unwrap(), number);
            assert!(told.try_recv().is_err(), "after row {number}");
            stream.give_back(block);
        }
        assert!(matches!(stream.next(), Some(Message::End)));
        assert!(stream.next().is_none());
        writer.join().unwrap();
    }

    #[test]
    fn a_dropped_stream_stops_the_sink() {
        let (mut sink, stream) = channel();
        drop(stream);
        assert_eq!(sink.columns(vec![]), Err(Stopped));
    }
}
