"""What every script here shares: clients of the cloud under test, and checks that say what they saw."""

import os
from contextlib import contextmanager

import boto3
import botocore.exceptions
from botocore.config import Config

ACCOUNT = "000000000000"
REGION = "us-east-1"
ENDPOINT = os.environ["AWS_ENDPOINT_URL"]


def config(**more):
    return Config(retries={"total_max_attempts": 1}, **more)


def client(service, **more):
    return boto3.client(service, config=config(), **more)


def resource(service):
    return boto3.resource(service, config=config())


def equal(actual, expected):
    if actual != expected:
        raise AssertionError(f"expected {expected!r}, got {actual!r}")


def includes(actual, expected):
    """The keys of `expected` are in `actual` with these values."""
    equal({key: actual.get(key) for key in expected}, expected)


@contextmanager
def refused(code, *, by=botocore.exceptions.ClientError, status=None, message=None):
    """The block must raise `by` with AWS's code; gives a holder whose `response` is the error's."""
    caught = Caught()
    try:
        yield caught
    except by as error:
        caught.response = error.response
        equal(error.response["Error"]["Code"], code)
        if status is not None:
            equal(error.response["ResponseMetadata"]["HTTPStatusCode"], status)
        if message is not None:
            equal(error.response["Error"]["Message"], message)
        return
    raise AssertionError(f"{code} was expected, and nothing was refused")


class Caught:
    response = {}
