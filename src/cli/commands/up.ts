import { basename, dirname, sep } from 'node:path';
import { watch } from 'chokidar';
import type { Timer } from '../../kernel/clock/contract.ts';
import { WallClock } from '../../kernel/clock/wall.ts';
import { packagedImageUri } from '../../platform/blob-bucket.ts';
import { type CloudClient, connect, findEndpoint, probe } from '../client.ts';
import { asCliError } from '../error.ts';
import { uploadImage } from '../images.ts';
import { zipPath } from '../package.ts';
import type { Terminal } from '../terminal.ts';
import { type Deployed, type DeployOptions, deployTarget, showDeployed } from './deploy.ts';
import type { StartOptions } from './start.ts';

interface Globals {
  readonly endpoint?: string;
  readonly region: string;
  readonly account?: string;
}

/** An editor saves in several steps; a change is taken up when it has been quiet for so long. */
const quietMs = 60;
const clock = new WallClock();

/**
 * Starts a cloud unless one is there, deploys, and follows the sources: changed code replaces just the functions that it
 * belongs to, a changed template is deployed anew. Ends with the cloud it started, or when interrupted.
 */
export async function up(
  terminal: Terminal,
  globals: Globals,
  dir: string,
  options: DeployOptions & StartOptions,
): Promise<void> {
  const endpoint =
    globals.endpoint === undefined && options.port !== '4566'
      ? `http://127.0.0.1:${options.port}`
      : findEndpoint(globals.endpoint);
  const isRunning = (await probe(endpoint)) !== undefined;
  let ended = new Promise<void>(() => {});
  let actual = endpoint;
  if (isRunning) terminal.progress(`using the cloud that runs at ${endpoint}`);
  else {
    const cloud = await (await import('./start.ts')).launch(terminal, options);
    ended = cloud.ended;
    actual = cloud.endpoint;
  }
  const client = connect({
    endpoint: actual,
    region: globals.region,
    ...(globals.account === undefined ? {} : { account: globals.account }),
  });
  let deployed = await deployTarget(terminal, client, dir, options);
  terminal.data({ stack: deployed.stack, outputs: deployed.outputs, endpoints: deployed.endpoints });
  showDeployed(terminal, deployed);

  const roots = (): string[] => [...new Set([deployed.templatePath, ...deployed.code.map(({ path }) => path)])];
  const watcher = watch(roots(), {
    ignoreInitial: true,
    ignored: (path) => /(^|[\\/])(node_modules|\.git|\.unkai)([\\/]|$)/.test(path),
  });
  const changed = new Set<string>();
  let working: Promise<void> = Promise.resolve();
  let timer: Timer | undefined;
  const takeUp = (): void => {
    const paths = [...changed];
    changed.clear();
    working = working.then(async () => {
      try {
        if (paths.includes(deployed.templatePath)) {
          deployed = await deployTarget(terminal, client, dir, { ...options, stack: deployed.stack });
          watcher.add(roots());
          showDeployed(terminal, deployed);
        } else await replaceCode(terminal, client, deployed, paths);
      } catch (error) {
        // The loop goes on: the next save may well mend it.
        const known = asCliError(error);
        terminal.line(`${terminal.paint.red('error')} ${known?.code ?? 'Internal'}: ${(error as Error).message}`);
      }
    });
  };
  watcher.on('all', (_event, path) => {
    changed.add(path);
    timer?.cancel();
    timer = clock.at(clock.now() + quietMs, takeUp);
  });
  terminal.progress(`watching ${basename(dirname(deployed.templatePath))} for changes; Ctrl-C ends`);
  const interrupted = new Promise<void>((resolve) => {
    if (isRunning) for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
  await Promise.race([ended, interrupted]);
  await watcher.close();
}

/** Uploads the code of the functions that the paths belong to, without a stack operation. */
async function replaceCode(
  terminal: Terminal,
  client: CloudClient,
  deployed: Deployed,
  paths: readonly string[],
): Promise<void> {
  const touched = deployed.code.filter(({ path }) =>
    paths.some((changedPath) => changedPath === path || changedPath.startsWith(path + sep)),
  );
  for (const local of touched) {
    const { logicalId, path } = local;
    const startedAt = performance.now();
    const { StackResources = [] } = await client.call('cloudformation', 'DescribeStackResources', {
      StackName: deployed.stack,
      LogicalResourceId: logicalId,
    });
    const functionName = StackResources.find(
      ({ ResourceType }) => ResourceType === 'AWS::Lambda::Function',
    )?.PhysicalResourceId;
    if (functionName === undefined) continue;
    const code =
      local.kind === 'image'
        ? { ImageUri: packagedImageUri((await uploadImage(client, path, local)).digest) }
        : { ZipFile: await zipPath(path) };
    await client.call('lambda', 'UpdateFunctionCode', { FunctionName: functionName, ...code });
    terminal.data({ replaced: logicalId, functionName, milliseconds: Math.round(performance.now() - startedAt) });
    terminal.line(
      `${terminal.paint.green('replaced')} ${logicalId} in ${Math.round(performance.now() - startedAt)} ms`,
    );
  }
}
