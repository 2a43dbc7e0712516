import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { isAlive } from './processes.ts'

/** A process id alone names no process: systems reuse it, and every container has a process 1. */
export interface ProcessIdentity {
  readonly pid: number
  /** Field 22 of /proc/<pid>/stat: clock ticks from boot to the start of the process. */
  readonly start: string | null
  /** /proc/sys/kernel/random/boot_id. */
  readonly boot: string | null
  /** /proc/self/ns/pid. */
  readonly namespace: string | null
  readonly host: string
}

export type Verdict = 'alive' | 'gone'

export function ownIdentity(): ProcessIdentity {
  return {
    pid: process.pid, start: startTime(process.pid) ?? null, boot: readText('/proc/sys/kernel/random/boot_id'), namespace: ownNamespace(), host: hostname(),
  }
}

/**
 * If boot and namespace are those of this process, the start time tells whether it is the same process.
 * @returns undefined for a process of another machine or container
 */
export function judgeProcess({ pid, start, boot, namespace, host }: ProcessIdentity): Verdict | undefined {
  const we = ownIdentity()
  if (pid === 0 || boot !== we.boot || namespace !== we.namespace) return undefined
  if (boot === null && host !== we.host) return undefined
  if (start !== null) {
    const found = startTime(pid)
    if (found !== undefined) return found === start ? 'alive' : 'gone'
  }
  return isAlive(pid) ? undefined : 'gone'
}

/** When a process began; undefined if that cannot be known. A process that has ended and waits for its parent has no start time. */
function startTime(pid: number): string | undefined {
  const stat = readText(`/proc/${pid}/stat`)
  if (stat === null) return undefined
  // The program's name, in parentheses, may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' || fields[0] === 'X' ? 'ended' : fields[19]
}

function ownNamespace(): string | null {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return null
  }
}

function readText(file: string): string | null {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    return null
  }
}
