'use strict';
/** Finds the function that a handler name such as `src/index.handler` means, by the rules of Lambda's Node.js runtimes. */
const fs = require('node:fs');
const path = require('node:path');
const { RuntimeError, wrap } = require('./errors.cjs');
const { loadModule } = require('./modules.cjs');

const streaming = Symbol.for('aws.lambda.runtime.handler.streaming');
const highWaterMark = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');

/**
 * `{ handler, streaming, highWaterMark }`. Rejects with the error that AWS gives, `Runtime.ImportModuleError` and the like.
 * `inDefault`: an ES module's default export is looked at, too, as from nodejs24.x on.
 */
async function loadHandler(root, name, inDefault) {
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
  const loaded = await loadUserModule(root, folder, base.slice(0, dot));
  const keys = base.slice(dot + 1).split('.');
  const handler = lookUp(loaded, keys) || (inDefault && lookUp(loaded?.default, keys));
  if (!handler) throw new RuntimeError('HandlerNotFound', `${name} is undefined or not exported`);
  if (typeof handler !== 'function') throw new RuntimeError('HandlerNotFound', `${name} is not a function`);
  return { handler, streaming: isStreaming(handler), highWaterMark: highWaterMarkOf(handler) };
}

function lookUp(value, keys) {
  let found = value;
  for (const key of keys) found &&= found[key];
  return found;
}

/** The global `awslambda`, which functions that stream their response use. */
function offerStreaming() {
  const { AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA: without } = process.env;
  if (without === '1' || without === 'true') return;
  globalThis.awslambda = {
    ...globalThis.awslambda,
    streamifyResponse(handler, options) {
      handler[streaming] = 'response';
      if (typeof options?.highWaterMark === 'number') handler[highWaterMark] = Math.trunc(options.highWaterMark);
      return handler;
    },
    HttpResponseStream: {
      /** Status, headers and cookies go before the first write, as JSON and eight NUL bytes. */
      from(stream, metadata) {
        stream.setContentType('application/vnd.awslambda.http-integration-response');
        const prelude = JSON.stringify(metadata);
        stream._onBeforeFirstWrite = (write) => {
          write(prelude);
          write(new Uint8Array(8));
        };
        return stream;
      },
    },
  };
}

function isStreaming(handler) {
  const value = handler[streaming];
  if (value === undefined || value === null || value === false) return false;
  if (value === 'response') return true;
  throw new RuntimeError('MalformedStreamingHandler', 'Only response streaming is supported.');
}

function highWaterMarkOf(handler) {
  const value = Number.parseInt(handler[highWaterMark], 10);
  return Number.isNaN(value) || value <= 0 ? undefined : value;
}

async function loadUserModule(root, folder, name) {
  try {
    return await find(root, folder, name);
  } catch (error) {
    if (error instanceof SyntaxError) throw wrap('UserCodeSyntaxError', error);
    if (error?.code === 'MODULE_NOT_FOUND') throw wrap('ImportModuleError', error);
    throw error;
  }
}

/** No extension; .js as its package says; .mjs; .cjs; else as Node finds a module of that name. */
function find(root, folder, name) {
  const file = path.resolve(root, folder, name);
  if (isFile(file)) return loadModule(file, false);
  if (isFile(`${file}.js`)) return loadModule(`${file}.js`, inModulePackage(path.dirname(file)));
  if (isFile(`${file}.mjs`)) return loadModule(`${file}.mjs`, true);
  if (isFile(`${file}.cjs`)) return loadModule(`${file}.cjs`, false);
  // Loaded here and not above: it takes a millisecond that hardly any function needs.
  const ownRequire = require('node:module').createRequire(path.join(root, 'index.js'));
  return loadModule(ownRequire.resolve(name, { paths: [root, path.resolve(root, folder)] }), false);
}

function isFile(file) {
  return fs.existsSync(file) && !fs.existsSync(`${file}/.`);
}

/** The nearest package.json at or above the folder says "type": "module". */
function inModulePackage(folder) {
  if (path.basename(folder) === 'node_modules') return false;
  const file = path.join(folder, 'package.json');
  if (fs.existsSync(file)) {
    try {
      return JSON.parse(fs.readFileSync(file, 'utf8')).type === 'module';
    } catch (error) {
      console.warn(`${file} cannot be read, it will be ignored for ES module detection purposes.`, error);
      return false;
    }
  }
  const parent = path.dirname(folder);
  return parent === folder ? false : inModulePackage(parent);
}

module.exports = { loadHandler };
