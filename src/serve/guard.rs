//! Who may ask: programs of this machine, and the page itself.
//!
//! Any page of the web can make a browser send requests to 127.0.0.1. Of those the `Origin` is another, and newer browsers say so in
//! `Sec-Fetch-Site` too. A page can also let its own name point at 127.0.0.1 (DNS rebinding), and is then of one origin with us; but the
//! browser still sends that name as the `Host`. So `Host` must be an address, or `localhost`.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::refusal::Refusal;

/// What browsers hold the page to: nothing from elsewhere, no script in its markup, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
];

/// The address that is listened at.
#[derive(Clone)]
pub struct Guard(pub SocketAddr);

/// Lets a request through or refuses it; every answer gets the headers that keep a browser careful.
pub async fn guard(State(Guard(own)): State<Guard>, request: Request, next: Next) -> Response {
    let allowed = check(own, request.method(), request.uri(), request.headers());
    let mut response = match allowed {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    response.headers_mut().extend(HEADERS);
    response
}

fn check(own: SocketAddr, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    let forbidden = |text: String| Refusal::new(StatusCode::FORBIDDEN, text);
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Refusal::bad("the request must have one Host header"));
    };
    let host = host.to_str().unwrap_or_default();
    if !is_own(own, host) || uri.authority().is_some_and(|authority| !is_own(own, authority.as_str())) {
        return Err(forbidden(format!("the name is not this server's: ask for http://{}/ itself", shown(own))));
    }
    // Scripts and forms of a page tell where it comes from, those of an opaque origin say `null`.
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let foreign = |origin: &HeaderValue| {
        let origin = origin.to_str().unwrap_or_default();
        !origin.strip_prefix("http://").is_some_and(|origin| origin.eq_ignore_ascii_case(host))
    };
    // A link from anywhere may open the page; that shows nobody else anything.
    let opens = *method == Method::GET && uri.path() == "/";
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let elsewhere = !matches!(site, None | Some(b"same-origin" | b"none"));
    if origins.any(foreign) || (elsewhere && !opens) {
        return Err(forbidden("the request comes from another page".to_owned()));
    }
    Ok(())
}

pub fn shown(own: SocketAddr) -> String {
    if own.ip().is_unspecified() { format!("localhost:{}", own.port()) } else { own.to_string() }
}

/// Whether a `Host` is an address of this machine or `localhost`, and no name that somebody else may have made up. Where other machines
/// may ask, any address will do: nobody can make a browser take one for a name.
fn is_own(own: SocketAddr, host: &str) -> bool {
    const HTTP: u16 = 80;
    let (name, port) = match host.parse::<SocketAddr>() {
        Ok(address) => (Some(address.ip()), address.port()),
        Err(_) => {
            let (name, port) = match host.rsplit_once(':') {
                Some((name, port)) if !port.ends_with(']') => (name, port.parse().unwrap_or(0)),
                _ => (host, HTTP),
            };
            let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
            match bare.parse::<IpAddr>() {
                Ok(ip) => (Some(ip), port),
                Err(_) if name.eq_ignore_ascii_case("localhost") => (None, port),
                Err(_) => return false,
            }
        }
    };
    port == own.port() && name.is_none_or(|ip| !own.ip().is_loopback() || ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(own: &str, method: Method, uri: &str, headers: &[(&'static str, &str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        check(own.parse().unwrap(), &method, &uri.parse().unwrap(), &map).err().map_or(200, |refusal| refusal.status())
    }

    #[test]
    fn hosts_are_addresses_of_this_machine() {
        let get = |own: &str, host: &str| asked(own, Method::GET, "/api/run", &[("host", host)]);
        let own = "127.0.0.1:4000";
        for host in ["127.0.0.1:4000", "localhost:4000", "LocalHost:4000", "[::1]:4000", "127.1.2.3:4000"] {
            assert_eq!(get(own, host), 200, "{host}");
        }
        for host in [
            "evil.example:4000",
            "127.0.0.1",
            "127.0.0.1:4001",
            "localhost",
            "localhost:4001",
            "127.0.0.1.evil.example:4000",
            "",
            "localhost.:4000",
            "10.0.0.1:4000",
            "2130706433:4000",
            "[::1:4000",
            "localhost:4000:4000",
            "a@localhost:4000",
            "::1",
        ] {
            assert_eq!(get(own, host), 403, "{host}");
        }
        for host in ["10.0.0.1:4000", "[fe80::1]:4000", "localhost:4000"] {
            assert_eq!(get("0.0.0.0:4000", host), 200, "{host}");
        }
        assert_eq!(get("0.0.0.0:4000", "evil.example:4000"), 403);
        // The port of the scheme is left out.
        assert_eq!(
            (get("127.0.0.1:80", "127.0.0.1"), get("127.0.0.1:80", "localhost"), get("[::1]:80", "[::1]")),
            (200, 200, 200)
        );
        assert_eq!(asked(own, Method::GET, "/", &[]), 400);
        assert_eq!(asked(own, Method::GET, "/", &[("host", own), ("host", "evil.example:4000")]), 400);
        assert_eq!(asked(own, Method::GET, "http://evil.example:4000/", &[("host", own)]), 403);
        assert_eq!(asked(own, Method::GET, "http://127.0.0.1:4000/", &[("host", own)]), 200);
    }

    #[test]
    fn other_pages_may_only_link_to_it() {
        let own = "127.0.0.1:4000";
        let post =
            |name: &'static str, value: &str| asked(own, Method::POST, "/api/predict", &[("host", own), (name, value)]);
        for origin in [
            "http://evil.example",
            "null",
            "https://127.0.0.1:4000",
            "http://127.0.0.1:4001",
            "http://localhost:4000",
            "",
        ] {
            assert_eq!(post("origin", origin), 403, "{origin}");
        }
        assert_eq!(post("origin", "http://127.0.0.1:4000"), 200);
        for (site, wanted) in
            [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200), ("new-word", 403)]
        {
            assert_eq!(post("sec-fetch-site", site), wanted, "{site}");
        }
        let get = |uri: &str| asked(own, Method::GET, uri, &[("host", own), ("sec-fetch-site", "cross-site")]);
        assert_eq!((get("/"), get("/api/run"), get("/api/cover/1")), (200, 403, 403));
    }
}
