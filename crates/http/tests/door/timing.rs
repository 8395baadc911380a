//! Slow clients, against small limits in real time.

use crate::stand_in::{Running, start_with, status, tcp};
use std::sync::Arc;
use std::time::Duration;
use strongroom_http::Options;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

async fn impatient() -> Running {
    let options = Options {
        header_timeout: Duration::from_millis(200),
        body_timeout: Duration::from_millis(200),
        idle_timeout: Duration::from_millis(1500),
        ..Options::default()
    };
    start_with(tcp(), options, Arc::default()).await
}

/// Sends a byte every 20 ms until the server has had enough; what it said, and after how long.
async fn trickle(stream: &mut TcpStream, start: &[u8], byte: u8) -> (String, Duration) {
    let begun = Instant::now();
    stream.write_all(start).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let write = async {
        loop {
            sleep(Duration::from_millis(20)).await;
            let _ = writer.write_all(&[byte]).await;
        }
    };
    let mut answer = Vec::new();
    tokio::select! {
        _ = reader.read_to_end(&mut answer) => {}
        () = write => {}
        () = sleep(Duration::from_secs(10)) => panic!("the server waits for ever"),
    }
    (String::from_utf8_lossy(&answer).into_owned(), begun.elapsed())
}

#[tokio::test]
async fn a_slow_head_ends_the_connection() {
    let door = impatient().await;
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let (answer, took) = trickle(&mut stream, b"GET /v1/a HTTP/1.1\r\nx: ", b'x').await;
    assert_eq!(answer, "");
    assert!(took >= Duration::from_millis(150) && took < Duration::from_millis(1450), "{took:?}");

    // The same for a later request on the connection, though it may be idle for longer.
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    stream.write_all(b"GET /v1/do/nothing HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    sleep(Duration::from_millis(500)).await;
    let (_, took) = trickle(&mut stream, b"GET /v1/a HTTP/1.1\r\nx: ", b'x').await;
    assert!(took < Duration::from_millis(1450), "{took:?}");
}

#[tokio::test]
async fn an_idle_connection_is_kept_and_then_closed() {
    let door = impatient().await;
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let request = b"GET /v1/do/nothing HTTP/1.1\r\nhost: a\r\n\r\n";
    stream.write_all(request).await.unwrap();
    sleep(Duration::from_millis(700)).await;
    stream.write_all(request).await.unwrap();
    let begun = Instant::now();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    assert_eq!(answers.matches("204 No Content").count(), 2, "{answers}");
    assert!(begun.elapsed() >= Duration::from_millis(1400), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_slow_body_is_refused() {
    let door = impatient().await;
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let head = b"POST /v1/a HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 100000\r\n\r\n";
    let (answer, took) = trickle(&mut stream, head, b' ').await;
    assert_eq!(status(&answer), 408, "{answer}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}
