/** The waiting of `up`: every VM followed at once, its events printed, its end put into words. */
import type { Vmi } from "../../api/types.ts";
import { PodtapError } from "../../base/errors.ts";
import type { KubeEvent } from "../../cluster/event-recorder.ts";
import { VMIS } from "../../cluster/port.ts";
import type { ApiClient } from "./client.ts";
import type { Context } from "./context.ts";
import { followVmi, type Waited, whyNot } from "./follow-vmi.ts";
import type { Progress } from "./progress.ts";
import { formatElapsed } from "./terminal.ts";

export interface WaitTarget {
  readonly namespace: string;
  readonly name: string;
  /** A former life of the same name that failed and is on its way out. */
  readonly notUid?: string;
}

export interface WaitOptions {
  readonly until: "running" | "agent";
  readonly timeoutMs: number;
  /** RFC 3339. */
  readonly since: string;
  /** Several VMs: lines say whose they are, in a column this wide. */
  readonly aboutWidth?: number;
}

const NO_AGENT = "AgentNotConnected";

export async function waitFor(
  context: Context,
  client: ApiClient,
  target: WaitTarget,
  progress: Progress,
  options: WaitOptions,
): Promise<Waited> {
  const timeout = AbortSignal.timeout(Math.max(1, options.timeoutMs));
  const warnings: KubeEvent[] = [];
  try {
    return await followVmi(
      client,
      {
        ...target,
        until: options.until,
        since: options.since,
        onEvent: (event) => {
          if (event.type === "Warning") warnings.push(event);
          progress.step({
            ...(options.aboutWidth !== undefined && { about: target.name.padEnd(options.aboutWidth) }),
            name: event.reason,
            detail: event.message,
            warning: event.type === "Warning",
          });
        },
        onStatus: (phase) => progress.busy(target.name, waitingText(phase, options.until)),
      },
      AbortSignal.any([context.signal, timeout]),
    );
  } catch (thrown) {
    if (context.signal.aborted || !timeout.aborted) throw thrown;
    return timedOut(client, target, warnings, options.timeoutMs);
  } finally {
    progress.busy(target.name, undefined);
  }
}

function waitingText(phase: string, until: WaitOptions["until"]): string {
  return phase === "Running" && until === "agent" ? "waiting for the guest agent" : phase.toLowerCase();
}

/** A time-out alone tells nobody anything: the last that was said is the likely cause. */
async function timedOut(
  client: ApiClient,
  { namespace, name }: WaitTarget,
  warnings: readonly KubeEvent[],
  timeoutMs: number,
): Promise<Waited> {
  const vmi = await client.find<Vmi>(VMIS, { namespace, name });
  const waited = `not up after ${formatElapsed(timeoutMs)}`;
  if (vmi === undefined)
    return { outcome: "failed", reason: "Timeout", message: `${waited}: it was never made` };
  const { reason, message } = whyNot(vmi, { warnings });
  if (vmi.status?.phase !== "Running")
    return { outcome: "failed", reason, message: `${waited}: ${message}`, vmi };
  const silent = `${waited}: it runs, but its guest agent does not answer`;
  return { outcome: "failed", reason: NO_AGENT, message: silent, vmi };
}

/** What to do about a VM that did not come up, by what was said. */
export function upError(target: WaitTarget, waited: Waited, program: string): PodtapError {
  const flags = target.namespace === "default" ? "" : ` -n ${target.namespace}`;
  if (waited.outcome !== "failed") {
    return new PodtapError({
      code: "PT-CLI-3",
      message: `${target.name} ended: the guest switched itself off`,
      hint: `what it said: ${program} logs${flags} ${target.name} --source serial`,
    });
  }
  return new PodtapError({
    code: "PT-CLI-1",
    message: `${target.name} did not come up: ${waited.message} (${waited.reason})`,
    hint: `${hintFor(waited, program, `${flags} ${target.name}`)}; all of it: ${program} describe${flags} vmi ${target.name}`,
  });
}

/** The message usually says what to do itself; this adds the way around and where to read on. */
function hintFor(
  { reason, message }: { readonly reason: string; readonly message: string },
  program: string,
  whom: string,
): string {
  const [, demo] = /\bpodtap\.local\/(demo(?:-kernel)?)\b/.exec(message) ?? [];
  if (demo !== undefined && /image/i.test(reason)) {
    return `'make guest' in the checkout builds it: --image-override podtap.local/${demo}=oci:$PWD/.cache/guest/oci:${demo}`;
  }
  if (/image/i.test(reason)) return "another image can stand in: --image-override FROM=TO";
  if (reason === NO_AGENT) return `does qemu-guest-agent run in the guest? ${program} console${whom}`;
  return `the launcher's log may say more: ${program} logs${whom}`;
}
