import type { Handlers } from '../../../platform/service.ts';
import { AwsError } from '../../../wire/errors.ts';
import type { Engine } from '../engine.ts';
import { lambdaLimits } from '../limits.ts';
import {
  conflict,
  functionArn,
  functionNotFound,
  invalidParameter,
  isVersionNumber,
  notFound,
  parseFunctionName,
  revisionMismatch,
} from '../rules/names.ts';
import { policyText, statementOf } from '../rules/policy.ts';
import { encode, type FunctionRecord, keys, type Place, type PolicyRecord, read, unchanged } from '../state.ts';
import { transact } from '../transaction.ts';
import { aliasNotFound, placeOf, stamped, storedFunction } from './support.ts';

type PermissionOperations = 'AddPermission' | 'RemovePermission' | 'GetPolicy';

/** Wording: LocalStack's recorded AWS responses (test_permission_exceptions, test_lambda_permission_revisions). */
export function permissionOperations(engine: Engine): Pick<Handlers<'lambda'>, PermissionOperations> {
  const { store, random } = engine.platform;
  return {
    async AddPermission(context, input) {
      const place = placeOf(context);
      const { name, qualifier = '' } = parseFunctionName(input.FunctionName, input.Qualifier, place);
      if (qualifier === '$LATEST') throw invalidParameter('We currently do not support adding policies for $LATEST.');
      const resource = functionArn(place, name, qualifier === '' ? undefined : qualifier);
      const statement = statementOf(input, resource);
      await transact(store, async () => {
        const stored = await storedFunction(engine, place, name);
        await checkQualifier(engine, place, name, qualifier);
        const key = keys.policy(place, name, qualifier);
        const policy = await read<PolicyRecord>(store, key);
        if (input.RevisionId !== undefined && input.RevisionId !== policy?.record.revisionId)
          throw revisionMismatch('GetPolicy');
        const statements = policy?.record.statements ?? [];
        if (statements.some(({ Sid }) => Sid === statement.Sid))
          throw conflict(
            `The statement id (${statement.Sid}) provided already exists. Please provide a new statement id, or remove the existing statement.`,
          );
        const next: PolicyRecord = { revisionId: random.uuid(), statements: [...statements, statement] };
        if (Buffer.byteLength(policyText(next)) > lambdaLimits.policyBytes.value)
          throw new AwsError(
            'PolicyLengthExceededException',
            `The final policy size (${Buffer.byteLength(policyText(next))}) is bigger than the limit (${lambdaLimits.policyBytes.value}).`,
            { fields: { Type: 'User' } },
          );
        const { check, set } = stamped(stored);
        return {
          commit: { checks: [check, unchanged(key, policy)], set: [set, { key, value: encode(next) }] },
          result: undefined,
        };
      });
      engine.directory.forget(place, name);
      return { Statement: JSON.stringify(statement) };
    },

    async RemovePermission(context, input) {
      const place = placeOf(context);
      const { name, qualifier = '' } = parseFunctionName(input.FunctionName, input.Qualifier, place);
      await transact(store, async () => {
        const stored = await read<FunctionRecord>(store, keys.function(place, name));
        if (stored === undefined) throw notFound(`No policy found for: ${functionArn(place, name)}`);
        const key = keys.policy(place, name, qualifier);
        const policy = await read<PolicyRecord>(store, key);
        if (policy === undefined) throw notFound('No policy is associated with the given resource.');
        if (input.RevisionId !== undefined && input.RevisionId !== policy.record.revisionId)
          throw revisionMismatch('GetPolicy');
        const statements = policy.record.statements.filter(({ Sid }) => Sid !== input.StatementId);
        if (statements.length === policy.record.statements.length)
          throw notFound(`Statement ${input.StatementId} is not found in resource policy.`);
        const { check, set } = stamped(stored);
        const checks = [check, unchanged(key, policy)];
        const next: PolicyRecord = { revisionId: random.uuid(), statements };
        const commit =
          statements.length === 0
            ? { checks, set: [set], delete: [key] }
            : { checks, set: [set, { key, value: encode(next) }] };
        return { commit, result: undefined };
      });
      engine.directory.forget(place, name);
    },

    async GetPolicy(context, input) {
      const place = placeOf(context);
      const { name, qualifier = '' } = parseFunctionName(input.FunctionName, input.Qualifier, place);
      await storedFunction(engine, place, name, qualifier === '' ? undefined : qualifier);
      const policy = await read<PolicyRecord>(
        store,
        keys.policy(place, name, qualifier === '$LATEST' ? '' : qualifier),
      );
      if (policy === undefined) throw notFound('The resource you requested does not exist.');
      return { Policy: policyText(policy.record), RevisionId: policy.record.revisionId };
    },
  };
}

async function checkQualifier(engine: Engine, place: Place, name: string, qualifier: string): Promise<void> {
  if (qualifier === '') return;
  const { store } = engine.platform;
  if (isVersionNumber(qualifier)) {
    if ((await store.get(keys.version(place, name, qualifier))) === undefined)
      throw functionNotFound(place, name, qualifier);
    return;
  }
  if ((await store.get(keys.alias(place, name, qualifier))) !== undefined) return;
  throw qualifier.includes('$') ? functionNotFound(place, name, qualifier) : aliasNotFound(place, name, qualifier);
}
