"""GET /openapi.yaml: a sound document, strict enough for the contract's golden bodies, and true of the routes."""

import copy, glob, http.client
from roosting import *
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

here = os.path.dirname(os.path.abspath(__file__))
golden = {os.path.basename(f)[:-5]: json.load(open(f)) for f in glob.glob(here + "/../Contract/*.json")}
text = open(here + "/../../Sources/HTTPAPI/openapi.yaml").read()
document = yaml.safe_load(text)
registry = Registry().with_resource("urn:roost", DRAFT202012.create_resource(document))

# Golden files that are no answer of an operation.
COMPONENTS = {
    "callback-v1": "CallbackV1",
    "callback-v2": "CallbackV2",
    "callback-v2-documented": "CallbackV2Documented",
    "callback-v2-first-attempt": "CallbackV2",
    "callback-v2-no-response": "CallbackV2",
    "callback-v2-url-group-schedule": "CallbackV2",
    "failure-callback-v2": "FailureCallbackV2",
    "failure-callback-v2-non-retryable": "FailureCallbackV2",
}
OTHERS = {"batch-request", "cases", "delivery-requests", "errors"}

# The fields that the contract says are always there; a list or a page stands for its first item.
MESSAGE = "messageId url method header maxRetries notBefore createdAt callerIP callerIp"
ENTRY = "time messageId state url method header maxRetries callerIP timeout"
ENVELOPE = "status body retried sourceMessageId sourceMessasgeId"
ENVELOPE_V2 = ENVELOPE + " header maxRetries url method sourceHeader sourceBody notBefore createdAt callerIP"
FLOW = ("flowControlKey waitListSize parallelismMax parallelismCount rateMax rateCount ratePeriod ratePeriodStart isPaused"
        " isPinnedParallelism isPinnedRate")
SCHEDULE = "scheduleId cron destination createdAt method retries header isPaused callerIP callerIp nextScheduleTime"
GROUP = "name createdAt updatedAt endpoints"
SENT = "User-Agent Content-Length Upstash-Signature Upstash-Message-Id Upstash-Retried Upstash-Caller-Ip"
ALWAYS = [
    ("publish-url-duplicate", "messageId url deduplicated"), ("publish-url-group-part-duplicate", "messageId url"),
    ("publish-*", "messageId url"), ("batch-response", "messageId url"), ("message*", MESSAGE), ("cancel*", "cancelled"),
    ("queue*", "name createdAt updatedAt parallelism paused lag"), ("url-group*", GROUP), ("schedule-created", "scheduleId"),
    ("schedule*", SCHEDULE), ("dlq-list-last-page", "messages"), ("dlq-delete*", "deleted"), ("dlq-retry*", "messageId"),
    ("dlq-*", MESSAGE + " dlqId responseStatus"), ("logs-grouped", "messageId url state events"), ("logs-last-page", "logs"),
    ("logs*", ENTRY), ("events", ENTRY), ("flow-control*", FLOW), ("global-parallelism", "parallelismMax parallelismCount"),
    ("keys", "current next"), ("callback-v1", ENVELOPE + " headers"), ("callback-v2*", ENVELOPE_V2),
    ("failure-callback-v2*", ENVELOPE_V2 + " dlqId"),
]
# Fields that come with others or with a state.
TOGETHER = set("flowControlKey period label labels callback failureCallback retryDelayExpr retryDelayExpression topicName error"
               " responseStatus responseHeader responseHeaders deduplicated nextDeliveryTime lastScheduleTime".split())


def walk(value, at="#"):
    """Every object in the document, with the pointer to it."""
    if isinstance(value, dict):
        yield at, value
    for key, member in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from walk(member, "%s/%s" % (at, str(key).replace("~", "~0").replace("/", "~1")))


def follow(value):
    """What stands behind `$ref`."""
    while "$ref" in value:
        value = registry.resolver("urn:roost").lookup(value["$ref"]).contents
    return value


def validator(schema):
    """Of a schema in the document, by its pointer."""
    return Draft202012Validator({"$ref": "urn:roost" + schema}, registry=registry)


def operations():
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield path, method.upper(), operation, item.get("parameters", []) + operation.get("parameters", [])


def items(body):
    """Of a list or a page its items; the errors of a batch are none."""
    if isinstance(body, list):
        return [item for member in body for item in items(member)]
    for member in ["messages", "events", "logs", "responses"]:
        if body.get(member) and set(body) <= {member, "cursor"}:
            return items(body[member])
    return [] if set(body) == {"error"} else [body]


def check(name, body, schema, always=None):
    """The body is valid, and with a field too many or too few it is not."""
    valid = validator(schema)
    valid.validate(body)
    for at, value in walk(body):
        changed = copy.deepcopy(body)
        dict(walk(changed))[at]["unknown"] = 1
        assert not valid.is_valid(changed), "%s may have an unknown field at %s" % (name, at)
    body = copy.deepcopy(body)
    always = set((always or next(a for pattern, a in ALWAYS if re.fullmatch(pattern.replace("*", ".*"), name))).split())
    for item in items(body):
        needed = set()
        for key, value in list(item.items()):
            del item[key]
            needed |= set() if valid.is_valid(body) else {key}
            item[key] = value
        assert always <= needed <= always | TOGETHER, "%s: needed %s, always there %s" % (name, sorted(needed), sorted(always))
    if isinstance(body, dict):
        assert not valid.is_valid({k: v for k, v in body.items() if k == "cursor"}), "%s may be empty" % name


# A sound document: every reference leads somewhere, every schema is one, every parameter of a path is described.
assert document["openapi"].startswith("3.1.")
for at, value in walk(document):
    if "$ref" in value:
        follow(value)
    for key, member in value.items():
        if key == "schema" or at == "#/components/schemas":
            Draft202012Validator.check_schema(member)
ids = [operation["operationId"] for _, _, operation, _ in operations()]
assert len(set(ids)) == len(ids), sorted(ids)
for path, method, operation, parameters in operations():
    parameters = [follow(p) for p in parameters]
    assert re.findall(r"{(\w+)}", path) == [p["name"] for p in parameters if p["in"] == "path"], (path, method)
    assert ("x-scope" in operation) == (operation.get("security") != []), (path, method)

# Golden bodies, each tied to what answers it.
tied = set()
for path, method, operation, _ in operations():
    pointer = "#/paths/%s/%s/responses/%%s/content/application~1json/schema" % (path.replace("/", "~1"), method.lower())
    for status, response in operation["responses"].items():
        for name in response.get("x-golden", []):
            check(name, golden[name], pointer % status)
            tied.add(name)
assert tied | set(COMPONENTS) | OTHERS == set(golden), sorted(set(golden) ^ (tied | set(COMPONENTS) | OTHERS))
assert not tied & (set(COMPONENTS) | OTHERS), tied
for name, schema in COMPONENTS.items():
    check(name, golden[name], "#/components/schemas/" + schema)
validator("#/components/schemas/Batch").validate(golden["batch-request"])
for request in golden["delivery-requests"]:
    request = {k: v for k, v in request.items() if k != "name"}
    check("delivery", request, "#/components/schemas/DeliveryRequest", "method url headers body")
    for header in set(request["headers"]) & set(SENT.split()):
        fewer = {k: v for k, v in request["headers"].items() if k != header}
        assert not validator("#/components/schemas/DeliveryHeaders").is_valid(fewer), header
validator("#/components/schemas/CallbackV1").validate(json.loads(golden["delivery-requests"][2]["body"]))
for error in golden["errors"]:
    check("error", error["body"], "#/components/schemas/Error", "error")
    shown = [r for r in document["components"]["responses"].values() if any(
        e["value"] == error["body"] for e in r.get("content", {}).get("application/json", {}).get("examples", {}).values())]
    assert shown and set(error.get("headers", {})) <= set(shown[0].get("headers", {})), error
    assert any(follow(r) == shown[0] for _, _, o, _ in operations() for s, r in o["responses"].items() if s == str(error["status"])), error

# The grammars, as far as a pattern can say them.
for kind, schema, exact in [
    ("durations", "Duration", True), ("booleans", "Flag", True), ("redactFields", "RedactFields", True), ("cron", "Cron", False),
    ("flowControlValue", "FlowControlValue", False), ("retryDelayExpressions", "RetryDelayExpression", False),
]:
    for case in golden["cases"][kind]:
        matches = validator("#/components/schemas/" + schema).is_valid(case["in"].strip())
        assert matches or "error" in case, (schema, case)
        assert not (exact and matches and "error" in case), (schema, case)

# What is served: this very document, without a token, and what it says.
VALUES = dict(destination="https://example.com/x", queue="q", group="g", schedule="s", messageId="msg_0123456789abcdef",
              dlqId="1735689605123-0", key="k")
SCOPES = dict(publish=["publish"], read=["read"], manage=["publish", "read", "manage"])
data = tempfile.mkdtemp(prefix="roost-e2e-", dir="/tmp")
tokens = [dict(name=scope, secret="of-sixteen-bytes-or-more-" + scope, scopes=[scope]) for scope in SCOPES]
# Nothing is to be published here. Should something be all the same, this role delivers nothing.
roost = Roost("dev", "--data", data, env=dict(ROOST_ROLES="api", ROOST_TOKENS=json.dumps(tokens)))


def ask(method, path, token=None):
    connection = http.client.HTTPConnection("127.0.0.1", roost.port, timeout=30)
    target = re.sub(r"{(\w+)}", lambda m: VALUES[m[1]], path)
    connection.request(method, target, headers={"Authorization": "Bearer " + token} if token else {})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


answer, body = ask("GET", "/openapi.yaml")
assert answer.status == 200 and body.decode() == text, "another document is served"
assert answer.headers["Content-Type"].split(";")[0] == "application/yaml", answer.headers.items()
assert ask("GET", "/v2/nonsense", TOKEN)[0].status == 404
wrong = []
for path, item in document["paths"].items():
    answer, body = ask("OPTIONS", path, TOKEN)
    methods = {m.upper() for m in item if m != "parameters"}
    # A key may hold slashes, so that a GET there reads the key "k/pause".
    methods |= {"GET"} if "{key}/" in path else set()
    if answer.status != 405 or set((answer.headers["Allow"] or "").split(", ")) != methods:
        wrong.append("OPTIONS %s: %d, Allow: %s, documented: %s" % (path, answer.status, answer.headers["Allow"], sorted(methods)))
for path, method, operation, _ in operations():
    scope = operation.get("x-scope")
    if scope is None:
        answer, body = ask(method, path)
        if answer.status != 200:
            wrong.append("%s %s without a token: %d" % (method, path, answer.status))
        continue
    for token, expected in [(None, 401), *[("of-sixteen-bytes-or-more-" + s, 403) for s in SCOPES if scope not in SCOPES[s]]]:
        answer, body = ask(method, path, token)
        if answer.status != expected or set(json.loads(body)) != {"error"}:
            wrong.append("%s %s with the token %s: %d %s" % (method, path, token, answer.status, body))
    # Only where it changes nothing.
    if scope == "read" and ask(method, path, "of-sixteen-bytes-or-more-read")[0].status not in (200, 404):
        wrong.append("%s %s with a token to read" % (method, path))
assert not wrong, "\n" + "\n".join(wrong)
roost.stop()
shutil.rmtree(data)
