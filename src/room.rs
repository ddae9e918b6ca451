//! The room.

pub mod event;
