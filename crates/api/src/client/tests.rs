use super::*;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;

/// A server that answers each connection with the next text, and hands back the requests (head and body) it saw.
fn serve<S: Read + Write + Send + 'static>(
    answers: Vec<String>,
    mut accept: impl FnMut() -> S + Send + 'static,
) -> JoinHandle<Vec<String>> {
    std::thread::spawn(move || {
        answers
            .into_iter()
            .map(|answer| {
                let mut stream = accept();
                let request = read_request(&mut stream);
                stream.write_all(answer.as_bytes()).unwrap();
                request
            })
            .collect()
    })
}

fn read_request(stream: &mut impl Read) -> String {
    let mut reader = BufReader::new(stream);
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut text).unwrap(), 0);
    }
    let length = text
        .to_lowercase()
        .split("content-length: ")
        .nth(1)
        .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    text + &String::from_utf8(body).unwrap()
}

fn answer(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn over_tcp(answers: Vec<String>) -> (Client, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let requests = serve(answers, move || listener.accept().unwrap().0);
    let mut config = ClientConfig::new(address);
    config.token = Some("s.not-a-real-token".into());
    config.proxy = ProxyChoice::Direct;
    config.retry_pause = Duration::ZERO;
    config.response_bytes_max = 1000;
    (Client::new(config).unwrap(), requests)
}

#[test]
fn a_read_sends_the_token_and_an_encoded_path() {
    let (client, requests) = over_tcp(vec![answer(200, r#"{"request_id":"r","data":{"a":"b"}}"#)]);
    let response = client.read("secret/a b%?", &[("version", "1&2".to_owned())]).unwrap().unwrap();
    assert_eq!(response.text("a"), Some("b"));
    let request = requests.join().unwrap().remove(0);
    assert!(request.starts_with("GET /v1/secret/a%20b%25%3F?version=1%262 HTTP/1.1\r\n"), "{request}");
    assert!(request.to_lowercase().contains("x-vault-token: s.not-a-real-token\r\n"), "{request}");
}

#[test]
fn every_verb_goes_out_as_it_is() {
    let (client, requests) = over_tcp(vec![answer(204, ""); 7]);
    let body = serde_json::json!({"a": 1});
    for method in
        [Method::List, Method::Scan, Method::Patch, Method::Put, Method::Post, Method::Delete, Method::Get]
    {
        let body = matches!(method, Method::Patch | Method::Put | Method::Post).then_some(&body);
        assert!(
            client.ask(&Request { method, path: "x", query: &[], body }).unwrap().is_none(),
            "{}",
            method.name()
        );
    }
    let requests = requests.join().unwrap();
    let verbs: Vec<_> = requests.iter().map(|request| request.split(' ').next().unwrap()).collect();
    assert_eq!(verbs, ["LIST", "SCAN", "PATCH", "PUT", "POST", "DELETE", "GET"]);
    assert!(requests[2].contains("application/merge-patch+json") && requests[2].ends_with(r#"{"a":1}"#));
}

#[test]
fn a_unix_socket_serves_as_an_address() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let answers = vec![answer(200, r#"{"sealed":true,"t":3,"n":5}"#)];
    let requests = serve(answers, move || listener.accept().unwrap().0);
    let address = Address::parse(&format!("unix://{}", path.display())).unwrap();
    let client = Client::new(ClientConfig::new(address)).unwrap();
    let status = client.seal_status().unwrap();
    assert!(status.sealed && status.t == 3);
    assert!(requests.join().unwrap()[0].starts_with("GET /v1/sys/seal-status "));
}

#[test]
fn refusals_are_typed() {
    let (client, requests) = over_tcp(vec![
        answer(403, r#"{"errors":["permission denied"],"hint":"needs read on secret/data/x"}"#),
        answer(503, r#"{"errors":["Vault is sealed"]}"#),
        answer(404, r#"{"errors":[]}"#),
        answer(404, r#"{"request_id":"r","data":{"data":null,"metadata":{"version":1}}}"#),
        answer(404, r#"{"errors":["no handler for route"]}"#),
    ]);
    let denied = client.read("x", &[]).unwrap_err();
    assert_eq!(denied.kind(), Some(ServerErrorKind::PermissionDenied));
    assert_eq!(denied.server().unwrap().hint.as_deref(), Some("needs read on secret/data/x"));
    assert_eq!(client.read("x", &[]).unwrap_err().kind(), Some(ServerErrorKind::Sealed));
    assert!(client.read("x", &[]).unwrap().is_none());
    assert!(client.read("x", &[]).unwrap().unwrap().field("metadata").is_some());
    assert_eq!(client.read("x", &[]).unwrap_err().kind(), Some(ServerErrorKind::NotFound));
    requests.join().unwrap();
}

#[test]
fn a_read_is_repeated_and_a_write_is_not() {
    let (client, requests) = over_tcp(vec![
        answer(502, "<html>bad gateway</html>"),
        answer(200, r#"{"data":{}}"#),
        answer(502, "<html>bad gateway</html>"),
    ]);
    assert!(client.read("x", &[]).unwrap().is_some());
    let error = client.write("x", &serde_json::json!({})).unwrap_err();
    assert_eq!(error.to_string(), "<html>bad gateway</html>");
    assert_eq!(requests.join().unwrap().len(), 3);
}

#[test]
fn one_redirect_is_followed_with_the_body() {
    let (target, at_target) = over_tcp(vec![answer(200, r#"{"data":{"ok":true}}"#)]);
    let location = target.address().url("x");
    let moved =
        format!("HTTP/1.1 307 X\r\nConnection: close\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    let (client, _) = over_tcp(vec![moved]);
    assert!(client.write("x", &serde_json::json!({"k": "v"})).unwrap().is_some());
    assert!(at_target.join().unwrap()[0].ends_with(r#"{"k":"v"}"#));
}

#[test]
fn answers_too_large_or_strange_are_errors() {
    let (client, requests) = over_tcp(vec![
        answer(200, &format!(r#"{{"data":{{"a":"{}"}}}}"#, "x".repeat(2000))),
        answer(200, "<html>a login page</html>"),
    ]);
    assert!(matches!(client.read("x", &[]), Err(ClientError::TooLarge { limit_bytes: 1000, .. })));
    assert!(matches!(client.read("x", &[]), Err(ClientError::BadResponse { .. })));
    requests.join().unwrap();
}

#[test]
fn a_closed_port_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut config = ClientConfig::new(Address::parse(&format!("http://{port}")).unwrap());
    config.proxy = ProxyChoice::Direct;
    let error = Client::new(config).unwrap().read("x", &[]).unwrap_err();
    assert!(
        matches!(&error, ClientError::Unreachable { address, .. } if address.contains(&port.to_string())),
        "{error}"
    );
}

#[test]
fn a_token_with_a_line_break_is_refused_without_showing_it() {
    let mut config = ClientConfig::new(Address::parse("http://127.0.0.1:1").unwrap());
    config.token = Some("not-real\nX-Other: 1".into());
    let error = Client::new(config).unwrap().read("x", &[]).unwrap_err();
    assert_eq!(error.to_string(), "the token has a character that cannot be sent in an HTTP header");
}
