//! Promise: a line is said as it was typed, a command is what `/help` says it is, and what is neither
//! is an error here and nothing to anybody else.

use hobnob::console::bell::Bell;
use hobnob::console::command::{COMMANDS, CommandError, Typed, parse};
use hobnob::limits::{RECALLED_LAST, RECALLED_LAST_MAX};
use hobnob::moment::MomentError;
use hobnob::room::Wanted;
use hobnob::room::event::Whom;
use hobnob::wire::record::Nick;

#[test]
fn a_line_is_said_as_it_was_typed() {
    assert_eq!(parse("hello  there "), Ok(Typed::Say("hello  there ".into())));
    assert_eq!(parse(" /quit"), Ok(Typed::Say(" /quit".into())));
    assert_eq!(parse(""), Ok(Typed::Blank));
    assert_eq!(parse("  "), Ok(Typed::Blank));
}

#[test]
fn two_slashes_say_one() {
    assert_eq!(parse("//etc/passwd"), Ok(Typed::Say("/etc/passwd".into())));
    assert_eq!(parse("/say /etc/passwd"), Ok(Typed::Aloud("/etc/passwd".into())));
}

#[test]
fn a_pasted_block_is_text_even_where_it_begins_with_a_slash() {
    assert_eq!(parse("/quit\n/names"), Ok(Typed::Say("/quit\n/names".into())));
    assert_eq!(parse("/me one\ntwo"), Ok(Typed::Act("one\ntwo".into())));
    let bob = Whom::Called("bob".into());
    assert_eq!(parse("/msg bob one\ntwo"), Ok(Typed::Whisper(bob, "one\ntwo".into())));
}

#[test]
fn every_command_that_help_lists_exists() {
    for command in &COMMANDS {
        let argument = match command.name {
            "history" => "7",
            "bell" => "all",
            "msg" => "bob hello",
            _ => "bob",
        };
        let line = if command.form.contains(' ') {
            format!("/{} {argument}", command.name)
        } else {
            format!("/{}", command.name)
        };
        assert!(parse(&line).is_ok(), "{line}");
    }
    let bob = Whom::Called("bob".into());
    assert_eq!(parse("/msg  bob  two  spaces"), Ok(Typed::Whisper(bob, " two  spaces".into())));
    assert_eq!(parse("/msg bob"), Err(CommandError::Incomplete("msg WHO TEXT")));
    assert_eq!(parse("/reply yes"), Ok(Typed::Whisper(Whom::Last, "yes".into())));
    assert_eq!((parse("/chat bob"), parse("/end")), (Ok(Typed::Chat(Some("bob".into()))), Ok(Typed::Chat(None))));
    assert_eq!(parse("/nick rob"), Ok(Typed::Nick(Nick::new("rob").expect("a nick"))));
    assert_eq!(parse("/quit so long"), Ok(Typed::Quit("so long".into())));
    assert_eq!(parse("/quit"), Ok(Typed::Quit(String::new())));
    assert_eq!(parse("/away  for lunch "), Ok(Typed::Away("for lunch".into())));
    assert_eq!((parse("/away"), parse("/back")), (Ok(Typed::Away(String::new())), Ok(Typed::Back)));
    assert_eq!(parse("/me  waves"), Ok(Typed::Act(" waves".into())));
}

#[test]
fn the_bell_is_set_by_a_word_or_asked_for_without_one() {
    assert_eq!(parse("/bell"), Ok(Typed::Bell(None)));
    for (word, bell) in [("off", Bell::Off), ("pm", Bell::Pm), ("all", Bell::All)] {
        assert_eq!(parse(&format!("/bell {word}")), Ok(Typed::Bell(Some(bell))));
    }
    assert_eq!(parse("/bell loud"), Err(CommandError::Incomplete("bell [off|pm|all]")));
}

#[test]
fn what_is_asked_of_the_past_is_bounded() {
    let last = |line| match parse(line) {
        Ok(Typed::Recall(Wanted { last, .. })) => last,
        other => unreachable!("{line}: {other:?}"),
    };
    assert_eq!((last("/history"), last("/history 7")), (Some(RECALLED_LAST), Some(7)));
    assert_eq!(
        (last("/history 99999999999999999999"), last("/history 2h")),
        (Some(RECALLED_LAST_MAX), Some(RECALLED_LAST_MAX))
    );
    let words = vec!["one".to_owned(), "two".to_owned()];
    let wanted = Wanted { last: Some(RECALLED_LAST), words, ..Wanted::default() };
    assert_eq!(parse("/search  One two "), Ok(Typed::Recall(wanted)));
    assert_eq!(parse("/history noon"), Err(CommandError::Moment(MomentError)));
}

#[test]
fn an_unknown_command_names_the_nearest() {
    assert_eq!(parse("/nmaes"), Err(CommandError::Misspelled("nmaes".into(), "names")));
    assert_eq!(parse("/quti now"), Err(CommandError::Misspelled("quti".into(), "quit")));
    assert_eq!(parse("/frobnicate"), Err(CommandError::Unknown("frobnicate".into())));
    assert_eq!(parse("/"), Err(CommandError::Unknown(String::new())));
    assert_eq!(parse("/ hello"), Err(CommandError::Unknown(String::new())));
}

#[test]
fn missing_and_surplus_arguments_are_errors() {
    assert_eq!(parse("/nick"), Err(CommandError::Incomplete("nick NAME")));
    assert_eq!(parse("/say "), Err(CommandError::Incomplete("say TEXT")));
    assert_eq!(parse("/nick two words"), Err(CommandError::Nick));
    assert_eq!(parse("/names bob"), Err(CommandError::Surplus("names")));
    assert_eq!(parse("/back home"), Err(CommandError::Surplus("back")));
}

#[test]
fn a_long_reason_is_cut_to_what_the_wire_allows() {
    let why = "ö".repeat(1_000);
    let (Ok(Typed::Quit(quit)), Ok(Typed::Away(away))) =
        (parse(&format!("/quit {why}")), parse(&format!("/away {why}")))
    else {
        unreachable!()
    };
    assert_eq!([quit.len(), away.len()], [hobnob::limits::WHY_BYTES_MAX; 2]);
}
