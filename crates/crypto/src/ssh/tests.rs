//! Keys and certificates made by OpenSSH's `ssh-keygen`, in both directions.

use super::*;
use crate::test_entropy::SeededEntropy;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use strongroom_secret::SecretString;

const KEYS: [(&str, &str, SshKeyKind); 5] = [
    (include_str!("vectors/ed25519"), include_str!("vectors/ed25519.pub"), SshKeyKind::Ed25519),
    (include_str!("vectors/ecdsa256"), include_str!("vectors/ecdsa256.pub"), SshKeyKind::Ecdsa(256)),
    (include_str!("vectors/ecdsa384"), include_str!("vectors/ecdsa384.pub"), SshKeyKind::Ecdsa(384)),
    (include_str!("vectors/ecdsa521.pkcs8"), include_str!("vectors/ecdsa521.pub"), SshKeyKind::Ecdsa(521)),
    (include_str!("vectors/rsa"), include_str!("vectors/rsa.pub"), SshKeyKind::Rsa(2048)),
];

/// Hands out bytes that somebody else drew.
struct Told(Vec<u8>);

impl Entropy for Told {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.0);
    }
}

/// Both forms that `ssh-keygen` writes.
fn read(private: &str) -> PrivateKey {
    let der = private.contains("BEGIN PRIVATE KEY").then(|| {
        let lines: String = private.lines().filter(|line| !line.starts_with('-')).collect();
        STANDARD.decode(lines).unwrap()
    });
    private_key(private, der.as_deref()).unwrap()
}

fn two_words(line: &str) -> String {
    line.split(' ').take(2).collect::<Vec<_>>().join(" ").trim().to_owned()
}

#[test]
fn keys_of_ssh_keygen_are_read() {
    for (private, public, kind) in KEYS {
        let key = read(private);
        let public_key = SshPublicKey::parse(public).unwrap();
        assert_eq!(public_key.kind(), kind);
        assert!(SshPublicKey::of(&key).unwrap().is_key_of(&public_key));
        assert_eq!(public_key.to_line().unwrap(), two_words(public));
        let bare = public.split(' ').nth(1).unwrap();
        assert!(SshPublicKey::parse(bare).unwrap().is_key_of(&public_key));
        assert_eq!(public_key.sha256().len(), 32);
    }
    assert_eq!(private_key(include_str!("vectors/encrypted"), None).unwrap_err(), SshError::Encrypted);
    assert_eq!(private_key("nothing", None).unwrap_err(), SshError::PrivateKey);
    assert_eq!(SshPublicKey::parse("ssh-ed25519 AAAA").unwrap_err(), SshError::PublicKey);
    assert_eq!(SshPublicKey::parse(&"A".repeat(20_000)).unwrap_err(), SshError::PublicKey);
}

/// The same certificate as `ssh-keygen -s` made, byte for byte: Ed25519 signatures have no randomness of their own.
#[test]
fn a_certificate_of_ssh_keygen_is_made_again() {
    let theirs = two_words(include_str!("vectors/user-cert.pub"));
    let bytes = STANDARD.decode(theirs.split(' ').nth(1).unwrap()).unwrap();
    // The nonce is the second field.
    let start = 4 + "ecdsa-sha2-nistp256-cert-v01@openssh.com".len() + 4;
    let nonce = bytes[start..start + 32].to_vec();
    let authority = private_key(KEYS[0].0, None).unwrap();
    let text = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let wanted = SshCertificate {
        key: &SshPublicKey::parse(KEYS[1].1).unwrap(),
        kind: SshCertificateKind::User,
        serial: 77,
        key_id: "not-a-real-id",
        principals: &["alice".to_owned(), "bob".to_owned()],
        valid_after: Timestamp::parse_rfc3339("2026-01-01T00:00:00Z").unwrap(),
        valid_before: Timestamp::parse_rfc3339("2026-01-02T00:00:00Z").unwrap(),
        critical_options: &[text("force-command", "/bin/true")],
        extensions: &[
            text("permit-agent-forwarding", ""),
            text("permit-port-forwarding", ""),
            text("permit-pty", ""),
            text("permit-user-rc", ""),
        ],
    };
    let ours = certificate(&wanted, &authority, RsaSignature::Sha256, &Told(nonce)).unwrap();
    assert_eq!(ours, theirs);
}

#[test]
fn every_kind_of_authority_signs() {
    let entropy = SeededEntropy::new(1);
    let key = SshPublicKey::parse(KEYS[0].1).unwrap();
    for ((private, public, kind), rsa) in
        KEYS.iter().flat_map(|key| [(key, RsaSignature::Sha256), (key, RsaSignature::Sha512)])
    {
        let authority = read(private);
        let wanted = SshCertificate {
            key: &key,
            kind: SshCertificateKind::Host,
            serial: 1,
            key_id: "not-a-real-id",
            principals: &["host.example.com".to_owned()],
            valid_after: Timestamp::from_seconds(1_000),
            valid_before: Timestamp::from_seconds(2_000),
            critical_options: &[],
            extensions: &[],
        };
        let made = certificate(&wanted, &authority, rsa, &entropy).unwrap();
        let read = ssh_key::Certificate::from_openssh(&made).unwrap();
        let signed_by = read.signature_key().clone();
        assert_eq!(SshPublicKey(signed_by.into()).to_line().unwrap(), two_words(public));
        let algorithm = read.signature().algorithm().as_str().to_owned();
        match (kind, rsa) {
            (SshKeyKind::Rsa(_), RsaSignature::Sha256) => assert_eq!(algorithm, "rsa-sha2-256"),
            (SshKeyKind::Rsa(_), RsaSignature::Sha512) => assert_eq!(algorithm, "rsa-sha2-512"),
            _ => assert_eq!(algorithm, SshPublicKey::parse(public).unwrap().algorithm()),
        }
    }
}

#[test]
fn a_new_private_key_is_read_again() {
    let entropy = SeededEntropy::new(1);
    let key = PrivateKey::generate(KeyKind::Ed25519, &entropy).unwrap();
    let written = private_text(&key, |_, _| SecretString::from("")).unwrap();
    let again = private_key(written.text.expose(), None).unwrap();
    assert!(SshPublicKey::of(&again).unwrap().is_key_of(&SshPublicKey::of(&key).unwrap()));
    let key = PrivateKey::generate(KeyKind::EcdsaP256, &entropy).unwrap();
    let mut label = "";
    let written = private_text(&key, |named, der| {
        label = named;
        assert!(private_key("", Some(der)).is_ok());
        SecretString::from("")
    });
    assert_eq!((label, written.unwrap().kind), ("EC PRIVATE KEY", "ec"));
}
