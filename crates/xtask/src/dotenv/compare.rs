//! Seeded texts, read by our dialects and by the peers whose dialects they are.

use crate::outcome::Outcome;
use crate::tools;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What the texts are made of: all that any dialect gives a meaning to.
const PIECES: [&str; 46] = [
    "A",
    "B",
    "C",
    "x",
    "é",
    "export ",
    "export\t",
    "=",
    "=",
    "=",
    " = ",
    ":",
    ": ",
    "'",
    "\"",
    "`",
    "\\",
    "\\'",
    "\\\"",
    "\\n",
    "\\r",
    "\\$",
    "$",
    "${",
    "}",
    "${A}",
    "${B:-x}",
    "$A",
    "${A:-${B}}",
    "${:-$}{",
    " ",
    " ",
    "#",
    " #",
    "\n",
    "\n",
    "\n",
    "\t",
    ".",
    "-",
    "(",
    "\x0b",
    "\u{a0}",
    "\u{2003}",
    "\u{1c}",
    "\u{feff}",
];

pub(super) fn run(home: &Path, library: &Path, texts: usize, seed: u64) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let ours = || Process::start(&mut Command::new(library));
    let python = tools::python_environment(
        &home.join("peer"),
        &tools::root().join("crates/xtask/dotenv-peer-requirements.txt"),
        &[],
    )?;
    let mut command = Command::new(python);
    command.arg(driver("python.py")).env_clear().env("A", "of the environment");
    outcome += compare("python", &mut ours()?, &mut Process::start(&mut command)?, texts, seed)?;
    if !tools::installed("node") || !tools::installed("npm") {
        println!("skipped: the comparison with npm's dotenv, which needs node and npm in PATH");
        outcome += Outcome::skipped();
        return Ok(outcome);
    }
    let modules = node_modules(home)?;
    let mut command = Command::new("node");
    command.arg(driver("node.cjs")).env("NODE_PATH", modules);
    outcome += compare("node", &mut ours()?, &mut Process::start(&mut command)?, texts, seed)?;
    Ok(outcome)
}

fn driver(name: &str) -> PathBuf {
    tools::root().join("crates/xtask/src/dotenv/peers").join(name)
}

/// npm's dotenv, fetched once.
fn node_modules(home: &Path) -> Result<PathBuf> {
    let folder = home.join("npm");
    let modules = folder.join("node_modules");
    if !modules.join("dotenv").is_dir() {
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("package.json"), "{\"private\": true}")?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "dotenv@17.2.3"]);
        tools::succeed_in_three(npm.current_dir(&folder))?;
    }
    Ok(modules)
}

fn compare(
    dialect: &str,
    ours: &mut Process,
    peer: &mut Process,
    texts: usize,
    seed: u64,
) -> Result<Outcome> {
    let mut random = Random(seed);
    let (mut differences, mut compared) = (0, 0);
    for _ in 0..texts {
        let text = random.text();
        let environment = json!({"A": "of the environment"});
        let request = json!({
            "op": "values", "dialect": dialect, "text": text, "interpolate": true, "override": true,
            "environment": environment,
        });
        let own = ours.ask(&request)?;
        if has_odd_name(&own) {
            continue;
        }
        let theirs = peer.ask(&json!(text))?;
        compared += 1;
        if own != theirs {
            differences += 1;
            println!("{dialect}: {text:?}\n  ours   {own}\n  theirs {theirs}");
        }
        if differences == 10 {
            bail!("{dialect}: ten differences in {compared} texts");
        }
    }
    println!("{dialect}: {compared} seeded texts, {differences} read differently than the peer reads them");
    Ok(Outcome::of_check(differences == 0))
}

/// A mark of the byte order or a carriage return in a name: there we differ from python-dotenv on purpose, or do not care.
fn has_odd_name(values: &Value) -> bool {
    let names = values.as_array().into_iter().flatten().filter_map(|pair| pair.get(0)?.as_str());
    names.into_iter().any(|name| name.contains(['\u{feff}', '\r']))
}

/// A process that answers each line of JSON with one.
struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(command: &mut Command) -> Result<Self> {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let input = child.stdin.take().context("no input")?;
        let output = BufReader::new(child.stdout.take().context("no output")?);
        Ok(Self { child, input, output })
    }

    fn ask(&mut self, question: &Value) -> Result<Value> {
        writeln!(self.input, "{question}")?;
        self.input.flush()?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("the answer {line:?}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It ends with its input; if not, it is ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// SplitMix64: the same texts for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap_or_default()
    }

    fn text(&mut self) -> String {
        let length = 1 + self.below(25);
        let text: String =
            (0..length).filter_map(|_| PIECES.get(self.below(PIECES.len()))).copied().collect();
        let text = text.trim_start_matches('\u{feff}').to_owned();
        if self.below(4) == 0 { text.replace('\n', "\r\n") } else { text }
    }
}
