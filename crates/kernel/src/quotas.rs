//! Quotas: how many requests a second from one address, and how many leases, a part of the server may have.

use crate::error::{Error, ErrorKind};
use crate::leases;
use crate::namespaces::{ROOT_NAMESPACE, kernel_space};
use crate::pipeline::Routed;
use crate::request::Request;
use crate::tokens;
use crate::topology::Topology;
use crate::transaction::{Key, Record, Table, Tx};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use strongroom_secret::Timestamp;

const QUOTAS: Table = Table(14);
/// Clients remembered, over all quotas. Beyond it those who are within their rate are forgotten, then any.
const BUCKETS_MAX: usize = 65_536;
const SHARDS: usize = 16;
/// A count of leases is trusted for so long.
const COUNT_AGE_MAX: Duration = Duration::from_secs(60);
/// A full quota is counted again at most this often, and never for more than a small part of the time.
const COUNT_PAUSE: Duration = Duration::from_secs(1);
const COUNT_PAUSE_FACTOR: u32 = 50;

/// All quotas of a server: one row.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct QuotaTable {
    pub quotas: Vec<QuotaRecord>,
    /// Requests below these paths are not counted.
    #[serde(default)]
    pub exempt_paths: Vec<String>,
}

impl Record for QuotaTable {}

/// A quota as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct QuotaRecord {
    pub id: u64,
    pub name: String,
    /// As it was given: namespace, mount and path below it, with `*` for any rest.
    pub path: String,
    pub scope: Scope,
    pub limit: Limit,
}

/// What a quota covers. The narrowest one that covers a request counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scope {
    /// None: the whole server.
    pub namespace: Option<u64>,
    /// Namespaces below it as well.
    #[serde(default)]
    pub is_inheritable: bool,
    /// With its slash; empty for all mounts.
    pub mount: String,
    /// Below the mount; empty for all.
    pub below: String,
    /// Logins that name this role; empty for all.
    pub role: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Limit {
    RateLimit { rate: f64, interval: Duration, block: Duration },
    LeaseCount { leases_max: u64 },
}

impl Limit {
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::RateLimit { .. } => "rate-limit",
            Self::LeaseCount { .. } => "lease-count",
        }
    }
}

fn quotas_key(tx: &Tx<'_>) -> Key {
    tx.table(kernel_space(ROOT_NAMESPACE), QUOTAS)
}

pub(crate) fn read_table(tx: &mut Tx<'_>) -> Result<QuotaTable, Error> {
    let key = quotas_key(tx);
    Ok(tx.record(&key)?.unwrap_or_default())
}

pub(crate) fn write_table(tx: &mut Tx<'_>, table: &QuotaTable) -> Result<(), Error> {
    let key = quotas_key(tx);
    tx.put_record(&key, table)?;
    tx.after_commit(crate::effect::Effect::Quotas);
    Ok(())
}

/// Removes the quotas of a namespace that is gone.
pub(crate) fn forget_namespace(tx: &mut Tx<'_>, namespace: u64) -> Result<(), Error> {
    let mut table = read_table(tx)?;
    let before = table.quotas.len();
    table.quotas.retain(|quota| quota.scope.namespace != Some(namespace));
    if table.quotas.len() == before { Ok(()) } else { write_table(tx, &table) }
}

/// Something that quotas are asked about.
pub(crate) struct Place<'p> {
    pub topology: &'p Topology,
    pub namespace: u64,
    pub mount: &'p str,
    /// Relative to the namespace, mount included.
    pub path: &'p str,
    pub role: &'p str,
}

impl Scope {
    /// How narrow it is, if it covers a place.
    fn covers(&self, place: &Place<'_>) -> Option<(usize, usize, usize, usize)> {
        let depth = match self.namespace {
            None => 0,
            Some(id) if id == place.namespace => usize::MAX,
            Some(id) => {
                let here = place.topology.namespace_by_id(place.namespace)?;
                let own = place.topology.namespace_by_id(id)?;
                if !self.is_inheritable || !here.path().is_within(own.path()) {
                    return None;
                }
                1 + own.path().as_str().len()
            }
        };
        let below = place.path.strip_prefix(place.mount).unwrap_or_default();
        let is_below = match self.below.strip_suffix('*') {
            Some(start) => below.starts_with(start),
            None => self.below.is_empty() || below == self.below,
        };
        let is_covered = (self.mount.is_empty() || self.mount == place.mount)
            && is_below
            && (self.role.is_empty() || self.role == place.role);
        is_covered.then_some((depth, self.mount.len(), self.below.len(), self.role.len()))
    }
}

/// The quotas in force.
#[derive(Default)]
pub(crate) struct Quotas {
    table: RwLock<Arc<QuotaTable>>,
    buckets: [Mutex<HashMap<(u64, IpAddr), Bucket>>; SHARDS],
    counts: Mutex<HashMap<u64, Count>>,
}

/// What one client may still ask.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Duration,
    blocked_until: Duration,
}

/// How many leases there are, as far as is known.
#[derive(Debug, Clone, Copy)]
struct Count {
    leases: u64,
    counted_at: Duration,
    next_at: Duration,
}

impl Quotas {
    /// Replaces the quotas by what is stored.
    pub(crate) fn load(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        let table = read_table(tx)?;
        self.counts.lock().clear();
        *self.table.write() = Arc::new(table);
        Ok(())
    }

    /// The narrowest quota of a kind that covers a place.
    fn find(table: &QuotaTable, place: &Place<'_>, is_wanted: fn(&Limit) -> bool) -> Option<usize> {
        let candidates = table.quotas.iter().enumerate().filter(|(_, quota)| is_wanted(&quota.limit));
        candidates
            .filter_map(|(index, quota)| quota.scope.covers(place).map(|narrowness| (narrowness, index)))
            .max()
            .map(|(_, index)| index)
    }

    /// Refuses a request beyond the rate of the quota that covers it.
    pub(crate) fn check_rate(&self, routed: &Routed, request: &Request, now: Duration) -> Result<(), Error> {
        let table = self.table.read().clone();
        if table.quotas.is_empty() {
            return Ok(());
        }
        let path = routed.path.as_str();
        if table.exempt_paths.iter().any(|exempt| path.starts_with(exempt)) {
            return Ok(());
        }
        let place = Place {
            topology: &routed.open.topology,
            namespace: routed.namespace.id(),
            mount: routed.mount.path(),
            path,
            role: role(request),
        };
        let index = Self::find(&table, &place, |limit| matches!(limit, Limit::RateLimit { .. }));
        let Some(quota) = index.and_then(|index| table.quotas.get(index)) else { return Ok(()) };
        let Limit::RateLimit { rate, interval, block } = quota.limit else { return Ok(()) };
        let client = client_key(request.client.address);
        let Some(shard) = self.buckets.get(shard_of(&client)) else { return Ok(()) };
        let mut buckets = shard.lock();
        make_room(&mut buckets, now, interval);
        let bucket = buckets.entry((quota.id, client)).or_insert(Bucket {
            tokens: rate,
            at: now,
            blocked_until: Duration::ZERO,
        });
        if bucket.take(rate, interval, block, now) { Ok(()) } else { Err(exceeded(path, "rate limit")) }
    }

    /// Counts a new lease or token, or refuses it.
    pub(crate) fn take_lease(
        &self,
        tx: &mut Tx<'_>,
        place: &Place<'_>,
        now: Timestamp,
        clock: &dyn strongroom_secret::Clock,
    ) -> Result<(), Error> {
        let table = self.table.read().clone();
        let index = Self::find(&table, place, |limit| matches!(limit, Limit::LeaseCount { .. }));
        let Some(quota) = index.and_then(|index| table.quotas.get(index)) else { return Ok(()) };
        let Limit::LeaseCount { leases_max } = quota.limit else { return Ok(()) };
        let start = clock.monotonic();
        let known = self.counts.lock().get(&quota.id).copied();
        let mut count = match known {
            Some(count) if is_trusted(&count, leases_max, start) => count,
            _ => {
                let leases =
                    tx.untracked(|tx| count_leases(tx, place.topology, &quota.scope, leases_max, now))?;
                let end = clock.monotonic();
                let pause = end.saturating_sub(start).saturating_mul(COUNT_PAUSE_FACTOR).max(COUNT_PAUSE);
                Count { leases, counted_at: end, next_at: end.saturating_add(pause) }
            }
        };
        let is_full = count.leases >= leases_max;
        if !is_full {
            count.leases += 1;
        }
        self.counts.lock().insert(quota.id, count);
        if is_full { Err(exceeded(place.path, "lease count")) } else { Ok(()) }
    }

    /// How many leases a quota was last known to have.
    pub(crate) fn leases_of(&self, quota: u64) -> u64 {
        self.counts.lock().get(&quota).map_or(0, |count| count.leases)
    }
}

fn is_trusted(count: &Count, leases_max: u64, now: Duration) -> bool {
    // Nothing subtracts the leases that ended: a full quota is counted again, but not all the time.
    let is_due = now >= count.next_at;
    let is_old = now.saturating_sub(count.counted_at) >= COUNT_AGE_MAX;
    !(is_due && (is_old || count.leases >= leases_max))
}

/// Counts what a lease quota covers, no further than to `leases_max`.
fn count_leases(
    tx: &mut Tx<'_>,
    topology: &Topology,
    scope: &Scope,
    leases_max: u64,
    now: Timestamp,
) -> Result<u64, Error> {
    let limit = usize::try_from(leases_max).unwrap_or(usize::MAX);
    let mut count = 0;
    for namespace in topology.namespaces().map(|namespace| namespace.id()) {
        let is_covered = scope.namespace.is_none_or(|own| {
            let place = Place { topology, namespace, mount: &scope.mount, path: "", role: &scope.role };
            own == namespace || Scope { below: String::new(), ..scope.clone() }.covers(&place).is_some()
        });
        if !is_covered {
            continue;
        }
        let folder = format!("{}{}", scope.mount, scope.below.trim_end_matches('*'));
        let folder = folder.trim_end_matches('/');
        let is_open_ended = scope.below.ends_with('*');
        count += leases::below(tx, namespace, folder, limit)?.len();
        tokens::entries_of(tx, namespace, &mut |_, entry| {
            let is_counted = entry.expires.is_some()
                && !entry.is_expired(now)
                && entry.path.strip_prefix(folder).is_some_and(|rest| {
                    is_open_ended || folder.is_empty() || rest.is_empty() || rest.starts_with('/')
                })
                && (scope.role.is_empty() || entry.role == scope.role);
            count += usize::from(is_counted);
            if count < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if count >= limit {
            break;
        }
    }
    Ok(count as u64)
}

impl Bucket {
    fn take(&mut self, rate: f64, interval: Duration, block: Duration, now: Duration) -> bool {
        if now < self.blocked_until {
            return false;
        }
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * rate / interval.as_secs_f64()).min(rate.max(1.0));
        self.at = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return true;
        }
        self.blocked_until = now.saturating_add(block);
        false
    }
}

/// The role that a login names.
fn role(request: &Request) -> &str {
    request.fields.value("role").and_then(|role| role.as_str()).unwrap_or_default()
}

/// Who a client is. One host often has a whole /64 of IPv6.
fn client_key(address: Option<IpAddr>) -> IpAddr {
    match address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)).to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

fn shard_of(client: &IpAddr) -> usize {
    let bytes = match client {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits() >> 64,
    };
    (bytes % SHARDS as u128) as usize
}

fn make_room(buckets: &mut HashMap<(u64, IpAddr), Bucket>, now: Duration, interval: Duration) {
    if buckets.len() < BUCKETS_MAX / SHARDS {
        return;
    }
    // After one whole interval a bucket is full again, and a full bucket need not be remembered.
    buckets.retain(|_, bucket| now < bucket.blocked_until || now.saturating_sub(bucket.at) < interval);
    if buckets.len() >= BUCKETS_MAX / SHARDS {
        let mut position = 0;
        buckets.retain(|_, _| {
            position += 1;
            position % 4 != 0
        });
    }
}

fn exceeded(path: &str, what: &str) -> Error {
    Error::new(ErrorKind::RateLimited, format!("request path {path:?}: {what} quota exceeded"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_fills_with_time_and_blocks_when_asked_to() {
        let (interval, block) = (Duration::from_secs(10), Duration::from_secs(60));
        let at = Duration::from_secs;
        let mut bucket = Bucket { tokens: 2.0, at: at(0), blocked_until: at(0) };
        assert!(bucket.take(2.0, interval, Duration::ZERO, at(1)));
        assert!(bucket.take(2.0, interval, Duration::ZERO, at(1)));
        assert!(!bucket.take(2.0, interval, Duration::ZERO, at(1)));
        assert!(bucket.take(2.0, interval, Duration::ZERO, at(6)));
        assert!(!bucket.take(2.0, interval, block, at(7)));
        assert!(!bucket.take(2.0, interval, block, at(60)));
        assert!(bucket.take(2.0, interval, block, at(67)));
    }

    #[test]
    fn clients_beyond_the_bound_are_forgotten() {
        let mut buckets = HashMap::new();
        for number in 0..(BUCKETS_MAX as u32) {
            make_room(&mut buckets, Duration::from_secs(5), Duration::from_secs(10));
            let bucket = Bucket { tokens: 0.0, at: Duration::from_secs(5), blocked_until: Duration::ZERO };
            buckets.insert((1, IpAddr::V4(number.into())), bucket);
        }
        assert!(buckets.len() <= BUCKETS_MAX / SHARDS);
    }
}
