import { afterEach, describe, expect, it } from 'vitest';
import { Booted } from './node-bootstrap-support.ts';

const started: Booted[] = [];
afterEach(async () => {
  for (const booted of started.splice(0)) await booted.close();
});

/** What one invocation of a handler with this body prints, line by line. */
async function printed(body: string, environment: Readonly<Record<string, string>> = {}): Promise<string[]> {
  const booted = await Booted.start({
    files: { 'index.js': `exports.handler = async () => { ${body} };` },
    environment: { AWS_LAMBDA_LOG_FORMAT: 'JSON', ...environment },
  });
  started.push(booted);
  await booted.give('the-id', {});
  await booted.request();
  // What it had written stays in the pipe until it is read.
  booted.child.kill('SIGKILL');
  await booted.exited;
  return booted.output.split('\n').slice(0, -1);
}

async function logged(body: string, environment?: Readonly<Record<string, string>>) {
  return (await printed(body, environment)).map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('the console in the JSON format', () => {
  it('writes one object for each call, with time, level and request', async () => {
    const events =
      await logged(`console.trace('t'); console.debug('d'); console.info('i'); console.log('l'); console.warn('w');
      console.error('e'); console.fatal('f');`);
    expect(events.map(({ level, message }) => `${level} ${message}`)).toEqual([
      'TRACE t',
      'DEBUG d',
      'INFO i',
      'INFO l',
      'WARN w',
      'ERROR e',
      'FATAL f',
    ]);
    expect(Object.keys(events[0]!)).toEqual(['timestamp', 'level', 'requestId', 'message']);
    expect(events[0]).toMatchObject({
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      requestId: 'the-id',
    });
  });

  it('keeps a single object as it is, and formats several values into a text', async () => {
    const events =
      await logged(`console.log({ a: { b: [1] } }); console.log('%s is %d', 'x', 4, { y: 1 }); console.log('two\\nlines');
      const loop = { name: 'loop' }; loop.self = loop; console.log(loop); console.log(5n); console.log();`);
    expect(events.map(({ message }) => message)).toEqual([
      { a: { b: [1] } },
      'x is 4 { y: 1 }',
      'two\nlines',
      expect.stringContaining('[Circular *1]'),
      '5n',
      undefined,
    ]);
  });

  it('tells type, message and stack of errors', async () => {
    const [alone, among, within] = await logged(`class Refused extends Error {}
      const error = Object.assign(new Refused('no'), { code: 42 });
      console.error(error); console.error('failed:', error, new TypeError('second')); console.log({ error });`);
    const fields = { errorType: 'Refused', errorMessage: 'no' };
    expect(alone).toMatchObject({ message: { ...fields, code: 42, stackTrace: expect.any(Array) } });
    expect(among).toMatchObject({ ...fields, message: expect.stringMatching(/^failed: Refused.*: no\n/) });
    expect((among!['stackTrace'] as string[])[0]).toBe('Error: no');
    expect(within).toMatchObject({ message: { error: { ...fields, code: 42 } } });
  });

  it('drops what is below the level, in either format', async () => {
    const body = "console.debug('d'); console.log('l'); console.warn('w'); console.error('e'); console.fatal('f');";
    const levels = async (environment: Readonly<Record<string, string>>) =>
      (await printed(body, environment)).map((line) => /(DEBUG|INFO|WARN|ERROR|FATAL)/.exec(line)?.[1]);
    expect(await levels({ AWS_LAMBDA_LOG_LEVEL: 'WARN' })).toEqual(['WARN', 'ERROR', 'FATAL']);
    expect(await levels({ AWS_LAMBDA_LOG_LEVEL: 'fatal' })).toEqual(['FATAL']);
    expect(await levels({ AWS_LAMBDA_LOG_LEVEL: 'INFO', AWS_LAMBDA_LOG_FORMAT: 'Text' })).toEqual([
      'INFO',
      'WARN',
      'ERROR',
      'FATAL',
    ]);
    expect(await levels({ AWS_LAMBDA_LOG_LEVEL: 'nonsense' })).toHaveLength(5);
  });

  it('has the errors that the runtime itself logs, thrown texts among them', async () => {
    const [thrown] = await logged("throw new RangeError('r');");
    expect(thrown).toMatchObject({ level: 'ERROR', message: { errorType: 'RangeError', errorMessage: 'r' } });
    const [text] = await logged("throw 'a text';");
    expect(text).toMatchObject({ level: 'ERROR', message: { errorType: 'Error', errorMessage: 'a text' } });
  });
});

describe('the console in the text format', () => {
  const text = { AWS_LAMBDA_LOG_FORMAT: 'Text' };

  it('formats as Node does, a call without values included', async () => {
    const lines = await printed("console.log('%i', 4.2); console.log(); console.trace('where');", text);
    expect(lines.map((line) => line.split('\t').slice(1))).toEqual([
      ['the-id', 'INFO', '4'],
      ['the-id', 'INFO', 'undefined'],
      ['the-id', 'TRACE', 'where'],
    ]);
  });

  it('shows what was thrown as an error, whatever it was', async () => {
    const [line] = await printed("throw 'a text';", text);
    expect(line).toContain('ERROR\tInvoke Error \t{"errorType":"Error","errorMessage":"a text"');
  });
});
