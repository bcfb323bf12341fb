//! Packets and the messages of a client: MS-TDS 2.2.3, 2.2.6.4 (LOGIN7), 2.2.6.5 (PRELOGIN), 2.2.6.7 (`SQLBatch`).

use std::io::{self, Read, Write};

pub(super) const BATCH: u8 = 0x01;
pub(super) const ANSWER: u8 = 0x04;
pub(super) const ATTENTION: u8 = 0x06;
pub(super) const TRANSACTION: u8 = 0x0E;
pub(super) const LOGIN: u8 = 0x10;
pub(super) const PRELOGIN: u8 = 0x12;

pub(super) const ENCRYPT_OFF: u8 = 0;
pub(super) const ENCRYPT_ON: u8 = 1;
pub(super) const ENCRYPT_NOT_SUPPORTED: u8 = 2;
pub(super) const ENCRYPT_REQUIRED: u8 = 3;

const HEAD: usize = 8;
const PACKET: usize = 4096;
/// A client that claims more is not ours.
const MESSAGE_MAX: usize = 16 << 20;

pub(super) struct Message {
    pub(super) kind: u8,
    pub(super) body: Vec<u8>,
}

/// Reads packets up to the one that ends the message.
pub(super) fn read(stream: &mut (impl Read + ?Sized)) -> io::Result<Message> {
    let mut body = Vec::new();
    loop {
        let (kind, last) = read_packet(stream, &mut body)?;
        if last {
            return Ok(Message { kind, body });
        }
        if body.len() > MESSAGE_MAX {
            return Err(io::Error::other("the message is too long"));
        }
    }
}

pub(super) fn read_packet(stream: &mut (impl Read + ?Sized), body: &mut Vec<u8>) -> io::Result<(u8, bool)> {
    let mut head = [0; HEAD];
    stream.read_exact(&mut head)?;
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let start = body.len();
    body.resize(start + length.checked_sub(HEAD).ok_or_else(|| io::Error::other("a packet shorter than its head"))?, 0);
    stream.read_exact(&mut body[start..])?;
    Ok((head[0], head[1] & 1 == 1))
}

/// Writes a whole answer.
pub(super) fn write(stream: &mut (impl Write + ?Sized), body: &[u8]) -> io::Result<()> {
    write_packets(stream, ANSWER, body, true)
}

/// Writes the beginning of an answer that goes on, or would have.
pub(super) fn write_part(stream: &mut (impl Write + ?Sized), body: &[u8]) -> io::Result<()> {
    write_packets(stream, ANSWER, body, false)
}

pub(super) fn write_packets(stream: &mut (impl Write + ?Sized), kind: u8, body: &[u8], ends: bool) -> io::Result<()> {
    let mut packets = body.chunks(PACKET - HEAD).peekable();
    let mut number = 1_u8;
    let mut bytes = Vec::with_capacity(PACKET);
    while let Some(packet) = packets.next() {
        bytes.clear();
        let length = u16::try_from(packet.len() + HEAD).unwrap().to_be_bytes();
        let status = u8::from(ends && packets.peek().is_none());
        bytes.extend([kind, status, length[0], length[1], 0, 51, number, 0]);
        bytes.extend(packet);
        stream.write_all(&bytes)?;
        number = number.wrapping_add(1);
    }
    stream.flush()
}

/// The client's wish for encryption.
pub(super) fn encryption_asked(body: &[u8]) -> u8 {
    body.chunks_exact(5)
        .take_while(|option| option[0] != 0xFF)
        .find(|option| option[0] == 1)
        .and_then(|option| body.get(usize::from(u16::from_be_bytes([option[1], option[2]]))).copied())
        .unwrap_or(ENCRYPT_NOT_SUPPORTED)
}

/// Version 16.0, the encryption, no instance to complain about, no MARS.
pub(super) fn prelogin_answer(encryption: u8) -> Vec<u8> {
    let options: [(u8, &[u8]); 4] = [(0, &[16, 0, 0x03, 0xE8, 0, 0]), (1, &[encryption]), (2, &[0]), (4, &[0])];
    let mut head = Vec::new();
    let mut data: Vec<u8> = Vec::new();
    let start = options.len() * 5 + 1;
    for (option, value) in options {
        head.push(option);
        head.extend(u16::try_from(start + data.len()).unwrap().to_be_bytes());
        head.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        data.extend(value);
    }
    head.push(0xFF);
    head.extend(data);
    head
}

pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
    pub(super) application: String,
    pub(super) database: String,
    pub(super) read_only: bool,
}

pub(super) fn parse_login(message: &Message) -> io::Result<Login> {
    let body = &message.body;
    if message.kind != LOGIN || body.len() < 94 {
        return Err(io::Error::other("no login"));
    }
    let bytes = |at: usize| -> io::Result<Vec<u8>> {
        let start = usize::from(u16::from_le_bytes([body[at], body[at + 1]]));
        let length = 2 * usize::from(u16::from_le_bytes([body[at + 2], body[at + 3]]));
        body.get(start..start + length).map(<[u8]>::to_vec).ok_or_else(|| io::Error::other("a text outside the login"))
    };
    let text = |at: usize| bytes(at).map(|bytes| utf16(&bytes));
    let password: Vec<u8> = bytes(44)?.into_iter().map(|byte| (byte ^ 0xA5).rotate_left(4)).collect();
    Ok(Login {
        user: text(40)?,
        password: utf16(&password),
        application: text(48)?,
        database: text(68)?,
        read_only: body[26] & 0x20 != 0,
    })
}

/// The descriptor of the transaction that the client believes to be in, and the SQL.
pub(super) fn parse_batch(message: &Message) -> io::Result<(u64, String)> {
    let (descriptor, rest) = after_headers(&message.body)?;
    Ok((descriptor, utf16(rest)))
}

/// A request to the transaction manager (MS-TDS 2.2.7.17), as the batch that says the same.
pub(super) fn parse_transaction(message: &Message) -> io::Result<(u64, &'static str)> {
    let (descriptor, rest) = after_headers(&message.body)?;
    let begins_another = rest.last().is_some_and(|flags| flags & 1 == 1);
    let sql = match (rest, begins_another) {
        ([5, 0, ..], _) => "BEGIN TRAN",
        ([7, 0, ..], false) => "COMMIT TRAN",
        ([7, 0, ..], true) => "COMMIT TRAN; BEGIN TRAN",
        ([8, 0, ..], false) => "ROLLBACK TRAN",
        ([8, 0, ..], true) => "ROLLBACK TRAN; BEGIN TRAN",
        _ => return Err(io::Error::other("a request about transactions that is not known")),
    };
    Ok((descriptor, sql))
}

/// The descriptor of the transaction, and what stands after the headers.
fn after_headers(body: &[u8]) -> io::Result<(u64, &[u8])> {
    let wrong = || io::Error::other("a message without its headers");
    let number = |at: usize| {
        body.get(at..at + 4).map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap()) as usize).ok_or_else(wrong)
    };
    let end = number(0)?;
    let mut at = 4;
    let mut descriptor = 0;
    while at < end {
        let length = number(at)?.max(6);
        if body.get(at + 4..at + 6) == Some(&[2, 0]) {
            descriptor = u64::from_le_bytes(body.get(at + 6..at + 14).ok_or_else(wrong)?.try_into().unwrap());
        }
        at += length;
    }
    Ok((descriptor, body.get(end..).ok_or_else(wrong)?))
}

fn utf16(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    String::from_utf16(&units).unwrap()
}
