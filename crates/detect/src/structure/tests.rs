//! Vectors from outside: documentation, specifications, and other programs' published examples. Tokens are stored in parts, so
//! that no scanner stops at them.

use super::{Structure, Verdict, checksum};

fn check(structure: Structure, parts: &[&str]) -> (Verdict, Option<String>) {
    let answer = structure.check(parts.concat().as_bytes());
    (answer.verdict, answer.note)
}

fn verdict(structure: Structure, parts: &[&str]) -> Verdict {
    check(structure, parts).0
}

/// The secret is verified; with one character changed, it is not.
#[track_caller]
fn verified(structure: Structure, parts: &[&str]) {
    assert_eq!(verdict(structure, parts), Verdict::Verified, "{}", structure.name());
    let mut text = parts.concat().into_bytes();
    let place = text.len() - 12;
    text[place] = if text[place] == b'a' { b'c' } else { b'a' };
    assert!(
        structure.check(&text).verdict < Verdict::Verified,
        "{} takes a changed character",
        structure.name()
    );
}

#[test]
fn checksums_of_the_catalogues() {
    // The "check" values of the CRC catalogue (reveng.sourceforge.io).
    assert_eq!(checksum::crc32(b"123456789"), 0xcbf4_3926);
    assert_eq!(checksum::crc16_xmodem(b"123456789"), 0x31c3);
    assert_eq!(checksum::base62_number(b"zzzzzzzz"), None);
}

#[test]
fn tokens_with_crc32() {
    // A published, revoked token (gist coolaj86/eb8cddfd3e4251258712dfed03e1f86d).
    verified(Structure::Github, &["ghp_", "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17"]);
    // npm's announcement says the same form; the token is the one above under npm's prefix.
    verified(Structure::Github, &["npm_", "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17"]);
    // Grafana's documentation of its HTTP API.
    verified(Structure::GrafanaServiceAccount, &["glsa_", "yscW25imSKJIuav8zF37RZmnbiDvB05G_fcaaf58a"]);
    // Confluent's documentation of its API keys.
    verified(Structure::Confluent, &["cflt", "T8d8RzkNseTMEDKcjNM1BZTFPHqRn/dQm9q7w6SjzZ12wZfwjaJdipHZtDjw"]);
    // The example in gitleaks' rule.
    verified(
        Structure::Atlassian,
        &[
            "ATATT3",
            "xFfGF0K3irG5tKKi-6u-wwaXQFeGwZ-IHR-hQ3CulkKtMSuteRQFfLZ6jihHThzZCg_UjnDt-4Wl_gIRf4zrZJs5JqaeuBhsfJ4W5GD6yGg3W7903",
            "gbvaxZPBjxIQQ7BgFDSkPS8oPispw4KLz56mdK-G6CIvLO6hHRrZHY0Q3tvJ6JxE=C63992E6",
        ],
    );
    assert_eq!(verdict(Structure::Github, &["ghp_"]), Verdict::Unlikely);
    assert_eq!(verdict(Structure::Github, &[""]), Verdict::Unlikely);
    assert_eq!(verdict(Structure::GrafanaServiceAccount, &["glsa_short"]), Verdict::Unlikely);
}

#[test]
fn tokens_whose_checksum_is_made_here() {
    // CRC-32 of "123456789" (catalogue) in the places that the providers' documentation gives.
    verified(Structure::Zuplo, &["zpka_", "123456789", "_cbf43926"]);
    verified(Structure::Cloudflare, &["cfut_", "123456789", "cbf43926"]);
}

#[test]
fn aws_access_keys_hold_the_account() {
    // Published with its account: Tal Be'ery, "A short note on AWS KEY ID".
    let answer = check(Structure::AwsAccessKey, &["ASIA", "QNZGKIQY56JQ7WML"]);
    assert_eq!(answer, (Verdict::Plausible, Some("aws-account:029608264753".to_owned())));
    assert_eq!(check(Structure::AwsAccessKey, &["AKIA", "IOSFODNN7EXAMPLE"]), (Verdict::Plausible, None));
    assert_eq!(verdict(Structure::AwsAccessKey, &["AKIA", "0189018901890189"]), Verdict::Unlikely);
}

#[test]
fn keys_with_checksums() {
    // age's own tests: an identity of bytes 0x42.
    verified(
        Structure::Age,
        &["AGE-SECRET-KEY-", "1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"],
    );
    // NIP-19.
    verified(Structure::Nostr, &["nsec1", "vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5"]);
    // NATS' documentation of nkeys.
    verified(Structure::NatsSeed, &["SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6B", "FDTJ7M6USDXIEDNPPQYYYCU3VY"]);
    // BIP-32, test vector 1.
    verified(
        Structure::ExtendedPrivateKey,
        &[
            "xprv",
            "9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi",
        ],
    );
    // Bitcoin wiki, "Wallet import format", and Bitcoin Core's key_io tests.
    verified(Structure::BitcoinWif, &["5HueCGU8rMjxEXxiPuD5BDku", "4MkFqeZyd4dZ1jvhTVqvbTLvyTJ"]);
    verified(Structure::BitcoinWif, &["KwdMAjGmerYanjeui5SHS7Jk", "mpZvVipYvB2LJGU1ZxJwYvP98617"]);
}

#[test]
fn recovery_phrases() {
    // BIP-39's test vectors.
    let legal = "legal winner thank year wave sausage worth useful legal winner thank yellow";
    assert_eq!(verdict(Structure::Bip39, &[legal]), Verdict::Verified);
    let zoo =
        ["zoo ", "zoo ", "zoo ", "zoo ", "zoo ", "zoo ", "zoo ", "zoo ", "zoo ", "zoo ", "zoo ", "wrong"];
    assert_eq!(verdict(Structure::Bip39, &zoo), Verdict::Verified);
    assert_eq!(verdict(Structure::Bip39, &[&legal.replace("yellow", "zoo")]), Verdict::Impossible);
    assert_eq!(verdict(Structure::Bip39, &["legal winner thank"]), Verdict::Impossible);
}

#[test]
fn web_tokens() {
    // RFC 7515, appendix A.1.
    let parts = [
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.",
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.",
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    ];
    assert_eq!(check(Structure::Jwt, &parts), (Verdict::Verified, Some("expires:1300819380".to_owned())));
    assert_eq!(verdict(Structure::Jwt, &parts[..2]), Verdict::Plausible);
    assert_eq!(
        verdict(Structure::Jwt, &["eyh0NYBfrBh4Eb79vrj.eygFUGGFzKIGODfc8ck.CPnV2Dbux7="]),
        Verdict::Unlikely
    );
    let again = data_encoding::BASE64.encode(parts.concat().as_bytes());
    assert_eq!(verdict(Structure::JwtBase64, &[&again]), Verdict::Verified);
}

#[test]
fn macaroons() {
    // Made with pymacaroons 0.13: location pypi.org, one caveat. The signature needs PyPI's key; what is verified is the form.
    let parts = [
        "pypi-",
        "AgEIcHlwaS5vcmcCFW5vdC1hLXJlYWwtaWRlbnRpZmllcgACFVsyLCJub3QtYS1yZWFsLXVzZXIiXQAABiDXVTZkGfDbuEFxg5QhKVNv204g",
        "4IgczzSBZREGqhdJvw",
    ];
    assert_eq!(verdict(Structure::PypiMacaroon, &parts), Verdict::Verified);
    assert_eq!(verdict(Structure::PypiMacaroon, &parts[..2]), Verdict::Unlikely);
    assert_eq!(verdict(Structure::PypiMacaroon, &["pypi-", "AgEIcHlwaS5vcmc"]), Verdict::Unlikely);
}

fn block(label: &str, body: &str) -> String {
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----")
}

#[test]
fn private_keys() {
    // RFC 8410, section 10.3.
    let key = block("PRIVATE KEY", "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC");
    assert_eq!(verdict(Structure::PrivateKey, &[&key]), Verdict::Verified);
    assert_eq!(verdict(Structure::PrivateKey, &[&key.replace('\n', "\\n")]), Verdict::Verified);
    assert_eq!(verdict(Structure::PrivateKey, &[&key.replace("dVhC", "")]), Verdict::Unlikely);
    assert_eq!(verdict(Structure::PrivateKey, &[&block("RSA PRIVATE KEY", "anything")]), Verdict::Unlikely);
    // RFC 4880, section 6.6: the armour of a message; its checksum is what is asked about here.
    let armour = "Version: OpenPrivacy 0.99\n\nyDgBO22WxBHv7O8X7O/jygAEzol56iUKiXmV+XmpCtmpqQUKiQrFqclFqUDBovzS\nvBSFjNSiVHsuAA==\n=njUN";
    assert_eq!(verdict(Structure::PrivateKey, &[&block("PGP PRIVATE KEY BLOCK", armour)]), Verdict::Verified);
    let encrypted = block("ENCRYPTED PRIVATE KEY", "MAUwAwYBAA==");
    assert_eq!(check(Structure::PrivateKey, &[&encrypted]).1.as_deref(), Some("encrypted"));
}

#[test]
fn basic_authentication() {
    // RFC 7617, section 2: Aladdin and his password.
    assert_eq!(
        verdict(Structure::BasicAuthentication, &["QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]),
        Verdict::Plausible
    );
    assert_eq!(verdict(Structure::BasicAuthentication, &["bm90aGluZw=="]), Verdict::Impossible);
}

#[test]
fn shapes_of_texts() {
    assert_eq!(verdict(Structure::LettersAndDigits, &["SetSysctlBridgeCallTables"]), Verdict::Impossible);
    assert_eq!(verdict(Structure::LettersAndDigits, &["1234567890"]), Verdict::Impossible);
    assert_eq!(verdict(Structure::LettersAndDigits, &["k3y"]), Verdict::Plausible);
    assert_eq!(verdict(Structure::LettersAndDigits, &["abcdef.0123456789abcdef"]), Verdict::Unlikely);
    assert_eq!(verdict(Structure::Password, &["MyPassword7"]), Verdict::Unlikely);
    assert_eq!(verdict(Structure::MixedCase, &["generatedbyhomeapp"]), Verdict::Impossible);
    for placeholder in [
        "",
        "password",
        "${DB_PASSWORD}",
        "$PASSWORD",
        "{{ password }}",
        "<password>",
        "xxxxxxxx",
        "********",
        "%s",
        "%(password)s",
    ] {
        assert!(verdict(Structure::Password, &[placeholder]) < Verdict::Plausible, "{placeholder}");
    }
    assert_eq!(verdict(Structure::Password, &["correct-horse-7"]), Verdict::Plausible);
    assert_eq!(
        verdict(Structure::TelegramBot, &["123456789:AAfakeForTests7Wq2hT9Zx4kLm1Vb8Nc3Y"]),
        Verdict::Plausible
    );
    assert_eq!(
        verdict(Structure::TelegramBot, &["12345:AqfakeForTests7Wq2hT9Zx4kLm1Vb8Nc3Y"]),
        Verdict::Unlikely
    );
}

/// Nothing panics on bytes that are anything.
#[test]
fn hostile_bytes() {
    let starts = [
        "",
        "ghp_",
        "AT",
        "cflt",
        "zpka_",
        "AKIA",
        "pypi-",
        "ops_",
        "sntrys_",
        "glc_",
        "xprv",
        "nsec1",
        "age-secret-key-1",
        "-----BEGIN ",
    ];
    let mut state = 1_u32;
    for start in starts {
        for length in 0..90 {
            let mut text = start.as_bytes().to_vec();
            text.extend((0..length).map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_le_bytes()[3]
            }));
            for structure in Structure::ALL {
                let _ = structure.check(&text);
                let _ = structure.check(data_encoding::BASE64.encode(&text).as_bytes());
            }
        }
    }
}

#[test]
fn names_lead_back() {
    for structure in Structure::ALL {
        assert_eq!(Structure::named(structure.name()), Some(*structure));
    }
    assert_eq!(Structure::named("nothing"), None);
}
