//! `scan baseline`: create, update, audit.

use super::arguments::{BaselineArgs, BaselineCommand, BaselineFrom, CommonArgs, RuleArgs};
use super::audit;
use super::run::{Findings, collect};
use super::sources::{files_failure, git_failure, threads};
use crate::context::Context;
use crate::failure::Failure;
use crate::system::SystemEntropy;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use strongroom_scan::baseline::{self, Baseline, Scope};
use strongroom_scan::git::{self, GitOptions};
use strongroom_scan::report::Redaction;
use strongroom_scan::{FilesOptions, scan_files};

const FILE_NAME: &str = ".strongroom-baseline";

pub fn run(context: &Context, command: &BaselineCommand) -> Result<ExitCode, Failure> {
    match command {
        BaselineCommand::Create(args) => create(context, args),
        BaselineCommand::Update(args) => update(context, args),
        BaselineCommand::Audit(args) => walk(context, args),
    }
}

fn create(context: &Context, args: &BaselineArgs) -> Result<ExitCode, Failure> {
    let file = file(args);
    if file.exists() && !args.force {
        return Err(Failure::usage(format!("{} is there already", file.display())).hint(
            "strongroom scan baseline update keeps what was said of its findings; --force makes it anew",
        ));
    }
    let mut baseline = Baseline::new(&SystemEntropy);
    let findings = find(context, args)?;
    let change = baseline.update(&findings.found, findings.rules(), Scope::Everything);
    write(&file, &baseline)?;
    context.output.note(&format!(
        "{}: {} findings; no value is in it: commit it",
        file.display(),
        change.added
    ));
    Ok(ExitCode::SUCCESS)
}

fn update(context: &Context, args: &BaselineArgs) -> Result<ExitCode, Failure> {
    let file = file(args);
    let mut baseline = load(&file)?;
    let findings = find(context, args)?;
    let scope = if findings.statistics.ended_early { Scope::Part } else { Scope::Everything };
    let change = baseline.update(&findings.found, findings.rules(), scope);
    write(&file, &baseline)?;
    context.output.note(&format!(
        "{}: {} added, {} taken out, {} as before",
        file.display(),
        change.added,
        change.removed,
        change.kept
    ));
    Ok(ExitCode::SUCCESS)
}

fn walk(context: &Context, args: &BaselineArgs) -> Result<ExitCode, Failure> {
    let file = file(args);
    let mut baseline = if file.exists() { load(&file)? } else { Baseline::new(&SystemEntropy) };
    let findings = find(context, args)?;
    let mut keep = |baseline: &Baseline| write(&file, baseline);
    audit::walk(context, &mut baseline, &findings.found, findings.rules(), &mut keep)
}

fn file(args: &BaselineArgs) -> PathBuf {
    let root = args.path.as_deref().unwrap_or(Path::new("."));
    args.file.clone().unwrap_or_else(|| root.join(FILE_NAME))
}

fn load(file: &Path) -> Result<Baseline, Failure> {
    let failed = |error: baseline::BaselineError| Failure::usage(error.to_string());
    let text = baseline::read(file)
        .map_err(|error| failed(error).hint("strongroom scan baseline create makes one"))?;
    Baseline::parse(&text, &file.display().to_string()).map_err(failed)
}

fn write(file: &Path, baseline: &Baseline) -> Result<(), Failure> {
    baseline::replace(file, &baseline.to_text()).map_err(|error| Failure::other(error.to_string()))
}

/// All that a later scan could find, with no baseline between.
fn find(context: &Context, args: &BaselineArgs) -> Result<Findings, Failure> {
    let root = args.path.as_deref().unwrap_or(Path::new("."));
    let is_repository = root.join(".git").exists();
    let from = args.from.unwrap_or(if is_repository { BaselineFrom::Both } else { BaselineFrom::Files });
    let mut common = CommonArgs { rules: duplicate(&args.rules), ..CommonArgs::default() };
    common.known.no_ignore_files = true;
    let file = file(args);
    collect(context, &common, Some(root), Redaction::Revealed, &mut |detector, watch, sink| {
        let mut statistics = strongroom_scan::Statistics::default();
        if from != BaselineFrom::Files {
            let options = GitOptions { threads: threads(), ..GitOptions::default() };
            statistics.add(git::scan_history(root, detector, &options, watch, sink).map_err(git_failure)?);
        }
        if from != BaselineFrom::History {
            let roots = [root.to_owned()];
            let own = strongroom_scan::files::shown_path(&file);
            let mut others = |located: strongroom_scan::Located| match located.path == own {
                true => std::ops::ControlFlow::Continue(()),
                false => sink(located),
            };
            let found = scan_files(detector, &roots, &FilesOptions::default(), watch, &mut others);
            statistics.add(found.map_err(files_failure)?);
        }
        Ok(statistics)
    })
}

fn duplicate(args: &RuleArgs) -> RuleArgs {
    RuleArgs {
        config: args.config.clone(),
        rules: args.rules.clone(),
        enable_rule: args.enable_rule.clone(),
        disable_rule: args.disable_rule.clone(),
        confidence: args.confidence,
        decode_depth: args.decode_depth,
        no_inline_ignores: args.no_inline_ignores,
    }
}
