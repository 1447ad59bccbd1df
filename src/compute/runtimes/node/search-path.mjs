/** Module hooks that look in further folders for packages that Node itself does not find (see modules.cjs). */
import { basename, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

let folders = [];

export function initialize(data) {
  folders = data;
}

export async function resolve(specifier, context, nextResolve) {
  try {
    return await nextResolve(specifier, context);
  } catch (error) {
    if (error?.code !== 'ERR_MODULE_NOT_FOUND' || /^(\.{0,2}\/|[a-z][a-z0-9+.-]*:|#)/i.test(specifier)) throw error;
    for (const folder of folders) {
      try {
        return await nextResolve(...inFolder(specifier, context, folder));
      } catch (failure) {
        if (failure?.code !== 'ERR_MODULE_NOT_FOUND') throw failure;
      }
    }
    throw error;
  }
}

/** Node looks in folders named node_modules by itself; in one of another name, for the file. */
function inFolder(specifier, context, folder) {
  return basename(folder) === 'node_modules'
    ? [specifier, { ...context, parentURL: pathToFileURL(join(dirname(folder), 'index.mjs')).href }]
    : [pathToFileURL(join(folder, specifier)).href, context];
}
