/** An error of the interface (RFC 9457): what went wrong, what to do, and which members of the request it names. */

export interface Fault {
  pointer: string;
  detail: string;
}

export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly advice: string;
  readonly errors: readonly Fault[];
  readonly retryAfter: number | null;

  constructor(status: number, told: unknown, retryAfter: number | null = null) {
    const body = isRecord(told) ? told : {};
    super(typeof body.detail === "string" ? body.detail : `HTTP ${status}`);
    this.status = status;
    this.code = typeof body.code === "string" ? body.code : "unknown";
    this.advice = typeof body.advice === "string" ? body.advice : "";
    this.errors = Array.isArray(body.errors) ? body.errors.filter(isFault) : [];
    this.retryAfter = retryAfter;
  }
}

function isRecord(told: unknown): told is Record<string, unknown> {
  return typeof told === "object" && told !== null;
}

function isFault(told: unknown): told is Fault {
  return isRecord(told) && typeof told.pointer === "string" && typeof told.detail === "string";
}

export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  return new Problem(0, { code: "unforeseen", detail: error instanceof Error ? error.message : String(error) });
}

/** Read the problem of an answer; one that is no JSON keeps its status. */
export async function readProblem(answer: Response): Promise<Problem> {
  const body: unknown = await answer.json().catch(() => null);
  const wait = Number(answer.headers.get("Retry-After"));
  return new Problem(answer.status, body, Number.isFinite(wait) && wait > 0 ? wait : null);
}
