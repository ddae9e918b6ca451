//! The tests of the library that start no program: one module a promise, linked together, as linking takes longer than
//! compiling.

mod attention;
mod commands;
mod frames;
mod fuzzed;
mod identity;
mod keeper;
mod link_keys;
mod moments;
mod piped_text;
mod printing;
mod protocol_page;
mod records;
mod room;
mod room_keys;
mod rooms;
mod spelling;
mod tickets;
mod wrong_clock;
