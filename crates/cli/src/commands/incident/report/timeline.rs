//! The time line as a picture (SVG): since when the value was out, who read it, and what was done.

use super::html::escaped;
use super::words;
use std::fmt::Write;
use strongroom_kernel::incident::{Incident, StepState};
use strongroom_secret::Timestamp;

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 40.0;
const RIGHT: f64 = 960.0;
/// Lines of the picture.
const OUT: f64 = 60.0;
const READ: f64 = 110.0;
const AXIS: f64 = 160.0;
const LABEL_HEIGHT: f64 = 20.0;
/// Accesses that are drawn.
const DOTS_MAX: usize = 200;

/// What happened when, in the order of time.
pub fn marks(incident: &Incident) -> Vec<(Timestamp, String)> {
    let mut marks: Vec<(Timestamp, String)> = Vec::new();
    if let Some(since) = incident.exposed_since() {
        let by = incident.facts.findings.iter().find(|seen| seen.date == Some(since));
        let place = by.map(|seen| format!(" in {} by {}", seen.path, seen.author)).unwrap_or_default();
        marks.push((since, format!("the value got out{place}")));
    }
    for secret in &incident.facts.secrets {
        if let (Some(created), Some(version)) = (secret.created, secret.version) {
            marks.push((created, format!("version {version} of {} was made", secret.name)));
        }
    }
    let accesses = &incident.facts.accesses;
    if let (Some(first), Some(last)) = (accesses.first(), accesses.last()) {
        marks.push((first.time, format!("the first access on record, by {}", first.who)));
        if last.time > first.time {
            marks.push((last.time, format!("the last access on record, by {}", last.who)));
        }
    }
    marks.push((incident.opened, "the incident was opened".to_owned()));
    for step in &incident.steps {
        if let Some(at) = step.at.filter(|_| step.state != StepState::Open) {
            marks.push((at, format!("{}: {}", step.kind.as_str(), step.state.as_str())));
        }
    }
    if let Some(closing) = &incident.closed {
        marks.push((closing.at, "the incident was closed".to_owned()));
    }
    marks.sort();
    marks
}

/// Months may lie between the leak and its discovery, and seconds between two steps: so each mark is as far from the next as any
/// other, and what lies between two is drawn between them.
pub fn picture(incident: &Incident) -> String {
    let marks = marks(incident);
    let scale = Scale::new(&marks);
    let height = AXIS + 30.0 + LABEL_HEIGHT * marks.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"Time line, not to scale\" font-family=\"system-ui,sans-serif\" font-size=\"13\">\n"
    );
    let (since, until) = words::window(incident);
    if let Some(since) = since {
        let (from, to) = (scale.x(since), until.map_or(RIGHT, |until| scale.x(until)));
        bar(&mut svg, from, to.max(from + 4.0));
    }
    let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{}\" fill=\"#5a6675\">accesses</text>", READ - 14.0);
    for access in incident.facts.accesses.iter().rev().take(DOTS_MAX) {
        let colour = if access.error.is_empty() { "#b4460f" } else { "#8a94a3" };
        let title = format!("{} {} from {}", access.time, access.who, access.from);
        let _ = writeln!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{READ}\" r=\"4\" fill=\"{colour}\" fill-opacity=\"0.6\"><title>{}</title></circle>",
            scale.x(access.time),
            escaped(&title)
        );
    }
    let _ =
        writeln!(svg, "<line x1=\"{LEFT}\" y1=\"{AXIS}\" x2=\"{RIGHT}\" y2=\"{AXIS}\" stroke=\"#1c2430\"/>");
    for (number, (time, what)) in marks.iter().enumerate() {
        label(&mut svg, scale.x(*time), number, &format!("{time}  {what}"));
    }
    svg.push_str("</svg>");
    svg
}

fn bar(svg: &mut String, from: f64, to: f64) {
    let (y, width) = (OUT - 14.0, to - from);
    let _ = writeln!(
        svg,
        "<rect x=\"{from:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"22\" rx=\"4\" fill=\"#c62f2f\" fill-opacity=\"0.75\"/>\n\
         <text x=\"{from:.1}\" y=\"{}\" fill=\"#c62f2f\">valid, and out</text>",
        y - 6.0
    );
}

fn label(svg: &mut String, x: f64, number: usize, text: &str) {
    let y = AXIS + 28.0 + LABEL_HEIGHT * number as f64;
    let (anchor, shift) = if x > WIDTH / 2.0 { ("end", -6.0) } else { ("start", 6.0) };
    let _ = writeln!(
        svg,
        "<circle cx=\"{x:.1}\" cy=\"{AXIS}\" r=\"4\" fill=\"#1c2430\"/>\n\
         <line x1=\"{x:.1}\" y1=\"{AXIS}\" x2=\"{x:.1}\" y2=\"{y:.1}\" stroke=\"#b7c0cc\"/>\n\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\" fill=\"#1c2430\">{}</text>",
        x + shift,
        y,
        escaped(text)
    );
}

struct Scale {
    knots: Vec<Timestamp>,
}

impl Scale {
    fn new(marks: &[(Timestamp, String)]) -> Self {
        let mut knots: Vec<Timestamp> = marks.iter().map(|(time, _)| *time).collect();
        knots.dedup();
        Self { knots }
    }

    fn x(&self, time: Timestamp) -> f64 {
        let last = self.knots.len().saturating_sub(1);
        let after = self.knots.partition_point(|knot| *knot <= time);
        let place = match (
            after.checked_sub(1).and_then(|before| Some((before, self.knots.get(before)?))),
            self.knots.get(after),
        ) {
            (None, _) => 0.0,
            (Some((before, _)), None) => before as f64,
            (Some((before, start)), Some(end)) => {
                let whole = end.since(*start).as_secs_f64();
                let part = time.since(*start).as_secs_f64();
                before as f64 + if whole > 0.0 { part / whole } else { 0.0 }
            }
        };
        LEFT + (RIGHT - LEFT) * if last == 0 { 0.5 } else { place / last as f64 }
    }
}
