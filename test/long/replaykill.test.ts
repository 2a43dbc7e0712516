/** `replayCluster` killed with SIGKILL at random moments, in its seeding too: the same call goes on, and the end is the same. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { compileChild } from '../support/compiledchild.ts'
import { Random, TEST_SEED } from '../support/random.ts'
import { majors } from '../support/oracle.ts'
import { drawn } from '../support/scope.ts'
import { type RecoveryCase, type ServerVariant, withCrash, withRecovery } from '../support/recovery.ts'
import { compareReplayed, folderContent, replayCase } from '../support/replayed.ts'
import { prepareWalWorkload, runWalWorkload } from '../support/walworkload.ts'
import { EAGER_SETTINGS, prepareCrash, runUntilCrash } from '../support/walworkloadcrash.ts'

const VARIANT: ServerVariant = { checksums: true, walLogHints: false, walCompression: 'pglz', fullPageWrites: true, walLevel: 'replica' }

const SCRIPT = `
  import { replayCluster } from './src/jobs/replay/replaycluster.js'
  await replayCluster({ ...JSON.parse(process.argv[2]), cacheBytes: 8 << 20 })`

let root: string
let child: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'ltap-replaykill-'))
  child = compileChild(root, ['src/jobs/replay/replaycluster.ts'], SCRIPT)
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

/** @param delay milliseconds until it is killed. @returns whether it was */
function runChild(options: object, delay: number): Promise<boolean> {
  return new Promise((resolved, rejected) => {
    const running = spawn(process.execPath, [child, JSON.stringify(options)], { stdio: ['ignore', 'ignore', 'inherit'] })
    const timer = setTimeout(() => running.kill('SIGKILL'), delay)
    running.on('exit', (code, signal) => {
      clearTimeout(timer)
      if (code === 0 || signal === 'SIGKILL') resolved(signal === 'SIGKILL')
      else rejected(new Error(`replay failed with ${code ?? signal}`))
    })
  })
}

async function check(found: RecoveryCase): Promise<void> {
  const random = new Random(TEST_SEED)
  const work = mkdtempSync(join(root, 'case-'))
  const [whole, killed] = [join(work, 'whole'), join(work, 'killed')]
  await replayCase(found, whole)
  const { differences } = compareReplayed(found, whole)
  expect(differences).toEqual([])
  const options = { source: found.base, wal: found.wal, out: killed, target: found.end === Infinity ? {} : { lsn: found.end } }
  let kills = 0
  // Each gets a little more time: at first it dies while it seeds.
  for (let delay = 100; await runChild(options, delay + random.int(300)); delay += 40) kills++
  console.info(`Postgres ${found.major}: killed ${kills} times, seed ${TEST_SEED}`)
  expect(kills).toBeGreaterThan(5)
  const [content, expected] = [folderContent(killed), folderContent(whole)]
  expect([...content.keys()].sort()).toEqual([...expected.keys()].sort())
  expect([...content].filter(([name, bytes]) => !bytes.equals(expected.get(name)!)).map(([name]) => name)).toEqual([])
  rmSync(work, { recursive: true })
}

const CASES = drawn(majors().flatMap((major) => [`${major} from a clean copy`, `${major} from a crashed directory`]), 1, 'kill loops')

describe.each(majors())('kill -9 on Postgres %i', (major) => {
  test.runIf(CASES.includes(`${major} from a clean copy`))('from a clean copy', () => withRecovery(major, VARIANT, {
    prepare: prepareWalWorkload, run: (cluster) => runWalWorkload(cluster, { xids: 1000 }),
  }, check))

  test.runIf(CASES.includes(`${major} from a crashed directory`))('from a crashed directory', () => withCrash(major, { ...VARIANT, settings: EAGER_SETTINGS }, {
    prepare: prepareCrash, run: (cluster) => runUntilCrash(cluster),
  }, check))
})
