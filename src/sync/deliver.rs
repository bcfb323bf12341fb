//! Sends one batch, and finds the bad rows of one that is refused as a whole.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::album::Album;
use super::plan::{Content, Plan};
use super::prepare::{Prepared, prepare};
use super::{ExtractError, Progress};
use crate::infiniti::client::{Payload, Receipt, Route, Target, TargetError};
use crate::mapping::Mapping;

/// Sends a batch, in halves if it is refused as a whole.
pub(super) async fn deliver(
    mapping: &Arc<Mapping>,
    album: Option<&Arc<Album>>,
    (target, progress): (&Target, &Arc<Progress>),
    plan: &Plan,
    content: &Content,
    halvings: &mut u32,
) -> Delivery {
    let count = content.patrons();
    let mut delivery = Delivery { outcomes: vec![RowOutcome::NotSent; count], ..Delivery::default() };
    let feed = mapping.feeds().find(|feed| *feed.contract == *plan.contract());
    let path = feed.map_or("", |feed| &feed.path);
    let route = Route { contract: plan.contract(), path };
    let whole = 0..count;
    let mut left = vec![whole];
    while let Some(patrons) = left.pop() {
        let part = if patrons.len() == count { content.clone() } else { content.part(patrons.clone()) };
        let prepared = match prepare(mapping, album, &part).await {
            Ok(prepared) => prepared,
            Err(error) => {
                delivery.source_error = Some(error);
                break;
            }
        };
        for (number, why) in &prepared.unsent {
            delivery.unsent.push((patrons.start + number, why.clone()));
        }
        let is_left_empty = !prepared.unsent.is_empty() && prepared.payload.rows() == 0;
        if is_left_empty {
            continue;
        }
        let payload = Arc::clone(&prepared.payload);
        let length = payload.length();
        let counted = Arc::new(Counted { payload, progress: Arc::clone(progress) });
        let result = target.push(route, counted).await;
        if result.as_ref().err().is_none_or(TargetError::is_unknown) {
            delivery.requests += 1;
            delivery.rows += prepared.payload.rows() as u64;
            delivery.bytes += length;
        }
        match result {
            Ok(receipt) => delivery.accept(&receipt, &prepared, &patrons),
            Err(error) if error.is_unknown() => {
                delivery.all(&prepared, &patrons, RowOutcome::Unknown);
                delivery.error = Some(error);
                break;
            }
            Err(error) if error.is_for_the_whole() && patrons.len() > 1 && *halvings >= 2 => {
                *halvings -= 2;
                // They are found again in the halves.
                delivery.unsent.retain(|(number, _)| !patrons.contains(number));
                tracing::warn!(
                    rows = part.rows(),
                    reason = %error,
                    "batch refused as a whole, sending it in halves"
                );
                let middle = patrons.start + patrons.len() / 2;
                left.push(middle..patrons.end);
                left.push(patrons.start..middle);
            }
            // Alone in its batch, and Infiniti has taken others: it is this patron that is refused. Nobody else waits for that,
            // be it every night.
            Err(error @ TargetError::Refused { .. }) if patrons.len() == 1 && (count > 1 || plan.has_baseline) => {
                let words = error.words().map_or_else(|| error.to_string(), |words| words.as_str().to_owned());
                delivery.fail(patrons.start, &words);
            }
            // A zip of one picture cannot be smaller: the other pictures, and the other feeds, do not wait for it.
            Err(error @ TargetError::TooLarge { .. }) if patrons.len() == 1 && plan.contract().is_pictured() => {
                let words = [Some(error.to_string()), error.hint().map(|hint| hint.to_string())];
                delivery.fail(patrons.start, &words.into_iter().flatten().collect::<Vec<_>>().join(": "));
            }
            Err(error) => {
                delivery.error = Some(error);
                break;
            }
        }
    }
    delivery
}

/// What became of the patrons of a batch.
#[derive(Default)]
pub(super) struct Delivery {
    pub(super) outcomes: Vec<RowOutcome>,
    /// By the number of the patron, in the order of the rows' answers, with Infiniti's words.
    pub(super) failed: Vec<(usize, String)>,
    pub(super) created: u64,
    pub(super) updated: u64,
    pub(super) requests: u64,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// By the number of the patron, why the picture is not sent.
    pub(super) unsent: Vec<(usize, String)>,
    pub(super) error: Option<TargetError>,
    pub(super) source_error: Option<ExtractError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowOutcome {
    NotSent,
    Accepted,
    Failed,
    Unknown,
}

impl Delivery {
    /// Of a patron with several rows all must be accepted.
    fn accept(&mut self, receipt: &Receipt, sent: &Prepared, patrons: &Range<usize>) {
        self.all(sent, patrons, RowOutcome::Accepted);
        for row in receipt.unknown() {
            self.outcomes[patrons.start + sent.number_of(*row)] = RowOutcome::Unknown;
        }
        for failed in receipt.failed() {
            self.fail(patrons.start + sent.number_of(failed.row), failed.message.as_str());
        }
        self.created += receipt.created() as u64;
        self.updated += receipt.updated() as u64;
    }

    /// Gives all patrons who were sent one outcome.
    fn all(&mut self, sent: &Prepared, patrons: &Range<usize>, outcome: RowOutcome) {
        self.outcomes[patrons.clone()].fill(outcome);
        for (number, _) in &sent.unsent {
            self.outcomes[patrons.start + number] = RowOutcome::NotSent;
        }
    }

    fn fail(&mut self, number: usize, words: &str) {
        self.outcomes[number] = RowOutcome::Failed;
        match self.failed.last_mut().filter(|(last, _)| *last == number) {
            Some((_, said)) if said.split("; ").any(|each| each == words) => {}
            Some((_, said)) => {
                said.push_str("; ");
                said.push_str(words);
            }
            None => self.failed.push((number, words.to_owned())),
        }
    }
}

/// A payload that tells how much of it has left.
struct Counted {
    payload: Arc<dyn Payload>,
    progress: Arc<Progress>,
}

impl Payload for Counted {
    fn rows(&self) -> usize {
        self.payload.rows()
    }

    fn patrons(&self) -> usize {
        self.payload.patrons()
    }

    fn media_type(&self) -> &'static str {
        self.payload.media_type()
    }

    fn length(&self) -> u64 {
        self.payload.length()
    }

    fn chunks(self: Arc<Self>) -> Box<dyn Iterator<Item = Bytes> + Send> {
        let chunks = Arc::clone(&self.payload).chunks();
        Box::new(chunks.inspect(move |chunk| self.progress.add_bytes(chunk.len() as u64)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three rows of two patrons, as a zip.
    struct Three;

    impl Payload for Three {
        fn rows(&self) -> usize {
            3
        }

        fn patrons(&self) -> usize {
            2
        }

        fn media_type(&self) -> &'static str {
            "application/zip"
        }

        fn length(&self) -> u64 {
            5
        }

        fn chunks(self: Arc<Self>) -> Box<dyn Iterator<Item = Bytes> + Send> {
            Box::new([Bytes::from_static(b"thr"), Bytes::from_static(b"ee")].into_iter())
        }
    }

    #[test]
    fn who_counts_bytes_changes_nothing_of_what_is_sent() {
        let progress = Arc::new(Progress::default());
        let counted = Arc::new(Counted { payload: Arc::new(Three), progress: Arc::clone(&progress) });
        assert_eq!((counted.rows(), counted.patrons(), counted.length()), (3, 2, 5));
        assert_eq!(counted.media_type(), "application/zip");
        assert_eq!(counted.chunks().collect::<Vec<_>>().concat(), b"three");
        assert_eq!(progress.bytes(), 5);
    }
}
