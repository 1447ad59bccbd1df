import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { WallClock } from '../kernel/clock/wall.ts';
import { closeEnvironments, echoProgram, type Started, startEnvironment, until } from './extensions/test-support.ts';
import { procAvailable } from './sandboxes/processes.ts';
import { invocation } from './test-support.ts';

const clock = new WallClock();
afterEach(closeEnvironments);

const lines = ({ folder }: Started, name: string): string[] => {
  const path = join(folder, name);
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
};

/** As `ps` shows it: `T` is stopped. */
function stateOf(pid: string): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3);
}

const frozen = (pids: readonly string[]): boolean => pids.length > 0 && pids.every((pid) => stateOf(pid) === 'T');
const ticking = `setInterval(() => fs.appendFileSync(DIR + '/ticks', 'x\\n'), 5);`;

describe.runIf(procAvailable)('between invocations', () => {
  it('a timer does not fire, and goes on with the next one', async () => {
    const started = await startEnvironment({ program: `note(process.pid); ${ticking} ${echoProgram}` });
    await started.sandbox.invoke(invocation(1));
    await until(() => frozen(lines(started, 'notes')));
    const before = lines(started, 'ticks').length;
    await clock.sleep(200);
    expect(lines(started, 'ticks')).toHaveLength(before);
    await started.sandbox.invoke(invocation(2));
    await until(() => lines(started, 'ticks').length > before);
  });

  it('every process of it stands still: children, theirs, and extensions', async () => {
    const child = `require('node:child_process').spawn('/bin/sh', ['-c', 'echo $$ >> $DIR/notes; (echo $(exec sh -c "echo \\$PPID") >> $DIR/notes; while :; do sleep 0.01; done) & while :; do sleep 0.01; done'], { detached: true });`;
    const started = await startEnvironment({
      program: `note(process.pid); ${child} ${echoProgram}`,
      extensions: {
        external: `note(process.pid); await register('external', ['INVOKE']); for (;;) { await nextEvent(); await sleep(100); }`,
      },
    });
    await started.sandbox.invoke(invocation(1));
    await until(() => lines(started, 'notes').length === 4);
    await started.sandbox.invoke(invocation(2));
    const pids = lines(started, 'notes');
    // The extension is still at work: nothing stands still before it asks for its next event.
    expect(pids.map(stateOf)).not.toContain('T');
    await until(() => frozen(pids));
    const thawed = started.sandbox.invoke(invocation(3));
    await until(() => pids.every((pid) => stateOf(pid) !== 'T'));
    await thawed;
  });

  it('that follow each other closely nothing is ever stopped', async () => {
    const { sandbox } = await startEnvironment({ program: echoProgram });
    await sandbox.invoke(invocation(0));
    const kill = vi.spyOn(process, 'kill');
    for (const startedAtMs = clock.elapsed(); clock.elapsed() - startedAtMs < 500; )
      await sandbox.invoke(invocation(1));
    const signals = kill.mock.calls.map(([, signal]) => signal);
    kill.mockRestore();
    expect(signals.filter((signal) => signal === 'SIGSTOP' || signal === 'SIGCONT')).toEqual([]);
  });

  it('the thaw costs next to nothing', async ({ annotate }) => {
    const started = await startEnvironment({ program: `note(process.pid); ${echoProgram}` });
    await started.sandbox.invoke(invocation(0));
    const pids = lines(started, 'notes');
    const median = async (prepare: () => Promise<void>): Promise<number> => {
      const took: number[] = [];
      for (let n = 0; n < 15; n++) {
        await prepare();
        const startedAtMs = clock.elapsed();
        await started.sandbox.invoke(invocation(n));
        took.push(clock.elapsed() - startedAtMs);
      }
      return took.sort((a, b) => a - b)[7]!;
    };
    const warm = await median(async () => {});
    const idle = await median(() => clock.sleep(15));
    const thawed = await median(() => until(() => frozen(pids)));
    const figure = (ms: number): string => `${ms.toFixed(2)} ms`;
    await annotate(`median: at once ${figure(warm)}, after 15 ms ${figure(idle)}, thawed ${figure(thawed)}`);
    expect(thawed).toBeLessThan(500);
  });
});

describe('under a debugger', () => {
  it('no time runs out, and nothing stands still', async () => {
    const started = await startEnvironment({
      program: `note(process.pid); ${ticking} for (;;) { const { id, headers } = await next(); await sleep(700); await respond(id, headers['lambda-runtime-deadline-ms']); }`,
      spec: { timeoutMs: 200, debug: { port: 9229 } },
    });
    const result = await started.sandbox.invoke(invocation(1));
    expect(result).toMatchObject({ outcome: 'response' });
    expect(Number(result.payload.toString()) - clock.now()).toBeGreaterThan(3_600_000);
    await clock.sleep(100);
    const before = lines(started, 'ticks').length;
    await until(() => lines(started, 'ticks').length > before + 5);
  });
});

describe('SnapStart', () => {
  const restoring = (hook: string): string => `
    console.log('before ' + (await call('POST', runtime + 'restore/error', {}, '{}')).status);
    const answer = await call('GET', runtime + 'restore/next');
    console.log('restored ' + answer.status + ' ' + answer.body);
    ${hook}
    ${echoProgram}`;
  const snapStart = { spec: { initializationType: 'snap-start' as const } };

  it('restores at once, and runs the hooks of runtimes that have any', async () => {
    const { sandbox, output } = await startEnvironment({ program: restoring(''), ...snapStart });
    expect(await sandbox.invoke(invocation(1))).toMatchObject({ outcome: 'response' });
    await sandbox.drained();
    expect(output).toEqual(['before 403', 'restored 200 ']);
  });

  it('fails with a hook that fails', async () => {
    const { sandbox } = await startEnvironment({
      program: restoring(`
        await call('POST', runtime + 'restore/error', { 'Lambda-Runtime-Function-Error-Type': 'Runtime.Hook' }, '{"errorType":"Hook","errorMessage":"m"}');
        process.exit(1);`),
      ...snapStart,
    });
    const result = await sandbox.invoke(invocation(1));
    expect(result).toMatchObject({ errorType: 'Hook', fatal: true });
    expect(JSON.parse(result.payload.toString())).toEqual({ errorType: 'Hook', errorMessage: 'm' });
  });

  it('is not there for other functions', async () => {
    const { sandbox, output } = await startEnvironment({
      program: `console.log((await call('GET', runtime + 'restore/next')).status); ${echoProgram}`,
    });
    await sandbox.invoke(invocation(1));
    await sandbox.drained();
    expect(output).toEqual(['404']);
  });
});
