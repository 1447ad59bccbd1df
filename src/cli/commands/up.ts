import { basename, dirname } from 'node:path';
import { type CloudClient, connect, findEndpoint, probe } from '../client.ts';
import { CliError } from '../error.ts';
import { openBench } from '../inner-loop/bench.ts';
import { Debugging, type DebugOptions } from '../inner-loop/debugging.ts';
import { InnerLoop } from '../inner-loop/inner-loop.ts';
import { localFunctions } from '../inner-loop/local-functions.ts';
import { Sources } from '../inner-loop/sources.ts';
import type { Terminal } from '../terminal.ts';
import { type Deployed, type DeployOptions, deployTarget, showDeployed } from './deploy.ts';
import type { StartOptions } from './start.ts';

interface Globals {
  readonly endpoint?: string;
  readonly region: string;
  readonly account?: string;
}

export type UpOptions = DeployOptions & StartOptions & DebugOptions;

/**
 * Starts a cloud unless one is there, deploys, and follows the sources: changed code replaces just the functions that it
 * belongs to, a changed template is deployed anew. Ends with the cloud it started, or when interrupted.
 */
export async function up(terminal: Terminal, globals: Globals, dir: string, options: UpOptions): Promise<void> {
  const endpoint =
    globals.endpoint === undefined && options.port !== '4566'
      ? `http://127.0.0.1:${options.port}`
      : findEndpoint(globals.endpoint);
  const known = { region: globals.region, ...(globals.account === undefined ? {} : { account: globals.account }) };
  if ((await probe(endpoint)) !== undefined) {
    terminal.progress(`using the cloud that runs at ${endpoint}`);
    const following = await follow(terminal, connect({ endpoint, ...known }), dir, options);
    await interruption();
    await following.end(true);
    return;
  }
  let following: Following | undefined;
  const cloud = await (await import('./start.ts')).launch(terminal, options, async () => following?.end(false));
  try {
    following = await follow(terminal, connect({ endpoint: cloud.endpoint, ...known }), dir, options);
  } catch (error) {
    // Nobody would know what it is there for.
    await cloud.close();
    throw error;
  }
  await cloud.ended;
}

interface Following {
  /** Brings what is under way to its end; `goesOn`: the cloud is not ending itself. */
  end(goesOn: boolean): Promise<void>;
}

/** Deploys, and follows what the template names. */
async function follow(terminal: Terminal, client: CloudClient, dir: string, options: UpOptions): Promise<Following> {
  let deployed: Deployed = await deployTarget(terminal, client, dir, options);
  terminal.data({ stack: deployed.stack, outputs: deployed.outputs, endpoints: deployed.endpoints });
  showDeployed(terminal, deployed);

  const bench = await openBench(client);
  const loop = new InnerLoop({
    terminal,
    client,
    bench,
    async deploy() {
      deployed = await deployTarget(terminal, client, dir, { ...options, stack: deployed.stack });
      sources.follow(roots());
      await adopt();
      if (deployed.changed) showDeployed(terminal, deployed);
    },
  });
  const debugging = bench === undefined ? undefined : new Debugging(terminal, bench, options);
  if (debugging === undefined && options.debug !== undefined && options.debug.length > 0) {
    throw new CliError('NotOnThisMachine', 'functions are debugged on the machine that the cloud runs on', 'go there');
  }
  const adopt = async (): Promise<void> => {
    const functions = await localFunctions(client, deployed);
    await loop.adopt(functions, deployed.code);
    await debugging?.open(functions);
  };
  const roots = (): string[] => [...new Set(deployed.code.map(({ path }) => path))];
  const sources = new Sources(deployed.templatePath, roots(), (paths, sinceMs) => {
    if (paths.includes(deployed.templatePath)) loop.redeploy();
    void loop.changed(paths, sinceMs);
  });
  try {
    await adopt();
  } catch (error) {
    await sources.close();
    await loop.close(true);
    throw error;
  }

  await sources.ready;
  terminal.progress(`watching ${basename(dirname(deployed.templatePath))} for changes; Ctrl-C ends`);
  return {
    async end(goesOn) {
      await sources.close();
      await loop.close(goesOn);
    },
  };
}

/** The first signal; a second one means it, and ends at once. */
function interruption(): Promise<void> {
  let asked = false;
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        if (asked) process.exit(130);
        asked = true;
        resolve();
      });
    }
  });
}
