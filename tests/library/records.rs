//! Promise: a record means the same to everybody who reads it, or ends the link. Every kind goes there
//! and back; then everything that two readers could see differently is refused: repeated keys, levels
//! past the bound, wrong types, numbers past 2^53 - 1, half surrogates, padding, altered bytes. What
//! a later version may add is skipped. What is sealed is opened by its reader alone. And no bytes at all make the reader panic.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod layout;
mod meaning;
mod sealed;

use hobnob::identity::Identity;
use hobnob::wire::frame::Ending;
use hobnob::wire::record::{Body, Control, Domain, Draft, FeedId, Header, Nick, Post, Record, RecordError};

fn alice() -> Identity {
    Identity::from_seed(&[1; 32])
}

fn bob() -> Identity {
    Identity::from_seed(&[2; 32])
}

fn feed_of(identity: &Identity) -> FeedId {
    FeedId { author: identity.id(), session: 77 }
}

fn lobby() -> Domain {
    Domain::of_room("lobby")
}

fn encode(number: u64, draft: &Draft<'_>) -> Post {
    let identity = alice();
    let nick = Nick::new("alice").unwrap();
    let header =
        Header { feed: feed_of(&identity), number, at: 1_790_000_000_000, nick: &nick, ack: number.is_multiple_of(2) };
    Post::encode(&header, draft, &lobby(), &identity)
}

fn say(text: &str) -> Post {
    encode(1, &Draft::Say { text, action: false, part: false })
}

/// A post's frame with the text after its number as given; the signature is of the right form only.
fn post_with(rest: &str) -> Vec<u8> {
    let author = alice().id();
    let sig = "0".repeat(128);
    format!(r#"{{"type":"post","author":"{author}","session":77,"number":1,{rest},"sig":"{sig}"}}<MSGENCD>"#)
        .into_bytes()
}

/// The same with everything but kind and body filled in.
fn post_of(kind: &str, body: &str) -> Vec<u8> {
    post_with(&format!(r#""at":5,"nick":"alice","kind":"{kind}","body":{body}"#))
}

fn body_of(kind: &str, body: &str) -> Result<Body, RecordError> {
    Post::decode(&post_of(kind, body)).map(|post| post.body)
}

fn control(json: &str) -> Result<Control, RecordError> {
    match Record::decode(format!("{json}<MSGENCD>").as_bytes(), Ending::Message)? {
        Record::Control(control) => Ok(control),
        Record::Ack(_) => panic!("an ack"),
    }
}
