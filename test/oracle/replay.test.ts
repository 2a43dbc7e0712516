/** `replayCluster` into a page store on disk against real recovery: from a clean copy, a crashed directory, a base backup; interrupted. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { majors } from '../support/oracle.ts'
import { type RecoveryCase, type ServerVariant, withBackup, withCrash, withRecovery } from '../support/recovery.ts'
import { compareReplayed, folderContent, replayCase } from '../support/replayed.ts'
import { prepareWalWorkload, runWalWorkload } from '../support/walworkload.ts'
import { EAGER_SETTINGS, prepareCrash, runUntilCrash } from '../support/walworkloadcrash.ts'
import { concurrently } from '../support/walworkloadsessions.ts'

const CHECKED: ServerVariant = { checksums: true, walLogHints: false, walCompression: 'pglz', fullPageWrites: true, walLevel: 'replica' }
const BARE: ServerVariant = { checksums: false, walLogHints: false, walCompression: 'off', fullPageWrites: false, walLevel: 'replica' }

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ltap-replay-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

async function check(found: RecoveryCase): Promise<void> {
  const out = join(folder, 'out')
  const report = await replayCase(found, out)
  const { differences, ...counts } = compareReplayed(found, out)
  console.log(`Postgres ${found.major}: ${report.records} records`, JSON.stringify(counts), report.end)
  expect(differences.join('\n')).toBe('')
  expect(counts.relations).toBeGreaterThan(500)
  expect(counts.checksums > 1000).toBe(found.variant.checksums)
  await checkInterrupted(found, folderContent(out))
}

/** The same end with little memory and broken off again and again. */
async function checkInterrupted(found: RecoveryCase, expected: Map<string, Buffer>): Promise<void> {
  const out = join(folder, 'interrupted')
  let runs = 0
  for (let ended = false; !ended; runs++) {
    expect(runs).toBeLessThan(20)
    let calls = 0
    // Later each time: there may be nothing to make durable for long.
    const onProgress = (): void => {
      if (++calls === 2 + 2 * runs) throw new Error('broken off')
    }
    const report = await replayCase(found, out, { cacheBytes: 8 << 20, onProgress }).catch((error: Error) => {
      expect(error.message).toBe('broken off')
    })
    ended = report !== undefined
  }
  expect(runs).toBeGreaterThan(2)
  const content = folderContent(out)
  expect([...content.keys()].sort()).toEqual([...expected.keys()].sort())
  expect([...content].filter(([name, bytes]) => !bytes.equals(expected.get(name)!)).map(([name]) => name)).toEqual([])
}

describe.each(majors())('replay equals recovery on Postgres %i', (major) => {
  test('a clean copy and later WAL', () => withRecovery(major, CHECKED, {
    prepare: prepareWalWorkload, run: (cluster) => runWalWorkload(cluster, { xids: 1000 }),
  }, check))

  test('a crashed directory with its own pg_wal', () => withCrash(major, { ...BARE, settings: EAGER_SETTINGS }, {
    prepare: prepareCrash, run: (cluster) => runUntilCrash(cluster),
  }, check))

  test('a base backup of a busy server', () => withBackup(major, { ...CHECKED, settings: EAGER_SETTINGS }, {
    prepare: prepareCrash, busy: (cluster) => concurrently(cluster, 1, false), run: (cluster) => runUntilCrash(cluster),
  }, check))
})
