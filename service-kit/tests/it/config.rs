//! Configuration.

use std::{fs, path::Path, time::Duration};

use service_kit::config::{Config, ConfigError, load};

use crate::rehearsal::RehearsalConfig;

type Loaded = Result<Config<RehearsalConfig>, ConfigError>;

fn from_file(text: &str) -> Loaded {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    fs::write(&file, text).unwrap();
    load("rehearsal-svc", Some(&file), [])
}

fn from_env(env: &[(&str, &str)]) -> Loaded {
    let env = env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    load("rehearsal-svc", None, env)
}

#[test]
fn without_anything_every_key_has_its_default() {
    let config = from_env(&[]).unwrap();
    assert_eq!(config.server.max_message_bytes, 4 << 20);
    assert!(config.server.address.ip().is_loopback());
    assert!(config.service.secret.is_empty());
}

#[test]
fn every_unknown_key_is_named_at_once() {
    let error = from_file(
        "
        sceret = 'x'
        [server]
        adress = '0.0.0.0:1'
        [server.tls]
        certificat = 'a.pem'
        [telemetry]
        log_fromat = 'json'
        [store]
        pool = 4
        size = 5
        ",
    );
    let Err(ConfigError::UnknownKeys(mut keys)) = error else { panic!("{error:?}") };
    keys.sort();
    let expected = ["sceret", "server.adress", "server.tls.certificat", "store.size"];
    assert_eq!(keys, [&expected[..], &["telemetry.log_fromat"]].concat());
}

#[test]
fn unknown_variables_are_refused_too_and_those_of_others_are_not() {
    let error = from_env(&[("ASSENT_REHEARSAL__SERVER__PORT", "1"), ("ASSENT_CONSENT__X", "1")]);
    let Err(ConfigError::UnknownKeys(keys)) = error else { panic!("{error:?}") };
    assert_eq!(keys, ["server.port"]);
}

#[test]
fn a_wrong_value_is_named_with_its_key() {
    let error = from_file("[server]\nmax_message_bytes = 'many'").unwrap_err().to_string();
    assert!(error.contains("server") && error.contains("max_message_bytes"), "{error}");
    let error = from_file("patience = 'soon'").unwrap_err().to_string();
    assert!(error.contains("patience") && error.contains("soon"), "{error}");
}

#[test]
fn a_file_that_is_missing_or_not_toml_is_named() {
    let missing = load::<RehearsalConfig>("rehearsal-svc", Some(Path::new("/no/such.toml")), []);
    assert!(missing.unwrap_err().to_string().contains("/no/such.toml"));
    assert!(from_file("a = ").unwrap_err().to_string().contains("config.toml"));
}

#[test]
fn the_environment_overrides_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    fs::write(&file, "patience = '1s'\n[server]\nmax_connections = 1\nmax_header_bytes = 2\n")
        .unwrap();
    let env = [
        ("ASSENT_REHEARSAL__SERVER__MAX_CONNECTIONS", "7"),
        ("ASSENT_REHEARSAL__SERVER__ADDRESS", "[::1]:7000"),
        ("ASSENT_REHEARSAL__SERVER__ADMIN_ADDRESS", ""),
        ("ASSENT_REHEARSAL__SERVER__TLS__CERTIFICATE", "/etc/tls/tls.crt"),
        ("ASSENT_REHEARSAL__PATIENCE", "1m 30s"),
        ("ASSENT_REHEARSAL__STORE__POOL", "3"),
        ("ASSENT_REHEARSAL__TELEMETRY__OTLP_ENDPOINT", "http://collector:4317"),
    ];
    let env = env.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let config: Config<RehearsalConfig> = load("rehearsal-svc", Some(&file), env).unwrap();
    assert_eq!(config.server.max_connections, 7);
    assert_eq!(config.server.max_header_bytes, 2);
    assert_eq!(config.server.address.to_string(), "[::1]:7000");
    assert_eq!(config.server.admin_address, None);
    assert_eq!(config.server.tls.unwrap().certificate, Path::new("/etc/tls/tls.crt"));
    assert_eq!(config.service.patience.get(), Duration::from_secs(90));
    assert_eq!(config.service.store.pool, 3);
    assert_eq!(config.telemetry.otlp_endpoint.as_deref(), Some("http://collector:4317"));
}

#[test]
fn text_that_looks_like_a_number_stays_text() {
    let config = from_env(&[("ASSENT_REHEARSAL__SECRET", "1_000e5")]).unwrap();
    assert_eq!(config.service.secret.expose(), "1_000e5");
}

#[test]
fn a_secret_can_come_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    fs::write(&file, "correct horse\n").unwrap();
    let reference = format!("file:{}", file.display());
    let config = from_env(&[("ASSENT_REHEARSAL__SECRET", &reference)]).unwrap();
    assert_eq!(config.service.secret.expose(), "correct horse");
    let error = from_env(&[("ASSENT_REHEARSAL__SECRET", "file:/no/such")]).unwrap_err();
    assert!(error.to_string().contains("/no/such"), "{error}");
}

#[test]
fn secrets_are_hidden_wherever_a_configuration_is_shown() {
    let config = from_env(&[("ASSENT_REHEARSAL__SECRET", "hunter2")]).unwrap();
    let shown = [config.effective(), format!("{config:?}"), format!("{config:#?}")];
    for text in shown {
        assert!(text.contains("***") && !text.contains("hunter2"), "{text}");
    }
    // Nor is it quoted when it is given the wrong way.
    let error = from_file("secret = 31337").unwrap_err().to_string();
    assert!(error.contains("secret") && !error.contains("31337"), "{error}");
}
