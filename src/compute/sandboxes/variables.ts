import { join } from 'node:path';
import type { SandboxCredentials, SandboxSpec } from '../../platform/compute.ts';
import type { RuntimeProgram } from '../runtimes/runtimes.ts';

interface Given {
  readonly spec: SandboxSpec;
  readonly credentials: SandboxCredentials;
  readonly runtimeApi: string;
  readonly endpoint: string;
}

/**
 * The whole environment of a packaged function's process, as the developer guide lists it ("Defined runtime environment variables"). Of the
 * cloud's own environment it holds nothing but the PATH where the sandbox sees the machine's files, behind Lambda's, so that tools
 * installed there are found. Two are ours: AWS_ENDPOINT_URL leads the function's SDKs to this cloud, TMPDIR to the sandbox's own
 * stand-in for /tmp where it needs one.
 *
 * What Lambda reserves cannot be overridden by the function's configuration; what it does not reserve can.
 */
export function packageVariables(
  options: Given & {
    readonly program: RuntimeProgram;
    /** As seen inside, like all paths here. */
    readonly taskRoot: string;
    readonly optRoot: string;
    /** Undefined: /tmp itself. */
    readonly temporaryFolder: string | undefined;
    readonly hostPath: string;
  },
): Record<string, string> {
  const { spec, program, taskRoot, optRoot, temporaryFolder } = options;
  return {
    LANG: 'en_US.UTF-8',
    TZ: ':UTC',
    PATH: searchPath(program.binFolder, optRoot, options.hostPath),
    LD_LIBRARY_PATH: [taskRoot, join(taskRoot, 'lib'), join(optRoot, 'lib')].join(':'),
    ...program.environment,
    ...sharedVariables(options),
    ...(temporaryFolder === undefined ? {} : { TMPDIR: temporaryFolder }),
    ...spec.environment,
    ...reservedVariables(options),
    _HANDLER: spec.handler,
    ...(program.executionEnvironment === undefined ? {} : { AWS_EXECUTION_ENV: program.executionEnvironment }),
    LAMBDA_TASK_ROOT: taskRoot,
    LAMBDA_RUNTIME_DIR: program.runtimeFolder,
  };
}

/** Of an image's process: its own variables with the function's over them (`environment`), and what Lambda reserves. */
export function imageVariables(given: Given, environment: Readonly<Record<string, string>>): Record<string, string> {
  return { ...sharedVariables(given), ...environment, ...reservedVariables(given) };
}

function sharedVariables({ endpoint }: Given): Record<string, string> {
  return {
    AWS_XRAY_CONTEXT_MISSING: 'LOG_ERROR',
    AWS_XRAY_DAEMON_ADDRESS: '127.0.0.1:2000',
    AWS_ENDPOINT_URL: endpoint,
  };
}

function reservedVariables({ spec, credentials, runtimeApi }: Given): Record<string, string> {
  return {
    AWS_REGION: spec.region,
    AWS_DEFAULT_REGION: spec.region,
    AWS_LAMBDA_FUNCTION_NAME: spec.functionName,
    AWS_LAMBDA_FUNCTION_VERSION: spec.version,
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(spec.memoryMb),
    AWS_LAMBDA_LOG_FORMAT: spec.logging.format,
    ...(spec.logging.format === 'JSON' ? { AWS_LAMBDA_LOG_LEVEL: spec.logging.applicationLevel } : {}),
    AWS_LAMBDA_INITIALIZATION_TYPE: spec.initializationType,
    AWS_LAMBDA_LOG_GROUP_NAME: spec.logGroup,
    AWS_LAMBDA_LOG_STREAM_NAME: spec.logStream,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AWS_SESSION_TOKEN: credentials.sessionToken,
    AWS_LAMBDA_RUNTIME_API: runtimeApi,
  };
}

/** What an extension does not see of the function's environment (docs: runtimes-extensions-api). */
export const runtimeOnlyVariables: readonly string[] = [
  ...['AWS_EXECUTION_ENV', 'AWS_LAMBDA_LOG_GROUP_NAME', 'AWS_LAMBDA_LOG_STREAM_NAME', 'AWS_XRAY_CONTEXT_MISSING'],
  ...['AWS_XRAY_DAEMON_ADDRESS', 'LAMBDA_RUNTIME_DIR', 'LAMBDA_TASK_ROOT', '_HANDLER'],
];

/** The environment of an extension beside a function with this one. */
export function extensionVariables(environment: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !runtimeOnlyVariables.includes(name)));
}

/** The programs of whatever npm project the cloud was started from are not the function's. */
function searchPath(binFolder: string | undefined, optRoot: string, hostPath: string): string {
  const hostFolders = hostPath.split(':').filter((folder) => folder !== '' && !folder.includes('node_modules'));
  const folders = [binFolder, '/usr/local/bin', '/usr/bin', '/bin', join(optRoot, 'bin'), ...hostFolders];
  return [...new Set(folders.filter((folder) => folder !== undefined))].join(':');
}
