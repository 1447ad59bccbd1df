#!/usr/bin/env node
// npm run bench: builds, then measures; arguments choose benchmarks by name: npm run bench -- sqs start
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import './prepare.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const { build } = await import('esbuild');
// Packages are found from where a file lies, so the bundles lie inside the tree.
const out = join(root, 'node_modules', '.cache', 'bench');
const floors = readdirSync(join(root, 'bench/floors')).map((name) => join(root, 'bench/floors', name));
await build({
  entryPoints: [join(root, 'bench/run.ts'), ...floors],
  outdir: out,
  outbase: join(root, 'bench'),
  outExtension: { '.js': '.mjs' },
  bundle: true,
  format: 'esm',
  platform: 'node',
  packages: 'external',
  logLevel: 'warning',
});

// Peers are measured, not depended on: they have a lock file of their own.
if (!existsSync(join(root, 'bench/peers/node_modules'))) {
  process.stderr.write('installing the peers …\n');
  execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel', 'error'], {
    cwd: join(root, 'bench/peers'),
    stdio: ['ignore', 2, 2],
  });
}
const { status } = spawnSync(process.execPath, [join(out, 'run.mjs'), root, ...process.argv.slice(2)], {
  stdio: 'inherit',
});
process.exitCode = status ?? 1;
