//! In a repository without a server.

use super::world::{VALUE, World, text};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

fn opened(project: &World) -> String {
    let opened = project.json_with(&["incident", "open", "--value", "-"], &format!("{VALUE}\n"));
    opened["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_value_is_traced_to_its_commit_and_kept_nowhere() {
    let project = World::leaked();
    let opened = project.json_with(&["incident", "open", "--value", "-"], &format!("{VALUE}\n"));
    let seen = &opened["facts"]["findings"][0];
    assert_eq!((&seen["path"], &seen["line"]), (&"config.ini".into(), &1.into()));
    assert_eq!(seen["author"], "Tester <tester@example.com>");
    assert_eq!(seen["remotes"], serde_json::json!(["origin/main"]));
    assert_eq!(opened["opened_by"], "ann");
    let folder = project.project().join(".strongroom/incidents");
    let file = folder.join(format!("{}.json", opened["id"].as_str().unwrap()));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(!fs::read_to_string(&file).unwrap().contains(VALUE));
    let status = project.program("git", &["status", "--porcelain"]).output().unwrap();
    assert_eq!(text(&status.stdout), "");
}

#[test]
fn a_finding_of_a_report_becomes_an_incident() {
    let project = World::leaked();
    let report = project.path("report.json");
    let finding =
        r#"{"rule":"generic","path":"config.ini","start_line":1,"fingerprint":"c:config.ini:generic:1"}"#;
    fs::write(&report, format!(r#"{{"version":1,"findings":[{finding},{finding}]}}"#)).unwrap();
    let report = report.to_str().unwrap();
    let (code, said) = project.failed(&["incident", "open", "--report", report]);
    assert_eq!(code, Some(2));
    assert!(said.contains("there are 2 findings") && said.contains("2 is generic in config.ini:1"), "{said}");
    let opened = project.json(&["incident", "open", "--report", report, "--finding", "2"]);
    assert_eq!(opened["facts"]["findings"][0]["rule"], "generic");
    let (code, _) = project.failed(&["incident", "open", "--report", report, "--finding", "3"]);
    assert_eq!(code, Some(3));
}

#[test]
fn steps_are_done_by_hand_and_the_end_is_refused_before() {
    let project = World::leaked();
    let id = opened(&project);
    project.json(&["incident", "step", &id, "revoke", "--begin"]);
    project.json(&["incident", "step", &id, "revoke", "--done", "ended at the provider's page"]);
    let (code, said) = project.failed(&["incident", "close", &id]);
    assert_eq!(code, Some(1));
    assert!(said.contains("rotate, purge, rescan, notify, post-mortem"), "{said}");
    for step in ["rotate", "purge", "rescan", "notify", "post-mortem"] {
        project.json(&["incident", "step", &id, step, "--skip", "a drill"]);
    }
    let closed = project.json(&["incident", "close", &id, "--note", "a drill"]);
    assert_eq!(closed["state"], "closed");
    let list = project.json(&["incident", "list"]);
    assert_eq!((&list[0]["id"], &list[0]["state"]), (&id.clone().into(), &"closed".into()));
    let (code, said) = project.failed(&["incident", "step", &id[..12], "purge", "--reopen", "late"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("is closed"), "{said}");
}

#[test]
fn what_is_asked_wrongly_is_said() {
    let project = World::new();
    assert_eq!(project.failed(&["incident", "open"]).0, Some(2));
    let (code, said) = project.failed(&["incident", "open", "--value", VALUE]);
    assert_eq!(code, Some(2));
    assert!(said.contains("standard input alone") && !said.contains(VALUE), "{said}");
    assert_eq!(project.failed(&["incident", "open", "--value", "-"]).0, Some(2));
    assert_eq!(project.failed(&["incident", "show", "2026"]).0, Some(3));
    assert_eq!(project.failed(&["incident", "open", "secret/app/db"]).0, Some(3));
    let id = opened(&project);
    let file = project.project().join(format!(".strongroom/incidents/{id}.json"));
    fs::write(&file, "{\"version\": 1, \"incident\": ").unwrap();
    assert_eq!(project.failed(&["incident", "show", &id]).0, Some(6));
}

/// Takes the file out of the whole history, by git itself, here and at the origin.
fn rewrite(project: &World) {
    fs::write(project.project().join("config.ini"), "password = see the manifest\n").unwrap();
    project.git(&["add", "-A"]);
    project.git(&["commit", "-q", "--amend", "-m", "clean"]);
    project.git(&["checkout", "-q", "--orphan", "fresh"]);
    project.git(&["commit", "-q", "-m", "all anew"]);
    project.git(&["branch", "-M", "fresh", "main"]);
    project.git(&["push", "-q", "--force", "origin", "main"]);
    project.drop_unreachable();
}

#[test]
fn a_run_goes_from_step_to_step_and_proves_that_the_value_is_gone() {
    let project = World::leaked();
    let id = opened(&project);
    let (code, said) = project.failed(&["incident", "run", &id]);
    assert_eq!(code, Some(2));
    assert!(said.contains("--yes"), "{said}");
    // Nobody here can end the value: who did says so.
    assert_eq!(project.failed(&["incident", "run", &id, "--yes"]).0, Some(1));
    let shown = project.json(&["incident", "show", &id]);
    assert_eq!(shown["steps"][0]["state"], "failed");
    project.json(&["incident", "step", &id, "revoke", "--done", "ended at the provider's page"]);
    project.json(&["incident", "step", &id, "rotate", "--done", "a new one is in use"]);
    // The history holds it, here and where it was pushed to.
    let (code, said) = project.failed(&["incident", "run", &id, "--yes", "--only", "rescan"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("config.ini:1") && said.contains("origin.git"), "{said}");
    rewrite(&project);
    let webhook = "http://127.0.0.1:1/nobody-listens";
    let (code, said) = project.failed(&["incident", "run", &id, "--yes", "--webhook", webhook]);
    assert_eq!(code, Some(1));
    assert!(said.contains("notify is not done: webhook 127.0.0.1:1"), "{said}");
    let after = project.json(&["incident", "run", &id, "--yes"]);
    assert_eq!(after["state"], "settled", "{after}");
    let rescan = after["steps"].as_array().unwrap().iter().find(|step| step["kind"] == "rescan").unwrap();
    assert_eq!(rescan["evidence"].as_array().unwrap().len(), 3, "{rescan}");
    let folder = project.project().join(".strongroom/incidents");
    let page = fs::read_to_string(folder.join(format!("{id}.html"))).unwrap();
    assert!(page.contains("found it nowhere") && page.contains("<svg") && !page.contains(VALUE));
    let report = text(&project.run(&["incident", "report", &id]).stdout);
    assert!(
        report.contains("## Time line") && report.contains("| post\\-mortem | done |")
            || report.contains("| post-mortem | done |"),
        "{report}"
    );
    assert!(fs::read_to_string(folder.join(format!("{id}.mail.txt"))).unwrap().contains("clone it anew"));
    project.json(&["incident", "close", &id]);
}

#[test]
fn a_proof_that_looks_for_nothing_is_none() {
    let project = World::leaked();
    // A value that could be guessed: no fingerprint of it is kept.
    fs::write(project.project().join("weak.txt"), "password: monkey99\n").unwrap();
    let opened = project.json_with(&["incident", "open", "--value", "-"], "monkey99\n");
    let id = opened["id"].as_str().unwrap();
    let (code, said) = project.failed(&["incident", "run", id, "--yes", "--only", "rescan"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("there is no value to look for"), "{said}");
    let output =
        project.run_with(&["incident", "run", id, "--yes", "--only", "rescan", "--value", "-"], "monkey99\n");
    assert!(text(&output.stderr).contains("weak.txt:1"), "{}", text(&output.stderr));
}
