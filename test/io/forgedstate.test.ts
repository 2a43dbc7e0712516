/** Page store state, journal and index list as a forger writes them: every checksum is right. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { crc32c } from '../../src/common/crc32c.ts'
import { CorruptionError, EnvironmentError, UnsupportedError } from '../../src/common/errors.ts'
import { IndexList } from '../../src/replay/pagestore/indexlist.ts'
import { JournalWriter, readJournal } from '../../src/io/pagestore/journal.ts'
import { createPageStore, openPageStore } from '../../src/io/pagestore/openstore.ts'
import { parseOp, type StoreOp } from '../../src/replay/pagestore/ops.ts'
import { parseState, type StoreIdentity } from '../../src/replay/pagestore/statefile.ts'
import { formatProgress, parseProgress } from '../../src/replay/progress.ts'
import { parseBackupLabel } from '../../src/replay/backuplabel.ts'
import { parseTablespaceMap } from '../../src/replay/tablespacemap.ts'
import type { ReplayProgress } from '../../src/replay/replay.ts'
import { parseTimelineHistory } from '../../src/wal/timelinehistory.ts'
import { mutants, refusalProblem } from '../support/forge.ts'

const IDENTITY: StoreIdentity = { systemIdentifier: 7300000000000000001n, major: 17, catalogVersion: 202406281, checksums: true }
const PROGRESS: ReplayProgress = {
  lsn: 0x16b3740, previous: 0x16b3708, ancestors: [{ timeline: 1, end: 0x15b3740 }], time: 800_000_000_000_000, consistency: { at: 0x16b3740, backupEndOf: 0x16b3000, reached: false },
  transactions: {
    timeline: 2, nextXid: { low: 800, epoch: 0 }, nextOid: 24576, nextMulti: 1, nextMultiOffset: 0, oldestXid: 722, oldestClogXid: 722, oldestMulti: 1,
    unresolvedFrom: { low: 800, epoch: 0 }, prepared: [{ xid: 790, database: 5, subxacts: [791] }], missingPages: ['clog 12', 'multixact offsets 3'],
    consistent: false, lastOffsetsPage: -1, aheadOffsetsPage: -1,
  },
  redo: { walLogHints: false, invalidPages: [{ spcOid: 1663, dbOid: 5, relNumber: 16384, fork: 0, block: 7, present: false, lsn: 0x16b3700 }] },
}

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ltap-forged-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

function withCrc(json: string): Uint8Array {
  return Buffer.from(`${json}\ncrc32c ${crc32c(Buffer.from(json)).toString(16).padStart(8, '0')}\n`)
}

/** Errors that are not what they must be. */
function faultsOf(value: unknown, read: (json: string) => unknown): { faults: string[]; refused: number } {
  const faults: string[] = []
  let refused = 0
  for (const mutant of mutants(value)) {
    try {
      read(mutant.json)
    } catch (error) {
      const problem = refusalProblem(error, mutant)
      if (problem === undefined) refused++
      else faults.push(`${mutant.path} = ${mutant.canary.slice(0, 60)}: ${problem}`)
    }
  }
  return { faults, refused }
}

describe('the state of a page store', () => {
  test('each member with each canary', () => {
    createPageStore(root, IDENTITY, PROGRESS)
    const file = join(root, 'ltap/state')
    const text = readFileSync(file, 'utf8').split('\n')[0]!
    expect(parseState(withCrc(text)).replay).toEqual(PROGRESS)
    const { faults, refused } = faultsOf(JSON.parse(text), (json) => {
      const { rest } = JSON.parse(json) as { rest?: unknown }
      if (rest === undefined || (rest !== null && typeof rest === 'object' && ('transactions' in rest || 'redo' in rest))) return void parseState(withCrc(json))
      // A store of something else than a replay is another refusal.
      expect(() => parseState(withCrc(json)), json.slice(0, 400)).toThrow(EnvironmentError)
    })
    expect(faults).toEqual([])
    expect(refused).toBeGreaterThan(400)
    expect(() => parseState(withCrc('{'))).toThrow(CorruptionError)
    expect(() => parseState(withCrc(text.replace('"timeline":2,"events', '"timeline":3,"events')))).toThrow(/timeline is 3, but that of rest is 2/)
    expect(() => parseState(withCrc(text.replace('"format":1', '"format":2')))).toThrow(UnsupportedError)
    expect(() => parseState(withCrc(text.replace(/"lsn":"[^"]+"/, '"lsn":"FFFFFFFF/0"')))).toThrow(UnsupportedError)
  })
})

test('the state of a replay as one line: each member with each canary', () => {
  const text = formatProgress(PROGRESS)
  expect(text).not.toContain('\n')
  expect(parseProgress(text)).toEqual(PROGRESS)
  const { faults, refused } = faultsOf(JSON.parse(text), parseProgress)
  expect(faults).toEqual([])
  expect(refused).toBeGreaterThan(400)
})

describe('the journal', () => {
  const OPS: StoreOp[] = [
    { op: 'remove-directory', path: 'base/5' }, { op: 'adopt-directory', path: 'base/6', from: 'ltap/staging/1' },
    { op: 'resize-fork', path: 'base/5/16384', keep: 3, blocks: 9 }, { op: 'write-pages', path: 'base/5/16384', first: 8 },
    { op: 'write-part', path: 'pg_xact/0000', at: 8192 }, { op: 'write-file', path: 'ltap/state' },
  ]

  test('each member of each operation with each canary', () => {
    for (const op of OPS) expect(parseOp(JSON.stringify(op))).toEqual(op)
    expect(faultsOf(OPS[2]!, parseOp).faults).toEqual([])
    expect(faultsOf(OPS[1]!, parseOp).faults).toEqual([])
    for (const path of ['../x', '/etc/passwd', 'base/../../x', 'base//x', '', '.', 'base/5/16384\0', 'base\\x']) {
      expect(() => parseOp(JSON.stringify({ op: 'write-file', path })), path).toThrow(/pagestore.journal: .*path is .*not a path below the page store/)
    }
  })

  test('a forged one is refused before anything of it is applied', () => {
    const outside = mkdtempSync(join(tmpdir(), 'ltap-outside-'))
    try {
      createPageStore(root, IDENTITY, PROGRESS)
      const victim = join(outside, 'victim')
      writeFileSync(victim, 'whole')
      const writer = new JournalWriter(root)
      writer.add({ op: 'make-directory', path: 'base/77' })
      writer.add({ op: 'write-file', path: `../${outside.split('/').at(-1)!}/victim` }, Buffer.from('owned'))
      writer.finish()
      expect(() => openPageStore(root)).toThrow(/pagestore.journal/)
      expect(readFileSync(victim, 'utf8')).toBe('whole')
      expect(() => readFileSync(join(root, 'base/77'))).toThrow('ENOENT')
    } finally {
      rmSync(outside, { recursive: true, force: true })
    }
  })

  test('bytes that are no pages, and pages beyond a segment', () => {
    for (const [first, length] of [[0, 100], [131071, 16384]] as const) {
      mkdirSync(join(root, 'ltap'), { recursive: true })
      const writer = new JournalWriter(root)
      writer.add({ op: 'write-pages', path: 'base/5/16384', first }, new Uint8Array(length))
      writer.finish()
      expect(() => readJournal(root, () => {})).toThrow(/pagestore.journal: .* bytes of pages/)
    }
  })
})

test('index list, backup_label, tablespace_map, timeline history', () => {
  expect(IndexList.parse(Buffer.from('1663/5/16400\n')).has(1663, 5, 16400)).toBe(true)
  for (const text of ['1663/5\n', 'x/5/6\n', '1/2/3/4\n', '1663/5/99999999999\n', '-1/2/3\n', '1/2/3', '1/2/é\n', '\n']) {
    expect(() => IndexList.parse(Buffer.from(text)), text).toThrow(/pagestore.indexes/)
  }
  const label = (timeline: string, lsn = '0/2000028'): string => `START WAL LOCATION: ${lsn} (file 000000010000000000000002)\nCHECKPOINT LOCATION: ${lsn}
BACKUP METHOD: streamed\nBACKUP FROM: primary\nSTART TIME: x\nLABEL: l\nSTART TIMELINE: ${timeline}\n`
  expect(parseBackupLabel(label('3')).timeline).toBe(3)
  for (const timeline of ['0', '-1', '0x10', '1e3', '4294967296', '99999999999', '', ' ']) expect(() => parseBackupLabel(label(timeline)), timeline).toThrow(CorruptionError)
  expect(() => parseBackupLabel(label('1', 'FFFFFFFF/28'))).toThrow(UnsupportedError)
  expect(() => parseTablespaceMap('99999999999 /x\n')).toThrow(CorruptionError)
  expect(() => parseTablespaceMap('16400 /x\0y\n')).toThrow(CorruptionError)
  expect(() => parseTimelineHistory('1\tFFFFFFFF/0\tx\n', 2)).toThrow(UnsupportedError)
  expect(() => parseTimelineHistory('4294967296\t0/1\tx\n', 4294967297)).toThrow(CorruptionError)
})
