/**
 * Phase 1 of a pod, whole: observe, plan, store the plan, carry out what is missing. And its teardown.
 * Idempotent: the second run finds nothing to do; one that was killed is finished by the next.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Result } from "../base/result.ts";
import type { Binding, BindingRegistry } from "../plan/binding.ts";
import { diffPlan, needsOf, teardownSteps } from "../plan/diff.ts";
import { strayLinkLocals } from "../plan/diff-pod-nic.ts";
import type { Observed } from "../plan/observed.ts";
import type { Plan } from "../plan/plan.ts";
import { bindNics, type PlanInput, planPod, sysctlsToObserve } from "../plan/planner.ts";
import type { Step } from "../plan/step.ts";
import { openJournal } from "./journal.ts";
import { observe, observeLayer2, observeLinks, observeRules, readSysctls } from "./observe.ts";
import type { Kernel } from "./ports.ts";
import { pristineOf, readPristine, silentGateways } from "./pristine.ts";
import { runSteps, undoAll } from "./run.ts";

export type WireInput = Omit<PlanInput, "observed">;

export interface Wired {
  readonly plan: Plan;
  /** What was missing and has been done. */
  readonly steps: readonly Step[];
}

export interface PodFiles {
  /** What CNI left: apply/pristine.ts. */
  readonly pristine: string;
  readonly plan: string;
  readonly journal: string;
  /** Of what was done for the pod in the host's namespace: apply/host-link.ts. */
  readonly hostJournal: string;
}

/** @param stateDir a folder that is there */
export function podFiles(stateDir: string): PodFiles {
  return {
    pristine: join(stateDir, "pristine.json"),
    plan: join(stateDir, "plan.json"),
    journal: join(stateDir, "journal.jsonl"),
    hostJournal: join(stateDir, "host-journal.jsonl"),
  };
}

export function wirePod(
  kernel: Kernel,
  input: WireInput,
  files: PodFiles,
  registry: BindingRegistry,
): Result<Wired> {
  const preview = previewPod(kernel, input, files, registry);
  if (!preview.ok) return preview;
  const { plan, steps, observed, pristine } = preview.value;
  writeAtomically(files.pristine, JSON.stringify(pristine));
  writeAtomically(files.plan, JSON.stringify(plan));
  runSteps(kernel, steps, observed, openJournal(files.journal));
  return { ok: true, value: { plan, steps }, warnings: preview.warnings };
}

export interface Preview extends Wired {
  readonly observed: Observed;
  readonly pristine: Observed;
}

/** The plan and what is missing, without touching anything. */
export function previewPod(
  kernel: Kernel,
  input: WireInput,
  files: PodFiles,
  registry: BindingRegistry,
): Result<Preview> {
  const annotations = input.vmi.metadata.annotations ?? {};
  const bound = bindNics(input.vmi.spec, annotations, registry);
  if (!bound.ok) return bound;
  const names = bound.value.map(({ podInterface }) => podInterface);
  const keys = sysctlsToObserve(names);
  const rules = observeRules(kernel, openJournal(files.journal));
  const now = observeLinks(kernel, keys);
  const handedOver = bound.value.filter(({ binding }) => handsOver(binding)).map((nic) => nic.podInterface);
  const pristine = pristineOf(kernel, readPristine(files.pristine), now, names, handedOver);
  const planned = planPod({ ...input, observed: pristine }, registry);
  if (!planned.ok) return planned;
  const plan = planned.value;
  const needs = needsOf(plan);
  const more = needs.sysctls.filter((key) => !keys.includes(key));
  const observed: Observed = {
    ...now,
    ...observeLayer2(kernel, needs),
    sysctls: { ...now.sysctls, ...readSysctls(kernel, more, now.links) },
    nft: rules.observed,
  };
  const steps = diffPlan(plan, observed, rules.applied);
  return { ok: true, value: { plan, steps, observed, pristine }, warnings: planned.warnings };
}

/** Gateways that a plan would want to know and that do not answer; 0 once the pod was planned. */
export function gatewaysToWaitFor(
  kernel: Kernel,
  { vmi, attachments }: WireInput,
  files: PodFiles,
  registry: BindingRegistry,
): number {
  if (readPristine(files.pristine) !== undefined) return 0;
  const bound = bindNics(vmi.spec, vmi.metadata.annotations ?? {}, registry, attachments);
  if (!bound.ok) return 0;
  const names = bound.value.filter(({ binding }) => handsOver(binding)).map((nic) => nic.podInterface);
  return names.length === 0 ? 0 : silentGateways(kernel, names);
}

/** Its guest speaks to the network's own router, which we then have to introduce. */
function handsOver({ traits }: Binding): boolean {
  return traits.podAddress === "moved" || traits.podAddress === "shared";
}

/** Undoes everything that was done to the pod's namespace; what fails is returned, the rest is done all the same. */
export function unwirePod(kernel: Kernel, files: PodFiles): readonly unknown[] {
  const plan = readPlan(files.plan);
  const journal = openJournal(files.journal);
  const failures =
    plan === undefined
      ? []
      : undoAll(kernel, teardownSteps(plan, observe(kernel, { redirects: needsOf(plan).redirects })));
  const rest = [...undoAll(kernel, journal.undo)];
  const pristine = readPristine(files.pristine);
  if (plan !== undefined && pristine !== undefined && hasReleased(plan)) {
    rest.push(...undoAll(kernel, strayLinkLocals(plan, pristine, kernel.readLinks())));
  }
  if (failures.length + rest.length === 0) {
    journal.remove();
    rmSync(files.plan, { force: true });
    rmSync(files.pristine, { force: true });
  }
  return [...failures, ...rest];
}

function hasReleased({ nics }: Plan): boolean {
  return nics.some(({ links }) => links.some((link) => link.type === "pod-nic" && link.released));
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
