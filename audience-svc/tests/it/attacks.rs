//! Attacks on what a business is told, each once on the service itself: it must do what the model
//! predicts on which they are tried many times over (`audience_svc::domain::attacks`).

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    time::Duration,
};

use audience_svc::{
    AudienceConfig,
    domain::{
        Expression, Term,
        attacks::{self, Attack, Business, Identifier, Mode, Prediction, Surface, Told},
    },
};
use prost::Message as _;
use proto::{
    audience::v1::{self as wire, audience_service_client::AudienceServiceClient},
    errors::v1::Reason,
    types::v1::{Identifier as WireIdentifier, IdentifierKind, identifier::Value},
};
use service_kit::{
    clock::{Clock, UnixMillis},
    store::Synchronous,
};
use tokio::{runtime::Handle, task::block_in_place};
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::{
    consent::{ADS, Consents},
    rows::{append, batch, fresh, opening, person, reason, sha256},
    world::{Callers, Engine, Link, World},
};

/// Fresh releases of an owner in 30 days: enough for every list of an attack, and some questions.
/// With the noise of so many, σ = 23, rounding lets noise be seen: it carries 1,504 ± 3σ over a
/// multiple of a hundred in 1 of 5 releases.
const K: NonZeroU32 = NonZeroU32::new(32).unwrap();

/// People of the attacker's own.
const CROWD: u32 = 3_008;

/// What a question was answered.
enum Answer {
    /// A size, and when it was asked for.
    Told(wire::ReachEstimate, UnixMillis),
    /// None: a commit drew no release, and the list kept its last figure.
    Applied,
    /// No size, and how long to wait for one.
    Refused(Duration),
}

/// Who attacks.
struct Attacker<'a> {
    world: &'a World,
    callers: Callers<'a>,
    /// Tells its businesses and targets from those of others.
    mark: String,
    people: u32,
    audiences: BTreeMap<(Business, String), String>,
    /// What was told of audiences last.
    sizes: BTreeMap<String, wire::ReachEstimate>,
    answers: Vec<Answer>,
}

impl<'a> Attacker<'a> {
    fn new(world: &'a World, attack: &Attack, truth: bool) -> Self {
        let mark = format!("{}-{truth}", attack.name);
        Self {
            world,
            callers: world.callers(),
            mark,
            people: 0,
            audiences: BTreeMap::new(),
            sizes: BTreeMap::new(),
            answers: Vec::new(),
        }
    }

    /// The business and its owner, as the service knows them.
    fn names(&self, business: Business) -> (String, String) {
        let (owner, name) = business.split_once('/').unwrap();
        (format!("{}-{name}", self.mark), format!("{}-{owner}", self.mark))
    }

    fn client(&self, business: Business) -> AudienceServiceClient<Link> {
        let (business, owner) = self.names(business);
        self.callers.business_of(&business, &owner)
    }

    /// Everybody else is the same in all attacks.
    fn digest(&self, identifier: Identifier) -> [u8; 32] {
        match identifier {
            Identifier::External(n) => padding(n),
            identifier => sha256(&format!("{}-{identifier:?}", self.mark)),
        }
    }

    fn wire(&self, identifier: Identifier) -> WireIdentifier {
        let kind = match identifier {
            Identifier::Email(_) => IdentifierKind::Email,
            Identifier::Phone(_) => IdentifierKind::Phone,
            Identifier::External(_) => IdentifierKind::ExternalId,
        };
        digested(kind, self.digest(identifier))
    }

    async fn audience(&mut self, business: Business, list: &str) -> String {
        if let Some(known) = self.audiences.get(&(business, list.to_owned())) {
            return known.clone();
        }
        let (business_id, owner_id) = self.names(business);
        let request = wire::PutBusinessRequest {
            request_id: fresh("put"),
            display_name: business_id.clone(),
            business_id,
            owner_id,
        };
        self.callers.admin().put_business(request).await.unwrap();
        let request = wire::CreateAudienceRequest {
            request_id: fresh("aud"),
            display_name: list.to_owned(),
            customer_source: wire::CustomerSource::UserProvided.into(),
            ..Default::default()
        };
        let made = self.client(business).create_audience(request).await.unwrap().into_inner();
        let audience = made.audience.unwrap().audience_id;
        self.audiences.insert((business, list.to_owned()), audience.clone());
        audience
    }

    async fn apply(
        &mut self,
        business: Business,
        list: &str,
        mode: wire::UploadMode,
        rows: Vec<Identifier>,
    ) -> wire::Audience {
        let audience = self.audience(business, list).await;
        let mut client = self.client(business);
        let opened = client.create_upload(opening(&audience, mode)).await.unwrap().into_inner();
        let upload_id = opened.upload.unwrap().upload_id;
        let (packed, alone): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| matches!(row, Identifier::External(_)));
        let mut alone: Vec<_> = alone.into_iter().map(|row| self.wire(row)).collect();
        // A list that nobody is in needs a row, too.
        alone.push(digested(IdentifierKind::ExternalId, sha256("nobody")));
        let rows = wire::AppendUploadRequest {
            packed_sha256: packed.into_iter().flat_map(|row| self.digest(row)).collect(),
            packed_kind: IdentifierKind::ExternalId.into(),
            ..batch(&upload_id, 0, alone)
        };
        append(&mut client, vec![rows]).await.unwrap();
        let request_id = fresh("commit");
        let request = wire::CommitUploadRequest { request_id, upload_id, batch_count: 1 };
        let done = client.commit_upload(request).await.unwrap().into_inner();
        assert_eq!(done.upload.unwrap().state(), wire::UploadState::Committed);
        done.audience.unwrap()
    }

    async fn ask(
        &self,
        business: Business,
        expression: &Expression,
    ) -> Result<wire::ReachEstimate, Status> {
        let request = wire::EstimateReachRequest {
            request_id: fresh("reach"),
            expression: Some(self.expression(business, expression)),
        };
        let answer = self.client(business).estimate_reach(request).await?;
        Ok(answer.into_inner().reach.unwrap())
    }

    fn expression(&self, business: Business, expression: &Expression) -> wire::Expression {
        use wire::expression_term::Term as Wire;
        let term = |term: &Term| {
            let term = match term {
                Term::Audience(list) => {
                    Wire::AudienceId(self.audiences[&(business, list.clone())].clone())
                }
                Term::Nested(nested) => Wire::Expression(self.expression(business, nested)),
            };
            wire::ExpressionTerm { term: Some(term) }
        };
        let [include, intersect, exclude] =
            expression.parts().map(|terms| terms.iter().map(term).collect());
        wire::Expression { include, intersect, exclude }
    }
}

fn padding(n: u32) -> [u8; 32] {
    assert!(n < CROWD);
    sha256(&format!("padding-{n}"))
}

fn digested(kind: IdentifierKind, digest: [u8; 32]) -> WireIdentifier {
    WireIdentifier { kind: kind.into(), value: Some(Value::Sha256(digest.to_vec())) }
}

/// Scripts know nothing of waiting.
fn wait_for<T>(work: impl Future<Output = T>) -> T {
    block_in_place(|| Handle::current().block_on(work))
}

impl Surface for Attacker<'_> {
    fn register(&mut self, identifiers: &[Identifier]) -> u32 {
        let number = self.people;
        self.people += 1;
        // Paddings are there.
        if let [Identifier::External(n)] = identifiers {
            padding(*n);
            return number;
        }
        let subject = format!("{}-{number}", self.mark);
        self.world.consents.grant_all(&subject);
        let identifiers = identifiers.iter().map(|one| self.wire(*one)).collect();
        wait_for(self.callers.register_one(&subject, identifiers));
        number
    }

    fn withdraw(&mut self, person: u32) {
        self.world.consents.withdraw(&format!("{}-{person}", self.mark), ADS);
        let last = format!("{}-last", self.mark);
        self.world.consents.erase(&last);
        wait_for(self.world.until_heard(&last));
    }

    fn commit(&mut self, business: Business, list: &str, mode: Mode, rows: Vec<Identifier>) {
        self.world.advance(Duration::from_mins(1));
        let mode = match mode {
            Mode::Add => wire::UploadMode::Add,
            Mode::Remove => wire::UploadMode::Remove,
            Mode::Replace => wire::UploadMode::Replace,
        };
        let now = self.world.clock.now();
        let audience = wait_for(self.apply(business, list, mode, rows));
        let drawn = audience.size.filter(|size| released_at(size) == now);
        assert_eq!(audience.targetable, drawn.is_some_and(|size| !size.below_minimum));
        self.answers.push(if let Some(size) = drawn {
            self.sizes.insert(audience.audience_id, size);
            Answer::Told(size, now)
        } else {
            assert_eq!(audience.size.as_ref(), self.sizes.get(&audience.audience_id));
            Answer::Applied
        });
    }

    fn estimate(&mut self, business: Business, expression: &Expression) {
        self.world.advance(Duration::from_mins(1));
        let now = self.world.clock.now();
        self.answers.push(match wait_for(self.ask(business, expression)) {
            Ok(size) => Answer::Told(size, now),
            Err(refused) => {
                assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
                assert_eq!(reason(&refused), Reason::QuotaExceeded);
                let details = refused.get_error_details();
                Answer::Refused(details.retry_info().unwrap().retry_delay.unwrap())
            }
        });
    }
}

fn released_at(size: &wire::ReachEstimate) -> UnixMillis {
    UnixMillis::try_from(size.released_at.unwrap()).unwrap()
}

fn told(size: &wire::ReachEstimate) -> Told {
    let bounds = (size.lower_bound.cast_signed(), size.upper_bound.cast_signed());
    Told { bounds, targetable: !size.below_minimum }
}

/// Whether the service did what was predicted. Gives the releases, in order.
fn as_predicted(attacker: &Attacker<'_>, prediction: &Prediction) -> Vec<wire::ReachEstimate> {
    let mark = &attacker.mark;
    let (mut releases, mut kept, mut refused) = (Vec::<wire::ReachEstimate>::new(), 0, 0);
    let predicted: Vec<_> = prediction.answers().collect();
    assert_eq!(attacker.answers.len(), predicted.len(), "{mark}");
    for (n, (answer, predicted)) in attacker.answers.iter().zip(predicted).enumerate() {
        match (answer, predicted) {
            (Answer::Told(size, now), Ok(release)) if release == releases.len() => {
                assert_eq!(released_at(size), *now, "{mark} {n}: not fresh");
                assert!(prediction.may_tell(release, told(size)), "{mark} {n}: {size:?}");
                releases.push(*size);
            }
            (Answer::Told(size, _), Ok(release)) => {
                let same = size.encode_to_vec() == releases[release].encode_to_vec();
                assert!(same, "{mark} {n}: not what was told before");
                kept += 1;
            }
            (Answer::Applied, Err(_)) => refused += 1,
            (Answer::Refused(wait), Err(predicted)) => {
                assert_eq!(*wait, predicted, "{mark} {n}");
                refused += 1;
            }
            _ => panic!("{mark} {n}: predicted was {predicted:?}"),
        }
    }
    let drawn: BTreeSet<_> = releases.iter().map(released_at).collect();
    assert_eq!(drawn.len(), K.get() as usize, "{mark}");
    println!("{mark:36} {:5} fresh {kept:4} kept {refused:4} refused", releases.len());
    releases
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attacks_lead_to_what_the_model_predicts() {
    let clock = Clock::manual(UnixMillis::new(1_800_000_000_000));
    let configure = |config: &mut AudienceConfig| {
        config.releases.per_window = K;
        config.store.synchronous = Synchronous::Normal;
    };
    let world = World::start_as(clock, Engine::Sqlite, true, Consents::default(), configure).await;
    gather_crowd(&world).await;

    let play = |attack: Attack| {
        let worlds = [false, true].map(|truth| {
            let mut attacker = Attacker::new(&world, &attack, truth);
            (attack.script)(&mut attacker, K.get(), truth);
            let prediction = attack.predict(K, truth);
            let releases = as_predicted(&attacker, &prediction);
            (attacker, prediction, releases)
        });
        let [(_, no, if_no), (_, yes, if_yes)] = &worlds;
        for (truth, releases) in [(false, if_no), (true, if_yes)] {
            let told: Vec<_> = releases.iter().map(told).collect();
            let decided = attack.decide(no, yes, &told);
            println!("{:36} truth {truth}, decided {decided}", attack.name);
        }
        worlds
    };
    let played: Vec<_> = attacks::ALL.into_iter().flat_map(play).collect();

    // Noise has the distribution that it should have: without any, or with half of it, what is told
    // would be less surprising.
    let (mut excess, mut variance) = (0.0, 0.0);
    for (_, prediction, releases) in &played {
        for (release, size) in releases.iter().enumerate() {
            let surprise = prediction.surprise(release, told(size));
            excess += surprise.0;
            variance += surprise.1;
        }
    }
    let deviations = excess / f64::sqrt(variance);
    println!("surprise: {deviations:.2} standard deviations more than expected");
    assert!(deviations.abs() < 6.0, "{deviations}");

    // Commits that got no release were applied, as the next release of the list shows.
    world.advance(Duration::from_hours(30 * 24));
    for (attacker, prediction, mut releases) in played {
        for (business, list, release) in &prediction.after_renewal {
            let expression = Expression::of_audience(&**list);
            let size = attacker.ask(business, &expression).await.unwrap();
            if let Some(known) = releases.get(*release) {
                assert_eq!(size, *known, "{} {list}", attacker.mark);
            } else {
                assert!(prediction.may_tell(*release, told(&size)), "{} {list}", attacker.mark);
                releases.push(size);
            }
        }
    }
}

async fn gather_crowd(world: &World) {
    let subjects: Vec<_> = (0..CROWD).map(|n| format!("padding-{n}")).collect();
    world.consents.grant_quietly(&subjects, &[crate::consent::TRANSFER, ADS]);
    let people = (0..).zip(&subjects).map(|(n, subject)| {
        person(subject, vec![digested(IdentifierKind::ExternalId, padding(n))])
    });
    world.callers().register_all(people.collect()).await;
}
