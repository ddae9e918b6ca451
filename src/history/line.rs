//! A line of a history: a post's frame without its delimiter, which is a JSON object.
//!
//! JSON may have newlines between its tokens. Ours has none; a frame of somebody else's that has one is kept as the
//! string in `{"frame":…}`, so that a line is a line and the signed bytes are the signed bytes.

use memchr::memchr;
use serde::{Deserialize, Serialize};

use crate::wire::frame::MESSAGE_END;
use crate::wire::record::{Label, Post};

/// How a line begins that holds a frame as a string.
const FOLDED_START: &[u8] = br#"{"frame":"#;

#[derive(Serialize, Deserialize)]
struct Folded<'a> {
    frame: std::borrow::Cow<'a, str>,
}

/// Writes the line of a frame.
pub(super) fn push(frame: &[u8], out: &mut Vec<u8>) {
    let text = frame.strip_suffix(MESSAGE_END).unwrap_or(frame);
    if memchr(b'\n', text).is_none() {
        out.extend_from_slice(text);
    } else {
        let folded = Folded { frame: String::from_utf8_lossy(text) };
        // A string goes into memory without fail.
        let _ = serde_json::to_writer(&mut *out, &folded);
    }
    out.push(b'\n');
}

/// The post of a line, its signature unchecked; `None` where the line is damaged.
pub(super) fn read(line: &[u8]) -> Option<Post> {
    Post::decode(&frame(line)?).ok()
}

/// Which post a line is, without parsing more than it has to.
pub(super) fn label(line: &[u8]) -> Option<Label> {
    Label::read(&frame(line)?)
}

fn frame(line: &[u8]) -> Option<Vec<u8>> {
    if line.starts_with(FOLDED_START) {
        let folded: Folded<'_> = serde_json::from_slice(line).ok()?;
        return Some([folded.frame.as_bytes(), MESSAGE_END].concat());
    }
    Some([line, MESSAGE_END].concat())
}
