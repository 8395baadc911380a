//! The `token_*` parameters of a role or a user, and the checks of addresses that go with them.

use crate::routing::field;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;
use strongroom_kernel::tokens::{TokenSettings, cidr};
use strongroom_kernel::{Call, Error, Field, FieldKind, Fields};

pub(crate) const TOKEN_TTL: Field = field("token_ttl", FieldKind::Duration, "How long tokens live at first.");
pub(crate) const TOKEN_MAX_TTL: Field =
    field("token_max_ttl", FieldKind::Duration, "How long tokens can live with renewals.");
pub(crate) const TOKEN_EXPLICIT_MAX_TTL: Field =
    field("token_explicit_max_ttl", FieldKind::Duration, "A hard end of tokens, whatever else is set.");
pub(crate) const TOKEN_PERIOD: Field =
    field("token_period", FieldKind::Duration, "Tokens can be renewed for ever, for this long each time.");
pub(crate) const TOKEN_NUM_USES: Field =
    field("token_num_uses", FieldKind::Integer, "How often a token may be used; 0 is without a limit.");
pub(crate) const TOKEN_POLICIES: Field = field("token_policies", FieldKind::List, "The policies of tokens.");
pub(crate) const TOKEN_NO_DEFAULT_POLICY: Field =
    field("token_no_default_policy", FieldKind::Boolean, "Tokens do not get the default policy.");
pub(crate) const TOKEN_BOUND_CIDRS: Field =
    field("token_bound_cidrs", FieldKind::List, "The networks that may log in and use the tokens.");
pub(crate) const TOKEN_STRICTLY_BIND_IP: Field =
    field("token_strictly_bind_ip", FieldKind::Boolean, "Tokens work from the address alone that logged in.");
pub(crate) const TOKEN_TYPE: Field =
    field("token_type", FieldKind::Text, "service, batch, or default: as the mount says.");

/// What a role or a user says of the tokens made for them, as it is stored.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct TokenParameters {
    pub settings: TokenSettings,
    pub strictly_bind_ip: bool,
}

impl TokenParameters {
    /// Takes over what the request names, under the names of today or of old clients.
    pub(crate) fn update(&mut self, fields: &Fields) -> Result<(), Error> {
        self.settings.update(fields)?;
        if self.settings.policies.iter().any(|policy| policy == "root") {
            return Err(Error::invalid("the policy root cannot be given to tokens of an auth method"));
        }
        if let Some(strictly) = fields.boolean("token_strictly_bind_ip")? {
            self.strictly_bind_ip = strictly;
        }
        Ok(())
    }

    /// Adds them to the answer of a role that is read.
    pub(crate) fn describe(&self, map: &mut Map<String, Value>) {
        self.settings.describe(map);
        map.insert("token_strictly_bind_ip".to_owned(), Value::Bool(self.strictly_bind_ip));
    }

    /// What the client should know of parameters that the mount's own limits will cut.
    pub(crate) fn warnings(&self, call: &Call<'_>) -> Vec<String> {
        let mount_max = ttl_max_of_mount(call);
        [("token_ttl", self.settings.ttl), ("token_max_ttl", self.settings.ttl_max)]
            .into_iter()
            .filter(|(_, ttl)| *ttl > mount_max)
            .map(|(name, _)| {
                let max = mount_max.as_secs();
                format!("{name} is greater than the mount's maximum of {max}s: tokens will end by that")
            })
            .collect()
    }

    /// The settings of a token for the client of this login.
    pub(crate) fn for_login(&self, call: &Call<'_>) -> TokenSettings {
        let mut settings = self.settings.clone();
        if self.strictly_bind_ip {
            settings.bound_cidrs = call.request.client.address.map(IpNet::from).into_iter().collect();
        }
        settings
    }
}

/// The longest that anything of this mount may live.
pub(crate) fn ttl_max_of_mount(call: &Call<'_>) -> Duration {
    let own = call.mount.record.config.max_lease_ttl;
    if own.is_zero() { call.kernel.settings().max_lease_ttl } else { own }
}

/// Whether the client's address is in one of the networks. No networks: any address will do.
pub(crate) fn is_within(call: &Call<'_>, networks: &[IpNet]) -> bool {
    let address = call.request.client.address.map(|address| address.to_canonical());
    networks.is_empty()
        || address.is_some_and(|address| networks.iter().any(|network| network.contains(&address)))
}

/// A list of networks or addresses under one name.
pub(crate) fn networks(fields: &Fields, name: &str) -> Result<Option<Vec<IpNet>>, Error> {
    fields.list(name)?.map(|texts| texts.iter().map(|text| cidr(text)).collect()).transpose()
}
