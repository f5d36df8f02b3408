/**
 * Answers ARP and neighbour solicitations for stations that are on the network and do not answer the guest: a gateway
 * whose MAC CNI wrote into the pod's neighbour table (AWS's VPC plugin), or a router under the link-local address that
 * our advertisement names it by. What the guest then sends goes to the station itself; nothing is relayed.
 */
import { ipFromBytes, ipToBytes } from "../base/ip.ts";
import { macToBytes } from "../base/mac.ts";
import { decodeArpQuestion, ETHERTYPE_ARP, encodeArpAnswer } from "../wire/arp.ts";
import { ETHERTYPE_IPV6, etherTypeOf } from "../wire/ethernet.ts";
import { decodeNeighbourQuestion, encodeNeighbourAnswer } from "../wire/neighbour-discovery.ts";
import type { NeighboursConfig } from "./config.ts";
import { type Answer, type Responder, refuse } from "./responder.ts";

export function neighboursResponder({ neighbours }: NeighboursConfig): Responder {
  const known = new Map(
    neighbours.map(({ ip, mac, isRouter }) => [ip, { ip: ipToBytes(ip), mac: macToBytes(mac), isRouter }]),
  );
  const find = (target: Uint8Array) => known.get(ipFromBytes(target));
  return {
    type: "neighbours",
    notes: [],
    answer(frame): Answer | undefined {
      const etherType = etherTypeOf(frame);
      if (etherType === ETHERTYPE_ARP) {
        const asked = decodeArpQuestion(frame);
        if (typeof asked === "string") return refuse(asked);
        const found = find(asked.target);
        return found === undefined
          ? refuse("other-destination")
          : { frames: [encodeArpAnswer(found, asked)] };
      }
      if (etherType !== ETHERTYPE_IPV6) return undefined;
      const asked = decodeNeighbourQuestion(frame);
      if (asked === "other-protocol") return undefined;
      if (typeof asked === "string") return refuse(asked);
      const found = find(asked.target);
      return found === undefined
        ? refuse("other-destination")
        : { frames: [encodeNeighbourAnswer(found, asked)] };
    },
  };
}
