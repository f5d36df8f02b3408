/** `podtap describe`: objects for people, with the Events about them. */
import type { KubeObject } from "../../api/object.ts";
import type { Vmi } from "../../api/types.ts";
import { registry } from "../../bindings/index.ts";
import type { KubeEvent } from "../../cluster/event-recorder.ts";
import { EVENTS } from "../../cluster/port.ts";
import { droppedFrames } from "../../report/dropped-frames.ts";
import type { ApiClient } from "./client.ts";
import { connect, ownPath } from "./connect.ts";
import type { Context } from "./context.ts";
import { EXIT, type ExitCode } from "./failure.ts";
import { parseQuery, type Query } from "./get-query.ts";
import { type Dropped, describeObject } from "./output-describe.ts";

export interface DescribeOptions {
  readonly namespace: string;
}

export async function describe(
  context: Context,
  words: readonly string[],
  { namespace }: DescribeOptions,
): Promise<ExitCode> {
  const queries = parseQuery(words);
  const client = connect(context);
  const found = await Promise.all(queries.map((query) => objectsOf(client, query, namespace)));
  const objects = found.flat();
  const texts = await Promise.all(
    objects.map(async (object) =>
      describeObject(
        object,
        await eventsAbout(client, object),
        context.now(),
        await droppedAt(client, object),
      ),
    ),
  );
  context.terminal.out(texts.join("\n\n"));
  if (objects.length === 0) context.terminal.note(`No resources found in ${namespace} namespace.\n`);
  return EXIT.done;
}

async function objectsOf(
  client: ApiClient,
  { resource, names }: Query,
  namespace: string,
): Promise<readonly KubeObject[]> {
  const place = resource.namespaced ? { namespace } : {};
  if (names === undefined) return (await client.list(resource, place)).items;
  return Promise.all(names.map((name) => client.get(resource, { ...place, name })));
}

async function eventsAbout(client: ApiClient, object: KubeObject): Promise<readonly KubeEvent[]> {
  const { namespace, name, uid } = object.metadata;
  const wanted = {
    "involvedObject.name": name,
    "involvedObject.kind": object.kind,
    "involvedObject.uid": uid,
  };
  const fieldSelector = Object.entries(wanted)
    .flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}`]))
    .join(",");
  return (await client.list<KubeEvent>(EVENTS, { namespace: namespace ?? "default", fieldSelector })).items;
}

/** Of a VMI that runs; of anything else nothing is known. */
async function droppedAt(client: ApiClient, object: KubeObject): Promise<Dropped> {
  const { namespace = "default", name } = object.metadata;
  const { status } = object as Vmi;
  if (object.kind !== "VirtualMachineInstance" || status?.phase !== "Running") return {};
  const answer = await client.request(ownPath(namespace, name, "counters")).catch(() => undefined);
  const { tables = [] } = (answer?.body ?? {}) as { readonly tables?: readonly CountedTable[] };
  return Object.fromEntries(
    (status.interfaces ?? []).map((nic) => {
      const own = tables.filter(({ table }) => table.endsWith(` podtap-${nic.podInterfaceName}`));
      const packets = own.flatMap(({ counters }) =>
        Object.entries(counters).map(([counter, seen]) => [counter, seen.packets] as const),
      );
      const sums = Object.fromEntries(
        packets.map(([counter]) => [
          counter,
          packets.filter(([other]) => other === counter).reduce((sum, [, seen]) => sum + seen, 0),
        ]),
      );
      const binding = registry.all.find(({ bindingName }) => bindingName === nic.binding);
      return [nic.podInterfaceName ?? "", droppedFrames(sums, binding?.traits.layer2 ?? false)];
    }),
  );
}

interface CountedTable {
  /** Family and name. */
  readonly table: string;
  readonly counters: Readonly<Record<string, { readonly packets: number }>>;
}
