//! Promise: the rules by which a post travels, and none is lost, hold one by one. Each test drives a
//! room by hand and names the rule; those of the flood's history name what went wrong without it.
//! Nothing is left to chance: what arrives, and when, is what the test says.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![expect(clippy::cast_possible_truncation, reason = "small numbers of tests")]

mod acquaintance;
mod all;
mod away;
mod bounds;
mod dial;
mod door;
mod end;
mod feeds;
mod flood;
mod hand;
mod hole;
mod hub;
mod link;
mod log;
mod name;
mod net;
mod overlay;
mod pace;
mod past;
mod reachable;
mod recovery;
mod roster;
mod search;
mod serve;
mod shell;
mod unheard;
mod whisper;
