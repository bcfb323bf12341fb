//! A small generator of random numbers with a fixed seed: the same calls give the same numbers on every machine.

/// `SplitMix64` (Steele, Lea and Flood, 2014). Good enough to deal out names; not for secrets.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new() -> Self {
        Self::seeded(0)
    }

    /// Each seed begins elsewhere.
    pub(super) fn seeded(seed: u64) -> Self {
        Self(0x5150_05E5_C001_DA75 ^ seed)
    }

    /// A number from 0 to `limit` - 1; 0 if `limit` is 0.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        // The high half of the product: even enough, and never `limit` itself.
        let product = u128::from(self.next()) * limit as u128;
        usize::try_from(product >> 64).unwrap_or(0)
    }

    /// One of `items`, which is never empty here.
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// The numbers from 0 to `count` - 1 in a random order.
    pub(super) fn shuffled(&mut self, count: usize) -> Vec<usize> {
        let mut numbers: Vec<usize> = (0..count).collect();
        for place in (1..count).rev() {
            numbers.swap(place, self.below(place + 1));
        }
        numbers
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
