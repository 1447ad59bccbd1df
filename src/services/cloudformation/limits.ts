/**
 * Quotas of CloudFormation; none of these is adjustable. Those of one template (resources, parameters, outputs, mappings)
 * are the template reader's, in src/deploy/template.ts.
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
 */
export const limits = {
  /** Bytes of a template in the request itself. */
  templateBodyBytes: 51_200,
  /** Characters of a stack's name. */
  stackNameLength: 128,
  /** Tags of a stack. */
  tags: 50,
  /** Events, stacks, exports, change sets or changes in one answer. */
  pageSize: 100,
  /** A deleted stack can be looked at for this long. */
  deletedStackRetentionMs: 90 * 24 * 3_600_000,
} as const;
