//! What follows from an answer: a login becomes a token, something handed out becomes a lease; and how both end.

use crate::call::Call;
use crate::cubbyhole;
use crate::error::Error;
use crate::identity;
use crate::kernel::Kernel;
use crate::leases::{self, LeaseRecord};
use crate::mounts::Mount;
use crate::quotas::Place;
use crate::request::{Auth, LeaseGrant, LoginGrant, Response};
use crate::tokens::{self, Children, Created, NewToken, Parent, TokenEntry, TokenKind, TokenRow, TokenType};
use crate::transaction::Tx;
use serde_json::{Map, Value};
use std::time::Duration;
use strongroom_crypto::token::random_base62;
use strongroom_secret::{SecretString, Timestamp, format_duration};

const LEASE_ID_CHARACTERS: usize = 24;
const MFA_NEEDED: &str = "A login request was issued that is subject to MFA validation. Please make sure to validate \
                          the login by sending another request to sys/mfa/validate endpoint.";

/// Makes the token or the lease that an answer asks for.
pub(crate) fn fulfil(call: &mut Call<'_>, response: &mut Response) -> Result<(), Error> {
    if let Some(grant) = response.login.take() {
        let auth = log_in(call, *grant, &mut response.warnings)?;
        response.auth = Some(Box::new(auth));
    }
    if let Some(grant) = response.lease.take() {
        lease(call, &grant, response)?;
    }
    Ok(())
}

/// The lifetimes of a mount: its own, or the server's.
pub(crate) fn mount_ttls(kernel: &Kernel, mount: &Mount) -> (Duration, Duration) {
    let or = |own: Duration, server: Duration| if own.is_zero() { server } else { own };
    let config = &mount.record.config;
    let settings = kernel.settings();
    let ttl_max = or(config.max_lease_ttl, settings.max_lease_ttl);
    (or(config.default_lease_ttl, settings.default_lease_ttl).min(ttl_max), ttl_max)
}

/// How long something may live that was made at `created` and asks for `wanted` more.
pub(crate) struct Lifetime {
    pub ttl: Duration,
    pub warnings: Vec<String>,
}

/// Bounds a wished lifetime by all that bounds it. `ttl` zero asks for the default.
pub(crate) fn bound_ttl(
    (default_ttl, system_max): (Duration, Duration),
    wished: Duration,
    ttl_max: Duration,
    explicit_max: Duration,
    age: Duration,
) -> Lifetime {
    let mut warnings = Vec::new();
    let is_set = |limit: &Duration| !limit.is_zero();
    let cap = [ttl_max, explicit_max].into_iter().filter(is_set).fold(system_max, Duration::min);
    let mut ttl = if wished.is_zero() { default_ttl } else { wished };
    let left = cap.saturating_sub(age);
    if ttl > left {
        if !wished.is_zero() {
            warnings.push(capped("TTL", wished, "TTL", cap));
        }
        ttl = left;
    }
    Lifetime { ttl, warnings }
}

fn capped(what: &str, wished: Duration, short: &str, cap: Duration) -> String {
    format!(
        "{what} of {:?} exceeded the effective max_ttl of {:?}; {short} value is capped accordingly",
        format_duration(wished),
        format_duration(cap)
    )
}

/// How long a token asks to live. Zero means unset.
pub(crate) struct TokenLifetime {
    pub ttl: Duration,
    pub period: Duration,
    pub ttl_max: Duration,
    pub explicit_ttl_max: Duration,
}

impl TokenLifetime {
    /// Bounds it for a token of some age. A periodic token lives for its period from now on: its age counts against
    /// its explicit maximum alone.
    pub(crate) fn bound(&self, ttls: (Duration, Duration), age: Duration) -> Lifetime {
        if self.period.is_zero() {
            return bound_ttl(ttls, self.ttl, self.ttl_max, self.explicit_ttl_max, age);
        }
        let (_, system_max) = ttls;
        let mut warnings = Vec::new();
        let mut ttl = self.period;
        if ttl > system_max {
            warnings.push(capped("period", ttl, "period", system_max));
            ttl = system_max;
        }
        let left = self.explicit_ttl_max.saturating_sub(age);
        if !self.explicit_ttl_max.is_zero() && ttl > left {
            warnings.push(capped("TTL", ttl, "TTL", self.explicit_ttl_max));
            ttl = left;
        }
        Lifetime { ttl, warnings }
    }
}

/// The policies of a new token: clean names, `default` unless refused, never `root`.
pub(crate) fn token_policies(names: &[String], no_default: bool) -> Result<Vec<String>, Error> {
    let mut policies = names
        .iter()
        .map(|name| strongroom_secret::PolicyName::parse(name).map(String::from))
        .collect::<Result<Vec<_>, _>>()?;
    if policies.iter().any(|policy| policy == "root") {
        return Err(Error::invalid("auth methods cannot create root tokens"));
    }
    if !no_default {
        policies.push("default".to_owned());
    }
    policies.sort_unstable();
    policies.dedup();
    Ok(policies)
}

fn token_type(asked: TokenKind, mount: TokenKind) -> TokenType {
    match (mount, asked) {
        (TokenKind::Batch, _) => TokenType::Batch,
        (TokenKind::Service, _) => TokenType::Service,
        (TokenKind::DefaultBatch, TokenKind::Default) => TokenType::Batch,
        (_, TokenKind::Batch | TokenKind::DefaultBatch) => TokenType::Batch,
        _ => TokenType::Service,
    }
}

fn log_in(call: &mut Call<'_>, grant: LoginGrant, warnings: &mut Vec<String>) -> Result<Auth, Error> {
    let settings = &grant.token;
    let kind = token_type(settings.kind, call.mount.record.config.token_type);
    let entity_id = match grant.alias.as_str() {
        "" => String::new(),
        _ => identity::on_login(&mut call.tx, call.kernel.entropy(), &call.mount, &grant, call.now)?,
    };
    let ttls = mount_ttls(call.kernel, &call.mount);
    let wish = TokenLifetime {
        ttl: settings.ttl,
        period: settings.period,
        ttl_max: settings.ttl_max,
        explicit_ttl_max: settings.explicit_ttl_max,
    };
    let lifetime = wish.bound(ttls, Duration::ZERO);
    warnings.extend(lifetime.warnings);
    let mount_name = call.mount.path().trim_start_matches("auth/").trim_end_matches('/').replace('/', "-");
    let display_name = match grant.display_name.as_str() {
        "" => mount_name,
        name => format!("{mount_name}-{name}"),
    };
    let entry = TokenEntry {
        kind,
        policies: token_policies(&settings.policies, settings.no_default_policy)?,
        display_name,
        metadata: grant.metadata,
        uses_left: settings.num_uses,
        num_uses: settings.num_uses,
        ttl: lifetime.ttl,
        explicit_ttl_max: settings.explicit_ttl_max,
        ttl_max: settings.ttl_max,
        period: settings.period,
        expires: Some(call.now.plus(lifetime.ttl)),
        is_renewable: grant.renewable && kind == TokenType::Service,
        entity_id,
        role: grant.role.unwrap_or_default(),
        bound_cidrs: settings.bound_cidrs.clone(),
        mount: call.mount.record.id,
        internal: grant.internal,
        ..tokens::blank(call.namespace.id(), call.path.as_str(), call.now)
    };
    if let Some(requirement) = identity::mfa::demand(call, &entry)? {
        warnings.clear();
        warnings.push(MFA_NEEDED.to_owned());
        return Ok(held_back(&entry, requirement));
    }
    let created = make_token(call, NewToken { entry, id: None })?;
    auth_of(call, created)
}

/// The token of a login that was kept until its second factor came. It lives from now on.
pub(crate) fn let_in(call: &mut Call<'_>, mut entry: TokenEntry) -> Result<Auth, Error> {
    entry.created = call.now;
    entry.expires = Some(call.now.plus(entry.ttl));
    let created = make_token(call, NewToken { entry, id: None })?;
    auth_of(call, created)
}

/// The `auth` part of an answer to a login that has no token yet.
fn held_back(entry: &TokenEntry, requirement: Value) -> Auth {
    Auth {
        client_token: SecretString::new(String::new()),
        accessor: String::new(),
        policies: Vec::new(),
        token_policies: Vec::new(),
        identity_policies: Vec::new(),
        metadata: Map::new(),
        lease_duration: Duration::ZERO,
        renewable: false,
        entity_id: entry.entity_id.clone(),
        token_type: entry.kind.as_str(),
        orphan: entry.is_orphan(),
        num_uses: 0,
        mfa_requirement: Some(requirement),
    }
}

/// Makes a token in the call's namespace.
pub(crate) fn make_token(call: &mut Call<'_>, new: NewToken) -> Result<Created, Error> {
    if new.entry.kind == TokenType::Batch && new.entry.num_uses > 0 {
        return Err(Error::invalid("batch tokens cannot have a limit on their uses"));
    }
    if new.entry.kind == TokenType::Batch && !new.entry.period.is_zero() {
        return Err(Error::invalid("batch tokens cannot be periodic"));
    }
    if new.entry.kind == TokenType::Service && new.entry.expires.is_some() {
        take_lease(call, &new.entry.role)?;
    }
    tokens::create(&mut call.tx, call.kernel.entropy(), call.namespace, new)
}

/// Counts a lease against the quota that covers the call.
fn take_lease(call: &mut Call<'_>, role: &str) -> Result<(), Error> {
    let place = Place {
        topology: call.topology,
        namespace: call.namespace.id(),
        mount: call.mount.path(),
        path: call.path.as_str(),
        role,
    };
    call.kernel.quotas.take_lease(&mut call.tx, &place, call.now, &*call.kernel.clock)
}

/// The `auth` part of an answer for a token just made.
pub(crate) fn auth_of(call: &mut Call<'_>, created: Created) -> Result<Auth, Error> {
    let Created { token, entry, .. } = created;
    let identity_policies = match entry.entity_id.as_str() {
        "" => Vec::new(),
        id => identity::policy_names(&mut call.tx, call.topology, entry.namespace, id)?,
    };
    let mut policies = [entry.policies.clone(), identity_policies.clone()].concat();
    policies.sort_unstable();
    policies.dedup();
    Ok(Auth {
        client_token: token,
        accessor: entry.accessor.clone(),
        policies,
        token_policies: entry.policies.clone(),
        identity_policies,
        metadata: entry.metadata.clone(),
        lease_duration: entry.expires.map_or(Duration::ZERO, |_| entry.ttl),
        renewable: entry.is_renewable,
        entity_id: entry.entity_id.clone(),
        token_type: entry.kind.as_str(),
        orphan: entry.is_orphan(),
        num_uses: entry.num_uses,
        mfa_requirement: None,
    })
}

fn lease(call: &mut Call<'_>, grant: &LeaseGrant, response: &mut Response) -> Result<(), Error> {
    let ttls = mount_ttls(call.kernel, &call.mount);
    let ttl_max = grant.ttl_max.unwrap_or_default();
    let lifetime = bound_ttl(ttls, grant.ttl.unwrap_or_default(), ttl_max, Duration::ZERO, Duration::ZERO);
    let caller = call.require_caller()?;
    take_lease(call, "")?;
    let random = random_base62(call.kernel.entropy(), LEASE_ID_CHARACTERS);
    let record = LeaseRecord {
        id: format!("{}/{}", call.path.as_str().trim_end_matches('/'), random.expose()),
        namespace: call.namespace.id(),
        mount: call.mount.record.id,
        issued: call.now,
        expires: call.now.plus(lifetime.ttl),
        last_renewal: None,
        is_renewable: grant.renewable,
        ttl_max,
        token: caller.row.map(|row| Parent { namespace: caller.token.namespace, row }),
        internal: grant.internal.clone(),
        revocation_failures: 0,
        is_outward: call.mount.backend.revoke_outward.is_some(),
        is_forced: false,
    };
    leases::create(&mut call.tx, &record)?;
    response.warnings.extend(lifetime.warnings);
    response.lease_duration = lifetime.ttl;
    response.renewable = grant.renewable;
    response.lease_id = record.id;
    Ok(())
}

/// Ends a token: the token, those made under it, their cubbyholes; their leases end now and are taken back by the
/// expirer. Says how many tokens went; of very many, the rest are cut off now and go in the background.
pub(crate) fn revoke_token(
    kernel: &Kernel,
    tx: &mut Tx<'_>,
    namespace: u64,
    row: TokenRow,
    children: Children,
) -> Result<usize, Error> {
    let now = kernel.now();
    let gone = tokens::revoke_tree(tx, namespace, row, children)?;
    for (namespace, row) in &gone {
        cubbyhole::clear(tx, *namespace, *row)?;
        for id in leases::of_token(tx, *namespace, *row)? {
            end_lease(tx, *namespace, &id, now)?;
        }
    }
    Ok(gone.len())
}

/// Moves a lease's end to now; the expirer does the rest.
pub(crate) fn end_lease(tx: &mut Tx<'_>, namespace: u64, id: &str, now: Timestamp) -> Result<(), Error> {
    let Some(mut lease) = leases::read(tx, namespace, id)? else { return Ok(()) };
    lease.expires = lease.expires.min(now);
    leases::index_end(tx, &lease)?;
    leases::save(tx, &lease)
}

/// Writes a renewed lease. Its row in the index moves only to an earlier end.
pub(crate) fn save_renewed(tx: &mut Tx<'_>, lease: &LeaseRecord, old_end: Timestamp) -> Result<(), Error> {
    if lease.expires < old_end {
        leases::index_end(tx, lease)?;
    }
    leases::save(tx, lease)
}
