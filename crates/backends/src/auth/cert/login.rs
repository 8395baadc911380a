//! Logging in with the connection's certificate. That its holder has the key was proven in the handshake.

use super::presented::Presented;
use super::role::Role;
use super::{chain, config, crls};
use crate::auth::glob;
use crate::auth::roles;
use crate::auth::token_parameters::is_within;
use serde_json::{Map, Value, json};
use strongroom_crypto::hash::sha256;
use strongroom_crypto::x509::ReadCertificate;
use strongroom_kernel::tokens::TokenEntry;
use strongroom_kernel::{Call, Error, LoginGrant, Response};

pub(super) fn login(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.fields().text("name")?.filter(|name| !name.is_empty());
    let (presented, role) = trusted(call, name.as_deref())?;
    if !is_within(call, &role.parameters.settings.bound_cidrs) {
        return Err(Error::denied().with_detail("the client's address is outside the role's bound CIDRs"));
    }
    let grant = grant(call, &presented, &role)?;
    Ok(Response { login: Some(Box::new(grant)), ..Response::default() })
}

/// The connection's certificate and the role by which it is trusted.
fn trusted(call: &mut Call<'_>, name: Option<&str>) -> Result<(Presented, Role), Error> {
    let request = call.request;
    let Some((leaf, others)) = request.client.certificates.split_first() else {
        return Err(Error::invalid("client certificate must be supplied"));
    };
    let presented =
        Presented::from_der(leaf).ok_or_else(|| Error::invalid("the client certificate cannot be read"))?;
    let roles = match name {
        Some(name) => roles::load::<Role>(call, name)?.into_iter().collect(),
        None => roles::all::<Role>(call)?,
    };
    let lists = crls::all(call)?;
    let mut is_known = false;
    for role in roles {
        let Some(path) = chain::trusted_by(&role.certificates(), &presented.read, others, call.now) else {
            continue;
        };
        is_known = true;
        let is_revoked = |certificate: &ReadCertificate| lists.iter().any(|list| list.revokes(certificate));
        if fits(&presented, &role) && !path.iter().any(is_revoked) {
            return Ok((presented, role));
        }
    }
    Err(Error::invalid(if is_known {
        "no chain matching all constraints could be found for this login certificate"
    } else {
        "invalid certificate or no client certificate supplied"
    }))
}

fn fits(presented: &Presented, role: &Role) -> bool {
    let names = &presented.names;
    let common_name = std::slice::from_ref(&presented.common_name);
    let any_name: Vec<String> = common_name.iter().chain(&names.dns).chain(&names.emails).cloned().collect();
    [
        (&role.allowed_names, any_name.as_slice()),
        (&role.allowed_common_names, common_name),
        (&role.allowed_dns_sans, names.dns.as_slice()),
        (&role.allowed_email_sans, names.emails.as_slice()),
        (&role.allowed_uri_sans, names.uris.as_slice()),
        (&role.allowed_organizational_units, presented.organizational_units.as_slice()),
    ]
    .into_iter()
    .all(|(allowed, found)| {
        allowed.is_empty()
            || allowed.iter().any(|pattern| found.iter().any(|name| glob::matches(pattern, name)))
    }) && role.required_extensions.iter().all(|required| presented.has_extension(required))
}

fn grant(call: &mut Call<'_>, presented: &Presented, role: &Role) -> Result<LoginGrant, Error> {
    let mut metadata = Map::from_iter([
        ("cert_name".to_owned(), json!(role.name)),
        ("common_name".to_owned(), json!(presented.common_name)),
        ("serial_number".to_owned(), json!(presented.serial())),
        ("subject_key_id".to_owned(), json!(presented.subject_key_id)),
        ("authority_key_id".to_owned(), json!(presented.authority_key_id)),
    ]);
    for oid in &role.allowed_metadata_extensions {
        if let Some(text) = presented.extension_text(oid) {
            metadata.insert(oid.replace('.', "-"), json!(text));
        }
    }
    let is_shared = config::load(call)?.enable_identity_alias_metadata;
    Ok(LoginGrant {
        display_name: role.display_name.clone(),
        alias: presented.common_name.clone(),
        alias_metadata: if is_shared { metadata.clone() } else { Map::new() },
        metadata,
        token: role.parameters.for_login(call),
        renewable: true,
        internal: json!({ "role": role.name, "certificate": hex::encode(sha256(presented.read.der())) }),
        role: Some(role.name.clone()),
        ..LoginGrant::default()
    })
}

/// The role must still trust the certificate, and the connection be that of its holder, unless the mount is not so strict.
pub(super) fn renew(call: &mut Call<'_>, entry: &TokenEntry) -> Result<LoginGrant, Error> {
    let text = |name: &str| entry.internal.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let name = text("role");
    if config::load(call)?.disable_binding {
        let role = roles::load::<Role>(call, &name)?
            .ok_or_else(|| Error::invalid(format!("role {name:?} does not exist during renewal")))?;
        return Ok(LoginGrant {
            token: role.parameters.for_login(call),
            metadata: entry.metadata.clone(),
            renewable: true,
            internal: entry.internal.clone(),
            ..LoginGrant::default()
        });
    }
    let (presented, role) = trusted(call, Some(&name))?;
    if hex::encode(sha256(presented.read.der())) != text("certificate") {
        return Err(Error::invalid(
            "client identity during renewal not matching client identity used during login",
        ));
    }
    grant(call, &presented, &role)
}
