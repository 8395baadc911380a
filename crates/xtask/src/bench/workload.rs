use crate::http::{Api, Connection, errors_of, request};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde_json::{Value, json};
use std::fmt;
use strongroom_testkit::SeededEntropy;

/// What the clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// Read one of the prepared secrets (KV v2).
    KvRead,
    /// Write a secret; the server makes it durable before it answers (KV v2).
    KvWrite,
    /// Make a service token with a policy and a lifetime.
    TokenCreate,
    /// Log in with a role id and a secret id.
    ApproleLogin,
    /// Nine reads and one write in ten.
    Mixed,
    /// Encrypt 64 bytes (transit, AES-256-GCM).
    TransitEncrypt,
    /// Encrypt 1,000 times 64 bytes in one request.
    TransitBatch,
    /// Sign 64 bytes (transit, ECDSA P-256).
    TransitSign,
    /// Make a key and a certificate (PKI, ECDSA P-256, kept, without a lease).
    PkiIssue,
}

impl Workload {
    /// What is measured unless something is named: what every server can do without an engine of its own.
    pub(crate) const DEFAULT: [Self; 5] =
        [Self::KvRead, Self::KvWrite, Self::TokenCreate, Self::ApproleLogin, Self::Mixed];
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KvRead => "kv-read",
            Self::KvWrite => "kv-write",
            Self::TokenCreate => "token-create",
            Self::ApproleLogin => "approle-login",
            Self::Mixed => "mixed",
            Self::TransitEncrypt => "transit-encrypt",
            Self::TransitBatch => "transit-batch",
            Self::TransitSign => "transit-sign",
            Self::PkiIssue => "pki-issue",
        })
    }
}

/// The data the workloads run on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub secrets: u64,
    pub value_bytes: usize,
}

/// A request with a number in its path: `head`, the number, `tail`.
struct Numbered {
    head: Vec<u8>,
    tail: Vec<u8>,
}

/// Requests as bytes, ready to send.
pub(crate) struct Prepared {
    secrets: u64,
    read: Numbered,
    write: Numbered,
    token_create: Vec<u8>,
    login: Vec<u8>,
    engines: Engines,
}

/// Requests to the engines; empty where no workload needs them.
#[derive(Default)]
struct Engines {
    encrypt: Vec<u8>,
    batch: Vec<u8>,
    sign: Vec<u8>,
    issue: Vec<u8>,
}

impl Prepared {
    /// Writes the next request of a client into `buffer`.
    pub(crate) fn next(&self, workload: Workload, random: &SeededEntropy, buffer: &mut Vec<u8>) {
        buffer.clear();
        match workload {
            Workload::KvRead => self.read.write(random.below(self.secrets), buffer),
            Workload::KvWrite => self.write.write(random.below(self.secrets), buffer),
            Workload::Mixed if random.below(10) == 0 => self.write.write(random.below(self.secrets), buffer),
            Workload::Mixed => self.read.write(random.below(self.secrets), buffer),
            Workload::TokenCreate => buffer.extend_from_slice(&self.token_create),
            Workload::ApproleLogin => buffer.extend_from_slice(&self.login),
            Workload::TransitEncrypt => buffer.extend_from_slice(&self.engines.encrypt),
            Workload::TransitBatch => buffer.extend_from_slice(&self.engines.batch),
            Workload::TransitSign => buffer.extend_from_slice(&self.engines.sign),
            Workload::PkiIssue => buffer.extend_from_slice(&self.engines.issue),
        }
    }
}

impl Numbered {
    /// Splits a request at the only `{}` in it.
    fn new(bytes: &[u8]) -> Result<Self> {
        let at = bytes.windows(2).position(|pair| pair == b"{}").context("a request without a number")?;
        let (head, rest) = bytes.split_at(at);
        Ok(Self { head: head.to_vec(), tail: rest.get(2..).unwrap_or_default().to_vec() })
    }

    fn write(&self, number: u64, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(&self.head);
        buffer.extend_from_slice(number.to_string().as_bytes());
        buffer.extend_from_slice(&self.tail);
    }
}

/// Makes the mounts, secrets and roles that the workloads need, unless they are there.
pub(crate) async fn prepare(api: &mut Api, workloads: &[Workload], shape: Shape) -> Result<Prepared> {
    ensure(api, "sys/mounts/bench", &json!({"type": "kv", "options": {"version": "2"}})).await?;
    let host = api.endpoint.host_and_port.clone();
    let body = json!({"data": {"value": "v".repeat(shape.value_bytes)}}).to_string();
    let numbered = |method, path, body: &str| Numbered::new(&request(&host, &api.token, method, path, body));
    let read = numbered("GET", "bench/data/s{}", "")?;
    let write = numbered("POST", "bench/data/w{}", &body)?;
    let fill = numbered("POST", "bench/data/s{}", &body)?;
    let token_body = json!({"policies": ["default"], "ttl": "1h"}).to_string();
    let token_create = request(&host, &api.token, "POST", "auth/token/create", &token_body);
    if workloads.iter().any(|workload| matches!(workload, Workload::KvRead | Workload::Mixed)) {
        populate(api, &fill, shape.secrets).await?;
    }
    let login = if workloads.contains(&Workload::ApproleLogin) { approle(api).await? } else { Vec::new() };
    let engines = engines(api, workloads).await?;
    Ok(Prepared { secrets: shape.secrets, read, write, token_create, login, engines })
}

/// The mounts and keys of the engines, and requests to them.
async fn engines(api: &mut Api, workloads: &[Workload]) -> Result<Engines> {
    const BATCH: usize = 1000;
    let (host, token) = (api.endpoint.host_and_port.clone(), api.token.clone());
    let post = |path: &str, body: &Value| request(&host, &token, "POST", path, &body.to_string());
    let mut engines = Engines::default();
    let wants = |some: &[Workload]| workloads.iter().any(|workload| some.contains(workload));
    if wants(&[Workload::TransitEncrypt, Workload::TransitBatch, Workload::TransitSign]) {
        ensure(api, "sys/mounts/bench-transit", &json!({"type": "transit"})).await?;
        ensure(api, "bench-transit/keys/encrypt", &json!({"type": "aes256-gcm96"})).await?;
        ensure(api, "bench-transit/keys/sign", &json!({"type": "ecdsa-p256"})).await?;
        // 64 bytes in base64.
        let plaintext = format!("{}==", "A".repeat(86));
        let items = vec![json!({ "plaintext": plaintext }); BATCH];
        engines.encrypt = post("bench-transit/encrypt/encrypt", &json!({ "plaintext": plaintext }));
        engines.batch = post("bench-transit/encrypt/encrypt", &json!({ "batch_input": items }));
        engines.sign = post("bench-transit/sign/sign", &json!({ "input": plaintext }));
    }
    if wants(&[Workload::PkiIssue]) {
        ensure(api, "sys/mounts/bench-pki", &json!({"type": "pki"})).await?;
        let root = json!({"common_name": "Bench", "key_type": "ec", "ttl": "700h"});
        ensure(api, "bench-pki/root/generate/internal", &root).await?;
        let role = json!({"allow_any_name": true, "key_type": "ec", "ttl": "1h"});
        ensure(api, "bench-pki/roles/bench", &role).await?;
        engines.issue = post("bench-pki/issue/bench", &json!({"common_name": "bench.example.com"}));
    }
    Ok(engines)
}

async fn ensure(api: &mut Api, path: &str, body: &Value) -> Result<()> {
    match api.call("POST", path, Some(body)).await? {
        (200..=299, _) => Ok(()),
        (400, value) if errors_of(&value).contains("already in use") => Ok(()),
        (status, value) => bail!("POST {path}: status {status}: {}", errors_of(&value)),
    }
}

/// Writes the secrets over many connections, so that durable writes share their disk syncs where the server can.
async fn populate(api: &Api, fill: &Numbered, secrets: u64) -> Result<()> {
    const CONNECTIONS: u64 = 32;
    let writers = (0..CONNECTIONS).map(|first| {
        let endpoint = api.endpoint.clone();
        let requests: Vec<Vec<u8>> = (first..secrets)
            .step_by(CONNECTIONS as usize)
            .map(|number| {
                let mut buffer = Vec::new();
                fill.write(number, &mut buffer);
                buffer
            })
            .collect();
        tokio::spawn(async move {
            if requests.is_empty() {
                return Ok(());
            }
            let mut connection = Connection::open(&endpoint).await?;
            for bytes in requests {
                let answer = connection.exchange(&bytes).await?;
                if answer.status >= 300 {
                    bail!("status {}: {}", answer.status, String::from_utf8_lossy(answer.body));
                }
            }
            Ok(())
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await?.context("writing the secrets to read")?;
    }
    Ok(())
}

/// A role whose secret id can be used for ever, and the request that logs in with it.
async fn approle(api: &mut Api) -> Result<Vec<u8>> {
    ensure(api, "sys/auth/bench-approle", &json!({"type": "approle"})).await?;
    let role =
        json!({"token_policies": "default", "token_ttl": "1h", "secret_id_ttl": 0, "secret_id_num_uses": 0});
    api.must("POST", "auth/bench-approle/role/bench", Some(&role)).await?;
    let role_id = api.must("GET", "auth/bench-approle/role/bench/role-id", None).await?;
    let secret_id = api.must("POST", "auth/bench-approle/role/bench/secret-id", Some(&json!({}))).await?;
    let credentials = json!({
        "role_id": role_id.pointer("/data/role_id").context("no role id")?,
        "secret_id": secret_id.pointer("/data/secret_id").context("no secret id")?,
    });
    Ok(request(&api.endpoint.host_and_port, "", "POST", "auth/bench-approle/login", &credentials.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_goes_where_the_braces_were() {
        let numbered = Numbered::new(&request("h:1", "t", "GET", "bench/data/s{}", "")).unwrap();
        let mut buffer = Vec::new();
        numbered.write(17, &mut buffer);
        assert_eq!(buffer, request("h:1", "t", "GET", "bench/data/s17", ""));
        assert!(Numbered::new(b"GET /").is_err());
    }
}
