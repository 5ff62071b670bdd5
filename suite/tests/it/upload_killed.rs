//! Nothing acknowledged is lost: a long upload is cut by the end of the process, and ends with
//! exactly the members that it has when nothing happens.
//!
//! `ASSENT_UPLOAD_ROWS=1000000` makes it as long as a large business's.

use std::{collections::BTreeSet, time::Instant};

use futures::{StreamExt, TryStreamExt, stream};
use proto::{
    audience::v1::{
        AppendUploadRequest, Audience, CheckMembershipRequest, CommitUploadRequest,
        CreateAudienceRequest, CreateUploadRequest, CustomerSource, EstimateReachRequest,
        Expression, ExpressionTerm, GetUploadRequest, Upload, UploadMode,
        audience_service_client::AudienceServiceClient, expression_term::Term,
        targeting_service_client::TargetingServiceClient,
    },
    types::v1::IdentifierKind,
};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tonic::Status;

use crate::{
    bad_input::put_business,
    people::{Session, register, session, subject_id},
    support::Suite,
};

const PEOPLE: u32 = 3_000;
/// Of these, how many are in the list: enough for its size to be told, whatever the noise.
const LISTED: u32 = 2_000;
/// Rows unless the environment says otherwise: in a debug build, a few seconds.
const ROWS: u32 = 200_000;
const BATCH: u32 = 10_000;
/// Calls in flight at once: few, so that none takes longer than it may on a busy machine.
const CONCURRENCY: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_resumed_after_a_kill_has_the_members_of_one_that_was_not_cut() {
    let rows = std::env::var("ASSENT_UPLOAD_ROWS").map_or(ROWS, |rows| rows.parse().unwrap());
    let batches = rows.div_ceil(BATCH);
    let data = tempfile::tempdir().unwrap();
    let mut suite = Suite::start(data.path());
    let address = suite.gateway().trim_start_matches("http://").to_owned();
    put_business(&suite).await;
    register(&suite, PEOPLE, digest_of).await;

    let began = Instant::now();
    let business = Business::of(&suite).await;
    let (whole, upload_id) = business.open("whole").await;
    let acknowledged =
        business.append(&upload_id, rows, (0..batches).collect(), |_| {}).await.unwrap();
    assert_eq!(acknowledged, (0..batches).collect());
    let (undisturbed, whole) = business.commit(&upload_id, batches, whole).await;
    println!("{rows} rows, undisturbed: {:?}", began.elapsed());

    let (resumed, upload_id) = business.open("resumed").await;
    let mut before = BTreeSet::new();
    let cut = business.append(&upload_id, rows, (0..batches).collect(), |batch| {
        before.insert(batch);
        if before.len() == batches as usize / 2 {
            suite.process.kill();
        }
    });
    cut.await.expect_err("the process was killed");
    let suite = Suite::start_on(data.path(), &address);
    let business = Business::of(&suite).await;
    let found = business.get(&upload_id).await;
    let lost: Vec<_> = found.missing_batches.iter().filter(|one| before.contains(one)).collect();
    assert!(lost.is_empty() && found.last_batch_number >= before.last().copied(), "{lost:?}");
    // All that was not acknowledged, and every third of what was.
    let again = (0..batches).filter(|batch| !before.contains(batch) || batch % 3 == 0);
    let again: Vec<_> = again.collect();
    business.append(&upload_id, rows, again.clone(), |_| {}).await.unwrap();
    let (upload, resumed) = business.commit(&upload_id, batches, resumed).await;
    println!(
        "killed when {} of {batches} batches of {BATCH} rows were acknowledged, {} were stored; \
         {} sent afterwards",
        before.len(),
        found.batches_received,
        again.len(),
    );

    let counts = |upload: &Upload| {
        let Upload { rows_received, rows_invalid, rows_duplicate, batches_received, .. } = upload;
        [*rows_received, *rows_invalid, *rows_duplicate, u64::from(*batches_received)]
    };
    assert_eq!(counts(&upload), [rows.into(), 0, 0, batches.into()]);
    assert_eq!(counts(&upload), counts(&undisturbed));
    let members = memberships(&suite, &[whole.audience_id, resumed.audience_id]).await;
    let expected: Vec<_> = (0..PEOPLE).map(|person| vec![is_listed(person); 2]).collect();
    assert!(members == expected, "{} differ", {
        members.iter().zip(&expected).filter(|(is, should)| is != should).count()
    });
    println!("{LISTED} of {PEOPLE} people are members of both lists, and nobody else of either");
}

fn is_listed(person: u32) -> bool {
    person < LISTED
}

/// A digest by which somebody is registered.
fn digest_of(person: u32) -> [u8; 32] {
    digest(u64::from(person))
}

fn digest(number: u64) -> [u8; 32] {
    let mut digest = [0; 32];
    ChaCha8Rng::seed_from_u64(number).fill_bytes(&mut digest);
    digest
}

/// The rows of a batch: people who are listed, spread evenly among strangers.
fn packed(batch: u32, rows: u32) -> Vec<u8> {
    let stride = rows / LISTED;
    let mut packed = Vec::new();
    for row in batch * BATCH..rows.min((batch + 1) * BATCH) {
        let person = row / stride;
        let is_person = row % stride == 0 && is_listed(person);
        packed.extend(if is_person {
            digest_of(person)
        } else {
            digest((1 << 40) + u64::from(row))
        });
    }
    packed
}

/// The business for which the suite's token stands.
struct Business(AudienceServiceClient<Session>);

impl Business {
    async fn of(suite: &Suite) -> Self {
        let client = AudienceServiceClient::new(session(suite, "BUSINESS").await);
        Self(client.max_encoding_message_size(usize::MAX))
    }

    /// A new audience and an upload to it.
    async fn open(&self, name: &str) -> (Audience, String) {
        let audience = CreateAudienceRequest {
            request_id: format!("{name}-audience"),
            display_name: name.to_owned(),
            customer_source: CustomerSource::UserProvided.into(),
            ..Default::default()
        };
        let audience = self.0.clone().create_audience(audience).await.unwrap().into_inner();
        let audience = audience.audience.unwrap();
        let upload = CreateUploadRequest {
            request_id: format!("{name}-upload"),
            audience_id: audience.audience_id.clone(),
            mode: UploadMode::Replace.into(),
            may_use_list: true,
            ..Default::default()
        };
        let upload = self.0.clone().create_upload(upload).await.unwrap().into_inner();
        (audience, upload.upload.unwrap().upload_id)
    }

    /// Sends batches over one stream: those acknowledged, each told as it is.
    async fn append(
        &self,
        upload_id: &str,
        rows: u32,
        batches: Vec<u32>,
        mut acknowledged: impl FnMut(u32),
    ) -> Result<BTreeSet<u32>, Status> {
        let upload_id = upload_id.to_owned();
        let requests = batches.into_iter().map(move |batch_number| AppendUploadRequest {
            request_id: format!("batch-{batch_number}"),
            upload_id: upload_id.clone(),
            batch_number,
            packed_sha256: packed(batch_number, rows),
            packed_kind: IdentifierKind::Email.into(),
            ..Default::default()
        });
        let answers = self.0.clone().append_upload(stream::iter(requests)).await?.into_inner();
        let numbers = answers.map_ok(|answer| answer.batch_number);
        numbers.inspect_ok(|number| acknowledged(*number)).try_collect().await
    }

    async fn get(&self, upload_id: &str) -> Upload {
        let which = GetUploadRequest { upload_id: upload_id.to_owned() };
        self.0.clone().get_upload(which).await.unwrap().into_inner().upload.unwrap()
    }

    async fn commit(&self, upload_id: &str, batch_count: u32, of: Audience) -> (Upload, Audience) {
        let commit = CommitUploadRequest {
            request_id: format!("{}-commit", of.audience_id),
            upload_id: upload_id.to_owned(),
            batch_count,
        };
        let committed = self.0.clone().commit_upload(commit).await.unwrap().into_inner();
        let audience = committed.audience.unwrap();
        if !audience.targetable {
            // On a machine that is too busy a list is applied without its size being drawn; asking
            // for it draws it then.
            let of = Term::AudienceId(audience.audience_id.clone());
            let include = vec![ExpressionTerm { term: Some(of) }];
            let estimate = EstimateReachRequest {
                request_id: format!("{}-size", audience.audience_id),
                expression: Some(Expression { include, ..Default::default() }),
            };
            let drawn = self.0.clone().estimate_reach(estimate).await.unwrap().into_inner();
            assert!(!drawn.reach.unwrap().below_minimum);
        }
        (committed.upload.unwrap(), audience)
    }
}

/// Of everybody, in order, to which of the audiences they belong.
async fn memberships(suite: &Suite, audience_ids: &[String]) -> Vec<Vec<bool>> {
    let client = TargetingServiceClient::new(session(suite, "AD_SERVER").await);
    let asked = (0..PEOPLE).map(|person| {
        let mut client = client.clone();
        let request = CheckMembershipRequest {
            subject_id: subject_id(person),
            audience_ids: audience_ids.to_vec(),
        };
        async move { client.check_membership(request).await.unwrap().into_inner().memberships }
    });
    stream::iter(asked).buffered(CONCURRENCY).collect().await
}
