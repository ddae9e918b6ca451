//! Promise: a time is understood as people write it, and means the last one of that kind. Checked at one moment.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use hobnob::moment::parse;
use jiff::Zoned;

fn now() -> Zoned {
    "2026-11-21T10:00:30+01:00[Europe/Berlin]".parse().unwrap()
}

/// What a text means, as a time here.
fn meant(text: &str) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(parse(text, &now()).ok()?).unwrap()).unwrap();
    Some(at.to_zoned(now().time_zone().clone()).strftime("%Y-%m-%d %H:%M:%S").to_string())
}

#[test]
fn times_of_day_days_and_how_long_ago() {
    for (text, at) in [
        ("09:15", "2026-11-21 09:15:00"),
        ("10:00:30", "2026-11-21 10:00:30"),
        ("10:01", "2026-11-20 10:01:00"),
        ("2026-11-20", "2026-11-20 00:00:00"),
        ("2026-11-20T14:30", "2026-11-20 14:30:00"),
        ("2026-11-20 14:30:15", "2026-11-20 14:30:15"),
        ("2026-11-20T14:30:15Z", "2026-11-20 15:30:15"),
        ("2h30m", "2026-11-21 07:30:30"),
        (" 90s ", "2026-11-21 09:59:00"),
        ("2d", "2026-11-19 10:00:30"),
    ] {
        assert_eq!(meant(text).as_deref(), Some(at), "{text}");
    }
}

#[test]
fn what_is_no_time_or_to_come_is_refused() {
    for text in ["", "noon", "25:00", "2026-13-01", "2026-11-22", "-2h", "2026-11-21T10:01", "20", "1.5", "99999y"] {
        assert_eq!(meant(text), None, "{text}");
    }
}
