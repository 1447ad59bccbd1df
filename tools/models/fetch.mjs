// Gets the pinned wheel through pip, once, into node_modules/.cache, checks its digest and reads the models out of it.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import yauzl from 'yauzl';

/**
 * The official models of `source.services`, by name, as parsed service-2.json objects.
 * Throws an Error whose message says what to do when the wheel cannot be downloaded or is not the pinned one.
 */
export async function fetchModels(root, source) {
  const path = wheelPath(root, source);
  const wanted = new Map(
    source.services.map(({ name, apiVersion }) => [`botocore/data/${name}/${apiVersion}/service-2.json.gz`, name]),
  );
  const models = new Map();
  for (const [entry, bytes] of await readEntries(path, new Set(wanted.keys()))) {
    models.set(wanted.get(entry), JSON.parse(gunzipSync(bytes).toString('utf8')));
  }
  const missing = source.services.filter(({ name }) => !models.has(name)).map(({ name }) => name);
  if (missing.length > 0)
    throw new Error(`${source.wheel} has no model for: ${missing.join(', ')} (check name and apiVersion)`);
  return models;
}

function wheelPath(root, source) {
  const cache = join(root, 'node_modules', '.cache', 'models');
  const path = join(cache, source.wheel);
  if (!existsSync(path)) download(cache, source);
  if (!existsSync(path)) throw new Error(`pip did not bring ${source.wheel} into ${cache}`);
  const digest = createHash('sha256').update(readFileSync(path)).digest('hex');
  if (digest !== source.sha256) {
    rmSync(path);
    throw new Error(`${source.wheel} has the digest ${digest}, pinned is ${source.sha256}; it was removed, try again`);
  }
  return path;
}

function download(cache, source) {
  mkdirSync(cache, { recursive: true });
  const pinned = `${source.package}==${source.version}`;
  const args = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary', ':all:', '--dest', cache, pinned];
  const result = spawnSync('python3', args, { encoding: 'utf8' });
  if (result.error === undefined && result.status === 0) return;
  const cause = result.error?.message ?? result.stderr.trim().split('\n').at(-1);
  throw new Error(
    `cannot download ${pinned} with pip (${cause}). Install python3 and pip, or put ${source.wheel} into ${cache} yourself.`,
  );
}

function readEntries(path, names) {
  return new Promise((resolve, reject) => {
    const found = [];
    yauzl.open(path, { lazyEntries: true }, (openError, zip) => {
      if (openError) return reject(openError);
      zip.on('error', reject);
      zip.on('end', () => resolve(found));
      zip.on('entry', (entry) => {
        if (!names.has(entry.fileName)) return zip.readEntry();
        zip.openReadStream(entry, (error, stream) => {
          if (error) return reject(error);
          const chunks = [];
          stream.on('data', (chunk) => chunks.push(chunk));
          stream.on('error', reject);
          stream.on('end', () => {
            found.push([entry.fileName, Buffer.concat(chunks)]);
            zip.readEntry();
          });
        });
      });
      zip.readEntry();
    });
  });
}
