//! What has ended is cleared away by itself.

use std::time::Duration;

use proto::audience::v1::UploadMode;

use crate::{
    rows::{batch, external},
    world::{World, on_both_stores},
};

on_both_stores!(a_step_that_fails_keeps_no_other_from_being_done);

async fn a_step_that_fails_keeps_no_other_from_being_done(world: World) {
    let callers = world.callers();
    callers.open_business("shop").await;
    world.consents.grant_all("ann");
    callers.register_one("ann", vec![external("ann")]).await;
    let audience = callers.create_audience().await;
    let upload = callers.open_upload(&audience, UploadMode::Add).await;
    callers.append(vec![batch(&upload, 0, vec![external("ann")])]).await.unwrap();
    // Memberships cannot be ended any more.
    world.damage("DROP TABLE audience_member").await;
    let kept = async || {
        let mut kept = 0;
        for table in ["upload_batch", "directory_change", "request_record"] {
            kept += world.rows(&format!("SELECT 1 FROM {table}"), []).await;
        }
        kept
    };
    assert!(kept().await >= 3);
    let done = async {
        while kept().await > 0 {
            world.advance(Duration::from_hours(24));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), done).await.unwrap();
}
