/** Conditions as Kubernetes keeps them: the time of a transition moves only when the status does. */
import type { Condition } from "../api/object.ts";

/** @param now RFC 3339 */
export function setCondition(
  conditions: readonly Condition[],
  next: Omit<Condition, "lastTransitionTime">,
  now: string,
): readonly Condition[] {
  const old = conditions.find(({ type }) => type === next.type);
  const lastTransitionTime = old?.status === next.status ? (old.lastTransitionTime ?? now) : now;
  const condition: Condition = { ...next, lastTransitionTime };
  return old === undefined
    ? [...conditions, condition]
    : conditions.map((other) => (other.type === next.type ? condition : other));
}

export function dropCondition(conditions: readonly Condition[], type: string): readonly Condition[] {
  return conditions.filter((condition) => condition.type !== type);
}
