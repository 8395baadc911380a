//! The data key for groups of recipients. With one group, each of its keys wraps the data key. With more, the data key is
//! split into one share a group (Shamir over GF(2^8), in Vault's share format), and each key wraps its group's share.

use super::cipher::{Cipher, DATA_KEY_BYTES};
use super::metadata::{MasterKey, Metadata, Recipient};
use strongroom_crypto::shamir::{self, ShamirError, ShareScheme};
use strongroom_secret::{Entropy, SecretBytes};
use thiserror::Error;

/// A key that did not unwrap, and why, in words for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub key: MasterKey,
    pub reason: String,
}

/// Why there is no data key.
#[derive(Debug, Error)]
pub enum DataKeyError {
    /// Too few groups answered. One list a group; empty for a group that did answer.
    #[error("the data key cannot be unwrapped: {answered} of {needed} needed key groups could be")]
    Refused { answered: usize, needed: usize, refusals: Vec<Vec<Refusal>> },
    #[error("the shares of the key groups do not make a data key: {0}")]
    Shares(#[from] ShamirError),
    #[error("what was unwrapped is not a data key of {DATA_KEY_BYTES} bytes")]
    Length,
    #[error("no key group: nothing could ever decrypt the file")]
    NoGroups,
    #[error("empty key group provided")]
    EmptyGroup,
    #[error("the data key cannot be wrapped for {0}")]
    Wrap(String),
}

/// Finds the data key. `unwrap` answers for one key; within a group the keys are tried in the order of `rank`, the first
/// that answers is enough.
pub fn unwrap_data_key(
    metadata: &Metadata,
    rank: &dyn Fn(&MasterKey) -> usize,
    unwrap: &mut dyn FnMut(&MasterKey) -> Result<SecretBytes, String>,
) -> Result<Cipher, DataKeyError> {
    let needed = metadata.groups_needed();
    let (mut shares, mut refusals) = (Vec::new(), Vec::new());
    for group in &metadata.groups {
        let mut keys: Vec<_> = group.iter().collect();
        keys.sort_by_key(|key| rank(key));
        let mut refused = Vec::new();
        let share = if shares.len() < needed {
            keys.into_iter().find_map(|key| match unwrap(key) {
                Ok(share) => Some(share),
                Err(reason) => {
                    refused.push(Refusal { key: key.clone(), reason });
                    None
                }
            })
        } else {
            None
        };
        match share {
            Some(share) => {
                shares.push(share);
                refusals.push(Vec::new());
            }
            None => refusals.push(refused),
        }
    }
    if shares.len() < needed || shares.is_empty() {
        return Err(DataKeyError::Refused { answered: shares.len(), needed, refusals });
    }
    let data_key = match shares.as_slice() {
        [only] if metadata.groups.len() == 1 => only.duplicate(),
        // sops allows a threshold below 2, where each share is a whole key.
        [only] => only.duplicate(),
        several => shamir::combine(several)?,
    };
    Cipher::new(data_key.expose()).ok_or(DataKeyError::Length)
}

/// A fresh data key.
pub fn new_data_key(entropy: &dyn Entropy) -> Cipher {
    let mut key = zeroize::Zeroizing::new([0_u8; DATA_KEY_BYTES]);
    entropy.fill(&mut *key);
    #[expect(clippy::expect_used, reason = "the length is in the type")]
    Cipher::new(&*key).expect("32 bytes")
}

/// What wrapping gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    pub text: String,
    /// The recipient as it is from now on, where wrapping told more of it (the version of a key).
    pub recipient: Option<Recipient>,
}

impl From<String> for Wrapped {
    fn from(text: String) -> Self {
        Self { text, recipient: None }
    }
}

/// For whom the data key is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    All,
    /// Those for whom nothing is wrapped yet. Shares of several groups are always wrapped for all: each split is another.
    New,
}

/// Wraps the data key. `wrap` answers for one recipient; all that it refuses is said at once.
pub fn wrap_data_key(
    metadata: &mut Metadata,
    cipher: &Cipher,
    whom: Whom,
    entropy: &dyn Entropy,
    wrap: &mut dyn FnMut(&MasterKey, &SecretBytes) -> Result<Wrapped, String>,
) -> Result<(), DataKeyError> {
    let groups = metadata.groups.len();
    if groups == 0 {
        return Err(DataKeyError::NoGroups);
    }
    if metadata.groups.iter().any(Vec::is_empty) {
        return Err(DataKeyError::EmptyGroup);
    }
    let shares = if groups == 1 {
        vec![cipher.data_key().duplicate()]
    } else {
        let too_many = |_| ShamirError::TooMany;
        let count = u8::try_from(groups).map_err(too_many)?;
        if metadata.threshold == 0 {
            metadata.threshold = count;
        }
        ShareScheme::new(count, metadata.threshold)?.split(entropy, cipher.data_key().expose())?
    };
    let mut refused = Vec::new();
    for (group, share) in metadata.groups.iter_mut().zip(&shares) {
        for key in group.iter_mut().filter(|key| whom == Whom::All || groups > 1 || key.wrapped.is_empty()) {
            match wrap(key, share) {
                Ok(Wrapped { text, recipient }) => {
                    key.wrapped = text;
                    if let Some(recipient) = recipient {
                        key.recipient = recipient;
                    }
                }
                Err(reason) => refused.push(format!("{}: {reason}", key.recipient)),
            }
        }
    }
    if refused.is_empty() { Ok(()) } else { Err(DataKeyError::Wrap(refused.join("; "))) }
}
