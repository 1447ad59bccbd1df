import type { Store } from '../../../kernel/store/contract.ts';
import type { ResourceState, ResourceType } from '../../../platform/resource-type.ts';
import { type AccessKeyRecord, keys, read } from '../state.ts';
import { iamOf, ignoreMissing, text } from './common.ts';

/** https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-iam-accesskey.html */
export function accessKeyType(store: Store): ResourceType {
  return {
    typeName: 'AWS::IAM::AccessKey',
    properties: ['Serial', 'Status', 'UserName'],
    required: ['UserName'],
    createOnly: ['Serial', 'UserName'],
    shapes: { Serial: 'integer', Status: 'string', UserName: 'string' },
    attributeNames: ['SecretAccessKey'],

    async create(context, properties) {
      const call = iamOf(context);
      const UserName = text(properties, 'UserName') ?? '';
      const { AccessKey } = await call('iam', 'CreateAccessKey', { UserName });
      await context.initiated?.(AccessKey.AccessKeyId);
      if (text(properties, 'Status') === 'Inactive')
        await call('iam', 'UpdateAccessKey', { UserName, AccessKeyId: AccessKey.AccessKeyId, Status: 'Inactive' });
      return {
        physicalId: AccessKey.AccessKeyId,
        attributes: { SecretAccessKey: AccessKey.SecretAccessKey },
      };
    },

    async update(context, accessKeyId, properties): Promise<ResourceState> {
      const Status = text(properties, 'Status') === 'Inactive' ? 'Inactive' : 'Active';
      const UserName = text(properties, 'UserName') ?? '';
      await iamOf(context)('iam', 'UpdateAccessKey', { UserName, AccessKeyId: accessKeyId, Status });
      // The API shows a secret only once; CloudFormation must still answer Fn::GetAtt after an update.
      const key = await read<AccessKeyRecord>(store, keys.accessKey(accessKeyId));
      return { physicalId: accessKeyId, attributes: { SecretAccessKey: key?.value.secret } };
    },

    async delete(context, accessKeyId, properties) {
      const UserName = text(properties, 'UserName') ?? '';
      const gone = iamOf(context)('iam', 'DeleteAccessKey', { UserName, AccessKeyId: accessKeyId });
      await gone.catch(ignoreMissing);
    },
  };
}
