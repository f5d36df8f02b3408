import { fakeKernel } from "../../src/linux/fake/kernel.ts";
import { kernelContract, POD_NIC } from "./kernel.contract.ts";

const { gateways, ...nic } = POD_NIC;

kernelContract({
  label: "fake kernel",
  open: () =>
    fakeKernel({
      links: [{ ...nic, index: 2, up: true }],
      routes: gateways.map((gateway) => ({
        destination: (gateway.includes(":") ? "::/0" : "0.0.0.0/0") as never,
        gateway,
        link: nic.name,
      })),
    }),
});
