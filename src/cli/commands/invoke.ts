import { readFile } from 'node:fs/promises';
import { text as textOf } from 'node:stream/consumers';
import type { CloudClient } from '../client.ts';
import { CliError } from '../error.ts';
import type { Terminal } from '../terminal.ts';
import { findFunction } from './functions.ts';

export interface InvokeOptions {
  readonly payload?: string;
  readonly event?: string;
  readonly async?: boolean;
}

/** Invokes a function and prints its log and its answer; a function's error is exit code 1. */
export async function invoke(
  terminal: Terminal,
  client: CloudClient,
  name: string,
  options: InvokeOptions,
): Promise<void> {
  const functionName = await findFunction(client, name);
  const payload = await payloadOf(options);
  const answer = await client.call('lambda', 'Invoke', {
    FunctionName: functionName,
    InvocationType: options.async === true ? 'Event' : 'RequestResponse',
    ...(options.async === true ? {} : { LogType: 'Tail' as const }),
    Payload: Buffer.from(payload),
  });
  const log = answer.LogResult === undefined ? '' : Buffer.from(answer.LogResult, 'base64').toString('utf8');
  const text = Buffer.from((answer.Payload as Uint8Array | undefined) ?? Buffer.alloc(0)).toString('utf8');
  const result = {
    functionName,
    statusCode: answer.StatusCode,
    functionError: answer.FunctionError,
    payload: text,
    log,
  };
  if (answer.FunctionError === undefined) terminal.data(result);
  if (log !== '') terminal.progress(log.trimEnd());
  terminal.line(options.async === true ? `accepted (${answer.StatusCode})` : text);
  if (answer.FunctionError !== undefined)
    throw new CliError(
      'FunctionError',
      `${functionName} failed (${answer.FunctionError})`,
      `see: unkai logs ${name}`,
      result,
    );
}

async function payloadOf(options: InvokeOptions): Promise<string> {
  const text =
    options.event === undefined
      ? (options.payload ?? '{}')
      : await (options.event === '-' ? textOf(process.stdin) : readFile(options.event, 'utf8')).catch(() => {
          throw new CliError(
            'NoEvent',
            `the file ${options.event} cannot be read`,
            'name a JSON file, or - for standard input',
          );
        });
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
