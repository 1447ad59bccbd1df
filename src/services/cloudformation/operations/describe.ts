import type { Handlers } from '../../../platform/service.ts';
import { type Environment, findStack, requireStack, requireStackWithId } from '../environment.ts';
import { foldRows } from '../events.ts';
import { limits } from '../limits.ts';
import { page, positionIn, tokenFor } from '../paging.ts';
import { invalid } from '../rules/errors.ts';
import type { Place } from '../rules/names.ts';
import { shownEvent, shownResource, shownStack, stackSummary } from '../rules/render.ts';
import { decode, type EventRecord, keys, type ResourceRow, readAll, type StackRecord } from '../state.ts';
import { loadProgress, loadResources } from '../work.ts';
import { latestOperation } from './stacks.ts';

export function describeOperations(env: Environment): Handlers<'cloudformation'> {
  const { store } = env.platform;
  return {
    async DescribeStacks(context, { StackName, NextToken }) {
      if (StackName !== undefined) {
        const { record } = await requireStackWithId(env, context, StackName);
        return { Stacks: [shownStack(record)] };
      }
      const all = (await stacksOf(env, context)).filter((stack) => stack.deletedAtMs === undefined);
      const { items, nextToken } = page(all, NextToken);
      return { Stacks: items.map(shownStack), NextToken: nextToken };
    },

    async ListStacks(context, { StackStatusFilter = [], NextToken }) {
      const filter: ReadonlySet<string> = new Set(StackStatusFilter);
      const all = (await stacksOf(env, context)).filter((stack) => filter.size === 0 || filter.has(stack.status));
      const { items, nextToken } = page(all, NextToken);
      return { StackSummaries: items.map(stackSummary), NextToken: nextToken };
    },

    async DescribeStackEvents(context, { StackName, NextToken }) {
      const { record: stack } = await requireStack(env, context, StackName);
      const log = keys.events(stack, stack.id);
      // The newest first: a token is the position before which the page ends.
      const end = NextToken === undefined ? await store.nextPosition(log) : positionIn(NextToken);
      const from = Math.max(1, end - limits.pageSize);
      const entries = end > from ? await store.readLog(log, from, end - from) : [];
      const events = entries.map((entry) => decode<EventRecord>(entry.value)).reverse();
      return {
        StackEvents: events.map((event) => shownEvent(stack, event)),
        NextToken: from > 1 ? tokenFor(from) : undefined,
      };
    },

    async DescribeStackResources(context, { StackName, LogicalResourceId, PhysicalResourceId }) {
      if (StackName === undefined && PhysicalResourceId === undefined) {
        throw invalid('One of StackName and PhysicalResourceId must be specified');
      }
      if (StackName !== undefined && PhysicalResourceId !== undefined) {
        throw invalid('StackName and PhysicalResourceId cannot both be specified');
      }
      const stack =
        StackName === undefined
          ? await stackOfResource(env, context, PhysicalResourceId as string)
          : (await requireStackWithId(env, context, StackName)).record;
      const rows = (await rowsOf(env, stack)).filter(
        (row) => LogicalResourceId === undefined || row.logicalId === LogicalResourceId,
      );
      return { StackResources: rows.map((row) => shownResource(stack, row)) };
    },

    async DescribeStackResource(context, { StackName, LogicalResourceId }) {
      const found = await findStack(env, context, StackName);
      // Texts: LocalStack's recording of test_stack_description_special_chars and test_describe_stack_resource.
      if (found === undefined) throw invalid(`Stack '${StackName}' does not exist`);
      const stack = found.record;
      const row = (await rowsOf(env, stack)).find(({ logicalId }) => logicalId === LogicalResourceId);
      if (row === undefined) throw invalid(`Resource ${LogicalResourceId} does not exist for stack ${stack.name}`);
      const { Timestamp, ...shown } = shownResource(stack, row);
      const { live } = await loadResources(store, stack, stack.resources);
      const metadata = live.find(({ logicalId }) => logicalId === LogicalResourceId)?.metadata;
      return {
        StackResourceDetail: {
          ...shown,
          LastUpdatedTimestamp: Timestamp,
          Metadata: metadata === undefined ? '{}' : JSON.stringify(metadata),
        },
      };
    },

    async ListStackResources(context, { StackName, NextToken }) {
      const { record: stack } = await requireStackWithId(env, context, StackName);
      const { items, nextToken } = page(await rowsOf(env, stack), NextToken);
      return {
        StackResourceSummaries: items.map((row) => {
          const { StackName: _name, StackId: _id, Timestamp, ...shown } = shownResource(stack, row);
          return { ...shown, LastUpdatedTimestamp: Timestamp };
        }),
        NextToken: nextToken,
      };
    },
  };
}

/** The stacks of an account and region, the newest first, deleted ones among them. */
async function stacksOf({ platform: { store } }: Environment, place: Place): Promise<readonly StackRecord[]> {
  const all = await readAll<StackRecord>(store, keys.stacks(place));
  return [...all].sort((a, b) => b.createdAtMs - a.createdAtMs || (a.id < b.id ? -1 : 1));
}

/** A stack's resources as they are at this moment, also in the middle of an operation; by logical id, as AWS lists them. */
async function rowsOf(env: Environment, stack: StackRecord): Promise<readonly ResourceRow[]> {
  const operation = await latestOperation(env, stack);
  if (operation === undefined || operation.ended) {
    return sorted((await loadResources(env.platform.store, stack, stack.resources)).rows);
  }
  const { base, journal } = await loadProgress(env, stack, operation);
  return sorted(foldRows(base.rows, journal));
}

function sorted(rows: readonly ResourceRow[]): readonly ResourceRow[] {
  return [...rows].sort((a, b) => (a.logicalId < b.logicalId ? -1 : 1));
}

async function stackOfResource(env: Environment, place: Place, physicalId: string): Promise<StackRecord> {
  for (const stack of await stacksOf(env, place)) {
    if (stack.deletedAtMs !== undefined) continue;
    if ((await rowsOf(env, stack)).some((row) => row.physicalId === physicalId)) return stack;
  }
  throw invalid(`Stack for ${physicalId} does not exist`);
}
