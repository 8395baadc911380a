//! `--known`: values that are in use, found exactly. An index is a file, or is fetched from a server and kept; what a hit is, the
//! server says.

use super::arguments::KnownArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::system::SystemClock;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use strongroom_api::client::{Client, ServerErrorKind};
use strongroom_detect::KnownValue;
use strongroom_detect::known::{BYTES_MAX, Index, Matcher, ServerIndex, TAG_BYTES};
use strongroom_project::files::{Links, change, read};
use strongroom_scan::Located;
use strongroom_secret::{Clock, SecretBytes};

/// What `--known` without a value stands for.
const CONFIGURED: &str = "server";
/// An index that was begun longer ago is fetched anew: what is gone from the store goes from it then.
const KEPT_SECONDS: i64 = 24 * 3600;
/// Tags in one question.
const TAGS_MAX: usize = 1000;
/// Places that a line of a report names.
const PLACES_SHOWN_MAX: usize = 3;

/// The values to look for, and who knows what they are.
pub struct Store {
    pub matchers: Vec<Arc<Matcher>>,
    /// By the address that their findings name.
    servers: BTreeMap<String, Client>,
}

impl Store {
    pub fn load(context: &Context, args: &KnownArgs) -> Result<Self, Failure> {
        let mut store = Self { matchers: Vec::new(), servers: BTreeMap::new() };
        for place in &args.known {
            let index = match client(context, place)? {
                Some(client) => {
                    let index = kept_or_fetched(context, &client, args.lenient)?;
                    store.servers.insert(client.address().to_string(), client);
                    index
                        .map(|index| index.to_index())
                        .transpose()
                        .map_err(|error| unusable(place, &error))?
                }
                None => Some(of_file(place)?),
            };
            store.matchers.extend(index.map(|index| Arc::new(Matcher::new(index))));
        }
        store.add_servers_of_files(context);
        Ok(store)
    }

    /// What a file of a server's holds, the server confirms if it is the one that is configured.
    fn add_servers_of_files(&mut self, context: &Context) {
        let named = self.matchers.iter().filter_map(|matcher| matcher.server());
        let unknown = named.filter(|address| !self.servers.contains_key(*address));
        let wanted: BTreeSet<String> = unknown.map(str::to_owned).collect();
        if wanted.is_empty() || context.project().offline {
            return;
        }
        if let Ok(client) = context.client()
            && client.token().is_some()
            && wanted.contains(&client.address().to_string())
        {
            self.servers.insert(client.address().to_string(), client);
        }
    }

    /// Says in each finding what it is of. What is known by a part of its tag alone and not to the server is no finding; what is planted
    /// is none either, where the server says so to who asks. How many those are.
    pub fn tell(&mut self, context: &Context, found: &mut Vec<Located>) -> u64 {
        let mut honey = 0;
        for (address, client) in &self.servers {
            let matcher = self.matchers.iter().find(|matcher| matcher.server() == Some(address));
            let Some(matcher) = matcher.filter(|_| !context.project().offline) else { continue };
            let ours = |located: &Located| {
                let known = located.finding.known.as_deref();
                known.is_some_and(|known| known.server.as_deref() == Some(address.as_str()))
            };
            // What rules found may be planted too.
            let tag = |located: &Located| match located.finding.known.as_deref().filter(|_| ours(located)) {
                Some(known) => known.tag.clone(),
                None => hex::encode(matcher.tag(located.finding.secret.expose())),
            };
            let resolved = resolve(context, (address, client), found.iter().map(tag).collect());
            found.retain_mut(|located| {
                let Some(about) = resolved.get(&tag(located)) else { return true };
                if about.get("honey") == Some(&Value::Bool(true)) {
                    honey += 1;
                    return false;
                }
                let is_ours = ours(located);
                let Some(known) = located.finding.known.as_deref_mut().filter(|_| is_ours) else {
                    return true;
                };
                if known.is_cut && about.get("known") == Some(&Value::Bool(false)) {
                    return false;
                }
                located.finding.notes = notes(known, about);
                known.resolved = Some(about.clone());
                true
            });
        }
        honey
    }
}

/// What a server says of tags.
fn resolve(
    context: &Context,
    (address, client): (&str, &Client),
    tags: BTreeSet<String>,
) -> Map<String, Value> {
    let tags: Vec<String> = tags.into_iter().collect();
    let mut resolved = Map::new();
    for tags in tags.chunks(TAGS_MAX) {
        match client.write("sys/fingerprints/resolve", &json!({ "tags": tags })) {
            Ok(answer) => resolved.extend(of_answer(answer)),
            Err(error) => context.output.note(&format!(
                "{address} does not say which secrets were found: {}",
                Failure::from(error).native_text().trim_end()
            )),
        }
    }
    resolved
}

fn of_answer(answer: Option<strongroom_api::Response>) -> Map<String, Value> {
    let data = answer.and_then(|answer| answer.data).unwrap_or_default();
    data.get("fingerprints").and_then(Value::as_object).cloned().unwrap_or_default()
}

/// What a report says of a value of the store: secret and version, whether it is live, how many may read it.
fn notes(known: &KnownValue, about: &Value) -> Vec<String> {
    let places = about.get("places").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut notes: Vec<String> =
        places.iter().take(PLACES_SHOWN_MAX).map(|place| note(known, place)).collect();
    if places.len() > PLACES_SHOWN_MAX {
        notes.push(format!("and {} more", places.len() - PLACES_SHOWN_MAX));
    }
    let live = if about.get("live") == Some(&Value::Bool(true)) { "live" } else { "not live" };
    match about.get("withheld").and_then(Value::as_u64).unwrap_or(0) {
        0 if notes.is_empty() => notes.push("the store does not know it any more".to_owned()),
        0 => {}
        count => notes.push(format!("{count} secrets that you may not see hold it ({live})")),
    }
    notes
}

fn note(known: &KnownValue, place: &Value) -> String {
    let text = |name: &str| place.get(name).and_then(Value::as_str).unwrap_or_default();
    let newest = place.get("versions").and_then(Value::as_array).and_then(|versions| versions.first());
    let version = newest.and_then(|version| version.get("version")).and_then(Value::as_u64).unwrap_or(0);
    let version = if version > 0 { format!(" version {version}") } else { String::new() };
    let part = match known.form {
        "line" => ", a line of it",
        "decoded" => ", decoded",
        "password" => ", the password in it",
        _ => "",
    };
    let state = match (place.get("live") == Some(&Value::Bool(true)), text("state")) {
        (true, "previous") => "live: in its grace".to_owned(),
        (true, _) => "live".to_owned(),
        (false, state) => state.to_owned(),
    };
    let readers = place.get("readers").and_then(|readers| readers.get("count")).and_then(Value::as_u64);
    let readers = readers.map(|count| format!("; {count} may read it")).unwrap_or_default();
    format!("{} {}{version}{part} ({state}{readers})", text("secret"), text("key"))
}

/// The server that a place names; None for a file.
fn client(context: &Context, place: &str) -> Result<Option<Client>, Failure> {
    if place == CONFIGURED {
        return context.client().map(Some);
    }
    let is_address = ["http://", "https://", "unix://"].iter().any(|scheme| place.starts_with(scheme));
    if is_address { context.client_at(place).map(Some) } else { Ok(None) }
}

fn unusable(place: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::usage(format!("{place}: {error}")).hint("strongroom scan fingerprints makes such files")
}

fn of_file(place: &str) -> Result<Index, Failure> {
    let bytes = read(&PathBuf::from(place), BYTES_MAX).map_err(|error| {
        Failure::usage(error.to_string()).doing(format!("reading fingerprints from {place}"))
    })?;
    Index::from_bytes(bytes.expose()).map_err(|error| unusable(place, &error))
}

/// The index of a server: what was kept of it and what has come since. Where a server does not answer, what was kept will do.
fn kept_or_fetched(
    context: &Context,
    client: &Client,
    lenient: bool,
) -> Result<Option<ServerIndex>, Failure> {
    let file = cache_file(context, client);
    let kept = file.as_ref().and_then(|file| read(file, BYTES_MAX).ok());
    let kept = kept.and_then(|bytes| ServerIndex::from_bytes(bytes.expose()).ok());
    let of_whom = (client.address().to_string(), client.namespace().unwrap_or_default().to_owned());
    let kept = kept.filter(|kept| (&kept.address, &kept.namespace) == (&of_whom.0, &of_whom.1));
    if context.project().offline {
        let none =
            || Failure::usage(format!("nothing is kept of {}, and --offline forbids asking it", of_whom.0));
        return kept.ok_or_else(none).map(Some);
    }
    let now = SystemClock::new().now().seconds();
    let going_on = kept.filter(|kept| (0..KEPT_SECONDS).contains(&now.saturating_sub(kept.begun)));
    match fetch(client, going_on, TAG_BYTES) {
        Ok(index) => {
            if let Some(file) = &file {
                keep(context, file, &index);
            }
            Ok(Some(index))
        }
        Err(failure) => {
            let FetchFailure { failure, is_refusal, kept } = *failure;
            if is_refusal && let Some(file) = &file {
                // Whoever may not have the index any longer should not go on having it.
                drop(fs::remove_file(file));
            }
            let kept = kept.filter(|_| !is_refusal);
            if kept.is_none() && !lenient {
                return Err(failure.doing(format!("fetching the fingerprints of {}", of_whom.0)));
            }
            let text = failure.native_text();
            let what =
                if kept.is_some() { "what is kept of it is used" } else { "its values are not looked for" };
            context.output.note(&format!(
                "{} gives no fingerprints now, {what}: {}",
                of_whom.0,
                text.trim_end()
            ));
            Ok(kept)
        }
    }
}

/// Of a server everything, with so many bytes of each tag.
pub fn fetched(client: &Client, tag_bytes: usize) -> Result<ServerIndex, Failure> {
    fetch(client, None, tag_bytes).map_err(|failure| failure.failure)
}

struct FetchFailure {
    failure: Failure,
    is_refusal: bool,
    /// What there was before.
    kept: Option<ServerIndex>,
}

fn fetch(
    client: &Client,
    mut index: Option<ServerIndex>,
    tag_bytes: usize,
) -> Result<ServerIndex, Box<FetchFailure>> {
    let had_cursor = index.as_ref().map(|index| index.cursor.clone());
    loop {
        let cursor = index.as_ref().map(|index| index.cursor.clone());
        let body = json!({ "cursor": cursor, "tag_bytes": tag_bytes });
        let page = match client.write("sys/fingerprints", &body) {
            Ok(answer) => answer.and_then(|answer| answer.data).unwrap_or_default(),
            Err(error) => {
                let is_refusal = error.kind() == Some(ServerErrorKind::PermissionDenied);
                let kept = index.filter(|index| Some(&index.cursor) == had_cursor.as_ref());
                return Err(Box::new(FetchFailure { failure: error.into(), is_refusal, kept }));
            }
        };
        if page.get("begin_again") == Some(&Value::Bool(true)) {
            index = None;
            continue;
        }
        let taken = take_page(client, index, &page, tag_bytes)
            .map_err(|failure| Box::new(FetchFailure { failure, is_refusal: false, kept: None }))?;
        if page.get("more") != Some(&Value::Bool(true)) {
            return Ok(taken);
        }
        index = Some(taken);
    }
}

fn take_page(
    client: &Client,
    index: Option<ServerIndex>,
    page: &Map<String, Value>,
    tag_bytes: usize,
) -> Result<ServerIndex, Failure> {
    let odd =
        || Failure::other(format!("{} answers with something else than fingerprints", client.address()));
    let text = |name: &str| page.get(name).and_then(Value::as_str).ok_or_else(odd);
    let key = hex::decode(text("scan_key")?).map_err(|_| odd())?;
    let mut index = match index.filter(|index| *index.scan_key.expose() == *key) {
        Some(index) => index,
        None => {
            let namespace = client.namespace().unwrap_or_default().to_owned();
            let begun = SystemClock::new().now().seconds();
            let key = SecretBytes::new(key);
            ServerIndex::new(client.address().to_string(), namespace, key, tag_bytes, begun)
        }
    };
    let wrong = |error: &dyn std::fmt::Display| unusable(&client.address().to_string(), error);
    index.add_text(text("fingerprints")?).map_err(|error| wrong(&error))?;
    text("cursor")?.clone_into(&mut index.cursor);
    index.compact().map_err(|error| wrong(&error))?;
    Ok(index)
}

/// Where the index of a server is kept: readable for its user alone.
fn cache_file(context: &Context, client: &Client) -> Option<PathBuf> {
    let chosen = context.environment.variable("XDG_CACHE_HOME").map(|value| PathBuf::from(value.expose()));
    let folder = chosen
        .filter(|path| path.is_absolute())
        .or(context.environment.home().map(|home| home.join(".cache")))?;
    let mut hasher = DefaultHasher::new();
    (client.address().to_string(), client.namespace()).hash(&mut hasher);
    Some(folder.join("strongroom").join(format!("known-{:016x}.json", hasher.finish())))
}

/// A cache that cannot be written is no reason not to scan.
fn keep(context: &Context, file: &Path, index: &ServerIndex) {
    let made = file.parent().map_or(Ok(()), fs::create_dir_all);
    let written = made.map_err(|error| error.to_string()).and_then(|()| {
        let changed = change(file, Links::Refuse, BYTES_MAX).map_err(|error| error.to_string())?;
        changed.replace(index.to_bytes().expose()).map_err(|error| error.to_string())
    });
    if let Err(error) = written {
        context.output.note(&format!("the fingerprints cannot be kept in {}: {error}", file.display()));
    }
}
