/**
 * UpdateTable, after the check against the API model and before the table is looked at: what may be asked for together.
 * Texts: dynalite's validations/updateTable.js, run against AWS; ack-api-quirks, finding DDB-TABLE-442, recorded on AWS in October 2026.
 */
import type { UpdateTableInput } from '../../../wire/types/dynamodb.ts';
import { checkEncryption } from './encryption.ts';
import { invalidParameter, RuleError } from './errors.ts';
import { checkOnDemandBounds } from './provisioning.ts';
import { checkBounds } from './tables.ts';

/** Throws RuleError. */
export function validateUpdateTable(input: UpdateTableInput): void {
  const asked = askedFor(input);
  if (asked.length === 0) {
    throw new RuleError(
      'At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates, ' +
        'SSESpecification, ReplicaUpdates, MultiAccountReplicaReady, ReplicaTransitRoleArn, MultiRegionConsistency, ' +
        'DeletionProtectionEnabled, OnDemandThroughput, WarmThroughput or TableClass is required',
    );
  }
  checkAlone(input, asked);
  if (input.BillingMode === 'PROVISIONED' && input.ProvisionedThroughput === undefined) {
    throw invalidParameter('ProvisionedThroughput must be specified when BillingMode is PROVISIONED');
  }
  checkBounds(input.ProvisionedThroughput);
  checkOnDemandBounds(input.OnDemandThroughput);
  checkEncryption(input.SSESpecification);
  checkStream(input);
  checkIndexUpdates(input);
}

type Asked =
  | 'iops'
  | 'stream'
  | 'indexes'
  | 'onlineIndex'
  | 'sse'
  | 'replicas'
  | 'class'
  | 'protection'
  | 'maximum'
  | 'warm';

function askedFor(input: UpdateTableInput): readonly Asked[] {
  const updates = input.GlobalSecondaryIndexUpdates;
  const online = updates?.some(({ Create, Delete }) => Create !== undefined || Delete !== undefined);
  const present: readonly (readonly [Asked, unknown])[] = [
    ['iops', input.ProvisionedThroughput ?? input.BillingMode],
    ['stream', input.StreamSpecification],
    ['indexes', updates],
    ['onlineIndex', online === true ? true : undefined],
    ['sse', input.SSESpecification],
    [
      'replicas',
      input.ReplicaUpdates ??
        input.MultiRegionConsistency ??
        input.GlobalTableWitnessUpdates ??
        input.GlobalTableSettingsReplicationMode,
    ],
    ['class', input.TableClass],
    ['protection', input.DeletionProtectionEnabled],
    ['maximum', input.OnDemandThroughput],
    ['warm', input.WarmThroughput],
  ];
  return present.filter(([, value]) => value !== undefined).map(([name]) => name);
}

/** Most changes are made one at a time. */
function checkAlone(input: UpdateTableInput, asked: readonly Asked[]): void {
  const has = (one: Asked): boolean => asked.includes(one);
  const others = asked.filter((one) => one !== 'onlineIndex').length > 1;
  if (others && has('sse')) throw alone('Server-Side Encryption modification');
  if (others && has('class')) throw alone('TableClass modification');
  if (others && has('protection')) throw alone('DeletionProtection modification');
  if (others && has('replicas')) throw alone('Replica modification');
  if (others && has('warm')) {
    if (has('onlineIndex') && input.GlobalSecondaryIndexUpdates?.some(({ Create }) => Create !== undefined)) {
      throw invalidParameter('Create global secondary index cannot be specified when updating WarmThroughput');
    }
    throw invalidParameter('WarmThroughput must be the only operation in the request');
  }
  if (has('maximum') && asked.some((one) => one !== 'maximum' && one !== 'iops')) {
    throw invalidParameter('OnDemandThroughput can only be combined with BillingMode in an UpdateTable request');
  }
  if (has('stream') && has('iops')) throw invalidParameter('You cannot modify stream status while updating table IOPS');
  if (has('onlineIndex') && input.ProvisionedThroughput !== undefined && input.BillingMode === undefined) {
    throw invalidParameter('You cannot create or delete index while updating table IOPS');
  }
  if (has('onlineIndex') && has('stream')) {
    throw invalidParameter('You cannot create or delete index while changing stream status');
  }
}

function alone(what: string): RuleError {
  return invalidParameter(`${what} must be the only operation in the request`);
}

function checkStream({ StreamSpecification: stream }: UpdateTableInput): void {
  if (stream?.StreamEnabled === true && stream.StreamViewType === undefined) {
    throw invalidParameter('If stream is being enabled then UpdateViewType is required');
  }
  if (stream?.StreamEnabled === false && stream.StreamViewType !== undefined) {
    throw invalidParameter('If stream is being disabled, then UpdateViewType must not be specified');
  }
}

function checkIndexUpdates({ GlobalSecondaryIndexUpdates: updates }: UpdateTableInput): void {
  if (updates === undefined) return;
  const names = new Set<string>();
  for (const update of updates) {
    const actions = [update.Update, update.Create, update.Delete].filter((action) => action !== undefined);
    const [action] = actions;
    if (action === undefined) {
      throw invalidParameter(
        'One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, ' +
          'GlobalSecondaryIndexUpdate.Delete must not be null',
      );
    }
    if (actions.length > 1) {
      throw invalidParameter('Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate object');
    }
    if (names.has(action.IndexName)) {
      throw invalidParameter(
        `Only one global secondary index update per index is allowed simultaneously. Index: ${action.IndexName}`,
      );
    }
    names.add(action.IndexName);
  }
}
