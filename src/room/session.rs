//! One session as the roster knows it: what its posts say, and whether it is here.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::limits::{LOST_CLAIMS_MAX, LOST_GRACE_MS, SESSION_SILENT_MS_MAX};
use crate::wire::record::{Body, Nick, Post};
use crate::wire::seal::SealingKey;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Present,
    Left,
    Lost,
}

/// Claims of `lost`: the last number that each names, and when it was made, by the monotonic clock.
pub(super) type Claims = BTreeMap<u64, i64>;

/// Adds a claim and keeps the lowest: a number that is not reached for long is no use.
pub(super) fn add_claim(claims: &mut Claims, last: u64, at: i64) {
    let known = claims.entry(last).or_insert(at);
    *known = at.min(*known);
    if claims.len() > LOST_CLAIMS_MAX {
        claims.pop_last();
    }
}

/// What is known of a session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) nick: Nick,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) passing: bool,
    /// How much it wants to be the hub, where it has said so.
    pub(super) rank: Option<u8>,
    /// Why whoever sits there is away, or nothing; `None` while here.
    pub(super) away: Option<String>,
    /// When that was written; by the monotonic clock.
    pub(super) away_at: i64,
    /// What whispers to it are sealed to.
    pub(super) sealing: Option<SealingKey>,
    /// The time of its first post, by its author's clock.
    pub(super) since: u64,
    /// The number of its newest post that was folded.
    pub(super) last: u64,
    /// The newest join's number; a session that joins anew is alive.
    pub(super) joined_at_number: u64,
    pub(super) left: Option<String>,
    pub(super) claims: Claims,
    /// Since when there is a claim at its newest number, as seen from here.
    doubted_at: Option<i64>,
    /// When its newest post was written, or arrived if that was earlier; by the monotonic clock, and
    /// below its zero for what is older than this run.
    pub(super) spoke_at: i64,
    /// How far its clock is behind ours, as the posts show that came as they were said.
    pub(super) behind_ms: Option<u64>,
    /// How long after its author's time the soonest of them was here, by a clock that nobody sets.
    pub(super) lag_ms: Option<i64>,
    /// As of the last `settle`.
    presence: Presence,
    /// As told to the user.
    pub(super) shown: bool,
}

impl Session {
    /// A session of which nothing is folded yet; it is nowhere.
    pub(super) fn new(post: &Post, claims: Claims) -> Self {
        Self {
            nick: post.nick.clone(),
            addresses: Vec::new(),
            passing: false,
            rank: None,
            sealing: None,
            away: None,
            away_at: 0,
            since: post.at,
            last: 0,
            joined_at_number: 0,
            left: None,
            claims,
            doubted_at: None,
            spoke_at: 0,
            behind_ms: None,
            lag_ms: None,
            presence: Presence::Lost,
            shown: false,
        }
    }

    pub(super) fn fold(&mut self, post: &Post, written_at: i64) {
        self.nick = post.nick.clone();
        self.reach(post.number);
        self.spoke_at = written_at;
        self.claims = self.claims.split_off(&post.number);
        match &post.body {
            Body::Join { addresses, passing, rank, sealing, away } => {
                self.addresses.clone_from(addresses);
                self.passing = *passing;
                self.rank = *rank;
                self.sealing = *sealing;
                if self.away != *away {
                    self.away.clone_from(away);
                    self.away_at = written_at;
                }
                self.joined_at_number = post.number;
            }
            Body::Leave { why } => self.left = Some(why.clone()),
            Body::Say { .. } | Body::Nick | Body::Mark | Body::Unknown | Body::Lost { .. } => {}
        }
    }

    /// All up to a number is folded, or will never come.
    pub(super) fn reach(&mut self, number: u64) {
        self.last = number;
        self.doubted_at = None;
    }

    /// Looks at the clock. A claim counts when the session, since it reached that number, has had the time to say that it
    /// is here. Of one that is shown that time begins here and now: it may not have heard of a claim that says that it is
    /// old. What was true before it was shown is no news.
    pub(super) fn settle(&mut self, now: i64) {
        let silent = self.spoke_at.saturating_add_unsigned(SESSION_SILENT_MS_MAX) < now;
        let claimed = self.claims.get(&self.last).is_some_and(|made_at| {
            let doubted_at = *self.doubted_at.get_or_insert(now);
            let since = if self.shown { doubted_at } else { self.spoke_at.max(*made_at) };
            since.saturating_add_unsigned(LOST_GRACE_MS) <= now
        });
        self.presence = if self.left.is_some() {
            Presence::Left
        } else if silent || claimed {
            Presence::Lost
        } else {
            Presence::Present
        };
    }

    pub(super) fn presence(&self) -> Presence {
        self.presence
    }

    pub(super) fn is_present(&self) -> bool {
        self.presence == Presence::Present
    }

    /// Whether something came of it as it was said.
    pub(super) fn is_heard(&self) -> bool {
        self.behind_ms.is_some()
    }

    /// Whether somebody says that it is lost, at the very number where it is.
    pub(super) fn is_claimed(&self) -> bool {
        self.claims.contains_key(&self.last)
    }

    pub(super) fn has_left(&self) -> bool {
        self.left.is_some()
    }

    /// Whether the join of this number is what keeps the session on record.
    pub(super) fn needs_join(&self, number: u64) -> bool {
        self.joined_at_number == number && self.is_present()
    }
}
