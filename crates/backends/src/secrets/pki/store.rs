//! What the engine stores: keys, issuers, certificates, and what is known of each.

use super::settings::Urls;
use crate::secret_serde;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use strongroom_crypto::keypair::{KeyKind, PrivateKey};
use strongroom_crypto::token::uuid_v4;
use strongroom_crypto::x509::{Issuer, ReadCertificate, SignatureScheme, X509Error};
use strongroom_kernel::{Call, Error, ErrorKind, Key, Record, Table};
use strongroom_secret::{SecretBytes, Timestamp};

pub(super) const SETTINGS: Table = Table(1);
const KEYS: Table = Table(2);
const ISSUERS: Table = Table(3);
pub(super) const ROLES: Table = Table(4);
/// By serial number; the row is the certificate.
const CERTIFICATES: Table = Table(5);
/// By serial number.
const REVOKED: Table = Table(6);
/// By issuer.
pub(super) const LISTS: Table = Table(7);

/// The reference to whatever is configured as the default.
pub(super) const DEFAULT: &str = "default";
/// Stands before a stored certificate.
const FORMAT: u8 = 1;
/// Parsed keys that a mount keeps in memory.
const READY_MAX: usize = 256;

/// A private key.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeyRecord {
    pub id: String,
    #[serde(default)]
    pub name: String,
    #[serde(with = "secret_serde")]
    pkcs8: SecretBytes,
    /// SubjectPublicKeyInfo in hex: what an issuer's certificate is matched by.
    pub spki: String,
}

impl Record for KeyRecord {}

/// An authority: a certificate, and perhaps its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct IssuerRecord {
    pub id: String,
    #[serde(default)]
    pub name: String,
    /// Empty where the key is elsewhere.
    #[serde(default)]
    pub key_id: String,
    #[serde(with = "hex")]
    pub der: Vec<u8>,
    pub usage: Usage,
    #[serde(default)]
    pub leaf_not_after: LeafNotAfter,
    /// Ids of the issuers above, its own first.
    #[serde(default)]
    pub chain: Vec<String>,
    #[serde(default)]
    pub manual_chain: Vec<String>,
    /// Its own, in place of the mount's.
    #[serde(default)]
    pub urls: Option<Urls>,
    /// As Go names it; empty for what fits the key.
    #[serde(default)]
    pub revocation_scheme: String,
    #[serde(default)]
    pub revoked: Option<Timestamp>,
}

impl Record for IssuerRecord {}

/// What an issuer may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Usage {
    pub issuing: bool,
    pub crl_signing: bool,
    pub ocsp_signing: bool,
}

impl Usage {
    pub(super) const ALL: Self = Self { issuing: true, crl_signing: true, ocsp_signing: true };

    /// From Vault's words; `read-only` is always meant.
    pub(super) fn parse(words: &[String]) -> Result<Self, Error> {
        let mut usage = Self { issuing: false, crl_signing: false, ocsp_signing: false };
        for word in words {
            match word.as_str() {
                "read-only" => {}
                "issuing-certificates" => usage.issuing = true,
                "crl-signing" => usage.crl_signing = true,
                "ocsp-signing" => usage.ocsp_signing = true,
                _ => {
                    return Err(Error::invalid(
                        "usage is made of read-only, issuing-certificates, crl-signing and ocsp-signing",
                    ));
                }
            }
        }
        Ok(usage)
    }

    pub(super) fn words(self) -> String {
        let all = [
            (self.crl_signing, "crl-signing"),
            (self.issuing, "issuing-certificates"),
            (self.ocsp_signing, "ocsp-signing"),
            (true, "read-only"),
        ];
        let words: Vec<_> = all.into_iter().filter(|(has, _)| *has).map(|(_, word)| word).collect();
        words.join(",")
    }
}

/// What becomes of a certificate that would outlive its issuer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum LeafNotAfter {
    #[default]
    Err,
    Truncate,
    Permit,
}

impl LeafNotAfter {
    pub(super) fn parse(word: &str) -> Result<Self, Error> {
        match word {
            "err" => Ok(Self::Err),
            "truncate" => Ok(Self::Truncate),
            "permit" | "always_enforce_err" => Ok(Self::Permit),
            _ => Err(Error::invalid("leaf_not_after_behavior must be err, truncate or permit")),
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Err => "err",
            Self::Truncate => "truncate",
            Self::Permit => "permit",
        }
    }
}

/// What is known of a revoked certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RevokedRecord {
    #[serde(with = "hex")]
    pub serial: Vec<u8>,
    pub at: Timestamp,
    pub expires: Timestamp,
    /// The issuer's id; empty where it is no longer known.
    pub issuer: String,
}

impl Record for RevokedRecord {}

/// Parsed private keys by id. The key of an id never changes.
#[derive(Default)]
pub(crate) struct Memory(RwLock<HashMap<String, Arc<PrivateKey>>>);

/// An authority ready to sign.
pub(super) struct Authority {
    pub record: IssuerRecord,
    pub certificate: ReadCertificate,
    key: Arc<PrivateKey>,
}

impl Authority {
    /// With the hash of `signature_bits`, 0 for what fits.
    pub(super) fn issuer(&self, signature_bits: u32, pss: bool) -> Result<Issuer<'_>, Error> {
        let scheme = SignatureScheme::for_key(self.key.kind(), signature_bits, pss).map_err(unusable)?;
        Ok(self.issuer_with(scheme))
    }

    fn issuer_with(&self, scheme: SignatureScheme) -> Issuer<'_> {
        Issuer {
            name: self.certificate.subject().clone(),
            key: &self.key,
            scheme,
            key_id: self.certificate.key_id(),
        }
    }

    /// As lists and OCSP answers are signed.
    pub(super) fn revocation_issuer(&self) -> Result<Issuer<'_>, Error> {
        match SignatureScheme::from_name(&self.record.revocation_scheme) {
            Some(scheme) if scheme.fits(self.key.kind()) => Ok(self.issuer_with(scheme)),
            _ => self.issuer(0, false),
        }
    }

    pub(super) fn key_kind(&self) -> KeyKind {
        self.key.kind()
    }
}

/// Something in a request cannot be made into a certificate.
pub(super) fn unusable(error: X509Error) -> Error {
    match error {
        X509Error::Der(_) => Error::invalid("the value is malformed, or too long for a certificate"),
        error => Error::invalid(error.to_string()),
    }
}

/// Something stored cannot be read.
pub(super) fn damaged(error: X509Error) -> Error {
    Error::internal(format!("a stored certificate or key: {error}"))
}

pub(super) fn new_id(call: &Call<'_>) -> String {
    uuid_v4(call.entropy())
}

/// `1a:2b:…`, as Vault writes serial numbers.
pub(super) fn serial_text(serial: &[u8]) -> String {
    let digits: Vec<_> = serial.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.join(":")
}

/// From text with colons, dashes or neither.
pub(super) fn parse_serial(text: &str) -> Result<Vec<u8>, Error> {
    let digits: String = text.chars().filter(|c| *c != ':' && *c != '-').collect();
    let serial = hex::decode(&digits).ok().filter(|serial| !serial.is_empty() && serial.len() <= 21);
    let serial = serial.map(|serial| serial.into_iter().skip_while(|byte| *byte == 0).collect());
    serial.ok_or_else(|| Error::invalid("the serial number is not made of hexadecimal digits"))
}

// Keys.

fn key_key(call: &Call<'_>, id: &str) -> Key {
    call.tx.name_key(&call.table(KEYS), id)
}

pub(super) fn keys(call: &mut Call<'_>) -> Result<Vec<KeyRecord>, Error> {
    let table = call.table(KEYS);
    call.tx.records(&table)
}

/// Keeps a key, unless it is known already; says under which id, and whether it is new.
pub(super) fn add_key(call: &mut Call<'_>, key: &PrivateKey, name: &str) -> Result<(String, bool), Error> {
    let spki = hex::encode(key.public().map_err(X509Error::from).map_err(damaged)?.spki());
    let known = keys(call)?;
    if let Some(known) = known.iter().find(|known| known.spki == spki) {
        return Ok((known.id.clone(), false));
    }
    check_name(name, known.iter().map(|known| known.name.as_str()), "key")?;
    let id = new_id(call);
    let pkcs8 = key.to_pkcs8().map_err(X509Error::from).map_err(damaged)?;
    let record = KeyRecord { id: id.clone(), name: name.to_owned(), pkcs8, spki };
    save_key(call, &record)?;
    let mut defaults = super::settings::defaults(call)?;
    if defaults.key.is_empty() {
        defaults.key.clone_from(&id);
        super::settings::set_defaults(call, &defaults)?;
    }
    Ok((id, true))
}

/// A name is free, and none that means something else.
pub(super) fn check_name<'n>(
    name: &str,
    mut taken: impl Iterator<Item = &'n str>,
    what: &str,
) -> Result<(), Error> {
    if name.is_empty() {
        return Ok(());
    }
    if name == DEFAULT {
        return Err(Error::invalid(format!("reserved keyword 'default' can not be used as {what} name")));
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
        return Err(Error::invalid(format!("{what} name contained invalid characters")));
    }
    if taken.any(|known| known == name) {
        return Err(Error::invalid(format!("{what} name already in use")));
    }
    Ok(())
}

pub(super) fn save_key(call: &mut Call<'_>, record: &KeyRecord) -> Result<(), Error> {
    let key = key_key(call, &record.id);
    call.tx.put_record(&key, record)
}

pub(super) fn remove_key(call: &mut Call<'_>, id: &str) -> Result<(), Error> {
    let key = key_key(call, id);
    call.tx.delete(&key)?;
    if let Some(Memory(ready)) = call.mount.memory.downcast_ref::<Memory>() {
        ready.write().remove(id);
    }
    Ok(())
}

/// A key by its id, its name or as the default.
pub(super) fn find_key(call: &mut Call<'_>, reference: &str) -> Result<KeyRecord, Error> {
    let reference = match reference {
        DEFAULT | "" => super::settings::defaults(call)?.key,
        other => other.to_owned(),
    };
    let direct = key_key(call, &reference);
    if let Some(record) = call.tx.record::<KeyRecord>(&direct)? {
        return Ok(record);
    }
    let named = keys(call)?.into_iter().find(|key| !key.name.is_empty() && key.name == reference);
    named.ok_or_else(|| missing("key", &reference))
}

/// Vault says so with a 500, and clients expect it.
fn missing(what: &str, reference: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("unable to find PKI {what} for reference: {reference}"))
}

/// A key, parsed.
pub(super) fn open_key(call: &Call<'_>, record: &KeyRecord) -> Result<Arc<PrivateKey>, Error> {
    let memory = call.mount.memory.downcast_ref::<Memory>();
    if let Some(known) = memory.and_then(|Memory(ready)| ready.read().get(&record.id).cloned()) {
        return Ok(known);
    }
    let key = PrivateKey::from_der(record.pkcs8.expose()).map_err(X509Error::from).map_err(damaged)?;
    let key = Arc::new(key);
    if let Some(Memory(ready)) = memory {
        let mut ready = ready.write();
        if ready.len() >= READY_MAX {
            ready.clear();
        }
        ready.insert(record.id.clone(), key.clone());
    }
    Ok(key)
}

// Issuers.

fn issuer_key(call: &Call<'_>, id: &str) -> Key {
    call.tx.name_key(&call.table(ISSUERS), id)
}

pub(super) fn issuers(call: &mut Call<'_>) -> Result<Vec<IssuerRecord>, Error> {
    let table = call.table(ISSUERS);
    call.tx.records(&table)
}

pub(super) fn issuer_by_id(call: &mut Call<'_>, id: &str) -> Result<Option<IssuerRecord>, Error> {
    let key = issuer_key(call, id);
    call.tx.record(&key)
}

/// An issuer by its id, its name or as the default.
pub(super) fn find_issuer(call: &mut Call<'_>, reference: &str) -> Result<IssuerRecord, Error> {
    let id = match reference {
        DEFAULT | "" => {
            let id = super::settings::defaults(call)?.issuer;
            if id.is_empty() {
                return Err(Error::new(
                    ErrorKind::Internal,
                    "no default issuer currently configured: generate or import a CA, or set config/issuers",
                ));
            }
            id
        }
        other => other.to_owned(),
    };
    if let Some(record) = issuer_by_id(call, &id)? {
        return Ok(record);
    }
    let named = issuers(call)?.into_iter().find(|issuer| !issuer.name.is_empty() && issuer.name == id);
    named.ok_or_else(|| missing("issuer", reference))
}

pub(super) fn save_issuer(call: &mut Call<'_>, record: &IssuerRecord) -> Result<(), Error> {
    let key = issuer_key(call, &record.id);
    call.tx.put_record(&key, record)
}

pub(super) fn remove_issuer(call: &mut Call<'_>, id: &str) -> Result<(), Error> {
    let key = issuer_key(call, id);
    call.tx.delete(&key)?;
    let list = call.tx.name_key(&call.table(LISTS), id);
    call.tx.delete(&list)
}

/// An issuer that can sign.
pub(super) fn authority(call: &mut Call<'_>, record: IssuerRecord) -> Result<Authority, Error> {
    if record.key_id.is_empty() {
        return Err(Error::invalid(format!("the issuer {} has no key on this mount", record.id)));
    }
    let key = find_key(call, &record.key_id.clone())?;
    let key = open_key(call, &key)?;
    let certificate = ReadCertificate::from_der(&record.der).map_err(damaged)?;
    Ok(Authority { record, certificate, key })
}

/// Keeps a certificate as an issuer, unless it is known already; says under which id, and whether it is new.
pub(super) fn add_issuer(
    call: &mut Call<'_>,
    certificate: &ReadCertificate,
    name: &str,
) -> Result<(IssuerRecord, bool), Error> {
    let known = issuers(call)?;
    if let Some(known) = known.iter().find(|known| known.der == certificate.der()) {
        return Ok((known.clone(), false));
    }
    check_name(name, known.iter().map(|known| known.name.as_str()), "issuer")?;
    let spki = hex::encode(certificate.spki().map_err(unusable)?);
    let key_id = keys(call)?.into_iter().find(|key| key.spki == spki).map(|key| key.id);
    let record = IssuerRecord {
        id: new_id(call),
        name: name.to_owned(),
        key_id: key_id.unwrap_or_default(),
        der: certificate.der().to_vec(),
        usage: Usage::ALL,
        leaf_not_after: LeafNotAfter::default(),
        chain: Vec::new(),
        manual_chain: Vec::new(),
        urls: None,
        revocation_scheme: String::new(),
        revoked: None,
    };
    save_issuer(call, &record)?;
    put_certificate(call, certificate)?;
    let mut defaults = super::settings::defaults(call)?;
    if defaults.issuer.is_empty() || (defaults.follows_latest && !record.key_id.is_empty()) {
        defaults.issuer.clone_from(&record.id);
        super::settings::set_defaults(call, &defaults)?;
    }
    Ok((record, true))
}

/// Gives issuers their keys and their chains anew: called when issuers or keys have come or gone.
pub(super) fn relink(call: &mut Call<'_>) -> Result<(), Error> {
    let keys = keys(call)?;
    let mut records = issuers(call)?;
    let certificates: Vec<_> = records
        .iter()
        .map(|record| ReadCertificate::from_der(&record.der).map_err(damaged))
        .collect::<Result<_, _>>()?;
    let ids: Vec<_> = records.iter().map(|record| record.id.clone()).collect();
    for (record, certificate) in records.iter_mut().zip(&certificates) {
        let before = (record.key_id.clone(), record.chain.clone());
        let spki = hex::encode(certificate.spki().map_err(damaged)?);
        record.key_id =
            keys.iter().find(|key| key.spki == spki).map(|key| key.id.clone()).unwrap_or_default();
        record.chain = match record.manual_chain.is_empty() {
            true => chain(&record.id, certificate, &ids, &certificates),
            false => record.manual_chain.clone(),
        };
        if before != (record.key_id.clone(), record.chain.clone()) {
            save_issuer(call, record)?;
        }
    }
    Ok(())
}

/// The issuer and those above it, each once.
fn chain(id: &str, certificate: &ReadCertificate, ids: &[String], all: &[ReadCertificate]) -> Vec<String> {
    let mut chain = vec![id.to_owned()];
    let mut current = certificate;
    while !current.is_signed_by(current) {
        let above =
            ids.iter().zip(all).find(|(id, other)| !chain.contains(id) && current.is_signed_by(other));
        let Some((id, above)) = above else { break };
        chain.push(id.clone());
        current = above;
    }
    chain
}

/// The certificates of an issuer's chain in DER, its own first.
pub(super) fn chain_of(call: &mut Call<'_>, record: &IssuerRecord) -> Result<Vec<Vec<u8>>, Error> {
    let mut chain = vec![record.der.clone()];
    for id in record.chain.iter().filter(|id| **id != record.id) {
        chain.extend(issuer_by_id(call, id)?.map(|issuer| issuer.der));
    }
    Ok(chain)
}

// Certificates.

pub(super) fn put_certificate(call: &mut Call<'_>, certificate: &ReadCertificate) -> Result<(), Error> {
    let key = call.tx.id_key(&call.table(CERTIFICATES), certificate.serial());
    let mut row = vec![FORMAT];
    row.extend_from_slice(certificate.der());
    call.tx.put(&key, row)
}

pub(super) fn certificate(call: &mut Call<'_>, serial: &[u8]) -> Result<Option<ReadCertificate>, Error> {
    let key = call.tx.id_key(&call.table(CERTIFICATES), serial);
    let Some(row) = call.tx.get(&key)? else { return Ok(None) };
    read_row(row.expose()).map(Some)
}

fn read_row(row: &[u8]) -> Result<ReadCertificate, Error> {
    match row.split_first() {
        Some((&FORMAT, der)) => ReadCertificate::from_der(der).map_err(damaged),
        _ => Err(Error::internal("a stored certificate has another form: a newer program wrote it")),
    }
}

pub(super) fn remove_certificate(call: &mut Call<'_>, serial: &[u8]) -> Result<(), Error> {
    let key = call.tx.id_key(&call.table(CERTIFICATES), serial);
    call.tx.delete(&key)
}

/// The serial numbers of what is kept.
pub(super) fn serials(call: &mut Call<'_>) -> Result<Vec<String>, Error> {
    let table = call.table(CERTIFICATES);
    serials_below(call, &table)
}

pub(super) fn revoked_serials(call: &mut Call<'_>) -> Result<Vec<String>, Error> {
    let table = call.table(REVOKED);
    serials_below(call, &table)
}

fn serials_below(call: &mut Call<'_>, table: &Key) -> Result<Vec<String>, Error> {
    let mut serials = Vec::new();
    call.tx.entries(table, &mut |serial, _| {
        serials.push(serial_text(serial));
        Ok(ControlFlow::Continue(()))
    })?;
    serials.sort_unstable();
    Ok(serials)
}

/// Visits the certificates whose serial number starts with a byte, until `visit` breaks.
pub(super) fn visit_certificates(
    call: &mut Call<'_>,
    first: u8,
    visit: &mut dyn FnMut(&[u8], ReadCertificate) -> ControlFlow<()>,
) -> Result<(), Error> {
    let prefix = call.tx.id_key(&call.table(CERTIFICATES), &[first]);
    call.tx.entries(&prefix, &mut |rest, row| Ok(visit(&[&[first], rest].concat(), read_row(row)?)))
}

pub(super) fn revocation(call: &mut Call<'_>, serial: &[u8]) -> Result<Option<RevokedRecord>, Error> {
    let key = call.tx.id_key(&call.table(REVOKED), serial);
    call.tx.record(&key)
}

pub(super) fn put_revocation(call: &mut Call<'_>, record: &RevokedRecord) -> Result<(), Error> {
    let key = call.tx.id_key(&call.table(REVOKED), &record.serial);
    call.tx.put_record(&key, record)
}

pub(super) fn remove_revocation(call: &mut Call<'_>, serial: &[u8]) -> Result<(), Error> {
    let key = call.tx.id_key(&call.table(REVOKED), serial);
    call.tx.delete(&key)
}

/// Everything that was revoked.
pub(super) fn revocations(call: &mut Call<'_>) -> Result<Vec<RevokedRecord>, Error> {
    let table = call.table(REVOKED);
    call.tx.records(&table)
}
