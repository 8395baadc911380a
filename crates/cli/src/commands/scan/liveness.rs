//! `--validate`: whether what was found is still valid, asked of the service that issued it. Only when asked, only hosts that may
//! be asked, each value once.

use super::arguments::ValidateArgs;
use super::run::Findings;
use crate::commands::project::surroundings;
use crate::context::Context;
use crate::failure::Failure;
use std::collections::HashMap;
use std::path::PathBuf;
use strongroom_project::liveness::{Hosts, Liveness, Verdict};
use strongroom_secret::SecretString;

/// A scan that finds more distinct values asks about the first of them.
const VALUES_MAX: usize = 500;

pub fn ask(context: &Context, args: &ValidateArgs, findings: &mut Findings) -> Result<(), Failure> {
    if context.project().offline {
        return Err(Failure::usage("--validate asks services over the network, and --offline forbids it"));
    }
    let hosts = Hosts::parse(&args.validate_host).map_err(Failure::usage)?;
    let liveness = Liveness::new(surroundings(context, PathBuf::from(".")), hosts);
    let mut verdicts: HashMap<(usize, Vec<u8>), Verdict> = HashMap::new();
    let mut unasked = 0;
    for located in &mut findings.found {
        let finding = &mut located.finding;
        let rule_id = findings.detector.rules().rule(finding.rule).map_or("", |rule| rule.id.as_str());
        let key = (finding.rule, finding.secret.expose().to_vec());
        let verdict = match verdicts.get(&key) {
            Some(verdict) => verdict.clone(),
            None if verdicts.len() >= VALUES_MAX => {
                unasked += 1;
                continue;
            }
            None => {
                let secret =
                    SecretString::from(String::from_utf8_lossy(finding.secret.expose()).into_owned());
                let verdict = liveness.check(rule_id, &secret);
                verdicts.entry(key).or_insert(verdict).clone()
            }
        };
        if let Some(note) = verdict.note() {
            finding.notes.push(note);
        }
    }
    verdicts.into_keys().for_each(|(_, mut secret)| zeroize::Zeroize::zeroize(&mut secret));
    if unasked > 0 {
        context
            .output
            .note(&format!("{unasked} findings were not asked about: more than {VALUES_MAX} values"));
    }
    Ok(())
}
