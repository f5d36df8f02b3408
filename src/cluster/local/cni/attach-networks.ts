/** Attaches a pod to its networks, one after the other, and says what became of each. */
import { messageOf, PodtapError } from "../../../base/errors.ts";
import { cidrIp, cidrPrefix } from "../../../base/ip.ts";
import type { NetworkStatus } from "../../multus/network-status.ts";
import type { Attachment } from "./attachment.ts";
import type { Cni } from "./cni.ts";
import type { RequestedNetwork } from "./requested-networks.ts";
import { type CniResult, podAddresses } from "./result.ts";

export interface AttachedNetwork {
  readonly status: NetworkStatus;
  /** What was done otherwise than written. */
  readonly notes: readonly string[];
}

/**
 * In the order given: plugins of later networks may look at what earlier ones made, and links are numbered so.
 * What fails leaves the earlier ones attached, for whoever takes down the pod.
 */
export async function attachNetworks(
  cni: Pick<Cni, "add">,
  pod: Pick<Attachment, "containerId" | "netnsPath" | "pod">,
  requested: readonly RequestedNetwork[],
): Promise<readonly AttachedNetwork[]> {
  const attached: AttachedNetwork[] = [];
  for (const wanted of requested) {
    const { ifName, network, mac, capabilityArgs, notes } = wanted;
    const attachment = {
      ...pod,
      ifName,
      network,
      ...(mac !== undefined && { mac }),
      ...(capabilityArgs !== undefined && { capabilityArgs }),
    };
    const result = await cni.add(attachment).catch((thrown: unknown) => {
      throw about(wanted, thrown);
    });
    attached.push({ status: statusOf(wanted, result), notes });
  }
  return attached;
}

/** As the standard's client library makes it of a result (network-attachment-definition-client, `pkg/utils`). */
export function statusOf(
  { name, ifName, primary }: Pick<RequestedNetwork, "name" | "ifName" | "primary">,
  result: CniResult,
): NetworkStatus {
  const link = result.interfaces.find((one) => one.name === ifName && one.sandbox !== undefined);
  const ips = podAddresses(result, ifName);
  const gateways = result.routes.flatMap(({ dst, gw }) => (cidrPrefix(dst) === 0 && gw ? [gw] : []));
  const ofAddresses = result.ips.flatMap(({ address, gateway }) =>
    gateway !== undefined && hasDefaultRoute(result, cidrIp(address)) ? [gateway] : [],
  );
  const gateway = [...new Set(gateways.length > 0 ? gateways : ofAddresses)];
  const { nameservers, search, domain, options } = result.dns;
  return {
    name,
    interface: ifName,
    ...(ips.length > 0 && { ips }),
    ...(link?.mac !== undefined && { mac: link.mac }),
    ...(link?.mtu !== undefined && { mtu: link.mtu }),
    ...(primary && { default: true }),
    dns: {
      ...(nameservers.length > 0 && { nameservers }),
      ...(domain !== undefined && { domain }),
      ...(search.length > 0 && { search }),
      ...(options !== undefined && { options }),
    },
    ...(gateway.length > 0 && { gateway }),
  };
}

/** A default route without a gateway of its own goes by the gateway of the address. */
function hasDefaultRoute({ routes }: CniResult, ip: string): boolean {
  return routes.some(({ dst }) => cidrPrefix(dst) === 0 && dst.includes(":") === ip.includes(":"));
}

/** The plugin's words name the CNI network; users know the NAD. */
function about({ name, ifName, primary }: RequestedNetwork, thrown: unknown): unknown {
  if (!(thrown instanceof PodtapError) || (primary && !name.includes("/"))) return thrown;
  const { code, hint, retry, blame } = thrown;
  return new PodtapError({
    code,
    message: `network ${name} for ${ifName}: ${messageOf(thrown)}`,
    retry,
    blame,
    cause: thrown,
    ...(hint !== undefined && { hint }),
  });
}
