//! Markdown. What stands in an incident came from commits, logs and people: nothing of it may become a link, a picture or a tag.

use super::{timeline, words};
use std::fmt::Write;
use strongroom_kernel::incident::Incident;

pub fn render(incident: &Incident) -> String {
    let mut text = format!("# {}\n\n", escaped(&incident.title));
    for (name, value) in words::summary(incident) {
        let _ = writeln!(text, "* **{name}**: {}", escaped(&value));
    }
    let _ = writeln!(text, "\n{}\n", escaped(&words::standing(incident)));
    text.push_str("## Time line\n\n");
    for (time, what) in timeline::marks(incident) {
        let _ = writeln!(text, "* {time}: {}", escaped(&what));
    }
    for table in words::tables(incident) {
        let _ = writeln!(text, "\n## {}\n", table.title);
        if table.rows.is_empty() {
            let _ = writeln!(text, "{}", table.without);
            continue;
        }
        let _ = writeln!(text, "| {} |", table.columns.join(" | "));
        let _ = writeln!(text, "|{}", "---|".repeat(table.columns.len()));
        for row in &table.rows {
            let cells: Vec<String> = row.iter().map(|cell| escaped(cell)).collect();
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        if table.more > 0 {
            let _ = writeln!(text, "\n{} more are not listed.", table.more);
        }
    }
    text
}

/// Every sign that could mean something (CommonMark 0.31, section 2.4) is taken as itself. Addresses that some renderers make
/// links of are broken by what stands for a colon.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '@' => escaped.push_str("&#64;"),
            c if c.is_control() => escaped.push(' '),
            c if c.is_ascii_punctuation()
                && !matches!(
                    c,
                    '.' | ',' | '-' | ':' | '/' | ';' | '\'' | '(' | ')' | '"' | '%' | '=' | '+' | '?'
                ) =>
            {
                escaped.push('\\');
                escaped.push(c);
            }
            c => escaped.push(c),
        }
    }
    // A text that begins like a list or a number is at the beginning of no line of ours.
    escaped.replace("://", "&#58;//").replace("www.", "www&#46;")
}
