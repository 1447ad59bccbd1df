import { defineService } from '../../platform/service.ts';
import { streamOperations } from './operations.ts';

interface Touched {
  readonly StreamArn?: string;
  readonly ShardIterator?: string;
}

/** Amazon DynamoDB Streams: the API of the streams that services/dynamodb keeps. */
export const dynamodbstreams = defineService({
  name: 'dynamodbstreams',
  create: (platform) => ({
    operations: streamOperations(platform),
    authorization: (_operation, input) => {
      const { StreamArn, ShardIterator } = input as Touched;
      const resource = StreamArn ?? ShardIterator?.split('|')[0];
      return resource === undefined ? undefined : { resource };
    },
    resourcePolicy: async (resource) => platform.streams.tables?.policyOf(resource),
  }),
});
