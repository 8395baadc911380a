//! The provider `vault` against our own server: a kernel and its HTTP door in this process.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use serde_json::{Map, Value, json};
use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use strongroom_http::{Address as DoorAddress, Answer, Door, Handler, Listener, Options};
use strongroom_kernel::{
    Access, Backend, Call, Class, Data, Error, Kernel, LeaseGrant, Method, Operation, Renewal, Request,
    Response, Route, Run,
};
use strongroom_project::leases::{Leases, has_leases, lent_names};
use strongroom_project::manifest::Manifest;
use strongroom_project::provider::{Address, ErrorKind, Kind, Provider, ProviderError, Setting, Settings};
use strongroom_project::resolve::{self, Depth, Opened, Resolution, Selection};
use strongroom_project::{Surroundings, Variables};
use strongroom_secret::{Clock, SecretBytes};
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

/// An engine that lends: names and passwords for an hour, for four hours at most.
static LENDER: Backend = Backend {
    renew: Some(|_, _| Ok(Renewal { ttl: HOUR, ttl_max: Some(HOUR * 4) })),
    revoke: Some(|_, _| Ok(())),
    ..Backend::new("lender", Class::Secret, "Lends accounts.", &[LENDER_ROUTES])
};

const HOUR: Duration = Duration::from_secs(3600);

const LENDER_ROUTES: &[Route] = &[Route {
    pattern: "creds/{name}",
    summary: "Lend an account.",
    access: Access::Token,
    fields: &[],
    methods: &[Method { operation: Operation::Read, run: Run::Write(lend), summary: "Lend an account." }],
    exists: None,
}];

fn lend(call: &mut Call<'_>) -> Result<Response, Error> {
    let data = json!({"username": "not-a-real-user", "password": "not-a-real-password"});
    let Value::Object(data) = data else { unreachable!() };
    let lease = LeaseGrant {
        ttl: Some(HOUR),
        ttl_max: Some(HOUR * 4),
        renewable: call.capture("name") != "fixed",
        internal: Value::Null,
    };
    Ok(Response { data: Data::Map(data), lease: Some(lease), ..Response::default() })
}

fn serve() -> Served {
    let mut backends = strongroom_backends::all();
    backends.push(&LENDER);
    let server = TestServer::start(backends);
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
    let error = value(&[("STRONGROOM_TOKEN", "hvs.not-a-real-token")], &[]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Authentication);
    assert!(error.hint.as_deref().unwrap_or_default().contains("log in again"), "{error:?}");
    let helper = home.path().join("helper");
    let script = format!("#!/bin/sh\n[ \"$1\" = get ] && printf '%s\\n' {}\n", served.server.root_token);
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::write(home.path().join(".vault"), format!("token_helper = {helper:?}\n")).unwrap();
    std::fs::write(home.path().join(".vault-token"), "hvs.not-a-real-token").unwrap();
    assert_eq!(value(&[], &[]).unwrap().as_deref(), Some("v"), "the helper comes before the file");
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

const DYNAMIC: &str = r#"version = 1
[env]
default = { order = ["vault"] }
[provider.vault]
type = "vault"
path = "secret/shop"
ADDRESS
AUTH
retries = 0
[secret]
DB_USER = { ref = { vault = "db/creds/NAME#username" } }
DB_PASSWORD = { ref = { vault = "db/creds/NAME#password" } }
DB_URL = { type = "url", compose = "postgres://${DB_USER|url}:${DB_PASSWORD|url}@db/shop" }
API_KEY = {}
"#;

/// A project whose database account is lent.
struct Lent {
    served: Served,
    folder: tempfile::TempDir,
}

impl Lent {
    fn new() -> Self {
        let served = serve();
        let root = served.server.root();
        assert_eq!(root.write("sys/mounts/db", json!({"type": "lender"})).status, 204);
        assert_eq!(
            root.write("secret/data/shop", json!({"data": {"API_KEY": "not-a-real-key"}})).status,
            200
        );
        let policy = r#"path "secret/*" { capabilities = ["read"] } path "db/*" { capabilities = ["read"] }"#;
        assert_eq!(root.write("sys/policies/acl/reader", json!({"policy": policy})).status, 204);
        assert_eq!(root.write("sys/auth/userpass", json!({"type": "userpass"})).status, 204);
        let user = json!({"password": "not-a-real-password", "token_policies": "reader", "token_ttl": "2h"});
        assert_eq!(root.write("auth/userpass/users/ann", user).status, 204);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("password"), "not-a-real-password").unwrap();
        Self { served, folder }
    }

    /// Resolved by a login of the provider's own, or with the root token.
    fn resolve(&self, name: &str, own_login: bool) -> (Opened, Resolution) {
        let auth = match own_login {
            true => "auth = \"userpass\"\nuser = \"ann\"\ncredential-file = \"password\"",
            false => "",
        };
        let address = format!("address = {:?}", self.served.url);
        let text = DYNAMIC.replace("NAME", name).replace("ADDRESS", &address).replace("AUTH", auth);
        let path = self.folder.path().join("strongroom.toml");
        std::fs::write(&path, text).unwrap();
        let manifest = Manifest::load(&path).unwrap();
        let environment = manifest.environment(None).unwrap();
        let token = self.served.server.root_token.clone();
        let clock = Arc::clone(&self.served.server.clock);
        let surroundings = Arc::new(Surroundings {
            variables: Variables::from_pairs([("VAULT_TOKEN".into(), token.into())]),
            home: None,
            folder: self.folder.path().to_owned(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            entropy: Arc::new(SeededEntropy::new(5)),
        });
        let opened = Opened::new(&manifest, environment, &surroundings).unwrap();
        let request =
            resolve::Request { selection: Selection::All, depth: Depth::First, pins: None, now: clock.now() };
        let resolution = resolve::resolve(&manifest, environment, &opened, &request);
        assert!(!resolution.has_errors(), "{:?}", resolution.problems);
        (opened, resolution)
    }

    fn leases(&self, name: &str, own_login: bool) -> Leases {
        let (opened, resolution) = self.resolve(name, own_login);
        assert!(has_leases(&resolution));
        Leases::new(opened, &resolution, self.now())
    }

    fn now(&self) -> Duration {
        self.served.server.clock.monotonic()
    }

    /// Until the next lease is due; what is said about it then.
    fn next(&self, leases: &mut Leases) -> Vec<String> {
        self.served.server.clock.advance(leases.due().unwrap() - self.now());
        leases.renew(self.now())
    }

    /// How many leases the server has of the lender.
    fn alive(&self, name: &str) -> usize {
        let list = self.served.server.root().list(&format!("sys/leases/lookup/db/creds/{name}"));
        list.body["data"]["keys"].as_array().map_or(0, Vec::len)
    }

    fn asked_for(&self, path: &str) -> usize {
        self.served.asked().iter().filter(|asked| asked.ends_with(path)).count()
    }
}

#[test]
fn a_lease_is_renewed_while_it_can_be_and_its_end_is_said() {
    let lent = Lent::new();
    let mut leases = lent.leases("app", false);
    assert_eq!(lent.alive("app"), 1, "one request for two entries of one path");
    // Two thirds of an hour, five times; then the four hours of the server's bound are near.
    for round in 0..5 {
        assert_eq!(lent.next(&mut leases), Vec::<String>::new(), "round {round}");
    }
    assert_eq!(lent.asked_for("sys/leases/renew"), 5);
    let last = lent.next(&mut leases);
    assert!(last.len() == 1 && last[0].contains("cannot be lengthened any more"), "{last:?}");
    assert!(last[0].contains("DB_PASSWORD, DB_USER from vault"), "{last:?}");
    assert!(!leases.has_ended());
    let over = lent.next(&mut leases);
    assert!(over.len() == 1 && over[0].contains("has ended"), "{over:?}");
    assert!(leases.has_ended());
    assert_eq!(leases.due(), None);
    assert_eq!(leases.give_back(), Vec::<String>::new());
}

#[test]
fn a_lease_that_cannot_be_renewed_is_revoked_all_the_same() {
    let lent = Lent::new();
    let mut leases = lent.leases("fixed", false);
    assert_eq!(leases.due(), Some(lent.now() + HOUR));
    assert_eq!(lent.alive("fixed"), 1);
    assert_eq!(leases.give_back(), Vec::<String>::new());
    assert_eq!(lent.alive("fixed"), 0);
    assert_eq!(lent.asked_for("sys/leases/renew"), 0);
}

#[test]
fn a_login_of_our_own_is_renewed_with_its_leases_and_ends_with_them() {
    let lent = Lent::new();
    let mut leases = lent.leases("app", true);
    while lent.now() < HOUR * 3 {
        assert_eq!(lent.next(&mut leases), Vec::<String>::new());
    }
    let asked = lent.served.asked();
    let count = |end: &str| asked.iter().filter(|asked| asked.ends_with(end)).count();
    assert!(count("auth/token/renew-self") >= 2 && count("sys/leases/renew") >= 4, "{asked:?}");
    assert_eq!(lent.alive("app"), 1);
    assert_eq!(leases.give_back(), Vec::<String>::new());
    assert_eq!(lent.served.asked(), ["update auth/token/revoke-self"]);
    drop(leases);
    assert_eq!(lent.served.asked(), Vec::<String>::new(), "once is enough");
    // What a token leaves behind goes in batches.
    lent.served.server.clock.advance(Duration::from_secs(1));
    assert_eq!(
        lent.served.server.root().list("auth/token/accessors").data()["keys"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn a_server_that_is_away_is_asked_again_and_said_once() {
    let lent = Lent::new();
    let mut leases = lent.leases("app", false);
    lent.served.server.kernel.seal();
    let first = lent.next(&mut leases);
    assert!(first.len() == 1 && first[0].contains("was not lengthened, and ends in 20m"), "{first:?}");
    assert_eq!(lent.next(&mut leases), Vec::<String>::new());
    lent.served.server.unseal();
    assert_eq!(lent.next(&mut leases), Vec::<String>::new());
    assert_eq!(leases.due(), Some(lent.now() + HOUR * 2 / 3));
    lent.served.server.kernel.seal();
    let failed = leases.give_back();
    assert!(failed.len() == 1 && failed[0].contains("was not ended"), "{failed:?}");
}

#[test]
fn our_own_login_ends_with_the_command_unless_something_was_lent_under_it() {
    let lent = Lent::new();
    let (opened, resolution) = lent.resolve("app", true);
    assert_eq!(
        lent_names(&resolution).into_iter().collect::<Vec<_>>(),
        ["DB_PASSWORD", "DB_URL", "DB_USER"],
        "what is composed of a lent value is lent"
    );
    drop(opened);
    assert_eq!(lent.asked_for("revoke-self"), 0, "the account is still in use");
    let settings = [
        ("path", text("secret/shop")),
        ("auth", text("userpass")),
        ("user", text("ann")),
        ("credential-file", text("password")),
    ];
    let provider = lent.served.open_as(lent.folder.path(), &[], &settings);
    assert_eq!(fetch(&*provider, "secret/shop#API_KEY").unwrap().as_deref(), Some("not-a-real-key"));
    drop(provider);
    assert_eq!(lent.asked_for("revoke-self"), 1);
    // One that asked nobody has nothing to end; a token that somebody gave us stays.
    drop(lent.served.open_as(lent.folder.path(), &[], &settings));
    let given = lent.served.open(&[]);
    assert!(fetch(&*given, "secret/shop#API_KEY").unwrap().is_some());
    drop(given);
    assert_eq!(lent.asked_for("revoke-self"), 0);
}
