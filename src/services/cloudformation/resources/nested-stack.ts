import type { Output } from '../../../platform/context.ts';
import {
  type Properties,
  type ResourceContext,
  ResourceFailure,
  type ResourceState,
  type ResourceType,
} from '../../../platform/resource-type.ts';
import { AwsError } from '../../../wire/errors.ts';
import { type Environment, findStack } from '../environment.ts';

type Stack = NonNullable<Output<'cloudformation', 'DescribeStacks'>['Stacks']>[number];

/** https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-cloudformation-stack.html */
export function nestedStack(env: Environment): ResourceType {
  return {
    typeName: 'AWS::CloudFormation::Stack',
    properties: ['TemplateURL', 'Parameters', 'Tags', 'TimeoutInMinutes'],
    required: ['TemplateURL'],
    shapes: {
      TemplateURL: 'string',
      Parameters: 'stringMap',
      Tags: [{ Key: 'string', Value: 'string' }],
      TimeoutInMinutes: 'integer',
    },

    async create(context, properties) {
      const minutes = properties['TimeoutInMinutes'] as number | undefined;
      const { StackId } = await context.bus.call(context.caller, 'cloudformation', 'CreateStack', {
        ...(await inputOf(env, context, properties)),
        StackName: context.generatedName({ maxLength: 128 }),
        // The parent's rollback deletes it.
        OnFailure: 'ROLLBACK',
        ...(minutes !== undefined && { TimeoutInMinutes: minutes }),
      });
      const arn = StackId as string;
      await context.initiated?.(arn);
      const stack = await settled(context, arn);
      if (stack.StackStatus === 'CREATE_COMPLETE') return stateOf(stack);
      // Form: https://github.com/aws-quickstart/quickstart-amazon-eks/issues/30
      throw new ResourceFailure(
        `Embedded stack ${arn} was not successfully created: ${await firstReason(context, arn, 'ROLLBACK_IN_PROGRESS')}`,
        null,
        arn,
      );
    },

    async update(context, physicalId, properties) {
      try {
        await context.bus.call(context.caller, 'cloudformation', 'UpdateStack', {
          ...(await inputOf(env, context, properties)),
          StackName: physicalId,
        });
      } catch (error) {
        const same = error instanceof AwsError && error.message === 'No updates are to be performed.';
        if (!same) throw error;
      }
      const stack = await settled(context, physicalId);
      if (!stack.StackStatus.includes('ROLLBACK') && !stack.StackStatus.endsWith('FAILED')) return stateOf(stack);
      throw new ResourceFailure(
        `Embedded stack ${physicalId} was not successfully updated. Currently in ${stack.StackStatus} with reason: ` +
          (await firstReason(context, physicalId, 'UPDATE_ROLLBACK_IN_PROGRESS')),
        null,
      );
    },

    async delete(context, physicalId) {
      await context.bus.call(context.caller, 'cloudformation', 'DeleteStack', { StackName: physicalId });
      const stack = await settled(context, physicalId).catch((error: unknown) => {
        if (error instanceof AwsError && error.code === 'ValidationError') return undefined;
        throw error;
      });
      if (stack === undefined || stack.StackStatus === 'DELETE_COMPLETE') return;
      throw new ResourceFailure(
        `Embedded stack ${physicalId} was not successfully deleted: ${stack.StackStatusReason ?? ''}`,
        null,
      );
    },
  };
}

/** What creating and updating have in common; the parent's capabilities hold for its parts. */
async function inputOf(env: Environment, context: ResourceContext, properties: Properties) {
  const parent = await findStack(env, context.caller, context.stackId);
  const own = (properties['Tags'] ?? []) as readonly { readonly Key: string; readonly Value: string }[];
  const given = Object.entries(context.tags ?? {}).filter(([key]) => !own.some(({ Key }) => Key === key));
  return {
    TemplateURL: properties['TemplateURL'] as string,
    Parameters: Object.entries((properties['Parameters'] ?? {}) as Record<string, string>).map(
      ([ParameterKey, ParameterValue]) => ({ ParameterKey, ParameterValue }),
    ),
    Capabilities: (parent?.record.setup.capabilities ?? []) as never,
    Tags: [...own, ...given.map(([Key, Value]) => ({ Key, Value }))],
    ClientRequestToken: context.clientToken,
  };
}

async function settled(context: ResourceContext, arn: string): Promise<Stack> {
  for (let waitMs = 20; ; waitMs = Math.min(500, waitMs * 1.5)) {
    const input = { StackName: arn };
    const { Stacks = [] } = await context.bus.call(context.caller, 'cloudformation', 'DescribeStacks', input);
    const [stack] = Stacks;
    if (stack !== undefined && !stack.StackStatus.endsWith('_IN_PROGRESS')) return stack;
    await context.sleep(Math.round(waitMs));
  }
}

function stateOf(stack: Stack): ResourceState {
  const outputs = (stack.Outputs ?? []).map(({ OutputKey, OutputValue }) => [`Outputs.${OutputKey}`, OutputValue]);
  return { physicalId: stack.StackId as string, attributes: Object.fromEntries(outputs) };
}

/** Why the stack began to roll back. */
async function firstReason(context: ResourceContext, arn: string, status: string): Promise<string> {
  const input = { StackName: arn };
  const { StackEvents = [] } = await context.bus.call(context.caller, 'cloudformation', 'DescribeStackEvents', input);
  const event = StackEvents.find((e) => e.PhysicalResourceId === arn && e.ResourceStatus === status);
  return (event?.ResourceStatusReason ?? '').replace('Rollback requested by user.', '').trim();
}
