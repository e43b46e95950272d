/** Where in the page one is: the part of the address behind #, so that every view has an address to come back to. */

import { signal } from "@preact/signals";

const JOB = "job_[0-9a-z]{26}";

export type Route =
  | { page: "new" }
  | { page: "jobs" }
  | { page: "job"; job: string }
  | { page: "compare"; jobs: [string, string] }
  | { page: "unknown" };

export const route = signal<Route>(read(location.hash));

addEventListener("hashchange", () => {
  route.value = read(location.hash);
});

export function read(hash: string): Route {
  const path = hash.replace(/^#\/?/, "");
  if (path === "") return { page: "new" };
  if (path === "maps") return { page: "jobs" };
  const job = new RegExp(`^maps/(${JOB})$`).exec(path);
  if (job?.[1]) return { page: "job", job: job[1] };
  const two = new RegExp(`^compare/(${JOB})/(${JOB})$`).exec(path);
  if (two?.[1] && two[2]) return { page: "compare", jobs: [two[1], two[2]] };
  return { page: "unknown" };
}

export function hashOf(to: Route): string {
  switch (to.page) {
    case "jobs":
      return "#/maps";
    case "job":
      return `#/maps/${to.job}`;
    case "compare":
      return `#/compare/${to.jobs[0]}/${to.jobs[1]}`;
    default:
      return "#/";
  }
}

export function goTo(to: Route): void {
  location.hash = hashOf(to);
}
