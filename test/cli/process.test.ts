/** How runs end that do not end by themselves: the built program, each situation for real. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { closeSessions, connect, createCluster, majors } from '../support/oracle.ts'
import { drawn } from '../support/scope.ts'

const PROGRAM = join(resolve(import.meta.dirname, '../..'), 'dist/cli/main.js')
const UNSHARE = process.getuid?.() === 0 ? '-m' : '-rm'
const canMount = spawnSync('unshare', [UNSHARE, 'mount', '-t', 'tmpfs', 'tmpfs', tmpdir()]).status === 0
if (!canMount) console.warn('SKIPPED: full and read-only file systems: nothing can be mounted on this machine')

let folder: string
let cluster: PostgresServer
let data: string
let lake: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ltap-process-'))
  cluster = await createCluster(Math.max(...majors()))
  const sql = await connect(cluster)
  await sql.exec(`CREATE TABLE t AS SELECT i AS id, md5(i::text) || md5((-i)::text) AS v FROM generate_series(1, 60000) i`)
  await closeSessions(cluster)
  await cluster.stop()
  data = cluster.dataDir
  lake = join(folder, 'lake')
  expect(spawnSync(process.execPath, [PROGRAM, 'transcode', data, '--lake', lake, '--table', 'public.t']).status).toBe(0)
})

afterAll(async () => {
  await cluster?.remove()
  rmSync(folder, { recursive: true, force: true })
})

interface Ended {
  code: number | null
  stdout: string
  /** Without progress. */
  stderr: string
}

interface Place {
  /** A new folder. */
  work: string
  /** In it: TMPDIR. */
  tmp: string
}

function newPlace(): Place {
  const work = mkdtempSync(join(folder, 'case-'))
  const tmp = join(work, 'tmp')
  mkdirSync(tmp)
  return { work, tmp }
}

function start({ tmp }: Place, command: readonly string[], env: Record<string, string> = {}): { child: ChildProcess; ended: Promise<Ended> } {
  const [program, ...args] = command as [string, ...string[]]
  const child = spawn(program, args, { env: { ...process.env, TMPDIR: tmp, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const texts = ['', '']
  for (const [i, stream] of [child.stdout, child.stderr].entries()) stream.on('data', (piece) => (texts[i] += String(piece)))
  const ended = new Promise<Ended>((done) => child.once('close', (code) => {
    done({ code, stdout: texts[0]!, stderr: texts[1]!.replace(/^(?:transcode|replay|verify|rebuild): \d.*\n/gm, '') })
  }))
  return { child, ended }
}

const ltap = (...args: string[]): string[] => [process.execPath, PROGRAM, ...args]

/** Waits for something that the program makes on its way. */
async function until(child: ChildProcess, isThere: () => boolean): Promise<void> {
  while (!isThere()) {
    expect(child.exitCode, 'it ended too early').toBe(null)
    await sleep(5)
  }
}

/** The program is so far that it takes SIGINT. */
function catches({ pid }: ChildProcess): boolean {
  const mask = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0'
  return (BigInt(`0x${mask}`) & 2n) !== 0n
}

const isWritten = (file: string): boolean => (statSync(file, { throwIfNoEntry: false })?.size ?? 0) > 0

const oneLine = (text: RegExp): unknown => expect.stringMatching(new RegExp(`^ltap: ${text.source}.*\\n$`))
const begun = (path: string) => ({ work }: Place): boolean => existsSync(join(work, path))
const temporary = (start: string, dir: keyof Place) => (place: Place): boolean => readdirSync(place[dir]).some((name) => name.startsWith(start))

describe('a signal removes what is unfinished, and says so in one line', () => {
  const verbs: [name: string, args: (place: Place) => string[], when: (place: Place) => boolean][] = [
    ['transcode', ({ work }) => ['transcode', data, '--lake', join(work, 'lake'), '--workers', '2'], begun('lake/postgres')],
    ['transcode of a replay', ({ work }) => ['transcode', data, '--to', 'latest', '--lake', join(work, 'lake')], temporary('.ltap-replay-', 'work')],
    ['replay that seeds', ({ work }) => ['replay', data, '--out', join(work, 'out')], begun('out/ltap/seeding')],
    ['inspect history', () => ['inspect', 'history', data, 'public.t'], temporary('ltap-history-', 'tmp')],
    ['query', () => ['query', '--lake', lake, 'SELECT count(*) FROM t a, t b WHERE a.v < b.v'], temporary('ltap-query-', 'tmp')],
    ['rebuild', ({ work }) => ['rebuild', '--lake', lake, '--pgdata', join(work, 'copy')], begun('copy/.ltap-lock')],
  ]
  const signals = verbs.flatMap((row) => ([['SIGINT', 130], ['SIGTERM', 143]] as const).map(([signal, code]) => [row[0], signal, code, row] as const))
  test.each(drawn(signals, 4, 'signals', ([name, signal]) => `${name}, ${signal}`))(
    '%s, %s', async (_name, signal, code, [name, args, when]) => {
      const place = newPlace()
      if (name === 'rebuild') cpSync(data, join(place.work, 'copy'), { recursive: true })
      const { child, ended } = start(place, ltap(...args(place)))
      await until(child, () => catches(child))
      await until(child, () => when(place))
      child.kill(signal)
      expect(await ended).toEqual({ code, stdout: '', stderr: oneLine(/ended by (?:Ctrl-C|SIGTERM); unfinished files are removed/) })
      expect(readdirSync(place.work).filter((entry) => entry !== 'copy')).toEqual(['tmp'])
      expect(readdirSync(place.tmp)).toEqual([])
      if (name === 'rebuild') expect(existsSync(join(place.work, 'copy/.ltap-lock'))).toBe(false)
    },
  )

  test('a second one ends at once', async () => {
    const place = newPlace()
    const { child, ended } = start(place, ltap('transcode', data, '--lake', join(place.work, 'lake')))
    await until(child, () => existsSync(join(place.work, 'lake/postgres')))
    child.kill('SIGINT')
    child.kill('SIGTERM')
    expect([130, 143]).toContain((await ended).code)
    expect((await start(place, ltap('verify', '--lake', join(place.work, 'lake'))).ended).stderr).toMatch(/^ltap: lake\.(?:missing|empty|no-branch): .*\n$/)
  })
})

describe('kill -9 leaves what the next start finds', () => {
  test('an unfinished lake is written from the beginning, and that is said', async () => {
    const place = newPlace()
    const args = ltap('transcode', data, '--lake', join(place.work, 'lake'), '--table', 'public.t')
    const killed = start(place, args)
    const lakeFolder = join(place.work, 'lake')
    await until(killed.child, () => existsSync(lakeFolder) && readdirSync(lakeFolder, { recursive: true, encoding: 'utf8' }).some((path) => path.includes('/data/~')))
    killed.child.kill('SIGKILL')
    await killed.ended
    expect((await start(place, ltap('verify', '--lake', join(place.work, 'lake'))).ended).stderr).toMatch(/^ltap: lake\.empty: .*ltap transcode writes one\n$/)
    const { code, stderr } = await start(place, args).ended
    expect({ code, stderr }).toEqual({ code: 0, stderr: oneLine(/.*\/lake has the files of a transcode that was killed; they are removed/) })
    expect(readdirSync(join(place.work, 'lake')).sort()).toEqual(['ltap', 'ltap.schemas', 'ltap.transactions', 'postgres'])
    const verified = await start(place, ltap('verify', '--lake', join(place.work, 'lake'), '--json')).ended
    expect(JSON.parse(verified.stdout)).toMatchObject({ equal: true, store: { orphans: { objects: 0, bytes: 0 } } })
    expect(readdirSync(join(place.work, 'lake'), { recursive: true, encoding: 'utf8' }).filter((path) => path.includes('~'))).toEqual([])
  })

  test('temporary folders go, those of a process that lives stay', async () => {
    const place = newPlace()
    const args = ltap('inspect', 'history', data, 'public.t', '--limit', '1')
    const [killed, alive] = [start(place, args), start(place, args)]
    await until(alive.child, () => readdirSync(place.tmp).length === 2 && readdirSync(place.tmp).every((name) => isWritten(join(place.tmp, name, '.ltap-lock'))))
    alive.child.kill('SIGSTOP')
    killed.child.kill('SIGKILL')
    await killed.ended
    const { code, stderr } = await start(place, args).ended
    expect({ code, stderr }).toEqual({ code: 0, stderr: oneLine(/removed .*\/ltap-history-\w{6}, the folder of an ltap that was killed/) })
    expect(readdirSync(place.tmp)).toHaveLength(1)
    alive.child.kill('SIGCONT')
    expect((await alive.ended).code).toBe(0)
    expect(readdirSync(place.tmp)).toEqual([])
  })
})

describe('two at once: one does the work, the other says who is there', () => {
  const verbs: [name: string, args: (place: Place) => string[]][] = [
    ['transcode', ({ work }) => ['transcode', data, '--lake', join(work, 'lake'), '--table', 'public.t']],
    ['replay', ({ work }) => ['replay', data, '--out', join(work, 'out')]],
    ['rebuild', ({ work }) => ['rebuild', '--lake', lake, '--pgdata', join(work, 'copy')]],
  ]
  test.each(verbs)('%s', async (name, args) => {
    const place = newPlace()
    if (name === 'rebuild') cpSync(data, join(place.work, 'copy'), { recursive: true })
    const runs = [0, 1, 2].map(() => start(place, ltap(...args(place))))
    const ends = await Promise.all(runs.map(({ ended }) => ended))
    // On a slow machine one may begin when another has ended.
    const losers = ends.filter(({ code }) => code !== 0)
    expect(losers.length).toBeLessThan(3)
    for (const { code, stderr } of losers) {
      expect({ code, stderr }).toEqual({ code: 3, stderr: oneLine(/(?:folder.locked: (?:another )?process (?:\d+ )?works on the folder|lake.exists|replay\.|pagestore.exists)/) })
    }
    expect(readdirSync(place.work, { recursive: true, encoding: 'utf8' }).filter((path) => /ltap-lock/.test(path))).toEqual([])
  })
})

/** JavaScript that runs first, in worker threads too. */
const first = (code: string): Record<string, string> => ({ NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(code)}` })
/** When the command line has taken what nobody catches, however long it takes to load. */
const ONCE_IT_RUNS = `function onceItRuns(body) {
  if (!isMainThread) return
  const timer = setInterval(() => { if (process.listenerCount('unhandledRejection') > 0) { clearInterval(timer); body() } }, 1)
};`
const PATCH = `import fs from 'node:fs'; import { syncBuiltinESMExports } from 'node:module'; import { isMainThread } from 'node:worker_threads';`

interface Situation {
  what: string
  args?: (place: Place) => string[]
  env?: Record<string, string>
  /** Runs the command. */
  shell?: string
  line: RegExp
  code?: number
}

const transcode = ({ work }: Place): string[] => ['transcode', data, '--lake', join(work, 'lake'), '--table', 'public.t', '--workers', '2', '--compression', 'none']
const SITUATIONS: readonly Situation[] = [
  { what: 'a file may not grow (RLIMIT_FSIZE)', shell: 'ulimit -f 2000; exec "$@"', line: /file.full: the file may not become this large here/ },
  { what: 'stdout is a full disk', args: () => ['inspect', 'control', data], shell: 'exec "$@" > /dev/full', line: /ENOSPC: no space left on device, write/ },
  {
    what: 'the disk reports an error in writing (EIO)', line: /file.error: the disk reports an error in reading or writing \(EIO\)/,
    env: first(`${PATCH} const write = fs.writeSync; fs.writeSync = (fd, bytes, ...rest) => {
      if (bytes.length > 5000 && !isMainThread) throw Object.assign(new Error('EIO: i/o error, write'), { code: 'EIO', syscall: 'write' });
      return write(fd, bytes, ...rest) }; syncBuiltinESMExports()`),
  },
  {
    what: 'the disk reports an error in reading (EIO)', line: /file.error: the disk reports an error in reading or writing \(EIO\)/,
    env: first(`${PATCH} const read = fs.readSync; fs.readSync = (fd, bytes, ...rest) => {
      if (!isMainThread && bytes.length > 100000 && fs.readlinkSync('/proc/self/fd/' + fd).includes('/base/')) throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO', syscall: 'read' });
      return read(fd, bytes, ...rest) }; syncBuiltinESMExports()`),
  },
  {
    what: 'too many open files', line: /file.limit: too many open files; raise the limit/,
    env: first(`${PATCH} const open = fs.openSync; fs.openSync = (path, ...rest) => {
      if (String(path).includes('/data/~')) throw Object.assign(new Error('EMFILE: too many open files, open'), { code: 'EMFILE', syscall: 'open' });
      return open(path, ...rest) }; syncBuiltinESMExports()`),
  },
  {
    what: 'a worker thread runs out of memory', line: /worker.memory: a worker thread ran out of JavaScript memory/,
    env: first(`${PATCH} const open = fs.openSync; fs.openSync = (path, ...rest) => {
      if (!isMainThread && String(path).includes('/data/~')) { const all = []; for (;;) all.push(new Array(1e5).fill(0).map((_, i) => ({ i }))) }
      return open(path, ...rest) }; syncBuiltinESMExports()`),
  },
  {
    what: 'a worker thread ends', line: /worker.ended: a worker thread ended by itself/,
    env: first(`${PATCH} const open = fs.openSync; fs.openSync = (path, ...rest) => {
      if (!isMainThread && String(path).includes('/data/~')) process.exit(7);
      return open(path, ...rest) }; syncBuiltinESMExports()`),
  },
  {
    what: 'WebAssembly panics', line: /.*unreachable.*\(this is a bug in ltap/,
    env: first(`${PATCH} const open = fs.openSync; fs.openSync = (path, ...rest) => {
      if (!isMainThread && String(path).includes('/data/~')) {
        const code = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 5, 1, 3, 0, 0, 11]);
        new WebAssembly.Instance(new WebAssembly.Module(code)).exports.f() }
      return open(path, ...rest) }; syncBuiltinESMExports()`),
  },
  {
    what: 'a promise never settles', line: /nothing is left to wait for, and the work is not done/, args: () => ['inspect', 'control', data],
    env: first(`if ((await import('node:worker_threads')).isMainThread) process.stdout.write = () => true`),
  },
  { what: 'an error that nobody catches', line: /planted \(this is a bug in ltap/, env: first(`${PATCH} ${ONCE_IT_RUNS} onceItRuns(() => { throw new Error('planted') })`) },
  { what: 'a rejection that nobody handles', line: /planted \(this is a bug/, env: first(`${PATCH} ${ONCE_IT_RUNS} onceItRuns(() => void Promise.reject(new Error('planted')))`) },
]

test.each(drawn(SITUATIONS, 4, 'situations', ({ what }) => what))('$what', async ({ args = transcode, env, shell, line, code = 3 }) => {
  const place = newPlace()
  const command = ltap(...args(place))
  const { ended } = start(place, shell === undefined ? command : ['sh', '-c', shell, 'sh', ...command], env)
  expect(await ended).toEqual({ code, stdout: '', stderr: oneLine(line) })
  expect(readdirSync(place.work)).toEqual(['tmp'])
  expect(readdirSync(place.tmp)).toEqual([])
})

test('--workers 64 starts threads for the tasks that there are', async () => {
  const place = newPlace()
  const log = join(place.work, 'threads')
  const counting = first(`${PATCH} if (!isMainThread) fs.appendFileSync(${JSON.stringify(log)}, 'x')`)
  const args = ['transcode', data, '--lake', join(place.work, 'lake'), '--table', 'public.t', '--workers', '64']
  expect((await start(place, ltap(...args), counting).ended).code).toBe(0)
  // The table, and the thread that keeps the lock alive.
  expect(statSync(log).size).toBeGreaterThanOrEqual(1)
  expect(statSync(log).size).toBeLessThanOrEqual(4)
})

test('a pipe whose reader is gone is no error', async () => {
  const place = newPlace()
  const { ended } = start(place, ['sh', '-c', `"$@" | head -c 1 > /dev/null; echo "\${PIPESTATUS:-done}"`, 'sh', ...ltap('inspect', 'table', data, 'public.t')])
  expect(await ended).toEqual({ code: 0, stdout: expect.any(String), stderr: '' })
})

describe.skipIf(!canMount)('file systems', () => {
  /** In a mount namespace of its own: what is mounted goes with the process. */
  const mounted = (options: string, place: Place, command: readonly string[]): string[] =>
    ['unshare', UNSHARE, 'sh', '-c', `mount -t tmpfs -o ${options} tmpfs "${join(place.work, 'disk')}" && shift && "$@"; code=$?; ls -A "${join(place.work, 'disk')}"; exit $code`,
      'sh', 'sh', ...command]

  const rows: [what: string, options: string, args: (disk: string) => string[], line: RegExp][] = [
    ['transcode onto a full disk', 'size=1m', (disk) => ['transcode', data, '--lake', join(disk, 'lake'), '--table', 'public.t', '--compression', 'none'], /file.full: no space left/],
    ['replay onto a full disk', 'size=1m', (disk) => ['replay', data, '--out', join(disk, 'out')], /file.full: no space left/],
    ['transcode of a replay onto a full disk', 'size=1m', (disk) => ['transcode', data, '--to', 'latest', '--lake', join(disk, 'lake')], /file.full: no space left/],
    ['transcode onto a read-only one', 'ro', (disk) => ['transcode', data, '--lake', join(disk, 'lake')], /file.permission: the file system is read-only/],
    ['transcode deep into a read-only one', 'ro', (disk) => ['transcode', data, '--lake', join(disk, 'a/b/lake')], /file.permission: the file system is read-only/],
    ['replay onto a read-only one', 'ro', (disk) => ['replay', data, '--out', join(disk, 'out')], /file.permission: the file system is read-only/],
  ]
  test.each(drawn(rows, 2, 'file systems', ([what]) => what))('%s', async (_what, options, args, line) => {
    const place = newPlace()
    mkdirSync(join(place.work, 'disk'))
    const { ended } = start(place, mounted(options, place, ltap(...args(join(place.work, 'disk')))))
    expect(await ended).toEqual({ code: 3, stdout: '', stderr: oneLine(line) })
  })

  test('a lake on a read-only one is read', async () => {
    const place = newPlace()
    const script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
    for (const args of [['verify', '--lake', lake], ['query', '--lake', lake, 'SELECT 1']]) {
      const { code, stderr } = await start(place, ['unshare', UNSHARE, 'sh', '-c', script, 'sh', lake, ...ltap(...args)]).ended
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    }
  })
})

describe('outputs are their owner\'s alone, whatever the umask', () => {
  test.each(drawn(['0', '0777'], 1, 'umasks'))('umask %s', async (umask) => {
    const place = newPlace()
    const out = (name: string): string => join(place.work, name)
    const run = async (...args: string[]): Promise<void> => {
      const { code, stderr } = await start(place, ['sh', '-c', `umask ${umask}; exec "$@"`, 'sh', ...ltap(...args)]).ended
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    }
    await run('transcode', data, '--lake', out('made/lake'), '--table', 'public.t')
    await run('replay', data, '--out', out('out'))
    await run('transcode', data, '--to', 'latest', '--lake', out('lake'), '--table', 'public.t', '--work', out('work'))
    // What a replay copies has the source's mode, which is the same for a server's files.
    const wrong = execFileSync('find', ['.', '-mindepth', '1', '!', '-name', 'tmp', '(', '-type', 'd', '!', '-perm', '0700', '-o', '-type', 'f', '!', '-perm', '0600', ')'], {
      cwd: place.work, encoding: 'utf8',
    })
    expect(wrong).toBe('')
    expect(readFileSync(join(out('out'), 'PG_VERSION'), 'utf8')).toMatch(/^1\d\n$/)
  })

  test('a link in the way is not followed', async () => {
    const place = newPlace()
    const other = join(place.work, 'other')
    writeFileSync(other, 'mine')
    const lakes = join(place.work, 'lake')
    mkdirSync(lakes)
    execFileSync('ln', ['-s', place.tmp, join(lakes, 'ltap')])
    execFileSync('ln', ['-s', other, join(lakes, '~ltap-lock')])
    expect(await start(place, ltap(...transcode(place))).ended).toMatchObject({ code: 3, stderr: oneLine(/(?:file.link: a symbolic link|folder.locked: )/) })
    rmSync(join(lakes, '~ltap-lock'))
    expect(await start(place, ltap(...transcode(place))).ended).toMatchObject({ code: 3, stderr: oneLine(/file.link: a symbolic link, and ltap does not write through links/) })
    rmSync(join(lakes, 'ltap'), { force: true })
    expect((await start(place, ltap(...transcode(place))).ended).code).toBe(0)
    expect(readFileSync(other, 'utf8')).toBe('mine')
    expect(readdirSync(place.tmp)).toEqual([])
  })
})
