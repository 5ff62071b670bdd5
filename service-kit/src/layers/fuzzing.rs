//! What must hold of framing and headers, whatever comes: for the fuzz targets, and for tests of few
//! cases.

use http::{HeaderMap, HeaderValue};
use opentelemetry::trace::TraceFlags;

use super::{
    call,
    deadline::given,
    framing::{Fault, Frames},
};

/// The first three bytes say how many messages may come, how large one may be, and in what pieces
/// the rest comes.
///
/// # Panics
/// When the pieces matter, or the body is taken for another than it is.
pub fn frames(data: &[u8]) {
    let Some(([streams, limit, piece], body)) = data.split_first_chunk() else { return };
    let (streams, limit) = (streams % 2 == 1, usize::from(*limit));
    let piece = usize::from(*piece).max(1);
    let expected = oracle(body, streams, limit);
    for piece in [piece, 1, body.len().max(1)] {
        let mut frames = Frames::new(streams, limit);
        let mut passed = 0;
        let mut fault = None;
        for some in body.chunks(piece) {
            match frames.take(some) {
                Ok(()) => passed += some.len(),
                Err((found, good)) => {
                    passed += good;
                    fault = Some(found);
                    break;
                }
            }
        }
        let fault = fault.or_else(|| frames.fault_at_end());
        assert_eq!(fault.is_none(), frames.is_whole() && passed == body.len());
        assert_eq!(fault, expected.err().map(|(fault, _)| fault), "in pieces of {piece}");
        // Whoever reads what was passed on has whole messages, and less than a prefix behind them.
        if let Err((_, whole)) = expected
            && !matches!(fault, Some(Fault::Short | Fault::Missing))
        {
            assert!((whole..whole + 5).contains(&passed), "{passed} bytes passed on, not {whole}");
        }
    }
}

/// The same from the whole body: the fault, and how many bytes of whole messages are before it.
fn oracle(body: &[u8], streams: bool, limit: usize) -> Result<(), (Fault, usize)> {
    let (mut at, mut any) = (0, false);
    while let Some(flag) = body.get(at) {
        if any && !streams {
            return Err((Fault::TooMany, at));
        }
        match flag {
            0 => {}
            1 => return Err((Fault::Compressed, at)),
            _ => return Err((Fault::Flag, at)),
        }
        let Some(length) = body[at + 1..].first_chunk() else { return Err((Fault::Short, at)) };
        let length = u32::from_be_bytes(*length) as usize;
        if length > limit {
            return Err((Fault::TooLarge { limit }, at));
        }
        if body.len() - at - 5 < length {
            return Err((Fault::Short, at));
        }
        at += 5 + length;
        any = true;
    }
    if any || streams { Ok(()) } else { Err((Fault::Missing, 0)) }
}

/// `grpc-timeout`, `traceparent` and `x-request-id` of these bytes.
///
/// # Panics
/// When one is taken over that is not what it should be.
pub fn headers(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    let mut headers = HeaderMap::new();
    headers.insert("grpc-timeout", value);
    if given(&headers).is_some() {
        assert!((2..=9).contains(&data.len()) && data[..data.len() - 1].is_ascii());
    }
    if let Some(context) = call::parse(data) {
        let (trace, span) = (context.trace_id(), context.span_id());
        let flags = u8::from(context.trace_flags() == TraceFlags::SAMPLED);
        let ours = format!("00-{trace}-{span}-0{flags}");
        assert!(context.is_valid() && data[3..53] == ours.as_bytes()[3..53]);
        assert!(call::parse(ours.as_bytes()).is_some());
    }
    if call::is_request_id(data) {
        assert!(data.len() <= 64 && data.iter().all(u8::is_ascii_graphic));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    fn body() -> impl Strategy<Value = Vec<u8>> {
        let message = prop_oneof![
            8 => (0_u8..9).prop_map(|length| {
                [&[0, 0, 0, 0, length], vec![7; usize::from(length)].as_slice()].concat()
            }),
            1 => prop::collection::vec(0_u8..4, 0..9),
        ];
        let head = prop::collection::vec(0_u8..12, 3);
        (head, prop::collection::vec(message, 0..4))
            .prop_map(|(head, messages)| [head, messages.concat()].concat())
    }

    proptest! {
        #[test]
        fn frames_are_told_apart_in_any_pieces(data in body()) {
            super::frames(&data);
        }

        #[test]
        fn no_header_is_too_odd(
            data in prop_oneof!["[0-9+-]{0,9}[HMSmunx]", "[0-9a-f-]{50,58}", "\\PC{0,70}"],
        ) {
            super::headers(data.as_bytes());
        }
    }
}
