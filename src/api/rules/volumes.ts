/** Admission of `volumes[]` and their match with `disks[]`; which sources podtap can provide. */

import { errorAt, type Finding, warningAt } from "../finding.ts";
import { formatPath, type Path } from "../path.ts";
import { quantityValue } from "../quantity.ts";
import type { DiskSpec } from "../types.ts";
import { disksOf } from "./disks.ts";
import { absolutePathProblem } from "./file-paths.ts";
import type { AdmittedVolume, SpecContext, SpecRule } from "./spec-context.ts";

/** What podtap makes disks of. */
const SUPPORTED = [
  "containerDisk",
  "cloudInitNoCloud",
  "cloudInitConfigDrive",
  "emptyDisk",
  "configMap",
  "secret",
  "sysprep",
];
const FILE_INSTEAD =
  "Write `containerDisk: {image: NAME}` in its place; `podtap up --image-override NAME=/path/disk.qcow2` takes a " +
  "disk of this machine for it. For an empty disk write `emptyDisk: {capacity: 10Gi}`.";
/** What to do about the sources that need what a cluster has. */
const INSTEAD: ReadonlyMap<string, string> = new Map([
  ...["persistentVolumeClaim", "dataVolume", "ephemeral", "hostDisk"].map(
    (source) => [source, FILE_INSTEAD] as const,
  ),
  ["serviceAccount", "Put what the guest needs of it into a Secret, as a `secret` volume."],
  ["downwardAPI", "Write the values into a ConfigMap, as a `configMap` volume."],
  ["downwardMetrics", "Remove the volume: podtap collects no metrics for guests."],
  ["memoryDump", "Remove the volume: podtap dumps no memory."],
]);
/** Of an image reference only its characters are judged here; `docker://` and spaces are the usual mistakes. */
const IMAGE = /^[a-zA-Z0-9[][a-zA-Z0-9._\-/:@[\]]{0,511}$/;

interface VolumeEntry {
  readonly volume: AdmittedVolume;
  readonly at: Path;
}

export function volumesOf(vmi: SpecContext): readonly VolumeEntry[] {
  return (vmi.spec.volumes ?? []).map((volume, i) => ({ volume, at: [...vmi.path, "volumes", i] }));
}

function sourcesOf(volume: AdmittedVolume): readonly string[] {
  return Object.keys(volume).filter((key) => key !== "name");
}

/** PT-EARLY-24 and 29: exactly one source (KubeVirt's text), and one that podtap has. */
export function volumeSources(vmi: SpecContext): readonly Finding[] {
  return volumesOf(vmi).flatMap(({ volume, at }) => {
    const sources = sourcesOf(volume);
    if (sources.length !== 1) {
      const message = `${formatPath(at)} must have exactly one source type set`;
      const hint =
        sources.length === 0
          ? `Say where the volume comes from: ${SUPPORTED.join(", ")}.`
          : `Keep one of ${sources.join(", ")}.`;
      return [errorAt({ code: "PT-EARLY-29", at, message, hint })];
    }
    const source = sources[0] ?? "";
    if (SUPPORTED.includes(source)) return [];
    const message = INSTEAD.has(source)
      ? `volume source ${source} is of a cluster; ${vmi.settings.release} has no such thing`
      : `volume source ${source} is not supported yet by ${vmi.settings.release}`;
    const hint = INSTEAD.get(source) ?? `Use one of ${SUPPORTED.join(", ")}.`;
    const reason = "FieldValueNotSupported";
    return [errorAt({ code: "PT-EARLY-24", at: [...at, source], reason, message, hint })];
  });
}

/** PT-EARLY-30: KubeVirt's text. */
export function uniqueVolumeNames(vmi: SpecContext): readonly Finding[] {
  const volumes = volumesOf(vmi);
  return volumes.flatMap(({ volume, at }, i) => {
    const first = volumes.findIndex((other) => other.volume.name === volume.name);
    if (first === i) return [];
    const message = `${formatPath(at)} and ${formatPath([...vmi.path, "volumes", first])} must not have the same Name.`;
    const hint = "Rename one volume, and the disk that goes with it.";
    return [errorAt({ code: "PT-EARLY-30", at: [...at, "name"], message, hint })];
  });
}

/** PT-EARLY-25. KubeVirt's text, `Name` with a capital. A CD-ROM may be empty; podtap leaves it out. */
export function disksHaveVolumes(vmi: SpecContext): readonly Finding[] {
  const names = new Set(volumesOf(vmi).map(({ volume }) => volume.name));
  return disksOf(vmi).flatMap(({ disk, at }) => {
    if (names.has(disk.name)) return [];
    const place = { code: "PT-EARLY-25", at: [...at, "name"] } as const;
    const hint = `Add a volume with name: ${disk.name}, or remove the disk.`;
    if (isEmptyCdrom(disk)) {
      const message = "an empty CD-ROM drive is not supported yet; the VM starts without it";
      return [warningAt({ ...place, reason: "FieldValueNotSupported", message, hint })];
    }
    return [errorAt({ ...place, message: `${formatPath([...at, "Name"])} '${disk.name}' not found.`, hint })];
  });
}

function isEmptyCdrom(disk: DiskSpec): boolean {
  return disk.cdrom !== undefined && disk.disk === undefined && disk.lun === undefined;
}

/** PT-EARLY-26. KubeVirt's text, with its path `domain.volumes`; it asks VMIs only, podtap asks templates too. */
export function volumesHaveDisks(vmi: SpecContext): readonly Finding[] {
  const { disks = [], filesystems = [] } = vmi.spec.domain.devices;
  const names = new Set([...disks, ...filesystems].map(({ name }) => name));
  return volumesOf(vmi).flatMap(({ volume, at }, i) => {
    if (names.has(volume.name) || volume.memoryDump !== undefined) return [];
    const field = formatPath([...vmi.path, "domain", "volumes", i, "name"]);
    const message = `${field} '${volume.name}' not found.`;
    const hint = `Add {name: ${volume.name}, disk: {bus: virtio}} to domain.devices.disks, or remove the volume.`;
    return [errorAt({ code: "PT-EARLY-26", at: [...at, "name"], field, message, hint })];
  });
}

/** PT-EARLY-34. KubeVirt pulls what is written and fails then. */
export function containerDisks(vmi: SpecContext): readonly Finding[] {
  return volumesOf(vmi).flatMap(({ volume, at }) => {
    if (volume.containerDisk === undefined) return [];
    const { image = "", path = "", imagePullPolicy } = volume.containerDisk;
    const place = [...at, "containerDisk"];
    return [
      ...imageProblems(image, [...place, "image"]),
      ...pullPolicyProblems(imagePullPolicy, [...place, "imagePullPolicy"]),
      ...(path === "" ? [] : absolutePathProblem(path, place, [...place, "path"])),
    ];
  });
}

/** A LUN is a device of the storage network: nothing podtap makes disks of is one. KubeVirt's text. */
export function lunVolumes(vmi: SpecContext): readonly Finding[] {
  const names = new Set(
    volumesOf(vmi)
      .filter(({ volume }) => sourcesOf(volume).some((source) => SUPPORTED.includes(source)))
      .map(({ volume }) => volume.name),
  );
  return disksOf(vmi).flatMap(({ disk, at }) => {
    if (disk.lun === undefined || !names.has(disk.name)) return [];
    const place = [...at, "lun"];
    const message = `${formatPath(place)} can only be mapped to a DataVolume or PersistentVolumeClaim volume.`;
    return [errorAt({ code: "PT-EARLY-31", at: place, message, hint: "Write `disk: {bus: virtio}`." })];
  });
}

export function imageProblems(image: string, at: Path): readonly Finding[] {
  if (IMAGE.test(image) && !image.includes("://")) return [];
  const message = image === "" ? "an image is required" : `${JSON.stringify(image)} is no image reference`;
  const hint = "Write registry/name:tag without a scheme, as quay.io/containerdisks/fedora:latest.";
  const reason = image === "" ? "FieldValueRequired" : "FieldValueInvalid";
  return [errorAt({ code: "PT-EARLY-34", at, reason, message, hint })];
}

export function pullPolicyProblems(policy: string | undefined, at: Path): readonly Finding[] {
  if (policy === undefined || ["", "Always", "IfNotPresent", "Never"].includes(policy)) return [];
  const message = `imagePullPolicy ${policy} is not supported`;
  const hint = "Write Always, IfNotPresent or Never.";
  return [errorAt({ code: "PT-EARLY-34", at, reason: "FieldValueNotSupported", message, hint })];
}

/** PT-EARLY-35. */
export function emptyDisks(vmi: SpecContext): readonly Finding[] {
  return volumesOf(vmi).flatMap(({ volume, at }) => {
    if (volume.emptyDisk === undefined) return [];
    const { capacity } = volume.emptyDisk;
    const bytes = capacity === undefined ? 0 : (quantityValue(capacity) ?? 0);
    // qemu-img makes nothing smaller than a sector, and no file system fits in less than this anyway.
    if (bytes >= 512) return [];
    const message =
      capacity === undefined ? "capacity is required" : `capacity ${capacity} is ${bytes} bytes`;
    const hint = "Write a size with a unit, as capacity: 2Gi.";
    const reason = capacity === undefined ? "FieldValueRequired" : "FieldValueInvalid";
    return [errorAt({ code: "PT-EARLY-35", at: [...at, "emptyDisk", "capacity"], reason, message, hint })];
  });
}

/** PT-EARLY-60. */
export function configVolumes(vmi: SpecContext): readonly Finding[] {
  return volumesOf(vmi).flatMap(({ volume, at }) => {
    const { configMap, secret, sysprep } = volume;
    const named: readonly (readonly [string, string | undefined, boolean])[] = [
      ["configMap", configMap?.name, configMap !== undefined],
      ["secret", secret?.secretName, secret !== undefined],
      ["sysprep", sysprep?.configMap?.name || sysprep?.secret?.name, sysprep !== undefined],
    ];
    return named.flatMap(([source, name = "", there]) => {
      if (!there || name !== "") return [];
      const message = `the ${source} volume names no object`;
      const hint =
        source === "sysprep" ? "Write sysprep: {configMap: {name: …}}." : `Name the ${source} it is made of.`;
      return [
        errorAt({ code: "PT-EARLY-60", at: [...at, source], reason: "FieldValueRequired", message, hint }),
      ];
    });
  });
}

/** PT-EARLY-59. KubeVirt's text. */
export function keysHaveTheirVolume(vmi: SpecContext): readonly Finding[] {
  const sources = new Set(volumesOf(vmi).flatMap(({ volume }) => sourcesOf(volume)));
  return (vmi.spec.accessCredentials ?? []).flatMap(({ sshPublicKey }, i) =>
    (
      [
        ["noCloud", "cloudInitNoCloud"],
        ["configDrive", "cloudInitConfigDrive"],
      ] as const
    ).flatMap(([way, source]) => {
      if (sshPublicKey?.propagationMethod?.[way] === undefined || sources.has(source)) return [];
      const at = [...vmi.path, "accessCredentials", i, "sshPublicKey", "propagationMethod"];
      const message = `${formatPath(at)} requires a ${way} disk to exist when the ${way} propagationMethod is in use`;
      const hint = `Add a ${source} volume, or propagate by the one that is there.`;
      return [errorAt({ code: "PT-EARLY-59", at: [...at, way], message, hint })];
    }),
  );
}

export const VOLUME_RULES: readonly SpecRule[] = [
  volumeSources,
  uniqueVolumeNames,
  disksHaveVolumes,
  volumesHaveDisks,
  containerDisks,
  lunVolumes,
  emptyDisks,
  configVolumes,
  keysHaveTheirVolume,
];
