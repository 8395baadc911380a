//! What a scan reads from outside: archives and texts in all encodings, baselines, templates.

use super::Target;
use std::io::Cursor;
use std::ops::ControlFlow;
use strongroom_detect::detector::Options;
use strongroom_detect::pattern::Pattern;
use strongroom_detect::{Detector, Rule, RuleSet};
use strongroom_scan::baseline::{Baseline, Ignores, Scope};
use strongroom_scan::report::{self, Colour, Format, Redaction, Report, Template, Tool};
use strongroom_scan::{
    ArchiveLimits, Binaries, ContentOptions, Cutting, Located, Statistics, Watch, scan_stream,
};
use strongroom_secret::Timestamp;

pub const TARGETS: &[Target] = &[
    Target {
        name: "baseline",
        examples: &[
            "# strongroom baseline 1\n# key 0707070707070707070707070707070707070707070707070707070707070707\n3806665a6ffb1b79016b7b1676477937 unknown planted a%20b%25.txt\n79c8919c95d2e06421685da957ad36f9 false planted c\n",
            "[{\"RuleID\": \"planted\", \"Description\": \"\", \"StartLine\": 1, \"EndLine\": 1, \"StartColumn\": 9, \"EndColumn\": 28, \"Match\": \"zqz_needle0123456789\", \"Secret\": \"zqz_needle0123456789\", \"File\": \"f\", \"Entropy\": 3.5, \"Tags\": []}]",
            "{\"version\": \"1.5.0\", \"results\": {\"f\": [{\"type\": \"Secret Keyword\", \"hashed_secret\": \"be4fc4886bd949b369d5e092eb87494f12e57e5b\", \"line_number\": 3}]}}",
        ],
        run: baseline,
    },
    Target {
        name: "ignore files",
        examples: &[
            "# comment\nf:planted:1\nabc:d\\e.txt:planted:4\n",
            "^docs/.*:[0-9]+:\nnot-a-real-[[:alpha:]]+$\n",
            "test/*\n[secrets]\nzqz_needle0123456789\n",
        ],
        run: ignore_files,
    },
    Target {
        name: "template",
        examples: &[
            "{{ $last := (sub (len . ) 1) }}[{{- range $i, $f := . }}{\"r\": {{ quote .RuleID }}, \"t\": {{ .Tags | toJson }}}{{ if ne $i $last }},{{ else if eq 1 2 }}{{ end }}{{- end }}]",
            "{{/* a */}}{{ with index . 0 }}{{ printf \"%.2f|%-5s|%q\" .Entropy .File .Secret | upper }}{{ else }}{{ now | date \"Jan 02, 2006 15:04:05 MST\" }}{{ end }}",
        ],
        run: template,
    },
];

/// Small archives of every kind, made by the ordinary tools; a tar is made here.
pub fn archives() -> Vec<Vec<u8>> {
    const DIGITS: &[&str] = &[
        "fd377a585a000004e6d6b4460200210116000000742fe5a301001c746f6b656e203d207a717a5f6e6565646c65303132333435363738390a00000000c51a6348fea045490001351d441bb1e11fb6f37d010000000004595a",
        "28b52ffd241de90000746f6b656e203d207a717a5f6e6565646c65303132333435363738390a4580caf9",
        "425a6839314159265359a4d2c29c00000d5b80001040007fe20000860da4102000228034699064d0a00311a69a341e96eb60be072466c29034559ab07987e2ee48a70a12149a585380",
        "1f8b08000000000000032bc9cf4ecd53b055a82aac8acf4b4d4dc9493530343236313533b7b0e4020011da08dd1d000000",
        "504b03040a0000000000ba117e5d11da08dd1d0000001d00000005001c006e2e7478745554090003e0db0c6be0db0c6b75780b000104000000000400000000746f6b656e203d207a717a5f6e6565646c65303132333435363738390a504b03040a0000000000ba117e5d00000000000000000000000002001c00642f5554090003e0db0c6be0db0c6b75780b000104000000000400000000504b03040a0000000000ba117e5d11da08dd1d0000001d00000003001c00642f6d5554090003e0db0c6be0db0c6b75780b000104000000000400000000746f6b656e203d207a717a5f6e6565646c65303132333435363738390a504b01021e030a0000000000ba117e5d11da08dd1d0000001d000000050018000000000001000000a481000000006e2e7478745554050003e0db0c6b75780b000104000000000400000000504b01021e030a0000000000ba117e5d000000000000000000000000020018000000000000001000ed415c000000642f5554050003e0db0c6b75780b000104000000000400000000504b01021e030a0000000000ba117e5d11da08dd1d0000001d000000030018000000000001000000a48198000000642f6d5554050003e0db0c6b75780b000104000000000400000000504b05060000000003000300dc000000f20000000000",
    ];
    let mut all: Vec<Vec<u8>> = DIGITS.iter().map(|digits| bytes_of(digits)).collect();
    let members: Vec<(&str, Vec<u8>)> =
        ["x.xz", "z.zst", "b", "g.gz", "z.zip"].into_iter().zip(all.clone()).collect();
    all.push(tar(&members));
    all
}

fn bytes_of(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks_exact(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn tar(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, content) in members {
        let mut block = [0_u8; 512];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[100..108].copy_from_slice(b"0000644\0");
        block[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
        block[148..156].fill(b' ');
        block[156] = b'0';
        block[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.extend_from_slice(&block);
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

fn rules() -> RuleSet {
    let mut rule = Rule::new("planted");
    rule.keywords = vec!["zqz".to_owned()];
    rule.regex = Some(Pattern::new("zqz_needle[0-9]{10}").unwrap());
    RuleSet { rules: vec![rule], ..RuleSet::default() }
}

fn found_in(bytes: &[u8], options: &ContentOptions) -> (Vec<Located>, Statistics) {
    thread_local! {
        static DETECTOR: Detector = Detector::new(rules(), Options::native());
    }
    let mut found = Vec::new();
    let statistics = DETECTOR.with(|detector| {
        scan_stream(detector, &mut Cursor::new(bytes), "f", options, Watch::default(), &mut |located| {
            found.push(located);
            ControlFlow::Continue(())
        })
    });
    (found, statistics)
}

/// Anything, as an archive or a text in some encoding. What is looked at stays below the limits, and every finding has its
/// place in what was looked at.
pub fn archive(bytes: &[u8]) {
    let limits = ArchiveLimits { depth: 3, entries: 50, bytes: 1 << 20, ratio: 100 };
    for (binaries, cutting) in [(Binaries::Skipped, Cutting::Gitleaks), (Binaries::LookedAt, Cutting::Whole)]
    {
        let options = ContentOptions { archives: limits.clone(), binaries, cutting };
        let (found, statistics) = found_in(bytes, &options);
        assert!(statistics.texts <= 51 && statistics.findings == found.len() as u64);
        // UTF-16 grows by half at most when it becomes UTF-8.
        assert!(statistics.bytes <= ((1 << 20) + bytes.len() as u64) * 2);
        assert!(
            found
                .iter()
                .all(|located| located.path.starts_with('f') && located.finding.place.start_line >= 1)
        );
    }
}

fn one_finding() -> Vec<Located> {
    found_in(b"token = zqz_needle0123456789\n", &ContentOptions::default()).0
}

/// A baseline of any kind; ours is written as it was read.
pub fn baseline(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(mut baseline) = Baseline::parse(text, "b") {
        let written = baseline.to_text();
        assert_eq!(Baseline::parse(&written, "b").unwrap(), baseline);
        let found = one_finding();
        baseline.update(&found, &rules(), Scope::Part);
        assert!(found.iter().all(|located| baseline.entry(located, "planted").is_some()));
    }
    all_of(".secrets.baseline", text);
}

/// Files that are told by their names.
pub fn ignore_files(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for name in [".gitleaksignore", ".gitallowed", ".secretsignore"] {
        all_of(name, text);
    }
}

fn all_of(name: &str, text: &str) {
    let mut ignores = Ignores::new(Redaction::Revealed);
    if ignores.add(name, text).is_ok() {
        let before = ignores.unused().len();
        let known = one_finding().iter().any(|located| ignores.known(located, &rules()).is_some());
        assert!(known == (ignores.unused().len() < before));
    }
}

/// A template that is read is written or fails with an error; and the other reports are written.
pub fn template(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(template) = Template::parse(text) else { return };
    let (findings, rules) = (one_finding(), rules());
    let report = Report {
        findings: &findings,
        rules: &rules,
        statistics: &Statistics::default(),
        redaction: Redaction::WHOLE,
        tool: Tool::Gitleaks,
    };
    let mut out = Vec::new();
    let _ = report::write(&report, &Format::Template(&template, Timestamp::EPOCH), &mut out);
    report::write(&report, &Format::Human(Colour::Plain), &mut out).unwrap();
    assert!(findings.is_empty() || !String::from_utf8_lossy(&out).contains("needle0123"));
}
