import assert from "node:assert/strict";
import { once } from "node:events";
import { closeSync, mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, Socket } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Ip } from "../base/ip.ts";
import { AF_INET, AF_INET6, SOCK_NONBLOCK, SOCK_STREAM, socket } from "./libc.ts";
import { connectTcpSocket, peerCredentials } from "./tcp-socket.ts";

for (const [name, family, ip] of [
  ["IPv4", AF_INET, "127.0.0.1"],
  ["IPv6", AF_INET6, "::1"],
] as const) {
  const here = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === ip));
  test(`a raw ${name} socket connects and carries bytes once wrapped`, {
    skip: !here && `no ${ip}`,
  }, async (t) => {
    const server = createServer((peer) => peer.end("hello"));
    t.after(() => server.close());
    await new Promise<void>((resolve) => server.listen(0, ip, resolve));
    const fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0, "a test");
    const stream = new Socket({ fd: await connectTcpSocket(fd, ip as Ip, portOf(server)) });
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    assert.equal(Buffer.concat(chunks).toString(), "hello");
  });
}

test("a refused connection says whom it was refused by", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const port = portOf(server);
  await new Promise((resolve) => server.close(resolve));
  const fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0, "a test");
  await assert.rejects(connectTcpSocket(fd, "127.0.0.1" as Ip, port), {
    code: "PT-KERNEL-111",
    message: `cannot connect to 127.0.0.1:${port}: connection refused (ECONNREFUSED)`,
  });
  assert.throws(() => closeSync(fd), { code: "EBADF" });
});

test("the kernel tells who is at the other end of a Unix socket", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "podtap-peer-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "s");
  const server = createServer();
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const client = connect(path);
  t.after(() => client.destroy());
  const [peer] = (await once(server, "connection")) as [Socket & { _handle: { fd: number } }];
  t.after(() => peer.destroy());
  const { groups, ...who } = peerCredentials(peer._handle.fd);
  assert.ok(groups.every((group) => process.getgroups?.().includes(group)));
  assert.deepEqual(who, {
    pid: process.pid,
    uid: process.getuid?.(),
    gid: process.getgid?.(),
  });
});

function portOf(server: Server): number {
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  return address.port;
}
