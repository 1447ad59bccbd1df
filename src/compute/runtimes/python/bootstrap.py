"""The Python runtime: loads the function's handler and serves invocations from the Lambda Runtime API.

It runs inside the sandbox and stands on nothing but the standard library of Python 3.9 or later. Behaviour and texts follow AWS's
published client for this API (github.com/aws/aws-lambda-python-runtime-interface-client); the code is our own.
"""

import importlib
import json
import logging
import os
import socket
import sys
import time
import traceback
from decimal import Decimal

PREFIX = "/2018-06-01/runtime/"
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
AS_JSON = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"


class Fault(Exception):
    """An error of the runtime's own, with the type that AWS gives it."""

    def __init__(self, kind, message, trace=None):
        super().__init__(message)
        self.kind = "Runtime." + kind
        self.message = message
        self.trace = trace


class RuntimeClient:
    """The Runtime API over one keep-alive connection.

    An answer and the request for the next event travel together, so that an invocation costs one packet in and one out.
    """

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.address = address
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def next(self, answer=b""):
        """Sends the answer to the last event, if any, and waits for the next: (headers, body)."""
        get = "GET %sinvocation/next HTTP/1.1\r\nHost: %s\r\n\r\n" % (PREFIX, self.address)
        self.socket.sendall(answer + get.encode("ascii"))
        if answer:
            self.read()
        return self.read()

    def send(self, message):
        self.socket.sendall(message)
        self.read()

    def response(self, request_id, body):
        return self.post("invocation/%s/response" % request_id, "", body)

    def error(self, request_id, error):
        return self.post("invocation/%s/error" % request_id, error_header(error), error_json(error))

    def init_error(self, error):
        return self.post("init/error", error_header(error), error_json(error))

    def post(self, path, header, body):
        head = "POST %s%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n"
        return (head % (PREFIX, path, self.address, header, len(body))).encode("ascii") + body

    def read(self):
        while True:
            end = self.buffer.find(b"\r\n\r\n")
            if end >= 0:
                break
            self.receive()
        lines = self.buffer[:end].decode("utf-8").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", 0))
        start = end + 4
        if len(self.buffer) < start + length:
            pieces = [self.buffer]
            missing = start + length - len(self.buffer)
            while missing > 0:
                piece = self.socket.recv(max(65536, missing))
                if not piece:
                    os._exit(1)
                pieces.append(piece)
                missing -= len(piece)
            self.buffer = b"".join(pieces)
        body = self.buffer[start : start + length]
        self.buffer = self.buffer[start + length :]
        return headers, body

    def receive(self):
        piece = self.socket.recv(65536)
        # Without the Runtime API there is nothing to live for.
        if not piece:
            os._exit(1)
        self.buffer += piece


class ClientContext:
    """What a mobile client told about itself."""

    def __init__(self, values):
        self.custom = values.get("custom")
        self.env = values.get("env")
        self.client = Client(values["client"]) if values.get("client") else None


class Client:
    def __init__(self, values):
        self.installation_id = values.get("installation_id")
        self.app_title = values.get("app_title")
        self.app_version_name = values.get("app_version_name")
        self.app_version_code = values.get("app_version_code")
        self.app_package_name = values.get("app_package_name")


class CognitoIdentity:
    def __init__(self, values):
        self.cognito_identity_id = values.get("cognitoIdentityId")
        self.cognito_identity_pool_id = values.get("cognitoIdentityPoolId")


class LambdaContext:
    def __init__(self, headers):
        environ = os.environ
        self.aws_request_id = headers.get("lambda-runtime-aws-request-id")
        self.log_group_name = environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = environ.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn")
        self._deadline_ms = int(headers.get("lambda-runtime-deadline-ms", 0))
        client = parse_header(headers, "lambda-runtime-client-context", "Client Context")
        self.client_context = ClientContext(client) if client else None
        self.identity = CognitoIdentity(
            parse_header(headers, "lambda-runtime-cognito-identity", "Cognito Identity") or {}
        )

    def get_remaining_time_in_millis(self):
        return max(int(self._deadline_ms - time.time() * 1000), 0)

    def log(self, message):
        sys.stdout.write(str(message))


class LogHandler(logging.Handler):
    """One event for each record, however many lines it has."""

    request_id = ""

    def emit(self, record):
        record.aws_request_id = LogHandler.request_id
        write_event(self.format(record))


class JsonFormatter(logging.Formatter):
    """A document for each record, with what the program added to it."""

    standard = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "aws_request_id"}

    def format(self, record):
        kind, problem, trace = record.exc_info or (None, None, None)
        # Levels of a program's own count as the standard one below.
        level = min(50, max(0, record.levelno)) // 10 * 10
        fields = {
            "timestamp": time.strftime(TIME_FORMAT, time.gmtime(record.created)),
            "level": logging.getLevelName(level),
            "message": record.getMessage(),
            "logger": record.name,
            "stackTrace": traceback.format_tb(trace) if kind else None,
            "errorType": kind.__name__ if kind else None,
            "errorMessage": str(problem) if kind else None,
            "requestId": getattr(record, "aws_request_id", None),
            "location": "%s:%s:%s" % (record.pathname, record.funcName, record.lineno) if kind else None,
        }
        for name, value in vars(record).items():
            if name not in self.standard:
                fields.setdefault(name, value)
        return json.dumps({name: value for name, value in fields.items() if value is not None}, ensure_ascii=False)


def main():
    set_up_path(*sys.argv[1:3])
    if len(sys.argv) > 3:
        wait_for_debugger(int(sys.argv[3]), sys.argv[4])
    del sys.argv[1:]
    # Whole lines at once, so that what was said before a crash or a kill is heard.
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    client = RuntimeClient(os.environ["AWS_LAMBDA_RUNTIME_API"])
    set_up_logging()
    try:
        handler = load_handler(os.environ["_HANDLER"])
    except Exception as problem:  # noqa: BLE001 - whatever the function's code raises
        error = describe(problem, "")
        log_error(error)
        sys.stdout.flush()
        client.send(client.init_error(error))
        sys.exit(1)
    answer = b""
    while True:
        headers, body = client.next(answer)
        answer = serve(client, handler, headers, body)
        # An unfinished line is this invocation's, not the next one's.
        sys.stdout.flush()


def set_up_path(layers, libraries):
    """The package, then layers, then what runtimes bring ("-": nothing); packages of the machine's own interpreter are not the function's."""
    version = "python%d.%d" % sys.version_info[:2]
    own = [os.environ["LAMBDA_TASK_ROOT"], "%s/python/lib/%s/site-packages" % (layers, version), layers + "/python"]
    rest = [path for path in sys.path[1:] if os.path.basename(path) not in ("site-packages", "dist-packages")]
    sys.path[:] = own + rest + ([libraries] if libraries != "-" else [])


def wait_for_debugger(port, folder):
    sys.path.append(folder)
    import debugpy

    debugpy.listen(("127.0.0.1", port))
    write_event("waiting for a debugger on port %d" % port)
    debugpy.wait_for_client()
    sys.path.remove(folder)


def serve(client, handler, headers, body):
    """Runs the handler; returns the message that answers the event. Only SystemExit and its like come through."""
    request_id = headers.get("lambda-runtime-aws-request-id")
    LogHandler.request_id = request_id
    set_trace_id(headers.get("lambda-runtime-trace-id"))
    try:
        context = LambdaContext(headers)
        try:
            event = json.loads(body)
        except Exception as problem:  # noqa: BLE001
            raise Fault("UnmarshalError", "Unable to unmarshal input: %s" % problem) from None
        result = handler(event, context)
        try:
            answer = to_json(result)
        except Exception as problem:  # noqa: BLE001
            raise Fault("MarshalError", "Unable to marshal response: %s" % problem) from None
    except Exception as problem:  # noqa: BLE001
        error = describe(problem, request_id)
        log_error(error)
        return client.error(request_id, error)
    return client.response(request_id, answer)


def load_handler(name):
    try:
        module_name, function_name = name.rsplit(".", 1)
    except ValueError as problem:
        raise Fault("MalformedHandlerName", "Bad handler '%s': %s" % (name, problem)) from None
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault("BuiltInModuleConflict", "Cannot use built-in module %s as a handler module" % module_name)
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as problem:
        raise Fault("ImportModuleError", "Unable to import module '%s': %s" % (module_name, problem)) from None
    except SyntaxError as problem:
        trace = ['  File "%s" Line %s\n    %s' % (problem.filename, problem.lineno, problem.text)]
        raise Fault("UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module_name, problem), trace) from None
    try:
        return getattr(module, function_name)
    except AttributeError:
        message = "Handler '%s' missing on module '%s'" % (function_name, module_name)
        raise Fault("HandlerNotFound", message) from None


def describe(problem, request_id):
    """The payload that the caller gets."""
    if isinstance(problem, Fault):
        kind, message, trace = problem.kind, problem.message, problem.trace or []
    else:
        frames = traceback.extract_tb(problem.__traceback__)
        own = [frame for frame in frames if frame.filename != __file__ and not frame.filename.startswith("<frozen importlib")]
        kind, message, trace = type(problem).__name__, str(problem), traceback.format_list(own)
    return {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": trace}


def log_error(error):
    if AS_JSON:
        head = {"timestamp": time.strftime(TIME_FORMAT, time.gmtime()), "log_level": "ERROR"}
        write_event(json.dumps({**head, **error}, ensure_ascii=False))
        return
    lines = ["[ERROR] %s: %s" % (error["errorType"], error["errorMessage"]), "Traceback (most recent call last):"]
    for element in error["stackTrace"]:
        for line in element.splitlines():
            text = line.lstrip(" ")
            # AWS indents with no-break spaces, which its log viewer does not swallow.
            lines.append("\u00a0" * (len(line) - len(text)) + text)
    write_event("\n".join(lines))


def write_event(text):
    # A line break within a message is written as NUL, by which the reader knows that the event goes on.
    sys.stdout.write(text.rstrip("\n").replace("\n", "\0") + "\n")


def set_up_logging():
    logging.Formatter.converter = time.gmtime
    handler = LogHandler()
    line = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"
    handler.setFormatter(JsonFormatter() if AS_JSON else logging.Formatter(line, "%Y-%m-%dT%H:%M:%S"))
    root = logging.getLogger()
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    level = logging.getLevelName("DEBUG" if level == "TRACE" else level)
    if isinstance(level, int):
        root.setLevel(level)
    root.addHandler(handler)


def set_trace_id(trace_id):
    if trace_id:
        os.environ["_X_AMZN_TRACE_ID"] = trace_id
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)


def parse_header(headers, name, title):
    text = headers.get(name)
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError as problem:
        raise Fault("LambdaContextUnmarshalError", "Unable to parse %s JSON: %s" % (title, problem)) from None


def error_header(error):
    kind = "".join(character if "!" <= character <= "~" else "_" for character in error["errorType"])
    return "Lambda-Runtime-Function-Error-Type: %s\r\n" % kind


def to_json(value):
    return json.dumps(value, default=decimal_as_number, ensure_ascii=False).encode("utf-8")


def error_json(error):
    # Whatever the message holds, it must arrive.
    return json.dumps(error).encode("ascii")


def decimal_as_number(value):
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)


if __name__ == "__main__":
    main()
