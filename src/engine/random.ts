/** A source of random numbers. A port. */
export interface Random {
  /** 20 characters of [0-9a-z] with at least 96 random bits, so that no two are ever equal. */
  nonce(): string
  /** From 0 to below 1: how long to wait before another attempt. */
  fraction(): number
}
