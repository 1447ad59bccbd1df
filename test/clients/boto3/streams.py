"""DynamoDB Streams, backups, point-in-time recovery and resource policies through boto3."""

import json
import time

from check import client, refused

dynamodb = client("dynamodb")
streams = client("dynamodbstreams")


def until(check):
    for _ in range(200):
        found = check()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it never came to that")


table = dynamodb.create_table(
    TableName="devices",
    AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "B"}],
    KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    BillingMode="PAY_PER_REQUEST",
    StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
)["TableDescription"]
dynamodb.get_waiter("table_exists").wait(TableName="devices", WaiterConfig={"Delay": 1})
arn, stream = table["TableArn"], table["LatestStreamArn"]

key = {"id": {"B": b"\x00\xff"}}
dynamodb.put_item(TableName="devices", Item={**key, "n": {"N": "1"}})
dynamodb.put_item(TableName="devices", Item={**key, "n": {"N": "2"}, "raw": {"BS": [b"a", b"b"]}})

listed = streams.list_streams(TableName="devices")["Streams"]
assert [each["StreamArn"] for each in listed] == [stream], listed
described = streams.describe_stream(StreamArn=stream)["StreamDescription"]
assert described["StreamStatus"] == "ENABLED" and len(described["Shards"]) == 4, described
records = []
for shard in described["Shards"]:
    iterator = streams.get_shard_iterator(
        StreamArn=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    page = streams.get_records(ShardIterator=iterator)
    assert "NextShardIterator" in page
    records += page["Records"]
assert [record["eventName"] for record in records] == ["INSERT", "MODIFY"], records
last = records[1]["dynamodb"]
assert last["Keys"] == key, last
assert last["OldImage"] == {**key, "n": {"N": "1"}}, last
assert sorted(last["NewImage"]["raw"]["BS"]) == [b"a", b"b"], last
with refused("ValidationException"):
    streams.get_records(ShardIterator="nonsense")
with refused("ResourceNotFoundException"):
    streams.describe_stream(StreamArn=stream[:-1] + "x")

dynamodb.update_continuous_backups(
    TableName="devices", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
)
backup = dynamodb.create_backup(TableName="devices", BackupName="first")["BackupDetails"]["BackupArn"]
until(
    lambda: dynamodb.describe_backup(BackupArn=backup)["BackupDescription"]["BackupDetails"]["BackupStatus"]
    == "AVAILABLE"
)
# boto3 sends whole seconds.
time.sleep(2)
window = dynamodb.describe_continuous_backups(TableName="devices")["ContinuousBackupsDescription"]
moment = window["PointInTimeRecoveryDescription"]["LatestRestorableDateTime"]
time.sleep(0.05)
dynamodb.delete_item(TableName="devices", Key=key)
dynamodb.restore_table_from_backup(TargetTableName="from-backup", BackupArn=backup)
dynamodb.restore_table_to_point_in_time(
    SourceTableName="devices", TargetTableName="from-time", RestoreDateTime=moment
)
for name in ("from-backup", "from-time"):
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    found = dynamodb.get_item(TableName=name, Key=key)["Item"]
    assert found["n"] == {"N": "2"}, (name, found)
assert "Item" not in dynamodb.get_item(TableName="devices", Key=key)
assert [each["BackupName"] for each in dynamodb.list_backups(TableName="devices")["BackupSummaries"]] == ["first"]
dynamodb.delete_backup(BackupArn=backup)
with refused("BackupNotFoundException"):
    dynamodb.describe_backup(BackupArn=backup)

policy = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "dynamodb:GetItem", "Resource": arn}
        ],
    }
)
revision = dynamodb.put_resource_policy(ResourceArn=arn, Policy=policy)["RevisionId"]
assert dynamodb.get_resource_policy(ResourceArn=arn) | {"ResponseMetadata": 0} == {
    "Policy": policy,
    "RevisionId": revision,
    "ResponseMetadata": 0,
}
dynamodb.delete_resource_policy(ResourceArn=arn)
with refused("PolicyNotFoundException"):
    dynamodb.get_resource_policy(ResourceArn=arn)
