//! `publish`: the destinations of .sops.yaml. Vault's and our own key-value engines get the values in clear.

use super::arguments::PublishArgs;
use super::session::Session;
use crate::failure::{Failure, Kind};
use serde_json::{Map, Value as Json, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use strongroom_formats::sops::{Element, Item, Map as Entries, Node, Tree, Value, Verification};
use strongroom_project::sops::config::Destination;
use strongroom_project::sops::{self, vault_client};

pub fn publish(session: &Session, args: &PublishArgs) -> Result<ExitCode, Failure> {
    let root = args.file.as_path();
    if root.is_dir() {
        if !args.recursive {
            return Err(Failure::usage("can't operate on a directory without --recursive flag."));
        }
        for path in files_below(root)? {
            let name = path.strip_prefix(root).unwrap_or(&path).to_owned();
            publish_one(session, &path, name, args)?;
        }
    } else {
        let name = PathBuf::from(root.file_name().unwrap_or(root.as_os_str()));
        publish_one(session, root, name, args)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed =
        |error: std::io::Error| Failure::other(format!("reading the folder {}: {error}", folder.display()));
    let mut files = Vec::new();
    let mut entries =
        std::fs::read_dir(folder).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            files.extend(files_below(&entry.path())?);
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(files)
}

fn publish_one(session: &Session, path: &Path, name: PathBuf, args: &PublishArgs) -> Result<(), Failure> {
    let config = session.config_for(path)?.ok_or_else(|| Failure::missing("config file not found"))?;
    let rule = config.destination_rule(path).map_err(|error| session.failure(error.into()))?;
    let Some(destination) = &rule.destination else {
        return Err(Failure::usage("no destination configured for this file"));
    };
    let name = if args.omit_extensions || rule.omit_extensions { name.with_extension("") } else { name };
    let Destination::Vault { address, path: below, mount, version } = destination else {
        return Err(Failure::usage(
            "publishing to S3 and Google Cloud Storage is not supported: copy the file with their own tools",
        ));
    };
    let bytes = session.read(path)?;
    let format = session.input_format(None, path)?;
    let opened = sops::open_as_it_is(format, bytes.expose(), session.keys()?, Verification::Required)
        .map_err(|error| session.failure(error))?;
    let data = json_map(opened.tree())?;
    let variables = &session.surroundings.variables;
    let default = variables.first(&["STRONGROOM_ADDR", "VAULT_ADDR"]).unwrap_or("https://127.0.0.1:8200");
    let address = if address.is_empty() { default } else { address };
    let section = if *version == 1 { "" } else { "data/" };
    let api_path = format!(
        "{}/{section}{}/{}",
        mount.trim_end_matches('/'),
        below.trim_end_matches('/'),
        name.display()
    );
    let question =
        format!("uploading {} to {address}/v1/{api_path} ? (y/n): ", session.absolute(path).display());
    if !args.yes && !session.confirm(&question)? {
        return Err(Failure::other(format!("Publication of {} canceled", path.display())));
    }
    let client =
        vault_client(&session.surroundings, address).map_err(|why| Failure::new(Kind::Unreachable, why))?;
    let known = client.read(&api_path, &[]).ok().flatten().and_then(|response| response.data);
    let known = match (known, *version) {
        (Some(known), 1) => Some(Json::Object(known)),
        (Some(mut known), _) => known.remove("data"),
        (None, _) => None,
    };
    if known == Some(Json::Object(data.clone())) {
        session.note(&format!("{api_path} is already up-to-date"));
        return Ok(());
    }
    let body = if *version == 1 { Json::Object(data) } else { json!({ "data": data }) };
    client.write(&api_path, &body)?;
    Ok(())
}

/// The values of all documents as one object.
fn json_map(tree: &Tree) -> Result<Map<String, Json>, Failure> {
    let mut all = Map::new();
    for document in &tree.documents {
        all.extend(json_entries(document)?);
    }
    Ok(all)
}

fn json_entries(map: &Entries) -> Result<Map<String, Json>, Failure> {
    let entries = map.iter().filter_map(|item| match item {
        Item::Entry { key, node } => Some(json_node(key, node).map(|node| (key.clone(), node))),
        Item::Comment(_) => None,
    });
    entries.collect()
}

fn json_node(key: &str, node: &Node) -> Result<Json, Failure> {
    Ok(match node {
        Node::Null => Json::Null,
        Node::Map(map) => Json::Object(json_entries(map)?),
        Node::List(elements) => {
            let items = elements.iter().filter_map(Element::node).map(|node| json_node(key, node));
            Json::Array(items.collect::<Result<_, _>>()?)
        }
        Node::Leaf(Value::Integer(number)) => json!(number),
        Node::Leaf(Value::Float(number)) => json!(number),
        Node::Leaf(Value::Boolean(truth)) => json!(truth),
        Node::Leaf(value) => match value.plain_text() {
            Some(text) => json!(text),
            None => return Err(Failure::other(format!("the value of {key:?} is not text"))),
        },
    })
}
