/** The lower-case hex digit of a nibble, as a byte of text. */
export function hexDigit(nibble: number): number {
  return nibble < 10 ? 0x30 + nibble : 0x57 + nibble
}

/** The value of a lower-case hex digit; -1 for any other byte and for what lies past the end. */
export function hexValue(byte: number | undefined): number {
  if (byte === undefined) return -1
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  return byte >= 0x61 && byte <= 0x66 ? byte - 0x57 : -1
}
