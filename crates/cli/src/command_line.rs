//! From words to [`Arguments`].
//!
//! Defining all commands costs a start more than everything else that it does. So a line is read with the definition of
//! the one command that it seems to name. What does not fit that is read again with all of them: help and complaints
//! then know every command.

use crate::arguments::{Arguments, Globals};
use crate::persona::{Face, vault};
use clap::{Args, Command, CommandFactory, FromArgMatches};
use std::ffi::OsString;

/// Understands a line, of which the first word is the program's name.
pub fn parse(face: Face, words: &[OsString]) -> Result<Arguments, clap::Error> {
    let whole = Arguments::command();
    if let Some(narrow) = of_one_command(&whole, words)
        && let Ok(arguments) = read(face, narrow, words)
    {
        return Ok(arguments);
    }
    read(face, whole, words)
}

/// The definition with no command but the first one that is named. If that was the value of a flag, the line does not fit.
fn of_one_command(whole: &Command, words: &[OsString]) -> Option<Command> {
    let command = words.iter().skip(1).find_map(|word| whole.find_subcommand(word))?;
    let root = Command::new("strongroom").subcommand_required(true);
    Some(Globals::augment_args(root).subcommand(command.clone()))
}

fn read(face: Face, mut definition: Command, words: &[OsString]) -> Result<Arguments, clap::Error> {
    let matches = match face {
        Face::Native => definition.try_get_matches_from_mut(words),
        Face::Vault => {
            definition = definition.name("vault");
            definition.build();
            let words = vault::translate(&definition, words.to_vec());
            definition.try_get_matches_from_mut(words)
        }
    };
    Arguments::from_arg_matches(&matches?).map_err(|error| error.format(&mut definition))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments;

    fn check(line: &str) -> Result<Arguments, String> {
        let words: Vec<_> = line.split(' ').map(OsString::from).collect();
        parse(Face::Native, &words).map_err(|error| error.to_string())
    }

    #[test]
    fn a_command_is_found_among_global_flags() {
        let read = |line: &str| check(line).unwrap();
        let arguments = read("strongroom --env run --json run --quiet -- prog -x");
        assert!(matches!(arguments.command, arguments::Command::Run(_)));
        assert_eq!(arguments.globals.project.env.as_deref(), Some("run"));
        assert!(arguments.globals.project.json && arguments.globals.project.quiet);
        // The first word that is a command's name is a flag's value here.
        let arguments = read("strongroom --env get status");
        assert!(matches!(arguments.command, arguments::Command::Status));
        assert!(matches!(read("strongroom kv get --field x a/b").command, arguments::Command::Kv(_)));
    }

    #[test]
    fn complaints_and_help_know_all_commands() {
        assert!(check("strongroom staus").err().unwrap().contains("'status'"));
        assert!(check("strongroom --help").err().unwrap().contains("sops"));
        assert!(check("strongroom help kv").err().unwrap().contains("strongroom kv"));
        assert!(check("strongroom kv --help").err().unwrap().contains("strongroom kv"));
        assert!(check("strongroom kv").err().unwrap().contains("metadata"));
        let complaint = check("strongroom run --prefx x -- prog").err().unwrap();
        assert!(complaint.contains("--prefix") && complaint.contains("Usage: strongroom run"), "{complaint}");
    }
}
