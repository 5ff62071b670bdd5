//! `assent serve`: all four services on embedded stores, until a signal stops them.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context;
use proto::options::v1::Role;
use serde_json::json;
use service_kit::{
    auth::{Caller, Issuer},
    clock::Clock,
};

use crate::{
    data::Data,
    embedded::{Addresses, Embedded},
};

/// How long the printed tokens are valid.
const TOKEN_LIFETIME: Duration = Duration::from_hours(24);
const DEFAULT_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

/// Runs the gateway and the three services in one process, on SQLite stores in one directory.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where the gateway is served; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value_t = DEFAULT_ADDRESS)]
    address: SocketAddr,
    /// Where stores, the development key and secrets are kept; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = "assent-data")]
    data: PathBuf,
    /// Print addresses and tokens as one line of JSON.
    #[arg(long)]
    json: bool,
}

impl Default for Arguments {
    fn default() -> Self {
        Self { address: DEFAULT_ADDRESS, data: "assent-data".into(), json: false }
    }
}

/// Serves until a signal.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let data = Data::open(&arguments.data)?;
    let issuer = data.development_issuer()?;
    let addresses = Addresses { gateway: arguments.address };
    let suite = Embedded::start(data, addresses, Clock::system()).await?;
    if arguments.json {
        println!("{}", as_json(&suite, &issuer));
    } else {
        welcome(&suite, &issuer, &arguments.data);
    }
    suite.finish().await.context("the suite did not stop cleanly")
}

/// A development token for each role.
fn tokens(issuer: &Issuer) -> [(&'static str, String); 6] {
    let token = |caller: &Caller| issuer.issue(caller, Clock::system().now(), TOKEN_LIFETIME);
    [
        ("ADMIN", token(&Caller::named(Role::Admin, "developer"))),
        ("APP", token(&Caller::named(Role::App, "developer"))),
        ("AD_SERVER", token(&Caller::named(Role::AdServer, "developer"))),
        ("BUSINESS", token(&Caller::business("example-business", "example-owner"))),
        ("SERVICE", token(&Caller::named(Role::Service, "developer"))),
        ("USER", token(&Caller::user("example-person"))),
    ]
}

fn as_json(suite: &Embedded, issuer: &Issuer) -> serde_json::Value {
    let services = suite.services();
    let url = |address: SocketAddr| format!("http://{address}");
    json!({
        "gateway": url(suite.gateway()),
        "services": services
            .iter()
            .map(|(name, address, _)| ((*name).to_owned(), url(*address).into()))
            .collect::<serde_json::Map<_, _>>(),
        "admin": services
            .iter()
            .filter_map(|(name, _, admin)| Some(((*name).to_owned(), url((*admin)?).into())))
            .collect::<serde_json::Map<_, _>>(),
        "tokens": tokens(issuer)
            .into_iter()
            .map(|(role, token)| (role.to_owned(), token.into()))
            .collect::<serde_json::Map<_, _>>(),
    })
}

/// What a person needs to begin.
fn welcome(suite: &Embedded, issuer: &Issuer, data: &std::path::Path) {
    let gateway = suite.gateway();
    println!(
        "Assent is serving on http://{gateway} (gRPC, reflection on), with its data in {}.\n",
        data.display()
    );
    for (name, address, admin) in suite.services() {
        let admin = admin.map(|admin| format!("   metrics http://{admin}/metrics"));
        println!("  {name:<14} http://{address}{}", admin.unwrap_or_default());
    }
    println!("\nDevelopment tokens, valid for a day (more with `assent token`):\n");
    for (role, token) in tokens(issuer) {
        println!("  export {role}={token}");
    }
    println!("\nThree calls to paste, once the lines above are (grpcurl, or buf curl):\n");
    let call = |token: &str, request: &str, method: &str| {
        println!(
            "  grpcurl -plaintext -H \"Authorization: Bearer ${token}\"{request} {gateway} {method}"
        );
    };
    call("APP", "", "list");
    call(
        "APP",
        r#" -d '{"requestId": "1", "subjectId": "example-person", "jurisdiction": "DE", "ageBand": "AGE_BAND_ADULT", "accountCreatedAt": "2026-01-01T00:00:00Z"}'"#,
        "assent.gateway.v1.AccountService/RegisterAccount",
    );
    call(
        "USER",
        r#" -d '{"subjectId": "example-person", "purposeId": "social.ads"}'"#,
        "assent.consent.v1.ConsentService/Check",
    );
    println!("\n`assent demo` plays the whole story. Ctrl-C stops.");
}
