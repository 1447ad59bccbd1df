import { decodeKey } from '../../kernel/store/keys.ts';
import type { Platform } from '../../platform/service.ts';
import { sweepJob } from './credentials.ts';
import { keys } from './state.ts';

const leaseMs = 60_000;
const perCommit = 500;

/** Temporary credentials that have ended are removed, by the job that was scheduled with the first of their hour. */
export function startWork({ agenda, store, clock }: Platform): void {
  agenda.handle(sweepJob, {
    concurrency: 1,
    leaseMs,
    run: async (job) => {
      for (;;) {
        const ended = await store.list(keys.sessionsEndedBy(clock.now()), { limit: perCommit });
        const finished = ended.length < perCommit;
        await store.commit({
          delete: ended.flatMap(({ key }) => [key, keys.session(String(decodeKey(key)[3]))]),
          ...(finished ? { settle: [job.done()] } : {}),
        });
        if (finished || job.signal.aborted) return;
      }
    },
  });
}
