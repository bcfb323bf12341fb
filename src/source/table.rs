//! Small results, read whole: catalogues, facts of a server, samples. Patrons come another way ([`super::row`]).

use super::row::{Column, Message, channel};
use super::{Source, SourceError};

/// A result, or its first rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The columns in the order of the result.
    pub columns: Vec<Column>,
    /// The rows, each with a cell a column; blank for NULL.
    pub rows: Vec<Vec<String>>,
    /// Whether the result went on. The session is then only good for closing.
    pub is_cut: bool,
}

/// Runs one query and keeps its first `most` rows.
///
/// # Errors
/// Any [`SourceError`] of the query.
pub async fn read(session: &mut dyn Source, query: &str, most: usize) -> Result<Table, SourceError> {
    let (mut sink, stream) = channel();
    let worker = std::thread::spawn(move || {
        let mut table = Table::default();
        while let Some(message) = stream.next() {
            match message {
                Message::Columns(columns) => table.columns = columns,
                Message::Rows(block) => {
                    for row in block.rows() {
                        if table.rows.len() == most {
                            table.is_cut = true;
                            return table;
                        }
                        table.rows.push((0..row.len()).map(|column| row.cell(column).to_owned()).collect());
                    }
                    stream.give_back(block);
                }
                Message::End => {}
            }
        }
        table
    });
    let result = session.extract(query, &mut sink).await;
    drop(sink);
    let table = worker.join().map_err(|_| SourceError::Other { message: "reading the result failed".into() })?;
    result.map(|()| table)
}

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::*;

    #[tokio::test]
    async fn a_result_is_read_whole_or_up_to_a_row() {
        let mut memory = Memory::default().with("q", &["a", "b"], &[&["1", ""], &["2", "x"], &["3", "y"]]);
        let table = read(&mut memory, "q", 3).await.unwrap();
        assert_eq!(table.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(table.rows, [["1", ""], ["2", "x"], ["3", "y"]]);
        assert!(!table.is_cut);
        let table = read(&mut memory, "q", 1).await.unwrap();
        assert_eq!((table.rows.len(), table.is_cut), (1, true));
        assert!(read(&mut memory, "another", 1).await.is_err());
    }
}
