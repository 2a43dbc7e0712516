/** Places that refuse to be written or read: the built program as another user, and on a full disk. */
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { expectRefusal, whileMode } from '../support/badinput.ts'
import { closeSessions, connect, createCluster, majors } from '../support/oracle.ts'
import { ltap } from './streams.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const PROGRAM = join(ROOT, 'dist/cli/main.js')
const isRoot = process.getuid?.() === 0
const UNSHARE = isRoot ? '-m' : '-rm'
/** A disk of its own, in a mount namespace of its own: as root, or where users may make namespaces. */
const canMount = spawnSync('unshare', [UNSHARE, 'mount', '-t', 'tmpfs', 'tmpfs', tmpdir()]).status === 0
/** Whom root becomes: the program must be readable for everyone on the way. */
const nobody = isRoot && canRun() ? Number(execFileSync('id', ['-u', 'nobody'], { encoding: 'utf8' })) : undefined

for (const [what, can] of [['full disk', canMount], ['another user', nobody !== undefined]] as const) {
  if (!can) console.warn(`SKIPPED: ${what}: not possible on this machine`)
}

function canRun(): boolean {
  const uid = Number(execFileSync('id', ['-u', 'nobody'], { encoding: 'utf8' }))
  return spawnSync(process.execPath, [PROGRAM, '--version'], { uid, gid: uid }).status === 0
}

let folder: string
let cluster: PostgresServer

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ltap-place-'))
  chmodSync(folder, 0o755)
  cluster = await createCluster(Math.max(...majors()))
  const sql = await connect(cluster)
  await sql.exec(`CREATE TABLE t AS SELECT i AS id, md5(i::text) || md5((-i)::text) AS v FROM generate_series(1, 60000) i`)
  await closeSessions(cluster)
  await cluster.stop()
})

afterAll(async () => {
  await cluster?.remove()
  rmSync(folder, { recursive: true, force: true })
})

function run(command: string, args: readonly string[], uid?: number): { code: number; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', ...(uid !== undefined && { uid, gid: uid }) })
  return { code: status ?? -1, stdout, stderr }
}

const transcodeT = (lake: string): string[] => ['transcode', cluster.dataDir, '--lake', lake, '--table', 'public.t', '--workers', '2', '--compression', 'none']

test.skipIf(!canMount)('a full disk leaves no lake, and later a way on', async () => {
  const disk = join(folder, 'disk')
  mkdirSync(disk)
  for (const size of ['64k', '1m', '4m']) {
    const script = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift && shift && "$@"; code=$?; test ! -e "$DISK/lake" || echo "a lake"; exit $code'
    const args = [UNSHARE, 'env', `DISK=${disk}`, 'sh', '-c', script, 'sh', size, disk, process.execPath, PROGRAM, ...transcodeT(join(disk, 'lake'))]
    const ran = run('unshare', args)
    expectRefusal(ran, /file.full: no space left on the disk; make room or name a folder on another one \(file .*disk\/lake\//)
    expect(ran.stdout).toBe('')
  }
  // What one leaves that was killed before there was a lake is in nobody's way.
  const lake = join(folder, 'again')
  mkdirSync(join(lake, 'probe/abcdefghij0123456789'), { recursive: true })
  execFileSync('touch', [join(lake, 'probe/abcdefghij0123456789/absent'), join(lake, `~${'a'.repeat(20)}`)])
  expect((await ltap(transcodeT(lake))).code).toBe(0)
  expect(existsSync(join(lake, 'probe'))).toBe(false)
})

test('a file that may not grow', () => {
  // SIGXFSZ ends a program that does not ignore it: the shell's trap is inherited as ignored.
  const lake = join(folder, 'limited')
  const ran = run('sh', ['-c', "trap '' XFSZ; ulimit -f 2000; exec \"$@\"", 'sh', process.execPath, PROGRAM, ...transcodeT(lake)])
  expectRefusal(ran, /file.full: the file may not become this large here/)
  expect(existsSync(lake)).toBe(false)
})

test.skipIf(nobody === undefined)('no permission', async () => {
  const asNobody = (...args: string[]): { code: number; stdout: string; stderr: string } => run(process.execPath, [PROGRAM, ...args], nobody)
  const advice = /file.permission: permission denied; run ltap as a user who may, such as the owner of the folder \(file /
  const lake = join(folder, 'lake')
  expect((await ltap(transcodeT(lake))).code).toBe(0)
  // Root's folders: the lake cannot be made there.
  const open = join(cluster.dataDir, '..')
  execFileSync('chmod', ['-R', 'a+rX', open])
  expectRefusal(asNobody(...transcodeT(join(folder, 'mine'))), advice)
  execFileSync('cp', ['-a', cluster.dataDir, join(folder, 'copy')])
  execFileSync('chown', ['-R', 'root', join(folder, 'copy')])
  expectRefusal(asNobody('rebuild', '--lake', lake, '--pgdata', join(folder, 'copy')), /file.permission/)
  await whileMode(join(lake, 'postgres'), 0o700, 0o755, () => {
    expectRefusal(asNobody('verify', '--lake', lake), advice)
    expectRefusal(asNobody('query', '--lake', lake, 'SELECT count(*) FROM t'), /file.permission/)
  })
  await whileMode(join(lake, 'ltap/format.json'), 0o600, 0o644, () => {
    expectRefusal(asNobody('verify', '--lake', lake), advice)
    expectRefusal(asNobody('query', '--lake', lake, 'SELECT 1'), /lake.missing|file.permission/)
  })
  execFileSync('chown', ['-R', 'root', cluster.dataDir])
  execFileSync('chmod', ['700', cluster.dataDir])
  for (const args of [['transcode', cluster.dataDir, '--lake', join(folder, 'mine')], ['inspect', 'control', cluster.dataDir], ['inspect', 'relations', cluster.dataDir]]) {
    expectRefusal(asNobody(...args), advice)
  }
})
