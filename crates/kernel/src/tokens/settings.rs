//! The `token_*` parameters that roles of all auth methods share, as requests name them.

use super::entry::{TokenKind, TokenSettings};
use crate::error::Error;
use crate::request::Fields;
use serde_json::{Map, Value, json};
use strongroom_secret::PolicyName;

impl TokenSettings {
    /// Takes over what the request names. The names without `token_` are those of old clients.
    /// Source: <https://developer.hashicorp.com/vault/api-docs/auth/token#parameters>
    pub fn update(&mut self, fields: &Fields) -> Result<(), Error> {
        let named = |name: &'static str| match name.strip_prefix("token_") {
            Some(old) if !fields.has(name) => old,
            _ => name,
        };
        if let Some(ttl) = fields.duration(named("token_ttl"))? {
            self.ttl = ttl;
        }
        if let Some(ttl) = fields.duration(named("token_max_ttl"))? {
            self.ttl_max = ttl;
        }
        if let Some(ttl) = fields.duration("token_explicit_max_ttl")? {
            self.explicit_ttl_max = ttl;
        }
        if let Some(period) = fields.duration(named("token_period"))? {
            self.period = period;
        }
        if let Some(uses) = fields.count(named("token_num_uses"))? {
            self.num_uses = uses;
        }
        if let Some(policies) = fields.list(named("token_policies"))? {
            self.policies = policy_names(&policies)?;
        }
        if let Some(without) = fields.boolean("token_no_default_policy")? {
            self.no_default_policy = without;
        }
        if let Some(nets) = fields.list(named("token_bound_cidrs"))? {
            self.bound_cidrs = nets.iter().map(|net| cidr(net)).collect::<Result<_, _>>()?;
        }
        if let Some(kind) = fields.text("token_type")? {
            self.kind = TokenKind::parse(&kind)
                .ok_or_else(|| Error::invalid(format!("invalid 'token_type' value {kind:?}")))?;
        }
        self.check()
    }

    fn check(&self) -> Result<(), Error> {
        if !self.ttl_max.is_zero() && self.ttl > self.ttl_max {
            return Err(Error::invalid("'token_ttl' cannot be greater than 'token_max_ttl'"));
        }
        if matches!(self.kind, TokenKind::Batch | TokenKind::DefaultBatch) {
            if !self.period.is_zero() {
                return Err(Error::invalid(
                    "'token_type' cannot be 'batch' when set to generate periodic tokens",
                ));
            }
            if self.num_uses != 0 {
                return Err(Error::invalid(
                    "'token_type' cannot be 'batch' when set to generate tokens with limited use count",
                ));
            }
        }
        Ok(())
    }

    /// Adds them to the answer of a role that is read.
    pub fn describe(&self, map: &mut Map<String, Value>) {
        let nets: Vec<String> = self.bound_cidrs.iter().map(|net| cidr_text(*net)).collect();
        for (name, value) in [
            ("token_bound_cidrs", json!(nets)),
            ("token_explicit_max_ttl", json!(self.explicit_ttl_max.as_secs())),
            ("token_max_ttl", json!(self.ttl_max.as_secs())),
            ("token_no_default_policy", json!(self.no_default_policy)),
            ("token_num_uses", json!(self.num_uses)),
            ("token_period", json!(self.period.as_secs())),
            ("token_policies", json!(self.policies)),
            ("token_ttl", json!(self.ttl.as_secs())),
            ("token_type", json!(self.kind.as_str())),
        ] {
            map.insert(name.to_owned(), value);
        }
    }
}

/// Clean policy names: lower case, sorted, each once.
pub(crate) fn policy_names(names: &[String]) -> Result<Vec<String>, Error> {
    let mut policies = names
        .iter()
        .filter(|name| !name.trim().is_empty())
        .map(|name| PolicyName::parse(name).map(String::from))
        .collect::<Result<Vec<_>, _>>()?;
    policies.sort_unstable();
    policies.dedup();
    Ok(policies)
}

/// A network, or one address.
pub fn cidr(text: &str) -> Result<ipnet::IpNet, Error> {
    let text = text.trim();
    text.parse().or_else(|_| text.parse::<std::net::IpAddr>().map(ipnet::IpNet::from)).map_err(|_| {
        Error::invalid(format!("{text:?} is neither an IP address nor a network in CIDR notation"))
    })
}

/// A network as Vault writes it: a single address without its length.
pub fn cidr_text(net: ipnet::IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}
