//! Runs that are killed, and servers that are killed under them, at every request that changes something: the next run goes on.
//! Nothing is done twice that would hurt, nothing is left out, and the history says who did what when.

use super::bad_input::rules;
use super::gate::{Event, Gate, Moment};
use super::world::{VALUE, World, text, wait_until};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use strongroom_testkit::outbound::WebServer;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Client,
    Server,
}

/// A webhook, and what it was told: ids of messages.
struct Ears {
    server: WebServer,
    told: Arc<Mutex<Vec<String>>>,
}

impl Ears {
    fn open() -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = told.clone();
        let server = WebServer::start(move |received| {
            let id = received.headers.iter().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("webhook-id").then(|| value.trim().to_owned())
            });
            heard.lock().unwrap().extend(id);
            Some((200, String::new()))
        });
        Self { server, told }
    }

    fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.server.address)
    }
}

/// One secret, one clone, one incident; the world goes on to the next when it is done.
struct Case<'w> {
    world: &'w mut World,
    name: String,
    id: String,
    webhook: String,
    /// Whoever answers incidents.
    token: String,
}

impl<'w> Case<'w> {
    /// A secret with a plan, its value in the history.
    fn new(world: &'w mut World, token: &str, ears: &Ears, number: usize) -> Self {
        let name = format!("secret/app/db{number}");
        let value = value(number);
        world.done(&["kv", "put", &name, &format!("password={value}")]);
        let plan = ["rotate", "plan", &format!("{name}#password"), "--generate", "token bytes=24"];
        world.done(&[plan.as_slice(), &["--leak-grace", "1h"]].concat());
        world.commit("config.ini", &format!("password = {value}\n"));
        let mut case = Self {
            world,
            name,
            id: String::new(),
            webhook: ears.url(&number.to_string()),
            token: token.to_owned(),
        };
        let made = case.ask(&["incident", "open", &format!("{}#password", case.name), "--format", "json"]);
        let made: Value = serde_json::from_str(&made).unwrap();
        made["id"].as_str().unwrap().clone_into(&mut case.id);
        case
    }

    #[track_caller]
    fn ask(&self, words: &[&str]) -> String {
        let output = self.world.command(words, &self.token).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    fn words(&self) -> [&str; 6] {
        ["incident", "run", &self.id, "--yes", "--webhook", &self.webhook]
    }

    /// Runs it up to a request. What was asked of the server, and whether it came so far.
    fn break_off(&mut self, stop_at: (u64, Moment), victim: Victim) -> (Vec<String>, bool) {
        let (sender, events) = channel();
        let gate = Gate::open(self.world.server().port, stop_at, sender.clone());
        let mut command = self.world.command(&self.words(), &self.token);
        command.env("STRONGROOM_ADDR", gate.address()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || {
            let mut said = Vec::new();
            drop(stderr.read_to_end(&mut said));
            drop(sender.send(Event::Ended(text(&said))));
        });
        let mut is_reached = false;
        loop {
            match events.recv().unwrap() {
                Event::Reached(go) => {
                    is_reached = true;
                    match victim {
                        Victim::Client => end(&mut child),
                        Victim::Server => self.world.kill_server(),
                    }
                    drop(go);
                }
                Event::Ended(said) => {
                    assert!(!said.contains(VALUE), "{said}");
                    assert!(!said.contains("panicked"), "{said}");
                    break;
                }
            }
        }
        end(&mut child);
        if is_reached && victim == Victim::Server {
            self.world.restart_server();
        }
        (gate.seen(), is_reached)
    }

    /// Runs it to its end, and looks at everything that there is to be seen.
    fn resume_and_check(&self, ears: &Ears, how: &str) {
        let output = self.world.command(&self.words(), &self.token).output().unwrap();
        assert!(output.status.success(), "{how}: {}", text(&output.stderr));
        let shown: Value =
            serde_json::from_str(&self.ask(&["incident", "show", &self.id, "--format", "json"])).unwrap();
        assert_eq!(shown["state"], "settled", "{how}: {shown}");
        for step in shown["steps"].as_array().unwrap() {
            assert_eq!(
                (&step["state"], &step["by"]),
                (&"done".into(), &"token-answers".into()),
                "{how}: {step}"
            );
            assert!(!step["evidence"].as_array().unwrap().is_empty(), "{how}: {step}");
        }
        check_history(shown["events"].as_array().unwrap(), how);
        // It was rotated once, and what got out was ended.
        let metadata = self.world.json(&["kv", "metadata", "get", &self.name]);
        let versions = metadata["data"]["versions"].as_object().unwrap();
        assert_eq!(versions.len(), 2, "{how}: {metadata}");
        assert_ne!(versions["1"]["deletion_time"], "", "{how}");
        assert_eq!(versions["2"]["deletion_time"], "", "{how}");
        let past = self.world.json(&["read", &format!("sys/rotation/history/{}", self.name)]);
        assert_eq!(past["data"]["rotations"].as_array().unwrap().len(), 1, "{how}: {past}");
        assert!(past["data"]["rotations"][0]["note"].as_str().unwrap().contains(&self.id));
        // The grace of whoever uses the old value was not cut short by the second run.
        let status = self.world.json(&["read", &format!("sys/rotation/status/{}", self.name)]);
        assert_eq!(past["data"]["rotations"][0]["retired"], Value::Null, "{how}: {past} {status}");
        // A message may come twice, under one id; there is one.
        wait_until("the webhook is told", || !self.told(ears).is_empty());
        let mut told = self.told(ears);
        told.dedup();
        assert_eq!(told.len(), 1, "{how}: {told:?}");
    }

    fn told(&self, ears: &Ears) -> Vec<String> {
        let told = ears.told.lock().unwrap();
        told.iter().filter(|id| id.contains(&self.id)).cloned().collect()
    }
}

/// In order, by whom it was, and each step begun before it is done, and done once.
fn check_history(events: &[Value], how: &str) {
    let text = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
    let times: Vec<String> = events.iter().map(|event| text(event, "at")).collect();
    assert!(times.is_sorted(), "{how}: {events:?}");
    for step in ["rotate", "revoke", "purge", "rescan", "notify", "post-mortem"] {
        let of: Vec<&Value> = events.iter().filter(|event| event["step"] == step).collect();
        let count = |what: &str| of.iter().filter(|event| text(event, "text").starts_with(what)).count();
        assert!(of.first().is_some_and(|first| text(first, "text") == "begun"), "{how}: {step}: {of:?}");
        assert_eq!(count("done"), 1, "{how}: {step}: {of:?}");
        assert!(
            of.last().is_some_and(|last| text(last, "text").starts_with("done")),
            "{how}: {step}: {of:?}"
        );
        // Once more by who went on.
        assert!(count("begun") <= 2, "{how}: {step}: {of:?}");
        for event in of {
            let by = text(event, "by");
            assert!(by == "token-answers" || (by == "server" && step == "notify"), "{how}: {event}");
        }
    }
}

/// Kills it, as nothing that a program could see.
fn end(child: &mut Child) {
    drop(child.kill());
    drop(child.wait());
}

fn value(number: usize) -> String {
    format!("{VALUE}-{number:04}")
}

/// At each request from the first to the last, at one of the moments after the other.
fn at_every_request(victim: Victim, moments: &[Moment]) {
    let mut world = World::with_server();
    world.write_policy("answers", rules());
    let token = world.token_of("answers", "answers");
    let ears = Ears::open();
    let mut reached = 0;
    for (at, moment) in (1..).zip(moments.iter().cycle()) {
        let mut case = Case::new(&mut world, &token, &ears, reached);
        let (seen, is_reached) = case.break_off((at, *moment), victim);
        let last = seen.last().cloned().unwrap_or_default();
        case.resume_and_check(&ears, &format!("{victim:?} killed {moment:?} request {at}, {last}"));
        if !is_reached {
            break;
        }
        reached += 1;
    }
    println!("{victim:?} killed {reached} times");
    assert!(reached >= 20, "{reached}");
}

#[test]
fn a_run_that_is_killed_at_any_request_goes_on() {
    // Killed before the next request is killed after this one.
    at_every_request(Victim::Client, &[Moment::Before]);
}

#[test]
fn a_run_whose_server_is_killed_at_any_request_goes_on() {
    at_every_request(Victim::Server, &[Moment::Before, Moment::After]);
}

/// Without a server: killed at each line that it says.
#[test]
fn a_run_alone_that_is_killed_at_any_line_goes_on() {
    let ears = Ears::open();
    let webhook = ears.url("alone");
    for at in 1.. {
        let world = World::leaked();
        let made = world.json_with(&["incident", "open", "--value", "-"], VALUE);
        let id = made["id"].as_str().unwrap().to_owned();
        for step in ["revoke", "rotate"] {
            world.json(&["incident", "step", &id, step, "--done", "by hand"]);
        }
        // Where it was pushed to it is gone already.
        world.git(&["push", "-q", "--delete", "origin", "main"]);
        world.git(&["-C", "../origin.git", "gc", "-q", "--prune=now"]);
        let words = ["incident", "run", &id, "--yes", "--webhook", &webhook];
        let mut command = world.program(env!("CARGO_BIN_EXE_strongroom"), &words);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = lines.nth(at - 1);
        end(&mut child);
        let Some(line) = line else {
            assert!(at > 8, "only {at} lines");
            break;
        };
        let how = format!("killed at {:?}", line.unwrap());
        let output = world.run(&words);
        assert!(output.status.success(), "{how}: {}", text(&output.stderr));
        let shown = world.json(&["incident", "show", &id]);
        assert_eq!(shown["state"], "settled", "{how}: {shown}");
        let events = shown["events"].as_array().unwrap();
        for step in ["purge", "rescan", "notify", "post-mortem"] {
            let done = |event: &&Value| {
                event["step"] == step && event["text"].as_str().is_some_and(|text| text.starts_with("done"))
            };
            assert_eq!(events.iter().filter(done).count(), 1, "{how}: {step}: {events:?}");
        }
        assert!(events.iter().all(|event| event["by"] == "ann"), "{how}: {events:?}");
        let log = world.program("git", &["log", "--all", "-p"]).output().unwrap();
        assert!(!text(&log.stdout).contains(VALUE), "{how}");
    }
}
