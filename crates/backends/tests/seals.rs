//! From one seal to another, and root tokens out of shares.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here shall fail the test")]

use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use strongroom_crypto::token::decode_with_otp;
use strongroom_kernel::{AutoSeal, AutoSealError, Kernel, KernelSettings, Seal, Sharing};
use strongroom_secret::SecretBytes;
use strongroom_storage::Storage;
use strongroom_storage::memory::MemoryStorage;
use strongroom_testkit::FakeClock;
use strongroom_testkit::server::{TestServer, new_kernel};

/// A seal that keeps root keys under a name: what another name wrapped it does not open.
struct Named {
    kind: &'static str,
    name: &'static str,
    answers: AtomicBool,
}

fn named(kind: &'static str, name: &'static str) -> Arc<Named> {
    Arc::new(Named { kind, name, answers: AtomicBool::new(true) })
}

impl AutoSeal for Named {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn wrap(&self, plain: &SecretBytes) -> Result<Vec<u8>, AutoSealError> {
        match self.answers.load(Relaxed) {
            true => Ok([self.name.as_bytes(), plain.expose()].concat()),
            false => Err(AutoSealError("no answer".to_owned())),
        }
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<SecretBytes, AutoSealError> {
        let plain = wrapped.strip_prefix(self.name.as_bytes()).filter(|_| self.answers.load(Relaxed));
        plain
            .map(|plain| SecretBytes::new(plain.to_vec()))
            .ok_or_else(|| AutoSealError("not mine".to_owned()))
    }
}

/// A store with one secret in it, and the keys that people hold.
struct House {
    storage: Arc<dyn Storage>,
    clock: Arc<FakeClock>,
    root_token: String,
    keys: Vec<SecretBytes>,
}

impl House {
    fn new(seal: Seal) -> Self {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        let clock = Arc::new(FakeClock::new());
        let kernel = new_kernel(&storage, &clock, Vec::new(), seal, None, KernelSettings::default());
        let sharing = Sharing { shares: 3, threshold: 2 };
        let mut made = kernel.initialize(sharing, sharing).unwrap();
        let keys = if made.keys.is_empty() { std::mem::take(&mut made.recovery_keys) } else { made.keys };
        Self { storage, clock, root_token: made.root_token.expose().to_owned(), keys }
    }

    /// A start of the server with these seals configured.
    fn started(&self, seal: Seal, before: Option<Arc<dyn AutoSeal>>) -> TestServer {
        let settings = KernelSettings::default();
        let kernel = new_kernel(&self.storage, &self.clock, Vec::new(), seal, before, settings);
        TestServer {
            kernel,
            clock: self.clock.clone(),
            storage: self.storage.clone(),
            root_token: self.root_token.clone(),
            unseal_keys: Vec::new(),
            backends: Vec::new(),
        }
    }

    fn key(&self, number: usize) -> Value {
        json!(strongroom_crypto::token::encode_base64(self.keys[number].expose()))
    }

    /// Gives two of the three keys by API.
    fn migrate(&self, server: &TestServer) {
        for number in [2, 0] {
            let body = json!({"key": self.key(number), "migrate": true});
            let answer = server.session(None).write("sys/unseal", body);
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        assert!(!server.kernel.is_sealed());
    }
}

fn status(kernel: &Arc<Kernel>, server: &TestServer) -> Value {
    assert!(Arc::ptr_eq(kernel, &server.kernel));
    server.session(None).read("sys/seal-status").body["data"].clone()
}

#[test]
fn shares_become_recovery_keys_and_unseal_keys_again() {
    let house = House::new(Seal::Shamir);
    let auto = named("static", "one");
    let to_auto = house.started(Seal::Auto(auto.clone()), None);
    assert!(to_auto.kernel.unseal_automatically().is_err());
    let waiting = status(&to_auto.kernel, &to_auto);
    assert_eq!((&waiting["type"], &waiting["migration"]), (&json!("shamir"), &json!(true)));
    let (code, text) = to_auto.session(None).write("sys/unseal", json!({"key": house.key(0)})).refusal();
    assert!(
        code == 400 && text.contains("migrate option not provided and seal migration is pending"),
        "{text}"
    );
    house.migrate(&to_auto);
    let done = status(&to_auto.kernel, &to_auto);
    assert_eq!((&done["type"], &done["migration"]), (&json!("static"), &json!(false)));
    assert_eq!((&done["recovery_seal"], &done["t"], &done["n"]), (&json!(true), &json!(2), &json!(3)));
    assert_eq!(to_auto.root().write("cubbyhole/a", json!({"k": "v"})).status, 204);

    // From now on it opens by itself; the old keys open nothing but prove who holds them.
    let again = house.started(Seal::Auto(auto.clone()), None);
    assert!(again.kernel.unseal_automatically().unwrap());
    let (code, text) = house
        .started(Seal::Auto(auto.clone()), None)
        .session(None)
        .write("sys/unseal", json!({"key": house.key(0), "migrate": true}))
        .refusal();
    assert!(code == 400 && text.contains("no migration seal found"), "{text}");

    // And back.
    let unnamed = house.started(Seal::Shamir, None);
    let (code, text) = unnamed.session(None).write("sys/unseal", json!({"key": house.key(0)})).refusal();
    assert!(code == 400 && text.contains("no disabled seal in configuration"), "{text}");
    let back = house.started(Seal::Shamir, Some(auto));
    house.migrate(&back);
    assert_eq!(status(&back.kernel, &back)["type"], "shamir");
    let plain = house.started(Seal::Shamir, None);
    assert!(!plain.kernel.unseal_with_share(house.keys[1].duplicate()).unwrap());
    assert!(plain.kernel.unseal_with_share(house.keys[2].duplicate()).unwrap());
    assert_eq!(plain.root().read("cubbyhole/a").data(), &json!({"k": "v"}));
}

#[test]
fn one_automatic_seal_takes_over_from_another_even_of_the_same_kind() {
    let house = House::new(Seal::Auto(named("transit", "one")));
    let (one, two, other) = (named("transit", "one"), named("transit", "two"), named("static", "other"));
    let moved = house.started(Seal::Auto(two.clone()), Some(one.clone()));
    assert!(moved.kernel.unseal_automatically().is_err());
    house.migrate(&moved);
    // The disabled block may stay in the configuration.
    assert!(house.started(Seal::Auto(two.clone()), Some(one)).kernel.unseal_automatically().unwrap());

    // A seal that is gone for good can be left with the recovery keys.
    two.answers.store(false, Relaxed);
    let left = house.started(Seal::Auto(other.clone()), Some(two));
    house.migrate(&left);
    assert!(house.started(Seal::Auto(other), None).kernel.unseal_automatically().unwrap());
}

#[test]
fn a_new_seal_that_does_not_answer_leaves_everything_as_it_was() {
    let house = House::new(Seal::Shamir);
    let gone = named("static", "one");
    gone.answers.store(false, Relaxed);
    let server = house.started(Seal::Auto(gone), None);
    for (number, code) in [(0, 200), (1, 503)] {
        let answer =
            server.session(None).write("sys/unseal", json!({"key": house.key(number), "migrate": true}));
        assert_eq!(answer.status, code, "{answer:?}");
    }
    let before = house.started(Seal::Shamir, None);
    before.kernel.unseal_with_share(house.keys[0].duplicate()).unwrap();
    assert!(before.kernel.unseal_with_share(house.keys[1].duplicate()).unwrap());
}

#[test]
fn wrong_keys_migrate_nothing() {
    let house = House::new(Seal::Shamir);
    let altered = |number: usize| {
        let mut bytes = house.keys[number].expose().to_vec();
        bytes[0] ^= 1;
        json!(strongroom_crypto::token::encode_base64(&bytes))
    };
    let server = house.started(Seal::Auto(named("static", "one")), None);
    for (number, code) in [(0, 200), (1, 400)] {
        let body = json!({"key": altered(number), "migrate": true});
        assert_eq!(server.session(None).write("sys/unseal", body).status, code);
    }
    assert_eq!(status(&server.kernel, &server)["type"], "shamir");
    house.migrate(&server);
}

const OTP: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZab";

#[test]
fn strangers_cannot_touch_the_making_of_a_root_token() {
    let server = TestServer::start(Vec::new());
    let (root, stranger) = (server.root(), server.session(None));
    let weak = root.write("auth/token/create", json!({"policies": ["default"]})).token();
    let weak = server.session(Some(&weak));
    for attempt in ["sys/generate-root/attempt", "sys/generate-root-token/attempt", "sys/generate-root"] {
        let started = root.write(attempt, json!({"otp": OTP}));
        assert_eq!(started.status, 200, "{started:?}");
        for caller in [&stranger, &weak] {
            assert_eq!(caller.read(attempt).status, 403);
            assert_eq!(caller.write(attempt, json!({"otp": OTP})).status, 403);
            assert_eq!(caller.delete(attempt).status, 403);
        }
        let hint = stranger.read(attempt).body["hint"].clone();
        assert!(
            hint.as_str().unwrap().contains("disable_unauthed_generate_root_endpoints = false"),
            "{hint}"
        );
        assert_eq!(root.read(attempt).body["data"]["started"], true);
        assert_eq!(root.delete(attempt).status, 204);
    }
}

#[test]
fn a_root_token_is_made_from_shares() {
    let server = TestServer::start(Vec::new());
    let key = strongroom_crypto::token::encode_base64(server.unseal_keys[0].expose());
    let make = |session: &strongroom_testkit::server::Session<'_>, base: &str| {
        let started = session.write(&format!("{base}/attempt"), json!({"otp": OTP})).body["data"].clone();
        let wrong = session.write(&format!("{base}/update"), json!({"key": key, "nonce": "another"}));
        assert_eq!(wrong.status, 400);
        let update = json!({"key": key, "nonce": started["nonce"]});
        let done = session.write(&format!("{base}/update"), update).body["data"].clone();
        assert_eq!(done["complete"], true, "{done}");
        assert_eq!(session.read(&format!("{base}/attempt")).body["data"]["started"], false);
        decode_with_otp(done["encoded_token"].as_str().unwrap(), OTP).unwrap()
    };
    let token = make(&server.root(), "sys/generate-root-token");
    let found = server.session(Some(token.expose())).read("auth/token/lookup-self").data().clone();
    assert_eq!(found["policies"], json!(["root"]));
    // Where all tokens are lost, the configuration opens the way.
    let opened = server.restarted(|settings| settings.open_generate_root = true);
    let token = make(&opened.session(None), "sys/generate-root");
    assert_eq!(opened.session(Some(token.expose())).read("auth/token/lookup-self").status, 200);
}
