//! How long ago, as an option says it: `30d`, `12h`, `90m`, `2w`.

/// Seconds of an age. The error says what an age looks like.
pub fn parse_age(text: &str) -> Result<u64, String> {
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        Some('w') => 7 * 86_400,
        _ => 0,
    };
    let digits = text.get(..text.len().saturating_sub(1)).unwrap_or_default();
    let plain = unit > 0 && !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    let count = digits.parse::<u64>().ok().filter(|_| plain);
    count
        .and_then(|count| count.checked_mul(unit))
        .ok_or_else(|| "an age is a number with s, m, h, d or w, as 30d".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_number_and_a_unit() {
        for (text, secs) in [("30d", 2_592_000), ("12h", 43_200), ("90m", 5400), ("0s", 0), ("2w", 1_209_600)] {
            assert_eq!(parse_age(text), Ok(secs), "{text}");
        }
        for wrong in
            ["", "d", "30", "-1d", "+1d", "1.5d", "1 d", "1y", "99999999999999999999d", "213503982334602d", "3ü"]
        {
            assert!(parse_age(wrong).is_err(), "{wrong}");
        }
    }
}
