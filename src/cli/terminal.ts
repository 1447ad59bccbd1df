import pc from 'picocolors';
import { asCliError } from './error.ts';

/** Where a command's results go: a person's terminal, a pipe, or a program that asked for `--json`. */
export interface Terminal {
  readonly json: boolean;
  /** A line of the result; nothing under `--json`. */
  line(text?: string): void;
  /** The result as data, printed under `--json` only: one JSON document a command (or a line each for those that follow). */
  data(value: unknown): void;
  /** Progress, on standard error, for people only. */
  progress(text: string): void;
  table(head: readonly string[], rows: readonly (readonly string[])[]): void;
  readonly paint: typeof pc;
}

export function createTerminal(json: boolean): Terminal {
  const line = (text = ''): void => {
    if (!json) process.stdout.write(`${text}\n`);
  };
  return {
    json,
    line,
    data: (value) => {
      if (json) process.stdout.write(`${JSON.stringify(value, null, process.stdout.isTTY ? 2 : undefined)}\n`);
    },
    progress: (text) => {
      if (!json) process.stderr.write(`${pc.dim(text)}\n`);
    },
    table: (head, rows) => {
      const widths = head.map((name, column) =>
        Math.max(name.length, ...rows.map((row) => (row[column] ?? '').length)),
      );
      const format = (cells: readonly string[]): string =>
        cells
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd();
      line(pc.bold(format(head)));
      for (const row of rows) line(format(row));
    },
    paint: pc,
  };
}

/** Prints what went wrong and what to do; returns the exit code. */
export function reportError(error: unknown, json: boolean): number {
  const known = asCliError(error);
  const code = known?.code ?? 'Internal';
  const message = error instanceof Error ? error.message : String(error);
  if (json)
    process.stdout.write(`${JSON.stringify({ ...known?.data, error: { code, message, hint: known?.hint ?? '' } })}\n`);
  else {
    process.stderr.write(`${pc.red('error')} ${pc.bold(code)}: ${message}\n`);
    if (known !== undefined && known.hint !== '') process.stderr.write(`${pc.cyan('hint')}  ${known.hint}\n`);
    if (known === undefined && error instanceof Error) process.stderr.write(`${pc.dim(error.stack ?? '')}\n`);
  }
  return 1;
}

/** `1.5 s`, `3 min`, `2 h`, `4 d` */
export function formatDuration(durationMs: number): string {
  const seconds = durationMs / 1000;
  if (seconds < 1) return `${Math.round(durationMs)} ms`;
  if (seconds < 90) return `${Number(seconds.toFixed(1))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Number((seconds / 3600).toFixed(1))} h`;
  return `${Number((seconds / 86_400).toFixed(1))} d`;
}
