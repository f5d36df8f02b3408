/**
 * Carries out steps, so that at every moment the disk knows how to go back: the undo of every step is written before
 * the first is run. When a step fails, what this run did is undone, last first, and one error tells both.
 *
 * Synchronous, because it runs inside the window in which the calling thread is in the pod's namespace.
 */
import { messageOf, PodtapError } from "../base/errors.ts";
import type { Observed } from "../plan/observed.ts";
import type { Step } from "../plan/step.ts";
import { undosOf } from "../plan/undo.ts";
import { batchesOf } from "./batches.ts";
import type { AppliedRules, Journal } from "./journal.ts";
import type { Kernel } from "./ports.ts";

/** ENODEV. */
const LINK_ABSENT = "PT-KERNEL-19";
/** EPERM. */
const LINK_FOREIGN = "PT-KERNEL-1";

/** @param before what `steps` were computed from */
export function runSteps(kernel: Kernel, steps: readonly Step[], before: Observed, journal: Journal): void {
  const undos = new Map(undosOf(steps, before).map((undo, at) => [steps[at], undo]));
  const inverse = (step: Step): readonly Step[] => undos.get(step) ?? [];
  journal.begin(steps.map((step) => ({ step, undo: inverse(step) })));
  const undo: Step[] = [];
  for (const batch of batchesOf(steps)) {
    const back = batch.toReversed().flatMap(inverse);
    try {
      kernel.run(...batch);
    } catch (thrown) {
      // Of several, some may have been taken; of one, nothing.
      throw failed(batch, thrown, undoAll(kernel, batch.length > 1 ? [...back, ...undo] : undo));
    }
    undo.unshift(...back);
  }
  // An interrupted run of which nothing was missing is complete too, and says so.
  if (steps.length > 0 || journal.applied === undefined) {
    journal.done({ generation: kernel.readNftGeneration(), ...knownTables(steps, journal) });
  }
}

/** What is known of our tables stays known where this run did not touch them. */
function knownTables(steps: readonly Step[], { applied }: Journal): Pick<AppliedRules, "tables"> {
  const touched = steps.some(({ op }) => op === "nft.replace" || op === "nft.delete");
  return touched || applied?.tables === undefined ? {} : { tables: applied.tables };
}

/** Runs every step whatever becomes of the others; gives the failures. */
export function undoAll(kernel: Kernel, steps: readonly Step[]): readonly unknown[] {
  const failures: unknown[] = [];
  for (const step of steps) {
    try {
      kernel.run(step);
    } catch (thrown) {
      if (!isMoot(step, thrown)) failures.push(thrown);
    }
  }
  return failures;
}

/**
 * A link that is gone, or was never given the new name, has nothing to be set back; and ours was never made where
 * the pod's NIC still has the name that it was to take over.
 */
function isMoot(step: Step, thrown: unknown): boolean {
  const moot = step.op === "link.delete" ? LINK_FOREIGN : LINK_ABSENT;
  return thrown instanceof PodtapError && thrown.code === moot;
}

/** One line a step, for messages and logs. */
export function describeStep(step: Step): string {
  switch (step.op) {
    case "sysctl.set":
      return `${step.op} ${step.key}=${step.value}`;
    case "nft.replace":
    case "nft.delete":
      return `${step.op} ${step.tables.map(({ family, name }) => `${family} ${name}`).join(", ")}`;
    case "address.add":
    case "address.delete":
      return `${step.op} ${step.address} on ${step.link}`;
    case "route.add":
    case "route.delete":
      return `${step.op} ${step.route.destination} over ${step.route.link}`;
    case "neighbour.add":
    case "neighbour.delete":
      return `${step.op} ${step.ip} on ${step.link}`;
    case "fdb.add":
    case "fdb.delete":
      return `${step.op} ${step.mac} behind ${step.port}`;
    case "redirect.set":
      return `${step.op} ${step.link} to ${step.redirect.to}`;
    case "redirect.delete":
      return `${step.op} ${step.link}`;
    default:
      return `${step.op} ${step.name}`;
  }
}

function failed(batch: readonly Step[], cause: unknown, undoFailures: readonly unknown[]): PodtapError {
  const leftovers =
    undoFailures.length === 0
      ? "what this run had changed was undone"
      : `undoing what this run had changed failed too: ${undoFailures.map(messageOf).join("; ")}`;
  return new PodtapError({
    code: "PT-APPLY-1",
    message: `${batch.map(describeStep).join(", ")}: ${messageOf(cause)} (${leftovers})`,
    ...(cause instanceof PodtapError && cause.hint !== undefined && { hint: cause.hint }),
    retry: cause instanceof PodtapError ? cause.retry : "never",
    blame: "host",
    cause,
  });
}
