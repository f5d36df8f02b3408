/**
 * `podtap down`: by manifest, by name, or everything. Not found is fine and is said. With --all the daemon is asked
 * to leave too, when a command had started it, so that nothing of podtap runs any more.
 */
import { existsSync } from "node:fs";
import type { KubeObject } from "../../api/object.ts";
import { apiVersionOf } from "../../cluster/local/resources.ts";
import { type Resource, SERVICES, VIRTUAL_MACHINES, VMIS } from "../../cluster/port.ts";
import type { ApiClient } from "./client.ts";
import { connect } from "./connect.ts";
import type { Context } from "./context.ts";
import { isReady } from "./daemon.ts";
import { EXIT, type ExitCode, usageError } from "./failure.ts";
import { loadValid } from "./load-valid.ts";
import { displayName } from "./objects.ts";
import { isManifestFile } from "./read-manifests.ts";
import { removeObjects } from "./remove.ts";
import { parseTarget } from "./target.ts";

export interface DownOptions {
  readonly filename?: readonly string[];
  readonly namespace: string;
  readonly all?: boolean;
  /** Milliseconds. */
  readonly timeout: number;
  readonly output: "text" | "json";
}

export async function down(
  context: Context,
  what: readonly string[],
  options: DownOptions,
): Promise<ExitCode> {
  const names = what.filter((word) => !isManifestFile(word));
  const sources = [...what.filter(isManifestFile), ...(options.filename ?? [])];
  if (!options.all && sources.length === 0 && names.length === 0) {
    throw usageError("nothing named", "podtap down FILE…, podtap down NAME…, or podtap down --all");
  }
  const listed =
    sources.length === 0 ? [] : await loadValid(context, sources, options.namespace, { silent: true });
  // Without a daemon and without its store nothing can be there; starting one to hear that would be silly.
  if (!existsSync(context.paths.store) && !(await isReady(context.paths.socket))) {
    context.terminal.note("nothing of podtap runs on this machine\n");
    return EXIT.done;
  }
  const client = connect(context);
  const wanted = [
    ...listed,
    ...(await named(client, names, options.namespace)),
    ...(options.all ? await everything(client) : []),
  ];
  const removals = await removeObjects(context, client, wanted, { timeoutMs: options.timeout });
  if (options.output === "json") {
    const objects = removals.map(({ object, found }) => ({
      kind: object.kind,
      namespace: object.metadata.namespace,
      name: object.metadata.name,
      action: found ? "deleted" : "not found",
    }));
    context.terminal.out(`${JSON.stringify({ objects }, null, 2)}\n`);
  } else {
    for (const { object, found } of removals) context.terminal.out(line(object, found));
    if (removals.length === 0) context.terminal.out("nothing runs\n");
  }
  if (options.all) await letDaemonGo(context, client);
  return EXIT.done;
}

/** A name is a VM; where there is none, an instance that stands alone. */
async function named(
  client: ApiClient,
  names: readonly string[],
  namespace: string,
): Promise<readonly KubeObject[]> {
  return Promise.all(
    names.map(async (word) => {
      const { name } = parseTarget(word);
      const vm = await client.find(VIRTUAL_MACHINES, { namespace, name });
      const vmi = vm === undefined ? await client.find(VMIS, { namespace, name }) : undefined;
      const resource = vmi === undefined ? VIRTUAL_MACHINES : VMIS;
      return { apiVersion: apiVersionOf(resource), kind: resource.kind, metadata: { name, namespace } };
    }),
  );
}

async function everything(client: ApiClient): Promise<readonly KubeObject[]> {
  const [vms, vmis, services] = await Promise.all(
    [VIRTUAL_MACHINES, VMIS, SERVICES].map(async (resource) =>
      (await client.list(resource)).items.map(typed(resource)),
    ),
  );
  const owned = (vmi: KubeObject): boolean =>
    vmi.metadata.ownerReferences?.some(({ controller }) => controller) ?? false;
  return [...(vms ?? []), ...(vmis ?? []).filter((vmi) => !owned(vmi)), ...(services ?? [])];
}

/** Items of a list carry no kind of their own in Kubernetes. */
function typed(resource: Resource): (object: KubeObject) => KubeObject {
  return (object) => ({ ...object, apiVersion: apiVersionOf(resource), kind: resource.kind });
}

function line(object: KubeObject, found: boolean): string {
  const name = displayName(object);
  return found ? `${name} deleted\n` : `${name} not found, nothing to do\n`;
}

async function letDaemonGo(context: Context, client: ApiClient): Promise<void> {
  const { body } = await client.request("/podtap/v1/shutdown", { method: "POST", body: { ifIdle: true } });
  if ((body as { readonly shutdown?: boolean } | undefined)?.shutdown)
    context.terminal.note("the daemon leaves too\n");
}
