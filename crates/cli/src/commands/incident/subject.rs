//! What got out: a secret of the server or of the project, its versions and state, and its values for as long as they are searched
//! for. Values stay in this process.

use crate::commands::clean_path;
use crate::commands::project::Session;
use crate::context::Context;
use crate::failure::{Doing, Failure};
use serde_json::{Map, Value};
use strongroom_api::client::{Client, KvMount, KvVersion};
use strongroom_kernel::incident::{Facts, KEPT_BY_SERVER, LeakState, Leaked, Reader};
use strongroom_project::resolve::{Depth, Resolved, Selection};
use strongroom_secret::{SecretBytes, Timestamp};

/// What is not known, until somebody does.
pub const WHICH: &str = "which secret has this value";

/// What an incident is about, as it is put together.
#[derive(Default)]
pub struct Subject {
    pub facts: Facts,
    /// Values to be searched for, with what they are called.
    pub values: Vec<(String, SecretBytes)>,
}

impl Subject {
    pub fn unknown(&mut self, what: impl Into<String>) {
        self.facts.unknown.push(what.into());
    }

    /// A secret of the server.
    pub fn take_from_server(
        &mut self,
        client: &Client,
        name: &str,
        field: Option<&str>,
        version: Option<u64>,
    ) -> Result<(), Failure> {
        let secret = look_up(client, name, field, version)?;
        let mount = client.kv_mount(name).while_doing(|| format!("looking for {name}"))?;
        match value_of(client, &mount, name, secret.version)? {
            Some(data) => self.take_values(name, field, &data),
            None => self.unknown(format!(
                "the value of {name}: it cannot be read, so that nothing was searched for it"
            )),
        }
        self.facts.secrets.push(secret);
        Ok(())
    }

    fn take_values(&mut self, name: &str, field: Option<&str>, data: &Map<String, Value>) {
        let mut add = |member: &str, value: &Value| {
            if let Value::String(text) = value {
                self.values.push((format!("{name}#{member}"), SecretBytes::new(text.clone().into_bytes())));
            }
        };
        match field {
            None => data.iter().for_each(|(member, value)| add(member, value)),
            Some(field) => match member(data, field) {
                Some(value) => add(field, value),
                None => self.unknown(format!("{name} has no member {field:?}")),
            },
        }
    }

    /// A secret of the project's manifest.
    pub fn take_from_project(&mut self, context: &Context, name: &str) -> Result<(), Failure> {
        let session = Session::open(context)?;
        session.declared(name)?;
        let names = [name.to_owned()];
        let resolution = session.values(Selection::Names(&names))?;
        match resolution.secrets.get(name) {
            Some(resolved) => {
                self.take_resolved(name, resolved, &session.environment.name);
                self.values.push((name.to_owned(), duplicate(&resolved.value)));
            }
            None => {
                self.unknown(format!("{name} has no value in the environment {}", session.environment.name))
            }
        }
        Ok(())
    }

    fn take_resolved(&mut self, name: &str, resolved: &Resolved, environment: &str) {
        let found = resolved.candidate().map(|candidate| &candidate.found);
        let provider = resolved.candidate().map_or("", |candidate| candidate.provider.as_str());
        self.facts.secrets.push(Leaked {
            name: name.to_owned(),
            version: found.and_then(|found| found.version.as_ref()?.parse().ok()),
            state: LeakState::Live,
            kept_by: format!("{provider} of the environment {environment}: {}", resolved.origin()),
            created: found.and_then(|found| found.created),
            ..Leaked::default()
        });
        self.facts.readers.push(Reader {
            kind: "provider".to_owned(),
            name: provider.to_owned(),
            by: format!("whoever may read {}", resolved.origin()),
        });
    }

    /// A value, and which secrets of the project have it.
    pub fn take_value(&mut self, context: &Context, value: SecretBytes) -> Result<(), Failure> {
        let session = Session::open(context).ok();
        if let Some(session) = &session {
            let opened = session.providers()?;
            let request = session.request(Selection::All, Depth::First);
            let resolution = session.resolve_with(&session.environment, &opened, &request);
            for (name, resolved) in &resolution.secrets {
                let kept = SecretBytes::new(resolved.value.expose().trim_ascii().to_vec());
                if kept == value {
                    self.take_resolved(name, resolved, &session.environment.name);
                }
            }
        }
        if self.facts.secrets.is_empty() {
            self.unknown(WHICH);
        }
        self.values.push(("the value".to_owned(), value));
        Ok(())
    }
}

/// A member by its name, or by the names that lead to it, joined by dots as fingerprints have them. Of JSON within a text, the text.
fn member<'d>(data: &'d Map<String, Value>, field: &str) -> Option<&'d Value> {
    if let Some(value) = data.get(field) {
        return Some(value);
    }
    let (first, rest) = field.split_once('.')?;
    let mut value = data.get(first)?;
    for name in rest.split('.') {
        value = match value {
            Value::Object(members) => members.get(name)?,
            Value::Array(items) => items.get(name.parse::<usize>().ok()?)?,
            // JSON within the text: all of it got out.
            text => return Some(text),
        };
    }
    Some(value)
}

fn duplicate(value: &SecretBytes) -> SecretBytes {
    SecretBytes::new(value.expose().to_vec())
}

/// What the server says of a secret and a version of it: the current one without a number.
pub fn look_up(
    client: &Client,
    name: &str,
    field: Option<&str>,
    version: Option<u64>,
) -> Result<Leaked, Failure> {
    let name = clean_path(name);
    let mount = client.kv_mount(name).while_doing(|| format!("looking for {name}"))?;
    let mut secret = Leaked {
        name: name.to_owned(),
        field: field.map(str::to_owned),
        version,
        kept_by: KEPT_BY_SERVER.to_owned(),
        ..Leaked::default()
    };
    if mount.version == KvVersion::One {
        let there = client.read(name, &[]).while_doing(|| format!("reading {name}"))?;
        secret.state = if there.is_some() { LeakState::Live } else { LeakState::Deleted };
        return Ok(secret);
    }
    let metadata = client
        .read(&mount.api_path(name, "metadata"), &[])
        .while_doing(|| format!("reading the metadata of {name}"))?
        .ok_or_else(|| Failure::missing(format!("there is no secret {name}")))?;
    let current = metadata.field("current_version").and_then(Value::as_u64);
    let version = version.or(current);
    let number = version.map(|version| version.to_string()).unwrap_or_default();
    let about = metadata.field("versions").and_then(|versions| versions.get(&number));
    let text = |name: &str| about.and_then(|about| about.get(name)?.as_str()).unwrap_or_default();
    (secret.version, secret.current) = (version, current);
    secret.created = Timestamp::parse_rfc3339(text("created_time"));
    let graces = plan(client, name)?;
    secret.has_plan = graces.is_some();
    let is_destroyed = about.and_then(|about| about.get("destroyed")?.as_bool()) == Some(true);
    secret.state = match about {
        None => LeakState::Unknown,
        Some(_) if is_destroyed => LeakState::Destroyed,
        Some(_) if !text("deletion_time").is_empty() => LeakState::Deleted,
        Some(_) if version == current => LeakState::Live,
        Some(_) if graces.iter().flatten().any(|grace| Some(*grace) == version) => LeakState::Grace,
        Some(_) => LeakState::Replaced,
    };
    Ok(secret)
}

/// Whether a secret is rotated by a plan, and which of its versions are in their grace.
fn plan(client: &Client, name: &str) -> Result<Option<Vec<u64>>, Failure> {
    let path = format!("sys/rotation/status/{name}");
    match client.read(&path, &[]) {
        Ok(Some(status)) => {
            let graces = status.field("versions").and_then(|versions| versions.get("previous")?.as_array());
            let number = |grace: &Value| grace.get("version").and_then(Value::as_u64);
            Ok(Some(graces.into_iter().flatten().filter_map(number).collect()))
        }
        Ok(None) => Ok(None),
        // Who may not look at plans does not learn of them.
        Err(error) if error.server().is_some() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The values of one version: those of one member, or all texts. None where it cannot be read (any more).
pub fn value_of_version(
    client: &Client,
    name: &str,
    field: Option<&str>,
    version: u64,
) -> Result<Vec<(String, SecretBytes)>, Failure> {
    let mount = client.kv_mount(name).while_doing(|| format!("looking for {name}"))?;
    let mut subject = Subject::default();
    if let Some(data) = value_of(client, &mount, name, Some(version))? {
        subject.take_values(name, field, &data);
    }
    Ok(subject.values)
}

fn value_of(
    client: &Client,
    mount: &KvMount,
    name: &str,
    version: Option<u64>,
) -> Result<Option<Map<String, Value>>, Failure> {
    let number = version.map(|version| version.to_string()).unwrap_or_default();
    let query = [("version", number.clone())];
    let query = if number.is_empty() || mount.version == KvVersion::One { &[][..] } else { &query[..] };
    let answer = match client.read(&mount.api_path(name, "data"), query) {
        Ok(answer) => answer,
        Err(error) if error.server().is_some() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let data = answer.and_then(|mut answer| answer.data.take());
    Ok(match mount.version {
        KvVersion::One => data,
        KvVersion::Two => data.and_then(|mut data| match data.remove("data") {
            Some(Value::Object(data)) => Some(data),
            _ => None,
        }),
    })
}
