/** Files of a log stay few, whatever sizes its publications add: each row is copied some times, and no file has more rows than a merge may hold. */
import { expect, test } from 'vitest'
import { LOG_ROWS_MAX, planLogMerge } from '../../src/lake/logmergeplan.ts'
import { Random, TEST_SEED } from '../support/random.ts'

interface File { bytes: number; rows: number }

test('after any number of publications there are few files', () => {
  const draw = new Random(TEST_SEED)
  for (let run = 0; run < 20; run++) {
    const most = 10 ** (1 + draw.int(5))
    let files: File[] = []
    let [written, copied] = [0, 0]
    for (let publication = 0; publication < 2000; publication++) {
      const rows = 1 + draw.int(most)
      files.push({ rows, bytes: 2000 + rows * 12 })
      written += rows
      for (let plan = planLogMerge(files); plan !== undefined; plan = planLogMerge(files)) {
        const merged = files.slice(plan.first, plan.end)
        const sum = merged.reduce((all, file) => ({ rows: all.rows + file.rows, bytes: all.bytes + file.bytes }), { rows: 0, bytes: 0 })
        expect([merged.length > 1, sum.rows <= LOG_ROWS_MAX]).toEqual([true, true])
        files = [...files.slice(0, plan.first), sum, ...files.slice(plan.end)]
        copied += sum.rows
      }
    }
    expect(files.reduce((sum, { rows }) => sum + rows, 0)).toBe(written)
    expect(files.length).toBeLessThan(7 * 7 + 4 * (written / LOG_ROWS_MAX))
    expect(copied / written).toBeLessThan(40)
  }
})

test('with --all no two neighbours are left that fit into one file', () => {
  const full = { rows: LOG_ROWS_MAX, bytes: 1 << 24 }
  expect(planLogMerge([{ rows: 1, bytes: 9 }, { rows: 1, bytes: 9 }])).toBeUndefined()
  expect(planLogMerge([full, { rows: 1, bytes: 9 }, { rows: 1, bytes: 9 }, full], true)).toEqual({ first: 1, end: 3 })
  expect(planLogMerge([full, { rows: 1, bytes: 9 }, full], true)).toBeUndefined()
})
