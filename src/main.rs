//! The program: arguments, log, run, exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use hobnob::args::{Args, Task, render_manual};
use hobnob::console::{Input, LogWriter, Options};
use hobnob::identity::{Identity, IdentityError, key_path};
use hobnob::room::event::{Outcome, Person};

fn main() -> ExitCode {
    let args = Args::parse();
    match &args.task {
        Some(Task::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Args::definition(), "hobnob", &mut script);
            written(io::stdout().write_all(&script))
        }
        Some(Task::Man) => written(render_manual(&mut io::stdout())),
        None => {
            start_log(args.verbose);
            match run(&args) {
                Ok(outcome) => ExitCode::from(exit_code(outcome)),
                Err(error) => {
                    let _ = writeln!(io::stderr(), "hobnob: {error}");
                    ExitCode::from(EXIT_CONFIGURATION)
                }
            }
        }
    }
}

/// What clap exits with on wrong usage, too.
const EXIT_CONFIGURATION: u8 = 2;

/// The man page lists them.
fn exit_code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Done => 0,
        Outcome::Failed => 1,
        Outcome::NoPeer => 3,
        Outcome::Unconfirmed => 4,
        Outcome::Refused => 5,
    }
}

/// A reader that has seen enough is no failure.
fn written(result: io::Result<()>) -> ExitCode {
    match result.and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "hobnob: stdout cannot be written: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Warnings, or more with -v; `RUST_LOG` wins. The line editor logs every key, so it is asked for by name.
fn start_log(verbose: u8) {
    let filter = match verbose {
        0 => "warn",
        1 => "info,rustyline=warn",
        _ => "debug,rustyline=warn",
    };
    let environment = env_logger::Env::default().default_filter_or(filter);
    env_logger::Builder::from_env(environment)
        .target(env_logger::Target::Pipe(Box::new(LogWriter)))
        .write_style(env_logger::WriteStyle::Never)
        .init();
}

fn run(args: &Args) -> Result<Outcome, IdentityError> {
    let nick = args.nick();
    let identity = match (&args.identity, args.ephemeral) {
        (_, true) => Identity::ephemeral()?,
        (Some(path), _) => Identity::load_or_create(path)?,
        (None, _) => Identity::load_or_create(&key_path(nick.as_str())?)?,
    };
    let options = Options {
        me: Person { id: identity.id(), nick },
        json: args.json,
        color: args.color,
        quiet: args.quiet,
        commands: args.commands,
        input: Input::of_stdin(),
    };
    // Here the daemon starts, `ctrlc::set_handler` gets `leave_or_exit`, and `console::run` shows what
    // the room tells.
    log::info!("{} has no room to go to yet", options.me.nick);
    Ok(Outcome::NoPeer)
}
