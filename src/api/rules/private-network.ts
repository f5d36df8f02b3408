/**
 * The private network that some bindings give the guest: PT-EARLY-1 to 5, 27 and 28. KubeVirt does not look at
 * it before the VM starts, and then fails inside the pod.
 */
import {
  type Cidr,
  cidrNetwork,
  cidrPrefix,
  cidrsOverlap,
  type Family,
  familyOf,
  parseCidr,
} from "../../base/ip.ts";
import { inboundOf } from "../annotations.ts";
import { methodField, type Nic, ownPrivateNetwork, spellingOf } from "../binding-admission.ts";
import { errorAt, type Finding, warningAt } from "../finding.ts";
import { formatPath, type Path } from "../path.ts";
import { sanitiseCidr } from "../sanitise.ts";
import { bindingOf, methodsOf } from "./binding-methods.ts";
import { networksOf, nicsOf, type SpecContext, type SpecRule } from "./spec-context.ts";

/** Gateway and guest need an address each beside network and broadcast. */
const LONGEST_PREFIX: Readonly<Record<Family, number>> = { 4: 30, 6: 126 };
/** Ranges no NIC can use for itself. */
const UNUSABLE = [
  ["0.0.0.0/8", 'is "this network"'],
  ["127.0.0.0/8", "is loopback"],
  ["169.254.0.0/16", "is link-local"],
  ["224.0.0.0/4", "is multicast"],
  ["240.0.0.0/4", "is reserved"],
  ["::/128", "is the unspecified address"],
  ["::1/128", "is loopback"],
  ["::ffff:0:0/96", "holds IPv4 addresses written as IPv6"],
  ["fe80::/10", "is link-local"],
  ["ff00::/8", "is multicast"],
] as const;

interface Spelling {
  readonly at: Path;
  readonly text: string;
  /** Undefined where the spelling takes either. */
  readonly family?: Family;
}

function spellingsOf(nic: Nic, vmi: SpecContext): readonly Spelling[] {
  if (nic.network === undefined) return [];
  const pod = [...vmi.path, "networks", networksOf(vmi).indexOf(nic.network), "pod"];
  const { vmNetworkCIDR = "", vmIPv6NetworkCIDR = "" } = nic.network.pod ?? {};
  const own = ownOf(nic, vmi);
  const spellings: readonly Spelling[] = [
    { at: [...pod, "vmNetworkCIDR"], text: sanitiseCidr(vmNetworkCIDR), family: 4 },
    { at: [...pod, "vmIPv6NetworkCIDR"], text: vmIPv6NetworkCIDR, family: 6 },
    ...(own === undefined ? [] : [{ at: [...nic.at, ...own.path], text: own.text }]),
  ];
  return spellings.filter(({ text }) => text !== "");
}

function ownOf(nic: Nic, vmi: SpecContext): ReturnType<typeof ownPrivateNetwork> {
  const asked = methodsOf(nic, vmi.settings).flatMap(({ binding }) => binding ?? []);
  return asked.flatMap((binding) => ownPrivateNetwork(binding, nic.iface) ?? [])[0];
}

function hasPrivateNetwork(nic: Nic, vmi: SpecContext): boolean {
  return methodsOf(nic, vmi.settings).some(({ binding }) => binding?.privateNetwork !== undefined);
}

/** PT-EARLY-1 to 4. */
export function usablePrivateNetwork(vmi: SpecContext): readonly Finding[] {
  return nicsOf(vmi)
    .filter((nic) => hasPrivateNetwork(nic, vmi))
    .flatMap((nic) => spellingsOf(nic, vmi).flatMap(spellingProblems));
}

function spellingProblems({ at, text, family }: Spelling): readonly Finding[] {
  const cidr = parseCidr(text);
  if (cidr === undefined) {
    const message = `${JSON.stringify(text)} is no network in CIDR form`;
    const hint = "Write an address and a prefix length, as 10.0.2.0/24 or fd10:0:2::/120.";
    return [errorAt({ code: "PT-EARLY-1", at, message, hint })];
  }
  const actual = familyOf(cidr);
  if (family !== undefined && actual !== family) {
    const message = `${cidr} is an IPv${actual} network; this field takes IPv${family}`;
    const hint = actual === 6 ? "Put it in vmIPv6NetworkCIDR." : "Put it in vmNetworkCIDR.";
    return [errorAt({ code: "PT-EARLY-3", at, message, hint })];
  }
  const longest = LONGEST_PREFIX[actual];
  if (cidrPrefix(cidr) > longest) {
    const message = `${cidr} has no room for a gateway and a guest`;
    const hint = `Use a prefix of at most /${longest}.`;
    return [errorAt({ code: "PT-EARLY-2", at, message, hint })];
  }
  const clash = UNUSABLE.find(
    ([range]) => familyOf(range as Cidr) === actual && cidrsOverlap(range as Cidr, cidr),
  );
  if (clash === undefined) return [];
  const message = `${cidr} overlaps ${clash[0]}, which ${clash[1]}`;
  const hint = "Use a private range: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, or fd00::/8.";
  return [errorAt({ code: "PT-EARLY-4", at, message, hint })];
}

/** PT-EARLY-5: podtap's spelling and KubeVirt's, both set, must agree. */
export function onePrivateNetwork(vmi: SpecContext): readonly Finding[] {
  return nicsOf(vmi).flatMap((nic) => {
    const own = spellingsOf(nic, vmi).find(({ family }) => family === undefined);
    const cidr = own === undefined ? undefined : parseCidr(own.text);
    if (own === undefined || cidr === undefined) return [];
    const other = spellingsOf(nic, vmi).find(({ family }) => family === familyOf(cidr));
    const theirs = other === undefined ? undefined : parseCidr(other.text);
    if (theirs === undefined || sameNetwork(cidr, theirs)) return [];
    const message = `${formatPath(own.at.slice(-2))} is ${cidr}, and the network says ${theirs}`;
    const hint = "Keep one of the two; networks[].pod is the spelling KubeVirt knows, too.";
    return [errorAt({ code: "PT-EARLY-5", at: own.at, message, hint })];
  });
}

function sameNetwork(a: Cidr, b: Cidr): boolean {
  return cidrPrefix(a) === cidrPrefix(b) && cidrNetwork(a) === cidrNetwork(b);
}

/** Fields of a method object are podtap's own: KubeVirt's have none. */
export function strictMethodFields(vmi: SpecContext): readonly Finding[] {
  if (vmi.settings.compat !== "strict") return [];
  return nicsOf(vmi).flatMap(({ iface, at }) =>
    vmi.settings.known.flatMap(({ method, ownFields = {} }) =>
      Object.entries(ownFields)
        .filter(([field]) => methodField(iface, method, field) !== undefined)
        .map(([field, { instead }]) => {
          const message = `unknown field ${JSON.stringify(field)}`;
          return errorAt({ code: "PT-MAN-10", at: [...at, method, field], message, hint: instead });
        }),
    ),
  );
}

/** PT-EARLY-28. */
export function privateNetworkHasUse(vmi: SpecContext): readonly Finding[] {
  const { known } = vmi.settings;
  const having = known.filter(({ privateNetwork }) => privateNetwork !== undefined);
  return nicsOf(vmi)
    .filter((nic) => !hasPrivateNetwork(nic, vmi))
    .flatMap((nic) =>
      spellingsOf(nic, vmi).map(({ at }) =>
        warningAt({
          code: "PT-EARLY-28",
          at,
          message: "this binding gives the guest no private network, and ignores the field",
          hint: `Remove it, or use ${having.map((binding) => `\`${spellingOf(binding)}\``).join(" or ")}.`,
        }),
      ),
    );
}

/** PT-EARLY-27. */
export function somethingReachesTheGuest(vmi: SpecContext): readonly Finding[] {
  const inbound = inboundOf(vmi.annotations, vmi.settings.inbound);
  if (inbound === "all") return [];
  return nicsOf(vmi).flatMap((nic) => {
    const { iface, at, network } = nic;
    const declared = (iface.ports ?? []).length + (iface.portRanges ?? []).length;
    const closed = bindingOf(nic, vmi.settings)?.ports === "allow-list";
    if (!closed || network?.pod === undefined || declared > 0) return [];
    const message = "nothing can reach this guest; declare ports or podtap.io/inbound: all";
    const hint = "Add ports: [{port: 22}] to the interface; replies to what the guest begins always come in.";
    return [warningAt({ code: "PT-EARLY-27", at, message, hint })];
  });
}

export const PRIVATE_NETWORK_RULES: readonly SpecRule[] = [
  usablePrivateNetwork,
  onePrivateNetwork,
  strictMethodFields,
  privateNetworkHasUse,
  somethingReachesTheGuest,
];
