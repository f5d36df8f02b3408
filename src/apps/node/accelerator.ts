/** KVM or TCG for this host's guests, as the configuration says or as a probe finds. */
import { join } from "node:path";
import type { Accelerator } from "../../domain/devices.ts";
import { probeAccelerator } from "../../vm/accelerator.ts";
import type { Paths } from "../paths.ts";
import type { NodeConfig } from "./config.ts";

export async function chooseAccelerator(config: NodeConfig, paths: Paths): Promise<Accelerator> {
  if (config.accelerator !== "auto") return { type: config.accelerator, reason: "the configuration says so" };
  return await probeAccelerator({ cachePath: join(paths.state, "cache", "accelerator.json") });
}
