/**
 * The MTU for the guest. Some networks (Cilium's tunnels) leave the link's at its full size and put the smaller one
 * on the default route only; a guest that has the address but not the route would send what does not fit
 * (kata-containers/kata-containers#11149).
 */
import { cidrPrefix } from "../../base/ip.ts";
import type { NicContext } from "../binding.ts";

export function pathMtu({ podLink, routes }: Pick<NicContext, "podLink" | "routes">): number {
  const defaults = routes.filter(({ destination }) => cidrPrefix(destination) === 0);
  return Math.min(podLink.mtu, ...defaults.map(({ mtu }) => mtu ?? podLink.mtu));
}
