//! Times as crontab(5) has them: minute, hour, day of the month, month, day of the week.
//!
//! What the crate can beyond crontab(5) is refused, so that a rule means what everybody's crontab means.

use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

/// From here a schedule must come to a time; 29 February on each day of the week lies within 40 years of it.
const BEGIN: DateTime = DateTime::constant(2000, 1, 1, 0, 0, 0, 0);

/// Five fields of crontab(5) that come to a time again and again. Two are equal if they are written the same.
#[derive(Debug, Clone)]
pub struct Cron {
    text: String,
    times: croner::Cron,
}

impl Cron {
    /// Reads five fields. The error says what is wrong with them.
    pub fn parse(text: &str) -> Result<Cron, String> {
        if let Some(why) = beyond_crontab(text) {
            return Err(format!("{text:?}: {why}"));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Optional).build();
        let times = parser.parse(text).map_err(|e| format!("{text:?}: {}", e.to_string().trim_end_matches('.')))?;
        times.find_next_occurrence(&BEGIN, true).map_err(|_| format!("{text:?}: there is no such day"))?;
        Ok(Cron { text: text.to_owned(), times })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it comes to a time after `from_secs` and not after `until_secs`, both in seconds since 1970, in the local
    /// time of `zone`. A time that the clock leaves out in spring counts at the end of the gap, one that it has twice in
    /// autumn once, unless minute or hour is `*`.
    pub fn comes_within(&self, from_secs: u64, until_secs: u64, zone: &TimeZone) -> bool {
        let until = local(until_secs, zone);
        let next = local(from_secs, zone).and_then(|from| self.times.find_next_occurrence(&from, false).ok());
        next.zip(until).is_some_and(|(next, until)| next <= until)
    }
}

/// `None` for what is beyond all calendars.
fn local(secs: u64, zone: &TimeZone) -> Option<Zoned> {
    let at = i64::try_from(secs).ok().and_then(|secs| Timestamp::from_second(secs).ok())?;
    Some(at.to_zoned(zone.clone()))
}

/// Why it is not what crontab(5) has, if it is not.
fn beyond_crontab(text: &str) -> Option<String> {
    let fields = text.split_ascii_whitespace().count();
    if fields != 5 {
        return Some(format!("{fields} fields where crontab(5) has five"));
    }
    let is_ours = |c: char| c.is_ascii_alphanumeric() || matches!(c, '*' | ',' | '-' | '/' | ' ' | '\t');
    if let Some(other) = text.chars().find(|c| !is_ours(*c)) {
        return Some(format!("crontab(5) knows no {other:?}"));
    }
    // Names have three letters; `L` and `W` are others' inventions.
    let mut words = text.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty());
    words.find(|word| word.len() != 3).map(|word| format!("crontab(5) knows no {word:?}"))
}

impl PartialEq for Cron {
    fn eq(&self, other: &Cron) -> bool {
        self.text == other.text
    }
}

impl Eq for Cron {}

impl<'de> Deserialize<'de> for Cron {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Cron::parse(&String::deserialize(from)?).map_err(de::Error::custom)
    }
}

impl Serialize for Cron {
    fn serialize<S: Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        into.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds since 1970 of a time in UTC.
    fn utc(text: &str) -> u64 {
        let time: DateTime = text.parse().unwrap();
        TimeZone::UTC.to_timestamp(time).unwrap().as_second() as u64
    }

    #[test]
    fn a_schedule_is_due_when_one_of_its_times_was_passed() {
        let table = [
            ("*/15 * * * *", "2026-11-24T10:00:00", "2026-11-24T10:15:00", true),
            ("*/15 * * * *", "2026-11-24T10:00:00", "2026-11-24T10:14:59", false),
            ("*/15 * * * *", "2026-11-24T09:59:59", "2026-11-24T10:00:00", true),
            ("*/15 * * * *", "2026-11-24T10:15:00", "2026-11-24T10:15:00", false),
            ("0 2 * * *", "2026-11-24T02:00:00", "2026-11-25T01:59:59", false),
            ("0 2 * * *", "2026-11-24T02:00:00", "2026-11-25T02:00:00", true),
            ("0 2 * * *", "2026-11-01T00:00:00", "2026-11-24T00:00:00", true),
            ("30 8-17/3 * * mon-fri", "2026-11-20T17:30:00", "2026-11-23T08:29:00", false),
            ("30 8-17/3 * * MON-FRI", "2026-11-20T17:30:00", "2026-11-23T08:30:00", true),
            ("0 0 29 2 *", "2026-11-24T00:00:00", "2028-02-28T23:59:59", false),
            ("0 0 29 2 *", "2026-11-24T00:00:00", "2028-02-29T00:00:00", true),
            // Day of the month or of the week, where both are named.
            ("0 0 13 * 5", "2026-11-20T00:00:00", "2026-11-27T00:00:00", true),
            ("0 0 * * 7", "2026-11-28T00:00:00", "2026-11-29T00:00:00", true),
            ("0 0 * jan,jul *", "2026-11-28T00:00:00", "2026-12-31T23:59:59", false),
        ];
        for (text, from, until, due) in table {
            let cron = Cron::parse(text).unwrap();
            assert_eq!(cron.comes_within(utc(from), utc(until), &TimeZone::UTC), due, "{text} {from} {until}");
        }
    }

    #[test]
    fn a_schedule_means_local_time() {
        let noon = Cron::parse("0 12 * * *").unwrap();
        let east = TimeZone::fixed(jiff::tz::offset(3));
        let at = |text| utc(text) - 3 * 3600;
        assert!(noon.comes_within(at("2026-11-24T11:59:59"), at("2026-11-24T12:00:00"), &east));
        assert!(!noon.comes_within(at("2026-11-24T12:00:00"), at("2026-11-25T11:59:59"), &east));
    }

    /// The rules of the zone stand here, so that no table of the system's is asked.
    #[test]
    fn a_change_of_the_clock_neither_loses_a_time_nor_doubles_it() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let night = Cron::parse("30 2 * * *").unwrap();
        let count = |cron: &Cron, from: u64| {
            (from..from + 86_400).step_by(60).filter(|at| cron.comes_within(at - 60, *at, &zone)).collect::<Vec<_>>()
        };
        // 2026-03-29: 02:00 to 03:00 is left out, at 01:00 UTC. 2026-10-25: it comes twice, from 00:00 UTC on.
        assert_eq!(count(&night, utc("2026-03-28T22:00:00")), [utc("2026-03-29T01:00:00")]);
        assert_eq!(count(&night, utc("2026-10-24T22:00:00")), [utc("2026-10-25T00:30:00")]);
        let each_hour = Cron::parse("30 * * * *").unwrap();
        assert_eq!(count(&each_hour, utc("2026-10-24T22:00:00")).len(), 24);
    }

    #[test]
    fn a_clock_beyond_all_calendars_makes_nothing_due() {
        let always = Cron::parse("* * * * *").unwrap();
        for (from, until) in [(0, u64::MAX), (u64::MAX - 1, u64::MAX), (1 << 40, (1 << 40) + 60), (60, 0)] {
            assert!(!always.comes_within(from, until, &TimeZone::UTC), "{from} {until}");
        }
    }

    #[test]
    fn what_crontab_does_not_have_is_refused() {
        let table = [
            ("", "0 fields"),
            ("* * * *", "4 fields"),
            ("0 * * * * *", "6 fields"),
            ("0 0 0 * * * 2030", "7 fields"),
            ("@hourly", "1 fields"),
            ("@ @ @ @ @", "knows no '@'"),
            ("0 0 L * *", "knows no \"L\""),
            ("0 0 15W * *", "knows no \"W\""),
            ("0 0 * * 5#2", "knows no '#'"),
            ("0 0 ? * *", "knows no '?'"),
            ("0 0 13 * +5", "knows no '+'"),
            ("0 0 * * monday", "knows no \"monday\""),
            ("0 0 * * mun", "llegal"),
            ("60 * * * *", "out of bounds"),
            ("* 24 * * *", "out of bounds"),
            ("* * 0 * *", "out of bounds"),
            ("* * * 13 *", "out of bounds"),
            ("* * * * 8", "out of bounds"),
            ("5-1 * * * *", "Range"),
            ("*/0 * * * *", "tep"),
            ("0 0 30 2 *", "no such day"),
            ("0 0 31 4,6,9,11 *", "no such day"),
            ("* * *\n* *", "knows no '\\n'"),
        ];
        for (text, why) in table {
            let error = Cron::parse(text).expect_err(text);
            assert!(error.contains(why) && !error.ends_with('.'), "{text:?}: {error}");
        }
    }
}
