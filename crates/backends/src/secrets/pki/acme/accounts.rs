//! Accounts: made, changed, ended, given another key (RFC 8555, section 7.3).

use super::eab;
use super::jws::{PublicKey, SignedText, payload};
use super::problem::{Kind, Problem, Told};
use super::{ACCOUNT_KEYS, ACCOUNTS, Reply, Session};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use strongroom_crypto::hash::sha256;
use strongroom_crypto::token::uuid_v4;
use strongroom_kernel::{Call, Error, Key, Record};
use strongroom_secret::Timestamp;

const CONTACTS_MAX: usize = 10;
const CONTACT_BYTES_MAX: usize = 320;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AccountStatus {
    Valid,
    Deactivated,
}

/// An account as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Account {
    pub id: String,
    /// The directory that it was made in, and counts for: `roles/web/acme/`.
    pub directory: String,
    jwk: Map<String, Value>,
    pub thumbprint: String,
    pub status: AccountStatus,
    contact: Vec<String>,
    terms_agreed: bool,
    created: Timestamp,
    /// The key of `acme/new-eab` that it was made with.
    pub eab: Option<String>,
}

impl Record for Account {}

impl Account {
    pub(super) fn key(&self) -> PublicKey {
        PublicKey { jwk: self.jwk.clone(), thumbprint: self.thumbprint.clone() }
    }
}

fn account_key(call: &Call<'_>, id: &str) -> Key {
    call.tx.id_key(&call.table(ACCOUNTS), id.as_bytes())
}

/// One key has one account in each directory.
fn index_key(call: &Call<'_>, directory: &str, thumbprint: &str) -> Key {
    let id = sha256(format!("{directory}\n{thumbprint}").as_bytes());
    call.tx.id_key(&call.table(ACCOUNT_KEYS), &id)
}

pub(super) fn find(call: &mut Call<'_>, id: &str) -> Result<Option<Account>, Error> {
    let key = account_key(call, id);
    call.tx.record(&key)
}

fn find_by_key(call: &mut Call<'_>, directory: &str, thumbprint: &str) -> Result<Option<Account>, Error> {
    let key = index_key(call, directory, thumbprint);
    let Some(id) = call.tx.get(&key)? else { return Ok(None) };
    let id = String::from_utf8_lossy(id.expose()).into_owned();
    find(call, &id)
}

fn save(call: &mut Call<'_>, account: &Account) -> Result<(), Error> {
    let key = account_key(call, &account.id);
    call.tx.put_record(&key, account)?;
    let index = index_key(call, &account.directory, &account.thumbprint);
    call.tx.put(&index, account.id.clone().into_bytes())
}

fn reply(session: &Session<'_, '_>, account: &Account, status: u16) -> Reply {
    let body = json!({
        "status": account.status,
        "contact": account.contact,
        "termsOfServiceAgreed": account.terms_agreed,
        "orders": session.url("orders"),
    });
    Reply::json(status, body).with("location", session.url(&format!("account/{}", account.id)))
}

fn contacts(payload: &Map<String, Value>) -> Result<Option<Vec<String>>, Problem> {
    let Some(contact) = payload.get("contact").filter(|contact| !contact.is_null()) else { return Ok(None) };
    let wrong =
        || Kind::InvalidContact.told("contact must be a short list of addresses: mailto:admin@example.com");
    let items = contact.as_array().filter(|items| items.len() <= CONTACTS_MAX).ok_or_else(wrong)?;
    let text = |item: &Value| {
        let text = item.as_str().filter(|text| text.len() <= CONTACT_BYTES_MAX && text.contains(':'));
        text.filter(|text| !text.chars().any(char::is_control)).map(str::to_owned)
    };
    items.iter().map(text).collect::<Option<Vec<_>>>().map(Some).ok_or_else(wrong)
}

/// `new-account`
pub(super) fn create(session: &mut Session<'_, '_>) -> Result<Reply, Problem> {
    let key = session.own_key()?.clone();
    let payload = payload(&session.payload)?;
    if let Some(known) = find_by_key(session.call, &session.directory, &key.thumbprint)? {
        return match known.status {
            AccountStatus::Valid => Ok(reply(session, &known, 200)),
            AccountStatus::Deactivated => {
                Err(Kind::Unauthorized.told("the account of this key is deactivated"))
            }
        };
    }
    if payload.get("onlyReturnExisting") == Some(&Value::Bool(true)) {
        return Err(Kind::AccountDoesNotExist.told("this key has no account here"));
    }
    let contact = contacts(&payload)?.unwrap_or_default();
    let binding = payload.get("externalAccountBinding").filter(|binding| !binding.is_null());
    let eab = match binding {
        Some(binding) => Some(eab::use_up(session, binding, &key)?),
        None if session.settings.eab_for_new_accounts() => {
            return Err(Kind::ExternalAccountRequired
                .told("a new account needs an external account binding: ask for one at acme/new-eab"));
        }
        None => None,
    };
    let account = Account {
        id: uuid_v4(session.call.entropy()),
        directory: session.directory.clone(),
        jwk: key.jwk,
        thumbprint: key.thumbprint,
        status: AccountStatus::Valid,
        contact,
        terms_agreed: payload.get("termsOfServiceAgreed") == Some(&Value::Bool(true)),
        created: session.call.now,
        eab,
    };
    save(session.call, &account)?;
    Ok(reply(session, &account, 201))
}

/// `account/ID`
pub(super) fn update(session: &mut Session<'_, '_>) -> Result<Reply, Problem> {
    let mut account = session.account()?.clone();
    if session.call.capture("account") != account.id {
        return Err(Kind::Unauthorized.told("this is another account's address"));
    }
    if !session.payload.is_empty() {
        let payload = payload(&session.payload)?;
        if let Some(contact) = contacts(&payload)? {
            account.contact = contact;
        }
        match payload.get("status").and_then(Value::as_str) {
            None | Some("valid") => {}
            Some("deactivated") => account.status = AccountStatus::Deactivated,
            Some(_) => {
                return Err(Kind::Malformed.told("the status of an account can be set to deactivated alone"));
            }
        }
        save(session.call, &account)?;
    }
    Ok(reply(session, &account, 200))
}

/// `key-change` (section 7.3.5): the new key signs what the old one sends.
pub(super) fn change_key(session: &mut Session<'_, '_>) -> Result<Reply, Problem> {
    let malformed = |what: &str| Kind::Malformed.told(what);
    let mut account = session.account()?.clone();
    let inner = serde_json::from_slice(&session.payload)
        .map_err(|_| malformed("the payload is no signed request of the new key"))?;
    let inner = SignedText::parse_inner(&inner)?;
    let new = inner.own_key()?.ok_or_else(|| malformed("the inner header has no jwk"))?;
    inner.verify(&new)?;
    if inner.text("url") != Some(session.request_url.as_str()) {
        return Err(malformed("the url of the inner header is another one than the outer's"));
    }
    let change = payload(&inner.payload)?;
    let own_address = session.url(&format!("account/{}", account.id));
    if change.get("account").and_then(Value::as_str) != Some(own_address.as_str()) {
        return Err(malformed("the inner payload names another account"));
    }
    let old = match change.get("oldKey") {
        Some(Value::Object(jwk)) => PublicKey::of_any_algorithm(jwk)?,
        _ => return Err(malformed("the inner payload has no oldKey")),
    };
    if old.thumbprint != account.thumbprint {
        return Err(malformed("oldKey is not the account's key"));
    }
    if let Some(taken) = find_by_key(session.call, &session.directory, &new.thumbprint)? {
        return Err(Problem::Told(Told {
            kind: Kind::Conflict,
            detail: "the new key has an account already".to_owned(),
            location: Some(session.url(&format!("account/{}", taken.id))),
        }));
    }
    let index = index_key(session.call, &session.directory, &account.thumbprint);
    session.call.tx.delete(&index)?;
    (account.jwk, account.thumbprint) = (new.jwk, new.thumbprint);
    save(session.call, &account)?;
    Ok(reply(session, &account, 200))
}
