/*
 * Numbers as text, for the generated tables: groups of 5 bits, low group first, one character of this alphabet per group; a group
 * that is not the last one of its number has 32 added. Signed numbers: 0, -1, 1, -2, … are 0, 1, 2, 3, …
 */
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

const GROUPS = makeGroups()

function makeGroups(): Uint8Array {
  const groups = new Uint8Array(128)
  for (let group = 0; group < 64; group++) groups[ALPHABET.charCodeAt(group)] = group
  return groups
}

/** Reads the numbers of one text in order. */
export class NumberReader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  get atEnd(): boolean {
    return this.#at >= this.#text.length
  }

  unsigned(): number {
    let value = 0
    for (let shift = 0; ; shift += 5) {
      const group = GROUPS[this.#text.charCodeAt(this.#at++)]!
      value |= (group & 31) << shift
      if (group < 32) return value
    }
  }

  signed(): number {
    const value = this.unsigned()
    return (value >>> 1) ^ -(value & 1)
  }
}

/** Writes what {@link NumberReader} reads; for the script that makes the tables. */
export function formatNumber(value: number): string {
  let text = ''
  while (value >= 32) {
    text += ALPHABET[32 + (value & 31)]
    value >>>= 5
  }
  return text + ALPHABET[value]
}

export function formatSigned(value: number): string {
  return formatNumber(value < 0 ? -value * 2 - 1 : value * 2)
}
