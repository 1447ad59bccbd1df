'use strict';
/** Finds the function that a handler name such as `src/index.handler` means, by the rules of Lambda's Node.js runtimes. */
const { existsSync, readFileSync } = require('node:fs');
const { createRequire } = require('node:module');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { RuntimeError, wrap } = require('./errors.cjs');

const streaming = Symbol.for('aws.lambda.runtime.handler.streaming');

/** Rejects with the error that AWS gives, `Runtime.ImportModuleError` and the like. */
async function loadHandler(root, name) {
  if (name.includes('..')) {
    throw new RuntimeError(
      'MalformedHandlerName',
      `'${name}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`,
    );
  }
  const base = path.basename(name);
  const folder = name.slice(0, name.indexOf(base));
  const dot = base.indexOf('.');
  if (dot < 0) throw new RuntimeError('MalformedHandlerName', 'Bad handler');
  offerStreaming();
  const loaded = await loadModule(root, folder, base.slice(0, dot));
  let handler = loaded;
  for (const key of base.slice(dot + 1).split('.')) handler &&= handler[key];
  if (!handler) throw new RuntimeError('HandlerNotFound', `${name} is undefined or not exported`);
  if (typeof handler !== 'function') throw new RuntimeError('HandlerNotFound', `${name} is not a function`);
  if (handler[streaming] !== undefined) {
    throw new RuntimeError('MalformedStreamingHandler', 'Response streaming is not supported here yet.');
  }
  return handler;
}

function offerStreaming() {
  globalThis.awslambda = {
    streamifyResponse(handler) {
      handler[streaming] = 'response';
      return handler;
    },
  };
}

async function loadModule(root, folder, name) {
  try {
    return await find(root, folder, name);
  } catch (error) {
    if (error instanceof SyntaxError) throw wrap('UserCodeSyntaxError', error);
    if (error?.code === 'MODULE_NOT_FOUND') throw wrap('ImportModuleError', error);
    throw error;
  }
}

/** No extension; .js as its package says; .mjs; .cjs; else as Node finds a module of that name. */
async function find(root, folder, name) {
  const file = path.resolve(root, folder, name);
  if (isFile(file)) return require(file);
  const isModule = inModulePackage(path.dirname(file));
  if (isFile(`${file}.js`)) return isModule ? importFile(`${file}.js`) : require(`${file}.js`);
  if (isFile(`${file}.mjs`)) return importFile(`${file}.mjs`);
  if (isFile(`${file}.cjs`)) return require(`${file}.cjs`);
  const ownRequire = createRequire(path.join(root, 'index.js'));
  return require(ownRequire.resolve(name, { paths: [root, path.resolve(root, folder)] }));
}

function importFile(file) {
  return import(pathToFileURL(file).href);
}

function isFile(file) {
  return existsSync(file) && !existsSync(`${file}/.`);
}

/** The nearest package.json at or above the folder says "type": "module". */
function inModulePackage(folder) {
  if (path.basename(folder) === 'node_modules') return false;
  const file = path.join(folder, 'package.json');
  if (existsSync(file)) {
    try {
      return JSON.parse(readFileSync(file, 'utf8')).type === 'module';
    } catch (error) {
      console.warn(`${file} cannot be read, it will be ignored for ES module detection purposes.`, error);
      return false;
    }
  }
  const parent = path.dirname(folder);
  return parent === folder ? false : inModulePackage(parent);
}

module.exports = { loadHandler };
