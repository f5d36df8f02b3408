/**
 * macvtap: QEMU's queue sits on the network's device itself, without a bridge and without a tap.
 *
 *   guest ── tap0 (macvtap) ──┬── eth0-nic, the pod NIC, or the host's interface below it     eth0: parked, down
 *            k6t-eth0 ────────┘
 *
 * The guest takes the pod's place: its address, if it has one, and its MAC. The pod NIC steps aside under another name
 * and MAC; name and addresses are parked where CNI CHECK and DEL look for them. Our responders cannot reach the guest
 * over the device below it, so they sit on a sibling of it, a macvlan in bridge mode. Without an address from CNI the
 * network itself answers the guest, and the guest's MAC is one that it keeps over restarts.
 *
 * Promises: the guest speaks under its own MAC and addresses only (tables.ts); nothing that the responders say gets
 * out; the pod's own stack is mute there.
 * Not here: the character device that QEMU opens (linux/sandbox/macvtap-nodes.ts).
 */
import { DHCP_ANNOTATION } from "../../api/annotations.ts";
import type { Mac } from "../../base/mac.ts";
import { failed, ok, type Result } from "../../base/result.ts";
import type { Binding, NicContext } from "../../plan/binding.ts";
import { tapDomainInterface } from "../../plan/parts/domain-interface.ts";
import { guestMac, podsMac } from "../../plan/parts/guest-mac.ts";
import { pathMtu } from "../../plan/parts/path-mtu.ts";
import { podAddressServices, wiringMac } from "../../plan/parts/pod-address-services.ts";
import { handedOver, podAddresses } from "../../plan/parts/pod-addresses.ts";
import { reportPodBridge } from "../../plan/parts/pod-bridge.ts";
import { stationIdentity } from "../../plan/parts/port-security.ts";
import type { LinkPlan, MacvlanMode, NicPlan, SysctlPlan } from "../../plan/plan.ts";
import { hostAccessProblems, hostLinkOf } from "./host-access.ts";
import { lacking, modeOf, problemsOf } from "./mode.ts";
import { notesOf } from "./notes.ts";
import { macvtapTable } from "./tables.ts";
import type { Wiring } from "./wiring.ts";

export const macvtap: Binding = {
  bindingName: "macvtap",
  spelling: { binding: { name: "macvtap" } },
  traits: {
    podAddress: "moved",
    guestAddressing: "podtap",
    attaches: "macvtap",
    networks: "any",
    liveMigration: "no",
    hotplug: false,
    ports: "informative",
    path: "lower-device",
    layer2: true,
    podStack: false,
    rootless: false,
  },
  lacking,
  validate: (nic) => [...problemsOf(nic), ...hostAccessProblems(nic)],
  podNeeds: () => ({ memoryMiB: 0 }),
  plan: planMacvtap,
  report: reportPodBridge,
};

function planMacvtap(nic: NicContext): Result<NicPlan> {
  const mode = modeOf(nic);
  if (!mode.ok) return failed(...mode.problems);
  const addresses = podAddresses(nic);
  const known = handedOver(addresses);
  const { mac, macOrigin } = (known.length > 0 ? podsMac(nic) : undefined) ?? guestMac(nic);
  const external = nic.annotations[DHCP_ANNOTATION] === "external";
  const served = !external && known.length > 0 && mode.value === "bridge";
  const podNicMac = podNicMacOf(nic, mode.value, mac);
  const wiring: Wiring = { nic, mode: mode.value, mac, podNicMac, addresses, served, external };
  const { tap, podInterface } = nic.names;
  const answered = { pod: known, guest: external ? [] : known };
  const hostLink = hostLinkOf(nic, mode.value, { mac, addresses: answered });
  if (!hostLink.ok) return failed(...hostLink.problems);
  return ok({
    name: nic.interface.name,
    bindingName: macvtap.bindingName,
    podInterface,
    addresses: answered,
    mac,
    macOrigin,
    links: links(wiring),
    sysctls: sysctls(wiring),
    nft: [rules(wiring)],
    services: served ? podAddressServices(nic, addresses, doorOf(wiring)) : [],
    domain: tapDomainInterface(nic, mac, pathMtu(nic)),
    ...(hostLink.value && { hostLink: hostLink.value }),
    guestLink: tap,
    notes: notesOf(wiring),
  });
}

/** Two links on one device cannot have one MAC, but in passthru, where they must. */
function podNicMacOf(nic: NicContext, mode: MacvlanMode, guest: Mac): Mac {
  if (mode === "passthru") return guest;
  const { mac } = nic.podLink;
  return mac === undefined || mac === guest ? wiringMac(nic, "pod-nic") : mac;
}

function doorOf({ nic, mac }: Wiring): Parameters<typeof podAddressServices>[2] {
  return { link: nic.names.bridge, serverMac: wiringMac(nic), guestMac: mac };
}

function links(wiring: Wiring): readonly LinkPlan[] {
  const { nic, mode, mac, podNicMac, served } = wiring;
  const { names, podLink, vm } = nic;
  const lower = names.renamedNic;
  const common = { lower, mtu: podLink.mtu, addresses: [] };
  return [
    { type: "pod-nic", index: podLink.index, name: lower, mac: podNicMac, released: true },
    { type: "macvtap", name: names.tap, mode, mac, ...common },
    ...(served
      ? [{ type: "macvlan" as const, name: names.bridge, mode, mac: wiringMac(nic), ...common }]
      : []),
    {
      type: "park",
      name: names.podInterface,
      kind: vm.features.dummy ? "dummy" : "bridge",
      mac: podLink.mac ?? mac,
      mtu: podLink.mtu,
      addresses: podLink.addresses,
    },
  ];
}

/** The pod's kernel would make itself the guest's own link-local address, and speak under it. */
function sysctls({ nic, served }: Wiring): readonly SysctlPlan[] {
  const { tap, bridge, podInterface } = nic.names;
  const hasIpv6 = (nic.observed.sysctls[`net/ipv6/conf/${podInterface}/accept_ra`] ?? null) !== null;
  if (!hasIpv6) return [];
  return [tap, ...(served ? [bridge] : [])].map((link) => ({
    key: `net/ipv6/conf/${link}/disable_ipv6`,
    value: "1",
  }));
}

function rules(wiring: Wiring): NicPlan["nft"][number] {
  const { nic, mode, mac, podNicMac, addresses, served, external } = wiring;
  const { names } = nic;
  const known = handedOver(addresses).length > 0 && !external;
  const router = addresses.ipv6?.router?.mac;
  return macvtapTable({
    guest: stationIdentity(nic, mac, addresses, known),
    podNic: names.renamedNic,
    ...(mode !== "passthru" && { podNicMac }),
    ...(served && {
      door: {
        link: names.bridge,
        mac: wiringMac(nic),
        speakers: [wiringMac(nic), ...(router ? [router] : [])],
      },
    }),
  });
}
