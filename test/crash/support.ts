import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { build } from 'esbuild';
import type { Acknowledged } from './workload.ts';

/** The writer as one file that plain Node runs, and a directory for what it writes. */
export interface Workshop {
  readonly directory: string;
  readonly script: string;
  remove(): void;
}

export async function prepareWriter(file = 'writer.ts'): Promise<Workshop> {
  const directory = mkdtempSync(join(tmpdir(), 'unkai-crash-'));
  const script = join(directory, 'writer.mjs');
  const root = resolve(import.meta.dirname, '../..');
  for (const name of ['node_modules', 'models']) symlinkSync(join(root, name), join(directory, name));
  await build({
    entryPoints: [join(import.meta.dirname, file)],
    outfile: script,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    logLevel: 'error',
  });
  return { directory, script, remove: () => rmSync(directory, { recursive: true, force: true }) };
}

/** Acknowledgements after which the writer is well under way: connecting takes a while. */
const underWay = 10;

/** Runs the writer, lets it get under way, and kills it. Returns what it had acknowledged. */
export async function writeAndKill(
  { script }: Workshop,
  parameters: readonly string[],
  kill: (writer: ChildProcess) => Promise<void>,
): Promise<Acknowledged[]> {
  const writer = spawn(process.execPath, [script, ...parameters], { stdio: ['ignore', 'pipe', 'pipe'] });
  const acknowledged: Acknowledged[] = [];
  let errors = '';
  writer.stderr.on('data', (text: Buffer) => (errors += text.toString()));
  const lines = createInterface({ input: writer.stdout });
  let killed = false;
  const closed = once(lines, 'close');
  const ready = new Promise<void>((isReady, failed) => {
    lines.on('line', (line) => {
      // The last line may be cut in the midst: it was not reported then.
      const parsed = parse(line);
      if (parsed === undefined) return;
      acknowledged.push(parsed);
      if (acknowledged.length === underWay) isReady();
    });
    writer.on('exit', () => {
      if (!killed) failed(new Error(`the writer ended by itself: ${errors}`));
    });
  });
  // Its end after this point is asked for below.
  ready.catch(() => {});
  await ready;
  killed = true;
  await kill(writer);
  writer.kill('SIGKILL');
  if (writer.exitCode === null && writer.signalCode === null) await once(writer, 'exit');
  await closed;
  return acknowledged;
}

function parse(line: string): Acknowledged | undefined {
  try {
    return JSON.parse(line) as Acknowledged;
  } catch {
    return undefined;
  }
}
