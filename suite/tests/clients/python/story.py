"""The story of one person, told by a client that was generated from the contract.

    python story.py GENERATED

GENERATED is the folder with the generated code. In the environment: ASSENT_ADDRESS (host:port of
the gateway), ASSENT_CA (a PEM file), ASSENT_TOKENS (JSON: a token for each role), ASSENT_POLICY
(the content of a policy, JSON), ASSENT_NAME (what everybody's id begins with; the token USER is
for NAME-anna) and ASSENT_JURISDICTION. Any call that does not do what it should ends with an
error.
"""

import hashlib
import json
import os
import sys

sys.path.insert(0, sys.argv[1])

import grpc
from google.protobuf.json_format import Parse
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from assent.audience.v1 import directory_pb2, directory_pb2_grpc
from assent.consent.v1 import check_pb2, consent_pb2, consent_pb2_grpc, policy_pb2
from assent.consent.v1 import policy_pb2_grpc, subject_pb2
from assent.errors.v1 import errors_pb2
from assent.gateway.v1 import account_pb2, account_pb2_grpc
from assent.suggest.v1 import graph_pb2, graph_pb2_grpc, suggestion_pb2, suggestion_pb2_grpc
from assent.types.v1 import types_pb2

NAME, JURISDICTION = os.environ["ASSENT_NAME"], os.environ["ASSENT_JURISDICTION"]
TOKENS = json.loads(os.environ["ASSENT_TOKENS"])
SHARE = "messenger.share_phone"


def by(role):
    """What goes with a call: whose it is."""
    return [("authorization", f"Bearer {TOKENS[role]}")]


def person(name):
    return f"{NAME}-{name}"


# Four friends, whom Anna and Bela have in common: fewer would say who they are.
FRIENDS = [person(f"friend-{number}") for number in range(4)]
ANNA, BELA = person("anna"), person("bela")
EVERYBODY = [ANNA, BELA, *FRIENDS]


def email_digest(subject):
    digest = hashlib.sha256(f"{subject}@example.com".encode()).digest()
    return types_pb2.Identifier(kind=types_pb2.IDENTIFIER_KIND_EMAIL, sha256=digest)


def expect(what, actual, expected):
    if actual != expected:
        raise AssertionError(f"{what}: {actual!r}, not {expected!r}")
    print(f"{what}: {actual!r}")


def publish_policy(channel):
    policies = policy_pb2_grpc.PolicyServiceStub(channel)
    spec = Parse(os.environ["ASSENT_POLICY"], policy_pb2.PolicySpec())
    spec.effective_at.GetCurrentTime()
    create = policy_pb2.CreatePolicyRequest(
        request_id=f"{NAME}-create", policy_id=f"{NAME}-policy", spec=spec
    )
    draft = policies.CreatePolicy(create, metadata=by("ADMIN"), timeout=30).policy
    publish = policy_pb2.PublishPolicyRequest(request_id=f"{NAME}-publish", policy=draft.ref)
    policy = policies.PublishPolicy(publish, metadata=by("ADMIN"), timeout=60).policy
    expect("the policy", policy.state, policy_pb2.POLICY_STATE_PUBLISHED)
    return policy


def register(channel, subject):
    request = account_pb2.RegisterAccountRequest(
        request_id=f"register-{subject}",
        subject_id=subject,
        jurisdiction=JURISDICTION,
        age_band=subject_pb2.AGE_BAND_ADULT,
        apps=["messenger", "social"],
        identifiers=[email_digest(subject)],
    )
    request.account_created_at.FromJsonString("2020-01-01T00:00:00Z")
    accounts = account_pb2_grpc.AccountServiceStub(channel)
    answer = accounts.RegisterAccount(request, metadata=by("APP"), timeout=30)
    statuses = (answer.consent, answer.audience, answer.suggest)
    waiting = types_pb2.STORAGE_STATUS_AWAITING_CONSENT
    stored = types_pb2.STORAGE_STATUS_STORED
    expect(f"{subject} registered", statuses, (stored, waiting, waiting))


def agree(consents, policy, subject, role):
    """Agrees to everything that can be chosen."""
    chosen = [
        subject_pb2.Choice(purpose_id=purpose.purpose_id, granted=True)
        for purpose in policy.spec.purposes
        if purpose.mechanism != policy_pb2.MECHANISM_NOTICE_ONLY
    ]
    evidence = consent_pb2.Evidence(
        method="dialog", locale="en", notice_sha256=policy.spec.notices[0].sha256
    )
    decision = consent_pb2.RecordDecisionRequest(
        request_id=f"decide-{subject}",
        subject_id=subject,
        policy=policy.ref,
        choices=chosen,
        evidence=evidence,
    )
    consents.RecordDecision(decision, metadata=by(role), timeout=30)


def check(consents):
    request = check_pb2.CheckRequest(subject_id=ANNA, purpose_id=SHARE)
    answer = consents.Check(request, metadata=by("AD_SERVER"), timeout=30)
    return subject_pb2.Outcome.Name(answer.outcome)


def put_identifiers(channel):
    """A stream both ways: each answer acknowledges one message."""
    messages = [
        directory_pb2.PutIdentifiersRequest(
            request_id=f"identifiers-{subject}",
            verified=True,
            registrations=[
                directory_pb2.Registration(subject_id=subject, identifiers=[email_digest(subject)])
            ],
        )
        for subject in EVERYBODY
    ]
    directory = directory_pb2_grpc.DirectoryServiceStub(channel)
    answers = directory.PutIdentifiers(iter(messages), metadata=by("APP"), timeout=60)
    statuses = [result.status for answer in answers for result in answer.results]
    expect("identifiers", statuses, [types_pb2.STORAGE_STATUS_STORED] * len(EVERYBODY))


def suggestions(channel):
    pairs = [(one, friend) for one in (ANNA, BELA) for friend in FRIENDS]
    connections = [
        graph_pb2.Connection(subject_id=one, other_subject_id=other) for one, other in pairs
    ]
    message = graph_pb2.PutConnectionsRequest(
        request_id=f"{NAME}-connections", connections=connections
    )
    graph = graph_pb2_grpc.GraphServiceStub(channel)
    answers = graph.PutConnections(iter([message]), metadata=by("APP"), timeout=60)
    expect("connections", [answer.stored for answer in answers], [len(pairs)])
    request = suggestion_pb2.ListSuggestionsRequest(limit=10)
    suggest = suggestion_pb2_grpc.SuggestionServiceStub(channel)
    listed = suggest.ListSuggestions(request, metadata=by("USER"), timeout=30).suggestions
    return [suggestion.subject_id for suggestion in listed]


def refused(call):
    """The code, the reason and the fields of an error."""
    try:
        call()
    except grpc.RpcError as error:
        details = dict(error.trailing_metadata())["grpc-status-details-bin"]
        reasons, fields = [], set()
        for detail in Status.FromString(details).details:
            info, bad = ErrorInfo(), BadRequest()
            if detail.Unpack(info):
                reasons.append((info.domain, errors_pb2.Reason.Value(info.reason)))
            if detail.Unpack(bad):
                fields |= {violation.field for violation in bad.field_violations}
        return error.code(), reasons, fields
    raise AssertionError("the call was not refused")


def main():
    with open(os.environ["ASSENT_CA"], "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    with grpc.secure_channel(os.environ["ASSENT_ADDRESS"], credentials) as channel:
        consents = consent_pb2_grpc.ConsentServiceStub(channel)
        policy = publish_policy(channel)
        for subject in EVERYBODY:
            register(channel, subject)
        expect("before deciding", check(consents), "OUTCOME_DENIED")
        agree(consents, policy, ANNA, "USER")
        for subject in EVERYBODY[1:]:
            agree(consents, policy, subject, "APP")
        expect("after agreeing", check(consents), "OUTCOME_GRANTED")
        put_identifiers(channel)
        expect("suggested", suggestions(channel), [BELA])
        withdrawal = consent_pb2.WithdrawRequest(
            request_id=f"{NAME}-withdraw", subject_id=ANNA, purpose_ids=[SHARE]
        )
        consents.Withdraw(withdrawal, metadata=by("USER"), timeout=30)
        expect("after withdrawing", check(consents), "OUTCOME_DENIED")

        bad = check_pb2.CheckRequest(subject_id="a b", purpose_id="")
        expect(
            "two bad fields",
            refused(lambda: consents.Check(bad, metadata=by("APP"), timeout=30)),
            (
                grpc.StatusCode.INVALID_ARGUMENT,
                [("assent", errors_pb2.REASON_FIELDS_INVALID)],
                {"subject_id", "purpose_id"},
            ),
        )
        expect(
            "a wrong role",
            refused(lambda: consents.Withdraw(withdrawal, metadata=by("AD_SERVER"), timeout=30)),
            (
                grpc.StatusCode.PERMISSION_DENIED,
                [("assent", errors_pb2.REASON_ROLE_NOT_ALLOWED)],
                set(),
            ),
        )
    print("DONE")


main()
