//! Encryption of connections to databases, and how far certificates are looked at.

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};
use std::sync::Arc;

/// How a database's certificate is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::secrets::database) enum Verification {
    /// Any is taken: encrypted, but perhaps with somebody in between.
    None,
    /// From a known authority, for any name.
    Authority,
    Full,
}

/// Ready to be used for connections.
#[derive(Debug, Clone)]
pub(in crate::secrets::database) struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// `authorities` in PEM, in place of those of the system; `identity`: a certificate chain and its key, in PEM. Errors
    /// say what is wrong and never repeat what was given.
    pub(in crate::secrets::database) fn new(
        host: &str,
        authorities: &str,
        identity: Option<(&str, &str)>,
        verification: Verification,
    ) -> Result<Self, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = verifier(&provider, authorities, verification)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = certificates(chain, "tls_certificate")?;
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
                    .map_err(|_| "the client's key is not a private key in PEM".to_owned())?;
                builder.with_client_auth_cert(chain, key).map_err(|error| error.to_string())?
            }
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("{host:?} is no name that a certificate could have"))?;
        Ok(Self { config: Arc::new(config), name })
    }

    pub(super) fn connection(&self) -> Result<ClientConnection, String> {
        ClientConnection::new(self.config.clone(), self.name.clone()).map_err(|error| error.to_string())
    }
}

fn certificates(pem: &str, name: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(format!("{name} has no certificate in PEM")),
    }
}

fn verifier(
    provider: &Arc<CryptoProvider>,
    authorities: &str,
    verification: Verification,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    if verification == Verification::None {
        return Ok(Arc::new(Lenient { inner: None, provider: provider.clone() }));
    }
    let mut roots = RootCertStore::empty();
    if authorities.is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err("the system has no certificates of authorities: give tls_ca".to_owned());
        }
    } else {
        for certificate in certificates(authorities, "tls_ca")? {
            roots.add(certificate).map_err(|error| format!("tls_ca: {error}"))?;
        }
    }
    let full = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| error.to_string())?;
    Ok(match verification {
        Verification::Authority => Arc::new(Lenient { inner: Some(full), provider: provider.clone() }),
        Verification::Full | Verification::None => full,
    })
}

/// Takes any name, or anything at all; signatures are checked all the same.
#[derive(Debug)]
struct Lenient {
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        match inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
