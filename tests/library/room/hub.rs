//! In hub mode: who is followed, what spare links carry, and what is not believed.

use std::net::SocketAddr;

use hobnob::limits::{BEAT_MS, HUB_DOWN_MS, HUB_SETTLES_MS, RANK_DEFAULT, SPARE_NEWS_MS, WITHHELD_MS};
use hobnob::room::event::Event;
use hobnob::room::{Config, DialFailure, Input, LinkId, Reach};
use hobnob::wire::end::End;
use hobnob::wire::record::{Beat, Claim, Control, Draft, Entry, Handover, Mode};

use super::hand::{Author, Hand, Sent, config, controls_of, lobby, posts_of};

/// Bob's links to a hub, and to somebody who has the same one.
struct Star {
    bob: Hand,
    hub: Author,
    to_hub: LinkId,
    carol: Author,
    to_carol: LinkId,
    beats: u64,
}

fn member(seed: u8, nick: &str) -> Author {
    let mut member = Author::new(seed, nick);
    member.mode = Mode::Hub;
    member
}

fn joiner() -> Config {
    let listening: SocketAddr = "10.0.0.1:4646".parse().unwrap();
    Config { mode: Mode::Any, reach: Reach::Dialable, listening: Some(listening), ..config(1) }
}

fn claim(hub: &Author, epoch: u64) -> Claim {
    Claim { epoch, rank: RANK_DEFAULT, hub: hub.feed }
}

fn beat(hub: &Author, epoch: u64, number: u64) -> Control {
    Control::Beat(Beat::sign(claim(hub, epoch), number, 2, &lobby(), &hub.identity))
}

fn handover(hub: &Author, epoch: u64, to: &Author) -> Control {
    Control::Handover(Handover::sign(claim(hub, epoch), to.feed, &lobby(), &hub.identity))
}

fn follow(hub: &Author, epoch: u64) -> Control {
    Control::Follow { hub: Some(Entry(hub.feed.author, hub.feed.session, epoch)) }
}

impl Star {
    fn new() -> Self {
        let mut bob = Hand::new(joiner());
        let (mut hub, mut carol) = (member(2, "alice"), member(3, "carol"));
        let to_hub = bob.link(&hub, &[]);
        let to_carol = bob.link(&carol, &[]);
        for (link, author, addr) in [(to_hub, &mut hub, "10.0.0.2:4646"), (to_carol, &mut carol, "10.0.0.3:4646")] {
            let addresses: Vec<SocketAddr> = vec![addr.parse().unwrap()];
            let join = author.post(&Draft::Join {
                addresses: &addresses,
                passing: false,
                rank: None,
                sealing: None,
                away: None,
            });
            bob.post(link, &join);
        }
        let mut star = Self { bob, hub, to_hub, carol, to_carol, beats: 0 };
        star.beat();
        star.bob.control(to_carol, follow(&star.hub, 1));
        star.pass(1_000);
        star.bob.sent(to_hub);
        star.bob.sent(to_carol);
        star
    }

    fn beat(&mut self) {
        self.beats += 1;
        self.bob.control(self.to_hub, beat(&self.hub, 1, self.beats));
    }

    /// Lets time pass while the hub beats and both are alive.
    fn pass(&mut self, ms: u64) {
        for _ in 0..ms / BEAT_MS {
            self.beat();
            self.bob.arrive(self.to_carol, vec![]);
            self.bob.pass(BEAT_MS);
        }
    }

    fn told(&mut self, link: LinkId) -> Vec<Control> {
        controls_of(&self.bob.sent(link))
    }

    fn hubs(&self) -> Vec<&str> {
        let hubs = self.bob.events.iter().filter_map(|event| match event {
            Event::Hub { hub, .. } => Some(hub.nick.as_str()),
            _ => None,
        });
        hubs.collect()
    }
}

#[test]
fn who_joins_learns_what_the_room_is_and_says_so() {
    let mut bob = Hand::new(joiner());
    let (alice, mesh) = (member(2, "alice"), Author::new(3, "carol"));
    bob.link(&alice, &[]);
    let link = bob.connect(None, "10.0.0.3:5000");
    let said = controls_of(&bob.sent(link));
    assert!(matches!(&said[..], [Control::Hello(hello)] if hello.mode == Mode::Hub), "{said:?}");
    bob.control(link, Control::Hello(mesh.hello()));
    assert_eq!(bob.is_closed(link), Some(End::Mode));
}

#[test]
fn those_who_did_not_know_yet_are_told_what_the_room_is() {
    let mut bob = Hand::new(joiner());
    let mut carol = member(3, "carol");
    carol.mode = Mode::Any;
    let to_carol = bob.link(&carol, &[]);
    bob.sent(to_carol);
    bob.link(&member(2, "alice"), &[]);
    assert!(controls_of(&bob.sent(to_carol)).contains(&Control::Mode { mode: Mode::Hub }));
    let other = bob.connect(None, "10.0.0.4:5000");
    let mut dave = member(4, "dave");
    dave.mode = Mode::Any;
    bob.control(other, Control::Hello(dave.hello()));
    bob.control(other, Control::Mode { mode: Mode::Mesh });
    assert_eq!(bob.is_closed(other), Some(End::Mode), "it has learnt something else meanwhile");
}

#[test]
fn a_spare_link_carries_no_posts_and_tells_the_newest_numbers_now_and_then() {
    let mut star = Star::new();
    assert_eq!(star.hubs(), ["alice"]);
    let said = star.hub.say("hello");
    star.bob.post(star.to_hub, &said);
    star.pass(SPARE_NEWS_MS + 500);
    let sent = star.bob.sent(star.to_carol);
    assert_eq!(posts_of(&sent), [], "carol has it from the hub");
    let news = |sent: &&Sent| matches!(sent, Sent::Control(Control::News { .. }));
    assert_eq!(sent.iter().filter(news).count(), 1, "{sent:?}");
    assert_eq!(star.bob.texts(), ["hello"]);
}

#[test]
fn what_the_hub_does_not_bring_is_fetched_from_a_spare_link() {
    let mut star = Star::new();
    let mut dave = member(4, "dave");
    dave.join();
    star.bob.control(star.to_carol, Control::News { feeds: vec![dave.entry(1)] });
    star.pass(WITHHELD_MS - 500);
    assert!(!star.told(star.to_carol).contains(&dave.want(1)), "the hub has its time");
    star.pass(1_000);
    assert!(star.told(star.to_carol).contains(&dave.want(1)));
    assert!(!star.told(star.to_carol).contains(&Control::Probe {}), "a new hub is not accused");
}

#[test]
fn a_hub_that_keeps_posts_back_is_left() {
    let mut star = Star::new();
    star.pass(HUB_SETTLES_MS);
    let mut dave = member(4, "dave");
    dave.join();
    star.told(star.to_carol);
    star.bob.control(star.to_carol, Control::News { feeds: vec![dave.entry(1)] });
    star.pass(WITHHELD_MS + 500);
    let told = star.told(star.to_carol);
    assert!(told.contains(&Control::Follow { hub: None }), "{told:?}");
    assert!(told.contains(&Control::Probe {}), "{told:?}");
    star.pass(2_000);
    let claims = star.told(star.to_carol);
    let is_ours = |control: &Control| matches!(control, Control::Beat(beat) if beat.id == star.bob.me.author);
    assert!(claims.iter().any(is_ours), "whatever the old one says: {claims:?}");
}

#[test]
fn nobody_moves_to_a_greater_claim_but_on_the_hubs_word() {
    let mut star = Star::new();
    let greater = beat(&star.carol, 2, 1);
    star.bob.control(star.to_carol, greater.clone());
    assert_eq!(star.told(star.to_hub), [greater], "the hub hears of it");
    star.pass(1_000);
    assert_eq!(star.hubs(), ["alice"]);
    let word = handover(&star.hub, 1, &star.carol);
    star.bob.control(star.to_hub, word);
    star.bob.control(star.to_carol, beat(&star.carol, 2, 2));
    assert_eq!(star.hubs(), ["alice", "carol"]);
}

/// The word came when the hub was missed already, under load, and was not heard; and each copy of it counted as a sign of life.
#[test]
fn a_hubs_word_is_heard_although_it_is_missed_and_counts_once() {
    let mut star = Star::new();
    star.bob.pass(HUB_DOWN_MS + 250);
    assert!(star.told(star.to_carol).contains(&Control::Probe {}), "the hub is missed");
    let word = handover(&star.hub, 1, &star.carol);
    for _ in 0..10 {
        star.bob.control(star.to_carol, word.clone());
        star.bob.pass(BEAT_MS);
    }
    assert_eq!(star.hubs(), ["alice", "n1"], "neither of them beats");
    let mut star = Star::new();
    star.bob.pass(HUB_DOWN_MS + 250);
    star.bob.control(star.to_carol, word);
    star.bob.control(star.to_carol, beat(&star.carol, 2, 1));
    let told = star.bob.events.iter().rfind(|event| matches!(event, Event::Hub { .. }));
    assert!(matches!(told, Some(Event::Hub { hub, gone: false, .. }) if hub.nick.as_str() == "carol"), "{told:?}");
}

/// After a cut the greater claim of the other side was overtaken by whom it had been told to: its hub was still lost to all here.
#[test]
fn a_hub_that_beats_is_one_although_it_was_told_to_be_lost() {
    let mut star = Star::new();
    star.bob.input(Input::Broken { link: star.to_carol, end: End::Vanished });
    for _ in 0..40 {
        star.beat();
        star.bob.pass(BEAT_MS);
    }
    let is_lost = |event: &&Event| matches!(event, Event::Lost { member, .. } if member.id == star.carol.feed.author);
    assert_eq!(star.bob.events.iter().filter(is_lost).count(), 1);
    let (word, carols) = (handover(&star.hub, 1, &star.carol), beat(&star.carol, 2, 1));
    star.bob.control(star.to_hub, word);
    star.bob.control(star.to_hub, carols);
    star.bob.sent(star.to_hub);
    for number in 2..=10 {
        star.bob.pass(BEAT_MS);
        let carols = beat(&star.carol, 2, number);
        star.bob.control(star.to_hub, carols);
    }
    assert_eq!(star.bob.room.view().epoch, 2, "bob claims nothing");
}

#[test]
fn who_claims_less_is_told_what_is_known() {
    let mut star = Star::new();
    star.bob.control(star.to_hub, beat(&star.hub, 3, 1));
    star.bob.control(star.to_carol, beat(&star.carol, 2, 1));
    let told = star.told(star.to_carol);
    let is_newest = |control: &Control| matches!(control, Control::Beat(beat) if (beat.epoch, beat.number) == (3, 1));
    assert!(told.iter().any(is_newest), "{told:?}");
}

#[test]
fn an_epoch_that_cannot_have_been_reached_is_not_believed() {
    let mut star = Star::new();
    star.bob.control(star.to_carol, beat(&star.carol, 1_000_000, 1));
    assert_eq!(star.told(star.to_hub), [], "nobody hears of it");
    assert_eq!(star.bob.room.view().epoch, 1);
}

#[test]
fn a_forged_beat_ends_its_link() {
    let mut star = Star::new();
    let Control::Beat(mut forged) = beat(&star.carol, 2, 1) else { unreachable!() };
    forged.id = star.hub.feed.author;
    forged.session = star.hub.feed.session;
    star.bob.control(star.to_carol, Control::Beat(forged));
    assert_eq!(star.bob.is_closed(star.to_carol), Some(End::BadSignature));
}

#[test]
fn what_others_remember_of_a_dead_hub_does_not_keep_it_alive() {
    let mut star = Star::new();
    let last = beat(&star.hub, 1, star.beats);
    star.bob.input(Input::Broken { link: star.to_hub, end: End::Vanished });
    for _ in 0..10 {
        star.bob.control(star.to_carol, last.clone());
        star.bob.pass(BEAT_MS);
    }
    assert_eq!(star.hubs(), ["alice", "n1"], "bob has taken over");
}

#[test]
fn a_hub_without_room_for_more_is_told_of_once_and_others_carry_the_words() {
    let mut bob = Hand::new(joiner());
    let (mut hub, carol) = (member(2, "alice"), member(3, "carol"));
    let to_carol = bob.link(&carol, &[hub.entry(1)]);
    let addresses: Vec<SocketAddr> = vec!["10.0.0.2:4646".parse().unwrap()];
    let join = hub.post(&Draft::Join { addresses: &addresses, passing: false, rank: None, sealing: None, away: None });
    bob.post(to_carol, &join);
    for number in 1..=20 {
        bob.control(to_carol, beat(&hub, 1, number));
        bob.pass(BEAT_MS);
        for (dial, _) in std::mem::take(&mut bob.dials) {
            bob.input(Input::DialFailed { dial, failure: DialFailure::Refused(End::Full) });
        }
    }
    let is_told = |event: &&Event| matches!(event, Event::Warning(text) if text.contains("all the links it can keep"));
    assert_eq!(bob.events.iter().filter(is_told).count(), 1);
    bob.control(to_carol, Control::Want { author: bob.me.author, session: bob.me.session, from: 1, answer: false });
    bob.sent(to_carol);
    bob.command_say("hello");
    assert!(posts_of(&bob.sent(to_carol)).contains(&(bob.me, bob.have(bob.me))), "carol passes it on");
}

#[test]
fn in_a_mesh_nothing_of_hubs_is_said_kept_or_believed() {
    let listening: SocketAddr = "10.0.0.1:4646".parse().unwrap();
    let mut bob = Hand::new(Config { reach: Reach::Dialable, listening: Some(listening), ..config(1) });
    let mut carol = Author::new(3, "carol");
    let to_carol = bob.link(&carol, &[]);
    let join = carol.join();
    bob.post(to_carol, &join);
    for number in 1..=20 {
        bob.control(to_carol, beat(&carol, 1, number));
        bob.control(to_carol, follow(&carol, 1));
        bob.control(to_carol, Control::Probe {});
        bob.control(to_carol, handover(&carol, 1, &Author::new(4, "dave")));
        bob.pass(BEAT_MS);
    }
    let said = controls_of(&bob.sent(to_carol));
    let of_hubs = |control: &&Control| {
        matches!(
            control,
            Control::Mode { .. } | Control::Beat(_) | Control::Handover(_) | Control::Probe {} | Control::Follow { .. }
        )
    };
    assert_eq!(said.iter().filter(of_hubs).count(), 0, "{said:?}");
    assert_eq!((bob.is_closed(to_carol), bob.room.view().hub, bob.room.view().epoch), (None, None, 0));
}
