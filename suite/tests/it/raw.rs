//! Calls made from bytes, so that a test can send what no generated client would.

use futures::StreamExt;
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::tokio_stream::Stream,
    transport::Channel,
};

/// Sends and receives messages as the bytes they are.
#[derive(Debug, Default)]
pub(crate) struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put_slice(to, &item);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let all = bytes::Buf::remaining(from);
        Ok(Some(bytes::Buf::copy_to_bytes(from, all).to_vec()))
    }
}

/// Sends the messages to the method at `path` and answers with the last message that came back.
pub(crate) async fn call(
    channel: &Channel,
    path: &str,
    token: Option<&str>,
    messages: impl Stream<Item = Vec<u8>> + Send + 'static,
) -> Result<Vec<u8>, Status> {
    let mut answers = std::pin::pin!(answers(channel, path, token, messages).await?);
    let mut last = Vec::new();
    while let Some(answer) = answers.next().await {
        last = answer?;
    }
    Ok(last)
}

/// Sends one message to a method that answers with a stream, which may have no end, and answers
/// with the first message that came back.
pub(crate) async fn first_answer(
    channel: &Channel,
    path: &str,
    token: Option<&str>,
    message: Vec<u8>,
) -> Result<Vec<u8>, Status> {
    let messages = futures::stream::iter([message]);
    let mut answers = std::pin::pin!(answers(channel, path, token, messages).await?);
    answers.next().await.unwrap_or_else(|| Ok(Vec::new()))
}

async fn answers(
    channel: &Channel,
    path: &str,
    token: Option<&str>,
    messages: impl Stream<Item = Vec<u8>> + Send + 'static,
) -> Result<tonic::Streaming<Vec<u8>>, Status> {
    let mut request = Request::new(messages);
    if let Some(token) = token {
        let bearer = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
    }
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = path.parse().unwrap();
    Ok(grpc.streaming(request, path, Bytes).await?.into_inner())
}

/// [`call`] with one message.
pub(crate) async fn call_once(
    channel: &Channel,
    path: &str,
    token: Option<&str>,
    message: Vec<u8>,
) -> Result<Vec<u8>, Status> {
    call(channel, path, token, futures::stream::iter([message])).await
}
