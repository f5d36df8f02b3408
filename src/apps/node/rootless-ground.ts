/** What an ordinary user's daemon stands on: the user's own processes and the host's network as it is. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { dialHostPort } from "../../plan/parts/host-ports.ts";
import type { FirstGround, GroundOptions } from "./ground.ts";
import { rootlessAdmission } from "./rootless-admission.ts";
import { RootlessMachine } from "./rootless-machine.ts";
import { readRootlessNetwork } from "./rootless-network.ts";

const nothing = async (): Promise<void> => undefined;

export async function openRootlessGround({ paths }: GroundOptions): Promise<FirstGround> {
  return {
    admission: () => [rootlessAdmission],
    with: ({ accelerator, disks, warn }) => {
      const machine = new RootlessMachine({ paths, accelerator, disks, warn, network: readRootlessNetwork });
      return {
        machine,
        network: { pods: [], services: [], cni: "none (rootless)" },
        controllers: () => [],
        dial: async (pod, port) => {
          const ports = machine.storedPlan(pod)?.nics.flatMap(({ hostPorts }) => hostPorts ?? []) ?? [];
          const [door] = dialHostPort(ports, "tcp", port);
          if (door === undefined)
            throw new Error("the manifest does not declare it, so the host does not listen for it");
          return await dial(door.ip, door.port);
        },
        preview: async (_pod, vmi) => {
          const planned = machine.plan(vmi);
          if (!planned.ok) return planned;
          const { resolver } = machine.wireInput(vmi);
          const { observed } = readRootlessNetwork();
          const value = {
            plan: planned.value,
            steps: [],
            observed,
            pristine: observed,
            resolver,
            attachments: {},
          };
          return { ...planned, value };
        },
        counters: async () => [],
        warmUp: nothing,
        release: nothing,
        close: nothing,
      };
    },
  };
}

async function dial(host: string, port: number): Promise<Socket> {
  const socket = connect({ host, port });
  await once(socket, "connect");
  return socket;
}
