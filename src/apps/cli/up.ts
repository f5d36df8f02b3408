/**
 * `podtap up`: everything is validated before anything is touched; objects are applied in an order in which each
 * finds what it refers to; then every VM is followed until it runs. A second run changes nothing and says so.
 */
import { basename, delimiter, dirname } from "node:path";
import { launcherLabels, selects } from "../../api/launcher-labels.ts";
import type { KubeObject } from "../../api/object.ts";
import type { Service, VirtualMachine, Vmi } from "../../api/types.ts";
import { SERVICES, VMIS } from "../../cluster/port.ts";
import type { ApiClient, Applied } from "./client.ts";
import { connect } from "./connect.ts";
import type { Context } from "./context.ts";
import { EXIT, type ExitCode, usageError } from "./failure.ts";
import type { Waited } from "./follow-vmi.ts";
import { loadValid } from "./load-valid.ts";
import { displayName, inApplyOrder, resourceFor } from "./objects.ts";
import { visibleLines } from "./output-text.ts";
import { Progress } from "./progress.ts";
import { removeObjects } from "./remove.ts";
import { judgeRunningChange } from "./running-change.ts";
import { cloudInitUser } from "./ssh-login.ts";
import { startHalted } from "./start-halted.ts";
import { summary } from "./summary.ts";
import { upError, type WaitTarget, waitFor } from "./up-wait.ts";

export interface UpOptions {
  readonly filename?: readonly string[];
  readonly namespace: string;
  readonly wait: "running" | "agent" | "none";
  /** Milliseconds. */
  readonly timeout: number;
  readonly start: boolean;
  readonly imageOverride?: readonly string[];
  readonly rm?: boolean;
  readonly output: "text" | "json";
}

export async function up(context: Context, files: readonly string[], options: UpOptions): Promise<ExitCode> {
  const overrides = parseOverrides(options.imageOverride ?? []);
  const sources = [...files, ...(options.filename ?? [])];
  const told = new Set<string>();
  const valid = await loadValid(context, sources, options.namespace, {
    networks: true,
    told: (warnings) => {
      for (const text of warnings) told.add(asInHeader(text));
    },
  });
  const wanted = options.start ? valid.map((object) => start(context, object)) : valid;
  const client = connect(context);
  if (Object.keys(overrides).length > 0) {
    await client.request("/podtap/v1/config/image-overrides", { method: "PUT", body: overrides });
  }
  const run = new UpRun(context, client, sources, told, options);
  try {
    return await run.go(inApplyOrder(wanted));
  } catch (thrown) {
    return await run.giveUp(thrown);
  }
}

class UpRun {
  readonly #context: Context;
  readonly #client: ApiClient;
  readonly #options: UpOptions;
  readonly #progress: Progress;
  readonly #applied: Applied[] = [];
  readonly #since: string;
  readonly #sources: readonly string[];
  readonly #told: ReadonlySet<string>;

  constructor(
    context: Context,
    client: ApiClient,
    sources: readonly string[],
    told: ReadonlySet<string>,
    options: UpOptions,
  ) {
    this.#sources = sources;
    this.#told = told;
    this.#context = context;
    this.#client = client;
    this.#options = options;
    this.#progress = new Progress(context.terminal, context.now);
    this.#since = `${new Date(context.now()).toISOString().slice(0, 19)}Z`;
  }

  async go(objects: readonly KubeObject[]): Promise<ExitCode> {
    const former = await this.#failedBefore(objects);
    for (const object of objects) await this.#apply(object);
    const targets = this.#applied
      .filter(({ object }) => shallRun(object))
      .map(({ object }) => targetOf(object));
    for (const vmi of former) await this.#client.delete(VMIS, targetOf(vmi));
    if (this.#options.wait === "none") return this.#finish([]);
    const waits = await this.#follow(
      targets.map((target) => {
        const old = former.find(({ metadata }) => metadata.name === target.name);
        return old?.metadata.uid === undefined ? target : { ...target, notUid: old.metadata.uid };
      }),
    );
    const failures = waits.filter(([, { outcome }]) => outcome === "failed" || outcome === "ended");
    const [first, ...more] = failures.map(([target, waited]) =>
      upError(target, waited, programName(this.#context)),
    );
    if (first === undefined) return this.#finish(waits);
    this.#progress.end();
    for (const failure of more) this.#context.terminal.note(`error: ${failure.message}\n`);
    throw first;
  }

  /** Says what is left; with --rm nothing is. */
  async giveUp(thrown: unknown): Promise<ExitCode> {
    const { terminal, signal } = this.#context;
    this.#progress.end();
    const made = this.#applied.filter(({ outcome }) => outcome === "created");
    if (this.#options.rm && made.length > 0) {
      const calm = { ...this.#context, signal: new AbortController().signal };
      terminal.note("removing what was made\n");
      await removeObjects(
        calm,
        connect(calm),
        made.map(({ object }) => object),
        { timeoutMs: 60_000 },
      );
    } else if (made.length > 0) {
      const names = made.map(({ object }) => displayName(object));
      const down = `${programName(this.#context)} down ${this.#sources.join(" ")}`;
      terminal.note(`left as made: ${names.join(", ")}; ${down} removes them\n`);
    }
    if (signal.aborted) return EXIT.interrupted;
    throw thrown;
  }

  async #apply(object: KubeObject): Promise<void> {
    const note = await judgeRunningChange(this.#client, object, programName(this.#context));
    if (note !== undefined) this.#context.terminal.note(`note: ${note}\n`);
    const applied = await this.#client.apply(object);
    // Answers carry what the server made of the object; what kind it is, the manifest said.
    this.#applied.push({
      ...applied,
      object: { ...applied.object, apiVersion: object.apiVersion, kind: object.kind },
    });
    const { terminal } = this.#context;
    // The server judges the manifest as this command did, and what only it knows besides.
    const more = applied.warnings.filter((warning) => !this.#told.has(asInHeader(warning)));
    for (const warning of more) terminal.note(`warning: ${warning}\n`);
    if (this.#options.output === "text") terminal.out(`${displayName(object)} ${applied.outcome}\n`);
  }

  /** VMIs that failed stay that way; `up` gives them a new life. */
  async #failedBefore(objects: readonly KubeObject[]): Promise<readonly Vmi[]> {
    const named = objects.filter(shallRun).map(targetOf);
    const found = await Promise.all(
      named.map(({ namespace, name }) => this.#client.find<Vmi>(VMIS, { namespace, name })),
    );
    const failed = found.filter((vmi): vmi is Vmi => vmi?.status?.phase === "Failed");
    for (const vmi of failed) {
      this.#context.terminal.note(`vmi/${vmi.metadata.name} had failed; it is made anew\n`);
      if (!isOwned(vmi)) await this.#client.delete(VMIS, targetOf(vmi));
    }
    return failed.filter(isOwned);
  }

  async #follow(targets: readonly WaitTarget[]): Promise<readonly (readonly [WaitTarget, Waited])[]> {
    const { wait, timeout } = this.#options;
    const options = {
      until: wait === "agent" ? ("agent" as const) : ("running" as const),
      timeoutMs: timeout,
      since: this.#since,
      ...(targets.length > 1 && { aboutWidth: Math.max(...targets.map(({ name }) => name.length)) }),
    };
    return Promise.all(
      targets.map(
        async (target) =>
          [target, await waitFor(this.#context, this.#client, target, this.#progress, options)] as const,
      ),
    );
  }

  async #finish(waits: readonly (readonly [WaitTarget, Waited])[]): Promise<ExitCode> {
    const took = this.#progress.elapsed;
    this.#progress.end();
    const { terminal } = this.#context;
    const vmis = waits.flatMap(([, { vmi }]) => (vmi === undefined ? [] : [vmi]));
    if (this.#options.output === "json") {
      const objects = this.#applied.map(({ object, outcome }) => ({
        kind: resourceFor(object).kind,
        namespace: object.metadata.namespace,
        name: object.metadata.name,
        action: outcome,
      }));
      terminal.out(`${JSON.stringify({ objects, instances: vmis, elapsedMs: Math.round(took) }, null, 2)}\n`);
      return EXIT.done;
    }
    for (const vmi of vmis) terminal.out(`\n${await this.#summaryOf(vmi, took)}`);
    return EXIT.done;
  }

  async #summaryOf(vmi: Vmi, tookMs: number): Promise<string> {
    const namespace = vmi.metadata.namespace ?? "default";
    const services = (await this.#client.list<Service>(SERVICES, { namespace })).items;
    const made = this.#applied.some(
      ({ object, outcome }) => outcome !== "unchanged" && object.metadata.name === vmi.metadata.name,
    );
    const user = cloudInitUser(vmi.spec.volumes ?? []);
    const text = summary({
      vmi,
      services: services.filter((service) => selects(service.spec.selector, launcherLabels(vmi))),
      ...(made && { tookMs }),
      login: user === undefined ? "" : `${user}@`,
      program: programName(this.#context),
    });
    return visibleLines(text);
  }
}

function start({ terminal }: Context, wanted: KubeObject): KubeObject {
  const { object, note } = startHalted(wanted);
  if (note !== undefined) terminal.note(`note: ${note}\n`);
  return object;
}

/** Is there to be an instance? A halted VM has none. */
function shallRun(object: KubeObject): boolean {
  if (object.kind === "VirtualMachineInstance") return true;
  if (object.kind !== "VirtualMachine") return false;
  const { running, runStrategy } = (object as VirtualMachine).spec;
  return runStrategy === undefined ? running === true : runStrategy !== "Halted" && runStrategy !== "Manual";
}

/** Warnings travel in a header, which is ASCII. */
function asInHeader(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?");
}

function targetOf({ metadata }: KubeObject): WaitTarget {
  return { namespace: metadata.namespace ?? "default", name: metadata.name };
}

function isOwned(vmi: Vmi): boolean {
  return vmi.metadata.ownerReferences?.some(({ kind }) => kind === "VirtualMachine") ?? false;
}

/** `FROM=TO`: from an image's name (without tag: every tag) to any reference that podtap reads. */
export function parseOverrides(list: readonly string[]): Readonly<Record<string, string>> {
  const pairs = list.map((text) => {
    const at = text.indexOf("=");
    if (at < 1 || at === text.length - 1) {
      throw usageError(
        `--image-override: '${text}' is not FROM=TO`,
        "for example podtap.local/demo=oci:/path:tag",
      );
    }
    return [text.slice(0, at), text.slice(at + 1)] as const;
  });
  return Object.fromEntries(pairs);
}

/** What to type to call this program again, as the user called it. */
export function programName({ environment, rootless }: Context): string {
  const called = environment["PODTAP_ARGV0"] ?? "podtap";
  const onPath = (environment["PATH"] ?? "").split(delimiter).includes(dirname(called));
  const flag = rootless && environment["PODTAP_ROOTLESS"] !== "1" ? " --rootless" : "";
  return `${onPath ? basename(called) : called}${flag}`;
}
