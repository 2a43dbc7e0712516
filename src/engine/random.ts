/** Chance, as a service gives it. */
export interface Random {
  /** 20 characters of [0-9a-z] that nobody else ever has: at least 96 random bits. */
  nonce(): string
  /** From 0 to below 1: how long to wait before another attempt. */
  fraction(): number
}
