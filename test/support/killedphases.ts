/**
 * The built program, killed at one of its calls of the file system. A preloaded module counts the calls in each phase, and has the process killed at one
 * of them.
 */
import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect } from 'vitest'

const PROGRAM = join(resolve(import.meta.dirname, '../..'), 'dist/cli/main.js')

/** @param phaseOf source of `(call, path, to) => phase`, which may use `now`, `verb`, `made` and `isMainThread` */
const preloadOf = (phaseOf: string): string => `
  import fs from 'node:fs'
  import childProcess from 'node:child_process'
  import { syncBuiltinESMExports } from 'node:module'
  import { isMainThread } from 'node:worker_threads'
  const { verb, phase, at, log } = JSON.parse(process.env.LTAP_TEST_KILL)
  const original = { ...fs }
  const made = new Set()
  let now = 'start'
  let count = 0
  let busy = false
  const phaseOf = ${phaseOf}
  const pass = (call, path, to) => {
    now = phaseOf(call, String(path), String(to))
    if (at === undefined) original.appendFileSync(log, now + '\\n')
    else if (now === phase && count++ === at) process.kill(process.pid, 'SIGKILL')
  }
  for (const call of ['open', 'rename', 'unlink', 'copyFile', 'read', 'write', 'ftruncate', 'fsync', 'mkdir', 'rm']) {
    fs[call + 'Sync'] = (...args) => {
      if (!busy) {
        busy = true
        try { pass(call, args[0], args[1]) } finally { busy = false }
      }
      return original[call + 'Sync'](...args)
    }
  }
  // A server of one session: it is killed for when the server works, which its lock file tells.
  const spawnOriginal = childProcess.spawn
  childProcess.spawn = (program, args = [], options) => {
    const child = spawnOriginal(program, args, options)
    if (args[0] !== '--single') return child
    if (at === undefined) original.appendFileSync(log, 'server\\n')
    else if (phase === 'server' && count++ === at) {
      const lock = args[2] + '/postmaster.pid'
      setInterval(() => { if (original.existsSync(lock)) process.kill(process.pid, 'SIGKILL') }, 1)
    }
    return child
  }
  syncBuiltinESMExports()`

export interface Ended {
  /** The exit code. */
  readonly code: number | 'killed'
  readonly stderr: string
}

export class KilledProgram {
  private readonly root: string
  private readonly preload: string

  /** @param root a folder for its files @param phaseOf source of `(call, path, to) => phase`: which phase a call belongs to, by its paths */
  constructor(root: string, phaseOf: string) {
    this.root = root
    this.preload = join(root, 'preload.mjs')
    writeFileSync(this.preload, preloadOf(phaseOf))
  }

  async run(args: readonly string[], kill?: { phase?: string; at?: number; log?: string }): Promise<Ended> {
    const environment = kill && { NODE_OPTIONS: `--import ${this.preload}`, LTAP_TEST_KILL: JSON.stringify({ ...kill, verb: args[0] }) }
    const child = spawn(process.execPath, [PROGRAM, ...args], { env: { ...process.env, ...environment }, stdio: ['ignore', 'ignore', 'pipe'] })
    const ended = new Promise<Ended['code']>((done) => child.once('exit', (code, signal) => done(signal === 'SIGKILL' ? 'killed' : code ?? -1)))
    const [stderr, code] = await Promise.all([text(child.stderr), ended])
    return { code, stderr }
  }

  /** How many calls each phase has when nobody disturbs. */
  async callsOf(args: readonly string[]): Promise<Map<string, number>> {
    const log = join(this.root, `log${Math.random()}`)
    expect(await this.run(args, { log })).toMatchObject({ code: 0 })
    const counts = new Map<string, number>()
    for (const phase of readFileSync(log, 'utf8').split('\n').filter(Boolean)) counts.set(phase, (counts.get(phase) ?? 0) + 1)
    return counts
  }
}
