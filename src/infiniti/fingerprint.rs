//! What tells two rows apart without keeping them: a digest of a row, and keyed prints of it and of its values.
//!
//! A [`Digest`] is SHA-256, so that no two rows share one. It would let a guess of a whole row be confirmed, so it never
//! leaves the process: what is stored is a [`Fingerprint`], made of it with a random key that stays in the state.

use sha2::{Digest as _, Sha256};
use siphasher::sip::SipHasher13;
use siphasher::sip128::SipHasher24;

use super::contract::{Header, HeaderSet};

/// The digest of a patron: of the headers it fills, and of its line of CSV, or of all its lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest([u8; 16]);

impl Digest {
    /// The digest of a line that holds just the cells of `headers`.
    // What goes in here, and how, is part of every fingerprint already stored: raise `STATE_VERSION` to change it.
    pub(super) fn of(headers: HeaderSet, line: &[u8]) -> Self {
        let hash = Sha256::new_with_prefix(headers.bits().to_le_bytes()).chain_update(line).finalize();
        let mut digest = [0; 16];
        digest.copy_from_slice(&hash[..16]);
        Self(digest)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// The fingerprint of a row, for the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// One that was stored.
    pub fn stored(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// The key of a mapping's fingerprints. Random, and never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; 16]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(***)")
    }
}

impl Key {
    /// A new one.
    ///
    /// # Errors
    /// When the operating system has no random numbers to give.
    pub fn random() -> Result<Self, std::io::Error> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(std::io::Error::other)?;
        Ok(Self(key))
    }

    /// One that was stored.
    pub fn stored(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes, to be stored.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The fingerprint of a row.
    pub fn fingerprint(&self, digest: Digest) -> Fingerprint {
        Fingerprint(SipHasher24::new_with_key(&self.0).hash(&digest.0).as_bytes())
    }

    /// The print of one value, as its cell is written in CSV.
    pub fn print(&self, header: Header, cell: &[u8]) -> u64 {
        // Each header has a key of its own, so that equal values under two headers have nothing in common.
        let mut key = self.0;
        key[0] ^= u8::try_from(header.index()).unwrap_or_default();
        SipHasher13::new_with_key(&key).hash(cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infiniti::contract::{EMAILADDRESS, LIBRARYBARCODE, USERNAME};

    /// Every state that was ever written holds these: whoever changes them sends every school in full once.
    #[test]
    fn fingerprints_stay_what_they_were() {
        let headers = USERNAME.bit().union(EMAILADDRESS.bit());
        let digest = Digest::of(headers, b"jane.doe,jane@school.example\r\n");
        let key = Key::stored(*b"0123456789abcdef");
        let number = |bytes: &[u8; 16]| format!("{:032x}", u128::from_be_bytes(*bytes));
        assert_eq!(number(digest.bytes()), "29c6d091b85614394ef3da722548221e");
        assert_eq!(number(key.fingerprint(digest).bytes()), "6eb3055843fb086584a89b9afa9667d3");
        assert_eq!(format!("{:016x}", key.print(EMAILADDRESS, b"jane@school.example")), "de70692cd9214225");
    }

    #[test]
    fn the_same_cells_under_other_headers_are_another_row() {
        let line = b"jane.doe,4711\r\n";
        let one = Digest::of(USERNAME.bit().union(EMAILADDRESS.bit()), line);
        assert_ne!(one, Digest::of(USERNAME.bit().union(LIBRARYBARCODE.bit()), line));
        let key = Key::stored([7; 16]);
        assert_ne!(key.print(EMAILADDRESS, b"4711"), key.print(LIBRARYBARCODE, b"4711"));
    }

    #[test]
    fn keys_are_not_shown() {
        assert_eq!(format!("{:?}", Key::stored([7; 16])), "Key(***)");
    }
}
