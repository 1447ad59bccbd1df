import { readdir, readlink, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import type { CloudClient } from '../client.ts';
import type { Deployed } from '../commands/deploy.ts';
import type { PackagedPath } from '../package.ts';

/** A function of a stack whose code lies on this machine. */
export interface LocalFunction {
  readonly logicalId: string;
  readonly functionName: string;
  readonly local: PackagedPath;
  /** Of an image: none. */
  readonly runtime: string | undefined;
  /** In base64, as Lambda tells it. */
  readonly codeSha256: string;
  /** Its clients come by an alias of a published version: new code needs a new version. */
  readonly published: boolean;
}

export async function localFunctions(client: CloudClient, { stack, code }: Deployed): Promise<LocalFunction[]> {
  const { StackResources = [] } = await client.call('cloudformation', 'DescribeStackResources', { StackName: stack });
  const aliased = StackResources.filter(({ ResourceType }) => ResourceType === 'AWS::Lambda::Alias').map(
    ({ PhysicalResourceId }) => PhysicalResourceId ?? '',
  );
  const found = code.map(async (local): Promise<LocalFunction | undefined> => {
    const functionName = StackResources.find(
      ({ ResourceType, LogicalResourceId }) =>
        ResourceType === 'AWS::Lambda::Function' && LogicalResourceId === local.logicalId,
    )?.PhysicalResourceId;
    if (functionName === undefined) return undefined;
    const { Runtime, CodeSha256 } = await client.call('lambda', 'GetFunctionConfiguration', {
      FunctionName: functionName,
    });
    return {
      logicalId: local.logicalId,
      functionName,
      local,
      runtime: Runtime,
      codeSha256: CodeSha256 ?? '',
      published: aliased.some((arn) => arn.includes(`:function:${functionName}:`)),
    };
  });
  return (await Promise.all(found)).filter((each) => each !== undefined);
}

/** Whether a path is what a local path names, or lies in it. */
export function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder + sep);
}

/**
 * Whether a function can run from the folder as it is: a package holds the files that links lead to, and a sandbox that sees this folder
 * alone does not.
 */
export async function holdsAll(folder: string): Promise<boolean> {
  const root = await realpath(folder);
  const entries = await readdir(root, { withFileTypes: true, recursive: true });
  const links = entries.filter((entry) => entry.isSymbolicLink()).map((entry) => join(entry.parentPath, entry.name));
  for (const link of links) {
    if ((await readlink(link)).startsWith(sep)) return false;
    const target = await realpath(link).catch(() => root);
    if (!isBelow(target, root)) return false;
  }
  return true;
}

/** Whether there is code in it just now: a build may have emptied it, and be about to fill it again. */
export async function isInhabited(folder: string): Promise<boolean> {
  return (await readdir(folder).catch(() => [])).length > 0;
}

export async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true;
}
