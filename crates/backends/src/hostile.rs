//! What strangers send to this crate's own parsers, by name: for tests and fuzzing. Each takes anything and must not panic.

use crate::{auth, secrets};
use strongroom_crypto::keypair::PublicKey;
use strongroom_crypto::ssh::{self, SshPublicKey};

/// A parser's name, good examples to begin with, and the parser.
pub struct Target {
    pub name: &'static str,
    pub examples: &'static [&'static [u8]],
    pub run: fn(&[u8]),
}

pub const TARGETS: &[Target] = &[
    Target { name: "jwt", examples: TOKENS, run: jwt },
    Target { name: "jwks", examples: KEY_SETS, run: jwks },
    Target { name: "token_review", examples: REVIEWS, run: token_review },
    Target { name: "ldap", examples: DIRECTORY_ANSWERS, run: ldap },
    Target { name: "acme", examples: SIGNED_REQUESTS, run: acme },
    Target { name: "ssh_keys", examples: SSH_KEYS, run: ssh_keys },
];

/// The examples of RFC 7515, appendix A.3, and of RFC 8037, appendix A.4.
const TOKENS: &[&[u8]] = &[
    b"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    b"eyJhbGciOiJFZERTQSIsImtpZCI6ImsiLCJjcml0IjpbImIiXX0.e30.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
];
const KEY_SETS: &[&[u8]] = &[
    br#"{"keys": [{"kty": "EC", "crv": "P-256", "kid": "a", "use": "sig", "alg": "ES256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}, {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
    br#"{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}], "issuer": "https://id.example", "jwks_uri": "https://id.example/keys"}"#,
];
const REVIEWS: &[&[u8]] = &[
    br#"{"status": {"authenticated": true, "user": {"username": "system:serviceaccount:shop:web", "uid": "1", "groups": ["a"]}, "audiences": ["b"]}}"#,
    br#"{"kind": "Status", "status": "Failure", "code": 403}"#,
];
/// A bind and a search that went well, as BER (RFC 4511).
const DIRECTORY_ANSWERS: &[&[u8]] = &[
    b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00\
      \x30\x18\x02\x01\x02\x64\x13\x04\x04cn=a\x30\x0b\x30\x09\x04\x02cn\x31\x03\x04\x01a\
      \x30\x0c\x02\x01\x02\x65\x07\x0a\x01\x00\x04\x00\x04\x00",
    b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x31\x04\x00\x04\x00",
];
const SIGNED_REQUESTS: &[&[u8]] = &[
    br#"{"protected": "eyJhbGciOiJFUzI1NiIsImp3ayI6eyJrdHkiOiJFQyIsImNydiI6IlAtMjU2IiwieCI6ImY4M09KM0QyeEYxQmc4dnViOXRMZTFnSE16Vjc2ZThUdXM5dVBIdlJWRVUiLCJ5IjoieF9GRXpSdTltMzZITE5fdHVlNjU5TE5wWFc2cEN5U3Rpa1lqS0lXSTVhMCJ9LCJub25jZSI6Im4iLCJ1cmwiOiJ1In0", "payload": "eyJpZGVudGlmaWVycyI6W3sidHlwZSI6ImRucyIsInZhbHVlIjoiYSJ9XX0", "signature": "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"}"#,
    br#"{"protected": "eyJhbGciOiJub25lIiwia2lkIjoiYSJ9", "payload": "", "signature": ""}"#,
];
const SSH_KEYS: &[&[u8]] = &[
    b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICzd4NNA1AAyYkIlEi8Feph0LzCP2VdwQV94Ed+Fcwqb somebody@example.com",
    b"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBH/NzidwPO8e9oPL7m/bS3tYBzM1e+nvE7rPbjx70VRFx/FEzRu9m36HLN/tue659LNpXW6pCyStikYjKIWI5a0=",
    b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZWQy\n-----END OPENSSH PRIVATE KEY-----\n",
];

/// A token of strangers, for jwt, oidc and kubernetes.
pub fn jwt(bytes: &[u8]) {
    auth::hear_token(&String::from_utf8_lossy(bytes));
}

/// What an issuer answers: its keys, and what discovery says. A key that was read is read again from what we would publish.
pub fn jwks(bytes: &[u8]) {
    auth::hear_issuer(bytes);
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes) else { return };
    let keys = value.get("keys").and_then(serde_json::Value::as_array);
    for jwk in keys.into_iter().flatten() {
        let Ok(key) = PublicKey::from_jwk(|name| jwk.get(name)?.as_str()) else { continue };
        let members = key.jwk().unwrap_or_default();
        let again = PublicKey::from_jwk(|wanted| {
            members.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.as_str())
        });
        assert_eq!(again.as_ref(), Ok(&key));
        assert_eq!(again.map(|key| key.thumbprint()), Ok(key.thumbprint()));
    }
}

/// What a cluster answers to a TokenReview.
pub fn token_review(bytes: &[u8]) {
    auth::hear_review(bytes);
}

/// What a directory answers to a bind and a search.
pub fn ldap(bytes: &[u8]) {
    auth::hear_directory(bytes);
}

/// A request of an ACME client.
pub fn acme(bytes: &[u8]) {
    secrets::hear_acme(bytes);
}

/// Keys that are to be signed, or brought, in OpenSSH's forms. A public key that was read can be written and read again.
pub fn ssh_keys(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(key) = SshPublicKey::parse(&text)
        && let Ok(line) = key.to_line()
    {
        assert!(SshPublicKey::parse(&line).is_ok_and(|again| again.is_key_of(&key)), "{line}");
    }
    drop(ssh::private_key(&text, None));
    drop(ssh::private_key("", Some(bytes)));
}
