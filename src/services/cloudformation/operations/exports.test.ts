import {
  CancelUpdateStackCommand,
  ContinueUpdateRollbackCommand,
  CreateStackCommand,
  DeleteStackCommand,
  ListExportsCommand,
  ListImportsCommand,
  RollbackStackCommand,
  UpdateStackCommand,
} from '@aws-sdk/client-cloudformation';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AwsError } from '../../../wire/errors.ts';
import { type StackCloud, startStackCloud } from '../stack-cloud.test-support.ts';

let stacks: StackCloud;

beforeAll(async () => {
  stacks = await startStackCloud();
});

afterAll(() => stacks.close());

const exporting =
  'Resources: { A: { Type: AWS::SQS::Queue } }\nOutputs: { Arn: { Value: !GetAtt A.Arn, Export: { Name: shared } } }';
const importing = `Resources:
  B:
    Type: AWS::SQS::Queue
    Properties: { RedrivePolicy: { deadLetterTargetArn: !ImportValue shared, maxReceiveCount: 2 } }
`;

async function create(StackName: string, TemplateBody: string, rest = {}) {
  await stacks.client.send(new CreateStackCommand({ StackName, TemplateBody, ...rest }));
  return stacks.settled(StackName);
}

async function update(StackName: string, TemplateBody: string) {
  await stacks.client.send(new UpdateStackCommand({ StackName, TemplateBody }));
  return stacks.settled(StackName);
}

describe('exports', () => {
  it('are shared, unique, and kept while they are imported', async () => {
    await create('giver', exporting);
    const taker = await create('taker', importing);
    expect(taker.StackStatus).toBe('CREATE_COMPLETE');
    const { Exports = [] } = await stacks.client.send(new ListExportsCommand({}));
    expect(Exports).toEqual([
      {
        ExportingStackId: expect.stringContaining('stack/giver/'),
        Name: 'shared',
        Value: expect.stringMatching(/^arn:aws:sqs/),
      },
    ]);
    expect((await stacks.client.send(new ListImportsCommand({ ExportName: 'shared' }))).Imports).toEqual(['taker']);

    expect((await create('rival', exporting)).StackStatus).toBe('ROLLBACK_COMPLETE');
    expect(await stacks.events('rival')).toContain(
      'rival ROLLBACK_IN_PROGRESS (Export with name shared is already exported by stack giver. Rollback requested by user.)',
    );
    const without = 'Resources: { A: { Type: AWS::SQS::Queue } }';
    expect((await update('giver', without)).StackStatus).toBe('UPDATE_ROLLBACK_COMPLETE');
    expect(await stacks.events('giver')).toContain(
      'giver UPDATE_ROLLBACK_IN_PROGRESS (Export shared cannot be deleted as it is in use by taker. )',
    );
    await stacks.client.send(new DeleteStackCommand({ StackName: 'giver' }));
    expect(await stacks.settled('giver')).toMatchObject({
      StackStatus: 'UPDATE_ROLLBACK_COMPLETE',
      StackStatusReason: 'Export shared cannot be deleted as it is in use by taker',
    });

    await stacks.client.send(new DeleteStackCommand({ StackName: 'taker' }));
    await gone('taker');
    await expect(stacks.client.send(new ListImportsCommand({ ExportName: 'shared' }))).rejects.toThrow(
      "Export 'shared' is not imported by any stack.",
    );
    expect((await update('giver', without)).StackStatus).toBe('UPDATE_COMPLETE');
    expect((await stacks.client.send(new ListExportsCommand({}))).Exports ?? []).toEqual([]);
  });

  it('that are missing fail the resource that asks for them', async () => {
    expect((await create('lonely', importing)).StackStatus).toBe('ROLLBACK_COMPLETE');
    expect(await stacks.events('lonely')).toContain('B CREATE_FAILED (No export named shared found.)');
  });
});

describe('recovery', () => {
  it('rolls back a stack whose creation was left as it failed', async () => {
    const bad =
      'Resources: { A: { Type: AWS::SQS::Queue }, B: { Type: AWS::SQS::Queue, DependsOn: A, Properties: { DelaySeconds: 9999 } } }';
    const failed = await create('stuck', bad, { DisableRollback: true });
    expect([failed.StackStatus, failed.DisableRollback]).toEqual(['CREATE_FAILED', true]);
    await stacks.client.send(new RollbackStackCommand({ StackName: 'stuck' }));
    expect((await stacks.settled('stuck')).StackStatus).toBe('ROLLBACK_COMPLETE');
    expect(await stacks.events('stuck')).toContain('A DELETE_COMPLETE');
    await expect(stacks.client.send(new RollbackStackCommand({ StackName: 'stuck' }))).rejects.toThrow(
      /is in ROLLBACK_COMPLETE state and can not be rolled back\.$/,
    );
  });

  it('goes on from a failure with a corrected template', async () => {
    const bad =
      'Resources: { A: { Type: AWS::SQS::Queue }, B: { Type: AWS::SQS::Queue, DependsOn: A, Properties: { DelaySeconds: 9999 } } }';
    await create('again', bad, { OnFailure: 'DO_NOTHING' });
    const fixed = await update('again', bad.replace('9999', '9'));
    expect(fixed.StackStatus).toBe('UPDATE_COMPLETE');
  });

  it.each([
    ['tried again', []],
    ['left as it is', ['A']],
  ])('continues a rollback that has failed, the resource %s', async (_how, ResourcesToSkip) => {
    const { bus } = stacks.cloud.cloud.platform;
    const call = bus.call.bind(bus);
    let changes = 0;
    bus.call = (caller, service, operation, input) => {
      // The change goes through, its taking back does not.
      const fails =
        operation === 'SetQueueAttributes' && (changes++ === 1 || (changes > 1 && ResourcesToSkip.length > 0));
      return fails
        ? Promise.reject(new AwsError('ServiceUnavailable', 'not now'))
        : call(caller, service, operation, input);
    };
    const name = `half${ResourcesToSkip.length}`;
    const at = (delay: number, more = '') =>
      `Resources: { A: { Type: AWS::SQS::Queue, Properties: { DelaySeconds: ${delay} } }${more} }`;
    const bad = ', B: { Type: AWS::SQS::Queue, DependsOn: A, Properties: { DelaySeconds: 9999 } }';
    await create(name, at(1));
    const failed = await update(name, at(2, bad));
    expect([failed.StackStatus, failed.StackStatusReason]).toEqual([
      'UPDATE_ROLLBACK_FAILED',
      'The following resource(s) failed to update: [A]. ',
    ]);
    await stacks.client.send(new ContinueUpdateRollbackCommand({ StackName: name, ResourcesToSkip }));
    expect((await stacks.settled(name)).StackStatus).toBe('UPDATE_ROLLBACK_COMPLETE');
    bus.call = call;
    await expect(stacks.client.send(new ContinueUpdateRollbackCommand({ StackName: name }))).rejects.toThrow(
      /is in UPDATE_ROLLBACK_COMPLETE state and can not continue update rollback\.$/,
    );
  });

  it('cancels only an update that is under way', async () => {
    await expect(stacks.client.send(new CancelUpdateStackCommand({ StackName: 'again' }))).rejects.toThrow(
      'CancelUpdateStack cannot be called from current stack status',
    );
  });
});

async function gone(StackName: string): Promise<void> {
  for (;;) {
    try {
      await stacks.settled(StackName);
    } catch (error) {
      expect((error as Error).message).toBe(`Stack with id ${StackName} does not exist`);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
