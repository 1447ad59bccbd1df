/** The /etc of sandboxes: what programs look up there, and nothing that tells of this machine or its users. */
import { execFile } from 'node:child_process';
import { cp, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const names = [
  ...[
    'alternatives',
    'ca-certificates',
    'ca-certificates.conf',
    'crypto-policies',
    'fonts',
    'ld.so.cache',
    'ld.so.conf',
  ],
  ...['ld.so.conf.d', 'localtime', 'mime.types', 'nsswitch.conf', 'pki', 'protocols', 'services', 'ssl', 'terminfo'],
];
const privateFolders = ['ssl/private', 'pki/private', 'pki/tls/private'];
/** Those of interpreters, whatever their version. */
const families = /^(java|python|ruby|perl|dotnet|openssl)/;

/**
 * Copies, one for each name server: to bind a whole folder costs a fraction of binding every entry (each is a mount, and bubblewrap reads
 * the table of mounts for each).
 */
export class SandboxEtc {
  readonly #folder: string;
  readonly #files: Readonly<Record<string, string>>;
  readonly #made = new Map<string, Promise<string>>();

  /** `folder` is this run's alone. */
  constructor(folder: string, userId: string, groupId: string) {
    this.#folder = folder;
    this.#files = {
      passwd: `root:x:0:0:root:/root:/bin/sh\nsbx_user1051:x:${userId}:${groupId}::/home/sbx_user1051:/sbin/nologin\n`,
      group: `root:x:0:\nsbx_user1051:x:${groupId}:\n`,
      hosts: '127.0.0.1 localhost sandbox sandbox.localdomain sandbox.local\n::1 localhost\n',
    };
  }

  /** The folder to be seen as /etc. `host`: with this machine's own name servers; `none`: with none. */
  with(nameServer: string): Promise<string> {
    let made = this.#made.get(nameServer);
    if (made === undefined) {
      made = this.#make(nameServer);
      this.#made.set(nameServer, made);
      made.catch(() => this.#made.delete(nameServer));
    }
    return made;
  }

  async #make(nameServer: string): Promise<string> {
    const etc = join(this.#folder, `etc-${nameServer}`);
    await mkdir(etc, { recursive: true });
    const there = (await readdir('/etc')).filter((name) => names.includes(name) || families.test(name));
    await copy(
      there.map((name) => join('/etc', name)),
      etc,
    );
    // Private keys are nobody's business.
    for (const name of privateFolders) await rm(join(etc, name), { recursive: true, force: true });
    for (const [name, text] of Object.entries(this.#files)) await writeFile(join(etc, name), text);
    const resolver = join(etc, 'resolv.conf');
    if (nameServer === 'host')
      await cp('/etc/resolv.conf', resolver, { dereference: true }).catch(() => writeFile(resolver, ''));
    else if (nameServer === 'none') await writeFile(resolver, '# no name server: this sandbox has no way out\n');
    else await writeFile(resolver, `nameserver ${nameServer}\n`);
    return etc;
  }
}

/** With the machine's own `cp`: hundreds of certificates are a millisecond's work to it. What this user may not read is left out. */
function copy(paths: readonly string[], folder: string): Promise<void> {
  return new Promise((resolve) => {
    execFile('cp', ['-RP', ...paths, folder], { timeout: 30_000 }, () => resolve());
  });
}
