//! A time in the past, as somebody types it: a time of day, a day, both, or how long ago.

use jiff::civil::{Date, DateTime, Time};
use jiff::{Span, Timestamp, ToSpan, Zoned};
use thiserror::Error;

/// What was typed is no time. Nothing is done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a time in the past: say it like 14:30, 2026-11-20, 2026-11-20T14:30 or 2h30m (so long ago)")]
pub struct MomentError;

/// The time that is meant, in milliseconds since 1970. A time of day is the last one of that kind.
pub fn parse(text: &str, now: &Zoned) -> Result<u64, MomentError> {
    let at = read(text.trim(), now).ok_or(MomentError)?;
    let at = u64::try_from(at.as_millisecond()).map_err(|_| MomentError)?;
    let is_past = i64::try_from(at).is_ok_and(|at| at <= now.timestamp().as_millisecond());
    if is_past { Ok(at) } else { Err(MomentError) }
}

fn read(text: &str, now: &Zoned) -> Option<Timestamp> {
    let here = |at: DateTime| at.to_zoned(now.time_zone().clone()).ok().map(|at| at.timestamp());
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    // A time is found behind a day, too.
    if !text.contains('-')
        && text.contains(':')
        && let Ok(time) = text.parse::<Time>()
    {
        let today = here(now.date().to_datetime(time))?;
        let yesterday = || here(now.date().checked_sub(1.day()).ok()?.to_datetime(time));
        return if today <= now.timestamp() { Some(today) } else { yesterday() };
    }
    if let Ok(day) = text.parse::<Date>()
        && !text.contains(':')
    {
        return here(day.to_datetime(Time::midnight()));
    }
    if let Ok(at) = text.parse::<DateTime>() {
        return here(at);
    }
    let ago = text.parse::<Span>().ok()?;
    now.checked_sub(ago).ok().map(|at| at.timestamp())
}
