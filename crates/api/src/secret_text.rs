//! Serde for a [`SecretString`] in a wire type: the one place where it becomes plain text, on purpose.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use strongroom_secret::SecretString;

pub(crate) fn serialize<S: Serializer>(text: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    text.expose().serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.unwrap_or_default().into())
}
