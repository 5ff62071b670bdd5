//! Two processes of each service on PostgreSQL behind one gateway pass the same story as the
//! embedded suite.

use service_kit::test_util::Postgres;

use crate::{
    cluster::{Cluster, Plan},
    support::assent,
};

#[test]
fn two_replicas_of_each_service_on_postgresql_play_the_same_story() {
    let directory = tempfile::tempdir().unwrap();
    let plan = Plan {
        replicas: 2,
        database: &|| Postgres::shared().database(),
        consent: "",
        gateway: "",
        telemetry: "",
        tls: false,
    };
    let cluster = Cluster::start(directory.path(), &plan);
    let output = assent()
        .args(["demo", "--subjects", "4000", "--endpoint", cluster.gateway(), "--data"])
        .arg(directory.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
}
