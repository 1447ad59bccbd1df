import { realpath } from 'node:fs/promises';
import { CliError } from '../error.ts';
import type { Terminal } from '../terminal.ts';
import type { Bench } from './bench.ts';
import { isFolder, type LocalFunction } from './local-functions.ts';

export interface DebugOptions {
  /** Functions by logical id, name, or a part of the name. */
  readonly debug?: readonly string[];
  readonly debugPort?: string;
}

/** The ports that editors try by themselves. */
const usualPorts = { node: 9229, python: 5678, java: 5005 } as const;
/** So many further ports are tried where one is taken. */
const furtherPorts = 20;

export class Debugging {
  readonly #terminal: Terminal;
  readonly #bench: Bench;
  readonly #wanted: readonly string[];
  readonly #firstPort: number | undefined;
  /** By name. */
  readonly #ports = new Map<string, number>();

  constructor(terminal: Terminal, bench: Bench, { debug = [], debugPort }: DebugOptions) {
    this.#terminal = terminal;
    this.#bench = bench;
    this.#wanted = debug;
    this.#firstPort = debugPort === undefined ? undefined : portOf(debugPort);
  }

  /** Opens what is to be debugged and is not open yet. Throws CliError for a function that is not there. */
  async open(functions: readonly LocalFunction[]): Promise<void> {
    for (const wanted of this.#wanted) {
      const chosen = choose(functions, wanted);
      // After a deployment it may be another function of the same logical id.
      if (this.#ports.has(chosen.functionName)) continue;
      const port = await this.#openOne(chosen);
      this.#ports.set(chosen.functionName, port);
      await this.#tell(chosen, port);
    }
  }

  async #openOne({ functionName, runtime }: LocalFunction): Promise<number> {
    const taken = new Set(this.#ports.values());
    let port = this.#firstPort ?? usualPorts[editorType(runtime)];
    const last = port + furtherPorts;
    for (; ; port++) {
      if (taken.has(port)) continue;
      try {
        await this.#bench.steer(functionName, { debugPort: port });
        return port;
      } catch (error) {
        const isTaken = error instanceof CliError && error.code === 'PortInUse';
        // A port that somebody has asked for is the one that he will attach to.
        const isAsked = port === this.#firstPort;
        if (!isTaken || isAsked || port >= last) throw error;
      }
    }
  }

  async #tell({ logicalId, functionName, local, runtime }: LocalFunction, port: number): Promise<void> {
    const folder = (await isFolder(local.path)) ? local.path : undefined;
    const configuration = launchConfiguration(logicalId, runtime, port, folder, folder && (await realpath(folder)));
    const { paint } = this.#terminal;
    this.#terminal.data({ debugging: logicalId, functionName, port, configuration });
    this.#terminal.line(`${paint.green('debugging')} ${logicalId} on 127.0.0.1:${port}; it waits for a debugger`);
    this.#terminal.line(`  VS Code, in "configurations" of .vscode/launch.json:`);
    this.#terminal.line(`    ${JSON.stringify(configuration)}`);
    const type = editorType(runtime);
    if (type === 'node') this.#terminal.line(`  or Chrome: chrome://inspect, with 127.0.0.1:${port} among its targets`);
    if (type === 'python') this.#terminal.line('  it needs debugpy: python3 -m pip install debugpy');
  }
}

function choose(functions: readonly LocalFunction[], wanted: string): LocalFunction {
  const exact = functions.filter(({ logicalId, functionName }) => logicalId === wanted || functionName === wanted);
  const found = exact.length > 0 ? exact : functions.filter(({ functionName }) => functionName.includes(wanted));
  if (found.length === 1) return found[0]!;
  const names = (found.length > 1 ? found : functions).map(({ logicalId }) => logicalId).join(', ');
  if (found.length > 1) {
    throw new CliError('AmbiguousFunction', `'${wanted}' could be several functions`, `they are: ${names}`);
  }
  throw new CliError(
    'NoSuchFunction',
    `the stack has no function '${wanted}' whose code lies here`,
    names === '' ? 'it has none at all' : `there are: ${names}`,
  );
}

function editorType(runtime: string | undefined): 'node' | 'python' | 'java' {
  if (runtime?.startsWith('python') === true) return 'python';
  return runtime?.startsWith('java') === true ? 'java' : 'node';
}

/** For VS Code. A function that is debugged sees its files where this machine has them. */
function launchConfiguration(
  name: string,
  runtime: string | undefined,
  port: number,
  localRoot: string | undefined,
  remoteRoot: string | undefined,
): object {
  const type = editorType(runtime);
  const roots = localRoot === undefined || remoteRoot === undefined ? {} : { localRoot, remoteRoot };
  if (type === 'java') return { name, type, request: 'attach', hostName: '127.0.0.1', port };
  if (type === 'node') return { name, type, request: 'attach', address: '127.0.0.1', port, restart: true, ...roots };
  return {
    name,
    type: 'debugpy',
    request: 'attach',
    connect: { host: '127.0.0.1', port },
    ...(localRoot === undefined ? {} : { pathMappings: [roots] }),
  };
}

function portOf(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port > 0 && port <= 65_535) return port;
  throw new CliError('BadPort', `'${text}' is not a port`, 'give a number from 1 to 65535');
}
