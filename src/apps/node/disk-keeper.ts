/** TEMPORARY straight line: kernelBoot from an OCI layout given as an override. */
import { chownSync, createReadStream, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createGunzip } from "node:zlib";
import { extract } from "tar-stream";
import type { Vmi } from "../../api/types.ts";
import type { DomainDisk, DomainKernel } from "../../domain/devices.ts";
import type { Paths } from "../paths.ts";

export interface PreparedDisks {
  readonly disks: readonly DomainDisk[];
  readonly kernel?: DomainKernel;
}
export interface DiskKeeper {
  prepare(
    vmi: Vmi,
    folder: string,
    progress: (message: string) => void,
    signal: AbortSignal,
  ): Promise<PreparedDisks>;
}
export function diskKeeper({
  overrides,
}: {
  cluster: unknown;
  paths: Paths;
  overrides: () => Readonly<Record<string, string>>;
}): DiskKeeper {
  return {
    prepare: async (vmi, folder) => {
      const boot = vmi.spec.domain.firmware?.kernelBoot;
      if (!boot?.container) return { disks: [] };
      const to =
        overrides()[boot.container.image] ?? overrides()[boot.container.image.replace(/:[^:/]*$/, "")] ?? "";
      const [, dir = "", tag = ""] = /^oci:([^:]+):?(.*)$/.exec(to) ?? [];
      const index = JSON.parse(readFileSync(join(dir, "index.json"), "utf8"));
      const entry =
        index.manifests.find((m: any) => m.annotations?.["org.opencontainers.image.ref.name"] === tag) ??
        index.manifests[0];
      const blob = (d: string) => join(dir, "blobs", d.replace(":", "/"));
      const manifest = JSON.parse(readFileSync(blob(entry.digest), "utf8"));
      const want: Record<string, string> = {};
      for (const layer of manifest.layers) {
        const ex = extract();
        const src = createReadStream(blob(layer.digest));
        (/gzip/.test(layer.mediaType) ? src.pipe(createGunzip()) : src).pipe(ex);
        for await (const e of ex) {
          const name = "/" + e.header.name.replace(/^\.?\//, "");
          if (name === boot.container.kernelPath || name === boot.container.initrdPath) {
            const chunks: Buffer[] = [];
            for await (const c of e) chunks.push(c as Buffer);
            const out = join(folder, name.split("/").pop() ?? "x");
            writeFileSync(out, Buffer.concat(chunks));
            chownSync(out, 107, 107);
            want[name] = out;
          } else e.resume();
        }
      }
      mkdirSync(folder, { recursive: true });
      return {
        disks: [],
        kernel: {
          kernelPath: want[boot.container.kernelPath ?? ""]!,
          initrdPath: want[boot.container.initrdPath ?? ""]!,
          ...(boot.kernelArgs && { args: boot.kernelArgs }),
        },
      };
    },
  };
}
