/**
 * GetItem, PutItem, UpdateItem and DeleteItem: what AWS refuses of a request, in its order, and the request made ready.
 *
 * Each operation has two steps, because AWS has: `validate…` looks at the request alone (after the wire's check against
 * the API model), then the table is found, then `check…` looks at both. Order: dynalite's validations/*.js and
 * actions/*.js, run against AWS.
 */
import type { Action, Path } from './ast.ts';
import { bindUpdate } from './bind-update.ts';
import { conditionalCheckFailed, RuleError } from './errors.ts';
import type { Predicate } from './evaluate.ts';
import {
  checkItemKeys,
  checkKey,
  checkScalarPaths,
  checkUpdatedIndexKeys,
  checkUpdateKeys,
  keyAttributes,
  type TableSchema,
} from './keys.ts';
import {
  type AttributeValueUpdate,
  actionsOfAttributeUpdates,
  type ConditionalOperator,
  checkAttributesToGet,
  conditionOfExpected,
  type ExpectedAttributeValue,
  LEGACY_WRONG_OPERAND,
} from './legacy.ts';
import { checkParameterMix, type ExpressionInput, placeholdersOf, predicateOf } from './parameters.ts';
import { bindProjection, compileProjection, type Projector } from './paths.ts';
import { applyUpdate, type UpdateResult } from './update.ts';
import { type AttributeMap, checkItemSize, type Item, validateAttributes } from './values.ts';

interface ConditionalInput extends ExpressionInput {
  readonly ConditionExpression?: string;
  readonly Expected?: Readonly<Record<string, ExpectedAttributeValue>>;
  readonly ConditionalOperator?: string;
  readonly ReturnValues?: string;
  readonly ReturnValuesOnConditionCheckFailure?: string;
}

export interface GetItemInput extends ExpressionInput {
  readonly Key: AttributeMap;
  readonly ProjectionExpression?: string;
  readonly AttributesToGet?: readonly string[];
}

export interface PutItemInput extends ConditionalInput {
  readonly Item: AttributeMap;
}

export interface DeleteItemInput extends ConditionalInput {
  readonly Key: AttributeMap;
}

export interface UpdateItemInput extends ConditionalInput {
  readonly Key: AttributeMap;
  readonly UpdateExpression?: string;
  readonly AttributeUpdates?: Readonly<Record<string, AttributeValueUpdate>>;
}

export interface PreparedGet {
  readonly key: Item;
  readonly paths: readonly Path[];
  /** Undefined if the whole item is wanted. */
  readonly project: Projector | undefined;
}

export interface PreparedPut {
  readonly item: Item;
  readonly condition: Predicate | undefined;
}

export interface PreparedDelete {
  readonly key: Item;
  readonly condition: Predicate | undefined;
}

export interface PreparedUpdate {
  readonly key: Item;
  readonly actions: readonly Action[];
  readonly isLegacy: boolean;
  readonly condition: Predicate | undefined;
}

/** Checks a GetItem request by itself. Throws RuleError. */
export function validateGetItem(input: GetItemInput): PreparedGet {
  const { ProjectionExpression, AttributesToGet } = input;
  if (ProjectionExpression === undefined && AttributesToGet === undefined && !hasPlaceholders(input)) {
    return { key: validateAttributes(input.Key), paths: [], project: undefined };
  }
  checkParameterMix(input, { ProjectionExpression }, { AttributesToGet });
  const key = validateAttributes(input.Key);
  checkAttributesToGet(AttributesToGet);
  const placeholders = placeholdersOf(input);
  const paths =
    ProjectionExpression === undefined
      ? (AttributesToGet ?? []).map((name) => [name])
      : bindProjection(ProjectionExpression, placeholders);
  placeholders.checkAllUsed();
  return { key, paths, project: paths.length === 0 ? undefined : compileProjection(paths) };
}

/** Checks a GetItem request against its table. Throws RuleError. */
export function checkGetItem(prepared: PreparedGet, table: TableSchema): void {
  checkKey(prepared.key, keyAttributes(table));
  checkScalarPaths(prepared.paths, table);
}

/** Checks a PutItem request by itself; numbers of the item become canonical. Throws RuleError. */
export function validatePutItem(input: PutItemInput): PreparedPut {
  const { ConditionExpression, Expected } = input;
  if (!isUnconditional(input)) checkParameterMix(input, { ConditionExpression }, { Expected });
  const item = validateAttributes(input.Item);
  checkReturnOldOnly(input.ReturnValues);
  checkItemSize(item);
  return { item, condition: conditionOf(input) };
}

/** Checks a PutItem request against its table: keys of the table and of its indexes. Throws RuleError. */
export function checkPutItem(prepared: PreparedPut, table: TableSchema): void {
  checkItemKeys(prepared.item, table);
}

/** Checks a DeleteItem request by itself. Throws RuleError. */
export function validateDeleteItem(input: DeleteItemInput): PreparedDelete {
  const { ConditionExpression, Expected } = input;
  if (!isUnconditional(input)) checkParameterMix(input, { ConditionExpression }, { Expected });
  const key = validateAttributes(input.Key);
  checkReturnOldOnly(input.ReturnValues);
  return { key, condition: conditionOf(input) };
}

/** Checks a DeleteItem request against its table. Throws RuleError. */
export function checkDeleteItem(prepared: PreparedDelete, table: TableSchema): void {
  checkKey(prepared.key, keyAttributes(table));
}

/** Checks an UpdateItem request by itself, its expression or its AttributeUpdates. Throws RuleError. */
export function validateUpdateItem(input: UpdateItemInput): PreparedUpdate {
  const { UpdateExpression, ConditionExpression, AttributeUpdates, Expected } = input;
  checkParameterMix(input, { UpdateExpression, ConditionExpression }, { AttributeUpdates, Expected });
  const key = validateAttributes(input.Key);
  const legacyActions = actionsOfAttributeUpdates(AttributeUpdates ?? {});
  const expected = conditionOfExpected(Expected, input.ConditionalOperator as ConditionalOperator | undefined);
  const placeholders = placeholdersOf(input);
  const actions = UpdateExpression === undefined ? legacyActions : bindUpdate(UpdateExpression, placeholders);
  const condition = predicateOf(ConditionExpression, placeholders, expected);
  placeholders.checkAllUsed();
  return { key, actions, isLegacy: UpdateExpression === undefined, condition };
}

/** Checks an UpdateItem request against its table: the key, and what it would do to keys. Throws RuleError. */
export function checkUpdateItem(prepared: PreparedUpdate, table: TableSchema): void {
  checkKey(prepared.key, keyAttributes(table));
  checkUpdateKeys(prepared.actions, table);
}

/**
 * Applies a checked update to the item there is (undefined: none) and checks what it made of index keys. The condition is
 * not looked at: see `checkCondition`, which comes first. Throws RuleError.
 */
export function updateItem(prepared: PreparedUpdate, old: Item | undefined, table: TableSchema): UpdateResult {
  const wrongOperand = prepared.isLegacy ? LEGACY_WRONG_OPERAND : undefined;
  const result = applyUpdate(prepared.actions, prepared.key, old, wrongOperand);
  if (result.item !== undefined) checkUpdatedIndexKeys(result.item, table);
  return result;
}

/**
 * Throws ConditionalCheckFailedException unless the item (undefined: none) satisfies the condition; the error carries
 * the item if `returnValues`, the request's ReturnValuesOnConditionCheckFailure, asks for it.
 */
export function checkCondition(condition: Predicate | undefined, item: Item | undefined, returnValues?: string): void {
  if (condition === undefined || condition(item ?? {})) return;
  throw conditionalCheckFailed(returnValues === 'ALL_OLD' ? item : undefined);
}

/** The usual request, which has nothing to be held against each other. */
function isUnconditional(input: ConditionalInput): boolean {
  const { ConditionExpression, Expected, ConditionalOperator } = input;
  return (
    ConditionExpression === undefined &&
    Expected === undefined &&
    ConditionalOperator === undefined &&
    !hasPlaceholders(input)
  );
}

function hasPlaceholders(input: ExpressionInput): boolean {
  return input.ExpressionAttributeNames !== undefined || input.ExpressionAttributeValues !== undefined;
}

function conditionOf(input: ConditionalInput): Predicate | undefined {
  if (isUnconditional(input)) return undefined;
  const expected = conditionOfExpected(input.Expected, input.ConditionalOperator as ConditionalOperator | undefined);
  const placeholders = placeholdersOf(input);
  const condition = predicateOf(input.ConditionExpression, placeholders, expected);
  placeholders.checkAllUsed();
  return condition;
}

function checkReturnOldOnly(returnValues: string | undefined): void {
  if (returnValues !== undefined && returnValues !== 'ALL_OLD' && returnValues !== 'NONE') {
    throw new RuleError('ReturnValues can only be ALL_OLD or NONE');
  }
}
