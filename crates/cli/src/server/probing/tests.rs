use super::*;
use std::io::{Read, Write};
use std::net::TcpListener;

#[test]
fn addresses_of_this_machine_and_of_clouds_are_inner() {
    for (address, expected) in [
        ("127.0.0.1", true),
        ("127.8.9.1", true),
        ("0.0.0.0", true),
        ("0.1.2.3", true),
        ("169.254.169.254", true),
        ("224.0.0.1", true),
        ("255.255.255.255", true),
        ("100.100.100.200", true),
        ("168.63.129.16", true),
        ("::1", true),
        ("::", true),
        ("fe80::1", true),
        ("ff02::1", true),
        ("fd00:ec2::254", true),
        ("::ffff:127.0.0.1", true),
        ("::ffff:169.254.169.254", true),
        ("64:ff9b::7f00:1", true),
        ("2002:7f00:1::", true),
        ("::127.0.0.1", true),
        ("10.0.0.1", false),
        ("192.168.1.1", false),
        ("192.0.2.1", false),
        ("2001:db8::1", false),
        ("fd00::1", false),
    ] {
        assert_eq!(is_inner(address.parse().unwrap()), expected, "{address}");
    }
}

/// A web server that answers every request with this.
fn web_server(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 2048];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

fn seen(port: u16, host: &str, allowed: &str) -> Result<Vec<Vec<u8>>, ProbeError> {
    look(&ProbeRequest {
        probe: Probe::Http { host: host.to_owned(), port, path: "a".to_owned() },
        resolver: None,
        allowed: allowed.split(',').filter_map(|network| network.parse().ok()).collect(),
        timeout: Duration::from_secs(5),
    })
}

#[test]
fn only_what_is_allowed_is_reached() {
    let port = web_server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi");
    assert_eq!(seen(port, "127.0.0.1", "127.0.0.0/8"), Ok(vec![b"hi".to_vec()]));
    for host in ["127.0.0.1", "localhost", "::ffff:127.0.0.1", "169.254.169.254"] {
        let error = seen(port, host, "").unwrap_err();
        assert!(error.to_string().contains("which is not looked at"), "{host}: {error}");
    }
}

/// A redirect is a host like any other: what may not be reached at first may not be reached then.
#[test]
fn a_redirect_leads_nowhere_else() {
    let inner = web_server(
        "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest/meta-data/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    );
    let error = seen(inner, "127.0.0.1", "127.0.0.0/8").unwrap_err();
    assert!(error.to_string().contains("which is not looked at"), "{error}");
    let port = web_server(
        "HTTP/1.1 302 Found\r\nlocation: http://192.0.2.1:22/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    );
    let error = seen(port, "127.0.0.1", "127.0.0.0/8").unwrap_err();
    assert!(error.to_string().contains("only 80 and 443 are followed"), "{error}");
    let file = web_server(
        "HTTP/1.1 302 Found\r\nlocation: file:///etc/passwd\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    );
    assert!(seen(file, "127.0.0.1", "127.0.0.0/8").is_err());
}

#[test]
fn an_answer_is_short_and_good() {
    let error =
        seen(web_server("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"), "127.0.0.1", "127.0.0.0/8");
    assert_eq!(error, Err(ProbeError::Answer("the web server answers with status 404".to_owned())));
    let long = web_server("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\naaaa");
    assert!(seen(long, "127.0.0.1", "127.0.0.0/8").is_err());
}
