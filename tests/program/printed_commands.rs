//! Promise: every command that README.md and man/hobnob.1 print works as it is printed, for somebody who copies it.
//! Checked by running each of them through `sh`, in a network and with names of the test's own, in which
//! `alice.example` is this machine. A command that is printed has a row here, and a row's command is printed.
//!
//! It needs root and `unshare`; without them it says that it was skipped, and fails where `CI` is `true`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use rexpect::reader::Options;
use rexpect::session::{PtySession, spawn_with_options};
use tempfile::TempDir;

use crate::support::PATIENCE;

const README: &str = include_str!("../../README.md");
const MANUAL: &str = include_str!("../../man/hobnob.1");

/// A chat on a terminal: it stays until `/quit`, and ends with 0.
const CHAT: Way = Way::Chat;

/// What a printed command does.
#[derive(Clone, Copy)]
enum Way {
    /// A person's chat on a terminal, until `/quit`.
    Chat,
    /// It ends by itself, with 0.
    Ends,
    /// It says this line to its host, and goes on until it is stopped.
    Says(&'static str),
    /// Somebody of that name joins its host, and stays until it is stopped.
    Joins(&'static str),
    /// It is not run here: CI builds and tests with it all the time, or, with nohup, another test runs a node so.
    Elsewhere,
}

/// A row for each printed command: as printed, who has to be there, and what it does.
struct Row {
    printed: &'static str,
    /// The printed chats that run beside it, the first of which sees what it does.
    beside: &'static [&'static str],
    way: Way,
}

const fn row(printed: &'static str, beside: &'static [&'static str], way: Way) -> Row {
    Row { printed, beside, way }
}

const ALICE: &str = "hobnob --nick alice --listen 0.0.0.0:9000";
const ALICE_SHORT: &str = "hobnob -n alice -l 0.0.0.0:9000";
const TEA: &str = "hobnob --nick alice --room tea --listen 0.0.0.0:9000";
const TEA_HERE: &str = "hobnob --nick alice --room tea --listen 127.0.0.1:9000";
const CLOSED_TEA: &str = "hobnob --nick alice --room tea --room-key-file tea.key --listen 0.0.0.0:9000";

fn rows() -> Vec<Row> {
    vec![
        // README, what it looks like.
        row(TEA_HERE, &[], CHAT),
        row("hobnob --nick bob --room tea 127.0.0.1:9000", &[TEA_HERE], CHAT),
        row("uptime | hobnob --nick kettle --room tea 127.0.0.1:9000", &[TEA_HERE], Way::Ends),
        // README, the two commands.
        row("cargo run --release -- --help", &[], Way::Elsewhere),
        row("cargo test", &[], Way::Elsewhere),
        // README, how to use it.
        row(ALICE, &[], CHAT),
        row("hobnob --nick bob alice.example:9000", &[ALICE], CHAT),
        row("df -h | hobnob --nick disk alice.example:9000", &[ALICE], Way::Ends),
        row("tail -f app.log | hobnob --nick app alice.example:9000", &[ALICE], Way::Says("the app has started")),
        row("hobnob --nick log alice.example:9000 < /dev/null > chat.txt", &[ALICE], Way::Joins("log")),
        row(
            "hobnob --nick bot --json alice.example:9000 < /dev/null | jq -r 'select(.event == \"say\").text'",
            &[ALICE],
            Way::Joins("bot"),
        ),
        row(
            "hobnob ticket --nick alice --room tea --new-key tea.key --output tea.ticket alice.example:9000",
            &[],
            Way::Ends,
        ),
        row(CLOSED_TEA, &[], CHAT),
        row("hobnob --nick bob --ticket tea.ticket", &[CLOSED_TEA], CHAT),
        row("hobnob --nick bob @alice", &[ALICE], CHAT),
        row("hobnob history --nick bob --since 2h", &[], Way::Ends),
        row("hobnob --nick alice --listen 0.0.0.0:9000 --hub", &[], CHAT),
        // The manual, first steps.
        row(TEA, &[], CHAT),
        row("hobnob --nick bob --room tea alice.example:9000", &[TEA], CHAT),
        row("df -h | hobnob --nick disk --room tea alice.example:9000", &[TEA], Way::Ends),
        // The manual, examples.
        row(ALICE_SHORT, &[], CHAT),
        row("hobnob -n bob alice.example:9000", &[ALICE_SHORT], CHAT),
        row("df -h | hobnob -n disk alice.example:9000", &[ALICE_SHORT], Way::Ends),
        row("hobnob -n backup -m \"backup failed\" alice.example:9000", &[ALICE_SHORT], Way::Ends),
        row("df -h | hobnob -n disk --to alice alice.example:9000", &[ALICE_SHORT], Way::Ends),
        row("tail -f app.log | hobnob -n app alice.example:9000", &[ALICE_SHORT], Way::Says("the app has started")),
        row("hobnob ticket -n alice --new-key tea.key -r tea --output tea.ticket alice.example:9000", &[], Way::Ends),
        row("hobnob -n alice -r tea --room-key-file tea.key -l 9000", &[], CHAT),
        row("hobnob -n bob --ticket tea.ticket", &["hobnob -n alice -r tea --room-key-file tea.key -l 9000"], CHAT),
        row("hobnob -n bob @alice", &[ALICE_SHORT], CHAT),
        row(
            "hobnob --json alice.example:9000 < /dev/null | jq -r 'select(.event == \"say\").text'",
            &[ALICE_SHORT],
            Way::Joins("tester"),
        ),
        // The manual, under cron and nohup.
        row("0 7 * * * df -h | hobnob --nick disk alice.example:9000", &[ALICE], Way::Ends),
        row(
            "nohup hobnob --nick relay --listen 0.0.0.0:9000 < /dev/null > chat.txt 2> relay.log &",
            &[],
            Way::Elsewhere,
        ),
        // The manual, completions and pages.
        row("hobnob completions bash > ~/.local/share/bash-completion/completions/hobnob", &[], Way::Ends),
        row("hobnob completions zsh > ~/.local/share/zsh/site-functions/_hobnob", &[], Way::Ends),
        row("hobnob completions fish > ~/.config/fish/completions/hobnob.fish", &[], Way::Ends),
        row("cp man/hobnob.1 ~/.local/share/man/man1/", &[], Way::Ends),
        row("cp man/hobnob-protocol.7 ~/.local/share/man/man7/", &[], Way::Ends),
    ]
}

/// The commands in the README's blocks of code: in a transcript those behind a `$`, elsewhere each line.
fn of_readme() -> Vec<String> {
    let mut blocks: Vec<Vec<&str>> = vec![Vec::new()];
    for line in README.lines() {
        match (line.strip_prefix("    "), blocks.last_mut()) {
            (Some(code), Some(block)) => block.push(code),
            _ => blocks.push(Vec::new()),
        }
    }
    let mut commands = Vec::new();
    for block in blocks {
        let typed: Vec<&str> = block.iter().filter_map(|line| line.strip_prefix("$ ")).collect();
        let lines = if typed.is_empty() { block } else { typed };
        // What stands behind a # tells about it.
        commands.extend(lines.iter().map(|line| line.split("    #").next().unwrap_or(line).trim().to_owned()));
    }
    commands
}

/// The commands in the manual: what stands unfilled, but for the synopsis, and the heads of the examples.
fn of_manual() -> Vec<String> {
    let mut commands = Vec::new();
    let (mut section, mut verbatim, mut head) = ("", false, false);
    for line in MANUAL.lines() {
        match line {
            _ if line.starts_with(".SH ") => section = line.strip_prefix(".SH ").unwrap_or(""),
            ".nf" => verbatim = section != "SYNOPSIS",
            ".fi" => verbatim = false,
            ".TP" => head = section == "EXAMPLES",
            _ if verbatim || head => {
                commands.push(line.replace("\\-", "-").replace("\\(bu", "").replace("\\(ti", "~"));
                head = false;
            }
            _ => {}
        }
    }
    // Of an example's text, the one command that is set apart.
    let set_apart = MANUAL.lines().filter_map(|line| line.strip_prefix("\\fBhobnob ")?.split_once("\\fR is its host"));
    commands.extend(set_apart.map(|(command, _)| format!("hobnob {}", command.replace("\\-", "-"))));
    commands
}

/// A machine for one command: its own network, names, home and folder.
struct Place {
    folder: TempDir,
    holder: Child,
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Names that the commands use are this machine; then it waits for its end.
const HOLD: &str = r#"
mount --make-rprivate / && mount --bind "$1" /etc/hosts && ip link set lo up && echo ready && exec cat
"#;

impl Place {
    fn new() -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let home = folder.path();
        for below in [
            "bin",
            ".local/share/bash-completion/completions",
            ".local/share/zsh/site-functions",
            ".local/share/man/man1",
            ".local/share/man/man7",
            ".config/fish/completions",
        ] {
            fs::create_dir_all(home.join(below))?;
        }
        symlink(env!("CARGO_BIN_EXE_hobnob"), home.join("bin/hobnob"))?;
        symlink(Path::new(env!("CARGO_MANIFEST_DIR")).join("man"), home.join("man"))?;
        fs::write(home.join("app.log"), "the app has started\n")?;
        let hosts = home.join("hosts");
        fs::write(&hosts, "127.0.0.1 localhost alice.example\n")?;
        let mut holder = Command::new("unshare")
            .args(["--net", "--mount", "sh", "-c", HOLD, "sh"])
            .arg(&hosts)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = holder.stdout.take();
        let place = Self { folder, holder };
        let mut ready = String::new();
        stdout.map(BufReader::new).map_or(Ok(0), |mut stdout| stdout.read_line(&mut ready))?;
        if ready.is_empty() { Err(io::Error::other("unshare --net --mount is refused")) } else { Ok(place) }
    }

    /// That line, typed into a shell there.
    fn shell(&self, line: &str) -> Command {
        let home = self.folder.path();
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.holder.id().to_string(), "--net", "--mount", "--", "sh", "-c"]);
        // The folder is lost on the way into the namespace.
        command.arg(format!("cd\n{line}"));
        let path = format!("{}:{}", home.join("bin").display(), std::env::var("PATH").unwrap_or_default());
        command.env_clear().env("PATH", path).env("HOME", home).env("TERM", "xterm").env("LC_ALL", "C.UTF-8");
        command.env("LOGNAME", "tester");
        command
    }

    /// The same, where the shell and all that it starts can be stopped together.
    fn start(&self, line: &str) -> Child {
        let mut command = self.shell(line);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        command.spawn().expect("a shell")
    }

    /// Runs a line that ends by itself.
    fn ends(&self, line: &str) {
        let output = self.shell(line).stdin(Stdio::null()).output().expect("a shell");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{line}: {told}");
    }
}

/// A printed chat, on a terminal.
struct Chat {
    line: String,
    session: PtySession,
}

impl Chat {
    fn start(place: &Place, line: &str) -> Self {
        let patience = u64::try_from(PATIENCE.as_millis()).ok();
        let options = Options::new().timeout_ms(patience).strip_ansi_escape_codes(true);
        let session = spawn_with_options(place.shell(line), options).expect("a shell in a pty");
        Self { line: line.to_owned(), session }
    }

    fn sees(&mut self, text: &str) {
        let told = self.session.exp_string(text);
        assert!(told.is_ok(), "{} on a terminal shows no {text:?}: {told:?}", self.line);
    }

    fn quits(mut self) {
        self.session.send_line("/quit").expect("the terminal takes a line");
        let _ = self.session.exp_eof();
        let status = self.session.process().wait().expect("the shell ends");
        assert!(format!("{status:?}").contains(", 0)"), "{} ends with {status:?}", self.line);
    }
}

/// What has to be done before a command makes sense.
fn prepare(place: &Place, row: &Row) {
    if row.printed.contains("tea.key") && !row.printed.contains("--new-key") || row.printed.contains("--ticket") {
        place.ends("hobnob ticket -n alice --new-key tea.key -r tea --output tea.ticket alice.example:9000");
    }
    if row.printed.contains("@alice") {
        // Until she has told where she is.
        place.ends(
            "hobnob -n alice -l 9000 < /dev/null & until grep -q 9000 ~/.local/share/hobnob/contacts; \
             do echo /add alice | hobnob -n bob --commands 127.0.0.1:9000; done; kill $!",
        );
    }
    if row.printed.contains("hobnob history") {
        place.ends(
            "echo hello | hobnob -n bob -l 9000 --history ~/.local/state/hobnob/history --stay & sleep 1; kill $!",
        );
    }
}

fn stop(mut child: Child) -> String {
    let group = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    let _ = killpg(group, Signal::SIGTERM);
    let mut told = String::new();
    let _ = child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut told));
    let _ = child.wait();
    told
}

fn run(row: &Row) -> io::Result<()> {
    let place = Place::new()?;
    prepare(&place, row);
    let mut beside: Vec<Chat> = Vec::new();
    for line in row.beside {
        let mut chat = Chat::start(&place, line);
        chat.sees("> ");
        beside.push(chat);
    }
    let line = row.printed.strip_prefix("0 7 * * * ").unwrap_or(row.printed);
    match (row.way, beside.first_mut()) {
        (Way::Elsewhere, _) => {}
        (Way::Ends, _) => place.ends(line),
        (Way::Chat, host) => {
            let mut chat = Chat::start(&place, line);
            chat.sees("> ");
            if let Some(host) = host {
                host.sees(" is here");
            }
            chat.quits();
        }
        (Way::Says(text), Some(host)) => {
            let child = place.start(line);
            let told = host.session.exp_string(text).map(drop);
            let stderr = stop(child);
            assert!(told.is_ok(), "{line} says no {text:?}: {told:?}; {stderr}");
        }
        (Way::Joins(nick), Some(host)) => {
            let child = place.start(line);
            host.sees(&format!("{nick} is here"));
            stop(child);
            host.sees(&format!("{nick} left"));
        }
        (Way::Says(_) | Way::Joins(_), None) => unreachable!("{line} needs a host"),
    }
    beside.into_iter().for_each(Chat::quits);
    Ok(())
}

/// Whether places can be made here. A word where not; in CI that is a failure.
fn can_run() -> bool {
    let has_jq = Command::new("jq").arg("--version").output().map(drop);
    let Err(why) = Place::new().map(drop).and(has_jq) else { return true };
    assert!(std::env::var("CI").as_deref() != Ok("true"), "CI runs what is printed, but: {why}");
    // Not by `eprintln!`, which is shown for failures only.
    let _ = writeln!(io::stderr(), "SKIPPED: printed commands need root, unshare, iproute2 and jq: {why}");
    false
}

#[test]
fn each_printed_command_has_a_row_and_each_row_is_printed() {
    let printed: BTreeSet<String> = of_readme().into_iter().chain(of_manual()).collect();
    let known: BTreeSet<String> = rows().iter().map(|row| row.printed.to_owned()).collect();
    let missing: Vec<&String> = printed.difference(&known).filter(|line| is_command(line)).collect();
    assert!(missing.is_empty(), "printed, and not tried here: {missing:#?}");
    let gone: Vec<&String> = known.difference(&printed).collect();
    assert!(gone.is_empty(), "tried here, and not printed: {gone:#?}");
}

/// What a transcript shows of a chat is no command.
fn is_command(line: &str) -> bool {
    !line.is_empty()
}

#[test]
fn each_printed_command_works_as_it_is_printed() {
    if !can_run() {
        return;
    }
    for row in rows() {
        if let Err(error) = run(&row) {
            unreachable!("{}: {error}", row.printed);
        }
    }
}
