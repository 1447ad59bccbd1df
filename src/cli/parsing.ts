import { CliError } from './error.ts';

const unitsMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** `90s`, `1h30m`, `2d`, `500ms`; a bare number is seconds. */
export function parseDuration(text: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  const pattern = /(\d+(?:\.\d+)?)(ms|min|s|m|h|d)/g;
  const parts = [...text.matchAll(pattern)];
  if (parts.length === 0 || text.replace(pattern, '') !== '') {
    throw new CliError('BadDuration', `'${text}' is not a duration`, 'write it like 90s, 15m, 1h30m or 2d');
  }
  return parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * unitsMs[unit!]!, 0);
}

/** A number that an option gives; anything else is the user's mistake. */
export function parseNumber(option: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value)) return value;
  throw new CliError('BadNumber', `${option} is '${text}', which is no number`, `write it like ${option} 1`);
}

/** A port's number; `least` 0: any free one may be asked for. */
export function parsePort(text: string, least: 0 | 1): number {
  const port = Number(text);
  if (text.trim() !== '' && Number.isInteger(port) && port >= least && port <= 65_535) return port;
  const any = least === 0 ? ', or 0 for any free one' : '';
  throw new CliError('BadPort', `'${text}' is not a port`, `give a number from 1 to 65535${any}`);
}
