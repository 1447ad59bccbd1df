import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ComputeFixture, type Files, invocation, openCompute } from './test-support.ts';

let fixture: ComputeFixture;
beforeAll(async () => {
  fixture = await openCompute();
});
afterAll(() => fixture.close());

async function run(files: Files, options: { event?: unknown; handler?: string; more?: object } = {}) {
  const { handler = 'app.handler' } = options;
  const { sandbox, output, inits } = await fixture.start(files, { handler, runtime: 'ruby3.3', timeoutMs: 10_000 });
  const request = invocation(options.event ?? {}, options.more);
  const result = await sandbox.invoke(request);
  await sandbox.drained();
  const again = sandbox.alive ? await sandbox.invoke(invocation(options.event ?? {})) : undefined;
  await sandbox.close('spindown');
  const body = JSON.parse(result.payload.toString()) as Record<string, unknown>;
  return { result, again, output, inits, body, requestId: request.requestId };
}

const rb = (code: string): Files => ({ 'app.rb': code });

describe('the machine’s Ruby', () => {
  it('is found, and a version that is not there is said', async () => {
    expect(await fixture.compute.supports('ruby4.9')).toMatchObject({
      ok: true,
      note: expect.stringMatching(/^ruby4\.9 runs on this machine's Ruby \d\.\d+$/),
    });
  });
});

describe('handlers', () => {
  it('answers, with the context that AWS gives', async () => {
    const code = `
def handler(event:, context:)
  {
    echo: event['name'], left: context.get_remaining_time_in_millis, id: context.aws_request_id,
    name: context.function_name, version: context.function_version, memory: context.memory_limit_in_mb,
    arn: context.invoked_function_arn, group: context.log_group_name, stream: context.log_stream_name,
    client: context.client_context['client']['app_title'], identity: context.identity['cognitoIdentityId'],
    trace: ENV['_X_AMZN_TRACE_ID'], path: $LOAD_PATH.include?(ENV['LAMBDA_TASK_ROOT']) && Dir.pwd == ENV['LAMBDA_TASK_ROOT'],
  }
end`;
    const { body, requestId } = await run(rb(code), {
      event: { name: 'Ada 😀' },
      more: { clientContext: '{"client":{"app_title":"Größe"}}', cognitoIdentity: '{"cognitoIdentityId":"id"}' },
    });
    expect(body).toEqual({
      echo: 'Ada 😀',
      left: expect.any(Number),
      id: requestId,
      name: 'under-test',
      version: '$LATEST',
      memory: '256',
      arn: 'arn:aws:lambda:eu-west-1:123456789012:function:under-test',
      group: '/aws/lambda/under-test',
      stream: '2026/11/21/[$LATEST]0123456789abcdef0123456789abcdef',
      client: 'Größe',
      identity: 'id',
      trace: 'Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0',
      path: true,
    });
    expect(body['left']).toBeGreaterThan(5_000);
  });

  it('finds methods of classes, in folders, and serves again', async () => {
    const files = {
      'src/api.rb': "require 'shared'\nmodule Api\n  def self.list(event:, context:)\n    [event, SHARED]\n  end\nend",
      'shared.rb': 'SHARED = 7',
    };
    const { body, again } = await run(files, { handler: 'src/api.Api.list', event: { a: 'ä'.repeat(100_000) } });
    expect(body).toEqual([{ a: 'ä'.repeat(100_000) }, 7]);
    expect(again).toMatchObject({ outcome: 'response' });
  });

  it('finds gems that the package brings', async () => {
    const files = {
      'app.rb': "require 'unkai_greeting'\ndef handler(event:, context:)\n  UnkaiGreeting.hello\nend",
      'vendor/bundle/ruby/3.3.0/specifications/unkai_greeting-1.0.0.gemspec':
        "Gem::Specification.new { |s| s.name = 'unkai_greeting'; s.version = '1.0.0'; s.summary = 's'; s.authors = ['a']; s.require_paths = ['lib'] }",
      'vendor/bundle/ruby/3.3.0/gems/unkai_greeting-1.0.0/lib/unkai_greeting.rb':
        "module UnkaiGreeting\n  def self.hello\n    'good day'\n  end\nend",
    };
    expect((await run(files)).body).toBe('good day');
  });
});

describe('logs', () => {
  it('keeps what one puts or one record says together', async () => {
    const code = `
require 'logger'
def handler(event:, context:)
  puts "one\\ntwo", 3
  $stdout.puts 'plain'
  Logger.new($stdout).warn("first\\nsecond")
  warn 'standard error'
end`;
    const { output, requestId } = await run(rb(code));
    expect(output).toContain('one\ntwo\n3');
    expect(output).toContain('plain');
    expect(output).toContain('standard error');
    expect(output).toContainEqual(
      expect.stringMatching(
        new RegExp(
          `^W, \\[\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d+ #\\d+\\]  WARN ${requestId} -- : first\nsecond$`,
        ),
      ),
    );
  });
});

describe('errors', () => {
  it('tells the caller type, message and the function’s own frames, and goes on', async () => {
    const code =
      "class Odd < StandardError; end\ndef deep\n  raise Odd, 'it is 3'\nend\ndef handler(event:, context:)\n  deep\nend";
    const { result, body, output, again } = await run(rb(code));
    expect(result).toMatchObject({ outcome: 'error', errorType: 'Function<Odd>', fatal: false });
    expect(body).toEqual({
      errorMessage: 'it is 3',
      errorType: 'Function<Odd>',
      stackTrace: [
        expect.stringMatching(/\/app\.rb:3:in .*deep'$/),
        expect.stringMatching(/\/app\.rb:6:in .*handler'$/),
      ],
    });
    expect(output[0]).toBe('Error raised from handler method');
    expect(JSON.parse(output[1]!)).toEqual(body);
    expect(again).toMatchObject({ outcome: 'error', fatal: false });
  });

  it('ends after an error that AWS calls critical', async () => {
    const { result, body, output } = await run(rb('def handler(event:, context:)\n  nonsense\nend'));
    expect(result).toMatchObject({ outcome: 'error', errorType: 'Function<NameError>' });
    expect(body['errorMessage']).toMatch(/undefined local variable or method/);
    expect(output[0]).toBe('Critical exception from handler');
  });

  it.each([
    ['a file that is not there', 'other.handler', 'Init<LoadError>', /cannot load such file -- other/],
    [
      'a handler without a method',
      'app',
      'Init<ArgumentError>',
      /^Invalid handler \["app"\], must be of form FILENAME\.METHOD/,
    ],
    ['code that does not parse', 'bad.handler', 'Init<SyntaxError>', /syntax error/],
  ])('does not start with %s', async (_, handler, errorType, message) => {
    const files = { ...rb('def handler(event:, context:)\nend'), 'bad.rb': 'def (' };
    const { result, body, inits } = await run(files, { handler });
    expect(result).toMatchObject({ outcome: 'error', errorType, fatal: true });
    expect(body['errorMessage']).toMatch(message);
    expect(inits[0]).toMatchObject({ phase: 'init', status: 'error' });
  });
});
