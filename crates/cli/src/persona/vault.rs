//! The face `vault`: its words are translated into those of the one definition in `arguments`.

use clap::{ArgAction, Command};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What `vault -version` claims, for tools that ask: the version of the API that we answer to.
pub const VERSION: &str = concat!("Vault v1.14.8 (Strongroom ", env!("CARGO_PKG_VERSION"), ")");

/// Turns `vault`'s words into ours. `-name=value`, `-name value`, `--name` and `-switch=false` all become `--name…`;
/// what takes a value is looked up in the definition, which is built. Everything after `--` stays.
pub fn translate(definition: &Command, words: Vec<OsString>) -> Vec<OsString> {
    let mut translated = Vec::with_capacity(words.len());
    let mut chain = vec![definition];
    let mut words = words.into_iter();
    translated.extend(words.next());
    if let [only] = words.as_slice()
        && ["-version", "--version", "-v"].iter().any(|flag| only == flag)
    {
        return translated.into_iter().chain([OsString::from("version")]).collect();
    }
    let mut may_descend = true;
    while let Some(word) = words.next() {
        let bytes = word.as_bytes();
        if bytes == b"--" {
            translated.push(word);
            translated.extend(words.by_ref());
        } else if bytes.len() > 1 && bytes.starts_with(b"-") {
            translated.extend(flag(&chain, bytes, &mut words));
        } else {
            // Our own `scan` looks for leaks.
            let is_verb = may_descend && chain.len() == 1;
            let word = if is_verb && bytes == b"scan" { OsString::from("scan-path") } else { word };
            let next =
                chain.last().and_then(|command| command.find_subcommand(&word)).filter(|_| may_descend);
            match next {
                Some(command) => chain.push(command),
                None => may_descend = false,
            }
            translated.push(word);
        }
    }
    translated
}

/// One flag, with its value if it takes one.
fn flag(chain: &[&Command], word: &[u8], rest: &mut impl Iterator<Item = OsString>) -> Option<OsString> {
    let stripped = word.strip_prefix(b"--").or(word.strip_prefix(b"-")).unwrap_or(word);
    let (name, value) = match stripped.iter().position(|byte| *byte == b'=') {
        Some(at) => (stripped.get(..at).unwrap_or_default(), stripped.get(at + 1..)),
        None => (stripped, None),
    };
    let long = String::from_utf8_lossy(name).into_owned();
    match (shape(chain, &long), value) {
        (Shape::Switch(name), Some(value)) => is_true(value).then(|| format!("--{name}").into()),
        (Shape::Switch(name), None) => Some(format!("--{name}").into()),
        (Shape::Valued(name), Some(value)) => Some(joined(&name, value)),
        (Shape::Valued(name), None) => match rest.next() {
            Some(value) => Some(joined(&name, value.as_bytes())),
            None => Some(format!("--{name}").into()),
        },
        (Shape::MaybeValued(name) | Shape::Unknown(name), Some(value)) => Some(joined(&name, value)),
        (Shape::MaybeValued(name), None) => Some(format!("--{name}").into()),
        (Shape::Unknown(name), None) if name == "h" => Some("--help".into()),
        (Shape::Unknown(name), None) => Some(format!("--{name}").into()),
    }
}

enum Shape {
    Switch(String),
    Valued(String),
    MaybeValued(String),
    Unknown(String),
}

/// What the innermost command, or a global flag of an outer one, takes under this name.
fn shape(chain: &[&Command], name: &str) -> Shape {
    for (depth, command) in chain.iter().rev().enumerate() {
        for argument in command.get_arguments() {
            let known = argument.get_long() == Some(name)
                || argument.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
                || argument.get_short().is_some_and(|short| name == short.to_string());
            if !known || (depth > 0 && !argument.is_global_set()) {
                continue;
            }
            let long = argument.get_long().unwrap_or(name).to_owned();
            return match argument.get_action() {
                ArgAction::SetTrue | ArgAction::Count | ArgAction::Help => Shape::Switch(long),
                _ if argument.get_num_args().is_some_and(|range| range.min_values() == 0) => {
                    Shape::MaybeValued(long)
                }
                _ => Shape::Valued(long),
            };
        }
    }
    Shape::Unknown(name.to_owned())
}

/// Go's spellings of a truth value.
fn is_true(value: &[u8]) -> bool {
    matches!(value, b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True")
}

fn joined(name: &str, value: &[u8]) -> OsString {
    OsString::from_vec([b"--", name.as_bytes(), b"=", value].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Arguments;
    use clap::CommandFactory;

    fn check(line: &str, expected: &str) {
        let words = line.split(' ').map(OsString::from).collect();
        let mut definition = Arguments::command();
        definition.build();
        let translated = translate(&definition, words);
        let text: Vec<_> = translated.iter().map(|word| word.to_string_lossy()).collect();
        assert_eq!(text.join(" "), expected, "{line}");
        let parsed = Arguments::command().try_get_matches_from(&translated);
        let fine = parsed.map(drop).or_else(|error| if error.exit_code() == 0 { Ok(()) } else { Err(error) });
        assert!(fine.is_ok(), "{line}: {fine:?}");
    }

    #[test]
    fn one_dash_becomes_two() {
        check("vault read -field value secret/app", "vault read --field=value secret/app");
        check("vault read -field=value secret/app", "vault read --field=value secret/app");
        check("vault read --format=json secret/app", "vault read --format=json secret/app");
        check("vault kv get -mount secret -version=2 app", "vault kv get --mount=secret --version=2 app");
        check("vault kv put -cas=-1 secret/app a=-b", "vault kv put --cas=-1 secret/app a=-b");
        check("vault status -ns team", "vault status --namespace=team");
        check("vault write -f auth/x/y", "vault write --force auth/x/y");
        check("vault write secret/app -", "vault write secret/app -");
        check("vault read -h", "vault read --help");
        check("vault scan -limit 5 secret/scan", "vault scan-path --limit=5 secret/scan");
        check("vault list scan", "vault list scan");
    }

    #[test]
    fn switches_take_truth_values() {
        check("vault status -tls-skip-verify=true", "vault status --tls-skip-verify");
        check("vault status -tls-skip-verify=false", "vault status");
        check(
            "vault login -no-store -method userpass username=u",
            "vault login --no-store --method=userpass username=u",
        );
    }

    #[test]
    fn what_tests_and_scripts_call() {
        check("vault -version", "vault version");
        check("vault version", "vault version");
        check("vault server -config=/tmp/v.hcl", "vault server --config=/tmp/v.hcl");
        check("vault server -dev -dev-root-token-id root", "vault server --dev --dev-root-token-id=root");
        check("vault run -from secret/app -- prog -x --y", "vault run --from=secret/app -- prog -x --y");
    }

    #[test]
    fn a_value_that_is_a_commands_name_is_a_value() {
        check("vault read read", "vault read read");
        check("vault kv get get", "vault kv get get");
        check("vault list -field list list", "vault list --field=list list");
    }
}
