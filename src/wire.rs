//! What travels on a link, as bytes: frames, the records in them, and the stream below them.
//!
//! Nothing here knows a thread or a room. `frame` finds and closes frames, `record` gives them
//! their meaning, `strict` is the JSON that we accept, `secure` is the byte stream of a link, encrypted or in
//! the clear, `window` holds what has arrived of one, `seal` is for what only one reader may read, whoever carries it.

pub mod end;
pub mod frame;
pub mod record;
pub mod seal;
pub mod secure;
mod strict;
mod window;

/// Bytes that are encoded once and shared by all who send them.
pub type Frame = std::sync::Arc<[u8]>;
