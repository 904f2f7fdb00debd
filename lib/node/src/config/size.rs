//! Sizes as people write them.

/// Sizes are below this, as everywhere in Mailbag.
const LIMIT: u64 = 1 << 53;

/// Reads `10 GiB`, `500 MB`, `64K` or `4096`: KiB, MiB, GiB, TiB and the bare letters are powers of 1024; kB, MB, GB, TB of
/// 1000. Upper or lower case. The error says what is taken.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (&text[..end], text[end..].trim_start());
    let size = number.parse::<u64>().ok().zip(factor(unit)).and_then(|(number, factor)| number.checked_mul(factor));
    size.filter(|size| *size < LIMIT).ok_or_else(|| format!("not a size such as \"10 GiB\" or \"500 MB\": {text:?}"))
}

fn factor(unit: &str) -> Option<u64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let table =
            [("0", 0), ("4096", 4096), ("64K", 65536), ("10 GiB", 10 << 30), ("500 MB", 500_000_000), ("1kb", 1000)];
        for (text, size) in table {
            assert_eq!(parse_size(text), Ok(size), "{text}");
        }
        for bad in
            ["", "GiB", "-1", "1.5 GiB", "1 XB", "9999999 TiB", "99999999999999999999", "1 GiB x", "9007199254740992"]
        {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
