//! Files of JSON lines that people may read and edit, and that several runs may keep at once.
//!
//! Replaced as a whole: what is there is read again, what is new is put in, and the result is renamed into
//! its place, all under a lock on the folder. A line that is damaged stays as it is, for its owner to look
//! at. Only the owner may read the file. For threads that may wait for a disk.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::private::{self, Fault};

/// Such a file.
#[derive(Debug, Clone)]
pub(crate) struct LinesFile {
    /// What it keeps, for errors and the log.
    pub(crate) what: &'static str,
    /// Where.
    pub(crate) path: PathBuf,
    /// It is shorter than this.
    pub(crate) bytes_max: u64,
    /// It holds secrets, and is not read where others can read it.
    pub(crate) is_secret: bool,
}

/// What is wrong with the file. The run goes on; what was to be kept is not.
#[derive(Debug, Error)]
#[error("{what} cannot be kept in {path}: {fault}")]
pub struct LinesError {
    /// What it keeps.
    pub what: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub fault: LinesFault,
}

/// See `LinesError`.
#[derive(Debug, Error)]
pub enum LinesFault {
    /// It could not be read or written.
    #[error(transparent)]
    Io(io::Error),
    /// Others may know what it holds. It is left alone.
    #[error(transparent)]
    Exposed(Fault),
    /// It is no file, or longer than such a file gets. It is left alone.
    #[error("not a file of less than {bytes_max} bytes; remove it")]
    Strange {
        /// What such a file does not reach.
        bytes_max: u64,
    },
    /// It would get too long. It stays as it is.
    #[error("it would have {bytes_max} bytes or more; remove some lines")]
    Full {
        /// What such a file does not reach.
        bytes_max: u64,
    },
}

/// What the file holds.
#[derive(Debug)]
struct Contents<T> {
    bytes: Zeroizing<Vec<u8>>,
    entries: Vec<T>,
    /// Lines that are none, and the number of the first.
    damaged: Vec<String>,
    first_damaged: usize,
}

impl LinesFile {
    /// All entries. Damaged lines are told in the log.
    pub(crate) fn load<T: DeserializeOwned>(&self) -> Result<Vec<T>, LinesError> {
        let Contents { entries, damaged, first_damaged, .. } = self.read()?;
        if !damaged.is_empty() {
            let (what, count, path) = (self.what, damaged.len(), self.path.display());
            log::warn!("{what}: {count} damaged in {path}, the first is line {first_damaged}; correct or delete it");
        }
        Ok(entries)
    }

    /// Makes other entries out of those that are there now.
    pub(crate) fn update<T: DeserializeOwned + Serialize>(
        &self,
        change: impl FnOnce(Vec<T>) -> Vec<T>,
    ) -> Result<Vec<T>, LinesError> {
        let io_error = |error| self.error(LinesFault::Io(error));
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io_error)?;
        let lock = fs::File::open(folder).map_err(io_error)?;
        // Given back when `lock` is dropped.
        lock.lock().map_err(io_error)?;
        let contents = self.read()?;
        let entries = change(contents.entries);
        let text = text_of(&entries, &contents.damaged).map_err(|error| io_error(error.into()))?;
        if text.len() as u64 >= self.bytes_max {
            return Err(self.error(LinesFault::Full { bytes_max: self.bytes_max }));
        }
        if text.as_bytes() != contents.bytes.as_slice() {
            self.replace(folder, text.as_bytes()).map_err(io_error)?;
        }
        Ok(entries)
    }

    fn error(&self, fault: LinesFault) -> LinesError {
        LinesError { what: self.what, path: self.path.clone(), fault }
    }

    fn read<T: DeserializeOwned>(&self) -> Result<Contents<T>, LinesError> {
        let bytes = self.read_bytes()?;
        let (mut entries, mut damaged, mut first_damaged) = (Vec::new(), Vec::new(), 0);
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
            if let Ok(entry) = serde_json::from_slice(line) {
                entries.push(entry);
            } else {
                if damaged.is_empty() {
                    first_damaged = index + 1;
                }
                damaged.push(String::from_utf8_lossy(line).into_owned());
            }
        }
        Ok(Contents { bytes, entries, damaged, first_damaged })
    }

    /// Nothing where there is no file.
    fn read_bytes(&self) -> Result<Zeroizing<Vec<u8>>, LinesError> {
        let io_error = |error| self.error(LinesFault::Io(error));
        // A FIFO would keep a plain open waiting.
        let file = match fs::OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&self.path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Zeroizing::default());
            }
            opened => opened.map_err(io_error)?,
        };
        if !file.metadata().is_ok_and(|about| about.is_file() && about.len() < self.bytes_max) {
            return Err(self.error(LinesFault::Strange { bytes_max: self.bytes_max }));
        }
        if let Some(fault) = file.metadata().ok().and_then(|about| private::exposure(&about)).filter(|_| self.is_secret)
        {
            return Err(self.error(LinesFault::Exposed(fault)));
        }
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(self.bytes_max).read_to_end(&mut bytes).map_err(io_error)?;
        Ok(bytes)
    }

    fn replace(&self, folder: &Path, bytes: &[u8]) -> io::Result<()> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let draft = folder.join(format!(".{name}"));
        let written = (|| {
            let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&draft, &self.path)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&draft);
        }
        written
    }
}

fn text_of<T: Serialize>(entries: &[T], damaged: &[String]) -> serde_json::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    for entry in entries {
        text.push_str(&Zeroizing::new(serde_json::to_string(entry)?));
        text.push('\n');
    }
    for line in damaged {
        text.push_str(line);
        text.push('\n');
    }
    Ok(text)
}
