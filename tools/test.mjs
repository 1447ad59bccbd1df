#!/usr/bin/env node
// npm test: installs what the tests need, runs them all, and ends with one line, `N passed, N failed`.
// Arguments go to vitest: npm test -- src/kernel
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import './prepare.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const chosen = process.argv.slice(2);

const setUp = spawnSync('sh', ['tools/setup-tests.sh'], { cwd: root, stdio: ['ignore', 2, 2] });
if (setUp.status !== 0 && process.env.CI) {
  process.stdout.write('what the tests need could not be installed\n0 passed, 1 failed\n');
  process.exit(1);
}

const folder = mkdtempSync(join(tmpdir(), 'unkai-report-'));
const report = join(folder, 'report.json');
const run = spawnSync(
  fileURLToPath(new URL('../node_modules/.bin/vitest', import.meta.url)),
  ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...chosen],
  { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] },
);
let passed = 0;
let failed = 0;
let skipped = 0;
try {
  const result = JSON.parse(readFileSync(report, 'utf8'));
  passed = result.numPassedTests;
  // A file that cannot be loaded has no tests to count, and has failed all the same.
  failed =
    result.numFailedTests +
    result.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0).length;
  skipped = result.numPendingTests + result.numTodoTests;
} catch {
  failed = 1;
}
rmSync(folder, { recursive: true, force: true });
if (run.status !== 0 && failed === 0) failed = 1;
process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
process.exitCode = failed === 0 ? 0 : 1;
