import type { Runtime } from '../../../wire/types/lambda.ts';
import { invalidParameter } from './names.ts';

/**
 * The runtime that a request names. Wording and the order of the list: LocalStack's recorded AWS responses
 * (test_lambda_api.snapshot.json: test_create_lambda_exceptions, test_create_deprecated_function_runtime_*).
 */
export function checkedRuntime(name: string): Runtime {
  const runtime = name as Runtime;
  if (retired.has(runtime))
    throw invalidParameter(
      `The runtime parameter of ${name} is no longer supported for creating or updating AWS Lambda functions. We recommend you use a supported runtime while creating or updating functions.`,
    );
  if (offered.includes(runtime) || accepted.has(runtime)) return runtime;
  throw invalidParameter(
    `Value ${name} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [${offered.join(', ')}] or be a valid ARN`,
  );
}

const offered: readonly Runtime[] = [
  'nodejs20.x',
  'python3.14',
  'provided.al2023',
  'python3.12',
  'python3.13',
  'nodejs24.x',
  'nodejs22.x',
  'java25',
  'python3.10',
  'python3.11',
  'java21',
  'ruby3.3',
  'ruby3.4',
  'ruby3.2',
  'python3.8',
  'python3.9',
  'java17',
  'nodejs16.x',
  'dotnet10',
  'dotnet8',
  'java11',
  'dotnet6',
  'nodejs18.x',
  'provided.al2',
  'java8.al2',
];

/** In the model and newer than the recorded list; and go1.x, which AWS retired, but whose packages bring their own bootstrap. */
const accepted: ReadonlySet<Runtime> = new Set<Runtime>(['ruby4.0', 'go1.x']);

const retired: ReadonlySet<Runtime> = new Set<Runtime>([
  'nodejs',
  'nodejs4.3',
  'nodejs4.3-edge',
  'nodejs6.10',
  'nodejs8.10',
  'nodejs10.x',
  'nodejs12.x',
  'nodejs14.x',
  'java8',
  'python2.7',
  'python3.6',
  'python3.7',
  'dotnetcore1.0',
  'dotnetcore2.0',
  'dotnetcore2.1',
  'dotnetcore3.1',
  'ruby2.5',
  'ruby2.7',
  'provided',
]);

/** https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html#snapstart-runtimes; wording: LocalStack's provider. */
export function checkSnapStartRuntime(runtime: Runtime | undefined): void {
  if (runtime === undefined) throw invalidParameter('SnapStart is not supported for functions of PackageType Image.');
  const [, family, version] = /^(java|python|dotnet)([0-9.]+)$/.exec(runtime) ?? [];
  const number = Number(version?.split('.').at(-1));
  const oldest = family === undefined ? undefined : oldestWithSnapStart[family];
  if (oldest !== undefined && number >= oldest) return;
  throw invalidParameter(`${runtime} is not supported for SnapStart enabled functions.`);
}

/** Of python the minor version, of the others the major one. */
const oldestWithSnapStart: Readonly<Record<string, number>> = { java: 11, python: 12, dotnet: 8 };
