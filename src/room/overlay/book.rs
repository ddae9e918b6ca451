//! The address book: where sessions may be dialled, by their own word.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::choice::{Candidate, Rings};
use crate::room::address::{Scope, may_dial, scope};
use crate::wire::record::FeedId;

/// Addresses that may be dialled, per session, from its newest join.
#[derive(Debug, Default)]
pub(in crate::room) struct Book(BTreeMap<FeedId, Arc<[SocketAddr]>>);

impl Book {
    /// Keeps the addresses of a join that may be dialled, given the link that brought it. Whether they are others than before.
    pub(in crate::room) fn learn(
        &mut self,
        session: FeedId,
        addresses: &[SocketAddr],
        through: Option<IpAddr>,
    ) -> bool {
        let usable = |addr: &&SocketAddr| addr.port() != 0 && through.is_some_and(|via| may_dial(addr.ip(), via));
        let usable: Arc<[SocketAddr]> = addresses.iter().filter(usable).copied().collect();
        let before = self.0.insert(session, Arc::clone(&usable));
        before != Some(usable)
    }

    /// Keeps those of a join that an earlier run saw: of which nobody knows any more over what link it came.
    pub(in crate::room) fn recall(
        &mut self,
        session: FeedId,
        addresses: &[SocketAddr],
        is_known: impl Fn(&SocketAddr) -> bool,
    ) {
        let is_global = |addr: &SocketAddr| addr.port() != 0 && scope(addr.ip()) == Some(Scope::Global);
        let usable = addresses.iter().filter(|addr| is_global(addr) || is_known(addr)).copied().collect();
        self.0.insert(session, usable);
    }

    pub(in crate::room) fn forget(&mut self, session: &FeedId) {
        self.0.remove(session);
    }

    /// How many sessions take memory here.
    pub(in crate::room) fn count(&self) -> usize {
        self.0.len()
    }

    /// A session, if it can be dialled.
    pub(in crate::room) fn candidate(&self, session: FeedId) -> Option<Candidate> {
        let addresses = self.0.get(&session).filter(|addresses| !addresses.is_empty())?;
        Some(Candidate { session, addresses: Arc::clone(addresses) })
    }

    /// Those of some sessions that can be dialled.
    pub(in crate::room) fn rings(&self, sessions: impl Iterator<Item = FeedId>) -> Rings {
        Rings::new(sessions.filter_map(|session| self.candidate(session)).collect())
    }
}
