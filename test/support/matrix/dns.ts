/** One question for the addresses of a name, and the answer, as bytes (RFC 1035, 4; RFC 3596). */
import type { Ip } from "../../../src/base/ip.ts";
import { exchange } from "./sockets.ts";

const HEAD = 12;
const ID = 0x7074;

/** Addresses that a server gives for a name; undefined when it does not answer. */
export async function resolveName(
  netns: string,
  server: Ip,
  name: string,
  milliseconds: number,
): Promise<readonly string[] | undefined> {
  const labels = name.split(".").flatMap((label) => [Buffer.from([label.length]), Buffer.from(label)]);
  const head = Buffer.alloc(HEAD);
  head.writeUInt16BE(ID, 0);
  // Recursion desired; one question: type A, class IN.
  head.writeUInt16BE(0x0100, 2);
  head.writeUInt16BE(1, 4);
  const question = Buffer.concat([head, ...labels, Buffer.from([0, 0, 1, 0, 1])]);
  const answer = await exchange(netns, { ip: server, port: 53 }, question, milliseconds);
  if (answer === undefined || answer === "refused") return undefined;
  const bytes = Buffer.from(answer);
  if (bytes.readUInt16BE(0) !== ID) return undefined;
  // Each answer: a pointer to the name, type, class, TTL, length 4, the address.
  return Array.from({ length: bytes.readUInt16BE(6) }, (_, i) => {
    const at = question.length + i * 16 + 12;
    return bytes.subarray(at, at + 4).join(".");
  });
}
