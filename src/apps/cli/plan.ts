/**
 * `podtap plan`: how NICs are wired and what would change, as text that the golden tests also compare.
 *
 *   plan NAME                 a running VM: its stored plan against its namespace now, so drift shows
 *   plan FILE                 the manifest against the running VM of that name; where none runs, against an example
 *   plan FILE --observed F    offline, against a recorded namespace
 *
 * The plan itself is stdout; what it is compared with is said on stderr.
 */
import { isDeepStrictEqual } from "node:util";
import { formatProblems } from "../../api/format-problems.ts";
import type { Vmi } from "../../api/types.ts";
import { ManifestError } from "../../base/errors.ts";
import type { NftTable } from "../../nft/model.ts";
import { diffPlan } from "../../plan/diff.ts";
import type { Observed, ObservedNftTable } from "../../plan/observed.ts";
import type { Plan } from "../../plan/plan.ts";
import { renderPlan, renderSteps } from "../../plan/render-text.ts";
import type { Step } from "../../plan/step.ts";
import { ApiClient } from "./client.ts";
import { connect, ownPath } from "./connect.ts";
import type { Context } from "./context.ts";
import { isReady } from "./daemon.ts";
import { EXIT, type ExitCode, usageError } from "./failure.ts";
import { loadValid } from "./load-valid.ts";
import { EXAMPLE, readSurroundings, type Surroundings } from "./plan-input.ts";
import { planManifest } from "./plan-manifest.ts";
import { exampleFor, knownNetworks } from "./plan-networks.ts";
import { isManifestFile } from "./read-manifests.ts";
import { parseTarget } from "./target.ts";
import { vmisOf } from "./vmis-of.ts";

export interface PlanOptions {
  readonly filename?: readonly string[];
  readonly namespace: string;
  readonly observed?: string;
  readonly rules?: boolean;
  readonly exitCode?: boolean;
  readonly output: "text" | "json";
}

interface Outcome extends Surroundings {
  readonly vmi: string;
  /** What the plan was compared with. */
  readonly against: "running" | "observed" | "example";
  /** About the networks. */
  readonly notes?: readonly string[];
  readonly plan: Plan;
  readonly steps: readonly Step[];
  /** What no step mends. */
  readonly lost?: readonly string[];
}

/** The daemon's answer about a running VM. */
interface Running extends Surroundings {
  readonly plan: Plan;
  readonly steps: readonly Step[];
  readonly lost?: readonly string[];
}

export async function plan(
  context: Context,
  what: readonly string[],
  options: PlanOptions,
): Promise<ExitCode> {
  const files = [...what.filter(isManifestFile), ...(options.filename ?? [])];
  const names = what.filter((word) => !isManifestFile(word));
  if (files.length + names.length === 0)
    throw usageError("nothing named", "podtap plan FILE or podtap plan NAME");
  if (options.observed !== undefined && names.length > 0) {
    throw usageError("--observed plans a manifest, not a running VM", "podtap plan -f FILE --observed FILE");
  }
  const outcomes = [
    ...(files.length === 0 ? [] : await planFiles(context, files, options)),
    ...(names.length === 0 ? [] : await planRunning(context, names, options)),
  ];
  print(context, outcomes, options);
  return options.exitCode && outcomes.some(isOff) ? EXIT.differs : EXIT.done;
}

function isOff({ steps, lost = [] }: Outcome): boolean {
  return steps.length > 0 || lost.length > 0;
}

async function planRunning(
  context: Context,
  names: readonly string[],
  options: PlanOptions,
): Promise<readonly Outcome[]> {
  const client = connect(context);
  return Promise.all(
    names.map(async (word): Promise<Outcome> => {
      const { name } = parseTarget(word);
      const running = await fetchRunning(client, options.namespace, name);
      return { vmi: name, against: "running", ...running };
    }),
  );
}

async function planFiles(
  context: Context,
  files: readonly string[],
  options: PlanOptions,
): Promise<readonly Outcome[]> {
  const objects = await loadValid(context, files, options.namespace, { networks: true });
  const vmis = vmisOf(objects);
  if (vmis.length === 0) throw usageError("no VM in these manifests, so nothing to wire");
  const given = options.observed === undefined ? undefined : await readSurroundings(options.observed);
  const running = given === undefined && (await isReady(context.paths.socket).catch(() => false));
  const client = running ? new ApiClient(context.paths.socket) : undefined;
  const outcomes = Promise.all(
    vmis.map(async (vmi): Promise<Outcome> => {
      const vmiName = vmi.metadata.name;
      const known = await knownNetworks(vmi, objects, client);
      const { attachments, notes } = known;
      if (given !== undefined) {
        const { before, ...recorded } = given;
        const full = { attachments, ...recorded };
        const made = before === undefined ? fresh(vmi, full) : changed(vmi, { ...full, ...before });
        return { vmi: vmiName, against: "observed", notes, ...full, ...made };
      }
      const live =
        client &&
        (await fetchRunning(client, vmi.metadata.namespace ?? "default", vmiName).catch(() => undefined));
      if (live !== undefined) return { vmi: vmiName, against: "running", ...live, ...changed(vmi, live) };
      const example = exampleFor(vmi, known, EXAMPLE);
      return { vmi: vmiName, against: "example", notes, ...example, ...fresh(vmi, example) };
    }),
  );
  return outcomes.catch((thrown: unknown) => {
    // Each with what to do instead; those of the manifest itself were shown when it was read.
    if (thrown instanceof ManifestError) {
      context.terminal.note(formatProblems(thrown.problems, { color: context.terminal.colours }));
    }
    throw thrown;
  });
}

async function fetchRunning(client: ApiClient, namespace: string, name: string): Promise<Running> {
  return (await client.request(ownPath(namespace, name, "plan"))).body as Running;
}

function fresh(vmi: Vmi, surroundings: Surroundings): Pick<Outcome, "plan" | "steps"> {
  const made = planManifest(vmi, surroundings);
  return { plan: made, steps: diffPlan(made, surroundings.observed, []) };
}

/** The manifest's plan against the running VM. Rules that say the same as the stored plan's stay as they are. */
function changed(vmi: Vmi, running: Running): Pick<Outcome, "plan" | "steps"> {
  const uid = running.plan.vmi.uid;
  const made = planManifest({ ...vmi, metadata: { ...vmi.metadata, uid } }, running);
  return { plan: made, steps: diffPlan(made, running.observed, unchangedTables(made, running)) };
}

function unchangedTables(made: Plan, running: Running): readonly ObservedNftTable[] {
  const stored = running.plan.nics.flatMap((nic) => nic.nft);
  const wanted = made.nics.flatMap((nic) => nic.nft);
  const drifted = running.steps.flatMap((step) => (step.op === "nft.replace" ? step.tables : []));
  const has = (
    tables: readonly NftTable[],
    { family, name }: Observed["nft"][number],
  ): NftTable | undefined => tables.find((table) => table.family === family && table.name === name);
  return running.observed.nft.filter(
    (table) => !has(drifted, table) && isDeepStrictEqual(has(stored, table), has(wanted, table)),
  );
}

function print({ terminal }: Context, outcomes: readonly Outcome[], options: PlanOptions): void {
  if (options.output === "json") {
    terminal.out(`${JSON.stringify(outcomes.length === 1 ? outcomes[0] : { items: outcomes }, null, 2)}\n`);
    return;
  }
  for (const { vmi, against, notes = [], plan: made, steps, lost = [] } of outcomes) {
    terminal.note(terminal.paint("dim", `${vmi}: ${ORIGIN[against]}\n`));
    for (const note of notes) terminal.note(terminal.paint("dim", `${vmi}: ${note}\n`));
    terminal.out(renderPlan(made, { rules: options.rules ?? false }));
    terminal.out(
      steps.length === 0 ? "\nnothing to change\n" : `\nwould change\n${indent(renderSteps(steps))}`,
    );
    if (lost.length > 0) terminal.out(`\nout of reach\n${indent(lost.map((line) => `${line}\n`).join(""))}`);
  }
}

const ORIGIN: Readonly<Record<Outcome["against"], string>> = {
  running: "compared with the running VM",
  observed: "compared with the namespace in the file",
  example: "it does not run; this is an EXAMPLE, for a dual-stack pod 10.244.1.7 and fd00:10:244:1::7",
};

function indent(lines: string): string {
  return lines.replaceAll(/^(?=.)/gm, "  ");
}
