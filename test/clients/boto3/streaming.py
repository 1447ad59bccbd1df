"""Streamed responses and function URLs through boto3, with functions in Node."""

import io
import json
import urllib.error
import urllib.request
import zipfile

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from check import ACCOUNT, ENDPOINT, REGION, client, equal, refused

lam = client("lambda")
ROLE = f"arn:aws:iam::{ACCOUNT}:role/worker"


def make(name, runtime, file, text):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(file, text)
    handler = f"{file.split('.')[0]}.handler"
    lam.create_function(
        FunctionName=name, Runtime=runtime, Role=ROLE, Handler=handler, Code={"ZipFile": buffer.getvalue()}, Timeout=10
    )
    lam.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})


def streamed(name, **more):
    answer = lam.invoke_with_response_stream(FunctionName=name, **more)
    events = list(answer["EventStream"])
    chunks = [event["PayloadChunk"]["Payload"] for event in events if "PayloadChunk" in event]
    return answer, b"".join(chunks), events[-1]["InvokeComplete"]


make(
    "streamer",
    "nodejs20.x",
    "index.js",
    """
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  if (event.requestContext) {
    const head = { statusCode: 201, headers: { 'x-kind': 'streamed' }, cookies: ['a=1', 'b=2'] };
    stream = awslambda.HttpResponseStream.from(stream, head);
  }
  console.log('streaming');
  for (let count = 0; count < 3; count++) {
    stream.write(`part ${count};`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  if (event.fail) throw new Error('in the middle');
  stream.end();
});
""",
)
make("whole", "nodejs20.x", "index.js", "exports.handler = async (event) => ({ got: event })")

answer, body, complete = streamed("streamer", Payload=b"{}", LogType="Tail")
equal(answer["StatusCode"], 200)
equal(answer["ExecutedVersion"], "$LATEST")
equal(answer["ResponseStreamContentType"], "application/vnd.amazon.eventstream")
equal(body, b"part 0;part 1;part 2;")
equal("ErrorCode" in complete, False)
equal(len(complete["LogResult"]) > 0, True)

_, body, complete = streamed("streamer", Payload=b'{"fail": true}')
equal(body, b"part 0;part 1;part 2;")
equal(complete["ErrorCode"], "Unhandled")
equal(json.loads(complete["ErrorDetails"])["errorMessage"], "in the middle")

_, body, complete = streamed("whole", Payload=b'{"a": 1}')
equal("ErrorCode" in complete, False)
equal(json.loads(body), {"got": {"a": 1}})
with refused("ResourceNotFoundException", status=404):
    lam.invoke_with_response_stream(FunctionName="nobody")


def by_path(url, path=""):
    url_id = url.split("//")[1].split(".")[0]
    return f"{ENDPOINT}/_aws/lambda-url/{url_id}/{path}"


for name, mode in (("streamer", "RESPONSE_STREAM"), ("whole", "BUFFERED")):
    made = lam.create_function_url_config(FunctionName=name, AuthType="AWS_IAM", InvokeMode=mode)
    equal(made["InvokeMode"], mode)
    url = by_path(made["FunctionUrl"], "some/path")
    try:
        urllib.request.urlopen(url)
        raise AssertionError("a request without a signature was let in")
    except urllib.error.HTTPError as error:
        equal(error.code, 403)
        equal(json.loads(error.read())["Message"].startswith("Forbidden."), True)
    signed = AWSRequest("POST", url, data=b"{}", headers={"content-type": "application/json"})
    SigV4Auth(botocore.session.get_session().get_credentials(), "lambda", REGION).add_auth(signed)
    with urllib.request.urlopen(urllib.request.Request(url, b"{}", dict(signed.headers), method="POST")) as response:
        text = response.read().decode()
        if name == "streamer":
            equal(response.status, 201)
            equal(response.headers["x-kind"], "streamed")
            equal(response.headers.get_all("set-cookie"), ["a=1", "b=2"])
            equal(text, "part 0;part 1;part 2;")
        else:
            equal(response.headers["content-type"], "application/json")
            event = json.loads(text)["got"]
            equal(event["rawPath"], "/some/path")
            equal(event["requestContext"]["authorizer"]["iam"]["accountId"], ACCOUNT)
    listed = lam.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"]
    equal([one["FunctionUrl"] for one in listed], [made["FunctionUrl"]])
    lam.delete_function_url_config(FunctionName=name)
    with refused("ResourceNotFoundException", message="The resource you requested does not exist."):
        lam.get_function_url_config(FunctionName=name)
