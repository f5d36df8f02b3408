/**
 * The generation of a namespace's ruleset: the kernel counts every committed change of any table
 * (NFT_MSG_GETGEN, include/uapi/linux/netfilter/nf_tables.h). The same number means that nobody changed a rule,
 * for a fraction of what a listing costs. Counters do not count.
 */
import { closeSync } from "node:fs";
import { decodeAttributes, decodeMessages, encodeMessage, NLM_F_REQUEST } from "../wire/netlink.ts";
import { EINVAL, KernelError } from "./errno.ts";
import { AF_NETLINK, recv, SOCK_NONBLOCK, SOCK_RAW, send, socket } from "./libc.ts";

const NETLINK_NETFILTER = 12;
const NFNL_SUBSYS_NFTABLES = 10;
const NFT_MSG_GETGEN = 16;
const NFTA_GEN_ID = 1;
/** nfgenmsg: family, version, resource id. */
const HEADER_SIZE = 4;
const OBJECT = "the ruleset's generation";
const CLOSE_AFTER_MILLISECONDS = 200;

/** Of the calling thread's namespace. */
export function readNftGeneration(): number {
  const fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_NETFILTER, OBJECT);
  try {
    const request = encodeMessage({
      type: (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN,
      flags: NLM_F_REQUEST,
      sequence: 1,
      payload: new Uint8Array(HEADER_SIZE),
    });
    send(fd, request, 0, OBJECT);
    const buffer = new Uint8Array(256);
    const size = recv(fd, buffer, 0);
    const [answer] = size > 0 ? decodeMessages(buffer.subarray(0, size)) : [];
    const id = answer && decodeAttributes(answer.payload.subarray(HEADER_SIZE)).get(NFTA_GEN_ID);
    if (id === undefined || id.length !== 4) {
      throw new KernelError({ errno: EINVAL, operation: "read", object: OBJECT });
    }
    return new DataView(id.buffer, id.byteOffset).getUint32(0);
  } finally {
    // Closing a netfilter socket waits until what earlier transactions deleted is gone (nft_rcv_nl_event).
    setTimeout(() => closeSync(fd), CLOSE_AFTER_MILLISECONDS).unref();
  }
}
