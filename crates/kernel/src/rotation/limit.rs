//! How many values that do not fit somebody may present. Those that fit are not counted: a service that checks keys is
//! limited by quotas alone, and somebody who guesses by this.

use super::plan::Place;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
/// Clients remembered. Beyond it, those that are not at their limit are forgotten, then all.
const CLIENTS_MAX: usize = 16_384;

/// Failures in the present minute of each path and client.
#[derive(Default)]
pub(crate) struct Failures(Mutex<HashMap<(Place, Option<IpAddr>), (Duration, u32)>>);

impl Failures {
    /// How long the client has to wait, if it is at its limit.
    pub(crate) fn wait(
        &self,
        place: &Place,
        client: Option<IpAddr>,
        limit: u32,
        now: Duration,
    ) -> Option<Duration> {
        let failures = self.0.lock();
        let (start, count) = failures.get(&(place.clone(), network(client)))?;
        let left = (*start + MINUTE).saturating_sub(now);
        (limit > 0 && *count >= limit && !left.is_zero()).then_some(left)
    }

    pub(crate) fn count(&self, place: &Place, client: Option<IpAddr>, limit: u32, now: Duration) {
        let mut failures = self.0.lock();
        if failures.len() >= CLIENTS_MAX {
            failures.retain(|_, (start, count)| *count >= limit && *start + MINUTE > now);
            if failures.len() >= CLIENTS_MAX {
                failures.clear();
            }
        }
        let (start, count) = failures.entry((place.clone(), network(client))).or_insert((now, 0));
        if *start + MINUTE <= now {
            (*start, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
    }
}

/// Of IPv6 a client has a network of 64 bits.
fn network(client: Option<IpAddr>) -> Option<IpAddr> {
    match client {
        Some(IpAddr::V6(address)) => Some(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64))),
        other => other,
    }
}
