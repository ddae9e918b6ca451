//! What the fuzzer runs, and `tests/library/fuzzed.rs` with it: a target takes any bytes and panics where a promise is broken.

use hobnob::identity::Identity;
use hobnob::wire::record::Domain;

mod frames;
mod links;
mod records;
mod room;
mod tickets;

/// One of them.
pub(crate) type Target = fn(&[u8]);

/// All of them. Each has its first inputs in `tests/fuzz/corpus`.
pub(crate) const TARGETS: [(&str, Target); 5] = [
    ("frames", frames::run),
    ("links", links::run),
    ("records", records::run),
    ("room", room::run),
    ("tickets", tickets::run),
];

/// The input, from which a target takes its decisions. What is not there is zero.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// A number below a bound.
    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    /// One of several.
    fn pick<T: Copy>(&mut self, choice: &[T]) -> T {
        choice[self.below(choice.len())]
    }

    /// So many bytes, or what is left.
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// As many bytes as the next one says.
    fn chunk(&mut self) -> &'a [u8] {
        let count = usize::from(self.byte());
        self.take(count)
    }
}

fn lobby() -> Domain {
    Domain::of_room("lobby")
}

fn identity(seed: u8) -> Identity {
    Identity::from_seed(&[seed; 32])
}

/// A frame with these fields behind its label, signed rightly, whatever they are.
fn sealed_post(identity: &Identity, label: (u64, u64), fields: &[u8]) -> Vec<u8> {
    let (session, number) = label;
    let start = format!(r#"{{"type":"post","author":"{}","session":{session},"number":{number},"#, identity.id());
    let signed = [start.as_bytes(), fields].concat();
    seal("post", identity, &signed)
}

/// Signs as the protocol's page says, for the room `lobby`.
fn seal(what: &str, identity: &Identity, signed: &[u8]) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("hobnob {what} 1 lobby\n").as_bytes()).update(signed);
    let signature = hex::encode(identity.sign(hasher.finalize().as_bytes()));
    [signed, br#","sig":""#, signature.as_bytes(), br#""}<MSGENCD>"#].concat()
}
