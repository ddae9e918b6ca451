//! Promise: a hostile peer costs its own link and nothing else. Checked with an attacker of our own on a live node,
//! on encrypted links, through which two honest members chat: row by row each attack is tried, the attacker's
//! link ends, the node's log names the reason, the chat goes on with nothing lost, doubled or forged, threads
//! and memory stay under bounds that come out of `limits`, and somebody honest can still join.
//! The rows in the clear, and those about single records, are in `strangers.rs`.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test")]

mod costs;
mod floods;
mod handshakes;
mod lies;
mod records;
mod standstill;
use hobnob::wire::record::Draft;

/// How somebody comes, whom nobody can dial.
const JOIN: Draft<'static> = Draft::Join { addresses: &[], passing: false, rank: None, sealing: None, away: None };
