import type { Limit } from '../../kernel/limits/limits.ts';

const put = 'https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html';
const filter = 'https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html';
const get = 'https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html';
const quotas = 'https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html';

export const limits = {
  batchBytes: { name: 'PutLogEvents batch', value: 1_048_576, unit: 'bytes', source: put, adjustable: false },
  eventOverhead: { name: 'Overhead of an event', value: 26, unit: 'bytes', source: put, adjustable: false },
  eventBytes: { name: 'Event', value: 1_048_576, unit: 'bytes', source: put, adjustable: false },
  batchSpan: { name: 'Span of a batch', value: 86_400_000, unit: 'ms', source: put, adjustable: false },
  futureMs: { name: 'Too new', value: 7_200_000, unit: 'ms', source: put, adjustable: false },
  pastMs: { name: 'Too old', value: 1_209_600_000, unit: 'ms', source: put, adjustable: false },
  pageBytes: { name: 'Page of events', value: 1_048_576, unit: 'bytes', source: get, adjustable: false },
  pageEvents: { name: 'Events of a page', value: 10_000, unit: 'events', source: filter, adjustable: false },
  tagsPerGroup: { name: 'Tags of a group', value: 50, unit: 'tags', source: quotas, adjustable: false },
} as const satisfies Record<string, Limit>;

/** https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html */
export const retentionDays: readonly number[] = [
  1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
];

export const dayMs = 86_400_000;
