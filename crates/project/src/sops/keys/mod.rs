//! The keys of whoever runs this: they unwrap data keys, and wrap them for recipients. Nothing is read, asked or connected
//! to before a file needs it, and what was unwrapped once is not asked for again.

mod age;
mod cloud;
mod generate;
mod identities;
mod pgp;
mod transit;

pub use generate::NewIdentity;
pub use transit::client as vault_client;

pub(crate) use age::check_recipient as check_age_recipient;

use cloud::CloudKeys;
use identities::Identities;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use strongroom_formats::sops::{
    Cipher, DataKeyError, MasterKey, Metadata, Recipient, RecipientKind, Whom, Wrapped, unwrap_data_key,
    wrap_data_key,
};
use strongroom_secret::{SecretBytes, SecretString};

use crate::Surroundings;

/// How to speak with the person at the terminal, if there is one.
#[derive(Clone)]
pub struct Conversation {
    /// Asks for a passphrase; `None` if nobody can be asked.
    pub passphrase: Arc<dyn Fn(&str) -> Option<SecretString> + Send + Sync>,
    /// Says something that does not belong into the output: "touch your key".
    pub tell: Arc<dyn Fn(&str) + Send + Sync>,
}

/// The order in which the keys of a group are tried, by their kinds; others come after, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecryptionOrder(Vec<RecipientKind>);

/// All keys that can be used.
pub struct Keys {
    surroundings: Arc<Surroundings>,
    conversation: Conversation,
    order: DecryptionOrder,
    identities: OnceLock<Identities>,
    cloud: CloudKeys,
    /// What was unwrapped, by a hash over recipient and wrapping: files that share a wrapping share an answer.
    unwrapped: Mutex<HashMap<[u8; 32], Answer>>,
}

/// An answer on its way or here: the second to ask for the same waits for the first.
type Answer = Arc<OnceLock<Result<SecretBytes, String>>>;

impl Conversation {
    /// Nobody is there.
    pub fn none() -> Self {
        Self { passphrase: Arc::new(|_| None), tell: Arc::new(|_| ()) }
    }
}

impl Default for DecryptionOrder {
    fn default() -> Self {
        Self(vec![RecipientKind::Age, RecipientKind::Pgp])
    }
}

impl DecryptionOrder {
    /// Reads `SOPS_DECRYPTION_ORDER`, as `age,pgp`. Names that we do not know are passed over, as sops does.
    ///
    /// # Errors
    /// The name that stands there twice.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let names: Vec<_> = text.split(',').collect();
        for (number, name) in names.iter().enumerate() {
            if names.iter().take(number).any(|before| before == name) {
                return Err((*name).to_owned());
            }
        }
        let kind = |name: &&str| RecipientKind::ALL.into_iter().find(|kind| kind.name() == *name);
        Ok(Self(names.iter().filter_map(kind).collect()))
    }

    fn rank(&self, key: &MasterKey) -> usize {
        self.0.iter().position(|kind| *kind == key.recipient.kind()).unwrap_or(self.0.len())
    }
}

impl Keys {
    pub fn new(surroundings: Arc<Surroundings>, conversation: Conversation, order: DecryptionOrder) -> Self {
        Self {
            cloud: CloudKeys::new(Arc::clone(&surroundings)),
            surroundings,
            conversation,
            order,
            identities: OnceLock::new(),
            unwrapped: Mutex::default(),
        }
    }

    /// The keys that can be used without anybody who could be asked for a passphrase.
    pub fn of_nobody(surroundings: &Arc<Surroundings>) -> Self {
        Self::of(surroundings, Conversation::none())
    }

    /// In the order that `SOPS_DECRYPTION_ORDER` says. A value of it that cannot be read counts as none.
    pub fn of(surroundings: &Arc<Surroundings>, conversation: Conversation) -> Self {
        let order = surroundings.variables.text("SOPS_DECRYPTION_ORDER").unwrap_or_default();
        let order = DecryptionOrder::parse(order).unwrap_or_default();
        Self::new(Arc::clone(surroundings), conversation, order)
    }

    pub fn surroundings(&self) -> &Arc<Surroundings> {
        &self.surroundings
    }

    /// The data key of a file.
    pub fn data_key(&self, metadata: &Metadata) -> Result<Cipher, DataKeyError> {
        unwrap_data_key(metadata, &|key| self.order.rank(key), &mut |key| self.unwrap(key))
    }

    /// Wraps the data key of a file for its recipients.
    pub fn wrap(&self, metadata: &mut Metadata, cipher: &Cipher, whom: Whom) -> Result<(), DataKeyError> {
        let entropy = self.surroundings.entropy.as_ref();
        wrap_data_key(metadata, cipher, whom, entropy, &mut |key, part| self.wrap_for(&key.recipient, part))
    }

    /// The data key, share of one, or part key that was wrapped for a recipient.
    pub(super) fn unwrap(&self, key: &MasterKey) -> Result<SecretBytes, String> {
        let mut hash = Sha256::new();
        hash.update(key.recipient.to_string());
        hash.update([0]);
        hash.update(&key.wrapped);
        let place: [u8; 32] = hash.finalize().into();
        let answer = {
            let mut unwrapped = self.unwrapped.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(unwrapped.entry(place).or_default())
        };
        match answer.get_or_init(|| self.unwrap_anew(key)) {
            Ok(part) => Ok(part.duplicate()),
            Err(reason) => Err(reason.clone()),
        }
    }

    fn unwrap_anew(&self, key: &MasterKey) -> Result<SecretBytes, String> {
        match &key.recipient {
            Recipient::Age(recipient) => {
                let identities = self
                    .identities
                    .get_or_init(|| Identities::new(&self.surroundings, self.conversation.clone()));
                age::unwrap(&key.wrapped, recipient, identities)
            }
            Recipient::Pgp(_) => pgp::unwrap(&self.surroundings, &key.wrapped),
            Recipient::VaultTransit(transit) => transit::unwrap(&self.surroundings, transit, &key.wrapped),
            other => self.cloud.unwrap(other, &key.wrapped),
        }
    }

    fn wrap_for(&self, recipient: &Recipient, part: &SecretBytes) -> Result<Wrapped, String> {
        match recipient {
            Recipient::Age(recipient) => age::wrap(recipient, part, &self.conversation).map(Wrapped::from),
            Recipient::Pgp(fingerprint) => {
                pgp::wrap(&self.surroundings, fingerprint, part).map(Wrapped::from)
            }
            Recipient::VaultTransit(transit) => {
                transit::wrap(&self.surroundings, transit, part).map(Wrapped::from)
            }
            other => self.cloud.wrap(other, part),
        }
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("order", &self.order).finish_non_exhaustive()
    }
}
