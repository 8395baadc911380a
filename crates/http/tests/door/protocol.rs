use crate::stand_in::{Echo, TestClock, ask, exchange, start, start_with, status, tcp};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;
use strongroom_http::{Address, BindError, CorsOrigins, CorsPolicy, Door, ForwardedFor, Listener, Options};
use strongroom_testkit::SeededEntropy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

#[tokio::test]
async fn verbs_become_operations() {
    let door = start().await;
    for (head, body, operation, path, fields) in [
        ("GET /v1/s/a?version=3 HTTP/1.1", "", "read", "s/a", json!({"version": "3"})),
        ("GET /v1/s/a?list=true&after=b HTTP/1.1", "", "list", "s/a/", json!({"after": "b"})),
        ("GET /v1/s?scan=1 HTTP/1.1", "", "scan", "s/", json!({})),
        ("GET /v1/s?help=1 HTTP/1.1", "", "help", "s", json!({})),
        ("LIST /v1/s/a HTTP/1.1", "", "list", "s/a/", json!({})),
        ("LIST /v1/s/a/ HTTP/1.1", "", "list", "s/a/", json!({})),
        ("SCAN /v1/s HTTP/1.1", "", "scan", "s/", json!({})),
        ("PUT /v1/s/a?x=1 HTTP/1.1", r#"{"k":null}"#, "update", "s/a", json!({"k": null})),
        ("POST /v1/s/a HTTP/1.1", r#"{"k":[1]}"#, "update", "s/a", json!({"k": [1]})),
        ("DELETE /v1/s/a?v=1 HTTP/1.1", "", "delete", "s/a", json!({"v": "1"})),
        ("DELETE /v1/s/a?v=1 HTTP/1.1", r#"{"w":2}"#, "delete", "s/a", json!({"v": "1", "w": 2})),
        (
            "PATCH /v1/s/a HTTP/1.1\r\ncontent-type: application/merge-patch+json; charset=utf-8",
            r#"{"k":1}"#,
            "patch",
            "s/a",
            json!({"k": 1}),
        ),
        (
            "POST /v1/s/a HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded",
            "a=1&b=x+y",
            "update",
            "s/a",
            json!({"a": "1", "b": "x y"}),
        ),
        (
            "POST /v1/s/a HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded",
            r#"{"a":1}"#,
            "update",
            "s/a",
            json!({"a": 1}),
        ),
    ] {
        let (status, answer) = ask(door.address, head, body).await;
        assert_eq!(status, 200, "{head}: {answer}");
        assert_eq!((&answer["operation"], &answer["path"]), (&json!(operation), &json!(path)), "{head}");
        assert_eq!(answer["fields"], fields, "{head}");
    }
}

#[tokio::test]
async fn headers_are_read() {
    let door = start().await;
    let head = "GET /v1/a HTTP/1.1\r\nX-Vault-Token: not-a-real-token\r\nX-Vault-Namespace: /team/app\r\n\
        X-Vault-Wrap-TTL: 5m\r\nX-Correlation-Id: 1";
    let (_, answer) = ask(door.address, head, "").await;
    assert_eq!(answer["token"], "not-a-real-token");
    assert_eq!(answer["namespace"], "team/app/");
    assert_eq!(answer["wrap_ttl"], 300);
    assert_eq!(answer["address"], "127.0.0.1");
    let names = answer["headers"].as_array().unwrap();
    assert!(
        names.contains(&json!("x-correlation-id")) && !names.contains(&json!("x-vault-token")),
        "{names:?}"
    );
    let bearer = "GET /v1/a HTTP/1.1\r\nAuthorization: bearer not-a-real-token";
    let (_, answer) = ask(door.address, bearer, "").await;
    assert_eq!(answer["token"], "not-a-real-token");
    assert!(!answer["headers"].as_array().unwrap().contains(&json!("authorization")));
}

#[tokio::test]
async fn answers_have_vaults_statuses_and_headers() {
    let door = start().await;
    let answer =
        exchange(door.address, b"GET /v1/do/nothing HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert_eq!(status(&answer), 204);
    let answer = exchange(door.address, b"GET /v1/a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.contains("\r\ncontent-type: application/json\r\n"), "{answer}");
    assert!(answer.contains("\r\ncache-control: no-store\r\n"), "{answer}");
    assert!(!answer.contains("strict-transport-security"), "{answer}");
    let head = exchange(door.address, b"HEAD /v1/a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert_eq!(status(&head), 200);
    assert!(head.ends_with("\r\n\r\n") && head.contains("content-length: "), "{head}");
    let (code, body) = ask(door.address, "GET /v1/do/miss HTTP/1.1", "").await;
    assert_eq!((code, body), (404, json!({"errors": []})));
    let (code, body) = ask(door.address, "GET /v1/do/fail HTTP/1.1", "").await;
    assert_eq!(code, 403);
    assert_eq!(body["errors"], json!(["permission denied"]));
    assert_eq!(body["hint"], "add read on do/fail");
    assert!(!body.to_string().contains("for the log alone"));
}

#[tokio::test]
async fn requests_are_answered_in_order_on_one_connection() {
    let door = start().await;
    let mut text = String::new();
    for number in 0..50 {
        text.push_str(&format!("GET /v1/a/{number} HTTP/1.1\r\nhost: a\r\n\r\n"));
    }
    text.push_str("POST /v1/last HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}");
    let answer = exchange(door.address, text.as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 51);
    let positions: Vec<_> = (0..50).map(|number| answer.find(&format!("\"a/{number}\"")).unwrap()).collect();
    assert!(positions.is_sorted());
    let counts = door.counters.snapshot();
    assert_eq!((counts.requests_total, counts.answers_2xx, counts.connections_total), (51, 51, 1));
}

#[tokio::test]
async fn http2_without_tls() {
    let door = start().await;
    let stream = TcpStream::connect(door.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for path in ["a", "b"] {
        let request = hyper::Request::builder()
            .method("LIST")
            .uri(format!("http://a/v1/{path}"))
            .body(Full::<Bytes>::default())
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.version(), hyper::Version::HTTP_2);
        let body: Value = serde_json::from_slice(&response.collect().await.unwrap().to_bytes()).unwrap();
        assert_eq!((&body["operation"], &body["path"]), (&json!("list"), &json!(format!("{path}/"))));
    }
    drop(sender);
    assert_eq!(door.stop().await, 0);
}

#[tokio::test]
async fn unix_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    // A socket that a killed server left behind is replaced.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let listener = || Listener::new(Address::Unix { path: path.clone(), mode: 0o600 });
    let door = start_with(listener(), Options::default(), Arc::default()).await;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"GET /v1/a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("\"address\":null"), "{answer}");

    let entropy = Arc::new(SeededEntropy::new(1));
    let second = Door::bind(
        vec![listener()],
        Arc::new(Echo::default()),
        TestClock::new(),
        entropy,
        Options::default(),
    )
    .await;
    assert!(matches!(second, Err(BindError::InUse(_))));
    assert_eq!(door.stop().await, 0);
    assert!(!path.exists());
}

#[tokio::test]
async fn bind_errors_say_what_to_do() {
    let door = start().await;
    let listener = Listener::new(Address::Tcp(door.address.to_string()));
    let entropy = Arc::new(SeededEntropy::new(1));
    let second =
        Door::bind(vec![listener], Arc::new(Echo::default()), TestClock::new(), entropy, Options::default())
            .await;
    let expected = format!(
        "address {} is in use: another server is running there; stop it or choose another address",
        door.address
    );
    assert_eq!(second.err().unwrap().to_string(), expected);
}

#[tokio::test]
async fn running_requests_end_before_the_door_does() {
    let echo = Arc::new(Echo::default());
    let door = start_with(tcp(), Options::default(), Arc::clone(&echo)).await;
    let address = door.address;
    let idle = TcpStream::connect(address).await.unwrap();
    let slow = tokio::spawn(async move { ask(address, "GET /v1/do/slow HTTP/1.1", "").await.0 });
    // This client goes away; its request runs on.
    let mut gone = TcpStream::connect(address).await.unwrap();
    gone.write_all(b"GET /v1/do/slow HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    while door.counters.snapshot().requests_running < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(gone);
    assert_eq!(door.stop().await, 0);
    assert_eq!(slow.await.unwrap(), 204);
    assert_eq!(*echo.slow_ended.lock(), 2);
    assert!(TcpStream::connect(address).await.is_err());
    drop(idle);
}

#[tokio::test]
async fn a_request_that_never_ends_is_given_up() {
    let options = Options {
        request_timeout: Duration::from_millis(50),
        shutdown_timeout: Duration::from_millis(100),
        requests_max: 1,
        ..Options::default()
    };
    let door = start_with(tcp(), options, Arc::default()).await;
    let (code, body) = ask(door.address, "GET /v1/do/forever HTTP/1.1", "").await;
    assert_eq!(code, 503, "{body}");
    assert!(body["errors"][0].as_str().unwrap().contains("took too long"));
    // It still holds the only place.
    let (code, body) = ask(door.address, "GET /v1/a HTTP/1.1", "").await;
    assert_eq!((code, body["errors"][0].as_str().unwrap()), (503, "the server is busy: try again"));
    assert_eq!(door.stop().await, 1);
}

#[tokio::test]
async fn connections_beyond_the_cap_wait() {
    let options = Options { connections_max: 1, ..Options::default() };
    let door = start_with(tcp(), options, Arc::default()).await;
    let mut first = TcpStream::connect(door.address).await.unwrap();
    first.write_all(b"GET /v1/a HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut byte = [0];
    first.read_exact(&mut byte).await.unwrap();
    let address = door.address;
    let second = tokio::spawn(async move { ask(address, "GET /v1/a HTTP/1.1", "").await.0 });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!second.is_finished());
    assert_eq!(door.counters.snapshot().connections_open, 1);
    drop(first);
    assert_eq!(second.await.unwrap(), 200);
}

#[tokio::test]
async fn web_pages_need_leave() {
    let door = start().await;
    let preflight = b"OPTIONS /v1/a HTTP/1.1\r\nhost: a\r\norigin: https://a.example\r\n\
        access-control-request-method: PUT\r\nconnection: close\r\n\r\n";
    assert_eq!(status(&exchange(door.address, preflight).await), 405);
    let origins = CorsOrigins::Listed(vec!["https://a.example".into()]);
    *door.cors.write() = Arc::new(CorsPolicy { origins, headers: vec!["X-Custom".into()] });
    let answer = exchange(door.address, preflight).await;
    assert_eq!(status(&answer), 204);
    assert!(answer.contains("access-control-allow-origin: https://a.example\r\n"), "{answer}");
    assert!(answer.contains("X-Vault-Token, X-Custom\r\n"), "{answer}");
    let get = "GET /v1/do/miss HTTP/1.1\r\nhost: a\r\norigin: ORIGIN\r\nconnection: close\r\n\r\n";
    let answer = exchange(door.address, get.replace("ORIGIN", "https://a.example").as_bytes()).await;
    assert_eq!(status(&answer), 404);
    assert!(
        answer.contains("access-control-allow-origin: https://a.example\r\nvary: Origin\r\n"),
        "{answer}"
    );
    assert_eq!(
        status(&exchange(door.address, get.replace("ORIGIN", "https://b.example").as_bytes()).await),
        403
    );
}

#[tokio::test]
async fn the_page_carries_the_headers_that_were_set_for_it() {
    let door = start().await;
    let set = ["a", "b", "not\r\na: header"].map(|value| ("X-Own".to_owned(), value.to_owned()));
    *door.page_headers.write() = Arc::new(set.to_vec());
    let page = exchange(door.address, b"GET /ui/ HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert_eq!(status(&page), 200);
    assert!(page.contains("x-own: a\r\nx-own: b\r\n") && !page.contains("a: header"), "{page}");
    let api = exchange(door.address, b"GET /v1/do/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(!api.contains("x-own"), "{api}");
}

#[tokio::test]
async fn listeners_for_proxies_and_against_browsers() {
    let listener = Listener {
        forwarded_for: Some(ForwardedFor::from_proxies(vec!["127.0.0.0/8".parse().unwrap()])),
        require_request_header: true,
        ..tcp()
    };
    let door = start_with(listener, Options::default(), Arc::default()).await;
    assert_eq!(ask(door.address, "GET /v1/a HTTP/1.1", "").await.0, 412);
    assert_eq!(ask(door.address, "GET /v1/a HTTP/1.1\r\nx-vault-request: true", "").await.0, 400);
    let head = "GET /v1/a HTTP/1.1\r\nx-vault-request: true\r\nx-forwarded-for: 9.9.9.9, 8.8.8.8";
    assert_eq!(ask(door.address, head, "").await.1["address"], "8.8.8.8");
}
