import { parseArn } from '../../platform/arn.ts';
import type { Caller } from '../../platform/context.ts';
import type { Platform } from '../../platform/service.ts';
import type { TargetHandler } from '../../platform/targets.ts';
import { queueDoesNotExist } from './errors.ts';

/** An event for a queue is sent to it as a message, in the name of whoever delivers. */
export function queueTarget(platform: Pick<Platform, 'bus' | 'endpoint'>): TargetHandler {
  return {
    async deliver(delivery) {
      const arn = parseArn(delivery.targetArn);
      if (arn === undefined) throw queueDoesNotExist();
      const caller: Caller = {
        account: delivery.account,
        region: arn.region,
        principal: delivery.principal,
        ...(delivery.trace === undefined ? {} : { trace: delivery.trace }),
      };
      const attributes = Object.entries(delivery.attributes ?? {});
      await platform.bus.call(caller, 'sqs', 'SendMessage', {
        QueueUrl: `${platform.endpoint()}/${arn.account}/${arn.resource}`,
        MessageBody: delivery.body,
        MessageGroupId: delivery.messageGroupId,
        MessageDeduplicationId: delivery.messageDeduplicationId,
        ...(attributes.length === 0
          ? {}
          : {
              MessageAttributes: Object.fromEntries(
                attributes.map(([name, { type, value }]) => [
                  name,
                  type === 'Binary'
                    ? { DataType: type, BinaryValue: Buffer.from(value, 'base64') }
                    : { DataType: type, StringValue: value },
                ]),
              ),
            }),
      });
    },
  };
}
