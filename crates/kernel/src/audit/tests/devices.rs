use super::*;
use crate::audit::sink::{FileSink, SyslogSink};
use parking_lot::{Condvar, Mutex};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;

/// What a sink in a test does, changed from outside.
#[derive(Default)]
struct Switch {
    state: Mutex<SwitchState>,
    changed: Condvar,
}

#[derive(Default)]
struct SwitchState {
    hangs: bool,
    full: bool,
    written: Vec<u8>,
}

struct SwitchedSink(Arc<Switch>);

impl AuditSink for SwitchedSink {
    fn reopen(&mut self) -> io::Result<Tail> {
        Ok(Tail::Stream)
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut state = self.0.state.lock();
        while state.hangs {
            self.0.changed.wait(&mut state);
        }
        if state.full {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        state.written.extend_from_slice(lines);
        Ok(())
    }
}

impl Switch {
    fn set(&self, change: impl FnOnce(&mut SwitchState)) {
        change(&mut self.state.lock());
        self.changed.notify_all();
    }

    fn text(&self) -> String {
        String::from_utf8(self.state.lock().written.clone()).unwrap()
    }
}

fn switched(broker: &Broker, path: &str) -> Arc<Switch> {
    let switch = Arc::new(Switch::default());
    broker
        .restore_sink(path, "socket", FormatOptions::default(), Box::new(SwitchedSink(Arc::clone(&switch))))
        .unwrap();
    switch
}

fn health(broker: &Broker, path: &str) -> DeviceHealth {
    broker.health().into_iter().find(|health| health.path == path).unwrap()
}

#[test]
fn without_devices_records_cost_nothing() {
    let broker = Broker::new(options(&Arc::new(FakeClock::new())));
    broker.submit(&[record("a")]).wait().unwrap();
    assert_eq!(broker.health(), []);
    assert_eq!(broker.hash("file", "x").unwrap_err().to_string(), "unknown audit backend \"file/\"");
}

#[test]
fn a_hung_device_is_bounded_named_and_comes_back() {
    let clock = Arc::new(FakeClock::new());
    let broker = Broker::new(BrokerOptions { timeout: Duration::from_millis(200), ..options(&clock) });
    let (good, hung) = (switched(&broker, "good"), switched(&broker, "hung"));
    broker.submit(&[record("one")]).wait().unwrap();

    hung.set(|state| state.hangs = true);
    let receipt = broker.submit(&[record("two")]);
    eventually(|| good.text().contains("\"two\""));
    clock.advance(Duration::from_millis(200));
    receipt.wait().unwrap();
    let failed = health(&broker, "hung/");
    assert!(!failed.healthy);
    assert_eq!(failed.failure.as_deref(), Some("no answer for 200 ms"));
    // Nobody waits for it any more.
    broker.submit(&[record("three")]).wait().unwrap();
    assert!(!hung.text().contains("two"));

    hung.set(|state| state.hangs = false);
    eventually(|| health(&broker, "hung/").healthy);
    broker.submit(&[record("four")]).wait().unwrap();
    broker.close();
    for switch in [good, hung] {
        assert_eq!(switch.text().matches("\"type\":\"request\"").count(), 4);
        assert!(verified(switch.text().as_bytes()).is_intact());
    }
}

#[test]
fn with_no_working_device_records_are_refused() {
    let clock = Arc::new(FakeClock::new());
    let broker = Broker::new(options(&clock));
    let (one, two) = (switched(&broker, "one"), switched(&broker, "two"));
    for switch in [&one, &two] {
        switch.set(|state| state.full = true);
    }
    let error = broker.submit(&[record("a")]).wait().unwrap_err();
    assert_eq!(error.to_string(), "no audit device took the record of this request: one/, two/");
    let error = crate::Error::from(error);
    assert_eq!(error.kind, crate::ErrorKind::Unavailable);
    assert!(error.detail.unwrap().contains("one/: no storage space"));

    two.set(|state| state.full = false);
    eventually(|| {
        clock.advance(Duration::from_secs(1));
        health(&broker, "two/").healthy
    });
    broker.submit(&[record("b")]).wait().unwrap();
    assert!(!health(&broker, "one/").healthy);
    // The record that was refused is there as well: it tells of an attempt.
    assert_eq!(two.text().matches("\"type\":\"request\"").count(), 2);
    assert!(verified(two.text().as_bytes()).is_intact());
}

#[test]
fn what_does_not_fit_is_dropped_counted_and_noted() {
    let clock = Arc::new(FakeClock::new());
    let broker = Broker::new(BrokerOptions { timeout: Duration::from_millis(100), ..options(&clock) });
    let hung = switched(&broker, "hung");
    hung.set(|state| state.hangs = true);
    let data = map(json!({ "long": "x".repeat(1 << 20) }));
    let clear = ["long".to_owned()];
    let mut record = record("a");
    record.request.data = DataFacts::Map(&data);
    record.mount.clear_request_keys = &clear;
    eventually(|| {
        drop(broker.submit(&[record.clone()]));
        health(&broker, "hung/").records_dropped > 0
    });
    clock.advance(Duration::from_secs(1));
    eventually(|| !health(&broker, "hung/").healthy);
    hung.set(|state| state.hangs = false);
    eventually(|| {
        clock.advance(Duration::from_secs(1));
        health(&broker, "hung/").healthy
    });
    drop(broker.submit(&[record]));
    broker.close();
    let report = verified(hung.text().as_bytes());
    assert!(report.is_intact() && report.records_dropped > 0, "{report:?}");
}

#[test]
fn a_file_continues_its_chain_after_a_restart_and_shows_what_happened_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let run = |last_line| {
        let broker =
            Broker::new(BrokerOptions { signer: Some(signer()), ..options(&Arc::new(FakeClock::new())) });
        broker.restore("file", file_config(&path), last_line).unwrap();
        broker.submit(&[record("a")]).wait().unwrap();
        let last_line = broker.health()[0].last_line;
        broker.close();
        last_line
    };
    let reasons = || {
        let report = verified(&std::fs::read(&path).unwrap());
        assert_eq!(report.broken, None);
        report.restarts.into_iter().map(|restart| restart.reason).collect::<Vec<_>>()
    };
    run(None);
    let last_line = run(None);
    assert_eq!(reasons(), ["a new file"]);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    // A torn line, as after a power cut.
    let mut text = std::fs::read(&path).unwrap();
    text.extend_from_slice(b"{\"time\":\"2026-");
    std::fs::write(&path, text).unwrap();
    run(last_line);
    assert_eq!(reasons(), ["a new file", "the last line is torn"]);

    // Whole lines cut off.
    let last_line = run(None);
    let text = std::fs::read(&path).unwrap();
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    std::fs::write(&path, lines[..lines.len() - 3].concat()).unwrap();
    run(last_line);
    assert!(reasons()[2].contains("truncated or replaced"), "{:?}", reasons());

    // A log that was written by something else.
    std::fs::write(&path, "{\"type\":\"request\"}\n").unwrap();
    run(None);
    assert_eq!(reasons(), ["the last line is not of a chain"]);
}

#[test]
fn a_rotated_file_goes_on_in_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let (path, rotated) = (folder.path().join("audit.log"), folder.path().join("audit.log.1"));
    let broker =
        Broker::new(BrokerOptions { signer: Some(signer()), ..options(&Arc::new(FakeClock::new())) });
    broker.enable("file", file_config(&path)).unwrap();
    broker.submit(&[record("a")]).wait().unwrap();
    std::fs::rename(&path, &rotated).unwrap();
    broker.reopen_all();
    eventually(|| path.exists());
    broker.submit(&[record("b")]).wait().unwrap();
    broker.close();
    let public_keys = [key().verifying_key()];
    let mut verifier = Verifier::new(VerifyOptions { public_keys: &public_keys, last_line: None });
    for log in [&rotated, &path] {
        verifier.read("log", std::fs::read(log).unwrap().as_slice()).unwrap();
    }
    let report = verifier.finish();
    assert_eq!(report.broken, None);
    assert_eq!(report.records, 3);
    assert!(verified(&std::fs::read(&path).unwrap()).is_intact());
}

#[test]
fn a_deleted_file_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let clock = Arc::new(FakeClock::new());
    let broker = Broker::new(options(&clock));
    broker.enable("file", file_config(&path)).unwrap();
    broker.submit(&[record("a")]).wait().unwrap();
    std::fs::remove_file(&path).unwrap();
    clock.advance(Duration::from_secs(1));
    broker.submit(&[record("b")]).wait().unwrap();
    let report = verified(&std::fs::read(&path).unwrap());
    assert_eq!(report.broken, None);
    assert_eq!(report.records, 1);
    assert_eq!(report.first_sequence, Some(4));
    assert!(report.restarts[0].reason.contains("removed"));
}

#[test]
fn a_file_that_cannot_be_written_is_refused_when_enabled() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::new(options(&Arc::new(FakeClock::new())));
    let refused = |path: &Path| broker.enable("file", file_config(path)).unwrap_err().to_string();
    assert_eq!(refused(folder.path()), "audit backend failed test message: is a directory");
    assert!(
        refused(&folder.path().join("none/audit.log"))
            .starts_with("the directory of file_path cannot be used")
    );
    assert!(refused(Path::new("audit.log")).starts_with("file_path must be absolute"));
    let target = folder.path().join("target");
    std::fs::write(&target, "").unwrap();
    std::os::unix::fs::symlink(&target, folder.path().join("link")).unwrap();
    assert!(refused(&folder.path().join("link")).ends_with("it is a symbolic link"));
    assert_eq!(broker.health(), []);

    let path = folder.path().join("audit.log");
    broker.enable("file", file_config(&path)).unwrap();
    assert_eq!(broker.enable("file/", file_config(&path)).unwrap_err().to_string(), "path already in use");
    broker.disable("file").unwrap();
    broker.enable("file", file_config(&path)).unwrap();
}

#[test]
fn a_file_knows_how_it_ends_and_whether_it_was_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let mut sink = FileSink::new(path.clone(), Some(0o600));
    assert_eq!(sink.reopen().unwrap(), Tail::Empty);
    sink.write(b"{}\n").unwrap();
    assert_eq!(sink.loss(), None);
    std::fs::write(&path, b"").unwrap();
    assert_eq!(sink.loss(), Some("the file was truncated"));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(sink.loss(), Some("the file was deleted"));
    std::fs::write(&path, b"{}\n{\"a\":1}\ntor").unwrap();
    let tail = Tail::Lines { last: Some(b"{\"a\":1}".to_vec()), torn: Some(b"tor".to_vec()) };
    assert_eq!(sink.reopen().unwrap(), tail);
    let long = "x".repeat(200_000);
    std::fs::write(&path, format!("{{}}\n{long}\n")).unwrap();
    assert_eq!(sink.reopen().unwrap(), Tail::Lines { last: Some(long.into_bytes()), torn: None });
    assert!(FileSink::new("/dev/full".into(), None).reopen().is_err(), "it is no regular file");
}

#[test]
#[ignore = "needs a limit on file sizes: trap '' XFSZ; ulimit -f 64"]
fn a_file_that_cannot_grow_keeps_whole_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let broker = Broker::new(options(&Arc::new(FakeClock::new())));
    broker.enable("file", file_config(&path)).unwrap();
    let written = (0..10_000).take_while(|_| broker.submit(&[record("a")]).wait().is_ok()).count();
    assert!(written < 10_000, "without a limit this proves nothing");
    let report = verified(&std::fs::read(&path).unwrap());
    assert_eq!(report.broken, None);
    assert_eq!(report.records, written as u64 + 1);
    assert!(health(&broker, "file/").failure.unwrap().contains("too large"));
}

#[test]
fn the_servers_configuration_decides_what_devices_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let (allowed, other) = (folder.path().join("allowed"), folder.path().join("other"));
    std::fs::create_dir(&allowed).unwrap();
    std::fs::create_dir(&other).unwrap();
    std::os::unix::fs::symlink(&other, allowed.join("link")).unwrap();
    let permissions = Permissions { directories: Some(vec![allowed.clone()]), ..Permissions::default() };
    let broker = Broker::new(BrokerOptions { permissions, ..options(&Arc::new(FakeClock::new())) });
    for path in [other.join("a.log"), allowed.join("../other/a.log"), allowed.join("link/a.log")] {
        let error = broker.enable("file", file_config(&path)).unwrap_err();
        assert!(matches!(error, AuditError::NotAllowed(_)), "{error}");
    }
    let refused = |kind: &str, name: &str, value: &str| {
        let file = allowed.join("a.log").display().to_string();
        let options = [("file_path".to_owned(), file), (name.to_owned(), value.to_owned())].into();
        broker.enable("x", DeviceConfig::parse(kind, &options).unwrap()).unwrap_err().to_string()
    };
    assert!(refused("file", "log_raw", "true").starts_with("log_raw is not allowed"));
    assert_eq!(refused("file", "prefix", "@cee: "), "audit log prefixing is not allowed");
    assert!(refused("socket", "address", "192.0.2.1:9").starts_with("audit devices on the network"));
    broker.enable("x", file_config(&allowed.join("a.log"))).unwrap();
}

#[test]
fn many_threads_make_one_clean_chain() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let broker =
        Broker::new(BrokerOptions { signer: Some(signer()), ..options(&Arc::new(FakeClock::new())) });
    broker.enable("file", file_config(&path)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let broker = &broker;
            scope.spawn(move || {
                for number in 0..10_000 {
                    let receipt = broker.submit(&[record(&format!("secret/data/{thread}/{number}"))]);
                    if number % 16 == 0 {
                        receipt.wait().unwrap();
                    }
                }
            });
        }
    });
    broker.close();
    let report = verified(&std::fs::read(&path).unwrap());
    assert_eq!(report.broken, None);
    assert_eq!(report.records, 80_001);
    assert!(report.checkpoints > 70);
}

#[test]
fn sockets_and_syslog_get_one_line_a_record() {
    let folder = tempfile::tempdir().unwrap();
    let permissions = Permissions { network: true, ..Permissions::default() };
    let broker = Broker::new(BrokerOptions { permissions, ..options(&Arc::new(FakeClock::new())) });
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let options = [("address".to_owned(), listener.local_addr().unwrap().to_string())].into();
    broker.enable("tcp", DeviceConfig::parse("socket", &options).unwrap()).unwrap();
    let log = folder.path().join("log");
    let syslog = std::os::unix::net::UnixDatagram::bind(&log).unwrap();
    let sink = Box::new(SyslogSink::new(log, 4, "vault"));
    broker.restore_sink("syslog", "syslog", FormatOptions::default(), sink).unwrap();
    broker.submit(&[record("a")]).wait().unwrap();
    broker.close();

    let mut text = String::new();
    listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().count(), 3);
    assert!(verified(text.as_bytes()).is_intact());
    let mut buffer = [0; 4096];
    let length = syslog.recv(&mut buffer).unwrap();
    let head = format!("<38>vault[{}]: {{\"time\":", std::process::id());
    assert!(buffer[..length].starts_with(head.as_bytes()));
}

#[test]
fn too_long_a_record_for_a_datagram_does_not_stop_the_device() {
    let permissions = Permissions { network: true, ..Permissions::default() };
    let broker = Broker::new(BrokerOptions { permissions, ..options(&Arc::new(FakeClock::new())) });
    let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let options = [
        ("address".to_owned(), receiver.local_addr().unwrap().to_string()),
        ("socket_type".to_owned(), "udp".to_owned()),
    ];
    broker.enable("udp", DeviceConfig::parse("socket", &options.into()).unwrap()).unwrap();
    let list: Vec<String> = (0..2000).map(|number| number.to_string()).collect();
    let data = map(json!({ "list": list }));
    let mut long = record("long");
    long.request.data = DataFacts::Map(&data);
    broker.submit(&[long]).wait().unwrap_err();
    broker.submit(&[record("short")]).wait().unwrap();
    let health = health(&broker, "udp/");
    assert!(health.healthy);
    assert_eq!(health.records_dropped, 1);
}
