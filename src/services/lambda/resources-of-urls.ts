import type { Properties, ResourceType } from '../../platform/resource-type.ts';
import { AwsError } from '../../wire/errors.ts';
import type {
  CreateFunctionUrlConfigRequest,
  CreateFunctionUrlConfigResponse,
  UpdateFunctionUrlConfigRequest,
} from '../../wire/types/lambda.ts';
import { asInput, call, ifMissing, textOf } from './resource-support.ts';

/** https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-url.html; Ref gives the function's ARN. */
export const urlType: ResourceType = {
  typeName: 'AWS::Lambda::Url',
  properties: ['AuthType', 'Cors', 'InvokeMode', 'Qualifier', 'TargetFunctionArn'],
  required: ['AuthType', 'TargetFunctionArn'],
  createOnly: ['Qualifier', 'TargetFunctionArn'],
  shapes: {
    Cors: {
      AllowCredentials: 'boolean',
      AllowHeaders: ['string'],
      AllowMethods: ['string'],
      AllowOrigins: ['string'],
      ExposeHeaders: ['string'],
      MaxAge: 'integer',
    },
  },
  attributeNames: ['FunctionArn', 'FunctionUrl'],
  async create(context, properties) {
    const input = inputOf(properties);
    try {
      return stateOf(await call(context, 'CreateFunctionUrlConfig', input));
    } catch (error) {
      // An earlier attempt at this step made it.
      const made = error instanceof AwsError && error.code === 'ResourceConflictException' && context.retried === true;
      if (!made) throw error;
      return stateOf(await call(context, 'UpdateFunctionUrlConfig', input));
    }
  },
  async update(context, _physicalId, properties) {
    const input: UpdateFunctionUrlConfigRequest = inputOf(properties);
    // What the template no longer says goes back to what it is by itself.
    return stateOf(
      await call(context, 'UpdateFunctionUrlConfig', {
        ...input,
        Cors: input.Cors ?? {},
        InvokeMode: input.InvokeMode ?? 'BUFFERED',
      }),
    );
  },
  async delete(context, _physicalId, properties) {
    const { FunctionName, Qualifier } = inputOf(properties);
    await call(context, 'DeleteFunctionUrlConfig', { FunctionName, Qualifier }).catch(ifMissing(undefined));
  },
};

function inputOf({ TargetFunctionArn, ...others }: Properties): CreateFunctionUrlConfigRequest {
  const rest = asInput<Omit<CreateFunctionUrlConfigRequest, 'FunctionName'>>(others);
  return { ...rest, FunctionName: textOf(TargetFunctionArn)! };
}

function stateOf({ FunctionArn, FunctionUrl }: CreateFunctionUrlConfigResponse) {
  return { physicalId: FunctionArn, attributes: { FunctionArn, FunctionUrl } };
}
