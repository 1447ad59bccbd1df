import type { InitReport, InvocationStats } from '../../../platform/compute.ts';

/** Lines around an invocation, as CloudWatch Logs shows them (facts 1.11; REPORT from recorded responses). */
export function startLine(requestId: string, version: string): string {
  return `START RequestId: ${requestId} Version: ${version}`;
}

export function endLine(requestId: string): string {
  return `END RequestId: ${requestId}`;
}

export interface ReportedStatus {
  readonly status: 'error' | 'timeout';
  readonly errorType?: string;
}

/** One line with tabs; init time only on a cold start; status and error type only where the environment failed. */
export function reportLine(
  requestId: string,
  memoryMb: number,
  stats: InvocationStats,
  failure?: ReportedStatus,
): string {
  const billedMs = Math.ceil(stats.durationMs + (stats.initMs ?? 0));
  const fields = [
    `REPORT RequestId: ${requestId}`,
    `Duration: ${stats.durationMs.toFixed(2)} ms`,
    `Billed Duration: ${billedMs} ms`,
    `Memory Size: ${memoryMb} MB`,
    `Max Memory Used: ${stats.maxMemoryMb} MB`,
  ];
  if (stats.initMs !== undefined) fields.push(`Init Duration: ${stats.initMs.toFixed(2)} ms`);
  if (failure !== undefined) fields.push(`Status: ${failure.status}`);
  if (failure?.errorType !== undefined) fields.push(`Error Type: ${failure.errorType}`);
  return `${fields.join('\t')}\t`;
}

export function timeoutLine(nowMs: number, requestId: string, timeoutMs: number): string {
  return `${new Date(nowMs).toISOString()} ${requestId} Task timed out after ${(timeoutMs / 1000).toFixed(2)} seconds`;
}

/** `2026/11/21/[$LATEST]0123…`: one stream for each environment. */
export function streamName(nowMs: number, version: string, hex32: string): string {
  const [day] = new Date(nowMs).toISOString().split('T') as [string];
  return `${day.replaceAll('-', '/')}/[${version}]${hex32}`;
}

/** The line about an initialisation that failed; undefined for one that went well, which the REPORT line tells of. */
export function initLine(report: InitReport): string | undefined {
  if (report.status === 'success') return undefined;
  const fields = [
    `INIT_REPORT Init Duration: ${report.durationMs.toFixed(2)} ms`,
    `Phase: ${report.phase}`,
    `Status: ${report.status}`,
  ];
  if (report.errorType !== undefined && report.status === 'error') fields.push(`Error Type: ${report.errorType}`);
  return fields.join('\t');
}
