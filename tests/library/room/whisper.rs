//! Whispers, one rule at a time: what a relay carries and what it drops, what a reader takes and what it remembers, what a
//! sender keeps and when it gives up.

use std::sync::Arc;

use hobnob::limits::{
    LINK_FLOODS, LINK_TRACES, LINK_WHISPERS, PROBES_MAX, RECEIPT_MS_MAX, WHISPER_AGE_MS_MAX, WHISPER_COST_BYTES,
    WHISPER_HOPS_MAX, WHISPER_STREAMS_PER_SENDER_MAX, WHISPERS_EARLY_BYTES_MAX, WHISPERS_EARLY_MAX,
    WHISPERS_UNSHOWN_BYTES_MAX, WHISPERS_WAITING_MAX,
};
use hobnob::room::event::{Command, Event, NotHeard, Outcome, Person, Said, WaitsFor, Whisper, Whom};
use hobnob::room::{Input, LinkId, Note, Past};
use hobnob::wire::record::{Control, Draft, Envelope, Sealed, Trace};
use hobnob::wire::seal::{Chance, Content, Sealer, SealingKey, Text};

use super::hand::{Author, Hand, WALL_START, config, controls_of, lobby};

const HOUR_MS: u64 = 3_600_000;

fn sealer(author: &Author) -> Sealer {
    let seed = author.feed.author.0;
    Sealer::new(&author.identity, "lobby", &lobby(), Chance::from_seed(seed))
}

/// Somebody who can be whispered to is here, over a link.
fn joined(bob: &mut Hand, author: &mut Author) -> LinkId {
    let link = bob.level_link(author);
    let sealing = Some(sealer(author).key());
    let join = author.post(&Draft::Join { addresses: &[], passing: false, rank: None, sealing, away: None });
    bob.post(link, &join);
    bob.sent(link);
    link
}

/// What whispers to bob are sealed to.
fn key_of(bob: &Hand) -> SealingKey {
    let identity = config(1).identity;
    assert_eq!(bob.me.author, identity.id(), "bob is who is under test");
    Sealer::new(&identity, "lobby", &lobby(), Chance::from_seed([1; 32])).key()
}

fn envelope(bob: &Hand, sealed: Sealed) -> Envelope {
    Envelope { to: bob.me.author, session: bob.me.session, hops: 16, flood: None, sealed }
}

fn text(author: &Author, number: u64, text: &str) -> Text {
    let (stream, at, nick) = (author.feed.session, WALL_START, author.nick.clone());
    Text { stream, number, at, nick, text: text.to_owned(), action: false, part: false }
}

/// A content reaches bob from somebody.
fn tell(bob: &mut Hand, link: LinkId, from: &Author, content: &Content) {
    let (to, key) = (bob.me.author, key_of(bob));
    let sealed = sealer(from).seal(to, &key, content).unwrap();
    let envelope = envelope(bob, sealed);
    bob.control(link, Control::Whisper(envelope));
}

fn whisper(bob: &mut Hand, link: LinkId, from: &Author, number: u64, words: &str) {
    tell(bob, link, from, &Content::Text(text(from, number, words)));
}

fn whispers(bob: &Hand) -> Vec<Arc<Whisper>> {
    let one = |event: &Event| if let Event::Whispered(whisper) = event { Some(Arc::clone(whisper)) } else { None };
    bob.events.iter().filter_map(one).collect()
}

fn shown(bob: &Hand) -> Vec<String> {
    whispers(bob).iter().filter(|whisper| !whisper.mine).map(|whisper| whisper.text.clone()).collect()
}

/// The envelopes that went over a link.
fn sent(bob: &mut Hand, link: LinkId) -> Vec<Envelope> {
    let one = |control| if let Control::Whisper(envelope) = control { Some(envelope) } else { None };
    controls_of(&bob.sent(link)).into_iter().filter_map(one).collect()
}

/// What somebody reads of the envelopes that went over a link.
fn read(bob: &mut Hand, link: LinkId, reader: &Author) -> Vec<Content> {
    sent(bob, link).iter().filter_map(|envelope| Some(sealer(reader).open(&envelope.sealed).ok()?.content)).collect()
}

fn say_to(bob: &mut Hand, to: &Author, words: &str) {
    let whom = Whom::Known(Person { id: to.feed.author, nick: to.nick.clone() }, None);
    bob.input(Input::Command(Command::Whisper(whom, Said { text: words.to_owned(), ..Said::default() })));
}

fn refusals(bob: &Hand) -> usize {
    bob.events.iter().filter(|event| matches!(event, Event::Refused(_))).count()
}

// ---- the relay ----------------------------------------------------------------------------------

/// Bob carries between alice, who is linked, and carol, who is behind the link of dave.
fn between() -> (Hand, Author, Author, LinkId, LinkId) {
    let mut bob = Hand::new(config(1));
    let (mut alice, mut carol, dave) = (Author::new(2, "alice"), Author::new(3, "carol"), Author::new(4, "dave"));
    let a = joined(&mut bob, &mut alice);
    let d = bob.level_link(&dave);
    let sealing = Some(sealer(&carol).key());
    let join = carol.post(&Draft::Join { addresses: &[], passing: false, rank: None, sealing, away: None });
    bob.post(d, &join);
    bob.take_sent();
    (bob, alice, carol, a, d)
}

fn to_carol(carol: &Author, hops: u8, flood: Option<u64>) -> Envelope {
    let sealed = Sealed::of(&[7; 100]);
    Envelope { to: carol.feed.author, session: carol.feed.session, hops, flood, sealed }
}

#[test]
fn a_relay_carries_towards_where_the_readers_posts_come_from_and_takes_a_hop_off() {
    let (mut bob, _, carol, a, d) = between();
    bob.control(a, Control::Whisper(to_carol(&carol, WHISPER_HOPS_MAX, None)));
    assert_eq!(sent(&mut bob, d), [to_carol(&carol, WHISPER_HOPS_MAX - 1, None)]);
    assert_eq!(sent(&mut bob, a), []);
    // The last hop is over, or the way leads back.
    bob.control(a, Control::Whisper(to_carol(&carol, 1, None)));
    bob.control(d, Control::Whisper(to_carol(&carol, 9, None)));
    let stranger = Author::new(5, "eve");
    bob.control(a, Control::Whisper(to_carol(&stranger, 9, None)));
    assert!(bob.take_sent().is_empty());
    assert!(bob.closed.is_empty(), "nobody is to blame");
}

#[test]
fn a_flood_is_passed_on_once_and_straight_to_a_reader_who_is_linked() {
    let (mut bob, _, mut carol, a, d) = between();
    let other = bob.level_link(&Author::new(5, "erin"));
    let flood = to_carol(&carol, 5, Some(77));
    bob.control(a, Control::Whisper(flood.clone()));
    bob.control(d, Control::Whisper(flood.clone()));
    let onward = [Envelope { hops: 4, ..flood }];
    assert_eq!((sent(&mut bob, d), sent(&mut bob, other)), (onward.to_vec(), onward.to_vec()), "once over each");
    let c = joined(&mut bob, &mut carol);
    bob.take_sent();
    bob.control(a, Control::Whisper(to_carol(&carol, 5, Some(78))));
    assert_eq!((sent(&mut bob, c).len(), sent(&mut bob, d).len(), sent(&mut bob, other).len()), (1, 0, 0));
}

#[test]
fn what_a_link_brings_too_much_of_is_dropped_and_the_link_stays() {
    let (mut bob, _, carol, a, d) = between();
    let burst = LINK_FLOODS.burst;
    for number in 1..=burst + 1 {
        bob.control(a, Control::Whisper(to_carol(&carol, 5, Some(number))));
    }
    assert_eq!(sent(&mut bob, d).len() as u64, burst);
    let burst = LINK_WHISPERS.burst;
    for _ in 0..=burst {
        bob.control(a, Control::Whisper(to_carol(&carol, 5, None)));
    }
    assert_eq!(sent(&mut bob, d).len() as u64, burst);
    for token in 1..=LINK_TRACES.burst + 1 {
        let path = vec![Author::new(2, "alice").feed.author];
        let trace = Trace { token, to: carol.feed.author, session: carol.feed.session, path, back: false };
        bob.control(a, Control::Trace(trace));
    }
    let traces = controls_of(&bob.sent(d)).into_iter().filter(|control| matches!(control, Control::Trace(_)));
    assert_eq!(traces.count() as u64, LINK_TRACES.burst);
    assert!(bob.closed.is_empty());
}

#[test]
fn a_trace_names_only_those_it_came_over() {
    let (mut bob, alice, carol, a, d) = between();
    let (me, carol) = (bob.me.author, carol.feed);
    let trace =
        |path: Vec<_>, back| Control::Trace(Trace { token: 5, to: carol.author, session: carol.session, path, back });
    bob.control(a, trace(vec![alice.feed.author], false));
    let dave = Author::new(4, "dave").feed.author;
    assert_eq!(controls_of(&bob.sent(d)), [trace(vec![alice.feed.author, me], false)]);
    bob.control(d, trace(vec![alice.feed.author, me, dave, carol.author], true));
    assert_eq!(controls_of(&bob.sent(a)), [trace(vec![alice.feed.author, me, dave, carol.author], true)]);
    // Sent by somebody who is not where the path says, or round in a circle.
    bob.control(a, trace(vec![dave], false));
    bob.control(a, trace(vec![me, alice.feed.author], false));
    bob.control(a, trace(vec![alice.feed.author, me, dave], true));
    assert!(bob.take_sent().is_empty() && bob.closed.is_empty());
}

// ---- the reader ---------------------------------------------------------------------------------

#[test]
fn a_whisper_is_shown_in_its_turn_and_confirmed_behind_that() {
    let mut bob = Hand::new(config(1));
    let mut alice = Author::new(2, "alice");
    let a = joined(&mut bob, &mut alice);
    let stream = alice.feed.session;
    whisper(&mut bob, a, &alice, 2, "two");
    assert_eq!((shown(&bob).len(), read(&mut bob, a, &alice)), (0, vec![Content::Heard { stream, number: 0 }]));
    whisper(&mut bob, a, &alice, 1, "one");
    assert_eq!(shown(&bob), ["one", "two"]);
    assert_eq!(read(&mut bob, a, &alice).last(), Some(&Content::Heard { stream, number: 2 }));
    whisper(&mut bob, a, &alice, 1, "another one");
    assert_eq!(shown(&bob), ["one", "two"], "a number is shown once");
    assert_eq!(read(&mut bob, a, &alice), [Content::Heard { stream, number: 2 }], "and confirmed again");
}

#[test]
fn what_was_shown_is_kept_before_it_is_confirmed() {
    let mut bob = Hand::new(hobnob::room::Config { keep: true, ..config(1) });
    let mut alice = Author::new(2, "alice");
    let a = joined(&mut bob, &mut alice);
    bob.unread = true;
    whisper(&mut bob, a, &alice, 1, "one");
    assert!(read(&mut bob, a, &alice).is_empty() && bob.notes.is_empty(), "nobody has seen it");
    bob.unread = false;
    bob.input(Input::Tick);
    let heard = |note: &Note| matches!(note, Note::Heard(heard) if heard.number == 1);
    assert_eq!(bob.notes.iter().filter(|note| heard(note)).count(), 1);
    assert_eq!(read(&mut bob, a, &alice).len(), 1);
    // A later run knows.
    let mut past = Past::default();
    past.letters
        .heard
        .extend(bob.notes.iter().filter_map(|note| if let Note::Heard(heard) = note { Some(*heard) } else { None }));
    let mut bob = Hand::resume(hobnob::room::Config { keep: true, ..config(1) }, &past);
    let mut alice = Author::new(2, "alice");
    let a = joined(&mut bob, &mut alice);
    whisper(&mut bob, a, &alice, 1, "one");
    whisper(&mut bob, a, &alice, 2, "two");
    assert_eq!(shown(&bob), ["two"]);
}

#[test]
fn what_comes_early_is_held_to_a_bound() {
    let mut bob = Hand::new(config(1));
    let mut alice = Author::new(2, "alice");
    let a = joined(&mut bob, &mut alice);
    let most = WHISPERS_EARLY_MAX as u64;
    for number in 2..=most + 2 {
        whisper(&mut bob, a, &alice, number, "early");
    }
    whisper(&mut bob, a, &alice, 1, "one");
    assert_eq!(shown(&bob).len() as u64, most + 1, "the last one was dropped");
    whisper(&mut bob, a, &alice, most + 2, "again");
    assert_eq!(shown(&bob).last().map(String::as_str), Some("again"));
}

/// Keys cost nothing: one node writes under as many as it likes.
#[test]
fn what_comes_early_of_all_together_is_held_to_a_bound() {
    let mut bob = Hand::new(config(1));
    let mut alice = Author::new(2, "alice");
    let a = joined(&mut bob, &mut alice);
    let words = "x".repeat(40_000);
    let fitting = WHISPERS_EARLY_BYTES_MAX / (words.len() + WHISPER_COST_BYTES);
    let senders: Vec<Author> = (10..).take(4).map(|seed| Author::new(seed, "mallory")).collect();
    let most = WHISPERS_EARLY_MAX as u64 / 2;
    for sender in &senders {
        for number in 2..=most {
            whisper(&mut bob, a, sender, number, &words);
            bob.pass(50);
        }
    }
    for sender in &senders {
        whisper(&mut bob, a, sender, 1, &words);
    }
    assert_eq!(shown(&bob).len(), fitting + senders.len(), "beyond it they are dropped");
    for number in 2..=most {
        whisper(&mut bob, a, &senders[3], number, "again");
    }
    assert_eq!(whispers(&bob).iter().filter(|it| it.from.id == senders[3].feed.author).count() as u64, most);
}

/// What the console was handed and has not written yet may never be seen.
#[test]
fn a_whisper_is_confirmed_on_the_consoles_word_and_a_run_ends_behind_it() {
    let mut bob = Hand::new(config(1));
    let mut alice = Author::new(2, "alice");
    let a = joined(&mut bob, &mut alice);
    bob.writes_nothing = true;
    whisper(&mut bob, a, &alice, 1, "one");
    bob.pass_alive(2_000, &[a]);
    assert_eq!((shown(&bob).len(), read(&mut bob, a, &alice).len()), (1, 0));
    bob.input(Input::Command(Command::Leave { why: String::new() }));
    bob.pass(100);
    assert_eq!(bob.outcome, None, "it waits for that, though not for long");
    whisper(&mut bob, a, &alice, 2, "for the next run");
    bob.input(Input::Command(Command::Shown(whispers(&bob))));
    bob.pass(100);
    let stream = alice.feed.session;
    assert_eq!(read(&mut bob, a, &alice), [Content::Heard { stream, number: 1 }]);
    assert!(bob.outcome.is_some() && shown(&bob).len() == 1);
}

#[test]
fn a_user_who_reads_nothing_is_sent_no_more_than_a_bound_and_loses_nothing() {
    let mut bob = Hand::new(config(1));
    let mut alice = Author::new(2, "alice");
    let a = joined(&mut bob, &mut alice);
    bob.unread = true;
    let words = "x".repeat(40_000);
    let fitting = WHISPERS_UNSHOWN_BYTES_MAX.div_ceil(words.len() + WHISPER_COST_BYTES) as u64;
    for number in 1..=fitting + 3 {
        whisper(&mut bob, a, &alice, number, &words);
        bob.pass(100);
    }
    bob.unread = false;
    bob.input(Input::Tick);
    assert!(shown(&bob).len() as u64 >= fitting);
    let stream = alice.feed.session;
    let receipts = read(&mut bob, a, &alice);
    let Some(Content::Heard { number, .. }) = receipts.last() else { panic!("{receipts:?}") };
    assert_eq!(*number, shown(&bob).len() as u64, "no more is confirmed than was shown");
    for number in number + 1..=fitting + 3 {
        whisper(&mut bob, a, &alice, number, &words);
    }
    assert_eq!(shown(&bob).len() as u64, fitting + 3);
    assert_eq!(read(&mut bob, a, &alice).last(), Some(&Content::Heard { stream, number: fitting + 3 }));
}

#[test]
fn what_is_too_old_or_of_the_future_or_of_somebody_shut_out_is_refused() {
    let mut bob = Hand::new(config(1));
    let mut alice = Author::new(2, "alice");
    let a = joined(&mut bob, &mut alice);
    let stream = alice.feed.session;
    for at in [WALL_START - WHISPER_AGE_MS_MAX - 25 * HOUR_MS, WALL_START + 25 * HOUR_MS] {
        tell(&mut bob, a, &alice, &Content::Text(Text { at, ..text(&alice, 1, "when?") }));
        assert_eq!(read(&mut bob, a, &alice), [Content::Refused { stream, number: 1 }]);
    }
    let shut_out = [alice.feed.author].into();
    bob.input(Input::Command(Command::Acquaint { shut_out, contacts: Vec::new() }));
    whisper(&mut bob, a, &alice, 1, "hello");
    assert_eq!(read(&mut bob, a, &alice), [Content::Refused { stream, number: 1 }]);
    bob.input(Input::Command(Command::Acquaint { shut_out: [].into(), contacts: Vec::new() }));
    whisper(&mut bob, a, &alice, 1, "hello");
    assert_eq!(shown(&bob), ["hello"]);
}

#[test]
fn what_was_sealed_for_another_or_by_another_is_not_taken() {
    let mut bob = Hand::new(config(1));
    let (mut alice, eve) = (Author::new(2, "alice"), Author::new(3, "eve"));
    let a = joined(&mut bob, &mut alice);
    let content = Content::Text(text(&alice, 1, "for eve"));
    let for_eve = sealer(&alice).seal(eve.feed.author, &sealer(&eve).key(), &content).unwrap();
    let addressed = envelope(&bob, for_eve);
    bob.control(a, Control::Whisper(addressed));
    let noise = envelope(&bob, Sealed::of(&[9; 200]));
    bob.control(a, Control::Whisper(noise));
    // What eve seals is hers, whatever it says.
    whisper(&mut bob, a, &eve, 1, "I am alice");
    assert_eq!(shown(&bob), ["I am alice"]);
    assert_eq!(whispers(&bob)[0].from.id, eve.feed.author);
    assert!(bob.closed.is_empty());
}

#[test]
fn a_stream_begins_where_its_sender_says_and_never_goes_back() {
    let mut bob = Hand::new(config(1));
    let mut alice = Author::new(2, "alice");
    let a = joined(&mut bob, &mut alice);
    let (stream, session) = (77, alice.feed.session);
    let in_stream = |number, words: &str| Content::Text(Text { stream, ..text(&alice, number, words) });
    tell(&mut bob, a, &alice, &in_stream(8, "eight"));
    assert_eq!(shown(&bob).len(), 0);
    tell(&mut bob, a, &alice, &Content::Begin { stream, number: 8, session });
    assert_eq!(shown(&bob), ["eight"]);
    assert_eq!(read(&mut bob, a, &alice).last(), Some(&Content::Heard { stream, number: 8 }));
    tell(&mut bob, a, &alice, &Content::Begin { stream, number: 3, session });
    tell(&mut bob, a, &alice, &in_stream(3, "three"));
    assert_eq!(shown(&bob), ["eight"]);
}

// ---- the sender ---------------------------------------------------------------------------------

#[test]
fn a_sender_hears_what_becomes_of_each_whisper() {
    let mut bob = Hand::new(config(1));
    let mut alice = Author::new(2, "alice");
    let a = joined(&mut bob, &mut alice);
    say_to(&mut bob, &alice, "one");
    say_to(&mut bob, &alice, "two");
    let stream = bob.me.session;
    let contents = read(&mut bob, a, &alice);
    assert!(
        matches!(contents.as_slice(), [Content::Text(one), Content::Text(two)] if (one.number, two.number) == (1, 2))
    );
    // A receipt of more than there is confirms no more; of another stream none.
    tell(&mut bob, a, &alice, &Content::Heard { stream: stream + 1, number: 9 });
    assert_eq!(bob.room.whispers_waiting(), 2);
    tell(&mut bob, a, &alice, &Content::Heard { stream, number: 1 });
    tell(&mut bob, a, &Author::new(3, "eve"), &Content::Heard { stream, number: 2 });
    assert_eq!(bob.room.whispers_waiting(), 1, "nobody confirms for another");
    tell(&mut bob, a, &alice, &Content::Refused { stream, number: 2 });
    assert_eq!(bob.room.whispers_waiting(), 0);
    let told: Vec<&str> = bob
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Heard { .. } => Some("heard"),
            Event::Unheard { why: NotHeard::Refused, .. } => Some("refused"),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["heard", "refused"]);
}

#[test]
fn without_a_receipt_it_is_sent_again_over_all_links_and_its_sender_told() {
    let mut bob = Hand::new(config(1));
    let (mut alice, mut carol, dave) = (Author::new(2, "alice"), Author::new(3, "carol"), Author::new(4, "dave"));
    let a = joined(&mut bob, &mut alice);
    let d = bob.level_link(&dave);
    let sealing = Some(sealer(&carol).key());
    let join = carol.post(&Draft::Join { addresses: &[], passing: false, rank: None, sealing, away: None });
    bob.post(d, &join);
    bob.take_sent();
    say_to(&mut bob, &carol, "hello");
    assert_eq!((sent(&mut bob, d).len(), sent(&mut bob, a).len()), (1, 0), "along the one way");
    bob.pass_alive(RECEIPT_MS_MAX + 1_000, &[a, d]);
    let (there, here) = (sent(&mut bob, d), sent(&mut bob, a));
    assert_eq!((there.len(), here.len()), (1, 1));
    assert!(there[0].flood.is_some() && there[0].flood == here[0].flood);
    bob.pass_alive(15_000, &[a, d]);
    let waiting = bob.events.iter().filter(|event| matches!(event, Event::Waiting { why: WaitsFor::Answer, .. }));
    assert_eq!(waiting.count(), 1);
    assert!(sent(&mut bob, a).len() <= 4, "with growing pauses");
}

#[test]
fn who_is_not_here_is_written_to_up_to_a_bound_and_a_week() {
    let mut bob = Hand::new(hobnob::room::Config { keep: true, ..config(1) });
    let mut alice = Author::new(2, "alice");
    let a = joined(&mut bob, &mut alice);
    bob.post(a, &alice.post(&Draft::Leave { why: "" }));
    for number in 0..WHISPERS_WAITING_MAX {
        say_to(&mut bob, &alice, &number.to_string());
    }
    assert_eq!((bob.room.whispers_waiting(), refusals(&bob)), (WHISPERS_WAITING_MAX, 0));
    say_to(&mut bob, &alice, "one too many");
    assert_eq!((bob.room.whispers_waiting(), refusals(&bob)), (WHISPERS_WAITING_MAX, 1));
    let kept = bob.notes.iter().filter(|note| matches!(note, Note::Waits(_))).count();
    assert_eq!(kept, WHISPERS_WAITING_MAX, "on the disk at once");
    assert!(sent(&mut bob, a).is_empty());
    bob.now.wall += WHISPER_AGE_MS_MAX + HOUR_MS;
    bob.pass_alive(61_000, &[a]);
    assert_eq!(bob.room.whispers_waiting(), 0);
    let given_up = bob.events.iter().filter(
        |event| matches!(event, Event::Unheard { why: NotHeard::TooOld, ids, .. } if ids.len() == WHISPERS_WAITING_MAX),
    );
    assert_eq!(given_up.count(), 1, "told once");
    assert!(
        bob.notes
            .iter()
            .any(|note| matches!(note, Note::Over { number, .. } if *number == WHISPERS_WAITING_MAX as u64))
    );
}

#[test]
fn questions_for_the_way_are_bounded_and_end() {
    let mut bob = Hand::new(config(1));
    let mut alice = Author::new(2, "alice");
    let a = joined(&mut bob, &mut alice);
    let whom = Whom::Called("alice".to_owned());
    for _ in 0..=PROBES_MAX {
        bob.input(Input::Command(Command::Ping(whom.clone())));
    }
    assert_eq!(refusals(&bob), 1);
    let Some(Content::Ping { token, .. }) = read(&mut bob, a, &alice).pop() else { panic!("no ping") };
    tell(&mut bob, a, &alice, &Content::Pong { token });
    bob.pass_alive(6_000, &[a]);
    let answered = bob.events.iter().filter(|event| matches!(event, Event::Pinged { took_ms: Some(_), .. })).count();
    let silent = bob.events.iter().filter(|event| matches!(event, Event::Pinged { took_ms: None, .. })).count();
    assert_eq!((answered, silent), (1, PROBES_MAX - 1));
}

#[test]
fn nobody_stops_a_flood_by_another_under_its_number_or_by_few_hops() {
    let (mut bob, _, carol, a, d) = between();
    let honest = to_carol(&carol, 9, Some(77));
    let other = Envelope { sealed: Sealed::of(&[8; 100]), ..honest.clone() };
    let short = Envelope { hops: 2, ..honest.clone() };
    for (envelope, hops) in [(&other, Some(8)), (&short, Some(1)), (&honest, Some(8)), (&honest, None), (&short, None)]
    {
        bob.control(a, Control::Whisper(envelope.clone()));
        let passed: Vec<u8> = sent(&mut bob, d).iter().map(|envelope| envelope.hops).collect();
        assert_eq!(passed, hops.into_iter().collect::<Vec<u8>>());
    }
}

#[test]
fn of_streams_that_were_forgotten_for_want_of_room_nothing_is_shown_again() {
    let mut bob = Hand::new(config(1));
    let mut alice = Author::new(2, "alice");
    let a = joined(&mut bob, &mut alice);
    let most = WHISPER_STREAMS_PER_SENDER_MAX as u64;
    let one = |stream| Content::Text(Text { stream, at: WALL_START + stream, ..text(&alice, 1, "once") });
    for stream in 1..=most + 1 {
        // The link may bring so many a second.
        bob.pass(10);
        tell(&mut bob, a, &alice, &one(stream));
    }
    assert_eq!(shown(&bob).len() as u64, most + 1);
    bob.sent(a);
    tell(&mut bob, a, &alice, &one(1));
    assert_eq!(shown(&bob).len() as u64, most + 1, "the first stream is not known any more");
    assert_eq!(read(&mut bob, a, &alice), [Content::Refused { stream: 1, number: 1 }]);
}

#[test]
fn a_pipe_to_one_reader_that_takes_nothing_is_not_confirmed() {
    for is_taken in [true, false] {
        let to = Some("alice".to_owned());
        let named = vec![hobnob::room::Named::anybody("peer:1")];
        let mut bob = Hand::new(hobnob::room::Config { passing: true, named, to, ..config(1) });
        let mut alice = Author::new(2, "alice");
        let a = joined(&mut bob, &mut alice);
        bob.pass(100);
        bob.input(Input::Say(Said { text: "for alice".to_owned(), ..Said::default() }));
        bob.input(Input::Command(Command::EndOfInput));
        let stream = bob.me.session;
        let answer =
            if is_taken { Content::Heard { stream, number: 1 } } else { Content::Refused { stream, number: 1 } };
        tell(&mut bob, a, &alice, &answer);
        bob.pass(2_000);
        assert_eq!(bob.outcome, Some(if is_taken { Outcome::Done } else { Outcome::Unconfirmed }));
    }
}

#[test]
fn who_is_shut_out_after_a_whisper_was_shown_is_still_told_that_it_was() {
    let mut bob = Hand::new(config(1));
    let mut alice = Author::new(2, "alice");
    let a = joined(&mut bob, &mut alice);
    let stream = alice.feed.session;
    whisper(&mut bob, a, &alice, 1, "one");
    bob.sent(a);
    let shut_out = [alice.feed.author].into();
    bob.input(Input::Command(Command::Acquaint { shut_out, contacts: Vec::new() }));
    whisper(&mut bob, a, &alice, 1, "one");
    assert_eq!(read(&mut bob, a, &alice), [Content::Heard { stream, number: 1 }]);
}

#[test]
fn a_contact_who_is_away_is_written_to_by_name_and_nobody_in_its_place() {
    let mut bob = Hand::new(config(1));
    let (carol, mut other) = (Author::new(3, "carol"), Author::new(4, "carol"));
    let contact = (Person { id: carol.feed.author, nick: carol.nick.clone() }, Some(sealer(&carol).key()));
    bob.input(Input::Command(Command::Acquaint { shut_out: [].into(), contacts: vec![contact] }));
    let to_carol = || Input::Command(Command::Whisper(Whom::Called("carol".to_owned()), Said::default()));
    bob.input(to_carol());
    assert_eq!((bob.room.whispers_waiting(), refusals(&bob)), (1, 0));
    bob.input(Input::Command(Command::Chat { whom: Some(Whom::Called("carol".to_owned())), typed: true }));
    bob.input(Input::Command(Command::Whisper(Whom::Partner, Said::default())));
    assert_eq!((bob.room.whispers_waiting(), refusals(&bob)), (2, 0));
    joined(&mut bob, &mut other);
    bob.input(to_carol());
    assert_eq!((bob.room.whispers_waiting(), refusals(&bob)), (2, 1), "which one is meant has to be said");
}

/// Where an answer was missing or another one, a line for one reader was said to all.
#[test]
fn who_types_is_told_the_partner_after_each_chat_whether_it_works_or_not() {
    let mut bob = Hand::new(config(1));
    let mut carol = Author::new(3, "carol");
    joined(&mut bob, &mut carol);
    let partner = Person { id: carol.feed.author, nick: carol.nick.clone() };
    let mut chat = |whom: Option<&str>, typed| {
        let whom = whom.map(|name| Whom::Called(name.to_owned()));
        bob.input(Input::Command(Command::Chat { whom, typed }));
        std::mem::take(&mut bob.partners)
    };
    assert_eq!(chat(Some("nobody"), true), [None]);
    assert_eq!(chat(Some("carol"), true), [Some(partner.clone())]);
    assert_eq!(chat(Some("nobody"), true), [Some(partner)], "it goes on");
    assert_eq!(chat(None, true), [None]);
    assert_eq!(chat(Some("carol"), false), [], "a script does not wait");
}
