import { isList, isObject, type Json, mapObject } from '../../../deploy/json.ts';
import {
  type Properties,
  type ResourceContext,
  ResourceFailure,
  type ResourceState,
  type ResourceType,
} from '../../../platform/resource-type.ts';
import type { Environment } from '../environment.ts';
import { responsePath } from '../response-surface.ts';
import { encode, keys, type ResponseRecord, read } from '../state.ts';

const defaultTimeoutSeconds = 3_600;

/**
 * A resource that a Lambda function makes: CloudFormation invokes it and waits for what it puts to the response URL.
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requesttypes.html
 */
export function customResource(env: Environment, typeName: string): ResourceType {
  return {
    typeName,
    properties: ['ServiceToken', 'ServiceTimeout'],
    required: ['ServiceToken'],
    openProperties: true,
    createOnly: ['ServiceToken'],
    create: (context, properties) => ask(env, context, typeName, { RequestType: 'Create' }, properties),
    update: (context, physicalId, properties, oldProperties) =>
      ask(
        env,
        context,
        typeName,
        { RequestType: 'Update', PhysicalResourceId: physicalId, OldResourceProperties: asText(oldProperties) },
        properties,
      ),
    async delete(context, physicalId, properties) {
      await ask(env, context, typeName, { RequestType: 'Delete', PhysicalResourceId: physicalId }, properties);
    },
  };
}

async function ask(
  env: Environment,
  context: ResourceContext,
  typeName: string,
  request: {
    readonly RequestType: string;
    readonly PhysicalResourceId?: string;
    readonly OldResourceProperties?: Json;
  },
  properties: Properties,
): Promise<ResourceState> {
  const { store, clock } = env.platform;
  const token = context.clientToken;
  const key = keys.response(token);
  const seconds = Number(properties['ServiceTimeout'] ?? defaultTimeoutSeconds);
  let record = (await read<ResponseRecord>(store, key))?.record;
  // After a crash: a function that may not have been asked is asked (again).
  if (record === undefined || (!record.asked && record.answer === undefined)) {
    const ServiceToken = String(properties['ServiceToken']);
    const event = {
      ...request,
      ServiceToken,
      ResponseURL: `${env.platform.endpoint()}${responsePath}${token}`,
      StackId: context.stackId,
      RequestId: token,
      LogicalResourceId: context.logicalId,
      ResourceType: typeName,
      ResourceProperties: asText(properties),
    };
    record = { deadlineMs: clock.now() + seconds * 1_000, asked: false };
    // Written first, so that an answer finds what it answers.
    await store.commit({ set: [{ key, value: encode(record) }] });
    await invoke(context, ServiceToken, event);
    await markAsked(env, key);
  }
  const answer = await answered(env, context, record);
  await store.commit({ delete: [key] });
  if (answer.Status !== 'SUCCESS') {
    // Text: https://github.com/aws/aws-cdk/issues/7236
    throw new ResourceFailure(
      `Received response status [FAILED] from custom resource. Message returned: ${answer.Reason ?? ''} (RequestId: ${token})`,
      null,
      answer.PhysicalResourceId,
    );
  }
  const physicalId = answer.PhysicalResourceId ?? request.PhysicalResourceId;
  if (physicalId === undefined || physicalId === '') throw new ResourceFailure('Invalid PhysicalResourceId', null);
  return { physicalId, attributes: answer.Data ?? {} };
}

async function markAsked({ platform: { store } }: Environment, key: Buffer): Promise<void> {
  const found = await read<ResponseRecord>(store, key);
  if (found === undefined) return;
  // Losing means that the answer is there already.
  await store.commit({
    checks: [{ key, version: found.version }],
    set: [{ key, value: encode({ ...found.record, asked: true }) }],
  });
}

async function invoke(context: ResourceContext, ServiceToken: string, event: object): Promise<void> {
  if (!/^arn:[^:]+:lambda:/.test(ServiceToken)) {
    throw new ResourceFailure('Invalid service token: only functions make custom resources here.', 'InvalidRequest');
  }
  await context.bus.call(context.caller, 'lambda', 'Invoke', {
    FunctionName: ServiceToken,
    InvocationType: 'Event',
    Payload: encode(event),
  });
}

async function answered(
  env: Environment,
  context: ResourceContext,
  { deadlineMs }: ResponseRecord,
): Promise<NonNullable<ResponseRecord['answer']>> {
  const { store, clock } = env.platform;
  const token = context.clientToken;
  for (let waitMs = 20; ; waitMs = Math.min(500, waitMs * 1.5)) {
    const found = (await read<ResponseRecord>(store, keys.response(token)))?.record.answer;
    if (found !== undefined) return found;
    if (clock.now() >= deadlineMs) {
      throw new ResourceFailure(
        `CloudFormation did not receive a response from your Custom Resource. Please check your logs for requestId [${token}].`,
        null,
      );
    }
    await context.sleep(Math.round(waitMs));
  }
}

/** Functions get every scalar as text, as on AWS. */
function asText(properties: Properties): Json {
  const visit = (value: Json): Json => {
    if (isList(value)) return value.map(visit);
    if (isObject(value)) return mapObject(value, visit);
    return value === null ? value : String(value);
  };
  return visit(properties as Json);
}
