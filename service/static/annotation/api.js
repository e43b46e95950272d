// Talks to the interface of one project. Keys live in this tab's session alone.

const KEY = "cityzones-key";
const POLL = 500;

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? `the service answered ${status}`);
    this.status = status;
    this.code = body.code ?? "unknown";
    this.advice = body.advice ?? "";
  }
}

export function keepKey(key) {
  sessionStorage.setItem(KEY, key);
}

export class Api {
  constructor(job) {
    this.job = job;
    this.base = `jobs/${job}/annotation`;
  }

  async json(path) {
    return (await this.#ask(this.base + path)).json();
  }

  async blob(path) {
    return (await this.#ask(this.base + path)).blob();
  }

  // Start a process that follows this project, wait for its end, and return the links to what it made.
  async follow(process, inputs = {}) {
    const body = JSON.stringify({ inputs: { project: this.job, ...inputs } });
    const told = { method: "POST", body };
    const started = await this.#ask(`processes/${process}/execution`, told, { "Content-Type": "application/json" });
    const { jobID } = await started.json();
    for (;;) {
      const status = await (await this.#ask(`jobs/${jobID}`)).json();
      if (status.status === "successful") return (await this.#ask(`jobs/${jobID}/results`)).json();
      if (status.status === "failed") throw new Problem(422, status.problem ?? { detail: status.message });
      if (status.status === "dismissed") throw new Problem(410, { detail: "the job was dismissed" });
      await new Promise((done) => setTimeout(done, POLL));
    }
  }

  // A picture as an address of this page; whoever asks for it gives it back with URL.revokeObjectURL.
  async picture(path) {
    return URL.createObjectURL(await this.blob(path));
  }

  // An edit reaches the service even where this page is closed meanwhile, if it is small enough for that.
  async save(edit, base, who) {
    const body = JSON.stringify({ base, who, edit });
    const told = { method: "POST", body, keepalive: body.length < 60000 };
    return (await this.#ask(`${this.base}/edits`, told, { "Content-Type": "application/json" })).json();
  }

  async #ask(path, told = {}, headers = {}) {
    const key = sessionStorage.getItem(KEY);
    if (key) headers["Authorization"] = `Bearer ${key}`;
    let answer;
    try {
      answer = await fetch(path, { ...told, headers });
    } catch {
      throw new Problem(0, { code: "unreachable", detail: "the service does not answer; nothing was changed" });
    }
    if (!answer.ok) throw new Problem(answer.status, await answer.json().catch(() => ({})));
    return answer;
  }
}
