//! The JSON forms of OData's primitive types, as Graph writes them.

use serde_json::Value;

/// Whether the value has the form of the primitive type (`Edm.Int32` …); `None` when the type is none of those that Graph uses in JSON.
pub(crate) fn has_form(type_name: &str, value: &Value) -> Option<bool> {
    let text = |form: fn(&str) -> bool| value.as_str().is_some_and(form);
    let integer = |min: i64, max: i64| value.as_i64().is_some_and(|n| (min..=max).contains(&n));
    Some(match type_name {
        "Edm.String" => value.is_string(),
        "Edm.Boolean" => value.is_boolean(),
        "Edm.Byte" => integer(0, u8::MAX.into()),
        "Edm.SByte" => integer(i8::MIN.into(), i8::MAX.into()),
        "Edm.Int16" => integer(i16::MIN.into(), i16::MAX.into()),
        "Edm.Int32" => integer(i32::MIN.into(), i32::MAX.into()),
        "Edm.Int64" => value.is_i64(),
        "Edm.Double" | "Edm.Single" | "Edm.Decimal" => {
            value.is_number() || text(|text| ["INF", "-INF", "NaN"].contains(&text))
        }
        "Edm.DateTimeOffset" => text(is_date_time_offset),
        "Edm.Date" => text(is_date),
        "Edm.TimeOfDay" => text(is_time),
        "Edm.Duration" => text(is_duration),
        "Edm.Guid" => text(is_guid),
        "Edm.Binary" => text(is_binary),
        // Streams are served on paths of their own; in JSON only annotations speak of them, or a text where Graph inlines one.
        "Edm.Stream" => value.is_string(),
        _ => return None,
    })
}

/// `2026-11-03T09:00:00.1234567Z`; an offset may stand for the Z.
pub(crate) fn is_date_time_offset(text: &str) -> bool {
    let Some((date, rest)) = text.split_once('T') else {
        return false;
    };
    let (time, has_zone) = match rest.strip_suffix('Z') {
        Some(time) => (time, true),
        None => rest
            .rsplit_once(['+', '-'])
            .map_or((rest, false), |(time, zone)| (time, is_clock(zone))),
    };
    has_zone && is_date(date) && is_time(time)
}

/// `2026-11-03T09:00:00`, as Graph writes the date of an error.
pub(crate) fn is_date_time(text: &str) -> bool {
    text.split_once('T')
        .is_some_and(|(date, time)| is_date(date) && is_time(time))
}

/// `e8b1b5d2-8e0b-4b8f-9d55-0a6b9c3d7f11`, in either letter case.
pub(crate) fn is_guid(text: &str) -> bool {
    let is_hex = |part: &str| part.bytes().all(|b| b.is_ascii_hexdigit());
    let parts: Vec<_> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && parts.into_iter().all(is_hex)
}

fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let mut next = |len, min, max| parts.next().and_then(|part| number(part, len, min, max));
    match (next(4, 1, 9999), next(2, 1, 12), next(2, 1, 31)) {
        (Some(year), Some(month), Some(day)) => day <= days_of(year, month),
        _ => false,
    }
}

fn days_of(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// `09:00:00`, with up to twelve digits of a fraction.
fn is_time(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let Some((clock, seconds)) = whole.rsplit_once(':') else {
        return false;
    };
    is_clock(clock) && number(seconds, 2, 0, 59).is_some() && is_digits(fraction, 12)
}

/// `09:00`.
fn is_clock(text: &str) -> bool {
    text.split_once(':').is_some_and(|(hours, minutes)| {
        number(hours, 2, 0, 23).is_some() && number(minutes, 2, 0, 59).is_some()
    })
}

/// `P1DT12H30M5.5S`, in this order, with at least one part; OData has no weeks, months and years.
fn is_duration(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let Some(text) = text.strip_prefix('P') else {
        return false;
    };
    let (days, time) = text
        .split_once('T')
        .map_or((text, None), |(days, time)| (days, Some(time)));
    let days_fit = days.is_empty() || fits(days, "D");
    match time {
        None => days_fit && !days.is_empty(),
        Some(time) => days_fit && !time.is_empty() && fits(time, "HMS"),
    }
}

/// Whether the text is a row of numbers, each followed by one of the units in this order.
fn fits(mut text: &str, units: &str) -> bool {
    for unit in units.chars() {
        if let Some((amount, rest)) = text.split_once(unit) {
            let (whole, fraction) = amount.split_once('.').unwrap_or((amount, "0"));
            if !is_digits(whole, 10) || !is_digits(fraction, 12) {
                return false;
            }
            text = rest;
        }
    }
    text.is_empty()
}

/// Base64 in the ordinary alphabet, which Graph uses, or in the URL's, which OData prescribes.
fn is_binary(text: &str) -> bool {
    use data_encoding::{BASE64, BASE64URL, BASE64URL_NOPAD};
    [BASE64, BASE64URL, BASE64URL_NOPAD]
        .iter()
        .any(|encoding| encoding.decode(text.as_bytes()).is_ok())
}

fn number(text: &str, len: usize, min: u32, max: u32) -> Option<u32> {
    let number = text.parse().ok()?;
    (text.len() == len && is_digits(text, len) && (min..=max).contains(&number)).then_some(number)
}

fn is_digits(text: &str, max_len: usize) -> bool {
    (1..=max_len).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    fn check(type_name: &str, good: &[Value], bad: &[Value]) {
        for (values, expected) in [(good, true), (bad, false)] {
            for value in values {
                assert_eq!(
                    super::has_form(type_name, value),
                    Some(expected),
                    "{type_name} {value}"
                );
            }
        }
    }

    #[test]
    fn numbers_keep_to_their_ranges() {
        check(
            "Edm.Int32",
            &[json!(0), json!(-5), json!(2_147_483_647)],
            &[json!(2_147_483_648_u64), json!(1.5), json!("2")],
        );
        check(
            "Edm.Int64",
            &[json!(9_000_000_000_u64)],
            &[json!("9000000000"), json!(1e30)],
        );
        check(
            "Edm.Double",
            &[json!(1.5), json!(2), json!("INF")],
            &[json!("1.5")],
        );
        check(
            "Edm.Boolean",
            &[json!(true)],
            &[json!("true"), json!(1), json!(null)],
        );
    }

    #[test]
    fn times_have_a_zone_and_exist() {
        check(
            "Edm.DateTimeOffset",
            &[
                json!("2026-11-03T09:00:00Z"),
                json!("0001-01-01T00:00:00Z"),
                json!("2024-02-29T23:59:59.1234567+05:30"),
            ],
            &[
                json!("2026-11-03T09:00:00"),
                json!("2026-11-03"),
                json!("2026-02-29T09:00:00Z"),
                json!("2026-13-01T09:00:00Z"),
                json!("2021-03-1706:47:05.123Z"),
                json!("2026-11-03T9:00:00Z"),
                json!("2026-11-03T09:00:00.Z"),
                json!("datetime-value"),
            ],
        );
        check(
            "Edm.Date",
            &[json!("1974-07-22")],
            &[json!("1974-7-22"), json!("1974-07-22Z")],
        );
        check(
            "Edm.TimeOfDay",
            &[json!("08:00:00.0000000")],
            &[json!("8:00"), json!("24:00:00")],
        );
        check(
            "Edm.Duration",
            &[json!("PT15M"), json!("P1DT12H30M5.5S"), json!("-PT0S")],
            &[json!("15M"), json!("P"), json!("PT"), json!("PT5S3M")],
        );
    }

    #[test]
    fn guids_and_bytes_are_well_formed() {
        check(
            "Edm.Guid",
            &[json!("e8b1b5d2-8e0b-4b8f-9d55-0A6B9C3D7F11")],
            &[json!("e8b1b5d28e0b4b8f9d550a6b9c3d7f11"), json!("{}")],
        );
        check(
            "Edm.Binary",
            &[json!(""), json!("AQID"), json!("_-8="), json!("+/8=")],
            &[json!("AQI!"), json!("base64bGFuZ")],
        );
    }
}
