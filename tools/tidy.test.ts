import { describe, expect, it } from 'vitest';
// @ts-expect-error the tools are plain JavaScript, so that they run before anything is built
import { readTree, tidy } from './tidy.mjs';

const good: [string, string][] = [
  ['package.json', '{"version": "1.0.0"}'],
  ['src/version.ts', "export const version = '1.0.0';\n"],
  [
    'src/cli/index.ts',
    "import { version } from '../version.ts';\nimport { a } from '../services/one/a.ts';\nprocess.stdout.write(version + a);\n",
  ],
  ['src/services/one/a.ts', "export const a = 'a';\n"],
];

function problems(...more: [string, string][]): string[] {
  return tidy(new Map([...good, ...more]));
}

describe('tidy', () => {
  it('finds this tree tidy', () => {
    expect(tidy(readTree(process.cwd()))).toEqual([]);
  });

  it('has nothing against a good tree', () => {
    expect(problems()).toEqual([]);
  });

  it.each([
    ['imports upwards', 'src/kernel/a.ts', "import '../platform/b.ts';\n", 'kernel may not import platform'],
    ['a layer beside', 'src/gateway/a.ts', "import { a } from '../services/one/a.ts';\n", 'meet in platform only'],
    ['a service in another', 'src/services/two/b.ts', "import { a } from '../one/a.ts';\n", 'over the bus'],
    ['what is not there', 'src/cli/b.ts', "import { a } from './gone.ts';\n", 'is not there'],
    ['the wall clock', 'src/gateway/a.ts', 'export const b = () => Date.now();\n', 'outside src/kernel'],
    ['a timer', 'src/services/one/b.ts', 'export const b = () => setTimeout(() => {}, 1);\n', 'outside src/kernel'],
    ['a long file', 'src/cli/c.ts', '\n'.repeat(700), '700 lines'.replace('700', '701')],
    ['a dead file', 'src/cli/d.ts', 'const d = 1;\n', 'nothing imports it'],
    ['a dead export', 'src/cli/e.ts', 'export const neverUsed = 1;\n', 'nobody uses'],
    ['a missing fidelity table', 'models/x.json', '{"operations": {"DoIt": {}}}', 'is missing'],
    ['a place of one machine', 'docs/a.md', 'see /work/main\n', 'holds'],
  ])('finds %s', (_what, path, text, expected) => {
    const more: [string, string][] = [[path, text]];
    if (text.includes('platform/b.ts')) more.push(['src/platform/b.ts', '']);
    expect(problems(...more).join('\n')).toContain(expected);
  });

  it('finds a version told twice in two ways, and an operation that no table names', () => {
    expect(problems(['package.json', '{"version": "2.0.0"}']).join()).toContain('src/version.ts says 1.0.0');
    expect(
      problems(
        ['models/x.json', '{"operations": {"DoIt": {}, "DoThat": {}}}'],
        ['src/services/x/README.md', '| DoIt | done |'],
      ).join(),
    ).toContain('lacks DoThat');
  });
});
