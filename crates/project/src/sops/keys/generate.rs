//! New age identities.

use age::secrecy::ExposeSecret;
use strongroom_secret::SecretString;

/// An identity of age (X25519), and the recipient that belongs to it.
pub struct NewIdentity {
    /// A line of a file of identities.
    pub identity: SecretString,
    pub recipient: String,
}

impl NewIdentity {
    /// The randomness is that of age's library.
    pub fn generate() -> Self {
        let identity = age::x25519::Identity::generate();
        let recipient = identity.to_public().to_string();
        Self { identity: SecretString::from(identity.to_string().expose_secret()), recipient }
    }
}
