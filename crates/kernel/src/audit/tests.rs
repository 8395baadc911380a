mod chain;
mod devices;
mod records;
mod searches;

use super::*;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use strongroom_crypto::Key;
use strongroom_crypto::mac::MacKey;
use strongroom_crypto::sign::SigningKey;
use strongroom_secret::{Clock, Timestamp};
use strongroom_testkit::FakeClock;

fn mac() -> MacKey {
    MacKey::from_slice(b"a key for tests")
}

fn map(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("an object") };
    map
}

fn time() -> Timestamp {
    Timestamp::from_nanoseconds(1_767_225_600_123_456_789)
}

fn record(path: &str) -> Record<'_> {
    let request = RequestFacts {
        id: "00000000-0000-4000-8000-000000000001",
        operation: "read",
        client_token: "hvs.not-a-real-token",
        client_token_accessor: "not-a-real-accessor",
        namespace_id: "root",
        path,
        remote_address: Some([192, 0, 2, 7].into()),
        remote_port: 40_000,
        ..RequestFacts::default()
    };
    let auth = AuthFacts {
        client_token: request.client_token,
        accessor: request.client_token_accessor,
        display_name: "approle-shop",
        entity_id: "entity-1",
        token_type: "service",
        ..AuthFacts::default()
    };
    let caller = CallerFacts { auth, allowed: Some(true), ..CallerFacts::default() };
    Record { time: time(), caller, request, ..Record::default() }
}

fn options(clock: &Arc<FakeClock>) -> BrokerOptions {
    let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
    BrokerOptions::new(clock, mac())
}

fn file_config(path: &Path) -> DeviceConfig {
    let options = [("file_path".to_owned(), path.display().to_string())].into();
    DeviceConfig::parse("file", &options).unwrap()
}

fn key() -> SigningKey {
    SigningKey::from_seed(Key::from_bytes(&[7; 32]))
}

fn signer() -> CheckpointSigner {
    let key = key();
    let sign = Box::new(move |message: &[u8]| key.sign(message));
    CheckpointSigner { key_id: "test-1".to_owned(), sign, store_index: Box::new(|| 42) }
}

fn verified(log: &[u8]) -> Report {
    let options = VerifyOptions { public_keys: &[key().verifying_key()], last_line: None };
    verify("log", log, options).unwrap()
}

/// Waits in real time for something that another thread does.
fn eventually(what: impl Fn() -> bool) {
    for _ in 0..2000 {
        if what() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("it did not happen");
}
