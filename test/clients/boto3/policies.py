"""What a policy allows and what it does not, against a cloud that enforces IAM."""

import json
import os

from check import ACCOUNT, REGION, client, equal, refused

root = {"aws_access_key_id": os.environ["ROOT_KEY"], "aws_secret_access_key": os.environ["ROOT_SECRET"]}
iam = client("iam", **root)
sqs = client("sqs", **root)
dynamodb = client("dynamodb", **root)

queue = sqs.create_queue(QueueName="open")["QueueUrl"]
other = sqs.create_queue(QueueName="shut")["QueueUrl"]
dynamodb.create_table(
    TableName="notes",
    KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    BillingMode="PAY_PER_REQUEST",
)
dynamodb.get_waiter("table_exists").wait(TableName="notes", WaiterConfig={"Delay": 1})
dynamodb.put_item(TableName="notes", Item={"id": {"S": "1"}})

iam.create_user(UserName="narrow")
iam.get_waiter("user_exists").wait(UserName="narrow")
policy = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "sqs:*", "Resource": f"arn:aws:sqs:{REGION}:{ACCOUNT}:open"},
        {"Effect": "Deny", "Action": "sqs:PurgeQueue", "Resource": "*"},
        {"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/notes"},
    ],
}
arn = iam.create_policy(PolicyName="narrow", PolicyDocument=json.dumps(policy))["Policy"]["Arn"]
iam.attach_user_policy(UserName="narrow", PolicyArn=arn)
attached = iam.get_paginator("list_attached_user_policies").paginate(UserName="narrow").build_full_result()
equal(attached["AttachedPolicies"], [{"PolicyName": "narrow", "PolicyArn": arn}])
key = iam.create_access_key(UserName="narrow")["AccessKey"]
narrow = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
who = f"User: arn:aws:iam::{ACCOUNT}:user/narrow is not authorized to perform: "

mine = client("sqs", **narrow)
mine.send_message(QueueUrl=queue, MessageBody="x")
equal(len(mine.receive_message(QueueUrl=queue)["Messages"]), 1)
with refused("AccessDenied") as caught:
    mine.purge_queue(QueueUrl=queue)
equal("with an explicit deny in an identity-based policy" in caught.response["Error"]["Message"], True)
with refused("AccessDenied"):
    mine.send_message(QueueUrl=other, MessageBody="x")
with refused("AccessDenied"):
    mine.list_queues()

notes = client("dynamodb", **narrow)
equal(notes.get_item(TableName="notes", Key={"id": {"S": "1"}})["Item"], {"id": {"S": "1"}})
with refused(
    "AccessDeniedException",
    status=400,
    message=who
    + f"dynamodb:PutItem on resource: arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/notes"
    + " because no identity-based policy allows the dynamodb:PutItem action",
):
    notes.put_item(TableName="notes", Item={"id": {"S": "2"}})
with refused("AccessDeniedException", status=403):
    client("lambda", **narrow).list_functions()
with refused("AccessDenied", status=403):
    client("iam", **narrow).create_user(UserName="more")

# A key that was taken away is good no more (callers are kept for at most a second).
iam.update_access_key(UserName="narrow", AccessKeyId=key["AccessKeyId"], Status="Inactive")
with refused("InvalidClientTokenId"):
    client("sts", **narrow).get_caller_identity()
with refused("DeleteConflict", by=iam.exceptions.DeleteConflictException, status=409):
    iam.delete_user(UserName="narrow")
with refused("NoSuchEntity", by=iam.exceptions.NoSuchEntityException, status=404):
    iam.get_user(UserName="nobody")
