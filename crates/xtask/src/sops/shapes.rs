//! What a file can look like: streams of documents, every rule for what is encrypted, MACs over a part, key groups. Both
//! programs encrypt the same values, and each reads and changes what the other wrote.

use super::rounds::{Rounds, Who, check, meaning};
use crate::outcome::Outcome;
use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const STREAM: &str = "\
# first
name: shop
port: 8080
---
# second
list:
    - one
    # between
    - two
database:
    password: not-a-real-password
---
last: 1.5
";
const TREE: &str = "\
# about the name
name: shop
# ENC: the next one
token: not-a-real-token
database:
    # about the host
    host: db.example.com
    # ENC all below
    users:
        admin: not-a-real-password
        list:
            - a
            - b
    port: 5432
plain_unencrypted: seen
secret_x: hidden
count: 3
";
const JSON: &str = r#"{
	"name": "shop",
	"database": {
		"host": "db.example.com",
		"users": [
			"a",
			{
				"password": "not-a-real-password"
			}
		]
	},
	"plain_unencrypted": "seen",
	"secret_x": 5,
	"flag": true,
	"nothing": null
}
"#;
const ENV: &str = "\
# about the name
NAME=shop
# ENC: the next one
TOKEN=not-a-real-token
HOST=db.example.com
plain_unencrypted=seen
secret_x=hidden
";
const INI: &str = "\
[database]
; about the host
host = db.example.com
; ENC: the next one
password = not-a-real-password
secret_x = hidden

[plain_unencrypted]
port = 5432
";

/// A file, how it is encrypted, and a value to change.
struct Shape {
    name: &'static str,
    format: &'static str,
    content: &'static str,
    /// A line of the rule in `.sops.yaml`: not every rule has a flag.
    rule: &'static str,
    place: &'static str,
}

const fn shape(
    name: &'static str,
    format: &'static str,
    content: &'static str,
    rule: &'static str,
    place: &'static str,
) -> Shape {
    Shape { name, format, content, rule, place }
}

const RULES: [(&str, &str); 7] = [
    ("encrypted_suffix", "encrypted_suffix: _x"),
    ("unencrypted_suffix", "unencrypted_suffix: _x"),
    ("encrypted_regex", "encrypted_regex: ^(users|TOKEN|password|secret_.*)$"),
    ("unencrypted_regex", "unencrypted_regex: ^(users|TOKEN|password)$"),
    ("encrypted_comment_regex", "encrypted_comment_regex: ENC"),
    ("unencrypted_comment_regex", "unencrypted_comment_regex: 'ENC:'"),
    ("mac_only_encrypted", "{encrypted_regex: ^(users|TOKEN|password)$, mac_only_encrypted: true}"),
];

pub(super) fn run(ours: &Path, peer: &Path, home: &Path) -> Result<Outcome> {
    let rounds = Rounds::new(ours, peer, &home.join("shapes"))?;
    let mut shapes = vec![
        shape("a stream of documents", "yaml", STREAM, "unencrypted_suffix: _unencrypted", r#"["port"]"#),
        shape("a stream with a rule", "yaml", STREAM, "encrypted_regex: ^(port|password)$", r#"["name"]"#),
    ];
    for (name, rule) in RULES {
        shapes.push(shape(name, "yaml", TREE, rule, r#"["database"]["host"]"#));
        shapes.push(shape(name, "env", ENV, rule, r#"["HOST"]"#));
        shapes.push(shape(name, "ini", INI, rule, r#"["database"]["host"]"#));
        if !name.contains("comment") {
            shapes.push(shape(name, "json", JSON, rule, r#"["database"]["host"]"#));
        }
    }
    let mut outcome = Outcome::default();
    for shape in shapes {
        let name = format!("{} in {}", shape.name, shape.format);
        outcome += check(&format!("{name}: the same values are encrypted"), same_places(&rounds, &shape));
        for (way, writer, reader) in super::rounds::WAYS {
            outcome += check(&format!("{name}: {way}"), there_and_back(&rounds, &shape, writer, reader));
        }
    }
    outcome += groups(&rounds);
    Ok(outcome)
}

fn encrypted(rounds: &Rounds, shape: &Shape, who: Who) -> Result<String> {
    let plain = format!("shape.{}", shape.format);
    std::fs::write(rounds.folder.join(&plain), shape.content)?;
    let rule = match shape.rule.strip_prefix('{').and_then(|rule| rule.strip_suffix('}')) {
        Some(several) => several.split(", ").collect(),
        None => vec![shape.rule],
    };
    let rules = format!("creation_rules:\n  - age: {}\n    {}\n", rounds.recipient(), rule.join("\n    "));
    std::fs::write(rounds.folder.join("rules.yaml"), rules)?;
    let output = with_rules(rounds, who, &["encrypt", &plain]).output()?;
    ensure!(output.status.success(), "encrypt: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// A command that goes by `rules.yaml`.
fn with_rules(rounds: &Rounds, who: Who, words: &[&str]) -> Command {
    let mut command = rounds.command(who);
    match who {
        // A flag of the whole program there.
        Who::Them | Who::Us => command.args(["--config", "rules.yaml"]).args(words),
        Who::UsSealing => command.args(words).args(["--rules", "rules.yaml"]),
    };
    command
}

/// Line by line, both programs encrypt the same values as the same types.
fn same_places(rounds: &Rounds, shape: &Shape) -> Result<()> {
    let (ours, theirs) = (encrypted(rounds, shape, Who::Us)?, encrypted(rounds, shape, Who::Them)?);
    let (ours, theirs) = (outline(shape.format, &ours), outline(shape.format, &theirs));
    ensure!(ours == theirs, "ours:\n{}\ntheirs:\n{}", ours.join("\n"), theirs.join("\n"));
    Ok(())
}

/// The lines of a file without metadata, indentation, and what is random in values.
fn outline(format: &str, text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut in_metadata = false;
    for line in text.lines() {
        in_metadata = match format {
            "yaml" => line == "sops:" || in_metadata && line.starts_with(' '),
            "json" => in_metadata || line.trim_start().starts_with("\"sops\":"),
            "ini" => in_metadata || line == "[sops]",
            _ => line.starts_with("sops_"),
        };
        let words: Vec<_> = line.split_whitespace().collect();
        if in_metadata || words.is_empty() {
            continue;
        }
        let mut line = words.join(" ").replacen('#', "# ", 1).replace(';', "; ").replace("  ", " ");
        while let Some((before, rest)) = line.split_once("ENC[AES256_GCM,data:") {
            let (kind, after) =
                rest.split_once("type:").and_then(|(_, rest)| rest.split_once(']')).unwrap_or_default();
            line = format!("{before}<{kind}>{after}");
        }
        lines.push(line.trim_end_matches([',', ' ']).to_owned());
    }
    while lines.last().is_some_and(|line| line == "}") {
        lines.pop();
    }
    lines
}

fn there_and_back(rounds: &Rounds, shape: &Shape, writer: Who, reader: Who) -> Result<()> {
    let file = format!("round-shape.{}", shape.format);
    std::fs::write(rounds.folder.join(&file), encrypted(rounds, shape, writer)?)?;
    let read = |who| Ok::<_, anyhow::Error>(meaning(shape.format, &rounds.output(who, &["decrypt", &file])?));
    let (ours, theirs) = (read(Who::Us)?, read(Who::Them)?);
    ensure!(ours == theirs, "ours:\n{ours}\ntheirs:\n{theirs}");
    rounds.output(reader, &["set", &file, shape.place, "\"changed\""])?;
    for who in [writer, reader] {
        let value = rounds.output(who, &["decrypt", "--extract", shape.place, &file])?;
        ensure!(value == b"changed", "the change was not read: {:?}", String::from_utf8_lossy(&value));
    }
    Ok(())
}

/// Three groups, of which two must answer: with any two it opens, with one it does not.
fn groups(rounds: &Rounds) -> Outcome {
    let mut outcome = Outcome::default();
    for format in ["yaml", "json", "env", "ini", "bin"] {
        for (way, writer, reader) in super::rounds::WAYS {
            let result = of_groups(rounds, format, writer, reader);
            outcome += check(&format!("two of three key groups in {format}: {way}"), result);
        }
    }
    outcome
}

fn of_groups(rounds: &Rounds, format: &str, writer: Who, reader: Who) -> Result<()> {
    let mut identities = BTreeMap::new();
    for name in ["a", "b", "c", "d"] {
        let file = rounds.folder.join(format!("{name}.txt"));
        let _ = std::fs::remove_file(&file);
        let made = rounds.command(Who::UsSealing).args(["keygen", "--output"]).arg(&file).output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let text = std::fs::read_to_string(&file)?;
        let recipient = text.lines().find_map(|line| line.strip_prefix("# public key: "));
        identities.insert(name, (recipient.unwrap_or_default().to_owned(), text.clone()));
    }
    let recipient =
        |name: &str| identities.get(name).map(|(recipient, _)| recipient.as_str()).unwrap_or_default();
    let rules = format!(
        "creation_rules:\n  - shamir_threshold: 2\n    key_groups:\n      - age: [{}, {}]\n      - age: [{}]\n      - age: [{}]\n",
        recipient("a"),
        recipient("d"),
        recipient("b"),
        recipient("c")
    );
    std::fs::write(rounds.folder.join("rules.yaml"), rules)?;
    let (plain, file) = (format!("plain.{format}"), format!("groups.{format}"));
    let output = with_rules(rounds, writer, &["encrypt", &plain]).output()?;
    ensure!(output.status.success(), "encrypt: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::write(rounds.folder.join(&file), &output.stdout)?;
    for (names, opens) in
        [(["a", "b"], true), (["b", "c"], true), (["c", "d"], true), (["b", "b"], false), (["a", "d"], false)]
    {
        let keys = names
            .map(|name| identities.get(name).map(|(_, text)| text.as_str()).unwrap_or_default())
            .join("\n");
        std::fs::write(rounds.folder.join("some.txt"), keys)?;
        for who in [writer, reader] {
            let mut command = rounds.command(who);
            command.env("SOPS_AGE_KEY_FILE", rounds.folder.join("some.txt")).args(["decrypt", &file]);
            let output = command.output()?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            ensure!(
                output.status.success() == opens,
                "with the keys of {names:?}: {}: {said}",
                output.status
            );
        }
    }
    Ok(())
}
