//! Promise: a machine whose clock is wrong when a run begins, and put right later, shows nothing twice and keeps nothing twice:
//! what an earlier run has kept counts as seen, whatever the time seems to be.

use std::fs::File;
use std::sync::Arc;

use hobnob::daemon::Keepsake;
use hobnob::history::{self, Keeper};
use hobnob::identity::Identity;
use hobnob::room::Past;
use hobnob::wire::record::{Domain, Draft, FeedId, Header, Nick, Post};

const DAY_MS: u64 = 24 * 3_600_000;
const WALL: u64 = 1_790_000_000_000;

fn author(seed: u8) -> Identity {
    Identity::from_seed(&[seed; 32])
}

fn post(identity: &Identity, number: u64, at: u64) -> Arc<Post> {
    let feed = FeedId { author: identity.id(), session: 1 };
    let nick = Nick::new("somebody").expect("a nick");
    let header = Header { feed, number, at, nick: &nick, ack: false };
    let say = Draft::Say { text: "hello", action: false, part: false };
    Arc::new(Post::encode(&header, &say, &Domain::of_room("lobby"), identity))
}

/// What a run takes up that begins at some time, of two posts of each of us.
fn taken_up(wall: u64) -> Past {
    let folder = tempfile::tempdir().expect("a folder");
    let (me, alice) = (author(1), author(2));
    let posts = (1..=2).flat_map(|number| [&me, &alice].map(|author| post(author, number, WALL + number)));
    let keeper = Keeper::start(folder.path().to_owned(), None, File::sync_data).expect("a thread");
    keeper.keepsakes.send(Keepsake::Posts(posts.collect())).expect("it listens");
    keeper.close();
    history::open(folder.path(), "lobby", me.id(), wall).past
}

#[test]
fn what_is_there_is_taken_up_while_the_clock_is_right_or_behind() {
    for wall in [WALL + 1_000, WALL - 2 * DAY_MS, WALL - 300 * DAY_MS] {
        let past = taken_up(wall);
        assert_eq!((past.posts.len(), past.former.len()), (4, 0), "{wall}");
    }
}

#[test]
fn what_seems_to_be_too_old_counts_as_seen() {
    let past = taken_up(WALL + 30 * DAY_MS);
    assert!(past.posts.is_empty() && past.ends.is_empty());
    let former: Vec<(FeedId, u64)> = past.former.iter().map(|post| (post.feed, post.number)).collect();
    assert_eq!(former, [(FeedId { author: author(2).id(), session: 1 }, 2)]);
}
