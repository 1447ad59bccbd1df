/** The Java runtime, with handlers compiled against the real aws-lambda-java-core and -events (tools/setup-tests.sh fetches them). */
import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SandboxSpec } from '../platform/compute.ts';
import { type ComputeFixture, type Files, invocation, openCompute } from './test-support.ts';

const jarFolder = fileURLToPath(new URL('../../node_modules/.cache/java', import.meta.url));

const source = `
package example;

import com.amazonaws.services.lambda.runtime.*;
import com.amazonaws.services.lambda.runtime.events.*;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import java.io.*;
import java.util.*;

public class App implements RequestHandler<Map<String, Object>, Map<String, Object>> {
    public Map<String, Object> handleRequest(Map<String, Object> event, Context context) {
        Map<String, Object> out = new LinkedHashMap<>();
        out.put("echo", event.get("name"));
        out.put("big", event.get("big"));
        out.put("left", context.getRemainingTimeInMillis());
        out.put("id", context.getAwsRequestId());
        out.put("name", context.getFunctionName());
        out.put("version", context.getFunctionVersion());
        out.put("memory", context.getMemoryLimitInMB());
        out.put("arn", context.getInvokedFunctionArn());
        out.put("group", context.getLogGroupName());
        out.put("stream", context.getLogStreamName());
        out.put("client", context.getClientContext().getClient().getAppTitle());
        out.put("custom", context.getClientContext().getCustom());
        out.put("identity", context.getIdentity().getIdentityId());
        out.put("trace", System.getProperty("com.amazonaws.xray.traceHeader"));
        return out;
    }

    public static class Order {
        private String id; private int count; private List<Line> lines; public Double price; private Kind kind;
        public String getId() { return id; }
        public void setId(String id) { this.id = id; }
        public int getCount() { return count; }
        public void setCount(int count) { this.count = count; }
        public List<Line> getLines() { return lines; }
        public void setLines(List<Line> lines) { this.lines = lines; }
        public Kind getKind() { return kind; }
        public void setKind(Kind kind) { this.kind = kind; }
        public boolean isOpen() { return true; }
    }
    public static class Line {
        private String text;
        public String getText() { return text; }
        public void setText(String text) { this.text = text; }
    }
    public enum Kind { LARGE, SMALL }

    public Order bean(Order order, Context context) { order.setCount(order.getCount() + order.getLines().size()); return order; }
    public String upper(String text) { return text.toUpperCase(); }
    public static int total(List<Integer> numbers) { int sum = 0; for (int number : numbers) sum += number; return sum; }
    public void nothing() { System.out.println("nothing to say"); }
    public void stream(InputStream in, OutputStream out, Context context) throws IOException {
        byte[] bytes = new byte[1 << 16];
        for (int length = in.read(bytes); length >= 0; length = in.read(bytes)) out.write(bytes, 0, length);
    }
    public SQSBatchResponse queue(SQSEvent event) {
        SQSEvent.SQSMessage first = event.getRecords().get(0);
        if (!first.getEventSourceArn().endsWith(":q")) throw new IllegalStateException(first.getEventSourceArn());
        return new SQSBatchResponse(Arrays.asList(new SQSBatchResponse.BatchItemFailure(first.getMessageId() + first.getBody())));
    }
    public APIGatewayV2HTTPResponse api(APIGatewayV2HTTPEvent event) {
        return APIGatewayV2HTTPResponse.builder().withStatusCode(201).withBody(event.getRequestContext().getHttp().getMethod()).build();
    }
    public String table(DynamodbEvent event) {
        return event.getRecords().get(0).getDynamodb().getNewImage().get("id").getS()
            + event.getRecords().get(0).getDynamodb().getApproximateCreationDateTime().getTime();
    }
    public String log(Object event, Context context) {
        context.getLogger().log("one\\ntwo");
        context.getLogger().log("quiet", LogLevel.DEBUG);
        context.getLogger().log("loud", LogLevel.WARN);
        LambdaRuntime.getLogger().log("static");
        System.out.println("Größe 😀");
        System.err.println("standard error");
        return null;
    }
    public String fail(Object event) { return deep(); }
    private static String deep() {
        try { Integer.parseInt("x"); return ""; }
        catch (NumberFormatException problem) { throw new IllegalStateException("it is 3", problem); }
    }
    public String exhaust(Object event) { throw new OutOfMemoryError("that was too much"); }
    public Object[] options(Object event) { return new Object[] { System.getProperty("own.option"), event.getClass().getSimpleName() }; }

    public static class Stream implements RequestStreamHandler {
        public void handleRequest(InputStream in, OutputStream out, Context context) throws IOException {
            out.write(("[" + in.available() + ",\\"" + context.getAwsRequestId() + "\\"]").getBytes());
        }
    }
    public static abstract class Base<T> implements RequestHandler<T, String> {}
    public static class Inherited extends Base<Line> {
        public String handleRequest(Line line, Context context) { return line.getText(); }
    }
    public static class Broken { static { if (true) throw new IllegalStateException("static trouble"); } public void run() {} }
    public static class Unbuildable { public Unbuildable() { throw new IllegalArgumentException("no way"); } public void run() {} }
}
`;

let fixture: ComputeFixture;
let classes: Files;
let jars: Files;
beforeAll(async () => {
  fixture = await openCompute();
  const folder = await mkdtemp(join(tmpdir(), 'unkai-java-'));
  const names = (await readdir(jarFolder)).filter((name) => name.endsWith('.jar'));
  const paths = names.map((name) => join(jarFolder, name));
  await writeFile(join(folder, 'App.java'), source);
  execFileSync('javac', ['-encoding', 'UTF-8', '-cp', paths.join(':'), '-d', folder, join(folder, 'App.java')]);
  const built = (await readdir(join(folder, 'example'))).filter((name) => name.endsWith('.class'));
  const read = async (path: string, as: string) => [as, await readFile(path)] as const;
  classes = Object.fromEntries(
    await Promise.all(built.map((name) => read(join(folder, 'example', name), `example/${name}`))),
  );
  jars = Object.fromEntries(await Promise.all(paths.map((path) => read(path, `lib/${basename(path)}`))));
  await rm(folder, { recursive: true, force: true });
}, 60_000);
afterAll(() => fixture.close());

async function run(
  handler: string,
  options: { event?: unknown; more?: object; files?: Files; spec?: Partial<SandboxSpec> } = {},
) {
  const { sandbox, output, inits } = await fixture.start(options.files ?? { ...classes, ...jars }, {
    handler,
    runtime: 'java21',
    timeoutMs: 20_000,
    memoryMb: 512,
    ...options.spec,
  });
  const request = invocation(options.event ?? {}, options.more);
  const result = await sandbox.invoke(request);
  await sandbox.drained();
  const { alive } = sandbox;
  await sandbox.close('spindown');
  const text = result.payload.toString();
  return {
    result,
    output,
    inits,
    alive,
    text,
    body: JSON.parse(text) as Record<string, unknown>,
    requestId: request.requestId,
  };
}

describe('the machine’s Java', () => {
  it('is found, and a version that is not there is said', async () => {
    expect(await fixture.compute.supports('java8.al2')).toMatchObject({
      ok: true,
      note: expect.stringMatching(/^java8\.al2 runs on this machine's Java \d+$/),
    });
  });
});

describe('handlers', () => {
  it('answers, with the context that AWS gives', async () => {
    const { body, requestId } = await run('example.App', {
      event: { name: 'Ada 😀\n"\u0001', big: [1, 12345678901, 123456789012345678901n.toString(), 1.5, null, true] },
      more: {
        clientContext: '{"client":{"app_title":"Größe"},"custom":{"a":"1"}}',
        cognitoIdentity: '{"cognitoIdentityId":"id"}',
      },
    });
    expect(body).toEqual({
      echo: 'Ada 😀\n"\u0001',
      big: [1, 12345678901, '123456789012345678901', 1.5, null, true],
      left: expect.any(Number),
      id: requestId,
      name: 'under-test',
      version: '$LATEST',
      memory: 512,
      arn: 'arn:aws:lambda:eu-west-1:123456789012:function:under-test',
      group: '/aws/lambda/under-test',
      stream: '2026/11/21/[$LATEST]0123456789abcdef0123456789abcdef',
      client: 'Größe',
      custom: { a: '1' },
      identity: 'id',
      trace: 'Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0',
    });
    expect(body['left']).toBeGreaterThan(10_000);
  });

  it('takes and gives beans, lists, text and nothing', async () => {
    const order = { id: 'o-1', count: 2, lines: [{ text: 'a', unknown: 1 }, { text: 'b' }], price: 2.5, kind: 'SMALL' };
    expect((await run('example.App::bean', { event: order })).body).toEqual({
      id: 'o-1',
      count: 4,
      lines: [{ text: 'a' }, { text: 'b' }],
      kind: 'SMALL',
      open: true,
      price: 2.5,
    });
    expect((await run('example.App::upper', { event: 'größe' })).body).toBe('GRÖSSE');
    expect((await run('example.App::total', { event: [1, 2, 39] })).body).toBe(42);
    const { body, output } = await run('example.App::nothing');
    expect(body).toBe(null);
    expect(output).toContain('nothing to say');
  });

  it('hands streams over', async () => {
    const event = { text: 'Ω😀'.repeat(300_000) };
    expect((await run('example.App::stream', { event })).body).toEqual(event);
    const { body, requestId } = await run('example.App$Stream', { event: { a: 1 } });
    expect(body).toEqual([7, requestId]);
  });

  it('finds the types of handlers in what they extend', async () => {
    expect((await run('example.App$Inherited', { event: { text: 'from above' } })).body).toBe('from above');
  });

  it('reads and writes AWS’s event classes', async () => {
    const record = {
      messageId: 'm-1',
      body: '!',
      eventSourceARN: 'arn:aws:sqs:eu-west-1:123456789012:q',
      attributes: {},
    };
    expect((await run('example.App::queue', { event: { Records: [record] } })).body).toEqual({
      batchItemFailures: [{ itemIdentifier: 'm-1!' }],
    });
    const api = { version: '2.0', requestContext: { http: { method: 'PUT' } }, isBase64Encoded: false };
    expect((await run('example.App::api', { event: api })).body).toMatchObject({ statusCode: 201, body: 'PUT' });
    const change = { NewImage: { id: { S: 'k' } }, ApproximateCreationDateTime: 1_700_000_000 };
    expect((await run('example.App::table', { event: { Records: [{ dynamodb: change }] } })).body).toBe(
      'k1700000000000',
    );
  });

  it('gives JAVA_TOOL_OPTIONS to Java', async () => {
    const { body, output } = await run('example.App::options', {
      spec: { environment: { JAVA_TOOL_OPTIONS: '-Down.option=yes' } },
    });
    expect(body).toEqual(['yes', 'LinkedHashMap']);
    expect(output).toContain('Picked up JAVA_TOOL_OPTIONS: -Down.option=yes');
  });
});

describe('logs', () => {
  it('keeps what one call of the logger says together', async () => {
    const { output } = await run('example.App::log');
    expect(output.slice(0, 5)).toEqual(['one\ntwo', '[DEBUG] quiet', '[WARN] loud', 'static', 'Größe 😀']);
    expect(output).toContain('standard error');
  });

  it('writes JSON documents from the function’s level on', async () => {
    const { output, requestId } = await run('example.App::log', {
      spec: { logging: { format: 'JSON', applicationLevel: 'INFO', systemLevel: 'INFO' } },
    });
    const documents = output.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as object);
    const timestamp = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(documents).toEqual([
      { timestamp, message: 'one\ntwo', level: 'UNDEFINED', AWSRequestId: requestId },
      { timestamp, message: 'loud', level: 'WARN', AWSRequestId: requestId },
      { timestamp, message: 'static', level: 'UNDEFINED', AWSRequestId: requestId },
    ]);
  });
});

describe('errors', () => {
  it('tells the caller type, message, frames and cause, and goes on', async () => {
    const { result, body, output, alive } = await run('example.App::fail');
    expect(result).toMatchObject({ outcome: 'error', errorType: 'java.lang.IllegalStateException', fatal: false });
    expect(body).toMatchObject({ errorMessage: 'it is 3', errorType: 'java.lang.IllegalStateException' });
    const frames = body['stackTrace'] as string[];
    expect(frames[0]).toMatch(/^example\.App\.deep\(App\.java:\d+\)$/);
    expect(frames.join()).not.toContain('unkai');
    expect(body['cause']).toMatchObject({
      errorMessage: 'For input string: "x"',
      errorType: 'java.lang.NumberFormatException',
    });
    expect(output[0]).toMatch(
      /^it is 3: java\.lang\.IllegalStateException\njava\.lang\.IllegalStateException: it is 3\n\tat example/,
    );
    expect(alive).toBe(true);
  });

  it('says what an event could not be read as', async () => {
    const { body } = await run('example.App::upper', { event: { a: 1 } });
    expect(body).toMatchObject({
      errorMessage: 'An error occurred during JSON parsing',
      errorType: 'java.lang.RuntimeException',
      cause: { errorMessage: 'Cannot read an object as java.lang.String' },
    });
  });

  it('tells classes and methods that are not there at each call', async () => {
    const absent = await run('example.Other');
    expect(absent.body).toEqual({
      errorMessage: 'Class not found: example.Other',
      errorType: 'java.lang.ClassNotFoundException',
    });
    expect(absent.result).toMatchObject({ outcome: 'error', fatal: false });
    expect((await run('example.App::absent')).body).toEqual({
      errorMessage: 'No public method named absent with appropriate method signature found on class example.App',
    });
  });

  it('does not start with classes that fail as they are loaded or built', async () => {
    const broken = await run('example.App$Broken::run');
    expect(broken.result).toMatchObject({ outcome: 'error', fatal: true });
    expect(broken.body).toMatchObject({
      errorMessage: 'Error loading class example.App$Broken',
      errorType: 'java.lang.ExceptionInInitializerError',
    });
    expect(broken.inits[0]).toMatchObject({ phase: 'init', status: 'error' });
    const unbuildable = await run('example.App$Unbuildable::run');
    expect(unbuildable.body).toMatchObject({ errorMessage: 'no way', errorType: 'java.lang.IllegalArgumentException' });
  });

  it('ends after an error of the machine', async () => {
    const { body } = await run('example.App::exhaust');
    expect(body).toMatchObject({ errorMessage: 'that was too much', errorType: 'java.lang.OutOfMemoryError' });
  });
});
