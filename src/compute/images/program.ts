/** Which program an image runs, and how. */
import { open, stat } from 'node:fs/promises';
import { posix } from 'node:path';
import type { ImageConfig } from '../../platform/oci.ts';
import { resolveInside } from './paths.ts';

/** What stands in place of the image's own settings; what is left out stays as the image has it. */
export interface ImageOverrides {
  readonly entryPoint?: readonly string[];
  readonly command?: readonly string[];
  readonly workingDirectory?: string;
}

export interface ImageProgram {
  /** As seen in the root, absolute. */
  readonly command: string;
  /** The same file on this machine, without symbolic links. */
  readonly hostCommand: string;
  readonly args: readonly string[];
  /** As seen in the root; it is there. */
  readonly workingDirectory: string;
  /** The image's variables with those given over them. */
  readonly environment: Readonly<Record<string, string>>;
  /** The image's USER as written; undefined where it has none. Lambda runs every image as the same ordinary user. */
  readonly user: string | undefined;
}

/** The program cannot be started, in AWS's words. */
export class ImageProgramError extends Error {
  override readonly name = 'ImageProgramError';
  readonly errorType: 'Runtime.InvalidEntrypoint' | 'Runtime.InvalidWorkingDir';
  /** The line that Lambda writes to the function's log. */
  readonly logLine: string;

  constructor(errorType: ImageProgramError['errorType'], problem: string, logLine: string) {
    super(problem);
    this.errorType = errorType;
    this.logLine = logLine;
  }
}

/** As Docker gives it to images that name none. */
const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * ENTRYPOINT and CMD in one line, each as overridden; the program is looked for in the image's PATH if its name has no slash. `variables`
 * go over the image's own (a function's environment). Rejects with ImageProgramError, whose message follows `RequestId: … Error: `.
 *
 * An overridden entry point does not drop the image's CMD, unlike with `docker run --entrypoint`: AWS documents the three overrides as
 * independent. To drop it give an empty `command`.
 *
 * Texts: the issues of public projects that quote Lambda's answers (`fork/exec /x: no such file or directory`, `exec: "x": executable file not
 * found in $PATH`), which are Go's; the log line: github.com/aws/aws-lambda-runtime-interface-emulator, FormatImageError. The text for a
 * working directory is Go's, too, and was not seen quoted.
 */
export async function imageProgram(
  root: string,
  config: ImageConfig,
  overrides: ImageOverrides = {},
  variables: Readonly<Record<string, string>> = {},
): Promise<ImageProgram> {
  const entryPoint = overrides.entryPoint ?? config.entryPoint;
  const [name = '', ...args] = [...entryPoint, ...(overrides.command ?? config.command)];
  const environment = { PATH: defaultPath, ...config.environment, ...variables };
  const workingDirectory = posix.resolve('/', overrides.workingDirectory || config.workingDirectory || '/');
  const failure = (errorType: ImageProgramError['errorType'], problem: string): ImageProgramError => {
    const command = overrides.command ?? config.command;
    const logLine = `IMAGE\tLaunch error: ${problem}\tEntrypoint: [${entryPoint.join(',')}]\tCmd: [${command.join(',')}]\tWorkingDir: [${workingDirectory}]`;
    return new ImageProgramError(errorType, problem, logLine);
  };

  const folder = await resolveInside(root, workingDirectory);
  const isFolder = folder !== undefined && (await stat(folder)).isDirectory();
  if (!isFolder) {
    const problem = `chdir ${workingDirectory}: ${folder === undefined ? 'no such file or directory' : 'not a directory'}`;
    throw failure('Runtime.InvalidWorkingDir', problem);
  }
  const command = name.includes('/')
    ? posix.resolve(workingDirectory, name)
    : await findInPath(root, name, environment);
  if (command === undefined) {
    throw failure('Runtime.InvalidEntrypoint', `exec: "${name}": executable file not found in $PATH`);
  }
  const hostCommand = await resolveInside(root, command);
  const problem = hostCommand === undefined ? noSuchFile : await whyNotExecutable(root, hostCommand);
  if (hostCommand === undefined || problem !== undefined) {
    throw failure('Runtime.InvalidEntrypoint', `fork/exec ${name.includes('/') ? name : command}: ${problem}`);
  }
  const user = config.user === '' ? undefined : config.user;
  return { command, hostCommand, args, workingDirectory, environment, user };
}

const noSuchFile = 'no such file or directory';

async function findInPath(
  root: string,
  name: string,
  environment: Readonly<Record<string, string>>,
): Promise<string | undefined> {
  if (name === '') return undefined;
  for (const folder of environment['PATH']?.split(':') ?? []) {
    if (!folder.startsWith('/')) continue;
    const path = posix.join(folder, name);
    const real = await resolveInside(root, path);
    if (real === undefined) continue;
    const found = await stat(real);
    if (found.isFile() && (found.mode & 0o111) !== 0) return path;
  }
  return undefined;
}

/** What the kernel would say to it (execve(2)): also a file that is there has no interpreter to run it, now and then. */
async function whyNotExecutable(root: string, path: string): Promise<string | undefined> {
  const found = await stat(path);
  if (!found.isFile() || (found.mode & 0o111) === 0) return 'permission denied';
  const file = await open(path, 'r');
  let head: Buffer;
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(headBytes), 0, headBytes, 0);
    head = buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
  const script = head.length > 2 && head[0] === 0x23 && head[1] === 0x21;
  if (!script && (head.length < 64 || head.readUInt32BE(0) !== elfMagic)) return badFormat;
  if (!script && elfMachines[process.arch] !== undefined && head.readUInt16LE(18) !== elfMachines[process.arch]) {
    return badFormat;
  }
  const interpreter = script ? scriptInterpreter(head) : elfInterpreter(head);
  if (interpreter === undefined) return undefined;
  return (await resolveInside(root, interpreter)) === undefined ? noSuchFile : undefined;
}

const badFormat = 'exec format error';
/** Program headers stand at the beginning of what linkers write. */
const headBytes = 4096;
const elfMagic = 0x7f454c46;
/** e_machine, by Node's names. Both are little-endian. */
const elfMachines: Readonly<Record<string, number>> = { x64: 0x3e, arm64: 0xb7 };

function scriptInterpreter(head: Buffer): string | undefined {
  const end = head.indexOf(0x0a);
  const [path] = head
    .toString('utf8', 2, end === -1 ? head.length : end)
    .trim()
    .split(/[ \t]/);
  return path?.startsWith('/') === true ? path : undefined;
}

/** PT_INTERP of a 64-bit ELF file: the dynamic linker, which images of another C library do not have. */
function elfInterpreter(head: Buffer): string | undefined {
  const isElf64 = head[4] === 2 && head[5] === 1;
  if (!isElf64) return undefined;
  const tableOffset = Number(head.readBigUInt64LE(32));
  const entryBytes = head.readUInt16LE(54);
  const entries = head.readUInt16LE(56);
  for (let place = 0; place < entries; place++) {
    const start = tableOffset + place * entryBytes;
    if (entryBytes < 56 || start + entryBytes > head.length) return undefined;
    if (head.readUInt32LE(start) !== 3) continue;
    const offset = Number(head.readBigUInt64LE(start + 8));
    const length = Number(head.readBigUInt64LE(start + 32));
    if (offset + length > head.length) return undefined;
    return head.toString('utf8', offset, offset + length).replace(/\0.*$/s, '');
  }
  return undefined;
}
