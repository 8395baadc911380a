use super::*;
use strongroom_kernel::incident::{Access, Act, By, Change, Facts, Leaked, Reader, Sighting, StepKind};
use strongroom_secret::Timestamp;

/// What somebody may have put into names, to see it run in a report.
const HOSTILE: &str =
    "<script>alert(1)</script>\"' onload=x [a](javascript:x) ![b](http://e.example/p.png) `c` | d";

fn incident() -> Incident {
    let by = |seconds: i64| By { name: HOSTILE, at: Timestamp::from_seconds(1_790_000_000 + seconds) };
    let at = |seconds: i64| Timestamp::from_seconds(1_790_000_000 + seconds);
    let text = || HOSTILE.to_owned();
    let access = |seconds: i64| Access {
        time: at(seconds),
        who: text(),
        entity: text(),
        accessor: text(),
        from: text(),
        operation: "read".to_owned(),
        path: text(),
        request: seconds.to_string(),
        error: String::new(),
    };
    let facts = Facts {
        secrets: vec![Leaked {
            name: text(),
            version: Some(3),
            created: Some(at(-9000)),
            ..Leaked::default()
        }],
        findings: vec![Sighting {
            path: text(),
            author: text(),
            date: Some(at(-5000)),
            remotes: vec![text()],
            ..Sighting::default()
        }],
        readers: vec![Reader { kind: text(), name: text(), by: text() }],
        accesses: (-40..0).map(|n| access(n * 100)).collect(),
        unknown: vec![text()],
        ..Facts::default()
    };
    let mut incident = Incident::open("2026-09-21-00c0ffee00".to_owned(), HOSTILE, facts, by(0)).unwrap();
    let done = Act::Done { evidence: vec![evidence(HOSTILE, HOSTILE)] };
    incident.apply(Change::Step { step: StepKind::Rotate, act: done }, by(60), 1).unwrap();
    incident
}

#[test]
fn a_page_runs_and_loads_nothing() {
    let page = render(&incident(), Form::Html);
    for wrong in ["<script", "onload=x ", "<img", "href", "src="] {
        let is_text = wrong == "onload=x ";
        assert!(is_text || !page.contains(wrong), "{wrong}");
    }
    // Every mark that could end a text or an attribute is written otherwise.
    assert!(!page.contains("\"' onload"));
    assert!(page.contains("default-src 'none'"));
    assert!(page.contains("<svg") && page.matches("<circle").count() > 40);
    // The parts of the picture are within it.
    let places =
        page.split("cx=\"").skip(1).map(|rest| rest.split('"').next().unwrap().parse::<f64>().unwrap());
    assert!(places.into_iter().all(|x| (0.0..=1000.0).contains(&x)));
}

#[test]
fn markdown_holds_text_alone() {
    let text = render(&incident(), Form::Markdown);
    // Signs after a backslash are text.
    let signs: String =
        text.split('\\').enumerate().map(|(n, part)| part.get(usize::from(n > 0)..).unwrap()).collect();
    for wrong in ["<script", "](http", "](javascript", "![b]", "http://", "`c`"] {
        assert!(!signs.contains(wrong), "{wrong}: {text}");
    }
    // A cell stays in its cell.
    let row = text.lines().find(|line| line.contains("read ") && line.starts_with("| 2026")).unwrap();
    assert_eq!(row.replace("\\|", "").matches('|').count(), 6, "{row}");
}

#[test]
fn a_report_says_since_when_until_when_and_who() {
    let text = render(&incident(), Form::Markdown);
    assert!(text.contains("* **Could have been read since**: 2026-09-21T12:"), "{text}");
    assert!(text.contains("* **Accesses on record**: 40, 40 of them since then"), "{text}");
    assert!(text.contains("The value was replaced at 2026-09-21T14:"), "{text}");
}

#[test]
fn a_mail_names_the_secret_and_what_is_done() {
    let mail = words::mail(&incident());
    assert!(
        mail.starts_with("Subject: [incident 2026-09-21-00c0ffee00]") && mail.contains("rotate       done"),
        "{mail}"
    );
}
