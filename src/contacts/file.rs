//! The file of contacts: a line of JSON for each, which people may read and edit.

use std::path::Path;

use crate::identity::{IdentityError, data_folder};
use crate::limits::CONTACTS_FILE_BYTES_MAX;
use crate::lines::{LinesError, LinesFile};

use super::{Change, Contact, Full, apply};

/// Where it is: `hobnob/contacts` under the XDG data folder.
pub fn contacts_path() -> Result<std::path::PathBuf, IdentityError> {
    Ok(data_folder()?.join("contacts"))
}

/// Everybody in a file, each once. Damaged lines are told in the log.
pub fn load(path: &Path) -> Result<Vec<Contact>, LinesError> {
    Ok(each_once(file(path).load()?))
}

/// Puts changes into a file, beside what others have put there. Gives all that it holds then, and
/// whether there was no place for somebody.
pub(super) fn update(path: &Path, changes: &[Change]) -> Result<(Vec<Contact>, Result<(), Full>), LinesError> {
    let mut fits = Ok(());
    let people = file(path).update(|people| {
        let mut people = each_once(people);
        for change in changes {
            fits = fits.and(apply(&mut people, change));
        }
        people
    })?;
    Ok((people, fits))
}

fn file(path: &Path) -> LinesFile {
    LinesFile { what: "contacts", path: path.to_owned(), bytes_max: CONTACTS_FILE_BYTES_MAX, is_secret: false }
}

/// Of two lines for one key, which only an editor makes, the later one counts.
fn each_once(people: Vec<Contact>) -> Vec<Contact> {
    let mut once: Vec<Contact> = Vec::with_capacity(people.len());
    for contact in people {
        match once.iter_mut().find(|other| other.id == contact.id) {
            Some(other) => *other = contact,
            None => once.push(contact),
        }
    }
    once
}
