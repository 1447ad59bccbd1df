"""The function that every client of test/runtimes implements, over awslambdaric."""

import os
import sys
import time

invocations = 0


class Failure(Exception):
    """An error with a type of its own, which the client names to the caller."""


def handler(event, context):
    global invocations
    invocations += 1
    action = event["action"]
    if action == "echo":
        return echo(event, context)
    if action == "fail":
        raise Failure(event["text"])
    if action == "crash":
        os.abort()
    if action == "exit":
        sys.exit(3)
    if action == "sleep":
        time.sleep(event["ms"] / 1000)
        return {"logStream": context.log_stream_name}
    if action == "large":
        return "x" * event["bytes"]
    if action == "measure":
        return {"characters": len(event["text"])}
    if action == "log":
        print(f"out: {event['text']}")
        print(f"err: {event['text']}", file=sys.stderr)
        context.log(f"logger: {event['text']}\n")
        return None
    raise Failure(f"unknown action {action}")


def echo(event, context):
    client = context.client_context
    return {
        "event": event,
        "count": invocations,
        "logStream": context.log_stream_name,
        "requestId": context.aws_request_id,
        "functionArn": context.invoked_function_arn,
        "deadlineMs": round(time.time() * 1000) + context.get_remaining_time_in_millis(),
        "traceId": os.environ.get("_X_AMZN_TRACE_ID"),
        "clientContext": client.custom if client else None,
        "functionName": context.function_name,
        "functionVersion": context.function_version,
        "memoryMb": int(context.memory_limit_in_mb),
        "logGroup": context.log_group_name,
    }
