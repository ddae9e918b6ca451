//! Several rooms together.

use hobnob::room::Input;
use hobnob::room::event::{Command, Event};

use super::hand::{Hand, Net, config};

#[test]
fn a_chain_of_rooms_shows_everybody_everything_once_and_in_order() {
    let mut net = Net::new((1..=4).map(|seed| Hand::new(config(seed))).collect());
    for index in 1..4 {
        net.wire(index, index - 1);
    }
    net.pass(1_000);
    for round in 0..5 {
        for index in 0..4 {
            net.hands[index].command_say(&format!("{index} {round}"));
        }
        net.settle();
    }
    for hand in &net.hands {
        for author in 0..4 {
            let mine: Vec<String> =
                hand.texts().into_iter().filter(|text| text.starts_with(&author.to_string())).collect();
            assert_eq!(mine, (0..5).map(|round| format!("{author} {round}")).collect::<Vec<_>>());
        }
        assert_eq!(hand.room.view().present.len(), 4);
    }
}

#[test]
fn posts_go_round_a_cut() {
    let mut net = Net::new((1..=3).map(|seed| Hand::new(config(seed))).collect());
    net.wire(1, 0);
    net.wire(2, 1);
    let (across, _) = net.wire(2, 0);
    net.pass(1_000);
    net.hands[0].command_say("before");
    net.settle();
    net.cut(2, across);
    net.hands[0].command_say("after");
    net.settle();
    for hand in &net.hands {
        assert_eq!(hand.texts(), ["before", "after"]);
    }
}

#[test]
fn what_was_said_on_both_sides_of_a_cut_is_everybodys_when_it_heals() {
    let mut net = Net::new((1..=2).map(|seed| Hand::new(config(seed))).collect());
    let (link, _) = net.wire(1, 0);
    net.settle();
    net.cut(1, link);
    net.hands[0].command_say("left");
    net.hands[1].command_say("right");
    net.settle();
    net.wire(1, 0);
    net.pass(1_000);
    for hand in &net.hands {
        let mut texts = hand.texts();
        texts.sort();
        assert_eq!(texts, ["left", "right"]);
        assert!(hand.gaps().is_empty());
    }
    assert_eq!(net.hands[0].room.view().have, net.hands[1].room.view().have);
}

#[test]
fn who_leaves_is_told_as_left_by_everybody() {
    let mut net = Net::new((1..=3).map(|seed| Hand::new(config(seed))).collect());
    net.wire(1, 0);
    net.wire(2, 1);
    net.pass(1_000);
    net.hands[2].input(Input::Command(Command::Leave { why: "bye".to_owned() }));
    net.settle();
    for hand in &net.hands[..2] {
        let left = hand.events.iter().filter(|event| matches!(event, Event::Left { why, .. } if why == "bye"));
        assert_eq!(left.count(), 1);
        assert!(!hand.events.iter().any(|event| matches!(event, Event::Lost { .. })));
    }
}
