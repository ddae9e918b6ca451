//! The files of a history, one a month by UTC, and the end of the newest one.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use memchr::memrchr;

/// How much of a file's end is looked at at once.
const TAIL_BYTES: u64 = 64 * 1024;

/// A month, such as 2026-11. They sort by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Month(String);

impl Month {
    /// The one of a moment.
    pub(super) fn of(at: Timestamp) -> Self {
        Self(at.to_zoned(TimeZone::UTC).strftime("%Y-%m").to_string())
    }

    /// The one that a file's name says.
    fn of_file(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_suffix(".jsonl")?;
        let is_month = name.len() == 7 && format!("{name}-01").parse::<Date>().is_ok();
        is_month.then(|| Self(name.to_owned()))
    }

    /// Its file.
    pub(super) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.jsonl", self.0))
    }
}

/// The files of a folder, oldest first. A folder that is not there has none.
pub(super) fn all(folder: &Path) -> io::Result<Vec<(Month, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        entries => entries?,
    };
    let mut months = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if let Some(month) = Month::of_file(&path).filter(|_| path.is_file()) {
            months.push((month, path));
        }
    }
    months.sort_unstable();
    Ok(months)
}

/// The newest file.
pub(super) fn newest(folder: &Path) -> io::Result<Option<(Month, PathBuf)>> {
    Ok(all(folder)?.pop())
}

/// Cuts off what stands behind the last newline: a line that was being written when its writer was killed. Returns how
/// many bytes that was.
pub(super) fn cut_torn_line(path: &Path) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let whole = whole_lines_end(&mut file, length)?;
    if whole < length {
        let file = fs::OpenOptions::new().write(true).open(path)?;
        file.set_len(whole)?;
        file.sync_data()?;
    }
    Ok(length - whole)
}

/// Where the last whole line of a file of that length ends.
pub(super) fn whole_lines_end(file: &mut File, length: u64) -> io::Result<u64> {
    let mut end = length;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(TAIL_BYTES);
        file.seek(SeekFrom::Start(start))?;
        block.clear();
        file.by_ref().take(end - start).read_to_end(&mut block)?;
        if let Some(index) = memrchr(b'\n', &block) {
            return Ok(start + index as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}
