use super::{open_with, text};
use crate::provider::{Address, Batch, ErrorKind, Kind, Provider, Setting, Settings, fetch_all};
use crate::testing::{Reply, TestServer, surroundings};
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use strongroom_secret::SecretBytes;

fn list(words: &[&str]) -> Setting {
    Setting::List(words.iter().map(|word| (*word).to_owned()).collect())
}

fn command(settings: &[(&str, Setting)]) -> Box<dyn Provider> {
    open_with("command", Path::new("/"), &[], settings)
}

#[test]
fn a_program_without_a_shell() {
    let provider = command(&[("run", list(&["printf", "%s\n", "$(id); {name}"]))]);
    let found = provider.fetch(&[provider.address_of("A'B")]).remove(0).unwrap().unwrap();
    assert_eq!(found.value.expose(), b"$(id); A'B");
    let json =
        command(&[("run", list(&["printf", r#"{"A": "1", "B": {"C": 2}}"#])), ("output", text("json"))]);
    let outcomes = json.fetch(&[json.address_of("A"), json.address_of("B.C"), json.address_of("D")]);
    let values: Vec<_> = outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap().map(|found| found.value.expose().to_vec()))
        .collect();
    assert_eq!(values, [Some(b"1".to_vec()), Some(b"2".to_vec()), None]);
}

#[test]
fn a_program_that_fails_is_told_without_what_it_may_have_leaked() {
    let fails = ["sh", "-c", "echo leaked; echo token=not-real-1234 is bad >&2; exit 4", "{name}"];
    let error = command(&[("run", list(&fails))]).fetch(&[Address::of_path("A")]).remove(0).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(
        error.message.ends_with("token=[redacted] is bad") && !error.message.contains("leaked"),
        "{error}"
    );
    let slow = [("run", list(&["sleep", "600", "{name}"])), ("timeout", text("50ms"))];
    let error = command(&slow).fetch(&[Address::of_path("1")]).remove(0).unwrap_err();
    assert!(error.message.contains("did not end"), "{error}");
    let error = command(&[("run", list(&["/nonexistent/x", "{name}"]))])
        .fetch(&[Address::of_path("1")])
        .remove(0)
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Settings);
}

#[test]
fn heroku_answers_for_an_app_in_one_request() {
    let server =
        TestServer::start(|request| match (request.method.as_str(), request.header("authorization")) {
            (_, "Bearer old") => {
                Reply::Json(401, json!({"id": "unauthorized", "message": "Invalid credentials provided."}))
            }
            ("PATCH", _) => Reply::Json(200, request.json()),
            _ => Reply::Json(200, json!({"DATABASE_URL": "postgres://not-real", "PORT": "80"})),
        });
    let settings = [("app", text("shop")), ("endpoint", text(&server.url()))];
    let open =
        |key: &str| open_with("heroku", Path::new("/nonexistent"), &[("HEROKU_API_KEY", key)], &settings);
    let provider = open("not-real");
    let mut outcomes = provider.fetch(&[
        provider.address_of("DATABASE_URL"),
        provider.address_of("NONE"),
        provider.address_of("PORT"),
    ]);
    assert_eq!(outcomes.pop().unwrap().unwrap().unwrap().value.expose(), b"80");
    assert!(outcomes.pop().unwrap().unwrap().is_none());
    let request = server.received().remove(0);
    assert_eq!((request.target.as_str(), server.received().len()), ("/apps/shop/config-vars", 1));
    assert_eq!(request.header("accept"), "application/vnd.heroku+json; version=3");
    provider.store(&provider.address_of("NEW"), &SecretBytes::new(b"v".to_vec())).unwrap();
    provider.remove(&provider.address_of("PORT")).unwrap();
    let bodies: Vec<_> = server.received().into_iter().skip(1).map(|request| request.json()).collect();
    assert_eq!(bodies, [json!({"NEW": "v"}), json!({"PORT": null})]);
    let old = open("old");
    assert_eq!(old.fetch(&[old.address_of("X")]).remove(0).unwrap_err().kind, ErrorKind::Authentication);
    let none = open_with("heroku", Path::new("/nonexistent"), &[], &settings);
    let error = none.fetch(&[none.address_of("X")]).remove(0).unwrap_err();
    assert_eq!((error.kind, error.looked.len()), (ErrorKind::Authentication, 2));
}

#[test]
fn the_process_environment_is_taken_as_it_is() {
    let provider =
        open_with("process", Path::new("/"), &[("APP_A", ""), ("A", "other")], &[("prefix", text("APP_"))]);
    let outcomes = provider.fetch(&[provider.address_of("A"), provider.address_of("B")]);
    assert_eq!(outcomes[0].as_ref().unwrap().as_ref().unwrap().value.expose(), b"");
    assert!(outcomes[1].as_ref().unwrap().is_none());
    assert_eq!(provider.list("APP_").unwrap(), ["APP_A"]);
}

#[test]
fn services_are_asked_at_the_same_time_and_answers_keep_their_order() {
    let slow = || TestServer::start_slow(Duration::from_millis(20), |_| Reply::Json(200, json!({"A": "x"})));
    let servers = [slow(), slow(), slow()];
    let providers: Vec<_> = servers
        .iter()
        .map(|server| {
            let settings = [("app", text("a")), ("endpoint", text(&server.url()))];
            open_with("heroku", Path::new("/nonexistent"), &[("HEROKU_API_KEY", "not-real")], &settings)
        })
        .collect();
    let local = open_with("process", Path::new("/"), &[("A", "here")], &[]);
    let mut batches: Vec<_> = providers
        .iter()
        .map(|provider| Batch { provider: &**provider, addresses: vec![provider.address_of("A")] })
        .collect();
    batches.insert(
        1,
        Batch { provider: &*local, addresses: vec![local.address_of("A"), local.address_of("B")] },
    );
    let outcomes = fetch_all(&batches);
    assert_eq!(outcomes.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2, 1, 1]);
    assert_eq!(outcomes[1][0].as_ref().unwrap().as_ref().unwrap().value.expose(), b"here");
    assert!(servers.iter().all(|server| server.received().len() == 1));
}

#[test]
fn settings_are_checked_before_anything_is_opened() {
    let problems = |kind: &str, settings: &[(&str, Setting)]| {
        let settings: Settings =
            settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let around = surroundings(Path::new("/"), &[]);
        let Err(problems) = Kind::named(kind).unwrap().open(&settings, &around) else {
            panic!("{kind} opens")
        };
        problems.into_iter().map(|problem| problem.message).collect::<Vec<_>>()
    };
    assert_eq!(
        problems("heroku", &[("ap", text("x")), ("timeout", text("soon"))]),
        [
            "a provider of type \"heroku\" has no setting \"ap\"",
            "\"timeout\" must be a duration, as \"10s\": for a request with all its repetitions; 30s",
            "a provider of type \"heroku\" needs \"app\": the app's name",
        ]
    );
    assert_eq!(
        problems("command", &[("run", list(&["x"]))]),
        ["no argument holds {name}, so every secret would be the same"]
    );
    assert_eq!(problems("vault", &[("auth", text("approle"))]), ["approle needs \"role\""]);
    assert_eq!(problems("azure-key-vault", &[("vault", text("no name"))]).len(), 1);
    assert!(
        Kind::named("aws-ssm").is_some()
            && Kind::named("strongroom").is_some()
            && Kind::named("none").is_none()
    );
}
