//! The `strongroom` binary: command line, environment, output, and the wiring of the server.

#![expect(unreachable_pub, reason = "a binary has no outside: pub says what a module offers the others")]

mod arguments;
mod audit_files;
mod command_line;
mod commands;
mod context;
mod environment;
mod failure;
mod output;
mod persona;
mod server;
mod snapshot_files;
mod system;
mod terminal;
mod token_file;
mod values;

use context::Context;
use environment::Environment;
use failure::Failure;
use persona::{Face, Persona};
use std::ffi::OsString;
use std::process::ExitCode;

/// A request makes and drops some fifty small allocations on several threads: this allocator takes a tenth of the
/// server's time off them. Without huge pages (`no_thp`): the first touch of each clears 2 MiB, at every start.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let environment = Environment::of_process();
    let (persona, words) = persona::recognise(std::env::args_os().collect());
    match persona {
        Persona::Face(face) => start(face, words, environment).unwrap_or_else(|failure| failure.report(face)),
        Persona::Program(program) => (program.run)(words.get(1..).unwrap_or_default(), &environment),
    }
}

fn start(face: Face, words: Vec<OsString>, environment: Environment) -> Result<ExitCode, Failure> {
    let arguments = match command_line::parse(face, &words) {
        Ok(arguments) => arguments,
        Err(error) => return Ok(persona::answer_usage(face, &error)),
    };
    let context = Context::new(face, arguments.globals, environment)?;
    commands::run(&context, arguments.command)
}
