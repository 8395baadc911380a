//! TLS for listeners: certificates from PEM files, replaced while running; client certificates in Vault's way.

mod client;
mod self_signed;

use parking_lot::RwLock;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, VerifierBuilderError, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

pub use self_signed::{SelfSigned, self_signed};

/// Where a listener's TLS comes from.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    /// The server's chain, leaf first, in PEM.
    pub certificate_file: PathBuf,
    /// The leaf's key in PEM: PKCS#8, PKCS#1 or SEC1.
    pub key_file: PathBuf,
    pub version_min: TlsVersion,
    pub client_certificates: ClientCertificates,
}

/// The oldest version of TLS that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersion {
    #[default]
    Tls12,
    Tls13,
}

/// What to do about client certificates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ClientCertificates {
    /// Ask for one, take any. The client proves that it holds the key; whose certificate it is and whether it still
    /// holds is for the cert auth method to say.
    #[default]
    Request,
    /// Do not ask (`tls_disable_client_certs`).
    Ignore,
    /// Refuse clients without a certificate from one of these authorities (`tls_require_and_verify_client_cert`).
    Require { authorities_file: PathBuf },
}

/// Why TLS could not be set up.
#[derive(Debug, Error)]
pub enum TlsError {
    #[error("{path}: cannot be read: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: is not PEM: {source}")]
    NotPem { path: PathBuf, source: pem::Error },
    #[error("{path}: holds no {what}")]
    Missing { path: PathBuf, what: &'static str },
    #[error("{certificate} with {key}: {source}")]
    Unusable { certificate: PathBuf, key: PathBuf, source: rustls::Error },
    #[error("{path}: no usable certificate authority: {source}")]
    Authorities { path: PathBuf, source: VerifierBuilderError },
    #[error("TLS: {0}")]
    Provider(#[from] rustls::Error),
    #[error("a certificate cannot be made: {0}")]
    Generate(#[from] rcgen::Error),
}

/// A listener's TLS, which can be read again from its files while the server runs.
pub struct TlsReloader {
    config: TlsConfig,
    current: RwLock<Arc<ServerConfig>>,
}

impl TlsReloader {
    /// Reads the files.
    pub fn new(config: TlsConfig) -> Result<Arc<Self>, TlsError> {
        let current = RwLock::new(Arc::new(load(&config)?));
        Ok(Arc::new(Self { config, current }))
    }

    /// Reads the files again. New connections use what they hold now; if it is bad, everything stays as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = Arc::new(load(&self.config)?);
        *self.current.write() = fresh;
        Ok(())
    }

    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read())
    }
}

/// The chain that a client has presented and whose key it holds; empty if there is none or the leaf cannot be read.
pub(crate) fn presented_chain(connection: &ServerConnection) -> Vec<Vec<u8>> {
    let chain = connection.peer_certificates().unwrap_or_default();
    match chain.first() {
        Some(leaf) if client::is_readable(leaf) => {
            chain.iter().map(|certificate| certificate.to_vec()).collect()
        }
        _ => Vec::new(),
    }
}

fn load(config: &TlsConfig) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions: &[&SupportedProtocolVersion] = match config.version_min {
        TlsVersion::Tls12 => rustls::ALL_VERSIONS,
        TlsVersion::Tls13 => &[&rustls::version::TLS13],
    };
    let chain = read_certificates(&config.certificate_file)?;
    let key = read_key(&config.key_file)?;
    let verifier: Arc<dyn ClientCertVerifier> = match &config.client_certificates {
        ClientCertificates::Ignore => Arc::new(NoClientAuth),
        ClientCertificates::Request => Arc::new(client::AnyCertificate::new(&provider)),
        ClientCertificates::Require { authorities_file } => required(authorities_file, &provider)?,
    };
    let certified = certified_key(chain, key, &provider).map_err(|source| TlsError::Unusable {
        certificate: config.certificate_file.clone(),
        key: config.key_file.clone(),
        source,
    })?;
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    server.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    Ok(server)
}

/// A certificate with its key. That they belong together is checked where the certificate can be read: one that only
/// its clients understand (X.509 v1) is theirs to judge.
fn certified_key(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, rustls::Error> {
    let certified = CertifiedKey::new(chain, provider.key_provider.load_private_key(key)?);
    match certified.keys_match() {
        Err(error @ rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Err(error),
        _ => Ok(certified),
    }
}

fn required(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(read_certificates(path)?);
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|source| TlsError::Authorities { path: path.to_owned(), source })
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|source| TlsError::NotPem { path: path.to_owned(), source })?;
    match chain.is_empty() {
        true => Err(TlsError::Missing { path: path.to_owned(), what: "certificate" }),
        false => Ok(chain),
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = zeroize::Zeroizing::new(read(path)?);
    PrivateKeyDer::from_pem_slice(&text).map_err(|source| match source {
        pem::Error::NoItemsFound => TlsError::Missing { path: path.to_owned(), what: "private key" },
        source => TlsError::NotPem { path: path.to_owned(), source },
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}
