import { isObject, type Json, type JsonObject, type MutableObject } from '../json.ts';
import { emit, type SamContext, type SamResource } from './context.ts';
import { resourceProblem } from './errors.ts';
import { s3Code } from './function.ts';
import { checkKinds } from './kinds.ts';
import { dataHash, resolveParameters, resource, tagList } from './values.ts';

/** AWS::Serverless::SimpleTable: a table with one key. */
export function emitSimpleTable(context: SamContext, source: SamResource): void {
  const { logicalId, properties } = source;
  only(source, [
    'PointInTimeRecoverySpecification',
    'PrimaryKey',
    'ProvisionedThroughput',
    'TableName',
    'Tags',
    'SSESpecification',
  ]);
  checkKinds(logicalId, properties, { PrimaryKey: 'map', Tags: 'map', SSESpecification: 'map' });
  const key = properties['PrimaryKey'] ?? { Name: 'id', Type: 'String' };
  const name = isObject(key) ? key['Name'] : undefined;
  const type = isObject(key) ? key['Type'] : undefined;
  if (name === undefined) throw resourceProblem(logicalId, "Property 'PrimaryKey.Name' is required.");
  const types: { readonly [type: string]: string } = { String: 'S', Number: 'N', Binary: 'B' };
  const AttributeType = typeof type === 'string' ? types[type] : undefined;
  if (AttributeType === undefined) throw resourceProblem(logicalId, `Invalid 'Type' "${String(type)}".`);
  const tags = tagList(properties['Tags'] as JsonObject | undefined);
  emit(
    context,
    source,
    logicalId,
    resource(
      'AWS::DynamoDB::Table',
      {
        AttributeDefinitions: [{ AttributeName: name, AttributeType }],
        KeySchema: [{ AttributeName: name, KeyType: 'HASH' }],
        PointInTimeRecoverySpecification: properties['PointInTimeRecoverySpecification'],
        ProvisionedThroughput: properties['ProvisionedThroughput'],
        BillingMode: properties['ProvisionedThroughput'] === undefined ? 'PAY_PER_REQUEST' : undefined,
        SSESpecification: properties['SSESpecification'],
        TableName: properties['TableName'],
        Tags: tags.length > 0 ? tags : undefined,
      },
      source.attributes,
    ),
  );
}

/** AWS::Serverless::LayerVersion: its logical id changes with its content, so that old versions stay. */
export function emitLayerVersion(context: SamContext, source: SamResource): void {
  const { logicalId, properties } = source;
  only(
    source,
    'LayerName Description PublishLambdaVersion ContentUri CompatibleArchitectures CompatibleRuntimes LicenseInfo RetentionPolicy'.split(
      ' ',
    ),
  );
  const resolved: MutableObject = { ...properties };
  for (const name of ['LayerName', 'LicenseInfo', 'Description', 'RetentionPolicy']) {
    if (properties[name] !== undefined) resolved[name] = resolveParameters(properties[name], context.parameters);
  }
  if (properties['ContentUri'] === undefined)
    throw resourceProblem(logicalId, "Missing required property 'ContentUri'.");
  const retention = retentionOf(logicalId, resolved['RetentionPolicy']);
  const { DeletionPolicy, UpdateReplacePolicy, Metadata: _metadata, ...hashed } = source.attributes;
  const data = { [logicalId]: { Type: source.type, ...hashed, Properties: resolved } };
  const newId = logicalId + dataHash(data);
  const attributes: MutableObject = { DeletionPolicy: retention ?? DeletionPolicy ?? 'Retain' };
  for (const name of ['Condition', 'DependsOn'] as const) {
    const value = source.attributes[name];
    if (value !== undefined) attributes[name] = value;
  }
  if (UpdateReplacePolicy !== undefined) attributes['UpdateReplacePolicy'] = UpdateReplacePolicy;
  emit(
    context,
    source,
    newId,
    resource(
      'AWS::Lambda::LayerVersion',
      {
        LayerName: resolved['LayerName'] ?? logicalId,
        Description: resolved['Description'],
        Content: s3Code(logicalId, 'ContentUri', properties['ContentUri']),
        CompatibleArchitectures: resolved['CompatibleArchitectures'],
        CompatibleRuntimes: resolved['CompatibleRuntimes'],
        LicenseInfo: resolved['LicenseInfo'],
      },
      attributes,
    ),
  );
  context.renamed.set(logicalId, newId);
}

function retentionOf(logicalId: string, value: Json | undefined): string | undefined {
  if (value === undefined) return undefined;
  const found = ['Retain', 'Delete'].find((option) => option.toLowerCase() === String(value).toLowerCase());
  if (found === undefined) {
    throw resourceProblem(logicalId, "'RetentionPolicy' must be one of the following options: ['Retain', 'Delete'].");
  }
  return found;
}

function only(source: SamResource, known: readonly string[]): void {
  const unknown = Object.keys(source.properties).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw resourceProblem(source.logicalId, `property ${unknown} not defined for resource of type ${source.type}`);
  }
}
