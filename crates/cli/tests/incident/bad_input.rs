//! Incidents where something is not as it should be: no server, two people at once, a step that is somebody else's. And the policy of
//! docs/incident.md as it is written there.

use super::world::{VALUE, World, free_port, text};
use serde_json::Value;
use std::process::Stdio;

const PAGE: &str = include_str!("../../../../docs/incident.md");

/// The policy for those who answer incidents, out of the documentation.
pub(crate) fn rules() -> &'static str {
    let (_, rest) = PAGE.split_once("```hcl\n").unwrap();
    rest.split_once("```").unwrap().0
}

/// A world with a secret that is rotated by a plan, and its value in the history.
fn world() -> World {
    let world = World::with_server();
    world.write_policy("answers", rules());
    world.done(&["kv", "put", "secret/app/db", &format!("password={VALUE}")]);
    world.done(&["rotate", "plan", "secret/app/db#password", "--generate", "token bytes=24"]);
    world.commit("config.ini", &format!("password = {VALUE}\n"));
    world
}

fn opened(world: &World, token: &str) -> Value {
    let words = ["incident", "open", "secret/app/db#password", "--format", "json"];
    let output = world.command(&words, token).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_policy_of_the_documentation_is_enough() {
    let world = world();
    let token = world.token_of("ann", "answers");
    let incident = opened(&world, &token);
    // Nothing was left open for want of a right.
    assert_eq!(incident["facts"]["unknown"], Value::Array(Vec::new()), "{incident}");
    assert!(!incident["facts"]["accesses"].as_array().unwrap().is_empty());
    assert!(!incident["facts"]["readers"].as_array().unwrap().is_empty());
    let id = incident["id"].as_str().unwrap();
    let done = |words: &[&str]| {
        let output = world.command(words, &token).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
    };
    done(&["incident", "run", id, "--yes"]);
    done(&["incident", "note", id, "a drill"]);
    done(&["incident", "report", id]);
    done(&["incident", "close", id, "--note", "over"]);
    done(&["incident", "reopen", id, "--reason", "not yet"]);
    done(&["incident", "step", id, "notify", "--reopen", "others too"]);
    done(&["incident", "step", id, "notify", "--skip", "nobody else"]);
    done(&["incident", "close", id]);
    done(&["incident", "list"]);
}

#[test]
fn a_server_that_is_away_is_said() {
    let world = World::leaked();
    let port = free_port();
    let away = |words: &[&str]| {
        let mut command = world.command(words, "hvs.not-a-real-token");
        command.env("STRONGROOM_ADDR", format!("http://127.0.0.1:{port}")).env("STRONGROOM_MAX_RETRIES", "0");
        let output = command.output().unwrap();
        (output.status.code(), text(&output.stderr))
    };
    for words in [
        ["incident", "open", "secret/app/db"].as_slice(),
        &["incident", "list"],
        &["incident", "show", "2026"],
        &["incident", "run", "2026", "--yes"],
    ] {
        let (code, said) = away(words);
        assert!(code != Some(0) && said.contains(&port.to_string()), "{words:?}: {code:?} {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
    // What is kept here needs no server.
    let (code, said) = away(&["incident", "list", "--local"]);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn of_two_people_at_one_incident_each_step_is_done_by_one() {
    let world = world();
    let tokens = ["ann", "bob"].map(|name| world.token_of(name, "answers"));
    let id = opened(&world, &tokens[0])["id"].as_str().unwrap().to_owned();
    let words = ["incident", "run", &id, "--yes"];
    let runs = tokens.each_ref().map(|token| {
        let mut command = world.command(&words, token);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    });
    let said = runs.map(|run| run.wait_with_output().unwrap()).map(|output| text(&output.stderr));
    // Whoever came second was told so, and by whom.
    assert!(
        said.iter().any(|said| said.contains("changed it in between")
            || said.contains("has been at")
            || said.contains("reopen it first")),
        "{said:?}"
    );
    // Whoever is left goes on; what the other had begun is taken over.
    let output = world.command(&[words.as_slice(), &["--take-over"]].concat(), &tokens[0]).output().unwrap();
    assert!(output.status.success(), "{said:?} {}", text(&output.stderr));
    let shown = world.json(&["incident", "show", &id]);
    assert_eq!(shown["state"], "settled", "{shown}");
    let events = shown["events"].as_array().unwrap();
    for step in ["rotate", "revoke", "purge", "rescan", "notify", "post-mortem"] {
        let done = |event: &&Value| {
            event["step"] == step && event["text"].as_str().is_some_and(|text| text.starts_with("done"))
        };
        assert_eq!(events.iter().filter(done).count(), 1, "{step}: {events:?}");
    }
    let past = world.json(&["read", "sys/rotation/history/secret/app/db"]);
    assert_eq!(past["data"]["rotations"].as_array().unwrap().len(), 1, "{past}");
}

#[test]
fn a_step_that_somebody_has_begun_is_theirs() {
    let world = world();
    let [ann, bob] = ["ann", "bob"].map(|name| world.token_of(name, "answers"));
    let id = opened(&world, &ann)["id"].as_str().unwrap().to_owned();
    let begun = world.command(&["incident", "step", &id, "rotate", "--begin"], &ann).output().unwrap();
    assert!(begun.status.success(), "{}", text(&begun.stderr));
    let refused = world.command(&["incident", "run", &id, "--yes"], &bob).output().unwrap();
    let said = text(&refused.stderr);
    assert!(!refused.status.success() && said.contains("token-ann has been at rotate since"), "{said}");
    let (code, said) = world.failed(&["incident", "close", &id]);
    assert_eq!(code, Some(1));
    assert!(said.contains("rotate, revoke, purge, rescan, notify, post-mortem"), "{said}");
    let (_, said) = world.failed(&["incident", "close", &id, "--force"]);
    assert!(said.contains("says why"), "{said}");
}
