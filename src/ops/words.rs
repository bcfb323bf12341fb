//! Counts and durations as people read them, the same in every output.

/// `12,345`.
pub(crate) fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 row`, `2 rows`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

/// `40 ms`, `0.4 s`, `12 s`, `3 min`, `2.0 h`.
pub(crate) fn took(seconds: f64) -> String {
    match seconds {
        ..0.1 => format!("{:.0} ms", seconds * 1_000.0),
        ..10.0 => format!("{seconds:.1} s"),
        ..100.0 => format!("{seconds:.0} s"),
        ..5_400.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3_600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_and_their_nouns_inflected() {
        assert_eq!([999, 1_000, 1_234_567].map(number), ["999", "1,000", "1,234,567"]);
        assert_eq!(counted(1, "row was", "rows were"), "1 row was");
        assert_eq!(counted(0, "row was", "rows were"), "0 rows were");
    }

    #[test]
    fn durations_are_as_exact_as_anybody_wants() {
        let all: Vec<String> = [0.04, 9.94, 12.4, 130.0, 7_200.0].into_iter().map(took).collect();
        assert_eq!(all, ["40 ms", "9.9 s", "12 s", "2 min", "2.0 h"]);
    }
}
