//! How long a SOPS file with many values takes: `cargo run --release -p strongroom-formats --example sops_speed [VALUES]`.
//! Prints, for JSON and YAML, the time to read, to decrypt, and to encrypt again, and the file's size.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a measurement: it stops at what it did not expect"
)]

use std::fmt::Write as _;
use std::time::Instant;
use strongroom_formats::sops::{
    Cipher, Draft, Encrypted, Format, MasterKey, Metadata, Recipient, SealPolicy, Verification,
};
use strongroom_secret::{Entropy, Timestamp};

/// Fast and different from call to call; nothing here is secret.
struct Counter(std::sync::atomic::AtomicU64);

impl Entropy for Counter {
    fn fill(&self, out: &mut [u8]) {
        let number = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        for (place, byte) in out.iter_mut().zip(number.to_le_bytes().iter().cycle()) {
            *place = *byte;
        }
    }
}

fn main() {
    let values = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(100_000);
    for (format, text) in [(Format::Json, json(values)), (Format::Yaml, yaml(values))] {
        let key = MasterKey {
            recipient: Recipient::Age("age1notarealrecipient".into()),
            created_at: String::new(),
            wrapped: "not a real wrapping".into(),
        };
        let metadata = Metadata::new(vec![vec![key]], 0, Default::default(), Default::default());
        let entropy = Counter(1.into());
        let cipher = || Cipher::new(&[7; 32]).unwrap();
        let draft = Draft::read(format, text.as_bytes()).unwrap();
        let start = Instant::now();
        let file =
            draft.with_key(metadata, cipher()).encrypt(SealPolicy::Keep, &entropy, Timestamp::EPOCH).unwrap();
        let encrypting = start.elapsed();
        let start = Instant::now();
        let encrypted = Encrypted::read(format, file.expose()).unwrap();
        let reading = start.elapsed();
        let start = Instant::now();
        let opened = encrypted.open(cipher(), Verification::Required).unwrap();
        let decrypting = start.elapsed();
        let start = Instant::now();
        let plain = opened.write_plain().unwrap();
        let writing = start.elapsed();
        assert_eq!(plain.expose(), text.as_bytes());
        let (name, bytes) = (format.name(), file.expose().len());
        println!(
            "{name}: {values} values, {bytes} bytes: read {reading:.0?}, decrypt {decrypting:.0?}, write in clear {writing:.0?}; encrypt and write {encrypting:.0?}"
        );
    }
}

fn json(values: usize) -> String {
    let mut text = "{\n".to_owned();
    for number in 0..values {
        let comma = if number + 1 < values { "," } else { "" };
        let _ = writeln!(text, "  \"key_{number}\": \"not a real value {number}\"{comma}");
    }
    text + "}\n"
}

fn yaml(values: usize) -> String {
    let mut text = String::new();
    for number in 0..values {
        let _ = writeln!(text, "key_{number}: not a real value {number}");
    }
    text
}
