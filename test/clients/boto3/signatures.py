"""Who calls: signatures in headers and in presigned addresses, against a cloud that verifies them."""

import os
import urllib.error
import urllib.request
import xml.etree.ElementTree as ElementTree

import boto3
from check import ACCOUNT, REGION, client, config, equal, includes, refused

root = {"aws_access_key_id": os.environ["ROOT_KEY"], "aws_secret_access_key": os.environ["ROOT_SECRET"]}
wrong = {**root, "aws_secret_access_key": "guessed"}
unknown = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "guessed"}

# Right ones, over three protocols.
includes(client("sts", **root).get_caller_identity(), {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:root"})
equal(client("dynamodb", **root).list_tables()["TableNames"], [])
equal(client("lambda", **root).list_functions()["Functions"], [])
client("sqs", **root).create_queue(QueueName="signed")

# A path and a query that must be escaped just as AWS does it.
with refused("ResourceNotFoundException", status=404):
    client("lambda", **root).get_function(FunctionName=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:none", Qualifier="$LATEST")

# Wrong ones, each in its protocol's words.
with refused("SignatureDoesNotMatch", status=403):
    client("sts", **wrong).get_caller_identity()
with refused("InvalidSignatureException", status=400):
    client("dynamodb", **wrong).list_tables()
with refused("InvalidSignatureException", status=403):
    client("lambda", **wrong).list_functions()
with refused("InvalidClientTokenId", status=403):
    client("sts", **unknown).get_caller_identity()
with refused("UnrecognizedClientException", status=400):
    client("dynamodb", **unknown).list_tables()
with refused("UnrecognizedClientException", status=403):
    client("lambda", **unknown).list_functions()


# Presigned.
def get(url):
    try:
        answer = urllib.request.urlopen(url)
    except urllib.error.HTTPError as error:
        answer = error
    return answer.status, ElementTree.fromstring(answer.read())


names = {"sts": "https://sts.amazonaws.com/doc/2011-06-15/"}
presigned = client("sts", **root).generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
status, document = get(presigned)
equal(status, 200)
equal(document.find("sts:GetCallerIdentityResult/sts:Arn", names).text, f"arn:aws:iam::{ACCOUNT}:root")
status, document = get(presigned[:-1] + ("0" if presigned[-1] != "0" else "1"))
equal((status, document.find("sts:Error/sts:Code", names).text), (403, "SignatureDoesNotMatch"))
status, document = get(presigned.replace("X-Amz-Expires=60", "X-Amz-Expires=61"))
equal((status, document.find("sts:Error/sts:Code", names).text), (403, "SignatureDoesNotMatch"))

# Temporary credentials: the token must be there and be the right one.
iam = client("iam", **root)
trust = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}'
role = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=trust)["Role"]
iam.create_user(UserName="person")
iam.put_user_policy(
    UserName="person",
    PolicyName="assume",
    PolicyDocument='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}]}',
)
key = iam.create_access_key(UserName="person")["AccessKey"]
person = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
temporary = client("sts", **person).assume_role(RoleArn=role["Arn"], RoleSessionName="shift")["Credentials"]
session = {
    "aws_access_key_id": temporary["AccessKeyId"],
    "aws_secret_access_key": temporary["SecretAccessKey"],
    "aws_session_token": temporary["SessionToken"],
}
equal(
    boto3.client("sts", config=config(), **session).get_caller_identity()["Arn"],
    f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/shift",
)
with refused("UnrecognizedClientException"):
    client("dynamodb", **{**session, "aws_session_token": "another"}).list_tables()
