//! `completions` and `man`: made from the one definition of the command line.

use crate::arguments::Arguments;
use crate::context::Context;
use crate::failure::Failure;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
pub struct CompletionsArgs {
    shell: Shell,
}

#[derive(Args)]
pub struct ManArgs {
    /// Where to write the pages; it is made if it is not there
    folder: PathBuf,
}

pub fn completions(context: &Context, args: &CompletionsArgs) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), "strongroom", &mut script);
    context.output.bytes(&script)
}

pub fn man(context: &Context, args: &ManArgs) -> Result<ExitCode, Failure> {
    let folder = &args.folder;
    let failed =
        |error: std::io::Error| Failure::other(format!("cannot write to {}: {error}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(Arguments::command(), folder).map_err(failed)?;
    context.output.success(&format!("Manual pages written to: {}", folder.display()))
}
