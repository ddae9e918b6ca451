//! Promise: the command line explains itself. Help goes to stdout with exit code 0, mistakes to stderr
//! with exit code 2, and the man page and completions know every option that `--help` knows.

use std::process::{Command, Output, Stdio};

use clap::Parser;
use hobnob::addr::{AddrError, PeerAddr};
use hobnob::args::{Args, valid_nick};
use hobnob::limits::HOST_BYTES_MAX;

fn hobnob(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hobnob"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the program was built")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn help_and_version_go_to_stdout_with_exit_code_0() {
    for argument in ["--help", "-h", "--version", "-V"] {
        let output = hobnob(&[argument]);
        assert_eq!(output.status.code(), Some(0), "{argument}");
        assert!(text(&output.stdout).contains("hobnob") && output.stderr.is_empty(), "{argument}");
    }
    assert!(text(&hobnob(&["--help"]).stdout).contains("Exit codes:"));
}

#[test]
fn wrong_usage_goes_to_stderr_with_exit_code_2() {
    let wrong: [&[&str]; 16] = [
        &["--frobnicate"],
        &["host:0"],
        &["host:65536"],
        &["host:port"],
        &["host:"],
        &[":4646"],
        &["::1"],
        &["[::1"],
        &["two words:1"],
        &["--nick", "two words"],
        &["--nick", ""],
        &["--room", ""],
        &["--wait", "soon"],
        &["--color", "blue"],
        &["--listen", "0.0.0.0:1", "--no-listen"],
        &["completions", "basic"],
    ];
    for arguments in wrong {
        let output = hobnob(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn the_man_page_in_the_repository_is_what_the_program_says() {
    let output = hobnob(&["man"]);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/man/hobnob.1");
    let kept = std::fs::read_to_string(path).expect("the man page is in the repository");
    assert!(text(&output.stdout) == kept, "run: cargo run -q -- man > man/hobnob.1");
}

#[test]
fn every_option_is_in_the_man_page() {
    let page = text(&hobnob(&["man"]).stdout).replace("\\-", "-");
    let help = hobnob(&["--help"]);
    let options: Vec<&str> = text(&help.stdout)
        .split(|letter: char| letter.is_whitespace() || ",[<".contains(letter))
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .collect();
    assert!(options.len() > 15, "{options:?}");
    for option in options {
        assert!(page.contains(option.trim_end_matches(['.', ':', ';'])), "{option}");
    }
}

#[test]
fn completions_are_written_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let output = hobnob(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        assert!(text(&output.stdout).contains("no-mesh"), "{shell}");
    }
}

#[test]
fn a_peer_is_a_host_and_a_port() {
    let parsed = |text: &str| text.parse::<PeerAddr>().map(|peer| (peer.host, peer.port));
    assert_eq!(parsed("alice.example:9000"), Ok(("alice.example".into(), 9_000)));
    assert_eq!(parsed("alice.example"), Ok(("alice.example".into(), 4_646)));
    assert_eq!(parsed("127.0.0.1:1"), Ok(("127.0.0.1".into(), 1)));
    assert_eq!(parsed("[::1]:65535"), Ok(("::1".into(), 65_535)));
    assert_eq!(parsed("[::1]"), Ok(("::1".into(), 4_646)));
    assert_eq!(parsed("fe80::1"), Err(AddrError::Brackets("fe80::1".into())));
    assert_eq!(parsed("host:+1"), Err(AddrError::Port("+1".into())));
    let longest = "h".repeat(HOST_BYTES_MAX);
    assert_eq!(parsed(&longest), Ok((longest.clone(), 4_646)));
    assert_eq!(parsed(&format!("{longest}h:1")), Err(AddrError::HostTooLong));
    assert_eq!(parsed("[::1]:9").map(|(host, port)| PeerAddr { host, port }.to_string()), Ok("[::1]:9".into()));
}

#[test]
fn an_address_to_listen_on_may_be_a_port_alone() {
    for (given, meant) in
        [("9000", "0.0.0.0:9000"), (":0", "0.0.0.0:0"), ("127.0.0.1", "127.0.0.1:4646"), ("[::1]:5", "[::1]:5")]
    {
        let args = Args::try_parse_from(["hobnob", "--listen", given]).expect("an address");
        assert_eq!(args.listen.map(|addr| addr.to_string()).as_deref(), Some(meant));
    }
}

#[test]
fn peers_and_subcommands_stand_side_by_side() {
    let args = Args::try_parse_from(["hobnob", "a:1", "-n", "bob", "b:2"]).expect("two peers");
    assert_eq!((args.peers.len(), args.task.is_none()), (2, true));
    let args = Args::try_parse_from(["hobnob", "completions", "fish"]).expect("a subcommand");
    assert!(args.peers.is_empty() && args.task.is_some());
}

#[test]
fn any_login_name_makes_a_nick() {
    for (login, nick) in
        [("alice", "alice"), ("DOMAIN\\bob smith", "DOMAIN\\bobsmith"), ("", "somebody"), ("<>", "somebody")]
    {
        assert_eq!(valid_nick(login).as_str(), nick);
    }
    assert_eq!(valid_nick(&"ö".repeat(100)).as_str(), "ö".repeat(32));
}
