//! A text that is never shown: every password, and every text that may hold one.

use std::fmt;

use secrecy::ExposeSecret as _;

/// A secret. Printed it is `***`, whatever it holds, so that no log, error or crash text can show it by accident; its memory
/// is overwritten when it is no longer needed. It cannot be compared or serialised either: whoever needs the text says so by
/// [`expose_secret`](Self::expose_secret).
#[derive(Clone)]
pub struct Secret(
    #[expect(clippy::disallowed_types, reason = "the one place where it is wrapped")] secrecy::SecretString,
);

impl Secret {
    /// The text itself.
    pub fn expose_secret(&self) -> &str {
        self.0.expose_secret()
    }
}

/// What is printed in the place of a secret. Its length tells nothing.
const SHOWN: &str = "***";

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(SHOWN)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHOWN)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_printed_as_stars() {
        for text in ["canary", "", "***", "a\nb"] {
            let secret = Secret::from(text);
            assert_eq!(format!("{secret} {secret:?} {secret:#?} {secret:5}"), "*** *** *** ***  ");
            assert_eq!(format!("{:?}", Some(secret.clone())), "Some(***)");
            assert_eq!(secret.expose_secret(), text);
            assert_eq!(Secret::from(text.to_owned()).expose_secret(), text);
        }
    }
}
