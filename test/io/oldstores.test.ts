/**
 * Page stores that earlier versions wrote (fixtures/stores/<format>/<case>) open at the state that was reached, know what changed, and go on. A folder that is
 * dropped in is a test.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { BlockSet } from '../../src/common/blockset.ts'
import { formatWalPosition, parseLsn, walPosition } from '../../src/common/ids.ts'
import { MAIN_FORK } from '../../src/common/relpath.ts'
import { openPageStore } from '../../src/io/pagestore/openstore.ts'
import { parseState } from '../../src/replay/pagestore/statefile.ts'

const STORES = join(import.meta.dirname, '../../fixtures/stores')
const FORMATS = ['v1']
const cases = FORMATS.flatMap((format) => readdirSync(join(STORES, format)).map((name) => `${format}/${name}`))

interface Expected {
  major: number
  /** The mark: where the first run of the replay ended. */
  first: string
  lsn: string
  /** Of the relation `orders`, of which row 4 was moved to `ctid` after the mark. */
  path: string
  ctid: string
}

let path: string
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'ltap-oldstores-'))
})
afterEach(() => rmSync(path, { recursive: true, force: true }))

test('there are stores of two versions', () => expect(cases.length).toBeGreaterThan(1))

describe.each(cases)('%s', (name) => {
  const expected = JSON.parse(readFileSync(join(STORES, name, 'expected.json'), 'utf8')) as Expected
  const [dbOid, relNumber] = expected.path.split('/').slice(1).map(Number) as [number, number]
  const orders = { spcOid: 1663, dbOid, relNumber }
  const [block] = /\d+/.exec(expected.ctid)!.map(Number) as [number]
  const first = walPosition(parseLsn(expected.first)!)

  test('opens at the state that was reached, and goes on', async () => {
    cpSync(join(STORES, name, 'store'), path, { recursive: true })
    const { transactions, lsn, ...rest } = parseState(readFileSync(join(path, 'ltap/state'))).replay
    expect(formatWalPosition(lsn)).toBe(expected.lsn)
    expect(rest).toMatchObject({ consistency: { reached: true }, redo: { walLogHints: false } })
    // The transaction that was prepared is open still.
    expect(transactions).toMatchObject({ timeline: 1, prepared: [{ database: dbOid, subxacts: [] }] })

    const store = openPageStore(path)
    expect(store.flushed).toEqual({ ...rest, lsn, transactions })
    const pages = store.pages(orders, MAIN_FORK)!
    await pages.prepare(BlockSet.range(block, 1))
    expect(Buffer.from(pages.read(block)).toString('latin1')).toContain('changed')
    store.create({ ...orders, relNumber: 99_999 }, MAIN_FORK)
    store.flush({ ...store.flushed, lsn: lsn + 8 })
    store.close()
    const again = openPageStore(path)
    expect(again.flushed).toEqual({ ...rest, lsn: lsn + 8, transactions })
    expect(again.changedSince(lsn).forks.map((fork) => fork.relNumber)).toEqual([99_999])
    again.close()
  })

  test('knows what changed since the mark, or says that it does not', () => {
    cpSync(join(STORES, name, 'store'), path, { recursive: true })
    const store = openPageStore(path)
    const events = readFileSync(join(path, 'ltap/events.ndjson'), 'utf8')
    if (events.includes('"event":"flush"')) {
      const { forks, events: files } = store.changedSince(first)
      expect([...forks.find((fork) => fork.relNumber === relNumber)!.changed]).toContain(block)
      expect(files.map(({ event }) => event)).toEqual(['drop'])
    } else {
      expect(events).toContain('"event":"drop"')
      expect(() => store.changedSince(first)).toThrow(/pagestore\.mark: .*take all blocks/)
    }
    store.close()
  })
})
