/** The few parts of Node that tests use: the page itself runs in browsers, so Node's own types are not installed. */

declare module "node:http" {
  export interface IncomingMessage extends AsyncIterable<Uint8Array> {
    readonly method: string;
    readonly url: string;
    readonly headers: Record<string, string | undefined>;
  }
  export interface ServerResponse {
    readonly socket: { destroy(): void };
    readonly destroyed: boolean;
    writeHead(status: number, headers?: Record<string, string>): ServerResponse;
    flushHeaders(): void;
    write(chunk: string | Uint8Array, written?: () => void): boolean;
    end(chunk?: string): void;
    once(event: "close", listener: () => void): void;
  }
  export interface Server {
    listen(port: number, host: string, listening: () => void): void;
    address(): { port: number };
    close(closed: () => void): void;
    closeAllConnections(): void;
  }
  export function createServer(
    listener: (request: IncomingMessage, response: ServerResponse) => void | Promise<void>,
  ): Server;
}

declare module "node:child_process" {
  export function execFileSync(
    file: string,
    args: string[],
    options: { encoding: "utf8"; input?: string; timeout: number },
  ): string;
}
