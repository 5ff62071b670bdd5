//! HTTP/2 by hand: what no client library lets its user do.

use std::{collections::VecDeque, io, time::Duration};

use http::HeaderValue;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::world::{PATIENCE, World};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const ACK: u8 = 1;

pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const FLOW_CONTROL_ERROR: u32 = 3;
pub(crate) const FRAME_SIZE_ERROR: u32 = 6;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const CHECK: &str = "/assent.consent.v1.ConsentService/Check";
pub(crate) const WATCH: &str = "/assent.consent.v1.ConsentService/WatchChanges";
pub(crate) const APPEND: &str = "/assent.audience.v1.AudienceService/AppendUpload";

/// A frame that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of a `GOAWAY` or `RST_STREAM`.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// A frame to send.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub(crate) fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

pub(crate) fn window_update(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

/// SETTINGS with one setting.
pub(crate) fn setting(id: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

/// The initial window of streams, as a setting.
pub(crate) const INITIAL_WINDOW: u16 = 4;

/// A header field as HPACK has it, without indexing and without Huffman codes.
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        let mut length = text.len();
        let mut coded = vec![];
        if length < 127 {
            coded.push(u8::try_from(length).unwrap());
        } else {
            coded.push(127);
            length -= 127;
            while length >= 128 {
                coded.push(u8::try_from(length % 128).unwrap() | 128);
                length /= 128;
            }
            coded.push(u8::try_from(length).unwrap());
        }
        [coded, text.as_bytes().to_vec()].concat()
    };
    [vec![0], text(name), text(value)].concat()
}

/// A message that the gateway has no reason to refuse.
pub(crate) fn message(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&[0][..], &length, bytes].concat()
}

/// A connection that does as it is told.
pub(crate) struct Raw {
    stream: TcpStream,
    read: VecDeque<u8>,
}

impl Raw {
    /// Connected, and nothing said.
    pub(crate) async fn silent(world: &World) -> Self {
        let stream = TcpStream::connect(world.gateway.address()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: VecDeque::new() }
    }

    /// With the preface said, and these settings.
    pub(crate) async fn with(world: &World, settings: &[u8]) -> Self {
        let mut raw = Self::silent(world).await;
        raw.send(PREFACE).await.unwrap();
        raw.send(settings).await.unwrap();
        raw
    }

    /// With the preface said, and no settings.
    pub(crate) async fn open(world: &World) -> Self {
        Self::with(world, &frame(SETTINGS, 0, 0, &[])).await
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(PATIENCE, self.stream.write_all(bytes)).await.expect("nobody reads")
    }

    /// The next frame; none when the connection has ended.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let head: Vec<u8> = self.take(9).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
        let payload = self.take(length).await?;
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    async fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.read.len() < count {
            let mut buffer = vec![0; 16 << 10];
            let read = timeout(PATIENCE, self.stream.read(&mut buffer)).await;
            match read.expect("the connection neither ends nor says anything") {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.read.extend(&buffer[..count]),
            }
        }
        Some(self.read.drain(..count).collect())
    }

    /// What comes, as text, until this has.
    pub(crate) async fn text(&mut self, end: &str) -> String {
        let mut text = String::new();
        while !text.contains(end) {
            let Some(byte) = self.take(1).await else { break };
            text.push(char::from(byte[0]));
        }
        text
    }

    /// The next frame of this kind; none when the connection has ended before.
    pub(crate) async fn until(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// All frames until the connection has ended.
    pub(crate) async fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            frames.push(frame);
        }
        frames
    }

    /// Sends `bytes` again and again, reading what comes, and stays until the server has ended the
    /// connection; gives how often they were sent, and what came.
    pub(crate) async fn flood(self, bytes: Vec<u8>, times: usize) -> (usize, Vec<Frame>) {
        let (reading, mut writing) = self.stream.into_split();
        let writer = tokio::spawn(async move {
            for sent in 0..times {
                match timeout(PATIENCE, writing.write_all(&bytes)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => return (sent, writing),
                }
            }
            (times, writing)
        });
        let frames = read_all(reading, self.read).await;
        // Until here the connection was open on this side.
        let (sent, _writing) = writer.await.unwrap();
        (sent, frames)
    }

    /// Whether the server still answers pings.
    pub(crate) async fn is_open(&mut self) -> bool {
        if self.send(&frame(PING, 0, 0, b"are you?")).await.is_err() {
            return false;
        }
        loop {
            match self.until(PING).await {
                None => return false,
                Some(pong) if pong.flags == ACK && pong.payload == b"are you?" => return true,
                Some(_) => {}
            }
        }
    }

    /// Whether sending fails within a while, without anything being read.
    pub(crate) async fn is_cut(&mut self) -> bool {
        let cut = async {
            while self.stream.write_all(&frame(PING, ACK, 0, &[0; 8])).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, cut).await.is_ok()
    }
}

async fn read_all(mut from: tokio::net::tcp::OwnedReadHalf, read: VecDeque<u8>) -> Vec<Frame> {
    let mut bytes = Vec::from(read);
    // Cut or ended.
    let _ = timeout(PATIENCE, from.read_to_end(&mut bytes)).await.expect("it stays open");
    let (mut frames, mut rest) = (Vec::new(), &bytes[..]);
    while let Some((head, after)) = rest.split_at_checked(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
        let Some((payload, after)) = after.split_at_checked(length) else { break };
        frames.push(Frame { kind: head[3], flags: head[4], stream, payload: payload.to_vec() });
        rest = after;
    }
    frames
}

/// The header block of a call of `path`, with these fields too.
pub(crate) fn call(path: &str, bearer: Option<&HeaderValue>, more: &[(&str, &str)]) -> Vec<u8> {
    let mut fields = vec![
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "gateway"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ];
    if let Some(bearer) = bearer {
        fields.push(("authorization", bearer.to_str().unwrap()));
    }
    fields.extend(more);
    fields.iter().flat_map(|(name, value)| field(name, value)).collect()
}
