//! What keys may be used for, by the names that Go gives the usages.

use super::roles::Role;
use strongroom_crypto::x509::Purposes;
use strongroom_kernel::Error;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::flagset::FlagSet;
use x509_cert::ext::pkix::KeyUsages;

const USAGES: [(&str, KeyUsages); 9] = [
    ("digitalsignature", KeyUsages::DigitalSignature),
    ("contentcommitment", KeyUsages::NonRepudiation),
    ("keyencipherment", KeyUsages::KeyEncipherment),
    ("dataencipherment", KeyUsages::DataEncipherment),
    ("keyagreement", KeyUsages::KeyAgreement),
    ("certsign", KeyUsages::KeyCertSign),
    ("crlsign", KeyUsages::CRLSign),
    ("encipheronly", KeyUsages::EncipherOnly),
    ("decipheronly", KeyUsages::DecipherOnly),
];

const SERVER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
const CODE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
const EMAIL: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.4");

const EXTENDED: [(&str, ObjectIdentifier); 14] = [
    ("any", ObjectIdentifier::new_unwrap("2.5.29.37.0")),
    ("serverauth", SERVER),
    ("clientauth", CLIENT),
    ("codesigning", CODE),
    ("emailprotection", EMAIL),
    ("ipsecendsystem", ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.5")),
    ("ipsectunnel", ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.6")),
    ("ipsecuser", ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.7")),
    ("timestamping", ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8")),
    ("ocspsigning", ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.9")),
    ("microsoftservergatedcrypto", ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.10.3.3")),
    ("netscapeservergatedcrypto", ObjectIdentifier::new_unwrap("2.16.840.1.113730.4.1")),
    ("microsoftcommercialcodesigning", ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.22")),
    ("microsoftkernelcodesigning", ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.61.1.1")),
];

/// The extended usage of a server's key.
pub(super) fn for_servers() -> Vec<ObjectIdentifier> {
    vec![SERVER]
}

/// The purposes of certificates of a role.
pub(super) fn of_role(role: &Role) -> Result<Purposes, Error> {
    let flags = [
        (role.server_flag, SERVER),
        (role.client_flag, CLIENT),
        (role.code_signing_flag, CODE),
        (role.email_protection_flag, EMAIL),
    ];
    let mut extended: Vec<_> = flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, oid)| oid).collect();
    extended.extend(extended_usages(&role.ext_key_usage)?);
    extended.extend(oids(&role.ext_key_usage_oids)?);
    Ok(Purposes {
        key_usage: key_usages(&role.key_usage)?,
        extended: unique(extended),
        policies: oids(&policy_oids(&role.policy_identifiers))?,
        constraints: role.basic_constraints_valid_for_non_ca.then_some((false, None)),
        permitted_dns: Vec::new(),
    })
}

/// The purposes of an authority's certificate.
pub(super) fn of_authority(path_length: Option<u8>, permitted_dns: Vec<String>) -> Purposes {
    Purposes {
        key_usage: KeyUsages::KeyCertSign | KeyUsages::CRLSign,
        constraints: Some((true, path_length)),
        permitted_dns,
        ..Purposes::default()
    }
}

pub(super) fn key_usages(names: &[String]) -> Result<FlagSet<KeyUsages>, Error> {
    let mut usages = FlagSet::default();
    for name in names {
        let known = simplified(name);
        let usage = USAGES.iter().find(|(usage, _)| *usage == known);
        usages |= usage.ok_or_else(|| Error::invalid(format!("unknown key usage {name:?}")))?.1;
    }
    Ok(usages)
}

pub(super) fn extended_usages(names: &[String]) -> Result<Vec<ObjectIdentifier>, Error> {
    names
        .iter()
        .map(|name| {
            let known = simplified(name);
            let usage = EXTENDED.iter().find(|(usage, _)| *usage == known);
            usage
                .map(|(_, oid)| *oid)
                .ok_or_else(|| Error::invalid(format!("unknown extended key usage {name:?}")))
        })
        .collect()
}

fn simplified(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let lower = lower.strip_prefix("extkeyusage").unwrap_or(&lower);
    lower.strip_prefix("keyusage").unwrap_or(lower).to_owned()
}

pub(super) fn oids(texts: &[String]) -> Result<Vec<ObjectIdentifier>, Error> {
    texts
        .iter()
        .map(|text| text.parse().map_err(|_| Error::invalid(format!("{text:?} is not an object identifier"))))
        .collect()
}

/// Policies are given as identifiers, or as JSON objects that have one under `oid`.
fn policy_oids(texts: &[String]) -> Vec<String> {
    texts
        .iter()
        .map(|text| match serde_json::from_str::<serde_json::Value>(text) {
            Ok(value) => value.get("oid").and_then(|oid| oid.as_str()).unwrap_or(text).to_owned(),
            Err(_) => text.clone(),
        })
        .collect()
}

fn unique(oids: Vec<ObjectIdentifier>) -> Vec<ObjectIdentifier> {
    let mut kept: Vec<ObjectIdentifier> = Vec::new();
    for oid in oids {
        if !kept.contains(&oid) {
            kept.push(oid);
        }
    }
    kept
}
