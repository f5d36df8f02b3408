/**
 * From a VMI's volumes and kernel to files that QEMU opens: container disks as overlays on the image's file, empty
 * disks, cloud-init and configuration as CD images, kernel and initrd of a kernel container.
 *
 * Promises: asked again for the same VMI, the disks that are there stay as the guest left them; formats and backing
 * files are stated, nothing is probed; what the guest can write lies in the folder, what guests share is read-only.
 */

import { quantityValue } from "../../api/quantity.ts";
import type { DiskSpec, DiskTarget, Vmi, VolumeSpec } from "../../api/types.ts";
import { messageOf, PodtapError } from "../../base/errors.ts";
import type { DomainDisk, DomainKernel } from "../../domain/devices.ts";
import { readDiskFormat } from "../images/disk-format.ts";
import type { ImageProgress, ImageRequest, ImageStore, PullPolicy } from "../images/image-store.ts";
import type { Wanted } from "../images/layered-paths.ts";
import { cleanPath } from "../images/tar-reader.ts";
import { type DiskLookups, secretValue } from "./cloud-init-sources.ts";
import { configDisk } from "./config-disks.ts";
import { type DiskFolder, keepFile, openDiskFolder } from "./disk-folder.ts";
import { encodeIso } from "./iso9660.ts";
import { encodeQcow2 } from "./qcow2.ts";

export interface DiskTask {
  readonly vmi: Vmi;
  readonly imageStore: Pick<ImageStore, "fetch">;
  /** The VM's own folder; made if need be. */
  readonly stateDir: string;
  readonly lookups: DiskLookups;
  /** The launcher's user; undefined leaves files with whoever makes them. */
  readonly ownerUid?: number;
  readonly signal?: AbortSignal;
  /** A line for people: when an image begins to be pulled or unpacked, and every 64 MiB of it. */
  readonly progress?: (message: string) => void;
}

export interface PreparedDisks {
  /** In the order of `spec.domain.devices.disks`; volumes without an entry there come last, as KubeVirt adds them. */
  readonly disks: readonly DomainDisk[];
  readonly kernel?: DomainKernel;
}

/** KubeVirt: `pkg/container-disk`, where a container disk lies unless `path` says otherwise. */
const DISK_FOLDER: Wanted = { folder: "disk" };
const PROGRESS_STEP = 64 << 20;

/** @throws PodtapError PT-DISK-n, PT-IMAGE-n */
export async function prepareDisks(task: DiskTask): Promise<PreparedDisks> {
  const folder = await openDiskFolder(task.stateDir, task.ownerUid);
  const failure = new AbortController();
  const signal = AbortSignal.any([failure.signal, ...(task.signal ? [task.signal] : [])]);
  const each = { ...task, signal };
  try {
    const disks = disksWithVolumes(task.vmi).map(({ disk, volume }) =>
      prepareDisk(each, folder, disk, volume),
    );
    const kernel = prepareKernel(each);
    // One that fails stops the others, whose results nobody wants any more.
    const [prepared, booted] = await Promise.all([Promise.all(disks), kernel]);
    return { disks: prepared, ...(booted && { kernel: booted }) };
  } catch (thrown) {
    failure.abort(thrown);
    throw thrown;
  }
}

interface Pair {
  readonly disk: DiskSpec;
  readonly volume: VolumeSpec;
}

function disksWithVolumes({ spec }: Vmi): readonly Pair[] {
  const volumes = spec.volumes ?? [];
  const disks = spec.domain.devices.disks ?? [];
  const named = disks.map((disk) => {
    const volume = volumes.find(({ name }) => name === disk.name);
    if (volume === undefined) throw diskError("PT-DISK-4", `disk ${disk.name} has no volume of that name`);
    return { disk, volume };
  });
  const others = volumes.filter(({ name }) => !disks.some((disk) => disk.name === name));
  return [...named, ...others.map((volume) => ({ disk: { name: volume.name, disk: {} }, volume }))];
}

type Files = Pick<DomainDisk, "path" | "format" | "backing" | "readonly">;

async function prepareDisk(
  task: DiskTask,
  folder: DiskFolder,
  disk: DiskSpec,
  volume: VolumeSpec,
): Promise<DomainDisk> {
  const device = disk.cdrom !== undefined ? "cdrom" : "disk";
  if (disk.lun !== undefined) {
    throw diskError(
      "PT-DISK-1",
      `disk ${disk.name}: lun needs a block device, which no volume source here gives`,
    );
  }
  const target: DiskTarget = disk.cdrom ?? disk.disk ?? {};
  // KubeVirt's default on amd64 (`pkg/defaults`): what every guest has a driver for.
  const bus = target.bus ?? "sata";
  const files = await filesOf(task, folder, volume, {
    device,
    bus,
    readonly: target.readonly ?? device === "cdrom",
  });
  return {
    name: disk.name,
    device,
    bus,
    ...files,
    ...(disk.bootOrder !== undefined && { bootOrder: disk.bootOrder }),
    ...(disk.serial !== undefined && { serial: disk.serial }),
    ...(disk.cache !== undefined && { cache: disk.cache }),
    ...(target.pciAddress !== undefined && { pciAddress: target.pciAddress }),
  };
}

type Use = Pick<DomainDisk, "device" | "bus" | "readonly">;

async function filesOf(task: DiskTask, folder: DiskFolder, volume: VolumeSpec, use: Use): Promise<Files> {
  if (volume.containerDisk !== undefined)
    return containerDisk(task, folder, volume.name, volume.containerDisk, use);
  if (volume.emptyDisk !== undefined)
    return emptyDisk(task, folder, volume.name, volume.emptyDisk.capacity, use);
  const content = await configDisk(task.vmi, volume, task.lookups);
  if (content !== undefined)
    return cdImage(folder, volume.name, encodeIso(content.label, content.files), use);
  const source = Object.keys(volume).find((key) => key !== "name") ?? "nothing";
  throw diskError("PT-DISK-1", `volume ${volume.name}: source ${source} is not supported yet`);
}

async function containerDisk(
  task: DiskTask,
  folder: DiskFolder,
  name: string,
  source: NonNullable<VolumeSpec["containerDisk"]>,
  use: Use,
): Promise<Files> {
  const wanted = source.path === undefined || source.path === "" ? DISK_FOLDER : fileIn(source.path);
  const request = await requestOf(task, source, name, [wanted]);
  const [image] = await task.imageStore.fetch(request);
  if (image === undefined) throw diskError("PT-DISK-4", `volume ${name}: the image gave no disk`);
  const { format, virtualBytes } = await readDiskFormat(
    image.path,
    `/${image.pathInImage} of image ${source.image}`,
  );
  // Read-only, it can be the shared file itself.
  if (use.readonly) return { path: image.path, format, readonly: true };
  const backing = { path: image.path, format };
  const key = JSON.stringify(["overlay", task.vmi.metadata.uid, backing]);
  const path = await keepFile(folder, name, { key, extension: "qcow2" }, () =>
    encodeQcow2({ virtualBytes, backing }),
  );
  return { path, format: "qcow2", backing, readonly: false };
}

async function emptyDisk(
  { vmi }: DiskTask,
  folder: DiskFolder,
  name: string,
  capacity: string,
  { readonly }: Use,
): Promise<Files> {
  const virtualBytes = quantityValue(capacity);
  if (virtualBytes === undefined || virtualBytes <= 0) {
    throw diskError("PT-DISK-5", `volume ${name}: capacity ${capacity} is not a size`);
  }
  const key = JSON.stringify(["empty", vmi.metadata.uid, virtualBytes]);
  const path = await keepFile(folder, name, { key, extension: "qcow2" }, () => encodeQcow2({ virtualBytes }));
  return { path, format: "qcow2", readonly };
}

async function cdImage(
  folder: DiskFolder,
  volume: string,
  image: Uint8Array,
  { device, bus, readonly }: Use,
): Promise<Files> {
  const key = Buffer.from(image).toString("latin1");
  const path = await keepFile(folder, volume, { key, extension: "iso" }, () => image);
  // A guest has no business writing there; only QEMU's SATA disks cannot be read-only.
  return { path, format: "raw", readonly: readonly || device === "cdrom" || bus !== "sata" };
}

async function prepareKernel(task: DiskTask): Promise<DomainKernel | undefined> {
  const boot = task.vmi.spec.domain.firmware?.kernelBoot;
  if (boot?.container === undefined) return undefined;
  const { kernelPath, initrdPath } = boot.container;
  const paths = [kernelPath ?? "", initrdPath ?? ""].filter((path) => path !== "");
  const request = await requestOf(task, boot.container, "kernelBoot", paths.map(fileIn));
  const files = await task.imageStore.fetch(request);
  const at = (path: string | undefined): string | undefined => files[paths.indexOf(path ?? "")]?.path;
  const kernel = at(kernelPath);
  const initrd = at(initrdPath);
  return {
    ...(kernel !== undefined && { kernelPath: kernel }),
    ...(initrd !== undefined && { initrdPath: initrd }),
    ...(boot.kernelArgs !== undefined && { args: boot.kernelArgs }),
  };
}

async function requestOf(
  task: DiskTask,
  source: { readonly image: string; readonly imagePullPolicy?: string; readonly imagePullSecret?: string },
  volume: string,
  wanted: readonly Wanted[],
): Promise<ImageRequest> {
  const { image, imagePullPolicy, imagePullSecret } = source;
  const secret =
    imagePullSecret === undefined || imagePullSecret === ""
      ? undefined
      : await secretValue(imagePullSecret, [".dockerconfigjson"], volume, task.lookups);
  return {
    image,
    wanted,
    ...(imagePullPolicy && { pullPolicy: imagePullPolicy as PullPolicy }),
    ...(secret && { credentials: new TextDecoder().decode(secret) }),
    ...(task.signal && { signal: task.signal }),
    ...(task.progress && { progress: inSteps(image, task.progress) }),
  };
}

function inSteps(image: string, say: (message: string) => void): (report: ImageProgress) => void {
  let phase = "";
  let next = 0;
  return (report) => {
    if (report.phase !== phase) {
      phase = report.phase;
      next = PROGRESS_STEP;
      say(`${phase} ${image}`);
    } else if (report.bytes >= next) {
      say(`${phase} ${image}: ${Math.floor(report.bytes / 2 ** 20)} MiB`);
      next = report.bytes + PROGRESS_STEP;
    }
  };
}

function fileIn(path: string): Wanted {
  try {
    return { file: cleanPath(path) };
  } catch (thrown) {
    throw diskError("PT-DISK-4", `path ${JSON.stringify(path)} inside an image: ${messageOf(thrown)}`);
  }
}

function diskError(code: "PT-DISK-1" | "PT-DISK-4" | "PT-DISK-5", message: string): Error {
  return new PodtapError({ code, message, blame: "manifest", retry: "on-change" });
}
