//! The man page: sections written by hand in `first_steps.roff` and `manual.roff`, and between them what clap knows from
//! the definition of the command line. `man/hobnob.1` is this function's output; a test compares them.

use std::io::{self, Write};

use super::Args;

/// What a newcomer reads first: synopsis, first steps and examples. It stands before the options.
const FIRST_STEPS: &str = include_str!("first_steps.roff");

/// The sections that no definition knows.
const SECTIONS: &str = include_str!("manual.roff");

/// Writes the man page.
pub fn render(out: &mut dyn Write) -> io::Result<()> {
    // The examples and exit codes at the end of --help are sections of their own here.
    let definition = Args::definition().after_help("");
    let page = clap_mangen::Man::new(definition).manual("User Commands");
    page.render_title(out)?;
    page.render_name_section(out)?;
    out.write_all(FIRST_STEPS.as_bytes())?;
    page.render_options_section(out)?;
    out.write_all(SECTIONS.as_bytes())
}
