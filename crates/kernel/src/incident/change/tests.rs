use super::*;
use crate::incident::{LeakState, Progress};

fn by(name: &str, seconds: i64) -> By<'_> {
    By { name, at: Timestamp::from_seconds(seconds) }
}

fn leaked(has_plan: bool) -> Facts {
    let secret = Leaked { name: "secret/app/db".to_owned(), version: Some(3), has_plan, ..Leaked::default() };
    Facts { secrets: vec![secret], ..Facts::default() }
}

fn opened() -> Incident {
    Incident::open("2026-11-30-00c0ffee".to_owned(), "a password in git", leaked(false), by("ann", 100))
        .unwrap()
}

fn shown(of: &str) -> Vec<Evidence> {
    vec![Evidence { of: of.to_owned(), text: "seen".to_owned(), at: Timestamp::EPOCH }]
}

fn step(incident: &mut Incident, step: StepKind, act: Act) -> Result<(), Refusal> {
    let seen = incident.revision;
    incident.apply(Change::Step { step, act }, by("ann", 200), seen)
}

#[test]
fn a_checklist_from_open_to_closed() {
    let mut incident = opened();
    assert_eq!(incident.progress(), Progress::Open);
    step(&mut incident, StepKind::Revoke, Act::Begin { take_over: false }).unwrap();
    step(&mut incident, StepKind::Revoke, Act::Progress { evidence: shown("version 3") }).unwrap();
    step(&mut incident, StepKind::Revoke, Act::Done { evidence: vec![] }).unwrap();
    step(&mut incident, StepKind::Rotate, Act::Done { evidence: shown("by hand") }).unwrap();
    let close = Change::Close { note: String::new(), force: false };
    let refused = incident.apply(close.clone(), by("ann", 300), incident.revision).unwrap_err();
    assert_eq!(refused, Refusal::Unsettled("purge, rescan, notify, post-mortem".to_owned()));
    for kind in [StepKind::Purge, StepKind::Rescan, StepKind::Notify, StepKind::PostMortem] {
        step(&mut incident, kind, Act::Skip { reason: "a drill".to_owned() }).unwrap();
    }
    assert_eq!(incident.progress(), Progress::Settled);
    incident.apply(close, by("ann", 300), incident.revision).unwrap();
    assert_eq!(incident.progress(), Progress::Closed);
    let late = step(&mut incident, StepKind::Purge, Act::Reopen { reason: "again".to_owned() });
    assert_eq!(late.unwrap_err(), Refusal::Closed);
    let reopen = Change::Reopen { reason: "seen again".to_owned() };
    incident.apply(reopen, by("bob", 400), incident.revision).unwrap();
    assert_eq!(incident.events.last().unwrap().text, "reopened: seen again");
}

#[test]
fn of_two_people_one_is_told_to_look_again() {
    let mut incident = opened();
    let note = |text: &str| Change::Note { text: text.to_owned() };
    incident.apply(note("one"), by("ann", 1), 1).unwrap();
    assert_eq!(
        incident.apply(note("two"), by("bob", 2), 1).unwrap_err(),
        Refusal::Revision { seen: 1, is: 2 }
    );
    assert_eq!(incident.events.len(), 2);
}

#[test]
fn a_step_under_way_belongs_to_somebody() {
    let mut incident = opened();
    step(&mut incident, StepKind::Purge, Act::Begin { take_over: false }).unwrap();
    // The same person goes on after a crash.
    step(&mut incident, StepKind::Purge, Act::Begin { take_over: false }).unwrap();
    let begin = |take_over| Change::Step { step: StepKind::Purge, act: Act::Begin { take_over } };
    let refused = incident.apply(begin(false), by("bob", 300), incident.revision).unwrap_err();
    assert!(refused.to_string().contains("ann has been at purge"), "{refused}");
    incident.apply(begin(true), by("bob", 300), incident.revision).unwrap();
    assert_eq!(incident.step(StepKind::Purge).unwrap().by, "bob");
}

#[test]
fn what_a_step_cannot_become() {
    let mut incident = opened();
    let mut refused = |act| step(&mut incident, StepKind::Notify, act).unwrap_err().to_string();
    let reason = || "x".to_owned();
    assert!(refused(Act::Fail { reason: reason() }).contains("begin it first"));
    assert!(refused(Act::Progress { evidence: vec![] }).contains("begin it first"));
    assert!(refused(Act::Reopen { reason: reason() }).contains("is open"));
    assert!(refused(Act::Done { evidence: vec![] }).contains("evidence"));
    assert!(refused(Act::Skip { reason: " ".to_owned() }).contains("reason is empty"));
    step(&mut incident, StepKind::Notify, Act::Skip { reason: "nobody".to_owned() }).unwrap();
    assert_eq!(incident.revision, 2);
    let mut refused = |act| step(&mut incident, StepKind::Notify, act).unwrap_err().to_string();
    assert!(refused(Act::Begin { take_over: true }).contains("reopen it first"));
    assert!(refused(Act::Done { evidence: shown("x") }).contains("reopen it first"));
}

#[test]
fn what_was_begun_goes_on_by_itself_and_what_is_done_again_is_shown_again() {
    let mut incident = opened();
    step(&mut incident, StepKind::Notify, Act::Begin { take_over: false }).unwrap();
    step(&mut incident, StepKind::Notify, Act::Fail { reason: "no answer yet".to_owned() }).unwrap();
    step(&mut incident, StepKind::Notify, Act::Progress { evidence: shown("webhook") }).unwrap();
    assert_eq!(incident.step(StepKind::Notify).unwrap().state, StepState::Failed);
    step(&mut incident, StepKind::Notify, Act::Done { evidence: vec![] }).unwrap();
    step(&mut incident, StepKind::Notify, Act::Reopen { reason: "others too".to_owned() }).unwrap();
    assert!(step(&mut incident, StepKind::Notify, Act::Done { evidence: vec![] }).is_err());
}

#[test]
fn two_webhooks_of_one_host_are_two_and_their_secrets_stay() {
    let (one, two) = ("https://u:p@hooks.example/services/AAA", "https://hooks.example/services/BBB");
    let names = [one, two].map(crate::incident::webhook_name);
    assert_ne!(names[0], names[1]);
    for name in names {
        assert!(name.starts_with("webhook hooks.example (") && name.len() < 40, "{name}");
    }
}

#[test]
fn evidence_of_one_thing_is_kept_once() {
    let mut incident = opened();
    step(&mut incident, StepKind::Revoke, Act::Begin { take_over: false }).unwrap();
    for _ in 0..3 {
        step(&mut incident, StepKind::Revoke, Act::Progress { evidence: shown("version 3") }).unwrap();
    }
    assert_eq!(incident.step(StepKind::Revoke).unwrap().evidence.len(), 1);
}

#[test]
fn rotation_comes_first_where_a_server_does_it() {
    let with_plan = Incident::open("a".to_owned(), "x", leaked(true), by("ann", 1)).unwrap().steps[0].kind;
    assert_eq!((with_plan, opened().steps[0].kind), (StepKind::Rotate, StepKind::Revoke));
}

#[test]
fn facts_are_bounded_cleaned_and_added_up() {
    let mut incident = opened();
    let access = |number: i64| Access {
        time: Timestamp::from_seconds(number),
        who: "app\u{1b}[31m\u{202e}\n".to_owned(),
        entity: String::new(),
        accessor: String::new(),
        from: "192.0.2.1".to_owned(),
        operation: "read".to_owned(),
        path: "secret/data/app/db".to_owned(),
        request: number.to_string(),
        error: String::new(),
    };
    let seen =
        Sighting { path: "x".repeat(5000), date: Some(Timestamp::from_seconds(7)), ..Sighting::default() };
    let secret = Leaked {
        name: "secret/app/db".to_owned(),
        version: Some(3),
        state: LeakState::Live,
        ..Leaked::default()
    };
    let facts = Facts {
        accesses: (0..600).map(access).collect(),
        findings: vec![seen.clone(), seen],
        secrets: vec![secret],
        ..Facts::default()
    };
    let learn = || Change::Learn { facts: Box::new(facts.clone()) };
    incident.apply(learn(), by("ann", 2), 1).unwrap();
    incident.apply(learn(), by("ann", 2), 2).unwrap();
    let known = &incident.facts;
    assert_eq!((known.accesses.len(), known.accesses_omitted), (ACCESSES_MAX, 200));
    assert_eq!(known.accesses[0].who, "app [31m");
    assert_eq!((known.findings.len(), known.findings[0].path.len()), (1, NAME_BYTES_MAX));
    assert_eq!((known.secrets.len(), known.secrets[0].state), (1, LeakState::Live));
    assert_eq!(incident.exposed_since(), Some(Timestamp::from_seconds(7)));
}

#[test]
fn histories_stay_within_their_bound() {
    let mut incident = opened();
    for number in 0..600 {
        let text = format!("note {number}");
        incident.apply(Change::Note { text }, by("ann", number), incident.revision).unwrap();
    }
    assert_eq!((incident.events.len(), incident.events_dropped), (EVENTS_MAX, 101));
    assert_eq!(incident.events[0].text, "opened");
    assert_eq!(incident.events.last().unwrap().text, "note 599");
}

#[test]
fn an_incident_comes_back_from_its_text() {
    let mut incident = opened();
    step(&mut incident, StepKind::Revoke, Act::Done { evidence: shown("version 3") }).unwrap();
    let text = serde_json::to_string(&incident).unwrap();
    assert!(text.contains("\"1970-01-01T00:03:20Z\""), "{text}");
    assert_eq!(serde_json::from_str::<Incident>(&text).unwrap(), incident);
    let change: Change =
        serde_json::from_str(r#"{"change":"step","step":"rescan","act":"skip","reason":"r"}"#).unwrap();
    assert_eq!(change, Change::Step { step: StepKind::Rescan, act: Act::Skip { reason: "r".to_owned() } });
}

#[test]
fn ids_are_safe_as_names_of_files() {
    assert!(is_id("2026-11-30-00c0ffee"));
    for wrong in ["", "..", "a/b", "A", "a\0", &"a".repeat(65)] {
        assert!(!is_id(wrong), "{wrong:?}");
    }
}
