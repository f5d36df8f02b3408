/** Entry of the network worker: the one thread that enters namespaces and calls libnftables. */
import { serveJobs } from "./job-server.ts";
import { netJobs } from "./net-jobs.ts";

serveJobs(netJobs);
