//! What an attack costs the others, as a figure: what it makes of one byte, of one record, of one member.

#![expect(clippy::print_stdout, reason = "a cost is a figure in the output of the test")]

use hobnob::limits::RENAMES_TOLD;
use hobnob::wire::record::{Control, Draft, Nick};
use serde_json::Value;

use super::JOIN;
use crate::support::chat::{Chat, Cost};
use crate::support::wire::Heard;

#[test]
fn nicks_that_change_all_the_time_are_told_four_times_a_minute() {
    const CHANGES: u64 = 600;
    let mut chat = Chat::start();
    let mut eve = chat.stranger();
    eve.greet();
    eve.send_post(1, &JOIN);
    for number in 2..2 + CHANGES {
        eve.rename(Nick::new(&format!("eve{number}")).expect("a nick"));
        eve.send_post(number, &Draft::Nick);
        if number % 100 == 0 {
            chat.goes_on(&format!("at {number}"));
        }
    }
    // The answer comes behind all that was taken in before it.
    eve.send(&Control::Ping { token: 1 });
    while !matches!(eve.next(), Some(Heard::Control(Control::Pong { .. }))) {}
    chat.goes_on("all taken");
    let events = chat.finish_but(Cost::LITTLE, is_about_eve);
    let told = events.iter().filter(|event| event["event"] == "renamed").count();
    println!("{CHANGES} changes of a nick are {told} lines on a screen");
    let most = usize::try_from(RENAMES_TOLD.burst).expect("a small number");
    assert!((1..=2 * most).contains(&told), "{told} lines for {CHANGES} changes: four, and one in 15 seconds");
}

fn is_about_eve(event: &Value) -> bool {
    event["text"].as_str().unwrap_or_default().contains("eve") || event["member"]["nick"] == "eve"
}
