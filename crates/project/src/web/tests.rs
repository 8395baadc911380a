use super::*;
use crate::provider::ErrorKind;
use crate::testing::{NOW_SECONDS, Reply, TestServer, surroundings};
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};

fn quick() -> Limits {
    Limits {
        total: Duration::from_secs(20),
        pause_first: Duration::from_millis(1),
        pause_max: Duration::from_millis(4),
        response_bytes_max: 1 << 20,
        ..Limits::default()
    }
}

fn web(limits: Limits, variables: &[(&str, &str)]) -> Web {
    Web::new(surroundings(std::path::Path::new("/nonexistent"), variables), limits)
}

/// Answers each request with the next of these statuses, and 200 after them.
fn statuses(list: &'static [u16]) -> TestServer {
    let next = AtomicUsize::new(0);
    TestServer::start(move |_| {
        let status = list.get(next.fetch_add(1, Ordering::SeqCst)).copied().unwrap_or(200);
        Reply::Json(status, json!({"ok": true}))
    })
}

#[test]
fn temporary_refusals_are_asked_again_and_others_are_not() {
    let server = statuses(&[503, 429, 500]);
    let answer = web(quick(), &[]).send(&Request::get(server.url())).unwrap();
    assert_eq!((answer.status, server.received().len()), (200, 4));
    let server = statuses(&[403]);
    assert_eq!(web(quick(), &[]).send(&Request::get(server.url())).unwrap().status, 403);
    assert_eq!(server.received().len(), 1);
}

#[test]
fn what_may_have_been_done_is_not_done_twice() {
    let server = statuses(&[500]);
    let post = Request::json("POST", server.url(), &json!({}), Repeat::Unsafe);
    assert_eq!(web(quick(), &[]).send(&post).unwrap().status, 500);
    assert_eq!(server.received().len(), 1);
    let server = statuses(&[429, 503]);
    let post = Request::json("POST", server.url(), &json!({}), Repeat::Unsafe);
    assert_eq!(web(quick(), &[]).send(&post).unwrap().status, 200);
}

#[test]
fn repetitions_end() {
    let server = statuses(&[503; 100]);
    assert_eq!(web(quick(), &[]).send(&Request::get(server.url())).unwrap().status, 503);
    assert_eq!(server.received().len(), 5);
}

#[test]
fn a_pause_that_is_asked_for_beyond_the_limit_is_not_waited_for() {
    let server =
        TestServer::start(|_| Reply::Headed(429, vec![("retry-after", "3600".to_owned())], String::new()));
    assert_eq!(web(quick(), &[]).send(&Request::get(server.url())).unwrap().status, 429);
    assert_eq!(server.received().len(), 1);
    let server =
        TestServer::start(|_| Reply::Headed(503, vec![("retry-after", "0".to_owned())], String::new()));
    assert_eq!(web(quick(), &[]).send(&Request::get(server.url())).unwrap().status, 503);
    assert_eq!(server.received().len(), 5);
}

#[test]
fn retry_after_in_both_forms() {
    let web = web(quick(), &[]);
    assert_eq!(web.asked_pause("7"), Some(Duration::from_secs(7)));
    let date = "Sun, 22 Nov 2026 12:00:09 GMT";
    assert_eq!(seconds_of_http_date(date), Some(NOW_SECONDS + 9));
    assert_eq!(web.asked_pause(date), Some(Duration::from_secs(9)));
    assert_eq!(web.asked_pause("soon"), None);
}

fn failure(limits: Limits, url: String) -> ProviderError {
    let Err(error) = web(limits, &[]).send(&Request::get(url)) else { panic!("it fails") };
    error
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = failure(quick(), format!("http://{port}/x?token=not-real"));
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert_eq!(error.message, "nothing listens there (connection refused)");
    assert_eq!(error.looked, [format!("GET http://{port}/x")]);
}

#[test]
fn a_server_that_stops_in_the_middle_is_left() {
    let stalled = Limits { stall: Duration::from_millis(100), repetitions_max: 0, ..quick() };
    let server =
        TestServer::start(|_| Reply::Hang("HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\n{".to_owned()));
    let error = failure(stalled.clone(), server.url());
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    let server = TestServer::start(|_| Reply::Hang(String::new()));
    assert_eq!(failure(stalled, server.url()).kind, ErrorKind::Unreachable);
    let short = Limits { total: Duration::from_millis(100), ..quick() };
    let server = TestServer::start(|_| Reply::Hang("HTTP/1.1 200 X\r\n".to_owned()));
    assert_eq!(failure(short, server.url()).kind, ErrorKind::Unreachable);
    let once = Limits { repetitions_max: 0, ..quick() };
    let server = TestServer::start(|_| Reply::Raw("HTTP/1.1 200 X\r\ncontent-length: 9\r\n\r\n{".to_owned()));
    assert_eq!(failure(once, server.url()).kind, ErrorKind::Unreachable);
}

#[test]
fn answers_that_are_too_large_or_lead_elsewhere_are_refused() {
    let server = TestServer::start(|_| Reply::Headed(200, Vec::new(), "x".repeat(2 << 20)));
    let error = failure(quick(), server.url());
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::Malformed, "the answer has more than 1 MiB")
    );
    let elsewhere = || vec![("location", "http://127.0.0.1:1/".to_owned())];
    let server = TestServer::start(move |_| Reply::Headed(302, elsewhere(), String::new()));
    let error = failure(quick(), server.url());
    assert!(error.message.contains("redirects"), "{error}");
    assert_eq!(server.received().len(), 1);
}

#[test]
fn an_answer_that_is_not_json_says_so_without_showing_it() {
    let server = TestServer::start(|_| Reply::Headed(200, Vec::new(), "<html>not-real</html>".to_owned()));
    let answer = web(quick(), &[]).send(&Request::get(server.url())).unwrap();
    let error = answer.json().unwrap_err();
    assert_eq!(error.message, "the answer is not JSON (line 1 column 1)");
}

#[test]
fn proxies_are_used_but_not_for_hosts_that_are_excepted() {
    let proxy = TestServer::start(|_| Reply::Json(200, json!({})));
    let url = proxy.url();
    let variables = [("HTTP_PROXY", url.as_str()), ("NO_PROXY", "127.0.0.1,localhost")];
    let server = statuses(&[]);
    assert_eq!(web(quick(), &variables).send(&Request::get(server.url())).unwrap().status, 200);
    assert_eq!((server.received().len(), proxy.received().len()), (1, 0));
    let error = web(quick(), &variables[..1]).send(&Request::get("http://name.test/x"));
    assert!(error.is_err() || proxy.received().len() == 1);
    assert_eq!(proxy.received().first().map(|request| request.method.clone()).as_deref(), Some("CONNECT"));
}

#[test]
fn headers_and_bodies_arrive_and_bad_headers_are_refused_without_showing_them() {
    let server = statuses(&[]);
    let request = Request::form(server.url(), &[("a b", "c&d"), ("e", "ü")]).bearer(&"not-real".into());
    web(quick(), &[]).send(&request).unwrap();
    let received = server.received().remove(0);
    assert_eq!(received.body, b"a%20b=c%26d&e=%C3%BC");
    assert_eq!(received.header("authorization"), "Bearer not-real");
    let bad = Request::get(server.url()).header("x-token", "not-real\r\nx-other: 1");
    let Err(error) = web(quick(), &[]).send(&bad) else { panic!("it is refused") };
    assert_eq!(error.message, "the header x-token has a character that cannot be sent");
}
