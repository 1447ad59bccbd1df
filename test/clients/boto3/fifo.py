"""FIFO and fair queues through boto3."""

import json

from check import client, equal, refused

sqs = client("sqs")
FIFO = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}


def arn_of(url):
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


# What a FIFO queue is.
url = sqs.create_queue(QueueName="orders.fifo", Attributes={**FIFO, "VisibilityTimeout": "2"})["QueueUrl"]
equal(sqs.create_queue(QueueName="orders.fifo", Attributes=FIFO)["QueueUrl"], url)
attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
equal(attributes["FifoQueue"], "true")
equal(attributes["DeduplicationScope"], "queue")
equal(attributes["FifoThroughputLimit"], "perQueue")
with refused("QueueAlreadyExists", by=sqs.exceptions.QueueNameExists):
    sqs.create_queue(QueueName="orders.fifo", Attributes={**FIFO, "ContentBasedDeduplication": "false"})
with refused("InvalidParameterValue"):
    sqs.create_queue(QueueName="orders", Attributes=FIFO)
with refused("InvalidAttributeName", by=sqs.exceptions.InvalidAttributeName):
    sqs.create_queue(QueueName="plain", Attributes={"FifoQueue": "false"})
with refused("InvalidAttributeValue", by=sqs.exceptions.InvalidAttributeValue):
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"FifoQueue": "false"})

# Order, groups and duplicates; botocore compares the digests.
sent = [sqs.send_message(QueueUrl=url, MessageBody=f"m{n}", MessageGroupId=f"g{n % 2}") for n in range(6)]
again = sqs.send_message(QueueUrl=url, MessageBody="m0", MessageGroupId="g0")
equal((again["MessageId"], again["SequenceNumber"]), (sent[0]["MessageId"], sent[0]["SequenceNumber"]))
sequences = [int(one["SequenceNumber"]) for one in sent]
equal(sequences, sorted(set(sequences)))
first = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=2, MessageSystemAttributeNames=["All"])["Messages"]
equal([message["Body"] for message in first], ["m0", "m2"])
equal(first[0]["Attributes"]["MessageGroupId"], "g0")
equal(first[0]["Attributes"]["SequenceNumber"], sent[0]["SequenceNumber"])
equal(len(first[0]["Attributes"]["MessageDeduplicationId"]), 64)
second = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
equal([message["Body"] for message in second], ["m1", "m3", "m5"])
equal("Messages" in sqs.receive_message(QueueUrl=url), False)
sqs.change_message_visibility_batch(
    QueueUrl=url,
    Entries=[{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"], "VisibilityTimeout": 0} for n, m in enumerate(first)],
)
back = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2)["Messages"]
equal([message["Body"] for message in back], ["m0", "m2", "m4"])
with refused("InvalidParameterValue"):
    sqs.delete_message(QueueUrl=url, ReceiptHandle=first[0]["ReceiptHandle"])
done = sqs.delete_message_batch(
    QueueUrl=url,
    Entries=[{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(back + second)],
)
equal(len(done["Successful"]), 6)
counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
equal((counts["ApproximateNumberOfMessages"], counts["ApproximateNumberOfMessagesNotVisible"]), ("0", "0"))

# What is missing or does not fit.
with refused("MissingParameter"):
    sqs.send_message(QueueUrl=url, MessageBody="x")
with refused("InvalidParameterValue"):
    sqs.send_message(QueueUrl=url, MessageBody="x", MessageGroupId="g", DelaySeconds=1)
with refused("InvalidParameterValue"):
    sqs.send_message(QueueUrl=url, MessageBody="x", MessageGroupId="g", MessageDeduplicationId="no spaces")
with refused("InvalidParameterValue"):
    sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "a", "MessageBody": "x"}])

# The same attempt gets the same messages.
sqs.send_message(QueueUrl=url, MessageBody="once", MessageGroupId="g")
one = sqs.receive_message(QueueUrl=url, ReceiveRequestAttemptId="try", VisibilityTimeout=30)["Messages"]
equal(sqs.receive_message(QueueUrl=url, ReceiveRequestAttemptId="try", VisibilityTimeout=30)["Messages"], one)
equal("Messages" in sqs.receive_message(QueueUrl=url, ReceiveRequestAttemptId="other"), False)
sqs.delete_message(QueueUrl=url, ReceiptHandle=one[0]["ReceiptHandle"])

# Dead letters, and the way back.
dead = sqs.create_queue(QueueName="dead.fifo", Attributes=FIFO)["QueueUrl"]
redrive = json.dumps({"deadLetterTargetArn": arn_of(dead), "maxReceiveCount": 1})
sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": redrive, "VisibilityTimeout": "0"})
sqs.send_message(QueueUrl=url, MessageBody="poison", MessageGroupId="g")
equal(len(sqs.receive_message(QueueUrl=url)["Messages"]), 1)
equal("Messages" in sqs.receive_message(QueueUrl=url), False)
equal(sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"],
      {"ApproximateNumberOfMessages": "1"})
sqs.start_message_move_task(SourceArn=arn_of(dead))
equal(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"][0]["Body"], "poison")
sqs.purge_queue(QueueUrl=url)

# A group on a standard queue marks its tenant, and nothing else.
fair = sqs.create_queue(QueueName="fair")["QueueUrl"]
answer = sqs.send_message(QueueUrl=fair, MessageBody="x", MessageGroupId="tenant")
equal("SequenceNumber" in answer, False)
[message] = sqs.receive_message(QueueUrl=fair, MessageSystemAttributeNames=["All"], WaitTimeSeconds=1)["Messages"]
equal(message["Attributes"]["MessageGroupId"], "tenant")
equal("MessageDeduplicationId" in message["Attributes"], False)
sqs.delete_message(QueueUrl=fair, ReceiptHandle=message["ReceiptHandle"])
with refused("InvalidParameterValue"):
    sqs.send_message(QueueUrl=fair, MessageBody="x", MessageDeduplicationId="a")
