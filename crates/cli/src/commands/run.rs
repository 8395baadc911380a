//! `run`: the fields of secrets become environment variables of a program, and we become that program.

use super::clean_path;
use crate::context::Context;
use crate::environment::WITHHELD;
use crate::failure::{Doing, Failure, Kind};
use clap::Args;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use strongroom_api::client::{Client, KvVersion};
use strongroom_secret::SecretString;

#[derive(Args)]
#[command(
    after_help = "Exit codes: 3 a secret or field is missing or not valid as a variable, 4 not permitted, \
    126 the program cannot be run, 127 there is no such program; otherwise the program's own."
)]
pub struct RunArgs {
    /// A secret of the server, as secret/app; may be given often: later ones win. Without it: the project's secrets
    #[arg(long, value_name = "PATH")]
    from: Vec<String>,
    #[command(flatten)]
    project: super::project::run::ProjectRunArgs,
    /// Put this in front of every name
    #[arg(long, default_value = "", value_name = "TEXT")]
    prefix: String,
    /// Take these fields alone, and insist on them
    #[arg(long, value_delimiter = ',', value_name = "FIELDS")]
    only: Vec<String>,
    /// Write names in capitals, with _ for whatever a name cannot hold
    #[arg(long)]
    upper: bool,
    /// Take the field OLD as the variable NEW; may be given often
    #[arg(long, value_name = "OLD=NEW")]
    rename: Vec<String>,
    /// Start the program with these variables alone
    #[arg(long, alias = "clean")]
    no_inherit: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    command: Vec<OsString>,
}

pub fn run(context: &Context, args: &RunArgs) -> Result<ExitCode, Failure> {
    if args.from.is_empty() {
        let inherit = if args.no_inherit { Inherit::Nothing } else { Inherit::All };
        return super::project::run::run(context, &args.project, inherit, &args.command);
    }
    let naming = Naming::new(args)?;
    let client = context.client()?;
    let mut fields = BTreeMap::new();
    for path in &args.from {
        for (name, value) in read(&client, clean_path(path), "the program was not started")? {
            fields.insert(name, (value, clean_path(path).to_owned()));
        }
    }
    let variables = naming.variables(fields)?;
    let inherit = if args.no_inherit { Inherit::Nothing } else { Inherit::All };
    let variables = variables.iter().map(|(name, value)| (name.as_str(), OsStr::new(value.expose())));
    Err(become_program(&args.command, inherit, &[], variables))
}

/// What of our own environment a program gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inherit {
    /// All but what would hand over our own access.
    All,
    Nothing,
}

/// The fields of one secret. The hint of a failure says what does not happen for lack of it.
pub fn read(client: &Client, path: &str, consequence: &str) -> Result<Map<String, Value>, Failure> {
    let mount = client.kv_mount(path).while_doing(|| format!("asking which engine serves {path}"))?;
    let api_path = mount.api_path_once(path, "data");
    let response = client.read(&api_path, &[]).while_doing(|| format!("reading {api_path}"))?;
    let nothing = || {
        Failure::missing(format!("there is no secret at {path}"))
            .looked(client.address().to_string() + " at " + &api_path)
            .hint(consequence)
    };
    let data = response.and_then(|response| response.data).ok_or_else(nothing)?;
    if mount.version == KvVersion::One {
        return Ok(data);
    }
    match data.get("data") {
        Some(Value::Object(fields)) => Ok(fields.clone()),
        _ => Err(nothing().hint(format!("its newest version is deleted or destroyed; {consequence}"))),
    }
}

/// Variables by name. The values are secret.
pub type Variables = BTreeMap<String, SecretString>;

/// From a field's name to a variable's.
struct Naming<'a> {
    prefix: &'a str,
    only: &'a [String],
    upper: bool,
    renames: BTreeMap<&'a str, &'a str>,
}

impl<'a> Naming<'a> {
    fn new(args: &'a RunArgs) -> Result<Self, Failure> {
        let mut renames = BTreeMap::new();
        for rename in &args.rename {
            let (old, new) =
                rename.split_once('=').ok_or_else(|| Failure::usage("--rename is written as OLD=NEW"))?;
            renames.insert(old, new);
        }
        Ok(Self { prefix: &args.prefix, only: &args.only, upper: args.upper, renames })
    }

    /// All variables, or all that is wrong with them.
    fn variables(&self, fields: BTreeMap<String, (Value, String)>) -> Result<Variables, Failure> {
        let mut problems: Vec<String> = Vec::new();
        let mut has_bad_name = false;
        for name in self.only.iter().map(String::as_str).chain(self.renames.keys().copied()) {
            if !fields.contains_key(name) {
                let near = crate::failure::did_you_mean(name, fields.keys().map(String::as_str));
                let near = near.map(|near| format!(" (did you mean {near:?}?)")).unwrap_or_default();
                problems.push(format!("there is no field {name:?}{near}"));
            }
        }
        let mut variables = Variables::new();
        let mut origins: BTreeMap<String, String> = BTreeMap::new();
        for (field, (value, path)) in fields {
            if !self.only.is_empty() && !self.only.contains(&field) {
                continue;
            }
            match self.variable(&field, value) {
                Err(problem) => {
                    has_bad_name |= problem.contains("is not a valid name");
                    problems.push(format!("{path}: {problem}"));
                }
                Ok((name, value)) => {
                    if let Some(other) = origins.insert(name.clone(), field.clone()) {
                        problems
                            .push(format!("{path}: the fields {other:?} and {field:?} both become {name}"));
                    }
                    variables.insert(name, value);
                }
            }
        }
        if problems.is_empty() {
            return Ok(variables);
        }
        let hint = match has_bad_name {
            true => "--upper or --rename OLD=NEW makes a name usable; the program was not started",
            false => "the program was not started",
        };
        Err(Failure::new(Kind::Missing, problems.join("\n       ")).hint(hint))
    }

    fn variable(&self, field: &str, value: Value) -> Result<(String, SecretString), String> {
        let name = match self.renames.get(field) {
            Some(new) => (*new).to_owned(),
            None => {
                let plain = if self.upper { in_capitals(field) } else { field.to_owned() };
                format!("{}{plain}", self.prefix)
            }
        };
        if !is_variable_name(&name) {
            return Err(format!("the field {field:?} cannot be a variable: {name:?} is not a valid name"));
        }
        let chosen = self.only.iter().any(|only| only == field) || self.renames.contains_key(field);
        if name.starts_with("LD_") && !chosen {
            return Err(format!(
                "the field {field:?} would decide which code the program loads: name it with --only"
            ));
        }
        let text = match value {
            Value::String(text) => SecretString::new(text),
            other => SecretString::new(other.to_string()),
        };
        if text.expose().contains('\0') {
            return Err(format!("the field {field:?} holds a NUL character, which no variable can"));
        }
        Ok((name, text))
    }
}

fn in_capitals(field: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let name: String = field.chars().map(letter).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

/// POSIX: letters, digits and `_`, not beginning with a digit.
fn is_variable_name(name: &str) -> bool {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A program to start, with its environment. What is `withheld` it does not inherit.
pub fn prepared<'v>(
    words: &[OsString],
    inherit: Inherit,
    withheld: &[String],
    variables: impl Iterator<Item = (&'v str, &'v OsStr)>,
) -> Result<Command, Failure> {
    let (program, arguments) = words.split_first().ok_or_else(|| Failure::usage("which program?"))?;
    let mut command = Command::new(program);
    command.args(arguments);
    if inherit == Inherit::Nothing {
        command.env_clear();
    }
    for name in WITHHELD.iter().copied().chain(withheld.iter().map(String::as_str)) {
        command.env_remove(name);
    }
    command.envs(variables);
    Ok(command)
}

/// Replaces this process. Returns only if that fails.
pub fn become_program<'v>(
    words: &[OsString],
    inherit: Inherit,
    withheld: &[String],
    variables: impl Iterator<Item = (&'v str, &'v OsStr)>,
) -> Failure {
    match prepared(words, inherit, withheld, variables) {
        Ok(mut command) => not_started(words, &command.exec()),
        Err(failure) => failure,
    }
}

/// Why a program could not be started, with the exit codes of shells.
pub fn not_started(words: &[OsString], error: &std::io::Error) -> Failure {
    let program = words.first().map(|program| program.display().to_string()).unwrap_or_default();
    match error.kind() {
        ErrorKind::NotFound => Failure::other(format!("there is no program {program}")).exit_code(127),
        _ => Failure::other(format!("cannot run {program}: {error}")).exit_code(126),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::json;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: RunArgs,
    }

    fn check(flags: &str, secret: Value) -> String {
        let words =
            ["run", "--from=secret/app"].into_iter().chain(flags.split_whitespace()).chain(["--", "true"]);
        let line = Line::try_parse_from(words).unwrap();
        let Value::Object(secret) = secret else { panic!("not an object") };
        let fields =
            secret.into_iter().map(|(name, value)| (name, (value, "secret/app".to_owned()))).collect();
        match Naming::new(&line.args).unwrap().variables(fields) {
            Ok(variables) => {
                let lines: Vec<_> =
                    variables.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect();
                lines.join(" ")
            }
            Err(failure) => failure.native_text(),
        }
    }

    #[test]
    fn fields_become_variables() {
        assert_eq!(check("", json!({"A": "1", "b_2": "x y"})), "A=1 b_2=x y");
        assert_eq!(
            check("", json!({"N": 5, "T": true, "L": [1, "a"], "Z": null})),
            r#"L=[1,"a"] N=5 T=true Z=null"#
        );
        assert_eq!(check("--upper --prefix APP_", json!({"db-url": "u", "9": "n"})), "APP_DB_URL=u APP__9=n");
        assert_eq!(check("--only A", json!({"A": "1", "not valid": "2"})), "A=1");
        assert_eq!(check("--rename db-url=URL", json!({"db-url": "u"})), "URL=u");
    }

    #[test]
    fn all_problems_are_named_at_once() {
        insta::assert_snapshot!(check("--only a-b,c.d,pasword", json!({"a-b": "1", "c.d": "2", "password": "3"})), @r#"
        error: there is no field "pasword" (did you mean "password"?)
               secret/app: the field "a-b" cannot be a variable: "a-b" is not a valid name
               secret/app: the field "c.d" cannot be a variable: "c.d" is not a valid name
          hint: --upper or --rename OLD=NEW makes a name usable; the program was not started
        "#);
        assert!(check("--upper", json!({"a-b": "1", "a.b": "2"})).contains("both become A_B"));
        assert!(check("", json!({"A": "a\0b"})).contains("NUL"));
        assert!(check("", json!({"LD_PRELOAD": "/x.so"})).contains("which code the program loads"));
        assert_eq!(check("--only LD_PRELOAD", json!({"LD_PRELOAD": "/x.so"})), "LD_PRELOAD=/x.so");
    }
}
