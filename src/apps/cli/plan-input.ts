/** What `plan` plans for: a recorded namespace, or an example of what CNI usually leaves behind. */
import { readFile } from "node:fs/promises";
import { messageOf, PodtapError } from "../../base/errors.ts";
import type { Cidr, Ip } from "../../base/ip.ts";
import type { Mac } from "../../base/mac.ts";
import type { NetworkAttachment, Resolver } from "../../plan/binding.ts";
import { NOTHING_OBSERVED, type Observed } from "../../plan/observed.ts";
import type { Plan } from "../../plan/plan.ts";
import type { Step } from "../../plan/step.ts";

export interface Surroundings {
  /** As it is. */
  readonly observed: Observed;
  /** As CNI left it, which is what is planned from; absent: nothing was changed since. */
  readonly pristine?: Observed;
  readonly resolver: Resolver;
  /** By network name: what made the NICs, where it is known. */
  readonly attachments?: Readonly<Record<string, NetworkAttachment>>;
}

const EXAMPLE_RESOLVER: Resolver = {
  nameservers: ["10.96.0.10" as Ip, "fd00:96::a" as Ip],
  searchDomains: ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"],
};

/** A dual-stack pod with one NIC, as a bridge CNI makes it. Addresses are those of documentation and tests. */
export const EXAMPLE: Surroundings = {
  observed: {
    ...NOTHING_OBSERVED,
    links: [
      {
        index: 1,
        name: "lo",
        type: "",
        mtu: 65536,
        up: true,
        addresses: ["127.0.0.1/8" as Cidr, "::1/128" as Cidr],
      },
      {
        index: 2,
        name: "eth0",
        type: "veth",
        peerElsewhere: true,
        mac: "0a:58:0a:f4:01:07" as Mac,
        mtu: 1500,
        up: true,
        addresses: ["10.244.1.7/24" as Cidr, "fd00:10:244:1::7/64" as Cidr],
      },
    ],
    routes: [
      { destination: "0.0.0.0/0" as Cidr, gateway: "10.244.1.1" as Ip, link: "eth0" },
      { destination: "::/0" as Cidr, gateway: "fd00:10:244:1::1" as Ip, link: "eth0" },
    ],
    sysctls: {
      "net/bridge/bridge-nf-call-iptables": "1",
      "net/bridge/bridge-nf-call-ip6tables": "1",
      "net/ipv6/conf/eth0/accept_ra": "0",
    },
    neighbours: ["fd00:10:244:1::1", "fe80::858:aff:fef4:101"].map((ip) => ({
      link: "eth0",
      ip: ip as Ip,
      mac: "0a:58:0a:f4:01:01" as Mac,
      permanent: false,
    })),
  },
  resolver: EXAMPLE_RESOLVER,
};

/** What was planned and left to do when they were recorded. */
export interface Recorded extends Surroundings {
  readonly before?: { readonly plan: Plan; readonly steps: readonly Step[] };
}

/** An `Observed`, or an object with `observed` and `resolver`, which is what `plan -o json` prints. */
export async function readSurroundings(file: string): Promise<Recorded> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, "utf8"));
  } catch (thrown) {
    throw badFile(file, messageOf(thrown));
  }
  const outer = value as Partial<Surroundings> & Partial<Observed> & Partial<Recorded["before"] & object>;
  const observed = (outer?.observed ?? outer) as Partial<Observed> | null;
  if (!Array.isArray(observed?.links)) throw badFile(file, "it has no list of links");
  return {
    observed: { ...NOTHING_OBSERVED, ...observed },
    ...(outer.pristine !== undefined && { pristine: { ...NOTHING_OBSERVED, ...outer.pristine } }),
    resolver: outer.resolver ?? EXAMPLE_RESOLVER,
    ...(outer.attachments !== undefined && { attachments: outer.attachments }),
    ...(outer.plan !== undefined &&
      Array.isArray(outer.steps) && { before: { plan: outer.plan, steps: outer.steps } }),
  };
}

function badFile(file: string, why: string): PodtapError {
  return new PodtapError({
    code: "PT-USAGE-3",
    message: `--observed ${file}: ${why}`,
    hint: "'podtap plan NAME -o json' of a running VM prints one",
  });
}
