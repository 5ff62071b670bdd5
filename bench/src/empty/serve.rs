//! The servers that are measured, each in a process of its own: `bench serve-empty`.

use std::{fs, io, net::Ipv4Addr, thread, time::Duration};

use clap::{Args, ValueEnum};
use proto::{
    consent::v1::{
        GetReceiptKeysRequest, GetReceiptKeysResponse,
        consent_service_server::{ConsentService, ConsentServiceServer},
    },
    options::v1::Role,
};
use service_kit::{
    auth::{Caller, Issuer},
    boot::{App, BootError, Process, Service},
    clock::Clock,
    config::{Config, ServerConfig, Span, TelemetryConfig},
    context::Context,
};
use tokio::sync::oneshot;
use tonic::{
    Request, Response, Status,
    transport::server::{Server, TcpIncoming},
};

use crate::Result;

/// What a server says of itself once it can be called: this, its address, and a token for it.
pub(super) const READY: &str = "READY";

/// How long the token is valid: longer than anybody measures.
const TOKEN_TTL: Duration = Duration::from_hours(24);

/// What is around the empty method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stack {
    /// All layers of an Assent service.
    Full,
    /// Nothing but tonic.
    Bare,
}

/// What to serve.
#[derive(Debug, Clone, Copy, Args)]
pub struct ServeOptions {
    /// What is around the empty method
    #[arg(long, value_enum)]
    pub stack: Stack,
}

/// Serves on a free loopback port until standard input ends, which it does when the process that
/// holds its other end dies, however that dies.
pub async fn serve(options: ServeOptions) -> Result<()> {
    let issuer = Issuer::generate();
    let clock = Clock::system();
    let token = issuer.issue(&Caller::named(Role::App, "bench"), clock.now(), TOKEN_TTL);
    match options.stack {
        Stack::Full => full(&issuer, clock, &token).await,
        Stack::Bare => bare(&token).await,
    }
}

async fn full(issuer: &Issuer, clock: Clock, token: &str) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let keys = directory.path().join("keys.json");
    fs::write(&keys, issuer.jwks())?;
    let mut config = Config::new(());
    config.server = ServerConfig::loopback();
    config.server.drain_deadline = Span::from_secs(1);
    config.auth.jwks_file = Some(keys);
    let process = Process::start(Empty::NAME, &TelemetryConfig::default(), clock)?;
    let running = process.serve::<Empty>(config).await?;
    running.ready().await;
    println!("{READY} {} {token}", running.address());
    let (stop, ends) = (process.stop().clone(), input_ends());
    tokio::spawn(async move {
        // Dropped or sent: either way there is nobody left.
        let _ = ends.await;
        stop.cancel();
    });
    Ok(process.finish(vec![running]).await?)
}

async fn bare(token: &str) -> Result<()> {
    let incoming = TcpIncoming::bind((Ipv4Addr::LOCALHOST, 0).into())?.with_nodelay(Some(true));
    println!("{READY} {} {token}", incoming.local_addr()?);
    let server = Server::builder().add_service(ConsentServiceServer::new(Empty));
    let ends = async { drop(input_ends().await) };
    Ok(server.serve_with_incoming_shutdown(incoming, ends).await?)
}

/// Answers when standard input has ended.
fn input_ends() -> oneshot::Receiver<()> {
    let (ended, ends) = oneshot::channel();
    // A thread of its own: the runtime would wait for its blocking read before it stops.
    thread::spawn(move || {
        // An error is an end, too; and who waited may be gone.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = ended.send(());
    });
    ends
}

/// Answers at once, with nothing.
struct Empty;

#[tonic::async_trait]
impl ConsentService for Empty {
    async fn get_receipt_keys(
        &self,
        _: Request<GetReceiptKeysRequest>,
    ) -> std::result::Result<Response<GetReceiptKeysResponse>, Status> {
        Ok(Response::new(GetReceiptKeysResponse::default()))
    }
}

impl Service for Empty {
    const NAME: &'static str = "bench-empty";
    type Config = ();

    async fn build(ctx: &Context, (): ()) -> std::result::Result<App, BootError> {
        let server = ConsentServiceServer::new(Self);
        Ok(App::new().add(server.max_decoding_message_size(ctx.max_message_bytes)))
    }

    async fn migrate((): &()) -> std::result::Result<(), BootError> {
        Ok(())
    }
}
