import { counterValue } from '../../../kernel/store/contract.ts';
import { prefixRange } from '../../../kernel/store/keys.ts';
import type { Handlers } from '../../../platform/service.ts';
import type { Engine } from '../engine.ts';
import { lambdaLimits } from '../limits.ts';
import { checkReservation, unreservedConcurrency } from '../rules/concurrency.ts';
import { functionNotFound } from '../rules/names.ts';
import { type AccountRecord, encode, type FunctionRecord, keys, type Place, read, unchanged } from '../state.ts';
import { transact } from '../transaction.ts';
import { placeOf, stamped, storedFunction, unqualifiedName } from './support.ts';

type ConcurrencyOperations =
  | 'PutFunctionConcurrency'
  | 'GetFunctionConcurrency'
  | 'DeleteFunctionConcurrency'
  | 'GetAccountSettings';

export function concurrencyOperations(engine: Engine): Pick<Handlers<'lambda'>, ConcurrencyOperations> {
  const { store } = engine.platform;
  const reserve = async (place: Place, name: string, wanted: number | undefined): Promise<void> => {
    await transact(store, async () => {
      const stored = await read<FunctionRecord>(store, keys.function(place, name));
      if (stored === undefined) throw functionNotFound(place, name, '$LATEST');
      const accountKey = keys.account(place);
      const account = await read<AccountRecord>(store, accountKey);
      const before: AccountRecord = account?.record ?? { reserved: {} };
      const { [name]: _, ...others } = before.reserved;
      if (wanted !== undefined) checkReservation(before, stored.record, wanted, lambdaLimits.accountConcurrency.value);
      const reserved = wanted === undefined ? others : { ...others, [name]: wanted };
      const { reservedConcurrency: __, ...record } = stored.record;
      const next: FunctionRecord = wanted === undefined ? record : { ...record, reservedConcurrency: wanted };
      const { check, set } = stamped(stored, next);
      return {
        commit: {
          checks: [check, unchanged(accountKey, account)],
          set: [set, { key: accountKey, value: encode({ ...before, reserved }) }],
        },
        result: undefined,
      };
    });
    engine.directory.forget(place, name);
  };
  return {
    async PutFunctionConcurrency(context, input) {
      const place = placeOf(context);
      const name = unqualifiedName(input.FunctionName, place);
      await reserve(place, name, input.ReservedConcurrentExecutions);
      return { ReservedConcurrentExecutions: input.ReservedConcurrentExecutions };
    },

    async GetFunctionConcurrency(context, input) {
      const place = placeOf(context);
      const { record } = await storedFunction(engine, place, unqualifiedName(input.FunctionName, place));
      return { ReservedConcurrentExecutions: record.reservedConcurrency };
    },

    async DeleteFunctionConcurrency(context, input) {
      const place = placeOf(context);
      await reserve(place, unqualifiedName(input.FunctionName, place), undefined);
    },

    async GetAccountSettings(context) {
      const place = placeOf(context);
      const [account, bytes, functions] = await Promise.all([
        read<AccountRecord>(store, keys.account(place)),
        store.get(keys.codeBytes(place)),
        store.count(prefixRange(keys.functions(place))),
      ]);
      const pool = lambdaLimits.accountConcurrency.value;
      return {
        AccountLimit: {
          TotalCodeSize: lambdaLimits.codeStorageBytes.value,
          CodeSizeUnzipped: lambdaLimits.unzippedBytes.value,
          CodeSizeZipped: lambdaLimits.zippedBytes.value,
          ConcurrentExecutions: pool,
          UnreservedConcurrentExecutions: unreservedConcurrency(account?.record ?? { reserved: {} }, pool),
        },
        AccountUsage: { TotalCodeSize: counterValue(bytes?.value), FunctionCount: functions },
      };
    },
  };
}
