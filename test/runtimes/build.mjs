#!/usr/bin/env node
// Builds the functions of test/runtimes over the clients that others wrote, each only when its sources have changed:
// node_modules/.cache/runtime-clients/NAME/package is what goes into its zip. Called by tools/setup-tests.sh.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const sourcesFolder = fileURLToPath(new URL('.', import.meta.url));
const modules = fileURLToPath(new URL('../../node_modules/', import.meta.url));
const cacheFolder = join(modules, '.cache/runtime-clients');

/** Programs of the machine that sandboxes see: not those of a version manager in somebody's home. */
const systemPath = '/usr/local/bin:/usr/bin:/bin';

/** `tool`: what it is built with, how its version is asked for, and the oldest that will do. */
const clients = {
  go: { tool: ['go', ['version'], [1, 19]], build: buildGo },
  rust: { tool: ['cargo', ['--version'], [1, 84]], build: buildRust },
  java: { tool: ['javac', ['-version'], [11]], build: buildJava },
  python: { tool: ['python3', ['--version'], [3, 9], systemPath], build: buildPython },
};

let failed = false;
for (const [name, client] of Object.entries(clients)) {
  try {
    make(name, client);
  } catch (error) {
    failed = true;
    rmSync(join(cacheFolder, name, 'built'), { force: true });
    process.stderr.write(`\ntest/runtimes/${name}: ${error.message}\n`);
  }
}
process.exitCode = failed ? 1 : 0;

function make(name, { tool, build }) {
  const cache = join(cacheFolder, name);
  const stamp = join(cache, 'built');
  const source = join(sourcesFolder, name);
  const version = toolVersion(...tool);
  const digest = digestOf(source, version);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return;
  process.stderr.write(`building test/runtimes/${name} …`);
  const startedAtMs = performance.now();
  const out = join(cache, 'package');
  rmSync(stamp, { force: true });
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  build({ source, out, cache, version });
  writeFileSync(stamp, digest);
  process.stderr.write(` ${((performance.now() - startedAtMs) / 1000).toFixed(1)} s\n`);
}

function buildGo({ source, out }) {
  run(
    'go',
    ['build', '-trimpath', '-tags', 'lambda.norpc', '-ldflags', '-s -w', '-o', join(out, 'bootstrap'), '.'],
    source,
    {
      CGO_ENABLED: '0',
      GOTOOLCHAIN: 'local',
      GOFLAGS: '-mod=readonly -buildvcs=false',
    },
  );
}

/** In a copy of the sources, beside which Cargo writes. */
function buildRust({ source, cache, out }) {
  const work = join(cache, 'source');
  rmSync(work, { recursive: true, force: true });
  cpSync(source, work, { recursive: true });
  run('cargo', ['generate-lockfile', '--quiet'], work);
  const [registry] = /^source = .*$/m.exec(readFileSync(join(work, 'Cargo.lock'), 'utf8'));
  const lock = readFileSync(join(source, 'Cargo.lock.in'), 'utf8').replace(/^checksum/gm, `${registry}\n$&`);
  writeFileSync(join(work, 'Cargo.lock'), lock);
  run('cargo', ['build', '--locked', '--quiet', '--target-dir', join(cache, 'target')], work);
  copyFileSync(join(cache, 'target/debug/bootstrap'), join(out, 'bootstrap'));
}

function buildJava({ source, out }) {
  const lib = join(out, 'lib');
  run(
    'mvn',
    [
      '-q',
      '-B',
      '-Dstyle.color=never',
      'dependency:copy-dependencies',
      '-DincludeScope=runtime',
      `-DoutputDirectory=${lib}`,
    ],
    source,
  );
  run('javac', ['--release', '11', '-cp', join(lib, '*'), '-d', out, 'Handler.java'], source);
  addBootstrap(source, out);
}

/** Wheels for the Python that the sandbox sees, by the pip of the tests' own environment. */
function buildPython({ source, out, version }) {
  const pip = join(modules, '.cache/python/bin/pip');
  const wanted = ['--only-binary=:all:', '--python-version', version.join('.')];
  run(
    pip,
    ['install', '--quiet', '--disable-pip-version-check', ...wanted, '--target', out, '-r', 'requirements.txt'],
    source,
  );
  cpSync(join(source, 'app.py'), join(out, 'app.py'));
  addBootstrap(source, out);
}

function addBootstrap(source, out) {
  copyFileSync(join(source, 'bootstrap'), join(out, 'bootstrap'));
  chmodSync(join(out, 'bootstrap'), 0o755);
}

/** Major and minor; throws when it is missing or older than what is needed. */
function toolVersion(command, args, needed, path) {
  let said;
  try {
    said = execFileSync(command, args, { encoding: 'utf8', env: { ...process.env, ...(path && { PATH: path }) } });
  } catch {
    throw new Error(`${command} is missing`);
  }
  const version = /(\d+)\.(\d+)/.exec(said).slice(1).map(Number);
  const isOlder = version[0] < needed[0] || (version[0] === needed[0] && version[1] < (needed[1] ?? 0));
  if (isOlder) throw new Error(`${command} ${version.join('.')} is too old: ${needed.join('.')} or later is needed`);
  return version;
}

function run(command, args, cwd, environment = {}) {
  try {
    execFileSync(command, args, { cwd, env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] });
  } catch ({ message, stdout, stderr }) {
    throw new Error(stdout === undefined ? message : `${command} ${args.join(' ')} failed:\n${stdout}${stderr}`);
  }
}

function digestOf(folder, version) {
  const hash = createHash('sha256')
    .update(version.join('.'))
    .update(readFileSync(fileURLToPath(import.meta.url)));
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && !path.endsWith('.ts')) hash.update(path).update(readFileSync(path));
  }
  return hash.digest('hex');
}
