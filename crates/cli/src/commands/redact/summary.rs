//! What was replaced, by name and number. Never a value.

use crate::context::Context;
use serde_json::json;
use std::path::{Path, PathBuf};
use strongroom_detect::redact::{Replaced, Stream};

#[derive(Default)]
pub struct Summary(Vec<(PathBuf, Vec<Replaced>)>);

impl Summary {
    pub fn add(&mut self, path: &Path, stream: &Stream) {
        self.0.push((path.to_owned(), stream.replaced()));
    }

    /// To standard error: standard output is the text's.
    pub fn tell(&self, context: &Context, value_count: usize) {
        if context.project().quiet {
            return;
        }
        if context.wants_json() {
            let files: Vec<_> = self.0.iter().map(|(path, replaced)| file_json(path, replaced)).collect();
            context.output.note(&json!({ "known_values": value_count, "files": files }).to_string());
            return;
        }
        for (path, replaced) in &self.0 {
            let count: u64 = replaced.iter().map(|one| one.count).sum();
            let place =
                if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
            let list: Vec<String> =
                replaced.iter().map(|one| format!("{} {}", one.name, one.count)).collect();
            let list = if list.is_empty() { String::new() } else { format!(" ({})", list.join(", ")) };
            context.output.note(&format!("{place}: {count} replaced{list}"));
        }
    }
}

fn file_json(path: &Path, replaced: &[Replaced]) -> serde_json::Value {
    let one = |one: &Replaced| json!({ "name": one.name, "known": one.is_known, "count": one.count });
    let count: u64 = replaced.iter().map(|one| one.count).sum();
    json!({
        "file": path.to_string_lossy(),
        "count": count,
        "replaced": replaced.iter().map(one).collect::<Vec<_>>(),
    })
}
