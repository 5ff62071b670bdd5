//! `assent serve`: all four services on embedded stores, until a signal stops them.

use std::{fmt, fmt::Write, io, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context;
use proto::options::v1::Role;
use serde_json::json;
use service_kit::{
    auth::{Caller, Issuer},
    boot::BootError,
    clock::Clock,
};

use crate::{
    data::Data,
    embedded::{Addresses, Embedded},
    exit::Error,
    output::say,
};

/// How long the printed tokens are valid.
const TOKEN_LIFETIME: Duration = Duration::from_hours(24);
const DEFAULT_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

const EXAMPLES: &str = "\
Examples:
  assent serve                                  on 127.0.0.1:8080
  assent serve --address 127.0.0.1:0 --json     on a free port, for programs";

/// Calls to begin with: whose token, what is sent, and to which method.
const CALLS: [(&str, &str, &str); 3] = [
    ("APP", "", "list"),
    (
        "APP",
        r#" -d '{"requestId": "1", "subjectId": "example-person", "jurisdiction": "DE", "ageBand": "AGE_BAND_ADULT", "accountCreatedAt": "2026-01-01T00:00:00Z"}'"#,
        "assent.gateway.v1.AccountService/RegisterAccount",
    ),
    (
        "USER",
        r#" -d '{"subjectId": "example-person", "purposeId": "social.ads"}'"#,
        "assent.consent.v1.ConsentService/Check",
    ),
];

/// Runs the gateway and the three services in one process, on SQLite stores in one directory.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
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
pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let data = Data::open(&arguments.data)?;
    let issuer = data.development_issuer()?;
    let addresses = Addresses { gateway: arguments.address };
    let suite = Embedded::start(data, addresses, Clock::system()).await.map_err(|error| {
        let is_taken = matches!(
            error.downcast_ref(),
            Some(BootError::Io(cause)) if cause.kind() == io::ErrorKind::AddrInUse
        );
        if is_taken {
            Error::failed(format!("something else is serving on {}", arguments.address))
                .with_next("stop that, or choose another --address")
        } else {
            error.into()
        }
    })?;
    let said = if arguments.json {
        say!("{}", as_json(&suite, &issuer))
    } else {
        welcome(&suite, &issuer, &arguments.data)
            .map_err(|error| Error::failed(error.to_string()))
            .and_then(|text| say!("{text}"))
    };
    if let Err(closed) = said {
        // Nobody will ever know where it is.
        suite.stop().await.context("the suite did not stop cleanly")?;
        return Err(closed);
    }
    Ok(suite.finish().await.context("the suite did not stop cleanly")?)
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
fn welcome(
    suite: &Embedded,
    issuer: &Issuer,
    data: &std::path::Path,
) -> Result<String, fmt::Error> {
    let gateway = suite.gateway();
    let mut text = format!(
        "Assent is serving on http://{gateway} (gRPC, reflection on), with its data in {}.\n\n",
        data.display()
    );
    for (name, address, admin) in suite.services() {
        let admin = admin.map(|admin| format!("   metrics http://{admin}/metrics"));
        writeln!(text, "  {name:<14} http://{address}{}", admin.unwrap_or_default())?;
    }
    writeln!(text, "\nDevelopment tokens, valid for a day (more with `assent token`):\n")?;
    for (role, token) in tokens(issuer) {
        writeln!(text, "  export {role}={token}")?;
    }
    writeln!(text, "\nThree calls to paste, once the lines above are (grpcurl, or buf curl):\n")?;
    for (token, request, method) in CALLS {
        writeln!(
            text,
            "  grpcurl -plaintext -H \"Authorization: Bearer ${token}\"{request} {gateway} {method}"
        )?;
    }
    write!(text, "\n`assent demo` plays the whole story. Ctrl-C stops.")?;
    Ok(text)
}
