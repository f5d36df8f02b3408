/** The plan of a manifest on this side of the socket: what the daemon would decide in the same surroundings. */
import { queueCapacity } from "../../api/defaults.ts";
import type { Vmi } from "../../api/types.ts";
import { ManifestError } from "../../base/errors.ts";
import { registry } from "../../bindings/index.ts";
import { TYPICAL_FEATURES } from "../../plan/host-features.ts";
import type { Plan } from "../../plan/plan.ts";
import { type HostFacts, planPod } from "../../plan/planner.ts";
import type { Surroundings } from "./plan-input.ts";

/** uid 107 is the launcher's; the rest is the daemon's configuration where nobody changed it. */
const HOST: HostFacts = { runtimeUid: 107, features: TYPICAL_FEATURES, inbound: "declared" };

/** @throws ManifestError with every problem */
export function planManifest(vmi: Vmi, surroundings: Surroundings): Plan {
  const { observed, pristine, resolver, attachments = {} } = surroundings;
  const queues = queueCapacity(vmi.spec);
  const result = planPod(
    { vmi, observed: pristine ?? observed, resolver, host: HOST, queues, attachments },
    registry,
  );
  if (!result.ok) throw new ManifestError(result.problems);
  return result.value;
}
