//! `template`: files with placeholders, filled in.

use super::Session;
use crate::context::Context;
use crate::failure::Failure;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use strongroom_project::compose::{Marks, Template};
use strongroom_project::files::{Links, change, read};
use strongroom_project::resolve::Selection;

#[derive(Args)]
#[command(
    after_help = "A placeholder is {{NAME}} or {{NAME|encoding}} with url, base64, json, shell or none. Every name must be \
    declared and have a value; otherwise nothing is written."
)]
pub struct TemplateArgs {
    /// The file with placeholders; - is standard input
    file: PathBuf,
    /// Write to FILE (mode 0600) instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Other marks, as '<%,%>', where {{ }} mean something else
    #[arg(long, value_name = "OPEN,CLOSE")]
    marks: Option<String>,
}

const TEMPLATE_BYTES_MAX: u64 = 16 << 20;

pub fn run(context: &Context, args: &TemplateArgs) -> Result<ExitCode, Failure> {
    let session = Session::open(context)?;
    let bytes = if args.file.as_os_str() == "-" {
        super::set::from_stdin()?
    } else {
        read(&args.file, TEMPLATE_BYTES_MAX)?
    };
    let shown = args.file.display();
    let text = std::str::from_utf8(bytes.expose())
        .map_err(|_| Failure::usage(format!("{shown} is not UTF-8 text")))?;
    let template = Template::parse(text, marks(args)?).map_err(|error| {
        let line = text.get(..error.at()).unwrap_or_default().matches('\n').count() + 1;
        Failure::usage(format!("{shown}:{line}: {error}"))
            .hint("--marks chooses other marks, where {{ }} mean something else")
    })?;
    let mut names: Vec<String> = template.names().map(str::to_owned).collect();
    names.sort();
    names.dedup();
    for name in &names {
        session.declared(name)?;
    }
    let resolution = session.values(Selection::Names(&names))?;
    let filled = template.fill(|name| resolution.value(name)).map_err(|errors| {
        let list: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::missing(list.join("\n       ")).hint("nothing was written")
    })?;
    match &args.output {
        None => context.output.bytes(filled.expose()),
        Some(path) => {
            change(path, Links::Refuse, TEMPLATE_BYTES_MAX)?.replace(filled.expose())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn marks(args: &TemplateArgs) -> Result<Marks<'_>, Failure> {
    let Some(text) = &args.marks else { return Ok(Marks::FILE) };
    match text.split_once(',') {
        Some((open, close)) if !open.is_empty() && !close.is_empty() => {
            Ok(Marks { open, close, escape: None })
        }
        _ => Err(Failure::usage("--marks is written as OPEN,CLOSE")),
    }
}
