import type { Key, KeyRange } from '../../kernel/store/contract.ts';
import { encodeKey, extendKey, prefixRange } from '../../kernel/store/keys.ts';
import type { TableRecord } from './state.ts';

/**
 * Backups, and what items were, on disk. A suffix is an item's key without what its table's keys begin with.
 *
 * | key | value |
 * | dynamodb b account region backup  | BackupRecord |
 * | dynamodb bi backup + suffix       | an item of a backup, in its stored form |
 * | dynamodb ex account region export | ExportRecord; the items copied for it stand as a backup's |
 * | dynamodb cp table copy            | empty: a copy of the table is being made, which may be deleted meanwhile |
 * | log: dynamodb h table since       | what items were before each change (rules/history.ts) |
 */
export interface BackupRecord {
  /** `01489173575360-b308cd7d`: when it was asked for, and chance. */
  readonly id: string;
  readonly name: string;
  readonly type: 'USER' | 'SYSTEM';
  readonly status: 'CREATING' | 'AVAILABLE';
  readonly createdAtMs: number;
  readonly expiresAtMs?: number;
  readonly count: number;
  readonly bytes: number;
  /** As it was. */
  readonly table: TableRecord;
}

export interface ExportRecord {
  readonly id: string;
  readonly arn: string;
  readonly tableArn: string;
  readonly tableId: string;
  readonly status: 'IN_PROGRESS' | 'COMPLETED' | 'FAILED';
  readonly startedAtMs: number;
  readonly endedAtMs?: number;
  readonly atMs: number;
  readonly count?: number;
  readonly bytes?: number;
  /** The key of its summary. */
  readonly manifest?: string;
  readonly failure?: { readonly code: string; readonly message: string };
  readonly input: {
    readonly bucket: string;
    readonly prefix?: string;
    readonly bucketOwner?: string;
    readonly encryption?: 'AES256' | 'KMS';
    readonly kmsKey?: string;
    readonly clientToken?: string;
  };
}

const exported = encodeKey('dynamodb', 'ex');
const backups = encodeKey('dynamodb', 'b');
const backupItems = encodeKey('dynamodb', 'bi');
const copies = encodeKey('dynamodb', 'cp');
const histories = encodeKey('dynamodb', 'h');

export function backupKey(account: string, region: string, id: string): Key {
  return extendKey(backups, account, region, id);
}

export function backupsOf(account: string, region: string): KeyRange {
  return prefixRange(extendKey(backups, account, region));
}

/** Begins the keys of a backup's items. */
export function itemsOfBackup(id: string): Key {
  return extendKey(backupItems, id);
}

export function copyKey(tableId: number, copy: string): Key {
  return extendKey(copies, tableId, copy);
}

/** The copies of a table that are being made. */
export function copiesOf(tableId: number): KeyRange {
  return prefixRange(extendKey(copies, tableId));
}

export function historyLog(tableId: number, sinceMs: number): Key {
  return extendKey(histories, tableId, sinceMs);
}

export function exportKey(account: string, region: string, id: string): Key {
  return extendKey(exported, account, region, id);
}

export function exportsOf(account: string, region: string): KeyRange {
  return prefixRange(extendKey(exported, account, region));
}

export function encodeExport(record: ExportRecord): Buffer {
  return Buffer.from(JSON.stringify(record), 'utf8');
}

export function decodeExport(value: Buffer): ExportRecord {
  return JSON.parse(value.toString('utf8')) as ExportRecord;
}

export function encodeBackup(record: BackupRecord): Buffer {
  return Buffer.from(JSON.stringify(record), 'utf8');
}

export function decodeBackup(value: Buffer): BackupRecord {
  return JSON.parse(value.toString('utf8')) as BackupRecord;
}
