// The story of one person, told by a client that was generated from the contract.
//
//     node story.js GENERATED grpc|web
//
// GENERATED is the folder with the generated code. `grpc` speaks gRPC, as a server would; `web`
// speaks gRPC-Web by fetch, as a page in a browser would (browser.js), and leaves streams of
// requests, which browsers have not, to gRPC. In the environment: ASSENT_ADDRESS (host:port of the
// gateway), ASSENT_CA (a PEM file; for `web` in NODE_EXTRA_CA_CERTS, too), ASSENT_ORIGIN (for
// `web`: where the page is from), ASSENT_TOKENS (JSON: a token for each role), ASSENT_POLICY (the
// content of a policy, JSON), ASSENT_NAME (what everybody's id begins with; the token USER is for
// NAME-anna) and ASSENT_JURISDICTION. Any call that does not do what it should ends with an error.
"use strict";

const assert = require("node:assert/strict");
const { createHash } = require("node:crypto");
const { readFileSync } = require("node:fs");
const path = require("node:path");
const { ChannelCredentials } = require("@grpc/grpc-js");
const { GrpcTransport } = require("@protobuf-ts/grpc-transport");
const { GrpcWebFetchTransport } = require("@protobuf-ts/grpcweb-transport");

const generated = (file) => require(path.resolve(process.argv[2], file));
const web = process.argv[3] === "web";
const { ASSENT_ADDRESS, ASSENT_CA, ASSENT_NAME, ASSENT_ORIGIN } = process.env;
const { ASSENT_JURISDICTION, ASSENT_POLICY, ASSENT_TOKENS } = process.env;

const { Any } = generated("google/protobuf/any");
const { BadRequest, ErrorInfo } = generated("google/rpc/error_details");
const { Status } = generated("google/rpc/status");
const { Timestamp } = generated("google/protobuf/timestamp");
const { IdentifierKind, StorageStatus } = generated("assent/types/v1/types");
const { AgeBand, EventKind, Outcome } = generated("assent/consent/v1/subject");
const { Mechanism, PolicySpec, PolicyState } = generated("assent/consent/v1/policy");
const { PolicyServiceClient } = generated("assent/consent/v1/policy.client");
const { ConsentServiceClient } = generated("assent/consent/v1/consent.client");
const { AccountServiceClient } = generated("assent/gateway/v1/account.client");
const { DirectoryServiceClient } = generated("assent/audience/v1/directory.client");
const { GraphServiceClient } = generated("assent/suggest/v1/graph.client");
const { SuggestionServiceClient } = generated("assent/suggest/v1/suggestion.client");

const SHARE = "messenger.share_phone";
const ANNA = `${ASSENT_NAME}-anna`;
const BELA = `${ASSENT_NAME}-bela`;
// Whom Anna and Bela have in common: fewer would say who they are.
const FRIENDS = [0, 1, 2, 3].map((number) => `${ASSENT_NAME}-friend-${number}`);
const EVERYBODY = [ANNA, BELA, ...FRIENDS];

const tokens = JSON.parse(ASSENT_TOKENS);
const by = (role) => ({ meta: { authorization: `Bearer ${tokens[role]}` }, timeout: 60_000 });

function server() {
  const channelCredentials = ChannelCredentials.createSsl(readFileSync(ASSENT_CA));
  return new GrpcTransport({ host: ASSENT_ADDRESS, channelCredentials });
}

function page() {
  const { fetchFrom } = require("./browser");
  const baseUrl = `https://${ASSENT_ADDRESS}`;
  return new GrpcWebFetchTransport({ baseUrl, format: "binary", fetch: fetchFrom(ASSENT_ORIGIN) });
}

/// Pages from elsewhere are kept away by the browser, since the gateway does not let them in.
async function onlyItsOriginMayCall() {
  const { Blocked, fetchFrom } = require("./browser");
  const url = `https://${ASSENT_ADDRESS}/assent.consent.v1.ConsentService/Check`;
  // No token: the gateway says so to a page that may hear it.
  const kind = "application/grpc-web+proto";
  const init = { method: "POST", headers: { "content-type": kind, "x-grpc-web": "1" } };
  for (const foreign of ["https://other.example.com", "http://app.example.com", "null"]) {
    await assert.rejects(fetchFrom(foreign)(url, init), Blocked, foreign);
  }
  const answer = await fetchFrom(ASSENT_ORIGIN)(url, init);
  expect("without a token", answer.headers.get("grpc-status"), "16");
}

const emailDigest = (subject) => ({
  kind: IdentifierKind.EMAIL,
  value: {
    oneofKind: "sha256",
    sha256: createHash("sha256").update(`${subject}@example.com`).digest(),
  },
});

function expect(what, actual, expected) {
  assert.deepEqual(actual, expected, what);
  console.log(`${what}:`, actual);
}

async function publishPolicy(link) {
  const policies = new PolicyServiceClient(link);
  const spec = PolicySpec.fromJsonString(ASSENT_POLICY);
  spec.effectiveAt = Timestamp.now();
  const create = { requestId: `${ASSENT_NAME}-create`, policyId: `${ASSENT_NAME}-policy`, spec };
  const draft = (await policies.createPolicy(create, by("ADMIN")).response).policy;
  const publish = { requestId: `${ASSENT_NAME}-publish`, policy: draft.ref };
  const { policy } = await policies.publishPolicy(publish, by("ADMIN")).response;
  expect("the policy", policy.state, PolicyState.PUBLISHED);
  return policy;
}

async function register(link, subjectId) {
  const registration = {
    requestId: `register-${subjectId}`,
    subjectId,
    jurisdiction: ASSENT_JURISDICTION,
    ageBand: AgeBand.ADULT,
    accountCreatedAt: Timestamp.fromDate(new Date("2020-01-01T00:00:00Z")),
    apps: ["messenger", "social"],
    identifiers: [emailDigest(subjectId)],
    defaultRegion: "",
  };
  const accounts = new AccountServiceClient(link);
  const { consent, audience, suggest } = await accounts.registerAccount(registration, by("APP"))
    .response;
  const { STORED, AWAITING_CONSENT } = StorageStatus;
  const expected = [STORED, AWAITING_CONSENT, AWAITING_CONSENT];
  expect(`${subjectId} registered`, [consent, audience, suggest], expected);
}

/// Agrees to everything that can be chosen.
async function agree(consents, policy, subjectId, role) {
  const chosen = policy.spec.purposes.filter((one) => one.mechanism !== Mechanism.NOTICE_ONLY);
  const notice = policy.spec.notices[0];
  const decision = {
    requestId: `decide-${subjectId}`,
    subjectId,
    policy: policy.ref,
    choices: chosen.map(({ purposeId }) => ({ purposeId, granted: true })),
    evidence: { method: "dialog", locale: "en", noticeSha256: notice.sha256, client: "" },
    decidedBy: "",
  };
  await consents.recordDecision(decision, by(role)).response;
}

async function check(consents) {
  const request = { subjectId: ANNA, purposeId: SHARE };
  return Outcome[(await consents.check(request, by("AD_SERVER")).response).outcome];
}

/// Streams both ways, where there are such: each answer acknowledges one message.
async function all(call, messages) {
  for (const message of messages) await call.requests.send(message);
  await call.requests.complete();
  const answers = [];
  for await (const answer of call.responses) answers.push(answer);
  await call;
  return answers;
}

async function putIdentifiers(link) {
  const messages = EVERYBODY.map((subjectId) => ({
    requestId: `identifiers-${subjectId}`,
    verified: true,
    registrations: [{ subjectId, identifiers: [emailDigest(subjectId)], defaultRegion: "" }],
  }));
  const directory = new DirectoryServiceClient(link);
  const answers = await all(directory.putIdentifiers(by("APP")), messages);
  const statuses = answers.flatMap((answer) => answer.results.map((result) => result.status));
  expect("identifiers", statuses, EVERYBODY.map(() => StorageStatus.STORED));
}

async function putConnections(link) {
  const pairs = [ANNA, BELA].flatMap((one) => FRIENDS.map((friend) => [one, friend]));
  const connections = pairs.map(([subjectId, otherSubjectId]) => ({ subjectId, otherSubjectId }));
  const messages = [{ requestId: `${ASSENT_NAME}-connections`, connections }];
  const answers = await all(new GraphServiceClient(link).putConnections(by("APP")), messages);
  expect("connections", answers.map((answer) => answer.stored), [pairs.length]);
}

async function suggested(link) {
  const client = new SuggestionServiceClient(link);
  const { suggestions } = await client.listSuggestions({ limit: 10 }, by("USER")).response;
  return suggestions.map((suggestion) => suggestion.subjectId);
}

/// Follows the feed until it says that Anna decided: a stream of answers, which browsers have.
async function untilFeedSaysSo(consents) {
  const stop = new AbortController();
  const options = { ...by("APP"), abort: stop.signal };
  const call = consents.watchChanges({ cursor: new Uint8Array(), purposeIds: [SHARE] }, options);
  try {
    for await (const { events } of call.responses) {
      const isHers = (one) =>
        one.subjectId === ANNA && one.kind === EventKind.DECISION_RECORDED;
      if (events.some(isHers)) return true;
    }
  } finally {
    stop.abort();
    // Cancelled, as was just asked for.
    await Promise.allSettled([call.headers, call.status, call.trailers]);
  }
  return false;
}

/// The code, the reason and the fields of an error.
async function refused(call) {
  const error = await call.response.then(() => assert.fail("not refused"), (error) => error);
  const details = [error.meta["grpc-status-details-bin"]].flat()[0];
  assert.ok(details, `an error without details: ${error}`);
  const status = Status.fromBinary(Buffer.from(details, "base64"));
  const unpacked = (type) =>
    status.details.filter((one) => Any.contains(one, type)).map((one) => Any.unpack(one, type));
  const reasons = unpacked(ErrorInfo).map(({ domain, reason }) => `${domain} ${reason}`);
  const fields = unpacked(BadRequest).flatMap((bad) => bad.fieldViolations.map((one) => one.field));
  return [error.code, reasons, fields.sort()];
}

async function main() {
  const streams = server();
  const link = web ? page() : streams;
  if (web) await onlyItsOriginMayCall();
  const consents = new ConsentServiceClient(link);
  const policy = await publishPolicy(link);
  for (const subject of EVERYBODY) await register(link, subject);
  expect("before deciding", await check(consents), "DENIED");
  await agree(consents, policy, ANNA, "USER");
  for (const subject of EVERYBODY.slice(1)) await agree(consents, policy, subject, "APP");
  expect("after agreeing", await check(consents), "GRANTED");
  expect("the feed has it", await untilFeedSaysSo(consents), true);
  await putIdentifiers(streams);
  await putConnections(streams);
  expect("suggested", await suggested(link), [BELA]);
  const withdrawal = {
    requestId: `${ASSENT_NAME}-withdraw`,
    subjectId: ANNA,
    purposeIds: [SHARE],
  };
  await consents.withdraw(withdrawal, by("USER")).response;
  expect("after withdrawing", await check(consents), "DENIED");

  const bad = consents.check({ subjectId: "a b", purposeId: "" }, by("APP"));
  const fields = ["purpose_id", "subject_id"];
  const invalid = ["INVALID_ARGUMENT", ["assent REASON_FIELDS_INVALID"], fields];
  expect("two bad fields", await refused(bad), invalid);
  const wrong = consents.withdraw(withdrawal, by("AD_SERVER"));
  const denied = ["PERMISSION_DENIED", ["assent REASON_ROLE_NOT_ALLOWED"], []];
  expect("a wrong role", await refused(wrong), denied);
  streams.close();
  console.log("DONE");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
