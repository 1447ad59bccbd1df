/**
 * Application of bound updates to an item.
 *
 * Everything an update reads, it reads from the item as it was; all its paths, list indexes included, mean that item
 * too. So `REMOVE a[0], a[1]` takes the first two elements, and elements set beyond the end are appended in the order
 * of their indexes. Source: developer guide "Update expressions"; ScyllaDB's test_update_expression.py, run against
 * AWS.
 */
import type { Action, Path, SetValue } from './ast.ts';
import { RuleError } from './errors.ts';
import { addNumbers, subtractNumbers } from './number.ts';
import { compileProjection, type PathTree, pathTree, valueAt } from './paths.ts';
import {
  type AttributeMap,
  type AttributeValue,
  attributeOf,
  base64Of,
  checkUpdatedItemSize,
  type Item,
  MAX_NESTING_LEVELS,
  setAttribute,
} from './values.ts';

export interface UpdateResult {
  /** The item after the update; undefined if there was none and the update had nothing to write. */
  readonly item: Item | undefined;
  /** What UPDATED_OLD and UPDATED_NEW answer: the parts that the update names, before and after; undefined if none. */
  readonly updatedOld: Item | undefined;
  readonly updatedNew: Item | undefined;
}

const INVALID_PATH = 'The document path provided in the update expression is invalid for update';
const MISSING_ATTRIBUTE = 'The provided expression refers to an attribute that does not exist in the item';

/**
 * Applies an update to the item of that key, or to none. Changes nothing it is given.
 * Throws RuleError with AWS's text: a missing attribute, a wrong type, a path that leads nowhere, a number out of
 * range, values nested too deep, an item over 400 KB. `wrongOperand` is the text for a wrong type.
 */
export function applyUpdate(
  actions: readonly Action[],
  key: Item,
  old: Item | undefined,
  wrongOperand = 'An operand in the update expression has an incorrect data type',
): UpdateResult {
  // Observed on AWS: REMOVE and DELETE of what is not there make no item, and where there is no item at all even a path
  // that leads nowhere is no error (test_nested_attribute_remove_from_missing_item).
  const effective = old === undefined ? actions.filter(({ kind }) => kind !== 'remove' && kind !== 'delete') : actions;
  if (old === undefined && actions.length > 0 && effective.length === 0) {
    return { item: undefined, updatedOld: undefined, updatedNew: undefined };
  }
  const before = old ?? key;
  const editor = new Editor(before, wrongOperand);
  const edits = effective.map((action) => [action.path, editor.editOf(action)] as const);
  const item = editMap(before, pathTree(edits));
  checkUpdatedItemSize(item);
  const project = compileProjection(actions.map((action) => action.path));
  return {
    item,
    updatedOld: old === undefined ? undefined : nonEmpty(project(old)),
    updatedNew: nonEmpty(project(item)),
  };
}

/** What is to happen at the end of a path: a new value, or none any more. */
type Edit = (existing: AttributeValue | undefined) => AttributeValue | undefined;

/** Makes the edits of one update; what it reads is the item before the update. */
class Editor {
  readonly #before: Item;
  readonly #wrongOperand: string;

  constructor(before: Item, wrongOperand: string) {
    this.#before = before;
    this.#wrongOperand = wrongOperand;
  }

  editOf(action: Action): Edit {
    switch (action.kind) {
      case 'set': {
        const value = this.#evaluate(action.value);
        checkNesting(action.path, value);
        return () => value;
      }
      case 'remove':
        return () => undefined;
      case 'add':
        return (existing) => this.#addTo(existing, action.value);
      case 'delete':
        return (existing) => existing && this.#deleteFrom(existing, action.value);
    }
  }

  #evaluate(node: SetValue): AttributeValue {
    switch (node.kind) {
      case 'value':
        return node.value;
      case 'path': {
        const value = valueAt(this.#before, node.path);
        if (value === undefined) throw new RuleError(MISSING_ATTRIBUTE);
        return value;
      }
      case 'if_not_exists':
        return valueAt(this.#before, node.path) ?? this.#evaluate(node.otherwise);
      case 'list_append': {
        const left = this.#evaluate(node.left).L;
        const right = left && this.#evaluate(node.right).L;
        if (left === undefined || right === undefined) throw new RuleError(this.#wrongOperand);
        return { L: [...left, ...right] };
      }
      case '+':
      case '-': {
        const left = this.#evaluate(node.left).N;
        const right = left === undefined ? undefined : this.#evaluate(node.right).N;
        if (left === undefined || right === undefined) throw new RuleError(this.#wrongOperand);
        return { N: node.kind === '+' ? addNumbers(left, right) : subtractNumbers(left, right) };
      }
    }
  }

  /** ADD: the sum of numbers, the union of sets of one type; of nothing, the value itself. */
  #addTo(existing: AttributeValue | undefined, value: AttributeValue): AttributeValue {
    if (existing === undefined) return value;
    if (existing.N !== undefined && value.N !== undefined) return { N: addNumbers(existing.N, value.N) };
    if (existing.SS !== undefined && value.SS !== undefined) return { SS: [...new Set([...existing.SS, ...value.SS])] };
    if (existing.NS !== undefined && value.NS !== undefined) return { NS: [...new Set([...existing.NS, ...value.NS])] };
    if (existing.BS !== undefined && value.BS !== undefined) {
      const present = new Set(existing.BS.map(base64Of));
      return { BS: [...existing.BS, ...value.BS.filter((member) => !present.has(base64Of(member)))] };
    }
    throw new RuleError(this.#wrongOperand);
  }

  /** DELETE: the set without some members; nothing when none is left, since sets may not be empty. */
  #deleteFrom(existing: AttributeValue, value: AttributeValue): AttributeValue | undefined {
    if (existing.SS !== undefined && value.SS !== undefined) {
      const SS = without(existing.SS, value.SS);
      return SS.length === 0 ? undefined : { SS };
    }
    if (existing.NS !== undefined && value.NS !== undefined) {
      const NS = without(existing.NS, value.NS);
      return NS.length === 0 ? undefined : { NS };
    }
    if (existing.BS !== undefined && value.BS !== undefined) {
      const unwanted = new Set(value.BS.map(base64Of));
      const BS = existing.BS.filter((member) => !unwanted.has(base64Of(member)));
      return BS.length === 0 ? undefined : { BS };
    }
    throw new RuleError(this.#wrongOperand);
  }
}

function without(members: readonly string[], unwanted: readonly string[]): readonly string[] {
  const set = new Set(unwanted);
  return members.filter((member) => !set.has(member));
}

/** A copy of a map with the edits below it made; parts without edits are shared. */
function editMap(attributes: AttributeMap, tree: PathTree<Edit>): AttributeMap {
  const result: Record<string, AttributeValue> = { ...attributes };
  for (const [element, child] of tree.children) {
    const name = element as string;
    const edited = editValue(attributeOf(attributes, name), child);
    if (edited === undefined) delete result[name];
    else setAttribute(result, name, edited);
  }
  return result;
}

function editList(list: readonly AttributeValue[], tree: PathTree<Edit>): readonly AttributeValue[] {
  const result: (AttributeValue | undefined)[] = list.slice();
  // In the order of the indexes, so that elements beyond the end are appended in that order.
  for (const index of [...(tree.children.keys() as Iterable<number>)].sort((a, b) => a - b)) {
    const edited = editValue(list[index], tree.children.get(index)!);
    if (index < list.length) result[index] = edited;
    else if (edited !== undefined) result.push(edited);
  }
  return result.filter((element) => element !== undefined);
}

function editValue(existing: AttributeValue | undefined, tree: PathTree<Edit>): AttributeValue | undefined {
  if (tree.end !== undefined) return tree.end(existing);
  const [element] = tree.children.keys();
  if (existing?.M !== undefined && typeof element === 'string') return { M: editMap(existing.M, tree) };
  if (existing?.L !== undefined && typeof element === 'number') return { L: editList(existing.L, tree) };
  throw new RuleError(INVALID_PATH);
}

/** A value set deep inside a document may not make it deeper than 32 levels. */
function checkNesting(path: Path, value: AttributeValue): void {
  if (path.length > 1 && path.length + containerLevels(value) > MAX_NESTING_LEVELS) {
    throw new RuleError('Nesting Levels have exceeded supported limits');
  }
}

function containerLevels(value: AttributeValue): number {
  const members = value.L ?? (value.M === undefined ? undefined : Object.values(value.M));
  if (members === undefined) return 0;
  return 1 + members.reduce((most, member) => Math.max(most, containerLevels(member)), 0);
}

function nonEmpty(item: Item): Item | undefined {
  return Object.keys(item).length === 0 ? undefined : item;
}
