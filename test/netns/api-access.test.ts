/** Who may use the socket, with real users: the kernel's word, not a number in a test. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync } from "node:fs";
import { test } from "node:test";
import { peerCredentials } from "../../src/linux/tcp-socket.ts";
import { openTestCluster } from "../support/local-cluster.ts";
import { requires } from "../support/requires.ts";

const CLIENT = `
  const { request } = require("node:http");
  const groups = JSON.parse(process.argv[2]);
  process.setgroups(groups);
  process.setgid(+process.argv[3]);
  process.setuid(+process.argv[4]);
  request({ socketPath: process.argv[1], path: "/api/v1/secrets" }, (response) => {
    response.setEncoding("utf8").on("data", (part) => process.stdout.write(part));
    response.once("end", () => { process.exitCode = response.statusCode === 200 ? 0 : 1; });
  }).end();
`;

interface User {
  readonly uid: number;
  readonly gid: number;
  readonly groups?: readonly number[];
}

function listSecretsAs(
  socketPath: string,
  { uid, gid, groups = [] }: User,
): Promise<{ code: number | null; text: string }> {
  return new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      ["--eval", CLIENT, socketPath, JSON.stringify(groups), `${gid}`, `${uid}`],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (part) => {
      text += part;
    });
    child.once("close", (code) => resolve({ code, text }));
  });
}

test("real users are let in or refused by what the kernel says of them", requires("root"), async (t) => {
  const cluster = openTestCluster();
  t.after(cluster.close);
  chmodSync(cluster.directory, 0o755);
  const access = { uids: [64001], gids: [64100] };
  const { socketPath } = await cluster.serve({ peerCredentials, access });
  const refused = await listSecretsAs(socketPath, { uid: 64000, gid: 64000, groups: [64001] });
  assert.equal(refused.code, 1);
  assert.match(JSON.parse(refused.text).message, /^uid 64000 \(gid 64000\) may not use this podtap/);
  for (const user of [
    { uid: 0, gid: 64000 },
    { uid: 64001, gid: 64000 },
    { uid: 64000, gid: 64100 },
    { uid: 64000, gid: 64000, groups: [64002, 64100] },
  ]) {
    const { code, text } = await listSecretsAs(socketPath, user);
    assert.equal(code, 0, `${JSON.stringify(user)}: ${text}`);
  }
});
