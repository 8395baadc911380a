//! How the server is, and small tools.

use serde_json::json;
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
    assert_eq!(root.write(&format!("{headers}/X-Vault-Token"), json!({})).status, 400);
    assert_eq!(root.read(headers).data(), &json!({"headers": {"x-trace": {"hmac": true}}}));
    assert_eq!(root.read(&format!("{headers}/x-trace")).data(), &json!({"x-trace": {"hmac": true}}));
    assert_eq!(root.delete(&format!("{headers}/X-Trace")).status, 204);
}
