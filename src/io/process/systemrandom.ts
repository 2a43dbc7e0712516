import { randomInt } from 'node:crypto'
import type { Random } from '../../engine/random.ts'

/** The operating system's random numbers. A nonce of 20 characters has 103 bits (36 ** 20). */
export const systemRandom: Random = {
  nonce: () => Array.from({ length: 20 }, () => randomInt(36).toString(36)).join(''),
  fraction: () => Math.random(),
}
