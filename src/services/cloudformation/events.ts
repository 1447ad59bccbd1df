import type { JournalEntry, StackEvent } from '../../deploy/engine-state.ts';
import { isList, isObject, type Json, mapObject } from '../../deploy/json.ts';
import type { Commit } from '../../kernel/store/contract.ts';
import type { Place } from './rules/names.ts';
import {
  type EventRecord,
  encode,
  type JournalRecord,
  keys,
  type OperationRecord,
  type ResourceRow,
  type StoredParameter,
} from './state.ts';

/** Writes an operation's steps: the journal that the engine resumes from, and the events that people read. */
export class StepWriter {
  readonly #place: Place;
  readonly #stackId: string;
  readonly #operation: string;
  readonly #clientToken: string | undefined;
  readonly #secrets: readonly string[];
  /** The latest time in an event id, by what stands before it: ids are AWS's form and must differ. */
  readonly #latest = new Map<string, number>();

  constructor(place: Place, stackId: string, operation: Pick<OperationRecord, 'id' | 'clientToken' | 'setup'>) {
    this.#place = place;
    this.#stackId = stackId;
    this.#operation = operation.id;
    this.#clientToken = operation.clientToken;
    this.#secrets = secretsOf(operation.setup.parameters);
  }

  /** The appends that record an entry. */
  appends(entries: readonly JournalEntry[], atMs: number): NonNullable<Commit['append']> {
    const journal = keys.journal(this.#place, this.#stackId, this.#operation);
    const events = keys.events(this.#place, this.#stackId);
    return entries.flatMap((entry) => {
      const rows = entry.events.map((event) => rowOf(event, atMs));
      const record: JournalRecord = { change: entry.change, rows };
      return [
        { log: journal, value: encode(record) },
        ...entry.events.map((event) => ({ log: events, value: encode(this.#event(event, atMs)) })),
      ];
    });
  }

  #event({ properties, ...event }: StackEvent, atMs: number): EventRecord {
    const clientToken = this.#clientToken;
    return {
      ...event,
      id: this.#eventId(event, atMs),
      atMs,
      ...(properties !== undefined && { properties: JSON.stringify(hidden(properties, this.#secrets)) }),
      ...(clientToken !== undefined && { clientToken }),
    };
  }

  #eventId({ logicalId, status }: Pick<StackEvent, 'logicalId' | 'status'>, atMs: number): string {
    const before = `${logicalId}-${status}`;
    const unique = Math.max(atMs, (this.#latest.get(before) ?? 0) + 1);
    this.#latest.set(before, unique);
    return `${before}-${new Date(unique).toISOString()}`;
  }
}

/** How the stack's resources are shown after these steps. What a replacement has left over has events, and no row. */
export function foldRows(rows: readonly ResourceRow[], journal: readonly JournalRecord[]): readonly ResourceRow[] {
  const byId = new Map(rows.map((row) => [row.logicalId, row]));
  for (const record of journal) {
    for (const row of record.rows) {
      if (row.type === 'AWS::CloudFormation::Stack' && record.change.kind === 'stack') continue;
      const known = byId.get(row.logicalId);
      const leftOver = row.status.startsWith('DELETE_') && known !== undefined && known.physicalId !== row.physicalId;
      if (!leftOver) byId.set(row.logicalId, row);
    }
  }
  return [...byId.values()];
}

function rowOf({ logicalId, physicalId, type, status, reason }: StackEvent, atMs: number): ResourceRow {
  return { logicalId, physicalId, type, status, ...(reason !== undefined && { reason }), atMs };
}

/** The values of NoEcho parameters: they are shown nowhere. */
function secretsOf(parameters: readonly StoredParameter[]): readonly string[] {
  return parameters.filter(({ noEcho, text }) => noEcho && text !== '').map(({ text }) => text);
}

function hidden(value: Json, secrets: readonly string[]): Json {
  if (secrets.length === 0) return value;
  if (typeof value === 'string') return secrets.reduce((text, secret) => text.replaceAll(secret, '****'), value);
  if (isList(value)) return value.map((item) => hidden(item, secrets));
  return isObject(value) ? mapObject(value, (item) => hidden(item, secrets)) : value;
}
