import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import type { TestCloudOptions } from '../support/cloud.ts';
import { run, startClientCloud } from './support.ts';

/** Each script asserts for itself; whatever it finds wrong ends it with a traceback. */
const scripts: readonly (readonly [string, TestCloudOptions])[] = [
  ['sqs', {}],
  ['fifo', {}],
  ['dynamodb', {}],
  ['streams', {}],
  ['functions', {}],
  ['streaming', {}],
  ['signatures', { auth: 'signed' }],
  ['policies', { auth: 'enforced' }],
];

it.each(scripts)('boto3 finds AWS in %s', async (script, options) => {
  const cloud = await startClientCloud(options);
  try {
    const root = await cloud.cloud.platform.credentials.root();
    const { code, stderr } = await run(
      'python',
      ['-B', '-W', 'error::DeprecationWarning:__main__', fileURLToPath(new URL(`boto3/${script}.py`, import.meta.url))],
      {
        cwd: cloud.folder,
        env: { ...cloud.environment, ROOT_KEY: root.accessKeyId, ROOT_SECRET: root.secretAccessKey },
      },
    );
    expect(stderr).toBe('');
    expect(code).toBe(0);
  } finally {
    await cloud.close();
  }
});
