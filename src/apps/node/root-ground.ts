/** Pods as root makes them: network namespaces by CNI, Services and the host's firewall by nftables. */
import { Socket } from "node:net";
import { join } from "node:path";
import type { Ip } from "../../base/ip.ts";
import { registry } from "../../bindings/index.ts";
import type { Plan } from "../../plan/plan.ts";
import { sayLost } from "../../report/lost-links.ts";
import { warmCapabilities } from "../../vm/warm-capabilities.ts";
import { serviceAddresses } from "./admission.ts";
import type { FirstGround, GroundOptions } from "./ground.ts";
import { lostLinks } from "./guest-links.ts";
import { HOST_NETNS, openHostNetwork } from "./host-network.ts";
import { Machine } from "./machine.ts";
import { type NodeNet, startNodeNet } from "./net.ts";
import { podNetworks } from "./pod-networks.ts";
import { podFolders } from "./sandbox-files.ts";
import { serviceController } from "./service-controller.ts";

export async function openRootGround({ paths, config, known }: GroundOptions): Promise<FirstGround> {
  const net = startNodeNet();
  const host = await openHostNetwork(net, paths, config, known);
  return {
    admission: (taken) => [serviceAddresses({ ranges: host.ranges.services, taken })],
    with: ({ cluster, disks, accelerator, warn }) => {
      const networks = podNetworks({ paths, config, host, cluster });
      // Not waited for but by who needs the answer: a VM that comes first only starts 1.5 s later.
      const abort = new AbortController();
      const warming = warmCapabilities(paths.libvirtCache, {
        scratch: join(paths.run, "capabilities"),
        signal: abort.signal,
      }).catch((thrown) => {
        if (!abort.signal.aborted) warn("no warm capabilities", thrown);
      });
      const libvirtAsked = async (): Promise<void> => void (await warming);
      const machine = new Machine({
        paths,
        config,
        net,
        host,
        networks,
        accelerator,
        disks,
        warn,
        libvirtAsked,
      });
      return {
        machine,
        network: {
          pods: host.podRanges,
          services: host.serviceRanges,
          cni: host.network().name,
          bridge: host.bridge,
        },
        controllers: (environment) => [serviceController(environment, net, host)],
        dial: async (pod, port) => {
          const plan = machine.storedPlan(pod);
          const doors = plan === undefined ? [] : doorsOf(plan, podFolders(paths, pod.id).netns);
          return new Socket({ fd: await knock(net, doors, port) });
        },
        preview: async (pod, vmi) => {
          const request = await machine.wireRequest(pod, vmi);
          const preview = await net.call("previewPod", request);
          if (!preview.ok) return preview;
          const { resolver, attachments } = request.input;
          const lost = (await lostLinks(net, podFolders(paths, pod.id))).map(sayLost);
          return { ...preview, value: { ...preview.value, resolver, attachments, lost } };
        },
        counters: async (pod) => {
          const tables = machine.storedPlan(pod)?.nics.flatMap((nic) => nic.nft) ?? [];
          const { netns } = podFolders(paths, pod.id);
          const read = tables.map(async ({ family, name }) => ({
            table: `${family} ${name}`,
            counters: await net.call("readNftCounters", { netns, table: { family, name } }),
          }));
          return await Promise.all(read);
        },
        warmUp: () => net.call("warmUp", {}),
        release: () => host.release(),
        close: async () => {
          abort.abort();
          await warming;
          await net.close();
        },
      };
    },
  };
}

interface Door {
  readonly netns: string;
  readonly ip: Ip;
}

/**
 * Where the guest answers. Behind the pod's translation that is inside the pod, where no declared port stands in
 * between; a guest with addresses of its own is dialled from the host, for its pod has no network any more; and
 * one behind a program is where the program listens.
 */
function doorsOf({ nics }: Plan, podNetns: string): readonly Door[] {
  return nics.flatMap((nic) => {
    const traits = registry.all.find(({ bindingName }) => bindingName === nic.bindingName)?.traits;
    if (traits?.path === "user-space") return nic.addresses.pod.map((ip) => ({ netns: HOST_NETNS, ip }));
    const netns = traits?.podAddress === "natted" ? podNetns : HOST_NETNS;
    return nic.addresses.guest.map((ip) => ({ netns, ip }));
  });
}

/** Tries the guest's doors in order. */
async function knock(net: NodeNet, doors: readonly Door[], port: number): Promise<number> {
  let last: unknown = new Error("it has no address");
  for (const { netns, ip } of doors) {
    try {
      return await net.connectTcp(netns, ip, port);
    } catch (thrown) {
      last = thrown;
    }
  }
  throw last;
}
