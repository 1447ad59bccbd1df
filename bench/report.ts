import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, platform, release, totalmem } from 'node:os';
import { join } from 'node:path';

export interface Result {
  readonly name: string;
  /** What was compared, both sides with their figures. */
  readonly subject: string;
  readonly floor: string;
  readonly ratio: number;
  /** `>= 0.7`, `<= 5`; undefined: only told. */
  readonly target: string | undefined;
  readonly met: boolean | undefined;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function meets(ratio: number, target: string): boolean {
  const [operator, bound] = target.split(' ') as [string, string];
  return operator === '>=' ? ratio >= Number(bound) : ratio <= Number(bound);
}

export function result(
  name: string,
  subject: string,
  floor: string,
  ratio: number,
  target: string | undefined,
): Result {
  return { name, subject, floor, ratio, target, met: target === undefined ? undefined : meets(ratio, target) };
}

export function print(results: readonly Result[]): string {
  const rows = [
    ['benchmark', 'subject', 'against', 'ratio', 'target', ''],
    ...results.map((result) => [
      result.name,
      result.subject,
      result.floor,
      result.ratio.toFixed(2),
      result.target ?? '-',
      result.met === undefined ? '' : result.met ? 'met' : 'MISSED',
    ]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function write(root: string, results: readonly Result[]): string {
  const folder = join(root, 'bench/results');
  mkdirSync(folder, { recursive: true });
  const commit = text(() =>
    execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim(),
  );
  const machine = {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${release()}`,
    distribution: text(() => /PRETTY_NAME="([^"]+)"/.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown'),
    node: process.version,
  };
  const at = new Date().toISOString();
  const path = join(folder, 'latest.json');
  writeFileSync(path, `${JSON.stringify({ at, commit, machine, results }, null, 2)}\n`);
  writeFileSync(
    join(folder, 'latest.txt'),
    `${at}  ${commit}\n${Object.entries(machine)
      .map(([name, value]) => `${name}: ${value}`)
      .join('\n')}\n\n${print(results)}\n`,
  );
  return path;
}

function text(read: () => string): string {
  try {
    return read();
  } catch {
    return 'unknown';
  }
}
