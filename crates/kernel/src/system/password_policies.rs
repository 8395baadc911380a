//! `sys/policies/password`: what generated passwords consist of.

use super::fields::{field, method};
use crate::call::Call;
use crate::error::{Error, ErrorKind};
use crate::namespaces::kernel_space;
use crate::policy::PasswordPolicy;
use crate::request::{Operation, Response};
use crate::route::{Access, Field, FieldKind, Route, Run};
use crate::transaction::{Key, Record, Table};
use serde::{Deserialize, Serialize};
use serde_json::Map;
use strongroom_crypto::token::decode_base64;

const PASSWORD_POLICIES: Table = Table(32);
const NAME: Field = field("name", FieldKind::Text, "The password policy's name.");

/// A password policy as it is stored: the text is the truth.
#[derive(Serialize, Deserialize)]
struct PasswordPolicyRecord {
    name: String,
    text: String,
}

impl Record for PasswordPolicyRecord {}

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "policies/password/?",
        summary: "The password policies of this namespace.",
        access: Access::Token,
        fields: &[],
        methods: &[method(Operation::List, Run::Read(list), "List their names.")],
        exists: None,
    },
    Route {
        pattern: "policies/password/{name}",
        summary: "What generated passwords consist of.",
        access: Access::Token,
        fields: &[
            NAME,
            field("policy", FieldKind::Text, "The text, in HCL or JSON; base64 of it is taken as well."),
        ],
        methods: &[
            method(Operation::Read, Run::Read(read), "Read its text."),
            method(Operation::Write, Run::Write(write), "Replace its text."),
            method(Operation::Delete, Run::Write(delete), "Remove it."),
        ],
        exists: Some(exists),
    },
    Route {
        pattern: "policies/password/{name}/generate",
        summary: "A password as the policy wants it.",
        access: Access::Token,
        fields: &[NAME],
        methods: &[method(Operation::Read, Run::Read(generate), "Make one. It is not kept.")],
        exists: None,
    },
];

fn key(call: &Call<'_>) -> Key {
    let table = call.tx.table(kernel_space(call.namespace.id()), PASSWORD_POLICIES);
    call.tx.name_key(&table, call.capture("name"))
}

fn stored(call: &mut Call<'_>) -> Result<PasswordPolicyRecord, Error> {
    let key = key(call);
    call.tx
        .record(&key)?
        .ok_or_else(|| Error { messages: vec!["policy does not exist".to_owned()], ..Error::not_found() })
}

/// The text of a policy of the call's namespace.
pub(crate) fn password_policy_text(call: &mut Call<'_>, name: &str) -> Result<String, Error> {
    let table = call.tx.table(kernel_space(call.namespace.id()), PASSWORD_POLICIES);
    let key = call.tx.name_key(&table, name);
    let record: Option<PasswordPolicyRecord> = call.tx.record(&key)?;
    record.map(|record| record.text).ok_or_else(|| {
        Error::invalid(format!("there is no password policy {name:?}: sys/policies/password/{name} makes it"))
    })
}

/// A policy of the call's namespace.
pub(crate) fn policy_named(call: &mut Call<'_>, name: &str) -> Result<PasswordPolicy, Error> {
    PasswordPolicy::parse(&password_policy_text(call, name)?)
        .map_err(|error| Error::internal(format!("a stored password policy cannot be read: {error}")))
}

fn exists(call: &mut Call<'_>) -> Result<bool, Error> {
    match stored(call) {
        Ok(_) => Ok(true),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let table = call.tx.table(kernel_space(call.namespace.id()), PASSWORD_POLICIES);
    let mut names: Vec<String> =
        call.tx.records::<PasswordPolicyRecord>(&table)?.into_iter().map(|record| record.name).collect();
    names.sort_unstable();
    Response::keys(names)
}

fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let record = stored(call)?;
    Ok(Response::data(Map::from_iter([("policy".to_owned(), record.text.into())])))
}

fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let text =
        call.fields().required_text("policy").map_err(|_| Error::invalid("missing policy: its text"))?;
    let decoded = decode_base64(&text).and_then(|bytes| String::from_utf8(bytes.expose().to_vec()).ok());
    let text = decoded.unwrap_or(text);
    PasswordPolicy::parse(&text)
        .map_err(|error| Error::invalid(format!("invalid password policy: {error}")))?;
    let record = PasswordPolicyRecord { name: call.capture("name").to_owned(), text };
    let key = key(call);
    call.tx.put_record(&key, &record)?;
    Ok(Response::default())
}

fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = key(call);
    call.tx.delete(&key)?;
    Ok(Response::default())
}

fn generate(call: &mut Call<'_>) -> Result<Response, Error> {
    let record = stored(call)?;
    let policy = PasswordPolicy::parse(&record.text)
        .map_err(|error| Error::internal(format!("a stored password policy cannot be read: {error}")))?;
    let password = policy.generate(call.entropy());
    Ok(Response::data(Map::from_iter([("password".to_owned(), password.expose().into())])))
}
