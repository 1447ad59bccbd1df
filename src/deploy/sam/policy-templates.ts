/**
 * AWS SAM's policy templates, as published in the developer guide ("AWS SAM policy template list"); the order of actions,
 * which shows in the generated roles, is that of aws-sam-translator 1.110.0 (policy_templates.json).
 *
 * Each is `Name(Parameters)`, then its statements: `allow` actions (`=` before one that stands alone, not in a list),
 * `on` a resource or `on-each` of a list, `when` a condition. `*` and `=Parameter` are taken as they are; any other
 * resource is Fn::Sub text whose variables are the parameters, their first letter in lower case or not.
 */
export const policyTemplateTable = `
AMIDescribePolicy()
  allow ec2:DescribeImages
  on *
AWSSecretsManagerGetSecretValuePolicy(SecretArn)
  allow secretsmanager:GetSecretValue
  on \${secretArn}
AWSSecretsManagerRotationPolicy(FunctionName)
  allow secretsmanager:DescribeSecret secretsmanager:GetSecretValue secretsmanager:PutSecretValue
    secretsmanager:UpdateSecretVersionStage
  on arn:\${AWS::Partition}:secretsmanager:\${AWS::Region}:\${AWS::AccountId}:secret:*
  when StringEquals secretsmanager:resource/AllowRotationLambdaArn
    arn:\${AWS::Partition}:lambda:\${AWS::Region}:\${AWS::AccountId}:function:\${functionName}
  allow secretsmanager:GetRandomPassword
  on *
AcmGetCertificatePolicy(CertificateArn)
  allow acm:GetCertificate
  on \${certificateArn}
AthenaQueryPolicy(WorkGroupName)
  allow athena:ListWorkGroups athena:GetExecutionEngine athena:GetExecutionEngines athena:GetNamespace
    athena:GetCatalogs athena:GetNamespaces athena:GetTables athena:GetTable
  on *
  allow athena:StartQueryExecution athena:GetQueryResults athena:DeleteNamedQuery athena:GetNamedQuery
    athena:ListQueryExecutions athena:StopQueryExecution athena:GetQueryResultsStream athena:ListNamedQueries
    athena:CreateNamedQuery athena:GetQueryExecution athena:BatchGetNamedQuery athena:BatchGetQueryExecution
    athena:GetWorkGroup
  on arn:\${AWS::Partition}:athena:\${AWS::Region}:\${AWS::AccountId}:workgroup/\${workgroupName}
CloudFormationDescribeStacksPolicy()
  allow cloudformation:DescribeStacks
  on arn:\${AWS::Partition}:cloudformation:\${AWS::Region}:\${AWS::AccountId}:stack/*
CloudWatchDashboardPolicy()
  allow cloudwatch:GetDashboard cloudwatch:ListDashboards cloudwatch:PutDashboard cloudwatch:ListMetrics
  on *
CloudWatchDescribeAlarmHistoryPolicy()
  allow cloudwatch:DescribeAlarmHistory
  on *
CloudWatchPutMetricPolicy()
  allow cloudwatch:PutMetricData
  on *
CodeCommitCrudPolicy(RepositoryName)
  allow codecommit:GitPull codecommit:GitPush codecommit:CreateBranch codecommit:DeleteBranch codecommit:GetBranch
    codecommit:ListBranches codecommit:MergeBranchesByFastForward codecommit:MergeBranchesBySquash
    codecommit:MergeBranchesByThreeWay codecommit:UpdateDefaultBranch codecommit:BatchDescribeMergeConflicts
    codecommit:CreateUnreferencedMergeCommit codecommit:DescribeMergeConflicts codecommit:GetMergeCommit
    codecommit:GetMergeOptions codecommit:BatchGetPullRequests codecommit:CreatePullRequest
    codecommit:DescribePullRequestEvents codecommit:GetCommentsForPullRequest codecommit:GetCommitsFromMergeBase
    codecommit:GetMergeConflicts codecommit:GetPullRequest codecommit:ListPullRequests
    codecommit:MergePullRequestByFastForward codecommit:MergePullRequestBySquash
    codecommit:MergePullRequestByThreeWay codecommit:PostCommentForPullRequest
    codecommit:UpdatePullRequestDescription codecommit:UpdatePullRequestStatus codecommit:UpdatePullRequestTitle
    codecommit:DeleteFile codecommit:GetBlob codecommit:GetFile codecommit:GetFolder codecommit:PutFile
    codecommit:DeleteCommentContent codecommit:GetComment codecommit:GetCommentsForComparedCommit
    codecommit:PostCommentForComparedCommit codecommit:PostCommentReply codecommit:UpdateComment
    codecommit:BatchGetCommits codecommit:CreateCommit codecommit:GetCommit codecommit:GetCommitHistory
    codecommit:GetDifferences codecommit:GetObjectIdentifier codecommit:GetReferences codecommit:GetTree
    codecommit:GetRepository codecommit:UpdateRepositoryDescription codecommit:ListTagsForResource
    codecommit:TagResource codecommit:UntagResource codecommit:GetRepositoryTriggers
    codecommit:PutRepositoryTriggers codecommit:TestRepositoryTriggers codecommit:GetBranch codecommit:GetCommit
    codecommit:UploadArchive codecommit:GetUploadArchiveStatus codecommit:CancelUploadArchive
  on arn:\${AWS::Partition}:codecommit:\${AWS::Region}:\${AWS::AccountId}:\${repositoryName}
CodeCommitReadPolicy(RepositoryName)
  allow codecommit:GitPull codecommit:GetBranch codecommit:ListBranches codecommit:BatchDescribeMergeConflicts
    codecommit:DescribeMergeConflicts codecommit:GetMergeCommit codecommit:GetMergeOptions
    codecommit:BatchGetPullRequests codecommit:DescribePullRequestEvents codecommit:GetCommentsForPullRequest
    codecommit:GetCommitsFromMergeBase codecommit:GetMergeConflicts codecommit:GetPullRequest
    codecommit:ListPullRequests codecommit:GetBlob codecommit:GetFile codecommit:GetFolder codecommit:GetComment
    codecommit:GetCommentsForComparedCommit codecommit:BatchGetCommits codecommit:GetCommit
    codecommit:GetCommitHistory codecommit:GetDifferences codecommit:GetObjectIdentifier codecommit:GetReferences
    codecommit:GetTree codecommit:GetRepository codecommit:ListTagsForResource codecommit:GetRepositoryTriggers
    codecommit:TestRepositoryTriggers codecommit:GetBranch codecommit:GetCommit codecommit:GetUploadArchiveStatus
  on arn:\${AWS::Partition}:codecommit:\${AWS::Region}:\${AWS::AccountId}:\${repositoryName}
CodePipelineLambdaExecutionPolicy()
  allow codepipeline:PutJobSuccessResult codepipeline:PutJobFailureResult
  on *
CodePipelineReadOnlyPolicy(PipelineName)
  allow codepipeline:ListPipelineExecutions
  on arn:\${AWS::Partition}:codepipeline:\${AWS::Region}:\${AWS::AccountId}:\${pipelinename}
ComprehendBasicAccessPolicy()
  allow comprehend:BatchDetectKeyPhrases comprehend:DetectDominantLanguage comprehend:DetectEntities
    comprehend:BatchDetectEntities comprehend:DetectKeyPhrases comprehend:DetectSentiment
    comprehend:BatchDetectDominantLanguage comprehend:BatchDetectSentiment
  on *
CostExplorerReadOnlyPolicy()
  allow ce:GetCostAndUsage ce:GetDimensionValues ce:GetReservationCoverage ce:GetReservationPurchaseRecommendation
    ce:GetReservationUtilization ce:GetTags
  on *
DynamoDBBackupFullAccessPolicy(TableName)
  allow dynamodb:CreateBackup dynamodb:DescribeContinuousBackups
  on arn:\${AWS::Partition}:dynamodb:\${AWS::Region}:\${AWS::AccountId}:table/\${tableName}
  allow dynamodb:DeleteBackup dynamodb:DescribeBackup dynamodb:ListBackups
  on arn:\${AWS::Partition}:dynamodb:\${AWS::Region}:\${AWS::AccountId}:table/\${tableName}/backup/*
DynamoDBCrudPolicy(TableName)
  allow dynamodb:GetItem dynamodb:DeleteItem dynamodb:PutItem dynamodb:Scan dynamodb:Query dynamodb:UpdateItem
    dynamodb:BatchWriteItem dynamodb:BatchGetItem dynamodb:DescribeTable dynamodb:ConditionCheckItem
  on-each arn:\${AWS::Partition}:dynamodb:\${AWS::Region}:\${AWS::AccountId}:table/\${tableName}
    arn:\${AWS::Partition}:dynamodb:\${AWS::Region}:\${AWS::AccountId}:table/\${tableName}/index/*
DynamoDBReadPolicy(TableName)
  allow dynamodb:GetItem dynamodb:Scan dynamodb:Query dynamodb:BatchGetItem dynamodb:DescribeTable
  on-each arn:\${AWS::Partition}:dynamodb:\${AWS::Region}:\${AWS::AccountId}:table/\${tableName}
    arn:\${AWS::Partition}:dynamodb:\${AWS::Region}:\${AWS::AccountId}:table/\${tableName}/index/*
DynamoDBReconfigurePolicy(TableName)
  allow dynamodb:UpdateTable
  on arn:\${AWS::Partition}:dynamodb:\${AWS::Region}:\${AWS::AccountId}:table/\${tableName}
DynamoDBRestoreFromBackupPolicy(TableName)
  allow dynamodb:RestoreTableFromBackup
  on arn:\${AWS::Partition}:dynamodb:\${AWS::Region}:\${AWS::AccountId}:table/\${tableName}/backup/*
  allow dynamodb:PutItem dynamodb:UpdateItem dynamodb:DeleteItem dynamodb:GetItem dynamodb:Query dynamodb:Scan
    dynamodb:BatchWriteItem
  on arn:\${AWS::Partition}:dynamodb:\${AWS::Region}:\${AWS::AccountId}:table/\${tableName}
DynamoDBStreamReadPolicy(StreamName, TableName)
  allow dynamodb:DescribeStream dynamodb:GetRecords dynamodb:GetShardIterator
  on arn:\${AWS::Partition}:dynamodb:\${AWS::Region}:\${AWS::AccountId}:table/\${tableName}/stream/\${streamName}
  allow dynamodb:ListStreams
  on arn:\${AWS::Partition}:dynamodb:\${AWS::Region}:\${AWS::AccountId}:table/\${tableName}/stream/*
DynamoDBWritePolicy(TableName)
  allow dynamodb:PutItem dynamodb:UpdateItem dynamodb:BatchWriteItem
  on-each arn:\${AWS::Partition}:dynamodb:\${AWS::Region}:\${AWS::AccountId}:table/\${tableName}
    arn:\${AWS::Partition}:dynamodb:\${AWS::Region}:\${AWS::AccountId}:table/\${tableName}/index/*
EC2CopyImagePolicy(ImageId)
  allow ec2:CopyImage
  on arn:\${AWS::Partition}:ec2:\${AWS::Region}:\${AWS::AccountId}:image/\${imageId}
EC2DescribePolicy()
  allow ec2:DescribeRegions ec2:DescribeInstances
  on *
EFSWriteAccessPolicy(AccessPoint, FileSystem)
  allow elasticfilesystem:ClientMount elasticfilesystem:ClientWrite
  on arn:\${AWS::Partition}:elasticfilesystem:\${AWS::Region}:\${AWS::AccountId}:file-system/\${FileSystem}
  when StringEquals elasticfilesystem:AccessPointArn
    arn:\${AWS::Partition}:elasticfilesystem:\${AWS::Region}:\${AWS::AccountId}:access-point/\${AccessPoint}
EKSDescribePolicy()
  allow eks:DescribeCluster eks:ListClusters
  on *
EcsRunTaskPolicy(TaskDefinition)
  allow ecs:RunTask
  on arn:\${AWS::Partition}:ecs:\${AWS::Region}:\${AWS::AccountId}:task-definition/\${taskDefinition}
ElasticMapReduceAddJobFlowStepsPolicy(ClusterId)
  allow =elasticmapreduce:AddJobFlowSteps
  on arn:\${AWS::Partition}:elasticmapreduce:\${AWS::Region}:\${AWS::AccountId}:cluster/\${clusterId}
ElasticMapReduceCancelStepsPolicy(ClusterId)
  allow =elasticmapreduce:CancelSteps
  on arn:\${AWS::Partition}:elasticmapreduce:\${AWS::Region}:\${AWS::AccountId}:cluster/\${clusterId}
ElasticMapReduceModifyInstanceFleetPolicy(ClusterId)
  allow elasticmapreduce:ModifyInstanceFleet elasticmapreduce:ListInstanceFleets
  on arn:\${AWS::Partition}:elasticmapreduce:\${AWS::Region}:\${AWS::AccountId}:cluster/\${clusterId}
ElasticMapReduceModifyInstanceGroupsPolicy(ClusterId)
  allow elasticmapreduce:ModifyInstanceGroups elasticmapreduce:ListInstanceGroups
  on arn:\${AWS::Partition}:elasticmapreduce:\${AWS::Region}:\${AWS::AccountId}:cluster/\${clusterId}
ElasticMapReduceSetTerminationProtectionPolicy(ClusterId)
  allow =elasticmapreduce:SetTerminationProtection
  on arn:\${AWS::Partition}:elasticmapreduce:\${AWS::Region}:\${AWS::AccountId}:cluster/\${clusterId}
ElasticMapReduceTerminateJobFlowsPolicy(ClusterId)
  allow =elasticmapreduce:TerminateJobFlows
  on arn:\${AWS::Partition}:elasticmapreduce:\${AWS::Region}:\${AWS::AccountId}:cluster/\${clusterId}
ElasticsearchHttpPostPolicy(DomainName)
  allow es:ESHttpPost es:ESHttpPut
  on arn:\${AWS::Partition}:es:\${AWS::Region}:\${AWS::AccountId}:domain/\${domainName}/*
EventBridgePutEventsPolicy(EventBusName)
  allow =events:PutEvents
  on arn:\${AWS::Partition}:events:\${AWS::Region}:\${AWS::AccountId}:event-bus/\${eventBusName}
FilterLogEventsPolicy(LogGroupName)
  allow logs:FilterLogEvents
  on arn:\${AWS::Partition}:logs:\${AWS::Region}:\${AWS::AccountId}:log-group:\${logGroupName}:log-stream:*
FirehoseCrudPolicy(DeliveryStreamName)
  allow firehose:CreateDeliveryStream firehose:DeleteDeliveryStream firehose:DescribeDeliveryStream
    firehose:PutRecord firehose:PutRecordBatch firehose:UpdateDestination
  on arn:\${AWS::Partition}:firehose:\${AWS::Region}:\${AWS::AccountId}:deliverystream/\${deliveryStreamName}
FirehoseWritePolicy(DeliveryStreamName)
  allow firehose:PutRecord firehose:PutRecordBatch
  on arn:\${AWS::Partition}:firehose:\${AWS::Region}:\${AWS::AccountId}:deliverystream/\${deliveryStreamName}
KMSDecryptPolicy(KeyId)
  allow =kms:Decrypt
  on arn:\${AWS::Partition}:kms:\${AWS::Region}:\${AWS::AccountId}:key/\${keyId}
KMSEncryptPolicy(KeyId)
  allow =kms:Encrypt
  on arn:\${AWS::Partition}:kms:\${AWS::Region}:\${AWS::AccountId}:key/\${keyId}
KMSEncryptPolicy_v2(KeyId)
  allow kms:Encrypt kms:GenerateDataKey kms:GenerateDataKeyWithoutPlaintext kms:GenerateDataKeyPair
    kms:GenerateDataKeyPairWithoutPlaintext
  on arn:\${AWS::Partition}:kms:\${AWS::Region}:\${AWS::AccountId}:key/\${keyId}
KinesisCrudPolicy(StreamName)
  allow kinesis:AddTagsToStream kinesis:CreateStream kinesis:DecreaseStreamRetentionPeriod kinesis:DeleteStream
    kinesis:DescribeStream kinesis:DescribeStreamSummary kinesis:GetShardIterator
    kinesis:IncreaseStreamRetentionPeriod kinesis:ListTagsForStream kinesis:MergeShards kinesis:PutRecord
    kinesis:PutRecords kinesis:SplitShard kinesis:RemoveTagsFromStream
  on arn:\${AWS::Partition}:kinesis:\${AWS::Region}:\${AWS::AccountId}:stream/\${streamName}
KinesisStreamReadPolicy(StreamName)
  allow kinesis:ListStreams kinesis:DescribeLimits
  on arn:\${AWS::Partition}:kinesis:\${AWS::Region}:\${AWS::AccountId}:stream/*
  allow kinesis:DescribeStream kinesis:DescribeStreamSummary kinesis:GetRecords kinesis:GetShardIterator
  on arn:\${AWS::Partition}:kinesis:\${AWS::Region}:\${AWS::AccountId}:stream/\${streamName}
LambdaInvokePolicy(FunctionName)
  allow lambda:InvokeFunction
  on arn:\${AWS::Partition}:lambda:\${AWS::Region}:\${AWS::AccountId}:function:\${functionName}*
MobileAnalyticsWriteOnlyAccessPolicy()
  allow mobileanalytics:PutEvents
  on *
OrganizationsListAccountsPolicy()
  allow organizations:ListAccounts
  on *
PinpointEndpointAccessPolicy(PinpointApplicationId)
  allow mobiletargeting:GetEndpoint mobiletargeting:UpdateEndpoint mobiletargeting:UpdateEndpointsBatch
  on
    arn:\${AWS::Partition}:mobiletargeting:\${AWS::Region}:\${AWS::AccountId}:apps/\${pinpointApplicationId}/endpoints/*
PollyFullAccessPolicy(LexiconName)
  allow polly:GetLexicon polly:DeleteLexicon
  on-each arn:\${AWS::Partition}:polly:\${AWS::Region}:\${AWS::AccountId}:lexicon/\${lexiconName}
  allow polly:DescribeVoices polly:ListLexicons polly:PutLexicon polly:SynthesizeSpeech
  on-each arn:\${AWS::Partition}:polly:\${AWS::Region}:\${AWS::AccountId}:lexicon/*
RekognitionDetectOnlyPolicy()
  allow rekognition:DetectFaces rekognition:DetectLabels rekognition:DetectModerationLabels rekognition:DetectText
  on *
RekognitionFacesManagementPolicy(CollectionId)
  allow rekognition:IndexFaces rekognition:DeleteFaces rekognition:SearchFaces rekognition:SearchFacesByImage
    rekognition:ListFaces
  on arn:\${AWS::Partition}:rekognition:\${AWS::Region}:\${AWS::AccountId}:collection/\${collectionId}
RekognitionFacesPolicy()
  allow rekognition:CompareFaces rekognition:DetectFaces
  on *
RekognitionLabelsPolicy()
  allow rekognition:DetectLabels rekognition:DetectModerationLabels
  on *
RekognitionNoDataAccessPolicy(CollectionId)
  allow rekognition:CompareFaces rekognition:DetectFaces rekognition:DetectLabels rekognition:DetectModerationLabels
  on arn:\${AWS::Partition}:rekognition:\${AWS::Region}:\${AWS::AccountId}:collection/\${collectionId}
RekognitionReadPolicy(CollectionId)
  allow rekognition:ListCollections rekognition:ListFaces rekognition:SearchFaces rekognition:SearchFacesByImage
  on arn:\${AWS::Partition}:rekognition:\${AWS::Region}:\${AWS::AccountId}:collection/\${collectionId}
RekognitionWriteOnlyAccessPolicy(CollectionId)
  allow rekognition:CreateCollection rekognition:IndexFaces
  on arn:\${AWS::Partition}:rekognition:\${AWS::Region}:\${AWS::AccountId}:collection/\${collectionId}
Route53ChangeResourceRecordSetsPolicy(HostedZoneId)
  allow route53:ChangeResourceRecordSets
  on arn:\${AWS::Partition}:route53:::hostedzone/\${HostedZoneId}
S3CrudPolicy(BucketName)
  allow s3:GetObject s3:ListBucket s3:GetBucketLocation s3:GetObjectVersion s3:PutObject s3:PutObjectAcl
    s3:GetLifecycleConfiguration s3:PutLifecycleConfiguration s3:DeleteObject
  on-each arn:\${AWS::Partition}:s3:::\${bucketName} arn:\${AWS::Partition}:s3:::\${bucketName}/*
S3FullAccessPolicy(BucketName)
  allow s3:GetObject s3:GetObjectAcl s3:GetObjectVersion s3:PutObject s3:PutObjectAcl s3:DeleteObject
    s3:DeleteObjectTagging s3:DeleteObjectVersionTagging s3:GetObjectTagging s3:GetObjectVersionTagging
    s3:PutObjectTagging s3:PutObjectVersionTagging
  on-each arn:\${AWS::Partition}:s3:::\${bucketName}/*
  allow s3:ListBucket s3:GetBucketLocation s3:GetLifecycleConfiguration s3:PutLifecycleConfiguration
  on-each arn:\${AWS::Partition}:s3:::\${bucketName}
S3ReadPolicy(BucketName)
  allow s3:GetObject s3:ListBucket s3:GetBucketLocation s3:GetObjectVersion s3:GetLifecycleConfiguration
  on-each arn:\${AWS::Partition}:s3:::\${bucketName} arn:\${AWS::Partition}:s3:::\${bucketName}/*
S3WritePolicy(BucketName)
  allow s3:PutObject s3:PutObjectAcl s3:PutLifecycleConfiguration
  on-each arn:\${AWS::Partition}:s3:::\${bucketName} arn:\${AWS::Partition}:s3:::\${bucketName}/*
SESBulkTemplatedCrudPolicy(IdentityName)
  allow ses:GetIdentityVerificationAttributes ses:SendEmail ses:SendRawEmail ses:SendTemplatedEmail
    ses:SendBulkTemplatedEmail ses:VerifyEmailIdentity
  on arn:\${AWS::Partition}:ses:\${AWS::Region}:\${AWS::AccountId}:identity/\${identityName}
SESBulkTemplatedCrudPolicy_v2(IdentityName, TemplateName)
  allow ses:SendEmail ses:SendRawEmail ses:SendTemplatedEmail ses:SendBulkTemplatedEmail
  on-each arn:\${AWS::Partition}:ses:\${AWS::Region}:\${AWS::AccountId}:identity/\${identityName}
    arn:\${AWS::Partition}:ses:\${AWS::Region}:\${AWS::AccountId}:template/\${templateName}
  allow ses:GetIdentityVerificationAttributes ses:VerifyEmailIdentity
  on *
SESCrudPolicy(IdentityName)
  allow ses:GetIdentityVerificationAttributes ses:SendEmail ses:SendRawEmail ses:VerifyEmailIdentity
  on arn:\${AWS::Partition}:ses:\${AWS::Region}:\${AWS::AccountId}:identity/\${identityName}
SESEmailTemplateCrudPolicy()
  allow ses:CreateTemplate ses:GetTemplate ses:ListTemplates ses:UpdateTemplate ses:DeleteTemplate
    ses:TestRenderTemplate
  on *
SESSendBouncePolicy(IdentityName)
  allow ses:SendBounce
  on arn:\${AWS::Partition}:ses:\${AWS::Region}:\${AWS::AccountId}:identity/\${identityName}
SNSCrudPolicy(TopicName)
  allow sns:ListSubscriptionsByTopic sns:CreateTopic sns:SetTopicAttributes sns:Subscribe sns:Publish
  on arn:\${AWS::Partition}:sns:\${AWS::Region}:\${AWS::AccountId}:\${topicName}*
SNSPublishMessagePolicy(TopicName)
  allow sns:Publish
  on arn:\${AWS::Partition}:sns:\${AWS::Region}:\${AWS::AccountId}:\${topicName}
SQSPollerPolicy(QueueName)
  allow sqs:ChangeMessageVisibility sqs:ChangeMessageVisibilityBatch sqs:DeleteMessage sqs:DeleteMessageBatch
    sqs:GetQueueAttributes sqs:ReceiveMessage
  on arn:\${AWS::Partition}:sqs:\${AWS::Region}:\${AWS::AccountId}:\${queueName}
SQSSendMessagePolicy(QueueName)
  allow sqs:SendMessage*
  on arn:\${AWS::Partition}:sqs:\${AWS::Region}:\${AWS::AccountId}:\${queueName}
SSMParameterReadPolicy(ParameterName)
  allow ssm:DescribeParameters
  on *
  allow ssm:GetParameters ssm:GetParameter ssm:GetParametersByPath
  on arn:\${AWS::Partition}:ssm:\${AWS::Region}:\${AWS::AccountId}:parameter/\${parameterName}
SSMParameterWithSlashPrefixReadPolicy(ParameterName)
  allow ssm:DescribeParameters
  on *
  allow ssm:GetParameters ssm:GetParameter ssm:GetParametersByPath
  on arn:\${AWS::Partition}:ssm:\${AWS::Region}:\${AWS::AccountId}:parameter\${parameterName}
SageMakerCreateEndpointConfigPolicy(EndpointConfigName)
  allow sagemaker:CreateEndpointConfig
  on arn:\${AWS::Partition}:sagemaker:\${AWS::Region}:\${AWS::AccountId}:endpoint-config/\${endpointConfigName}
SageMakerCreateEndpointPolicy(EndpointName)
  allow sagemaker:CreateEndpoint
  on arn:\${AWS::Partition}:sagemaker:\${AWS::Region}:\${AWS::AccountId}:endpoint/\${endpointName}
ServerlessRepoReadWriteAccessPolicy()
  allow serverlessrepo:CreateApplication serverlessrepo:CreateApplicationVersion serverlessrepo:UpdateApplication
    serverlessrepo:GetApplication serverlessrepo:ListApplications serverlessrepo:ListApplicationVersions
    serverlessrepo:ListApplicationDependencies
  on-each arn:\${AWS::Partition}:serverlessrepo:\${AWS::Region}:\${AWS::AccountId}:applications/*
StepFunctionsCallbackPolicy(StateMachineName)
  allow states:SendTaskFailure states:SendTaskHeartbeat states:SendTaskSuccess
  on arn:\${AWS::Partition}:states:\${AWS::Region}:\${AWS::AccountId}:stateMachine:\${stateMachineName}
StepFunctionsExecutionPolicy(StateMachineName)
  allow states:StartExecution
  on arn:\${AWS::Partition}:states:\${AWS::Region}:\${AWS::AccountId}:stateMachine:\${stateMachineName}
StepFunctionsExecutionPolicy_v2(StateMachineName)
  allow states:StartExecution states:StartSyncExecution
  on arn:\${AWS::Partition}:states:\${AWS::Region}:\${AWS::AccountId}:stateMachine:\${stateMachineName}
TextractDetectAnalyzePolicy()
  allow textract:DetectDocumentText textract:StartDocumentTextDetection textract:StartDocumentAnalysis
    textract:AnalyzeDocument
  on *
TextractGetResultPolicy()
  allow textract:GetDocumentTextDetection textract:GetDocumentAnalysis
  on *
TextractPolicy()
  allow textract:*
  on *
VPCAccessPolicy()
  allow ec2:CreateNetworkInterface ec2:DeleteNetworkInterface ec2:DescribeNetworkInterfaces
    ec2:DetachNetworkInterface
  on *
`;
