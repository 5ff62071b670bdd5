//! What of a caller's headers reaches an upstream.
//!
//! A list of what passes, not of what does not: a header that the contract does not know cannot
//! be mistaken for an identity, a route or a trace by anything behind the gateway.

use std::{io::Write as _, time::Duration};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, CONTENT_TYPE, TE, USER_AGENT},
};
use service_kit::layers::{Call, REQUEST_ID, TRACEPARENT};
use tokio::time::Instant;

pub(crate) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// The longest value, in bytes, of headers that a call can do without: a header list that is as
/// long as the edge takes must not be longer than a service takes once ours are in it.
const LONGEST: usize = 256;

/// Who calls, by the caller's own token, and for which call: for every request made for it.
pub(crate) fn of_caller(given: &HeaderMap, call: &Call) -> HeaderMap {
    // Room for all that `forwarded` adds: the map is not moved as it grows.
    let mut headers = HeaderMap::with_capacity(12);
    pass(given, &mut headers, [AUTHORIZATION], usize::MAX);
    pass(given, &mut headers, [USER_AGENT], LONGEST);
    headers.insert(REQUEST_ID, call.request_id().clone());
    headers.insert(TRACEPARENT, call.traceparent());
    headers
}

/// The headers of a request that is forwarded as it came.
pub(crate) fn forwarded(given: &HeaderMap, call: &Call) -> HeaderMap {
    let mut headers = of_caller(given, call);
    pass(given, &mut headers, [CONTENT_TYPE, GRPC_ENCODING], usize::MAX);
    pass(given, &mut headers, [GRPC_ACCEPT_ENCODING], LONGEST);
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(GRPC_TIMEOUT, time_left(call.deadline()));
    headers
}

/// What is left until `deadline`, for `grpc-timeout`.
pub(crate) fn time_left(deadline: Instant) -> HeaderValue {
    timeout(deadline.saturating_duration_since(Instant::now()))
}

/// A length of time as gRPC writes it: at most eight digits and a unit.
fn timeout(left: Duration) -> HeaderValue {
    const LONGEST: u128 = 99_999_999;
    let (number, unit) = match (left.as_micros(), left.as_millis(), left.as_secs()) {
        (micros @ ..=LONGEST, ..) => (micros, 'u'),
        (_, millis @ ..=LONGEST, _) => (millis, 'm'),
        (.., seconds) => (u128::from(seconds).min(LONGEST), 'S'),
    };
    // On the stack, since every call has one.
    let mut text = [0; 9];
    let mut rest = &mut text[..];
    // Unwrap safety: eight digits and a letter at most, all of which a header may have.
    #[allow(clippy::unwrap_used)]
    write!(rest, "{number}{unit}").unwrap();
    let length = 9 - rest.len();
    #[allow(clippy::unwrap_used)]
    HeaderValue::from_bytes(&text[..length]).unwrap()
}

/// Those of `names` that are not longer than `longest` bytes.
fn pass<const N: usize>(
    from: &HeaderMap,
    to: &mut HeaderMap,
    names: [HeaderName; N],
    longest: usize,
) {
    for name in names {
        if let Some(value) = from.get(&name)
            && value.len() <= longest
        {
            to.insert(name, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_keep_to_eight_digits() {
        for (left, text) in [
            (Duration::ZERO, "0u"),
            (Duration::from_millis(1500), "1500000u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_hours(1), "3600000m"),
            (Duration::from_secs(100_000), "100000S"),
        ] {
            assert_eq!(timeout(left), text);
        }
    }
}
