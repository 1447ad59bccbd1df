"""Lambda, CloudWatch Logs and HTTP APIs through boto3, with functions in Python and Node."""

import base64
import io
import json
import time
import urllib.error
import urllib.request
import zipfile

from check import ACCOUNT, ENDPOINT, REGION, client, equal, includes, refused

lam = client("lambda")
logs = client("logs")
ROLE = f"arn:aws:iam::{ACCOUNT}:role/worker"


def package(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "."), text)
    return buffer.getvalue()


code = package(
    app__py="""
import json, os

def handler(event, context):
    print("saw", json.dumps(event))
    if event.get("fail"):
        raise ValueError("as asked")
    if "requestContext" in event:
        return {"statusCode": 200, "body": json.dumps({"path": event["rawPath"], "query": event.get("queryStringParameters")})}
    if "Records" in event:
        bad = [r["messageId"] for r in event["Records"] if r["body"] == "bad"]
        return {"batchItemFailures": [{"itemIdentifier": i} for i in bad]}
    return {"name": context.function_name, "left": context.get_remaining_time_in_millis() > 0, "mode": os.environ["MODE"]}
"""
)
made = lam.create_function(
    FunctionName="worker",
    Runtime="python3.11",
    Role=ROLE,
    Handler="app.handler",
    Code={"ZipFile": code},
    Environment={"Variables": {"MODE": "test"}},
    Timeout=10,
    Tags={"team": "a"},
)
equal(made["FunctionArn"], f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:worker")
lam.get_waiter("function_active_v2").wait(FunctionName="worker", WaiterConfig={"Delay": 1})
found = lam.get_function(FunctionName="worker")
equal(found["Tags"], {"team": "a"})
equal(urllib.request.urlopen(found["Code"]["Location"]).read(), code)

# Invocations.
answer = lam.invoke(FunctionName="worker", Payload=b'{"a": "\xc3\xbc"}', LogType="Tail")
equal(json.loads(answer["Payload"].read()), {"name": "worker", "left": True, "mode": "test"})
includes(answer, {"StatusCode": 200, "ExecutedVersion": "$LATEST"})
tail = base64.b64decode(answer["LogResult"]).decode()
equal("START RequestId: " in tail and "saw " in tail and "REPORT RequestId: " in tail, True)
failed = lam.invoke(FunctionName="worker", Payload=b'{"fail": true}')
equal(failed["FunctionError"], "Unhandled")
includes(json.loads(failed["Payload"].read()), {"errorType": "ValueError", "errorMessage": "as asked"})
equal(lam.invoke(FunctionName="worker", InvocationType="DryRun")["StatusCode"], 204)
equal(lam.invoke(FunctionName="worker", InvocationType="Event", Payload=b'{"later": 1}')["StatusCode"], 202)

with refused("ResourceNotFoundException", by=lam.exceptions.ResourceNotFoundException, status=404):
    lam.invoke(FunctionName="nobody")
with refused("InvalidRequestContentException", by=lam.exceptions.InvalidRequestContentException, status=400):
    lam.invoke(FunctionName="worker", Payload=b"{")
with refused("ResourceConflictException", by=lam.exceptions.ResourceConflictException, status=409):
    lam.create_function(FunctionName="worker", Runtime="python3.11", Role=ROLE, Handler="app.handler", Code={"ZipFile": code})
with refused("RequestTooLargeException", by=lam.exceptions.RequestTooLargeException, status=413):
    lam.invoke(FunctionName="worker", Payload=b'"' + b"x" * 6_300_000 + b'"')
with refused("InvalidParameterValueException", by=lam.exceptions.InvalidParameterValueException, status=400):
    lam.create_function(FunctionName="broken", Runtime="python3.11", Role=ROLE, Handler="a.b", Code={"ZipFile": b"no zip"})

# A change, waited for.
lam.update_function_configuration(FunctionName="worker", Environment={"Variables": {"MODE": "changed"}})
lam.get_waiter("function_updated_v2").wait(FunctionName="worker", WaiterConfig={"Delay": 1})
equal(json.loads(lam.invoke(FunctionName="worker")["Payload"].read())["mode"], "changed")
pages = lam.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 1})
equal([f["FunctionName"] for page in pages for f in page["Functions"]], ["worker"])

# A queue that feeds the function; one message of the batch fails and comes again.
sqs = client("sqs")
url = sqs.create_queue(QueueName="jobs", Attributes={"VisibilityTimeout": "10"})["QueueUrl"]
mapping = lam.create_event_source_mapping(
    EventSourceArn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:jobs",
    FunctionName="worker",
    BatchSize=10,
    FunctionResponseTypes=["ReportBatchItemFailures"],
)
deadline = time.time() + 15
while lam.get_event_source_mapping(UUID=mapping["UUID"])["State"] != "Enabled":
    equal(time.time() < deadline, True)
    time.sleep(0.1)
sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": b, "MessageBody": b} for b in ("good", "bad")])
names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
while True:
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    if sum(int(n) for n in counts.values()) == 1 and counts["ApproximateNumberOfMessagesNotVisible"] == "1":
        break
    equal(time.time() < deadline, True)
    time.sleep(0.1)
lam.delete_event_source_mapping(UUID=mapping["UUID"])

# What they printed.
group = "/aws/lambda/worker"
deadline = time.time() + 10
while True:
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=group, filterPattern='"later"', PaginationConfig={"PageSize": 1}
    )
    messages = [event["message"].strip() for page in pages for event in page["events"]]
    if messages:
        break
    equal(time.time() < deadline, True)
    time.sleep(0.1)
equal(messages, ['saw {"later": 1}'])
equal(
    [g["logGroupName"] for p in logs.get_paginator("describe_log_groups").paginate() for g in p["logGroups"]], [group]
)
streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
everything = logs.get_log_events(logGroupName=group, logStreamName=streams[0]["logStreamName"], startFromHead=True)
equal(everything["events"] == sorted(everything["events"], key=lambda event: event["timestamp"]), True)
with refused("ResourceNotFoundException", by=logs.exceptions.ResourceNotFoundException, status=400):
    logs.get_log_events(logGroupName=group, logStreamName="none")
with refused("ResourceAlreadyExistsException", by=logs.exceptions.ResourceAlreadyExistsException):
    logs.create_log_group(logGroupName=group)

# An HTTP API before the function.
api = client("apigatewayv2")
made = api.create_api(Name="front", ProtocolType="HTTP")
integration = api.create_integration(
    ApiId=made["ApiId"],
    IntegrationType="AWS_PROXY",
    IntegrationUri=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:worker",
    PayloadFormatVersion="2.0",
)
api.create_route(ApiId=made["ApiId"], RouteKey="GET /things/{id}", Target=f"integrations/{integration['IntegrationId']}")
api.create_stage(ApiId=made["ApiId"], StageName="$default", AutoDeploy=True)
lam.add_permission(
    FunctionName="worker",
    StatementId="api",
    Action="lambda:InvokeFunction",
    Principal="apigateway.amazonaws.com",
    SourceArn=f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{made['ApiId']}/*",
)
base = f"{ENDPOINT}/_aws/execute-api/{made['ApiId']}"
equal(json.load(urllib.request.urlopen(f"{base}/things/7?a=1&a=2")), {"path": "/things/7", "query": {"a": "1,2"}})
try:
    urllib.request.urlopen(f"{base}/elsewhere")
    raise AssertionError("a path without a route should be refused")
except urllib.error.HTTPError as error:
    equal((error.code, json.load(error)), (404, {"message": "Not Found"}))
with refused("NotFoundException", by=api.exceptions.NotFoundException, status=404):
    api.get_api(ApiId="nowhere")
equal([a["Name"] for p in api.get_paginator("get_apis").paginate() for a in p["Items"]], ["front"])

lam.delete_function(FunctionName="worker")
with refused("ResourceNotFoundException", by=lam.exceptions.ResourceNotFoundException):
    lam.get_function(FunctionName="worker")
