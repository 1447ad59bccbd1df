import type { Properties, ResourceContext, ResourceState, ResourceType } from '../../platform/resource-type.ts';
import { AwsError } from '../../wire/errors.ts';

/** https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-logs-loggroup.html */
const logGroupType: ResourceType = {
  typeName: 'AWS::Logs::LogGroup',
  properties: ['DeletionProtectionEnabled', 'KmsKeyId', 'LogGroupClass', 'LogGroupName', 'RetentionInDays', 'Tags'],
  createOnly: ['LogGroupName'],
  shapes: {
    DeletionProtectionEnabled: 'boolean',
    KmsKeyId: 'string',
    LogGroupClass: 'string',
    LogGroupName: 'string',
    RetentionInDays: 'integer',
    Tags: [{ Key: 'string', Value: 'string' }],
  },
  attributeNames: ['Arn'],
  nameProperty: 'LogGroupName',

  async create(context, properties) {
    const { bus, caller } = context;
    const name = text(properties, 'LogGroupName') ?? context.generatedName({ maxLength: 512 });
    const marks = stackTags(context);
    const logGroupClass = text(properties, 'LogGroupClass');
    const kmsKeyId = text(properties, 'KmsKeyId');
    try {
      await bus.call(caller, 'logs', 'CreateLogGroup', {
        logGroupName: name,
        tags: { ...context.tags, ...templateTags(properties), ...marks },
        ...(logGroupClass === undefined ? {} : { logGroupClass: classOf(logGroupClass) }),
        ...(kmsKeyId === undefined ? {} : { kmsKeyId }),
        deletionProtectionEnabled: isProtected(properties),
      });
    } catch (error) {
      // After a crash the group is this stack's own already.
      if (!isError(error, 'ResourceAlreadyExistsException')) throw error;
      const { tags = {} } = await bus.call(caller, 'logs', 'ListTagsForResource', {
        resourceArn: arnOf(context, name),
      });
      if (Object.entries(marks).some(([key, value]) => tags[key] !== value)) throw error;
    }
    await context.initiated?.(name);
    await setRetention(context, name, properties);
    return groupState(context, name);
  },

  async update(context, name, properties, old) {
    const { bus, caller } = context;
    for (const fixed of ['LogGroupClass', 'KmsKeyId'])
      if (text(properties, fixed) !== text(old, fixed))
        throw new AwsError('InvalidRequest', `${fixed} of a log group cannot be changed in Unkai.`);
    await setRetention(context, name, properties);
    if (isProtected(properties) !== isProtected(old))
      await bus.call(caller, 'logs', 'PutLogGroupDeletionProtection', {
        logGroupIdentifier: name,
        deletionProtectionEnabled: isProtected(properties),
      });
    const resourceArn = arnOf(context, name);
    const tags = templateTags(properties);
    const tagKeys = Object.keys(templateTags(old)).filter((key) => tags[key] === undefined);
    if (tagKeys.length > 0) await bus.call(caller, 'logs', 'UntagResource', { resourceArn, tagKeys });
    if (Object.keys(tags).length > 0) await bus.call(caller, 'logs', 'TagResource', { resourceArn, tags });
    return groupState(context, name);
  },

  async delete({ bus, caller }, name) {
    await bus.call(caller, 'logs', 'DeleteLogGroup', { logGroupName: name }).catch(ignoreMissing);
  },
};

/** https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-logs-logstream.html */
const logStreamType: ResourceType = {
  typeName: 'AWS::Logs::LogStream',
  properties: ['LogGroupName', 'LogStreamName'],
  required: ['LogGroupName'],
  createOnly: ['LogGroupName', 'LogStreamName'],
  shapes: { LogGroupName: 'string', LogStreamName: 'string' },
  attributeNames: [],
  nameProperty: 'LogStreamName',

  async create(context, properties) {
    const { bus, caller } = context;
    const given = text(properties, 'LogStreamName');
    const logStreamName = given ?? context.generatedName({ maxLength: 512 });
    const logGroupName = text(properties, 'LogGroupName') ?? '';
    try {
      await bus.call(caller, 'logs', 'CreateLogStream', { logGroupName, logStreamName });
    } catch (error) {
      // A generated name is nobody else's: an attempt before a crash made it.
      if (given !== undefined || !isError(error, 'ResourceAlreadyExistsException')) throw error;
    }
    return { physicalId: logStreamName, attributes: {} };
  },

  // Every property is create-only, so there is nothing to change.
  update: async (_context, physicalId) => ({ physicalId, attributes: {} }),

  async delete({ bus, caller }, logStreamName, properties) {
    const logGroupName = text(properties, 'LogGroupName') ?? '';
    await bus.call(caller, 'logs', 'DeleteLogStream', { logGroupName, logStreamName }).catch(ignoreMissing);
  },
};

export const resourceTypes: readonly ResourceType[] = [logGroupType, logStreamType];

async function setRetention({ bus, caller }: ResourceContext, logGroupName: string, properties: Properties) {
  const days = properties['RetentionInDays'];
  if (days === undefined) await bus.call(caller, 'logs', 'DeleteRetentionPolicy', { logGroupName });
  else await bus.call(caller, 'logs', 'PutRetentionPolicy', { logGroupName, retentionInDays: Number(days) });
}

function groupState(context: ResourceContext, name: string): ResourceState {
  return { physicalId: name, attributes: { Arn: `${arnOf(context, name)}:*` } };
}

function arnOf({ caller }: ResourceContext, name: string): string {
  return `arn:aws:logs:${caller.region}:${caller.account}:log-group:${name}`;
}

function stackTags({ stackId, stackName, logicalId }: ResourceContext): Record<string, string> {
  return {
    'aws:cloudformation:stack-name': stackName,
    'aws:cloudformation:logical-id': logicalId,
    'aws:cloudformation:stack-id': stackId,
  };
}

function templateTags(properties: Properties): Record<string, string> {
  const list = (properties['Tags'] ?? []) as readonly Properties[];
  return Object.fromEntries(list.map((one) => [String(one['Key']), String(one['Value'])]));
}

function text(properties: Properties, name: string): string | undefined {
  const value = properties[name];
  return value === undefined || value === null ? undefined : String(value);
}

function isProtected(properties: Properties): boolean {
  return String(properties['DeletionProtectionEnabled'] ?? 'false') === 'true';
}

function classOf(name: string): 'STANDARD' | 'INFREQUENT_ACCESS' | 'DELIVERY' {
  if (name === 'STANDARD' || name === 'INFREQUENT_ACCESS' || name === 'DELIVERY') return name;
  throw new AwsError('InvalidRequest', `${name} is not a log group class.`);
}

function isError(error: unknown, code: string): boolean {
  return error instanceof AwsError && error.code === code;
}

function ignoreMissing(error: unknown): void {
  if (!isError(error, 'ResourceNotFoundException')) throw error;
}
