//! `server --dev`: a whole server in one step, gone without a trace when it stops.

use super::config::{Config, ListenerConfig, SealConfig, Store};
use super::{Parts, ServerArgs, bind, hardening, logging, runtime, serve};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::persona::Face;
use crate::token_file;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use strongroom_crypto::token::encode_base64;
use strongroom_http::Address;
use strongroom_http::tls::{ClientCertificates, TlsConfig, TlsVersion, self_signed};
use strongroom_kernel::{Body, Client, Fields, Kernel, Operation, Request, Sharing};
use strongroom_secret::{NamespacePath, RequestPath, SecretString};

pub fn run(args: &ServerArgs, environment: &Environment, face: Face) -> Result<ExitCode, Failure> {
    let log = logging::start(
        args.log_level.as_deref().or(Some("warn")),
        args.log_format.as_deref(),
        args.log_file.as_deref(),
    )?;
    hardening::apply();
    let folder = tempfile::Builder::new()
        .prefix("strongroom-dev-")
        .tempdir()
        .map_err(|error| Failure::other(format!("a temporary folder cannot be made: {error}")))?;
    let config = dev_config(args, folder.path())?;
    let parts = Parts::new(&config, environment, log.control)?;
    let _log_guard = log.guard;
    let kernel = parts.kernel(&config);
    let token = args
        .dev_root_token_id
        .clone()
        .or_else(|| environment.setting("DEV_ROOT_TOKEN_ID").map(str::to_owned))
        .map(SecretString::new);
    let sharing = Sharing { shares: 1, threshold: 1 };
    let made = kernel.initialize_with(sharing, sharing, token).map_err(refused)?;
    for key in &made.keys {
        kernel.unseal_with_share(key.duplicate()).map_err(refused)?;
    }
    let code = runtime()?.block_on(async {
        let (door, tls) = bind(&config.listeners, &parts, &kernel).await?;
        mount_kv(&kernel, &made.root_token).await?;
        let stored = !args.dev_no_store_token && store_token(environment, &made.root_token);
        let authority = args.dev_tls.then(|| folder.path().join("ca.pem"));
        let port = door.tcp_addresses().first().map_or(0, std::net::SocketAddr::port);
        let key = made.keys.first().map(|key| encode_base64(key.expose())).unwrap_or_default();
        greet(&Greeting {
            address: address(args, port),
            unseal_key: &key,
            root_token: made.root_token.expose(),
            authority: authority.as_deref(),
            token_is_stored: stored,
            command: command(face),
        });
        serve(door, tls, kernel.clone()).await
    });
    drop(parts);
    drop(kernel);
    code
}

fn refused(error: strongroom_kernel::Error) -> Failure {
    Failure::other(format!(
        "{}{}",
        error.messages.join("; "),
        error.detail.map(|d| format!(" ({d})")).unwrap_or_default()
    ))
}

fn dev_config(args: &ServerArgs, folder: &Path) -> Result<Config, Failure> {
    let tls = match args.dev_tls {
        true => Some(dev_tls(args, folder)?),
        false => None,
    };
    Ok(Config {
        store: Store::Embedded { folder: folder.join("data"), accept_rollback: false },
        listeners: vec![ListenerConfig {
            address: Address::Tcp(args.dev_listen_address.clone()),
            tls,
            forwarded_from: Vec::new(),
            require_request_header: false,
            body_bytes_max: None,
            request_timeout: None,
        }],
        seal: SealConfig::Shamir,
        seal_before: None,
        open_generate_root: false,
        cluster_name: "strongroom-dev".to_owned(),
        api_address: String::new(),
        default_lease_ttl: None,
        max_lease_ttl: None,
        log_level: None,
        log_format: None,
        log_file: None,
        pid_file: None,
        plugin_directory: None,
        notify_directory: None,
        audit_directories: None,
        audit_network: false,
        explain_denials: true,
        snapshots: None,
        warnings: Vec::new(),
    })
}

fn dev_tls(args: &ServerArgs, folder: &Path) -> Result<TlsConfig, Failure> {
    use strongroom_secret::Clock as _;
    let host = args.dev_listen_address.rsplit_once(':').map_or("", |(host, _)| host);
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    if !host.is_empty() && !names.iter().any(|name| name == host) {
        names.push(host.to_owned());
    }
    let made = self_signed(&names, crate::system::SystemClock::new().now())
        .map_err(|error| Failure::other(error.to_string()))?;
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).map(|()| path).map_err(|error| Failure::other(error.to_string()))
    };
    write("ca.pem", &made.authority_pem)?;
    Ok(TlsConfig {
        certificate_file: write("cert.pem", &made.certificate_pem)?,
        key_file: write("key.pem", made.key_pem.expose())?,
        version_min: TlsVersion::Tls12,
        client_certificates: ClientCertificates::Request,
    })
}

/// Mounts `secret/`, through the same walk as anybody's request.
async fn mount_kv(kernel: &Arc<Kernel>, token: &SecretString) -> Result<(), Failure> {
    let Value::Object(fields) =
        json!({ "type": "kv", "options": { "version": "2" }, "description": "key/value secrets" })
    else {
        return Ok(());
    };
    let request = Request {
        id: "dev".to_owned(),
        operation: Operation::Write,
        namespace: NamespacePath::root(),
        path: RequestPath::parse("sys/mounts/secret").map_err(|error| Failure::other(error.to_string()))?,
        fields: Fields(fields),
        body: Body::default(),
        token: Some(token.duplicate()),
        basic: None,
        wrap_ttl: None,
        client: Client::default(),
        headers: Vec::new(),
    };
    kernel.clone().handle(request).await.map(drop).map_err(refused)
}

/// Keeps the token where clients look for it. What was there is kept if it cannot be replaced.
fn store_token(environment: &Environment, token: &SecretString) -> bool {
    let Some(home) = environment.home() else { return false };
    token_file::store(&token_file::path(home), token).is_ok()
}

fn address(args: &ServerArgs, port: u16) -> String {
    let host = args.dev_listen_address.rsplit_once(':').map_or("127.0.0.1", |(host, _)| host);
    let host = if host.is_empty() || host == "0.0.0.0" { "127.0.0.1" } else { host };
    format!("{}://{host}:{port}", if args.dev_tls { "https" } else { "http" })
}

/// How we were started: what a person can type again.
fn command(face: Face) -> String {
    match face {
        Face::Vault => "vault".to_owned(),
        Face::Native => std::env::args().next().unwrap_or_else(|| "strongroom".to_owned()),
    }
}

struct Greeting<'g> {
    address: String,
    unseal_key: &'g str,
    root_token: &'g str,
    authority: Option<&'g Path>,
    token_is_stored: bool,
    command: String,
}

fn greet(greeting: &Greeting<'_>) {
    let Greeting { address, unseal_key, root_token, authority, token_is_stored, command } = greeting;
    let trust = authority.map(|path| format!(" VAULT_CACERT={}", path.display())).unwrap_or_default();
    let token = if *token_is_stored { String::new() } else { format!(" VAULT_TOKEN={root_token}") };
    let note = if *token_is_stored {
        "\n  The root token is in ~/.vault-token: commands find it there.\n"
    } else {
        ""
    };
    let text = format!(
        "Strongroom {version}, a server for development: everything in it is gone when it stops.

  Address     {address}
  Unseal key  {unseal_key}
  Root token  {root_token}
{note}
In another terminal:

  export VAULT_ADDR={address}{trust}{token}
  {command} kv put secret/hello PASSWORD=not-a-real-password
  {command} kv get secret/hello
  {command} run --from secret/hello -- printenv PASSWORD

Ctrl-C stops it.
",
        version = env!("CARGO_PKG_VERSION"),
    );
    // Nobody may be reading; the server serves all the same.
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}
