use super::*;
use crate::Error;

fn log() -> String {
    let denied = Error::denied();
    let mut out = Vec::new();
    for (number, path) in
        ["secret/data/shop", "secret/data/shop", "secret/data/other", "sys/mounts"].into_iter().enumerate()
    {
        let mut record = record(path);
        record.time = Timestamp::from_seconds(1_767_225_600 + number as i64 * 60);
        record.request.namespace_path = if number == 1 { "team/" } else { "" };
        record.error = (number == 3).then_some(&denied);
        record.response = (number == 2).then(ResponseFacts::default);
        record.format(&mut out, &FormatOptions::default(), &mac());
    }
    out.extend_from_slice(b"not a record\n");
    String::from_utf8(out).unwrap()
}

fn lines(query: Query) -> Vec<u64> {
    let log = log();
    Search::new(query, [("log".to_owned(), log.as_bytes())]).map(|found| found.unwrap().line).collect()
}

#[test]
fn each_condition_narrows() {
    let any = Query::default;
    assert_eq!(lines(any()), [1, 2, 3, 4]);
    assert_eq!(lines(Query { path_prefix: Some("secret/data/shop".into()), ..any() }), [1, 2]);
    assert_eq!(lines(Query { path_prefix: Some("team/secret/data/".into()), ..any() }), [2]);
    assert_eq!(lines(Query { since: Some(Timestamp::from_seconds(1_767_225_660)), ..any() }), [2, 3, 4]);
    assert_eq!(lines(Query { until: Some(Timestamp::from_seconds(1_767_225_660)), ..any() }), [1]);
    assert_eq!(lines(Query { kind: Some(RecordKind::Response), ..any() }), [3]);
    assert_eq!(lines(Query { outcome: Outcome::Failed, ..any() }), [4]);
    assert_eq!(lines(Query { operation: Some("list".into()), ..any() }), [] as [u64; 0]);
    assert_eq!(lines(Query { remote_address: Some("192.0.2.7".into()), limit: Some(2), ..any() }), [1, 2]);
    assert_eq!(lines(Query { display_name: Some("approle-shop".into()), limit: Some(1), ..any() }), [1]);
    let token = hashed(&mac(), b"hvs.not-a-real-token");
    assert_eq!(lines(Query { hash: Some(token), ..any() }), [1, 2, 3, 4]);
    let accessor = hashed(&mac(), b"not-a-real-accessor");
    assert_eq!(lines(Query { accessor: Some(accessor), ..any() }).len(), 4);
}

#[test]
fn matches_make_a_table() {
    let log = log();
    let mut search = Search::new(Query::default(), [("log".to_owned(), log.as_bytes())]);
    let matches: Vec<Match> = search.by_ref().map(Result::unwrap).collect();
    assert_eq!(search.lines_unreadable, 1);
    let mut out = Vec::new();
    write_table(&mut out, &matches).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
    TIME                  OPERATION  PATH                   WHO                      FROM       RESULT
    2026-01-01T00:00:00Z  read       secret/data/shop       approle-shop (2aedc291)  192.0.2.7  ok
    2026-01-01T00:01:00Z  read       team/secret/data/shop  approle-shop (2aedc291)  192.0.2.7  ok
    2026-01-01T00:02:00Z  read       secret/data/other      approle-shop (2aedc291)  192.0.2.7  ok
    2026-01-01T00:03:00Z  read       sys/mounts             approle-shop (2aedc291)  192.0.2.7  permission denied
    "#);
}
