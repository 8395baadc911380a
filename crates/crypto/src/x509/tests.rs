use super::*;
use crate::keypair::{KeyKind, PrivateKey};
use crate::test_entropy::SeededEntropy;
use std::str::FromStr;
use x509_cert::ext::pkix::KeyUsages;
use x509_cert::name::Name;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn root(key: &PrivateKey, pss: bool) -> ReadCertificate {
    let name = Name::from_str("CN=Root,O=Example").unwrap();
    let scheme = SignatureScheme::for_key(key.kind(), 0, pss).unwrap();
    let purposes = Purposes {
        key_usage: KeyUsages::KeyCertSign | KeyUsages::CRLSign,
        constraints: Some((true, None)),
        ..Purposes::default()
    };
    let public = key.public().unwrap();
    let template = Template {
        serial: &[0x7f; 20],
        subject: name.clone(),
        names: &AlternativeNames::default(),
        not_before: NOW,
        not_after: NOW.plus(Duration::from_secs(60 * 365 * 24 * 3600)),
        public_key: public.spki(),
        subject_key_id: None,
        purposes: &purposes,
        urls: &AccessUrls::default(),
        extra: Vec::new(),
    };
    let issuer = Issuer { name, key, scheme, key_id: Vec::new() };
    ReadCertificate::from_der(&certificate(template, &issuer).unwrap()).unwrap()
}

#[test]
fn certificates_of_every_kind_of_key_check_against_their_issuer() {
    let entropy = SeededEntropy::new(1);
    for (kind, pss) in [
        (KeyKind::Rsa(2048), false),
        (KeyKind::Rsa(2048), true),
        (KeyKind::EcdsaP256, false),
        (KeyKind::EcdsaP384, false),
        (KeyKind::EcdsaP521, false),
        (KeyKind::Ed25519, false),
    ] {
        let key = PrivateKey::generate(kind, &entropy).unwrap();
        let root = root(&key, pss);
        assert!(root.is_signed_by(&root), "{kind:?}");
        assert!(root.is_self_issued());
        assert_eq!(root.constraints(), (true, None));
        assert!(root.allows(KeyUsages::KeyCertSign) && !root.allows(KeyUsages::DigitalSignature));
        assert_eq!(root.not_before(), NOW);
        let other = PrivateKey::generate(kind, &entropy).unwrap();
        assert!(!root.is_signed_by(&super::tests::root(&other, pss)));
    }
}

#[test]
fn requests_prove_their_key() {
    let key = PrivateKey::generate(KeyKind::EcdsaP256, &SeededEntropy::new(1)).unwrap();
    let scheme = SignatureScheme::for_key(key.kind(), 0, false).unwrap();
    let names = AlternativeNames {
        dns: vec!["a.example".into()],
        emails: vec!["a@example".into()],
        addresses: vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
        uris: vec!["https://a.example/".into()],
        others: vec![OtherName { kind: "1.2.3.4".parse().unwrap(), text: "ä".into() }],
    };
    let subject = Name::from_str("CN=a.example").unwrap();
    let mut der = request(&key, scheme, subject.clone(), &names, &Purposes::default()).unwrap();
    let read = ReadRequest::from_der(&der).unwrap();
    assert_eq!((read.subject(), read.names().unwrap()), (&subject, names));
    assert_eq!(read.public_key(), &key.public().unwrap());
    *der.last_mut().unwrap() ^= 1;
    assert!(ReadRequest::from_der(&der).is_err());
}

#[test]
fn malformed_input_is_an_error() {
    for bytes in [&b""[..], b"\x30", b"\x30\x80", b"\x30\x03\x02\x01\x01", &[0x30; 100]] {
        assert!(ReadCertificate::from_der(bytes).is_err());
        assert!(ReadRequest::from_der(bytes).is_err());
        assert!(ocsp_questions(bytes).is_err());
    }
}
