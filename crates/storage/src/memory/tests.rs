use super::*;
use crate::commit;
use crate::conformance::{self, blind, contents, put};
use std::ops::ControlFlow;

#[test]
fn conforms() {
    conformance::check(MemoryStorage::new);
}

fn always(fault: Fault) -> FaultPlan {
    Box::new(move |call| if call == Call::Submit { fault } else { Fault::Nothing })
}

#[test]
fn each_fault_at_a_submit() {
    for (fault, applied, closes) in [
        (Fault::Error, false, false),
        (Fault::Full, false, false),
        (Fault::UnknownApplied, true, false),
        (Fault::UnknownLost, false, false),
        (Fault::CrashBefore, false, true),
        (Fault::CrashAfter, true, true),
    ] {
        let store = MemoryStorage::new();
        commit(&store, blind(vec![put("a", "1")])).unwrap();
        store.set_faults(Some(always(fault)));
        let error = commit(&store, blind(vec![put("a", "2"), put("b", "2")])).unwrap_err();
        assert_eq!(matches!(error, CommitError::Full), fault == Fault::Full, "{fault:?}");
        assert_eq!(store.is_closed(), closes, "{fault:?}");
        assert_eq!(store.snapshot().is_err(), closes, "{fault:?}");
        let found = contents(&*store.recover(None).snapshot().unwrap());
        assert_eq!(found.len(), if applied { 2 } else { 1 }, "{fault:?}");
        assert!(
            matches!(commit(&store, blind(vec![])), Err(CommitError::Closed)),
            "the old handle is closed"
        );
    }
}

#[test]
fn faults_at_reads() {
    for call in [Call::Snapshot, Call::Read, Call::Scan] {
        let plan = move |at| if at == call { Fault::Error } else { Fault::Nothing };
        let store = MemoryStorage::with_faults(Box::new(plan));
        let Ok(snapshot) = store.snapshot() else {
            assert_eq!(call, Call::Snapshot);
            continue;
        };
        assert_eq!(snapshot.read(b"a").is_err(), call == Call::Read);
        let scanned = snapshot.scan(b"", None, &mut |_, _| ControlFlow::Continue(()));
        assert_eq!(scanned.is_err(), call == Call::Scan);
    }
}

/// Every acknowledged commit is found again, none is there in part, and the same seed does the same.
#[test]
fn seeded_crashes_lose_nothing() {
    let rates =
        FaultRates { read_error: 20_000, commit_error: 20_000, full: 10_000, unknown: 20_000, crash: 5_000 };
    let run = |seed: u64| {
        let mut store = MemoryStorage::with_faults(seeded_faults(seed, rates));
        let (mut acknowledged, mut crashes) = (vec![], 0);
        for number in 0..5_000_u64 {
            let key = number.to_be_bytes();
            let pair = blind(vec![put([b"a", &key[..]].concat(), key), put([b"b", &key[..]].concat(), key)]);
            match commit(&store, pair) {
                Ok(_) => acknowledged.push(number),
                Err(_) if store.is_closed() => {
                    crashes += 1;
                    store = store.recover(Some(seeded_faults(seed + number, rates)));
                }
                Err(_) => {}
            }
        }
        store.set_faults(None);
        let snapshot = store.snapshot().unwrap();
        for number in &acknowledged {
            assert!(snapshot.read(&[b"a", &number.to_be_bytes()[..]].concat()).unwrap().is_some());
        }
        let found = contents(&*snapshot);
        let (first, second) = found.split_at(found.len() / 2);
        assert!(
            first.iter().zip(second).all(|((a, _), (b, _))| a[1..] == b[1..] && a[0] == b'a' && b[0] == b'b')
        );
        (found.len(), acknowledged.len(), crashes)
    };
    let outcome = run(7);
    assert!(outcome.2 > 5 && outcome.1 > 4_000, "{outcome:?}");
    assert_eq!(outcome, run(7));
}
