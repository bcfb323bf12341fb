//! The tables of a SQLite file as CSV drops, written by another library than sispush's.

use std::fs::File;
use std::path::Path;

use rusqlite::types::Value;

/// Writes every table into a file of `folder`; NULL becomes an empty field.
pub fn write(database: &Path, folder: &Path, delimiter: u8) {
    let database = rusqlite::Connection::open(database).unwrap();
    let mut tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
    for table in tables.query_map([], |row| row.get::<_, String>(0)).unwrap() {
        let table = table.unwrap();
        let mut select = database.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let width = select.column_count();
        let file = File::create(folder.join(format!("{table}.csv"))).unwrap();
        let mut writer =
            csv::WriterBuilder::new().delimiter(delimiter).terminator(csv::Terminator::CRLF).from_writer(file);
        writer.write_record(select.column_names()).unwrap();
        let mut rows = select.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let text = |index| match row.get::<_, Value>(index).unwrap() {
                Value::Null => String::new(),
                Value::Integer(number) => number.to_string(),
                Value::Text(text) => text,
                other => panic!("{other:?} has no text of its own"),
            };
            writer.write_record((0..width).map(text)).unwrap();
        }
        writer.flush().unwrap();
    }
}
