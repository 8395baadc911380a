use crate::stand_in::{ask, exchange, start, start_with, status, tcp};
use std::sync::Arc;
use strongroom_http::Options;

#[tokio::test]
async fn paths_that_are_not_normal_are_refused() {
    let door = start().await;
    for (path, message) in [
        ("/v1/a/../b", "parent references"),
        ("/v1/a/%2e%2e/b", "parent references"),
        ("/v1/a/%2E./b", "parent references"),
        ("/v1/a/./b", "parent references"),
        ("/v1/a%2fb", "encoded slash"),
        ("/v1/a/..%2Fb", "encoded slash"),
        ("/v1/a%00b", "control character"),
        ("/v1/a%0d%0ab", "control character"),
        ("/v1/a//b", "doubled slash"),
        ("/v1//a", "doubled slash"),
        ("/v1/", "path is empty"),
        ("/v1/a%ffb", "path: not valid UTF-8"),
        ("/v1/a%c0%afb", "path: not valid UTF-8"),
        ("/v1/a%zz", "path: malformed percent-encoding"),
        ("/v1/a%", "path: malformed percent-encoding"),
        ("/v1/a?x=%ff", "not valid UTF-8"),
    ] {
        let (status, body) = ask(door.address, &format!("GET {path} HTTP/1.1"), "").await;
        assert_eq!(status, 400, "{path}: {body}");
        assert!(body["errors"][0].as_str().unwrap().contains(message), "{path}: {body}");
    }
    let long = format!("GET /v1/{} HTTP/1.1", "a/".repeat(3000));
    assert_eq!(ask(door.address, &long, "").await.0, 400);
    let (_, body) = ask(door.address, "GET /v1/a%252fb/%C3%BC HTTP/1.1", "").await;
    assert_eq!(body["path"], "a%2fb/ü");
}

#[tokio::test]
async fn bodies_that_are_not_an_object_are_refused() {
    let door = start().await;
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
    let many = format!("{{\"a\":[{}1]}}", "1,".repeat(200_000));
    for (body, message) in [
        (deep.as_str(), "nested too deep"),
        (many.as_str(), "too many entries"),
        ("[1]", "must be an object"),
        ("\"not-a-real-secret\"", "must be an object"),
        ("{\"a\":", "EOF while parsing"),
        ("{\"a\":1} x", "trailing characters"),
        ("{\"a\":1e999}", "number out of range"),
        ("{\"a\":\"\\ud800\"}", "failed to parse JSON"),
    ] {
        let (status, answer) = ask(door.address, "POST /v1/a HTTP/1.1", body).await;
        assert_eq!(status, 400, "{answer}");
        let text = answer["errors"][0].as_str().unwrap();
        assert!(text.contains(message) && !text.contains("not-a-real-secret"), "{text}");
    }
    let raw =
        b"POST /v1/a HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 9\r\n\r\n{\"a\":\"\xff\"}";
    assert_eq!(status(&exchange(door.address, raw).await), 400);
    for (body, fields) in [("", "{}"), ("null", "{}"), (" ", "{}"), ("{\"a\":1,\"a\":2}", "{\"a\":2}")] {
        let (status, answer) = ask(door.address, "POST /v1/a HTTP/1.1", body).await;
        assert_eq!((status, answer["fields"].to_string().as_str()), (200, fields));
    }
}

#[tokio::test]
async fn bodies_are_bounded_before_and_while_they_are_read() {
    let options = Options { body_bytes_max: 1000, snapshot_bytes_max: 5000, ..Options::default() };
    let door = start_with(tcp(), options, Arc::default()).await;
    let (code, body) = ask(door.address, "POST /v1/a HTTP/1.1", &"x".repeat(1001)).await;
    assert_eq!(code, 413, "{body}");
    // Far more than the socket's buffers hold: the refusal still arrives.
    assert_eq!(ask(door.address, "POST /v1/a HTTP/1.1", &"x".repeat(3 << 20)).await.0, 413);

    let chunk = format!("258\r\n{}\r\n", "y".repeat(600));
    let chunked = |chunks: usize| {
        format!(
            "POST /v1/a HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
            chunk.repeat(chunks)
        )
    };
    assert_eq!(status(&exchange(door.address, chunked(1).as_bytes()).await), 400);
    assert_eq!(status(&exchange(door.address, chunked(2).as_bytes()).await), 413);

    // Who asks first is told before it sends.
    let asks = b"POST /v1/a HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 9999\r\n\r\n";
    assert_eq!(status(&exchange(door.address, asks).await), 413);

    let (code, body) =
        ask(door.address, "POST /v1/sys/storage/raft/snapshot-force HTTP/1.1", &"\0".repeat(4000)).await;
    assert_eq!((code, &body["body"]), (200, &4000.into()));
}

#[tokio::test]
async fn heads_that_are_not_http_are_refused() {
    let door = start().await;
    let huge = format!("GET /v1/a HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(1 << 20));
    let many = format!("GET /v1/a HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(500));
    for (text, expected) in [
        ("GET /v1/a HTTP/1.1\r\nconnection: close\r\n\r\n", 400),
        ("GET /v1/a HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n", 400),
        ("GET /v1/a\r\n\r\n", 400),
        ("\0\0\0\r\n\r\n", 400),
        ("GET /v1/a HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n", 400),
        ("POST /v1/a HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", 400),
        ("POST /v1/a HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n", 400),
        ("GET /v1/a HTTP/1.1\r\nhost: a\r\nx-vault-namespace: sys/\r\nconnection: close\r\n\r\n", 400),
        ("GET /v1/a HTTP/1.1\r\nhost: a\r\nx-vault-wrap-ttl: soon\r\nconnection: close\r\n\r\n", 400),
        (huge.as_str(), 431),
        (many.as_str(), 431),
    ] {
        let answer = exchange(door.address, text.as_bytes()).await;
        assert_eq!(status(&answer), expected, "{:.80}: {answer:.300}", text);
    }
    let token = b"GET /v1/a HTTP/1.1\r\nhost: a\r\nx-vault-token: \xff\xfe\r\nconnection: close\r\n\r\n";
    let answer = exchange(door.address, token).await;
    assert_eq!(status(&answer), 400);
    assert!(answer.contains("header x-vault-token is not text"), "{answer}");
}

#[tokio::test]
async fn methods_and_routes_that_are_not_there() {
    let door = start().await;
    for (head, expected) in [
        ("OPTIONS /v1/a HTTP/1.1", 405),
        ("TRACE /v1/a HTTP/1.1", 405),
        ("BREW /v1/a HTTP/1.1", 405),
        ("PATCH /v1/a HTTP/1.1", 415),
        ("PATCH /v1/a HTTP/1.1\r\ncontent-type: text/plain", 415),
        ("GET /v2/a HTTP/1.1", 404),
        ("GET /v1 HTTP/1.1", 404),
        ("GET /metrics HTTP/1.1", 404),
        ("POST / HTTP/1.1", 404),
        ("GET / HTTP/1.1", 200),
        ("GET /ui HTTP/1.1", 200),
    ] {
        let (status, body) = ask(door.address, head, "").await;
        assert_eq!(status, expected, "{head}: {body}");
    }
}

/// What the look before parsing lets through, the parser gets to its end with, whatever it is.
#[test]
fn bodies_of_any_shape_stay_within_the_limits() {
    use strongroom_http::json_limits::check;
    use strongroom_testkit::{SeededEntropy, hostile::mutated};
    let random = SeededEntropy::new(11);
    let deep = format!("{}1{}", "[".repeat(70), "]".repeat(70));
    let wide = format!("{{\"a\":[{}1]}}", "1,".repeat(3000));
    for example in [r#"{"data": {"k": "v\"[{", "n": [1, null, {"x": "\\"}]}}"#, &deep, &wide] {
        for _ in 0..2000 {
            let bytes = mutated(&random, example.as_bytes());
            if check(&bytes).is_ok() {
                drop(serde_json::from_slice::<serde_json::Value>(&bytes));
            }
        }
    }
}
