use super::{open_with, text};
use crate::provider::{ErrorKind, Provider, Setting};
use crate::sops::{Conversation, DecryptionOrder, Keys, NewFile, encrypt};
use crate::testing::surroundings;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use strongroom_formats::sops::{Draft, Format, Recipient, SealPolicy};
use strongroom_secret::SecretBytes;

fn paths(names: &[&str]) -> Setting {
    Setting::List(names.iter().map(|name| (*name).to_owned()).collect())
}

fn value(provider: &dyn Provider, name: &str) -> Option<(String, String)> {
    let found = provider.fetch(&[provider.address_of(name)]).remove(0).unwrap()?;
    Some((String::from_utf8(found.value.expose().to_vec()).unwrap(), found.origin))
}

fn bytes(text: &str) -> SecretBytes {
    SecretBytes::new(text.as_bytes().to_vec())
}

#[test]
fn later_env_files_win_and_see_those_before_them() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join(".env"), "HOST=db\nURL=http://${HOST}/${OUTER}\nNAME\n").unwrap();
    fs::write(home.path().join(".env.dev"), "\n# own\nHOST=local\nBOTH=${URL}\n").unwrap();
    let files = [("path", paths(&[".env", ".env.local", ".env.dev", ".env.dev.local"]))];
    let provider = open_with("dotenv", home.path(), &[("OUTER", "x")], &files);
    let place = |name: &str, line: usize| format!("{name}:{line}");
    assert_eq!(value(&*provider, "HOST"), Some(("local".to_owned(), place(".env.dev", 3))));
    assert_eq!(value(&*provider, "URL"), Some(("http://db/x".to_owned(), place(".env", 2))));
    assert_eq!(value(&*provider, "BOTH").unwrap().0, "http://db/x");
    assert_eq!(value(&*provider, "NAME"), None);
    assert_eq!(provider.list(&provider.address_of("").path).unwrap(), ["HOST", "URL", "BOTH"]);
}

#[test]
fn a_change_touches_one_line_of_the_file_that_counts() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join(".env"), "# first\nA=1 # one\nB=2\n").unwrap();
    fs::write(home.path().join(".env.local"), "A=3\n").unwrap();
    let provider = open_with("dotenv", home.path(), &[], &[]);
    let read = |name: &str| fs::read_to_string(home.path().join(name)).unwrap();
    provider.store(&provider.address_of("A"), &bytes("4")).unwrap();
    provider.store(&provider.address_of("B"), &bytes("a b")).unwrap();
    provider.store(&provider.address_of("C"), &bytes("5")).unwrap();
    assert_eq!(read(".env.local"), "A=4\n");
    assert!(read(".env").starts_with("# first\nA=1 # one\nB="), "{}", read(".env"));
    assert_eq!(value(&*provider, "B").unwrap().0, "a b");
    provider.remove(&provider.address_of("A")).unwrap();
    assert_eq!(value(&*provider, "A"), None);
    assert!(read(".env").ends_with("C=5\n"), "{}", read(".env"));
}

#[test]
fn settings_are_found_by_name_and_by_path_and_changed_in_place() {
    let home = tempfile::tempdir().unwrap();
    for (kind, file, before, after) in [
        (
            "json",
            "a.json",
            "{\n  \"db\": {\"port\": 1, \"user\": \"u\"}\n}\n",
            "{\n  \"db\": {\"port\": 2, \"user\": \"u\"}\n}\n",
        ),
        (
            "yaml",
            "a.yaml",
            "# top\ndb:\n  port: 1 # one\n  user: u\n",
            "# top\ndb:\n  port: 2 # one\n  user: u\n",
        ),
        ("ini", "a.ini", "; top\n[db]\nport = 1\nuser = u\n", "; top\n[db]\nport = 2\nuser = u\n"),
    ] {
        fs::write(home.path().join(file), before).unwrap();
        let provider = open_with(kind, home.path(), &[], &[("path", text(file))]);
        assert_eq!(value(&*provider, "db.port").unwrap().0, "1", "{kind}");
        assert_eq!(value(&*provider, "db.none"), None);
        provider.store(&provider.address_of("db.port"), &bytes("2")).unwrap();
        assert_eq!(fs::read_to_string(home.path().join(file)).unwrap(), after, "{kind}");
        provider.remove(&provider.address_of("db.user")).unwrap();
        assert_eq!(value(&*provider, "db.user"), None, "{kind}");
    }
}

#[test]
fn a_file_that_is_broken_is_an_error_and_one_that_is_missing_is_empty() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("a.json"), "{\"a\": \"not-real\",\n").unwrap();
    let provider = open_with("json", home.path(), &[], &[("path", text("a.json"))]);
    let error = provider.fetch(&[provider.address_of("a")]).remove(0).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Malformed);
    assert!(error.message.contains("a.json: line") && !error.message.contains("not-real"), "{error}");
    let provider = open_with("json", home.path(), &[], &[("path", text("none.json"))]);
    assert_eq!(value(&*provider, "a"), None);
}

#[test]
fn sops_files_open_change_and_stay_encrypted() {
    let home = tempfile::tempdir().unwrap();
    let identity = age::x25519::Identity::generate();
    let secret = age::secrecy::ExposeSecret::expose_secret(&identity.to_string()).to_owned();
    let around = surroundings(home.path(), &[("SOPS_AGE_KEY", &secret)]);
    let keys = Keys::new(Arc::clone(&around), Conversation::none(), DecryptionOrder::default());
    let new = NewFile {
        groups: vec![vec![Recipient::Age(identity.to_public().to_string())]],
        threshold: 1,
        selector: Default::default(),
        mac_scope: Default::default(),
        restrictions: Vec::new(),
    };
    let plain = b"db:\n    port: 5432\n    password: not-real\nlist:\n    - a\n";
    let file = encrypt(Draft::read(Format::Yaml, plain).unwrap(), new, &keys, SealPolicy::Write).unwrap();
    let path = home.path().join("dev.enc.yaml");
    fs::write(&path, file.expose()).unwrap();
    let open = |variables: &[(&str, &str)]| {
        open_with("sops", home.path(), variables, &[("path", text("dev.enc.yaml"))])
    };
    let provider = open(&[("SOPS_AGE_KEY", &secret)]);
    assert_eq!(value(&*provider, "db.password").unwrap().0, "not-real");
    assert_eq!(value(&*provider, "db.port").unwrap().0, "5432");
    assert_eq!(value(&*provider, "list.0").unwrap().0, "a");
    provider.store(&provider.address_of("db.password"), &bytes("not-real-new")).unwrap();
    provider.store(&provider.address_of("NEW"), &bytes("x")).unwrap();
    assert_eq!(value(&*provider, "db.password").unwrap().0, "not-real-new");
    assert_eq!(value(&*provider, "NEW").unwrap().0, "x");
    let written = fs::read_to_string(&path).unwrap();
    assert!(!written.contains("not-real"), "{written}");
    let stranger = open(&[]);
    let error = stranger.fetch(&[stranger.address_of("a")]).remove(0).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Authentication);
    fs::write(&path, written.replacen("ENC[", "ENC(", 1)).unwrap();
    let error = provider.fetch(&[provider.address_of("NEW")]).remove(0).unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Integrity | ErrorKind::Malformed), "{error}");
}

#[test]
fn addresses_may_name_one_file_and_no_version() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("other.env"), "A=other\n").unwrap();
    let provider = open_with("dotenv", Path::new(home.path()), &[], &[]);
    let mut address = crate::provider::Address::of_key("other.env", "A");
    assert_eq!(provider.fetch(&[address.clone()]).remove(0).unwrap().unwrap().value.expose(), b"other");
    address.version = Some("2".to_owned());
    assert_eq!(provider.fetch(&[address]).remove(0).unwrap_err().kind, ErrorKind::Settings);
}
