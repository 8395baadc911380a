//! What every request pays for: `cargo bench -p strongroom-crypto`.

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use strongroom_crypto::Key;
use strongroom_crypto::keyring::Keyring;
use strongroom_crypto::mac::MacKey;
use strongroom_crypto::names::NameCipher;
use strongroom_crypto::token::random_base62;
use strongroom_secret::{Entropy, Timestamp};

/// A counter: the cost of randomness is measured where the real source is.
struct Counter(AtomicU64);

impl Entropy for Counter {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let word = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed).to_le_bytes();
            chunk.iter_mut().zip(word).for_each(|(out, byte)| *out = byte);
        }
    }
}

fn barrier(criterion: &mut Criterion) {
    let entropy = Counter(AtomicU64::new(1));
    let keyring = Keyring::generate(&entropy, Timestamp::EPOCH);
    let storage_key = [7_u8; 48];
    for length in [200, 1024] {
        let value = vec![5_u8; length];
        let encrypted = keyring.encrypt(&entropy, &storage_key, &value);
        criterion.bench_function(&format!("keyring encrypt {length} B"), |bencher| {
            bencher.iter(|| keyring.encrypt(&entropy, &storage_key, black_box(&value)));
        });
        criterion.bench_function(&format!("keyring decrypt {length} B"), |bencher| {
            bencher.iter(|| keyring.decrypt(&storage_key, black_box(&encrypted)));
        });
    }
}

fn names_and_tags(criterion: &mut Criterion) {
    let key = Key::from_bytes(&[1; 32]);
    let (mac, cipher) = (MacKey::new(&key), NameCipher::new(&key));
    let hidden = cipher.hide(&[2; 16], b"database");
    criterion.bench_function("mac tag 32 B", |bencher| bencher.iter(|| mac.tag(black_box(&[3; 32]))));
    criterion.bench_function("name hide 8 B", |bencher| {
        bencher.iter(|| cipher.hide(&[2; 16], black_box(b"database")));
    });
    criterion.bench_function("name reveal 8 B", |bencher| {
        bencher.iter(|| cipher.reveal(&[2; 16], black_box(&hidden)));
    });
    let entropy = Counter(AtomicU64::new(1));
    criterion.bench_function("random base62 24", |bencher| bencher.iter(|| random_base62(&entropy, 24)));
    criterion.bench_function("key from bytes, drop", |bencher| {
        bencher.iter(|| Key::from_bytes(black_box(&[4; 32])));
    });
}

criterion_group!(benches, barrier, names_and_tags);
criterion_main!(benches);
