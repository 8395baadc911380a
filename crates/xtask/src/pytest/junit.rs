use anyhow::{Context, Result};

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed,
    /// It could not run: its file did not load, or its preparation failed.
    Error,
    Skipped,
}

/// One case of the suite.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// `api.auth_methods.test_token::TestToken::test_token_roles`; a file that did not load has its module alone.
    pub name: String,
    pub verdict: Verdict,
}

impl Case {
    /// The module, as `api.auth_methods.test_token`.
    pub(crate) fn file(&self) -> &str {
        self.name.split("::").next().unwrap_or_default()
    }
}

/// Reads pytest's JUnit XML. A case with an error in its tear-down is listed twice there; it has not passed.
pub(crate) fn read(xml: &str) -> Result<Vec<Case>> {
    let document = roxmltree::Document::parse(xml).context("reading pytest's results")?;
    let mut cases: Vec<Case> = Vec::new();
    for node in document.descendants().filter(|node| node.has_tag_name("testcase")) {
        let verdict = if node.children().any(|child| child.has_tag_name("error")) {
            Verdict::Error
        } else if node.children().any(|child| child.has_tag_name("failure")) {
            Verdict::Failed
        } else if node.children().any(|child| child.has_tag_name("skipped")) {
            Verdict::Skipped
        } else {
            Verdict::Passed
        };
        let name =
            name(node.attribute("classname").unwrap_or_default(), node.attribute("name").unwrap_or_default());
        match cases.iter_mut().find(|case| case.name == name) {
            Some(case) if case.verdict == Verdict::Passed => case.verdict = verdict,
            Some(_) => {}
            None => cases.push(Case { name, verdict }),
        }
    }
    cases.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(cases)
}

fn name(class: &str, case: &str) -> String {
    let short = |text: &str| {
        let text = text.strip_prefix("tests.").unwrap_or(text);
        text.strip_prefix("integration_tests.").unwrap_or(text).to_owned()
    };
    if class.is_empty() {
        return short(case);
    }
    let class = short(class);
    match class.rsplit_once('.') {
        Some((module, class)) => format!("{module}::{class}::{case}"),
        None => format!("{class}::{case}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_every_kind() {
        let xml = r#"<testsuites><testsuite>
            <testcase classname="tests.integration_tests.v1.test_x.TestX" name="test_a"/>
            <testcase classname="tests.integration_tests.v1.test_x.TestX" name="test_b"><failure message="m">t</failure></testcase>
            <testcase classname="tests.integration_tests.v1.test_x.TestX" name="test_c"><skipped/></testcase>
            <testcase classname="tests.integration_tests.v1.test_x.TestX" name="test_a"><error/></testcase>
            <testcase classname="" name="tests.integration_tests.v1.test_y"><error/></testcase>
        </testsuite></testsuites>"#;
        let cases = read(xml).unwrap();
        let list: Vec<_> = cases.iter().map(|case| (case.name.as_str(), case.verdict)).collect();
        assert_eq!(
            list,
            [
                ("v1.test_x::TestX::test_a", Verdict::Error),
                ("v1.test_x::TestX::test_b", Verdict::Failed),
                ("v1.test_x::TestX::test_c", Verdict::Skipped),
                ("v1.test_y", Verdict::Error),
            ]
        );
        assert_eq!(cases.first().unwrap().file(), "v1.test_x");
    }
}
