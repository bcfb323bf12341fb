//! A school with accounts, contacts, pictures and groups, some of which break a rule.

use std::fs;
use std::io::Cursor;

use super::context::TestContext;

/// Four pupils, of whom one has no contact, one no picture that can be sent, one no group. What is of `nemo.kin` and 9999 is of
/// nobody who has an account.
const SIS: &str = "
    CREATE TABLE students (login text, given text, family text, email text, year integer, barcode text, form text);
    INSERT INTO students VALUES
        ('ann.lee', 'Ann', 'Lee', 'ann.lee@school.example', 2031, '0001', '7A'),
        ('bob.ray', 'Bob', 'Ray', 'bob.ray@school.example', 2031, '0002', '7A'),
        ('cem.oz', 'Cem', 'Oz', 'cem.oz@school.example', 2030, '0003', '8B'),
        ('dee.fox', 'Dee', 'Fox', 'dee.fox@school.example', 2029, '0004', '9C');
    CREATE TABLE guardians (login text, kind text, addressee text, contact text);
    INSERT INTO guardians VALUES
        ('ann.lee', 'phone', 'Jo Lee', ' 0412 345 678 '),
        ('ann.lee', 'email', 'Jo Lee', 'jo@home.example; lee@home.example'),
        ('bob.ray', 'email', 'Al Ray', 'canary at home'),
        ('bob.ray', 'phone', 'Al Ray', '0400 000 000'),
        ('nemo.kin', 'email', 'Kim Kin', 'kim@home.example'),
        ('cem.oz', 'email', 'Ada Oz', NULL);
    CREATE TABLE library_groups (login text, name text);
    INSERT INTO library_groups VALUES
        ('ann.lee', 'students'), ('ann.lee', 'Chess'), ('bob.ray', 'Students'), ('dee.fox', 'Staff'), ('dee.fox', 'Staff');";

/// The mapping's feeds beside the accounts, and the accounts' last column.
const MORE: &str = "      adminsystemid: barcode
limits: { max_rejections: 100% }
contacts:
  extracts:
    - name: guardians
      query: SELECT login, kind, addressee, contact FROM guardians ORDER BY rowid
      columns:
        username: login
        type: kind
        role: { value: guardian }
        primary: { value: true }
        addressee: addressee
        contact: { column: contact, split: \";\" }
        scenarios: { value: ANY }
images:
  path: /sandbox/images
  folder: photos
groups:
  path: /sandbox/groups/{mode}
  mode: add
  header: group
  allow: [Students, Staff]
  extracts:
    - name: groups
      query: SELECT login, name FROM library_groups ORDER BY rowid
      columns: { username: login, group: name }
";

/// The school, with a sandbox; `more` goes to the mapping's end.
pub fn school(more: &str) -> TestContext {
    let context = TestContext::with_sandbox(&[]);
    context.sis(SIS).mapping(&format!("{MORE}{more}"));
    fs::create_dir(context.path("photos")).unwrap();
    context.write("photos/0001.jpg", png(60)).write("photos/0002.png", png(200));
    context.write("photos/0003.jpg", "canary, and no picture").write("photos/9999.png", png(10));
    context
}

/// A picture of so many pixels on each side.
pub fn png(side: u32) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image::DynamicImage::new_rgb8(side, side).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}
