//! hobnob

pub mod identity;
pub mod limits;
pub mod room;
pub mod wire;
