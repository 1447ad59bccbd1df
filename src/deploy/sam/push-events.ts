import { isList, isObject, type Json, type JsonObject, jsonEquals, type MutableObject } from '../json.ts';
import { emit, passedOn, type SamContext } from './context.ts';
import { eventProblem } from './errors.ts';
import { allow, type FunctionEvent, onlyProperties, permit, requireProperty } from './events.ts';
import { checkKinds } from './kinds.ts';
import { managedArn } from './policies.ts';
import { assumedBy, Role } from './role.ts';
import {
  getAtt,
  type OutputResource,
  ref,
  referredId,
  resolveParameters,
  resource,
  sub,
  tagList,
  when,
} from './values.ts';

/**
 * Connects an event of a service that calls the function.
 *
 * @returns false for a type that is not one of these.
 * @throws {SamProblem} naming function, event and property.
 */
export function sourceEvent(context: SamContext, event: FunctionEvent): boolean {
  switch (event.type) {
    case 'Schedule':
      scheduleRule(context, event);
      return true;
    case 'ScheduleV2':
      schedule(context, event);
      return true;
    case 'CloudWatchEvent':
    case 'EventBridgeRule':
      patternRule(context, event);
      return true;
    case 'SNS':
      topic(context, event);
      return true;
    case 'S3':
      bucket(context, event);
      return true;
    case 'CloudWatchLogs':
      logGroup(context, event);
      return true;
    default:
      return false;
  }
}

function scheduleRule(context: SamContext, event: FunctionEvent): void {
  onlyProperties(event, [
    'Schedule',
    'Input',
    'Enabled',
    'State',
    'Name',
    'Description',
    'DeadLetterConfig',
    'RetryPolicy',
  ]);
  const { Input, RetryPolicy, Name, Description } = event.properties;
  const queueArn = deadLetters(context, event, true);
  add(
    context,
    event,
    event.logicalId,
    resource('AWS::Events::Rule', {
      ScheduleExpression: requireProperty(event, 'Schedule'),
      State: stateOf(event),
      Name,
      Description,
      Targets: [target(event, { Input, RetryPolicy, DeadLetterConfig: queueArn && { Arn: queueArn } })],
    }),
  );
  permit(context, event, 'events.amazonaws.com', { SourceArn: getAtt(event.logicalId, 'Arn') });
}

function patternRule(context: SamContext, event: FunctionEvent): void {
  onlyProperties(
    event,
    'EventBusName RuleName Pattern DeadLetterConfig RetryPolicy Input InputPath Target Enabled State InputTransformer'.split(
      ' ',
    ),
  );
  const { EventBusName, RuleName, Pattern, RetryPolicy, Input, InputPath, InputTransformer, Target } = event.properties;
  const queueArn = deadLetters(context, event, true);
  const id = isObject(Target) ? Target['Id'] : undefined;
  const DeadLetterConfig = queueArn && { Arn: queueArn };
  add(
    context,
    event,
    event.logicalId,
    resource('AWS::Events::Rule', {
      EventBusName,
      EventPattern: Pattern,
      Name: RuleName,
      State: stateOf(event),
      Targets: [
        target(event, {
          ...(id !== undefined && { Id: id }),
          Input,
          InputPath,
          RetryPolicy,
          InputTransformer,
          DeadLetterConfig,
        }),
      ],
    }),
  );
  permit(context, event, 'events.amazonaws.com', { SourceArn: getAtt(event.logicalId, 'Arn') });
}

const scheduleProperties = (
  'ScheduleExpression FlexibleTimeWindow Name State Description StartDate EndDate ScheduleExpressionTimezone GroupName KmsKeyArn ' +
  'Input RoleArn DeadLetterConfig RetryPolicy OmitName PermissionsBoundary'
).split(' ');

/** EventBridge Scheduler calls under a role of its own, which is made unless one is named. */
function schedule(context: SamContext, event: FunctionEvent): void {
  onlyProperties(event, scheduleProperties);
  const { properties, logicalId } = event;
  const queueArn = deadLetters(context, event, false);
  const omitName = properties['OmitName'] === true;
  if (omitName && properties['Name'] !== undefined) {
    throw eventProblem(event.source.logicalId, event.id, 'Name cannot be set when OmitName is True');
  }
  const roleId = `${logicalId}Role`;
  if (properties['RoleArn'] === undefined) {
    const role = new Role(roleId, []);
    role.addDocument(`${logicalId}LambdaPolicy`, allow('lambda:InvokeFunction', event.arn));
    if (queueArn) role.addDocument(`${logicalId}SQSPolicy`, allow('sqs:SendMessage', queueArn));
    const { ManagedPolicyArns: _none, ...made } = role.resource({}, {}).Properties;
    const trust = { AssumeRolePolicyDocument: assumedBy('scheduler.amazonaws.com') };
    const PermissionsBoundary = properties['PermissionsBoundary'];
    add(context, event, roleId, resource('AWS::IAM::Role', { ...trust, ...made, PermissionsBoundary }));
  }
  const passed: { [key: string]: Json | undefined } = {};
  for (const name of [
    'ScheduleExpression',
    'State',
    'Description',
    'StartDate',
    'EndDate',
    'ScheduleExpressionTimezone',
    'GroupName',
    'KmsKeyArn',
  ]) {
    passed[name] = properties[name];
  }
  requireProperty(event, 'ScheduleExpression');
  const Target: MutableObject = { Arn: event.arn, RoleArn: properties['RoleArn'] ?? getAtt(roleId, 'Arn') };
  if (properties['Input'] !== undefined) Target['Input'] = properties['Input'];
  if (queueArn !== undefined) Target['DeadLetterConfig'] = { Arn: queueArn };
  if (properties['RetryPolicy'] !== undefined) Target['RetryPolicy'] = properties['RetryPolicy'];
  add(
    context,
    event,
    logicalId,
    resource('AWS::Scheduler::Schedule', {
      ...passed,
      FlexibleTimeWindow: properties['FlexibleTimeWindow'] ?? { Mode: 'OFF' },
      Name: omitName ? undefined : (properties['Name'] ?? logicalId),
      Target,
    }),
  );
}

/** SNS calls the function, or feeds a queue that the function polls (`SqsSubscription`). */
function topic(context: SamContext, event: FunctionEvent): void {
  onlyProperties(event, ['Topic', 'Region', 'FilterPolicy', 'FilterPolicyScope', 'SqsSubscription', 'RedrivePolicy']);
  const topicArn = requireProperty(event, 'Topic');
  const viaQueue = event.properties['SqsSubscription'];
  if (viaQueue === undefined || viaQueue === false) {
    permit(context, event, 'sns.amazonaws.com', { SourceArn: topicArn });
    subscribe(context, event, topicArn, 'lambda', event.arn);
    return;
  }
  const existing = isObject(viaQueue) ? viaQueue : undefined;
  const queueId = `${event.logicalId}Queue`;
  const queueArn = existing ? existing['QueueArn'] : getAtt(queueId, 'Arn');
  const queueUrl = existing ? existing['QueueUrl'] : ref(queueId);
  if (queueArn === undefined || queueUrl === undefined) {
    throw eventProblem(event.source.logicalId, event.id, 'No QueueARN or QueueURL provided.');
  }
  if (!existing) {
    const declared = context.input.get(referredId(topicArn) ?? '')?.properties['FifoTopic'] ?? false;
    const fifo = resolveParameters(declared, context.parameters);
    add(context, event, queueId, resource('AWS::SQS::Queue', { FifoQueue: fifo === false ? undefined : fifo }));
  }
  event.role?.addManaged(managedArn('AWSLambdaSQSQueueExecutionRole'));
  add(
    context,
    event,
    `${event.logicalId}EventSourceMapping`,
    resource('AWS::Lambda::EventSourceMapping', {
      EventSourceArn: queueArn,
      FunctionName: event.name,
      BatchSize: existing?.['BatchSize'] ?? 10,
      Enabled: true,
    }),
  );
  const policyId = existing?.['QueuePolicyLogicalId'];
  add(
    context,
    event,
    typeof policyId === 'string' ? policyId : `${event.logicalId}QueuePolicy`,
    resource('AWS::SQS::QueuePolicy', { PolicyDocument: sendPolicy('*', queueArn, topicArn), Queues: [queueUrl] }),
  );
  subscribe(context, event, topicArn, 'sqs', queueArn);
}

function subscribe(context: SamContext, event: FunctionEvent, TopicArn: Json, Protocol: string, Endpoint: Json): void {
  const { Region, FilterPolicy, FilterPolicyScope, RedrivePolicy } = event.properties;
  const properties = { Protocol, Endpoint, TopicArn, Region, FilterPolicy, FilterPolicyScope, RedrivePolicy };
  add(context, event, event.logicalId, resource('AWS::SNS::Subscription', properties));
}

/** The bucket is the template's own: it is told to notify the function, and made after the permission to. */
function bucket(context: SamContext, event: FunctionEvent): void {
  onlyProperties(event, ['Bucket', 'Events', 'Filter']);
  const id = referredId(requireProperty(event, 'Bucket'));
  const declared = id === undefined ? undefined : (context.output.get(id) ?? context.input.get(id));
  if (id === undefined || declared === undefined) {
    throw eventProblem(event.source.logicalId, event.id, 'S3 events must reference an S3 bucket in the same template.');
  }
  const permission = permit(context, event, 's3.amazonaws.com', { SourceAccount: ref('AWS::AccountId') });
  const condition = event.source.attributes['Condition'];
  const written = declared as unknown as {
    readonly Properties?: JsonObject;
    readonly properties?: JsonObject;
    readonly attributes?: JsonObject;
  };
  const properties: MutableObject = { ...(written.Properties ?? written.properties) };
  const { Type: _type, Properties: _properties, ...rest } = declared as unknown as JsonObject;
  const attributes: MutableObject = { ...(written.attributes ?? rest) };
  checkKinds(id, properties, { Tags: 'list of maps', NotificationConfiguration: 'map' });
  if (condition === undefined) {
    const before = attributes['DependsOn'] ?? [];
    attributes['DependsOn'] = [...new Set([...(isList(before) ? before : [before]), permission])];
  } else {
    // DependsOn cannot be conditional: a tag that refers to the permission has the same effect.
    const tag = {
      [`sam:ConditionalDependsOn:${permission}`]: { 'Fn::If': [condition, ref(permission), 'no dependency'] },
    };
    properties['Tags'] = [...((properties['Tags'] ?? []) as readonly Json[]), ...tagList(tag)];
  }
  const types = requireProperty(event, 'Events');
  if (isObject(types)) throw eventProblem(event.source.logicalId, event.id, "Type of property 'Events' is invalid.");
  const notification: MutableObject = { ...(properties['NotificationConfiguration'] as JsonObject | undefined) };
  checkKinds(id, notification, { LambdaConfigurations: 'list of maps' });
  const configurations = [...((notification['LambdaConfigurations'] ?? []) as readonly Json[])];
  for (const Event of isList(types) ? types : [types]) {
    const Filter = event.properties['Filter'];
    const mapping = when(condition, { Function: event.arn, ...(Filter !== undefined && { Filter }), Event });
    if (!configurations.some((other) => jsonEquals(other, mapping))) configurations.push(mapping);
  }
  notification['LambdaConfigurations'] = configurations;
  properties['NotificationConfiguration'] = notification;
  context.output.set(id, resource('AWS::S3::Bucket', properties, attributes));
}

function logGroup(context: SamContext, event: FunctionEvent): void {
  onlyProperties(event, ['LogGroupName', 'FilterPattern']);
  const LogGroupName = requireProperty(event, 'LogGroupName');
  const SourceArn = sub(`arn:aws:logs:\${AWS::Region}:\${AWS::AccountId}:log-group:\${__LogGroupName__}:*`, {
    __LogGroupName__: LogGroupName,
  });
  const permission = permit(context, event, 'logs.amazonaws.com', { SourceArn });
  const filter = { LogGroupName, FilterPattern: requireProperty(event, 'FilterPattern'), DestinationArn: event.arn };
  const made = resource('AWS::Logs::SubscriptionFilter', filter);
  add(context, event, event.logicalId, { ...made, DependsOn: [permission] });
}

function target(event: FunctionEvent, extra: { readonly [key: string]: Json | undefined }): JsonObject {
  const id = `${event.logicalId}LambdaTarget`;
  // Target ids have at most 64 characters; the end tells what it is.
  const Id = id.length <= 64 ? id : `${event.logicalId.slice(0, 64 - 'LambdaTarget'.length)}LambdaTarget`;
  return resource('', { Arn: event.arn, Id, ...extra }).Properties;
}

function stateOf(event: FunctionEvent): Json | undefined {
  const { State, Enabled } = event.properties;
  if (State !== undefined && Enabled !== undefined) {
    throw eventProblem(event.source.logicalId, event.id, 'State and Enabled Properties cannot both be specified.');
  }
  return Enabled === undefined ? State : Enabled === true ? 'ENABLED' : 'DISABLED';
}

/** DeadLetterConfig: an ARN, or `Type: SQS` for a queue to be made, with the right for EventBridge rules to send to it. */
function deadLetters(context: SamContext, event: FunctionEvent, forRule: boolean): Json | undefined {
  const config = event.properties['DeadLetterConfig'];
  if (config === undefined) return undefined;
  const fail = (message: string): never => {
    throw eventProblem(event.source.logicalId, event.id, message);
  };
  if (!isObject(config)) return fail("Property 'DeadLetterConfig' should be a map.");
  const { Arn, Type, QueueLogicalId } = config;
  if (Arn !== undefined && Type !== undefined)
    fail("You can either define 'Arn' or 'Type' property of DeadLetterConfig.");
  if (Arn !== undefined) return Arn;
  if (Type === undefined) fail("No 'Arn' or 'Type' property provided for DeadLetterConfig.");
  if (Type !== 'SQS') fail("The only valid value for 'Type' property of DeadLetterConfig is 'SQS'.");
  if (QueueLogicalId !== undefined && typeof QueueLogicalId !== 'string') fail('QueueLogicalId must be a string');
  const queueId = (QueueLogicalId as string | undefined) ?? `${event.logicalId}Queue`;
  const queueArn = getAtt(queueId, 'Arn');
  add(context, event, queueId, resource('AWS::SQS::Queue', {}));
  if (forRule) {
    const PolicyDocument = sendPolicy({ Service: 'events.amazonaws.com' }, queueArn, getAtt(event.logicalId, 'Arn'));
    add(
      context,
      event,
      `${event.logicalId}QueuePolicy`,
      resource('AWS::SQS::QueuePolicy', { PolicyDocument, Queues: [ref(queueId)] }),
    );
  }
  return queueArn;
}

function sendPolicy(Principal: Json, queueArn: Json, sourceArn: Json): JsonObject {
  const Condition = { ArnEquals: { 'aws:SourceArn': sourceArn } };
  return {
    Version: '2012-10-17',
    Statement: [{ Action: 'sqs:SendMessage', Effect: 'Allow', Principal, Resource: queueArn, Condition }],
  };
}

function add(context: SamContext, event: FunctionEvent, logicalId: string, made: OutputResource): void {
  emit(context, event.source, logicalId, { ...made, ...passedOn(event.source) });
}
