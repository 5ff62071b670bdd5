//! A gRPC client that does as little as a client can: HTTP/2 itself, one buffer of request bytes
//! encoded in advance, answers counted and thrown away. Client and server share the machine, so
//! whatever the client spends is missing from the server's figure.

use std::net::{IpAddr, SocketAddr};

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::{Builder, SendRequest};
use http::{HeaderMap, HeaderValue, Method, Request, Version, header};
use prost::Message;
use tokio::net::{TcpSocket, TcpStream};
use tonic::Code;

use crate::{Result, recorder::Outcome};

/// Room for answers on one connection before the client has to say that it took some: large
/// enough that it never is what is waited for.
const WINDOW: u32 = 8 << 20;

/// A call with one request message, ready to be sent any number of times.
#[derive(Debug, Clone)]
pub struct Unary {
    head: Request<()>,
    body: Bytes,
}

impl Unary {
    /// A call of the method at `path` (`/assent.consent.v1.ConsentService/Check`), with a bearer
    /// token if there is one.
    pub fn new(path: &str, message: &impl Message, token: Option<&str>) -> Result<Self> {
        let mut head = Request::builder()
            .method(Method::POST)
            .version(Version::HTTP_2)
            .uri(format!("http://127.0.0.1{path}"))
            .header(header::TE, "trailers")
            .header(header::CONTENT_TYPE, "application/grpc");
        if let Some(token) = token {
            head = head.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        Ok(Self { head: head.body(())?, body: frame(message)? })
    }

    /// The same call with another message, which [`frame`] has encoded.
    #[must_use]
    pub fn with(&self, body: Bytes) -> Self {
        Self { head: self.head.clone(), body }
    }
}

/// gRPC's frame of a message: not compressed, length, message.
pub fn frame(message: &impl Message) -> Result<Bytes> {
    let length = message.encoded_len();
    let mut body = BytesMut::with_capacity(5 + length);
    body.put_u8(0);
    body.put_u32(u32::try_from(length)?);
    message.encode(&mut body)?;
    Ok(body.freeze())
}

/// Connections to one server. Cheap to clone; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Connections(Vec<SendRequest<Bytes>>);

impl Connections {
    /// Opens `count` connections, which stay open while one of the clones lives.
    pub async fn open(address: SocketAddr, count: usize) -> Result<Self> {
        let mut all = Vec::with_capacity(count);
        for _ in 0..count {
            all.push(handshake(TcpStream::connect(address).await?).await?);
        }
        Ok(Self(all))
    }

    /// Opens one connection from this address of the machine, any port of it: an address has a
    /// few ten thousand.
    pub async fn open_from(source: IpAddr, address: SocketAddr) -> Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.bind((source, 0).into())?;
        Ok(Self(vec![handshake(socket.connect(address).await?).await?]))
    }

    /// Takes over the connections of another.
    pub fn join(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Makes the call on the connection that falls to its `number`, and waits for its status.
    pub fn call(&self, number: u64, unary: &Unary) -> impl Future<Output = Outcome> + Send + use<> {
        self.send(number, unary.clone())
    }

    /// The same, of a call that is made only once.
    pub fn send(&self, number: u64, unary: Unary) -> impl Future<Output = Outcome> + Send + use<> {
        let connections = self.0.len() as u64;
        #[allow(clippy::cast_possible_truncation)] // less than a usize
        let connection = self.0[(number % connections) as usize].clone();
        let Unary { head, body } = unary;
        async move { call(connection, head, body).await.map_or(Outcome::Unanswered, Outcome::Answered) }
    }
}

async fn handshake(stream: TcpStream) -> Result<SendRequest<Bytes>> {
    stream.set_nodelay(true)?;
    let (send, connection) = Builder::new()
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .handshake(stream)
        .await?;
    // How it ends is known from the calls that it ends.
    tokio::spawn(connection);
    Ok(send)
}

async fn call(
    connection: SendRequest<Bytes>,
    head: Request<()>,
    body: Bytes,
) -> std::result::Result<Code, h2::Error> {
    let (response, mut stream) = connection.ready().await?.send_request(head, false)?;
    stream.send_data(body, true)?;
    let (head, mut body) = response.await?.into_parts();
    // An error without a message comes without a body: its status is in the headers
    // ("trailers-only").
    if let Some(code) = status(&head.headers) {
        return Ok(code);
    }
    while let Some(chunk) = body.data().await {
        body.flow_control().release_capacity(chunk?.len())?;
    }
    let trailers = body.trailers().await?;
    // gRPC: an answer that carries no status has the status UNKNOWN.
    Ok(trailers.as_ref().and_then(status).unwrap_or(Code::Unknown))
}

fn status(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(HeaderValue::as_bytes).map(Code::from_bytes)
}
