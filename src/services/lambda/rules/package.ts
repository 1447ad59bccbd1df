import { crc32, deflateRawSync } from 'node:zlib';
import { AwsError } from '../../../wire/errors.ts';
import { lambdaLimits } from '../limits.ts';

/**
 * A package that comes in the request itself has a bound of its own. Wording: LocalStack's recorded AWS responses
 * (test_oversized_zipped_create_lambda).
 */
export function checkZippedSize(zip: Uint8Array): void {
  if (zip.byteLength <= lambdaLimits.zippedBytes.value) return;
  throw new AwsError('RequestEntityTooLargeException', 'Zipped size must be smaller than 52428800 bytes', {
    status: 413,
  });
}

const entrySignature = 0x02014b50;
const endSignature = 0x06054b50;
const endBytes = 22;

/** A zip of small text files, the same bytes for the same files: what CloudFormation makes of code written in a template. */
export function zipFiles(files: Readonly<Record<string, string>>): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, text] of Object.entries(files)) {
    const nameBytes = Buffer.from(name, 'utf8');
    const content = Buffer.from(text, 'utf8');
    const packed = deflateRawSync(content);
    // Version 2.0, names in UTF-8, deflated, 1980-01-01 00:00.
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(0x0800, 2);
    common.writeUInt16LE(8, 4);
    common.writeUInt16LE(0x0021, 8);
    common.writeUInt32LE(crc32(content), 10);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(content.length, 18);
    common.writeUInt16LE(nameBytes.length, 22);
    parts.push(word(0x04034b50), common, nameBytes, packed);
    const tail = Buffer.alloc(14);
    // A regular file, readable by everyone; where its local header stands.
    tail.writeUInt32LE((0o100644 << 16) >>> 0, 6);
    tail.writeUInt32LE(offset, 10);
    directory.push(word(entrySignature), Buffer.from([20, 3]), common, tail, nameBytes);
    offset += 4 + common.length + nameBytes.length + packed.length;
  }
  const listing = Buffer.concat(directory);
  const end = Buffer.alloc(endBytes);
  const count = Object.keys(files).length;
  end.writeUInt32LE(endSignature, 0);
  end.writeUInt16LE(count, 8);
  end.writeUInt16LE(count, 10);
  end.writeUInt32LE(listing.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, listing, end]);
}

function word(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(value);
  return out;
}
