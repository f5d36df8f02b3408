import { HttpCluster } from "../support/http-cluster.ts";
import { openTestCluster } from "../support/local-cluster.ts";
import { clusterContract } from "./cluster.contract.ts";

clusterContract("embedded", async () => {
  const test = openTestCluster();
  return { cluster: test.cluster, close: test.close };
});

clusterContract("embedded, over its socket", async () => {
  const test = openTestCluster();
  const { socketPath } = await test.serve();
  const cluster = new HttpCluster(socketPath, test.clock.now);
  const close = async (): Promise<void> => {
    cluster.client.close();
    await test.close();
  };
  return { cluster, close };
});
