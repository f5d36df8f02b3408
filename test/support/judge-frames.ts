/** Frames sent in at one end of a wiring, judged by what comes out of the other and by which counter moved. */
import assert from "node:assert/strict";
import { closeSync } from "node:fs";
import {
  bindPacketSocket,
  ETH_P_ALL,
  openPacketSocket,
  receiveFrame,
  sendFrame,
} from "../../src/linux/packet-socket.ts";
import type { FrameCase } from "./frames.ts";
import { eventually, inPod } from "./netns.ts";
import type { Scope, WiredPod } from "./wired-pod.ts";

/** A packet socket on a link of a namespace that `ip netns` knows. */
export function frameSocket(t: Scope, netns: string, link: string): number {
  const fd = openPacketSocket(`/run/netns/${netns}`);
  t.after(() => closeSync(fd));
  const index = /^(\d+): /.exec(inPod(netns, ["ip", "link", "show", "dev", link]))?.[1];
  bindPacketSocket(fd, Number(index), ETH_P_ALL);
  return fd;
}

/** A frame whose fate is a counter that the wiring does not have is one that passes there. */
export async function judgeFrames(
  it: WiredPod,
  frames: readonly FrameCase[],
  from: number,
  to: number,
): Promise<void> {
  const counters = new Set(it.nic.nft.flatMap((table) => table.counters.map(({ name }) => name)));
  const names = [...new Set(frames.map(({ fate }) => fate))].filter((fate) => counters.has(fate));
  const counts = (): readonly number[] => names.map((counter) => it.counter(counter));
  for (const { name, frame, fate } of frames) {
    drain(to);
    const passes = (): boolean => drain(to).some((one) => isSame(one, frame));
    const before = counts();
    sendFrame(from, frame);
    if (!names.includes(fate)) {
      await eventually(`${name} comes through`, () => passes() || undefined);
      assert.deepEqual(counts(), before, name);
      continue;
    }
    await eventually(
      `${name} is counted as ${fate}`,
      () => it.counter(fate) > (before[names.indexOf(fate)] ?? 0) || undefined,
    );
    assert.ok(!passes(), `${name} came through`);
  }
}

/** br_netfilter cuts padding off. */
function isSame(one: Uint8Array, frame: Uint8Array): boolean {
  const length = Math.min(one.length, frame.length);
  return length >= 34 && Buffer.compare(one.subarray(0, length), frame.subarray(0, length)) === 0;
}

function drain(fd: number): readonly Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let frame = receiveFrame(fd); frame !== undefined; frame = receiveFrame(fd)) frames.push(frame);
  return frames;
}
