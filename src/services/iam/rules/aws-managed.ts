/**
 * Policies that AWS owns: those that serverless templates attach, with the permissions that AWS's reference lists for them.
 * https://docs.aws.amazon.com/aws-managed-policy/latest/reference/
 *
 * ReadOnlyAccess is approximated: AWS lists thousands of actions, here it is every action that begins with a reading verb.
 * Another policy of AWS may be attached, too, and grants nothing.
 */
interface Grant {
  readonly actions: readonly string[];
  readonly resources?: readonly string[];
}

const writeLogs = ['logs:CreateLogGroup', 'logs:CreateLogStream', 'logs:PutLogEvents'];
const networkInterfaces = [
  'ec2:CreateNetworkInterface',
  'ec2:DescribeNetworkInterfaces',
  'ec2:DescribeSubnets',
  'ec2:DeleteNetworkInterface',
  'ec2:AssignPrivateIpAddresses',
  'ec2:UnassignPrivateIpAddresses',
];
const readingVerbs = ['BatchGet*', 'Describe*', 'Get*', 'List*', 'Lookup*', 'Query', 'Scan', 'Search*', 'View*'];

const grants: Readonly<Record<string, readonly Grant[]>> = {
  AdministratorAccess: [{ actions: ['*'] }],
  PowerUserAccess: [
    {
      actions: [
        'iam:CreateServiceLinkedRole',
        'iam:DeleteServiceLinkedRole',
        'iam:ListRoles',
        'organizations:Describe*',
      ],
    },
  ],
  ReadOnlyAccess: [{ actions: readingVerbs.map((verb) => `*:${verb}`) }],
  'service-role/AWSLambdaBasicExecutionRole': [{ actions: writeLogs }],
  'service-role/AWSLambdaSQSQueueExecutionRole': [
    { actions: ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes', ...writeLogs] },
  ],
  'service-role/AWSLambdaDynamoDBExecutionRole': [
    {
      actions: [
        'dynamodb:DescribeStream',
        'dynamodb:GetRecords',
        'dynamodb:GetShardIterator',
        'dynamodb:ListStreams',
        ...writeLogs,
      ],
    },
  ],
  'service-role/AWSLambdaKinesisExecutionRole': [
    {
      actions: [
        'kinesis:DescribeStream',
        'kinesis:DescribeStreamSummary',
        'kinesis:GetRecords',
        'kinesis:GetShardIterator',
        'kinesis:ListShards',
        'kinesis:ListStreams',
        'kinesis:SubscribeToShard',
        ...writeLogs,
      ],
    },
  ],
  'service-role/AWSLambdaVPCAccessExecutionRole': [{ actions: [...writeLogs, ...networkInterfaces] }],
  'service-role/AWSLambdaENIManagementAccess': [{ actions: networkInterfaces }],
  'service-role/AWSLambdaRole': [{ actions: ['lambda:InvokeFunction'] }],
  'service-role/AmazonAPIGatewayPushToCloudWatchLogs': [
    {
      actions: [
        ...writeLogs,
        'logs:DescribeLogGroups',
        'logs:DescribeLogStreams',
        'logs:GetLogEvents',
        'logs:FilterLogEvents',
      ],
    },
  ],
  AWSLambdaExecute: [
    { actions: ['logs:*'], resources: ['arn:aws:logs:*:*:*'] },
    { actions: ['s3:GetObject', 's3:PutObject'], resources: ['arn:aws:s3:::*'] },
  ],
  AWSLambdaInvocation_DynamoDB: [
    { actions: ['lambda:InvokeFunction'] },
    {
      actions: ['dynamodb:DescribeStream', 'dynamodb:GetRecords', 'dynamodb:GetShardIterator', 'dynamodb:ListStreams'],
    },
  ],
  AWSLambda_FullAccess: [
    { actions: ['lambda:*', 'logs:DescribeLogGroups', 'iam:GetRole', 'iam:ListRoles', 'iam:PassRole'] },
  ],
  AWSLambda_ReadOnlyAccess: [{ actions: ['lambda:Get*', 'lambda:List*', 'logs:DescribeLogGroups', 'iam:ListRoles'] }],
  AWSXRayDaemonWriteAccess: [
    {
      actions: [
        'xray:PutTraceSegments',
        'xray:PutTelemetryRecords',
        'xray:GetSamplingRules',
        'xray:GetSamplingTargets',
        'xray:GetSamplingStatisticSummaries',
      ],
    },
  ],
  CloudWatchLogsFullAccess: [{ actions: ['logs:*', 'cloudwatch:GenerateQuery'] }],
  CloudWatchLogsReadOnlyAccess: [
    {
      actions: [
        'logs:Describe*',
        'logs:Get*',
        'logs:List*',
        'logs:StartQuery',
        'logs:StopQuery',
        'logs:TestMetricFilter',
        'logs:FilterLogEvents',
        'logs:StartLiveTail',
        'logs:StopLiveTail',
      ],
    },
  ],
  AmazonSQSFullAccess: [{ actions: ['sqs:*'] }],
  AmazonSQSReadOnlyAccess: [
    {
      actions: [
        'sqs:GetQueueAttributes',
        'sqs:GetQueueUrl',
        'sqs:ListDeadLetterSourceQueues',
        'sqs:ListQueues',
        'sqs:ListMessageMoveTasks',
        'sqs:ListQueueTags',
      ],
    },
  ],
  AmazonDynamoDBFullAccess: [
    {
      actions: [
        'dynamodb:*',
        'dax:*',
        'application-autoscaling:*',
        'cloudwatch:*Alarm*',
        'iam:GetRole',
        'iam:ListRoles',
      ],
    },
  ],
  AmazonDynamoDBReadOnlyAccess: [
    {
      actions: [
        'dynamodb:BatchGetItem',
        'dynamodb:Describe*',
        'dynamodb:List*',
        'dynamodb:GetItem',
        'dynamodb:GetResourcePolicy',
        'dynamodb:Query',
        'dynamodb:Scan',
        'dynamodb:PartiQLSelect',
      ],
    },
  ],
  AmazonS3FullAccess: [{ actions: ['s3:*', 's3-object-lambda:*'] }],
  AmazonS3ReadOnlyAccess: [
    { actions: ['s3:Get*', 's3:List*', 's3:Describe*', 's3-object-lambda:Get*', 's3-object-lambda:List*'] },
  ],
  AmazonSNSFullAccess: [{ actions: ['sns:*'] }],
  AWSStepFunctionsFullAccess: [{ actions: ['states:*'] }],
  AmazonEventBridgeFullAccess: [{ actions: ['events:*', 'schemas:*', 'scheduler:*', 'pipes:*'] }],
  AmazonAPIGatewayInvokeFullAccess: [
    { actions: ['execute-api:Invoke', 'execute-api:ManageConnections'], resources: ['arn:aws:execute-api:*:*:*'] },
  ],
  AmazonAPIGatewayAdministrator: [{ actions: ['apigateway:*'], resources: ['arn:aws:apigateway:*::/*'] }],
  IAMFullAccess: [{ actions: ['iam:*', 'organizations:Describe*', 'organizations:List*'] }],
  IAMReadOnlyAccess: [{ actions: ['iam:Generate*', 'iam:Get*', 'iam:List*', 'iam:Simulate*'] }],
  SecretsManagerReadWrite: [{ actions: ['secretsmanager:*'] }],
  AmazonSSMReadOnlyAccess: [{ actions: ['ssm:Describe*', 'ssm:Get*', 'ssm:List*'] }],
};

/** PowerUserAccess is the one with a NotAction. */
const extras: Readonly<Record<string, readonly object[]>> = {
  PowerUserAccess: [{ Effect: 'Allow', NotAction: ['iam:*', 'organizations:*', 'account:*'], Resource: '*' }],
};

const prefix = 'arn:aws:iam::aws:policy/';

/** The document of one of AWS's policies, as JSON text; undefined for one that is not known here. */
export function awsManagedDocument(arn: string): string | undefined {
  const name = arn.startsWith(prefix) ? arn.slice(prefix.length) : '';
  const found = grants[name];
  if (found === undefined) return undefined;
  const statements = found.map(({ actions, resources = ['*'] }) => ({
    Effect: 'Allow',
    Action: actions,
    Resource: resources,
  }));
  return JSON.stringify({ Version: '2012-10-17', Statement: [...(extras[name] ?? []), ...statements] });
}

/** The ARNs of AWS's policies that are known here. */
export function awsManagedArns(): readonly string[] {
  return Object.keys(grants).map((name) => prefix + name);
}
