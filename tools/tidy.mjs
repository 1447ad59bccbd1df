#!/usr/bin/env node
// The house's rules that a compiler does not know. Prints what breaks them; exits 1 if anything does.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const maxLines = 600;

/** Imports point one way: a layer may import itself and lower ones. Those in the middle do not import each other. */
const ranks = {
  kernel: 0,
  wire: 1,
  platform: 2,
  deploy: 3,
  services: 4,
  compute: 4,
  database: 4,
  gateway: 4,
  'cloud.ts': 5,
  cli: 6,
};

/** Time and chance come from kernel/clock and kernel/random only. */
const bannedCalls = [
  /\bDate\.now\(/,
  /\bnew Date\(\)/,
  /\bsetTimeout\(/,
  /\bsetInterval\(/,
  /\bMath\.random\(/,
  /\brandomUUID\(/,
];

/** What must stand in no file: places and names that belong to one machine or one workplace. */
const bannedTexts = [
  /registry\.npmjs/,
  /pypi\.org/,
  /files\.pythonhosted/,
  /repo\.maven/,
  /deb\.debian/,
  /(^|[^\w.])\/work\//,
  /(^|[^\w.])\/root\//,
];

/** Checks a tree. `files` maps paths relative to its root (with slashes) to their texts. Returns problems as lines. */
export function tidy(files) {
  const sources = [...files.keys()].filter((path) => path.startsWith('src/') && path.endsWith('.ts'));
  return [
    ...sources.flatMap((path) => importProblems(path, files.get(path), files)),
    ...sources
      .filter((path) => !path.startsWith('src/kernel/') && !isTest(path))
      .flatMap((path) => callProblems(path, files.get(path))),
    ...[...files]
      .filter(([path]) => isCode(path) && !isGenerated(path))
      .flatMap(([path, text]) => lengthProblems(path, text)),
    ...[...files]
      .filter(([path]) => path !== 'tools/tidy.mjs' && path !== 'tools/tidy.test.ts')
      .flatMap(([path, text]) => textProblems(path, text)),
    ...deadProblems(sources, files),
    ...versionProblems(files),
    ...fidelityProblems(files),
  ];
}

function isTest(path) {
  return /\.test\.ts$|\.suite\.ts$|test-support\.ts$|\/suite\//.test(path) || path.startsWith('test/');
}

function isCode(path) {
  return /\.(ts|mjs|js|py)$/.test(path);
}

function isGenerated(path) {
  return path.startsWith('src/wire/types/');
}

function importsOf(text) {
  const found = [];
  const pattern =
    /(?:^|\n)\s*(?:import|export)\s[^;'"]*?from\s+['"](\.[^'"]+)['"]|import\(['"](\.[^'"]+)['"]\)|(?:^|\n)import\s+['"](\.[^'"]+)['"]/g;
  for (const match of text.matchAll(pattern)) found.push(match[1] ?? match[2] ?? match[3]);
  return found;
}

function targetOf(path, specifier) {
  return join(dirname(path), specifier).replaceAll('\\', '/');
}

function layerOf(path) {
  const [, layer] = path.split('/');
  return layer;
}

function importProblems(path, text, files) {
  const problems = [];
  const layer = layerOf(path);
  for (const specifier of importsOf(text)) {
    const target = targetOf(path, specifier);
    if (!files.has(target)) {
      problems.push(`${path}: imports ${specifier}, which is not there`);
      continue;
    }
    if (isTest(path)) continue;
    if (isTest(target)) problems.push(`${path}: imports test code, ${target}`);
    if (!target.startsWith('src/') || target === 'src/version.ts') continue;
    const to = layerOf(target);
    if (ranks[layer] === undefined || ranks[to] === undefined)
      problems.push(`${path}: ${layer} or ${to} is no layer of the house`);
    else if (ranks[to] > ranks[layer]) problems.push(`${path}: ${layer} may not import ${to} (${target})`);
    else if (ranks[to] === 4 && ranks[layer] === 4 && to !== layer)
      problems.push(`${path}: ${layer} and ${to} meet in platform only (${target})`);
    else if (to === 'services' && layer === 'services' && path.split('/')[2] !== target.split('/')[2]) {
      problems.push(`${path}: services call each other over the bus, and do not import ${target}`);
    }
  }
  return problems;
}

function callProblems(path, text) {
  const problems = [];
  for (const [index, line] of withoutComments(text).split('\n').entries()) {
    for (const banned of bannedCalls)
      if (banned.test(line)) problems.push(`${path}:${index + 1}: ${banned.source} outside src/kernel`);
  }
  return problems;
}

function withoutComments(text) {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' '))
    .replace(/(^|\s)\/\/.*$/gm, '$1');
}

function lengthProblems(path, text) {
  const lines = text.split('\n').length;
  return lines > maxLines ? [`${path}: ${lines} lines; split it at ${maxLines}`] : [];
}

function textProblems(path, text) {
  return bannedTexts.filter((banned) => banned.test(text)).map((banned) => `${path}: holds ${banned.source}`);
}

/** Files that nothing reaches from the entry points, and exports that nobody imports. */
function deadProblems(sources, files) {
  const entries = [...files.keys()].filter(
    (path) =>
      path === 'src/cli/index.ts' || (/\.(ts|mjs)$/.test(path) && (isTest(path) || /^(test|bench|tools)\//.test(path))),
  );
  const reached = new Set();
  const visit = (path) => {
    if (reached.has(path) || !files.has(path)) return;
    reached.add(path);
    for (const specifier of importsOf(files.get(path))) visit(targetOf(path, specifier));
  };
  for (const entry of entries) visit(entry);
  const dead = sources.filter((path) => !reached.has(path)).map((path) => `${path}: nothing imports it`);

  const words = new Map();
  for (const [path, text] of files) {
    if (!/\.(ts|mjs)$/.test(path)) continue;
    for (const word of new Set(text.match(/[A-Za-z_$][\w$]*/g) ?? [])) {
      const users = words.get(word) ?? new Set();
      users.add(path);
      words.set(word, users);
    }
  }
  const unused = sources
    .filter((path) => !isGenerated(path) && !isTest(path))
    .flatMap((path) =>
      [
        ...files
          .get(path)
          .matchAll(
            /(?:^|\n)export (?:async )?(?:abstract )?(?:function\*?|const|class|interface|type|let) ([A-Za-z_$][\w$]*)/g,
          ),
      ]
        .map((match) => match[1])
        .filter((name) => words.get(name).size === 1 && !usedInFile(files.get(path), name))
        .map((name) => `${path}: exports ${name}, which nobody uses`),
    );
  return [...dead, ...unused];
}

/** Types of an exported function's signature are used by whoever calls it, although their names stand nowhere else. */
function usedInFile(text, name) {
  return (text.match(new RegExp(`\\b${name.replace('$', '\\$')}\\b`, 'g')) ?? []).length > 1;
}

function versionProblems(files) {
  const wanted = JSON.parse(files.get('package.json') ?? '{}').version;
  const told = /version = '([^']+)'/.exec(files.get('src/version.ts') ?? '')?.[1];
  return wanted === told ? [] : [`src/version.ts says ${told}, package.json ${wanted}`];
}

/** Every operation of a service's model stands in its fidelity table. */
function fidelityProblems(files) {
  const problems = [];
  for (const [path, text] of files) {
    const service = /^models\/([a-z0-9]+)\.json$/.exec(path)?.[1];
    if (service === undefined || service === 'index') continue;
    const table = files.get(`src/services/${service}/README.md`);
    if (table === undefined) {
      problems.push(`src/services/${service}/README.md: the fidelity table is missing`);
      continue;
    }
    const missing = Object.keys(JSON.parse(text).operations).filter((name) => !new RegExp(`\\b${name}\\b`).test(table));
    if (missing.length > 0) problems.push(`src/services/${service}/README.md: lacks ${missing.join(', ')}`);
  }
  return problems;
}

/** The tree's files that are ours: what git tracks or would. */
export function readTree(root) {
  const files = new Map();
  const skipped = new Set(['node_modules', 'dist', '.git', '.unkai', 'coverage', 'results']);
  const visit = (folder) => {
    for (const name of readdirSync(folder)) {
      if (skipped.has(name)) continue;
      const path = join(folder, name);
      if (statSync(path).isDirectory()) visit(path);
      else if (/\.(ts|mjs|js|json|md|ya?ml|py|sh)$/.test(name) && name !== 'package-lock.json') {
        files.set(relative(root, path).replaceAll('\\', '/'), readFileSync(path, 'utf8'));
      }
    }
  };
  for (const name of ['src', 'test', 'bench', 'tools', 'models', 'docs', 'examples', 'bin', '.ci'])
    if (existsSync(join(root, name))) visit(join(root, name));
  for (const name of ['package.json', 'README.md', 'CHANGELOG.md'])
    if (existsSync(join(root, name))) files.set(name, readFileSync(join(root, name), 'utf8'));
  return files;
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const problems = tidy(readTree(fileURLToPath(new URL('..', import.meta.url))));
  for (const problem of problems) process.stdout.write(`${problem}\n`);
  process.stdout.write(problems.length === 0 ? 'tidy\n' : `${problems.length} untidy\n`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
