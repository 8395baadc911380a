//! Strongroom, Vault and OpenBao: one request for a path, at the same time for several.

use super::settings::{Checked, Kind, Rule, SettingsError, Shape};
use super::whole::{Place, Whole, hand_out, places, set_entry};
use super::{Address, ErrorKind, Lease, Outcome, Provider, ProviderError, Reach, SecretTree, Stored, remote};
use crate::at_once;
use crate::surroundings::Surroundings;
use crate::web::Limits;
use login::{Entry, Login};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use strongroom_api::Response;
use strongroom_api::client::{
    Address as ServerAddress, Client, ClientConfig, ClientError, KvMount, KvVersion, ServerErrorKind,
    TlsOptions, Verification,
};
use strongroom_secret::{SecretBytes, SecretString, Timestamp};

mod login;

pub(super) const KIND: Kind = Kind::new(
    "vault",
    "Strongroom, HashiCorp Vault or OpenBao",
    &[
        Rule::optional(
            "path",
            Shape::Text,
            "a secret whose entries have the names, as secret/shop/prod; any path of the API will do",
        ),
        Rule::optional("address", Shape::Text, "the server, instead of STRONGROOM_ADDR (VAULT_ADDR)"),
        Rule::optional("namespace", Shape::Text, "instead of STRONGROOM_NAMESPACE (VAULT_NAMESPACE)"),
        Rule::optional(
            "kv",
            Shape::Choice(&["1", "2", "no"]),
            "the engine at the path; without it, the server is asked",
        ),
        Rule::optional(
            "auth",
            Shape::Choice(&["token", "approle", "userpass", "jwt", "kubernetes"]),
            "how to log in; token",
        ),
        Rule::optional("mount", Shape::Text, "where the auth method is mounted; its own name"),
        Rule::optional(
            "role",
            Shape::Text,
            "the role to log in to (jwt, kubernetes), or the role id (approle)",
        ),
        Rule::optional("user", Shape::Text, "the user's name (userpass)"),
        Rule::optional("credential", Shape::Text, "variable with the secret id, password or JWT"),
        Rule::optional("credential-file", Shape::Text, "file with the secret id, password, JWT or token"),
    ],
    |settings, surroundings| Ok(Box::new(Vault::open(settings, surroundings)?)),
)
.also_called(&["strongroom", "openbao"])
.reaching_out();

struct Vault {
    path: String,
    address: Option<String>,
    namespace: Option<String>,
    engine: Engine,
    login: Login,
    limits: Limits,
    surroundings: Arc<Surroundings>,
    connected: OnceLock<Result<Connected, ProviderError>>,
    /// What the server has said of mounts, by the path that was asked about.
    mounts: Mutex<HashMap<String, Option<KvMount>>>,
}

/// A client with a token, and whose token it is.
struct Connected {
    client: Client,
    /// Of a token that this provider got for itself, and that can be taken back.
    login: Option<Lease>,
    is_logged_out: AtomicBool,
    /// What was lent, which would end with the login.
    lent: Mutex<Vec<Lease>>,
}

/// What is known of the engine at a path before anybody is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    Unknown,
    Kv(KvVersion),
    /// Read as it is.
    Other,
}

/// Where a secret is read, and how its answer is laid out.
struct Route {
    api_path: String,
    version: KvVersion,
}

/// What came of reading a path as KV 2's.
enum Guess {
    Found(Whole),
    Denied(ProviderError),
    Nothing,
}

impl Provider for Vault {
    fn place(&self) -> String {
        format!("Vault at {}", self.shown_address())
    }

    fn reach(&self) -> Reach {
        Reach::Host(self.shown_address())
    }

    fn address_of(&self, name: &str) -> Address {
        Address::of_key(&self.path, name)
    }

    fn fetch(&self, addresses: &[Address]) -> Vec<Outcome> {
        let places = places(addresses);
        // One login for all threads.
        if let Err(error) = self.client() {
            return addresses.iter().map(|_| Err(error.clone())).collect();
        }
        let mut answers = at_once(&places, self.limits.concurrency, |place| self.one(*place));
        self.explain_denials(&mut answers);
        let found: HashMap<_, _> = places.into_iter().zip(answers).collect();
        hand_out(addresses, &found)
    }

    fn store(&self, address: &Address, value: &SecretBytes) -> Result<Stored, ProviderError> {
        let key = address.key.as_deref().ok_or_else(|| {
            ProviderError::settings("a secret of Vault is a map: say which entry to write")
                .looked(address)
                .hint("path#key")
        })?;
        let version = self.change(address, |tree| set_entry(tree, key, Some(value)))?;
        Ok(Stored { version, origin: format!("{} {}", self.shown_address(), address.path) })
    }

    fn remove(&self, address: &Address) -> Result<(), ProviderError> {
        if let Some(key) = &address.key {
            let current = self.one((&address.path, None))?;
            let is_there = current.and_then(|whole| whole.names()).is_some_and(|names| names.contains(key));
            return match is_there {
                true => self.change(address, |tree| set_entry(tree, key, None)).map(|_| ()),
                false => Ok(()),
            };
        }
        let route = self.route(&address.path)?;
        self.client()?.delete(&route.api_path, &[]).map(|_| ()).map_err(|error| told(error, &route.api_path))
    }

    /// The entries of a secret; for a path with a slash at its end, what lies below it.
    fn list(&self, path: &str) -> Result<Vec<String>, ProviderError> {
        if !path.ends_with('/') {
            let whole = self.one((path, None))?;
            return Ok(whole.and_then(|whole| whole.names()).unwrap_or_default());
        }
        let mount = self.mount(path)?;
        let api_path = mount.api_path_once(path, "metadata");
        let answer = self.client()?.list(&api_path, &[]).map_err(|error| told(error, &api_path))?;
        Ok(answer
            .map(|answer| answer.keys().into_iter().map(|key| format!("{path}{key}")).collect())
            .unwrap_or_default())
    }

    fn renew(&self, lease: &Lease) -> Result<Lease, ProviderError> {
        let body = json!({ "lease_id": lease.id, "increment": lease.duration.as_secs() });
        let answer = self.client()?.write("sys/leases/renew", &body);
        let answer = answer.map_err(|error| told(error, "sys/leases/renew"))?;
        let answer =
            answer.ok_or_else(|| ProviderError::malformed("the server says nothing about the lease"))?;
        Ok(lease_of(&answer).unwrap_or_else(|| Lease { renewable: false, ..lease.clone() }))
    }

    fn revoke(&self, lease: &Lease) -> Result<(), ProviderError> {
        let body = json!({ "lease_id": lease.id });
        let answer = self.client()?.write("sys/leases/revoke", &body);
        answer.map(|_| ()).map_err(|error| told(error, "sys/leases/revoke"))
    }

    fn login(&self) -> Option<Lease> {
        self.connected.get()?.as_ref().ok()?.login.clone()
    }

    fn renew_login(&self) -> Result<Lease, ProviderError> {
        let path = "auth/token/renew-self";
        let answer = self.client()?.write(path, &json!({})).map_err(|error| told(error, path))?;
        let auth = answer.and_then(|answer| answer.auth);
        let auth = auth.ok_or_else(|| {
            ProviderError::malformed("the server says nothing about the login").looked(path)
        })?;
        let id = self.login().map(|login| login.id).unwrap_or_default();
        let seconds = u64::try_from(auth.lease_duration).unwrap_or_default();
        Ok(Lease { id, duration: Duration::from_secs(seconds), renewable: auth.renewable })
    }

    fn log_out(&self) -> Result<(), ProviderError> {
        let Some(Ok(connected)) = self.connected.get() else { return Ok(()) };
        if connected.login.is_none() || connected.is_logged_out.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        let path = "auth/token/revoke-self";
        match connected.client.write(path, &json!({})) {
            Ok(_) => Ok(()),
            // It has expired, or its uses are over: there is nothing to take back.
            Err(error) if error.kind() == Some(ServerErrorKind::PermissionDenied) => Ok(()),
            Err(error) => Err(told(error, path)),
        }
    }

    fn take_back(&self) -> Result<(), ProviderError> {
        let Some(Ok(connected)) = self.connected.get() else { return Ok(()) };
        let lent = std::mem::take(&mut *connected.lent.lock().unwrap_or_else(PoisonError::into_inner));
        match connected.login {
            // All of it ends with the login.
            Some(_) => self.log_out(),
            None => lent.iter().try_for_each(|lease| self.revoke(lease)),
        }
    }
}

impl Drop for Vault {
    /// A login is not left behind for others to find. If it cannot be taken back, it ends by itself.
    fn drop(&mut self) {
        if let Some(Ok(connected)) = self.connected.get()
            && connected.lent.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
        {
            let _ = self.log_out();
        }
    }
}

impl Vault {
    fn open(settings: &Checked<'_>, surroundings: &Arc<Surroundings>) -> Result<Self, SettingsError> {
        let text = |name: &str| settings.text(name).map(str::to_owned);
        let variables = &surroundings.variables;
        let of_variables = |name: &str| {
            variables.first(&[
                &format!("STRONGROOM_{name}"),
                &format!("VAULT_{name}"),
                &format!("BAO_{name}"),
            ])
        };
        let engine = match settings.text("kv") {
            Some("1") => Engine::Kv(KvVersion::One),
            Some("2") => Engine::Kv(KvVersion::Two),
            Some(_) => Engine::Other,
            None => Engine::Unknown,
        };
        Ok(Self {
            path: text("path").unwrap_or_default().trim_matches('/').to_owned(),
            address: text("address").or_else(|| of_variables("ADDR").map(str::to_owned)),
            namespace: text("namespace").or_else(|| of_variables("NAMESPACE").map(str::to_owned)),
            engine,
            login: Login::of_settings(settings)?,
            limits: remote::limits(settings, surroundings),
            surroundings: Arc::clone(surroundings),
            connected: OnceLock::new(),
            mounts: Mutex::default(),
        })
    }

    fn shown_address(&self) -> String {
        self.address.clone().unwrap_or_else(|| "an address that is not set".to_owned())
    }

    /// A server says the same of a token that it does not know and of one that may not do this. Whether the token may look at
    /// itself tells them apart.
    fn explain_denials(&self, answers: &mut [Result<Option<Whole>, ProviderError>]) {
        let is_denied = |error: &&mut ProviderError| error.kind == ErrorKind::Denied;
        let mut denied =
            answers.iter_mut().filter_map(|answer| answer.as_mut().err()).filter(is_denied).peekable();
        if denied.peek().is_none() {
            return;
        }
        let looked = self.client().map(|client| client.read("auth/token/lookup-self", &[]));
        let is_unknown =
            matches!(looked, Ok(Err(error)) if error.kind() == Some(ServerErrorKind::PermissionDenied));
        for error in denied.filter(|_| is_unknown) {
            error.kind = ErrorKind::Authentication;
            error.hint = Some(
                "the token has expired or was revoked: log in again (strongroom login). Or its policies allow neither \
                 this nor auth/token/lookup-self"
                    .to_owned(),
            );
        }
    }

    /// Logged in, once.
    fn connected(&self) -> Result<&Connected, ProviderError> {
        let connect = || {
            let mut client = Client::new(self.config()?).map_err(|error| told(error, ""))?;
            let Entry { token, login } = self.login.enter(&client, &self.surroundings)?;
            client.set_token(Some(token));
            Ok(Connected { client, login, is_logged_out: AtomicBool::new(false), lent: Mutex::default() })
        };
        self.connected.get_or_init(connect).as_ref().map_err(ProviderError::clone)
    }

    fn client(&self) -> Result<&Client, ProviderError> {
        self.connected().map(|connected| &connected.client)
    }

    fn config(&self) -> Result<ClientConfig, ProviderError> {
        let address = self.address.as_deref().ok_or_else(|| {
            ProviderError::settings("no address of a Vault server is set")
                .looked("variables STRONGROOM_ADDR, VAULT_ADDR and BAO_ADDR")
                .hint("`address` in the manifest, or STRONGROOM_ADDR")
        })?;
        let variables = &self.surroundings.variables;
        let setting =
            |name: &str| variables.first(&[&format!("STRONGROOM_{name}"), &format!("VAULT_{name}")]);
        let path = |name: &str| setting(name).map(|text| self.surroundings.path(text));
        let skip = variables.switch("STRONGROOM_SKIP_VERIFY") || variables.switch("VAULT_SKIP_VERIFY");
        let address = ServerAddress::parse(address).map_err(|error| told(error, ""))?;
        Ok(ClientConfig {
            namespace: self.namespace.clone(),
            tls: TlsOptions {
                ca_file: self.limits.authorities.clone().or_else(|| path("CACERT")),
                ca_pem: None,
                ca_folder: path("CAPATH"),
                client_certificate: path("CLIENT_CERT"),
                client_key: path("CLIENT_KEY"),
                server_name: setting("TLS_SERVER_NAME").map(str::to_owned),
                verification: if skip { Verification::Skipped } else { Verification::Required },
            },
            timeout: self.limits.total,
            retries_max: self.limits.repetitions_max,
            retry_pause: self.limits.pause_first,
            response_bytes_max: self.limits.response_bytes_max,
            ..ClientConfig::new(address)
        })
    }

    fn one(&self, (path, version): Place<'_>) -> Result<Option<Whole>, ProviderError> {
        if self.engine == Engine::Unknown {
            match self.by_guess(path, version)? {
                Guess::Found(whole) => return Ok(Some(whole)),
                // The server does not even say what is mounted there: what it said first is the truth.
                Guess::Denied(error) if self.told_mount(path)?.is_none() => return Err(error),
                Guess::Denied(_) | Guess::Nothing => {}
            }
        }
        let route = self.route(path)?;
        let query: Vec<_> = version.map(|version| ("version", version.to_owned())).into_iter().collect();
        let answer = self.client()?.read(&route.api_path, &query);
        let answer = answer.map_err(|error| told(error, &route.api_path))?;
        Ok(answer.and_then(|answer| self.whole(answer, &route)))
    }

    /// Reads `secret/shop` as `secret/data/shop`, where nearly all KV engines of version 2 have it: then one request is all.
    fn by_guess(&self, path: &str, version: Option<&str>) -> Result<Guess, ProviderError> {
        let path = path.trim_matches('/');
        let Some((mount, rest)) = path.split_once('/') else { return Ok(Guess::Nothing) };
        let is_known = self.mounts.lock().unwrap_or_else(PoisonError::into_inner).contains_key(path);
        if is_known || ["sys", "auth", "identity", "cubbyhole"].contains(&mount) {
            return Ok(Guess::Nothing);
        }
        let api_path =
            if rest.starts_with("data/") { path.to_owned() } else { format!("{mount}/data/{rest}") };
        let query: Vec<_> = version.map(|version| ("version", version.to_owned())).into_iter().collect();
        match self.client()?.read(&api_path, &query) {
            Ok(Some(answer)) if is_kv2(&answer) => {
                let whole = self.whole(answer, &Route { api_path, version: KvVersion::Two });
                Ok(whole.map_or(Guess::Nothing, Guess::Found))
            }
            Ok(_) => Ok(Guess::Nothing),
            Err(error) => match error.kind() {
                Some(ServerErrorKind::PermissionDenied) => Ok(Guess::Denied(told(error, &api_path))),
                Some(ServerErrorKind::Sealed) | None => Err(told(error, &api_path)),
                Some(_) => Ok(Guess::Nothing),
            },
        }
    }

    /// The mount that serves a path.
    fn mount(&self, path: &str) -> Result<KvMount, ProviderError> {
        let first = || format!("{}/", path.trim_matches('/').split('/').next().unwrap_or_default());
        match self.engine {
            Engine::Kv(version) => Ok(KvMount { path: first(), version }),
            Engine::Other => Ok(KvMount { path: first(), version: KvVersion::One }),
            // What nothing is told of is read as it is.
            Engine::Unknown => {
                let told = self.told_mount(path)?;
                Ok(told.unwrap_or_else(|| KvMount { path: first(), version: KvVersion::One }))
            }
        }
    }

    /// What the server says of the mount; none where it, or a policy, does not tell.
    fn told_mount(&self, path: &str) -> Result<Option<KvMount>, ProviderError> {
        let path = path.trim_matches('/');
        if let Some(mount) = self.mounts.lock().unwrap_or_else(PoisonError::into_inner).get(path) {
            return Ok(mount.clone());
        }
        let mount = match self.client()?.kv_mount(path) {
            Ok(mount) => Some(mount),
            Err(error)
                if matches!(
                    error.kind(),
                    Some(ServerErrorKind::PermissionDenied | ServerErrorKind::NotFound)
                ) =>
            {
                None
            }
            Err(error) => return Err(told(error, path)),
        };
        self.mounts.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), mount.clone());
        Ok(mount)
    }

    fn route(&self, path: &str) -> Result<Route, ProviderError> {
        let mount = self.mount(path)?;
        Ok(Route { api_path: mount.api_path_once(path.trim_matches('/'), "data"), version: mount.version })
    }

    /// None for a version that was deleted.
    fn whole(&self, mut answer: Response, route: &Route) -> Option<Whole> {
        let lease = lease_of(&answer);
        if let (Some(lease), Some(Ok(connected))) = (&lease, self.connected.get()) {
            connected.lent.lock().unwrap_or_else(PoisonError::into_inner).push(lease.clone());
        }
        let mut data = answer.data.take()?;
        let origin = format!("{} {}", self.shown_address(), route.api_path);
        let is_kv2 = route.version == KvVersion::Two && data.contains_key("metadata");
        if !is_kv2 {
            let mut whole = Whole::of_tree(SecretTree::new(Value::Object(data)), origin);
            whole.lease = lease;
            return Some(whole);
        }
        let entries = data.remove("data").filter(Value::is_object)?;
        let mut whole = Whole::of_tree(SecretTree::new(entries), origin);
        let metadata = data.remove("metadata").unwrap_or_default();
        let time = |name: &str| Timestamp::parse_rfc3339(metadata.get(name)?.as_str()?);
        whole.version = metadata.get("version").and_then(Value::as_i64).map(|version| version.to_string());
        (whole.created, whole.expires) = (time("created_time"), time("deletion_time"));
        Some(whole)
    }

    /// Reads a map, changes it, and writes it if nobody has written in between (KV 2). Answers with the new version.
    fn change(
        &self,
        address: &Address,
        change: impl FnOnce(&mut SecretTree) -> Result<(), ProviderError>,
    ) -> Result<Option<String>, ProviderError> {
        let current = self.one((&address.path, None))?;
        let route = self.route(&address.path)?;
        let now = current.as_ref().and_then(|whole| whole.version.clone());
        let entries = current.as_ref().and_then(Whole::tree).map(|tree| tree.expose().clone());
        let mut tree = SecretTree::new(entries.unwrap_or_else(|| Value::Object(Map::new())));
        change(&mut tree)?;
        let body = SecretTree::new(match route.version {
            KvVersion::One => tree.expose().clone(),
            KvVersion::Two => {
                let expected =
                    address.version.as_ref().or(now.as_ref()).and_then(|version| version.parse::<i64>().ok());
                let mut body = json!({ "data": tree.expose() });
                // A version that was deleted still counts at the server, but is not seen here: then nothing is expected.
                if let Some(expected) = expected {
                    crate::web::set(&mut body, "options", json!({ "cas": expected }));
                }
                body
            }
        });
        let answer = self.client()?.write(&route.api_path, body.expose());
        let answer = answer.map_err(|error| match error.kind() {
            Some(ServerErrorKind::Conflict) => {
                ProviderError::malformed(format!("{} has changed since it was read", address.path))
                    .looked(self.shown_address())
                    .hint("read it again, then write")
            }
            _ => told(error, &route.api_path),
        })?;
        let version = answer.and_then(|answer| answer.field("version").and_then(Value::as_i64));
        Ok(version.map(|version| version.to_string()))
    }
}

/// A client's error as a provider's.
fn told(error: ClientError, path: &str) -> ProviderError {
    let message = error.to_string();
    let (kind, hint) = match &error {
        ClientError::Server(refusal) => {
            let says = |text: &str| refusal.messages.iter().any(|message| message.contains(text));
            match refusal.kind() {
                ServerErrorKind::PermissionDenied
                    if says("invalid token") || says("bad token") || says("missing client token") =>
                {
                    (ErrorKind::Authentication, Some("the token has expired or was revoked: log in again"))
                }
                ServerErrorKind::PermissionDenied => {
                    (ErrorKind::Denied, Some("the token's policies must allow to read this path"))
                }
                ServerErrorKind::Sealed => {
                    (ErrorKind::Unreachable, Some("the server waits for its unseal keys"))
                }
                ServerErrorKind::Uninitialized | ServerErrorKind::RateLimited | ServerErrorKind::Internal => {
                    (ErrorKind::Unreachable, None)
                }
                ServerErrorKind::NotFound | ServerErrorKind::Conflict | ServerErrorKind::BadRequest => {
                    (ErrorKind::Malformed, None)
                }
            }
        }
        ClientError::Unreachable { .. } | ClientError::Timeout { .. } | ClientError::Io(_) => {
            (ErrorKind::Unreachable, Some("is the server running, and the address right?"))
        }
        ClientError::Tls { .. } => {
            (ErrorKind::Unreachable, Some("`authorities` or STRONGROOM_CACERT names the authority to trust"))
        }
        ClientError::TooLarge { .. } | ClientError::BadResponse { .. } => (ErrorKind::Malformed, None),
        ClientError::Address { .. } | ClientError::TlsFile { .. } | ClientError::Header { .. } => {
            (ErrorKind::Settings, None)
        }
    };
    let mut told = ProviderError::new(kind, message);
    if let Some(refusal) = error.server() {
        told = told.looked(format!("{} {}", refusal.method.name(), refusal.url));
    } else if !path.is_empty() {
        told = told.looked(path);
    }
    let own = error.server().and_then(|refusal| refusal.hint.clone());
    match own.or_else(|| hint.map(str::to_owned)) {
        Some(hint) => told.hint(hint),
        None => told,
    }
}

/// The two parts that an answer of KV 2 has.
fn is_kv2(answer: &Response) -> bool {
    let metadata = answer.field("metadata").and_then(Value::as_object);
    answer.field("data").is_some() && metadata.is_some_and(|metadata| metadata.contains_key("version"))
}

fn lease_of(answer: &Response) -> Option<Lease> {
    if answer.lease_id.is_empty() {
        return None;
    }
    let seconds = u64::try_from(answer.lease_duration).unwrap_or_default();
    let duration = Duration::from_secs(seconds);
    Some(Lease { id: answer.lease_id.clone(), duration, renewable: answer.renewable })
}

/// For the logins: a token that somebody has, without white space at its ends.
fn trimmed(text: &str) -> SecretString {
    text.trim().into()
}
