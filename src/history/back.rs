//! The lines of a history from its end: what is wanted is nearly always the newest.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use memchr::memrchr;

use super::month;
use crate::limits::HISTORY_LINE_BYTES_MAX;

/// How much is read at once.
const BLOCK_BYTES: u64 = 1024 * 1024;

/// All whole lines of a folder, newest first.
#[derive(Debug)]
pub(super) struct LinesBack {
    /// The files that were not begun, the newest last.
    files: Vec<PathBuf>,
    current: Option<Current>,
}

/// A file that is being read.
#[derive(Debug)]
struct Current {
    file: File,
    /// Up to where the file was not read yet.
    start: u64,
    /// What was read, up to the line given last.
    bytes: Vec<u8>,
    /// The line that is being put together was too long, and lost its end.
    too_long: bool,
}

impl LinesBack {
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        Ok(Self { files: month::all(folder)?.into_iter().map(|(_, path)| path).collect(), current: None })
    }

    /// The next line without its newline. One that is longer than lines get is given as an empty one.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(current) = &mut self.current {
                if let Some(line) = current.next_line()? {
                    return Ok(Some(line));
                }
                self.current = None;
            }
            let Some(path) = self.files.pop() else { return Ok(None) };
            self.current = Some(Current::open(&path)?);
        }
    }
}

impl Current {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        // Behind the last newline there may be a line that is just being written.
        let start = month::whole_lines_end(&mut file, length)?;
        Ok(Self { file, start, bytes: Vec::new(), too_long: false })
    }

    fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            // The last byte is the newline of the line that is looked for.
            let unfinished = self.bytes.len().saturating_sub(1);
            if let Some(index) = memrchr(b'\n', self.bytes.get(..unfinished).unwrap_or_default()) {
                return Ok(Some(self.take_from(index + 1)));
            }
            if self.start == 0 {
                return Ok((!self.bytes.is_empty()).then(|| self.take_from(0)));
            }
            if self.bytes.len() > HISTORY_LINE_BYTES_MAX {
                self.too_long = true;
                self.bytes = vec![b'\n'];
            }
            self.read_block()?;
        }
    }

    /// Takes the line that begins there off the end.
    fn take_from(&mut self, index: usize) -> Vec<u8> {
        let mut line = self.bytes.split_off(index);
        line.pop();
        if std::mem::take(&mut self.too_long) || line.len() > HISTORY_LINE_BYTES_MAX {
            line.clear();
        }
        line
    }

    fn read_block(&mut self) -> io::Result<()> {
        let begin = self.start.saturating_sub(BLOCK_BYTES);
        self.file.seek(SeekFrom::Start(begin))?;
        let mut block = Vec::new();
        self.file.by_ref().take(self.start - begin).read_to_end(&mut block)?;
        block.append(&mut self.bytes);
        (self.bytes, self.start) = (block, begin);
        Ok(())
    }
}
