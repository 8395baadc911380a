use super::*;
use crate::Error;
use proptest::prelude::*;
use serde_json::value::RawValue;

fn line(record: &Record<'_>, options: &FormatOptions) -> String {
    let mut out = Vec::new();
    record.format(&mut out, options, &mac());
    String::from_utf8(out).unwrap()
}

/// The line, with hashes cut to eight digits, broken before each of its parts.
fn shown(record: &Record<'_>) -> String {
    let mut text = line(record, &FormatOptions::default());
    serde_json::from_str::<Value>(&text).unwrap();
    let mut at = 0;
    while let Some(found) = text[at..].find("hmac-sha256:") {
        at += found + 20;
        text.replace_range(at..at + 56, "…");
    }
    for part in ["auth", "request", "response", "data", "wrap_info", "error"] {
        text = text.replace(&format!(",\"{part}\":"), &format!(",\n\"{part}\":"));
    }
    text
}

const MOUNT: MountFacts<'static> = MountFacts {
    point: "secret/",
    kind: "kv",
    accessor: "kv_12345678",
    running_version: "v1.0.0",
    class: "secret",
    clear_request_keys: &[],
    clear_response_keys: &[],
};

#[test]
fn a_login() {
    let data = map(json!({"role_id": "not-a-real-role", "secret_id": "not-a-real-secret-id"}));
    let metadata = map(json!({"role_name": "shop"}));
    let policies = ["default".to_owned(), "shop".to_owned()];
    let auth = AuthFacts {
        client_token: "hvs.not-a-real-new-token",
        accessor: "not-a-real-new-accessor",
        display_name: "approle",
        policies: &policies,
        token_policies: &policies,
        metadata: Some(&metadata),
        num_uses: 5,
        entity_id: "entity-1",
        token_type: "service",
        token_ttl: Duration::from_secs(3600),
        token_issue_time: Some(time()),
        ..AuthFacts::default()
    };
    let response = ResponseFacts { auth: Some(auth), ..ResponseFacts::default() };
    let request = RequestFacts {
        operation: "update",
        path: "auth/approle/login",
        data: DataFacts::Map(&data),
        remote_address: Some([192, 0, 2, 7].into()),
        ..RequestFacts::default()
    };
    let record = Record { time: time(), request, response: Some(response), ..Record::default() };
    insta::assert_snapshot!(shown(&record), @r#"
    {"time":"2026-01-01T00:00:00.123456789Z","type":"response",
    "auth":{"token_type":"default"},
    "request":{"operation":"update","namespace":{},"path":"auth/approle/login",
    "data":{"role_id":"hmac-sha256:9e342005…","secret_id":"hmac-sha256:15613082…"},"remote_address":"192.0.2.7"},
    "response":{"auth":{"client_token":"hmac-sha256:10199941…","accessor":"hmac-sha256:f415ad46…","display_name":"approle","policies":["default","shop"],"token_policies":["default","shop"],"metadata":{"role_name":"shop"},"num_uses":5,"entity_id":"entity-1","token_type":"service","token_ttl":3600,"token_issue_time":"2026-01-01T00:00:00Z"}}}
    "#);
}

#[test]
fn a_key_value_write() {
    let data = map(
        json!({"data": {"password": "not-a-real-password", "port": 5432, "tls": true}, "options": {"cas": 0}}),
    );
    let mut record = record("secret/data/shop");
    record.request.operation = "create";
    record.request.data = DataFacts::Map(&data);
    record.mount = MOUNT;
    insta::assert_snapshot!(shown(&record), @r#"
    {"time":"2026-01-01T00:00:00.123456789Z","type":"request",
    "auth":{"client_token":"hmac-sha256:5e0a2d7f…","accessor":"hmac-sha256:2aedc291…","display_name":"approle-shop","policy_results":{"allowed":true},"entity_id":"entity-1","token_type":"service"},
    "request":{"id":"00000000-0000-4000-8000-000000000001","operation":"create","mount_point":"secret/","mount_type":"kv","mount_accessor":"kv_12345678","mount_running_version":"v1.0.0","mount_class":"secret","client_token":"hmac-sha256:5e0a2d7f…","client_token_accessor":"hmac-sha256:2aedc291…","namespace":{"id":"root"},"path":"secret/data/shop",
    "data":{"data":{"password":"hmac-sha256:4001b73f…","port":5432,"tls":true},"options":{"cas":0}},"remote_address":"192.0.2.7","remote_port":40000}}
    "#);
}

#[test]
fn a_key_value_read() {
    let data = RawValue::from_string(
        r#"{"data":{"user":"admin","password":"not-a-real-password"},"metadata":{"version":3}}"#.to_owned(),
    )
    .unwrap();
    let clear = ["user".to_owned()];
    let warnings = ["a warning".to_owned()];
    let mut record = record("secret/data/shop");
    record.mount = MountFacts { clear_response_keys: &clear, ..MOUNT };
    record.response = Some(ResponseFacts {
        data: DataFacts::Json(&data),
        lease_id: "secret/data/shop/lease",
        warnings: &warnings,
        wrap: Some(WrapFacts {
            ttl: Duration::from_secs(60),
            token: "hvs.not-a-real-wrapping-token",
            accessor: "not-a-real-accessor",
            creation_time: time(),
            creation_path: "secret/data/shop",
            wrapped_accessor: "",
        }),
        ..ResponseFacts::default()
    });
    insta::assert_snapshot!(shown(&record), @r#"
    {"time":"2026-01-01T00:00:00.123456789Z","type":"response",
    "auth":{"client_token":"hmac-sha256:5e0a2d7f…","accessor":"hmac-sha256:2aedc291…","display_name":"approle-shop","policy_results":{"allowed":true},"entity_id":"entity-1","token_type":"service"},
    "request":{"id":"00000000-0000-4000-8000-000000000001","operation":"read","mount_point":"secret/","mount_type":"kv","mount_accessor":"kv_12345678","mount_running_version":"v1.0.0","mount_class":"secret","client_token":"hmac-sha256:5e0a2d7f…","client_token_accessor":"hmac-sha256:2aedc291…","namespace":{"id":"root"},"path":"secret/data/shop","remote_address":"192.0.2.7","remote_port":40000},
    "response":{"mount_point":"secret/","mount_type":"kv","mount_accessor":"kv_12345678","mount_running_plugin_version":"v1.0.0","mount_class":"secret","secret":{"lease_id":"secret/data/shop/lease"},
    "data":{"data":{"user":"admin","password":"hmac-sha256:4001b73f…"},"metadata":{"version":3}},"warnings":["a warning"],
    "wrap_info":{"ttl":60,"token":"hmac-sha256:7aa71e44…","accessor":"hmac-sha256:2aedc291…","creation_time":"2026-01-01T00:00:00.123456789Z","creation_path":"secret/data/shop"}}}
    "#);
}

#[test]
fn a_denial() {
    let error = Error::denied().with_detail("the log alone sees this");
    let granting = [GrantingPolicy { name: "default", namespace_id: "root", namespace_path: "" }];
    let headers = [
        HeaderFacts { name: "x-trace", value: "one", hmac: false },
        HeaderFacts { name: "x-trace", value: "two", hmac: true },
    ];
    let mut record = record("sys/mounts");
    record.caller.allowed = Some(false);
    record.caller.granting_policies = &granting;
    record.request.headers = &headers;
    record.error = Some(&error);
    insta::assert_snapshot!(shown(&record), @r#"
    {"time":"2026-01-01T00:00:00.123456789Z","type":"request",
    "auth":{"client_token":"hmac-sha256:5e0a2d7f…","accessor":"hmac-sha256:2aedc291…","display_name":"approle-shop","policy_results":{"allowed":false,"granting_policies":[{"name":"default","namespace_id":"root","type":"acl"}]},"entity_id":"entity-1","token_type":"service"},
    "request":{"id":"00000000-0000-4000-8000-000000000001","operation":"read","client_token":"hmac-sha256:5e0a2d7f…","client_token_accessor":"hmac-sha256:2aedc291…","namespace":{"id":"root"},"path":"sys/mounts","remote_address":"192.0.2.7","remote_port":40000,"headers":{"x-trace":["one","hmac-sha256:31ab11a9…"]}},
    "error":"permission denied"}
    "#);
}

#[test]
fn a_list_can_be_elided() {
    let data = map(json!({"keys": ["a", "b"], "key_info": {"a": {"x": "y"}, "b": {}}, "more": "text"}));
    let mut record = record("secret/metadata/");
    record.request.operation = "list";
    record.response = Some(ResponseFacts { data: DataFacts::Map(&data), ..ResponseFacts::default() });
    let options = FormatOptions { elide_list_responses: true, ..FormatOptions::default() };
    let value: Value = serde_json::from_str(&line(&record, &options)).unwrap();
    let data = &value["response"]["data"];
    assert_eq!(data["keys"], 2);
    assert_eq!(data["key_info"], 2);
    assert!(data["more"].as_str().unwrap().starts_with("hmac-sha256:"));
    let value: Value = serde_json::from_str(&line(&record, &FormatOptions::default())).unwrap();
    assert_eq!(value["response"]["data"]["keys"][0], hashed(&mac(), b"a"));
}

/// A list of a million names once was a line of 80 MB, which no device took, so that the list failed.
#[test]
fn of_a_very_long_list_the_count_is_recorded() {
    let names = |count: usize| map(json!({"keys": (0..count).map(|n| n.to_string()).collect::<Vec<_>>()}));
    let keys = |operation: &str, count: usize| {
        let data = names(count);
        let mut record = record("secret/metadata/");
        record.request.operation = operation;
        record.response = Some(ResponseFacts { data: DataFacts::Map(&data), ..ResponseFacts::default() });
        let value: Value = serde_json::from_str(&line(&record, &FormatOptions::default())).unwrap();
        value["response"]["data"]["keys"].clone()
    };
    assert_eq!(keys("list", 10_001), 10_001);
    assert_eq!(keys("scan", 10_001), 10_001);
    assert_eq!(keys("list", 10_000).as_array().unwrap().len(), 10_000);
    assert_eq!(keys("read", 10_001).as_array().unwrap().len(), 10_001, "no list of names");
}

#[test]
fn options_change_what_is_in_clear() {
    let data = map(json!({"password": "not-a-real-password"}));
    let mut record = record("secret/data/shop");
    record.request.data = DataFacts::Map(&data);
    let accessors =
        FormatOptions { hmac_accessor: false, prefix: "@cee: ".to_owned(), ..FormatOptions::default() };
    let text = line(&record, &accessors);
    assert!(text.starts_with("@cee: {\"time\":"));
    assert!(text.contains("\"accessor\":\"not-a-real-accessor\"") && !text.contains("not-a-real-token"));
    let raw = line(&record, &FormatOptions { raw: true, ..FormatOptions::default() });
    assert!(raw.contains("\"password\":\"not-a-real-password\"") && raw.contains("hvs.not-a-real-token"));
}

#[test]
fn bytes_and_unreadable_data_are_hashed_whole() {
    let mut record = record("pki/ca");
    let bytes = DataFacts::Bytes { content_type: "application/pkix-cert", body: b"\x30\x82secret-ish" };
    record.response = Some(ResponseFacts { data: bytes, ..ResponseFacts::default() });
    let text = line(&record, &FormatOptions::default());
    assert!(text.contains("application/pkix-cert") && !text.contains("secret-ish"));

    let deep = format!("{}\"not-a-real-secret\"{}", "[".repeat(200), "]".repeat(200));
    for json in [format!("{{\"a\":{deep}}}"), "{\"a\":\"not-a-real-secret\",\"b\":1e999}".to_owned()] {
        let data = RawValue::from_string(json).unwrap();
        let response = Some(ResponseFacts { data: DataFacts::Json(&data), ..ResponseFacts::default() });
        let text = line(&Record { response, ..record.clone() }, &FormatOptions::default());
        let value: Value = serde_json::from_str(&text).unwrap();
        assert!(value["response"]["data"]["unreadable"].is_string());
        assert!(!text.contains("not-a-real-secret"));
    }
}

/// JSON whose texts can be recognised wherever they come out.
fn json() -> impl Strategy<Value = Value> {
    let text =
        "[a-zA-Z0-9\"\\\\\u{0}-\u{1f}éß]{0,12}".prop_map(|text| Value::String(format!("leaf{text}leaf")));
    let leaf = prop_oneof![
        text,
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null)
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-z\"\n]{0,6}", inner, 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// The same value, with every text as its hash.
fn masked(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(hashed(&mac(), text.as_bytes())),
        Value::Array(items) => items.iter().map(masked).collect(),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, value)| (key.clone(), masked(value))).collect())
        }
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn no_value_is_in_clear(request in json(), response in json()) {
        let request = map(json!({ "in": request }));
        let response = json!({ "out": response });
        let raw = RawValue::from_string(response.to_string()).unwrap();
        for facts in [DataFacts::Json(&raw), DataFacts::Value(&response)] {
            let mut record = record("secret/data/x");
            record.request.data = DataFacts::Map(&request);
            record.response = Some(ResponseFacts { data: facts, ..ResponseFacts::default() });
            let text = line(&record, &FormatOptions::default());
            prop_assert!(!text.contains("leaf") && !text.contains("not-a-real"));
            prop_assert_eq!(text.matches('\n').count(), 1);
            let value: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&value["request"]["data"], &masked(&Value::Object(request.clone())));
            prop_assert_eq!(&value["response"]["data"], &masked(&response));
        }
    }
}

#[test]
fn devices_are_parsed_with_the_errors_of_vault() {
    let parse = |kind: &str, options: Value| {
        let options =
            map(options).into_iter().map(|(key, value)| (key, value.as_str().unwrap().to_owned())).collect();
        DeviceConfig::parse(kind, &options).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(parse("file", json!({"file_path": "/tmp/x", "mode": "0640", "hmac_accessor": "false"})), "");
    assert_eq!(parse("nope", json!({})), "unknown backend type: \"nope\"");
    assert_eq!(parse("file", json!({})), "file_path is required");
    assert_eq!(parse("socket", json!({})), "address is required");
    assert_eq!(parse("http", json!({})), "uri is required");
    assert_eq!(parse("file", json!({"path": "x", "format": "xml"})), "unknown format type \"xml\"");
    assert!(
        parse("file", json!({"path": "x", "format": "jsonx"}))
            .starts_with("jsonx formatting has been removed")
    );
    assert!(
        parse("file", json!({"path": "x", "log_raw": "yes"})).contains("parsing \"yes\": invalid syntax")
    );
    assert_eq!(
        parse("file", json!({"path": "x", "mode": "4755"})),
        "file mode does not represent a regular file"
    );
    assert!(parse("file", json!({"path": "x", "prefix": "#!/bin/sh"})).starts_with("prefix must be"));
    assert_eq!(parse("syslog", json!({"facility": "NOPE"})), "invalid syslog facility: NOPE");
    assert_eq!(parse("syslog", json!({"facility": "local7", "tag": "x"})), "");
}
