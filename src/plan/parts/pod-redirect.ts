/**
 * Redirects between a tap and the pod NIC, for a guest that has the pod's place: all of the wiring (tc-redirect), or a
 * shortcut past the bridge between the two, which then carries what is left.
 *
 * The guest's frames go straight to where the network takes them up, the far end of a veth, where the kernel can; the
 * way back has nothing to leave out, for the other end is not ours.
 */
import type { Mac } from "../../base/mac.ts";
import type { NicContext } from "../binding.ts";
import type { Classifier, LocalTraffic, RedirectPlan } from "../plan.ts";
import type { GuestIdentity } from "./anti-spoof.ts";
import { sendersOf } from "./port-security.ts";

/** For podtap's responders. */
export const ASKED: readonly LocalTraffic[] = [
  { family: 4, udpDestination: 67 },
  { family: 6, udpDestination: 547 },
  { family: 6, icmpType: 133 },
];
/** Of other servers and routers: not the guest's business. */
export const FOREIGN: readonly LocalTraffic[] = [
  { family: 4, udpDestination: 68 },
  { family: 6, udpDestination: 546 },
  { family: 6, icmpType: 134 },
];

export interface PodRedirectOptions {
  readonly nic: NicContext;
  readonly classifier: Classifier;
  readonly guest: GuestIdentity;
  /** podtap tells the guest its addresses. */
  readonly served: boolean;
  /** What the pod NIC is called when all is done. */
  readonly podNic: string;
  /** The bridge's own MAC, where there is one to fall back on. */
  readonly beside?: Mac;
}

export interface PodRedirects {
  readonly ofTap: RedirectPlan;
  readonly ofPodNic: RedirectPlan;
}

export function podRedirects(options: PodRedirectOptions): PodRedirects {
  const { nic, classifier, guest, served, podNic, beside } = options;
  const { redirectPeer } = nic.vm.features;
  const senders = sendersOf(guest);
  const intoPeer = classifier === "bpf" && redirectPeer && nic.podLink.peerElsewhere === true;
  return {
    ofTap: {
      to: podNic,
      classifier,
      local: served ? ASKED : [],
      ...(senders && { senders }),
      ...(intoPeer && { intoPeer }),
      ...(beside && { shortcut: { except: beside } }),
    },
    ofPodNic: {
      to: nic.names.tap,
      classifier,
      local: served ? FOREIGN : [],
      ...(beside && { shortcut: { to: guest.mac } }),
    },
  };
}
