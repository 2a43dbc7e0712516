import { NumberReader } from './numbers.ts'

/**
 * A generated table (fixtures/encodings/make.ts): which code of an encoding is which character. Codes are known by their *slot*,
 * see {@link CodeTable}. Each text is a row of numbers (numbers.ts):
 *
 *  codes  runs: unsigned slots skipped, unsigned count, count times the signed code point minus (the previous one + 1)
 *  pairs  unsigned slots skipped, unsigned first and second code point: codes that are two characters in Unicode
 *
 * Skipping counts from the slot behind the previous one. Where several codes are the same character, convert_to writes the one of the
 * lowest slot: make.ts checks that.
 */
export interface TableText {
  readonly codes: string
  readonly pairs?: string
}

const CODE_POINTS = 0x110000
const PAGE_BITS = 8

/**
 * Both directions of a table. A slot is the byte of a single-byte encoding, or `plane << 14 | (c1 & 0x7f) << 7 | (c2 & 0x7f)`
 * of the last two bytes of an EUC code, whose shift bytes select the plane.
 */
export class CodeTable {
  /** Slot to code point; 0: no such code; -1 - n: the pair n. */
  readonly forward: Int32Array
  /** Code points of pair n at 2n and 2n + 1. */
  readonly pairs: number[] = []
  readonly #pairSlots: number[] = []
  #backward: Backward | undefined

  constructor(text: TableText, slots: number) {
    this.forward = new Int32Array(slots)
    this.#readCodes(new NumberReader(text.codes))
    this.#readPairs(new NumberReader(text.pairs ?? ''))
  }

  #readCodes(codes: NumberReader): void {
    let slot = 0
    let codePoint = 0
    while (!codes.atEnd) {
      slot += codes.unsigned()
      for (let left = codes.unsigned(); left > 0; left--) {
        codePoint += codes.signed() + 1
        this.forward[slot++] = codePoint
      }
    }
  }

  #readPairs(pairs: NumberReader): void {
    for (let slot = 0; !pairs.atEnd; slot++) {
      slot += pairs.unsigned()
      this.forward[slot] = -1 - this.#pairSlots.length
      this.#pairSlots.push(slot)
      this.pairs.push(pairs.unsigned(), pairs.unsigned())
    }
  }

  /** The other direction, made when it is first needed. */
  get backward(): Backward {
    this.#backward ??= new Backward(this.forward, this.pairs, this.#pairSlots)
    return this.#backward
  }
}

/** Code point to slot. */
class Backward {
  readonly hasPairs: boolean
  /** Number of the page of slots for `code point >> 8`; page 0 is empty. */
  readonly #pageOf = new Uint16Array(CODE_POINTS >> PAGE_BITS)
  readonly #slots: Int32Array
  readonly #pairs = new Map<number, number>()

  constructor(forward: Int32Array, pairs: readonly number[], pairSlots: readonly number[]) {
    let pages = 1
    for (const codePoint of forward) {
      if (codePoint > 0 && this.#pageOf[codePoint >> PAGE_BITS] === 0) this.#pageOf[codePoint >> PAGE_BITS] = pages++
    }
    this.#slots = new Int32Array(pages << PAGE_BITS).fill(-1)
    for (let slot = forward.length - 1; slot >= 0; slot--) if (forward[slot]! > 0) this.#slots[this.#place(forward[slot]!)] = slot
    pairSlots.forEach((slot, n) => this.#pairs.set(pairKey(pairs[n * 2]!, pairs[n * 2 + 1]!), slot))
    this.hasPairs = pairSlots.length > 0
  }

  #place(codePoint: number): number {
    return (this.#pageOf[codePoint >> PAGE_BITS]! << PAGE_BITS) | (codePoint & 0xff)
  }

  /** The slot of a character, -1 for none. */
  slotOf(codePoint: number): number {
    return this.#slots[this.#place(codePoint)]!
  }

  /** The slot of two characters that are one code, -1 for none. */
  slotOfPair(first: number, second: number): number {
    return this.#pairs.get(pairKey(first, second)) ?? -1
  }
}

function pairKey(first: number, second: number): number {
  return first * CODE_POINTS + second
}
