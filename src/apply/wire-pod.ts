/**
 * Phase 1 of a pod, whole: observe, plan, store the plan, carry out what is missing. And its teardown.
 * Idempotent: the second run finds nothing to do; one that was killed is finished by the next.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Result } from "../base/result.ts";
import type { BindingRegistry } from "../plan/binding.ts";
import { diffPlan, sysctlsOf, teardownSteps } from "../plan/diff.ts";
import type { Observed } from "../plan/observed.ts";
import type { Plan } from "../plan/plan.ts";
import { bindNics, type PlanInput, planPod, sysctlsToObserve } from "../plan/planner.ts";
import type { Step } from "../plan/step.ts";
import { openJournal } from "./journal.ts";
import { observe, observeLinks, observeRules, readSysctls } from "./observe.ts";
import type { Kernel } from "./ports.ts";
import { runSteps, undoAll } from "./run.ts";

export type WireInput = Omit<PlanInput, "observed">;

export interface Wired {
  readonly plan: Plan;
  /** What was missing and has been done. */
  readonly steps: readonly Step[];
}

export interface PodFiles {
  readonly plan: string;
  readonly journal: string;
}

/** @param stateDir a folder that is there */
export function podFiles(stateDir: string): PodFiles {
  return { plan: join(stateDir, "plan.json"), journal: join(stateDir, "journal.jsonl") };
}

export function wirePod(
  kernel: Kernel,
  input: WireInput,
  files: PodFiles,
  registry: BindingRegistry,
): Result<Wired> {
  const preview = previewPod(kernel, input, files, registry);
  if (!preview.ok) return preview;
  const { plan, steps, observed } = preview.value;
  writeAtomically(files.plan, JSON.stringify(plan));
  runSteps(kernel, steps, observed, openJournal(files.journal));
  return { ok: true, value: { plan, steps }, warnings: preview.warnings };
}

/** The plan and what is missing, without touching anything. */
export function previewPod(
  kernel: Kernel,
  input: WireInput,
  files: PodFiles,
  registry: BindingRegistry,
): Result<Wired & { readonly observed: Observed }> {
  const annotations = input.vmi.metadata.annotations ?? {};
  const bound = bindNics(input.vmi.spec, annotations, registry);
  if (!bound.ok) return bound;
  const keys = sysctlsToObserve(bound.value.map(({ podInterface }) => podInterface));
  const rules = observeRules(kernel, openJournal(files.journal));
  const observed = { ...observeLinks(kernel, keys), nft: rules.observed };
  const planned = planPod({ ...input, observed }, registry);
  if (!planned.ok) return planned;
  const plan = planned.value;
  const more = sysctlsOf(plan).filter((key) => !keys.includes(key));
  const sysctls = { ...observed.sysctls, ...readSysctls(kernel, more, observed.links) };
  const full = { ...observed, sysctls };
  const steps = diffPlan(plan, full, rules.applied);
  return { ok: true, value: { plan, steps, observed: full }, warnings: planned.warnings };
}

/** Undoes everything that was done to the pod's namespace; what fails is returned, the rest is done all the same. */
export function unwirePod(kernel: Kernel, files: PodFiles): readonly unknown[] {
  const plan = readPlan(files.plan);
  const journal = openJournal(files.journal);
  const failures = plan === undefined ? [] : undoAll(kernel, teardownSteps(plan, observe(kernel, [])));
  const rest = undoAll(kernel, journal.undo);
  if (failures.length + rest.length === 0) {
    journal.remove();
    rmSync(files.plan, { force: true });
  }
  return [...failures, ...rest];
}

/** undefined when none was stored. */
export function readPlan(path: string): Plan | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Plan;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw thrown;
  }
}

function writeAtomically(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
