//! `cargo xtask bench-scan`: scans of a stream, a folder and a history beside their peers, in turns, in one run.
//!
//! Kingfisher and detect-secrets are installed from the Python package index; gitleaks is built by Go where there is
//! Go; others are given with `--peer`. Each scans with its own rules. Exit codes are not judged: most scanners answer
//! with 1 when they find something.

use crate::outcome::Outcome;
use crate::tools::{self, Profile};
use anyhow::{Context, Result};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(Args)]
pub(crate) struct Options {
    /// How often each program runs, after one round that is not counted.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Our binary [default: a release build].
    #[arg(long)]
    binary: Option<PathBuf>,
    /// A repository whose whole history is scanned. May be given more than once.
    #[arg(long)]
    history: Vec<PathBuf>,
    /// A folder whose files are scanned. May be given more than once.
    #[arg(long)]
    folder: Vec<PathBuf>,
    /// A gitleaks-like program (gitleaks' command line) to measure as well, as name=path. May be given more than once.
    #[arg(long, value_name = "NAME=PATH")]
    peer: Vec<String>,
    /// Leave out the peers whose name is given; they are kingfisher, detect-secrets, gitleaks.
    #[arg(long)]
    without: Vec<String>,
}

/// The same work, by several programs.
struct Work {
    name: String,
    contenders: Vec<Contender>,
}

struct Contender {
    name: String,
    words: Vec<String>,
    input: Option<&'static [u8]>,
    samples: Vec<Sample>,
}

/// What one run took: seconds, and KiB of the largest resident set.
#[derive(Clone, Copy, Default)]
struct Sample {
    wall: f64,
    cpu: f64,
    resident_kib: f64,
    code: i32,
}

/// The programs that are there, by name.
struct Programs {
    ours: PathBuf,
    kingfisher: Option<PathBuf>,
    detect_secrets: Option<PathBuf>,
    /// Programs with gitleaks' command line.
    gitleaks: Vec<(String, PathBuf)>,
}

pub(crate) fn run(options: &Options) -> Result<Outcome> {
    let home = tools::target().join("bench-scan");
    std::fs::create_dir_all(&home)?;
    let programs = Programs::find(options, &home)?;
    let mut works = vec![stream(&programs)];
    works.extend(options.folder.iter().map(|folder| folder_work(&programs, folder)));
    works.extend(options.history.iter().map(|repository| history(&programs, repository)));
    for work in &mut works {
        measure(work, options.rounds)?;
        print!("{}", table(work));
    }
    Ok(Outcome::of_check(true))
}

impl Programs {
    fn find(options: &Options, home: &Path) -> Result<Self> {
        let ours = match &options.binary {
            Some(binary) => binary.canonicalize()?,
            None => tools::build(Profile::Release)?,
        };
        let wanted = |name: &str| !options.without.iter().any(|without| without == name);
        let python = |name: &str| -> Result<Option<PathBuf>> {
            if !wanted(name) {
                return Ok(None);
            }
            let list = tools::root().join("crates/xtask/bench-scan-requirements.txt");
            let python = tools::python_environment(&home.join("python"), &list, &[])?;
            Ok(Some(python.with_file_name(name)))
        };
        let mut gitleaks = Vec::new();
        if wanted("gitleaks") {
            gitleaks.extend(gitleaks_from_go(&home.join("go"))?.map(|path| ("gitleaks".to_owned(), path)));
        }
        for peer in &options.peer {
            let (name, path) = peer.split_once('=').context("--peer wants name=path")?;
            gitleaks.push((name.to_owned(), PathBuf::from(path)));
        }
        Ok(Self {
            ours,
            kingfisher: python("kingfisher")?,
            detect_secrets: python("detect-secrets")?,
            gitleaks,
        })
    }

    fn ours(&self, words: &[&str]) -> Contender {
        Contender::new("strongroom", &self.ours, words)
    }
}

/// gitleaks, built from its module; nothing where there is no Go.
fn gitleaks_from_go(bin: &Path) -> Result<Option<PathBuf>> {
    let program = bin.join("gitleaks");
    if program.is_file() {
        return Ok(Some(program));
    }
    if !tools::installed("go") {
        println!("skipped: gitleaks: there is no Go here");
        return Ok(None);
    }
    let module = "github.com/zricethezav/gitleaks/v8@v8.30.1";
    tools::succeed_in_three(Command::new("go").args(["install", module]).env("GOBIN", bin))?;
    Ok(Some(program))
}

impl Contender {
    fn new(name: &str, program: &Path, words: &[&str]) -> Self {
        let mut all = vec![program.display().to_string()];
        all.extend(words.iter().map(|word| (*word).to_owned()));
        Self { name: name.to_owned(), words: all, input: None, samples: Vec::new() }
    }

    fn reading(mut self, input: &'static [u8]) -> Self {
        self.input = Some(input);
        self
    }

    /// The median of a figure.
    fn median(&self, figure: impl Fn(&Sample) -> f64) -> f64 {
        let mut sorted: Vec<f64> = self.samples.iter().map(figure).collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }
}

/// Six bytes: what a scanner costs before it scans.
fn stream(programs: &Programs) -> Work {
    let input = b"hello\n";
    let mut contenders = vec![programs.ours(&["scan", "stdin"]).reading(input)];
    if let Some(kingfisher) = &programs.kingfisher {
        let words = ["scan", "-", "--no-validate", "--no-update-check", "--quiet"];
        contenders.push(Contender::new("kingfisher", kingfisher, &words).reading(input));
    }
    for (name, path) in &programs.gitleaks {
        contenders.push(Contender::new(name, path, &["stdin", "--no-banner"]).reading(input));
    }
    Work { name: "a stream of 6 bytes".to_owned(), contenders }
}

fn folder_work(programs: &Programs, folder: &Path) -> Work {
    let place = folder.display().to_string();
    let mut contenders = vec![programs.ours(&["scan", "dir", &place])];
    if let Some(kingfisher) = &programs.kingfisher {
        let words =
            ["scan", &place, "--no-validate", "--no-update-check", "--quiet", "--git-history", "none"];
        contenders.push(Contender::new("kingfisher", kingfisher, &words));
    }
    if let Some(program) = &programs.detect_secrets {
        let words = ["-C", &place, "scan", "--all-files", "--no-verify", "."];
        contenders.push(Contender::new("detect-secrets", program, &words));
    }
    for (name, path) in &programs.gitleaks {
        contenders.push(Contender::new(name, path, &["dir", "--no-banner", &place]));
    }
    Work { name: format!("the folder {place}"), contenders }
}

fn history(programs: &Programs, repository: &Path) -> Work {
    let place = repository.display().to_string();
    let git = Path::new("git");
    let mut contenders = vec![
        programs.ours(&["scan", "git", &place]),
        Contender::new(
            "strongroom, incremental",
            &programs.ours,
            &["scan", "history", "--incremental", &place],
        ),
    ];
    if let Some(kingfisher) = &programs.kingfisher {
        let words =
            ["scan", &place, "--no-validate", "--no-update-check", "--quiet", "--git-history", "full"];
        contenders.push(Contender::new("kingfisher", kingfisher, &words));
    }
    for (name, path) in &programs.gitleaks {
        contenders.push(Contender::new(name, path, &["git", "--no-banner", &place]));
    }
    let floor = ["-C", &place, "cat-file", "--batch-all-objects", "--batch", "--buffer"];
    contenders.push(Contender::new("git cat-file, all objects", git, &floor));
    contenders.push(Contender::new("git log -p, all", git, &["-C", &place, "log", "-p", "-U0", "--all"]));
    Work { name: format!("the history of {place}"), contenders }
}

/// In turns, so that a busy moment hits all of them; the first round warms up.
fn measure(work: &mut Work, rounds: usize) -> Result<()> {
    for round in 0..=rounds {
        for contender in &mut work.contenders {
            let sample = sample(contender)?;
            if round > 0 {
                contender.samples.push(sample);
            }
        }
    }
    Ok(())
}

/// One run, measured by the operating system's own account of the finished process.
fn sample(contender: &Contender) -> Result<Sample> {
    let script = tools::root().join("crates/xtask/src/bench_scan/measure.py");
    let mut command = Command::new("python3");
    command.arg(script).args(&contender.words).stdout(Stdio::piped());
    command.stdin(if contender.input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.spawn().context("starting python3")?;
    if let (Some(input), Some(mut pipe)) = (contender.input, child.stdin.take()) {
        std::io::Write::write_all(&mut pipe, input)?;
    }
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let figures: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [wall, user, system, resident_kib, code] = figures[..] else {
        anyhow::bail!("{} could not be started: {text}", contender.name);
    };
    Ok(Sample { wall, cpu: user + system, resident_kib, code: code as i32 })
}

/// Medians, and how many times what ours takes.
fn table(work: &Work) -> String {
    let mut text = format!(
        "{:<40} {:>9} {:>7} {:>9} {:>7} {:>8} {:>5}\n",
        work.name, "wall s", "ratio", "CPU s", "ratio", "MiB", "exit"
    );
    let (wall, cpu) = work
        .contenders
        .first()
        .map_or((1.0, 1.0), |ours| (ours.median(|sample| sample.wall), ours.median(|sample| sample.cpu)));
    for contender in &work.contenders {
        let (own_wall, own_cpu) =
            (contender.median(|sample| sample.wall), contender.median(|sample| sample.cpu));
        text.push_str(&format!(
            "{:<40} {:>9.3} {:>7.1} {:>9.3} {:>7.1} {:>8.0} {:>5}\n",
            contender.name,
            own_wall,
            own_wall / wall,
            own_cpu,
            own_cpu / cpu,
            contender.median(|sample| sample.resident_kib) / 1024.0,
            contender.samples.last().map_or(0, |sample| sample.code),
        ));
    }
    text
}
