/** Neighbours, forwarding tables and redirects of a fake namespace. */
import type { Ip } from "../../base/ip.ts";
import type { Mac } from "../../base/mac.ts";
import type { Observed, ObservedFdbEntry, ObservedNeighbour, ObservedRedirect } from "../../plan/observed.ts";
import type { RedirectPlan } from "../../plan/plan.ts";
import { redirectDigest } from "../../plan/redirect-digest.ts";

export class FakeLayer2 {
  neighbours: readonly ObservedNeighbour[] = [];
  fdb: readonly ObservedFdbEntry[] = [];
  readonly redirects = new Map<string, ObservedRedirect>();

  addNeighbour(link: string, ip: Ip, mac: Mac): void {
    this.deleteNeighbour(link, ip);
    this.neighbours = [...this.neighbours, { link, ip, mac, permanent: true }];
  }

  deleteNeighbour(link: string, ip: Ip): void {
    this.neighbours = this.neighbours.filter((one) => one.link !== link || one.ip !== ip);
  }

  addFdbEntry(port: string, mac: Mac): void {
    this.deleteFdbEntry(port, mac);
    this.fdb = [...this.fdb, { port, mac }];
  }

  deleteFdbEntry(port: string, mac: Mac): void {
    this.fdb = this.fdb.filter((one) => one.port !== port || one.mac !== mac);
  }

  setRedirect(link: string, redirect: RedirectPlan): void {
    const { to, classifier } = redirect;
    this.redirects.set(link, { to, classifier, digest: redirectDigest(redirect) });
  }

  readRedirects(links: readonly string[]): Observed["redirects"] {
    return Object.fromEntries(links.map((link) => [link, structuredClone(this.redirects.get(link) ?? null)]));
  }

  /** A link that goes down or gets another MAC forgets its neighbours (neigh_changeaddr, neigh_ifdown). */
  forgetNeighbours(link: string): void {
    this.neighbours = this.neighbours.filter((one) => one.link !== link);
  }

  forgetPort(port: string): void {
    this.fdb = this.fdb.filter((one) => one.port !== port);
  }

  /** What was redirected to it goes nowhere, and says which link it meant. */
  forgetLink(name: string, index: number): void {
    for (const [link, redirect] of this.redirects) {
      if (redirect.to === name) this.redirects.set(link, { ...redirect, to: `if${index}` });
    }
    this.forgetNeighbours(name);
    this.forgetPort(name);
    this.redirects.delete(name);
  }

  rename(from: string, to: string): void {
    this.neighbours = this.neighbours.map((one) => (one.link === from ? { ...one, link: to } : one));
    this.fdb = this.fdb.map((one) => (one.port === from ? { ...one, port: to } : one));
    for (const [link, redirect] of this.redirects) {
      if (redirect.to === from) this.redirects.set(link, { ...redirect, to });
    }
    const redirect = this.redirects.get(from);
    if (redirect === undefined) return;
    this.redirects.delete(from);
    this.redirects.set(to, redirect);
  }
}
