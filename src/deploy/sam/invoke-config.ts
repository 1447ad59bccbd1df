import { isList, isObject, type Json, type JsonObject } from '../json.ts';
import { emit, passedOn, type SamContext, type SamResource } from './context.ts';
import { resourceProblem } from './errors.ts';
import { allow, s3Delivery } from './events.ts';
import type { Publishing } from './function.ts';
import type { Role } from './role.ts';
import { dataHash, getAtt, isNoValue, ref, resolveParameters, resource } from './values.ts';

/**
 * EventInvokeConfig: retries, age and destinations of asynchronous invocations. A queue or topic is made for a destination
 * of that type without an ARN, and the role may send to every destination.
 */
export function invokeConfig(
  context: SamContext,
  source: SamResource,
  role: Role,
  publishing: Publishing | undefined,
): void {
  const { logicalId, properties } = source;
  const given = properties['EventInvokeConfig'];
  if (given === undefined) return;
  const config = resolveParameters(given, context.parameters);
  if (!isObject(config)) throw resourceProblem(logicalId, "Property 'EventInvokeConfig' should be a map.");
  const id = `${logicalId}EventInvokeConfig`;
  const destinations: { [name: string]: Json } = {};
  const wanted = config['DestinationConfig'] ?? {};
  if (!isObject(wanted))
    throw resourceProblem(logicalId, "Property 'EventInvokeConfig.DestinationConfig' should be a map.");
  for (const name of ['OnSuccess', 'OnFailure'] as const) {
    const destination = wanted[name];
    if (destination === undefined) continue;
    destinations[name] = { Destination: destinationOf(context, source, role, id + name, name, destination) };
  }
  const unknown = Object.keys(config).find(
    (key) => !['DestinationConfig', 'MaximumEventAgeInSeconds', 'MaximumRetryAttempts'].includes(key),
  );
  if (unknown !== undefined)
    throw resourceProblem(logicalId, `Property 'EventInvokeConfig.${unknown}' is not supported here.`);
  const made = resource(
    'AWS::Lambda::EventInvokeConfig',
    {
      FunctionName: ref(logicalId),
      Qualifier: publishing?.aliasName ?? '$LATEST',
      DestinationConfig: destinations,
      MaximumEventAgeInSeconds: config['MaximumEventAgeInSeconds'],
      MaximumRetryAttempts: config['MaximumRetryAttempts'],
    },
    source.attributes,
  );
  const { DependsOn: _own, ...attributes } = made;
  emit(
    context,
    source,
    id,
    publishing
      ? { ...attributes, Type: made.Type, Properties: made.Properties, DependsOn: [publishing.aliasId] }
      : { ...attributes, Type: made.Type, Properties: made.Properties },
  );
}

function destinationOf(
  context: SamContext,
  source: SamResource,
  role: Role,
  id: string,
  name: string,
  value: Json,
): Json {
  const { logicalId } = source;
  if (!isObject(value))
    throw resourceProblem(logicalId, `Property 'EventInvokeConfig.DestinationConfig.${name}' should be a map.`);
  const { Type: type, Destination: given } = value;
  if (typeof type !== 'string' || !['SQS', 'SNS', 'EventBridge', 'Lambda', 'S3Bucket'].includes(type)) {
    throw resourceProblem(
      logicalId,
      `'Type: ${String(type ?? 'None')}' must be one of ['SQS', 'SNS', 'EventBridge', 'Lambda', 'S3Bucket']`,
    );
  }
  const choice = conditionalOf(context, id, given);
  if (given !== undefined && !choice) {
    permitDestination(role, id, type, given);
    return given;
  }
  if (type !== 'SQS' && type !== 'SNS')
    throw resourceProblem(logicalId, "Destination is required if Type is not ['SQS', 'SNS']");
  const madeId = id + (type === 'SQS' ? 'Queue' : 'Topic');
  const attributes: { [name: string]: Json } = { ...passedOn(source) };
  const condition = bothOf(context, source, choice?.condition);
  if (condition !== undefined) attributes['Condition'] = condition;
  emit(context, source, madeId, resource(type === 'SQS' ? 'AWS::SQS::Queue' : 'AWS::SNS::Topic', {}, attributes));
  const arn = type === 'SQS' ? getAtt(madeId, 'Arn') : ref(madeId);
  context.referable.set(`${logicalId}.Destination${type === 'SQS' ? 'Queue' : 'Topic'}`, madeId);
  const destination = choice ? { 'Fn::If': [choice.condition, arn, choice.otherwise] } : arn;
  permitDestination(role, id, type, destination);
  return destination;
}

function permitDestination(role: Role, id: string, type: string, arn: Json): void {
  const grants: { readonly [type: string]: readonly [string, JsonObject] } = {
    SQS: ['SQSPolicy', allow('sqs:SendMessage', arn)],
    SNS: ['SNSPolicy', allow('sns:publish', arn)],
    EventBridge: ['EventBridgePolicy', allow('events:PutEvents', arn)],
    Lambda: ['LambdaPolicy', allow('lambda:InvokeFunction', arn)],
    S3Bucket: ['S3Policy', s3Delivery(arn)],
  };
  const [suffix, document] = grants[type] as readonly [string, JsonObject];
  role.addDocument(id + suffix, document);
}

/** `!If [C, arn, AWS::NoValue]`: the queue or topic is made only where no ARN is given. */
function conditionalOf(
  context: SamContext,
  id: string,
  given: Json | undefined,
): { readonly condition: string; readonly otherwise: Json } | undefined {
  const choice = isObject(given) ? given['Fn::If'] : undefined;
  if (choice === undefined) return undefined;
  if (!isList(choice) || choice.length !== 3) {
    const owner = id.replace(/On(?:Success|Failure)$/, '');
    throw resourceProblem(owner, "Malformed 'Destination' property: Fn::If requires 3 arguments.");
  }
  const [condition, whenTrue, whenFalse] = choice as [string, Json, Json];
  if (isNoValue(whenTrue) && !isNoValue(whenFalse)) return { condition, otherwise: whenFalse };
  if (!isNoValue(whenFalse) || isNoValue(whenTrue)) return undefined;
  const configId = id.replace(/On(?:Success|Failure)$/, '');
  const name = `NOT${condition}${dataHash(configId)}`;
  context.conditions[name] = { 'Fn::Not': [{ Condition: condition }] };
  return { condition: name, otherwise: whenTrue };
}

function bothOf(context: SamContext, source: SamResource, condition: string | undefined): Json | undefined {
  const own = source.attributes['Condition'];
  if (own === undefined || condition === undefined) return own ?? condition;
  const name = `${String(own)}AND${condition}${dataHash(source.logicalId)}`;
  context.conditions[name] = { 'Fn::And': [{ Condition: own }, { Condition: condition }] };
  return name;
}
