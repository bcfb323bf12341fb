//! The text of a file, whatever its encoding: said, told by a byte order mark, UTF-8 if it is that, else Windows-1252.

use std::io::{self, Read, Seek};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// A file's text, decoded bit by bit.
pub(super) struct Decoded<R> {
    bytes: R,
    encoding: &'static Encoding,
    decoder: Decoder,
    /// Bytes on their way: those before `start` are decoded.
    raw: Vec<u8>,
    start: usize,
    is_over: bool,
}

/// Why there is no more text.
#[derive(Debug)]
pub(super) enum Broken {
    Io(io::Error),
    /// The bytes after what was decoded are no text in this encoding.
    Undecodable(&'static str),
}

const CHUNK_BYTES: usize = 64 * 1024;

impl<R: Read + Seek> Decoded<R> {
    /// Finds out the encoding, unless it is given, and starts at the first character. A mark says more than who gave it.
    pub(super) fn open(mut bytes: R, given: Option<&'static Encoding>) -> io::Result<Self> {
        let mut head = Vec::new();
        bytes.by_ref().take(3).read_to_end(&mut head)?;
        bytes.rewind()?;
        let marked = Encoding::for_bom(&head).map(|(encoding, _)| encoding);
        let encoding = if let Some(encoding) = marked.or(given) {
            encoding
        } else {
            let encoding = guess(&mut bytes)?;
            bytes.rewind()?;
            encoding
        };
        Ok(Self {
            bytes,
            encoding,
            // Takes a mark of this encoding away.
            decoder: encoding.new_decoder_with_bom_removal(),
            raw: Vec::new(),
            start: 0,
            is_over: false,
        })
    }
}

impl<R: Read> Decoded<R> {
    /// Adds some text to `out`; `false` at the end of the file. When it fails, what came before is in `out`.
    pub(super) fn read_more(&mut self, out: &mut String) -> Result<bool, Broken> {
        loop {
            if self.start == self.raw.len() {
                if self.is_over {
                    return Ok(false);
                }
                self.start = 0;
                self.raw.clear();
                self.is_over =
                    (&mut self.bytes).take(CHUNK_BYTES as u64).read_to_end(&mut self.raw).map_err(Broken::Io)?
                        < CHUNK_BYTES;
            }
            let raw = &self.raw[self.start..];
            out.reserve(self.decoder.max_utf8_buffer_length_without_replacement(raw.len()).unwrap_or(raw.len() * 3));
            let from = out.len();
            let (result, read) = self.decoder.decode_to_string_without_replacement(raw, out, self.is_over);
            self.start += read;
            if let Some(control) = self.control(&out[from..]) {
                out.truncate(from + control);
                return Err(Broken::Undecodable(self.encoding.name()));
            }
            match result {
                DecoderResult::Malformed(..) => return Err(Broken::Undecodable(self.encoding.name())),
                DecoderResult::InputEmpty | DecoderResult::OutputFull if out.len() > from => return Ok(true),
                DecoderResult::InputEmpty | DecoderResult::OutputFull => {}
            }
        }
    }

    /// Where a byte became a control character from U+0080 to U+009F: so browsers read what a code page does not have,
    /// and no SIS means them.
    fn control(&self, text: &str) -> Option<usize> {
        if [UTF_8, UTF_16LE, UTF_16BE].contains(&self.encoding) {
            return None;
        }
        let bytes = text.as_bytes();
        memchr::memchr_iter(0xC2, bytes).find(|at| bytes.get(at + 1).is_some_and(|next| (0x80..=0x9F).contains(next)))
    }
}

/// UTF-8 or Windows-1252. A text with letters of both is UTF-8 with a mistake if it is mostly that: read as Windows-1252,
/// every other letter would be wrong.
fn guess(bytes: &mut impl Read) -> io::Result<&'static Encoding> {
    let (mut letters, mut mistakes) = (0_u64, 0_u64);
    let mut raw = Vec::new();
    loop {
        let is_over = bytes.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut raw)? < CHUNK_BYTES;
        // A letter may be cut in two at the end.
        let whole = if is_over { raw.len() } else { raw.iter().rposition(u8::is_ascii).map_or(raw.len(), |at| at + 1) };
        if !raw[..whole].is_ascii() {
            for chunk in raw[..whole].utf8_chunks() {
                letters += chunk.valid().bytes().filter(|byte| *byte >= 0xC0).count() as u64;
                mistakes += u64::from(!chunk.invalid().is_empty());
            }
        }
        if is_over {
            return Ok(if mistakes > letters { WINDOWS_1252 } else { UTF_8 });
        }
        raw.drain(..whole);
    }
}
