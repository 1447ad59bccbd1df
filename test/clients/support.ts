import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startTestCloud, type TestCloud, type TestCloudOptions } from '../support/cloud.ts';

/** The virtual environment that tools/setup-tests.sh makes. */
const binFolder = fileURLToPath(new URL('../../node_modules/.cache/python/bin/', import.meta.url));

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ClientCloud extends TestCloud {
  /** A folder for one test file's files; the children's HOME. */
  readonly folder: string;
  /** What a child process sees, and nothing else. */
  readonly environment: Readonly<Record<string, string>>;
}

/** A cloud and a clean environment in which the AWS CLI and boto3 find it. */
export async function startClientCloud(options: TestCloudOptions = {}): Promise<ClientCloud> {
  for (const tool of ['aws', 'python']) requireTool(tool);
  const cloud = await startTestCloud(options);
  const folder = await mkdtemp(join(tmpdir(), 'unkai-clients-'));
  return Object.assign(Object.create(cloud) as TestCloud, {
    endpoint: cloud.endpoint,
    folder,
    environment: {
      PATH: `${binFolder}:/usr/local/bin:/usr/bin:/bin`,
      HOME: folder,
      LANG: 'C.UTF-8',
      AWS_ENDPOINT_URL: cloud.endpoint,
      AWS_DEFAULT_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_PAGER: '',
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_MAX_ATTEMPTS: '1',
    },
    close: async () => {
      await cloud.close();
      await rm(folder, { recursive: true, force: true });
    },
  });
}

/** Runs a program of the virtual environment to its end, whatever its exit code. */
export function run(
  tool: 'aws' | 'python',
  args: readonly string[],
  options: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
): Promise<Finished> {
  requireTool(tool);
  return new Promise((resolve, reject) => {
    execFile(
      join(binFolder, tool),
      args,
      { ...options, timeout: 50_000, maxBuffer: 32 * 1024 * 1024 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : error.code;
        if (typeof code === 'number') resolve({ code, stdout, stderr });
        else reject(new Error(`${tool} ${args.join(' ')} did not end by itself: ${stderr}`, { cause: error }));
      },
    );
  });
}

/** The AWS CLI against one cloud. */
export class AwsCli {
  readonly #cloud: ClientCloud;
  readonly #environment: Readonly<Record<string, string>>;

  constructor(cloud: ClientCloud, environment: Readonly<Record<string, string>> = {}) {
    this.#cloud = cloud;
    this.#environment = { ...cloud.environment, ...environment };
  }

  /** Whatever the exit code; arguments as the shell would split them. */
  async try(...args: string[]): Promise<Finished> {
    // Version 1 of the CLI sends SQS to its old address on AWS, whatever AWS_ENDPOINT_URL says.
    const endpoint = args[0] === 'sqs' ? ['--endpoint-url', this.#cloud.endpoint] : [];
    return run('aws', [...args, ...endpoint], { cwd: this.#cloud.folder, env: this.#environment });
  }

  /** Must succeed; the output as text. */
  async text(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.try(...args);
    if (code !== 0) throw new Error(`aws ${args.join(' ')} ended with ${code}: ${stderr}${stdout}`);
    return stdout.trimEnd();
  }

  /** Must succeed; the output parsed. Some commands print nothing: then undefined. */
  async json<T = Record<string, unknown>>(...args: string[]): Promise<T> {
    const text = await this.text(...args, '--output', 'json');
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  /** Must fail; the code and the words of AWS's error as the CLI prints them. */
  async error(...args: string[]): Promise<{ readonly code: string; readonly message: string }> {
    const finished = await this.try(...args);
    if (finished.code === 0) throw new Error(`aws ${args.join(' ')} should have failed: ${finished.stdout}`);
    const match = /An error occurred \(([^)]+)\) when calling the \w+ operation(?: \([^)]*\))?: ([\s\S]*)/.exec(
      finished.stderr,
    );
    return match === null
      ? { code: `exit ${finished.code}`, message: finished.stderr.trim() }
      : { code: match[1]!, message: match[2]!.trim() };
  }
}

function requireTool(tool: string): void {
  if (existsSync(join(binFolder, tool))) return;
  throw new Error(`${tool} is missing: run \`sh tools/setup-tests.sh\`, which installs the AWS CLI and boto3`);
}
