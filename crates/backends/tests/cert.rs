//! Logins with client certificates, of an authority that this server's own PKI engine is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here shall fail the test")]

use serde_json::{Value, json};
use std::time::Duration;
use strongroom_testkit::server::{Answer, TestServer};

fn server() -> TestServer {
    let server = TestServer::start(strongroom_backends::all());
    let root = server.root();
    assert_eq!(root.write("sys/auth/cert", json!({"type": "cert"})).status, 204);
    for mount in ["pki", "other"] {
        root.write(
            &format!("sys/mounts/{mount}"),
            json!({"type": "pki", "config": {"max_lease_ttl": "87600h"}}),
        );
        let authority =
            json!({"common_name": "Root of clients", "key_type": "ec", "key_bits": 256, "ttl": "8760h"});
        assert_eq!(root.write(&[mount, "root", "generate/internal"].join("/"), authority).status, 200);
        let role = json!({
            "allow_any_name": true, "enforce_hostnames": false, "key_type": "ec", "key_bits": 256, "ou": "builders",
            "allowed_uri_sans": "*", "max_ttl": "720h", "cn_validations": "disabled",
        });
        assert!(root.write(&format!("{mount}/roles/clients"), role).status < 300);
    }
    server
}

fn der(pem_text: &Value) -> Vec<u8> {
    pem::parse(pem_text.as_str().unwrap()).unwrap().into_contents()
}

/// A client's certificate: its DER, its PEM, its serial number.
fn issue(server: &TestServer, mount: &str, request: Value) -> (Vec<u8>, String, String) {
    let answer = server.root().write(&format!("{mount}/issue/clients"), request);
    let data = answer.data();
    let text = data["certificate"].as_str().unwrap().to_owned();
    (der(&data["certificate"]), text, data["serial_number"].as_str().unwrap().to_owned())
}

fn authority(server: &TestServer, mount: &str) -> String {
    server.root().read(&format!("{mount}/cert/ca")).data()["certificate"].as_str().unwrap().to_owned()
}

fn login(server: &TestServer, chain: &[Vec<u8>], name: &str) -> Answer {
    let session = server.session(None).with_certificates(chain.to_vec());
    session.write("auth/cert/login", if name.is_empty() { json!({}) } else { json!({"name": name}) })
}

#[track_caller]
fn refused(answer: &Answer, reason: &str) {
    let (status, text) = answer.refusal();
    assert!(status == 400 && text.contains(reason), "{status} {text}, not {reason}");
}

#[test]
fn holders_of_an_authoritys_certificates_log_in() {
    let server = server();
    let root = server.root();
    let role =
        json!({"certificate": authority(&server, "pki"), "token_policies": "builders", "token_ttl": "1h"});
    assert_eq!(root.write("auth/cert/certs/web", role).status, 204);
    let request = json!({"common_name": "build-1", "alt_names": "build-1.example,ann@example.com", "uri_sans": "spiffe://a/b"});
    let (leaf, _, serial) = issue(&server, "pki", request.clone());
    let answer = login(&server, std::slice::from_ref(&leaf), "");
    let auth = &answer.body["auth"];
    assert_eq!(auth["policies"], json!(["builders", "default"]), "{answer:?}");
    assert_eq!(auth["metadata"]["cert_name"], "web");
    assert_eq!(auth["metadata"]["common_name"], "build-1");
    assert_eq!(auth["metadata"]["serial_number"], serial);
    assert_eq!(login(&server, std::slice::from_ref(&leaf), "web").status, 200);
    refused(
        &login(&server, std::slice::from_ref(&leaf), "nobody"),
        "invalid certificate or no client certificate",
    );
    refused(&login(&server, &[], ""), "client certificate must be supplied");
    refused(&login(&server, &[b"not a certificate".to_vec()], ""), "cannot be read");
    // The same names from another authority of the same name are nobody's.
    let (forged, _, _) = issue(&server, "other", request);
    refused(
        &login(&server, std::slice::from_ref(&forged), ""),
        "invalid certificate or no client certificate",
    );
    let own = der(&json!(authority(&server, "other")));
    refused(&login(&server, &[forged, own], ""), "invalid certificate or no client certificate");
    for (bounds, is_let_in) in [
        (json!({"allowed_names": ["build-*"]}), true),
        (json!({"allowed_names": ["*@example.com"]}), true),
        (json!({"allowed_names": ["other-*"]}), false),
        (json!({"allowed_common_names": ["*.example"]}), false),
        (json!({"allowed_dns_sans": ["*.example"]}), true),
        (json!({"allowed_dns_sans": ["build-2"]}), false),
        (json!({"allowed_email_sans": ["ann@example.com"]}), true),
        (json!({"allowed_email_sans": ["eve@example.com"]}), false),
        (json!({"allowed_uri_sans": ["spiffe://a/*"]}), true),
        (json!({"allowed_uri_sans": ["spiffe://b/*"]}), false),
        (json!({"allowed_organizational_units": ["builders"]}), true),
        (json!({"allowed_organizational_units": ["testers"]}), false),
        (json!({"required_extensions": ["hex:2.5.29.14:0414*"]}), true),
        (json!({"required_extensions": ["hex:2.5.29.14:0414*", "1.2.3.4:x"]}), false),
    ] {
        let bound = json!({"certificate": authority(&server, "pki")});
        root.delete("auth/cert/certs/web");
        let mut role = bound;
        role.as_object_mut().unwrap().extend(bounds.as_object().unwrap().clone());
        assert_eq!(root.write("auth/cert/certs/web", role).status, 204);
        let answer = login(&server, std::slice::from_ref(&leaf), "");
        assert_eq!(answer.status == 200, is_let_in, "{bounds} {answer:?}");
    }
    refused(&login(&server, std::slice::from_ref(&leaf), ""), "no chain matching all constraints");
    root.delete("auth/cert/certs/web");
    root.write("auth/cert/certs/web", json!({"certificate": authority(&server, "pki")}));
    server.clock.advance(Duration::from_secs(721 * 3600));
    refused(&login(&server, &[leaf], ""), "invalid certificate or no client certificate");
}

#[test]
fn a_certificate_can_be_trusted_itself_and_intermediates_lead_to_an_authority() {
    let server = server();
    let root = server.root();
    let (leaf, text, _) = issue(&server, "pki", json!({"common_name": "only"}));
    let (other, _, _) = issue(&server, "pki", json!({"common_name": "only"}));
    root.write("auth/cert/certs/own", json!({"certificate": text}));
    assert_eq!(login(&server, &[leaf], "").status, 200);
    // A certificate with the same names is another.
    refused(&login(&server, &[other], ""), "invalid certificate or no client certificate");

    let csr = root
        .write("other/intermediate/generate/internal", json!({"common_name": "Between", "key_type": "ec"}));
    let signed = root.write(
        "pki/root/sign-intermediate",
        json!({"csr": csr.data()["csr"], "common_name": "Between", "ttl": "4000h"}),
    );
    let between = signed.data()["certificate"].as_str().unwrap().to_owned();
    root.delete("other/issuer/default");
    let imported = root.write("other/intermediate/set-signed", json!({"certificate": between}));
    let issuer = imported.data()["imported_issuers"][0].as_str().unwrap().to_owned();
    root.write("other/config/issuers", json!({"default": issuer}));
    let (leaf, _, _) = issue(&server, "other", json!({"common_name": "below"}));
    root.write("auth/cert/certs/own", json!({"certificate": authority(&server, "pki")}));
    refused(&login(&server, std::slice::from_ref(&leaf), ""), "invalid certificate or no client certificate");
    assert_eq!(login(&server, &[leaf, der(&json!(between))], "").status, 200);
}

#[test]
fn revoked_certificates_and_other_holders_are_refused() {
    let server = server();
    let root = server.root();
    root.write("auth/cert/certs/web", json!({"certificate": authority(&server, "pki")}));
    let (leaf, _, serial) = issue(&server, "pki", json!({"common_name": "build-1"}));
    let (second, _, _) = issue(&server, "pki", json!({"common_name": "build-2"}));
    let token = login(&server, std::slice::from_ref(&leaf), "").token();
    let renew = |chain: &[Vec<u8>]| {
        let session = server.session(Some(&token)).with_certificates(chain.to_vec());
        session.write("auth/token/renew-self", json!({}))
    };
    assert_eq!(renew(std::slice::from_ref(&leaf)).status, 200);
    refused(&renew(std::slice::from_ref(&second)), "not matching client identity");
    refused(&renew(&[]), "client certificate must be supplied");
    assert_eq!(root.write("auth/cert/config", json!({"disable_binding": true})).status, 204);
    assert_eq!(renew(&[]).status, 200);
    root.write("auth/cert/config", json!({"disable_binding": false}));

    root.write("pki/revoke", json!({"serial_number": serial}));
    let list = root.read("pki/cert/crl").data()["certificate"].as_str().unwrap().to_owned();
    assert_eq!(root.write("auth/cert/crls/first", json!({"crl": list})).status, 204);
    assert_eq!(root.list("auth/cert/crls").data()["keys"], json!(["first"]));
    assert_eq!(root.read("auth/cert/crls/first").data()["serials"].as_object().unwrap().len(), 1);
    refused(&login(&server, std::slice::from_ref(&leaf), ""), "no chain matching all constraints");
    refused(&renew(std::slice::from_ref(&leaf)), "no chain matching all constraints");
    assert_eq!(login(&server, &[second], "").status, 200);
    root.delete("auth/cert/crls/first");
    assert_eq!(login(&server, &[leaf], "").status, 200);
    refused(&root.write("auth/cert/crls/first", json!({"crl": "x"})), "parsing CRL");
    for (role, reason) in [
        (json!({}), "failed to parse certificate"),
        (json!({"certificate": "x"}), "failed to parse certificate"),
        (json!({"certificate": authority(&server, "pki"), "required_extensions": "x"}), "OID:VALUE"),
        (json!({"certificate": authority(&server, "pki"), "ocsp_enabled": true}), "OCSP"),
        (json!({"certificate": authority(&server, "pki"), "token_policies": "root"}), "root"),
    ] {
        refused(&root.write("auth/cert/certs/new", role), reason);
    }
}
