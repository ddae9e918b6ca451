//! Somebody who is linked and takes nothing of what is sent.

use std::thread;
use std::time::Duration;

use hobnob::limits::LINK_STUCK_MS_MAX;
use hobnob::wire::record::Control;
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::support::chat::{Chat, Cost};
use crate::support::wire::{Wire, open_lobby};

/// A line of the chat: long, so that what the system keeps for a socket is soon full.
const LINE_BYTES: usize = 50_000;

/// Lines by each of the two; together more than both ends of a socket hold.
const LINES: usize = 80;

#[test]
fn a_peer_that_reads_nothing_loses_its_link_and_holds_up_nobody() {
    let mut chat = Chat::start();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a smaller buffer");
    let addr: std::net::SocketAddr = chat.node.addr().parse().expect("an address");
    socket.connect(&addr.into()).expect("the node accepts connections");
    let mut eve = Wire::dial_over(socket.into(), "eve", open_lobby()).expect("the node makes the handshake");
    // It wants all that is said,
    for entry in eve.greet() {
        eve.send(&Control::Want { author: entry.0, session: entry.1, from: 1, answer: false });
    }
    // and says that it is alive: it is not let go for its silence.
    let talks = thread::spawn(move || {
        while eve.is_open() {
            eve.send(&Control::Pong { token: 0 });
            thread::sleep(Duration::from_millis(500));
        }
        eve
    });
    for line in 0..LINES {
        chat.goes_on(&format!("{line} {}", "x".repeat(LINE_BYTES)));
    }
    let is_unlinked = |event: &Value| event["event"] == "unlinked" && event["peer"]["nick"] == "eve";
    assert!(!chat.node.events().iter().any(is_unlinked), "it has {LINK_STUCK_MS_MAX} ms\n{}", chat.node.told());
    chat.goes_on("during");
    let unlinked = chat.node.wait_for("the end of the link", is_unlinked);
    assert_eq!(unlinked["reason"], "slow-reader", "{}", chat.node.told());
    chat.node.wait_for_stderr("is closed: slow-reader");
    let reason = talks.join().expect("the stranger does not fail").reason();
    assert!(reason.as_deref().is_none_or(|word| word == "slow-reader"), "{reason:?}");
    // What the honest say is kept, and waits in queues; that is not what the stranger costs.
    chat.finish_but(Cost { links: 4, kept_bytes: 4 * 2 * LINES * LINE_BYTES }, |_| false);
}
