//! The file `peers` of a history: whom this node had links with, and where, the latest first. A run that is told of
//! nobody finds the room again by them.
//!
//! A line of JSON for each, which people may read and edit. Replaced as a whole, so that it is complete whenever the power
//! goes; a line that is damaged all the same is skipped. There is nothing secret in it, and only its owner may read it.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

use crate::limits::{ACQUAINTANCES_MAX, PEERS_FILE_BYTES_MAX};
use crate::room::Acquaintance;

/// The file's name.
const NAME: &str = "peers";

/// What it is called until it is complete.
const DRAFT: &str = ".peers";

/// Reads what the last run has kept; what is wrong with it is told in the log.
pub(super) fn load(folder: &Path) -> Vec<Acquaintance> {
    let path = folder.join(NAME);
    let bytes = match read_bounded(&path, PEERS_FILE_BYTES_MAX) {
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

/// What a regular file holds, if that is not too much; of one that is not there nothing.
pub(super) fn read_bounded(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    // A FIFO would keep a plain open waiting.
    let file = match fs::OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        opened => opened?,
    };
    let about = file.metadata()?;
    if !about.is_file() || about.len() > bytes_max {
        return Err(io::Error::other(format!("not a file of up to {bytes_max} bytes")));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes them in place of those before. The caller holds the lock of the folder.
pub(super) fn save(folder: &Path, peers: &[Acquaintance]) -> io::Result<()> {
    let mut text = String::new();
    for peer in peers {
        text.push_str(&serde_json::to_string(peer)?);
        text.push('\n');
    }
    let draft = folder.join(DRAFT);
    let written = (|| {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, folder.join(NAME))
    })();
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}
