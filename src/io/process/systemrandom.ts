import { randomInt } from 'node:crypto'
import type { Random } from '../../engine/random.ts'

/** The operating system's. 36 ** 20 are 103 bits. */
export const systemRandom: Random = {
  nonce: () => Array.from({ length: 20 }, () => randomInt(36).toString(36)).join(''),
  fraction: () => Math.random(),
}
