/**
 * One daemon a run directory. The lock is an abstract Unix socket: the kernel frees it with its holder, however
 * that ends, and no stale file is left to be judged.
 */
import { createServer, type Server } from "node:net";
import { PodtapError } from "../../base/errors.ts";
import { hexHash } from "../../base/names.ts";

/** @throws PT-NODE-2 when another daemon holds it */
export async function takeLock(runDir: string): Promise<Server> {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      reject(
        cause.code === "EADDRINUSE"
          ? new PodtapError({
              code: "PT-NODE-2",
              message: `a podtap daemon already runs for ${runDir}`,
              hint: "use it, or end it with `podtap down --all`",
              cause,
            })
          : cause,
      );
    });
    server.listen(`\0podtap-${hexHash(runDir).slice(0, 16)}`, resolve);
  });
  server.unref();
  return server;
}
