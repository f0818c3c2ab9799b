//! How times and sizes are written where people write them: in the configuration and behind a
//! stream's URL. One number and one unit, nothing between or around them, so that each quantity has
//! one plain spelling.

use std::time::Duration;

/// A time: digits and `ms`, `s`, `m` or `h`.
pub fn duration(text: &str) -> Option<Duration> {
    let (digits, unit) = number_and_unit(text)?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    digits.checked_mul(unit_ms).map(Duration::from_millis)
}

/// A size in bytes: digits and a unit; KiB and its kin count in 1024, KB and its kin in 1000.
pub fn size(text: &str) -> Option<usize> {
    let (digits, unit) = number_and_unit(text)?;
    let unit_bytes: u64 = match unit {
        "B" => 1,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    usize::try_from(digits.checked_mul(unit_bytes)?).ok()
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let unit_at = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (digits, unit) = text.split_at(unit_at);
    Some((digits.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_one_number_and_one_unit() {
        assert_eq!(duration("20ms"), Some(Duration::from_millis(20)));
        assert_eq!(duration("1s"), Some(Duration::from_secs(1)));
        assert_eq!(duration("5m"), Some(Duration::from_secs(300)));
        assert_eq!(duration("2h"), Some(Duration::from_secs(7200)));
        assert_eq!(duration("0s"), Some(Duration::ZERO));
        let max = "18446744073709551615h";
        for wrong in ["", "s", "5", "5 s", " 5s", "5s ", "-5s", "+5s", "1.5s", "5S", "1m30s", max] {
            assert_eq!(duration(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn sizes_tell_binary_from_decimal_units() {
        assert_eq!(size("64KiB"), Some(65_536));
        assert_eq!(size("64KB"), Some(64_000));
        assert_eq!(size("1MiB"), Some(1_048_576));
        assert_eq!(size("1MB"), Some(1_000_000));
        assert_eq!(size("0B"), Some(0));
        for wrong in ["", "KiB", "64", "64K", "64kb", "64 KiB", "-1B", "1.5MiB", "99999999999GiB"] {
            assert_eq!(size(wrong), None, "{wrong:?}");
        }
    }
}
