/** What is hidden at L, against a plain model of MVCC: transactions that end at some LSN, rows with an inserter and perhaps a deleter. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BlockSet } from '../../src/common/blockset.ts'
import type { UnresolvedRun } from '../../src/columnar/filesummary.ts'
import { hiddenRows, type TransactionOutcome } from '../../src/lake/hiddenrows.ts'

/** The file is written at this LSN. */
const WRITTEN = 50

interface Transaction {
  committed: boolean
  /** 101: it never ends. */
  end: number
}

const transaction: fc.Arbitrary<Transaction> = fc.record({ committed: fc.boolean(), end: fc.integer({ min: 1, max: 101 }) })
const history = fc.record({
  transactions: fc.array(transaction, { minLength: 1, maxLength: 6 }),
  rows: fc.array(fc.record({ inserter: fc.nat(5), deleter: fc.option(fc.nat(5)), structure: fc.nat(9) }), { maxLength: 30 }),
})

type History = typeof history extends fc.Arbitrary<infer T> ? T : never

const at = (list: readonly Transaction[], i: number): Transaction => list[i % list.length]!
const isIn = ({ committed, end }: Transaction, lsn: number): boolean => committed && end <= lsn

/** The row as a snapshot of everything up to `lsn` has it. */
function isVisible({ transactions }: History, { inserter, deleter, structure }: History['rows'][number], lsn: number): boolean {
  return structure > 0 && isIn(at(transactions, inserter), lsn) && (deleter === null || !isIn(at(transactions, deleter), lsn))
}

/** What the file says of itself: hidden rows then, and the transactions that were open. */
function fileOf(h: History): { hidden: BlockSet; unresolved: UnresolvedRun[] } {
  const unresolved: UnresolvedRun[] = []
  const open = (i: number): boolean => at(h.transactions, i).end > WRITTEN
  h.rows.forEach(({ inserter, deleter, structure }, row) => {
    const dead = structure === 0 || (!open(inserter) && !at(h.transactions, inserter).committed) || (deleter !== null && isIn(at(h.transactions, deleter), WRITTEN))
    if (dead) return
    if (open(inserter)) unresolved.push({ first: row, count: 1, xid: 700 + inserter % h.transactions.length, which: 'xmin' })
    if (deleter !== null && open(deleter)) unresolved.push({ first: row, count: 1, xid: 700 + deleter % h.transactions.length, which: 'xmax' })
  })
  return { hidden: BlockSet.of(h.rows.flatMap((row, i) => isVisible(h, row, WRITTEN) ? [] : [i])), unresolved }
}

/** Where only states of the lake are known: the end lies between two of them. */
function known({ committed, end }: Transaction, states: readonly number[]): TransactionOutcome | undefined {
  const endLsn = states.find((state) => end <= state)
  return end > 100 || endLsn === undefined ? undefined : { committed, endLsn, after: states.filter((state) => state < end).at(-1) ?? 0 }
}

describe('hidden rows', () => {
  test('at every L are those that MVCC hides', () => {
    fc.assert(fc.property(history, (h) => {
      const file = fileOf(h)
      const outcomes = { find: (xid: number) => {
        const { committed, end } = h.transactions[xid - 700]!
        return end > 100 ? undefined : { committed, endLsn: end }
      } }
      for (let lsn = WRITTEN; lsn <= 100; lsn += 5) {
        expect([...hiddenRows(file, outcomes, lsn)]).toEqual(h.rows.flatMap((row, i) => isVisible(h, row, lsn) ? [] : [i]))
      }
    }), { numRuns: 500 })
  })

  test('without WAL every state is exact, and between two states nothing is guessed', () => {
    const states = [50, 60, 75, 100]
    let refused = 0
    fc.assert(fc.property(history, fc.integer({ min: 50, max: 100 }), (h, lsn) => {
      const file = fileOf(h)
      const outcomes = { find: (xid: number) => known(h.transactions[xid - 700]!, states) }
      const isOpen = states.includes(lsn) ? false : file.unresolved.some(({ xid }) => {
        const found = outcomes.find(xid)
        return found?.committed === true && found.after! < lsn && lsn < found.endLsn
      })
      if (isOpen) {
        refused++
        expect(() => hiddenRows(file, outcomes, lsn)).toThrow(expect.objectContaining({ name: 'UnsupportedError', code: 'lake.status' }))
      } else {
        const expected = h.rows.flatMap((row, i) => isVisible(h, row, lsn) ? [] : [i])
        expect([...hiddenRows(file, outcomes, lsn)]).toEqual(expected)
      }
    }), { numRuns: 500 })
    expect(refused).toBeGreaterThan(20)
  })
})
