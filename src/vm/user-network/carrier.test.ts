/** The carrier between two ends played here, which come, go, stall and die in the middle of a frame. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Mac } from "../../base/mac.ts";
import { Carrier } from "./carrier.ts";
import { FrameCutter } from "./frame-cutter.ts";

const DEADLINE_MS = 10_000;

/** A listener like QEMU's or the program's: one client at a time, what it sent is kept. */
interface End {
  readonly path: string;
  client: Socket | undefined;
  chunks: Buffer[];
  readonly heard: Buffer;
}

async function listen(t: TestContext, path: string): Promise<End> {
  const end: End = {
    path,
    client: undefined,
    chunks: [],
    get heard() {
      this.chunks = [Buffer.concat(this.chunks)];
      return this.chunks[0] as Buffer;
    },
  };
  const server: Server = createServer((socket) => {
    end.client = socket;
    end.chunks = [];
    socket.on("data", (data) => void end.chunks.push(data));
    socket.on("error", () => undefined);
    socket.on("close", () => {
      if (end.client === socket) end.client = undefined;
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.after(() => {
    end.client?.destroy();
    server.close();
  });
  return end;
}

async function until(what: string, met: () => boolean): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!met()) {
    if (performance.now() > deadline) assert.fail(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

function frame(mark: number, size = 60): Buffer {
  const bytes = Buffer.alloc(4 + size, mark);
  bytes.writeUInt32BE(size);
  return bytes;
}

async function rig(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), "pt-carrier-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const changes: string[] = [];
  const qemu = await listen(t, join(dir, "qemu"));
  const program = await listen(t, join(dir, "program"));
  const logged: string[] = [];
  const carrier = new Carrier({
    qemuSocket: qemu.path,
    programSocket: program.path,
    mac: "02:00:00:00:00:07" as Mac,
    changed: (side, connected) => void changes.push(`${side} ${connected}`),
    log: (message) => void logged.push(message),
  });
  t.after(() => carrier.close());
  await until("QEMU has its client", () => qemu.client !== undefined);
  const dial = async () => {
    carrier.dialProgram(() => true);
    await until("the program has its client", () => program.client !== undefined);
    await until("the carrier knows", () => changes.at(-1) === "program true");
    await until("the guest was introduced", () => program.heard.length > 0);
    assert.equal(program.heard.subarray(10, 16).toString("hex"), "020000000007");
    program.chunks = [];
  };
  await dial();
  return { carrier, qemu, program, changes, logged, dial };
}

test("frames go both ways", async (t) => {
  const { qemu, program } = await rig(t);
  qemu.client?.write(Buffer.concat([frame(1), frame(2, 9000)]));
  program.client?.write(frame(3));
  await until("the program has both", () => program.heard.length === 64 + 9004);
  await until("QEMU has one", () => qemu.heard.equals(frame(3)));
});

test("a program that dies in the middle of a frame leaves QEMU at a boundary", async (t) => {
  const { qemu, program, changes, dial } = await rig(t);
  const cut = frame(7, 1400);
  program.client?.write(Buffer.concat([frame(1), cut.subarray(0, 700)]));
  await until("the whole one arrived", () => qemu.heard.length === 64);
  program.client?.destroy();
  await until("its end is told", () => changes.at(-1) === "program false");
  qemu.client?.write(frame(9));
  await dial();
  program.client?.write(frame(2));
  await until("the next one arrived", () => qemu.heard.length === 128);
  assert.deepEqual(qemu.heard, Buffer.concat([frame(1), frame(2)]));
});

test("a program that comes up while QEMU is in the middle of a frame gets whole ones only", async (t) => {
  const { qemu, program, changes, dial } = await rig(t);
  program.client?.destroy();
  await until("its end is told", () => changes.at(-1) === "program false");
  const late = frame(5, 1400);
  qemu.client?.write(Buffer.concat([frame(1), late.subarray(0, 3)]));
  await dial();
  qemu.client?.write(Buffer.concat([late.subarray(3), frame(6)]));
  await until("the program has two", () => program.heard.length >= late.length + 64);
  assert.deepEqual(program.heard.subarray(-64 - late.length), Buffer.concat([late, frame(6)]));
});

test("QEMU that loses its client gets it back", async (t) => {
  const { qemu, program, changes } = await rig(t);
  qemu.client?.destroy();
  await until("both are told", () => changes.slice(-2).join() === "qemu false,qemu true");
  await until("QEMU has a client", () => qemu.client !== undefined);
  program.client?.write(frame(4));
  await until("frames flow", () => qemu.heard.equals(frame(4)));
});

test("QEMU is read on while the program takes nothing, and what is dropped are whole frames", async (t) => {
  const { carrier, qemu, program } = await rig(t);
  program.client?.pause();
  const flood = Buffer.concat(Array.from({ length: 700 }, () => frame(1, 1400)));
  let sent = 0;
  for (let i = 0; i < 40; i++) {
    qemu.client?.write(flood, () => void sent++);
  }
  await until("everything was taken from QEMU", () => sent === 40);
  assert.ok(carrier.droppedBytes > 0, "the rest was dropped");
  program.client?.resume();
  await until("the program goes on", () => {
    qemu.client?.write(frame(2));
    return program.heard.subarray(-64).equals(frame(2));
  });
  const heard = program.heard;
  assert.deepEqual(Buffer.concat(new FrameCutter().push(heard)), heard);
});

test("the program waits while QEMU takes nothing, and nothing is lost", async (t) => {
  const { qemu, program } = await rig(t);
  qemu.client?.pause();
  const much = Buffer.concat(Array.from({ length: 700 }, (_, i) => frame(i % 200, 1400)));
  let sent = 0;
  for (let i = 0; i < 20; i++) program.client?.write(much, () => void sent++);
  await until("the sockets are full", () => (program.client?.writableLength ?? 0) > 0);
  qemu.client?.resume();
  await until("all arrived", () => qemu.heard.length === 20 * much.length);
  assert.equal(sent, 20);
});

test("a side that sends nonsense is cut off and dialled anew", async (t) => {
  const { qemu, program, logged, changes } = await rig(t);
  qemu.client?.write(Buffer.from([0xff, 0xff, 0xff, 0xff, 1, 2, 3]));
  await until("it is logged", () => logged.length === 1);
  assert.match(logged[0] ?? "", /^QEMU sent nonsense/);
  await until("QEMU has a new client", () => changes.at(-1) === "qemu true");
  qemu.client?.write(frame(8));
  await until("frames flow", () => program.heard.equals(frame(8)));
});
