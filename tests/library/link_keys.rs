//! Promise: the keys of an encrypted link are used so often and no more. Long before the bound a link asks to be
//! made anew; past it neither end goes on. Checked with the two ends of one connection.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use hobnob::limits::{LINK_RECORDS_MAX, LINK_RECORDS_RENEW};
use hobnob::wire::secure::{Endpoint, LinkSecurity, Psk, Receiver, Scratch, Secured, Sender};

/// The sender of one end and the receiver of the other, after so many messages.
fn link(messages: u64) -> (Sender, Receiver) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = listener.local_addr().expect("a bound socket has an address");
    let deadline = Instant::now() + Duration::from_mins(1);
    let endpoint = || Endpoint::new(LinkSecurity::Noise(Psk::derive("lobby", None))).expect("random numbers");
    let accepting = thread::spawn(move || {
        let socket = Arc::new(listener.accept().expect("somebody connects").0);
        endpoint().accept(&socket, deadline).expect("the handshake is made").aged(messages)
    });
    let socket = Arc::new(TcpStream::connect(addr).expect("somebody listens"));
    let Secured { sender, .. } = endpoint().dial(&socket, deadline).expect("the handshake is made").aged(messages);
    let Secured { receiver, .. } = accepting.join().expect("the accepting end");
    (sender, receiver)
}

fn send(sender: &mut Sender, text: &str) -> std::io::Result<usize> {
    sender.push(text.as_bytes().into());
    sender.write(&mut Scratch::default())
}

#[test]
fn a_link_asks_to_be_made_anew_long_before_the_bound() {
    let (mut sender, mut receiver) = link(LINK_RECORDS_RENEW - 1);
    assert!(!sender.is_worn());
    assert_eq!(send(&mut sender, "last").expect("it is written"), 4);
    assert!(sender.is_worn());
    assert_eq!(send(&mut sender, "more").expect("it goes on meanwhile"), 4);
    let mut heard = [0; 8];
    receiver.read_exact(&mut heard).expect("both arrive");
    assert_eq!(&heard, b"lastmore");
}

#[test]
fn no_message_is_sealed_past_the_bound() {
    let (mut sender, mut receiver) = link(LINK_RECORDS_MAX - 1);
    assert_eq!(send(&mut sender, "last").expect("at the bound it works"), 4);
    send(&mut sender, "more").expect_err("past the bound the link ends");
    let mut heard = [0; 4];
    receiver.read_exact(&mut heard).expect("the last one arrives");
}

#[test]
fn what_was_not_sealed_for_this_link_and_place_is_not_opened() {
    let (sender, mut receiver) = link(0);
    let foreign = [[0, 17].as_slice(), &[1; 17]].concat();
    { sender.socket() }.write_all(&foreign).expect("the socket takes it");
    let error = receiver.read(&mut [0; 64]).expect_err("it is not opened");
    assert_eq!(error.kind(), ErrorKind::InvalidData);
}
