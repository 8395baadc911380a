//! Authorizations: that an account holds a name, and the challenges that prove it (RFC 8555, sections 7.5 and 8).

use super::accounts::Account;
use super::problem::{Kind, Problem, urn};
use super::{AUTHORIZATIONS, PENDING, Reply, Session};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::net::IpAddr;
use std::time::Duration;
use strongroom_crypto::token::uuid_v4;
use strongroom_kernel::{Call, Error, Key, ProbeError, Record};
use strongroom_secret::Timestamp;

/// How long a name may be left unproven, and how long a proof counts for further orders' sake.
pub(super) const LIFETIME: Duration = Duration::from_secs(24 * 3600);
const TOKEN_BYTES: usize = 32;

/// What a certificate is to be for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "type", content = "value", rename_all = "lowercase")]
pub(super) enum Identifier {
    Dns(String),
    Ip(IpAddr),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ChallengeKind {
    #[serde(rename = "http-01")]
    Http,
    #[serde(rename = "dns-01")]
    Dns,
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn,
}

impl ChallengeKind {
    pub(super) const ALL: [Self; 3] = [Self::Http, Self::Dns, Self::TlsAlpn];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Http => "http-01",
            Self::Dns => "dns-01",
            Self::TlsAlpn => "tls-alpn-01",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Pending,
    /// Of challenges: the client says that it is ready, and we look.
    Processing,
    Valid,
    Invalid,
    Deactivated,
    /// Only shown.
    Expired,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Challenge {
    pub kind: ChallengeKind,
    pub status: Status,
    pub token: String,
    pub validated: Option<Timestamp>,
    /// What the last look came to, as the client is told.
    pub error: Option<Value>,
    /// Looks that came to nothing.
    pub failures: u32,
}

/// An authorization as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Authorization {
    pub id: String,
    pub account: String,
    pub identifier: Identifier,
    pub is_wildcard: bool,
    pub status: Status,
    pub expires: Timestamp,
    pub challenges: Vec<Challenge>,
}

impl Record for Authorization {}

fn key(call: &Call<'_>, account: &str, id: &str) -> Key {
    let of_account = call.tx.id_key(&call.table(AUTHORIZATIONS), account.as_bytes());
    call.tx.id_key(&of_account, id.as_bytes())
}

pub(super) fn find(call: &mut Call<'_>, account: &str, id: &str) -> Result<Option<Authorization>, Error> {
    let key = key(call, account, id);
    call.tx.record(&key)
}

pub(super) fn save(call: &mut Call<'_>, authorization: &Authorization) -> Result<(), Error> {
    let key = key(call, &authorization.account, &authorization.id);
    call.tx.put_record(&key, authorization)
}

pub(super) fn remove(call: &mut Call<'_>, account: &str, id: &str) -> Result<(), Error> {
    let key = key(call, account, id);
    call.tx.delete(&key)
}

/// A new one, with the challenges that can prove such a name.
pub(super) fn create(
    call: &mut Call<'_>,
    account: &Account,
    identifier: &Identifier,
) -> Result<Authorization, Error> {
    let (proven, is_wildcard) = match identifier {
        Identifier::Dns(name) => match name.strip_prefix("*.") {
            Some(name) => (Identifier::Dns(name.to_owned()), true),
            None => (identifier.clone(), false),
        },
        Identifier::Ip(_) => (identifier.clone(), false),
    };
    let fits = |kind: &ChallengeKind| match (&proven, kind) {
        // Only whoever rules the zone can say that all of it is theirs.
        (Identifier::Dns(_), ChallengeKind::Dns) => true,
        (Identifier::Dns(_), _) => !is_wildcard,
        // RFC 8738, section 7.
        (Identifier::Ip(_), kind) => *kind != ChallengeKind::Dns,
    };
    let challenges = ChallengeKind::ALL
        .into_iter()
        .filter(fits)
        .map(|kind| {
            let mut token = [0; TOKEN_BYTES];
            call.entropy().fill(&mut token);
            Challenge {
                kind,
                status: Status::Pending,
                token: BASE64.encode(token),
                validated: None,
                error: None,
                failures: 0,
            }
        })
        .collect();
    let made = Authorization {
        id: uuid_v4(call.entropy()),
        account: account.id.clone(),
        identifier: proven,
        is_wildcard,
        status: Status::Pending,
        expires: call.now.plus(LIFETIME),
        challenges,
    };
    save(call, &made)?;
    Ok(made)
}

impl Authorization {
    pub(super) fn status_at(&self, now: Timestamp) -> Status {
        match self.status {
            Status::Pending | Status::Valid if self.expires <= now => Status::Expired,
            status => status,
        }
    }

    fn shown(&self, session: &Session<'_, '_>) -> Value {
        // Once it is decided, what decided it is all that is of interest (section 7.5.1).
        let challenges: Vec<_> = self
            .challenges
            .iter()
            .filter(|challenge| match self.status {
                Status::Valid => challenge.status == Status::Valid,
                Status::Invalid => challenge.status == Status::Invalid,
                _ => true,
            })
            .map(|challenge| self.challenge_shown(session, challenge))
            .collect();
        let mut shown = json!({
            "identifier": self.identifier,
            "status": self.status_at(session.call.now),
            "expires": self.expires.rfc3339(),
            "challenges": challenges,
        });
        if let (true, Some(shown)) = (self.is_wildcard, shown.as_object_mut()) {
            shown.insert("wildcard".to_owned(), true.into());
        }
        shown
    }

    fn challenge_shown(&self, session: &Session<'_, '_>, challenge: &Challenge) -> Value {
        let url = session.url(&format!("challenge/{}/{}", self.id, challenge.kind.name()));
        let mut shown = Map::from_iter([
            ("type".to_owned(), json!(challenge.kind)),
            ("url".to_owned(), url.into()),
            ("status".to_owned(), json!(challenge.status)),
            ("token".to_owned(), challenge.token.clone().into()),
        ]);
        if let Some(at) = challenge.validated {
            shown.insert("validated".to_owned(), at.rfc3339().into());
        }
        if let Some(error) = challenge.error.as_ref().filter(|_| challenge.status != Status::Valid) {
            shown.insert("error".to_owned(), error.clone());
        }
        shown.into()
    }
}

fn asked_for(session: &mut Session<'_, '_>) -> Result<Authorization, Problem> {
    let account = session.account()?.id.clone();
    let id = session.call.capture("authorization").to_owned();
    find(session.call, &account, &id)?
        .ok_or_else(|| Kind::NotFound.told("this account has no such authorization"))
}

/// `authorization/ID`
pub(super) fn read(session: &mut Session<'_, '_>) -> Result<Reply, Problem> {
    let mut authorization = asked_for(session)?;
    if !session.payload.is_empty() {
        let payload = super::jws::payload(&session.payload)?;
        if payload.get("status").and_then(Value::as_str) != Some("deactivated") {
            return Err(
                Kind::Malformed.told("the status of an authorization can be set to deactivated alone")
            );
        }
        authorization.status = Status::Deactivated;
        save(session.call, &authorization)?;
    }
    Ok(Reply::json(200, authorization.shown(session)))
}

/// `challenge/AUTHORIZATION/KIND`: with a payload, the client says that it is ready.
pub(super) fn challenge(session: &mut Session<'_, '_>) -> Result<Reply, Problem> {
    let mut authorization = asked_for(session)?;
    let named = session.call.capture("challenge").to_owned();
    let position = authorization.challenges.iter().position(|challenge| challenge.kind.name() == named);
    let missing = || Kind::NotFound.told("the authorization has no such challenge");
    let position = position.ok_or_else(missing)?;
    let status = authorization.status_at(session.call.now);
    if !session.payload.is_empty() {
        super::jws::payload(&session.payload)?;
        let challenge = authorization.challenges.get_mut(position).ok_or_else(missing)?;
        if status == Status::Pending && challenge.status == Status::Pending {
            challenge.status = Status::Processing;
            let kind = challenge.kind;
            save(session.call, &authorization)?;
            let now = session.call.now;
            put_pending(session.call, now, &authorization, kind)?;
            session.call.look_after_commit();
        } else if matches!(status, Status::Expired | Status::Deactivated) {
            return Err(Kind::Malformed.told("the authorization is over: make a new order"));
        }
    }
    let challenge = authorization.challenges.get(position).ok_or_else(missing)?;
    let up = session.url(&format!("authorization/{}", authorization.id));
    let shown = authorization.challenge_shown(session, challenge);
    Ok(Reply::json(200, shown).with("link", format!("<{up}>;rel=\"up\"")))
}

/// A challenge that is to be looked at, and when.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Pending {
    pub account: String,
    pub authorization: String,
    pub kind: ChallengeKind,
}

impl Record for Pending {}

/// In the order of time.
pub(super) fn put_pending(
    call: &mut Call<'_>,
    at: Timestamp,
    authorization: &Authorization,
    kind: ChallengeKind,
) -> Result<(), Error> {
    let time = u64::try_from(at.nanoseconds()).unwrap_or(0).to_be_bytes();
    let id = [&time[..], authorization.id.as_bytes()].concat();
    let key = call.tx.id_key(&call.table(PENDING), &id);
    let (account, authorization) = (authorization.account.clone(), authorization.id.clone());
    call.tx.put_record(&key, &Pending { account, authorization, kind })
}

/// What a failed look says to the client.
pub(super) fn problem_of(error: &ProbeError) -> Value {
    let name = match error {
        ProbeError::Names(_) => "dns",
        ProbeError::Connection(_) => "connection",
        ProbeError::Tls(_) => "tls",
        ProbeError::Answer(_) => "incorrectResponse",
    };
    json!({ "type": urn(name), "detail": error.to_string(), "status": 400 })
}
