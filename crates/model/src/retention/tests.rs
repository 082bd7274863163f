//! What a policy keeps, by example and in general. That restic keeps the same is tested where repositories are.

use proptest::prelude::*;

use super::*;

fn point(time: &str, holds: Holds) -> Point {
    Point {
        time: time.parse().expect("a test's time is one"),
        holds,
        pinned: false,
    }
}

/// The times that are kept, of points written as a time and `*` for one that is partial, `-` for one that its run went past, and `!` for one pinned.
fn kept(policy: &Retention, zone: &str, points: &str) -> String {
    let zone = TimeZone::get(zone).expect("a test's time zone is one");
    let points: Vec<(&str, Point)> = points
        .split_whitespace()
        .map(|text| {
            let time = text.trim_end_matches(['*', '-', '!']);
            let holds = match text {
                _ if text.contains('*') => Holds::Part,
                _ if text.contains('-') && text.ends_with('-') => Holds::Passed,
                _ => Holds::Everything,
            };
            let pinned = text.ends_with('!');
            let point = point(&format!("{time}:00Z"), holds);
            (text, Point { pinned, ..point })
        })
        .collect();
    let bare: Vec<Point> = points.iter().map(|(_, point)| *point).collect();
    let now = "2027-01-01T00:00:00Z".parse().expect("a time");
    let reasons = policy.apply(&bare, &zone, now);
    let kept = points
        .iter()
        .zip(reasons)
        .filter(|(_, why)| !why.is_empty());
    let kept: Vec<&str> = kept.map(|((text, _), _)| *text).collect();
    kept.join(" ")
}

#[test]
fn each_rule_keeps_the_last_of_its_periods() {
    let points = "2024-12-30T10:00 2025-06-01T10:00 2026-11-01T10:00 2026-11-21T22:00 2026-11-21T23:10 2026-11-21T23:50 2026-11-22T00:20";
    let check = |policy: Retention, expected: &str| {
        assert_eq!(kept(&policy, "UTC", points), expected, "{policy:?}");
    };
    let none = Retention::default();
    check(none.clone(), points);
    check(
        Retention {
            last: 2,
            ..none.clone()
        },
        "2026-11-21T23:50 2026-11-22T00:20",
    );
    check(
        Retention {
            hourly: 3,
            ..none.clone()
        },
        "2026-11-21T22:00 2026-11-21T23:50 2026-11-22T00:20",
    );
    check(
        Retention {
            daily: 3,
            ..none.clone()
        },
        "2026-11-01T10:00 2026-11-21T23:50 2026-11-22T00:20",
    );
    // Both Saturday and Sunday are of the same week.
    check(
        Retention {
            weekly: 2,
            ..none.clone()
        },
        "2026-11-01T10:00 2026-11-22T00:20",
    );
    check(
        Retention {
            monthly: 2,
            ..none.clone()
        },
        "2025-06-01T10:00 2026-11-22T00:20",
    );
    check(
        Retention {
            yearly: 2,
            ..none.clone()
        },
        "2025-06-01T10:00 2026-11-22T00:20",
    );
    // More years than there are: the oldest makes the history as long as it can be.
    check(
        Retention {
            yearly: 9,
            ..none.clone()
        },
        "2024-12-30T10:00 2025-06-01T10:00 2026-11-22T00:20",
    );
    check(
        Retention {
            within: Some("1d".parse().expect("an age")),
            ..none
        },
        "2026-11-21T22:00 2026-11-21T23:10 2026-11-21T23:50 2026-11-22T00:20",
    );
}

#[test]
fn days_are_those_of_the_time_zone() {
    let policy = Retention {
        daily: 2,
        ..Retention::default()
    };
    let points = "2026-11-20T12:00 2026-11-21T22:30 2026-11-21T23:30";
    assert_eq!(
        kept(&policy, "UTC", points),
        "2026-11-20T12:00 2026-11-21T23:30"
    );
    assert_eq!(
        kept(&policy, "Europe/Berlin", points),
        "2026-11-21T22:30 2026-11-21T23:30"
    );
}

#[test]
fn a_partial_point_takes_no_complete_ones_place() {
    let daily = Retention {
        daily: 2,
        ..Retention::default()
    };
    let last = Retention {
        last: 2,
        ..Retention::default()
    };
    let check = |policy: &Retention, points: &str, expected: &str| {
        assert_eq!(kept(policy, "UTC", points), expected, "{points}");
    };
    let points =
        "2026-11-20T10:00 2026-11-21T10:00 2026-11-21T11:00* 2026-11-22T10:00 2026-11-22T11:00*";
    check(&daily, points, "2026-11-21T10:00 2026-11-22T10:00");
    // Days on which something always failed are kept as what there is, and the last complete one beside them.
    let points = "2026-11-19T10:00 2026-11-20T10:00* 2026-11-21T10:00* 2026-11-22T10:00*";
    check(
        &daily,
        points,
        "2026-11-19T10:00 2026-11-21T10:00* 2026-11-22T10:00*",
    );
    check(
        &last,
        points,
        "2026-11-19T10:00 2026-11-21T10:00* 2026-11-22T10:00*",
    );
    // The checkpoints of a long run do not push out what was there before it.
    let points = "2026-11-20T10:00 2026-11-22T10:00- 2026-11-22T10:10- 2026-11-22T10:20";
    check(&last, points, "2026-11-20T10:00 2026-11-22T10:20");
    // What the next run begins with stays, whatever the clock said.
    let points = "2026-11-19T10:00*! 2026-11-20T10:00 2026-11-21T10:00 2026-11-22T10:00";
    check(
        &last,
        points,
        "2026-11-19T10:00*! 2026-11-21T10:00 2026-11-22T10:00",
    );
}

#[test]
fn a_clock_that_was_wrong_once_makes_nothing_old() {
    let policy = Retention {
        within: Some("7d".parse().expect("an age")),
        ..Retention::default()
    };
    let points = "2026-11-01T10:00 2026-11-21T10:00 2026-11-22T10:00 2093-01-01T00:00";
    assert_eq!(
        kept(&policy, "UTC", points),
        "2026-11-21T10:00 2026-11-22T10:00 2093-01-01T00:00"
    );
    let points = "2093-01-01T00:00 2093-02-01T00:00";
    assert_eq!(kept(&policy, "UTC", points), points);
}

#[test]
fn an_age_is_read_as_it_is_written() {
    for text in ["1y5m7d2h", "30d", "12h", "2y", "1y2h"] {
        let age: Age = text.parse().expect("it is an age");
        assert_eq!(age.to_string(), text);
    }
    for text in [
        "", "0d", "d", "7", "7w", "1d1y", "1d1d", "-1d", "99999d", "1d ",
    ] {
        assert_eq!(text.parse::<Age>(), Err(NotAnAge), "{text:?}");
    }
}

fn policies() -> impl Strategy<Value = Retention> {
    let count = || prop_oneof![Just(0u32), 0..6u32];
    let within = proptest::option::of((0..2u16, 0..3u16, 1..40u16, 0..30u16));
    let counts = (count(), count(), count(), count(), count(), count());
    (counts, within).prop_map(|((last, hourly, daily, weekly, monthly, yearly), within)| {
        Retention {
            last,
            hourly,
            daily,
            weekly,
            monthly,
            yearly,
            within: within.map(|(years, months, days, hours)| Age {
                years,
                months,
                days,
                hours,
            }),
        }
    })
}

fn some_points() -> impl Strategy<Value = Vec<Point>> {
    // Some three years, with many points close together.
    let second = prop_oneof![0..100_000_000i64, 99_000_000..100_000_000i64];
    let holds = prop_oneof![
        4 => Just(Holds::Everything),
        2 => Just(Holds::Part),
        1 => Just(Holds::Passed)
    ];
    let point = (second, holds, proptest::bool::weighted(0.05));
    let point = point.prop_map(|(second, holds, pinned)| Point {
        time: Timestamp::from_second(1_690_000_000 + second).expect("a time of our days"),
        holds,
        pinned,
    });
    proptest::collection::vec(point, 0..60)
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("a time of our days")
}

proptest! {
    #[test]
    fn the_last_restorable_point_always_stays(policy in policies(), points in some_points()) {
        let reasons = policy.apply(&points, &TimeZone::UTC, now());
        prop_assert_eq!(reasons.len(), points.len());
        let kept = |at: usize| !reasons[at].is_empty();
        let complete = (0..points.len()).filter(|at| points[*at].holds == Holds::Everything);
        if let Some(newest) = complete.max_by_key(|at| (points[*at].time, *at)) {
            prop_assert!(kept(newest));
        }
        for (at, point) in points.iter().enumerate() {
            prop_assert!(kept(at) || !point.pinned);
        }
        let counts = policy.last + policy.hourly + policy.daily + policy.weekly + policy.monthly + policy.yearly;
        if counts > 0 && points.iter().any(|point| point.holds != Holds::Passed) {
            prop_assert!((0..points.len()).any(kept));
        }
    }

    #[test]
    fn a_rule_keeps_no_more_than_it_says(policy in policies(), points in some_points()) {
        let reasons = policy.apply(&points, &TimeZone::UTC, now());
        for (reason, count) in [
            (Reason::Last, policy.last),
            (Reason::Hourly, policy.hourly),
            (Reason::Daily, policy.daily),
            (Reason::Weekly, policy.weekly),
            (Reason::Monthly, policy.monthly),
            (Reason::Yearly, policy.yearly),
        ] {
            let kept = reasons.iter().filter(|reasons| reasons.contains(&reason)).count();
            prop_assert!(kept <= count as usize, "{:?}: {} instead of {}", reason, kept, count);
        }
    }

    #[test]
    fn forgetting_twice_forgets_nothing_more(policy in policies(), points in some_points()) {
        let left = |points: &[Point]| -> Vec<Point> {
            let reasons = policy.apply(points, &TimeZone::UTC, now());
            let kept = points.iter().zip(reasons).filter(|(_, reasons)| !reasons.is_empty());
            kept.map(|(point, _)| *point).collect()
        };
        let once = left(&points);
        prop_assert_eq!(left(&once), once);
    }

    #[test]
    fn more_generous_keeps_more(policy in policies(), points in some_points()) {
        let mut generous = policy.clone();
        for count in [&mut generous.last, &mut generous.daily, &mut generous.monthly] {
            *count += 1;
        }
        prop_assume!(!policy.is_empty());
        let strict = policy.apply(&points, &TimeZone::UTC, now());
        let generous = generous.apply(&points, &TimeZone::UTC, now());
        for (strict, generous) in strict.iter().zip(&generous) {
            prop_assert!(strict.is_empty() || !generous.is_empty());
        }
    }
}
