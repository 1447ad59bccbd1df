import type { ClockStatus } from '../../kernel/clock/contract.ts';
import type { CloudClient } from '../client.ts';
import { CliError } from '../error.ts';
import { parseDuration } from '../parsing.ts';
import { formatDuration, type Terminal } from '../terminal.ts';

export async function clockStatus(terminal: Terminal, client: CloudClient): Promise<void> {
  show(terminal, (await client.control('GET', 'clock')) as ClockStatus);
}

export async function clockFreeze(terminal: Terminal, client: CloudClient): Promise<void> {
  show(terminal, (await client.control('POST', 'clock/freeze')) as ClockStatus);
}

export async function clockResume(terminal: Terminal, client: CloudClient): Promise<void> {
  show(terminal, (await client.control('POST', 'clock/resume')) as ClockStatus);
}

export async function clockAdvance(terminal: Terminal, client: CloudClient, duration: string): Promise<void> {
  showAdvance(terminal, await client.control('POST', 'clock/advance', { durationMs: parseDuration(duration) }));
}

export async function clockSet(terminal: Terminal, client: CloudClient, time: string): Promise<void> {
  const epochMs = /^\d+$/.test(time) ? Number(time) : Date.parse(time);
  if (Number.isNaN(epochMs))
    throw new CliError(
      'BadTime',
      `'${time}' is not a time`,
      'write it like 2026-12-24T18:00:00Z, or as epoch milliseconds',
    );
  showAdvance(terminal, await client.control('POST', 'clock/set', { epochMs }));
}

function show(terminal: Terminal, status: ClockStatus): void {
  terminal.data(status);
  terminal.line(`${new Date(status.nowMs).toISOString()}  ${status.kind} clock, ${status.mode}`);
  if (status.kind === 'wall') return;
  terminal.line(`${status.busy} pieces of work under way`);
  if (status.nextDueMs !== undefined)
    terminal.line(`next due in ${formatDuration(Math.max(0, status.nextDueMs - status.nowMs))}`);
}

function showAdvance(terminal: Terminal, answer: unknown): void {
  const result = answer as { nowMs: number; steps: number; reached: boolean };
  if (result.reached) terminal.data(result);
  terminal.line(`${new Date(result.nowMs).toISOString()}  after ${result.steps} due moments`);
  if (!result.reached) {
    throw new CliError(
      'ClockGaveUp',
      `the time asked for was not reached after ${result.steps} due moments`,
      'something schedules itself without end; advance again to go on',
      result,
    );
  }
}
