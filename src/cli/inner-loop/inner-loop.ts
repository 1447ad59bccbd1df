import { createHash } from 'node:crypto';
import type { Timer } from '../../kernel/clock/contract.ts';
import { WallClock } from '../../kernel/clock/wall.ts';
import { blobBucket, packagedImageUri } from '../../platform/blob-bucket.ts';
import type { CloudClient } from '../client.ts';
import { asCliError, CliError } from '../error.ts';
import { uploadImage } from '../images.ts';
import { type PackagedPath, zipPath } from '../package.ts';
import type { Terminal } from '../terminal.ts';
import { wait } from '../wait.ts';
import type { Bench } from './bench.ts';
import { holdsAll, isBelow, isFolder, isInhabited, type LocalFunction } from './local-functions.ts';

export interface InnerLoopOptions {
  readonly terminal: Terminal;
  readonly client: CloudClient;
  /** Undefined: the cloud does not run on this machine, and code is uploaded at once. */
  readonly bench: Bench | undefined;
  /** Deploys the stack as the template and the sources are now, and has its result adopted. */
  readonly deploy: () => Promise<void>;
}

/** A changed folder is uploaded when it has been quiet for so long: it runs before that already. */
const uploadAfterMs = 1_000;
const askEveryMs = 50;

/**
 * Changed code runs at once, from the folder that it lies in; its package is uploaded behind that, so that what is deployed is what runs.
 */
export class InnerLoop {
  readonly #options: InnerLoopOptions;
  readonly #clock = new WallClock();
  #functions: readonly LocalFunction[] = [];
  /** What a template names beside functions' code: layers and documents. */
  #others: readonly PackagedPath[] = [];
  /** Names of functions, with the folders that they run from. */
  readonly #onBench = new Map<string, string>();
  readonly #stale = new Set<string>();
  #deployDue = false;
  #upload: Timer | undefined;
  /** What changes the deployment happens one after another. */
  #working: Promise<void> = Promise.resolve();

  #swapping: Promise<unknown> = Promise.resolve();

  constructor(options: InnerLoopOptions) {
    this.#options = options;
  }

  /** To be called after each deployment. */
  async adopt(functions: readonly LocalFunction[], code: readonly PackagedPath[]): Promise<void> {
    const { bench, terminal } = this.#options;
    this.#functions = functions;
    this.#others = code.filter(({ logicalId }) => !functions.some((each) => each.logicalId === logicalId));
    for (const { functionName, logicalId, local, codeSha256 } of functions) {
      if (local.kind !== 'zip') continue;
      // A stack that has not changed keeps what was put behind its back.
      if (codeSha256 !== base64Of(local.digest)) this.#markStale(logicalId);
      if (bench === undefined || this.#onBench.get(functionName) === local.path) continue;
      if (!(await isFolder(local.path))) continue;
      if (!(await holdsAll(local.path))) {
        terminal.progress(`${logicalId}: its folder holds links that lead out of it, so changes are uploaded`);
        continue;
      }
      await bench.steer(functionName, { directory: local.path });
      this.#onBench.set(functionName, local.path);
    }
    for (const functionName of [...this.#onBench.keys()]) {
      if (functions.some((each) => each.functionName === functionName)) continue;
      this.#onBench.delete(functionName);
      await bench?.steer(functionName, { directory: null, debugPort: null });
    }
  }

  /** Takes up a change of code; resolves when it runs, if it runs from its folder. */
  async changed(paths: readonly string[], startedAtMs: number): Promise<void> {
    const isTouched = ({ path }: PackagedPath): boolean => paths.some((changed) => isBelow(changed, path));
    const touched = this.#functions.filter(({ local }) => isTouched(local));
    if (this.#others.some(isTouched)) this.#deployDue = true;
    const benched = touched.filter(({ functionName }) => this.#onBench.has(functionName));
    for (const { logicalId } of touched) this.#markStale(logicalId);
    if (benched.some(({ published }) => published)) this.#deployDue = true;
    if (this.#deployDue || benched.length < touched.length) this.#uploadNow(startedAtMs);
    const swaps = benched.map((each) => this.#swap(each, startedAtMs).catch((error) => this.#tellProblem(error)));
    this.#swapping = Promise.all([this.#swapping, ...swaps]);
    await this.#swapping;
  }

  /** Deploys anew, behind what is under way. */
  redeploy(): void {
    this.#deployDue = true;
    this.#uploadNow(performance.now());
  }

  /** Uploads what is not deployed yet, and, where the cloud goes on, leaves it with what is deployed. */
  async close(goesOn: boolean): Promise<void> {
    await this.#working;
    if (this.#deployDue) this.#uploadNow(performance.now());
    await this.#working;
    if (this.#stale.size > 0) this.#uploadNow(performance.now());
    await this.#working;
    this.#upload?.cancel();
    await this.#swapping;
    if (!goesOn) return;
    for (const { functionName } of this.#functions) {
      await this.#options.bench
        ?.steer(functionName, { directory: null, debugPort: null })
        .catch((error: unknown) => this.#tellProblem(error));
    }
  }

  #markStale(logicalId: string): void {
    this.#stale.add(logicalId);
    this.#upload?.cancel();
    this.#upload = this.#clock.at(this.#clock.now() + uploadAfterMs, () => this.#uploadNow(performance.now()));
  }

  async #swap({ logicalId, functionName, local }: LocalFunction, startedAtMs: number): Promise<void> {
    // What comes next is what it is filled with.
    if (!(await isInhabited(local.path))) return;
    await this.#options.bench!.steer(functionName, { directory: local.path, refresh: true });
    this.#tellReplaced(logicalId, functionName, startedAtMs);
  }

  #uploadNow(startedAtMs: number): void {
    this.#upload?.cancel();
    this.#upload = undefined;
    this.#working = this.#working
      .then(() => (this.#deployDue ? this.#deploy() : this.#uploadStale(startedAtMs)))
      .catch((error: unknown) => this.#tellProblem(error));
  }

  async #deploy(): Promise<void> {
    const before = [...this.#stale];
    this.#deployDue = false;
    this.#stale.clear();
    try {
      await this.#options.deploy();
    } catch (error) {
      // A template that cannot be deployed keeps no code from it.
      for (const logicalId of before) this.#markStale(logicalId);
      throw error;
    }
  }

  async #uploadStale(startedAtMs: number): Promise<void> {
    for (const logicalId of [...this.#stale]) {
      const found = this.#functions.find((each) => each.logicalId === logicalId);
      this.#stale.delete(logicalId);
      if (found === undefined) continue;
      try {
        const isNew = await updateCode(this.#options.client, found);
        if (this.#onBench.has(found.functionName)) {
          if (isNew) this.#tellUploaded(found);
        } else this.#tellReplaced(logicalId, found.functionName, startedAtMs);
      } catch (error) {
        // The next change, or the end, tries again.
        this.#stale.add(logicalId);
        throw error;
      }
    }
  }

  #tellReplaced(logicalId: string, functionName: string, startedAtMs: number): void {
    const { terminal } = this.#options;
    const milliseconds = Math.round(performance.now() - startedAtMs);
    terminal.data({ replaced: logicalId, functionName, milliseconds });
    terminal.line(`${terminal.paint.green('replaced')} ${logicalId} in ${milliseconds} ms`);
  }

  #tellUploaded({ logicalId, functionName }: LocalFunction): void {
    const { terminal } = this.#options;
    terminal.data({ uploaded: logicalId, functionName });
    terminal.line(terminal.paint.dim(`uploaded ${logicalId}`));
  }

  /** The loop goes on: the next save may well mend it. */
  #tellProblem(error: unknown): void {
    const { terminal } = this.#options;
    const known = asCliError(error);
    const code = known?.code ?? 'Internal';
    const message = error instanceof Error ? error.message : String(error);
    terminal.data({ error: { code, message, hint: known?.hint ?? '' } });
    terminal.line(`${terminal.paint.red('error')} ${code}: ${message}`);
  }
}

/** Puts the code as it lies here into the function, and waits until it serves; false: it was there already. */
async function updateCode(client: CloudClient, { functionName, local }: LocalFunction): Promise<boolean> {
  const current = await settled(client, functionName);
  if (local.kind === 'image') {
    const { digest } = await uploadImage(client, local.path, local);
    await client.call('lambda', 'UpdateFunctionCode', {
      FunctionName: functionName,
      ImageUri: packagedImageUri(digest),
    });
  } else {
    const zip = await zipPath(local.path);
    if (createHash('sha256').update(zip).digest('base64') === current.CodeSha256) return false;
    await client.call('lambda', 'UpdateFunctionCode', {
      FunctionName: functionName,
      S3Bucket: blobBucket,
      S3Key: await client.putBlob(zip),
    });
  }
  const { LastUpdateStatus, LastUpdateStatusReason = '' } = await settled(client, functionName);
  if (LastUpdateStatus !== 'Failed') return true;
  throw new CliError('UpdateFailed', `${functionName} was not updated: ${LastUpdateStatusReason}`, 'correct the code');
}

/** The function's configuration, once no update of it is under way. */
async function settled(client: CloudClient, functionName: string) {
  for (;;) {
    const configuration = await client.call('lambda', 'GetFunctionConfiguration', { FunctionName: functionName });
    const { State, LastUpdateStatus } = configuration;
    if (State !== 'Pending' && LastUpdateStatus !== 'InProgress') return configuration;
    await wait(askEveryMs);
  }
}

function base64Of(digest: string): string {
  return Buffer.from(digest, 'hex').toString('base64');
}
