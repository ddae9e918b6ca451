//! hobnob

pub mod args;
pub mod console;
pub mod daemon;
pub mod identity;
pub mod limits;
pub mod room;
pub mod wire;
