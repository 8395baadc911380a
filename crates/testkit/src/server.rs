//! A whole server in this process: the kernel over a store in memory, with a clock that is told and seeded entropy.

use crate::{FakeClock, SeededEntropy, outbound, streams};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use strongroom_kernel::audit::Permissions;
use strongroom_kernel::{
    AuditParts, Auth, AutoSeal, Backend, BasicCredentials, Body, Client, Data, Error, Fields, Kernel,
    KernelParts, KernelSettings, Operation, Request, Response, Seal, Sharing, Surroundings, WrapInfo,
};
use strongroom_secret::{NamespacePath, RequestPath, SecretBytes, SecretString};
use strongroom_storage::Storage;
use strongroom_storage::memory::MemoryStorage;

/// A server that is initialised and open.
pub struct TestServer {
    pub kernel: Arc<Kernel>,
    pub clock: Arc<FakeClock>,
    pub storage: Arc<dyn Storage>,
    pub root_token: String,
    pub unseal_keys: Vec<SecretBytes>,
    pub backends: Vec<&'static Backend>,
}

/// A kernel over a store, with seeded entropy.
pub fn new_kernel(
    storage: &Arc<dyn Storage>,
    clock: &Arc<FakeClock>,
    backends: Vec<&'static Backend>,
    seal: Seal,
    seal_before: Option<Arc<dyn AutoSeal>>,
    settings: KernelSettings,
) -> Arc<Kernel> {
    let surroundings = Surroundings {
        outbound: outbound::outbound(),
        prober: outbound::prober(),
        streams: streams::streams(),
        ..Surroundings::default()
    };
    let seals = (seal, seal_before);
    new_kernel_in(surroundings, storage, clock, backends, seals, settings)
}

/// The same in surroundings of the test's.
pub fn new_kernel_in(
    surroundings: Surroundings,
    storage: &Arc<dyn Storage>,
    clock: &Arc<FakeClock>,
    backends: Vec<&'static Backend>,
    (seal, seal_before): (Seal, Option<Arc<dyn AutoSeal>>),
    settings: KernelSettings,
) -> Arc<Kernel> {
    // A second kernel over a store must not draw the ids of the first once more.
    let seed = 1 + storage.snapshot().map_or(0, |snapshot| snapshot.index().0);
    Kernel::new(KernelParts {
        storage: storage.clone(),
        clock: clock.clone(),
        entropy: Arc::new(SeededEntropy::new(seed)),
        backends,
        seal,
        seal_before,
        audit: AuditParts { permissions: Permissions { network: true, ..Permissions::default() } },
        settings,
        surroundings,
    })
}

/// What came back: the status, and the answer's parts under Vault's names.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

/// A caller of a server: a token and a namespace.
pub struct Session<'s> {
    server: &'s TestServer,
    token: Option<String>,
    namespace: &'s str,
    wrap_ttl: Option<Duration>,
    address: &'s str,
    certificates: Vec<Vec<u8>>,
    headers: Vec<(String, String)>,
    basic: Option<(String, String)>,
}

impl TestServer {
    /// Starts a server with these backends beside the kernel's own, with one unseal key.
    pub fn start(backends: Vec<&'static Backend>) -> Self {
        Self::start_on(Arc::new(MemoryStorage::new()), backends, Sharing { shares: 1, threshold: 1 })
    }

    pub fn start_on(storage: Arc<dyn Storage>, backends: Vec<&'static Backend>, sharing: Sharing) -> Self {
        let clock = Arc::new(FakeClock::new());
        let kernel =
            new_kernel(&storage, &clock, backends.clone(), Seal::Shamir, None, KernelSettings::default());
        let made = kernel.initialize(sharing, sharing).expect("a new server initialises");
        let root_token = made.root_token.expose().to_owned();
        let server = Self { kernel, clock, storage, root_token, unseal_keys: made.keys, backends };
        server.unseal();
        server
    }

    /// Starts a server in surroundings of the test's, with one unseal key.
    pub fn start_in(
        surroundings: Surroundings,
        storage: Arc<dyn Storage>,
        backends: Vec<&'static Backend>,
    ) -> Self {
        let clock = Arc::new(FakeClock::new());
        let settings = KernelSettings::default();
        let seals = (Seal::Shamir, None);
        let kernel = new_kernel_in(surroundings, &storage, &clock, backends.clone(), seals, settings);
        let sharing = Sharing { shares: 1, threshold: 1 };
        let made = kernel.initialize(sharing, sharing).expect("a new server initialises");
        let root_token = made.root_token.expose().to_owned();
        let server = Self { kernel, clock, storage, root_token, unseal_keys: made.keys, backends };
        server.unseal();
        server
    }

    /// The same store served by a new kernel, with other settings, once this one was sealed.
    pub fn restarted(&self, change: impl FnOnce(&mut KernelSettings)) -> Self {
        self.kernel.seal();
        let mut settings = KernelSettings::default();
        change(&mut settings);
        let server = self.beside(new_kernel(
            &self.storage,
            &self.clock,
            self.backends.clone(),
            Seal::Shamir,
            None,
            settings,
        ));
        server.unseal();
        server
    }

    /// Another kernel over the same store.
    pub fn beside(&self, kernel: Arc<Kernel>) -> Self {
        Self {
            kernel,
            clock: self.clock.clone(),
            storage: self.storage.clone(),
            root_token: self.root_token.clone(),
            unseal_keys: self.unseal_keys.iter().map(SecretBytes::duplicate).collect(),
            backends: self.backends.clone(),
        }
    }

    /// Gives as many unseal keys as are needed.
    pub fn unseal(&self) {
        for key in &self.unseal_keys {
            if self.kernel.unseal_with_share(key.duplicate()).expect("the key is right") {
                return;
            }
        }
    }

    /// The root token's holder.
    pub fn root(&self) -> Session<'_> {
        self.session(Some(&self.root_token))
    }

    /// Somebody with a token, or with none.
    pub fn session(&self, token: Option<&str>) -> Session<'_> {
        Session {
            server: self,
            token: token.map(str::to_owned),
            namespace: "",
            wrap_ttl: None,
            address: "127.0.0.1",
            certificates: Vec::new(),
            headers: Vec::new(),
            basic: None,
        }
    }
}

impl<'s> Session<'s> {
    #[must_use]
    pub fn in_namespace(mut self, namespace: &'s str) -> Self {
        self.namespace = namespace;
        self
    }

    #[must_use]
    pub fn wrapping(mut self, ttl: Duration) -> Self {
        self.wrap_ttl = Some(ttl);
        self
    }

    #[must_use]
    pub fn from_address(mut self, address: &'s str) -> Self {
        self.address = address;
        self
    }

    /// Over a connection with a client certificate: the chain in DER, leaf first.
    #[must_use]
    pub fn with_certificates(mut self, chain: Vec<Vec<u8>>) -> Self {
        self.certificates = chain;
        self
    }

    /// With a header more, by its name in small letters.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With `Authorization: Basic`.
    #[must_use]
    pub fn with_basic(mut self, user: &str, password: &str) -> Self {
        self.basic = Some((user.to_owned(), password.to_owned()));
        self
    }

    pub fn read(&self, path: &str) -> Answer {
        self.send(Operation::Read, path, json!({}))
    }

    /// A read with query parameters.
    pub fn read_with(&self, path: &str, query: Value) -> Answer {
        self.send(Operation::Read, path, query)
    }

    pub fn list(&self, path: &str) -> Answer {
        self.send(Operation::List, path, json!({}))
    }

    pub fn scan(&self, path: &str) -> Answer {
        self.send(Operation::Scan, path, json!({}))
    }

    pub fn write(&self, path: &str, body: Value) -> Answer {
        self.send(Operation::Write, path, body)
    }

    pub fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Operation::Patch, path, body)
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.send(Operation::Delete, path, json!({}))
    }

    /// Any request, as a door would make it.
    pub fn send(&self, operation: Operation, path: &str, body: Value) -> Answer {
        let path = match RequestPath::parse(path) {
            Ok(path) if matches!(operation, Operation::List | Operation::Scan) => path.to_folder(),
            Ok(path) => path,
            Err(error) => return answer(Err(Error::from(error))),
        };
        let text = body.to_string();
        let Value::Object(fields) = body else { panic!("a body is an object") };
        answer(self.exchange(operation, path, Fields(fields), text.into_bytes()))
    }

    /// The bytes of an answer outside the usual envelope, with its status.
    pub fn read_bytes(&self, path: &str) -> (u16, Vec<u8>) {
        self.send_bytes(Operation::Read, path, Vec::new())
    }

    /// The same for a body that is no JSON.
    pub fn write_bytes(&self, path: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
        self.send_bytes(Operation::Write, path, body)
    }

    fn send_bytes(&self, operation: Operation, path: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
        let path = RequestPath::parse(path).expect("the path is a path");
        match self.exchange(operation, path, Fields::default(), body) {
            Ok(mut response) => match &mut response.data {
                Data::Bytes { body, .. } => (response.status.unwrap_or(200), std::mem::take(body)),
                _ => panic!("the answer is not bytes alone"),
            },
            Err(error) => (error.kind.status(), Vec::new()),
        }
    }

    fn exchange(
        &self,
        operation: Operation,
        path: RequestPath,
        fields: Fields,
        body: Vec<u8>,
    ) -> Result<Response, Error> {
        let request = Request {
            id: "00000000-0000-4000-8000-000000000000".to_owned(),
            operation,
            namespace: NamespacePath::parse(self.namespace).expect("the namespace is a path"),
            path,
            fields,
            body: Body(body),
            token: self.token.as_deref().map(SecretString::from),
            basic: self.basic.as_ref().map(|(user, password)| BasicCredentials {
                user: user.clone(),
                password: SecretString::from(password.as_str()),
            }),
            wrap_ttl: self.wrap_ttl,
            client: Client {
                address: self.address.parse().ok(),
                port: 40_000,
                certificates: self.certificates.clone(),
            },
            headers: self.headers.clone(),
        };
        pollster::block_on(self.server.kernel.clone().handle(request))
    }
}

impl Answer {
    /// The data of a success; fails the test otherwise.
    #[track_caller]
    pub fn data(&self) -> &Value {
        assert!(self.status < 300, "{} {}", self.status, self.body);
        &self.body["data"]
    }

    /// The client token of a login.
    #[track_caller]
    pub fn token(&self) -> String {
        self.body["auth"]["client_token"]
            .as_str()
            .unwrap_or_else(|| panic!("no token in {self:?}"))
            .to_owned()
    }

    /// The status and the errors, for comparison in tests.
    pub fn refusal(&self) -> (u16, String) {
        let errors = self.body["errors"].as_array().cloned().unwrap_or_default();
        let texts: Vec<_> = errors.iter().filter_map(Value::as_str).collect();
        (self.status, texts.join("; "))
    }
}

pub(crate) fn answer(result: Result<Response, Error>) -> Answer {
    match result {
        Err(error) => Answer {
            status: error.kind.status(),
            body: json!({ "errors": error.messages, "hint": error.hint, "detail": error.detail }),
        },
        Ok(mut response) => {
            let mut body = Map::new();
            let mut status = 200;
            match std::mem::take(&mut response.data) {
                Data::None => status = 204,
                mut data => drop(body.insert("data".into(), data_value(&mut data))),
            }
            if let Some(auth) = &response.auth {
                body.insert("auth".into(), auth_value(auth));
                status = 200;
            }
            if let Some(wrap) = &response.wrap {
                body.insert("wrap_info".into(), wrap_value(wrap));
                status = 200;
            }
            if !response.warnings.is_empty() {
                body.insert("warnings".into(), json!(response.warnings));
                status = 200;
            }
            if !response.headers.is_empty() {
                body.insert("headers".into(), json!(response.headers));
            }
            body.insert("lease_id".into(), json!(response.lease_id));
            body.insert("lease_duration".into(), json!(response.lease_duration.as_secs()));
            Answer { status: response.status.unwrap_or(status), body: Value::Object(body) }
        }
    }
}

fn data_value(data: &mut Data) -> Value {
    match data {
        Data::None => Value::Null,
        Data::Map(map) => Value::Object(std::mem::take(map)),
        Data::Json(raw) => serde_json::from_str(raw.get()).expect("an engine's JSON is JSON"),
        Data::Plain(value) => value.take(),
        Data::Bytes { body, .. } => Value::String(String::from_utf8_lossy(body).into_owned()),
    }
}

fn auth_value(auth: &Auth) -> Value {
    json!({
        "client_token": auth.client_token.expose(),
        "accessor": auth.accessor,
        "policies": auth.policies,
        "token_policies": auth.token_policies,
        "identity_policies": auth.identity_policies,
        "metadata": auth.metadata,
        "lease_duration": auth.lease_duration.as_secs(),
        "renewable": auth.renewable,
        "entity_id": auth.entity_id,
        "token_type": auth.token_type,
        "orphan": auth.orphan,
        "num_uses": auth.num_uses,
        "mfa_requirement": auth.mfa_requirement,
    })
}

fn wrap_value(wrap: &WrapInfo) -> Value {
    json!({
        "token": wrap.token.expose(),
        "accessor": wrap.accessor,
        "ttl": wrap.ttl.as_secs(),
        "creation_path": wrap.creation_path,
        "wrapped_accessor": wrap.wrapped_accessor,
    })
}
