import { parseArn } from '../../../platform/arn.ts';
import type { Handlers } from '../../../platform/service.ts';
import { commitOn, type Environment, type Place, untilCommitted } from '../environment.ts';
import { invalidParameter, RuleError } from '../rules/errors.ts';
import { encodeRecord, type InsightsRecord } from '../state.ts';
import type { Table } from '../tables.ts';

/**
 * What stands around tables on AWS: global tables, Contributor Insights, Kinesis destinations, imports. What is not here
 * answers 501 (README).
 */
export function surroundingOperations(env: Environment): Handlers<'dynamodb'> {
  const { clock } = env.platform;
  return {
    // The version of 2017, which AWS itself no longer makes (ack-api-quirks, finding DDB-TABLE-442).
    async CreateGlobalTable() {
      throw outdatedGlobalTables();
    },
    async UpdateGlobalTable() {
      throw outdatedGlobalTables();
    },
    async ListGlobalTables() {
      return { GlobalTables: [] };
    },
    async DescribeGlobalTable(_context, { GlobalTableName: name }) {
      throw globalTableNotFound(name);
    },
    async DescribeGlobalTableSettings(_context, { GlobalTableName: name }) {
      throw globalTableNotFound(name);
    },
    async UpdateGlobalTableSettings(_context, { GlobalTableName: name }) {
      throw globalTableNotFound(name);
    },
    async DescribeTableReplicaAutoScaling(context, input) {
      const { record } = await env.tables.require(context, input.TableName);
      return {
        TableAutoScalingDescription: { TableName: record.name, TableStatus: record.status, Replicas: [] },
      };
    },

    async UpdateContributorInsights(context, input) {
      const { TableName, IndexName, ContributorInsightsAction: action } = input;
      const mode = input.ContributorInsightsMode ?? 'ACCESSED_AND_THROTTLED_KEYS';
      await untilCommitted(async () => {
        const table = await insightsTable(env, context, TableName, IndexName);
        const { record } = table;
        checkActive(table, IndexName);
        const insights = {
          ...record.insights,
          [IndexName ?? '']: { isEnabled: action === 'ENABLE', mode, changedAtMs: clock.now() },
        };
        const result = await commitOn(env, [table], {
          checks: [table.check],
          set: [{ key: table.key, value: encodeRecord({ ...record, insights }) }],
        });
        if (!result.ok) return undefined;
        env.tables.forget(table);
        return table;
      });
      const status = action === 'ENABLE' ? ('ENABLING' as const) : ('DISABLING' as const);
      return { TableName, IndexName, ContributorInsightsStatus: status, ContributorInsightsMode: mode };
    },

    async DescribeContributorInsights(context, { TableName, IndexName }) {
      const { record } = await insightsTable(env, context, TableName, IndexName);
      const found = record.insights?.[IndexName ?? ''];
      return {
        TableName: record.name,
        IndexName,
        // The rules would stand in CloudWatch.
        ContributorInsightsRuleList: [],
        ContributorInsightsStatus: statusOf(found),
        ContributorInsightsMode: found?.mode,
        LastUpdateDateTime: found?.changedAtMs,
      };
    },

    async ListContributorInsights(context, { TableName, MaxResults, NextToken }) {
      const tables =
        TableName === undefined ? await env.tables.list(context) : [await env.tables.require(context, TableName)];
      const all = tables.flatMap(({ record }) =>
        Object.entries(record.insights ?? {}).map(([index, insights]) => ({
          TableName: record.name,
          IndexName: index === '' ? undefined : index,
          ContributorInsightsStatus: statusOf(insights),
          ContributorInsightsMode: insights.mode,
        })),
      );
      const start = NextToken === undefined ? 0 : Number.parseInt(NextToken, 10);
      if (!(start >= 0)) throw new RuleError('Invalid NextToken');
      const end = start + (MaxResults ?? env.limits.listPage);
      return {
        ContributorInsightsSummaries: all.slice(start, end),
        NextToken: end < all.length ? String(end) : undefined,
      };
    },

    async DescribeKinesisStreamingDestination(context, input) {
      const { record } = await env.tables.require(context, input.TableName);
      return { TableName: record.name, KinesisDataStreamDestinations: [] };
    },

    async ListImports(context, { TableArn }) {
      if (TableArn !== undefined) checkTableArn(context, TableArn);
      return { ImportSummaryList: [] };
    },
    async DescribeImport(_context, { ImportArn: arn }) {
      if (!/^table\/[^/]+\/import\/[^/]+$/.test(parseArn(arn)?.resource ?? ''))
        throw new RuleError('Invalid Import ARN');
      throw new RuleError(`Import not found: ${arn}`, 'ImportNotFoundException');
    },
  };
}

function outdatedGlobalTables(): RuleError {
  return invalidParameter(
    'DynamoDB global tables version 2017.11.29 is not supported. We recommend using DynamoDB global tables version ' +
      '2019.11.21, instead of version 2017.11.29 (Legacy).',
  );
}

function globalTableNotFound(name: string): RuleError {
  return new RuleError(
    `Global table not found: Global table with name: '${name}' does not exist.`,
    'GlobalTableNotFoundException',
  );
}

function checkTableArn(place: Place, text: string): void {
  const arn = parseArn(text);
  const isTable = arn?.service === 'dynamodb' && /^table\/[^/]+$/.test(arn.resource);
  if (!isTable || arn.region !== place.region) throw new RuleError('tableArn is not a valid ARN');
}

async function insightsTable(env: Environment, place: Place, name: string, index: string | undefined): Promise<Table> {
  const table = await env.tables.require(place, name);
  if (index === undefined || table.record.indexes.some((one) => one.name === index && one.kind === 'global'))
    return table;
  throw new RuleError(`Requested resource not found: Index: ${index} not found`, 'ResourceNotFoundException');
}

function checkActive({ record }: Table, index: string | undefined): void {
  const status = index === undefined ? record.status : record.indexes.find(({ name }) => name === index)?.status;
  if (status === 'ACTIVE' || (index === undefined && status === 'UPDATING')) return;
  const what = index === undefined ? 'TableStatus' : 'IndexStatus';
  throw new RuleError(
    'Table or Index is not in a valid state to update Key Access Insights: ' +
      `${what} must be ACTIVE to enable ContributorInsights.`,
  );
}

function statusOf(insights: InsightsRecord | undefined): 'ENABLED' | 'DISABLED' {
  return insights?.isEnabled === true ? 'ENABLED' : 'DISABLED';
}
