//! gRPC-Web and CORS: what browsers need to call the gateway.
//!
//! Around the kit's layers, not among them: a preflight comes without a token and must be answered
//! before one is asked for, and the errors of every layer must reach a page as gRPC-Web too. Plain
//! gRPC does not pass through here.

use std::time::Duration;

use http::{
    HeaderName, HeaderValue, Method, Request, Uri, Version,
    header::{AUTHORIZATION, CONTENT_TYPE, ORIGIN},
};
use service_kit::{
    boot::{App, BootError, Edge},
    layers::REQUEST_ID,
};
use tonic_web::GrpcWebLayer;
use tower::Layer as _;
use tower_http::cors::{Any, CorsLayer};

use crate::{config::WebConfig, headers::GRPC_TIMEOUT};

/// How long a browser may remember the answer to a preflight. Chromium keeps none for longer.
const MAX_AGE: Duration = Duration::from_hours(2);

/// Any origin.
const ANY: &str = "*";

/// Adds gRPC-Web to the server where origins are allowed.
///
/// # Errors
/// When an origin is none, all of those named; or when any origin is allowed beside certain ones.
pub(crate) fn serve(app: App, config: &WebConfig) -> Result<App, BootError> {
    let refuse = |why: String| BootError::other(format!("web.allowed_origins: {why}"));
    let allowed = &config.allowed_origins;
    let cors = CorsLayer::new()
        .allow_methods([Method::POST])
        .allow_headers([
            AUTHORIZATION,
            CONTENT_TYPE,
            GRPC_TIMEOUT,
            HeaderName::from_static("x-grpc-web"),
            HeaderName::from_static("x-user-agent"),
        ])
        .expose_headers([
            HeaderName::from_static("grpc-status"),
            HeaderName::from_static("grpc-message"),
            HeaderName::from_static("grpc-status-details-bin"),
            REQUEST_ID,
        ])
        .max_age(MAX_AGE);
    // Never with credentials: a page shows its token, and nothing that a browser adds by itself
    // (cookies, certificates) is a caller's identity here.
    let cors = match allowed.as_slice() {
        [] => return Ok(app),
        [any] if any == ANY => cors.allow_origin(Any),
        origins if origins.iter().any(|origin| origin == ANY) => {
            return Err(refuse(format!("{ANY:?} stands for every origin, so it stands alone")));
        }
        origins => {
            let bad: Vec<_> = origins.iter().filter(|origin| !is_origin(origin)).collect();
            if !bad.is_empty() {
                return Err(refuse(format!("{bad:?}: not as in https://app.example.com:8443")));
            }
            let values = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
            cors.allow_origin(values.collect::<Vec<_>>())
        }
    };
    let wrap = move |server| Edge::new(cors.layer(GrpcWebLayer::new().layer(server)));
    Ok(app.edge(is_for_the_web, wrap))
}

/// Whether browsers write an origin like this: scheme, host, and a port where it is not the
/// scheme's own, in lower case and with nothing after it. One written otherwise would never match.
fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return false };
    let own_port =
        matches!((scheme, authority.port_u16()), ("http", Some(80)) | ("https", Some(443)));
    !own_port
        && text == format!("{scheme}://{authority}")
        && !authority.as_str().contains('@')
        && text == text.to_ascii_lowercase()
}

/// Whether a request may be a browser's. All that is plain gRPC is not.
fn is_for_the_web<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let is_web = |kind: &HeaderValue| kind.as_bytes().starts_with(b"application/grpc-web");
    request.version() != Version::HTTP_2
        || request.method() == Method::OPTIONS
        || headers.contains_key(ORIGIN)
        || headers.get(CONTENT_TYPE).is_some_and(is_web)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        for good in [
            "https://app.example.com",
            "https://app.example.com:8443",
            "http://localhost:5173",
            "http://127.0.0.1",
            "http://[::1]:8080",
            "capacitor://localhost",
        ] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "",
            "null",
            "app.example.com",
            "https://",
            "https://app.example.com/",
            "https://app.example.com/page",
            "https://App.example.com",
            "https://app.example.com:443",
            "http://app.example.com:80",
            "https://anna@app.example.com",
            "https://*.example.com ",
            "https://app.example.com?x",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
