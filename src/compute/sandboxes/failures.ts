/**
 * What the caller of a function sees when its environment fails. Shapes and words: facts recorded from the service, and AWS's published
 * Runtime Interface Emulator (github.com/aws/aws-lambda-runtime-interface-emulator).
 */
import { constants } from 'node:os';
import { responseLimitBytes, streamedResponseLimitBytes } from '../limits.ts';
import type { ExitStatus, LaunchError } from './launcher.ts';

export interface Failure {
  /** For the log and for telemetry; as a rule the payload's too. */
  readonly errorType: string;
  readonly payload: Buffer;
}

/**
 * The runtime's process has ended without having answered. `reportedType`: what an extension had reported before, which is then the
 * cause. A kill for memory is `Runtime.OutOfMemory` where AWS reports it (REPORT lines, `platform.report`), and a plain exit by SIGKILL to
 * the caller: `REPORT … Status: error Error Type: Runtime.OutOfMemory` beside `Error: Runtime exited with error: signal: killed`,
 * `Runtime.ExitError`, as logs quoted in public show (DataDog/datadog-lambda-extension #1237, nasa-gcn/gcn.nasa.gov #3628).
 */
export function exitFailure(requestId: string, status: ExitStatus, reportedType?: string): Failure {
  const killed: ExitStatus = status.outOfMemory ? { code: null, signal: 'SIGKILL' } : status;
  const failure = withRequestId(requestId, reportedType ?? 'Runtime.ExitError', exitText(killed));
  return status.outOfMemory ? { ...failure, errorType: 'Runtime.OutOfMemory' } : failure;
}

/** An extension's process has ended, which none may do before the environment does: even with status 0. */
export function extensionFailure(requestId: string, status: ExitStatus, reportedType?: string): Failure {
  if (status.outOfMemory) return exitFailure(requestId, status);
  const text =
    status.signal === null ? `exit ${status.code === 0 ? 'code' : 'status'} ${status.code}` : signalText(status.signal);
  return withRequestId(requestId, reportedType ?? 'Extension.Crash', text);
}

/** A streamed response broke off, though the runtime is still there. */
export function truncatedFailure(requestId: string): Failure {
  return withRequestId(requestId, 'Runtime.TruncatedResponse', 'HTTP request detected as truncated');
}

export function timeoutFailure(requestId: string, timeoutMs: number): Failure {
  return withRequestId(requestId, 'Sandbox.Timedout', `Task timed out after ${(timeoutMs / 1000).toFixed(2)} seconds`);
}

/** No program to start, or the system cannot start it. */
export function entrypointFailure(requestId: string, problem: string): Failure {
  return withRequestId(requestId, 'Runtime.InvalidEntrypoint', problem);
}

/** `streamed`: to a caller that takes a stream, of which more fits. */
export function tooLargeFailure(streamed = false): Failure {
  const errorType = 'Function.ResponseSizeTooLarge';
  const limitBytes = streamed ? streamedResponseLimitBytes : responseLimitBytes;
  const errorMessage = `Response payload size exceeded maximum allowed payload size (${limitBytes} bytes).`;
  return { errorType, payload: Buffer.from(JSON.stringify({ errorMessage, errorType })) };
}

/**
 * What a runtime reported. Its body goes to the caller as it is; where it is empty, the caller still gets JSON. The type is the body's
 * own where it has one, since that is what the caller reads.
 */
export function reportedFailure(errorType: string | undefined, body: Buffer): Failure {
  const type = typeInBody(body) ?? errorType ?? 'Unhandled';
  if (body.length > 0) return { errorType: type, payload: body };
  return { errorType: type, payload: Buffer.from(JSON.stringify({ errorType: type, errorMessage: '' })) };
}

/** A program or an extension could not be started at all. */
export function launchFailure(requestId: string, error: LaunchError): Failure {
  if (error.code === 'Runtime.InvalidWorkingDir') return withRequestId(requestId, error.code, error.message);
  if (error.companion === undefined) return entrypointFailure(requestId, launchProblem(error, '/var/task/bootstrap'));
  return withRequestId(requestId, 'Extension.LaunchError', launchProblem(error, error.companion));
}

function withRequestId(requestId: string, errorType: string, text: string): Failure {
  const errorMessage = `RequestId: ${requestId} Error: ${text}`;
  return { errorType, payload: Buffer.from(JSON.stringify({ errorType, errorMessage })) };
}

function exitText({ code, signal }: ExitStatus): string {
  if (signal !== null) return `Runtime exited with error: ${signalText(signal)}`;
  return code === 0 || code === null
    ? 'Runtime exited without providing a reason'
    : `Runtime exited with error: exit status ${code}`;
}

function signalText(signal: NodeJS.Signals): string {
  return `signal: ${signalNames[signal] ?? `signal ${constants.signals[signal]}`}`;
}

function typeInBody(body: Buffer): string | undefined {
  if (body[0] !== 0x7b) return undefined;
  try {
    const type = (JSON.parse(body.toString()) as { errorType?: unknown }).errorType;
    return typeof type === 'string' && type !== '' ? type : undefined;
  } catch {
    return undefined;
  }
}

/** As the Go runtime, in which AWS's supervisor is written, names them. */
const signalNames: Readonly<Partial<Record<NodeJS.Signals, string>>> = {
  SIGABRT: 'aborted',
  SIGALRM: 'alarm clock',
  SIGBUS: 'bus error',
  SIGFPE: 'floating point exception',
  SIGHUP: 'hangup',
  SIGILL: 'illegal instruction',
  SIGINT: 'interrupt',
  SIGKILL: 'killed',
  SIGPIPE: 'broken pipe',
  SIGQUIT: 'quit',
  SIGSEGV: 'segmentation fault',
  SIGTERM: 'terminated',
  SIGTRAP: 'trace/breakpoint trap',
};

/** In the words of AWS's supervisor, which sees the package at /var/task. */
function launchProblem(error: LaunchError, program: string): string {
  const texts: Readonly<Record<string, string>> = {
    EACCES: 'permission denied',
    ENOEXEC: 'exec format error',
    ENOENT: 'no such file or directory',
  };
  const text = texts[error.code];
  return text === undefined ? error.message : `fork/exec ${program}: ${text}`;
}
