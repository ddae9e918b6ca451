//! The file `peers` of a history: whom this node had links with, and where, the latest first. A run that is told of
//! nobody finds the room again by them.
//!
//! A line of JSON for each, which people may read and edit. Replaced as a whole, so that it is complete whenever the power
//! goes; a line that is damaged all the same is skipped. There is nothing secret in it, and only its owner may read it.

use std::io;
use std::path::Path;

use super::whole;
use crate::limits::{ACQUAINTANCES_MAX, PEERS_FILE_BYTES_MAX};
use crate::room::Acquaintance;

/// The file's name.
const NAME: &str = "peers";

/// Reads what the last run has kept; what is wrong with it is told in the log.
pub(super) fn load(folder: &Path) -> Vec<Acquaintance> {
    let path = folder.join(NAME);
    let bytes = match whole::read(&path, PEERS_FILE_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) => {
            log::warn!("the peers known from before cannot be read from {}: {error}", path.display());
            return Vec::new();
        }
    };
    let mut damaged = 0;
    let mut peers = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(peer) if peers.len() < ACQUAINTANCES_MAX => peers.push(peer),
            Ok(_) => {}
            Err(_) => damaged += 1,
        }
    }
    if damaged > 0 {
        log::warn!("history: {damaged} damaged lines in {} are skipped", path.display());
    }
    peers
}

/// Writes them in place of those before. The caller holds the lock of the folder.
pub(super) fn save(folder: &Path, peers: &[Acquaintance]) -> io::Result<()> {
    let mut text = String::new();
    for peer in peers {
        text.push_str(&serde_json::to_string(peer)?);
        text.push('\n');
    }
    whole::replace(folder, NAME, text.as_bytes()).map(drop)
}
