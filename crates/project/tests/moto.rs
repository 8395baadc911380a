//! The AWS providers and KMS against moto's server, which is written independently of us. `cargo xtask test providers` installs
//! it and runs these.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use serde_json::json;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use strongroom_project::cloud::aws::{Aws, AwsOptions, EncryptionContext};
use strongroom_project::provider::{Address, ErrorKind, Kind, Provider, Setting, Settings};
use strongroom_project::{Surroundings, Variables};
use strongroom_secret::SecretBytes;
use strongroom_testkit::{FakeClock, SeededEntropy};

/// Prints its port, and ends with its standard input. A key of KMS is made on the way.
const SERVER: &str = "
import sys, boto3
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
kms = boto3.client('kms', endpoint_url=f'http://127.0.0.1:{port}', region_name='eu-west-1',
                   aws_access_key_id='AKIDEXAMPLE', aws_secret_access_key='not-real')
print(port, kms.create_key()['KeyMetadata']['Arn'], flush=True)
sys.stdin.read()
";

struct Moto {
    child: Child,
    url: String,
    key: String,
}

impl Moto {
    #[expect(clippy::disallowed_methods, reason = "cargo xtask says where its Python environment is")]
    fn start() -> Self {
        let python = std::env::var("STRONGROOM_TEST_PYTHON")
            .expect("cargo xtask test providers sets STRONGROOM_TEST_PYTHON");
        let mut child = Command::new(python)
            .args(["-c", SERVER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (port, key) = line.trim().split_once(' ').expect("moto starts");
        Self { url: format!("http://127.0.0.1:{port}"), key: key.to_owned(), child }
    }

    fn surroundings(&self) -> Arc<Surroundings> {
        let keys = [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "not-real")];
        self.surroundings_with(None, &keys)
    }

    fn surroundings_with(&self, home: Option<&Path>, variables: &[(&str, &str)]) -> Arc<Surroundings> {
        let always = [("AWS_REGION", "eu-west-1"), ("AWS_ENDPOINT_URL", self.url.as_str())];
        let variables = variables.iter().chain(&always);
        let variables = variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        Arc::new(Surroundings {
            variables: Variables::from_pairs(variables),
            home: home.map(Path::to_owned),
            folder: "/".into(),
            clock: Arc::new(FakeClock::new()),
            entropy: Arc::new(SeededEntropy::new(4)),
        })
    }

    fn open(&self, kind: &str, settings: &[(&str, &str)]) -> Box<dyn Provider> {
        let settings: Settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Setting::Text((*value).to_owned())))
            .collect();
        Kind::named(kind).unwrap().open(&settings, &self.surroundings()).unwrap()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bytes(text: &str) -> SecretBytes {
    SecretBytes::new(text.as_bytes().to_vec())
}

fn value(provider: &dyn Provider, address: &str) -> Option<Vec<u8>> {
    let found = provider.fetch(&[Address::parse(address).unwrap()]).remove(0).unwrap();
    found.map(|found| found.value.expose().to_vec())
}

#[test]
#[ignore = "needs moto: cargo xtask test providers"]
fn secrets_manager() {
    let moto = Moto::start();
    let provider = moto.open("aws-secrets-manager", &[("prefix", "shop/")]);
    let addresses: Vec<_> = (0..45).map(|index| provider.address_of(&format!("S{index}"))).collect();
    for (index, address) in addresses.iter().enumerate() {
        provider.store(address, &bytes(&format!("value {index}"))).unwrap();
    }
    for (index, outcome) in provider.fetch(&addresses).into_iter().enumerate() {
        assert_eq!(outcome.unwrap().unwrap().value.expose(), format!("value {index}").as_bytes());
    }
    let first = provider.fetch(&addresses[..1]).remove(0).unwrap().unwrap().version.unwrap();
    let second = provider.store(&addresses[0], &bytes("newer")).unwrap().version.unwrap();
    assert_ne!(first, second);
    assert_eq!(value(&*provider, "shop/S0").unwrap(), b"newer");
    assert_eq!(value(&*provider, "shop/S0?version=AWSPREVIOUS").unwrap(), b"value 0");
    assert_eq!(value(&*provider, &format!("shop/S0?version={first}")).unwrap(), b"value 0");
    assert_eq!(value(&*provider, "shop/none"), None);
    provider.store(&Address::of_path("shop/binary"), &SecretBytes::new(vec![0, 255, 1])).unwrap();
    assert_eq!(value(&*provider, "shop/binary").unwrap(), [0, 255, 1]);
    let names = provider.list("shop/S1").unwrap();
    assert_eq!(names.len(), 11, "{names:?}");
    provider.remove(&addresses[0]).unwrap();
    assert_eq!(value(&*provider, "shop/S0"), None);
    provider.remove(&Address::of_path("shop/none")).unwrap();
}

#[test]
#[ignore = "needs moto: cargo xtask test providers"]
fn entries_of_a_json_secret() {
    let moto = Moto::start();
    let provider = moto.open("aws-secrets-manager", &[("path", "shop")]);
    provider.store(&provider.address_of("A"), &bytes("1")).unwrap();
    provider.store(&provider.address_of("B"), &bytes("2")).unwrap();
    assert_eq!(value(&*provider, "shop").unwrap(), json!({"A": "1", "B": "2"}).to_string().as_bytes());
    assert_eq!(provider.list("shop").unwrap(), ["A", "B"]);
    provider.remove(&provider.address_of("A")).unwrap();
    let outcomes = provider.fetch(&[provider.address_of("A"), provider.address_of("B")]);
    assert!(outcomes[0].as_ref().unwrap().is_none());
    assert_eq!(outcomes[1].as_ref().unwrap().as_ref().unwrap().value.expose(), b"2");
}

#[test]
#[ignore = "needs moto: cargo xtask test providers"]
fn parameter_store() {
    let moto = Moto::start();
    let provider = moto.open("aws-parameter-store", &[("path", "/shop/prod")]);
    let addresses: Vec<_> = (0..25).map(|index| provider.address_of(&format!("P{index}"))).collect();
    for address in &addresses {
        provider.store(address, &bytes(&address.path)).unwrap();
    }
    for (address, outcome) in addresses.iter().zip(provider.fetch(&addresses)) {
        let found = outcome.unwrap().unwrap();
        assert_eq!(found.value.expose(), address.path.as_bytes());
        assert_eq!(found.version.as_deref(), Some("1"));
    }
    assert_eq!(provider.store(&addresses[0], &bytes("newer")).unwrap().version.as_deref(), Some("2"));
    assert_eq!(value(&*provider, "/shop/prod/P0").unwrap(), b"newer");
    assert_eq!(value(&*provider, "/shop/prod/P0?version=1").unwrap(), b"/shop/prod/P0");
    assert_eq!(value(&*provider, "/shop/prod/none"), None);
    assert_eq!(provider.list("/shop").unwrap().len(), 25);
    provider.remove(&addresses[0]).unwrap();
    assert_eq!(value(&*provider, "/shop/prod/P0"), None);
}

#[test]
#[ignore = "needs moto: cargo xtask test providers"]
fn kms() {
    let moto = Moto::start();
    let aws = Aws::new(moto.surroundings(), AwsOptions::default());
    let context: EncryptionContext = [("file".to_owned(), "a".to_owned())].into();
    let encrypted = aws.kms_encrypt(&moto.key, &bytes("data key"), &context).unwrap();
    assert_eq!(aws.kms_decrypt(&moto.key, &encrypted, &context).unwrap().expose(), b"data key");
    assert!(aws.kms_decrypt(&moto.key, &encrypted, &EncryptionContext::new()).is_err());
    let made = aws.kms_data_key(&moto.key, &context).unwrap();
    assert_eq!(made.plaintext.expose().len(), 32);
    assert_eq!(aws.kms_decrypt(&moto.key, &made.ciphertext, &context).unwrap(), made.plaintext);
    let error = aws.kms_encrypt("alias/none", &bytes("x"), &context).unwrap_err();
    assert!(error.message.contains("NotFoundException"), "{error}");
}

#[test]
#[ignore = "needs moto: cargo xtask test providers"]
fn a_role_is_taken_on() {
    let moto = Moto::start();
    let role = "arn:aws:iam::123456789012:role/app";
    let provider = moto.open("aws-secrets-manager", &[("role", role)]);
    provider.store(&Address::of_path("x"), &bytes("v")).unwrap();
    assert_eq!(value(&*provider, "x").unwrap(), b"v");
    let error = moto
        .open("aws-secrets-manager", &[("profile", "none")])
        .fetch(&[Address::of_path("x")])
        .remove(0)
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Authentication);
}

/// Reads a secret with the credentials that a home folder and variables lead to.
fn read_with(moto: &Moto, home: &Path, variables: &[(&str, &str)], profile: Option<&str>) -> Option<Vec<u8>> {
    let settings: Settings =
        profile.iter().map(|name| ("profile".to_owned(), Setting::Text((*name).to_owned()))).collect();
    let provider = Kind::named("aws-secrets-manager")
        .unwrap()
        .open(&settings, &moto.surroundings_with(Some(home), variables))
        .unwrap();
    value(&*provider, "chain")
}

#[test]
#[ignore = "needs moto: cargo xtask test providers"]
fn every_link_of_the_chain_that_moto_has() {
    let moto = Moto::start();
    moto.open("aws-secrets-manager", &[]).store(&Address::of_path("chain"), &bytes("v")).unwrap();
    let home = tempfile::tempdir().unwrap();
    let read = |variables: &[(&str, &str)], profile| read_with(&moto, home.path(), variables, profile);
    // The instance's metadata, version 2.
    assert_eq!(read(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &moto.url)], None).unwrap(), b"v");
    let off = ("AWS_EC2_METADATA_DISABLED", "true");
    // STS with the token of a workload.
    let token = home.path().join("token");
    std::fs::write(&token, "not-a-real-oidc-token").unwrap();
    let token = token.display().to_string();
    let role = "arn:aws:iam::123456789012:role/app";
    let identity = [off, ("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()), ("AWS_ROLE_ARN", role)];
    assert_eq!(read(&identity, None).unwrap(), b"v");
    // Profiles: a role on keys, on the environment and on a token; a program.
    let config = format!(
        "[profile base]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = not-real\n\
         [profile role]\nrole_arn = {role}\nsource_profile = base\n\
         [profile chained]\nrole_arn = {role}2\nsource_profile = role\n\
         [profile environment]\nrole_arn = {role}\ncredential_source = Environment\n\
         [profile token]\nrole_arn = {role}\nweb_identity_token_file = {token}\n\
         [profile program]\ncredential_process = cat \"{}\"\n\
         [profile circle]\nrole_arn = {role}\nsource_profile = round\n\
         [profile round]\nrole_arn = {role}\nsource_profile = circle\n",
        home.path().join("printed").display()
    );
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    std::fs::write(home.path().join(".aws/config"), config).unwrap();
    let printed = json!({"Version": 1, "AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "not-real"});
    std::fs::write(home.path().join("printed"), printed.to_string()).unwrap();
    for profile in ["base", "role", "chained", "token", "program"] {
        assert_eq!(read(&[off], Some(profile)).unwrap(), b"v", "{profile}");
        assert_eq!(read(&[off, ("AWS_PROFILE", profile)], None).unwrap(), b"v", "{profile}");
    }
    let keys = [off, ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "not-real")];
    assert_eq!(read(&keys, Some("environment")).unwrap(), b"v");
    let circle = Kind::named("aws-secrets-manager")
        .unwrap()
        .open(
            &[("profile".to_owned(), Setting::Text("circle".to_owned()))].into(),
            &moto.surroundings_with(Some(home.path()), &[off]),
        )
        .unwrap();
    let error = circle.fetch(&[Address::of_path("chain")]).remove(0).unwrap_err();
    assert!(error.message.contains("leads back to itself"), "{error}");
}
