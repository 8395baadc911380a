//! The `strongroom` binary: command line, environment, output, and the wiring of the server.

#![expect(unreachable_pub, reason = "a binary has no outside: pub says what a module offers the others")]

mod arguments;
mod audit_files;

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

use arguments::Arguments;
use clap::{CommandFactory, FromArgMatches};
use context::Context;
use environment::Environment;
use failure::Failure;
use persona::{Face, Persona};
use std::ffi::OsString;
use std::process::ExitCode;

/// A request makes and drops some fifty small allocations on several threads: this allocator takes a tenth of the
/// server's time off them.
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
    let mut definition = Arguments::command();
    let words = match face {
        Face::Native => words,
        Face::Vault => {
            definition = definition.name("vault");
            persona::vault::translate(&definition, words)
        }
    };
    let parsed = definition.clone().try_get_matches_from(words);
    let parsed = parsed.and_then(|matches| {
        Arguments::from_arg_matches(&matches).map_err(|error| error.format(&mut definition))
    });
    let arguments = match parsed {
        Ok(arguments) => arguments,
        Err(error) => return Ok(persona::answer_usage(face, &error)),
    };
    let context = Context::new(face, arguments.globals, environment)?;
    commands::run(&context, arguments.command)
}
