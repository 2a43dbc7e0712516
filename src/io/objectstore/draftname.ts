import { createHash } from 'node:crypto'
import { judgeProcess, ownIdentity, type ProcessIdentity, type Verdict } from '../disk/processidentity.ts'

/*
 * Name of a file that is not whole yet: `~<pid>-<start>-<place>-<nonce>`. No key has its first character. `place` stands for the machine's boot and the
 * container: only there does the process id name a process.
 */
const NAME = /^~(\d{1,10})-(\d{1,20})-([0-9a-f]{16})-[0-9a-z]{20}$/
/** Where /proc does not tell when a process began. */
const UNKNOWN_START = '0'

export class DraftNames {
  private readonly own = ownIdentity()
  private readonly place = placeOf(this.own)

  next(nonce: string): string {
    return `~${this.own.pid}-${this.own.start ?? UNKNOWN_START}-${this.place}-${nonce}`
  }

  /** Whether the process that made a draft lives; undefined for another machine's or container's. */
  judge(name: string): Verdict | undefined {
    const [, pid, start, place] = NAME.exec(name) ?? []
    if (place !== this.place) return undefined
    return judgeProcess({ ...this.own, pid: Number(pid), start: start === UNKNOWN_START ? null : start! })
  }
}

/** Drafts of every version of ltap, and nothing else. */
export function isDraftName(name: string): boolean {
  return NAME.test(name) || /^~[0-9a-z]{20}$/.test(name)
}

/** Whether this process, or a thread of it, makes the draft. */
export function isOwnDraft(name: string): boolean {
  const own = ownIdentity()
  const [, pid, start, place] = NAME.exec(name) ?? []
  return Number(pid) === own.pid && start === (own.start ?? UNKNOWN_START) && place === placeOf(own)
}

function placeOf({ boot, namespace, host }: ProcessIdentity): string {
  return createHash('sha256').update(JSON.stringify([boot, namespace, boot === null ? host : ''])).digest('hex').slice(0, 16)
}
