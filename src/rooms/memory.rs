//! What a run will have remembered of its room, and the thread that writes it, so that no disk holds up the chat.
//!
//! A room is written down once this run was in it: at once where it is the founder or was here before, else with
//! its first link. So a mistyped passphrase is not remembered. Belongs to the console's thread.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::limits::ROOMS_SAVE_MS_MAX;

use super::{Remembered, file};

/// See the module.
#[derive(Debug, Default)]
pub struct Memory {
    /// What is not written yet, and where to.
    pending: Option<(PathBuf, Remembered)>,
    /// Disconnected when the thread has ended.
    done: Option<Receiver<()>>,
}

impl Memory {
    /// For a room that is to be remembered; the file is written at the first call of `joined`.
    pub fn of(path: PathBuf, room: Remembered) -> Self {
        Self { pending: Some((path, room)), done: None }
    }

    /// The run is in the room. More than once is as once.
    pub fn joined(&mut self) {
        let Some((path, room)) = self.pending.take() else { return };
        let (ends, done) = bounded(0);
        let write = move || {
            let _ends: Sender<()> = ends;
            if let Err(error) = file::remember(&path, &room) {
                log::warn!("{error}");
            }
        };
        match thread::Builder::new().name("rooms".to_owned()).spawn(write) {
            Ok(_) => self.done = Some(done),
            Err(error) => log::warn!("rooms: {error}"),
        }
    }

    /// The end: waits until it is written, unless that takes too long.
    pub fn close(self) {
        if let Some(done) = self.done {
            let _ = done.recv_timeout(Duration::from_millis(ROOMS_SAVE_MS_MAX));
        }
    }
}
