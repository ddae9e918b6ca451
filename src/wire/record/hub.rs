//! What hubs sign: that they are there, and that another one takes over.
//!
//! A claim to be the room's hub is compared by epoch, rank and id. A beat repeats it with a rising number, so that
//! only who holds the key can look alive; a handover ends it in favour of somebody else.

use serde::{Deserialize, Serialize};

use super::{Domain, FeedId, Proof, RecordError, check_number};
use crate::identity::{Id, Identity};
use crate::limits::NUMBER_MAX;

/// The claim to be a room's hub. The greater one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// One more than the highest that the claimant had seen.
    pub epoch: u64,
    /// The claimant's rank, 1 to 255.
    pub rank: u8,
    /// The claimant.
    pub hub: FeedId,
}

/// A hub's sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// The claim's epoch,
    pub epoch: u64,
    /// its rank,
    pub rank: u8,
    /// the hub,
    pub id: Id,
    /// and its session.
    pub session: u64,
    /// Rises with each beat of the claim, from 1.
    pub number: u64,
    /// How many links the hub has.
    pub links: u64,
    /// How long ago the sender has heard it, in milliseconds, by its own clock. Not signed.
    #[serde(default)]
    pub age: u64,
    /// The hub's signature over all the others.
    pub proof: Proof,
}

/// A hub's word that somebody else is the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// The epoch of the claim that ends,
    pub epoch: u64,
    /// its rank,
    pub rank: u8,
    /// who made it,
    pub id: Id,
    /// in which session.
    pub session: u64,
    /// Who takes over,
    pub to: Id,
    /// in which session.
    pub to_session: u64,
    /// The signature of who made the claim.
    pub proof: Proof,
}

impl Beat {
    /// Signs one.
    pub fn sign(claim: Claim, number: u64, links: u64, domain: &Domain, identity: &Identity) -> Self {
        let Claim { epoch, rank, hub: FeedId { author: id, session } } = claim;
        let mut beat = Self { epoch, rank, id, session, number, links, age: 0, proof: Proof([0; 64]) };
        beat.proof = Proof(identity.sign(beat.signed(domain).as_bytes()));
        beat
    }

    /// What it repeats.
    pub fn claim(&self) -> Claim {
        Claim { epoch: self.epoch, rank: self.rank, hub: FeedId { author: self.id, session: self.session } }
    }

    /// Of two beats the one that was made later has the greater one.
    pub fn freshness(&self) -> (Claim, u64) {
        (self.claim(), self.number)
    }

    /// Whether the hub has signed it for this room.
    pub fn is_proved(&self, domain: &Domain) -> bool {
        self.id.verify(self.signed(domain).as_bytes(), &self.proof.0)
    }

    fn signed(&self, domain: &Domain) -> blake3::Hash {
        let Self { epoch, rank, id, session, number, links, .. } = self;
        let text = format!("beat {epoch} {rank} {id} {session} {number} {links}");
        domain.hub.clone().update(text.as_bytes()).finalize()
    }

    pub(super) fn check(&self) -> Result<(), RecordError> {
        check_claim(self.epoch, self.rank, self.session)?;
        check_number(self.number, "number")?;
        if self.links > NUMBER_MAX || self.age > NUMBER_MAX {
            return Err(RecordError::Bounds("beat"));
        }
        Ok(())
    }
}

impl Handover {
    /// Signs one.
    pub fn sign(claim: Claim, to: FeedId, domain: &Domain, identity: &Identity) -> Self {
        let Claim { epoch, rank, hub: FeedId { author: id, session } } = claim;
        let (to, to_session) = (to.author, to.session);
        let mut handover = Self { epoch, rank, id, session, to, to_session, proof: Proof([0; 64]) };
        handover.proof = Proof(identity.sign(handover.signed(domain).as_bytes()));
        handover
    }

    /// The claim that ends.
    pub fn claim(&self) -> Claim {
        Claim { epoch: self.epoch, rank: self.rank, hub: FeedId { author: self.id, session: self.session } }
    }

    /// Who takes over.
    pub fn successor(&self) -> FeedId {
        FeedId { author: self.to, session: self.to_session }
    }

    /// Whether who made the claim has signed it for this room.
    pub fn is_proved(&self, domain: &Domain) -> bool {
        self.id.verify(self.signed(domain).as_bytes(), &self.proof.0)
    }

    fn signed(&self, domain: &Domain) -> blake3::Hash {
        let Self { epoch, rank, id, session, to, to_session, .. } = self;
        let text = format!("handover {epoch} {rank} {id} {session} {to} {to_session}");
        domain.hub.clone().update(text.as_bytes()).finalize()
    }

    pub(super) fn check(&self) -> Result<(), RecordError> {
        check_claim(self.epoch, self.rank, self.session)?;
        check_number(self.to_session, "session").map(|_| ())
    }
}

fn check_claim(epoch: u64, rank: u8, session: u64) -> Result<(), RecordError> {
    check_number(epoch, "epoch")?;
    check_number(session, "session")?;
    if rank == 0 { Err(RecordError::Bounds("rank")) } else { Ok(()) }
}
