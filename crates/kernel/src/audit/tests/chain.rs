use super::*;
use crate::audit::chain::Link;

/// A log of `count` records with a checkpoint every 10, as a device writes it.
fn log(count: usize) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let clock = Arc::new(FakeClock::new());
    let broker =
        Broker::new(BrokerOptions { signer: Some(signer()), checkpoint_records: 10, ..options(&clock) });
    broker.enable("file", file_config(&path)).unwrap();
    for number in 0..count {
        broker.submit(&[record(&format!("secret/data/{number}"))]).wait().unwrap();
    }
    broker.close();
    std::fs::read(path).unwrap()
}

fn lines(log: &[u8]) -> Vec<Vec<u8>> {
    log.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

fn found(lines: &[Vec<u8>]) -> (BreakKind, u64) {
    let broken = verified(&lines.concat()).broken.unwrap();
    (broken.kind, broken.line)
}

#[test]
fn an_untouched_log_verifies() {
    let report = verified(&log(25));
    assert_eq!(report.broken, None);
    // The test record and 25 more.
    assert_eq!(report.records, 26);
    assert_eq!(report.checkpoints, 3);
    assert_eq!(report.lines, 30);
    assert_eq!(report.lines_after_checkpoint, 0);
    assert_eq!(report.restarts.len(), 1);
    assert_eq!(report.restarts[0].reason, "a new file");
    let checkpoint = report.last_checkpoint.unwrap();
    assert_eq!((checkpoint.store_index, checkpoint.sequence), (42, 29));
    assert_eq!(checkpoint.signature, SignatureState::Good);
}

#[test]
fn an_altered_line_is_found() {
    let lines = lines(&log(25));
    for number in 0..lines.len() {
        let mut altered = lines.clone();
        let place = altered[number].iter().position(|byte| *byte == b'2').unwrap();
        altered[number][place] = b'3';
        let (kind, line) = found(&altered);
        assert!(matches!(kind, BreakKind::Altered | BreakKind::Forged), "{kind:?}");
        assert_eq!(line, number as u64 + 1);
    }
    let mut garbled = lines.clone();
    garbled[7] = b"{}\n".to_vec();
    assert_eq!(found(&garbled), (BreakKind::Altered, 8));
}

#[test]
fn a_removed_line_is_found() {
    let lines = lines(&log(25));
    for number in 1..lines.len() - 1 {
        let mut removed = lines.clone();
        removed.remove(number);
        assert_eq!(found(&removed), (BreakKind::Removed, number as u64 + 1));
    }
}

#[test]
fn an_inserted_line_is_found() {
    let lines = lines(&log(25));
    let mut foreign = lines.clone();
    foreign.insert(5, b"{\"time\":\"2026-01-01T00:00:00Z\",\"type\":\"request\"}\n".to_vec());
    assert_eq!(found(&foreign), (BreakKind::Inserted, 6));
    let mut repeated = lines.clone();
    repeated.insert(9, lines[3].clone());
    assert_eq!(found(&repeated), (BreakKind::Inserted, 10));
    // A forger knows how the chain works, but the next line does not follow.
    let mut forged = lines.clone();
    let text = String::from_utf8(lines[5].clone()).unwrap().replace("secret/data", "forged/data");
    forged.insert(5, text.into_bytes());
    assert_eq!(found(&forged), (BreakKind::Inserted, 6));
}

#[test]
fn swapped_lines_are_found() {
    let lines = lines(&log(25));
    for number in 1..lines.len() - 2 {
        let mut swapped = lines.clone();
        swapped.swap(number, number + 1);
        assert_eq!(found(&swapped), (BreakKind::Moved, number as u64 + 1));
    }
}

#[test]
fn a_cut_tail_is_found() {
    let log = log(25);
    let report = verified(&log[..log.len() - 40]);
    assert_eq!(report.broken.unwrap().kind, BreakKind::Truncated);
    // Cut between two lines: it shows against what is known to be written.
    let lines = lines(&log);
    let last = verified(&log);
    let known = ChainPoint {
        sequence: last.last_sequence.unwrap(),
        hash: hex::decode(last.last_hash.unwrap()).unwrap().try_into().unwrap(),
    };
    let options = VerifyOptions { last_line: Some(known), ..VerifyOptions::default() };
    assert!(verify("log", log.as_slice(), options).unwrap().is_intact());
    let cut = lines[..20].concat();
    assert_eq!(verify("log", cut.as_slice(), options).unwrap().broken.unwrap().kind, BreakKind::Truncated);
    assert_eq!(verified(&cut).lines_after_checkpoint, 8);
}

#[test]
fn a_rewritten_chain_is_found_by_its_checkpoints() {
    let rewritten = {
        let mut chain = crate::audit::chain::Chain::default();
        let mut out = Vec::new();
        for line in lines(&log(25)) {
            let text = String::from_utf8(line).unwrap().replace("approle-shop", "somebody-els");
            let body = &text[..text.rfind(",\"chain\":").unwrap()];
            chain.append(&mut out, format!("{body}}}").as_bytes());
        }
        out
    };
    assert_eq!(verified(&rewritten).broken.unwrap().kind, BreakKind::Forged);
}

#[test]
fn links_are_read_from_their_place_alone() {
    for line in ["", "}", "\"}}", "{\"chain\":{\"sequence\":1,\"previous\":\"00\"}}", "ü\"}}"] {
        assert_eq!(Link::read(line.as_bytes()), None);
    }
    let zeros = "0".repeat(64);
    let line = format!("{{\"a\":1,\"chain\":{{\"sequence\":7,\"previous\":\"{zeros}\"}}}}");
    assert_eq!(Link::read(line.as_bytes()).unwrap().sequence, 7);
    let nested =
        format!("{{\"a\":1,\"chain\":{{\"sequence\":99999999999999999999,\"previous\":\"{zeros}\"}}}}");
    assert_eq!(Link::read(nested.as_bytes()), None);
}
