/**
 * `podtap choose`: which binding fits each NIC of a manifest, with the reason, the price, and what is ruled out and
 * why. What the host can do comes from the daemon when one runs.
 */
import { createInterface } from "node:readline/promises";
import type { Vmi } from "../../api/types.ts";
import { ManifestError } from "../../base/errors.ts";
import { registry } from "../../bindings/index.ts";
import { type HostFeatures, TYPICAL_FEATURES } from "../../plan/host-features.ts";
import { type BoundNic, bindNics } from "../../plan/planner.ts";
import { type Choice, chooseBinding, SPEED, WISHES, type Wish, wishesOf } from "../../report/choose.ts";
import { ApiClient } from "./client.ts";
import type { Context } from "./context.ts";
import { isReady } from "./daemon.ts";
import { EXIT, type ExitCode, usageError } from "./failure.ts";
import { loadValid } from "./load-valid.ts";
import { columnWidths, padRow } from "./output-text.ts";
import { type KnownNetworks, knownNetworks } from "./plan-networks.ts";
import { vmisOf } from "./vmis-of.ts";
import { toYaml } from "./yaml-text.ts";

export interface ChooseOptions {
  readonly filename?: readonly string[];
  readonly namespace: string;
  readonly want?: readonly string[];
  readonly ask?: boolean;
  readonly output: "text" | "wide" | "json" | "yaml";
}

interface Advice {
  readonly vmi: string;
  readonly nic: string;
  readonly network: "pod" | "multus";
  readonly wanted: readonly { readonly what: string; readonly because: string }[];
  readonly choices: readonly Choice[];
}

export async function choose(
  context: Context,
  files: readonly string[],
  options: ChooseOptions,
): Promise<ExitCode> {
  const sources = [...files, ...(options.filename ?? [])];
  if (sources.length === 0) throw usageError("no manifest named", "podtap choose -f vm.yaml");
  const objects = await loadValid(context, sources, options.namespace);
  const vmis = vmisOf(objects);
  if (vmis.length === 0) throw usageError("no VM in these manifests, so nothing to choose for");
  const asked = options.ask === true ? await askAll(context) : [];
  const wanted = [...(options.want ?? []).map(ofCommandLine), ...asked];
  const running = await isReady(context.paths.socket).catch(() => false);
  const client = running ? new ApiClient(context.paths.socket) : undefined;
  const features = await hostFeatures(client);
  const advice: Advice[] = [];
  for (const vmi of vmis) {
    const { attachments } = await knownNetworks(vmi, objects, client);
    advice.push(...adviceFor(vmi, attachments, wanted, features ?? TYPICAL_FEATURES));
  }
  const { terminal } = context;
  if (options.output === "json") terminal.out(`${JSON.stringify({ items: advice }, null, 2)}\n`);
  else if (options.output === "yaml") terminal.out(toYaml({ items: advice }));
  else {
    if (features === undefined)
      terminal.note(terminal.paint("dim", "no daemon runs: a distribution's ordinary kernel is assumed\n"));
    terminal.out(advice.map((one) => render(one, options.output === "wide", context)).join("\n"));
  }
  return advice.every(({ choices }) => choices[0]?.fits === true) ? EXIT.done : EXIT.failed;
}

type Wanted = Advice["wanted"][number];

function ofCommandLine(what: string): Wanted {
  return { what, because: "--want" };
}

function adviceFor(
  vmi: Vmi,
  attachments: KnownNetworks["attachments"],
  wanted: readonly Wanted[],
  features: HostFeatures,
): readonly Advice[] {
  const bound = bindNics(vmi.spec, vmi.metadata.annotations ?? {}, registry, attachments);
  if (!bound.ok) throw new ManifestError(bound.problems);
  return bound.value.map((nic) => {
    const told = nic.primary ? wishesOf(vmi).map(({ wish, because }) => ({ what: wish, because })) : [];
    const all = [...wanted, ...told.filter(({ what }) => !wanted.some((other) => other.what === what))];
    return {
      vmi: vmi.metadata.name,
      nic: nic.interface.name,
      network: nic.network.pod === undefined ? "multus" : "pod",
      wanted: all,
      choices: choicesFor(nic, all, features),
    };
  });
}

function choicesFor(nic: BoundNic, wanted: readonly Wanted[], features: HostFeatures): readonly Choice[] {
  const words = wanted.map(({ what }) => what);
  return chooseBinding(registry.all, nic.binding, {
    nic,
    wishes: words.filter((word): word is Wish => Object.hasOwn(WISHES, word)),
    speed: words.includes(SPEED),
    features,
  });
}

/** undefined where nobody knows. */
async function hostFeatures(client: ApiClient | undefined): Promise<HostFeatures | undefined> {
  const info = (await client?.request("/podtap/v1/info"))?.body as
    | { readonly features?: HostFeatures }
    | undefined;
  return info?.features;
}

async function askAll({ terminal, signal }: Context): Promise<readonly Wanted[]> {
  if (!process.stdin.isTTY) throw usageError("--ask needs a terminal", "say it with --want direct,migration");
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const wanted: Wanted[] = [];
    const questions = [
      ...Object.entries(WISHES).map(([what, { question }]) => ({ what, question })),
      { what: SPEED, question: "Is raw speed what counts most" },
    ];
    for (const { what, question } of questions) {
      const answer = await lines.question(`${question}? [y/N] `, { signal });
      if (/^y(es)?$/i.test(answer.trim())) wanted.push({ what, because: "asked" });
    }
    terminal.note("\n");
    return wanted;
  } finally {
    lines.close();
  }
}

function render(
  { vmi, nic, network, wanted, choices }: Advice,
  wide: boolean,
  { terminal }: Context,
): string {
  const [first] = choices;
  const why = wanted.map(({ what, because }) => `${what} (${because})`).join(", ") || "nothing in particular";
  const head = `${vmi}, NIC ${nic} on a ${network} network; wanted: ${why}\n`;
  if (first === undefined || !first.fits) {
    const none = terminal.paintOut("red", "nothing fits; drop a wish, or change the network\n");
    return `${head}${none}${refusals(choices)}`;
  }
  const fitting = choices.filter(({ fits }) => fits);
  const advice = [
    `  ${terminal.paintOut("green", "take")}    ${spelled(first)}${first.current ? "  (the manifest has it)" : ""}`,
    ...first.gives.map((text) => `  gives   ${text}`),
    ...first.price.map((text) => `  price   ${text}`),
  ].join("\n");
  const others = fitting.slice(1);
  const rows = others.map((choice) => [
    `  or      ${spelled(choice)}${choice.current ? "  (the manifest has it)" : ""}`,
    (wide ? choice.price : choice.price.slice(0, 1)).join("; "),
  ]);
  const widths = columnWidths(rows, { gap: 2, narrowest: 6 });
  const table = rows.map((row) => `${padRow(row, widths)}\n`).join("");
  return `${head}${advice}\n${table}${refusals(choices)}`;
}

function refusals(choices: readonly Choice[]): string {
  return choices
    .filter(({ fits }) => !fits)
    .map(
      (choice) =>
        `  not     ${spelled(choice)}${choice.current ? "  (the manifest has it)" : ""}: ${choice.against.join("; ")}\n`,
    )
    .join("");
}

function spelled({ spelling }: Choice): string {
  return Object.entries(spelling)
    .map(([key, value]) => `${key}: ${JSON.stringify(value).replaceAll('"', "").replaceAll(":", ": ")}`)
    .join(", ");
}
