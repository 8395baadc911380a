use crate::stand_in::{Running, exchange, start_with, status, tcp};
use rcgen::{CertificateParams, KeyPair, SigningKey};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, SignatureScheme, SupportedProtocolVersion};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use strongroom_http::tls::{
    ClientCertificates, SelfSigned, TlsConfig, TlsError, TlsReloader, TlsVersion, self_signed,
};
use strongroom_http::{Listener, Options};
use strongroom_secret::{Clock, Timestamp};
use strongroom_testkit::FakeClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_cert::certificate::{Certificate, Version};
use x509_cert::der::asn1::BitString;
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{Decode, Encode, EncodePem};

const REQUEST: &[u8] = b"GET /v1/a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// A certificate and its key on disk.
struct Files {
    folder: tempfile::TempDir,
    config: TlsConfig,
}

impl Files {
    fn new(made: &SelfSigned) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = TlsConfig {
            certificate_file: folder.path().join("cert.pem"),
            key_file: folder.path().join("key.pem"),
            version_min: TlsVersion::default(),
            client_certificates: ClientCertificates::default(),
        };
        let files = Self { folder, config };
        files.write(&made.certificate_pem, made.key_pem.expose());
        files
    }

    fn write(&self, certificate: &str, key: &str) {
        std::fs::write(&self.config.certificate_file, certificate).unwrap();
        std::fs::write(&self.config.key_file, key).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// The client's clock is the real one, so the certificate has to hold today.
fn made() -> SelfSigned {
    let now = std::fs::metadata(std::env::current_exe().unwrap()).unwrap().modified().unwrap();
    let seconds = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    self_signed(&["localhost".into(), "127.0.0.1".into()], Timestamp::from_seconds(seconds as i64)).unwrap()
}

async fn start(config: TlsConfig) -> (Running, Arc<TlsReloader>) {
    let tls = TlsReloader::new(config).unwrap();
    let listener = Listener { tls: Some(Arc::clone(&tls)), ..tcp() };
    (start_with(listener, Options::default(), Arc::default()).await, tls)
}

/// A certificate of X.509 version 1, which has no extensions, with an RSA key, as old tools make them.
fn version_1() -> SelfSigned {
    let key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let version_3 = CertificateParams::new([]).unwrap().self_signed(&key).unwrap();
    let mut certificate = Certificate::from_der(version_3.der()).unwrap();
    certificate.tbs_certificate.version = Version::V1;
    certificate.tbs_certificate.extensions = None;
    let signature = key.sign(&certificate.tbs_certificate.to_der().unwrap()).unwrap();
    certificate.signature = BitString::from_bytes(&signature).unwrap();
    let certificate_pem = certificate.to_pem(LineEnding::LF).unwrap();
    SelfSigned {
        authority_pem: certificate_pem.clone(),
        certificate_pem,
        key_pem: key.serialize_pem().into(),
    }
}

/// What a client presents, whether it makes sense or not.
#[derive(Debug)]
struct Present(Option<Arc<CertifiedKey>>);

impl Present {
    fn nothing() -> Arc<Self> {
        Arc::new(Self(None))
    }

    /// The certificate of one with the key of another.
    fn pair(certificate: &SelfSigned, key: &SelfSigned) -> Arc<Self> {
        Self::der(CertificateDer::from_pem_slice(certificate.certificate_pem.as_bytes()).unwrap(), key)
    }

    fn der(certificate: CertificateDer<'static>, key: &SelfSigned) -> Arc<Self> {
        let key = PrivateKeyDer::from_pem_slice(key.key_pem.expose().as_bytes()).unwrap();
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
        Arc::new(Self(Some(Arc::new(CertifiedKey::new(vec![certificate], key)))))
    }
}

impl ResolvesClientCert for Present {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

/// One request over TLS from a client that trusts one authority.
async fn get(
    address: SocketAddr,
    authority: &str,
    version: &'static SupportedProtocolVersion,
    present: Arc<Present>,
) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(present);
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(REQUEST).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

#[tokio::test]
async fn requests_over_tls() {
    let made = made();
    let files = Files::new(&made);
    let (door, _) = start(files.config.clone()).await;
    for version in VERSIONS {
        let answer = get(door.address, &made.authority_pem, version, Present::nothing()).await.unwrap();
        assert_eq!(status(&answer), 200);
        assert!(
            answer.contains("strict-transport-security: max-age=31536000; includeSubDomains"),
            "{answer}"
        );
        assert!(answer.contains("\"certificates\":0"), "{answer}");
    }
    let answer = exchange(door.address, REQUEST).await;
    assert!(answer.contains("Client sent an HTTP request to an HTTPS server"), "{answer}");
    assert_eq!(door.stop().await, 0);
}

#[tokio::test]
async fn an_old_version_can_be_turned_off() {
    let made = made();
    let files = Files::new(&made);
    let (door, _) = start(TlsConfig { version_min: TlsVersion::Tls13, ..files.config.clone() }).await;
    let [old, new] = VERSIONS;
    assert!(get(door.address, &made.authority_pem, old, Present::nothing()).await.is_err());
    assert!(get(door.address, &made.authority_pem, new, Present::nothing()).await.is_ok());
}

#[tokio::test]
async fn any_client_certificate_is_taken_if_its_key_is_held() {
    let made = made();
    let files = Files::new(&made);
    let (door, _) = start(files.config.clone()).await;
    let stranger = self_signed(&["client".into()], Timestamp::from_seconds(1_000_000_000)).unwrap();
    let old = version_1();
    let garbage = CertificateDer::from(vec![0x30, 0x03, 0x02, 0x01, 0x01]);
    for version in VERSIONS {
        for (present, certificates) in [
            // Expired, of no known authority, for servers.
            (Present::pair(&stranger, &stranger), 1),
            (Present::pair(&old, &old), 1),
            // Not a certificate at all: as if there were none.
            (Present::der(garbage.clone(), &old), 0),
        ] {
            let answer = get(door.address, &made.authority_pem, version, present).await.unwrap();
            assert!(answer.contains(&format!("\"certificates\":{certificates}")), "{version:?}: {answer}");
        }
        for present in
            [Present::pair(&stranger, &made), Present::pair(&stranger, &old), Present::pair(&old, &stranger)]
        {
            assert!(get(door.address, &made.authority_pem, version, present).await.is_err(), "{version:?}");
        }
    }
}

#[tokio::test]
async fn client_certificates_can_be_required() {
    let (made, stranger, old) = (made(), made(), version_1());
    let (authority_pem, client) = client_with_authority();
    let files = Files::new(&made);
    let authorities_file = files.path("authorities.pem");
    std::fs::write(&authorities_file, &authority_pem).unwrap();
    let client_certificates = ClientCertificates::Require { authorities_file };
    let (door, _) = start(TlsConfig { client_certificates, ..files.config.clone() }).await;
    for version in VERSIONS {
        let present = Present::pair(&client, &client);
        let answer = get(door.address, &made.authority_pem, version, present).await.unwrap();
        assert!(answer.contains("\"certificates\":1"), "{answer}");
        for present in [Present::nothing(), Present::pair(&stranger, &stranger), Present::pair(&old, &old)] {
            assert!(get(door.address, &made.authority_pem, version, present).await.is_err());
        }
    }
}

/// An authority, and a client's certificate from it.
fn client_with_authority() -> (String, SelfSigned) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new(["client".to_owned()]).unwrap();
    leaf.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let certificate_pem = leaf.signed_by(&key, &rcgen::Issuer::new(authority, authority_key)).unwrap().pem();
    let key_pem = key.serialize_pem().into();
    (authority_pem.clone(), SelfSigned { authority_pem, certificate_pem, key_pem })
}

#[tokio::test]
async fn certificates_are_replaced_while_the_server_runs() {
    let (first, second) = (made(), made());
    let files = Files::new(&first);
    let (door, tls) = start(files.config.clone()).await;
    let trusts = async |made: &SelfSigned| {
        get(door.address, &made.authority_pem, &rustls::version::TLS13, Present::nothing()).await.is_ok()
    };
    assert!(trusts(&first).await && !trusts(&second).await);
    files.write(&second.certificate_pem, second.key_pem.expose());
    assert!(trusts(&first).await);
    tls.reload().unwrap();
    assert!(trusts(&second).await && !trusts(&first).await);
    files.write(&first.certificate_pem, second.key_pem.expose());
    assert!(matches!(tls.reload(), Err(TlsError::Unusable { .. })));
    files.write("nothing", second.key_pem.expose());
    assert!(matches!(tls.reload(), Err(TlsError::Missing { what: "certificate", .. })));
    assert!(trusts(&second).await);
}

#[test]
fn files_that_are_not_there_are_named() {
    let files = Files::new(&self_signed(&[], FakeClock::new().now()).unwrap());
    std::fs::remove_file(&files.config.key_file).unwrap();
    let error = TlsReloader::new(files.config.clone()).err().unwrap().to_string();
    assert!(error.contains("key.pem: cannot be read: No such file"), "{error}");
}

#[test]
fn odd_server_certificates_load() {
    let files = Files::new(&self_signed(&[], FakeClock::new().now()).unwrap());
    let old = version_1();
    files.write(&old.certificate_pem, old.key_pem.expose());
    assert!(TlsReloader::new(files.config.clone()).is_ok());
}
