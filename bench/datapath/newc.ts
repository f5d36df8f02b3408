/**
 * An initramfs with a program more: archives behind one another are unpacked one after the other (Documentation/
 * driver-api/early-userspace/buffer-format.rst in Linux), so the guest's own stays as it was built.
 */

/** The `newc` format of cpio(5), for executables; folders on their way must be there already. */
export function newcArchive(files: Readonly<Record<string, Uint8Array>>): Uint8Array {
  const entries = [...Object.entries(files), [TRAILER, new Uint8Array()] as const];
  const parts = entries.flatMap(([name, data], i) => [
    padded(new TextEncoder().encode(`${header(i + 1, name, data.length)}${name}\0`)),
    padded(data),
  ]);
  return Buffer.concat(parts);
}

/** Archives begin at multiples of four. */
export function joinArchives(...archives: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(archives.map(padded));
}

const TRAILER = "TRAILER!!!";
const EXECUTABLE = 0o100755;

function header(inode: number, name: string, size: number): string {
  const mode = name === TRAILER ? 0 : EXECUTABLE;
  const owner = [0, 0];
  const devices = [0, 0, 0, 0];
  const nameSize = new TextEncoder().encode(name).length + 1;
  const fields = [inode, mode, ...owner, 1, 0, size, ...devices, nameSize, 0];
  return `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`;
}

function padded(data: Uint8Array): Uint8Array {
  const whole = new Uint8Array(Math.ceil(data.length / 4) * 4);
  whole.set(data);
  return whole;
}
