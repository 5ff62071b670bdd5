//! Before anything goes wrong: policies, subjects, links.

use std::{ops::Range, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use proto::consent::v1::{PolicySpec, consent_service_client::ConsentServiceClient};
use tonic::{Code, Status, transport::Channel};

use super::{history::History, world::World};
use crate::{
    Result,
    svc::{Announced, Keys, announce, announce_examples},
};

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many calls are made at once.
const AT_ONCE: usize = 64;
/// How long the replicas may take until they answer.
const START: Duration = Duration::from_secs(30);

/// Where the policy comes and goes that governs some.
const JURISDICTION: &str = "JP";

/// Publishes the example policies, as soon as somebody answers, and one that is to come and go.
pub(super) async fn policies(world: &World) -> Result<([Announced; 2], Announced)> {
    let examples = examples(world).await?;
    let jurisdictions = vec![JURISDICTION.to_owned()];
    let spec = PolicySpec { jurisdictions, ..examples[0].spec.clone() };
    let (channel, keys) = (world.channel(0), &world.keys);
    let governing = announce(&channel, keys, "comes-and-goes", spec, JURISDICTION).await?;
    Ok((examples, governing))
}

async fn examples(world: &World) -> Result<[Announced; 2]> {
    let until = tokio::time::Instant::now() + START;
    loop {
        match announce_examples(&world.channel(0), &world.keys).await {
            Err(error) if tokio::time::Instant::now() > until => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            announced => return announced,
        }
    }
}

/// Makes subjects known and shows them the notice.
pub(super) async fn subjects(
    world: &World,
    history: &History,
    subjects: Range<usize>,
    policy: impl Fn(usize) -> Announced,
) -> Result<()> {
    let calls = subjects.map(|subject| {
        let channel = world.channel(subject % world.replicas.len());
        let (policy, keys) = (policy(subject), &world.keys);
        async move { put(channel, keys, &policy, history.id(subject)).await }
    });
    Ok(stream::iter(calls).buffer_unordered(AT_ONCE).try_collect().await?)
}

async fn put(
    channel: Channel,
    keys: &Keys,
    policy: &Announced,
    id: &str,
) -> std::result::Result<(), Status> {
    const ATTEMPTS: u32 = 20;
    let mut client = ConsentServiceClient::new(channel);
    let (subject, notice) = (policy.subject(id), policy.notice(id));
    for attempt in 1.. {
        let put = async {
            client.put_subject(keys.app(subject.clone(), PATIENCE)).await?;
            client.record_notice_served(keys.app(notice.clone(), PATIENCE)).await
        };
        match put.await {
            // A machine that has just started everything at once may be slow at first.
            Err(status)
                if attempt < ATTEMPTS
                    && matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded) => {}
            done => return done.map(drop),
        }
    }
    Ok(())
}
