/**
 * What AWS's runtimes bring and a machine's interpreters do not: the AWS SDK for JavaScript v3, and boto3. Installed from package
 * registries by the machine's own npm and pip, which the user has configured, at first need or when asked to.
 */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../kernel/clock/contract.ts';
import { type Interpreter, Interpreters, type Language, languageName } from './interpreters.ts';
import { nodeHome, nodeLibraries, pythonHome, pythonLibraries } from './libraries.ts';
import { changeState, holds } from './provision-store.ts';

export interface ProvisionOptions {
  /** The folder of what runtimes bring. */
  readonly libraries: string;
  /** Of the wall: programs and files are waited for. */
  readonly clock: Clock;
  /** A line before something is fetched. */
  readonly progress: (line: string) => void;
}

/** What could not be brought. The message says why, and what to do. */
export class ProvisionError extends Error {}

/** No version is later: the latest there is is meant. */
const latest = '999';
/** Where nobody answers, a deployment is not to wait for long. */
const impatient = ['--fetch-retries=1', '--fetch-retry-mintimeout=500', '--fetch-retry-maxtimeout=2000'];
const installTimeoutMs = 10 * 60 * 1000;

/** Clients of the services that this cloud speaks, and what is commonly used with them. */
const usualNodeLibraries = [
  ...['apigatewaymanagementapi', 'cloudwatch', 'cloudwatch-logs', 'cognito-identity-provider', 'dynamodb', 'ecs'],
  ...[
    'eventbridge',
    'firehose',
    'kinesis',
    'lambda',
    's3',
    'scheduler',
    'secrets-manager',
    'sfn',
    'sns',
    'sqs',
    'ssm',
    'sts',
  ],
].map((name) => `@aws-sdk/client-${name}`);
const nodeHelpers = ['lib-dynamodb', 'lib-storage', 's3-request-presigner', 'util-dynamodb'].map(
  (name) => `@aws-sdk/${name}`,
);
/** `--all`: what else this cloud's users come with. */
const otherNodeLibraries = [
  ...[
    'acm',
    'api-gateway',
    'apigatewayv2',
    'appsync',
    'athena',
    'bedrock-runtime',
    'cloudformation',
    'cloudfront',
    'codebuild',
  ],
  ...[
    'cognito-identity',
    'comprehend',
    'dynamodb-streams',
    'ec2',
    'ecr',
    'elastic-load-balancing-v2',
    'glue',
    'iam',
    'kms',
  ],
  ...[
    'opensearch',
    'pinpoint',
    'rds',
    'rds-data',
    'rekognition',
    'route-53',
    'ses',
    'sesv2',
    'textract',
    'translate',
    'xray',
  ],
].map((name) => `@aws-sdk/client-${name}`);

/** Installs those of the packages that are not there yet; their dependencies come along. */
export async function provideNode(packages: readonly string[], options: ProvisionOptions): Promise<void> {
  const lacking = (): string[] => packages.filter((name) => !holds(nodeLibraries(options.libraries), name));
  if (lacking().length === 0) return;
  await changeState({
    home: nodeHome(options.libraries),
    clock: options.clock,
    missing: () => lacking().length > 0,
    change: async (folder) => {
      options.progress(`installing what Node.js runtimes bring: ${lacking().join(' ')}`);
      // All clients of one generation, and nothing run on the way.
      const names = lacking().map((name) => (name.startsWith('@aws-sdk/') ? `${name}@3` : name));
      const quiet = ['--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error', ...impatient];
      await run('npm', ['install', '--prefix', folder, '--save', '--prefer-offline', ...quiet, ...names], folder);
    },
  });
}

/** Installs boto3, which brings all the others. */
export async function providePython(interpreter: Interpreter, options: ProvisionOptions): Promise<void> {
  const missing = (): boolean => !holds(pythonLibraries(options.libraries, interpreter), 'boto3');
  if (!missing()) return;
  await changeState({
    home: pythonHome(options.libraries, interpreter),
    clock: options.clock,
    missing,
    change: async (folder) => {
      options.progress(`installing what Python runtimes bring: boto3, for Python ${interpreter.version}`);
      const quiet = ['--quiet', '--no-input', '--disable-pip-version-check', '--retries', '1'];
      await run(interpreter.path, ['-m', 'pip', 'install', ...quiet, '--target', folder, 'boto3'], folder);
    },
  });
}

/** The languages whose runtimes bring libraries here. */
export const libraryLanguages = ['nodejs', 'python'] as const;
export type LibraryLanguage = (typeof libraryLanguages)[number];

/** `unkai runtimes install`: the usual libraries of the languages, or with `all` many more. Rejects with ProvisionError. */
export async function installRuntimes(
  languages: readonly LibraryLanguage[],
  options: ProvisionOptions & { readonly all: boolean },
): Promise<void> {
  if (languages.includes('nodejs')) {
    const more = options.all ? otherNodeLibraries : [];
    await provideNode([...usualNodeLibraries, ...nodeHelpers, ...more], options);
  }
  if (languages.includes('python')) {
    const interpreter = await new Interpreters().find({ language: 'python', version: latest });
    if (interpreter === undefined) throw new ProvisionError('there is no Python 3.9 or later on the PATH');
    await providePython(interpreter, options);
  }
}

export interface RuntimeListing {
  readonly language: Language;
  /** Undefined: none is there. */
  readonly interpreter: { readonly path: string; readonly version: string } | undefined;
  /** Names with versions, of those packages that functions import. */
  readonly libraries: readonly string[];
}

/** `unkai runtimes list`: which interpreters there are (the newest of each language), and what is prepared for them. */
export async function listRuntimes(libraries: string): Promise<RuntimeListing[]> {
  const interpreters = new Interpreters();
  const languages: readonly Language[] = ['nodejs', 'python', 'ruby', 'java', 'dotnet'];
  return Promise.all(
    languages.map(async (language) => {
      const found = await interpreters.find({ language, version: latest });
      const interpreter = found === undefined ? undefined : { path: found.path, version: found.version };
      return { language, interpreter, libraries: found === undefined ? [] : prepared(language, found, libraries) };
    }),
  );
}

function prepared(language: Language, interpreter: Interpreter, libraries: string): string[] {
  if (language === 'nodejs') return nodePackages(nodeLibraries(libraries));
  return language === 'python' ? pythonPackages(pythonLibraries(libraries, interpreter)) : [];
}

function nodePackages(folder: string | undefined): string[] {
  if (folder === undefined) return [];
  const wanted = JSON.parse(readFileSync(join(folder, '..', 'package.json'), 'utf8')) as { dependencies?: object };
  return Object.keys(wanted.dependencies ?? {}).map((name) => {
    const { version } = JSON.parse(readFileSync(join(folder, name, 'package.json'), 'utf8')) as { version: string };
    return `${name} ${version}`;
  });
}

function pythonPackages(folder: string | undefined): string[] {
  if (folder === undefined) return [];
  const names = readdirSync(folder).map((name) => /^(.+)-([^-]+)\.dist-info$/.exec(name));
  return names.filter((match) => match !== null).map(([, name, version]) => `${name} ${version}`);
}

/** What both tools say when they reach nobody. */
const unreachable =
  /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ECONNRESET|NewConnectionError|ConnectTimeout|Max retries exceeded|Connection refused|Name or service not known|Temporary failure/;

function run(command: string, args: readonly string[], cwd: string): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { cwd, timeout: installTimeoutMs, maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
      if (error === null) return resolve();
      reject(new ProvisionError(reasonOf(command, error, `${stderr}\n${stdout}`)));
    });
  });
}

function reasonOf(command: string, error: Error & { code?: unknown }, said: string): string {
  if (error.code === 'ENOENT') return `there is no ${command} on the PATH`;
  if (said.includes('No module named pip')) return `${command} has no pip (on Debian: apt-get install python3-pip)`;
  const found = unreachable.exec(said)?.[0];
  if (found !== undefined) return `no package registry can be reached (${found})`;
  const lines = said.split('\n').filter((line) => line.trim() !== '' && !/^npm warn/i.test(line));
  return lines.slice(0, 5).join('; ') || error.message;
}

/** Brings what functions ask for, as they are deployed. What cannot be had is not tried again for a while. */
export class Provisioner {
  readonly #options: ProvisionOptions;
  /** By language: the reason, and until when it holds (the clock's elapsed milliseconds). */
  readonly #failures = new Map<Language, { readonly reason: string; readonly untilMs: number }>();

  constructor(options: ProvisionOptions) {
    this.#options = options;
  }

  async provide(
    language: 'nodejs' | 'python',
    wanted: readonly string[],
    interpreter: Interpreter,
  ): Promise<string | undefined> {
    if (wanted.length === 0) return undefined;
    const { clock } = this.#options;
    const failure = this.#failures.get(language);
    if (failure !== undefined && clock.elapsed() < failure.untilMs) return this.#note(language, wanted, failure.reason);
    try {
      if (language === 'nodejs') await provideNode(wanted, this.#options);
      else await providePython(interpreter, this.#options);
      this.#failures.delete(language);
      return undefined;
    } catch (error) {
      if (!(error instanceof ProvisionError)) throw error;
      this.#failures.set(language, { reason: error.message, untilMs: clock.elapsed() + forgetFailureMs });
      return this.#note(language, wanted, error.message);
    }
  }

  #note(language: Language, wanted: readonly string[], reason: string): string {
    const name = languageName(language);
    return (
      `${wanted.join(', ')}: AWS's ${name} runtimes bring this, and it could not be installed: ${reason}. ` +
      `Functions go on with what their packages hold. Once a registry can be reached: unkai runtimes install ${language}`
    );
  }
}

const forgetFailureMs = 5 * 60 * 1000;
