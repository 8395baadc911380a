//! Signatures beside AWS's published vectors (the signing test suite of the AWS common runtime, its header form).
use super::*;
use crate::web::Request;

/// The suite's credentials, region, service and time.
fn signature(method: &'static str, target: &str, headers: &[(&'static str, &str)], body: &str) -> String {
    signature_with(None, method, target, headers, body)
}

fn signature_with(
    token: Option<&str>,
    method: &'static str,
    target: &str,
    headers: &[(&'static str, &str)],
    body: &str,
) -> String {
    let credentials = Credentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
        session_token: token.map(Into::into),
        expires: None,
        source: String::new(),
    };
    let time = Timestamp::parse_rfc3339("2015-08-30T12:36:00Z").unwrap();
    let mut request =
        Request::new(method, format!("https://example.amazonaws.com{target}"), Repeat::Safe).body(body);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let signed = sign(request, &credentials, &Scope { region: "us-east-1", service: "service", time });
    let (_, authorization) = signed.headers.last().unwrap();
    authorization.expose().rsplit("Signature=").next().unwrap().to_owned()
}

#[test]
fn signatures_of_requests_without_a_body() {
    for (target, expected) in [
        ("/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("/example/..", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("/example1/example2/../..", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("/./", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("//", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("/./example", "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5"),
        ("//example//", "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84"),
        ("/example space/", "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"),
        (
            "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
        ),
        ("/ሴ", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
        ("/?Param1=value1", "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"),
        (
            "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
            "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
        ),
        ("/?Param2=value2&Param1=value1", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
        (
            "/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=\
             -._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
        ),
        ("/?ሴ=bar", "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"),
    ] {
        assert_eq!(signature("GET", target, &[], ""), expected, "{target}");
    }
    let post = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b";
    assert_eq!(signature("POST", "/", &[], ""), post);
    let query = "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11";
    assert_eq!(signature("POST", "/?Param1=value1", &[], ""), query);
}

#[test]
fn signatures_with_headers() {
    for (headers, expected) in [
        (
            &[("My-Header1", "value2"), ("My-Header1", "value2"), ("My-Header1", "value1")][..],
            "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
        ),
        (
            &[("My-Header1", "value1\n  value2\n     value3")],
            "cfd34249e4b1c8d6b91ef74165d41a32e5fab3306300901bb65a51a73575eefd",
        ),
        (
            &[
                ("My-Header1", "value4"),
                ("My-Header1", "value1"),
                ("My-Header1", "value3"),
                ("My-Header1", "value2"),
            ],
            "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
        ),
        (
            &[("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")],
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        ),
    ] {
        assert_eq!(signature("GET", "/", headers, ""), expected);
    }
    let sorted = "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c";
    assert_eq!(signature("POST", "/", &[("My-Header1", "value1")], ""), sorted);
    let capitals = "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d";
    assert_eq!(signature("POST", "/", &[("My-Header1", "VALUE1")], ""), capitals);
}

#[test]
fn signatures_with_a_session_token_and_with_a_body() {
    let token = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
    assert_eq!(
        signature_with(Some(token), "GET", "/", &[], ""),
        "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"
    );
    let hash = "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e";
    let headers = |kind| [("Content-Type", kind), ("Content-Length", "13"), ("x-amz-content-sha256", hash)];
    assert_eq!(
        signature("POST", "/", &headers("application/x-www-form-urlencoded"), "Param1=value1"),
        "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b"
    );
    assert_eq!(
        signature("POST", "/", &headers("application/x-www-form-urlencoded; charset=utf-8"), "Param1=value1"),
        "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422"
    );
}

#[test]
fn regions_in_arns() {
    assert_eq!(region_of_arn("arn:aws:kms:eu-west-1:111122223333:key/x"), Some("eu-west-1"));
    assert_eq!(region_of_arn("alias/x"), None);
    assert_eq!(region_of_arn("arn:aws:iam::1:role/x"), None);
}
