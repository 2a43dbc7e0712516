/**
 * npm run test:newest [-- filters of test files]: the tests of pages, WAL and redo on minor versions of Postgres that npm has no builds of. 17.11 and 18.6
 * brought new WAL records: references to pages of the visibility map.
 */
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { unpackPostgres } from './debian.mjs'

const SERVERS = [['bookworm', 15], ['trixie', 17], ['sid', 18]]
const QUICK = [
  'test/oracle', 'test/redo', 'test/wal', 'test/xact', 'test/io/backup', 'test/io/datadir', 'test/io/pagestore', 'test/io/replaytarget', 'test/io/wal',
  'test/cli/replay', 'test/cli/inspect',
]
const LONG = ['test/long/recovery', 'test/long/replay.test', 'test/long/waltext']

const env = { ...process.env, LTAP_TEST_MAJORS: SERVERS.map(([, major]) => major).join(','), LTAP_TEST_MAP_PAGES: 'yes' }
try {
  for (const [suite, major] of SERVERS) {
    console.error(`Postgres ${major} of Debian ${suite}`)
    const binDir = await unpackPostgres(suite, major, join(tmpdir(), `ltap-debian-${suite}-${major}`))
    env[`LTAP_POSTGRES_${major}`] = binDir
    spawnSync(join(binDir, 'postgres'), ['--version'], { stdio: 'inherit' })
  }
} catch (error) {
  console.error(`SKIPPED: no newer Postgres (${error.message}). It takes Linux x64 with dpkg-deb and xz, and an archive of Debian.`)
  process.exit(0)
}
const filters = process.argv.slice(2)
const runs = filters.length > 0 ? [['quick', filters]] : [['quick', QUICK], ['all', LONG]]
for (const [scope, files] of runs) {
  const { status } = spawnSync('npx', ['vitest', 'run', ...files], { stdio: 'inherit', env: { ...env, LTAP_TEST_SCOPE: scope } })
  if (status !== 0) process.exit(status ?? 1)
}
