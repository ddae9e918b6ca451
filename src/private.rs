//! Files that nobody but their owner may read: keys, room keys, tickets with a secret.
//!
//! Read strictly: a regular file, ours or root's, closed to everybody else, not longer than expected. Anything
//! else is refused with what to do; it is never repaired or replaced, and never waited for. Created
//! whole: a file under its final name is complete, 0600 from its first moment, and was not there before.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::geteuid;
use thiserror::Error;
use zeroize::Zeroizing;

/// What is wrong with a file that holds a secret. Ends the start of the program (exit code 2).
#[derive(Debug, Error)]
#[error("{path}: {fault}")]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub fault: Fault,
}

/// See `FileError`.
#[derive(Debug, Error)]
pub enum Fault {
    /// The file could not be read or written.
    #[error(transparent)]
    Io(io::Error),
    /// A folder, a FIFO, a socket or a device.
    #[error("not a regular file: name another one")]
    Irregular,
    /// Others may read the file, so the secret may be known.
    #[error("can be read by others (mode {mode:o}): chmod 600 it")]
    Exposed {
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to somebody who is neither this user nor root, and who knows it therefore.
    #[error("belongs to another user (uid {owner}): chown it")]
    Foreign {
        /// The owner's number.
        owner: u32,
    },
    /// More than such a file holds.
    #[error("longer than {bytes_max} bytes")]
    TooLong {
        /// The most that it may hold.
        bytes_max: usize,
    },
}

impl FileError {
    fn new(path: &Path, fault: Fault) -> Self {
        Self { path: path.to_owned(), fault }
    }

    /// Whether there is such a file already, where a new one was to be made.
    pub fn is_taken(&self) -> bool {
        matches!(&self.fault, Fault::Io(error) if error.kind() == io::ErrorKind::AlreadyExists)
    }

    /// Whether there is no such file.
    pub fn is_missing(&self) -> bool {
        matches!(&self.fault, Fault::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// Has the system write none of this process's memory into a file when it fails, and let nobody but root
/// look into it. Called before any secret is read.
pub fn shield_memory() -> io::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    Ok(prctl::set_dumpable(false)?)
}

/// What a file holds, and whether others may know it.
#[derive(Debug)]
pub struct Contents {
    /// Its bytes.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Why nobody should rely on their being secret, if so.
    pub exposed: Option<Fault>,
}

/// Reads a secret that only this user may know.
pub fn read(path: &Path, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let Contents { bytes, exposed } = read_any(path, bytes_max)?;
    exposed.map_or(Ok(bytes), |fault| Err(FileError::new(path, fault)))
}

/// Reads what may hold a secret, and leaves it to the caller whether others may know it.
pub fn read_any(path: &Path, bytes_max: usize) -> Result<Contents, FileError> {
    let fail = |fault| FileError::new(path, fault);
    // A FIFO without a writer would keep a plain open waiting.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let opened = fs::OpenOptions::new().read(true).custom_flags(flags.bits()).open(path);
    let file = opened.map_err(|error| fail(Fault::Io(error)))?;
    let about = file.metadata().map_err(|error| fail(Fault::Io(error)))?;
    if !about.is_file() {
        return Err(fail(Fault::Irregular));
    }
    // Room for all of it from the start: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(bytes_max + 1));
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).map_err(|error| fail(Fault::Io(error)))?;
    if bytes.len() > bytes_max {
        return Err(fail(Fault::TooLong { bytes_max }));
    }
    Ok(Contents { bytes, exposed: exposure(&about) })
}

/// Why others may know what a file holds, if so.
pub(crate) fn exposure(about: &fs::Metadata) -> Option<Fault> {
    let (mode, owner) = (about.mode() & 0o777, about.uid());
    if owner != geteuid().as_raw() && owner != 0 {
        Some(Fault::Foreign { owner })
    } else if mode & 0o077 != 0 {
        Some(Fault::Exposed { mode })
    } else {
        None
    }
}

/// Creates a file with this in it, and the folders above it. Where the name is taken it fails with
/// `AlreadyExists` and leaves alone what is there.
pub fn create(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    try_create(path, bytes).map_err(|error| FileError::new(path, Fault::Io(error)))
}

/// Writes it beside its place, then links it there.
fn try_create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let draft = folder.join(draft_name()?);
    let written = (|| {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::hard_link(&draft, path)
    })();
    let _ = fs::remove_file(&draft);
    written
}

/// One that no other thread or process uses at the same time.
fn draft_name() -> io::Result<OsString> {
    let number = getrandom::u64().map_err(io::Error::other)?;
    Ok(OsString::from(format!(".hobnob-{}-{number:016x}", std::process::id())))
}
