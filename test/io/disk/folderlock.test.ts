import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FolderLock } from '../../../src/io/disk/folderlock.ts'

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ltap-lock-'))
  file = join(folder, 'lock')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const take = (): FolderLock => new FolderLock(folder, file)
const text = (path: string): string => readFileSync(path, 'utf8').trim()
/** Field 22 of /proc/<pid>/stat. */
const startOf = (pid: number): string => text(`/proc/${pid}/stat`).replace(/^.*\) /s, '').split(' ')[19]!

function leave(holder: object, ageSeconds = 0): void {
  writeFileSync(file, typeof holder === 'string' ? holder : JSON.stringify(holder))
  const then = Date.now() / 1000 - ageSeconds
  utimesSync(file, then, then)
}

test('is held until it is released, in one process too, and leaves no file', () => {
  const lock = take()
  expect(take).toThrow(/^folder.locked: this process works on the folder .*; wait for it or end it \(file /)
  lock.release()
  take().release()
  expect(readdirSync(folder)).toEqual([])
})

test('a release takes nobody else\'s lock', () => {
  const lock = take()
  leave({ pid: 1, nonce: 'another' })
  lock.release()
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ nonce: 'another' })
})

describe.runIf(process.platform === 'linux')('who holds it', () => {
  const boot = process.platform === 'linux' ? text('/proc/sys/kernel/random/boot_id') : ''
  const here = { boot, namespace: process.platform === 'linux' ? readlinkSync('/proc/self/ns/pid') : '', host: hostname(), nonce: 'n' }

  test('a process that lives', () => {
    leave({ ...here, pid: process.ppid, start: startOf(process.ppid) }, 3600)
    expect(take).toThrow(new RegExp(`folder.locked: process ${process.ppid} works on`))
  })

  test('nobody: a process that is gone, or another one that has its id', () => {
    for (const holder of [{ ...here, pid: 4194305, start: '1' }, { ...here, pid: process.ppid, start: '1' }, { ...here, pid: process.pid, start: '1' }]) {
      leave(holder)
      take().release()
      expect(readdirSync(folder)).toEqual([])
    }
  })

  test('locks of killed processes that never came into their place go, those of others stay', () => {
    const unfinished = (holder: object | string, ageSeconds: number): string => {
      leave(holder as object, ageSeconds)
      const path = `${file}.${randomUUID()}`
      renameSync(file, path)
      return path
    }
    const gone = { ...here, pid: 4194305, start: '1' }
    const left = [unfinished(gone, 0), unfinished('{"pi', 90)]
    const others = [unfinished({ ...here, pid: process.ppid, start: startOf(process.ppid) }, 3600), unfinished('', 30), unfinished({ ...gone, boot: 'another' }, 30)]
    writeFileSync(`${file}.txt`, '')
    take().release()
    expect(left.filter((path) => existsSync(path))).toEqual([])
    expect([...others, `${file}.txt`].filter((path) => !existsSync(path))).toEqual([])
  })

  test('nobody: a process that ended and that its parent has not asked for yet', async () => {
    // The shell starts it, becomes sleep, and never waits.
    const parent = spawn('sh', ['-c', 'sleep 0.3 & echo $!; exec sleep 60'])
    const pid = Number(await new Promise<string>((done) => parent.stdout.once('data', (piece) => done(String(piece)))))
    while (!/\) Z/.test(text(`/proc/${pid}/stat`))) await new Promise((done) => setTimeout(done, 10))
    leave({ ...here, pid, start: startOf(pid) })
    take().release()
    parent.kill()
  })

  test.each([
    ['process 1 of another container', { ...here, pid: 1, start: startOf(1), namespace: 'pid:[1]' }],
    ['a process with our id in another container', { ...here, pid: process.pid, start: startOf(process.pid), namespace: 'pid:[1]' }],
    ['a process of another machine, or of this one before it was started again', { ...here, pid: 4194305, start: '1', boot: 'another' }],
    ['a lock without its holder: being written, or of an older ltap', '123\n'],
  ])('%s: as long as it gives signs of life', (_who, holder) => {
    leave(holder as object, 30)
    expect(take).toThrow(/folder.locked: .*; wait for it or end it; if it was killed, the lock ends 60 seconds after its last sign of life/)
    expect(readdirSync(folder)).toEqual(['lock'])
    leave(holder as object, 90)
    take().release()
    expect(readdirSync(folder)).toEqual([])
  })

  test('it gives signs of life while its thread is busy', async () => {
    const lock = take()
    utimesSync(file, 1000, 1000)
    // As a job that leaves no turn to anyone.
    const until = performance.now() + 12_000
    while (statSync(file).mtimeMs < 2_000_000 && performance.now() < until);
    expect(statSync(file).mtimeMs).toBeGreaterThan(2_000_000)
    lock.release()
  })
})

test('of many that find a dead one\'s lock at the same moment one gets it', async () => {
  const script = `
    const { workerData, parentPort } = require('node:worker_threads')
    const { existsSync } = require('node:fs')
    import(workerData.module).then(({ FolderLock }) => {
      parentPort.postMessage('ready')
      while (!existsSync(workerData.go));
      try { new FolderLock(workerData.folder, workerData.file); parentPort.postMessage('got it') } catch (error) { parentPort.postMessage(error.code) }
    })`
  const module = new URL('../../../dist/io/disk/folderlock.js', import.meta.url).href
  for (let round = 0; round < 5; round++) {
    leave({ pid: 4194305, start: '1', boot: 'another', namespace: 'x', host: 'x', nonce: 'x' }, 3600)
    const go = join(folder, `go${round}`)
    const workers = Array.from({ length: 4 }, () => new Worker(script, { eval: true, workerData: { module, folder, file, go }, execArgv: [] }))
    const answers = workers.map((worker) => new Promise<string>((done, failed) => {
      worker.on('message', (answer: string) => answer !== 'ready' && done(answer))
      worker.once('error', failed)
    }))
    await Promise.all(workers.map((worker) => new Promise((done) => worker.once('message', done))))
    writeFileSync(go, '')
    expect((await Promise.all(answers)).sort()).toEqual(['folder.locked', 'folder.locked', 'folder.locked', 'got it'])
    await Promise.all(workers.map((worker) => worker.terminate()))
    rmSync(file, { force: true })
  }
})
