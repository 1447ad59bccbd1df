import { createRandom, type Random } from '../random/random.ts';

/** A named place in the code where a fault can happen when someone asks for it. */
export interface FaultPoint {
  readonly name: string;
  readonly description: string;
}

/** A fault asked for: at `point`, in `scope` (a queue's ARN, a function's name, '*' for all), for a share of the chances. */
export interface FaultRule {
  readonly point: string;
  readonly scope: string;
  /** 0 to 1. */
  readonly rate: number;
  readonly seed: number;
  /** The fault happens at most so often; left out: without bound. */
  readonly times?: number;
}

export interface FaultStatus extends FaultRule {
  /** Chances seen and faults done. */
  readonly chances: number;
  readonly faults: number;
}

interface ActiveRule extends FaultRule {
  readonly random: Random;
  chances: number;
  faults: number;
}

/** An unknown fault point, or a rate that is none. */
export class FaultError extends Error {
  override readonly name = 'FaultError';
}

/** Which fault points there are and which are switched on. Seeded: the same chances in the same order give the same faults. */
export class Faults {
  readonly #points = new Map<string, FaultPoint>();
  readonly #rules = new Map<string, ActiveRule>();

  declare(point: FaultPoint): void {
    this.#points.set(point.name, point);
  }

  points(): readonly FaultPoint[] {
    return [...this.#points.values()];
  }

  /** Switches a fault on, replacing the rule of the same point and scope; rate 0 switches it off. */
  set(rule: FaultRule): void {
    if (!this.#points.has(rule.point)) {
      throw new FaultError(
        `there is no fault point '${rule.point}'; there are: ${[...this.#points.keys()].join(', ')}`,
      );
    }
    if (!(rule.rate >= 0 && rule.rate <= 1)) throw new FaultError(`a rate is a number from 0 to 1, not ${rule.rate}`);
    const name = ruleName(rule.point, rule.scope);
    if (rule.rate === 0) this.#rules.delete(name);
    else this.#rules.set(name, { ...rule, random: createRandom(rule.seed), chances: 0, faults: 0 });
  }

  rules(): readonly FaultStatus[] {
    return [...this.#rules.values()].map(({ random: _, ...status }) => ({ ...status }));
  }

  /** Whether any fault is on: asked on every operation. */
  get active(): boolean {
    return this.#rules.size > 0;
  }

  clear(): void {
    this.#rules.clear();
  }

  /** Whether the fault happens now. Costs nothing while no fault is on. */
  strikes(point: string, scope: string): boolean {
    if (this.#rules.size === 0) return false;
    const rule = this.#rules.get(ruleName(point, scope)) ?? this.#rules.get(ruleName(point, '*'));
    if (rule === undefined || (rule.times !== undefined && rule.faults >= rule.times)) return false;
    rule.chances++;
    if (rule.random.float() >= rule.rate) return false;
    rule.faults++;
    return true;
  }
}

function ruleName(point: string, scope: string): string {
  return `${point}\n${scope}`;
}
