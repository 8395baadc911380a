//! HTML: one file that reaches nothing and runs nothing.

use super::{timeline, words};
use std::fmt::Write;
use strongroom_kernel::incident::Incident;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#1c2430}\
    table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.3em .6em;\
    border-bottom:1px solid #d5dbe3;overflow-wrap:anywhere}th{background:#f2f5f9}svg{width:100%;height:auto}\
    dt{font-weight:600}dd{margin:0 0 .4em}.none{color:#5a6675}";

pub fn render(incident: &Incident) -> String {
    let title = escaped(&incident.title);
    // Nothing is loaded and nothing runs, whatever somebody managed to put into a name.
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<h1>{title}</h1>\n<dl>\n"
    );
    for (name, value) in words::summary(incident) {
        let _ = writeln!(text, "<dt>{}</dt><dd>{}</dd>", escaped(name), escaped(&value));
    }
    let _ = writeln!(text, "</dl>\n<p>{}</p>", escaped(&words::standing(incident)));
    let _ = writeln!(text, "<h2>Time line</h2>\n{}", timeline::picture(incident));
    for table in words::tables(incident) {
        let _ = writeln!(text, "<h2>{}</h2>", escaped(table.title));
        if table.rows.is_empty() {
            let _ = writeln!(text, "<p class=\"none\">{}</p>", escaped(table.without));
            continue;
        }
        let head: String = table.columns.iter().map(|name| format!("<th>{}</th>", escaped(name))).collect();
        let _ = writeln!(text, "<table>\n<tr>{head}</tr>");
        for row in &table.rows {
            let cells: String = row.iter().map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
            let _ = writeln!(text, "<tr>{cells}</tr>");
        }
        text.push_str("</table>\n");
        if table.more > 0 {
            let _ = writeln!(text, "<p class=\"none\">{} more are not listed.</p>", table.more);
        }
    }
    text.push_str("</body>\n</html>\n");
    text
}

/// For text and for attributes in quotation marks.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
