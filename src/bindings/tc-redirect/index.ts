/**
 * tc-redirect: the guest takes the pod's place without a bridge; tap and pod NIC pass each other's frames on.
 *
 *   guest 10.244.1.7 ── tap0 ══ tc redirect ══ eth0 10.244.1.7 ── the network
 *
 * The pod NIC keeps name, MAC and addresses, so CNI finds it as it left it, and the guest has the same ones; so it
 * works where a bridge cannot, over a macvlan or an ipvlan. The pod's own stack hears nothing and may say nothing: it
 * would speak in the guest's name. DHCP, DHCPv6 and router advertisements are served on the tap all the same, which
 * is what others who wire like this give up (Kata, Firecracker); `podtap.io/dhcp: external` leaves them to the
 * network, as a network without IPAM always does.
 *
 * A frame is redirected only from who may send it; `tables.ts` drops and counts the rest.
 */
import { DHCP_ANNOTATION } from "../../api/annotations.ts";
import { failed, ok, type Result } from "../../base/result.ts";
import type { Binding, NicContext } from "../../plan/binding.ts";
import type { HostFeatures } from "../../plan/host-features.ts";
import type { GuestIdentity } from "../../plan/parts/anti-spoof.ts";
import { queuesOf, tapDomainInterface } from "../../plan/parts/domain-interface.ts";
import { podsMac } from "../../plan/parts/guest-mac.ts";
import { pathMtu } from "../../plan/parts/path-mtu.ts";
import {
  LAST_SERVER_INDEX,
  podAddressNotes,
  podAddressServices,
  wiringMac,
} from "../../plan/parts/pod-address-services.ts";
import { handedOver, type PodAddresses, podAddresses } from "../../plan/parts/pod-addresses.ts";
import { reportPodBridge } from "../../plan/parts/pod-bridge.ts";
import { ASKED, FOREIGN, podRedirects } from "../../plan/parts/pod-redirect.ts";
import { portSecurityNotes, stationIdentity } from "../../plan/parts/port-security.ts";
import { noServerAddress } from "../../plan/parts/unbridgeable.ts";
import type { Classifier, LinkPlan, NicPlan, SysctlPlan } from "../../plan/plan.ts";
import { noClassifier, noEthernet } from "./problems.ts";
import { redirectTable } from "./tables.ts";

export const tcRedirect: Binding = {
  bindingName: "tc-redirect",
  spelling: { binding: { name: "tc-redirect" } },
  traits: {
    podAddress: "shared",
    guestAddressing: "podtap",
    attaches: "tap",
    networks: "any",
    liveMigration: "no",
    hotplug: false,
    ports: "informative",
    path: "redirected",
    layer2: true,
    podStack: false,
    rootless: false,
  },
  lacking: ({ classifiers }: HostFeatures) =>
    classifiers.length > 0
      ? undefined
      : "no traffic classifier: the kernel lacks cls_bpf, cls_matchall and cls_u32, or act_mirred",
  validate: () => [],
  podNeeds: () => ({ memoryMiB: 0 }),
  plan: planRedirect,
  report: reportPodBridge,
};

/** Everything that was decided before the plan is put together. */
interface Wiring {
  readonly nic: NicContext;
  readonly classifier: Classifier;
  readonly guest: GuestIdentity;
  readonly addresses: PodAddresses;
  /** podtap tells the guest its addresses. */
  readonly served: boolean;
}

function planRedirect(given: NicContext): Result<NicPlan> {
  const nic: NicContext = { ...given, podLink: { ...given.podLink, mtu: pathMtu(given) } };
  const [classifier] = nic.vm.features.classifiers;
  if (classifier === undefined) return failed(noClassifier(nic));
  const own = podsMac(nic);
  if (own === undefined) return failed(noEthernet(nic));
  const addresses = podAddresses(nic);
  if (addresses.ipv4 && nic.index > LAST_SERVER_INDEX) return failed(noServerAddress(nic));
  const known = handedOver(addresses);
  const served = known.length > 0 && nic.annotations[DHCP_ANNOTATION] !== "external";
  const guest = stationIdentity(nic, own.mac, addresses, served);
  const wiring: Wiring = { nic, classifier, guest, addresses, served };
  const { tap, podInterface } = nic.names;
  const { netdevEgress: egress } = nic.vm.features;
  const door = { link: tap, serverMac: wiringMac(nic), guestMac: own.mac };
  return ok({
    name: nic.interface.name,
    bindingName: tcRedirect.bindingName,
    podInterface,
    addresses: { pod: known, guest: served ? known : [] },
    ...own,
    links: links(wiring),
    sysctls: sysctls(nic),
    nft: [redirectTable({ guest, egress, asked: served ? ASKED : [], foreign: served ? FOREIGN : [] })],
    services: served ? podAddressServices(nic, addresses, door) : [],
    domain: tapDomainInterface(nic, own.mac, nic.podLink.mtu),
    guestLink: tap,
    notes: notes(wiring),
  });
}

function links({ nic, classifier, guest, served }: Wiring): readonly LinkPlan[] {
  const { names, podLink, vm } = nic;
  const redirects = podRedirects({ nic, classifier, guest, served, podNic: names.podInterface });
  return [
    {
      type: "tap",
      name: names.tap,
      mtu: podLink.mtu,
      uid: vm.runtimeUid,
      multiQueue: queuesOf(nic) > 1,
      redirect: redirects.ofTap,
    },
    {
      type: "pod-nic",
      index: podLink.index,
      name: names.podInterface,
      released: false,
      redirect: redirects.ofPodNic,
    },
  ];
}

/** The pod's end of the tap is nobody: it neither solicits routers nor reports groups to the guest. */
function sysctls({ names, observed }: NicContext): readonly SysctlPlan[] {
  const hasIpv6 = (observed.sysctls[`net/ipv6/conf/${names.podInterface}/accept_ra`] ?? null) !== null;
  return hasIpv6 ? [{ key: `net/ipv6/conf/${names.tap}/disable_ipv6`, value: "1" }] : [];
}

function notes({ nic, classifier, guest, addresses, served }: Wiring): readonly string[] {
  const pod = nic.names.podInterface;
  return [
    ...(served || handedOver(addresses).length === 0
      ? podAddressNotes(nic, addresses)
      : [`addresses are the network's business: DHCP and router advertisements pass ${pod} unfiltered`]),
    ...portSecurityNotes(nic),
    "the pod's own stack is deaf and mute: probes of the pod's address reach the guest; a mesh, exec probes and kubectl port-forward do not work",
    ...(classifier === "bpf" ? [] : [`redirected by ${classifier}: this kernel has no eBPF classifier`]),
    ...(nic.vm.features.netdevEgress
      ? []
      : [
          `this kernel cannot filter what leaves ${pod}: the pod's own stack may speak with the guest's addresses`,
        ]),
    ...(guest.mac === nic.podLink.mac
      ? []
      : [`the guest has another MAC than ${pod}: a network that checks its pods' MAC drops its frames`]),
  ];
}
