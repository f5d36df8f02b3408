/** Keeps the host's tables in step with Services and pods; one key, for the tables are replaced as a whole. */
import type { Pod, Service } from "../../api/types.ts";
import { parseIp } from "../../base/ip.ts";
import type { ControllerEnvironment, ControllerOptions } from "../../cluster/controllers/controller.ts";
import type { Requeue } from "../../cluster/controllers/work-queue.ts";
import { hostTables } from "../../cluster/local/services/host-tables.ts";
import { selectEndpoints } from "../../cluster/local/services/service-endpoints.ts";
import { PODS, SERVICES } from "../../cluster/port.ts";
import type { HostNetwork } from "./host-network.ts";
import type { NodeNet } from "./net.ts";

const KEY = "host";
/** Docker, ufw and firewalld tell nobody when they reload. */
const FIREWALL_LOOK = { afterMs: 30_000 };

export function serviceController(
  { cluster }: ControllerEnvironment,
  net: NodeNet,
  host: HostNetwork,
): ControllerOptions {
  let inPlace = "";

  const reconcile = async (): Promise<Requeue> => {
    const [services, pods] = await Promise.all([cluster.list<Service>(SERVICES), cluster.list<Pod>(PODS)]);
    if (pods.length === 0) {
      // The host is left as it was found; the tables come with the first pod.
      await host.release();
      inPlace = "";
      return undefined;
    }
    const tables = hostTables({
      services: selectEndpoints(services, pods),
      serviceRanges: host.serviceRanges,
      podRanges: host.podRanges,
      ...(host.bridge !== undefined && { bridge: host.bridge }),
      podAddresses: pods.flatMap((pod) => (pod.status?.podIPs ?? []).flatMap(({ ip }) => parseIp(ip) ?? [])),
      hostPorts: host.hostPorts,
    });
    host.settleHairpin();
    await host.use(() => host.settleFirewall());
    const wanted = JSON.stringify(tables);
    if (wanted === inPlace) return FIREWALL_LOOK;
    await host.use(() => net.call("replaceHostTables", { tables }));
    inPlace = wanted;
    return FIREWALL_LOOK;
  };

  return {
    name: "services",
    watches: [SERVICES, PODS].map((resource) => ({ resource, keysOf: () => [KEY] })),
    reconcile,
  };
}
