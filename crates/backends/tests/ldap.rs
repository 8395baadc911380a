//! Logins of people of a directory, against a directory of the test.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what fails here shall fail the test"
)]

use bytes::BytesMut;
use ldap3_proto::LdapCodec;
use ldap3_proto::proto::{
    LdapBindCred, LdapBindResponse, LdapFilter, LdapMsg, LdapOp, LdapPartialAttribute, LdapResult,
    LdapResultCode, LdapSearchResultEntry, LdapSearchScope,
};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use strongroom_testkit::server::{Answer, TestServer};
use tokio_util::codec::{Decoder, Encoder};

const PEOPLE: &str = "ou=people,dc=example";
const GROUPS: &str = "ou=groups,dc=example";

/// An entry: its name and its attributes.
type Entry = (String, Vec<(&'static str, Vec<String>)>);

/// A directory with a few entries, and what it was asked.
struct Directory {
    url: String,
    entries: Arc<Mutex<Vec<Entry>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Directory {
    fn start() -> Self {
        let person = |name: &str, password: &str| -> Entry {
            let attributes = vec![
                ("uid", vec![name.to_owned()]),
                ("userPassword", vec![password.to_owned()]),
                ("userPrincipalName", vec![format!("{name}@example.com")]),
            ];
            (format!("uid={name},{PEOPLE}"), attributes)
        };
        let group = |name: &str, member: &str| -> Entry {
            let member = format!("uid={member},{PEOPLE}");
            (format!("cn={name},{GROUPS}"), vec![("cn", vec![name.to_owned()]), ("member", vec![member])])
        };
        let entries = vec![
            person("Ann", "not-a-real-password"),
            person("bob", "not-bobs-password"),
            ("cn=searcher,dc=example".to_owned(), vec![("userPassword", vec!["searching".to_owned()])]),
            group("Ops", "Ann"),
            group("developers", "Ann"),
            group("others", "bob"),
        ];
        let entries = Arc::new(Mutex::new(entries));
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ldap://{}", listener.local_addr().unwrap());
        let (shared, log) = (entries.clone(), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (entries, asked) = (shared.clone(), log.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &entries, &asked));
            }
        });
        Self { url, entries, asked }
    }
}

fn serve(mut stream: TcpStream, entries: &Mutex<Vec<Entry>>, asked: &Mutex<Vec<String>>) {
    let mut codec = LdapCodec::default();
    let mut buffer = BytesMut::new();
    let mut piece = [0; 4096];
    loop {
        while let Ok(Some(message)) = codec.decode(&mut buffer) {
            let mut bytes = BytesMut::new();
            for op in answer(message.op, &entries.lock().unwrap(), asked) {
                codec.encode(LdapMsg { msgid: message.msgid, op, ctrl: Vec::new() }, &mut bytes).unwrap();
            }
            stream.write_all(&bytes).unwrap();
        }
        match stream.read(&mut piece) {
            Ok(count) if count > 0 => buffer.extend_from_slice(&piece[..count]),
            _ => return,
        }
    }
}

fn result(code: LdapResultCode) -> LdapResult {
    LdapResult {
        code,
        matcheddn: String::new(),
        message: "the directory's own words".into(),
        referral: Vec::new(),
    }
}

fn answer(op: LdapOp, entries: &[Entry], asked: &Mutex<Vec<String>>) -> Vec<LdapOp> {
    match op {
        LdapOp::BindRequest(request) => {
            asked.lock().unwrap().push(format!("bind {}", request.dn));
            let LdapBindCred::Simple(password) = request.cred else { panic!("simple binds alone") };
            let is_right = entries.iter().any(|(dn, attributes)| {
                let is_named = dn.eq_ignore_ascii_case(&request.dn)
                    || attributes
                        .iter()
                        .any(|(kind, values)| *kind == "userPrincipalName" && values.contains(&request.dn));
                is_named
                    && attributes
                        .iter()
                        .any(|(kind, values)| *kind == "userPassword" && values.contains(&password))
            });
            // As real directories do: a name without a password is a success.
            let code = match is_right || password.is_empty() {
                true => LdapResultCode::Success,
                false => LdapResultCode::InvalidCredentials,
            };
            vec![LdapOp::BindResponse(LdapBindResponse { res: result(code), saslcreds: None })]
        }
        LdapOp::SearchRequest(request) => {
            asked.lock().unwrap().push(format!("search {} {:?}", request.base, request.filter));
            let below = |dn: &str| match request.scope {
                LdapSearchScope::Base => dn == request.base,
                _ => dn.ends_with(&request.base),
            };
            let mut answers: Vec<LdapOp> = entries
                .iter()
                .filter(|entry| below(&entry.0) && matches(&request.filter, entry))
                .map(|(dn, attributes)| {
                    let attributes = attributes
                        .iter()
                        .filter(|(kind, _)| request.attrs.iter().any(|wanted| wanted == kind))
                        .map(|(kind, values)| LdapPartialAttribute {
                            atype: (*kind).to_owned(),
                            vals: values.iter().map(|value| value.clone().into_bytes()).collect(),
                        });
                    LdapOp::SearchResultEntry(LdapSearchResultEntry {
                        dn: dn.clone(),
                        attributes: attributes.collect(),
                    })
                })
                .collect();
            answers.push(LdapOp::SearchResultDone(result(LdapResultCode::Success)));
            answers
        }
        _ => Vec::new(),
    }
}

fn matches(filter: &LdapFilter, entry: &Entry) -> bool {
    match filter {
        LdapFilter::Equality(kind, value) => entry.1.iter().any(|(known, values)| {
            known.eq_ignore_ascii_case(kind) && values.iter().any(|found| found.eq_ignore_ascii_case(value))
        }),
        LdapFilter::Or(parts) => parts.iter().any(|part| matches(part, entry)),
        LdapFilter::And(parts) => parts.iter().all(|part| matches(part, entry)),
        LdapFilter::Present(_) => true,
        _ => false,
    }
}

fn server(config: &Value) -> TestServer {
    let server = TestServer::start(strongroom_backends::all());
    let root = server.root();
    root.write("sys/auth/ldap", json!({"type": "ldap"}));
    assert_eq!(root.read("auth/ldap/config").data()["url"], "ldap://127.0.0.1");
    let early = server.session(None).write("auth/ldap/login/ann", json!({"password": "x"}));
    refused(&early, 400, "not configured");
    assert_eq!(root.write("auth/ldap/config", config.clone()).status, 204);
    root.write("auth/ldap/groups/ops", json!({"policies": "ops,shared"}));
    root.write("auth/ldap/groups/local", json!({"policies": "local"}));
    root.write("auth/ldap/users/ann", json!({"policies": "hers", "groups": "local"}));
    server
}

fn config(directory: &Directory) -> Value {
    json!({
        "url": directory.url, "userdn": PEOPLE, "userattr": "uid", "groupdn": GROUPS,
        "binddn": "cn=searcher,dc=example", "bindpass": "searching", "token_policies": "everybody",
    })
}

fn login(server: &TestServer, name: &str, password: &str) -> Answer {
    server.session(None).write(&format!("auth/ldap/login/{name}"), json!({"password": password}))
}

#[track_caller]
fn refused(answer: &Answer, expected: u16, reason: &str) {
    let (status, text) = answer.refusal();
    assert!(status == expected && text.contains(reason), "{answer:?}, not {reason}");
    assert!(!text.contains("own words"), "what the directory says stays in it");
}

#[test]
fn people_get_the_policies_of_their_groups() {
    let directory = Directory::start();
    let server = server(&config(&directory));
    let answer = login(&server, "ann", "not-a-real-password");
    let auth = &answer.body["auth"];
    assert_eq!(
        auth["policies"],
        json!(["default", "everybody", "hers", "local", "ops", "shared"]),
        "{answer:?}"
    );
    assert_eq!(auth["metadata"], json!({"username": "ann"}));
    refused(&login(&server, "ann", "wrong"), 400, "failed to bind as user");
    refused(&login(&server, "nobody", "wrong"), 400, "failed to bind as user");
    refused(&login(&server, "ann", ""), 400, "zero length");
    assert_eq!(
        login(&server, "bob", "not-bobs-password").body["auth"]["policies"],
        json!(["default", "everybody"])
    );
    let shown = server.root().read("auth/ldap/config").data().clone();
    assert_eq!((&shown["binddn"], &shown["bindpass"]), (&json!("cn=searcher,dc=example"), &Value::Null));
}

#[test]
fn names_cannot_change_a_search_or_a_bind() {
    let directory = Directory::start();
    let server = server(&config(&directory));
    for name in ["*", "ann)(uid=*", "*)(userpassword=searching", "a\\2a", "ann,dc=example"] {
        refused(&login(&server, name, "not-a-real-password"), 400, "failed to bind as user");
        let asked = directory.asked.lock().unwrap().last().unwrap().clone();
        assert_eq!(asked, format!("search {PEOPLE} {:?}", LdapFilter::Equality("uid".into(), name.into())));
    }
    // Without a searcher the name is a part of the name to bind.
    server.root().write("auth/ldap/config", json!({"binddn": "", "bindpass": ""}));
    refused(&login(&server, "ann,ou=x+cn=\"y\"", "p"), 400, "failed to bind as user");
    let asked = directory.asked.lock().unwrap().last().unwrap().clone();
    assert_eq!(asked, format!("bind uid=ann\\,ou\\=x\\+cn\\=\\\"y\\\",{PEOPLE}"));
    // And groups are searched for as the person who logs in.
    let answer = login(&server, "ann", "not-a-real-password");
    assert_eq!(
        answer.body["auth"]["policies"],
        json!(["default", "everybody", "hers", "local", "ops", "shared"]),
        "{answer:?}"
    );
}

#[test]
fn a_user_principal_name_is_enough() {
    let directory = Directory::start();
    let server = server(&config(&directory));
    server
        .root()
        .write("auth/ldap/config", json!({"binddn": "", "bindpass": "", "upndomain": "example.com"}));
    directory.entries.lock().unwrap()[0].1[2].1 = vec!["ann@example.com".to_owned()];
    let answer = login(&server, "ann", "not-a-real-password");
    assert_eq!(answer.body["auth"]["policies"].as_array().unwrap().len(), 6, "{answer:?}");
    assert!(directory.asked.lock().unwrap().contains(&"bind ann@example.com".to_owned()));
}

#[test]
fn renewals_look_at_the_directory_again() {
    let directory = Directory::start();
    let server = server(&config(&directory));
    let token = login(&server, "ann", "not-a-real-password").token();
    let renew = || server.session(Some(&token)).write("auth/token/renew-self", json!({}));
    assert_eq!(renew().status, 200);
    let ops = directory.entries.lock().unwrap().remove(3);
    refused(&renew(), 400, "policies have changed");
    directory.entries.lock().unwrap().push(ops);
    assert_eq!(renew().status, 200);
    directory.entries.lock().unwrap().remove(0);
    refused(&renew(), 400, "does not know the user any longer");
}

#[test]
fn directories_fail_over_and_say_little() {
    let directory = Directory::start();
    let server = server(&config(&directory));
    let root = server.root();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    root.write("auth/ldap/config", json!({"url": format!("ldap://{gone},{}", directory.url)}));
    assert_eq!(login(&server, "ann", "not-a-real-password").status, 200);
    root.write("auth/ldap/config", json!({"url": format!("ldap://{gone}")}));
    refused(&login(&server, "ann", "not-a-real-password"), 503, "the directory cannot be asked");
    root.write("auth/ldap/config", json!({"url": directory.url, "bindpass": "wrong"}));
    refused(&login(&server, "ann", "not-a-real-password"), 503, "the directory cannot be asked");
    // A directory that speaks rubbish, and one that says nothing.
    let rubbish = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = rubbish.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in rubbish.incoming() {
            let _ = stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    root.write("auth/ldap/config", json!({"url": format!("ldap://{address}")}));
    refused(&login(&server, "ann", "not-a-real-password"), 503, "the directory cannot be asked");
}

#[test]
fn settings_are_checked() {
    let directory = Directory::start();
    let server = server(&config(&directory));
    let root = server.root();
    for (config, reason) in [
        (json!({"url": "http://x"}), "url must be ldap://"),
        (json!({"tls_min_version": "cats"}), "invalid 'tls_min_version'"),
        (json!({"tls_min_version": "tls13", "tls_max_version": "tls12"}), "greater than or equal"),
        (json!({"client_tls_cert": "x"}), "both client_tls_cert and client_tls_key must be set"),
        (json!({"client_tls_cert": "x", "client_tls_key": "y"}), "not supported"),
        (json!({"certificate": "x"}), "failed to parse certificate"),
        (json!({"userattr": "uid=*)(x"}), "names of attributes"),
        (json!({"request_timeout": "1h"}), "from 1s to 120s"),
        (json!({"dereference_aliases": "often"}), "dereference_aliases must be"),
        (json!({"token_policies": "root"}), "root"),
    ] {
        refused(&root.write("auth/ldap/config", config), 400, reason);
    }
    refused(&root.write("auth/ldap/groups/x", json!({"policies": "Root"})), 400, "root");
    root.write("auth/ldap/config", json!({"userfilter": "(("}));
    refused(&login(&server, "ann", "not-a-real-password"), 400, "userfilter is no filter");
    assert_eq!(root.list("auth/ldap/groups").data()["keys"], json!(["local", "ops"]));
    assert_eq!(root.read("auth/ldap/users/ann").data(), &json!({"policies": ["hers"], "groups": "local"}));
    assert_eq!(root.read("auth/ldap/users/none").status, 404);
    assert_eq!(root.delete("auth/ldap/users/ann").status, 204);
}
