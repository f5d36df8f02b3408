/** `skopeo` as a child: the one that speaks to registries and reads archives. Arguments only, never a shell. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { messageOf } from "../../base/errors.ts";
import { imageError } from "./image-error.ts";
import { ociArchitecture } from "./layout.ts";

export interface SkopeoOptions {
  readonly program: string;
  /** Path of a Docker configuration file with credentials. */
  readonly authFile?: string;
  /** Speak to this registry without TLS, or without checking it. */
  readonly insecure: boolean;
  readonly signal: AbortSignal;
}

/** Digest of what a tag points to in its registry, now: one request, whose answer is what the digest is of. */
export async function registryDigest(name: string, options: SkopeoOptions): Promise<string> {
  const manifest = await skopeo(
    ["inspect", ...sourceFlags(options, ""), "--raw", `docker://${name}`],
    name,
    options,
  );
  return `sha256:${createHash("sha256").update(manifest).digest("hex")}`;
}

/** Copies an image into a new OCI layout, blobs as they are. */
export async function copyToLayout(
  source: string,
  target: { readonly layout: string; readonly tag: string },
  name: string,
  options: SkopeoOptions,
): Promise<void> {
  const flags = source.startsWith("docker://") ? sourceFlags(options, "src-") : [];
  const keep = "--dest-oci-accept-uncompressed-layers";
  await skopeo(
    ["copy", "--quiet", keep, ...flags, source, `oci:${target.layout}:${target.tag}`],
    name,
    options,
  );
}

function sourceFlags({ authFile, insecure }: SkopeoOptions, side: "" | "src-"): readonly string[] {
  return [
    ...(authFile === undefined ? [] : [`--${side}authfile`, authFile]),
    ...(insecure ? [`--${side}tls-verify=false`] : []),
  ];
}

/** What it writes to its standard output. */
function skopeo(args: readonly string[], name: string, options: SkopeoOptions): Promise<Buffer> {
  // Debian has no policy.json without another package; whether an image is trusted is the manifest's decision.
  const common = ["--insecure-policy", "--override-os", "linux", "--override-arch", ociArchitecture()];
  return new Promise((resolve, reject) => {
    const child = spawn(options.program, [...common, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      signal: options.signal,
    });
    const stdout: Buffer[] = [];
    let stderr = "";
    child.stdout.on("data", (data: Buffer) => stdout.push(data));
    child.stderr.on("data", (data: Buffer) => {
      stderr = (stderr + data.toString()).slice(-4096);
    });
    child.once("error", (error) => {
      const aborted = options.signal.aborted;
      reject(aborted ? options.signal.reason : skopeoMissing(name, options.program, error));
    });
    child.once("close", (code) => {
      if (code === 0) resolve(Buffer.concat(stdout));
      else reject(pullFailure(name, stderr));
    });
  });
}

function skopeoMissing(name: string, program: string, error: Error): Error {
  return imageError("pull", `image ${name}: ${program} cannot be started: ${messageOf(error)}`, {
    cause: error,
    blame: "host",
    hint: "install skopeo, or give the image from disk with --image-override",
  });
}

/** skopeo's last words, without its log format: `time="…" level=fatal msg="…"`. */
export function pullFailure(name: string, stderr: string): Error {
  const fatal = /level=fatal msg="((?:[^"\\]|\\.)*)"/.exec(stderr)?.[1]?.replace(/\\"/g, '"');
  const words = (fatal ?? stderr.trim().split("\n").at(-1) ?? "").replace(/\s+/g, " ").slice(0, 600);
  const unreachable =
    /no such host|dial tcp|connection refused|i\/o timeout|network is unreachable|server misbehaving/.test(
      words,
    );
  const denied = /unauthorized|denied|authentication required/.test(words);
  const repository = name.replace(/@.*$/, "").replace(/:[^/:]*$/, "");
  return imageError(
    "pull",
    `image ${name} was not pulled${unreachable ? ": its registry cannot be reached" : ""}: ${words}`,
    {
      blame: unreachable ? "host" : "manifest",
      retry: unreachable ? "soon" : "on-change",
      hint: denied
        ? "check the name; for a private image set imagePullSecret, or log in as root with skopeo login"
        : `without a registry give the image from disk: --image-override ${repository}=oci:/path/to/layout:tag`,
    },
  );
}
