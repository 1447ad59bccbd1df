import { readFile } from 'node:fs/promises';
import type { CloudClient } from '../client.ts';
import { CliError } from '../error.ts';

/** The cloud's workbench: functions on it run from folders of this machine, and wait for debuggers. */
export interface Bench {
  steer(functionName: string, command: BenchCommand): Promise<void>;
}

export interface BenchCommand {
  readonly directory?: string | null;
  readonly debugPort?: number | null;
  readonly refresh?: boolean;
}

/** Undefined where the cloud does not run on this machine. */
export async function openBench(client: CloudClient): Promise<Bench | undefined> {
  let key = await keyOf(client);
  if (key === undefined) return undefined;
  const send = (functionName: string, command: BenchCommand): Promise<unknown> =>
    client.control('POST', 'steer/lambda', { ...command, key, functionName, pid: process.pid });
  return {
    async steer(functionName, command) {
      try {
        await send(functionName, command);
      } catch (error) {
        // The cloud has been started anew.
        if (!(error instanceof CliError) || error.code !== 'WrongKey') throw error;
        key = await keyOf(client);
        await send(functionName, command);
      }
    },
  };
}

async function keyOf(client: CloudClient): Promise<string | undefined> {
  const { keyFile } = (await client.control('POST', 'steer/lambda', {})) as { keyFile: string };
  return readFile(keyFile, 'utf8').catch(() => undefined);
}
