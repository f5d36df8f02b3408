/**
 * Who may speak to the socket. The kernel says who connected (SO_PEERCRED, taken when the connection was made);
 * whoever is let in can run VMs and read Secrets, which is as good as root, so the list is short.
 */
import { ApiError } from "../api-error.ts";

export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups, where they are known (SO_PEERGROUPS). */
  readonly groups?: readonly number[];
}

export interface AccessPolicy {
  /** Beside root and the daemon's own user. */
  readonly uids?: readonly number[];
  readonly gids?: readonly number[];
}

export function isAllowed(peer: PeerCredentials, ownUid: number, policy: AccessPolicy): boolean {
  const groups = [peer.gid, ...(peer.groups ?? [])];
  return (
    peer.uid === 0 ||
    peer.uid === ownUid ||
    (policy.uids ?? []).includes(peer.uid) ||
    groups.some((gid) => (policy.gids ?? []).includes(gid))
  );
}

export function notAllowed(peer: PeerCredentials | undefined): ApiError {
  const who = peer === undefined ? "a process the kernel does not name" : `uid ${peer.uid} (gid ${peer.gid})`;
  return new ApiError(403, "Forbidden", `${who} may not use this podtap`, {
    hint: "run the command with sudo, or have root add the uid to allowedUids or a group to allowedGids in podtap's configuration",
  });
}
