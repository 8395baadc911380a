//! New values that the kernel makes itself.

use super::plan::Generator;
use super::values::Values;
use crate::error::Error;
use crate::policy::PasswordPolicy;
use pem::{EncodeConfig, LineEnding, Pem};
use strongroom_crypto::keypair::{KeyKind, PrivateKey};
use strongroom_crypto::token::{random_text, uuid_v4};
use strongroom_secret::{Entropy, SecretString};
use zeroize::Zeroizing;

/// What passwords consist of without a policy.
const PASSWORD_POLICY: &str = r#"
length = 32
rule "charset" { charset = "abcdefghijklmnopqrstuvwxyz" min-chars = 1 }
rule "charset" { charset = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" min-chars = 1 }
rule "charset" { charset = "0123456789" min-chars = 1 }
"#;
/// The member of a secret that is replaced where a plan replaces the whole of it by one value.
pub(super) const WHOLE_FIELD: &str = "value";

/// A generator with all it needs.
pub(super) enum Recipe {
    Password(PasswordPolicy),
    Token { bytes: u32, characters: Vec<char>, prefix: String },
    Uuid,
    Key { kind: KeyKind, public_field: String },
}

impl Recipe {
    /// `policy` is the text of the password policy that the generator names. None for a command.
    pub(super) fn of(generator: &Generator, policy: Option<&str>) -> Result<Option<Self>, Error> {
        Ok(Some(match generator {
            Generator::Password { .. } => {
                let policy = PasswordPolicy::parse(policy.unwrap_or(PASSWORD_POLICY));
                Self::Password(
                    policy.map_err(|error| Error::invalid(format!("the password policy: {error}")))?,
                )
            }
            Generator::Token { bytes, alphabet, prefix } => Self::Token {
                bytes: *bytes,
                characters: characters(alphabet)
                    .ok_or_else(|| Error::invalid("the plan's alphabet cannot be used"))?,
                prefix: prefix.clone(),
            },
            Generator::Uuid => Self::Uuid,
            Generator::Key { kind, public_field } => Self::Key {
                kind: key_kind(kind).ok_or_else(|| Error::invalid("the plan's kind of key is unknown"))?,
                public_field: public_field.clone(),
            },
            Generator::Command { .. } => return Ok(None),
        }))
    }

    /// A new value for `field`, and what goes with it.
    pub(super) fn make(&self, field: Option<&str>, entropy: &dyn Entropy) -> Result<Values, Error> {
        let field = field.unwrap_or(WHOLE_FIELD);
        Ok(match self {
            Self::Password(policy) => Values::one(field, policy.generate(entropy)),
            Self::Token { bytes, characters, prefix } => {
                let each = f64::from(u32::try_from(characters.len()).unwrap_or(u32::MAX)).log2();
                let length = (f64::from(*bytes) * 8.0 / each).ceil() as usize;
                let random = random_text(entropy, characters, length);
                Values::one(field, SecretString::new(format!("{prefix}{}", random.expose())))
            }
            Self::Uuid => Values::one(field, SecretString::new(uuid_v4(entropy))),
            Self::Key { kind, public_field } => {
                let failed = |error| Error::internal(format!("a key pair cannot be made: {error:?}"));
                let pair = PrivateKey::generate(*kind, entropy).map_err(failed)?;
                let private = pair.to_pkcs8().map_err(failed)?;
                let public = pair.public().map_err(failed)?;
                let mut values = Values::one(field, pem_text("PRIVATE KEY", private.expose()));
                values.insert(public_field, pem_text("PUBLIC KEY", public.spki()));
                values
            }
        })
    }
}

/// PEM (RFC 7468).
fn pem_text(label: &str, der: &[u8]) -> SecretString {
    let block = Pem::new(label, der);
    let text =
        Zeroizing::new(pem::encode_config(&block, EncodeConfig::new().set_line_ending(LineEnding::LF)));
    SecretString::new(text.as_str().to_owned())
}

fn key_kind(name: &str) -> Option<KeyKind> {
    Some(match name {
        "ed25519" => KeyKind::Ed25519,
        "ecdsa-p256" => KeyKind::EcdsaP256,
        "ecdsa-p384" => KeyKind::EcdsaP384,
        "ecdsa-p521" => KeyKind::EcdsaP521,
        "rsa-2048" => KeyKind::Rsa(2048),
        "rsa-3072" => KeyKind::Rsa(3072),
        "rsa-4096" => KeyKind::Rsa(4096),
        _ => return None,
    })
}

/// The characters of an alphabet: a known one by its name, or the characters themselves.
pub(super) fn characters(alphabet: &str) -> Option<Vec<char>> {
    const BASE62: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let text = match alphabet {
        "base62" => BASE62.to_owned(),
        "hex" => "0123456789abcdef".to_owned(),
        "base64url" => format!("{BASE62}-_"),
        own => own.to_owned(),
    };
    let mut characters: Vec<char> = text.chars().collect();
    let count = characters.len();
    characters.sort_unstable();
    characters.dedup();
    let is_printable = characters.iter().all(|c| !c.is_control() && !c.is_whitespace());
    (is_printable && characters.len() == count && (10..=256).contains(&count)).then_some(characters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom_testkit::SeededEntropy;

    fn make(generator: &Generator) -> Values {
        let recipe = Recipe::of(generator, None).unwrap().unwrap();
        recipe.make(Some("v"), &SeededEntropy::new(5)).unwrap()
    }

    #[test]
    fn values_have_the_strength_that_was_asked_for() {
        let token = |alphabet: &str| {
            let generator =
                Generator::Token { bytes: 32, alphabet: alphabet.to_owned(), prefix: "p_".to_owned() };
            make(&generator).get("v").unwrap().expose().to_owned()
        };
        assert_eq!(token("hex").len(), 2 + 64);
        assert_eq!(token("base62").len(), 2 + 43);
        assert_eq!(token("0123456789").len(), 2 + 78);
        assert!(token("hex").starts_with("p_"));
        let password = make(&Generator::Password { policy: None });
        assert_eq!(password.get("v").unwrap().expose().len(), 32);
        assert_eq!(make(&Generator::Uuid).get("v").unwrap().expose().len(), 36);
    }

    #[test]
    fn a_key_pair_fits_together() {
        for kind in ["ed25519", "ecdsa-p256", "rsa-2048"] {
            let values = make(&Generator::Key { kind: kind.to_owned(), public_field: "p".to_owned() });
            let block = |name: &str| pem::parse(values.get(name).unwrap().expose()).unwrap();
            let pair = PrivateKey::from_pkcs8(key_kind(kind).unwrap(), block("v").contents()).unwrap();
            assert_eq!(pair.public().unwrap().spki(), block("p").contents(), "{kind}");
        }
    }
}
