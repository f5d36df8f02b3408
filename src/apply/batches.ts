/** Which steps go to the kernel together: addresses for one link, which are messages of one send. */
import type { Step } from "../plan/step.ts";

/** All steps in their order, cut where one cannot go with the one before. */
export function batchesOf(steps: readonly Step[]): readonly (readonly Step[])[] {
  const batches: Step[][] = [];
  for (const step of steps) {
    const last = batches.at(-1);
    if (last?.[0] !== undefined && goTogether(last[0], step)) last.push(step);
    else batches.push([step]);
  }
  return batches;
}

function goTogether(a: Step, b: Step): boolean {
  return a.op === "address.add" && b.op === "address.add" && a.link === b.link;
}
