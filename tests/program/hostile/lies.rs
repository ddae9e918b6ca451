//! Lies that are signed, or need no signature: about what was said, when, and who is here.

use hobnob::limits::NUMBER_MAX;
use hobnob::wire::record::{Control, Draft, FeedId, Header, Hello, Nick, Post};
use serde_json::Value;

use super::JOIN;
use crate::support::chat::{Chat, Cost};
use crate::support::wire::{Heard, Wire, lobby, now};
use crate::support::{count_of, said_by};

fn say(text: &str) -> Draft<'_> {
    Draft::Say { text, action: false, part: false }
}

#[test]
fn two_posts_under_one_number_are_proof_against_their_author() {
    let mut chat = Chat::start();
    let mut eve = chat.stranger();
    eve.greet();
    eve.send_post(1, &JOIN);
    eve.send_post(2, &say("I said yes"));
    chat.bob.wait_for_said("eve", &["I said yes".to_owned()]);
    eve.send_post(2, &say("I said no"));
    assert_eq!(eve.reason().as_deref(), Some("forked"), "{}", chat.node.told());
    chat.node.wait_for_stderr("is closed: forked");
    let is_told = |event: &Value| event["text"].as_str().is_some_and(|text| text.contains("two different messages"));
    for one in [&chat.node, &chat.alice, &chat.bob] {
        one.wait_for("the proof", is_told);
        one.wait_for_member("lost", "eve");
        assert_eq!(said_by(&one.events(), "eve"), ["I said yes"], "the first one stays");
    }
    chat.goes_on("during");
    chat.finish_but(Cost::LITTLE, |event| {
        is_told(event) || event["from"]["nick"] == "eve" || event["member"]["nick"] == "eve"
    });
}

#[test]
fn a_gap_notice_for_somebodys_whole_future_takes_nothing_from_it() {
    let mut chat = Chat::start();
    let alice = chat.alice_id();
    let gaps: [fn(u64) -> (u64, u64); 3] =
        [|have| (have + 1, NUMBER_MAX), |have| (have + 1, NUMBER_MAX - 1), |have| (1, have + 1_000_000)];
    let mut held = Vec::new();
    for (index, gap) in gaps.into_iter().enumerate() {
        let mut eve = chat.stranger_called(&format!("eve{index}"));
        let entry = *eve.greet().iter().find(|entry| entry.0 == alice).expect("the node has alice's feed");
        let (from, to) = gap(entry.2);
        eve.send(&Control::Gap { author: alice, session: entry.1, from, to });
        chat.goes_on(&format!("during {index}"));
        held.push(eve);
    }
    assert_eq!(held[0].reason().as_deref(), Some("empty-gap"), "nobody can have said all that");
    chat.node.wait_for_stderr("is closed: empty-gap");
    chat.finish();
}

#[test]
fn a_false_lost_of_a_live_member_is_not_seen() {
    let mut chat = Chat::start();
    let alice = chat.alice_id();
    let mut eve = chat.stranger();
    let mut entry = *eve.greet().iter().find(|entry| entry.0 == alice).expect("the node has alice's feed");
    eve.send(&Control::Want { author: alice, session: entry.1, from: entry.2 + 1, answer: false });
    eve.send_post(1, &JOIN);
    chat.bob.wait_for_member("joined", "eve");
    for turn in 0..200 {
        eve.send_post(turn + 2, &Draft::Lost { feed: entry.feed(), last: entry.2 + turn });
    }
    chat.goes_on("during");
    // And one at the very number that she has, again and again.
    let mut number = 202;
    for token in 0..20 {
        eve.send(&Control::Ping { token });
        loop {
            match eve.next().expect("no rule is broken") {
                Heard::Post(post) if post.feed == entry.feed() => entry.2 = post.number,
                Heard::Control(Control::Pong { token: answered }) if answered == token => break,
                _ => {}
            }
        }
        eve.send_post(number, &Draft::Lost { feed: entry.feed(), last: entry.2 });
        number += 1;
        // She joins anew, at once.
        while !matches!(eve.next().expect("no rule is broken"), Heard::Post(post) if post.feed == entry.feed()) {}
        entry.2 += 1;
    }
    chat.goes_on("still");
    let shown = chat.bob.events();
    assert_eq!(count_of(&shown, "joined", "alice"), 1, "she has been here all the time\n{}", chat.bob.told());
    eve.send_post(number, &Draft::Leave { why: "" });
    for one in [&chat.node, &chat.alice, &chat.bob] {
        one.wait_for_member("left", "eve");
    }
    drop(eve);
    chat.finish();
}

#[test]
fn a_clock_ten_years_off_is_told_and_refused() {
    const TEN_YEARS: u64 = 10 * 365 * 24 * 3_600_000;
    let mut chat = Chat::start();
    let times: [fn() -> u64; 5] = [|| now() + TEN_YEARS, || now() - TEN_YEARS, || 0, || NUMBER_MAX, || 1];
    // In a hello.
    for (index, time) in times.into_iter().enumerate() {
        let mut eve = chat.stranger_called(&format!("eve{index}"));
        eve.hear_hello();
        eve.send(&Control::Hello(Hello { time: time(), ..eve.hello() }));
        assert_eq!(eve.reason().as_deref(), Some("clock"), "{}", chat.node.told());
    }
    chat.node.wait_for_stderr_times("is closed: clock", times.len());
    // In posts of one who says hello with the right time.
    for (index, time) in times.into_iter().enumerate() {
        let mut eve = chat.stranger_called(&format!("eve{}", index + 10));
        eve.greet();
        let nick = Nick::new("eve").expect("a nick");
        for (number, draft) in [(1, JOIN), (2, say("the future is now"))] {
            let header = Header { feed: eve.feed, number, at: time(), nick: &nick, ack: true };
            let post = Post::encode(&header, &draft, &lobby(), &eve.identity);
            eve.write(&post.frame);
        }
        assert_eq!(eve.reason().as_deref(), Some("clock"), "{}", chat.node.told());
    }
    chat.node.wait_for_stderr_times("is closed: clock", 2 * times.len());
    chat.goes_on("during");
    let is_told = |event: &Value| event["text"].as_str().is_some_and(|text| text.starts_with("the clock of eve"));
    chat.finish_but(Cost::LITTLE, is_told);
}

const HOUR: u64 = 3_600_000;

/// The posts of somebody's session that is over, as somebody else may have kept them.
fn session_of(name: &str, session: u64, began: u64, drafts: &[Draft<'_>]) -> Vec<Vec<u8>> {
    let (identity, nick) = (Wire::identity_of(name), Nick::new(name).expect("a nick"));
    let feed = FeedId { author: identity.id(), session };
    let posts = drafts.iter().zip(1..).map(|(draft, number)| {
        let header = Header { feed, number, at: began + number, nick: &nick, ack: false };
        Post::encode(&header, draft, &lobby(), &identity).frame.to_vec()
    });
    posts.collect()
}

#[test]
fn yesterdays_session_played_again_brings_back_nobody_and_says_nothing_new() {
    let mut chat = Chat::start();
    // Eve's session of yesterday, without its end; and of an hour ago that of one who is here again.
    let mut mallory = chat.stranger_called("eve-too");
    mallory.greet();
    mallory.send_post(1, &JOIN);
    for one in [&chat.alice, &chat.bob] {
        one.wait_for_member("joined", "eve-too");
    }
    let mut eve = chat.stranger();
    eve.greet();
    let old = session_of("eve-gone", 5, now() - 24 * HOUR, &[JOIN, say("I promise"), say("you a pony")]);
    let older = session_of("eve-too", 5, now() - HOUR, &[JOIN, say("I promise"), say("you a pony")]);
    for post in old.iter().chain(&older) {
        eve.write(post);
    }
    eve.send(&Control::Ping { token: 1 });
    eve.next_control(|control| *control == Control::Pong { token: 1 });
    chat.goes_on("during");
    for one in [&chat.node, &chat.alice, &chat.bob] {
        let events = one.events();
        assert_eq!(count_of(&events, "joined", "eve-gone"), 0, "{}", one.told());
        assert_eq!(count_of(&events, "joined", "eve-too"), 1, "{}", one.told());
        let fresh =
            |event: &&Value| event["event"] == "say" && event["backlog"] == false && event["text"] == "I promise";
        assert_eq!(events.iter().filter(fresh).count(), 0, "{}", one.told());
    }
    mallory.send_post(2, &Draft::Leave { why: "" });
    chat.bob.wait_for_member("left", "eve-too");
    drop((eve, mallory));
    chat.finish_but(Cost::LITTLE, |event| event["backlog"] == true);
}
