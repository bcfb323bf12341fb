//! Why work on a session ended early, for the engines that sort out the driver's error themselves.

use std::time::Duration;

use super::SourceError;
use super::row::Stopped;

/// Why work on a session ended early; `E` is the driver's error.
#[derive(Debug)]
pub(super) enum Failure<E> {
    /// The sink wants no more rows.
    Stopped,
    /// The time limit was reached.
    Timeout,
    /// The server, the driver or its manager failed.
    Driver(E),
    /// It is clear already.
    Source(SourceError),
}

impl<E> Failure<E> {
    /// The driver's error, which the engine explains.
    ///
    /// # Errors
    /// What is clear without it.
    pub(super) fn into_driver(self, limit: Duration) -> Result<E, SourceError> {
        match self {
            Self::Driver(error) => Ok(error),
            Self::Source(error) => Err(error),
            Self::Timeout => Err(SourceError::Timeout { limit }),
            // Handled before; said in some way all the same.
            Self::Stopped => Err(SourceError::Other { message: "the reading side stopped".to_owned() }),
        }
    }
}

impl<E> From<SourceError> for Failure<E> {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl<E> From<Stopped> for Failure<E> {
    fn from(Stopped: Stopped) -> Self {
        Self::Stopped
    }
}
