//! What a client does next.

use super::World;
use super::act::{Act, Change, Deed, Kv};
use super::model::{Life, NAMESPACES, SECRETS};

/// Clients that are kept busy.
const CLIENTS_MAX: usize = 40;

impl World {
    pub(super) fn choose(&mut self) -> Act {
        match self.below(100) {
            0..60 => self.choose_sensible_kv(),
            60..84 => self.choose_token_deed(),
            84..88 => self.choose_login(),
            88..92 => self.choose_unwrap(),
            92..96 => self.choose_policy_change(),
            _ => self.choose_mount_change(),
        }
    }

    /// A token: often a living one, seldom root, sometimes one that is long dead.
    fn client(&mut self) -> usize {
        let now = self.now();
        let made = self.model.tokens.len();
        if self.clients.len() < CLIENTS_MAX && made > 1 {
            // The newest tokens come in first.
            let newest = made - 1 - self.below((made - 1).min(60));
            let is_wrapping = self.model.tokens[newest].wrapped.is_some();
            if !self.clients.contains(&newest) && (!is_wrapping || self.one_in(20)) {
                self.clients.push(newest);
            }
        }
        match self.below(20) {
            0..3 => 0,
            3 if made > 1 => self.below(made),
            4 if made > 1 => made - 1 - self.below(made.min(20)),
            _ if self.clients.is_empty() => 0,
            _ => {
                let at = self.below(self.clients.len());
                let client = self.clients[at];
                if self.model.life(client, now) == Life::Dead {
                    self.clients.swap_remove(at);
                }
                client
            }
        }
    }

    /// Where a client makes a request: mostly at home.
    fn place(&self, client: usize) -> usize {
        let token = &self.model.tokens[client];
        if token.is_root || self.one_in(8) { self.below(NAMESPACES.len()) } else { token.namespace }
    }

    /// Mostly something that is permitted: a server that only refuses is not tested.
    fn choose_sensible_kv(&mut self) -> Act {
        let mut act = self.choose_kv();
        for _ in 0..6 {
            if self.one_in(8)
                || self.model.expect(&act, self.now()).allowed.is_some_and(|status| status < 300)
            {
                break;
            }
            act = self.choose_kv();
        }
        act
    }

    fn choose_kv(&mut self) -> Act {
        let client = self.client();
        let namespace = self.place(client);
        let slot = [0, 0, 0, 0, 1, 1, 2, 3][self.below(8)];
        let mount = self.model.mounts.get(&(namespace, slot)).copied();
        let store = mount.and_then(|mount| self.model.stores.get(&mount));
        let is_v2 = store.is_none_or(|store| store.is_v2);
        // A few names are busier than others, so that requests meet.
        let secret = self.below(SECRETS).min(self.below(SECRETS)).min(self.below(SECRETS));
        let current = store.map_or(0, |store| store.current(secret));
        let version = |world: &Self| {
            let newest = usize::try_from(current).unwrap_or(0);
            newest.saturating_sub(world.below(12)).max(1) as u64
        };
        self.values_made += 1;
        let value = self.values_made;
        let kv = match self.below(20) {
            0..7 => {
                let cas = match self.below(4) {
                    0 | 1 => Some(current),
                    2 => Some(self.below(4) as u64),
                    _ => None,
                };
                Kv::Put { secret, cas: cas.filter(|_| is_v2), value }
            }
            7..13 => {
                let version = if self.one_in(3) { version(self) } else { 0 };
                Kv::Get { secret, version: if is_v2 { version } else { 0 }, is_wrapped: self.one_in(8) }
            }
            13..15 => Kv::List,
            15 => Kv::Delete { secret },
            _ if !is_v2 => Kv::Delete { secret },
            16..19 => {
                let change = [Change::Delete, Change::Undelete, Change::Destroy][self.below(3)];
                let versions = (0..=self.below(2)).map(|_| version(self)).collect();
                Kv::Change { secret, versions, change }
            }
            _ => Kv::Remove { secret },
        };
        Act { caller: Some(client), namespace, deed: Deed::Kv { slot, mount, is_v2, kv } }
    }

    fn choose_token_deed(&mut self) -> Act {
        let client = self.client();
        let mut namespace = self.place(client);
        let mut caller = client;
        let deed = match self.below(20) {
            0..8 => {
                if self.one_in(2) {
                    caller = 0;
                }
                let uses = if self.one_in(4) { self.below(4) as u64 + 1 } else { 0 };
                Deed::Create {
                    ttl_seconds: [20, 60, 600, 3600, 86_400][self.below(5)],
                    uses,
                    is_batch: uses == 0 && self.one_in(6),
                    policies: (0..4).filter(|_| self.one_in(2)).collect(),
                }
            }
            8..14 => Deed::LookupSelf,
            14..16 if client != 0 => Deed::RenewSelf,
            16 if client != 0 => Deed::RevokeSelf,
            17..19 => {
                let target = self.parent_to_be().unwrap_or_else(|| self.client());
                let is_plain =
                    target != 0 && !self.model.tokens[target].is_batch && !self.model.tokens[target].is_root;
                if !is_plain {
                    Deed::LookupSelf
                } else {
                    caller = 0;
                    namespace = self.model.tokens[target].namespace;
                    if self.one_in(3) { Deed::RevokeOrphan(target) } else { Deed::Revoke(target) }
                }
            }
            _ => Deed::LookupSelf,
        };
        Act { caller: Some(caller), namespace, deed }
    }

    /// Often the holder of a token who is just making another: the child must not outlive it.
    fn parent_to_be(&self) -> Option<usize> {
        let making = |act: &Act| act.caller.filter(|_| matches!(act.deed, Deed::Create { .. }));
        let found = self.flights.iter().find_map(|flight| making(&flight.act).filter(|caller| *caller != 0));
        found.filter(|_| self.one_in(2))
    }

    fn choose_login(&mut self) -> Act {
        let made = self.model.secret_ids.len();
        if made == 0 || self.one_in(3) {
            let uses = self.below(3) as u64 + 1;
            let namespace = self.below(NAMESPACES.len());
            return Act { caller: Some(0), namespace, deed: Deed::MakeSecretId { uses } };
        }
        let secret_id = made - 1 - self.below(made.min(5));
        let namespace = self.model.secret_ids[secret_id].namespace;
        Act { caller: None, namespace, deed: Deed::Login(secret_id) }
    }

    fn choose_unwrap(&mut self) -> Act {
        let newest = self.model.tokens.len().saturating_sub(60);
        let wrapping: Vec<usize> = (newest..self.model.tokens.len())
            .filter(|token| self.model.tokens[*token].wrapped.is_some())
            .collect();
        if wrapping.is_empty() {
            return self.choose_kv();
        }
        let token = wrapping[self.below(wrapping.len())];
        Act { caller: Some(token), namespace: self.model.tokens[token].namespace, deed: Deed::Unwrap(token) }
    }

    fn choose_policy_change(&mut self) -> Act {
        let caller = if self.one_in(8) { self.client() } else { 0 };
        let name = self.below(4);
        let deed = if self.one_in(3) {
            Deed::DeletePolicy { name }
        } else {
            Deed::WritePolicy { name, variant: self.below(5) }
        };
        Act { caller: Some(caller), namespace: self.place(caller), deed }
    }

    fn choose_mount_change(&mut self) -> Act {
        let caller = if self.one_in(8) { self.client() } else { 0 };
        let slot = 2 + self.below(2);
        let deed = match self.below(4) {
            0 | 1 => Deed::Enable { slot, is_v2: self.one_in(2) },
            2 => Deed::Disable { slot },
            _ => Deed::Move { from: slot, to: 5 - slot },
        };
        Act { caller: Some(caller), namespace: self.place(caller), deed }
    }

    /// Reads of everything that there is.
    pub(super) fn final_reads(&self) -> Vec<Act> {
        let mut acts = Vec::new();
        for ((namespace, slot), mount) in &self.model.mounts {
            let is_v2 = self.model.stores[mount].is_v2;
            let gets = (0..SECRETS)
                .flat_map(|secret| (0..12).map(move |version| (secret, version)))
                .filter(|(_, version)| is_v2 || *version == 0)
                .map(|(secret, version)| Kv::Get { secret, version, is_wrapped: false });
            for kv in gets.chain([Kv::List]) {
                let deed = Deed::Kv { slot: *slot, mount: Some(*mount), is_v2, kv };
                acts.push(Act { caller: Some(0), namespace: *namespace, deed });
            }
        }
        acts
    }
}
