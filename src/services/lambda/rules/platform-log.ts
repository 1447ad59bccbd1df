import type { InitReport, InvocationResult } from '../../../platform/compute.ts';
import type { JsonLogs } from '../state.ts';
import { endLine, initLine, type ReportedStatus, reportLine, startLine, timeoutLine } from './log-lines.ts';

/** What Lambda's own lines of an environment are made of. */
export interface PlatformLog {
  /** Left out: plain text. */
  readonly json: JsonLogs | undefined;
  readonly functionName: string;
  readonly version: string;
  readonly memoryMb: number;
  readonly timeoutMs: number;
  readonly initializationType: 'on-demand' | 'provisioned-concurrency' | 'snap-start';
}

/**
 * The system log in JSON: an event of the Telemetry API in each line, those below the level left out. Shapes:
 * https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html; levels:
 * https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html#monitoring-cloudwatchlogs-log-level-mapping
 */
type Level = JsonLogs['systemLevel'];

const ranks: Readonly<Record<Level, number>> = { DEBUG: 0, INFO: 1, WARN: 2 };

function event(logs: JsonLogs, level: Level, nowMs: number, type: string, record: object): readonly string[] {
  if (ranks[level] < ranks[logs.systemLevel]) return [];
  return [JSON.stringify({ time: new Date(nowMs).toISOString(), type: `platform.${type}`, record })];
}

/** Before the initialisation. The runtime is this machine's and has no version of AWS's, which makes it a DEBUG event. */
export function initStartLines(log: PlatformLog, nowMs: number): readonly string[] {
  if (log.json === undefined) return [];
  const { initializationType, functionName, version: functionVersion } = log;
  const record = { initializationType, phase: 'init', functionName, functionVersion };
  return event(log.json, 'DEBUG', nowMs, 'initStart', record);
}

/** After the initialisation. */
export function initLines(log: PlatformLog, nowMs: number, report: InitReport): readonly string[] {
  const { json, initializationType } = log;
  if (json === undefined) {
    const line = initLine(report);
    return line === undefined ? [] : [line];
  }
  const { phase, status, errorType, durationMs } = report;
  const failed = status !== 'success';
  const common = { initializationType, phase, status, ...(errorType === undefined ? {} : { errorType }) };
  const reportLevel = failed ? 'WARN' : initializationType === 'on-demand' ? 'DEBUG' : 'INFO';
  return [
    ...event(json, failed ? 'WARN' : 'DEBUG', nowMs, 'initRuntimeDone', common),
    ...event(json, reportLevel, nowMs, 'initReport', { ...common, metrics: { durationMs: rounded(durationMs) } }),
  ];
}

/** Before an invocation; undefined: nothing. */
export function startingLine(log: PlatformLog, nowMs: number, requestId: string): string | undefined {
  if (log.json === undefined) return startLine(requestId, log.version);
  return event(log.json, 'INFO', nowMs, 'start', { requestId, version: log.version })[0];
}

/** After an invocation. */
export function closingLines(
  log: PlatformLog,
  nowMs: number,
  requestId: string,
  result: InvocationResult,
): readonly string[] {
  return log.json === undefined
    ? closingText(log, nowMs, requestId, result)
    : closingEvents(log, log.json, nowMs, requestId, result);
}

function closingText(log: PlatformLog, nowMs: number, requestId: string, result: InvocationResult): readonly string[] {
  const lines: string[] = [];
  let failure: ReportedStatus | undefined;
  if (result.outcome === 'error' && result.fatal) {
    failure = result.timedOut ? { status: 'timeout' } : { status: 'error', errorType: result.errorType };
    if (result.timedOut) lines.push(timeoutLine(nowMs, requestId, log.timeoutMs));
    else lines.push(...crashLines(result.payload, result.errorType));
  }
  lines.push(endLine(requestId), reportLine(requestId, log.memoryMb, result.stats, failure));
  return lines;
}

function crashLines(payload: Buffer, errorType: string): string[] {
  try {
    const told = JSON.parse(payload.toString('utf8')) as { errorMessage?: unknown; errorType?: unknown };
    // The payload's own type: an out-of-memory kill is `Runtime.ExitError` here, and `Runtime.OutOfMemory` in the REPORT line.
    const type = typeof told.errorType === 'string' ? told.errorType : errorType;
    return typeof told.errorMessage === 'string' ? [told.errorMessage, type] : [type];
  } catch {
    return [errorType];
  }
}

function closingEvents(
  log: PlatformLog,
  json: JsonLogs,
  nowMs: number,
  requestId: string,
  result: InvocationResult,
): readonly string[] {
  const { durationMs, initMs, maxMemoryMb } = result.stats;
  const { status, errorType } = statusOf(result);
  const level = status === 'success' ? 'INFO' : 'WARN';
  const failure = errorType === undefined ? {} : { errorType };
  // The payload of one that crashed or timed out is Lambda's own.
  const producedBytes = result.outcome === 'error' && result.fatal ? 0 : result.payload.length;
  const metrics = {
    durationMs: rounded(durationMs),
    billedDurationMs: Math.ceil(durationMs + (initMs ?? 0)),
    memorySizeMB: log.memoryMb,
    maxMemoryUsedMB: maxMemoryMb,
    ...(initMs === undefined ? {} : { initDurationMs: rounded(initMs) }),
  };
  const done = {
    requestId,
    status,
    ...failure,
    metrics: { durationMs: rounded(durationMs), producedBytes },
  };
  return [
    ...event(json, status === 'success' ? 'DEBUG' : 'WARN', nowMs, 'runtimeDone', done),
    ...event(json, level, nowMs, 'report', { requestId, metrics, status, ...failure }),
  ];
}

function statusOf(result: InvocationResult): { readonly status: string; readonly errorType?: string } {
  if (result.outcome === 'response') return { status: 'success' };
  if (result.timedOut) return { status: 'timeout' };
  return { status: result.fatal ? 'failure' : 'error', errorType: result.errorType };
}

function rounded(durationMs: number): number {
  return Math.round(durationMs * 1_000) / 1_000;
}
