import { describe } from 'vitest';
import { atomicity } from './suite/atomicity.ts';
import { dueEntries } from './suite/due.ts';
import { keySpace } from './suite/keys.ts';
import { lifetime, watching } from './suite/lifetime.ts';
import { logs } from './suite/logs.ts';
import { againstTheModel } from './suite/model.ts';
import { snapshots } from './suite/snapshots.ts';
import type { OpenStore } from './suite/support.ts';

/** Every sentence of `contract.ts`, for one engine. */
export function storeContract(name: string, open: OpenStore): void {
  describe(`store contract: ${name}`, () => {
    keySpace(open);
    logs(open);
    watching(open);
    lifetime(open);
    atomicity(open);
    dueEntries(open);
    snapshots(open);
    againstTheModel(open);
  });
}
