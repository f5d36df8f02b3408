/** The responder that a guest service of the plan asks for. */
import type { GuestService } from "./config.ts";
import { dhcp4Responder } from "./dhcp4.ts";
import { dhcp6Responder } from "./dhcp6.ts";
import { neighboursResponder } from "./neighbours.ts";
import type { Responder } from "./responder.ts";
import { routerAdvertResponder } from "./router-advert.ts";

export function makeResponder(service: GuestService): Responder {
  switch (service.type) {
    case "dhcp4":
      return dhcp4Responder(service.config);
    case "dhcp6":
      return dhcp6Responder(service.config);
    case "router-advert":
      return routerAdvertResponder(service.config);
    case "neighbours":
      return neighboursResponder(service.config);
  }
}
