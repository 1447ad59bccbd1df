'use strict';
/** How the function's own module is loaded: the quickest way that means the same, with what AWS's Node adds to module resolution. */
const fs = require('node:fs');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

const { env } = process;
const tailBytes = 512;

/** The function's module, until it is known whether it names a source map. */
let unexamined;

/** The module's exports, or a promise of them. */
function loadModule(file, isModule) {
  unexamined = file;
  showOriginalPositions(true);
  const folders = unreachedFolders(file);
  const isImported = isModule && (hasPreloads() || !process.features.require_module);
  const searches = folders.length > 0 && (isImported || importsLater(file));
  if (searches) searchAlso(folders);
  if (!isModule) return require(file);
  return isImported || searches ? importModule(file) : requireModule(file, folders);
}

/**
 * `import()` loads a good part of Node that `require` of the same module does without (7 of 43 ms of a cold start). What awaits at its
 * top level cannot be required: Node says so before anything of it has run, as it does of packages that are not found.
 */
function requireModule(file, folders) {
  const { emitWarning } = process;
  process.emitWarning = (warning, ...details) => {
    if (details[0] === 'ExperimentalWarning' && String(warning).includes('ES Module')) return;
    emitWarning.call(process, warning, ...details);
  };
  try {
    const loaded = require(file);
    // An export named `module.exports` stands in for the module.
    if (require('node:util').types.isModuleNamespaceObject(loaded)) return loaded;
  } catch (error) {
    if (error?.code === 'ERR_MODULE_NOT_FOUND' && folders.length > 0) searchAlso(folders);
    else if (error?.code !== 'ERR_REQUIRE_ASYNC_MODULE') throw error;
  } finally {
    process.emitWarning = emitWarning;
  }
  return importModule(file);
}

function importModule(file) {
  return import(pathToFileURL(file).href);
}

/** What is loaded before the function may want to see its imports. */
function hasPreloads() {
  return /(^|\s)(--import|--require|-r|--loader|--experimental-loader)\b/.test(env.NODE_OPTIONS ?? '');
}

/**
 * AWS's Node looks for what an ES module imports in the folders of NODE_PATH as well (since nodejs18.x: "ES module resolution using
 * NODE_PATH", aws.amazon.com/blogs/compute/node-js-18-x-runtime-now-available-in-aws-lambda); Node itself does so for `require` only.
 * These are the folders that exist and that Node's walk upwards from the module does not come by. The task root and the runtime's own
 * folder, which are always in NODE_PATH, are left out: they hold files, not packages.
 */
function unreachedFolders(file) {
  const folders = (env.NODE_PATH ?? '')
    .split(path.delimiter)
    .filter(
      (folder) =>
        folder !== '' && folder !== env.LAMBDA_TASK_ROOT && folder !== env.LAMBDA_RUNTIME_DIR && fs.existsSync(folder),
    );
  if (folders.length === 0) return folders;
  const reached = new Set();
  for (let folder = path.dirname(file), last; folder !== last; folder = path.dirname(folder)) {
    last = folder;
    const packages = path.join(folder, 'node_modules');
    if (fs.existsSync(packages)) reached.add(fs.realpathSync(packages));
  }
  return folders.filter((folder) => !reached.has(fs.realpathSync(folder)));
}

/** It imports packages by name while it runs: too late to look for them elsewhere only when one is not found. */
function importsLater(file) {
  return /\bimport\s*\(\s*["'`](?!node:)[\w@]/.test(fs.readFileSync(file, 'utf8'));
}

/** Costs a thread, and its start as much time as that of the process: only for who needs it. */
function searchAlso(folders) {
  const { register } = require('node:module');
  register(pathToFileURL(path.join(__dirname, 'search-path.mjs')), { data: folders });
}

/**
 * If the function's module names a source map, stack traces show the original positions from here on. Maps are read when the first trace
 * is asked for: a function that throws nothing pays nothing. Called before the module is loaded, it only looks for a map beside it; one
 * in the module itself is looked for when there is an error, or time (V8 asks for an error's trace when it is first read).
 */
function showOriginalPositions(isHurried) {
  const file = unexamined;
  if (file === undefined || (isHurried && !fs.existsSync(`${file}.map`))) return;
  unexamined = undefined;
  if (!isNodesOwn(Error.prepareStackTrace) || process.sourceMapsEnabled) return;
  if (/--(no-)?enable-source-maps/.test(env.NODE_OPTIONS ?? '') || !hasSourceMap(file)) return;
  Error.prepareStackTrace = (error, sites) => require('./source-maps.cjs').formatStack(error, sites);
}

/** What the function has put in place of it stays. */
function isNodesOwn(prepareStackTrace) {
  return prepareStackTrace === undefined || prepareStackTrace.name === 'ErrorPrepareStackTrace';
}

/** By the last bytes: a map that stands in the comment itself fills them with Base64. */
function hasSourceMap(file) {
  let descriptor;
  try {
    descriptor = fs.openSync(file);
  } catch {
    // Its folder may have been emptied since: a build works where `unkai up` runs it.
    return false;
  }
  try {
    const { size } = fs.fstatSync(descriptor);
    const tail = Buffer.alloc(Math.min(size, tailBytes));
    fs.readSync(descriptor, tail, 0, tail.length, size - tail.length);
    const text = tail.toString('latin1').trimEnd();
    return text.includes('sourceMappingURL=') || (size > tailBytes && /^[\w+/=]{400,}$/.test(text));
  } finally {
    fs.closeSync(descriptor);
  }
}

module.exports = { loadModule, showOriginalPositions };
