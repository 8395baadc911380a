use super::TlsError;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use std::time::Duration;
use strongroom_secret::{SecretString, Timestamp};

/// A certificate for trying things out, from an authority that signed this one and is gone.
pub struct SelfSigned {
    /// What clients are told to trust.
    pub authority_pem: String,
    pub certificate_pem: String,
    pub key_pem: SecretString,
}

const HOUR: Duration = Duration::from_secs(3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Makes a certificate for the names (host names and addresses) that holds for a year from an hour ago. The leaf is
/// apart from its authority: clients differ in whether they take one certificate as both.
pub fn self_signed(names: &[String], now: Timestamp) -> Result<SelfSigned, TlsError> {
    let authority_key = KeyPair::generate()?;
    let mut authority = parameters(&[], "Strongroom development authority", now)?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);

    let key = KeyPair::generate()?;
    let mut leaf = parameters(names, names.first().map_or("localhost", String::as_str), now)?;
    leaf.use_authority_key_identifier_extension = true;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = leaf.signed_by(&key, &issuer)?;
    Ok(SelfSigned {
        authority_pem: authority_certificate.pem(),
        certificate_pem: certificate.pem(),
        key_pem: SecretString::new(key.serialize_pem()),
    })
}

fn parameters(names: &[String], common_name: &str, now: Timestamp) -> Result<CertificateParams, TlsError> {
    let mut parameters = CertificateParams::new(names)?;
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    parameters.not_before = std::time::SystemTime::UNIX_EPOCH.into();
    parameters.not_before += Duration::from_secs(u64::try_from(now.minus(HOUR).seconds()).unwrap_or(0));
    parameters.not_after = parameters.not_before + YEAR;
    Ok(parameters)
}
