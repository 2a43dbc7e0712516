/** What a write must have read. */
export type CasToken = string

export interface CasValue {
  readonly value: Uint8Array
  readonly token: CasToken
}

/** As {@link PutOutcome}. After `unknown`, read: the value that is there tells whose it is. */
export type CasOutcome = 'written' | 'refused' | 'unknown'

/** One mutable value (compare and set). Its bytes carry a nonce, so that a token never comes back. */
export interface Cas {
  read(): Promise<CasValue | undefined>
  /** @param token of the value that this one replaces; undefined creates the first */
  write(value: Uint8Array, token: CasToken | undefined): Promise<CasOutcome>
  /** Deletes earlier values, where they are kept; the value stays what it is. */
  forgetEarlier(): Promise<void>
}
