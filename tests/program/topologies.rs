//! Promise: whatever the links look like, what one says every member sees exactly once, in its author's
//! order. Checked with real processes that are linked as a chain, a ring, a mesh that makes itself and
//! a star of nodes that nobody can dial: all say lines at once, and what each one shows is compared.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test")]

use crate::support::{Node, chatting, lines_of, said_by, undialable};

/// How many lines each member says.
const LINES: usize = 20;

/// All say their lines at once; each shows everybody's, then all leave, and nothing came twice.
fn all_say_and_see(mut nodes: Vec<Node>, nicks: &[&str]) {
    for node in &nodes {
        node.wait_for_all(nicks);
    }
    for number in 0..LINES {
        for (node, nick) in nodes.iter_mut().zip(nicks) {
            node.say(&format!("{nick} {number}"));
        }
    }
    for node in &nodes {
        for nick in nicks {
            node.wait_for_said(nick, &lines_of(nick, 0..LINES));
        }
    }
    for node in nodes {
        let events = node.finish();
        for nick in nicks {
            assert_eq!(said_by(&events, nick), lines_of(nick, 0..LINES), "what {nick} said, at the end");
        }
        let troubles = events.iter().filter(|event| event["event"] == "error" || event["event"] == "gap");
        assert_eq!(troubles.count(), 0, "nothing goes wrong: {events:?}");
    }
}

#[test]
fn along_a_chain_of_three_each_line_arrives_once_and_in_order() {
    let alice = chatting("alice", &["--no-mesh"]);
    let bob = chatting("bob", &["--no-mesh", &alice.addr()]);
    let carol = chatting("carol", &["--no-mesh", &bob.addr()]);
    bob.wait_for_links(&["alice", "carol"]);
    alice.wait_for_all(&["bob", "carol"]);
    alice.wait_for_links(&["bob"]);
    carol.wait_for_links(&["bob"]);
    all_say_and_see(vec![alice, bob, carol], &["alice", "bob", "carol"]);
}

#[test]
fn around_a_ring_each_line_arrives_once_and_in_order() {
    let first = chatting("n0", &["--no-mesh"]);
    let mut nodes = vec![first];
    let nicks = ["n0", "n1", "n2", "n3", "n4"];
    for (index, nick) in nicks.iter().enumerate().skip(1) {
        let mut peers: Vec<String> = nodes.last().map(Node::addr).into_iter().collect();
        if index + 1 == nicks.len() {
            peers.extend(nodes.first().map(Node::addr));
        }
        let mut args = vec!["--no-mesh"];
        args.extend(peers.iter().map(String::as_str));
        nodes.push(chatting(nick, &args));
    }
    for (index, node) in nodes.iter().enumerate() {
        let neighbours = [(index + 4) % 5, (index + 1) % 5].map(|neighbour| format!("n{neighbour}"));
        node.wait_for_links(&neighbours.each_ref().map(String::as_str));
    }
    all_say_and_see(nodes, &nicks);
}

#[test]
fn five_who_name_one_of_them_become_a_full_mesh_with_one_link_a_pair() {
    let nicks = ["hub", "n1", "n2", "n3", "n4"];
    let hub = chatting("hub", &["--commands"]);
    let addr = hub.addr();
    let mut nodes = vec![hub];
    nodes.extend(nicks.iter().skip(1).map(|nick| chatting(nick, &["--commands", &addr])));
    let others = |index: usize| -> Vec<&str> {
        nicks.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, nick)| *nick).collect()
    };
    for (index, node) in nodes.iter().enumerate() {
        node.wait_for_links(&others(index));
    }
    for (index, node) in nodes.iter_mut().enumerate() {
        node.say("/status");
        let status = node.wait_for("status", |event| event["event"] == "status");
        let links = status["links"].as_array().expect("status has links");
        let mut linked: Vec<&str> = links.iter().filter_map(|link| link["peer"]["nick"].as_str()).collect();
        linked.sort_unstable();
        assert_eq!(linked, others(index), "{} is linked to each other one once", node.told());
    }
    all_say_and_see(nodes, &nicks);
}

#[test]
fn thirty_whom_nobody_can_dial_are_members_like_others() {
    let names = lines_of("u", 0..30).into_iter().map(|name| name.replace(' ', ""));
    let names: Vec<String> = std::iter::once("hub".to_owned()).chain(names).collect();
    let nicks: Vec<&str> = names.iter().map(String::as_str).collect();
    let hub = chatting("hub", &[]);
    let addr = hub.addr();
    let mut nodes = vec![hub];
    nodes.extend(nicks.iter().skip(1).map(|nick| undialable(nick, &[&addr])));
    all_say_and_see(nodes, &nicks);
}
