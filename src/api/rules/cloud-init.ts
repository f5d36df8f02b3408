/** Admission of cloud-init volumes: R6 (`validateVolumes`), with KubeVirt's texts. */
import { errorAt, type Finding } from "../finding.ts";
import { formatPath, type Path } from "../path.ts";
import type { CloudInitSource } from "../types.ts";
import type { SpecContext, SpecRule } from "./spec-context.ts";
import { volumesOf } from "./volumes.ts";

const MAX_BYTES = 2048;

/** R6. */
export function cloudInitSources(vmi: SpecContext): readonly Finding[] {
  return volumesOf(vmi).flatMap(({ volume, at }) => {
    const type = volume.cloudInitNoCloud !== undefined ? "cloudInitNoCloud" : "cloudInitConfigDrive";
    const source = volume[type];
    return source === undefined ? [] : sourceProblems(source, type, [...at, type]);
  });
}

interface Part {
  readonly base64Key: "userDataBase64" | "networkDataBase64";
  readonly inline: string;
  readonly base64: string;
  readonly secret: string;
  readonly tooMany: string;
  readonly tooLong: string;
}

function sourceProblems(source: CloudInitSource, type: string, at: Path): readonly Finding[] {
  const parts: readonly Part[] = [
    {
      base64Key: "userDataBase64",
      inline: source.userData ?? "",
      base64: source.userDataBase64 ?? "",
      secret: source.secretRef?.name ?? "",
      tooMany: "must have only one userdatasource set.",
      tooLong: `userdata exceeds ${MAX_BYTES} byte limit. Should use UserDataSecretRef for larger data.`,
    },
    {
      base64Key: "networkDataBase64",
      inline: source.networkData ?? "",
      base64: source.networkDataBase64 ?? "",
      secret: source.networkDataSecretRef?.name ?? "",
      tooMany: "must have only one networkdata source set.",
      tooLong: `networkdata exceeds ${MAX_BYTES} byte limit. Should use NetworkDataSecretRef for larger data.`,
    },
  ];
  const findings = parts.flatMap((part) => partProblems(part, type, at));
  if (parts.some((part) => countOf(part) > 0)) return findings;
  const message = `${formatPath(at)} must have at least one userdatasource or one networkdatasource set.`;
  const hint = "Write userData: |, or remove the volume and its disk.";
  return [...findings, errorAt({ code: "PT-REL-6", at, message, hint })];
}

function countOf({ inline, base64, secret }: Part): number {
  return [inline, base64, secret].filter((text) => text !== "").length;
}

function partProblems(part: Part, type: string, at: Path): readonly Finding[] {
  const code = "PT-REL-6";
  const field = formatPath(at);
  const findings: Finding[] = [];
  const decoded = base64Length(part.base64);
  if (decoded === undefined) {
    const place = [...at, part.base64Key];
    // KubeVirt's text repeats the last parts of the path.
    const message = `${formatPath(place)}.${type}.${part.base64Key} is not a valid base64 value.`;
    findings.push(errorAt({ code, at: place, message, hint: "Encode it with `base64 -w0`." }));
  }
  if (countOf(part) > 1) {
    const hint = "Keep one of the inline text, its base64 form and the secret.";
    findings.push(errorAt({ code, at, message: `${field} ${part.tooMany}`, hint }));
  }
  const length = part.inline === "" ? (decoded ?? 0) : new TextEncoder().encode(part.inline).length;
  if (length > MAX_BYTES) {
    const hint = "Put the data in a Secret (keys userdata, networkdata) and name it here.";
    findings.push(errorAt({ code, at, message: `${field} ${part.tooLong}`, hint }));
  }
  return findings;
}

/** Bytes that standard base64 decodes to, line breaks allowed as in Go; undefined when it is none. */
export function base64Length(text: string): number | undefined {
  const plain = text.replace(/[\r\n]/g, "");
  if (plain.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(plain)) return undefined;
  const padding = plain.endsWith("==") ? 2 : plain.endsWith("=") ? 1 : 0;
  return (plain.length / 4) * 3 - padding;
}

/** The guest reads the first cloud-init volume only, in KubeVirt as in podtap. */
export function oneCloudInitVolume(vmi: SpecContext): readonly Finding[] {
  const second = volumesOf(vmi).filter(
    ({ volume }) => volume.cloudInitNoCloud !== undefined || volume.cloudInitConfigDrive !== undefined,
  )[1];
  if (second === undefined) return [];
  const message = "the VM has more than one cloud-init volume; only the first is used";
  const hint = "Join the two: userData and networkData fit in one volume.";
  return [errorAt({ code: "PT-EARLY-37", at: second.at, message, hint })];
}

export const CLOUD_INIT_RULES: readonly SpecRule[] = [cloudInitSources, oneCloudInitVolume];
