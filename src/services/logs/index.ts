import { defineService } from '../../platform/service.ts';
import { eventOperations } from './operations/events.ts';
import { groupOperations } from './operations/groups.ts';
import { streamOperations } from './operations/streams.ts';
import { resourceTypes } from './resources.ts';
import { touchedResource } from './rules/authorization.ts';
import { startWork } from './work.ts';

/** CloudWatch Logs: groups, streams and their events. */
export const logs = defineService({
  name: 'logs',
  create: (platform) => ({
    operations: { ...groupOperations(platform), ...streamOperations(platform), ...eventOperations(platform) },
    authorization: touchedResource,
    resourceTypes,
    start: () => startWork(platform),
  }),
});
