//! The wire codec of the generated clients and servers.

use std::marker::PhantomData;

use prost::{Message, Name};
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder},
};
use tonic_prost::ProstEncoder;

use crate::{errors::v1::Reason, status};

/// Protobuf, with one difference from tonic's own codec: bytes that are not a message (a wrong
/// wire format, text that is not UTF-8) are the sender's fault, not the server's, so a request
/// that cannot be decoded is INVALID_ARGUMENT with [`Reason::MessageMalformed`], not INTERNAL.
#[derive(Debug, Clone)]
pub struct ContractCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for ContractCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for ContractCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ContractDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        ContractDecoder(PhantomData)
    }
}

/// The decoder of [`ContractCodec`].
#[derive(Debug)]
pub struct ContractDecoder<U>(PhantomData<U>);

impl<U: Message + Name + Default> Decoder for ContractDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        U::decode(buf).map(Some).map_err(|_| {
            // The contract names every request `…Request`; a client decodes only responses.
            let (reason, whose) = if U::NAME.ends_with("Request") {
                (Reason::MessageMalformed, "request")
            } else {
                (Reason::Internal, "response")
            };
            status::status(reason, format!("the {whose} is not a valid {}", U::full_name()))
        })
    }
}
