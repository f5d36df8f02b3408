/** One VM of a benchmark: applied, timed by the events that `podtap up` shows, and removed again. */

import { PodtapError } from "../src/base/errors.ts";
import type { KubeEvent } from "../src/cluster/event-recorder.ts";
import { EVENTS, VMIS } from "../src/cluster/port.ts";
import type { OwnDaemon } from "./own-daemon.ts";
import { bootableVmi } from "./sample-vmi.ts";

/** Milliseconds from `apply` to the arrival of each event, by its reason. */
export type Milestones = Readonly<Record<string, number>>;

const STARTED = "Started";
const DEADLINE_MS = 60_000;

export async function startGuest(daemon: OwnDaemon, name: string, binding: string): Promise<Milestones> {
  const { client } = daemon;
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(DEADLINE_MS)]);
  const { metadata } = await client.list(EVENTS, { namespace: "default" });
  const watch = client.watch<KubeEvent>(EVENTS, {
    namespace: "default",
    resourceVersion: metadata.resourceVersion,
    signal,
  });
  const found: Record<string, number> = {};
  const begun = performance.now();
  const applied = client.apply(bootableVmi(name, binding, daemon.kernelImage)).then(() => {
    found["Applied"] = performance.now() - begun;
  });
  try {
    for await (const { object } of watch) {
      if (object.involvedObject.name !== name) continue;
      if (object.type === "Warning") throw failure(name, object.message);
      found[object.reason] ??= performance.now() - begun;
      if (object.reason === STARTED) break;
    }
    await applied;
  } finally {
    stop.abort();
  }
  if (found[STARTED] === undefined) throw failure(name, `not started within ${DEADLINE_MS / 1000} s`);
  return found;
}

/** Returns when nothing of it is left. */
export async function removeGuest({ client }: OwnDaemon, name: string): Promise<void> {
  const place = { namespace: "default", name };
  await client.delete(VMIS, place, { gracePeriodSeconds: 0 });
  await client.waitFor(VMIS, place, (vmi) => vmi === undefined, AbortSignal.timeout(DEADLINE_MS));
}

function failure(name: string, why: string): PodtapError {
  return new PodtapError({ code: "PT-BENCH-3", message: `the benchmark's VM ${name} did not start: ${why}` });
}
