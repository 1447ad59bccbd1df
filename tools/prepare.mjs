#!/usr/bin/env node
// Installs the packages and builds, each only when what it depends on has changed. Used by ./unkai, npm start and npm test.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const stampOf = (name) => join(root, 'node_modules', `.unkai-${name}`);

// A published package comes built and without its sources.
if (existsSync(join(root, 'src'))) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    process.stderr.write(`Unkai needs Node 20.19 or later; this is ${process.version}\n`);
    process.exit(1);
  }
  install();
  compile();
}

function install() {
  const lock = digest([join(root, 'package-lock.json')]);
  if (read(stampOf('installed')) === lock) return;
  process.stderr.write('installing packages …\n');
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  execFileSync(npm, ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel', 'error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  writeFileSync(stampOf('installed'), lock);
}

function compile() {
  const sources = digest(files(['src', 'models', 'tools/build.mjs', 'package-lock.json', 'examples']));
  if (read(stampOf('built')) === sources && existsSync(join(root, 'dist/cli.js'))) return;
  process.stderr.write('building …\n');
  execFileSync(process.execPath, [join(root, 'tools/build.mjs')], { cwd: root, stdio: ['ignore', 2, 2] });
  writeFileSync(stampOf('built'), sources);
}

/** Names, sizes and times are enough to see a change, and cost little on every start. */
function digest(paths) {
  const hash = createHash('sha256');
  for (const path of paths) {
    const { size, mtimeMs } = statSync(path);
    hash.update(path.endsWith('package-lock.json') ? readFileSync(path) : `${path}:${size}:${mtimeMs}\n`);
  }
  return hash.digest('hex');
}

function files(names) {
  const found = [];
  const visit = (path) => {
    if (!statSync(path).isDirectory()) return found.push(path);
    for (const name of readdirSync(path).sort()) {
      if (name !== 'node_modules' && name !== 'dist' && !name.startsWith('.')) visit(join(path, name));
    }
  };
  for (const name of names) if (existsSync(join(root, name))) visit(join(root, name));
  return found;
}

function read(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}
