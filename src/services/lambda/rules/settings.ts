import { AwsError } from '../../../wire/errors.ts';
import type {
  CreateFunctionRequest,
  LoggingConfig,
  UpdateFunctionConfigurationRequest,
} from '../../../wire/types/lambda.ts';
import { lambdaLimits } from '../limits.ts';
import type { JsonLogs } from '../state.ts';
import { invalidParameter } from './names.ts';

export type Settings = CreateFunctionRequest | UpdateFunctionConfigurationRequest;

/**
 * The service's own checks, beyond the model's. Wording: LocalStack's recorded AWS responses (test_lambda_api.snapshot.json:
 * test_create_lambda_exceptions, test_large_environment_*).
 */
export function checkSettings(input: Settings): void {
  atMost('timeout', input.Timeout, lambdaLimits.timeoutSeconds.value);
  atMost('memorySize', input.MemorySize, lambdaLimits.memoryMb.value);
  checkVariables(input.Environment?.Variables);
  const deadLetters = input.DeadLetterConfig?.TargetArn;
  if (deadLetters && !/^arn:aws[a-z-]*:(sqs|sns):/.test(deadLetters))
    throw invalidParameter(
      `The provided dead letter target ARN is not of a supported type. Only SNS topics and SQS queues are supported: ${deadLetters}`,
    );
  const { SubnetIds = [], SecurityGroupIds = [] } = input.VpcConfig ?? {};
  if (SubnetIds.length > 0 !== SecurityGroupIds.length > 0)
    throw invalidParameter('SubnetIds and SecurityIds must coexist or be both empty list.');
}

function atMost(member: string, value: number | undefined, most: number): void {
  if (value === undefined || value <= most) return;
  throw new AwsError(
    'ValidationException',
    `1 validation error detected: Value '${value}' at '${member}' failed to satisfy constraint: Member must have value less than or equal to ${most}`,
    { status: 400 },
  );
}

function checkVariables(variables: Readonly<Record<string, string>> | undefined): void {
  if (variables === undefined) return;
  const reserved = Object.keys(variables).filter((name) => reservedVariables.has(name));
  if (reserved.length > 0)
    throw invalidParameter(
      `Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: ${reserved.join(', ')}`,
    );
  const measured = JSON.stringify(variables);
  if (Buffer.byteLength(measured) > lambdaLimits.environmentBytes.value)
    throw invalidParameter(
      `Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit. String measured: ${measured}`,
    );
}

/** https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime */
const reservedVariables = new Set([
  '_HANDLER',
  '_X_AMZN_TRACE_ID',
  'AWS_ACCESS_KEY',
  'AWS_ACCESS_KEY_ID',
  'AWS_DEFAULT_REGION',
  'AWS_EXECUTION_ENV',
  'AWS_LAMBDA_FUNCTION_MEMORY_SIZE',
  'AWS_LAMBDA_FUNCTION_NAME',
  'AWS_LAMBDA_FUNCTION_VERSION',
  'AWS_LAMBDA_INITIALIZATION_TYPE',
  'AWS_LAMBDA_LOG_GROUP_NAME',
  'AWS_LAMBDA_LOG_STREAM_NAME',
  'AWS_LAMBDA_RUNTIME_API',
  'AWS_REGION',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SECRET_KEY',
  'AWS_SESSION_TOKEN',
  'LAMBDA_RUNTIME_DIR',
  'LAMBDA_TASK_ROOT',
]);

/**
 * The levels after a change; undefined: the format is Text. Changing to JSON sets the levels that are not given to INFO
 * (recorded: TestLoggingConfig); levels without JSON are refused (the text is quoted in public issues of the AWS CDK).
 */
export function jsonLogsAfter(before: JsonLogs | undefined, change: LoggingConfig): JsonLogs | undefined {
  const { LogFormat, ApplicationLogLevel, SystemLogLevel } = change;
  const json = LogFormat === undefined ? before !== undefined : LogFormat === 'JSON';
  if (!json) {
    if (ApplicationLogLevel === undefined && SystemLogLevel === undefined) return undefined;
    throw invalidParameter(
      'LogLevel is not supported when LogFormat is set to "Text". Remove LogLevel from your request or change the LogFormat to "JSON" and try again.',
    );
  }
  const kept = LogFormat === undefined ? before : undefined;
  return {
    applicationLevel: ApplicationLogLevel ?? kept?.applicationLevel ?? 'INFO',
    systemLevel: SystemLogLevel ?? kept?.systemLevel ?? 'INFO',
  };
}
