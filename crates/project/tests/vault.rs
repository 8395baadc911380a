//! The provider `vault` against our own server: a kernel and its HTTP door in this process.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use serde_json::{Map, Value, json};
use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use strongroom_http::{Address as DoorAddress, Answer, Door, Handler, Listener, Options};
use strongroom_kernel::{Kernel, Request};
use strongroom_project::provider::{Address, ErrorKind, Kind, Provider, ProviderError, Setting, Settings};
use strongroom_project::{Surroundings, Variables};
use strongroom_secret::SecretBytes;
use strongroom_testkit::server::TestServer;
use strongroom_testkit::{FakeClock, SeededEntropy};

/// Passes requests on to the kernel after 20 ms, and remembers them.
struct Counting {
    kernel: Arc<Kernel>,
    asked: Mutex<Vec<String>>,
}

impl Handler for Counting {
    fn handle(self: Arc<Self>, request: Request) -> Answer {
        let asked = format!("{} {}", request.operation.as_str(), request.path.as_str());
        self.asked.lock().unwrap().push(asked);
        let kernel = Arc::clone(&self.kernel);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            kernel.handle(request).await
        })
    }
}

struct Served {
    server: TestServer,
    counting: Arc<Counting>,
    url: String,
    _runtime: tokio::runtime::Runtime,
}

fn serve() -> Served {
    let server = TestServer::start(strongroom_backends::all());
    let counting = Arc::new(Counting { kernel: Arc::clone(&server.kernel), asked: Mutex::default() });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let handler: Arc<dyn Handler> = Arc::<Counting>::clone(&counting);
    let listener = Listener::new(DoorAddress::Tcp("127.0.0.1:0".to_owned()));
    let clock = Arc::clone(&server.clock);
    let door =
        Door::bind(vec![listener], handler, clock, Arc::new(SeededEntropy::new(2)), Options::default());
    let door = runtime.block_on(door).unwrap();
    let url = format!("http://{}", door.tcp_addresses()[0]);
    runtime.spawn(door.serve(std::future::pending()));
    let root = server.root();
    assert_eq!(
        root.write("sys/mounts/secret", json!({"type": "kv", "options": {"version": "2"}})).status,
        204
    );
    assert_eq!(root.write("sys/mounts/old", json!({"type": "kv", "options": {"version": "1"}})).status, 204);
    assert_eq!(
        root.write("sys/mounts/deep/kv", json!({"type": "kv", "options": {"version": "2"}})).status,
        204
    );
    Served { server, counting, url, _runtime: runtime }
}

fn text(value: &str) -> Setting {
    Setting::Text(value.to_owned())
}

impl Served {
    fn open_as(
        &self,
        home: &Path,
        variables: &[(&str, &str)],
        settings: &[(&str, Setting)],
    ) -> Box<dyn Provider> {
        let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let surroundings = Arc::new(Surroundings {
            variables: Variables::from_pairs(variables),
            home: Some(home.to_owned()),
            folder: home.to_owned(),
            clock: Arc::new(FakeClock::new()),
            entropy: Arc::new(SeededEntropy::new(3)),
        });
        let mut all: Settings =
            settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        all.insert("address".to_owned(), text(&self.url));
        all.insert("retries".to_owned(), Setting::Number(0));
        Kind::named("vault")
            .unwrap()
            .open(&all, &surroundings)
            .map_err(|problems| format!("{problems:?}"))
            .unwrap()
    }

    fn open(&self, settings: &[(&str, Setting)]) -> Box<dyn Provider> {
        let token = self.server.root_token.clone();
        self.open_as(Path::new("/nonexistent"), &[("VAULT_TOKEN", &token)], settings)
    }

    /// What was asked since the last call.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.counting.asked.lock().unwrap())
    }
}

fn fetch(provider: &dyn Provider, address: &str) -> Result<Option<String>, ProviderError> {
    let found = provider.fetch(&[Address::parse(address).unwrap()]).remove(0)?;
    Ok(found.map(|found| String::from_utf8(found.value.expose().to_vec()).unwrap()))
}

#[test]
fn five_hundred_secrets_of_one_path_are_one_request() {
    let served = serve();
    let entries: Map<String, Value> =
        (0..500).map(|index| (format!("K{index}"), json!(format!("v{index}")))).collect();
    assert_eq!(served.server.root().write("secret/data/shop/prod", json!({"data": entries})).status, 200);
    let provider = served.open(&[("path", text("secret/shop/prod"))]);
    let addresses: Vec<_> = (0..500).map(|index| provider.address_of(&format!("K{index}"))).collect();
    for (index, outcome) in provider.fetch(&addresses).into_iter().enumerate() {
        let found = outcome.unwrap().unwrap();
        assert_eq!(found.value.expose(), format!("v{index}").as_bytes());
        assert_eq!(found.version.as_deref(), Some("1"));
    }
    assert_eq!(served.asked(), ["read secret/data/shop/prod"]);
}

#[test]
fn both_engines_nested_mounts_versions_and_paths_of_any_engine() {
    let served = serve();
    let root = served.server.root();
    assert_eq!(root.write("secret/data/a", json!({"data": {"k": "one", "n": {"m": [1, 2]}}})).status, 200);
    assert_eq!(root.write("secret/data/a", json!({"data": {"k": "two"}})).status, 200);
    assert_eq!(root.write("old/a", json!({"k": "of version 1"})).status, 204);
    assert_eq!(root.write("deep/kv/data/a", json!({"data": {"k": "nested"}})).status, 200);
    assert_eq!(root.write("cubbyhole/a", json!({"k": "cubbyhole"})).status, 204);
    let provider = served.open(&[]);
    let value = |address: &str| fetch(&*provider, address).unwrap();
    assert_eq!(value("secret/a#k").as_deref(), Some("two"));
    assert_eq!(value("secret/data/a#k").as_deref(), Some("two"));
    assert_eq!(value("secret/a?version=1#k").as_deref(), Some("one"));
    assert_eq!(value("secret/a?version=1#n.m.1").as_deref(), Some("2"));
    assert_eq!(value("secret/a").as_deref(), Some(r#"{"k":"two"}"#));
    assert_eq!(value("old/a#k").as_deref(), Some("of version 1"));
    assert_eq!(value("deep/kv/a#k").as_deref(), Some("nested"));
    assert_eq!(value("cubbyhole/a#k").as_deref(), Some("cubbyhole"));
    assert_eq!(value("secret/none#k"), None);
    assert_eq!(value("secret/a#none"), None);
    assert_eq!(provider.list("secret/a").unwrap(), ["k"]);
    assert_eq!(provider.list("deep/kv/").unwrap(), ["deep/kv/a"]);
}

#[test]
fn an_entry_is_written_beside_the_others_and_only_over_what_was_read() {
    let served = serve();
    let provider = served.open(&[("path", text("secret/shop"))]);
    let bytes = |text: &str| SecretBytes::new(text.as_bytes().to_vec());
    let stored = provider.store(&provider.address_of("A"), &bytes("1")).unwrap();
    assert_eq!(stored.version.as_deref(), Some("1"));
    assert_eq!(provider.store(&provider.address_of("B"), &bytes("2")).unwrap().version.as_deref(), Some("2"));
    assert_eq!(fetch(&*provider, "secret/shop").unwrap().as_deref(), Some(r#"{"A":"1","B":"2"}"#));
    let mut old = provider.address_of("A");
    old.version = Some("1".to_owned());
    assert!(provider.store(&old, &bytes("3")).unwrap_err().message.contains("has changed"));
    provider.remove(&provider.address_of("A")).unwrap();
    assert_eq!(fetch(&*provider, "secret/shop").unwrap().as_deref(), Some(r#"{"B":"2"}"#));
    provider.remove(&Address::of_path("secret/shop")).unwrap();
    assert_eq!(fetch(&*provider, "secret/shop#B").unwrap(), None);
    // Over a deleted version.
    provider.store(&provider.address_of("C"), &bytes("4")).unwrap();
    assert_eq!(fetch(&*provider, "secret/shop").unwrap().as_deref(), Some(r#"{"C":"4"}"#));
    let old_engine = served.open(&[("path", text("old/shop"))]);
    old_engine.store(&old_engine.address_of("A"), &bytes("1")).unwrap();
    old_engine.store(&old_engine.address_of("B"), &bytes("2")).unwrap();
    assert_eq!(fetch(&*old_engine, "old/shop").unwrap().as_deref(), Some(r#"{"A":"1","B":"2"}"#));
}

#[test]
fn logins_and_tokens_from_every_place() {
    let served = serve();
    let root = served.server.root();
    let policy = r#"path "secret/*" { capabilities = ["read"] }"#;
    assert_eq!(root.write("sys/policies/acl/reader", json!({"policy": policy})).status, 204);
    assert_eq!(root.write("secret/data/a", json!({"data": {"k": "v"}})).status, 200);
    assert_eq!(root.write("sys/auth/approle", json!({"type": "approle"})).status, 204);
    assert_eq!(root.write("sys/auth/people", json!({"type": "userpass"})).status, 204);
    assert_eq!(
        root.write("auth/approle/role/app", json!({"token_policies": "reader", "role_id": "app-id"})).status,
        204
    );
    let secret_id = root.write("auth/approle/role/app/secret-id", json!({})).data()["secret_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let user = json!({"password": "not-a-real-password", "token_policies": "reader"});
    assert_eq!(root.write("auth/people/users/ann", user).status, 204);
    let home = tempfile::tempdir().unwrap();
    let value = |variables: &[(&str, &str)], settings: &[(&str, Setting)]| {
        fetch(&*served.open_as(home.path(), variables, settings), "secret/a#k")
    };
    let approle = [("auth", text("approle")), ("role", text("app-id"))];
    assert_eq!(value(&[("VAULT_SECRET_ID", &secret_id)], &approle).unwrap().as_deref(), Some("v"));
    let named = [&approle[..], &[("credential", text("APP_SECRET"))]].concat();
    assert_eq!(value(&[("APP_SECRET", &secret_id)], &named).unwrap().as_deref(), Some("v"));
    std::fs::write(home.path().join("password"), "not-a-real-password\n").unwrap();
    let userpass = [
        ("auth", text("userpass")),
        ("mount", text("people")),
        ("user", text("ann")),
        ("credential-file", text("password")),
    ];
    assert_eq!(value(&[], &userpass).unwrap().as_deref(), Some("v"));
    let error = value(&[("VAULT_SECRET_ID", "wrong")], &approle).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Authentication);
    assert!(error.message.contains("auth/approle/login") && !error.message.contains("wrong"), "{error}");
    let error = value(&[], &[]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Authentication);
    assert!(error.looked.join(" ").contains(".vault-token"), "{:?}", error.looked);
    std::fs::write(home.path().join(".vault-token"), format!("{}\n", served.server.root_token)).unwrap();
    assert_eq!(value(&[], &[]).unwrap().as_deref(), Some("v"));
    assert_eq!(
        value(&[("STRONGROOM_TOKEN", "hvs.not-a-real-token")], &[]).unwrap_err().kind,
        ErrorKind::Denied
    );
}

#[test]
fn what_is_not_permitted_and_who_is_not_there() {
    let served = serve();
    let root = served.server.root();
    assert_eq!(root.write("secret/data/a", json!({"data": {"k": "v"}})).status, 200);
    let token =
        root.write("auth/token/create", json!({"policies": ["default"]})).body["auth"]["client_token"]
            .as_str()
            .unwrap()
            .to_owned();
    let provider = served.open_as(Path::new("/nonexistent"), &[("VAULT_TOKEN", &token)], &[]);
    let error = fetch(&*provider, "secret/a#k").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(
        error.looked[0].contains("/v1/secret/data/a") || error.looked[0].contains("/v1/secret/a"),
        "{:?}",
        error.looked
    );
    let surroundings = |variables: &[(&str, &str)]| {
        let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        Arc::new(Surroundings {
            variables: Variables::from_pairs(variables),
            home: None,
            folder: "/".into(),
            clock: Arc::new(FakeClock::new()),
            entropy: Arc::new(SeededEntropy::new(3)),
        })
    };
    let kind = Kind::named("vault").unwrap();
    let nowhere = kind.open(&Settings::new(), &surroundings(&[])).unwrap();
    assert_eq!(fetch(&*nowhere, "secret/a#k").unwrap_err().kind, ErrorKind::Settings);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = format!("http://{closed}");
    let down = kind
        .open(&Settings::new(), &surroundings(&[("VAULT_ADDR", &address), ("VAULT_TOKEN", "x")]))
        .unwrap();
    let error = fetch(&*down, "secret/a#k").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(error.message.contains(&closed.to_string()), "{error}");
}
