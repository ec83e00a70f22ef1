/** What the server says no with, over sockets and REST alike. `code` is stable, `message` is for people. */
export class Refusal extends Error {
  /** @param {{code?: string, message?: string, detail?: string, retryable?: boolean, retryAfterMs?: number, field?: string}} said */
  constructor(said) {
    super(said.message ?? said.detail ?? "The server refused");
    this.code = said.code ?? "internal";
    this.retryable = said.retryable ?? false;
    this.retryAfterMs = said.retryAfterMs ?? 0;
    this.field = said.field;
  }
}

/** Nobody answered: whether the command was carried out is not known. */
export class Disconnected extends Error {
  constructor() {
    super("There is no connection to the server right now");
    this.code = "disconnected";
    this.retryable = true;
    this.retryAfterMs = 0;
  }
}
