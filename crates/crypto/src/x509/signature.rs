//! Which algorithm signs, and how X.509 names it (RFC 4055, RFC 5758, RFC 8410).

use super::X509Error;
use crate::hash::HashAlgorithm;
use crate::keypair::{EcdsaForm, KeyKind, PrivateKey, PublicKey, RsaPadding, Salt};
use x509_cert::der::asn1::{Any, BitString, Null};
use x509_cert::der::{Decode, Encode};
use x509_cert::spki::{AlgorithmIdentifierOwned, ObjectIdentifier};

const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// What belongs to one hash.
struct Names {
    hash: HashAlgorithm,
    rsa: ObjectIdentifier,
    ecdsa: ObjectIdentifier,
    /// The last byte of the hash's own identifier (2.16.840.1.101.3.4.2.x).
    identifier: u8,
    name_rsa: &'static str,
    name_pss: &'static str,
    name_ecdsa: &'static str,
}

const NAMES: [Names; 3] = [
    Names {
        hash: HashAlgorithm::Sha2_256,
        rsa: ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11"),
        ecdsa: ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"),
        identifier: 1,
        name_rsa: "SHA256WithRSA",
        name_pss: "SHA256WithRSAPSS",
        name_ecdsa: "ECDSAWithSHA256",
    },
    Names {
        hash: HashAlgorithm::Sha2_384,
        rsa: ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12"),
        ecdsa: ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3"),
        identifier: 2,
        name_rsa: "SHA384WithRSA",
        name_pss: "SHA384WithRSAPSS",
        name_ecdsa: "ECDSAWithSHA384",
    },
    Names {
        hash: HashAlgorithm::Sha2_512,
        rsa: ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13"),
        ecdsa: ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4"),
        identifier: 3,
        name_rsa: "SHA512WithRSA",
        name_pss: "SHA512WithRSAPSS",
        name_ecdsa: "ECDSAWithSHA512",
    },
];

/// How something is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignatureScheme {
    kind: Kind,
    hash: HashAlgorithm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    RsaPss,
    Ecdsa,
    Ed25519,
}

impl SignatureScheme {
    /// For a key. `bits` of the hash are 256, 384, 512 or 0 for what fits; curves choose their own.
    pub fn for_key(kind: KeyKind, bits: u32, pss: bool) -> Result<Self, X509Error> {
        let hash = match (kind, bits) {
            (KeyKind::EcdsaP384, _) | (KeyKind::Rsa(_), 384) => HashAlgorithm::Sha2_384,
            (KeyKind::EcdsaP521, _) | (KeyKind::Rsa(_), 512) => HashAlgorithm::Sha2_512,
            (KeyKind::Rsa(_), 0 | 256) | (KeyKind::EcdsaP256 | KeyKind::Ed25519, _) => {
                HashAlgorithm::Sha2_256
            }
            _ => return Err(X509Error::Algorithm),
        };
        let kind = match kind {
            KeyKind::Rsa(_) if pss => Kind::RsaPss,
            KeyKind::Rsa(_) => Kind::Rsa,
            KeyKind::Ed25519 => Kind::Ed25519,
            KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521 => Kind::Ecdsa,
            KeyKind::MlDsa44 | KeyKind::MlDsa65 | KeyKind::MlDsa87 => return Err(X509Error::Algorithm),
        };
        Ok(Self { kind, hash })
    }

    /// By the name that Go gives it, as `SHA256WithRSA`; None for others.
    pub fn from_name(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("PureEd25519") || name.eq_ignore_ascii_case("Ed25519") {
            return Some(Self { kind: Kind::Ed25519, hash: HashAlgorithm::Sha2_256 });
        }
        NAMES.iter().find_map(|names| {
            let kinds = [
                (names.name_rsa, Kind::Rsa),
                (names.name_pss, Kind::RsaPss),
                (names.name_ecdsa, Kind::Ecdsa),
            ];
            let (_, kind) = kinds.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
            Some(Self { kind, hash: names.hash })
        })
    }

    pub fn name(self) -> &'static str {
        match (self.kind, self.names()) {
            (Kind::Rsa, Some(names)) => names.name_rsa,
            (Kind::RsaPss, Some(names)) => names.name_pss,
            (Kind::Ecdsa, Some(names)) => names.name_ecdsa,
            _ => "Ed25519",
        }
    }

    /// Whether a key of this kind can sign so.
    pub fn fits(self, kind: KeyKind) -> bool {
        match self.kind {
            Kind::Rsa | Kind::RsaPss => kind.is_rsa(),
            Kind::Ed25519 => kind == KeyKind::Ed25519,
            Kind::Ecdsa => matches!(kind, KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521),
        }
    }

    fn names(self) -> Option<&'static Names> {
        NAMES.iter().find(|names| names.hash == self.hash)
    }

    pub(super) fn identifier(self) -> Result<AlgorithmIdentifierOwned, X509Error> {
        let names = self.names().ok_or(X509Error::Algorithm)?;
        let (oid, parameters) = match self.kind {
            Kind::Rsa => (names.rsa, Some(Any::from(Null))),
            Kind::RsaPss => (RSA_PSS, Some(Any::from_der(&pss_parameters(names))?)),
            Kind::Ecdsa => (names.ecdsa, None),
            Kind::Ed25519 => (ED25519, None),
        };
        Ok(AlgorithmIdentifierOwned { oid, parameters })
    }

    fn of_identifier(identifier: &AlgorithmIdentifierOwned) -> Result<Self, X509Error> {
        if identifier.oid == ED25519 {
            return Ok(Self { kind: Kind::Ed25519, hash: HashAlgorithm::Sha2_256 });
        }
        if identifier.oid == RSA_PSS {
            let given = identifier.parameters.as_ref().ok_or(X509Error::Algorithm)?.to_der()?;
            let names = NAMES.iter().find(|names| pss_parameters(names) == given);
            let hash = names.ok_or(X509Error::Algorithm)?.hash;
            return Ok(Self { kind: Kind::RsaPss, hash });
        }
        NAMES
            .iter()
            .find_map(|names| match identifier.oid {
                oid if oid == names.rsa => Some(Self { kind: Kind::Rsa, hash: names.hash }),
                oid if oid == names.ecdsa => Some(Self { kind: Kind::Ecdsa, hash: names.hash }),
                _ => None,
            })
            .ok_or(X509Error::Algorithm)
    }

    fn padding(self) -> RsaPadding {
        if self.kind == Kind::RsaPss { RsaPadding::Pss(Salt::Digest) } else { RsaPadding::Pkcs1 }
    }

    pub(super) fn sign(self, key: &PrivateKey, message: &[u8]) -> Result<BitString, X509Error> {
        let signature = key.sign(self.hash, self.padding(), EcdsaForm::Asn1, message)?;
        Ok(BitString::from_bytes(&signature)?)
    }
}

/// Whether `signature` is what the holder of a key signed, in the algorithm that is named beside it.
pub(super) fn verify(
    public: &PublicKey,
    identifier: &AlgorithmIdentifierOwned,
    message: &[u8],
    signature: &BitString,
) -> Result<bool, X509Error> {
    let scheme = SignatureScheme::of_identifier(identifier)?;
    if !scheme.fits(public.kind()) {
        return Ok(false);
    }
    let (padding, bytes) = (scheme.padding(), signature.raw_bytes());
    Ok(public.verify(scheme.hash, padding, EcdsaForm::Asn1, message, bytes)?)
}

/// `RSASSA-PSS-params` (RFC 4055, section 3.1) with one hash throughout and a salt of its length.
fn pss_parameters(names: &Names) -> Vec<u8> {
    let length = match names.hash {
        HashAlgorithm::Sha2_384 => 48,
        HashAlgorithm::Sha2_512 => 64,
        _ => 32,
    };
    let hash = [
        &[0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, names.identifier][..],
        &[0x05, 0x00],
    ]
    .concat();
    let mask =
        [&[0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08][..], &hash].concat();
    [&[0x30, 0x34, 0xa0, 0x0f][..], &hash, &[0xa1, 0x1c], &mask, &[0xa2, 0x03, 0x02, 0x01, length]].concat()
}
