import { formatArn, parseArn } from '../../../platform/arn.ts';
import type { Principal } from '../../../platform/context.ts';
import { evaluateResource, policyOf } from '../../../platform/policy.ts';
import { AwsError } from '../../../wire/errors.ts';
import type { AddLayerVersionPermissionRequest, LayerVersionsListItem } from '../../../wire/types/lambda.ts';
import { lambdaLimits } from '../limits.ts';
import type { FunctionLayer, LayerVersionRecord, Place, PolicyRecord, PolicyStatement } from '../state.ts';
import { timestampText } from './description.ts';
import { invalidParameter, notFound } from './names.ts';
import { principalOf } from './policy.ts';

/** A layer, in whosever account. */
export interface LayerReference {
  readonly place: Place;
  readonly name: string;
}

export interface LayerVersionReference extends LayerReference {
  readonly version: number;
}

/** Reads the name of a layer, or its ARN. The coarse form has been checked by the model's pattern. */
export function parseLayerName(text: string, place: Place): LayerReference {
  const arn = parseArn(text);
  if (arn === undefined) return { place, name: text };
  const [, name = ''] = arn.resource.split(':');
  return { place: { account: arn.account, region: arn.region }, name };
}

export function parseLayerVersionArn(text: string): LayerVersionReference {
  const arn = parseArn(text);
  const [, name = '', version = ''] = arn?.resource.split(':') ?? [];
  return { place: { account: arn?.account ?? '', region: arn?.region ?? '' }, name, version: Number(version) };
}

export function layerArn(place: Place, name: string): string {
  return formatArn({ service: 'lambda', ...place, resource: `layer:${name}` });
}

export function layerVersionArn({ place, name, version }: LayerVersionReference): string {
  return `${layerArn(place, name)}:${version}`;
}

/** Wording: LocalStack's recorded AWS responses (test_layer_exceptions), as all texts here that are not said to be others. */
export function checkLayerVersionNumber(version: number): void {
  if (version < 1) throw invalidParameter('Layer Version Cannot be less than 1');
}

export function layerVersionMissing(): AwsError {
  return notFound('The resource you requested does not exist.');
}

/** For permissions, which name the version. */
export function layerVersionUnknown(reference: LayerVersionReference): AwsError {
  return notFound(`Layer version ${layerVersionArn(reference)} does not exist.`);
}

/** What can be said of a function's layers without looking them up, in AWS's order (test_layer_function_exceptions). */
export function checkLayerCount(arns: readonly string[]): void {
  if (arns.length > lambdaLimits.layersPerFunction.value)
    throw invalidParameter(`Cannot reference more than ${lambdaLimits.layersPerFunction.value} layers.`);
}

export function checkLayerRegion({ place }: LayerVersionReference, functionPlace: Place): void {
  if (place.region === functionPlace.region) return;
  throw invalidParameter(
    `Layers are not in the same region as the function. Layers are expected to be in region ${functionPlace.region}.`,
  );
}

/** `before` are those that stand earlier in the list: the first two versions of one layer are named. */
export function checkLayerOnce(arn: string, before: readonly string[]): void {
  const layer = arn.slice(0, arn.lastIndexOf(':'));
  const other = before.find((one) => one.slice(0, one.lastIndexOf(':')) === layer);
  if (other === undefined) return;
  throw invalidParameter(
    `Two different versions of the same layer are not allowed to be referenced in the same function. ${other} and ${arn} are versions of the same layer.`,
  );
}

export function layerMissingForFunction(arn: string): AwsError {
  return invalidParameter(`Layer version ${arn} does not exist.`);
}

/** The text is quoted in many public issues. */
export function checkTotalSize(codeBytes: number, layers: readonly FunctionLayer[]): void {
  const most = lambdaLimits.unzippedBytes.value;
  const total = layers.reduce((sum, { unzippedBytes }) => sum + unzippedBytes, codeBytes);
  if (total <= most) return;
  throw invalidParameter(
    `Function code combined with layers exceeds the maximum allowed size of ${most} bytes. The actual size is ${total} bytes.`,
  );
}

export function layerStatement(input: AddLayerVersionPermissionRequest, resource: string): PolicyStatement {
  return {
    Sid: input.StatementId,
    Effect: 'Allow',
    Principal: principalOf(input.Principal),
    Action: input.Action,
    Resource: resource,
    ...(input.OrganizationId === undefined
      ? {}
      : { Condition: { StringEquals: { 'aws:PrincipalOrgID': input.OrganizationId } } }),
  };
}

/** Whether the policy of a layer's version lets somebody of another account have it. Accounts here belong to no organization. */
export function allowsLayer(policy: PolicyRecord | undefined, principal: Principal, resource: string): boolean {
  if (policy === undefined) return false;
  const document = policyOf({ Version: '2012-10-17', Id: 'default', Statement: policy.statements });
  const request = { action: 'lambda:GetLayerVersion', resource, context: new Map() };
  return evaluateResource([document], request, principal) === 'allow';
}

/** Wording: LocalStack's provider, after AWS. */
export function layerDenied(principal: Principal, resource: string): AwsError {
  return new AwsError(
    'AccessDeniedException',
    `User: ${principal.arn} is not authorized to perform: lambda:GetLayerVersion on resource: ${resource} because no resource-based policy allows the lambda:GetLayerVersion action`,
    { status: 403 },
  );
}

export interface LayerFilter {
  readonly CompatibleRuntime?: string | undefined;
  readonly CompatibleArchitecture?: string | undefined;
}

/** A version that says nothing about architectures or runtimes is shown only where nothing is asked about them. */
export function matchesFilter(version: LayerVersionRecord, filter: LayerFilter): boolean {
  const { CompatibleRuntime: runtime, CompatibleArchitecture: architecture } = filter;
  if (runtime !== undefined && !version.runtimes?.some((one) => one === runtime)) return false;
  return architecture === undefined || version.architectures?.some((one) => one === architecture) === true;
}

export function describeLayerVersion(place: Place, record: LayerVersionRecord): LayerVersionsListItem {
  return {
    LayerVersionArn: layerVersionArn({ place, name: record.name, version: record.version }),
    Version: record.version,
    Description: record.description,
    CreatedDate: timestampText(record.createdMs),
    CompatibleRuntimes: record.runtimes,
    LicenseInfo: record.licenseInfo,
    CompatibleArchitectures: record.architectures,
  };
}
