import { spawnSync } from 'node:child_process';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readTar, type TarEntry } from './tar.ts';
import { padded, paxRecord, type TarMember, tar, tarHeader, temporaryFolder } from './test-support.ts';

async function* cut(bytes: Buffer, pieceBytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

type Read = Omit<TarEntry, 'content'> & { readonly text: string };

async function readAll(bytes: Buffer, pieceBytes = 700): Promise<Read[]> {
  const entries: Read[] = [];
  for await (const { content, ...entry } of readTar(cut(bytes, pieceBytes))) {
    const pieces: Buffer[] = [];
    for await (const piece of content()) pieces.push(Buffer.from(piece));
    entries.push({ ...entry, text: Buffer.concat(pieces).toString() });
  }
  return entries;
}

const damaged = /damaged/;

describe('reading tar', () => {
  it('gives back what was written, however the stream is cut', async () => {
    const part = fc.string({ unit: fc.constantFrom(...'abcäπ -_.'), minLength: 1, maxLength: 60 });
    const member = fc.record({
      path: fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/')),
      content: fc.string({ unit: 'binary', maxLength: 1500 }),
      mode: fc.integer({ min: 0, max: 0o7777 }),
      modifiedS: fc.integer({ min: 0, max: 2 ** 33 - 1 }),
      uid: fc.integer({ min: 0, max: 0o7777777 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(member, { maxLength: 6 }),
        fc.integer({ min: 1, max: 2000 }),
        async (members, pieceBytes) => {
          const entries = await readAll(tar(members), pieceBytes);
          expect(
            entries.map(({ path, text, mode, modifiedMs, uid }) => ({ path, text, mode, modifiedMs, uid })),
          ).toEqual(
            members.map(({ path, content, mode, modifiedS, uid }) => ({
              path,
              text: content,
              mode,
              modifiedMs: modifiedS * 1000,
              uid,
            })),
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  it('skips content that nobody reads', async () => {
    const bytes = tar([
      { path: 'large', content: Buffer.alloc(5000, 'x') },
      { path: 'next', content: 'y' },
    ]);
    const seen: string[] = [];
    for await (const entry of readTar(cut(bytes, 333))) seen.push(entry.path);
    expect(seen).toEqual(['large', 'next']);
  });

  it('reads what GNU tar writes in each of its formats, long names and links among it', async () => {
    const folder = await temporaryFolder();
    const long = `${'d'.repeat(90)}/${'e'.repeat(90)}`;
    await mkdir(join(folder, 'in', long), { recursive: true });
    await writeFile(join(folder, 'in', long, 'file'), 'deep');
    await symlink('t'.repeat(150), join(folder, 'in', 'link'));
    for (const format of ['gnu', 'pax', 'ustar']) {
      const members = format === 'ustar' ? [long] : [long, 'link'];
      const made = spawnSync('tar', [
        `--format=${format}`,
        '-cf',
        join(folder, format),
        '-C',
        join(folder, 'in'),
        ...members,
      ]);
      expect(made.stderr.toString()).toBe('');
      const entries = await readAll(await readFile(join(folder, format)));
      expect(entries.find(({ path }) => path === `${long}/file`)?.text).toBe('deep');
      if (format !== 'ustar') expect(entries.find(({ path }) => path === 'link')?.target).toBe('t'.repeat(150));
    }
  });

  it('takes sizes in base 256 and from extended headers, and an archive without an end', async () => {
    const header = tarHeader({ path: 'pax', flag: 'x', sizeBytes: Buffer.byteLength(paxRecord('size', '3')) });
    const own = tarHeader({ path: 'f', flag: '0', sizeBytes: 0 });
    const bytes = Buffer.concat([header, padded(Buffer.from(paxRecord('size', '3'))), own, padded(Buffer.from('abc'))]);
    expect((await readAll(bytes))[0]).toMatchObject({ path: 'f', sizeBytes: 3, text: 'abc' });
    expect(await readAll(tar([{ path: 'f', content: 'abc' }], false))).toHaveLength(1);
  });

  it('refuses archives that end too early, wherever they are cut inside an entry', async () => {
    const bytes = tar([{ path: 'f', content: Buffer.alloc(1500, 'x') }], false);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: bytes.length - 1 }), async (length) => {
        await expect(readAll(bytes.subarray(0, length))).rejects.toThrow(damaged);
      }),
      { numRuns: 40 },
    );
  });

  it('refuses what is no archive, a changed header, sparse files and unknown types', async () => {
    await expect(readAll(Buffer.alloc(2048, 'a'))).rejects.toThrow(damaged);
    const changed = tar([{ path: 'name', content: 'x' }]);
    changed[0] = 0x4e;
    await expect(readAll(changed)).rejects.toThrow(/checksum/);
    await expect(readAll(tarHeader({ path: 's', flag: 'S', sizeBytes: 0 }))).rejects.toThrow(/sparse/);
    const record = paxRecord('GNU.sparse.major', '1');
    const sparse = [tarHeader({ path: 'pax', flag: 'x', sizeBytes: record.length }), padded(Buffer.from(record))];
    await expect(
      readAll(Buffer.concat([...sparse, tarHeader({ path: 's', flag: '0', sizeBytes: 0 })])),
    ).rejects.toThrow(/sparse/);
    await expect(readAll(tarHeader({ path: 'f', flag: 'M', sizeBytes: 0 }))).rejects.toThrow(damaged);
  });

  it('never fails otherwise than by saying that the archive is damaged', async () => {
    const good = tar([
      { path: 'a/b', content: 'xyz' },
      { path: 'l', type: 'symlink', target: 'a' } satisfies TarMember,
    ]);
    const change = fc.tuple(fc.integer({ min: 0, max: good.length - 1 }), fc.integer({ min: 0, max: 255 }));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 5 }), async (changes) => {
        const bytes = Buffer.from(good);
        for (const [at, value] of changes) bytes[at] = value;
        await readAll(bytes).catch((error: unknown) => expect(error).toMatchObject({ name: 'ImageError' }));
      }),
      { numRuns: 200 },
    );
  });
});
