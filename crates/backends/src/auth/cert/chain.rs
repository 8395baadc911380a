//! Whether a role trusts a certificate: because it is one of the role's own, or by a chain to one of its authorities.

use rustls_pki_types::{CertificateDer, UnixTime};
use strongroom_crypto::x509::ReadCertificate;
use strongroom_secret::Timestamp;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// Certificates of a chain that are looked at.
const CHAIN_MAX: usize = 10;

/// The certificates by which a leaf is trusted, the leaf first and what the role trusts last. None: it is not.
pub(super) fn trusted_by(
    role: &[ReadCertificate],
    leaf: &ReadCertificate,
    others: &[Vec<u8>],
    now: Timestamp,
) -> Option<Vec<ReadCertificate>> {
    // Whole certificates are compared: names and numbers can be had again by anybody who makes certificates.
    if role.iter().any(|trusted| trusted.der() == leaf.der()) {
        return is_in_time(leaf, now).then(|| vec![leaf.clone()]);
    }
    let authorities: Vec<(&ReadCertificate, CertificateDer<'_>)> = role
        .iter()
        .filter(|trusted| trusted.constraints().0 && is_in_time(trusted, now))
        .map(|trusted| (trusted, CertificateDer::from(trusted.der())))
        .collect();
    let anchors: Vec<_> =
        authorities.iter().filter_map(|(_, der)| anchor_from_trusted_cert(der).ok()).collect();
    let intermediates: Vec<CertificateDer<'_>> =
        others.iter().take(CHAIN_MAX).map(|der| CertificateDer::from(der.as_slice())).collect();
    let der = CertificateDer::from(leaf.der());
    let end = EndEntityCert::try_from(&der).ok()?;
    let seconds = u64::try_from(now.seconds()).ok()?;
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    let path = end
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            &intermediates,
            at,
            KeyUsage::client_auth(),
            None,
            None,
        )
        .ok()?;
    let mut chain = vec![leaf.clone()];
    for between in path.intermediate_certificates() {
        chain.push(ReadCertificate::from_der(&between.der()).ok()?);
    }
    let anchor = path.anchor();
    let authority = authorities.iter().find(|(_, der)| {
        anchor_from_trusted_cert(der).is_ok_and(|known| {
            known.subject == anchor.subject && known.subject_public_key_info == anchor.subject_public_key_info
        })
    });
    chain.push(authority.map(|(authority, _)| (*authority).clone())?);
    Some(chain)
}

fn is_in_time(certificate: &ReadCertificate, now: Timestamp) -> bool {
    certificate.not_before() <= now && now <= certificate.not_after()
}
