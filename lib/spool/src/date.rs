//! Days and times as people and scripts read them: UTC, ISO 8601.

/// Seconds in a day.
const DAY_SECS: i64 = 86_400;

/// The date of a day counted from 1970-01-01, as `2026-11-24`.
pub fn day_text(day: u32) -> String {
    let (year, month, day) = civil(day.into());
    format!("{year:04}-{month:02}-{day:02}")
}

/// The time of a second counted from 1970-01-01, as `2026-11-24T10:02:11Z`. Years beyond 9999 have more digits.
pub fn time_text(secs: i64) -> String {
    let (year, month, day) = civil(secs.div_euclid(DAY_SECS));
    let rest = secs.rem_euclid(DAY_SECS);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of the proleptic Gregorian calendar (Hinnant, "chrono-Compatible Low-Level Date Algorithms"):
/// years begin in March, so that the leap day is their last.
fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year_of_era + era * 400 + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_the_dates_of_the_calendar() {
        let table = [(0, "1970-01-01"), (19_782, "2024-02-29"), (19_783, "2024-03-01"), (20_781, "2026-11-24")];
        for (day, date) in
            table.into_iter().chain([(11_016, "2000-02-29"), (47_540, "2100-02-28"), (47_541, "2100-03-01")])
        {
            assert_eq!(day_text(day), date);
        }
        // One after another, through 400 years and a bit.
        let (mut last, mut count) = (civil(-1), 0);
        for day in 0..150_000 {
            let now = civil(day);
            let next_month = if last.1 == 12 { (last.0 + 1, 1, 1) } else { (last.0, last.1 + 1, 1) };
            assert!(now == (last.0, last.1, last.2 + 1) || now == next_month, "{last:?} {now:?}");
            count += i32::from(now.1 == 2 && now.2 == 29);
            last = now;
        }
        assert_eq!(count, 100, "leap days from 1970 to 2380");
    }

    #[test]
    fn times_have_seconds() {
        assert_eq!(time_text(0), "1970-01-01T00:00:00Z");
        assert_eq!(time_text(-1), "1969-12-31T23:59:59Z");
        assert_eq!(time_text(1_795_514_531), "2026-11-24T10:02:11Z");
    }
}
