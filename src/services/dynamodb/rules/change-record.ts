/**
 * What a stream keeps of a change: four lines, the JSON of keys and images as it is stored, so that they are answered without being
 * parsed. Size by the examples of the developer guide ("Change data capture for DynamoDB Streams"): keys and images together.
 */
export type StreamView = 'NEW_IMAGE' | 'OLD_IMAGE' | 'NEW_AND_OLD_IMAGES' | 'KEYS_ONLY';

export interface ChangeRecord {
  readonly eventName: 'INSERT' | 'MODIFY' | 'REMOVE';
  readonly atMs: number;
  readonly sizeBytes: number;
  readonly isExpiry: boolean;
  /** JSON texts. */
  readonly keys: string;
  readonly newImage: string | undefined;
  readonly oldImage: string | undefined;
}

interface Image {
  readonly json: string;
  readonly sizeBytes: number;
}

/** The record of a change from `old` to `next`, one of which is there; `keys` alike. */
export function encodeChange(
  view: StreamView,
  atMs: number,
  keys: Image,
  old: Image | undefined,
  next: Image | undefined,
  isExpiry: boolean,
): Buffer {
  const newImage = view === 'NEW_IMAGE' || view === 'NEW_AND_OLD_IMAGES' ? next : undefined;
  const oldImage = view === 'OLD_IMAGE' || view === 'NEW_AND_OLD_IMAGES' ? old : undefined;
  const sizeBytes = keys.sizeBytes + (newImage?.sizeBytes ?? 0) + (oldImage?.sizeBytes ?? 0);
  const letter = old === undefined ? 'I' : next === undefined ? 'R' : 'M';
  const head = `${letter} ${atMs} ${sizeBytes}${isExpiry ? ' x' : ''}`;
  // JSON text holds no line breaks.
  return Buffer.from(`${head}\n${keys.json}\n${newImage?.json ?? ''}\n${oldImage?.json ?? ''}`, 'utf8');
}

export function decodeChange(value: Buffer): ChangeRecord {
  const [head, keys, newImage, oldImage] = value.toString('utf8').split('\n') as [string, string, string, string];
  const [letter, atMs, sizeBytes, expiry] = head.split(' ') as [keyof typeof names, string, string, string | undefined];
  return {
    eventName: names[letter],
    atMs: Number(atMs),
    sizeBytes: Number(sizeBytes),
    isExpiry: expiry === 'x',
    keys,
    newImage: newImage === '' ? undefined : newImage,
    oldImage: oldImage === '' ? undefined : oldImage,
  };
}

/** When it was written. */
export function timeOfChange(value: Buffer): number {
  return Number.parseInt(value.toString('latin1', 2, 2 + 16), 10);
}

const names = { I: 'INSERT', M: 'MODIFY', R: 'REMOVE' } as const;
