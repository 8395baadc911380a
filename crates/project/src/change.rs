//! Values on their way into a provider: which one takes them, and how new ones are made.

use crate::manifest::{Environment, Generator, GeneratorKind, Manifest, PROCESS, Secret};
use crate::provider::{Address, ErrorKind, ProviderError, Stored};
use crate::resolve::Opened;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::cell::Cell;
use strongroom_secret::{Entropy, SecretBytes};
use zeroize::Zeroizing;

/// Where a value is to go.
pub struct Target<'a> {
    pub manifest: &'a Manifest,
    pub environment: &'a Environment,
    pub opened: &'a Opened,
    /// A provider by name, instead of the first that can.
    pub provider: Option<&'a str>,
}

/// Where a value went.
#[derive(Debug)]
pub struct Change {
    pub provider: String,
    pub address: Address,
    pub stored: Option<Stored>,
    /// Whether there was something to take away.
    pub was_there: bool,
}

impl Target<'_> {
    /// Stores a value with the named provider; else where the declaration's `ref` leads; else with the first provider of
    /// the environment that can be written to.
    pub fn store(&self, name: &str, value: &SecretBytes) -> Result<Change, ProviderError> {
        self.first_that_can(name, |opened, provider, address| {
            let stored = opened.provider(provider).map(|provider| provider.store(address, value));
            stored.transpose()
        })
    }

    /// Takes a value away from where `store` would put it.
    pub fn remove(&self, name: &str) -> Result<Change, ProviderError> {
        let was_there = Cell::new(false);
        let mut change = self.first_that_can(name, |opened, provider, address| {
            let Some(provider) = opened.provider(provider) else { return Ok(None) };
            let found = provider.fetch(std::slice::from_ref(address)).pop();
            was_there.set(!matches!(found, Some(Ok(None))));
            provider.remove(address).map(|()| None)
        })?;
        change.was_there = was_there.get();
        Ok(change)
    }

    fn first_that_can(
        &self,
        name: &str,
        act: impl Fn(&Opened, &str, &Address) -> Result<Option<Stored>, ProviderError>,
    ) -> Result<Change, ProviderError> {
        let secret = self.manifest.secret(name);
        let mut refused: Vec<String> = Vec::new();
        for provider in self.candidates(secret) {
            let reference = secret.and_then(|secret| secret.references.get(provider));
            let Some(address) = self.opened.address(provider, name, reference) else { continue };
            match act(self.opened, provider, &address) {
                Ok(stored) => {
                    return Ok(Change { provider: provider.to_owned(), address, stored, was_there: false });
                }
                Err(error) if error.kind == ErrorKind::Unsupported && self.provider.is_none() => {
                    refused.push(format!("{provider}: {}", error.message));
                }
                Err(error) => return Err(error),
            }
        }
        let environment = &self.environment.name;
        let message = format!("no provider of the environment {environment:?} can be written to");
        let mut error = ProviderError::unsupported(message).hint(
            "add one to [provider], as .env files or a SOPS file, and name it in the environment's order",
        );
        error.looked = refused;
        Err(error)
    }

    fn candidates<'s>(&'s self, secret: Option<&'s Secret>) -> Vec<&'s str> {
        if let Some(provider) = self.provider {
            return vec![provider];
        }
        let is_process = |name: &str| self.manifest.providers.get(name).is_none_or(|of| of.kind == PROCESS);
        let mut order: Vec<&str> =
            self.environment.order.iter().map(String::as_str).filter(|name| !is_process(name)).collect();
        // A stable sort: what the declaration names comes first, the rest stays in order.
        order.sort_by_key(|name| !secret.is_some_and(|secret| secret.references.contains_key(*name)));
        order
    }
}

/// Letters, digits and what needs no quoting in a URL, a shell or a `.env` file.
const PASSWORD_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";

/// Makes a value.
pub fn generate(generator: Generator, entropy: &dyn Entropy) -> SecretBytes {
    match generator.kind {
        GeneratorKind::Password => from_alphabet(PASSWORD_ALPHABET, generator.length, entropy),
        GeneratorKind::Digits => from_alphabet(b"0123456789", generator.length, entropy),
        GeneratorKind::Hex => {
            let bytes = random(generator.length, entropy);
            SecretBytes::new(hex::encode(&*bytes).into_bytes())
        }
        GeneratorKind::Base64 => {
            SecretBytes::new(STANDARD.encode(&*random(generator.length, entropy)).into_bytes())
        }
        GeneratorKind::Uuid => uuid(entropy),
    }
}

fn random(length: usize, entropy: &dyn Entropy) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(vec![0; length]);
    entropy.fill(&mut bytes);
    bytes
}

/// Every character equally likely: bytes beyond the last whole multiple of the alphabet are thrown away.
fn from_alphabet(alphabet: &[u8], length: usize, entropy: &dyn Entropy) -> SecretBytes {
    let limit = 256 - 256 % alphabet.len();
    let mut out = Vec::with_capacity(length);
    while out.len() < length {
        let bytes = random(length, entropy);
        let fair = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < limit);
        out.extend(fair.filter_map(|byte| alphabet.get(byte % alphabet.len())).take(length - out.len()));
    }
    SecretBytes::new(out)
}

/// RFC 9562, version 4.
fn uuid(entropy: &dyn Entropy) -> SecretBytes {
    let mut bytes = [0_u8; 16];
    entropy.fill(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    SecretBytes::new(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value_type::{Constraints, ValueType};
    use std::sync::atomic::{AtomicU8, Ordering};

    struct Counting(AtomicU8);
    impl Entropy for Counting {
        fn fill(&self, out: &mut [u8]) {
            out.fill_with(|| self.0.fetch_add(37, Ordering::Relaxed));
        }
    }

    #[test]
    fn generated_values_are_what_they_say() {
        let made = |kind, length| {
            let value = generate(Generator { kind, length }, &Counting(AtomicU8::new(1)));
            String::from_utf8(value.expose().to_vec()).unwrap()
        };
        assert_eq!(made(GeneratorKind::Password, 40).len(), 40);
        assert!(made(GeneratorKind::Digits, 12).chars().all(|c| c.is_ascii_digit()));
        assert_eq!(made(GeneratorKind::Hex, 16).len(), 32);
        assert_eq!(made(GeneratorKind::Base64, 32).len(), 44);
        let uuid = made(GeneratorKind::Uuid, 0);
        assert!(ValueType::Uuid.problems(&Constraints::default(), uuid.as_bytes()).is_empty(), "{uuid}");
        assert_eq!((uuid.as_bytes()[14], b"89ab".contains(&uuid.as_bytes()[19])), (b'4', true));
    }
}
