//! `sys/honey`.

use super::record::{Kind, Planted};
use super::{Name, Tag, store, tag_of_place, tags_of, tags_of_texts};
use crate::backend::Class;
use crate::call::Call;
use crate::effect::Effect;
use crate::error::Error;
use crate::mounts::Mount;
use crate::notices::Recipient;
use crate::request::{Operation, Response};
use crate::route::{Access, Field, FieldKind, Method, Route, Run};
use crate::tokens;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use strongroom_crypto::token::uuid_v4;
use strongroom_secret::SecretString;

/// Of one namespace.
const HONEY_MAX: usize = 10_000;
const NAME_BYTES_MAX: usize = 128;
const NOTE_BYTES_MAX: usize = 1024;
/// A shorter value is met by chance.
const VALUE_BYTES_MIN: usize = 8;
const VALUE_BYTES_MAX: usize = 64 << 10;

const fn field(name: &'static str, kind: FieldKind, description: &'static str) -> Field {
    Field { name, kind, description }
}

const fn method(operation: Operation, run: Run, summary: &'static str) -> Method {
    Method { operation, run, summary }
}

const NAME: Field =
    field("name", FieldKind::Text, "The name of the honey. It is told to nobody who uses it.");

pub(crate) const ROUTES: &[Route] = &[
    Route {
        pattern: "honey/?",
        summary: "Planted fakes whose use raises an alarm.",
        access: Access::Token,
        fields: &[],
        methods: &[
            method(Operation::Read, Run::Read(list), "List all with their last use."),
            method(Operation::List, Run::Read(list), "The same."),
        ],
        exists: None,
    },
    Route {
        pattern: "honey/{name}",
        summary: "A planted fake.",
        access: Access::Token,
        fields: &[
            NAME,
            field("kind", FieldKind::Text, "kv, token, secret-id, user or value."),
            field(
                "path",
                FieldKind::Text,
                "Of kv: a secret that is there, as secret/app/old-db. Needs update on it.",
            ),
            field("mount", FieldKind::Text, "Of user: the userpass mount, as auth/userpass."),
            field("user", FieldKind::Text, "Of user: a name that is nobody's."),
            field(
                "value",
                FieldKind::Text,
                "Of value, token and secret-id: the fake; made where none is given.",
            ),
            field("note", FieldKind::Text, "Where it is planted, or why."),
            field("webhook", FieldKind::Text, "Who is told of a use: https://…"),
            field("ca_file", FieldKind::Text, "A PEM file of authorities on the server, for the webhook."),
            field(
                "webhook_key",
                FieldKind::Text,
                "The key that signs webhooks, whsec_…; made where none is given.",
            ),
            field("opens_incident", FieldKind::Boolean, "Whether a use opens an incident."),
        ],
        methods: &[
            method(Operation::Read, Run::Read(read), "Read it, with its last uses."),
            method(Operation::Write, Run::Write(create), "Plant it. A fake that is made here is told once."),
            method(Operation::Delete, Run::Write(delete), "Its use raises no alarm any more."),
        ],
        exists: Some(exists),
    },
];

fn name(call: &Call<'_>) -> Result<Name, Error> {
    let name = call.capture("name").to_owned();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match name.len() <= NAME_BYTES_MAX && name.chars().all(is_plain) {
        true => Ok(Name { namespace: call.namespace.id(), name }),
        false => Err(Error::invalid(format!(
            "a honey's name has letters, digits, '-', '_' and '.', at most {NAME_BYTES_MAX}"
        ))),
    }
}

fn exists(call: &mut Call<'_>) -> Result<bool, Error> {
    let name = name(call)?;
    Ok(store::read(&mut call.tx, &name)?.is_some())
}

fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut all = store::all(&mut call.tx, call.namespace.id())?;
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let keys: Vec<&str> = all.iter().map(|planted| planted.name.as_str()).collect();
    let info: Map<String, Value> =
        all.iter().map(|planted| (planted.name.clone(), Value::Object(planted.shown()))).collect();
    Ok(Response::data(Map::from_iter([
        ("keys".to_owned(), json!(keys)),
        ("key_info".to_owned(), info.into()),
    ])))
}

fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = name(call)?;
    let planted = store::read(&mut call.tx, &name)?.ok_or_else(Error::not_found)?;
    let mut shown = planted.shown();
    let uses: Vec<Value> = planted.last_uses.iter().rev().map(super::record::Use::shown).collect();
    shown.insert("last_uses".to_owned(), uses.into());
    Ok(Response::data(shown))
}

fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = name(call)?;
    if let Some(planted) = store::read(&mut call.tx, &name)? {
        store::remove(&mut call.tx, name.namespace, &planted)?;
        call.tx.after_commit(Effect::Honey);
    }
    Ok(Response::default())
}

fn create(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = name(call)?;
    if store::read(&mut call.tx, &name)?.is_some() {
        return Err(Error::invalid("there is a honey of this name: remove it first"));
    }
    if store::all(&mut call.tx, name.namespace)?.len() >= HONEY_MAX {
        return Err(Error::invalid(format!("there are {HONEY_MAX} honeys already")));
    }
    let note = call.fields().text("note")?.unwrap_or_default();
    if note.len() > NOTE_BYTES_MAX || note.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "note must be a text of at most {NOTE_BYTES_MAX} bytes on one line"
        )));
    }
    let Made { kind, tags, texts, fake } = make(call)?;
    let recipient = Recipient::of_fields(call)?;
    let had_key = call.fields().has("webhook_key");
    let mut planted = Planted {
        name: name.name,
        kind,
        note,
        tags: tags.iter().map(hex::encode).collect(),
        created: call.now,
        author: call.caller.as_ref().map(|caller| caller.token.display_name.clone()).unwrap_or_default(),
        recipient,
        opens_incident: call.fields().boolean("opens_incident")?.unwrap_or(false),
        incident: None,
        uses: 0,
        last_uses: Vec::new(),
        told: None,
        not_told: String::new(),
    };
    if !store::add_tags(&mut call.tx, name.namespace, &planted)? {
        return Err(Error::invalid("another honey stands for the same value or place"));
    }
    store::add_texts(&mut call.tx, name.namespace, &mut planted, &texts)?;
    store::save(&mut call.tx, name.namespace, &planted)?;
    call.tx.after_commit(Effect::Honey);
    let mut shown = planted.shown();
    // Told this once.
    if let Some(fake) = fake {
        shown.insert("value".to_owned(), fake.expose().into());
    }
    if let Some(recipient) = planted.recipient.as_ref().filter(|_| !had_key) {
        shown.insert("webhook_key".to_owned(), recipient.key_text().into());
    }
    Ok(Response::data(shown))
}

/// A fake, and by what its use is noticed.
struct Made {
    kind: Kind,
    tags: Vec<Tag>,
    /// The same of the texts of a secret.
    texts: Vec<Tag>,
    /// Where it was made here.
    fake: Option<SecretString>,
}

fn make(call: &mut Call<'_>) -> Result<Made, Error> {
    let given = call.fields().text("value")?.map(SecretString::new);
    if given
        .as_ref()
        .is_some_and(|value| !(VALUE_BYTES_MIN..=VALUE_BYTES_MAX).contains(&value.expose().len()))
    {
        return Err(Error::invalid(format!("value must have {VALUE_BYTES_MIN} to {VALUE_BYTES_MAX} bytes")));
    }
    let kind = call.fields().required_text("kind")?;
    match kind.as_str() {
        "kv" => kv(call),
        "user" => user(call),
        "token" => {
            let fake = given.unwrap_or_else(|| tokens::look_alike(call.entropy(), call.namespace, call.now));
            Ok(presented(call, Kind::Token, fake))
        }
        "secret-id" => {
            let fake = given.unwrap_or_else(|| SecretString::new(uuid_v4(call.entropy())));
            Ok(presented(call, Kind::SecretId, fake))
        }
        "value" => {
            let fake = given.ok_or_else(|| Error::invalid("a honey of the kind value needs its value"))?;
            Ok(presented(call, Kind::Value, fake))
        }
        _ => Err(Error::invalid("kind must be kv, token, secret-id, user or value")),
    }
}

fn presented(call: &Call<'_>, kind: Kind, fake: SecretString) -> Made {
    let tags = tags_of(call.tx.keys(), call.namespace.id(), fake.expose()).to_vec();
    Made { kind, tags, texts: Vec::new(), fake: Some(fake) }
}

/// A secret of a KV mount: its reads, and its texts wherever somebody presents them.
fn kv(call: &mut Call<'_>) -> Result<Made, Error> {
    let path = call.fields().required_text("path")?;
    let path = path.trim_matches('/').to_owned();
    let mount = mount_of(call, &path)?;
    let below = path.strip_prefix(mount.path()).unwrap_or_default().trim_matches('/').to_owned();
    if mount.record.kind != "kv" || below.is_empty() {
        return Err(Error::invalid("path must name a secret of a KV mount, as secret/app/old-db"));
    }
    may_write(call, &mount, &below)?;
    let keys = call.tx.keys().clone();
    let tags = vec![tag_of_place(&keys, mount.record.id, "kv", &below)];
    let mut texts = Vec::new();
    if let Some(functions) = mount.backend.fingerprints {
        for payload in (functions.payloads)(&mut call.tx, &mount, &below)? {
            texts.extend(tags_of_texts(&keys, call.namespace.id(), payload.expose()));
        }
    }
    Ok(Made { kind: Kind::Kv { path }, tags, texts, fake: None })
}

/// Who may make a honey of a secret may change the secret.
fn may_write(call: &Call<'_>, mount: &Mount, below: &str) -> Result<(), Error> {
    let caller = call.require_caller()?;
    let path = match mount.backend.secrets {
        Some(functions) => format!("{}{}", mount.path(), (functions.policy_path)(below)),
        None => format!("{}{below}", mount.path()),
    };
    let wanted = crate::policy::AccessRequest::new(
        call.namespace.path(),
        &path,
        crate::policy::Operation::Update,
        call.now,
    );
    match caller.acl.check(&wanted).is_allowed() {
        true => Ok(()),
        false => Err(Error::denied().with_detail("a honey needs the right to update the secret")),
    }
}

fn user(call: &mut Call<'_>) -> Result<Made, Error> {
    let path = call.fields().text("mount")?.unwrap_or_else(|| "auth/userpass".to_owned());
    let path = format!("{}/", path.trim_matches('/'));
    let mount = mount_of(call, &path)?;
    if mount.record.class != Class::Auth || mount.record.kind != "userpass" || mount.path() != path {
        return Err(Error::invalid("mount must be a userpass mount, as auth/userpass"));
    }
    let user = call.fields().required_text("user")?.to_lowercase();
    if user.len() > NAME_BYTES_MAX || user.contains('/') || user.chars().any(char::is_control) {
        return Err(Error::invalid("user must be a name of at most 128 bytes"));
    }
    let tags = vec![tag_of_place(call.tx.keys(), mount.record.id, "user", &user)];
    let mount = path.trim_end_matches('/').to_owned();
    Ok(Made { kind: Kind::User { mount, user }, tags, texts: Vec::new(), fake: None })
}

fn mount_of(call: &Call<'_>, path: &str) -> Result<Arc<Mount>, Error> {
    let found = call.namespace.mount_of(path).cloned();
    found.ok_or_else(|| Error::invalid("no mount serves this path"))
}
