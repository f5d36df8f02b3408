/**
 * What nftables tells over netlink itself (include/uapi/linux/netfilter/nf_tables.h), for a fraction of what
 * libnftables costs: which tables there are, and the ruleset's generation. The kernel counts every committed change
 * of any table of a namespace; the same number means that nobody changed a rule. Packet counters do not count.
 *
 * Of the calling thread's namespace. Closing a netfilter socket waits until what earlier transactions deleted is
 * gone (nft_rcv_nl_event, 13-19 ms), so it is closed later by a timer.
 */
import type { NftFamily, NftTableId } from "../nft/model.ts";
import { decodeAttributes, readText, viewOf } from "../wire/netlink.ts";
import { EINVAL, KernelError } from "./errno.ts";
import { NETLINK_NETFILTER, type NetlinkSocket, openNetlinkSocket } from "./netlink-socket.ts";

const NFNL_SUBSYS_NFTABLES = 10 << 8;
const NFT_MSG_GETTABLE = NFNL_SUBSYS_NFTABLES | 1;
const NFT_MSG_GETGEN = NFNL_SUBSYS_NFTABLES | 16;
const NFTA_TABLE_NAME = 1;
const NFTA_GEN_ID = 1;
/** nfgenmsg: family u8, version u8, resource id u16. */
const NFGENMSG = 4;
const CLOSE_AFTER_MILLISECONDS = 200;

const families: ReadonlyMap<number, NftFamily> = new Map([
  [1, "inet"],
  [2, "ip"],
  [3, "arp"],
  [5, "netdev"],
  [7, "bridge"],
  [10, "ip6"],
]);

export function readNftGeneration(): number {
  return ask((socket) => {
    const object = "the ruleset's generation";
    const payload = new Uint8Array(NFGENMSG);
    const [answer] = socket.ask({ type: NFT_MSG_GETGEN, payload, operation: "read", object });
    const id = answer && decodeAttributes(answer.subarray(NFGENMSG)).get(NFTA_GEN_ID);
    if (id === undefined || id.length < 4) {
      throw new KernelError({ errno: EINVAL, operation: "read", object, said: "no number in the answer" });
    }
    // Network order, as all of nftables' numbers.
    return viewOf(id).getUint32(0, false);
  });
}

/** Of all families, in the order they were made. */
export function readNftTableIds(): readonly NftTableId[] {
  return ask((socket) =>
    socket.dump(NFT_MSG_GETTABLE, new Uint8Array(NFGENMSG), "nftables' tables").flatMap((payload) => {
      const family = families.get(payload[0] ?? 0);
      const name = decodeAttributes(payload.subarray(NFGENMSG)).get(NFTA_TABLE_NAME);
      return family === undefined || name === undefined ? [] : [{ family, name: readText(name) }];
    }),
  );
}

function ask<T>(question: (socket: NetlinkSocket) => T): T {
  const socket = openNetlinkSocket(NETLINK_NETFILTER);
  try {
    return question(socket);
  } finally {
    setTimeout(() => socket.close(), CLOSE_AFTER_MILLISECONDS).unref();
  }
}
