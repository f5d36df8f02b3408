/** Pods that something is left of and nobody wants any more: after kill -9, after a lost store. */
import { readdirSync } from "node:fs";
import { dirname } from "node:path";
import type { Pod } from "../../api/types.ts";
import { identityOf } from "../../cluster/local/pods/pod-runner.ts";
import { type Cluster, PODS } from "../../cluster/port.ts";
import type { Paths } from "../paths.ts";
import type { NodeMachine } from "./ground.ts";

export interface Leftover {
  readonly kind: "pod";
  /** The pod's id. */
  readonly name: string;
}

const POD_ID = /^[0-9a-f]{12}$/;

export async function findLeftovers(
  cluster: Cluster,
  machine: NodeMachine,
  paths: Paths,
): Promise<readonly Leftover[]> {
  const seen = [
    ...namesIn(dirname(paths.podState("x"))),
    ...namesIn(dirname(paths.podRun("x"))),
    ...namesIn(paths.netns),
    ...machine.attachedPods(),
  ];
  // In this order: a pod's object is older than its first trace, so none that is being made is taken for a leftover.
  const wanted = new Set((await cluster.list<Pod>(PODS)).map((pod) => identityOf(pod).id));
  return [...new Set(seen)]
    .filter((id) => POD_ID.test(id) && !wanted.has(id))
    .map((name) => ({ kind: "pod", name }));
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw thrown;
  }
}
