import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Console } from "./console.ts";

/** A socket in QEMU's place, and the console in front of it. */
async function setUp(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), "pt-con-"));
  const files = {
    serialSocket: join(dir, "serial.sock"),
    clientSocket: join(dir, "console.sock"),
    log: join(dir, "serial.log"),
  };
  const qemu = createServer();
  const guest = new Promise<Socket>((resolve) => qemu.once("connection", resolve));
  await new Promise<void>((resolve) => qemu.listen(files.serialSocket, resolve));
  const console_ = new Console(files);
  await console_.listen();
  let closed = false;
  await console_.attach(() => {
    closed = true;
  });
  t.after(async () => {
    console_.close();
    (await guest).destroy();
    qemu.close();
    rmSync(dir, { recursive: true });
  });
  return { files, guest: await guest, closed: () => closed };
}

/** A client that is being served: what is printed from now on, it sees. */
async function witnessOf(path: string, guest: Socket) {
  const witness = client(path);
  guest.write("begin");
  await until(() => witness.text() === "begin");
  return { ...witness, text: () => witness.text().slice("begin".length) };
}

function client(path: string) {
  const socket = connect(path);
  let text = "";
  let closed = false;
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
  });
  socket.on("error", () => undefined);
  socket.once("close", () => {
    closed = true;
  });
  return { socket, text: () => text, closed: () => closed };
}

async function until(met: () => boolean): Promise<void> {
  const deadline = performance.now() + 5000;
  while (!met()) {
    assert.ok(performance.now() < deadline, "not within 5 s");
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

test("every client sees the guest, a late one what was printed before, and any may type", async (t) => {
  const { files, guest } = await setUp(t);
  const early = client(files.clientSocket);
  guest.write("login: ");
  await until(() => early.text() === "login: ");
  const late = client(files.clientSocket);
  await until(() => late.text() === "login: ");
  let typed = "";
  guest.on("data", (chunk) => {
    typed += chunk;
  });
  late.socket.write("root\n");
  await until(() => typed === "root\n");
  early.socket.destroy();
  guest.write("hello");
  await until(() => late.text() === "login: hello");
  assert.equal(readFileSync(files.log, "utf8"), "login: hello");
  late.socket.destroy();
});

test("the last 64 KiB are replayed, however they were printed", async (t) => {
  const { files, guest } = await setUp(t);
  const witness = await witnessOf(files.clientSocket, guest);
  const printed = Array.from({ length: 30_000 }, (_, i) => `${i}\n`).join("");
  for (let at = 0; at < printed.length; at += 777) guest.write(printed.slice(at, at + 777));
  await until(() => witness.text() === printed);
  const late = client(files.clientSocket);
  await until(() => late.text().length >= 64 * 1024);
  assert.equal(late.text(), printed.slice(-64 * 1024));
  witness.socket.destroy();
  late.socket.destroy();
});

test("the log is capped, however much a guest prints", async (t) => {
  const { files, guest } = await setUp(t);
  const witness = await witnessOf(files.clientSocket, guest);
  const chunk = "x".repeat(1024 * 1024);
  for (let i = 0; i < 10; i++) guest.write(chunk);
  await until(() => witness.text().length === 10 * chunk.length);
  const [now, before] = [files.log, `${files.log}.1`].map((path) => readFileSync(path).length);
  assert.ok(now !== undefined && before !== undefined);
  assert.ok(now < 5 * 1024 * 1024 && before < 5 * 1024 * 1024, `${now} ${before}`);
  witness.socket.destroy();
});

test("a client that does not read is dropped, and the guest is not held up", async (t) => {
  const { files, guest } = await setUp(t);
  const stuck = connect(files.clientSocket);
  stuck.on("error", () => undefined);
  stuck.pause();
  let dropped = false;
  stuck.once("close", () => {
    dropped = true;
  });
  const reading = await witnessOf(files.clientSocket, guest);
  const chunk = "y".repeat(64 * 1024);
  let sent = 0;
  while (sent < 6 * 1024 * 1024) {
    guest.write(chunk);
    sent += chunk.length;
    await until(() => reading.text().length === sent);
  }
  stuck.resume();
  await until(() => dropped);
  reading.socket.destroy();
});

test("the end of QEMU is told", async (t) => {
  const { guest, closed } = await setUp(t);
  guest.destroy();
  await until(closed);
});
