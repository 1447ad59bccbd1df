import { isObject, type Json, type JsonObject, type MutableObject } from '../json.ts';
import { emit, passedOn, type SamContext, type SamResource } from './context.ts';
import { eventProblem } from './errors.ts';
import { anyMethod } from './http-paths.ts';
import { managedArn } from './policies.ts';
import { sourceEvent } from './push-events.ts';
import type { Role } from './role.ts';
import { ref, resource, sub } from './values.ts';

/** One event of a function, with what it is to be connected to. */
export interface FunctionEvent {
  readonly source: SamResource;
  /** Its key under Events. */
  readonly id: string;
  /** Of the resources made for it: function id + event id. */
  readonly logicalId: string;
  readonly type: string;
  readonly properties: JsonObject;
  /** The function or, if it publishes one, its alias: what FunctionName is given, and its ARN. */
  readonly name: Json;
  readonly arn: Json;
  readonly role: Role | undefined;
}

/**
 * Connects a function's events, in the order of their paths and ids as the original does.
 *
 * @throws {SamProblem} naming the function and the event for a type or property that is not supported.
 */
export function connectEvents(
  context: SamContext,
  source: SamResource,
  name: Json,
  arn: Json,
  role: Role | undefined,
): void {
  const events = source.properties['Events'] ?? {};
  if (!isObject(events)) throw eventProblem(source.logicalId, 'Events', "Property 'Events' should be a map.");
  const sorted = Object.entries(events)
    .map(([id, event]) => ({ id, event, key: sortKey(id, event) }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  for (const { id, event } of sorted) {
    const type = isObject(event) ? event['Type'] : undefined;
    const properties = (isObject(event) ? event['Properties'] : undefined) ?? {};
    if (typeof type !== 'string' || !isObject(properties)) {
      throw eventProblem(
        source.logicalId,
        id,
        'Resource dict has missing or invalid value for field Type or Properties.',
      );
    }
    connect(context, { source, id, logicalId: source.logicalId + id, type, properties, name, arn, role });
  }
}

function sortKey(id: string, event: Json): string {
  const properties = isObject(event) ? event['Properties'] : undefined;
  const path = isObject(properties) ? properties['Path'] : undefined;
  // An HttpApi event without a path is the API's $default route; it sorts before the others and covers them.
  if (isObject(event) && event['Type'] === 'HttpApi' && path === undefined) return '$default';
  return typeof path === 'string' ? path : id;
}

function connect(context: SamContext, event: FunctionEvent): void {
  if (event.type === 'HttpApi') httpApiEvent(context, event);
  else if (Object.hasOwn(pollers, event.type)) pollerEvent(context, event);
  else if (!sourceEvent(context, event)) {
    throw eventProblem(event.source.logicalId, event.id, `Events of type '${event.type}' are not supported here.`);
  }
}

const httpApiProperties = [
  'ApiId',
  'Path',
  'Method',
  'Auth',
  'TimeoutInMillis',
  'RouteSettings',
  'PayloadFormatVersion',
];

function httpApiEvent(context: SamContext, event: FunctionEvent): void {
  onlyProperties(event, httpApiProperties);
  const { source, id } = event;
  const route = context.httpApis.route(source.logicalId, id, event.properties);
  const own = context.httpApis.addRoute(source.logicalId, id, route, event.arn, source.attributes['Condition']);
  if (!own) return;
  // API Gateway drops a trailing slash; a variable in the path may be anything.
  const path = route.path.replace(/^(.+)\/$/, '$1').replace(/\{([a-zA-Z0-9._-]+|proxy\+)\}/g, '*');
  const method = route.method === anyMethod ? '*' : route.method.toUpperCase();
  const routed = path === '$default' ? method : path === '/$default' && method === '*' ? '$default' : method + path;
  const sourceArn = sub(
    `arn:\${AWS::Partition}:execute-api:\${AWS::Region}:\${AWS::AccountId}:\${__ApiId__}/\${__Stage__}/` + routed,
    { __ApiId__: event.properties['ApiId'] ?? ref(route.apiId), __Stage__: '*' },
  );
  permit(context, event, 'apigateway.amazonaws.com', { SourceArn: sourceArn });
}

/** Event sources that Lambda polls: the property that names them, and the managed policy that its role needs. */
const pollers: {
  readonly [type: string]: { readonly source: string; readonly policy: string; readonly needs: readonly string[] };
} = {
  SQS: { source: 'Queue', policy: 'AWSLambdaSQSQueueExecutionRole', needs: ['Queue'] },
  Kinesis: { source: 'Stream', policy: 'AWSLambdaKinesisExecutionRole', needs: ['Stream', 'StartingPosition'] },
  DynamoDB: { source: 'Stream', policy: 'AWSLambdaDynamoDBExecutionRole', needs: ['Stream', 'StartingPosition'] },
};

/** Properties of AWS::Lambda::EventSourceMapping that an event has by the same name. */
const mappingProperties = (
  'StartingPosition StartingPositionTimestamp BatchSize Enabled MaximumBatchingWindowInSeconds MaximumRetryAttempts ' +
  'BisectBatchOnFunctionError MaximumRecordAgeInSeconds ParallelizationFactor TumblingWindowInSeconds FunctionResponseTypes ' +
  'FilterCriteria KmsKeyArn ScalingConfig ProvisionedPollerConfig MetricsConfig LoggingConfig'
).split(' ');

function pollerEvent(context: SamContext, event: FunctionEvent): void {
  const poller = pollers[event.type] as (typeof pollers)[string];
  onlyProperties(event, [...mappingProperties, 'DestinationConfig', poller.source]);
  for (const name of poller.needs) requireProperty(event, name);
  const properties: MutableObject = {
    EventSourceArn: event.properties[poller.source] as Json,
    FunctionName: event.name,
  };
  for (const name of mappingProperties)
    if (event.properties[name] !== undefined) properties[name] = event.properties[name] as Json;
  event.role?.addManaged(managedArn(poller.policy));
  const destination = event.properties['DestinationConfig'];
  // A destination that is left empty is as good as none.
  if (!isEmpty(destination)) properties['DestinationConfig'] = failureDestination(event, destination as Json);
  emit(
    context,
    event.source,
    event.logicalId,
    resource('AWS::Lambda::EventSourceMapping', properties, passedOn(event.source)),
  );
}

function isEmpty(value: Json | undefined): boolean {
  return value === undefined || (isObject(value) && Object.keys(value).length === 0);
}

/** `Type` beside the destination is SAM's: it decides the permission that the role is given, and is taken out. */
function failureDestination(event: FunctionEvent, config: Json): Json {
  const onFailure = isObject(config) ? config['OnFailure'] : undefined;
  if (!isObject(onFailure))
    throw eventProblem(event.source.logicalId, event.id, "Property 'DestinationConfig.OnFailure' should be a map.");
  const { Type, ...rest } = onFailure;
  const arn = onFailure['Destination'] as Json;
  switch (Type) {
    case undefined:
    case 'Kafka':
      break;
    case 'SQS':
      event.role?.addDocument(`${event.logicalId}SQSPolicy`, allow('sqs:SendMessage', arn));
      break;
    case 'SNS':
      event.role?.addDocument(`${event.logicalId}SNSPolicy`, allow('sns:publish', arn));
      break;
    case 'S3':
      event.role?.addDocument(`${event.logicalId}S3Policy`, s3Delivery(arn));
      break;
    default:
      throw eventProblem(
        event.source.logicalId,
        event.id,
        "The only valid values for 'Type' are 'SQS', 'SNS', 'S3', and 'Kafka'",
      );
  }
  return { ...(config as JsonObject), OnFailure: rest };
}

export function allow(action: string, arn: Json): JsonObject {
  return { Statement: [{ Action: action, Effect: 'Allow', Resource: arn }] };
}

export function s3Delivery(arn: Json): JsonObject {
  return {
    Statement: [
      { Action: 's3:PutObject', Effect: 'Allow', Resource: { 'Fn::Join': ['/', [arn, '*']] } },
      { Action: 's3:ListBucket', Effect: 'Allow', Resource: arn },
    ],
  };
}

/** AWS::Lambda::Permission for a service to call the function. */
export function permit(
  context: SamContext,
  event: FunctionEvent,
  principal: string,
  properties: { readonly [key: string]: Json },
): string {
  const logicalId = `${event.logicalId}Permission`;
  emit(
    context,
    event.source,
    logicalId,
    resource(
      'AWS::Lambda::Permission',
      { Action: 'lambda:InvokeFunction', FunctionName: event.name, Principal: principal, ...properties },
      passedOn(event.source),
    ),
  );
  return logicalId;
}

export function onlyProperties(event: FunctionEvent, known: readonly string[]): void {
  const unknown = Object.keys(event.properties).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw eventProblem(
      event.source.logicalId,
      event.id,
      `property ${unknown} not defined for resource of type ${event.type}`,
    );
  }
}

export function requireProperty(event: FunctionEvent, name: string): Json {
  const value = event.properties[name];
  if (value === undefined) throw eventProblem(event.source.logicalId, event.id, `Missing required property '${name}'.`);
  return value;
}
