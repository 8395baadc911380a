use crate::vault::Refusal;
use hyper::HeaderMap;
use ipnet::IpNet;
use std::net::IpAddr;

/// How to find a client's address behind a proxy: Vault's `x_forwarded_for_*` settings of a listener.
#[derive(Debug, Clone)]
pub struct ForwardedFor {
    /// The proxies whose word is taken.
    pub trusted: Vec<IpNet>,
    /// Addresses to skip from the end of the list; zero behind one proxy.
    pub hop_skips: usize,
    /// Refuse connections that do not come from a trusted proxy; otherwise their own address counts.
    pub reject_not_authorized: bool,
    /// Refuse requests without the header; otherwise the connection's address counts.
    pub reject_not_present: bool,
}

impl ForwardedFor {
    /// Vault's defaults: what does not come through a trusted proxy is refused.
    pub fn from_proxies(trusted: Vec<IpNet>) -> Self {
        Self { trusted, hop_skips: 0, reject_not_authorized: true, reject_not_present: true }
    }

    /// The client's address, from the connection's and the request's headers.
    pub(crate) fn client(
        &self,
        connection: Option<IpAddr>,
        headers: &HeaderMap,
    ) -> Result<Option<IpAddr>, Refusal> {
        let mut chain = Vec::new();
        for value in headers.get_all("x-forwarded-for") {
            let text = value.to_str().map_err(|_| Refusal::invalid("malformed x-forwarded-for header"))?;
            chain.extend(text.split(',').map(str::trim));
        }
        if chain.is_empty() {
            return match self.reject_not_present {
                true => Err(Refusal::invalid("missing x-forwarded-for header: this listener is for a proxy")),
                false => Ok(connection),
            };
        }
        if !connection.is_some_and(|address| self.trusted.iter().any(|net| net.contains(&address))) {
            return match self.reject_not_authorized {
                true => Err(Refusal::invalid("client address not authorized for x-forwarded-for")),
                false => Ok(connection),
            };
        }
        let index = chain.len().checked_sub(self.hop_skips + 1);
        let text = index.and_then(|index| chain.get(index)).ok_or_else(|| {
            Refusal::invalid("malformed x-forwarded-for: hops to skip would skip before the earliest link")
        })?;
        parse_address(text).map(Some).ok_or_else(|| Refusal::invalid("malformed x-forwarded-for header"))
    }
}

/// An address, alone or with a port.
fn parse_address(text: &str) -> Option<IpAddr> {
    let address = text.parse().or_else(|_| text.parse().map(|address: std::net::SocketAddr| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_proxy_speaks_for_others() {
        let rule = ForwardedFor::from_proxies(vec!["10.0.0.0/8".parse().unwrap()]);
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "1.1.1.1, 2.2.2.2".parse().unwrap());
        headers.append("x-forwarded-for", "3.3.3.3:99".parse().unwrap());
        let address = |text: &str| Some(text.parse().unwrap());
        assert_eq!(rule.client(address("10.1.2.3"), &headers).ok(), Some(address("3.3.3.3")));
        assert!(rule.client(address("11.1.2.3"), &headers).is_err());
        assert!(rule.client(address("10.1.2.3"), &HeaderMap::new()).is_err());
        let skipping = ForwardedFor { hop_skips: 2, ..rule.clone() };
        assert_eq!(skipping.client(address("10.1.2.3"), &headers).ok(), Some(address("1.1.1.1")));
        assert!(ForwardedFor { hop_skips: 3, ..rule.clone() }.client(address("10.1.2.3"), &headers).is_err());
        let lenient = ForwardedFor { reject_not_authorized: false, reject_not_present: false, ..rule };
        assert_eq!(lenient.client(address("11.1.2.3"), &headers).ok(), Some(address("11.1.2.3")));
        assert_eq!(lenient.client(address("10.1.2.3"), &HeaderMap::new()).ok(), Some(address("10.1.2.3")));
    }
}
