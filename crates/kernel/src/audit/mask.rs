//! JSON with its texts as keyed hashes, written straight into a buffer.

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use strongroom_crypto::mac::MacKey;

/// The text that stands for `value` in a record: `hmac-sha256:` and 64 hexadecimal digits.
pub fn hashed(mac: &MacKey, value: &[u8]) -> String {
    let mut out = Vec::with_capacity(80);
    write_hashed(&mut out, mac, value);
    String::from_utf8(out).unwrap_or_default().trim_matches('"').to_owned()
}

pub(super) fn write_hashed(out: &mut Vec<u8>, mac: &MacKey, value: &[u8]) {
    out.extend_from_slice(b"\"hmac-sha256:");
    write_hex(out, &mac.tag(value));
    out.push(b'"');
}

pub(super) fn write_hex(out: &mut Vec<u8>, bytes: &[u8; 32]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| DIGITS.get(usize::from(value & 15)).copied().unwrap_or_default();
    let mut digits = [0; 64];
    let (pairs, _) = digits.as_chunks_mut::<2>();
    pairs.iter_mut().zip(bytes).for_each(|(pair, byte)| *pair = [digit(byte >> 4), digit(*byte)]);
    out.extend_from_slice(&digits);
}

/// A JSON text. Nearly all texts here need no escapes, and are then copied as they are.
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    if text.bytes().fold(false, |found, byte| found | (byte < 0x20) | (byte == b'"') | (byte == b'\\')) {
        return write_plain(out, text);
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Any value as JSON, in clear. Writing to memory does not fail.
pub(super) fn write_plain<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).unwrap_or_default();
}

/// What becomes of the texts in a piece of data.
#[derive(Clone, Copy)]
pub(super) struct Mask<'a> {
    /// None leaves everything in clear (`log_raw`).
    pub(super) mac: Option<&'a MacKey>,
    /// Texts under these keys stay in clear, in lists under them too, but not in maps further down.
    pub(super) clear_keys: &'a [String],
    /// The top level's `keys` and `key_info` are replaced with their counts.
    pub(super) elide: bool,
}

impl Mask<'_> {
    /// Writes JSON that is held as text. What cannot be read becomes one hash of it all.
    pub(super) fn write_raw(self, out: &mut Vec<u8>, json: &RawValue) {
        let mut reader = serde_json::Deserializer::from_str(json.get());
        self.write(out, &mut reader, json.get().as_bytes());
    }

    /// Writes a JSON object that is held as a tree.
    pub(super) fn write_map(self, out: &mut Vec<u8>, map: &serde_json::Map<String, serde_json::Value>) {
        self.write(out, map, b"");
    }

    pub(super) fn write_value(self, out: &mut Vec<u8>, value: &serde_json::Value) {
        self.write(out, value, b"");
    }

    fn write<'de>(self, out: &mut Vec<u8>, source: impl Deserializer<'de>, original: &[u8]) {
        let start = out.len();
        let place =
            Place { out, mask: self, clear: self.mac.is_none(), elide: self.elide, count_only: false };
        if place.deserialize(source).is_err() {
            out.truncate(start);
            out.extend_from_slice(b"{\"unreadable\":");
            match self.mac {
                Some(mac) => write_hashed(out, mac, original),
                None => write_text(out, &String::from_utf8_lossy(original)),
            }
            out.push(b'}');
        }
    }
}

/// Where in the data the writer is.
struct Place<'o, 'm> {
    out: &'o mut Vec<u8>,
    mask: Mask<'m>,
    clear: bool,
    elide: bool,
    count_only: bool,
}

impl<'de> DeserializeSeed<'de> for Place<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn visit_bool<E>(self, flag: bool) -> Result<(), E> {
        self.out.extend_from_slice(if flag { b"true" } else { b"false" });
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        write_plain(self.out, &number);
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        write_plain(self.out, &number);
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        write_plain(self.out, &number);
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        match self.mask.mac {
            Some(mac) if !self.clear => write_hashed(self.out, mac, text.as_bytes()),
            _ => write_text(self.out, text),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        if self.count_only {
            let mut count = 0_u64;
            while items.next_element::<IgnoredAny>()?.is_some() {
                count += 1;
            }
            write_plain(self.out, &count);
            return Ok(());
        }
        let Self { out, mask, clear, .. } = self;
        out.push(b'[');
        let start = out.len();
        loop {
            let end = out.len();
            if end > start {
                out.push(b',');
            }
            let place = Place { out, mask, clear, elide: false, count_only: false };
            if items.next_element_seed(place)?.is_none() {
                out.truncate(end);
                break;
            }
        }
        out.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        if self.count_only {
            let mut count = 0_u64;
            while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                count += 1;
            }
            write_plain(self.out, &count);
            return Ok(());
        }
        let Self { out, mask, elide, .. } = self;
        out.push(b'{');
        let start = out.len();
        loop {
            let end = out.len();
            if end > start {
                out.push(b',');
            }
            let key = Key { out, clear_keys: mask.clear_keys };
            let Some(key) = entries.next_key_seed(key)? else {
                out.truncate(end);
                break;
            };
            out.push(b':');
            let clear = mask.mac.is_none() || key.clear;
            entries.next_value_seed(Place {
                out,
                mask,
                clear,
                elide: false,
                count_only: elide && key.counted,
            })?;
        }
        out.push(b'}');
        Ok(())
    }
}

/// Writes an object's key, and says what its value's lot is.
struct Key<'o, 'm> {
    out: &'o mut Vec<u8>,
    clear_keys: &'m [String],
}

struct KeySeen {
    clear: bool,
    counted: bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_, '_> {
    type Value = KeySeen;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<KeySeen, D::Error> {
        source.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_, '_> {
    type Value = KeySeen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<KeySeen, E> {
        write_text(self.out, key);
        Ok(KeySeen {
            clear: self.clear_keys.iter().any(|clear| clear == key),
            counted: matches!(key, "keys" | "key_info"),
        })
    }
}
