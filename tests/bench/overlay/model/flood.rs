//! How posts travel in the model.

use hobnob::limits::SURPLUS_BYTES_MAX;

use super::{Event, Model, Receipts};

/// A line of chat on the wire.
const POST_BYTES: u64 = 600;

impl Model {
    /// A node says something; returns the post's number.
    pub(crate) fn say(&mut self, author: usize) -> usize {
        let post = self.posts.len();
        self.posts.push((author, vec![None; self.nodes.len()]));
        self.take(author, None, post, 0);
        post
    }

    /// Who has a post.
    pub(crate) fn receipts(&self, post: usize) -> &Receipts {
        &self.posts[post].1
    }

    /// How many of the living have a post.
    pub(crate) fn reached(&self, post: usize) -> usize {
        let receipts = self.receipts(post).iter().zip(&self.nodes);
        receipts.filter(|(receipt, node)| receipt.is_some() && node.alive).count()
    }

    /// A node has a post for the first time, and passes it on.
    fn take(&mut self, node: usize, from: Option<usize>, post: usize, hops: u32) {
        let (author, receipts) = &mut self.posts[post];
        let author = *author;
        receipts[node] = Some((self.now, hops));
        let links: Vec<usize> = self.nodes[node].links.values().copied().filter(|link| Some(*link) != from).collect();
        for link in links {
            let end = usize::from(self.links[link].nodes[1] == node);
            let state = &self.links[link];
            if state.ready[end] && !state.quiet[end].contains(&author) {
                self.send(link, 1 - end, post, hops + 1, 1);
            }
        }
    }

    fn send(&mut self, link: usize, to: usize, post: usize, hops: u32, delays: u64) {
        self.at(self.now + delays * self.links[link].delay_ms, Event::Post { link, to, post, hops });
    }

    pub(super) fn post_arrived(&mut self, link: usize, to: usize, post: usize, hops: u32) {
        let state = &mut self.links[link];
        let node = state.nodes[to];
        if !state.alive || !self.nodes[node].alive {
            return;
        }
        self.copies += 1;
        let (author, receipts) = &self.posts[post];
        let author = *author;
        let surplus = state.surplus[to].entry(author).or_default();
        if receipts[node].is_none() {
            *surplus = surplus.saturating_sub(POST_BYTES);
            return self.take(node, Some(link), post, hops);
        }
        *surplus += POST_BYTES;
        if *surplus > SURPLUS_BYTES_MAX {
            *surplus = 0;
            let delay_ms = state.delay_ms;
            self.at(self.now + delay_ms, Event::Quiet { link, end: 1 - to, author });
        }
    }

    /// An end has all pages: what the other one had it wants, and what has come since its own pages it passes on.
    pub(super) fn ready(&mut self, link: usize, end: usize) {
        if !self.links[link].alive {
            return;
        }
        self.links[link].ready[end] = true;
        let nodes = self.links[link].nodes;
        let (node, peer) = (nodes[end], nodes[1 - end]);
        for post in 0..self.posts.len() {
            let receipt = |node: usize| self.posts[post].1[node];
            match (receipt(node), receipt(peer)) {
                (None, Some((_, hops))) => self.send(link, end, post, hops + 1, 2),
                (Some((at, hops)), None) if at > self.links[link].snapshot_at[end] => {
                    self.send(link, 1 - end, post, hops + 1, 1);
                }
                _ => {}
            }
        }
    }
}
