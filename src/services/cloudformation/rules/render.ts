import type { Change } from '../../../deploy/plan.ts';
import type { Output } from '../../../platform/context.ts';
import type { ChangeSetRecord, EventRecord, ResourceRow, StackRecord, StackSetup } from '../state.ts';

type Described<K extends 'DescribeStacks' | 'DescribeStackEvents' | 'DescribeStackResources' | 'DescribeChangeSet'> =
  Output<'cloudformation', K>;
type Stack = NonNullable<Described<'DescribeStacks'>['Stacks']>[number];
type StackEvent = NonNullable<Described<'DescribeStackEvents'>['StackEvents']>[number];
type StackResource = NonNullable<Described<'DescribeStackResources'>['StackResources']>[number];
type ShownChange = NonNullable<Described<'DescribeChangeSet'>['Changes']>[number];
type StackSummary = NonNullable<Output<'cloudformation', 'ListStacks'>['StackSummaries']>[number];
type ChangeSetSummary = NonNullable<Output<'cloudformation', 'ListChangeSets'>['Summaries']>[number];

const notChecked = { StackDriftStatus: 'NOT_CHECKED' } as const;

export function shownStack(stack: StackRecord): Stack {
  const { setup } = stack;
  return {
    StackId: stack.arn,
    StackName: stack.name,
    ChangeSetId: stack.changeSetArn,
    Description: setup.description,
    Parameters: setup.parameters.length === 0 ? undefined : shownParameters(setup),
    CreationTime: stack.createdAtMs,
    DeletionTime: stack.deletedAtMs,
    LastUpdatedTime: stack.updatedAtMs,
    RollbackConfiguration: {},
    StackStatus: stack.status as Stack['StackStatus'],
    StackStatusReason: stack.reason,
    DisableRollback: stack.disableRollback,
    NotificationARNs: setup.notificationArns,
    TimeoutInMinutes: stack.timeoutMinutes,
    Capabilities: setup.capabilities.length === 0 ? undefined : (setup.capabilities as Stack['Capabilities']),
    Outputs:
      stack.outputs.length === 0
        ? undefined
        : stack.outputs.map(({ key, value, description, exportName }) => ({
            OutputKey: key,
            OutputValue: value,
            Description: description,
            ExportName: exportName,
          })),
    RoleARN: setup.roleArn,
    Tags: setup.tags,
    EnableTerminationProtection: stack.terminationProtection,
    ParentId: stack.parentArn,
    RootId: stack.rootArn,
    DriftInformation: notChecked,
  };
}

export function shownParameters({ parameters }: Pick<StackSetup, 'parameters'>): NonNullable<Stack['Parameters']> {
  return parameters.map(({ key, text, resolvedText, noEcho }) => ({
    ParameterKey: key,
    ParameterValue: noEcho ? '****' : text,
    ResolvedValue: noEcho ? undefined : resolvedText,
  }));
}

export function stackSummary(stack: StackRecord): StackSummary {
  return {
    StackId: stack.arn,
    StackName: stack.name,
    TemplateDescription: stack.setup.description,
    CreationTime: stack.createdAtMs,
    LastUpdatedTime: stack.updatedAtMs,
    DeletionTime: stack.deletedAtMs,
    StackStatus: stack.status as StackSummary['StackStatus'],
    StackStatusReason: stack.reason,
    ParentId: stack.parentArn,
    RootId: stack.rootArn,
    DriftInformation: notChecked,
  };
}

export function shownEvent(stack: StackRecord, event: EventRecord): StackEvent {
  return {
    StackId: stack.arn,
    EventId: event.id,
    StackName: stack.name,
    LogicalResourceId: event.logicalId,
    PhysicalResourceId: event.physicalId,
    ResourceType: event.type,
    Timestamp: event.atMs,
    ResourceStatus: event.status as StackEvent['ResourceStatus'],
    ResourceStatusReason: event.reason,
    ResourceProperties: event.properties,
    ClientRequestToken: event.clientToken,
  };
}

export function shownResource(stack: StackRecord, row: ResourceRow): StackResource {
  return {
    StackName: stack.name,
    StackId: stack.arn,
    LogicalResourceId: row.logicalId,
    PhysicalResourceId: row.physicalId === '' ? undefined : row.physicalId,
    ResourceType: row.type,
    Timestamp: row.atMs,
    ResourceStatus: row.status as StackResource['ResourceStatus'],
    ResourceStatusReason: row.reason,
    DriftInformation: { StackResourceDriftStatus: 'NOT_CHECKED' },
  };
}

export function shownChange(change: Change, withValues: boolean): ShownChange {
  const modifies = change.action === 'Modify';
  const context = (properties: Change['before']): string | undefined =>
    withValues && properties !== undefined ? JSON.stringify({ Properties: properties }) : undefined;
  return {
    Type: 'Resource',
    ResourceChange: {
      PolicyAction: policyAction(change),
      Action: change.action,
      LogicalResourceId: change.logicalId,
      PhysicalResourceId: change.physicalId === '' ? undefined : change.physicalId,
      ResourceType: change.type,
      Replacement: change.replacement,
      Scope: modifies ? ['Properties'] : [],
      Details: modifies ? change.changedProperties.map((name) => detail(change, name)) : [],
      BeforeContext: context(change.before),
      AfterContext: context(change.after),
    },
  };
}

export function changeSetSummary(stack: StackRecord, set: ChangeSetRecord): ChangeSetSummary {
  return {
    StackId: stack.arn,
    StackName: stack.name,
    ChangeSetId: set.arn,
    ChangeSetName: set.name,
    ExecutionStatus: set.executionStatus,
    Status: set.status,
    StatusReason: set.reason,
    CreationTime: set.createdAtMs,
    Description: set.description,
    IncludeNestedStacks: false,
  };
}

function policyAction({
  action,
  policy,
}: Change):
  | 'Delete'
  | 'Retain'
  | 'Snapshot'
  | 'ReplaceAndDelete'
  | 'ReplaceAndRetain'
  | 'ReplaceAndSnapshot'
  | undefined {
  if (policy === undefined || policy === 'RetainExceptOnCreate') return undefined;
  return action === 'Remove' ? policy : `ReplaceAnd${policy}`;
}

function detail(change: Change, name: string) {
  const replaces = change.replacingProperties.some((path) => path.split('.')[0] === name);
  return {
    Target: {
      Attribute: 'Properties',
      Name: name,
      RequiresRecreation: replaces ? (change.replacement === 'Conditional' ? 'Conditionally' : 'Always') : 'Never',
    },
    Evaluation: change.replacement === 'Conditional' && replaces ? 'Dynamic' : 'Static',
    ChangeSource: 'DirectModification',
  } as const;
}
