//! How the server is, and small tools.

use serde_json::json;
use std::time::Duration;
use strongroom_kernel::Operation;
use strongroom_testkit::server::TestServer;

#[test]
fn health_is_told_to_anybody() {
    let server = TestServer::start(Vec::new());
    let anybody = server.session(None);
    let healthy = anybody.read("sys/health");
    assert_eq!(healthy.status, 200);
    assert_eq!(healthy.body["data"]["initialized"], true);
    assert_eq!(healthy.body["data"]["sealed"], false);
    assert!(healthy.body["data"]["cluster_id"].is_string());
    assert_eq!(anybody.read_with("sys/health", json!({"activecode": "299"})).status, 299);
    assert_eq!(anybody.read("sys/leader").body["data"]["ha_enabled"], false);
    server.kernel.seal();
    assert_eq!(anybody.read("sys/health").status, 503);
    assert_eq!(anybody.read_with("sys/health", json!({"sealedcode": "200"})).status, 200);
    assert_eq!(anybody.read_with("sys/health", json!({"sealedcode": "99999"})).status, 503);
}

#[test]
fn the_server_says_what_it_consists_of() {
    let server = TestServer::start(Vec::new());
    let root = server.root();
    assert_eq!(root.read("sys/ha-status").data()["nodes"][0]["active_node"], true);
    assert_eq!(root.read("sys/config/state/sanitized").data()["storage"]["type"], "file");
    assert_eq!(root.list("sys/plugins/catalog/auth").data()["keys"], json!(["token"]));
    assert_eq!(root.read("sys/plugins/catalog/auth/token").data()["builtin"], true);
    assert_eq!(root.read("sys/plugins/catalog/auth/none").status, 404);
    assert_eq!(root.read("sys/locked-users").data(), &json!({"total": 0, "by_namespace": []}));
    assert_eq!(root.write("sys/locked-users/none/unlock/bob", json!({})).status, 400);
}

#[test]
fn tools() {
    let server = TestServer::start(Vec::new());
    let root = server.root();
    let hex = root.write("sys/tools/random/platform/7", json!({"format": "hex"}));
    assert_eq!(hex.data()["random_bytes"].as_str().unwrap().len(), 14);
    assert_eq!(root.write("sys/tools/random/3", json!({})).data()["random_bytes"].as_str().unwrap().len(), 4);
    assert_eq!(root.write("sys/tools/random", json!({"bytes": 0})).status, 400);
    assert_eq!(root.write("sys/tools/random/moon", json!({})).status, 400);
    let sum = root.write("sys/tools/hash/sha2-256", json!({"input": "YWJj"}));
    assert_eq!(sum.data()["sum"], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(root.write("sys/tools/hash/md5", json!({"input": "YWJj"})).status, 400);
    assert_eq!(root.send(Operation::Help, "sys/tools/hash", json!({})).status, 200);
}

#[test]
fn routes_describe_themselves() {
    let server = TestServer::start(Vec::new());
    let root = server.root();
    let document = root.read("sys/internal/specs/openapi").body["data"].clone();
    let mount = &document["paths"]["/sys/mounts/{path}"];
    assert!(mount["post"]["requestBody"].is_object());
    assert_eq!(mount["parameters"][0]["name"], "path");
    assert_eq!(document["paths"]["/sys/auth/{path}"]["x-vault-sudo"], true);
    assert_eq!(document["paths"]["/sys/policies/acl/"]["get"]["parameters"][0]["name"], "list");
    let help = root.send(Operation::Help, "sys/mounts/x", json!({}));
    assert!(help.body["data"]["help"].as_str().unwrap().contains("Matching Route: mounts/{path..}"));
    let help = root.send(Operation::Help, "cubbyhole", json!({}));
    assert!(help.body["data"]["help"].as_str().unwrap().contains("{path..}"));
    let help = root.send(Operation::Help, "sys", json!({}));
    assert!(help.body["data"]["help"].as_str().unwrap().contains("policies/acl/{name..}"));
}

#[test]
fn requests_are_counted() {
    let server = TestServer::start(Vec::new());
    let root = server.root();
    root.read("cubbyhole/none");
    root.read("nowhere/none");
    let answer = root.read_with("sys/metrics", json!({"format": "prometheus"}));
    let text = answer.body["data"].as_str().unwrap();
    for line in [
        "strongroom_requests_total{operation=\"read\",type=\"cubbyhole\",version=\"\",status=\"4xx\"} 1",
        "strongroom_requests_total{operation=\"read\",type=\"\",version=\"\",status=\"4xx\"} 1",
        "strongroom_request_seconds_count 2",
        "strongroom_requests_running 1",
        "strongroom_sealed 0",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line}\n{text}");
    }
    assert_eq!(root.read_with("sys/metrics", json!({"format": "abacus"})).status, 400);
}

#[test]
fn settings_are_changed_and_told() {
    let server = TestServer::start(Vec::new());
    let root = server.root();
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let into = told.clone();
    server.kernel.watch_settings(move |settings| into.lock().unwrap().push(settings.cors.is_enabled));
    assert_eq!(root.read("sys/config/cors").data(), &json!({"enabled": false}));
    assert_eq!(
        root.write("sys/config/cors", json!({"allowed_origins": ["*", "https://a.example"]})).status,
        400
    );
    let origins = json!({"allowed_origins": "https://a.example", "allowed_headers": "X-Own"});
    assert_eq!(root.write("sys/config/cors", origins).status, 204);
    assert_eq!(
        root.read("sys/config/cors").data(),
        &json!({"enabled": true, "allowed_origins": ["https://a.example"], "allowed_headers": ["X-Own"]})
    );
    assert_eq!(root.delete("sys/config/cors").status, 204);
    assert_eq!(*told.lock().unwrap(), [false, true, false]);
    let headers = "sys/config/auditing/request-headers";
    assert_eq!(root.write(&format!("{headers}/X-Trace"), json!({"hmac": true})).status, 204);
    for secret in ["X-Vault-Token", "X-Vault-MFA"] {
        assert_eq!(root.write(&format!("{headers}/{secret}"), json!({})).status, 400);
    }
    assert_eq!(root.read(headers).data(), &json!({"headers": {"x-trace": {"hmac": true}}}));
    assert_eq!(root.read(&format!("{headers}/x-trace")).data(), &json!({"x-trace": {"hmac": true}}));
    assert_eq!(root.delete(&format!("{headers}/X-Trace")).status, 204);
}

#[test]
fn metrics_come_as_vaults_json_too() {
    let server = TestServer::start(Vec::new());
    let root = server.root();
    root.read("cubbyhole/none");
    let json = root.read("sys/metrics").body["data"].clone();
    let counted = json["Counters"].as_array().unwrap().iter().find(|counter| {
        counter["Name"] == "strongroom_requests_total" && counter["Labels"]["type"] == "cubbyhole"
    });
    assert_eq!(counted.unwrap()["Count"], 1, "{json}");
    assert_eq!(json["Samples"][0]["Count"], 1);
    assert!(json["Gauges"].as_array().unwrap().iter().any(|gauge| gauge["Name"] == "vault_core_unsealed"));
}

#[test]
fn the_levels_of_the_log_are_changed_at_run_time() {
    let server = TestServer::start(Vec::new());
    let root = server.root();
    assert_eq!(root.read("sys/loggers").data()["audit"], "info");
    assert_eq!(root.write("sys/loggers/audit", json!({"level": "DEBUG"})).status, 204);
    assert_eq!(root.read("sys/loggers/audit").data(), &json!({"audit": "debug"}));
    assert_eq!(root.read("sys/loggers").data()["http"], "info");
    assert_eq!(root.write("sys/loggers", json!({"level": "warning"})).status, 204);
    assert_eq!(root.read("sys/loggers/audit").data(), &json!({"audit": "warn"}));
    assert_eq!(root.delete("sys/loggers/audit").status, 204);
    assert_eq!(root.read("sys/loggers/audit").data(), &json!({"audit": "info"}));
    assert_eq!(root.delete("sys/loggers").status, 204);
    assert_eq!(root.read("sys/loggers").data()["storage"], "info");
    let (status, text) = root.write("sys/loggers/nothing", json!({"level": "debug"})).refusal();
    assert!(status == 400 && text.contains("not found: there are audit, "), "{text}");
    let (status, text) = root.write("sys/loggers", json!({"level": "moon"})).refusal();
    assert!(status == 400 && text.contains("\"moon\" is not trace"), "{text}");
}

#[test]
fn requests_under_way_are_seen_without_what_they_carry() {
    let server = TestServer::start(Vec::new());
    let seen = server.root().from_address("192.0.2.7").read_with("sys/in-flight-req", json!({"k": "hidden"}));
    let seen = &seen.body["data"]["00000000-0000-4000-8000-000000000000"];
    assert_eq!(seen["request_path"], "/v1/sys/in-flight-req");
    assert_eq!(seen["client_remote_address"], "192.0.2.7:40000");
    assert_eq!((&seen["request_method"], &seen["running_seconds"]), (&json!("GET"), &json!(0.0)));
    assert!(!seen.to_string().contains("hidden") && !seen.to_string().contains(&server.root_token));
    assert_eq!(server.root().read("sys/in-flight-req").body["data"].as_object().unwrap().len(), 1);
}

#[test]
fn versions_of_the_program_are_remembered() {
    let server = TestServer::start(Vec::new());
    let of = |server: &TestServer| server.root().list("sys/version-history").data().clone();
    let first = of(&server);
    let version = first["keys"][0].as_str().unwrap().to_owned();
    assert_eq!(first["key_info"][&version]["previous_version"], json!(null));
    let newer = server.restarted(|settings| settings.program_version = "99.0.0".to_owned());
    newer.clock.advance(Duration::from_secs(60));
    newer.kernel.maintain();
    newer.kernel.maintain();
    let both = of(&newer);
    assert_eq!(both["keys"], json!([version, "99.0.0"]));
    assert_eq!(both["key_info"]["99.0.0"]["previous_version"], version);
    assert!(both["key_info"]["99.0.0"]["timestamp_installed"].is_string());
}

#[test]
fn headers_of_the_web_page_are_set() {
    let server = TestServer::start(Vec::new());
    let root = server.root();
    let headers = "sys/config/ui/headers";
    assert_eq!(root.list(headers).status, 404);
    assert_eq!(root.write(&format!("{headers}/X-Own"), json!({"values": ["a", "b"]})).status, 204);
    assert_eq!(root.list(headers).data(), &json!({"keys": ["X-Own"]}));
    assert_eq!(root.read(&format!("{headers}/x-own")).data(), &json!({"value": "a"}));
    let all = root.read_with(&format!("{headers}/X-Own"), json!({"multivalue": "true"}));
    assert_eq!(all.data(), &json!({"values": ["a", "b"]}));
    for (name, values) in [
        ("X-Vault-Token", json!(["a"])),
        ("X-Own", json!([])),
        ("Content-Length", json!(["0"])),
        ("X-Own", json!(["a\r\nSet-Cookie: b"])),
        ("X Own", json!(["a"])),
    ] {
        assert_eq!(root.write(&format!("{headers}/{name}"), json!({"values": values})).status, 400, "{name}");
    }
    assert_eq!(root.delete(&format!("{headers}/X-Own")).status, 204);
    assert_eq!(root.read(&format!("{headers}/X-Own")).status, 404);
}

#[test]
fn what_concerns_the_whole_server_is_asked_in_the_root_namespace() {
    let server = TestServer::start(Vec::new());
    assert_eq!(server.root().write("sys/namespaces/team", json!({})).status, 200);
    let inside = server.root();
    let inside = inside.in_namespace("team");
    for path in ["sys/host-info", "sys/loggers", "sys/in-flight-req"] {
        assert_eq!(inside.read(path).status, 400, "{path}");
    }
    assert_eq!(inside.list("sys/version-history").status, 400);
}

#[test]
fn encoded_tokens_are_decoded() {
    let server = TestServer::start(Vec::new());
    let decoded =
        server.session(None).write("sys/decode-token", json!({"encoded_token": "BQcF", "otp": "def"}));
    assert_eq!(decoded.data()["token"], "abc");
    assert_eq!(
        server.root().write("sys/decode-token", json!({"encoded_token": "BQ", "otp": "def"})).status,
        400
    );
}
