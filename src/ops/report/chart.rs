//! Charts as paths of SVG: numbers to coordinates. The drawing is stretched to whatever room it has, so it holds no text.

use std::fmt::Write as _;

/// The drawing's size in its own units.
pub(super) const WIDTH: u32 = 1000;
/// Likewise.
pub(super) const HEIGHT: u32 = 200;

/// Bars that stand one on the other, a path for each series, and the value at the top of the drawing.
pub(super) fn stacked(series: &[Vec<u64>]) -> (Vec<String>, u64) {
    let count = series.first().map_or(0, Vec::len);
    let total = |index: usize| series.iter().map(|values| values[index]).fold(0, u64::saturating_add);
    let top = round_up((0..count).map(total).max().unwrap_or_default());
    let mut paths = vec![String::new(); series.len()];
    for index in 0..count {
        let mut below = 0_u64;
        for (values, path) in series.iter().zip(&mut paths) {
            let above = below.saturating_add(values[index]);
            if above > below {
                bar(path, (index, count), scaled(below, top), scaled(above, top));
            }
            below = above;
        }
    }
    (paths, top)
}

/// One bar for each class in turn, of a height of its own, so that colour is not all that tells them apart: what a
/// sparkline of outcomes is made of. A value of nothing leaves a gap.
pub(super) fn heights(classes: usize, bars: &[Option<(usize, u32)>]) -> Vec<String> {
    let mut paths = vec![String::new(); classes];
    for (index, each) in bars.iter().enumerate() {
        if let Some((class, height)) = each {
            bar(&mut paths[*class], (index, bars.len()), 0, *height);
        }
    }
    paths
}

/// Adds one bar, between two heights from the ground.
fn bar(path: &mut String, (index, count): (usize, usize), from: u32, to: u32) {
    let place = |index: usize| index as u64 * u64::from(WIDTH) / count.max(1) as u64;
    let (left, right) = (place(index), place(index + 1));
    // A fifth of its room stays free, so that each bar can be told from the next.
    let width = ((right - left) * 4 / 5).max(1);
    // What is there is seen, however little it is.
    let height = (to - from).max(2);
    // Writing to a `String` does not fail.
    let _: std::fmt::Result = write!(path, "M{left} {}h{width}v-{height}h-{width}z", HEIGHT - from);
}

/// The height of a value in the drawing.
fn scaled(value: u64, top: u64) -> u32 {
    let height = u128::from(value) * u128::from(HEIGHT) / u128::from(top.max(1));
    u32::try_from(height).unwrap_or(HEIGHT).min(HEIGHT)
}

/// The next of 1, 2, 5, 10, 20, …, so that the axis reads well.
fn round_up(value: u64) -> u64 {
    let mut step = 1_u64;
    loop {
        for factor in [1, 2, 5] {
            let round = step.saturating_mul(factor);
            if round >= value {
                return round;
            }
        }
        step = step.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stand_on_each_other_below_a_round_number() {
        let (paths, top) = stacked(&[vec![3, 0], vec![1, 9]]);
        assert_eq!(top, 10);
        assert_eq!(paths, ["M0 200h400v-60h-400z", "M0 140h400v-20h-400zM500 200h400v-180h-400z"]);
        assert_eq!(stacked(&[vec![0, 0]]), (vec![String::new()], 1));
        assert_eq!(stacked(&[]), (Vec::new(), 1));
        assert_eq!(round_up(u64::MAX), u64::MAX);
    }

    #[test]
    fn what_is_there_is_seen() {
        assert_eq!(stacked(&[vec![1, 1_000_000]]).0, ["M0 200h400v-2h-400zM500 200h400v-200h-400z"]);
    }

    #[test]
    fn a_sparkline_has_gaps() {
        assert_eq!(
            heights(2, &[Some((0, 60)), None, Some((1, 200))]),
            ["M0 200h266v-60h-266z", "M666 200h267v-200h-267z"]
        );
    }
}
