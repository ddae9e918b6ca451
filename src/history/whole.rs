//! Files beside a history that are read and replaced as a whole, so that they are complete whenever the power goes.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

/// What a regular file holds, if that is not too much; of one that is not there nothing.
pub(super) fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
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

/// Puts this in the place of a file of a folder, which the caller has locked. The file, at its end.
pub(super) fn replace(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<File> {
    let draft = folder.join(format!(".{name}"));
    let written = (|| {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, folder.join(name))?;
        Ok(file)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}
