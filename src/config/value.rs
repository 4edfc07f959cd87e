//! Reading one value of the file: text, numbers, durations, addresses. Each reader says what it expected and how to
//! write it.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use dataplane::addr::Ipv4Prefix;
use serde::Serializer;
use toml::de::DeValue;

use super::mistake::{Located, Mistake};
use super::section::nearest;

type Value<'a> = DeValue<'a>;

fn wrong_type(found: &Value<'_>, wanted: &str, example: &str) -> Mistake {
    Mistake::new(
        format!("expected {wanted}, found a {}", found.type_str()),
        format!("write {wanted}, as in `{example}`"),
    )
}

/// A string.
pub(super) fn text(value: &Value<'_>) -> Result<String, Mistake> {
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| wrong_type(value, "a string", "\"text\""))
}

/// `true` or `false`.
pub(super) fn boolean(value: &Value<'_>) -> Result<bool, Mistake> {
    value
        .as_bool()
        .ok_or_else(|| wrong_type(value, "true or false", "true"))
}

/// An integer in `range`, which is counted in `unit` (a plural, or nothing).
pub(super) fn integer<N>(
    range: RangeInclusive<N>,
    unit: &str,
) -> impl Fn(&Value<'_>) -> Result<N, Mistake>
where
    N: TryFrom<i64> + PartialOrd + std::fmt::Display,
{
    let unit = if unit.is_empty() {
        String::new()
    } else {
        format!(" {unit}")
    };
    move |value| {
        let (low, high) = (range.start(), range.end());
        let Some(written) = value.as_integer() else {
            return Err(wrong_type(value, "an integer", &low.to_string()));
        };
        i64::from_str_radix(written.as_str(), written.radix())
            .ok()
            .and_then(|number| N::try_from(number).ok())
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                Mistake::new(
                    format!("{written} is out of range"),
                    format!("choose {low} to {high}{unit}"),
                )
            })
    }
}

/// A string that `T` reads; `what` it is and an `example` of it stand in the mistake.
pub(super) fn parsed<T: FromStr>(
    what: &'static str,
    example: &'static str,
) -> impl Fn(&Value<'_>) -> Result<T, Mistake>
where
    T::Err: std::fmt::Display,
{
    move |value| {
        let text = value
            .as_str()
            .ok_or_else(|| wrong_type(value, what, &format!("\"{example}\"")))?;
        text.parse().map_err(|reason| {
            Mistake::new(
                format!("\"{}\" is not {what}: {reason}", text.escape_debug()),
                format!("write {what}, as in \"{example}\""),
            )
        })
    }
}

/// One of several words.
pub(super) fn choice<T: Copy>(
    words: &'static [(&'static str, T)],
) -> impl Fn(&Value<'_>) -> Result<T, Mistake> {
    move |value| {
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let listed = all
            .iter()
            .map(|word| format!("\"{word}\""))
            .collect::<Vec<_>>()
            .join(", ");
        let text = value
            .as_str()
            .ok_or_else(|| wrong_type(value, "a string", &format!("\"{}\"", all.join("|"))))?;
        words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, meant)| *meant)
            .ok_or_else(|| {
                Mistake::new(
                    format!("\"{}\" is none of {listed}", text.escape_debug()),
                    match nearest(text, &all) {
                        Some(meant) => format!("did you mean \"{meant}\"?"),
                        None => format!("choose one of {listed}"),
                    },
                )
            })
    }
}

/// The units of a duration, the greatest first.
const UNITS: [(&str, u64); 4] = [
    ("min", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

/// A duration in `range`, written as a whole number and a unit: `"250us"`, `"10ms"`, `"1s"`, `"5min"`.
pub(super) fn duration(
    range: RangeInclusive<Duration>,
) -> impl Fn(&Value<'_>) -> Result<Duration, Mistake> {
    move |value| {
        const WHAT: &str = "a duration";
        let text = value
            .as_str()
            .ok_or_else(|| wrong_type(value, WHAT, "\"10ms\""))?;
        let duration = parse_duration(text).ok_or_else(|| {
            Mistake::new(
                format!("\"{}\" is not {WHAT}", text.escape_debug()),
                "write a whole number and one of the units us, ms, s, min, as in \"10ms\"",
            )
        })?;
        if range.contains(&duration) {
            return Ok(duration);
        }
        Err(Mistake::new(
            format!("{text} is out of range"),
            format!(
                "choose {} to {}",
                duration_text(*range.start()),
                duration_text(*range.end())
            ),
        ))
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_us = UNITS
        .iter()
        .find(|(name, _)| *name == unit.trim_start())
        .map(|(_, us)| *us)?;
    let number: u64 = number.parse().ok()?;
    Some(Duration::from_micros(number.checked_mul(unit_us)?))
}

/// A duration as the file writes it, to the microsecond.
pub fn duration_text(duration: Duration) -> String {
    let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let (unit, unit_us) = UNITS
        .into_iter()
        .skip(1)
        .find(|(_, unit_us)| us % unit_us == 0)
        .unwrap_or(("us", 1));
    format!("{}{unit}", us / unit_us)
}

/// Serializes a duration as the file writes it.
pub(super) fn serialize_duration<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&duration_text(*duration))
}

/// Serializes prefixes as the file writes them.
pub(super) fn serialize_prefixes<S: Serializer>(
    prefixes: &[Located<Ipv4Prefix>],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(prefixes.iter().map(|prefix| prefix.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_back_as_written() {
        for text in ["0s", "250us", "10ms", "1500ms", "1s", "90s"] {
            assert_eq!(duration_text(parse_duration(text).unwrap()), text);
        }
        assert_eq!(parse_duration("2min"), Some(Duration::from_secs(120)));
        assert_eq!(parse_duration("2 ms"), Some(Duration::from_millis(2)));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "1",
            "ms",
            "-1s",
            "1.5s",
            "1h",
            "1 m s",
            "99999999999999999999s",
            "18446744073709551615s",
        ] {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
    }
}
