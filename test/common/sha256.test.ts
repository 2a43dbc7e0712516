import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { sha256 } from '../../src/common/sha256.ts'
import { Random } from '../support/random.ts'

test('lengths around every border of a block agree with OpenSSL', () => {
  const random = new Random(1)
  for (let length = 0; length < 300; length++) {
    const bytes = Uint8Array.from({ length }, () => random.next())
    expect(Buffer.from(sha256(bytes)).toString('hex'), `${length} bytes`).toBe(createHash('sha256').update(bytes).digest('hex'))
  }
})
