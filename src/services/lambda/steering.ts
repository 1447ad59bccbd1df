import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { isAbsolute, join } from 'node:path';
import type { Caller } from '../../platform/context.ts';
import type { Platform } from '../../platform/service.ts';
import { UserMistake } from '../../platform/user-mistake.ts';
import { type FunctionEntry, servedLatest } from './directory.ts';
import type { Engine } from './engine.ts';
import { parseFunctionName } from './rules/names.ts';
import type { Place } from './state.ts';
import type { Piece, Workbench } from './workbench.ts';

type Command = Readonly<Record<string, unknown>>;

/**
 * What `unkai up` does with functions, beyond AWS's API. `{}` answers `{keyFile}`: a file that holds the key to all else. Whoever can read
 * it is on this machine and outside its sandboxes, so a folder that he names is what he means, and his to be shown to a function.
 *
 * `{key, functionName, pid, directory?, debugPort?, refresh?}`: the folder that holds the function's code, and the port where its runtime
 * waits for a debugger, as long as the process `pid` is there; `null` for either takes it away. Each command, `refresh` alone too, ends
 * the function's environments, so that the next invocation starts with the code as it is now. Throws UserMistake.
 */
export async function steer(engine: Engine, caller: Caller, command: Command): Promise<unknown> {
  const keyFile = join(engine.platform.scratchFolder, 'workbench.key');
  const key = keyIn(keyFile, engine.platform);
  if (Object.keys(command).length === 0) return { keyFile };
  if (command['key'] !== key) {
    throw new UserMistake(
      403,
      'WrongKey',
      'the key is not that of this cloud: only who is on its machine may put functions on its workbench',
      `it stands in ${keyFile}, and is another after each start`,
    );
  }
  const place: Place = { account: caller.account, region: caller.region };
  const name = parseFunctionName(text(command, 'functionName'), undefined, place).name;
  const wanted = await wish(engine, place, name, command);
  const { workbench, environments, directory, invoker } = engine;
  const before = workbench.peek(place, name);
  workbench.put(place, name, wanted);
  // Nobody is left to let it go on.
  if (before?.debugPort !== undefined && before.debugPort !== wanted?.debugPort) {
    void environments.endDebugged(before.debugPort);
  }
  const entry = await directory.find(place, name);
  if (entry !== undefined) retire(engine, entry);
  if (entry !== undefined && wanted?.debugPort !== undefined) invoker.openForDebugger(entry);
  const { directory: folder, debugPort } = wanted ?? {};
  return { functionName: name, directory: folder, debugPort };
}

function retire({ environments }: Engine, { record }: FunctionEntry): void {
  environments.retire(servedLatest(record).environmentId);
}

/** The piece of work as the command leaves it; undefined: none. */
async function wish(engine: Engine, place: Place, name: string, command: Command): Promise<Piece | undefined> {
  const { directory, debugPort, refresh } = command;
  if (directory === undefined && debugPort === undefined && refresh !== true) {
    throw badCommand('it needs directory (a path or null), debugPort (a number or null) or refresh: true');
  }
  const before = engine.workbench.peek(place, name);
  const puts = (directory ?? debugPort ?? undefined) !== undefined;
  if (puts) await checkFunction(engine, place, name, debugPort);
  if (typeof directory === 'string') checkFolder(directory);
  else if (directory !== undefined && directory !== null) throw badCommand('directory is a path or null');
  if (typeof debugPort === 'number') await checkPort(engine.workbench, place, name, debugPort);
  else if (debugPort !== undefined && debugPort !== null) throw badCommand('debugPort is a number or null');
  const { pid = before?.pid } = command;
  if (puts && (typeof pid !== 'number' || !Number.isInteger(pid) || pid <= 0)) {
    throw badCommand('it needs pid, the process of whoever works on the function');
  }
  const kept = { directory: before?.directory, debugPort: before?.debugPort };
  const next = {
    directory: directory === undefined ? kept.directory : (directory ?? undefined),
    debugPort: debugPort === undefined ? kept.debugPort : (debugPort ?? undefined),
  };
  if (next.directory === undefined && next.debugPort === undefined) return undefined;
  return {
    ...(next.directory === undefined ? {} : { directory: next.directory }),
    ...(next.debugPort === undefined ? {} : { debugPort: next.debugPort }),
    pid: pid as number,
  };
}

async function checkFunction({ directory }: Engine, place: Place, name: string, debugPort: unknown): Promise<void> {
  const entry = await directory.find(place, name);
  if (entry === undefined) {
    throw new UserMistake(404, 'NoSuchFunction', `there is no function ${name} in ${place.region}`, 'deploy it first');
  }
  const { runtime } = servedLatest(entry.record);
  if (runtime === undefined) {
    throw new UserMistake(
      400,
      'ImageFunction',
      `${name} is a container image: it cannot run from a folder, and not be debugged`,
      'build the image anew and deploy it',
    );
  }
  if (typeof debugPort === 'number' && !/^(nodejs|python|java)\d/.test(runtime)) {
    throw new UserMistake(
      400,
      'CannotDebug',
      `${name} runs on ${runtime}, for which there is no debugger here`,
      'functions in Node.js, Python and Java can be debugged',
    );
  }
}

function checkFolder(path: string): void {
  if (isAbsolute(path) && statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return;
  throw new UserMistake(
    400,
    'NoSuchFolder',
    `${path} is not a folder of the machine that the cloud runs on`,
    'give the absolute path of the folder that holds the code',
  );
}

async function checkPort(workbench: Workbench, place: Place, name: string, port: number): Promise<void> {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw badCommand('debugPort is from 1 to 65535');
  if (workbench.peek(place, name)?.debugPort === port) return;
  const holder = workbench.holderOf(port);
  if (holder === undefined && (await isFree(port))) return;
  throw new UserMistake(
    409,
    'PortInUse',
    `port ${port} is in use${holder === undefined ? '' : ` for ${holder}`}`,
    'choose another one',
  );
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** The key to the workbench, made at first need, for the eyes of this user alone. */
function keyIn(file: string, { random }: Platform): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const key = random.hex(32);
  writeFileSync(file, key, { mode: 0o600, flag: 'wx' });
  return key;
}

function text(command: Command, name: string): string {
  const value = command[name];
  if (typeof value === 'string' && value !== '') return value;
  throw badCommand(`it needs ${name}, a text`);
}

function badCommand(message: string): UserMistake {
  return new UserMistake(400, 'BadCommand', message, 'see docs/control-api.md');
}
