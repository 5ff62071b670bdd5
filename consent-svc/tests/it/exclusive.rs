//! SQLite: the file is for one process. Another that is started on it ends, and disturbs nobody.

use std::{process::Output, time::Duration};

use tokio::process::Command;

use crate::harness::*;

/// How long it may take to give up.
const PATIENCE: Duration = Duration::from_secs(30);

/// The service's own program, on this world's file.
fn program(world: &World, directory: &std::path::Path, command: &str) -> Command {
    let url = world.config().store.url.expose();
    let text = format!(
        "server.address = '127.0.0.1:0'\nserver.admin_address = ''\nauth.jwks_file = '{}'\n\
         store.url = '{url}'\n",
        world.jwks_file().display()
    );
    let config = directory.join(format!("{command}.toml"));
    std::fs::write(&config, text).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_consent-svc"));
    program.arg("--config").arg(config).arg(command);
    program
}

/// Runs it to its end, which must be an error of the store.
async fn fails(mut program: Command) {
    let ended = tokio::time::timeout(PATIENCE, program.kill_on_drop(true).output()).await;
    let Output { status, stdout, stderr } = ended.expect("it goes on").unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("the store"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_same_file_fails_and_the_first_goes_on() {
    let world = World::on_sqlite().await;
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    world.put("anna", "US").await;
    let directory = tempfile::tempdir().unwrap();
    let seconds = ["serve", "migrate"]
        .map(|command| tokio::spawn(fails(program(&world, directory.path(), command))));
    let mut rounds = 0;
    while !seconds.iter().all(tokio::task::JoinHandle::is_finished) {
        world.decide(world.decision("anna", &policy, &spec, &[SHARE, ADS])).await.unwrap();
        assert!(world.granted("anna", ADS).await);
        world.withdraw("anna", &[ADS]).await.unwrap();
        assert!(!world.granted("anna", ADS).await);
        rounds += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for second in seconds {
        second.await.unwrap();
    }
    assert!(rounds > 3, "{rounds}");
    assert_eq!(world.events("anna").await.len(), 1 + 2 * rounds);
}
