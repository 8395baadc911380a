use super::ClientError;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How to trust the server, and how to be trusted by it.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// PEM file of the authorities to trust, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The same as text; goes before the file.
    pub ca_pem: Option<String>,
    /// Folder of such files.
    pub ca_folder: Option<PathBuf>,
    /// PEM files of the certificate (with its chain) and the key to present.
    pub client_certificate: Option<PathBuf>,
    pub client_key: Option<PathBuf>,
    /// The name to expect in the server's certificate, instead of the host in the address.
    pub server_name: Option<String>,
    pub verification: Verification,
}

/// Whether the server's certificate counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Verification {
    #[default]
    Required,
    /// Anybody on the way can read and change everything. For experiments alone.
    Skipped,
}

pub(crate) fn client_config(options: &TlsOptions) -> Result<ClientConfig, ClientError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Tls { address: String::new(), reason: error.to_string() })?;
    let builder = match options.verification {
        Verification::Skipped => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(TrustAnyone(provider)))
        }
        Verification::Required => match &options.ca_pem {
            Some(pem) => builder.dangerous().with_custom_certificate_verifier(named(pem, provider)?),
            None => builder.with_root_certificates(roots(options)?),
        },
    };
    match (&options.client_certificate, &options.client_key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(certificate), key) => {
            let key_file = key.as_ref().unwrap_or(certificate);
            let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| tls_file(key_file, &error))?;
            builder.with_client_auth_cert(certificates(certificate)?, key).map_err(|error| {
                ClientError::TlsFile { path: certificate.clone(), reason: error.to_string() }
            })
        }
        (None, Some(key)) => Err(ClientError::TlsFile {
            path: key.clone(),
            reason: "a client key needs its client certificate as well".to_owned(),
        }),
    }
}

/// Trusts the certificates of a text: as authorities, and each as the very certificate of a server.
fn named(pem: &str, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, ClientError> {
    let refused = |reason: String| ClientError::Tls {
        address: String::new(),
        reason: format!("the PEM given: {reason}"),
    };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let certificates = certificates.map_err(|error| refused(error.to_string()))?;
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store.add(certificate.clone()).map_err(|error| refused(error.to_string()))?;
    }
    let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider)
        .build()
        .map_err(|error| refused(error.to_string()))?;
    Ok(Arc::new(NamedCertificates { certificates, chains }))
}

fn roots(options: &TlsOptions) -> Result<RootCertStore, ClientError> {
    let mut store = RootCertStore::empty();
    if let Some(file) = &options.ca_file {
        add(&mut store, file, certificates(file)?)?;
    } else if let Some(folder) = &options.ca_folder {
        for file in files_in(folder)? {
            // Keys and other files may lie beside the certificates.
            if let Ok(found) = certificates(&file) {
                add(&mut store, &file, found)?;
            }
        }
        if store.is_empty() {
            return Err(ClientError::TlsFile {
                path: folder.clone(),
                reason: "no file in it holds a certificate".to_owned(),
            });
        }
    } else {
        let (_, _) = store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    Ok(store)
}

fn add(
    store: &mut RootCertStore,
    file: &Path,
    found: Vec<CertificateDer<'static>>,
) -> Result<(), ClientError> {
    for certificate in found {
        store
            .add(certificate)
            .map_err(|error| ClientError::TlsFile { path: file.to_owned(), reason: error.to_string() })?;
    }
    Ok(())
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(file).map_err(|error| tls_file(file, &error))?.collect();
    let found = found.map_err(|error| tls_file(file, &error))?;
    if found.is_empty() {
        return Err(ClientError::TlsFile {
            path: file.to_owned(),
            reason: "it holds no certificate".to_owned(),
        });
    }
    Ok(found)
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>, ClientError> {
    let unreadable =
        |error: std::io::Error| ClientError::TlsFile { path: folder.to_owned(), reason: error.to_string() };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn tls_file(path: &Path, error: &pem::Error) -> ClientError {
    let reason = match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "it holds nothing of the kind expected, in PEM form".to_owned(),
        other => other.to_string(),
    };
    ClientError::TlsFile { path: path.to_owned(), reason }
}

/// `Verification::Skipped`: the certificate is not looked at, but signatures still have to fit it.
#[derive(Debug)]
struct TrustAnyone(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustAnyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Chains to the certificates named, and the certificates themselves. Many people give a server a self-signed
/// certificate that calls itself an authority, and name that one as what to trust: it is no valid leaf by RFC 5280, but
/// nothing is as sure as the very bytes that somebody said to trust.
#[derive(Debug)]
struct NamedCertificates {
    certificates: Vec<CertificateDer<'static>>,
    chains: Arc<WebPkiServerVerifier>,
}

/// Dates are checked before this is said: it is the only thing that is wrong but for the name.
fn is_authority_as_leaf(error: &rustls::Error) -> bool {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
            other.to_string() == "CaUsedAsEndEntity"
        }
        _ => false,
    }
}

impl ServerCertVerifier for NamedCertificates {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified =
            self.chains.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            Err(error) if is_authority_as_leaf(&error) && self.certificates.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chains.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chains.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}
