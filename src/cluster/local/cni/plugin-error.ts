/** What a plugin complained of, as an error for people: pure, from its words to ours. */
import { type ErrorFacts, PodtapError, type Retry } from "../../../base/errors.ts";

export interface PluginFailure {
  readonly plugin: string;
  readonly command: string;
  readonly network: string;
  readonly ifName: string;
  /** The plugin's error object (spec, section 5), or what is known without one. */
  readonly said: { readonly code: number; readonly msg: string; readonly details?: string };
  /** Versions that the plugin speaks, where it was asked. */
  readonly versions?: readonly string[];
}

/** Section 5 of the spec: these mean the same for every plugin. */
const INCOMPATIBLE_VERSION = 1;
const IO_FAILURE = 5;
const TRY_AGAIN = 11;
export const TRY_AGAIN_LATER = "PT-CNI-11";
export const PLUGIN_REFUSED = "PT-CNI-3";

export function pluginError(failure: PluginFailure): PodtapError {
  const { plugin, command, network, ifName, said } = failure;
  const details = said.details === undefined || said.details === "" ? "" : ` (${said.details})`;
  const facts: ErrorFacts = {
    code: said.code === TRY_AGAIN || said.code === IO_FAILURE ? TRY_AGAIN_LATER : PLUGIN_REFUSED,
    message: `CNI plugin ${plugin}, ${command} of ${ifName} on network ${network}: ${said.msg}${details}, code ${said.code}`,
    retry: retryOf(said.code),
  };
  const hint = usualCause(failure);
  return new PodtapError(hint === undefined ? facts : { ...facts, hint });
}

/** What makes these plugins say "operation not supported": a kernel without this. */
const KERNEL_PIECES: Readonly<Record<string, string>> = {
  vlan: "802.1Q VLANs (CONFIG_VLAN_8021Q, `modprobe 8021q`)",
  ipvlan: "ipvlan (CONFIG_IPVLAN, `modprobe ipvlan`)",
  macvlan: "macvlan (CONFIG_MACVLAN, `modprobe macvlan`)",
  vrf: "VRFs (CONFIG_NET_VRF, `modprobe vrf`)",
  dummy: "dummy links (CONFIG_DUMMY, `modprobe dummy`)",
  bandwidth: "tbf and ifb (CONFIG_NET_SCH_TBF, CONFIG_IFB; `modprobe sch_tbf ifb`)",
};

/** The bridge plugin alone does without: its `vlan` needs more. */
function missingPiece(plugin: string, said: string): string {
  if (plugin === "bridge" && /vlan/i.test(said))
    return "VLAN filtering of bridges (CONFIG_BRIDGE_VLAN_FILTERING)";
  return KERNEL_PIECES[plugin] ?? `what ${plugin} needs`;
}

const CAUSES: readonly (readonly [RegExp, (plugin: string, said: string) => string])[] = [
  [
    /operation not supported|not supported by (the )?kernel/i,
    (plugin, said) =>
      `this kernel lacks ${missingPiece(plugin, said)}; load or build it, or use a plugin that does without`,
  ],
  [
    /exec: "?ip6?tables"?|ip6?tables.*(not found|no such file)/i,
    () => "the plugin runs iptables, which is not installed; without ipMasq it is not needed",
  ],
  [
    /no IP addresses available/i,
    () =>
      "the range is used up, often by addresses of pods that are gone: see the files in the network's folder of host-local, /var/lib/cni/networks by default",
  ],
  [
    /duplicate allocation|has been allocated to/i,
    () => "an earlier pod of this name left its address behind: `podtap gc` gives it back",
  ],
  [
    /already has an IP address different from/i,
    () => "the bridge was made for another network: delete it when nothing uses it, or name another bridge",
  ],
  [
    /failed to lookup (master|.*link)|link not found|no such network interface/i,
    (plugin) =>
      plugin === "host-device"
        ? "the host has no such device, or another pod has it, which alone can: share it by the macvlan plugin, or name another"
        : "the configuration names a link that this host has not; see `ip link`",
  ],
  [
    /could not set bridge's mac/i,
    () =>
      "the bridge was made without an address and has no port, so it has no MAC to keep: `ip link delete` it, the plugin makes it anew",
  ],
  [
    /failed to create macvlan: invalid argument/i,
    () =>
      "mode passthru takes the lower device for itself alone, and other modes share it: the two do not go together; `ip -d link` shows which links it carries",
  ],
  [
    /invalid MTU .*master MTU/i,
    () =>
      "the network's `mtu` is larger than that of the link it builds on: lower the one or raise the other",
  ],
  [/failed to find plugin/i, () => "a plugin that this one calls, usually ipam, is not installed"],
  [/dhcp\.sock|dial unix/i, () => "the plugin's daemon does not run: `/usr/lib/cni/dhcp daemon`"],
  [
    /permission denied|disable_ipv6/i,
    () =>
      "is IPv6 switched off (sysctl net.ipv6.conf.all.disable_ipv6)? Then the network must not have IPv6 ranges",
  ],
  [
    /failed to add route .*file exists/i,
    (plugin) =>
      `the network gives this route twice${plugin === "bridge" ? ": with isDefaultGateway, ipam.routes must not name the default route, too" : "; take one out of ipam.routes"}`,
  ],
  [
    /file exists|already exists|device or resource busy/i,
    () =>
      "something of that name is there already, perhaps left by a pod that is just going: it is worth trying again",
  ],
  [
    /failed to Statfs|no such file or directory/i,
    () => "the pod's network namespace, or a file of the plugin, is gone",
  ],
];

function usualCause({ plugin, said, versions }: PluginFailure): string | undefined {
  if (said.code === INCOMPATIBLE_VERSION) {
    const known = versions === undefined ? "" : `; this ${plugin} speaks ${versions.join(", ")}`;
    return `the configuration's cniVersion is not one the plugin speaks${known}`;
  }
  const text = `${said.msg} ${said.details ?? ""}`;
  return CAUSES.find(([pattern]) => pattern.test(text))?.[1](plugin, text);
}

function retryOf(code: number): Retry {
  if (code === TRY_AGAIN || code === IO_FAILURE) return "soon";
  // Codes 1 to 10 judge the configuration; from 100 on the plugin's own, 999 where it did not think of any.
  return code >= 100 ? "soon" : "on-change";
}
