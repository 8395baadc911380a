use super::*;

const URL: &str = "postgres://app:Zq8vL2xR5tN%219wK1mP7bV@db.example/shop";

fn key() -> ScanKey {
    ScanKey::new(SecretBytes::new((0..32).collect()))
}

#[test]
fn forms_of_values() {
    let forms = |value: &str| {
        let made = fingerprints(&key(), value.as_bytes());
        made.map(|made| made.iter().map(|made| made.form.word()).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(forms("fake9Qm2LrXz7Tn4VbPk8Wd3").unwrap(), "whole");
    assert_eq!(forms(URL).unwrap(), "whole password");
    assert_eq!(
        forms("9f86d081884c7d659a2feaa0c55ad0159f86d081884c7d659a2feaa0c55ad015").unwrap(),
        "whole decoded"
    );
    let key_text = "-----BEGIN FAKE KEY-----\nKd8sPqLm2RtVx7Nw4Jc1Hb6Gf3Yz9Ua5Qe0\n-----END FAKE KEY-----\n";
    assert_eq!(forms(key_text).unwrap(), "whole line");
    assert!(matches!(forms("hunter2"), Err(LeftOut::Guessable { .. })));
    assert_eq!(forms(&"aB3x".repeat(20_000)), Err(LeftOut::TooLong));
}

#[test]
fn a_password_is_taken_out_of_an_address() {
    let password = |text: &str| {
        password_of_address(text.as_bytes()).map(|it| String::from_utf8_lossy(it.expose()).into_owned())
    };
    assert_eq!(password(URL).as_deref(), Some("Zq8vL2xR5tN!9wK1mP7bV"));
    assert_eq!(password("redis://:p%40ss@h:1/0").as_deref(), Some("p@ss"));
    assert_eq!(password("amqp://u:a%@b%zz@h").as_deref(), Some("a%@b%zz"));
    for none in ["https://example.com/a:b@c", "https://user@host", "no address", "a://", ""] {
        assert_eq!(password(none), None, "{none}");
    }
}

#[test]
fn packed_fingerprints_come_back() {
    for made in fingerprints(&key(), URL.as_bytes()).unwrap() {
        let mut packed = Vec::new();
        made.pack(TAG_BYTES, &mut packed);
        assert_eq!(packed.len(), PACKED_BYTES);
        assert_eq!(Fingerprint::unpack(&packed).unwrap(), made);
        let mut short = Vec::new();
        made.pack(2, &mut short);
        assert_eq!(short.len(), Fingerprint::packed_bytes(2));
        let unpacked = Fingerprint::unpack(&short).unwrap();
        assert_eq!((&unpacked.tag[..2], &unpacked.tag[2..]), (&made.tag[..2], &[0; 14][..]));
        // Whatever bytes are altered: an answer or an error, and what is read is what some value could have.
        for at in 0..packed.len() {
            for bit in 0..8 {
                let mut altered = packed.clone();
                altered[at] ^= 1 << bit;
                if let Ok(read) = Fingerprint::unpack(&altered) {
                    assert!(read.length as usize <= VALUE_BYTES_MAX && read.head.run <= read.length);
                }
            }
            assert!(at >= 16 || Fingerprint::unpack(&packed[..at]).is_err());
        }
    }
}

/// What an exported index holds must be found by later programs: the hashes stay as they are.
#[test]
fn hashes_stay_the_same() {
    let key = key();
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    assert_eq!(hex(&key.tag(b"fake9Qm2LrXz7Tn4VbPk8Wd3")), "81a7c3828afb37991f8782711846a57c");
    assert_eq!(hex(&key.filter(b"fake9Qm2LrXz7Tn4VbPk8Wd3").to_be_bytes()), "ede0345f");
}
