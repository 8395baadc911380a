//! The `.env` library as a process: a request a line on standard input, an answer a line on standard output, both JSON.
//! A development shim with the names of python-dotenv's modules speaks to it (`cargo xtask dotenv`).

use serde_json::{Value, json};
use std::io::{BufRead, Write};
use std::path::Path;
use strongroom_formats::dotenv::{
    Atom, BYTES_MAX, Copies, Dialect, Document, Export, FinalNewline, Kind, Precedence, Quoting, SetOptions,
    Values, atoms,
};
use strongroom_project::files::{self, Links};
use strongroom_secret::SecretString;

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let answer = answer(&request).unwrap_or_else(|error| json!({"error": error.to_string()}));
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

fn answer(request: &Value) -> Result<Value, Failed> {
    let text = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or_default();
    let is = |name: &str| request.get(name).and_then(Value::as_bool).unwrap_or_default();
    let dialect = text("dialect").parse().unwrap_or_default();
    match text("op") {
        "parse" => bindings(&Document::parse(text("text"), dialect)?),
        "values" => {
            let document = Document::parse(text("text"), dialect)?;
            if !is("interpolate") {
                return Ok(listed(&document.literal_values()));
            }
            let environment = request.get("environment");
            let lookup = |name: &str| environment.and_then(|all| all.get(name)?.as_str());
            let precedence = if is("override") { Precedence::File } else { Precedence::Environment };
            Ok(listed(&document.resolve(&lookup, precedence)?))
        }
        "atoms" => Ok(atoms(text("text")).iter().map(atom).collect()),
        "set" => {
            let links = if is("follow_symlinks") { Links::Follow } else { Links::Replace };
            let change = files::change(Path::new(text("path")), links, BYTES_MAX as u64)?;
            let before = change.content().map(|content| content.expose()).unwrap_or_default();
            let document = Document::from_bytes(before, Dialect::Python)?;
            let edited = document.set(text("key"), &text("value").into(), &options(request))?;
            change.replace(edited.text.expose().as_bytes())?;
            Ok(json!(true))
        }
        "set text" => {
            let document = Document::parse(text("text"), Dialect::Python)?;
            let edited = document.set(text("key"), &text("value").into(), &options(request))?;
            Ok(json!(edited.text.expose()))
        }
        "unset" => {
            let links = if is("follow_symlinks") { Links::Follow } else { Links::Replace };
            let change = files::change(Path::new(text("path")), links, BYTES_MAX as u64)?;
            let before = change.content().map(|content| content.expose()).unwrap_or_default();
            let edited = Document::from_bytes(before, Dialect::Python)?.unset(text("key"))?;
            if let Some(edited) = &edited {
                change.replace(edited.text.expose().as_bytes())?;
            }
            Ok(json!(edited.is_some()))
        }
        "unset text" => {
            let edited = Document::parse(text("text"), Dialect::Python)?.unset(text("key"))?;
            Ok(json!(edited.map(|edited| edited.text.expose().to_owned())))
        }
        other => Err(format!("there is no operation {other:?}").into()),
    }
}

/// As python-dotenv's command line writes.
fn options(request: &Value) -> SetOptions {
    let quoting = match request.get("quote").and_then(Value::as_str) {
        Some("auto") => Quoting::Auto,
        Some("never") => Quoting::Never,
        _ => Quoting::Always,
    };
    let exports = request.get("export").and_then(Value::as_bool).unwrap_or_default();
    let export = if exports { Export::Add } else { Export::Keep };
    SetOptions {
        readers: Vec::new(),
        quoting,
        export,
        copies: Copies::All,
        final_newline: FinalNewline::Always,
    }
}

fn bindings(document: &Document) -> Result<Value, Failed> {
    let binding = |entry: &strongroom_formats::dotenv::Entry| {
        let (key, value) = match &entry.kind {
            Kind::Assignment(assignment) => {
                let value = document.literal(assignment).map(|value| value.expose().to_owned());
                (Some(document.key(assignment)), value)
            }
            _ => (None, None),
        };
        json!({
            "key": key,
            "value": value,
            "string": document.slice(entry.span),
            "line": entry.first_line,
            "error": matches!(entry.kind, Kind::Bad(_)),
        })
    };
    Ok(document.entries().iter().map(binding).collect())
}

fn listed(values: &Values) -> Value {
    values.iter().map(|(key, value)| json!([key, value.map(SecretString::expose)])).collect()
}

fn atom(atom: &Atom<'_>) -> Value {
    match atom {
        Atom::Literal(text) => json!({"literal": text}),
        Atom::Variable { name, default } => json!({"name": name, "default": default}),
    }
}
