#!/usr/bin/env node
// Writes package-lock.json without download addresses. npm's own omit-lockfile-registry-resolved drops the
// versions of optional platform packages when it resolves from scratch, so the lock is resolved with addresses
// and the addresses are taken out afterwards.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

const dir = process.argv[2] ?? '.';
execFileSync('npm', ['install', '--package-lock-only', '--ignore-scripts', '--omit-lockfile-registry-resolved=false'], {
  cwd: dir,
  stdio: 'inherit',
});
const path = `${dir}/package-lock.json`;
const lock = JSON.parse(readFileSync(path, 'utf8'));
for (const entry of Object.values(lock.packages)) delete entry.resolved;
writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
