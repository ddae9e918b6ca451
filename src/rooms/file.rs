//! The file of remembered rooms: a line of JSON for each, which people may read and edit.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::identity::{IdentityError, data_folder};
use crate::limits::{ROOM_HOSTS_MAX, ROOMS_FILE_BYTES_MAX, ROOMS_MAX};
use crate::lines::{LinesError, LinesFile};

use super::{NameError, Remembered, Rooms};

/// Where it is: `hobnob/rooms` under the XDG data folder.
pub fn rooms_path() -> Result<PathBuf, IdentityError> {
    Ok(data_folder()?.join("rooms"))
}

/// All rooms in a file. Damaged lines are told in the log.
pub fn load(path: &Path) -> Result<Rooms, LinesError> {
    Ok(Rooms::new(each_once(file(path).load()?)))
}

/// Puts a room into a file, beside what others have put there; over the bound the one goes that was used longest
/// ago.
pub fn remember(path: &Path, room: &Remembered) -> Result<(), LinesError> {
    file(path).update(|rooms| with(each_once(rooms), room)).map(drop)
}

/// Why a room is not forgotten. Nothing is changed.
#[derive(Debug, Error)]
pub enum ForgetError {
    /// The file could not be read or written (exit code 1).
    #[error(transparent)]
    File(#[from] LinesError),
    /// It is not said which one (exit code 2).
    #[error(transparent)]
    Name(#[from] NameError),
    /// There is none (exit code 2).
    #[error("no room called {0} is remembered; hobnob rooms lists them")]
    Unknown(String),
}

/// Takes a room out of a file.
pub fn forget(path: &Path, name: &str) -> Result<(), ForgetError> {
    let mut outcome = Err(ForgetError::Unknown(name.to_owned()));
    file(path).update(|rooms: Vec<Remembered>| {
        let all = Rooms::new(each_once(rooms));
        let meant = match all.find(name) {
            Ok(meant) => meant.cloned(),
            Err(error) => {
                outcome = Err(error.into());
                None
            }
        };
        let Some(meant) = meant else { return all.0 };
        outcome = Ok(());
        all.0.into_iter().filter(|room| !room.is(&meant.room, meant.key.as_ref())).collect()
    })?;
    outcome
}

fn file(path: &Path) -> LinesFile {
    LinesFile { what: "rooms", path: path.to_owned(), bytes_max: ROOMS_FILE_BYTES_MAX, is_secret: true }
}

/// Of two lines for one room, which only an editor makes, the later one counts.
fn each_once(rooms: Vec<Remembered>) -> Vec<Remembered> {
    rooms.into_iter().fold(Vec::new(), |mut once: Vec<Remembered>, room| {
        match once.iter_mut().find(|other| other.is(&room.room, room.key.as_ref())) {
            Some(other) => *other = room,
            None => once.push(room),
        }
        once
    })
}

fn with(mut rooms: Vec<Remembered>, new: &Remembered) -> Vec<Remembered> {
    match rooms.iter_mut().find(|room| room.is(&new.room, new.key.as_ref())) {
        Some(room) => {
            let mut hosts = new.hosts.clone();
            hosts.extend(room.hosts.drain(..).filter(|old| !new.hosts.iter().any(|host| host.addr == old.addr)));
            room.hosts = hosts;
            room.last_used = room.last_used.max(new.last_used);
        }
        None => rooms.push(new.clone()),
    }
    for room in &mut rooms {
        room.hosts.truncate(ROOM_HOSTS_MAX);
    }
    let mut rooms = Rooms::new(rooms).0;
    rooms.truncate(ROOMS_MAX);
    rooms
}
