import { readFile, stat } from 'node:fs/promises';
import { text as textOf } from 'node:stream/consumers';
import { wallNow } from '../../kernel/clock/wall.ts';
import type { CloudClient } from '../client.ts';
import { CliError } from '../error.ts';
import type { Terminal } from '../terminal.ts';
import { wait } from '../wait.ts';
import { findFunction } from './functions.ts';

export interface InvokeOptions {
  readonly payload?: string;
  readonly event?: string;
  readonly async?: boolean;
  readonly watch?: boolean;
}

const lookEveryMs = 100;

/** Invokes a function and prints its log and its answer; a function's error is exit code 1. */
export async function invoke(
  terminal: Terminal,
  client: CloudClient,
  name: string,
  options: InvokeOptions,
): Promise<void> {
  const functionName = await findFunction(client, name);
  if (options.watch === true) return invokeAgainAndAgain(terminal, client, functionName, options);
  const result = await invokeOnce(client, functionName, await payloadOf(options), options);
  if (result.functionError !== undefined) {
    show(terminal, result, options);
    throw new CliError(
      'FunctionError',
      `${functionName} failed (${result.functionError})`,
      `see: unkai logs ${name}`,
      result,
    );
  }
  terminal.data(result);
  show(terminal, result, options);
}

/** Until it is interrupted: at once, and whenever the function or its event has changed. What goes wrong is shown, and a change may mend it. */
async function invokeAgainAndAgain(
  terminal: Terminal,
  client: CloudClient,
  functionName: string,
  options: InvokeOptions,
): Promise<never> {
  const typed = options.event === '-' ? await textOf(process.stdin) : undefined;
  const read = (): Promise<string> => (typed === undefined ? payloadOf(options) : Promise.resolve(checked(typed)));
  let why = 'first';
  for (;;) {
    // Before the invocation: what changes while it runs is another change.
    const serves = await servesOf(client, functionName);
    const event = await stampOf(options);
    const at = new Date(wallNow());
    terminal.line(terminal.paint.dim(`── ${at.toTimeString().slice(0, 8)} ${why} ${'─'.repeat(40)}`));
    const seen = { at: at.toISOString(), why };
    try {
      const result = await invokeOnce(client, functionName, await read(), options);
      terminal.data({ ...seen, ...result });
      show(terminal, result, options);
    } catch (error) {
      if (!(error instanceof CliError) || error.code === 'NoCloud') throw error;
      const { code, message, hint } = error;
      terminal.data({ ...seen, functionName, error: { code, message, hint } });
      terminal.line(`${terminal.paint.red('error')} ${code}: ${message}`);
    }
    why = await changeOf(client, functionName, options, serves, event);
  }
}

/** Waits for the next change, and says what it was. */
async function changeOf(
  client: CloudClient,
  functionName: string,
  options: InvokeOptions,
  serves: string | undefined,
  event: string,
): Promise<string> {
  for (;;) {
    await wait(lookEveryMs);
    if ((await stampOf(options)) !== event) return 'changed event';
    const now = await servesOf(client, functionName);
    // While it is gone (a stack that is being replaced), there is nothing to invoke.
    if (now !== undefined && now !== serves) return 'changed function';
  }
}

async function servesOf(client: CloudClient, functionName: string): Promise<string | undefined> {
  try {
    return ((await client.control('POST', 'inspect/lambda', { functionName })) as { serves: string }).serves;
  } catch (error) {
    if (error instanceof CliError && error.code === 'ResourceNotFoundException') return undefined;
    throw error;
  }
}

/** Another one after each change of the event's file. */
async function stampOf({ event }: InvokeOptions): Promise<string> {
  if (event === undefined || event === '-') return '';
  const found = await stat(event).catch(() => undefined);
  return found === undefined ? 'gone' : `${found.mtimeMs} ${found.size} ${found.ino}`;
}

interface Result {
  readonly functionName: string;
  readonly statusCode: number | undefined;
  readonly functionError: string | undefined;
  readonly payload: string;
  readonly log: string;
}

async function invokeOnce(
  client: CloudClient,
  functionName: string,
  payload: string,
  options: InvokeOptions,
): Promise<Result> {
  const answer = await client.call('lambda', 'Invoke', {
    FunctionName: functionName,
    InvocationType: options.async === true ? 'Event' : 'RequestResponse',
    ...(options.async === true ? {} : { LogType: 'Tail' as const }),
    Payload: Buffer.from(payload),
  });
  return {
    functionName,
    statusCode: answer.StatusCode,
    functionError: answer.FunctionError,
    payload: Buffer.from((answer.Payload as Uint8Array | undefined) ?? Buffer.alloc(0)).toString('utf8'),
    log: answer.LogResult === undefined ? '' : Buffer.from(answer.LogResult, 'base64').toString('utf8'),
  };
}

function show(terminal: Terminal, { log, payload, statusCode, functionError }: Result, options: InvokeOptions): void {
  if (log !== '') terminal.progress(log.trimEnd());
  terminal.line(options.async === true ? `accepted (${statusCode})` : payload);
  if (functionError !== undefined && options.watch === true) {
    terminal.line(terminal.paint.red(`failed (${functionError})`));
  }
}

async function payloadOf(options: InvokeOptions): Promise<string> {
  if (options.event === undefined) return checked(options.payload ?? '{}');
  const text = await (options.event === '-' ? textOf(process.stdin) : readFile(options.event, 'utf8')).catch(() => {
    throw new CliError(
      'NoEvent',
      `the file ${options.event} cannot be read`,
      'name a JSON file, or - for standard input',
    );
  });
  return checked(text);
}

function checked(text: string): string {
  try {
    JSON.parse(text);
  } catch (error) {
    throw new CliError(
      'BadPayload',
      `the payload is not JSON: ${(error as Error).message}`,
      'quote it for the shell, as in --payload \'{"a": 1}\'',
    );
  }
  return text;
}
