//! A member that breaks the rules on purpose: it keeps posts to itself, says different things under one number, denies
//! what others have said, tells of feeds that do not exist, and claims that the living are lost.

use hobnob::room::LinkId;
use hobnob::wire::Frame;
use hobnob::wire::record::{Body, Control, Draft, Entry, FeedId, Header, Label, Nick, Post};

use super::{WALL_START, World};

/// One in so many of its frames is a lie.
pub(super) const LIE_ONE_IN: u64 = 12;

/// A member that lies.
pub(crate) struct Liar {
    /// A session that it makes up, to claim what it likes, and the next number of it.
    shadow: FeedId,
    next: u64,
}

impl World {
    /// From now on it lies.
    pub(crate) fn make_liar(&mut self, index: usize) {
        let author = self.nodes[index].identity.id();
        let shadow = FeedId { author, session: (self.rng.draw() >> 12) + 1 };
        self.nodes[index].liar = Some(Liar { shadow, next: 1 });
        self.liars.insert(author);
    }

    /// Tells a lie over a link; returns whether the true frame follows.
    pub(super) fn lie(&mut self, node: usize, link: LinkId, frame: &Frame) -> bool {
        let honest = self.nodes[usize::try_from(self.rng.below(self.nodes.len() as u64)).expect("fits")].feed();
        let number = 1 + self.rng.below(60);
        let (author, session) = (honest.author, honest.session);
        let lie = match self.rng.below(6) {
            0 => return !hobnob::wire::record::is_post(frame),
            1 => return self.fork(node, link, frame),
            2 => Control::Gap { author, session, from: number, to: number + self.rng.below(20) }.encode(),
            3 => Control::News { feeds: vec![Entry(author, (self.rng.draw() >> 12) + 1, number)] }.encode(),
            4 => Control::Quiet { author, session }.encode(),
            _ => self.claim_lost(node, honest),
        };
        self.transmit(node, link, &lie);
        true
    }

    /// Says something else than to the others under the same number.
    fn fork(&mut self, node: usize, link: LinkId, frame: &Frame) -> bool {
        let is_own = Label::read(frame).is_some_and(|label| label.feed == self.nodes[node].feed());
        let Some(post) = Post::decode(frame).ok().filter(|_| is_own) else { return true };
        let Body::Say { action, part, .. } = post.body else { return true };
        let header = Header { feed: post.feed, number: post.number, at: post.at, nick: &post.nick, ack: post.ack };
        let draft = Draft::Say { text: "something else", action, part };
        let other = Post::encode(&header, &draft, &self.domain, &self.nodes[node].identity);
        self.transmit(node, link, &other.frame);
        false
    }

    /// A claim that somebody is lost, in a session made up for it.
    fn claim_lost(&mut self, node: usize, feed: FeedId) -> Frame {
        let last =
            self.posted.keys().filter(|(posted, _)| *posted == feed).map(|(_, number)| *number).max().unwrap_or(1);
        let Some(liar) = self.nodes[node].liar.as_mut() else { unreachable!("an honest node does not lie") };
        let header = Header {
            feed: liar.shadow,
            number: liar.next,
            at: WALL_START + self.now,
            nick: &Nick::new("shadow").expect("a good nick"),
            ack: false,
        };
        liar.next += 1;
        let draft = Draft::Lost { feed, last };
        Post::encode(&header, &draft, &self.domain, &self.nodes[node].identity).frame
    }
}
