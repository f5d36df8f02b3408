import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { parseRequest, type SmallHandler, serveSmallHttp } from "./small-http.ts";

function parse(text: string): unknown {
  return parseRequest(Buffer.from(text));
}

test("a request is taken when it is whole, and not before", () => {
  const whole = 'POST /start HTTP/1.1\r\nHost: x\r\ncontent-LENGTH: 9\r\n\r\n{"a":"ü"}';
  const bytes = Buffer.from(whole.replace("9", "10"));
  for (let length = 0; length < bytes.length; length++) {
    assert.equal(parseRequest(bytes.subarray(0, length)), undefined, String(length));
  }
  assert.deepEqual(parseRequest(bytes), { route: "POST /start", body: { a: "ü" } });
  assert.deepEqual(parse("GET /status HTTP/1.0\r\n\r\n"), { route: "GET /status", body: {} });
});

test("what is no request of ours is refused", () => {
  for (const bad of [
    "nonsense\r\n\r\n",
    "GET /a b HTTP/1.1\r\n\r\n",
    "GET / HTTP/2\r\n\r\n",
    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "POST / HTTP/1.1\r\nContent-Length: 1e9\r\n\r\n",
    "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{]",
    `GET / HTTP/1.1\r\nx: ${"y".repeat(20_000)}`,
  ]) {
    assert.throws(() => parse(bad), { code: "PT-LAUNCHER-8" }, bad.slice(0, 60));
  }
});

async function served(t: TestContext, handler: SmallHandler): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), "pt-http-"));
  const path = join(dir, "s");
  const server = await serveSmallHttp(path, handler);
  t.after(() => {
    server.close();
    rmSync(dir, { recursive: true });
  });
  return path;
}

test("Node's client understands the answers, whole and streamed", async (t) => {
  const path = await served(t, ({ route, body }, response) => {
    response.begin(201, "application/json");
    response.write(JSON.stringify({ route, body }));
    setImmediate(() => {
      response.write("\nmore");
      response.end();
    });
  });
  const answer = await new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
    const outgoing = request({ socketPath: path, method: "POST", path: "/x" }, (incoming) => {
      let text = "";
      incoming.on("data", (chunk) => {
        text += chunk;
      });
      incoming.on("end", () => resolve({ status: incoming.statusCode, text }));
    });
    outgoing.on("error", reject);
    outgoing.end('{"a":1}');
  });
  assert.deepEqual(answer, { status: 201, text: '{"route":"POST /x","body":{"a":1}}\nmore' });
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test("a peer that leaves ends its stream and nothing else", async (t) => {
  let closed = 0;
  const path = await served(t, (_request, response) => {
    response.begin(200, "text/plain");
    response.onClosed(() => {
      closed++;
    });
  });
  const peer = connect(path);
  peer.write("GET /watch HTTP/1.1\r\n\r\n");
  await new Promise((resolve) => peer.once("data", resolve));
  peer.destroy();
  while (closed === 0) await new Promise((resolve) => setImmediate(resolve));
  // Half a request, then gone: the server is still there for the next one.
  connect(path).end("GET /wat");
  const next = connect(path);
  next.write("GET /watch HTTP/1.1\r\n\r\n");
  const head = await new Promise<Buffer>((resolve) => next.once("data", resolve));
  assert.match(head.toString(), /^HTTP\/1\.1 200 /);
  next.destroy();
});
