import type { Handlers } from '../../../platform/service.ts';
import type { Environment } from '../environment.ts';
import { positionOf, prefixOf, readableIndex, readPage, wholeRange } from '../read-page.ts';
import {
  type QueryInput,
  resolveQuery,
  resolveScan,
  type ScanInput,
  validateQuery,
  validateScan,
  wrongSegment,
} from '../rules/reads.ts';
import { readInput } from '../rules/wire-values.ts';
import { rangeOf, segmentRange } from '../state.ts';

/** Query and Scan. */
export function readOperations(env: Environment): Handlers<'dynamodb'> {
  return {
    async Query(context, input) {
      const prepared = validateQuery(readInput<QueryInput>(input));
      const table = await env.tables.active(context, input.TableName);
      const source = resolveQuery(prepared, table.schema);
      const index = readableIndex(table, source);
      return readPage(env, {
        ...prepared,
        table,
        source,
        index,
        range: rangeOf(prefixOf(table, index), source.range),
        hash: source.range.hash,
        reverse: input.ScanIndexForward === false,
        limit: input.Limit,
        countOnly: input.Select === 'COUNT',
        capacityWanted: input.ReturnConsumedCapacity,
      });
    },

    async Scan(context, input) {
      const prepared = validateScan(readInput<ScanInput>(input));
      const table = await env.tables.active(context, input.TableName);
      const source = resolveScan(prepared, table.schema);
      const index = readableIndex(table, source);
      const { segment, totalSegments, startKey } = prepared;
      const isParallel = segment !== undefined && totalSegments !== undefined;
      const range = isParallel
        ? segmentRange(prefixOf(table, index), segment, totalSegments)
        : wholeRange(table, index);
      if (startKey !== undefined && isParallel) {
        const position = positionOf({ table, index }, startKey);
        const isInside = position.compare(range.start) >= 0 && position.compare(range.end) < 0;
        if (!isInside) throw wrongSegment(segment, totalSegments);
      }
      return readPage(env, {
        ...prepared,
        table,
        source,
        index,
        range,
        hash: undefined,
        reverse: false,
        limit: input.Limit,
        countOnly: input.Select === 'COUNT',
        capacityWanted: input.ReturnConsumedCapacity,
      });
    },
  };
}
