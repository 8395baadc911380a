//! `sign/` and `issue/`: certificates.

use super::authority::{self, key_kind, unusable};
use super::principals;
use super::roles::{self, KeyType, Role, words_of};
use crate::answer::object;
use crate::pem;
use serde_json::{Map, Value, json};
use std::time::Duration;
use strongroom_crypto::keypair::PrivateKey;
use strongroom_crypto::ssh::{
    RsaSignature, SshCertificate, SshCertificateKind, SshKeyKind, SshPublicKey, certificate, private_text,
};
use strongroom_kernel::{Call, Error, Response};
use strongroom_secret::{SecretString, Timestamp, format_duration};

const RSA_BITS: u64 = 2048;
/// Shorter RSA keys are signed only where the role lists their length.
const RSA_BITS_MIN: u32 = 2048;
const KEY_ID_BYTES_MAX: usize = 1024;
/// Of options and extensions together, as many names as nobody has.
const OPTIONS_MAX: usize = 64;

pub(super) fn sign(call: &mut Call<'_>) -> Result<Response, Error> {
    let role = certificate_role(call)?;
    let text = call.fields().required_text("public_key")?;
    let key = SshPublicKey::parse(&text)
        .map_err(|error| Error::invalid(format!("failed to parse public_key as SSH key: {error}")))?;
    let made = make(call, &role, &key)?;
    Ok(with_warnings(
        object(json!({ "serial_number": made.serial, "signed_key": made.signed_key })),
        made.warnings,
    ))
}

pub(super) fn issue(call: &mut Call<'_>) -> Result<Response, Error> {
    let role = certificate_role(call)?;
    let kind = call.fields().text("key_type")?.filter(|kind| !kind.is_empty());
    let bits = call.fields().count("key_bits")?.unwrap_or_default();
    let kind = key_kind(kind.as_deref().unwrap_or("rsa"), bits, RSA_BITS)?;
    let private = PrivateKey::generate(kind, call.entropy())
        .map_err(|error| Error::internal(format!("a key for issue: {error}")))?;
    let key = SshPublicKey::of(&private).map_err(unusable)?;
    let made = make(call, &role, &key)?;
    let private = private_text(&private, |label, der| SecretString::from(pem::encode(label, der)))
        .map_err(|error| Error::internal(error.to_string()))?;
    let answer = object(json!({
        "serial_number": made.serial,
        "signed_key": made.signed_key,
        "private_key": private.text.expose(),
        "private_key_type": private.kind,
    }));
    Ok(with_warnings(answer, made.warnings))
}

fn with_warnings(response: Response, warnings: Vec<String>) -> Response {
    warnings.into_iter().fold(response, Response::with_warning)
}

fn certificate_role(call: &mut Call<'_>) -> Result<Role, Error> {
    let role = roles::required(call)?;
    match role.key_type {
        KeyType::Ca => Ok(role),
        KeyType::Otp => Err(Error::invalid("role key type 'otp' not allowed to sign")),
    }
}

struct Made {
    /// In hexadecimal digits, as Vault says it.
    serial: String,
    signed_key: String,
    warnings: Vec<String>,
}

/// Signs what the request asks for, as far as the role allows it.
fn make(call: &mut Call<'_>, role: &Role, key: &SshPublicKey) -> Result<Made, Error> {
    check_key(role, key)?;
    let kind = match call.fields().text("cert_type")?.as_deref() {
        None | Some("" | "user") => SshCertificateKind::User,
        Some("host") => SshCertificateKind::Host,
        Some(_) => return Err(Error::invalid("cert_type must be user or host")),
    };
    match kind {
        SshCertificateKind::User if !role.allow_user_certificates => {
            return Err(Error::invalid("cert_type 'user' is not allowed by role"));
        }
        SshCertificateKind::Host if !role.allow_host_certificates => {
            return Err(Error::invalid("cert_type 'host' is not allowed by role"));
        }
        _ => {}
    }
    let principals = principals::of_request(call, role, kind)?;
    let key_id = key_id(call, role, key)?;
    let mut warnings = Vec::new();
    let critical_options = critical_options(call, role)?;
    let extensions = extensions(call, role, &mut warnings)?;
    let ttl = ttl(call, role)?;
    let now = Timestamp::from_seconds(call.now.seconds());
    let mut serial = [0; 8];
    call.entropy().fill(&mut serial);
    let serial = u64::from_be_bytes(serial);
    let wanted = SshCertificate {
        key,
        kind,
        serial,
        key_id: &key_id,
        principals: &principals,
        valid_after: now.minus(Duration::from_secs(role.not_before_duration)),
        valid_before: now.plus(ttl),
        critical_options: &critical_options,
        extensions: &extensions,
    };
    let rsa = match role.algorithm_signer.as_str() {
        "rsa-sha2-512" => RsaSignature::Sha512,
        _ => RsaSignature::Sha256,
    };
    let authority = authority::signing_key(call)?;
    let signed_key = certificate(&wanted, &authority, rsa, call.entropy()).map_err(unusable)? + "\n";
    Ok(Made { serial: format!("{serial:x}"), signed_key, warnings })
}

/// The family of a kind's name in `allowed_user_key_lengths`, and its length where the name says it.
pub(super) fn family(name: &str) -> Option<(&'static str, Option<u32>)> {
    Some(match name {
        "rsa" | "ssh-rsa" => ("rsa", None),
        "ec" | "ecdsa" => ("ecdsa", None),
        "ecdsa-sha2-nistp256" => ("ecdsa", Some(256)),
        "ecdsa-sha2-nistp384" => ("ecdsa", Some(384)),
        "ecdsa-sha2-nistp521" => ("ecdsa", Some(521)),
        "ed25519" | "ssh-ed25519" => ("ed25519", None),
        "ecdsa-sk" | "sk-ecdsa-sha2-nistp256@openssh.com" => ("ecdsa-sk", None),
        "ed25519-sk" | "sk-ssh-ed25519@openssh.com" => ("ed25519-sk", None),
        _ => return None,
    })
}

fn check_key(role: &Role, key: &SshPublicKey) -> Result<(), Error> {
    let refused =
        |why: String| Error::invalid(format!("public_key failed to meet the key requirements: {why}"));
    let (own, bits) = match key.kind() {
        SshKeyKind::Rsa(bits) => ("rsa", bits),
        SshKeyKind::Ecdsa(bits) => ("ecdsa", bits),
        SshKeyKind::Ed25519 => ("ed25519", 0),
        SshKeyKind::SkEcdsa => ("ecdsa-sk", 0),
        SshKeyKind::SkEd25519 => ("ed25519-sk", 0),
        SshKeyKind::Dsa | SshKeyKind::Other => {
            return Err(refused("keys of this kind are not secure, or not known".to_owned()));
        }
    };
    if role.allowed_user_key_lengths.is_empty() {
        return match own {
            "rsa" if bits < RSA_BITS_MIN => Err(refused(format!(
                "RSA keys of {bits} bits are not secure: list the length in allowed_user_key_lengths to sign them"
            ))),
            _ => Ok(()),
        };
    }
    let mut is_listed = false;
    for (name, lengths) in &role.allowed_user_key_lengths {
        let Some((listed, named_bits)) = family(name) else { continue };
        if listed != own || named_bits.is_some_and(|named| named != bits) {
            continue;
        }
        is_listed = true;
        // Ed25519 has one length; 0 stands for any.
        if bits == 0 || named_bits.is_some() || lengths.contains(&bits) || lengths.contains(&0) {
            return Ok(());
        }
    }
    Err(refused(match is_listed {
        true => format!("key is of an invalid size: {bits}"),
        false => format!("key of type {} is not allowed", key.algorithm()),
    }))
}

fn key_id(call: &Call<'_>, role: &Role, key: &SshPublicKey) -> Result<String, Error> {
    let wished = call.fields().text("key_id")?.filter(|id| !id.is_empty());
    let id = match wished {
        Some(_) if !role.allow_user_key_ids => {
            return Err(Error::invalid("setting key_id is not allowed by role"));
        }
        Some(id) => id,
        None => {
            let display_name = call.caller.as_ref().map_or("", |caller| caller.token.display_name.as_str());
            let format = match (role.key_id_format.as_str(), display_name) {
                ("", "") => "vault-{{public_key_hash}}",
                ("", _) => "vault-{{token_display_name}}-{{public_key_hash}}",
                (format, _) => format,
            };
            format
                .replace("{{public_key_hash}}", &hex::encode(key.sha256()))
                .replace("{{role_name}}", call.capture("role"))
                .replace("{{token_display_name}}", display_name)
        }
    };
    // Hosts write it into their logs.
    if id.len() > KEY_ID_BYTES_MAX || id.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "the key id has control characters, or more than {KEY_ID_BYTES_MAX} bytes"
        )));
    }
    Ok(id)
}

type Options = Vec<(String, String)>;

fn options(map: &Map<String, Value>) -> Result<Options, Error> {
    if map.len() > OPTIONS_MAX {
        return Err(Error::invalid(format!("more than {OPTIONS_MAX} options or extensions")));
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(map.iter().map(|(name, value)| (name.clone(), text(value))).collect())
}

fn refused_names<'o>(wanted: &'o Options, allowed: &str) -> Vec<&'o str> {
    let allowed: Vec<_> = words_of(allowed).collect();
    wanted.iter().map(|(name, _)| name.as_str()).filter(|name| !allowed.contains(name)).collect()
}

fn critical_options(call: &Call<'_>, role: &Role) -> Result<Options, Error> {
    let wanted = call.fields().text_map("critical_options")?.unwrap_or_default();
    if wanted.is_empty() {
        return options(&role.default_critical_options);
    }
    let wanted = options(&wanted)?;
    let refused = refused_names(&wanted, &role.allowed_critical_options);
    match role.allowed_critical_options.is_empty() || refused.is_empty() {
        true => Ok(wanted),
        false => Err(Error::invalid(format!("critical options not on allowed list: {refused:?}"))),
    }
}

fn extensions(call: &Call<'_>, role: &Role, warnings: &mut Vec<String>) -> Result<Options, Error> {
    let wanted = call.fields().text_map("extensions")?.unwrap_or_default();
    if wanted.is_empty() {
        let mut given = Vec::new();
        for (name, value) in options(&role.default_extensions)? {
            let has_no_value = value.is_empty();
            match principals::filled(call, &value, role.default_extensions_template) {
                Some(value) => given.push((name, value)),
                None if has_no_value => given.push((name, value)),
                None => warnings.push(format!(
                    "the extension {name} is left out: the caller has no identity that its template could name"
                )),
            }
        }
        return Ok(given);
    }
    let wanted = options(&wanted)?;
    let refused = refused_names(&wanted, &role.allowed_extensions);
    match role.allowed_extensions == "*" || refused.is_empty() {
        true => Ok(wanted),
        false => Err(Error::invalid(format!("extensions not on allowed list: {refused:?}"))),
    }
}

/// How long the certificate counts: the request's wish, the role's, or the mount's; never longer than the maximum.
fn ttl(call: &Call<'_>, role: &Role) -> Result<Duration, Error> {
    let or = |own: Duration, other: Duration| if own.is_zero() { other } else { own };
    let (config, server) = (&call.mount.record.config, call.kernel.settings());
    let mount_max = or(config.max_lease_ttl, server.max_lease_ttl);
    let default = or(config.default_lease_ttl, server.default_lease_ttl);
    let max = or(Duration::from_secs(role.max_ttl), mount_max).min(mount_max);
    let wished = call.fields().duration("ttl")?.filter(|ttl| !ttl.is_zero());
    match wished {
        Some(ttl) if ttl > max => {
            Err(Error::invalid(format!("ttl is larger than maximum allowed {}", format_duration(max))))
        }
        Some(ttl) => Ok(ttl),
        None => Ok(or(Duration::from_secs(role.ttl), default).min(max)),
    }
}
