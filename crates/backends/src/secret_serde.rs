//! Secret bytes in stored records, as base64: wiped on the way in and on the way out.

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};
use std::fmt;
use strongroom_crypto::token::{decode_base64, encode_base64};
use strongroom_secret::{SecretBytes, SecretString};

pub(crate) fn serialize<S: Serializer>(bytes: &SecretBytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(SecretString::from(encode_base64(bytes.expose())).expose())
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretBytes, D::Error> {
    struct Base64;
    impl Visitor<'_> for Base64 {
        type Value = SecretBytes;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("base64")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<SecretBytes, E> {
            decode_base64(text).ok_or_else(|| E::custom("not base64"))
        }
    }
    deserializer.deserialize_str(Base64)
}
