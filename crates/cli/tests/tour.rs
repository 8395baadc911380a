//! docs/project.md, run as it stands: every `$` command of its indented blocks, with its output compared. A line `…` stands
//! for any lines, and `…` within a line for any text.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// A command, the exit code that is expected of it, and what it prints.
struct Step {
    command: String,
    code: i32,
    output: Vec<String>,
}

fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut here_document: Option<String> = None;
    let mut in_block = false;
    for line in page.lines() {
        let Some(text) = line.strip_prefix("    ").or(if line.is_empty() { Some("") } else { None }) else {
            in_block = false;
            continue;
        };
        if let (Some(end), Some(step)) = (&here_document, steps.last_mut()) {
            step.command.push('\n');
            step.command.push_str(text);
            if text == end {
                here_document = None;
            }
        } else if let Some(command) = text.strip_prefix("$ ") {
            in_block = true;
            let (command, code) = match command.split_once("   # exit code ") {
                Some((command, code)) => (command, code.parse().unwrap()),
                None => (command, 0),
            };
            here_document = command.split_once("<<").map(|(_, end)| end.trim_matches(['\'', '-']).to_owned());
            steps.push(Step { command: command.to_owned(), code, output: Vec::new() });
        } else if let Some(step) = steps.last_mut().filter(|_| in_block) {
            step.output.push(text.to_owned());
        }
    }
    steps
}

fn line_fits(expected: &str, line: &str) -> bool {
    match expected.split_once('…') {
        None => expected.trim_end() == line.trim_end(),
        Some((start, end)) => {
            let rest = line.strip_prefix(start);
            rest.is_some_and(|rest| {
                end.is_empty()
                    || (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|rest| line_fits(end, rest)))
            })
        }
    }
}

fn fits(expected: &[String], lines: &[&str]) -> bool {
    match (expected.split_first(), lines.split_first()) {
        (None, None) => true,
        (None, Some((line, rest))) => line.is_empty() && fits(expected, rest),
        (Some((first, others)), _) if first == "…" => {
            (0..=lines.len()).any(|skipped| fits(others, lines.get(skipped..).unwrap_or_default()))
        }
        (Some((first, others)), None) => first.is_empty() && fits(others, lines),
        (Some((first, others)), Some((line, rest))) => {
            (line_fits(first, line) && fits(others, rest)) || (first.is_empty() && fits(others, lines))
        }
    }
}

#[test]
fn the_tour_is_as_it_stands() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/project.md");
    let folder = tempfile::tempdir().unwrap();
    let shop = folder.path().join("shop");
    fs::create_dir(&shop).unwrap();
    Command::new("git").args(["init", "-q"]).current_dir(&shop).status().unwrap();
    let steps = steps(&fs::read_to_string(page).unwrap());
    assert!(steps.len() > 30, "the page has {} commands", steps.len());
    // What the page shows with `cat` is there before it begins.
    for (step, file) in steps.iter().take(2).zip([".env", "app.py"]) {
        assert_eq!(step.command, format!("cat {file}"));
        fs::write(shop.join(file), step.output.join("\n").trim_end().to_owned() + "\n").unwrap();
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let script = script(&steps, port);
    let program = Path::new(env!("CARGO_BIN_EXE_strongroom")).parent().unwrap();
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(&shop)
        .env_clear()
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", program.display()))
        .env("HOME", folder.path())
        .output()
        .unwrap();
    let text =
        String::from_utf8(output.stdout).unwrap().replace(&format!("127.0.0.1:{port}"), "127.0.0.1:8200");
    let parts: Vec<&str> = text.split("@@@ ").skip(1).collect();
    assert_eq!(parts.len(), steps.len(), "{text}");
    for (step, part) in steps.iter().zip(parts) {
        let (code, printed) = part.split_once('\n').unwrap();
        assert_eq!(code, step.code.to_string(), "$ {}\n{printed}", step.command);
        let lines: Vec<&str> = printed.lines().collect();
        assert!(
            fits(&step.output, &lines),
            "$ {}\nexpected:\n{}\nprinted:\n{printed}",
            step.command,
            step.output.join("\n")
        );
    }
}

/// All commands in one shell, each with its exit code and output behind a mark. What runs in the background ends with it.
fn script(steps: &[Step], port: u16) -> String {
    let mut script = String::from("umask 077\nchmod 600 .env\ntrap 'kill $(jobs -p) 2>/dev/null' EXIT\n");
    for step in steps {
        let command = step.command.replace("127.0.0.1:8200", &format!("127.0.0.1:{port}"));
        let command =
            command.replace("server --dev ", &format!("server --dev --dev-listen-address 127.0.0.1:{port} "));
        if command.ends_with('&') || command.starts_with("export ") {
            script.push_str(&format!("{command}\necho '@@@ 0'\n"));
        } else {
            let comment_free = command.trim_end();
            script.push_str(&format!(
                "{{\n{comment_free}\n}} > .printed 2>&1\necho \"@@@ $?\"\ncat .printed\n"
            ));
        }
    }
    script
}
