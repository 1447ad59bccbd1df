"""DynamoDB through boto3: the resource API with its own types, conditions, pages, waiters, exceptions."""

from decimal import Decimal

from boto3.dynamodb.conditions import Attr, Key
from boto3.dynamodb.types import Binary
from check import client, equal, includes, refused, resource

dynamodb = resource("dynamodb")
low = client("dynamodb")

table = dynamodb.create_table(
    TableName="music",
    KeySchema=[{"AttributeName": "artist", "KeyType": "HASH"}, {"AttributeName": "song", "KeyType": "RANGE"}],
    AttributeDefinitions=[
        {"AttributeName": "artist", "AttributeType": "S"},
        {"AttributeName": "song", "AttributeType": "S"},
    ],
    BillingMode="PAY_PER_REQUEST",
)
low.get_waiter("table_exists").wait(TableName="music", WaiterConfig={"Delay": 1, "MaxAttempts": 10})
table.reload()
equal(table.table_status, "ACTIVE")
with refused("ResourceInUseException", by=low.exceptions.ResourceInUseException):
    low.create_table(
        TableName="music",
        KeySchema=[{"AttributeName": "a", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "a", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )

# Every type, there and back.
item = {
    "artist": "a",
    "song": "s",
    "exact": Decimal("-12345678901234567890.123456789012345678"),
    "tiny": Decimal("-1E-130"),
    "bytes": Binary(bytes(range(256))),
    "nested": {"list": [1, "two", None, True, {"deep": [Decimal("0.1")]}], "empty": ""},
    "strings": {"x", "y"},
    "numbers": {Decimal(1), Decimal(2)},
    "binaries": {Binary(b"\x00"), Binary(b"\xff")},
}
table.put_item(Item=item)
equal(table.get_item(Key={"artist": "a", "song": "s"}, ConsistentRead=True)["Item"], item)
equal("Item" in table.get_item(Key={"artist": "a", "song": "none"}), False)
projected = table.get_item(
    Key={"artist": "a", "song": "s"},
    ProjectionExpression="#n.#l[1], strings",
    ExpressionAttributeNames={"#n": "nested", "#l": "list"},
    ReturnConsumedCapacity="TOTAL",
)
equal(projected["Item"], {"nested": {"list": ["two"]}, "strings": {"x", "y"}})
equal(projected["ConsumedCapacity"], {"TableName": "music", "CapacityUnits": 0.5})

# Conditions, and the item that a refusal shows.
table.put_item(Item={"artist": "lock", "song": "1", "owner": "me"}, ConditionExpression=Attr("artist").not_exists())
with refused(
    "ConditionalCheckFailedException",
    by=low.exceptions.ConditionalCheckFailedException,
    status=400,
    message="The conditional request failed",
) as caught:
    table.put_item(
        Item={"artist": "lock", "song": "1", "owner": "you"},
        ConditionExpression=Attr("artist").not_exists(),
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
    )
# Of a refusal boto3 gives the item as it came over the wire, also in the resource API.
equal(caught.response["Item"], {"artist": {"S": "lock"}, "song": {"S": "1"}, "owner": {"S": "me"}})
with refused("ConditionalCheckFailedException") as caught:
    low.update_item(
        TableName="music",
        Key={"artist": {"S": "lock"}, "song": {"S": "1"}},
        UpdateExpression="SET #o = :o",
        ConditionExpression="#o = :o",
        ExpressionAttributeNames={"#o": "owner"},
        ExpressionAttributeValues={":o": {"S": "you"}},
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
    )
equal(caught.response["Item"]["owner"], {"S": "me"})

# Updates.
updated = table.update_item(
    Key={"artist": "count", "song": "1"},
    UpdateExpression="SET plays = if_not_exists(plays, :zero) + :one, tags = list_append(:tags, :tags) ADD fans :fans",
    ExpressionAttributeValues={":zero": 0, ":one": 1, ":tags": ["t"], ":fans": {"f"}},
    ReturnValues="ALL_NEW",
)
equal(updated["Attributes"], {"artist": "count", "song": "1", "plays": 1, "tags": ["t", "t"], "fans": {"f"}})
removed = table.delete_item(Key={"artist": "count", "song": "1"}, ReturnValues="ALL_OLD")
equal(removed["Attributes"]["plays"], 1)

# The batch writer sends 25 at a time; queries and scans by pages.
with table.batch_writer(overwrite_by_pkeys=["artist", "song"]) as batch:
    for n in range(60):
        batch.put_item(Item={"artist": "many", "song": f"{n:03}", "n": n, "pad": "x" * 1000})
    batch.put_item(Item={"artist": "many", "song": "000", "n": -1})
answer = table.query(
    KeyConditionExpression=Key("artist").eq("many") & Key("song").begins_with("00"),
    FilterExpression=Attr("n").lt(5),
    ScanIndexForward=False,
    Limit=8,
)
equal([int(i["n"]) for i in answer["Items"]], [4, 3, 2])
equal((answer["Count"], answer["ScannedCount"]), (3, 8))
equal(answer["LastEvaluatedKey"], {"artist": "many", "song": "002"})
rest = table.query(
    KeyConditionExpression=Key("artist").eq("many") & Key("song").begins_with("00"),
    ScanIndexForward=False,
    ExclusiveStartKey=answer["LastEvaluatedKey"],
)
equal([int(i["n"]) for i in rest["Items"]], [1, -1])
pages = list(low.get_paginator("scan").paginate(TableName="music", PaginationConfig={"PageSize": 25}))
equal(sum(page["Count"] for page in pages), 62)
equal(len(pages), 3)
segments = [low.scan(TableName="music", Segment=n, TotalSegments=4, Select="COUNT")["Count"] for n in range(4)]
equal(sum(segments), 62)
equal(
    low.get_paginator("query")
    .paginate(
        TableName="music",
        KeyConditionExpression="artist = :a",
        ExpressionAttributeValues={":a": {"S": "many"}},
        PaginationConfig={"PageSize": 7},
    )
    .build_full_result()["Count"],
    60,
)
got = dynamodb.batch_get_item(
    RequestItems={"music": {"Keys": [{"artist": "many", "song": "001"}, {"artist": "many", "song": "none"}]}}
)
equal([int(i["n"]) for i in got["Responses"]["music"]], [1])
equal(got["UnprocessedKeys"], {})

# PartiQL.
low.execute_statement(
    Statement="INSERT INTO \"music\" VALUE {'artist': ?, 'song': 'it''s', 'n': 1.5e1, 'tags': <<'a', 'b'>>}",
    Parameters=[{"S": "partiql"}],
)
rows = low.execute_statement(Statement="SELECT n, tags FROM music WHERE artist = 'partiql' AND begins_with(song, 'it')")
equal(rows["Items"], [{"n": {"N": "15"}, "tags": {"SS": ["a", "b"]}}])
batch = low.batch_execute_statement(
    Statements=[
        {"Statement": "SELECT n FROM music WHERE artist = 'partiql' AND song = 'it''s'"},
        {"Statement": "SELECT n FROM music WHERE n = 15"},
    ]
)["Responses"]
equal([batch[0]["Item"], batch[1]["Error"]["Code"]], [{"n": {"N": "15"}}, "ValidationError"])
low.execute_transaction(
    TransactStatements=[
        {"Statement": "UPDATE music SET n = n + 1 REMOVE tags WHERE artist = 'partiql' AND song = 'it''s'"},
        {"Statement": "INSERT INTO music VALUE {'artist': 'partiql', 'song': 'two'}"},
    ]
)
paginator_rows = []
token = {}
while True:
    page = low.execute_statement(Statement="SELECT * FROM music WHERE artist = 'partiql' ORDER BY song DESC", Limit=1, **token)
    paginator_rows += page["Items"]
    if "NextToken" not in page:
        break
    token = {"NextToken": page["NextToken"]}
equal([row["song"]["S"] for row in paginator_rows], ["two", "it's"])
equal(paginator_rows[1]["n"], {"N": "16"})
with refused("DuplicateItemException", by=low.exceptions.DuplicateItemException):
    low.execute_statement(Statement="INSERT INTO music VALUE {'artist': 'partiql', 'song': 'two'}")
with refused("ValidationException", message="Statement wasn't well formed, can't be processed: Unexpected token after expression"):
    low.execute_statement(Statement="SELECT * FROM music WHERE artist = 'a' oops")

# Legacy parameters.
key = {"artist": {"S": "legacy"}, "song": {"S": "one"}}
low.update_item(
    TableName="music",
    Key=key,
    AttributeUpdates={"n": {"Action": "ADD", "Value": {"N": "2"}}, "s": {"Value": {"S": "x"}}},
    Expected={"n": {"ComparisonOperator": "NULL"}},
)
with refused("ConditionalCheckFailedException"):
    low.delete_item(TableName="music", Key=key, Expected={"n": {"Value": {"N": "3"}}})
found = low.query(
    TableName="music",
    KeyConditions={"artist": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "legacy"}]}},
    QueryFilter={"s": {"ComparisonOperator": "BEGINS_WITH", "AttributeValueList": [{"S": "x"}]}},
    AttributesToGet=["n"],
)
equal(found["Items"], [{"n": {"N": "2"}}])

# Refusals in AWS's classes.
with refused("ResourceNotFoundException", by=low.exceptions.ResourceNotFoundException):
    low.get_item(TableName="nowhere", Key={"a": {"S": "x"}})
with refused("ValidationException", message="The provided key element does not match the schema"):
    table.get_item(Key={"artist": "a"})
with refused("ValidationException"):
    table.put_item(Item={"artist": "a", "song": "too-large", "pad": "x" * 409_600})
with refused("ValidationException"):
    table.query(KeyConditionExpression=Key("song").eq("x"))

for page in low.get_paginator("list_tables").paginate(PaginationConfig={"PageSize": 1}):
    equal(page["TableNames"], ["music"])
includes(low.describe_table(TableName="music")["Table"], {"TableName": "music", "TableStatus": "ACTIVE"})
table.delete()
low.get_waiter("table_not_exists").wait(TableName="music", WaiterConfig={"Delay": 1, "MaxAttempts": 10})
