"""SQS through boto3: the client, the resource API, the paginator, exceptions, both protocols."""

import hashlib
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from check import ACCOUNT, ENDPOINT, REGION, client, equal, refused, resource

sqs = client("sqs")

# A message of every kind of attribute.
url = sqs.create_queue(QueueName="work", Attributes={"VisibilityTimeout": "2"}, tags={"team": "a"})["QueueUrl"]
equal(url, f"{ENDPOINT}/{ACCOUNT}/work")
equal(sqs.get_queue_url(QueueName="work")["QueueUrl"], url)
equal(sqs.list_queue_tags(QueueUrl=url)["Tags"], {"team": "a"})
body = "grüße \U0001f600\n\ttab"
attributes = {
    "text": {"DataType": "String", "StringValue": "x"},
    "number": {"DataType": "Number.int", "StringValue": "42"},
    "bytes": {"DataType": "Binary", "BinaryValue": bytes(range(256))},
}
# botocore itself compares the MD5 digests of body and attributes with its own.
sent = sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)
equal(sent["MD5OfMessageBody"], hashlib.md5(body.encode()).hexdigest())
[message] = sqs.receive_message(
    QueueUrl=url, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"], WaitTimeSeconds=1
)["Messages"]
equal(message["Body"], body)
equal(message["MessageAttributes"], attributes)
equal(message["MD5OfMessageAttributes"], sent["MD5OfMessageAttributes"])
equal(message["Attributes"]["ApproximateReceiveCount"], "1")
equal("Messages" in sqs.receive_message(QueueUrl=url), False)
sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
[again] = sqs.receive_message(QueueUrl=url, MessageSystemAttributeNames=["ApproximateReceiveCount"])["Messages"]
equal((again["MessageId"], again["Attributes"]), (message["MessageId"], {"ApproximateReceiveCount": "2"}))
sqs.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])

# The resource API.
queue = resource("sqs").get_queue_by_name(QueueName="work")
answer = queue.send_messages(Entries=[{"Id": str(n), "MessageBody": f"m{n}"} for n in range(10)])
equal(len(answer["Successful"]), 10)
seen = set()
while len(seen) < 10:
    batch = queue.receive_messages(MaxNumberOfMessages=10, WaitTimeSeconds=2)
    seen |= {message.body for message in batch}
    done = queue.delete_messages(Entries=[{"Id": m.message_id, "ReceiptHandle": m.receipt_handle} for m in batch])
    equal(done.get("Failed", []), [])
equal(seen, {f"m{n}" for n in range(10)})
queue.reload()
equal(queue.attributes["ApproximateNumberOfMessages"], "0")

# Pages.
for n in range(5):
    sqs.create_queue(QueueName=f"page-{n}")
pages = list(sqs.get_paginator("list_queues").paginate(QueueNamePrefix="page-", PaginationConfig={"PageSize": 2}))
equal([len(page.get("QueueUrls", [])) for page in pages], [2, 2, 1])
equal(sorted(q[-6:] for page in pages for q in page["QueueUrls"]), [f"page-{n}" for n in range(5)])

# Exceptions, by class and by the code that the query protocol had.
with refused("AWS.SimpleQueueService.NonExistentQueue", by=sqs.exceptions.QueueDoesNotExist, status=400) as caught:
    sqs.get_queue_url(QueueName="nowhere")
equal(caught.response["Error"]["Message"], "The specified queue does not exist.")
equal(caught.response["Error"]["QueryErrorCode"], "QueueDoesNotExist")
with refused("ReceiptHandleIsInvalid", by=sqs.exceptions.ReceiptHandleIsInvalid):
    sqs.delete_message(QueueUrl=url, ReceiptHandle="nonsense")
with refused("QueueAlreadyExists", by=sqs.exceptions.QueueNameExists):
    sqs.create_queue(QueueName="work", Attributes={"VisibilityTimeout": "3"})
with refused("AWS.SimpleQueueService.EmptyBatchRequest", by=sqs.exceptions.EmptyBatchRequest):
    sqs.send_message_batch(QueueUrl=url, Entries=[])
with refused("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", by=sqs.exceptions.BatchEntryIdsNotDistinct):
    sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "a", "MessageBody": "1"}, {"Id": "a", "MessageBody": "2"}])

# A dead-letter queue, and the way back.
dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
dead_arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
sqs.set_queue_attributes(
    QueueUrl=url,
    Attributes={
        "RedrivePolicy": f'{{"deadLetterTargetArn":"{dead_arn}","maxReceiveCount":1}}',
        "VisibilityTimeout": "0",
    },
)
sqs.send_message(QueueUrl=url, MessageBody="poison")
equal(len(sqs.receive_message(QueueUrl=url)["Messages"]), 1)
equal("Messages" in sqs.receive_message(QueueUrl=url), False)
equal(sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"], [url])
equal(sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"],
      {"ApproximateNumberOfMessages": "1"})
sqs.start_message_move_task(SourceArn=dead_arn)
[back] = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
equal(back["Body"], "poison")
sqs.delete_message(QueueUrl=url, ReceiptHandle=back["ReceiptHandle"])


# The query protocol, which botocore spoke until 2023: form in, XML out, signed by botocore.
def query(path="/", **parameters):
    body = urllib.parse.urlencode({"Version": "2012-11-05", **parameters})
    request = AWSRequest("POST", ENDPOINT + path, data=body, headers={"Content-Type": "application/x-www-form-urlencoded"})
    SigV4Auth(Credentials("test", "test"), "sqs", REGION).add_auth(request)
    prepared = request.prepare()
    try:
        answer = urllib.request.urlopen(
            urllib.request.Request(prepared.url, data=body.encode(), headers=dict(prepared.headers), method="POST")
        )
    except urllib.error.HTTPError as error:
        answer = error
    equal(answer.headers.get_content_type(), "text/xml")
    return answer.status, ElementTree.fromstring(answer.read())


names = {"q": "http://queue.amazonaws.com/doc/2012-11-05/"}
status, root = query(Action="SendMessage", QueueUrl=url, MessageBody="by query & <form>")
equal((status, root.tag), (200, "{http://queue.amazonaws.com/doc/2012-11-05/}SendMessageResponse"))
equal(root.find("q:SendMessageResult/q:MD5OfMessageBody", names).text, hashlib.md5(b"by query & <form>").hexdigest())
status, root = query(f"/{ACCOUNT}/work", Action="ReceiveMessage", WaitTimeSeconds="2")
equal(root.find("q:ReceiveMessageResult/q:Message/q:Body", names).text, "by query & <form>")
status, root = query(Action="GetQueueUrl", QueueName="nowhere")
equal((status, root.find("q:Error/q:Code", names).text), (400, "AWS.SimpleQueueService.NonExistentQueue"))

sqs.purge_queue(QueueUrl=url)
sqs.delete_queue(QueueUrl=url)
with refused("AWS.SimpleQueueService.NonExistentQueue", by=sqs.exceptions.QueueDoesNotExist):
    sqs.send_message(QueueUrl=url, MessageBody="x")
