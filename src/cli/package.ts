import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { ZipFile } from 'yazl';
import type { JsonObject } from '../deploy/json.ts';
import { type LocalPath, packageLocalPaths } from '../deploy/sam/packaging.ts';
import { parseSource } from '../deploy/source.ts';
import { blobBucket } from '../platform/blob-bucket.ts';
import type { CloudClient } from './client.ts';
import { CliError } from './error.ts';
import { uploadImage } from './images.ts';

export interface Packaged {
  /** The template with its local paths replaced, as JSON. */
  readonly template: JsonObject;
  readonly templatePath: string;
  /** Each local path, resolved, and the digest of what was uploaded for it. */
  readonly code: readonly PackagedPath[];
}

export interface PackagedPath extends LocalPath {
  readonly digest: string;
}

const templateNames = ['template.yaml', 'template.yml', 'template.json'];

/** The template that a target means: itself, or the one in the folder. */
export async function findTemplate(target: string): Promise<string> {
  const path = resolve(target);
  const found = await stat(path).catch(() => undefined);
  if (found === undefined)
    throw new CliError(
      'NoSuchTarget',
      `there is no ${target}`,
      'name a template, or the folder that holds template.yaml',
    );
  if (!found.isDirectory()) return path;
  for (const name of templateNames) {
    const candidate = join(path, name);
    if ((await stat(candidate).catch(() => undefined))?.isFile() === true) return candidate;
  }
  throw new CliError('NoTemplate', `${target} holds no ${templateNames.join(', ')}`, 'name the template itself');
}

/** The name of a stack that nobody named: the folder's, in the letters that CloudFormation takes. */
export function defaultStackName(templatePath: string): string {
  const name = basename(dirname(templatePath))
    .replace(/[^A-Za-z0-9-]+/g, '-')
    .replace(/^[^A-Za-z]+/, '')
    .replace(/-+$/, '');
  return name === '' ? 'app' : name.slice(0, 128);
}

/** Zips and uploads what a template names on this machine, as `sam package` does; the same content gives the same digest. */
export async function packageTemplate(templatePath: string, client: CloudClient): Promise<Packaged> {
  const text = await readFile(templatePath, 'utf8');
  const { root } = parseSource(text);
  const folder = dirname(templatePath);
  const code: PackagedPath[] = [];
  const template = await packageLocalPaths(root, async (local) => {
    const path = resolve(folder, local.path);
    const digest = await storeLocal(client, path, local);
    code.push({ ...local, path, digest });
    return { bucket: blobBucket, key: digest };
  });
  return { template, templatePath, code };
}

/** The zip of one function's code, for replacing just that. */
export async function zipPath(path: string): Promise<Buffer> {
  const found = await stat(path);
  if (!found.isDirectory() && path.endsWith('.zip')) return readFile(path);
  const zip = new ZipFile();
  // Times are left out: an unchanged folder must give an unchanged digest.
  const options = { mtime: new Date(Date.UTC(1980, 0, 1, 12)), compressionLevel: 1 };
  if (found.isDirectory()) {
    for (const file of await filesIn(path))
      zip.addFile(file, relative(path, file).replaceAll('\\', '/'), { ...options, mode: await modeOf(file) });
  } else {
    zip.addFile(path, basename(path), { ...options, mode: await modeOf(path) });
  }
  zip.end();
  const chunks: Buffer[] = [];
  for await (const chunk of zip.outputStream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function storeLocal(client: CloudClient, path: string, local: LocalPath): Promise<string> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) {
    throw new CliError(
      'NoSuchCode',
      `${local.property} of ${local.logicalId} names ${local.path}, which is not there`,
      'build it first, or correct the path; it is relative to the template',
    );
  }
  if (local.kind !== 'image') return client.putBlob(await (local.kind === 'zip' ? zipPath(path) : readFile(path)));
  return (await uploadImage(client, path, local)).digest;
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => entry.isFile() || entry.isSymbolicLink())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** Whether it may be executed is all that Lambda keeps of a file's mode. */
async function modeOf(path: string): Promise<number> {
  const { mode } = await stat(path);
  return (mode & 0o100) === 0 ? 0o100644 : 0o100755;
}
