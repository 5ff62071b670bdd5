//! What the gateway refuses to start with.

use gateway::{Gateway, GatewayConfig, Upstreams};
use service_kit::{
    boot::Process,
    clock::Clock,
    config::{Config, ServerConfig},
    test_util::TestKeys,
};

use crate::world::upstream;

/// The error with which the gateway stops when `change` is made to a good configuration.
async fn refused(change: impl FnOnce(&mut Upstreams)) -> String {
    let good = upstream(&["http://127.0.0.1:1".to_owned()]);
    let mut upstreams = Upstreams { consent: good.clone(), audience: good.clone(), suggest: good };
    change(&mut upstreams);
    let keys = TestKeys::new();
    let config = Config {
        server: ServerConfig::loopback(),
        auth: keys.auth_config(),
        ..Config::new(GatewayConfig { upstreams, ..GatewayConfig::default() })
    };
    let gateway = Process::quiet(Clock::system()).serve::<Gateway>(config).await.unwrap();
    gateway.stopped().await.unwrap_err().to_string()
}

#[tokio::test]
async fn endpoints_that_cannot_be_meant_are_named() {
    let of = |uri: &str| {
        let uri = uri.to_owned();
        refused(move |upstreams| upstreams.audience = upstream(&[uri]))
    };
    assert_eq!(
        refused(|upstreams| upstreams.suggest = upstream(&[])).await,
        "upstreams.suggest.endpoints: none given"
    );
    let named = "upstreams.audience.endpoints: ";
    assert!(of("consent-svc:50051").await.starts_with(named));
    assert!(of("http://consent-svc").await.contains("no port"));
    assert!(of("ftp://consent-svc:1").await.contains("neither http nor https"));
    assert!(of("http://consent-svc:1/x").await.contains("has a path"));
}
