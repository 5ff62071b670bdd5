//! A channel whose calls carry what belongs to them.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderName, HeaderValue, Request, Response, header::AUTHORIZATION};
use proto::contract;
use tokio::time::{Instant, Sleep};
use tonic::{Status, body::Body, transport::Channel};
use tower::Service;

use super::{ClientConfig, ClientError, channel, deadline_exceeded};
use crate::{
    auth::ServiceToken,
    layers::{Call, REQUEST_ID, TRACEPARENT},
};

/// The time for a call of a method that the contract does not name (health, reflection).
const OTHER_METHODS: Duration = Duration::from_secs(10);

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Another service, for its generated client (`ConsentServiceClient::new(upstream)`). Cheap to
/// clone; clones share the connection. Each call carries:
///
/// - `grpc-timeout`: the least of what is left to the call being handled, of the method's default
///   deadline and of a timeout set on the request. It is kept on this side too, to the end of the
///   response: DEADLINE_EXCEEDED.
/// - `authorization`: the token of this process, unless the request has one.
/// - `x-request-id` and `traceparent` of the call being handled.
#[derive(Debug, Clone)]
pub struct Upstream {
    channel: Channel,
    token: Option<ServiceToken>,
}

/// The service at the configured endpoint, connected when it is first called. Without a `token`
/// this process is known by its certificate.
pub fn connect(
    config: &ClientConfig,
    token: Option<ServiceToken>,
) -> Result<Upstream, ClientError> {
    Ok(Upstream { channel: channel(config)?, token })
}

impl Service<Request<Body>> for Upstream {
    type Response = Response<Body>;
    type Error = tonic::transport::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let deadline = self.prepare(&mut request);
        let call = self.channel.call(request);
        Box::pin(async move {
            match tokio::time::timeout_at(deadline, call).await {
                Ok(Ok(response)) => Ok(response.map(|body| {
                    Body::new(UntilDeadline {
                        body,
                        sleep: Box::pin(tokio::time::sleep_until(deadline)),
                    })
                })),
                // The channel keeps the time as well and may be the first to notice.
                Ok(Err(error)) if Instant::now() < deadline => Err(error),
                Ok(Err(_)) | Err(_) => Ok(deadline_exceeded().into_http()),
            }
        })
    }
}

impl Upstream {
    fn prepare(&self, request: &mut Request<Body>) -> Instant {
        let current = Call::current();
        let now = Instant::now();
        let method = contract::method(request.uri().path());
        let default = method.map_or(OTHER_METHODS, |method| method.default_deadline);
        let own = request.headers().get(GRPC_TIMEOUT).and_then(parse_timeout);
        let left = current.as_ref().map(|call| call.deadline().saturating_duration_since(now));
        let limit = [own, left].into_iter().flatten().fold(default, Ord::min);

        let headers = request.headers_mut();
        headers.insert(GRPC_TIMEOUT, format_timeout(limit));
        if let Some(token) = self.token.as_ref().filter(|_| !headers.contains_key(AUTHORIZATION)) {
            headers.insert(AUTHORIZATION, token.bearer());
        }
        if let Some(call) = current {
            headers.entry(REQUEST_ID).or_insert_with(|| call.request_id().clone());
            headers.insert(TRACEPARENT, call.traceparent());
        }
        now + limit
    }
}

/// A timeout as gRPC writes it: at most eight digits and a unit. Rounded up: the channel keeps it
/// too, and must not be the first to notice, since it does not say that it was the time.
fn format_timeout(limit: Duration) -> HeaderValue {
    let text = match limit.as_nanos().div_ceil(1_000_000) {
        milliseconds if milliseconds < 100_000_000 => format!("{milliseconds}m"),
        milliseconds => format!("{}S", milliseconds.div_ceil(1_000).min(99_999_999)),
    };
    // Unwrap safety: digits and a letter.
    #[allow(clippy::unwrap_used)]
    HeaderValue::try_from(text).unwrap()
}

fn parse_timeout(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u32 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    let unit = match unit {
        "H" => Duration::from_hours(1),
        "M" => Duration::from_mins(1),
        "S" => Duration::from_secs(1),
        "m" => Duration::from_millis(1),
        "u" => Duration::from_micros(1),
        "n" => Duration::from_nanos(1),
        _ => return None,
    };
    Some(unit * number)
}

/// A response that ends with DEADLINE_EXCEEDED when the time is over.
struct UntilDeadline {
    body: Body,
    sleep: Pin<Box<Sleep>>,
}

impl http_body::Body for UntilDeadline {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Status>>> {
        if let frame @ Poll::Ready(_) = Pin::new(&mut self.body).poll_frame(cx) {
            return frame;
        }
        ready!(self.sleep.as_mut().poll(cx));
        Poll::Ready(Some(Err(deadline_exceeded())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn timeouts_are_written_as_grpc_reads_them() {
        for (limit, text) in [
            (Duration::ZERO, "0m"),
            (Duration::from_millis(1_500), "1500m"),
            (Duration::from_micros(99_001), "100m"),
            (Duration::from_hours(24), "86400000m"),
            (Duration::from_secs(200_000), "200000S"),
            (Duration::MAX, "99999999S"),
        ] {
            let value = format_timeout(limit);
            assert_eq!(value, text);
            let read = parse_timeout(&value).unwrap();
            let rounded = limit..limit.saturating_add(Duration::from_millis(1));
            assert!(rounded.contains(&read) || limit == Duration::MAX);
        }
        for bad in ["", "5", "m", "1x", "123456789m", "-1m", "1 m", "€"] {
            let value = HeaderValue::from_bytes(bad.as_bytes()).unwrap();
            assert_eq!(parse_timeout(&value), None, "{bad}");
        }
    }
}
