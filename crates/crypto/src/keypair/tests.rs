use super::*;
use crate::test_entropy::SeededEntropy;

const KINDS: [KeyKind; 8] = [
    KeyKind::Rsa(2048),
    KeyKind::EcdsaP256,
    KeyKind::EcdsaP384,
    KeyKind::EcdsaP521,
    KeyKind::Ed25519,
    KeyKind::MlDsa44,
    KeyKind::MlDsa65,
    KeyKind::MlDsa87,
];

#[test]
fn every_kind_signs_is_stored_and_verifies() {
    let (hash, padding) = (HashAlgorithm::Sha2_256, RsaPadding::Pss(Salt::Auto));
    for kind in KINDS {
        let made = PrivateKey::generate(kind, &SeededEntropy::new(1)).unwrap();
        let pkcs8 = made.to_pkcs8().unwrap();
        assert_eq!(PrivateKey::from_der(pkcs8.expose()).unwrap().kind(), kind);
        let key = PrivateKey::from_pkcs8(kind, pkcs8.expose()).unwrap();
        let public = PublicKey::from_spki(made.public().unwrap().spki()).unwrap();
        assert_eq!(public, made.public().unwrap());
        for form in [EcdsaForm::Asn1, EcdsaForm::Fixed] {
            let signature = key.sign(hash, padding, form, b"message").unwrap();
            assert_eq!(public.verify(hash, padding, form, b"message", &signature), Ok(true), "{kind:?}");
            assert_eq!(public.verify(hash, padding, form, b"another", &signature), Ok(false));
            assert_eq!(public.verify(hash, padding, form, b"message", &signature[1..]), Ok(false));
        }
        if let Some(der) = key.to_traditional_der().unwrap() {
            assert_eq!(PrivateKey::from_der(der.expose()).unwrap().public().unwrap(), public);
        }
    }
}

#[test]
fn curves_sign_digests_of_every_length() {
    for kind in [KeyKind::EcdsaP256, KeyKind::EcdsaP384, KeyKind::EcdsaP521] {
        let key = PrivateKey::generate(kind, &SeededEntropy::new(1)).unwrap();
        for hash in HashAlgorithm::ALL {
            let signature = key.sign(hash, RsaPadding::Pkcs1, EcdsaForm::Asn1, b"message").unwrap();
            let verified = key.public().unwrap().verify(
                hash,
                RsaPadding::Pkcs1,
                EcdsaForm::Asn1,
                b"message",
                &signature,
            );
            assert_eq!(verified, Ok(true), "{kind:?} {hash:?}");
        }
    }
}

#[test]
fn rsa_encrypts_and_refuses_what_it_cannot_do() {
    let key = PrivateKey::generate(KeyKind::Rsa(2048), &SeededEntropy::new(1)).unwrap();
    let public = key.public().unwrap();
    let sealed = public.encrypt_oaep(OaepHash::Sha2_256, b"message").unwrap();
    assert_eq!(key.decrypt_oaep(OaepHash::Sha2_256, &sealed).unwrap().expose(), b"message");
    assert_eq!(key.decrypt_oaep(OaepHash::Sha1, &sealed), Err(KeyError::Decryption));
    assert_eq!(public.encrypt_oaep(OaepHash::Sha2_256, &[0; 191]), Err(KeyError::TooLong));
    let sign = |hash, padding| key.sign(hash, padding, EcdsaForm::Asn1, b"message").map(|_| ());
    assert_eq!(sign(HashAlgorithm::Sha3_256, RsaPadding::Pkcs1), Err(KeyError::RsaHash));
    assert_eq!(sign(HashAlgorithm::Sha2_256, RsaPadding::Pss(Salt::Bytes(7))), Err(KeyError::SaltLength));
    assert_eq!(sign(HashAlgorithm::Sha2_256, RsaPadding::Pkcs1), Ok(()));
    assert!(PrivateKey::from_der(b"no key").is_err());
    assert!(PublicKey::from_spki(b"no key").is_err());
}

/// RFC 8410, section 10.3, and RFC 8032, section 7.1, test 1.
#[test]
fn ed25519_in_its_standard_forms() {
    let pkcs8 = hex::decode(
        "302e020100300506032b657004220420d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842",
    )
    .unwrap();
    let key = PrivateKey::from_der(&pkcs8).unwrap();
    assert_eq!(key.to_pkcs8().unwrap().expose(), pkcs8);
    assert_eq!(
        hex::encode(key.public().unwrap().spki()),
        "302a300506032b657003210019bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"
    );
}
