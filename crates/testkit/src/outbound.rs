//! The way of a test's server to servers of the test: HTTP/1.1 without TLS, one connection for each request.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use strongroom_kernel::{
    Outbound, OutboundError, OutboundRequest, OutboundResponse, Probe, ProbeError, Prober,
};
use strongroom_secret::SecretBytes;

/// Sends requests to `http://HOST:PORT/…`.
pub fn outbound() -> Outbound {
    Arc::new(|request| exchange(request).map_err(|error| OutboundError(error.to_string())))
}

fn exchange(request: &OutboundRequest<'_>) -> std::io::Result<OutboundResponse> {
    let rest = request.url.strip_prefix("http://").ok_or_else(|| std::io::Error::other("not http://"))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(request.timeout))?;
    let mut head = format!("{} /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n", request.method);
    for (name, value) in request.headers {
        head.push_str(&format!("{name}: {}\r\n", value.expose()));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", request.body.len()));
    stream.write_all(head.as_bytes())?;
    stream.write_all(request.body)?;
    let mut answer = Vec::new();
    stream.take(request.response_bytes_max).read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.ok_or_else(|| std::io::Error::other("no answer"))?;
    let status = String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|text| text.parse().ok());
    Ok(OutboundResponse { status: status.unwrap_or(0), body: SecretBytes::new(answer[end + 4..].to_vec()) })
}

/// Looks of a test's server: every host is this machine, and texts and certificates are nowhere.
pub fn prober() -> Prober {
    Arc::new(|request| match &request.probe {
        Probe::Http { port, path, .. } => {
            let asked = OutboundRequest {
                method: "GET",
                url: &format!("http://127.0.0.1:{port}/{path}"),
                headers: &[],
                body: b"",
                timeout: request.timeout,
                ca_file: None,
                response_bytes_max: 4096,
            };
            let answer = exchange(&asked).map_err(|error| ProbeError::Connection(error.to_string()))?;
            match answer.status {
                200 => Ok(vec![answer.body.expose().to_vec()]),
                status => Err(ProbeError::Answer(format!("status {status}"))),
            }
        }
        Probe::Texts { .. } | Probe::Certificate { .. } => Err(ProbeError::Names("nowhere".to_owned())),
    })
}

/// A request as a [`WebServer`] got it.
#[derive(Debug, Clone)]
pub struct Received {
    pub method: String,
    /// With the query.
    pub path: String,
    /// Lines as they came.
    pub headers: Vec<String>,
    pub body: Vec<u8>,
}

/// An HTTP server of a test, on a port of its own, one thread for each connection.
pub struct WebServer {
    pub address: String,
}

impl WebServer {
    /// `answer` gives the status and the body, or None to leave the client without an answer.
    pub fn start(answer: impl Fn(Received) -> Option<(u16, String)> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = format!("http://{}", listener.local_addr().expect("it is bound"));
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, stream) = (answer.clone(), stream.expect("a connection comes"));
                std::thread::spawn(move || serve(stream, &*answer));
            }
        });
        Self { address }
    }
}

fn serve(mut stream: TcpStream, answer: &(dyn Fn(Received) -> Option<(u16, String)> + Send + Sync)) {
    loop {
        let Some(received) = receive(&mut stream) else { return };
        match answer(received) {
            Some((status, body)) => {
                let head = format!(
                    "HTTP/1.1 {status} OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                if stream.write_all(format!("{head}{body}").as_bytes()).is_err() {
                    return;
                }
                return;
            }
            // Until the client gives up.
            None => drop(stream.read(&mut [0])),
        }
    }
}

fn receive(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<String> = lines.map(str::to_owned).collect();
    let length = headers.iter().find_map(|line| {
        line.to_ascii_lowercase().strip_prefix("content-length:").and_then(|text| text.trim().parse().ok())
    });
    let length: usize = length.unwrap_or(0);
    let mut body = bytes[end + 4..].to_vec();
    while body.len() < length {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return None,
            Ok(count) => body.extend_from_slice(&piece[..count]),
        }
    }
    Some(Received { method, path, headers, body })
}
