//! Personas: other tools' command lines. Which one speaks is decided by the name that the binary was started under
//! (a link to it), or by a leading `--persona=NAME`.
//!
//! Two kinds. A **face** (`vault`) has the commands of `arguments`: its words are translated into ours, and output,
//! messages and exit codes follow the tool. A **program** (`dotenv`) has a command line of its own: it gets the
//! words as they are, and answers with an exit code. Each is a file or folder here, and a row in `recognise`.

mod bfg;
mod detect_secrets;
mod dotenv;
mod git_secrets;
mod gitleaks;
mod sops;
pub mod vault;

use crate::environment::Environment;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Whose command line is in use.
#[derive(Clone, Copy)]
pub enum Persona {
    Face(Face),
    Program(&'static Program),
}

/// Whose words and exit codes the commands of `arguments` use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    Native,
    Vault,
}

/// A tool whose command line is not ours in other words.
pub struct Program {
    pub name: &'static str,
    /// Takes the words after the program's name; prints, and answers with the tool's exit code.
    pub run: fn(&[OsString], &Environment) -> ExitCode,
}

const PROGRAMS: &[Program] = &[
    bfg::PROGRAM,
    detect_secrets::PROGRAM,
    detect_secrets::HOOK,
    dotenv::PROGRAM,
    git_secrets::PROGRAM,
    gitleaks::PROGRAM,
    sops::PROGRAM,
];

/// The persona by the program's own name, or by a leading `--persona=NAME`, which is removed.
pub fn recognise(mut words: Vec<OsString>) -> (Persona, Vec<OsString>) {
    let asked = words.get(1).and_then(|word| word.to_str()?.strip_prefix("--persona="));
    if let Some(persona) = asked.and_then(by_name) {
        words.remove(1);
        return (persona, words);
    }
    let own_name = words.first().and_then(|name| Path::new(name).file_name()?.to_str());
    (own_name.and_then(by_name).unwrap_or(Persona::Face(Face::Native)), words)
}

fn by_name(name: &str) -> Option<Persona> {
    if name == "vault" {
        return Some(Persona::Face(Face::Vault));
    }
    PROGRAMS.iter().find(|program| program.name == name).map(Persona::Program)
}

/// Prints clap's help or complaint. `vault` answers a wrong command line with 1, and the lack of a command with 127.
pub fn answer_usage(face: Face, error: &clap::Error) -> ExitCode {
    // A closed standard output or error leaves nobody to tell.
    let _ = error.print();
    let _ = std::io::stdout().flush();
    match (face, error.exit_code()) {
        (_, 0) => ExitCode::SUCCESS,
        (Face::Vault, _) => ExitCode::from(1),
        (Face::Native, code) => ExitCode::from(u8::try_from(code).unwrap_or(2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str) -> (String, String) {
        let (persona, words) = recognise(line.split(' ').map(OsString::from).collect());
        let name = match persona {
            Persona::Face(face) => format!("{face:?}"),
            Persona::Program(program) => program.name.to_owned(),
        };
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        (name, words.join(" "))
    }

    #[test]
    fn personas_by_name_and_by_flag() {
        let answer = |name: &str, words: &str| (name.to_owned(), words.to_owned());
        assert_eq!(check("/usr/bin/vault status"), answer("Vault", "/usr/bin/vault status"));
        assert_eq!(check("/usr/bin/strongroom status"), answer("Native", "/usr/bin/strongroom status"));
        assert_eq!(check("strongroom --persona=vault status"), answer("Vault", "strongroom status"));
        assert_eq!(check("vault status --persona=vault"), answer("Vault", "vault status --persona=vault"));
        assert_eq!(check("/x/dotenv list"), answer("dotenv", "/x/dotenv list"));
        assert_eq!(check("strongroom --persona=dotenv list"), answer("dotenv", "strongroom list"));
        assert_eq!(check("strongroom --persona=no x"), answer("Native", "strongroom --persona=no x"));
    }
}
