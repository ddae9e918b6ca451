//! The tests that start the program as it was built: one module a promise, linked together, as linking takes longer
//! than compiling. What they share is in `support`.

mod chaos;
mod command_line;
mod contacts;
mod encrypted;
mod ends;
mod exit_codes;
mod filter;
mod history;
mod hostile;
mod hosts;
mod hub;
mod joining;
mod known;
mod names;
mod pipes;
mod printed_commands;
mod python_peer;
mod refusals;
mod rooms;
mod strangers;
mod support;
mod terminal;
mod topologies;
mod vanishing;
mod whispers;
