//! What abuse of connections gets, and that it hurts nobody else. docs/abuse.md has the list.

mod connections;
mod floods;
mod http_1;
mod slow;

use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use gateway::GatewayConfig;
use http::HeaderValue;
use prost::Message as _;
use proto::consent::v1::{WatchChangesRequest, consent_service_client::ConsentServiceClient};
use service_kit::config::Config;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};

use crate::{
    passing_through::check,
    raw::{DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, frame, message},
    world::{PATIENCE, World, app},
};

/// How long a call of somebody well-behaved may take while others do not behave: not as if they
/// did, and on a busy machine, but much less than what holds a server up.
const SOON: Duration = Duration::from_secs(10);

/// Somebody well-behaved, on a connection of their own: calls, one after the other, of which none
/// may fail, or take longer than [`SOON`].
struct Neighbour {
    served: Arc<AtomicUsize>,
    enough: Arc<AtomicBool>,
    calling: JoinHandle<()>,
    channel: Channel,
}

impl Neighbour {
    async fn of(world: &World) -> Self {
        let channel = connect(world).await;
        let (served, enough): (Arc<AtomicUsize>, Arc<AtomicBool>) = Default::default();
        let (counted, stop, theirs) = (served.clone(), enough.clone(), channel.clone());
        let bearer = world.keys.bearer(&app());
        let calling = tokio::spawn(async move {
            let mut client = ConsentServiceClient::new(theirs);
            while !stop.load(SeqCst) {
                let mut request = tonic::Request::new(check("anna"));
                let bearer = bearer.to_str().unwrap().parse().unwrap();
                request.metadata_mut().insert("authorization", bearer);
                // The gateway gives it three times the method's own second.
                request.set_timeout(SOON);
                tokio::time::timeout(SOON, client.check(request)).await.unwrap().unwrap();
                counted.fetch_add(1, SeqCst);
            }
        });
        let neighbour = Self { served, enough, calling, channel };
        neighbour.is_served().await;
        neighbour
    }

    /// Returns when some more calls have been answered.
    async fn is_served(&self) {
        let before = self.served.load(SeqCst);
        let more = async {
            while self.served.load(SeqCst) < before + 5 && !self.calling.is_finished() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, more).await.expect("the neighbour waits");
    }

    /// Asserts that they were served during all that was, and are after it.
    async fn was_served(self) {
        self.is_served().await;
        self.enough.store(true, SeqCst);
        self.calling.await.expect("a call of the neighbour's failed");
    }
}

async fn connect(world: &World) -> Channel {
    let uri = format!("http://{}", world.gateway.address());
    Endpoint::from_shared(uri).unwrap().connect().await.unwrap()
}

async fn world(change: impl FnOnce(&mut Config<GatewayConfig>)) -> (World, Neighbour) {
    let world = World::start_with(change).await;
    let neighbour = Neighbour::of(&world).await;
    (world, neighbour)
}

fn bearer(world: &World) -> HeaderValue {
    world.keys.bearer(&app())
}

fn checking(subject: &str) -> Vec<u8> {
    message(&check(subject).encode_to_vec())
}

fn watching(cursor: &str) -> Vec<u8> {
    let watch = WatchChangesRequest { cursor: cursor.as_bytes().to_vec(), ..Default::default() };
    message(&watch.encode_to_vec())
}

/// HEADERS and one DATA: a whole call.
fn whole_call(stream: u32, block: &[u8], message: &[u8]) -> Vec<u8> {
    let headers = frame(HEADERS, END_HEADERS, stream, block);
    [headers, frame(DATA, END_STREAM, stream, message)].concat()
}

#[track_caller]
fn assert_told(frames: &[Frame], code: u32) {
    let told = frames.iter().find(|frame| frame.kind == GOAWAY).expect("a GOAWAY");
    assert_eq!(told.code(), code, "{}", String::from_utf8_lossy(&told.payload));
}

/// As [`assert_told`], of a connection that may have ended before it could be read why.
#[track_caller]
fn assert_told_or_cut(frames: &[Frame], code: u32) {
    if frames.iter().any(|frame| frame.kind == GOAWAY) {
        assert_told(frames, code);
    }
}

/// Stream ids of a client.
fn streams() -> impl Iterator<Item = u32> {
    (1..).step_by(2)
}

/// All of it once more, in a process of its own, which has the services and the abusers too.
#[test]
fn all_of_it_fits_in_little_memory() {
    let test = std::env::current_exe().unwrap();
    let mut again = Command::new(test)
        .args(["abuse::", "--skip", "all_of_it_fits_in_little_memory", "--test-threads", "2"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", again.id());
    let mut peak = 0;
    let passed = loop {
        let status = std::fs::read_to_string(&status).unwrap();
        if let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
            peak = line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10;
        }
        if let Some(ended) = again.try_wait().unwrap() {
            break ended.success();
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(passed);
    assert!((1..200).contains(&peak), "{peak} MB");
}

/// The list is of what these tests show, and of all that they do.
#[test]
fn the_list_of_cases_is_what_is_tested() {
    let listed = include_str!("../../../docs/abuse.md");
    let tests = [
        include_str!("abuse/connections.rs"),
        include_str!("abuse/floods.rs"),
        include_str!("abuse/http_1.rs"),
        include_str!("abuse/slow.rs"),
        include_str!("bad_input.rs"),
    ];
    let tests: BTreeSet<_> = tests
        .iter()
        .flat_map(|file| file.split("#[tokio::test").skip(1))
        .filter_map(|test| test.split_once("async fn ")?.1.split('(').next())
        .collect();
    // A test's name stands in the last column.
    let cells = listed.lines().filter_map(|line| line.strip_suffix("` |")?.rsplit_once("| `"));
    let listed: BTreeSet<_> = cells.map(|(_, name)| name).collect();
    assert_eq!(listed, tests);
}
