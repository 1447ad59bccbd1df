import type { Input } from '../../platform/context.ts';
import type { Properties, ResourceContext, ResourceState, ResourceType } from '../../platform/resource-type.ts';
import { AwsError } from '../../wire/errors.ts';
import type { FunctionConfiguration } from '../../wire/types/lambda.ts';
import { lambdaLimits } from './limits.ts';
import type { CodeSource } from './operations/code.ts';
import { asInput, call, ifMissing, recordOf, stackTags, tagsOf, textOf } from './resource-support.ts';
import {
  aliasType,
  eventInvokeConfigType,
  mappingType,
  permissionType,
  versionType,
} from './resources-of-functions.ts';
import { layerVersionPermissionType, layerVersionType } from './resources-of-layers.ts';
import { codeSigningConfigType } from './resources-of-signing.ts';
import { urlType } from './resources-of-urls.ts';
import { invalidParameter } from './rules/names.ts';
import { zipFiles } from './rules/package.ts';

const pollMs = 50;

/** https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-function.html */
const functionType: ResourceType = {
  typeName: 'AWS::Lambda::Function',
  properties: [
    'Architectures',
    'Code',
    'CodeSigningConfigArn',
    'DeadLetterConfig',
    'Description',
    'Environment',
    'EphemeralStorage',
    'FunctionName',
    'Handler',
    'ImageConfig',
    'KmsKeyArn',
    'Layers',
    'LoggingConfig',
    'MemorySize',
    'PackageType',
    'RecursiveLoop',
    'ReservedConcurrentExecutions',
    'Role',
    'Runtime',
    'RuntimeManagementConfig',
    'SnapStart',
    'Tags',
    'Timeout',
    'TracingConfig',
    'VpcConfig',
  ],
  required: ['Code', 'Role'],
  createOnly: ['FunctionName', 'PackageType'],

  async create(context, properties) {
    const name =
      textOf(properties['FunctionName']) ?? context.generatedName({ maxLength: lambdaLimits.nameCharacters.value });
    const settings = settingsOf(name, properties);
    const Code = codeOf(properties);
    try {
      await call(context, 'CreateFunction', {
        ...settings,
        ...asInput<Pick<Input<'lambda', 'CreateFunction'>, 'CodeSigningConfigArn' | 'PackageType'>>({
          CodeSigningConfigArn: properties['CodeSigningConfigArn'],
          PackageType: properties['PackageType'],
        }),
        FunctionName: name,
        Code,
        Role: textOf(properties['Role']) ?? '',
        Tags: { ...tagsOf(properties['Tags']), ...stackTags(context) },
      });
    } catch (error) {
      if (!(error instanceof AwsError) || error.code !== 'ResourceConflictException') throw error;
      await refuseForeign(context, name, error);
      // An earlier attempt at this very step made it.
      await bringUpToDate(context, name, properties);
    }
    const configuration = await settled(context, name);
    await reserve(context, name, properties['ReservedConcurrentExecutions'], undefined);
    await manage(context, name, properties, {});
    return stateOf(configuration);
  },

  async update(context, name, properties, before) {
    await bringUpToDate(context, name, properties, before);
    await reserve(context, name, properties['ReservedConcurrentExecutions'], before['ReservedConcurrentExecutions']);
    await manage(context, name, properties, before);
    return stateOf(await settled(context, name));
  },

  async delete(context, name) {
    await call(context, 'DeleteFunction', { FunctionName: name }).catch(ifMissing(undefined));
  },
};

export const lambdaResourceTypes: readonly ResourceType[] = [
  functionType,
  versionType,
  aliasType,
  permissionType,
  mappingType,
  eventInvokeConfigType,
  urlType,
  layerVersionType,
  layerVersionPermissionType,
  codeSigningConfigType,
];

type Settings = Omit<Input<'lambda', 'UpdateFunctionConfiguration'>, 'FunctionName'>;

/** Everything but code, name and tags. A property that is not in the template goes back to its default. */
function settingsOf(name: string, properties: Properties): Settings {
  const image = properties['PackageType'] === 'Image';
  const given = asInput<Settings & { KmsKeyArn?: string; Architectures?: readonly ('x86_64' | 'arm64')[] }>({
    Architectures: properties['Architectures'],
    DeadLetterConfig: properties['DeadLetterConfig'] ?? {},
    Description: properties['Description'] ?? '',
    Environment: properties['Environment'] ?? {},
    EphemeralStorage: properties['EphemeralStorage'] ?? { Size: 512 },
    Handler: properties['Handler'],
    ...(image ? { ImageConfig: properties['ImageConfig'] ?? {} } : {}),
    KMSKeyArn: properties['KmsKeyArn'] ?? '',
    Layers: properties['Layers'] ?? [],
    LoggingConfig: { LogFormat: 'Text', LogGroup: `/aws/lambda/${name}`, ...recordOf(properties['LoggingConfig']) },
    MemorySize: properties['MemorySize'] ?? 128,
    Role: properties['Role'],
    Runtime: properties['Runtime'],
    SnapStart: properties['SnapStart'] ?? { ApplyOn: 'None' },
    Timeout: properties['Timeout'] ?? 3,
    TracingConfig: properties['TracingConfig'] ?? { Mode: 'PassThrough' },
    VpcConfig: properties['VpcConfig'] ?? {},
  });
  return given;
}

/** Code written in the template becomes `index.js` or `index.py`, as CloudFormation makes it. */
function codeOf(properties: Properties): CodeSource {
  const code = recordOf(properties['Code']);
  const inline = textOf(code['ZipFile']);
  if (inline === undefined) return asInput<CodeSource>(code);
  const runtime = textOf(properties['Runtime']) ?? '';
  const extension = runtime.startsWith('nodejs') ? 'js' : runtime.startsWith('python') ? 'py' : undefined;
  if (extension === undefined)
    throw invalidParameter('ZipFile can only be used when Runtime is set to either of nodejs or python runtimes.');
  if (Buffer.byteLength(inline) > lambdaLimits.inlineCodeBytes.value)
    throw invalidParameter(
      `ZipFile is longer than ${lambdaLimits.inlineCodeBytes.value} bytes. Put the code into a package instead.`,
    );
  return { ZipFile: zipFiles({ [`index.${extension}`]: inline }) };
}

async function bringUpToDate(
  context: ResourceContext,
  name: string,
  properties: Properties,
  before?: Properties,
): Promise<void> {
  const changed = (names: readonly string[]): boolean =>
    before === undefined || names.some((one) => JSON.stringify(properties[one]) !== JSON.stringify(before[one]));
  await settled(context, name);
  if (changed(['Code', 'Architectures'])) {
    const { Architectures } = asInput<{ Architectures?: readonly ('x86_64' | 'arm64')[] }>({
      Architectures: properties['Architectures'] ?? ['x86_64'],
    });
    await call(context, 'UpdateFunctionCode', { FunctionName: name, Architectures, ...codeOf(properties) });
    await settled(context, name);
  }
  const others = functionType.properties.filter((one) => !apart.has(one));
  if (changed(others)) {
    await call(context, 'UpdateFunctionConfiguration', { FunctionName: name, ...settingsOf(name, properties) });
  }
  if (changed(['Tags'])) await retag(context, name, tagsOf(properties['Tags']));
}

/** Settings that calls of their own make; what leaves the template goes back to its default. */
async function manage(
  context: ResourceContext,
  name: string,
  properties: Properties,
  before: Properties,
): Promise<void> {
  const changed = (one: string): boolean => JSON.stringify(properties[one]) !== JSON.stringify(before[one]);
  if (changed('RecursiveLoop')) {
    const { RecursiveLoop } = asInput<{ RecursiveLoop: 'Allow' | 'Terminate' }>({
      RecursiveLoop: properties['RecursiveLoop'] ?? 'Terminate',
    });
    await call(context, 'PutFunctionRecursionConfig', { FunctionName: name, RecursiveLoop });
  }
  if (changed('RuntimeManagementConfig')) {
    const config = recordOf(properties['RuntimeManagementConfig'] ?? { UpdateRuntimeOn: 'Auto' });
    const input = asInput<Omit<Input<'lambda', 'PutRuntimeManagementConfig'>, 'FunctionName'>>(config);
    await call(context, 'PutRuntimeManagementConfig', { ...input, FunctionName: name });
  }
  const CodeSigningConfigArn = textOf(properties['CodeSigningConfigArn']);
  if (!changed('CodeSigningConfigArn')) return;
  if (CodeSigningConfigArn === undefined)
    await call(context, 'DeleteFunctionCodeSigningConfig', { FunctionName: name });
  else await call(context, 'PutFunctionCodeSigningConfig', { FunctionName: name, CodeSigningConfigArn });
}

/** Properties that UpdateFunctionConfiguration does not take. */
const apart: ReadonlySet<string> = new Set([
  'Architectures',
  'Code',
  'CodeSigningConfigArn',
  'FunctionName',
  'PackageType',
  'RecursiveLoop',
  'ReservedConcurrentExecutions',
  'RuntimeManagementConfig',
  'Tags',
]);

async function retag(context: ResourceContext, name: string, tags: Readonly<Record<string, string>>): Promise<void> {
  const { Configuration, Tags: present = {} } = await call(context, 'GetFunction', { FunctionName: name });
  const Resource = Configuration!.FunctionArn!;
  const wanted = { ...tags, ...stackTags(context) };
  const gone = Object.keys(present).filter((key) => !(key in wanted));
  if (gone.length > 0) await call(context, 'UntagResource', { Resource, TagKeys: gone });
  await call(context, 'TagResource', { Resource, Tags: wanted });
}

async function reserve(context: ResourceContext, name: string, wanted: unknown, before: unknown): Promise<void> {
  if (wanted !== undefined)
    await call(context, 'PutFunctionConcurrency', {
      FunctionName: name,
      ReservedConcurrentExecutions: Number(wanted),
    });
  else if (before !== undefined) await call(context, 'DeleteFunctionConcurrency', { FunctionName: name });
}

/** Waits until the function is made and its update is over. Throws where it cannot run. */
async function settled(context: ResourceContext, name: string): Promise<FunctionConfiguration> {
  for (;;) {
    const shown = await call(context, 'GetFunctionConfiguration', { FunctionName: name });
    if (shown.State === 'Failed') throw new AwsError('GeneralServiceException', shown.StateReason ?? 'Failed');
    if (shown.LastUpdateStatus === 'Failed')
      throw new AwsError('GeneralServiceException', shown.LastUpdateStatusReason ?? 'The update failed');
    if (shown.State !== 'Pending' && shown.LastUpdateStatus !== 'InProgress') return shown;
    await context.sleep(pollMs);
  }
}

/** A function of that name that this stack's resource did not make is not taken over. */
async function refuseForeign(context: ResourceContext, name: string, conflict: AwsError): Promise<void> {
  const { Tags = {} } = await call(context, 'GetFunction', { FunctionName: name });
  const own = Object.entries(stackTags(context)).every(([key, value]) => Tags[key] === value);
  if (!own) throw new AwsError('AlreadyExists', `${name} already exists (${conflict.message})`);
}

function stateOf(shown: FunctionConfiguration): ResourceState {
  return {
    physicalId: shown.FunctionName!,
    attributes: {
      Arn: shown.FunctionArn,
      'SnapStartResponse.ApplyOn': shown.SnapStart?.ApplyOn,
      'SnapStartResponse.OptimizationStatus': shown.SnapStart?.OptimizationStatus,
    },
  };
}
