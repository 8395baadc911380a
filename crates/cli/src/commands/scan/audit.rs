//! `scan baseline audit`: one finding after the other, with its line, for a person who says whether it is a secret. At a terminal
//! one key is an answer; without one, lines are read, and values are not shown.

use crate::context::Context;
use crate::failure::Failure;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use std::io::{BufRead, IsTerminal, Read, Write};
use std::process::ExitCode;
use strongroom_detect::{RuleSet, Severity};
use strongroom_scan::Located;
use strongroom_scan::baseline::{Audited, Baseline, Label};

/// So much of a line is shown around a value.
const LINE_CHARACTERS_MAX: usize = 400;
const QUESTION: &str = "Is this a secret?  y yes   n no   s skip   b back   q quit";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    Skip,
    Back,
    Quit,
}

impl Answer {
    fn of(key: u8) -> Option<Self> {
        Some(match key.to_ascii_lowercase() {
            b'y' => Self::Yes,
            b'n' => Self::No,
            b's' | b' ' => Self::Skip,
            b'b' => Self::Back,
            // Ctrl-C and Ctrl-D too: the terminal does not make signals of keys while we read them.
            b'q' | 3 | 4 | 27 => Self::Quit,
            _ => return None,
        })
    }
}

/// Where answers come from.
struct Reader {
    /// `None`: lines are read.
    keys: Option<Keys>,
}

pub fn walk(
    context: &Context,
    baseline: &mut Baseline,
    found: &[Located],
    rules: &RuleSet,
    keep: &mut dyn FnMut(&Baseline) -> Result<(), Failure>,
) -> Result<ExitCode, Failure> {
    let mut list = baseline.audit(found, rules);
    let open = list.iter().filter(|audited| audited.label == Label::Unknown).count();
    if list.is_empty() {
        context.output.note("nothing was found: there is nothing to say");
        return Ok(ExitCode::SUCCESS);
    }
    if open == 0 {
        context.output.note("of every finding it was said already; answers change what was said");
    }
    let mut reader = Reader::new(context)?;
    let total = list.len();
    let mut at = 0;
    while let Some(audited) = list.get_mut(at) {
        show(&reader, audited, rules, at + 1, total);
        match reader.answer()? {
            Answer::Quit => break,
            Answer::Back => at = at.saturating_sub(1),
            Answer::Skip => at += 1,
            said => {
                let label = if said == Answer::Yes { Label::True } else { Label::False };
                baseline.set_label(audited, label);
                keep(baseline)?;
                at += 1;
            }
        }
    }
    drop(reader);
    tell(context, baseline, &list);
    Ok(ExitCode::SUCCESS)
}

impl Reader {
    fn new(context: &Context) -> Result<Self, Failure> {
        match context.may_ask() && std::io::stdout().is_terminal() {
            true => Keys::new()
                .map(|keys| Self { keys: Some(keys) })
                .map_err(|error| Failure::other(format!("the terminal: {error}"))),
            false => Ok(Self { keys: None }),
        }
    }

    fn answer(&mut self) -> Result<Answer, Failure> {
        let failed = |error: std::io::Error| Failure::other(format!("cannot read an answer: {error}"));
        loop {
            let key = match self.keys {
                Some(_) => {
                    let mut key = [0];
                    match std::io::stdin().lock().read(&mut key).map_err(failed)? {
                        0 => return Ok(Answer::Quit),
                        _ => key[0],
                    }
                }
                None => {
                    let mut line = String::new();
                    match std::io::stdin().lock().read_line(&mut line).map_err(failed)? {
                        0 => return Ok(Answer::Quit),
                        _ => line.trim().bytes().next().unwrap_or(b's'),
                    }
                }
            };
            if let Some(answer) = Answer::of(key) {
                return Ok(answer);
            }
            print(&format!("\r{QUESTION} "));
        }
    }
}

/// A terminal that hands over each key as it is pressed, and does not show it; as before once this is dropped.
struct Keys {
    before: Termios,
}

impl Keys {
    fn new() -> std::io::Result<Self> {
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin)?;
        let mut now = before.clone();
        now.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        now.special_codes[SpecialCodeIndex::VMIN] = 1;
        now.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&stdin, OptionalActions::Now, &now)?;
        // The other screen: what is shown here does not stay in the terminal's memory.
        print("\x1b[?1049h");
        Ok(Self { before })
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        print("\x1b[?1049l");
        // Nothing is left to be done where this fails.
        let _restored = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
    }
}

fn print(text: &str) {
    let mut stdout = std::io::stdout();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

fn show(reader: &Reader, audited: &Audited<'_>, rules: &RuleSet, number: usize, total: usize) {
    let is_screen = reader.keys.is_some();
    let bold = |text: &str| if is_screen { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() };
    let located = audited.located;
    let finding = &located.finding;
    let place = match located.path.as_str() {
        "" => located.object.as_str(),
        path => path,
    };
    let rule = rules.rule(finding.rule);
    let mut text = String::new();
    if is_screen {
        text.push_str("\x1b[2J\x1b[H");
    }
    let severity = rule.map_or(Severity::default(), |rule| rule.severity).name();
    let (line, column) = (finding.place.start_line, finding.place.start_column);
    text.push_str(&format!(
        "{}  {}\n",
        bold(&format!("{number} of {total}")),
        bold(&printable(audited.rule_id))
    ));
    text.push_str(&format!("  {}\n", rule.map_or("", |rule| rule.description.as_str())));
    text.push_str(&format!("  {}:{line}:{column}\n", printable(place)));
    text.push_str(&format!(
        "  severity {severity}, confidence {}, entropy {:.2}\n",
        finding.confidence.name(),
        finding.entropy
    ));
    if let Some(commit) = &located.commit {
        let title = commit.message.lines().next().unwrap_or_default();
        text.push_str(&format!(
            "  commit {}  {}  {}\n",
            commit.id,
            printable(&commit.author),
            printable(title)
        ));
    }
    if located.further > 0 {
        text.push_str(&format!("  and at {} further places\n", located.further));
    }
    text.push_str(&format!("\n{}\n\n", shown_line(located, is_screen)));
    if !finding.decoded_from.is_empty() {
        text.push_str(&format!("  decoded from {}\n", finding.decoded_from.join(" in ")));
    }
    let before = match audited.label {
        Label::Unknown => "nothing was said of it yet",
        Label::True => "said before: a secret",
        Label::False => "said before: no secret",
    };
    text.push_str(&format!("  {before}\n{QUESTION} "));
    if !is_screen {
        text.push('\n');
    }
    print(&text);
}

/// The line with the value in it: inverted on a screen, hidden where somebody else may read along.
fn shown_line(located: &Located, is_screen: bool) -> String {
    let finding = &located.finding;
    let line = String::from_utf8_lossy(finding.line.expose()).into_owned();
    let secret = String::from_utf8_lossy(finding.secret.expose()).into_owned();
    let (before, value, after) = match (secret.is_empty(), line.find(&secret)) {
        (false, Some(at)) => {
            let (before, rest) = line.split_at(at);
            (before, secret.as_str(), rest.get(secret.len()..).unwrap_or_default())
        }
        // What was decoded does not stand in the line as it is.
        _ => ("", if is_screen { secret.as_str() } else { "" }, ""),
    };
    let tail: Vec<char> = before.chars().rev().take(LINE_CHARACTERS_MAX / 2).collect();
    let before: String = tail.into_iter().rev().collect();
    let after: String = after.chars().take(LINE_CHARACTERS_MAX / 2).collect();
    let value: String = value.chars().take(LINE_CHARACTERS_MAX).collect();
    match is_screen {
        true => format!("{}\x1b[7m{}\x1b[0m{}", printable(&before), printable(&value), printable(&after)),
        false => {
            format!("{}[{} characters]{}", printable(&before), secret.chars().count(), printable(&after))
        }
    }
}

/// Without what a terminal would take as a command.
fn printable(text: &str) -> String {
    text.chars()
        .map(|character| if character.is_control() && character != '\n' { ' ' } else { character })
        .collect()
}

fn tell(context: &Context, baseline: &Baseline, list: &[Audited<'_>]) {
    let count = |label| list.iter().filter(|audited| audited.label == label).count();
    context.output.note(&format!(
        "{} secrets, {} that are none, {} of which nothing was said; {} findings in the baseline",
        count(Label::True),
        count(Label::False),
        count(Label::Unknown),
        baseline.len()
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_controls() {
        assert_eq!(Answer::of(b'Y'), Some(Answer::Yes));
        assert_eq!(Answer::of(3), Some(Answer::Quit));
        assert_eq!(Answer::of(b'x'), None);
        assert_eq!(printable("a\x1b[31mb\tc"), "a [31mb c");
    }
}
