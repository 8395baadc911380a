//! What a right server would hold, one commit after the other.

use super::act::{Act, Change, Deed, Kv, LOGIN_SECONDS, WRAP_SECONDS, grants, payload, secret_name};
use crate::server::Answer;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use strongroom_secret::Timestamp;

pub(super) const NAMESPACES: [&str; 4] = ["", "a", "b", "a/c"];
pub(super) const SECRETS: usize = 8;
const VERSIONS_KEPT: usize = 10;
const LIFETIME_MAX_SECONDS: u64 = 768 * 3600;

#[derive(Default)]
pub(super) struct Model {
    pub tokens: Vec<Token>,
    /// Mounts by namespace and slot.
    pub mounts: BTreeMap<(usize, usize), u64>,
    pub stores: BTreeMap<u64, Store>,
    pub policies: BTreeMap<(usize, usize), usize>,
    pub secret_ids: Vec<SecretId>,
    pub is_sealed: bool,
    pub mounts_made: u64,
}

#[derive(Debug, Default)]
pub(super) struct Token {
    pub text: String,
    pub namespace: usize,
    pub parent: Option<usize>,
    pub children: Vec<usize>,
    pub policies: Vec<usize>,
    pub is_root: bool,
    pub is_batch: bool,
    pub uses_left: Option<u64>,
    pub created: Option<Timestamp>,
    pub ttl_seconds: u64,
    /// It lives before the first and is dead from the second on; between them an answer was not seen.
    pub expires: Option<(Timestamp, Timestamp)>,
    /// Its time had come once, before the clock was set back: it may be gone.
    pub was_expired: bool,
    pub is_removed: bool,
    pub wrapped: Option<Wrapped>,
}

/// What a wrapping token holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrapped {
    Value(u64),
    /// The answer that a version was deleted.
    Nothing,
}

#[derive(Default)]
pub(super) struct Store {
    pub is_v2: bool,
    secrets: BTreeMap<usize, Secret>,
    /// Everything that was ever written.
    pub written: Vec<Written>,
    /// Secrets that were made.
    made: u64,
}

/// A version that was written once.
pub(super) struct Written {
    pub secret: usize,
    pub version: u64,
    pub value: u64,
    /// Which secret of this name it is of.
    made: u64,
}

#[derive(Default, Clone)]
struct Secret {
    made: u64,
    first: u64,
    versions: Vec<Version>,
}

#[derive(Clone)]
struct Version {
    value: u64,
    is_deleted: bool,
    is_destroyed: bool,
}

pub(super) struct SecretId {
    pub text: String,
    pub namespace: usize,
    pub uses: u64,
    pub left: u64,
}

/// Whether a token works. `Either`: nobody can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Alive,
    Dead,
    Either,
}

/// The statuses that would be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expected {
    pub may_be_denied: bool,
    pub allowed: Option<u16>,
}

impl Expected {
    pub(super) fn accepts(self, status: u16) -> bool {
        (self.may_be_denied && status == 403) || self.allowed == Some(status)
    }

    pub(super) fn is_success(self) -> bool {
        self.allowed.is_some_and(|status| status < 300)
    }
}

impl Secret {
    fn current(&self) -> u64 {
        self.first + self.versions.len() as u64 - 1
    }

    fn version(&self, number: u64) -> Option<&Version> {
        let number = if number == 0 { self.current() } else { number };
        self.versions.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn version_mut(&mut self, number: u64) -> Option<&mut Version> {
        self.versions.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }
}

impl Model {
    pub(super) fn mount_made(&mut self, namespace: usize, slot: usize, is_v2: bool) {
        self.mounts_made += 1;
        self.mounts.insert((namespace, slot), self.mounts_made);
        self.stores.insert(self.mounts_made, Store { is_v2, ..Store::default() });
    }

    /// Who lives now.
    pub(super) fn life(&self, token: usize, now: Timestamp) -> Life {
        let found = &self.tokens[token];
        if found.is_removed {
            return Life::Dead;
        }
        let own = match found.expires {
            Some((_, last)) if now >= last => return Life::Dead,
            Some((first, _)) if now >= first => Life::Either,
            _ if found.was_expired => Life::Either,
            _ => Life::Alive,
        };
        let above = found.parent.map_or(Life::Alive, |parent| self.life(parent, now));
        match (above, found.is_batch) {
            (Life::Alive, _) => own,
            // A batch token dies at once with its parent; the others when its parent is removed.
            (Life::Dead, true) => Life::Dead,
            _ => Life::Either,
        }
    }

    /// Notes whose time has come. Costs a look at every token.
    pub(super) fn time_moved(&mut self, now: Timestamp) {
        for token in &mut self.tokens {
            token.was_expired |= token.expires.is_some_and(|(first, _)| now >= first);
        }
    }

    /// The expirer has worked off everything that was due.
    pub(super) fn expired(&mut self, now: Timestamp) {
        let over: Vec<usize> = (0..self.tokens.len())
            .filter(|token| !self.tokens[*token].is_removed && !self.tokens[*token].is_batch)
            .filter(|token| self.tokens[*token].expires.is_some_and(|(_, last)| now >= last))
            .collect();
        over.into_iter().for_each(|token| self.remove(token));
    }

    fn remove(&mut self, token: usize) {
        let mut waiting = vec![token];
        while let Some(next) = waiting.pop() {
            self.tokens[next].is_removed = true;
            waiting.append(&mut self.tokens[next].children);
        }
    }

    /// One use of a token with a limit.
    pub(super) fn spend(&mut self, act: &Act) {
        let Some(caller) = act.caller.filter(|_| !matches!(act.deed, Deed::Unwrap(_))) else { return };
        if let Some(left) = &mut self.tokens[caller].uses_left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.remove(caller);
            }
        }
    }

    pub(super) fn is_counted(&self, act: &Act) -> bool {
        act.caller.is_some_and(|caller| self.tokens[caller].uses_left.is_some())
    }

    /// What a request that begins now may be answered.
    pub(super) fn expect(&self, act: &Act, now: Timestamp) -> Expected {
        let denied = Expected { may_be_denied: true, allowed: None };
        let life = match (&act.deed, act.caller) {
            (Deed::Unwrap(_), _) | (_, None) => Life::Alive,
            (_, Some(caller)) => self.life(caller, now),
        };
        // That nothing is mounted at a path is told to every valid token of the namespace.
        let is_told = matches!(act.deed, Deed::Kv { mount: None, .. }) && self.is_within(act);
        if life == Life::Dead || !(is_told || self.is_granted(act)) {
            return denied;
        }
        Expected { may_be_denied: life == Life::Either, allowed: Some(self.outcome(act, now)) }
    }

    /// As [`Self::expect`], of a deed that was permitted when it ran.
    pub(super) fn expect_permitted(&self, act: &Act, now: Timestamp) -> Expected {
        Expected { may_be_denied: false, allowed: Some(self.outcome(act, now)) }
    }

    /// Whether the caller's token is good for the namespace of the request.
    fn is_within(&self, act: &Act) -> bool {
        let Some(caller) = act.caller else { return true };
        let (home, here) = (NAMESPACES[self.tokens[caller].namespace], NAMESPACES[act.namespace]);
        home.is_empty() || here == home || here.starts_with(&format!("{home}/"))
    }

    fn is_granted(&self, act: &Act) -> bool {
        let Some(caller) = act.caller else { return true };
        let token = &self.tokens[caller];
        let (home, here) = (NAMESPACES[token.namespace], NAMESPACES[act.namespace]);
        if matches!(act.deed, Deed::Unwrap(_)) {
            return true;
        }
        if token.wrapped.is_some() {
            return false;
        }
        if token.is_root {
            return true;
        }
        if !self.is_within(act) {
            return false;
        }
        let rest = here.strip_prefix(home).unwrap_or(here).trim_start_matches('/');
        let below = if rest.is_empty() { String::new() } else { format!("{rest}/") };
        match &act.deed {
            Deed::Kv { slot, .. } => token
                .policies
                .iter()
                .filter_map(|name| self.policies.get(&(token.namespace, *name)))
                .flat_map(|variant| grants(*variant))
                .any(|(at, granted, may_change)| {
                    *at == below && granted == slot && (*may_change || !act.is_kv_change())
                }),
            Deed::Create { .. } | Deed::LookupSelf | Deed::RenewSelf | Deed::RevokeSelf => below.is_empty(),
            _ => false,
        }
    }

    /// The status of a deed that is permitted, by what is stored now.
    fn outcome(&self, act: &Act, now: Timestamp) -> u16 {
        let caller = act.caller.map(|caller| &self.tokens[caller]);
        let is_batch = caller.is_some_and(|caller| caller.is_batch);
        match &act.deed {
            Deed::Kv { mount: Some(mount), kv, .. } => {
                self.stores.get(mount).map_or(404, |store| store.outcome(kv))
            }
            Deed::Kv { mount: None, .. } => 404,
            Deed::Create { .. } if is_batch || caller.is_some_and(|caller| caller.uses_left.is_some()) => 400,
            Deed::RenewSelf | Deed::RevokeSelf if is_batch => 400,
            Deed::RenewSelf => match caller.and_then(|caller| caller.created) {
                Some(created) if now.since(created).as_secs() >= LIFETIME_MAX_SECONDS => 400,
                Some(_) => 200,
                None => 400,
            },
            Deed::Create { .. } | Deed::LookupSelf => 200,
            Deed::RevokeSelf
            | Deed::Revoke(_)
            | Deed::WritePolicy { .. }
            | Deed::DeletePolicy { .. }
            | Deed::Disable { .. } => 204,
            Deed::RevokeOrphan(token) => match self.life(*token, now) {
                Life::Alive => 204,
                _ => 0,
            },
            Deed::Enable { slot, .. } => {
                if self.mounts.contains_key(&(act.namespace, *slot)) {
                    400
                } else {
                    204
                }
            }
            Deed::Move { from, to } => {
                let there = |slot: &usize| self.mounts.contains_key(&(act.namespace, *slot));
                if there(from) && (from == to || !there(to)) { 200 } else { 400 }
            }
            Deed::MakeSecretId { .. } => 200,
            Deed::Login(secret_id) => {
                if self.secret_ids[*secret_id].left > 0 {
                    200
                } else {
                    400
                }
            }
            Deed::Unwrap(token) => match self.life(*token, now) {
                Life::Alive => 200,
                Life::Dead => 400,
                Life::Either => 0,
            },
        }
    }

    /// What is wrong with the content of an answer; None if nothing is.
    pub(super) fn flaw(&self, act: &Act, answer: &Answer) -> Option<String> {
        let differs =
            |found: &Value, right: Value| (*found != right).then(|| format!("{found} is not {right}"));
        let body = &answer.body;
        match &act.deed {
            Deed::Kv { mount: Some(mount), kv, .. } => self.stores.get(mount)?.flaw(kv, answer),
            Deed::LookupSelf => {
                let text = &self.tokens[act.caller?].text;
                (body["data"]["id"] != json!(text)).then(|| "another token's entry".to_owned())
            }
            Deed::Unwrap(token) => match self.tokens[*token].wrapped? {
                Wrapped::Value(value) if answer.status == 200 => {
                    differs(&body["data"]["data"], payload(value)).filter(|_| body["data"] != payload(value))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// A deed has happened. The answer is None if nobody saw it. `began` is when the handler ran.
    pub(super) fn happened(&mut self, act: &Act, answer: Option<&Answer>, began: Timestamp) {
        let here = act.namespace;
        match &act.deed {
            Deed::Kv { mount: Some(mount), kv, .. } => {
                let value = self.stores.get_mut(mount).and_then(|store| store.happened(kv));
                if matches!(kv, Kv::Get { is_wrapped: true, .. }) {
                    self.wrapped(here, value, answer, began);
                }
            }
            Deed::Create { ttl_seconds, uses, is_batch, policies } => {
                self.created(act, answer, began, (*ttl_seconds, *uses, *is_batch, policies.clone()));
            }
            Deed::RenewSelf => self.renewed(act, answer, began),
            Deed::RevokeSelf => act.caller.into_iter().for_each(|caller| self.remove(caller)),
            Deed::Revoke(token) => self.remove(*token),
            Deed::RevokeOrphan(token) => self.orphaned(*token),
            Deed::WritePolicy { name, variant } => drop(self.policies.insert((here, *name), *variant)),
            Deed::DeletePolicy { name } => drop(self.policies.remove(&(here, *name))),
            Deed::Enable { slot, is_v2 } => self.mount_made(here, *slot, *is_v2),
            Deed::Disable { slot } => {
                if let Some(mount) = self.mounts.remove(&(here, *slot)) {
                    self.stores.remove(&mount);
                }
            }
            Deed::Move { from, to } => {
                if let Some(mount) = self.mounts.remove(&(here, *from)) {
                    self.mounts.insert((here, *to), mount);
                }
            }
            Deed::MakeSecretId { uses } => {
                let text = answer.and_then(|answer| answer.body["data"]["secret_id"].as_str());
                if let Some(text) = text {
                    let secret_id =
                        SecretId { text: text.to_owned(), namespace: here, uses: *uses, left: *uses };
                    self.secret_ids.push(secret_id);
                }
            }
            Deed::Login(secret_id) => {
                self.secret_ids[*secret_id].left -= 1;
                self.logged_in(here, answer, began);
            }
            Deed::Unwrap(token) => self.remove(*token),
            Deed::Kv { mount: None, .. } | Deed::LookupSelf => {}
        }
    }

    fn add(&mut self, token: Token) {
        let number = self.tokens.len();
        if let Some(parent) = token.parent {
            self.tokens[parent].children.push(number);
        }
        self.tokens.push(token);
    }

    fn created(
        &mut self,
        act: &Act,
        answer: Option<&Answer>,
        began: Timestamp,
        (ttl_seconds, uses, is_batch, policies): (u64, u64, bool, Vec<usize>),
    ) {
        // A token that nobody saw cannot be presented.
        let Some(answer) = answer else { return };
        let Some(caller) = act.caller else { return };
        let end = began.plus(std::time::Duration::from_secs(ttl_seconds));
        self.add(Token {
            text: answer.body["auth"]["client_token"].as_str().unwrap_or_default().to_owned(),
            namespace: act.namespace,
            parent: Some(caller),
            policies: if caller == 0 { policies } else { self.tokens[caller].policies.clone() },
            is_batch,
            uses_left: (uses > 0).then_some(uses),
            created: Some(began),
            ttl_seconds,
            expires: Some((end, end)),
            is_removed: self.tokens[caller].is_removed,
            ..Token::default()
        });
    }

    fn renewed(&mut self, act: &Act, answer: Option<&Answer>, began: Timestamp) {
        let Some(caller) = act.caller else { return };
        let token = &mut self.tokens[caller];
        let (Some(created), Some((first, last))) = (token.created, token.expires) else { return };
        let age = began.since(created).as_secs();
        let seconds = token.ttl_seconds.min(LIFETIME_MAX_SECONDS.saturating_sub(age));
        let end = began.plus(std::time::Duration::from_secs(seconds));
        token.expires = Some(match answer {
            Some(_) => (end, end),
            None => (first.min(end), last.max(end)),
        });
    }

    fn orphaned(&mut self, token: usize) {
        self.tokens[token].is_removed = true;
        for child in std::mem::take(&mut self.tokens[token].children) {
            if self.tokens[child].is_batch {
                self.remove(child);
            } else {
                self.tokens[child].parent = None;
            }
        }
    }

    fn wrapped(&mut self, namespace: usize, value: Option<u64>, answer: Option<&Answer>, began: Timestamp) {
        let Some(text) = answer.and_then(|answer| answer.body["wrap_info"]["token"].as_str()) else { return };
        let end = began.plus(std::time::Duration::from_secs(WRAP_SECONDS));
        self.add(Token {
            text: text.to_owned(),
            namespace,
            expires: Some((end, end)),
            // Good for one request, whatever it comes to.
            uses_left: Some(1),
            wrapped: Some(value.map_or(Wrapped::Nothing, Wrapped::Value)),
            ..Token::default()
        });
    }

    fn logged_in(&mut self, namespace: usize, answer: Option<&Answer>, began: Timestamp) {
        let Some(text) = answer.and_then(|answer| answer.body["auth"]["client_token"].as_str()) else {
            return;
        };
        let end = began.plus(std::time::Duration::from_secs(LOGIN_SECONDS));
        self.add(Token {
            text: text.to_owned(),
            namespace,
            policies: vec![0, 3],
            created: Some(began),
            ttl_seconds: LOGIN_SECONDS,
            expires: Some((end, end)),
            ..Token::default()
        });
    }
}

impl Store {
    /// The current version of a secret; zero without one.
    pub(super) fn current(&self, secret: usize) -> u64 {
        self.secrets.get(&secret).map_or(0, Secret::current)
    }

    fn outcome(&self, kv: &Kv) -> u16 {
        let found = |secret: &usize| self.secrets.get(secret);
        match kv {
            Kv::Put { .. } if !self.is_v2 => 204,
            Kv::Put { secret, cas: Some(cas), .. } if self.current(*secret) != *cas => 400,
            Kv::Put { .. } => 200,
            Kv::Get { secret, .. } if !self.is_v2 => {
                if found(secret).is_some() {
                    200
                } else {
                    404
                }
            }
            Kv::Get { secret, version, is_wrapped } => {
                match found(secret).and_then(|s| s.version(*version)) {
                    Some(version) if !version.is_deleted && !version.is_destroyed => 200,
                    Some(_) if *is_wrapped => 200,
                    _ => 404,
                }
            }
            Kv::Delete { .. } | Kv::Change { .. } | Kv::Remove { .. } => 204,
            Kv::List => {
                if self.secrets.is_empty() {
                    404
                } else {
                    200
                }
            }
        }
    }

    fn flaw(&self, kv: &Kv, answer: &Answer) -> Option<String> {
        let data = &answer.body["data"];
        let differs =
            |found: &Value, right: Value| (*found != right).then(|| format!("{found} is not {right}"));
        match kv {
            Kv::Put { secret, .. } if self.is_v2 => {
                let right = (answer.status == 200).then(|| json!(self.current(*secret) + 1))?;
                differs(&data["version"], right)
            }
            Kv::Get { is_wrapped: true, .. } => (answer.status == 200
                && !answer.body["wrap_info"]["token"].is_string())
            .then(|| "the answer is not wrapped".to_owned()),
            Kv::Get { secret, .. } if !self.is_v2 => {
                let version = self.secrets.get(secret)?.version(0)?;
                differs(data, payload(version.value))
            }
            Kv::Get { secret, version, .. } => {
                let found = self.secrets.get(secret)?;
                let number = if *version == 0 { found.current() } else { *version };
                let version = found.version(number)?;
                let is_withheld = version.is_deleted || version.is_destroyed;
                let right = if is_withheld { Value::Null } else { payload(version.value) };
                differs(&data["data"], right)
                    .or_else(|| differs(&data["metadata"]["version"], json!(number)))
                    .or_else(|| differs(&data["metadata"]["destroyed"], json!(version.is_destroyed)))
            }
            Kv::List => {
                let name = |secret: &usize| match secret_name(*secret).split_once('/') {
                    Some((folder, _)) => format!("{folder}/"),
                    None => secret_name(*secret),
                };
                let names: BTreeSet<_> = self.secrets.keys().map(name).collect();
                (answer.status == 200).then(|| differs(&data["keys"], json!(names)))?
            }
            _ => None,
        }
    }

    /// How the server has to say that a version stands; None where a secret was made anew so soon that nobody can tell.
    pub(super) fn state(&self, written: &Written) -> Option<&'static str> {
        let Some(secret) = self.secrets.get(&written.secret) else { return Some("removed") };
        if !self.is_v2 {
            let is_it = secret.version(0).is_some_and(|version| version.value == written.value);
            return Some(if is_it { "current" } else { "superseded" });
        }
        let current = secret.current();
        let kept = written.version.checked_sub(secret.first).and_then(|_| secret.version(written.version));
        Some(match kept {
            None if written.version < current => "dropped",
            None => "removed",
            Some(_) if secret.made != written.made => return None,
            Some(version) if version.is_destroyed => "destroyed",
            Some(version) if version.is_deleted => "deleted",
            Some(_) if written.version == current => "current",
            Some(_) => "superseded",
        })
    }

    /// Changes what is stored; for a read, the value.
    fn happened(&mut self, kv: &Kv) -> Option<u64> {
        match kv {
            Kv::Put { secret, value, .. } => {
                let fresh = Version { value: *value, is_deleted: false, is_destroyed: false };
                let is_v2 = self.is_v2;
                let made = &mut self.made;
                let found = self.secrets.entry(*secret).or_insert_with(|| {
                    *made += 1;
                    Secret { made: *made, first: 1, ..Secret::default() }
                });
                if !is_v2 {
                    found.versions.clear();
                }
                found.versions.push(fresh);
                let version = if is_v2 { found.current() } else { 0 };
                self.written.push(Written { secret: *secret, version, value: *value, made: found.made });
                if found.versions.len() > VERSIONS_KEPT {
                    found.versions.remove(0);
                    found.first += 1;
                }
                None
            }
            Kv::Get { secret, version, .. } => self
                .secrets
                .get(secret)
                .and_then(|found| found.version(*version))
                .filter(|version| !version.is_deleted && !version.is_destroyed)
                .map(|version| version.value),
            Kv::Delete { secret } if !self.is_v2 => {
                self.secrets.remove(secret);
                None
            }
            Kv::Delete { secret } => {
                let last = self.secrets.get_mut(secret).and_then(|found| found.versions.last_mut());
                if let Some(version) = last.filter(|version| !version.is_destroyed) {
                    version.is_deleted = true;
                }
                None
            }
            Kv::Change { secret, versions, change } => {
                for number in versions {
                    let found = self.secrets.get_mut(secret).and_then(|found| found.version_mut(*number));
                    let Some(version) = found.filter(|version| !version.is_destroyed) else { continue };
                    match change {
                        Change::Delete => version.is_deleted = true,
                        Change::Undelete => version.is_deleted = false,
                        Change::Destroy => version.is_destroyed = true,
                    }
                }
                None
            }
            Kv::Remove { secret } => {
                self.secrets.remove(secret);
                None
            }
            Kv::List => None,
        }
    }
}
