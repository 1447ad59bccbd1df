import { join } from 'node:path';
import type { SandboxCredentials, SandboxSpec } from '../../platform/compute.ts';
import type { RuntimeProgram } from '../runtimes/runtimes.ts';

/**
 * The whole environment of a function's process, as the developer guide lists it ("Defined runtime environment variables"). Of the
 * cloud's own environment it holds nothing but the PATH, behind Lambda's, so that tools installed on this machine are found.
 * Two are ours: AWS_ENDPOINT_URL leads the function's SDKs to this cloud, TMPDIR to the sandbox's own stand-in for /tmp.
 *
 * What Lambda reserves cannot be overridden by the function's configuration; what it does not reserve can.
 */
export function sandboxVariables(options: {
  readonly spec: SandboxSpec;
  readonly program: RuntimeProgram;
  readonly credentials: SandboxCredentials;
  readonly runtimeApi: string;
  readonly taskRoot: string;
  readonly temporaryFolder: string;
  readonly endpoint: string;
  readonly hostPath: string;
}): Record<string, string> {
  const { spec, program, credentials, runtimeApi, taskRoot } = options;
  return {
    LANG: 'en_US.UTF-8',
    TZ: ':UTC',
    PATH: searchPath(program.binFolder, options.hostPath),
    LD_LIBRARY_PATH: [taskRoot, join(taskRoot, 'lib'), '/opt/lib'].join(':'),
    ...program.environment,
    AWS_XRAY_CONTEXT_MISSING: 'LOG_ERROR',
    AWS_XRAY_DAEMON_ADDRESS: '127.0.0.1:2000',
    AWS_ENDPOINT_URL: options.endpoint,
    TMPDIR: options.temporaryFolder,
    ...spec.environment,
    _HANDLER: spec.handler,
    AWS_REGION: spec.region,
    AWS_DEFAULT_REGION: spec.region,
    ...(program.executionEnvironment === undefined ? {} : { AWS_EXECUTION_ENV: program.executionEnvironment }),
    AWS_LAMBDA_FUNCTION_NAME: spec.functionName,
    AWS_LAMBDA_FUNCTION_VERSION: spec.version,
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(spec.memoryMb),
    AWS_LAMBDA_INITIALIZATION_TYPE: spec.initializationType,
    AWS_LAMBDA_LOG_GROUP_NAME: spec.logGroup,
    AWS_LAMBDA_LOG_STREAM_NAME: spec.logStream,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AWS_SESSION_TOKEN: credentials.sessionToken,
    AWS_LAMBDA_RUNTIME_API: runtimeApi,
    LAMBDA_TASK_ROOT: taskRoot,
    LAMBDA_RUNTIME_DIR: program.runtimeFolder,
  };
}

/** The programs of whatever npm project the cloud was started from are not the function's. */
function searchPath(binFolder: string | undefined, hostPath: string): string {
  const hostFolders = hostPath.split(':').filter((folder) => folder !== '' && !folder.includes('node_modules'));
  const folders = [binFolder, '/usr/local/bin', '/usr/bin', '/bin', '/opt/bin', ...hostFolders];
  return [...new Set(folders.filter((folder) => folder !== undefined))].join(':');
}
