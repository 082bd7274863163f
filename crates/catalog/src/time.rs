//! Times as the database keeps them: microseconds since 1970, with 0 for never.

use jiff::Timestamp;

/// For the database.
pub(crate) fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

/// From the database.
pub(crate) fn timestamp(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// From the database, where 0 is never.
pub(crate) fn ever(micros: i64) -> Option<Timestamp> {
    (micros != 0).then(|| timestamp(micros))
}
